"""Indicators: definitions, edge cases, and what may not influence a row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from cbi_dagster.features import indicators
from cbi_dagster.features.indicators import InvalidSegmentsError
from cbi_dagster.features.windows import Floats

from .continuous_frames import real_sessions

WHOLE = [0]


def walk(seed: int, count: int, price: float = 40.0, volatility: float = 0.01) -> Floats:
    steps = np.random.default_rng(seed).normal(0, volatility, count)
    return price * np.exp(np.cumsum(steps))


def every_indicator(values: Floats, starts: list[int]) -> dict[str, Floats]:
    """All indicators of one series; high and low are made from it."""
    macd = indicators.macd(values, starts)
    bands = indicators.bollinger(values, 20, 2.0, starts)
    return {
        "sma": indicators.sma(values, 20, starts),
        "ema": indicators.ema(values, 20, starts),
        "rsi": indicators.rsi(values, 14, starts),
        "atr": indicators.atr(values * 1.0078125, values * 0.9921875, values, 14, starts),
        "deviation": indicators.standard_deviation(values, 20, starts),
        "correlation": indicators.correlation(values, values * values, 30, starts),
        **{f"macd_{name}": part for name, part in macd._asdict().items()},
        **{f"bands_{name}": part for name, part in bands._asdict().items()},
    }


SCALE_FREE = ("rsi", "correlation", "bands_position")
FIRST_KNOWN = {
    "sma": 19,
    "ema": 19,
    "rsi": 14,
    "atr": 14,
    "deviation": 19,
    "correlation": 29,
    "macd_line": 25,
    "macd_signal": 33,
    "macd_histogram": 33,
    "bands_middle": 19,
    "bands_upper": 19,
    "bands_lower": 19,
    "bands_width": 19,
    "bands_position": 19,
}


def wilder(values: Floats, count: int) -> Floats:
    """Wilder's mean of values of which the first is unknown, by the book."""
    result = np.full(len(values), np.nan)
    result[count] = values[1 : count + 1].mean()
    for row in range(count + 1, len(values)):
        result[row] = (result[row - 1] * (count - 1) + values[row]) / count
    return result


def assert_close(computed: Floats, expected: pd.Series | Floats, rel: float = 1e-10) -> None:
    np.testing.assert_allclose(computed, np.asarray(expected), rtol=rel, atol=rel * np.nanmax(np.abs(computed)))


@pytest.fixture(scope="module", params=["random", "tiny", "real"])
def series(request: pytest.FixtureRequest) -> Floats:
    if request.param == "real":
        return real_sessions()["adj_close"].to_numpy()
    return walk(1, 1500) if request.param == "random" else walk(2, 1500, price=1e-6)


def test_means_and_deviations_agree_with_pandas(series: Floats) -> None:
    frame = pd.Series(series)
    assert_close(indicators.sma(series, 50, WHOLE), frame.rolling(50).mean())
    assert_close(indicators.ema(series, 50, WHOLE)[49:], frame.ewm(span=50, adjust=False).mean()[49:])
    exact = np.lib.stride_tricks.sliding_window_view(series, 20).std(axis=1, ddof=1)
    assert_close(indicators.standard_deviation(series, 20, WHOLE)[19:], exact)


def test_macd_recurs_from_the_first_value(series: Floats) -> None:
    frame = pd.Series(series)
    line = frame.ewm(span=12, adjust=False).mean() - frame.ewm(span=26, adjust=False).mean()
    signal = line.ewm(span=9, adjust=False).mean()
    macd = indicators.macd(series, WHOLE)
    assert_close(macd.line[25:], line[25:])
    assert_close(macd.signal[33:], signal[33:])
    assert_close(macd.histogram[33:], (line - signal)[33:])


def test_bands_stand_two_sample_deviations_around_the_mean(series: Floats) -> None:
    rolling = pd.Series(series).rolling(20)
    mean, deviation = rolling.mean(), rolling.std(ddof=1)
    bands = indicators.bollinger(series, 20, 2.0, WHOLE)
    assert_close(bands.upper, mean + 2 * deviation, 1e-9)
    assert_close(bands.lower, mean - 2 * deviation, 1e-9)
    assert_close(bands.width, 4 * deviation, 1e-8)
    assert_close(bands.position, (series - mean + 2 * deviation) / (4 * deviation), 1e-8)


