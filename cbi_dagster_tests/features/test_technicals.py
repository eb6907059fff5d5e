"""Technical indicators per (symbol, trade date)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cbi_dagster.features.technicals import technicals_daily
from cbi_dagster.features.volatility import volatility_daily

from .continuous_frames import (
    REAL_DATA,
    assert_the_past_stands,
    continuous_frame,
    random_market,
    random_sessions,
)

DAYS = pd.bdate_range("2015-01-20", "2017-01-10", freq="11B")
PRICES = (
    *(f"{kind}_{n}" for kind in ("sma", "ema") for n in (5, 10, 20, 50, 100, 200)),
    *("macd_line", "macd_signal", "macd_hist", "bb_upper", "bb_lower", "bb_width", "atr_14_wilder", "momentum_10"),
)
VOLUMES = ("volume_sma_20", "volume_ratio", "volume_trend")


def with_volume(frame: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    return frame.assign(volume=np.random.default_rng(seed).integers(1, 90_000, len(frame)))


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    return with_volume(random_market(11, count=480))


@pytest.fixture(scope="module")
def plain() -> pd.DataFrame:
    return with_volume(random_sessions("ZL", 3, 420, holiday_rate=0.0))


def slow_technicals(frame: pd.DataFrame) -> pd.DataFrame:
    """The definitions once more, in pandas, for one symbol without holes."""
    close, factor, volume = frame["adj_close"], frame["adj_factor"], frame["volume"]
    columns: dict[str, pd.Series] = {f"return_{n}d": close.pct_change(n) for n in (1, 5, 21)}
    returns = columns["log_return_1d"] = np.log(close).diff()
    for n in (5, 10, 20, 50, 100, 200):
        columns[f"sma_{n}"] = close.rolling(n).mean() / factor
        columns[f"ema_{n}"] = (close.ewm(span=n, adjust=False).mean() / factor).where(close.index >= n - 1)
    change = close.diff()
    for n in (7, 14, 21):
        gain, loss = wilder(change.clip(lower=0), n), wilder((-change).clip(lower=0), n)
        columns[f"rsi_{n}"] = 100 - 100 / (1 + gain / loss)
    line = close.ewm(span=12, adjust=False).mean() - close.ewm(span=26, adjust=False).mean()
    signal = line.ewm(span=9, adjust=False).mean()
    columns["macd_line"] = (line / factor).where(close.index >= 25)
    columns["macd_signal"] = (signal / factor).where(close.index >= 33)
    columns["macd_hist"] = ((line - signal) / factor).where(close.index >= 33)
    mean, deviation = close.rolling(20).mean(), close.rolling(20).std()
    columns["bb_upper"] = (mean + 2 * deviation) / factor
    columns["bb_lower"] = (mean - 2 * deviation) / factor
    columns["bb_width"] = 4 * deviation / factor
    columns["bb_position"] = (close - mean + 2 * deviation) / (4 * deviation)
    sides = [frame["adj_high"], frame["adj_low"], close.shift()]
    columns["atr_14_wilder"] = (
        wilder(
            pd.concat([sides[0] - sides[1], (sides[0] - sides[2]).abs(), (sides[1] - sides[2]).abs()], axis=1).max(
                axis=1
            ),
            14,
        )
        / factor
    )
    columns |= {f"vol_{n}d": returns.rolling(n).std() for n in (5, 10, 20, 30, 60)}
    columns |= {f"dist_sma_{n}": close / close.rolling(n).mean() - 1 for n in (20, 50, 200)}
    columns["volume_sma_20"] = volume.rolling(20).mean()
    columns["volume_ratio"] = volume / volume.rolling(20).mean()
    columns["volume_trend"] = volume.rolling(5).mean() / volume.rolling(20).mean()
    columns["momentum_10"] = close.diff(10) / factor
    columns["roc_10"] = 100 * close.pct_change(10)
    return pd.DataFrame(columns)


def wilder(values: pd.Series, count: int) -> pd.Series:
    """The mean of the first `count` values from the second on, then an exponential mean of weight 1 / count."""
    seeded = values.copy()
    seeded.iloc[:count] = np.nan
    seeded.iloc[count] = values.iloc[1 : count + 1].mean()
    return seeded.ewm(alpha=1 / count, adjust=False).mean()


def test_every_session_has_one_row_in_order(market: pd.DataFrame) -> None:
    expected = market[["symbol", "date"]].sort_values(["symbol", "date"], ignore_index=True)
    pd.testing.assert_frame_equal(technicals_daily(market)[["symbol", "date"]], expected)


def test_an_empty_frame_gives_an_empty_frame_of_the_same_columns(market: pd.DataFrame) -> None:
    empty = technicals_daily(market.iloc[:0])
    assert len(empty) == 0
    assert (empty.dtypes == technicals_daily(market).dtypes).all()


def test_values_are_what_the_formulas_say(plain: pd.DataFrame) -> None:
    found = technicals_daily(plain).drop(columns=["date", "symbol"])
    pd.testing.assert_frame_equal(
        found, slow_technicals(plain)[found.columns], check_exact=False, rtol=1e-9, atol=1e-12
    )


def test_prices_of_a_millionth_lose_no_digits(plain: pd.DataFrame) -> None:
    tiny = plain.copy()
    scaled = ["open", "high", "low", "close", "adj_open", "adj_high", "adj_low", "adj_close"]
    tiny[scaled] *= 2.0**-25
    found, expected = technicals_daily(tiny), technicals_daily(plain)
    expected[list(PRICES)] *= 2.0**-25
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def legacy() -> pd.DataFrame:
    """Soybean oil 2000 to 2007 with the indicators of the system before this one."""
    path = REAL_DATA / "oracles" / "zl_technicals_2000_2007.parquet"
    if not path.exists():
        pytest.skip(f"no real data at {path}")
    table = pq.read_table(path).to_pandas(ignore_metadata=True)
    table["date"] = pd.to_datetime(table["date"]).dt.normalize().astype("datetime64[ns]")
    return table.sort_values("date", ignore_index=True)


def test_the_legacy_indicators_are_reproduced_from_their_own_prices() -> None:
    """Its holes of two weeks do not stop its windows, so its sessions are numbered by weekdays without holes here."""
    oracle = legacy()
    weekdays = pd.bdate_range("2000-01-03", periods=len(oracle))
    frame = continuous_frame(
        "ZL", weekdays, oracle["close"].to_numpy(), high=oracle["high"].to_numpy(), low=oracle["low"].to_numpy()
    )
    found = technicals_daily(frame.assign(volume=oracle["volume"]))
    pairs = {
        "sma_50": "ma_50d",
        "sma_100": "ma_100d",
        "sma_200": "ma_200d",
        "momentum_10": "momentum_10",
        "macd_line": "macd_line",
        "macd_signal": "macd_signal",
        "macd_hist": "macd_histogram",
        "bb_upper": "bb_upper",
        "bb_lower": "bb_lower",
        "bb_width": "bb_width",
        "sma_20": "bb_middle",
        "roc_10": "rate_of_change_10",
        "volume_sma_20": "volume_ma_20",
        "volume_ratio": "volume_ratio",
    }
    for ours, theirs in pairs.items():
        known = found[ours].notna()
        assert known.sum() > 1500, ours
        difference = (found[ours] - oracle[theirs])[known].abs()
        assert difference.max() <= 1e-9 * max(1.0, oracle[theirs].abs().max()), ours
    # Known differences: its RSI starts from the first change alone, not from the mean of 14, and forgets that with
    # time; its ATR is a simple mean.
    strength = (found["rsi_14"] - oracle["rsi_14"]).abs()
    assert strength[14:60].max() > 0.1
    assert strength[400:].max() < 1e-9
    assert (found["atr_14_wilder"] - oracle["atr_14"]).abs().max() > 0.1


def test_volatilities_are_those_of_volatility_daily_before_annualising(market: pd.DataFrame) -> None:
    found, annual = technicals_daily(market), volatility_daily(market)
    for n in (5, 10):
        np.testing.assert_array_equal(found[f"vol_{n}d"] * np.sqrt(252), annual[f"realized_vol_{n}d"])


def test_warm_up_is_null_to_the_session(plain: pd.DataFrame) -> None:
    found = technicals_daily(plain)
    first = {column: int(found[column].first_valid_index()) for column in found.columns[2:]}
    assert first == {
        "return_1d": 1,
        "return_5d": 5,
        "return_21d": 21,
        "log_return_1d": 1,
        **{f"{kind}_{n}": n - 1 for kind in ("sma", "ema") for n in (5, 10, 20, 50, 100, 200)},
        **{f"rsi_{n}": n for n in (7, 14, 21)},
        "macd_line": 25,
        "macd_signal": 33,
        "macd_hist": 33,
        "atr_14_wilder": 14,
        **dict.fromkeys(("bb_upper", "bb_lower", "bb_width", "bb_position"), 19),
        **{f"vol_{n}d": n for n in (5, 10, 20, 30, 60)},
        **{f"dist_sma_{n}": n - 1 for n in (20, 50, 200)},
        **dict.fromkeys(VOLUMES, 19),
        "momentum_10": 10,
        "roc_10": 10,
    }


def test_a_roll_alone_moves_no_indicator_and_prices_are_in_the_new_contract() -> None:
    dates = pd.bdate_range("2019-01-01", periods=260)
    rolled = np.arange(260) >= 230
    close = np.where(rolled, 44.0, 40.0)
    frame = with_volume(continuous_frame("ZL", dates, close, factor=np.where(rolled, 40 / 44, 1.0)))
    found = technicals_daily(frame)
    assert found["log_return_1d"].abs().max() < 1e-15
    np.testing.assert_allclose(found["sma_200"][199:], close[199:], rtol=1e-12)
    np.testing.assert_allclose(found["ema_20"][19:], close[19:], rtol=1e-12)


def test_a_market_that_stands_still() -> None:
    frame = continuous_frame("ZL", pd.bdate_range("2019-01-01", periods=220), np.full(220, 50.0)).assign(volume=0)
    last = technicals_daily(frame).iloc[-1]
    assert (last[["rsi_7", "rsi_14", "rsi_21"]] == 50).all()
    assert (last[["bb_width", "vol_60d", "atr_14_wilder", "return_21d", "roc_10", "volume_sma_20"]] == 0).all()
    assert last[["bb_position", "volume_ratio", "volume_trend"]].isna().all()


def test_a_market_that_only_rises_has_rsi_100() -> None:
    frame = continuous_frame("6J", pd.bdate_range("2019-01-01", periods=60), 0.0065 + np.arange(60) * 5e-7)
    assert (technicals_daily(with_volume(frame))["rsi_14"][14:] == 100).all()


def test_an_unknown_close_restarts_prices_and_leaves_volumes(plain: pd.DataFrame) -> None:
    spoilt = plain.copy()
    spoilt.loc[200, ["adj_close", "adj_high", "adj_low"]] = np.nan
    found, whole = technicals_daily(spoilt), technicals_daily(plain)
    pd.testing.assert_frame_equal(found[:200], whole[:200], check_exact=True)
    np.testing.assert_array_equal(found[list(VOLUMES)], whole[list(VOLUMES)])
    assert found["rsi_14"][200:215].isna().all()
    assert found["rsi_14"][215:].notna().all()
    assert found["ema_200"][200:400].isna().all()
    behind = technicals_daily(plain[201:])
    for name in ("ema_50", "rsi_14", "macd_signal", "atr_14_wilder", "bb_upper"):
        np.testing.assert_array_equal(found[name][201:], behind[name])


@pytest.mark.parametrize(("missing", "restarts"), [(4, ()), (5, ("20",)), (25, ("20",)), (26, ("20", "200"))])
def test_a_hole_restarts_what_counts_fewer_sessions_than_eight_holes(
    plain: pd.DataFrame, missing: int, restarts: tuple[str, ...]
) -> None:
    hole = plain.drop(index=range(210, 210 + missing))
    found = technicals_daily(hole).iloc[210]
    for n in ("20", "200"):
        assert np.isnan(found[f"sma_{n}"]) == (n in restarts), n
        assert np.isnan(found[f"ema_{n}"]) == (n in restarts), n
    assert np.isnan(found["rsi_14"]) == bool(restarts)
    assert np.isnan(found["log_return_1d"]) == bool(restarts)


def test_a_price_that_is_not_positive_has_no_returns_and_nothing_is_infinite() -> None:
    frame = with_volume(random_sessions("CL", 3, 120, holiday_rate=0.0))
    frame.loc[60, ["low", "close", "adj_low", "adj_close"]] = -37.63
    frame.loc[80, ["low", "close", "adj_low", "adj_close"]] = 0.0
    found = technicals_daily(frame)
    assert found["log_return_1d"].isna().to_numpy().nonzero()[0].tolist() == [0, 60, 61, 80, 81]
    assert found["return_1d"][60] < -1
    assert found["rsi_14"][60:].notna().all()
    assert not np.isinf(found.select_dtypes("number")).any().any()


def test_symbols_do_not_influence_each_other(market: pd.DataFrame) -> None:
    together = technicals_daily(market)
    for symbol in ("6L", "CL", "ZL"):
        alone = technicals_daily(market[market["symbol"] == symbol])
        expected = together[together["symbol"] == symbol].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, expected, check_exact=True)


def test_deleting_the_future_changes_nothing(market: pd.DataFrame) -> None:
    assert_the_past_stands(technicals_daily, market, DAYS[::8])


def test_a_planted_look_ahead_is_noticed(market: pd.DataFrame) -> None:
    def centred(frame: pd.DataFrame) -> pd.DataFrame:
        mean = frame.groupby("symbol")["adj_close"].transform("mean")
        return technicals_daily(frame.assign(adj_close=frame["adj_close"] - mean + 40))

    with pytest.raises(AssertionError):
        assert_the_past_stands(centred, market, DAYS[::8])
