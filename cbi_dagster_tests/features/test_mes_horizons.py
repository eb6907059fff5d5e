"""MES horizons: technicals of intraday bars from a fixed anchor, and completed bars of longer periods."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import TABLES
from cbi_dagster.catalog.columns.mes import BAR_TECHNICALS, PERIODS, WARM_UP_MONTHS
from cbi_dagster.catalog.frames import InvalidFrameError
from cbi_dagster.catalog.spans import span_limit
from cbi_dagster.catalog.tables.mes import MES_HORIZONS_DAILY
from cbi_dagster.features import mes_horizons as module
from cbi_dagster.features.mes_horizons import (
    anchor,
    mes_daily,
    mes_intraday,
)
from cbi_dagster.market.resample import HORIZON_MINUTES, resampled_bars
from cbi_dagster.market.sessions import trade_date_ordinals

from ..market.intraday_frames import intraday_market
from .continuous_frames import assert_the_past_stands, assert_windows_suffice, declared_back, random_sessions


def market_bars(horizon: str, seed: int, start: str, end: str, **changes: object) -> pd.DataFrame:
    """Bars of one horizon of a random market; hours are the source where they suffice."""
    minutes = 60 if HORIZON_MINUTES[horizon] >= 60 else 1
    bars, sessions = intraday_market(seed, pd.bdate_range(start, end), minutes=minutes, activity=0.95, **changes)
    return resampled_bars({"ohlcv-1h" if minutes == 60 else "ohlcv-1m": bars}, sessions)[horizon]


@pytest.fixture(scope="module")
def hours() -> pd.DataFrame:
    return market_bars("1hr", 1, "2023-01-02", "2023-11-30")


def rows_of(frame: pd.DataFrame, first: str, last: str | None = None) -> pd.DataFrame:
    inside = (frame["date"] >= first) & (frame["date"] <= (last or first))
    return frame[inside].reset_index(drop=True)


def seen_from(bars: pd.DataFrame, first: object, last: object) -> pd.DataFrame:
    return bars[(bars["date"] >= first) & (bars["date"] <= last)].reset_index(drop=True)


def reference(bars: pd.DataFrame) -> pd.DataFrame:
    """The formulas in plain pandas, over all bars from the first."""
    factor = bars["adj_factor"]
    high, low, c = (bars[name] * factor for name in ("high", "low", "close"))
    columns = {}

    def deviation(values: pd.Series, n: int) -> np.ndarray:
        # Window by window: pandas' running sums lose digits.
        windows = np.lib.stride_tricks.sliding_window_view(np.append(np.full(n - 1, np.nan), values), n)
        return windows.std(axis=1, ddof=1)

    for n in (1, 7, 30):
        columns[f"ret_{n}b"] = c / c.shift(n) - 1
    for n in (5, 10, 20, 30, 60):
        columns[f"vol_{n}b"] = deviation(np.log(c / c.shift(1)), n)
    for n in (7, 14, 21):
        change = c.diff().to_numpy()
        gain, loss = np.maximum(change, 0), np.maximum(-change, 0)
        rsi = np.full(len(c), np.nan)
        up, down = gain[1 : n + 1].mean(), loss[1 : n + 1].mean()
        for i in range(n, len(c)):
            if i > n:
                up, down = (up * (n - 1) + gain[i]) / n, (down * (n - 1) + loss[i]) / n
            rsi[i] = 100 * up / (up + down) if up + down else 50.0
        columns[f"rsi_{n}b"] = pd.Series(rsi)

    def smooth(values: pd.Series, n: int) -> pd.Series:
        return values.ewm(span=n, adjust=False).mean()

    line = smooth(c, 12) - smooth(c, 26)
    signal = smooth(line, 9)
    columns["macd_line_b"] = (line / factor).where(bars.index >= 25)
    columns["macd_signal_b"] = (signal / factor).where(bars.index >= 33)
    columns["macd_hist_b"] = ((line - signal) / factor).where(bars.index >= 33)
    for n in (5, 10, 20, 50, 100, 200):
        columns[f"sma_{n}b"] = c.rolling(n).mean() / factor
        columns[f"ema_{n}b"] = (smooth(c, n) / factor).where(bars.index >= n - 1)
        columns[f"dist_sma_{n}b"] = c / c.rolling(n).mean() - 1
    mean, std = c.rolling(20).mean(), deviation(c, 20)
    columns["bb_upper_20b"], columns["bb_lower_20b"] = (mean + 2 * std) / factor, (mean - 2 * std) / factor
    columns["bb_width_20b"] = 4 * std / factor
    columns["bb_position_20b"] = (c - mean + 2 * std) / (4 * std)
    ranges = (np.maximum(high, c.shift(1)) - np.minimum(low, c.shift(1))).to_numpy()
    atr = np.full(len(c), np.nan)
    atr[14] = ranges[1:15].mean()
    for i in range(15, len(c)):
        atr[i] = (atr[i - 1] * 13 + ranges[i]) / 14
    columns["atr_14b"] = atr / factor
    volume = bars["volume"]
    columns["volume_sma_20b"] = volume.rolling(20).mean()
    columns["volume_ratio_20b"] = volume / volume.rolling(20).mean()
    columns["volume_trend_20b"] = volume.rolling(5).mean() / volume.rolling(20).mean()
    return pd.DataFrame(columns)[list(BAR_TECHNICALS)]


@pytest.mark.parametrize(
    ("horizon", "start", "end", "quarter"),
    [
        ("1hr", "2023-01-02", "2023-08-31", "2023-07-01"),
        ("4hr", "2022-01-03", "2023-05-31", "2023-04-01"),
        ("15min", "2023-05-22", "2023-07-14", "2023-07-01"),
        ("1min", "2023-06-01", "2023-07-05", "2023-07-01"),
    ],
)
def test_every_bar_follows_the_formulas_from_its_anchor_on(horizon: str, start: str, end: str, quarter: str) -> None:
    bars = market_bars(horizon, 3, start, end)
    built = mes_intraday(bars, horizon)
    since = seen_from(bars, pd.Timestamp(anchor(quarter, horizon)), end)
    expected = reference(since)[(since["date"] >= quarter).to_numpy()]
    got = rows_of(built, quarter, end)
    assert len(got) == len(expected) > 30
    for name in BAR_TECHNICALS:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-7, atol=1e-9, err_msg=name)
    assert got[list(BAR_TECHNICALS)].notna().all().all()


def test_bars_are_carried_as_they_are_and_in_order(hours: pd.DataFrame) -> None:
    built = mes_intraday(hours, "1hr")
    carried = ["date", "symbol", "bar_close_ts", "open", "high", "low", "close", "volume"]
    pd.testing.assert_frame_equal(built[carried], hours[carried])
    assert list(built.columns) == carried + list(BAR_TECHNICALS)


def test_the_anchor_is_the_same_for_all_days_of_a_quarter_and_depends_on_nothing_else() -> None:
    days = np.array(["2023-04-03", "2023-05-15", "2023-06-30", "2023-07-03"], dtype="datetime64[D]")
    assert anchor(days, "1min").astype(str).tolist() == ["2023-03-01"] * 3 + ["2023-06-01"]
    assert anchor(days, "1hr").astype(str).tolist() == ["2023-01-01"] * 3 + ["2023-04-01"]
    assert anchor(days, "4hr").astype(str).tolist() == ["2022-04-01"] * 3 + ["2022-07-01"]
    assert set(WARM_UP_MONTHS) == set(HORIZON_MINUTES)


@pytest.mark.parametrize("horizon", WARM_UP_MONTHS)
def test_no_day_looks_further_back_than_declared(horizon: str) -> None:
    days = pd.bdate_range("1999-01-01", "2060-12-31").to_numpy("datetime64[D]")
    first = np.busday_offset(anchor(days, horizon), 0, roll="forward")
    reach = trade_date_ordinals(days) - trade_date_ordinals(first)
    back = declared_back(TABLES[f"features.mes_{horizon}"])
    assert back - 4 <= reach.max() <= back


@pytest.mark.parametrize("day", ["2023-04-03", "2023-06-30", "2023-07-03", "2023-08-17", "2023-11-30"])
def test_a_day_alone_a_range_and_everything_are_bit_identical(hours: pd.DataFrame, day: str) -> None:
    full = rows_of(mes_intraday(hours, "1hr"), day)
    alone = seen_from(hours, pd.Timestamp(anchor(day, "1hr")), day)
    assert len(full) > 0
    pd.testing.assert_frame_equal(rows_of(mes_intraday(alone, "1hr"), day), full, check_exact=True)
    range_ = seen_from(hours, pd.Timestamp(anchor(day, "1hr")) - pd.Timedelta(days=20), "2023-11-30")
    pd.testing.assert_frame_equal(rows_of(mes_intraday(range_, "1hr"), day), full, check_exact=True)


@pytest.mark.parametrize("horizon", ["1min", "5min", "15min", "30min", "4hr"])
def test_a_day_alone_is_bit_identical_on_every_horizon(horizon: str) -> None:
    bars = market_bars(horizon, 8, "2022-02-01" if horizon == "4hr" else "2022-12-20", "2023-04-05")
    full = mes_intraday(bars, horizon)
    for day in ("2023-03-31", "2023-04-04"):
        alone = seen_from(bars, pd.Timestamp(anchor(day, horizon)), day)
        pd.testing.assert_frame_equal(rows_of(mes_intraday(alone, horizon), day), rows_of(full, day), check_exact=True)


def test_a_start_that_depends_on_the_request_would_be_noticed(hours: pd.DataFrame) -> None:
    day = "2023-08-17"
    late = seen_from(hours, pd.Timestamp("2023-04-04"), day)  # one session short
    with pytest.raises(AssertionError):
        pd.testing.assert_frame_equal(
            rows_of(mes_intraday(late, "1hr"), day), rows_of(mes_intraday(hours, "1hr"), day), check_exact=True
        )


def test_deleting_the_future_changes_nothing(hours: pd.DataFrame) -> None:
    full = mes_intraday(hours, "1hr")
    for cut in range(10, len(hours), 397):
        kept = mes_intraday(hours.iloc[:cut].reset_index(drop=True), "1hr")
        pd.testing.assert_frame_equal(kept, full.iloc[:cut].reset_index(drop=True), check_exact=True)


def test_a_planted_look_ahead_is_noticed(hours: pd.DataFrame) -> None:
    ahead = hours.assign(close=hours["close"].shift(-1).fillna(hours["close"]))
    full = mes_intraday(ahead, "1hr")
    cut = hours.iloc[:1000].reset_index(drop=True)
    kept = mes_intraday(cut.assign(close=cut["close"].shift(-1).fillna(cut["close"])), "1hr")
    with pytest.raises(AssertionError):
        pd.testing.assert_frame_equal(kept, full.iloc[:1000].reset_index(drop=True), check_exact=True)


def test_warm_up_is_null_to_the_bar(hours: pd.DataFrame) -> None:
    built = mes_intraday(hours, "1hr")
    first = {name: int(built[name].first_valid_index()) for name in BAR_TECHNICALS}
    assert first == {
        **{f"ret_{n}b": n for n in (1, 7, 30)},
        **{f"vol_{n}b": n for n in (5, 10, 20, 30, 60)},
        **{f"rsi_{n}b": n for n in (7, 14, 21)},
        "macd_line_b": 25, "macd_signal_b": 33, "macd_hist_b": 33,
        **{f"{kind}_{n}b": n - 1 for kind in ("sma", "ema") for n in (5, 10, 20, 50, 100, 200)},
        **{f"bb_{name}_20b": 19 for name in ("upper", "lower", "width", "position")},
        "atr_14b": 14,
        **{f"dist_sma_{n}b": n - 1 for n in (20, 50, 200)},
        **{f"volume_{name}_20b": 19 for name in ("sma", "ratio", "trend")},
    }  # fmt: skip


def test_a_roll_alone_moves_no_ratio_and_quotes_prices_in_the_new_contract(hours: pd.DataFrame) -> None:
    late = hours["date"] >= "2023-08-01"
    rolled = hours.assign(adj_factor=hours["adj_factor"] * np.where(late, 0.5, 1.0))
    for name in ("open", "high", "low", "close"):
        rolled[name] = hours[name] * np.where(late, 2.0, 1.0)
    plain, doubled = mes_intraday(hours, "1hr"), mes_intraday(rolled, "1hr")
    for name in BAR_TECHNICALS:
        scale = np.where(late, 2.0, 1.0) if name in module._PRICES else 1.0
        np.testing.assert_allclose(doubled[name], plain[name] * scale, rtol=1e-12, err_msg=name)


def test_a_session_break_does_not_interrupt_and_a_hole_starts_anew(hours: pd.DataFrame) -> None:
    days = hours["date"].drop_duplicates().to_list()
    at = next(i for i, day in enumerate(days) if day >= pd.Timestamp("2023-08-10"))
    for missing in (span_limit(2) - 1, span_limit(2)):
        holed = hours[~hours["date"].isin(days[at : at + missing])].reset_index(drop=True)
        after = rows_of(mes_intraday(holed, "1hr"), days[at + missing])
        whole = missing < span_limit(2)
        assert after["ret_1b"].notna().iloc[0] == whole
        assert after["rsi_14b"].notna().iloc[0] == whole
        assert after["sma_5b"].notna().to_list()[:5] == [whole] * 4 + [True]
        assert after["ret_7b"].notna().to_list()[6:8] == [whole, True]


def test_unknown_or_impossible_prices_have_no_indicators_and_what_follows_starts_anew(hours: pd.DataFrame) -> None:
    broken = hours.copy()
    broken.loc[2000:2010, "adj_factor"] = np.nan
    broken.loc[2100, ["low", "close"]] = -1.0
    built = mes_intraday(broken, "1hr")
    assert built.loc[2000:2010, list(BAR_TECHNICALS)].isna().all().all()
    assert built.loc[2100, list(BAR_TECHNICALS)].isna().all()
    assert built.loc[2101, "ret_1b"] != built.loc[2101, "ret_1b"]
    assert built.loc[2011:2014, "sma_5b"].isna().all()
    assert math.isfinite(built.loc[2015, "sma_5b"])
    assert not np.isinf(built[list(BAR_TECHNICALS)]).any().any()


def test_a_market_that_stands_still() -> None:
    bars = market_bars("1hr", 1, "2023-01-02", "2023-02-10").assign(
        open=4000.0, high=4000.0, low=4000.0, close=4000.0, volume=7, adj_factor=1.0
    )
    last = mes_intraday(bars, "1hr").iloc[-1]
    expected = {"rsi_7b": 50, "vol_60b": 0, "ret_30b": 0, "bb_width_20b": 0, "atr_14b": 0, "sma_200b": 4000}
    assert {name: last[name] for name in expected} == expected
    assert last["volume_ratio_20b"] == 1
    assert np.isnan(last["bb_position_20b"])


def test_nothing_in_nothing_out(hours: pd.DataFrame) -> None:
    empty = mes_intraday(hours.iloc[:0], "1hr")
    assert len(empty) == 0
    assert (empty.dtypes == mes_intraday(hours, "1hr").dtypes).all()


def test_bars_that_are_not_one_ordered_market_are_refused(hours: pd.DataFrame) -> None:
    with pytest.raises(InvalidFrameError, match="adj_factor"):
        mes_intraday(hours.drop(columns="adj_factor"), "1hr")
    with pytest.raises(InvalidFrameError, match="out of order"):
        mes_intraday(hours.iloc[::-1], "1hr")
    with pytest.raises(InvalidFrameError, match="2 symbols"):
        mes_intraday(hours.assign(symbol=np.where(hours.index > 9, "ES", "MES")), "1hr")
    with pytest.raises(KeyError):
        mes_intraday(hours, "2hr")


# Completed bars of longer periods.


def sessions(seed: int = 1, count: int = 1400, start: str = "2018-12-31", **changes: object) -> pd.DataFrame:
    frame = random_sessions("MES", seed, count, start=start, price=4000.0, tick=0.25, **changes)
    return frame.assign(volume=np.random.default_rng(seed).integers(1, 9_000, len(frame)))


def period_start(day: pd.Timestamp, name: str) -> pd.Timestamp:
    if name == "7d":
        return day - pd.Timedelta(days=day.dayofweek)
    months = {"3m": 3, "6m": 6, "12m": 12}[name]
    return pd.Timestamp(day.year, (day.month - 1) // months * months + 1, 1)


def slow_bar(frame: pd.DataFrame, day: pd.Timestamp, name: str) -> dict | None:
    """The completed bar as of one day, from a calendar and plain selections."""
    known = frame[frame["date"] <= day]
    if name in ("1d", "30d"):
        inside = known.tail(1 if name == "1d" else 21)
        missing = np.busday_count(inside["date"].iloc[0].date(), day.date()) + 1 - len(inside)
        if len(inside) < (1 if name == "1d" else 21) or missing > 4:
            return None
    else:
        begin = period_start(day, name)
        if period_start(day + pd.offsets.BusinessDay(), name) == begin:
            begin = period_start(begin - pd.Timedelta(days=1), name)
        weekdays = pd.bdate_range(begin, begin + pd.Timedelta(days=400))
        weekdays = [d for d in weekdays if period_start(d, name) == begin]
        inside = known[known["date"].isin(weekdays)]
        if len(weekdays) - len(inside) > max(2, len(weekdays) // 8):
            return None
    before = frame[frame["date"] < inside["date"].iloc[0]].tail(1)
    between = np.busday_count(before["date"].iloc[0].date(), inside["date"].iloc[0].date()) if len(before) else 99
    factor = known["adj_factor"].iloc[-1]
    high, low, close = inside["adj_high"].max(), inside["adj_low"].min(), inside["adj_close"].iloc[-1]
    return {
        "first_date": inside["date"].iloc[0], "last_date": inside["date"].iloc[-1],
        "open": inside["adj_open"].iloc[0] / factor, "high": high / factor, "low": low / factor,
        "close": close / factor, "volume": inside["volume"].sum(), "sessions": len(inside),
        "ret": close / before["adj_close"].iloc[0] - 1 if between <= span_limit(2) else math.nan,
        "range": high / low - 1,
        "position": (known["adj_close"].iloc[-1] - low) / (high - low) if high > low else math.nan,
    }  # fmt: skip


@pytest.mark.parametrize("name", PERIODS)
def test_every_period_is_its_last_completed_bar(name: str) -> None:
    frame = sessions(holes=((300, 8), (700, 2)))
    built = mes_daily(frame)
    assert built["date"].to_list() == frame["date"].to_list()
    seen = 0
    for row in range(0, len(frame), 7):
        expected = slow_bar(frame, frame["date"][row], name)
        if expected is None:
            assert built.loc[row, [f"bar_{key}_{name}" for key in ("first_date", "open", "volume", "ret")]].isna().all()
            continue
        seen += 1
        for key in ("first_date", "last_date"):
            assert built[f"bar_{key}_{name}"][row] == expected.pop(key)
        got = {key: built[f"bar_{key}_{name}"][row] for key in expected}
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)
    assert seen > 50


def full_weeks() -> pd.DataFrame:
    return sessions(holiday_rate=0.0, count=300, start="2023-01-02")


def test_a_week_completes_on_friday_and_not_before() -> None:
    frame = full_weeks()
    built = mes_daily(frame).set_index("date")["bar_last_date_7d"]
    assert built["2023-03-16"] == pd.Timestamp("2023-03-10")
    assert built["2023-03-17"] == pd.Timestamp("2023-03-17")
    assert built["2023-03-20"] == pd.Timestamp("2023-03-17")


def test_a_period_whose_last_weekday_is_a_holiday_completes_with_the_next_session() -> None:
    frame = full_weeks()
    frame = frame[frame["date"] != "2023-03-31"]  # a Friday and the end of a quarter
    built = mes_daily(frame).set_index("date")
    assert built.loc["2023-03-30", "bar_last_date_7d"] == pd.Timestamp("2023-03-24")
    assert pd.isna(built.loc["2023-03-30", "bar_last_date_3m"])
    for name in ("7d", "3m"):
        assert built.loc["2023-04-03", f"bar_last_date_{name}"] == pd.Timestamp("2023-03-30")


def test_periods_that_history_or_a_hole_cut_short_are_null() -> None:
    frame = full_weeks()
    late = mes_daily(frame[frame["date"] >= "2023-01-16"]).set_index("date")
    assert pd.isna(late.loc["2023-03-31", "bar_close_3m"])  # 10 of 65 weekdays missing, 8 allowed
    soon = mes_daily(frame[frame["date"] >= "2023-01-12"]).set_index("date")
    assert soon.loc["2023-03-31", "bar_sessions_3m"] == 57
    assert pd.isna(soon.loc["2023-03-31", "bar_ret_3m"])  # no session before it
    holed = mes_daily(frame[~frame["date"].between("2023-03-14", "2023-03-16")]).set_index("date")
    assert pd.isna(holed.loc["2023-03-17", "bar_close_7d"])
    assert pd.isna(holed.loc["2023-03-17", "bar_volume_7d"])


def test_an_unknown_factor_makes_the_bars_it_touches_null() -> None:
    frame = full_weeks()
    frame.loc[frame["date"] >= "2023-03-15", [name for name in frame if name.startswith("adj_")]] = np.nan
    built = mes_daily(frame).set_index("date")
    assert built.loc["2023-03-15":].drop(columns="symbol").isna().all().all()
    assert built.loc["2023-03-14", "bar_close_7d"] > 0


def days_of(frame: pd.DataFrame) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(frame["date"].iloc[560::41])


def test_daily_deleting_the_future_changes_nothing() -> None:
    frame = sessions()
    assert_the_past_stands(mes_daily, frame, days_of(frame))


def test_daily_a_day_alone_equals_the_full_rebuild_and_less_would_not_do() -> None:
    frame = sessions(holiday_rate=0.0)
    ends = pd.DatetimeIndex(["2020-12-30", "2021-05-14", "2021-12-30", "2022-01-03", "2022-12-29"])
    assert_windows_suffice(mes_daily, frame, ends, declared_back(MES_HORIZONS_DAILY))
    with pytest.raises(AssertionError):
        assert_windows_suffice(mes_daily, frame, ends, 2 * 260 - 1)


def test_daily_windows_suffice_with_holes() -> None:
    frame = sessions(3, holes=((40, 5), (260, 6), (522, 4), (700, 30)))
    assert_windows_suffice(mes_daily, frame, days_of(frame), declared_back(MES_HORIZONS_DAILY))


def test_daily_takes_symbols_apart_and_nothing_for_nothing() -> None:
    frame = sessions(count=300)
    both = mes_daily(pd.concat([frame, frame.assign(symbol="ES")], ignore_index=True))
    alone = mes_daily(frame)
    pd.testing.assert_frame_equal(both[both["symbol"] == "MES"].reset_index(drop=True), alone, check_exact=True)
    empty = mes_daily(frame.iloc[:0])
    assert (empty.dtypes == alone.dtypes).all()
    with pytest.raises(InvalidFrameError, match="volume"):
        mes_daily(frame.drop(columns="volume"))


@pytest.mark.parametrize("price", [0.0, -37.63])
def test_a_price_that_is_not_positive_is_no_base_of_a_return(price: float) -> None:
    frame = full_weeks()
    frame.loc[frame["date"] == "2023-03-10", "adj_close"] = price
    built = mes_daily(frame).set_index("date")
    assert np.isnan(built.loc["2023-03-17", "bar_ret_7d"])
    assert built.loc["2023-03-24", "bar_ret_7d"] == pytest.approx(
        built.loc["2023-03-24", "bar_close_7d"] / built.loc["2023-03-17", "bar_close_7d"] - 1
    )