def test_rsi_and_atr_are_wilders(series: Floats) -> None:
    change = np.diff(series, prepend=np.nan)
    gain, loss = wilder(np.maximum(change, 0), 14), wilder(np.maximum(-change, 0), 14)
    assert_close(indicators.rsi(series, 14, WHOLE), 100 * gain / (gain + loss))
    high, low = series * 1.01, series * 0.995
    before = np.roll(series, 1)
    true_range = np.maximum.reduce([high - low, np.abs(high - before), np.abs(low - before)])
    assert_close(indicators.atr(high, low, series, 14, WHOLE), wilder(true_range, 14))


def test_rsi_is_what_ta_lib_says(series: Floats) -> None:
    np.testing.assert_array_equal(indicators.rsi(series, 14, WHOLE), talib.RSI(series, 14))


def test_correlation_agrees_with_numpy() -> None:
    first = np.random.default_rng(3).normal(0, 1e-5, 400)
    second = 0.4 * first + np.random.default_rng(4).normal(0, 1e-5, 400)
    expected = [np.corrcoef(first[end - 30 : end], second[end - 30 : end])[0, 1] for end in range(30, 401)]
    np.testing.assert_allclose(indicators.correlation(first, second, 30, WHOLE)[29:], expected, rtol=1e-9)


@pytest.mark.parametrize("price", [5000.0, 0.0065, 1e-6])
def test_a_flat_series_has_rsi_50_no_width_and_no_correlation(price: float) -> None:
    computed = every_indicator(np.full(100, price), WHOLE)
    assert (computed["rsi"][14:] == 50).all()
    assert (computed["deviation"][19:] == 0).all()
    assert (computed["bands_width"][19:] == 0).all()
    assert np.isnan(computed["bands_position"]).all()
    assert np.isnan(computed["correlation"]).all()
    np.testing.assert_allclose(computed["sma"][19:], price, rtol=1e-14)
    np.testing.assert_allclose(computed["macd_line"][25:], 0, atol=price * 1e-14)


@pytest.mark.parametrize("price", [5000.0, 1e-6])
def test_strictly_rising_and_falling_series_have_rsi_100_and_0(price: float) -> None:
    rising = price * (1 + np.arange(100) * 1e-4)
    assert (indicators.rsi(rising, 14, WHOLE)[14:] == 100).all()
    assert (indicators.rsi(rising[::-1].copy(), 14, WHOLE)[14:] == 0).all()


def test_a_fall_that_ends_flat_keeps_rsi_0_and_a_flat_start_has_50() -> None:
    falling = np.concatenate([np.arange(50.0, 20.0, -1.0), np.full(300, 20.0)])
    assert (indicators.rsi(falling, 14, WHOLE)[14:] == 0).all()
    late = np.concatenate([np.full(40, 50.0), [49.0, 48.0, 49.0]])
    strength = indicators.rsi(late, 14, WHOLE)
    assert (strength[14:40] == 50).all()
    assert (strength[40:42] == 0).all()
    assert 0 < strength[42] < 100


def test_a_flat_stretch_after_large_moves_has_no_deviation() -> None:
    values = walk(5, 5000, price=5000.0)
    values[3000:3100] = values[3000]
    deviation = indicators.standard_deviation(values, 20, WHOLE)
    assert (deviation[3019:3100] == 0).all()
    assert deviation[3018] > 0


def test_an_outlier_leaves_no_trace_behind_its_window() -> None:
    values = walk(6, 600, price=5000.0)
    spoilt = values.copy()
    spoilt[300] = 1e9
    for name in ("deviation", "sma"):
        clean, later = every_indicator(values, WHOLE)[name][330:], every_indicator(spoilt, WHOLE)[name][330:]
        np.testing.assert_allclose(later, clean, rtol=1e-8)


@pytest.mark.parametrize("exponent", [-40, -20, 30])
def test_scaling_by_a_power_of_two_scales_exactly(exponent: int) -> None:
    values, factor = walk(7, 300), 2.0**exponent
    plain, scaled = every_indicator(values, WHOLE), every_indicator(values * factor, WHOLE)
    for name, expected in plain.items():
        scaled_back = scaled[name] if name in SCALE_FREE else scaled[name] / factor
        np.testing.assert_array_equal(scaled_back, expected, err_msg=name)


def test_warm_up_is_nan_to_the_row() -> None:
    computed = every_indicator(walk(8, 60), WHOLE)
    assert {name: int(np.flatnonzero(~np.isnan(values))[0]) for name, values in computed.items()} == FIRST_KNOWN
    assert all(not np.isnan(values[FIRST_KNOWN[name] :]).any() for name, values in computed.items())


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf])
def test_an_unknown_value_starts_everything_anew_behind_it(unknown: float) -> None:
    values = walk(9, 200)
    spoilt = values.copy()
    spoilt[80] = unknown
    computed = every_indicator(spoilt, WHOLE)
    before, after = every_indicator(values[:80].copy(), WHOLE), every_indicator(values[81:].copy(), WHOLE)
    for name, found in computed.items():
        np.testing.assert_array_equal(found, np.concatenate([before[name], [np.nan], after[name]]), err_msg=name)


def test_segments_do_not_see_each_other() -> None:
    parts = [walk(seed, length) for seed, length in ((1, 90), (2, 5), (3, 1), (4, 120))]
    joined = every_indicator(np.concatenate(parts), [0, 90, 95, 96])
    alone = [every_indicator(part, WHOLE) for part in parts]
    for name, found in joined.items():
        np.testing.assert_array_equal(found, np.concatenate([part[name] for part in alone]), err_msg=name)


def test_later_rows_change_nothing() -> None:
    values = walk(10, 700)
    values[450] = np.nan
    full = every_indicator(values, [0, 200])
    for length in (201, 202, 333, 450, 451, 452, 699):
        for name, found in every_indicator(values[:length].copy(), [0, 200]).items():
            np.testing.assert_array_equal(found, full[name][:length], err_msg=f"{name} at {length}")


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([np.nan, 0.0, 1e-6, 1.0, 1.25, 2.0, -37.63, 4e4]), min_size=1, max_size=80),
    st.integers(1, 40),
)
def test_results_are_never_infinite_and_stay_in_range(values: list[float], second: int) -> None:
    starts = [0] if second >= len(values) else [0, second]
    computed = every_indicator(np.array(values), starts)
    assert not any(np.isinf(found).any() for found in computed.values())
    for name, low, high in (("rsi", 0, 100), ("correlation", -1, 1)):
        known = computed[name][~np.isnan(computed[name])]
        assert ((known >= low) & (known <= high)).all()
    assert not (computed["deviation"] < 0).any()


def test_no_rows_give_no_rows() -> None:
    assert all(len(found) == 0 for found in every_indicator(np.empty(0), []).values())


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: indicators.sma(walk(1, 9), 5, []), "starts must ascend"),
        (lambda: indicators.sma(walk(1, 9), 5, [1]), "starts must ascend"),
        (lambda: indicators.sma(walk(1, 9), 5, [0, 4, 4]), "starts must ascend"),
        (lambda: indicators.sma(walk(1, 9), 5, [0, 9]), "starts must ascend"),
        (lambda: indicators.ema(walk(1, 9), 1, [0]), "too short"),
        (lambda: indicators.correlation(walk(1, 9), walk(1, 8), 5, [0]), "differ in length"),
    ],
)
def test_arguments_that_do_not_fit_are_named(call: Callable[[], Floats], match: str) -> None:
    with pytest.raises(InvalidSegmentsError, match=match):
        call()


def test_a_pair_of_which_either_is_unknown_starts_the_correlation_anew() -> None:
    first, second = walk(11, 120), walk(12, 120)
    for spoilt in (0, 1):
        pair = [first.copy(), second.copy()]
        pair[spoilt][50] = np.nan
        parts = [indicators.correlation(first[rows], second[rows], 30, WHOLE) for rows in (slice(50), slice(51, None))]
        found = indicators.correlation(*pair, 30, WHOLE)
        np.testing.assert_array_equal(found, np.concatenate([parts[0], [np.nan], parts[1]]))
