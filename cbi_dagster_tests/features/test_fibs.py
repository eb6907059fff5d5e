"""Fibonacci levels per (symbol, trade date), bit for bit against a zigzag in plain Python."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbi_dagster.catalog.columns.fibs import EXTENSIONS, RETRACEMENTS
from cbi_dagster.catalog.spans import span_limit
from cbi_dagster.catalog.tables.features import FIB_LEVELS_DAILY
from cbi_dagster.features.fibs import (
    NearTolerance,
    fib_levels_daily,
    last_legs,
)

from .continuous_frames import (
    assert_the_past_stands,
    assert_windows_suffice,
    continuous_frame,
    declared_back,
    random_market,
    random_sessions,
    real_sessions,
)

DAYS = pd.bdate_range("2015-03-20", "2016-08-30", freq="6B")
NEAR = {"ZL": NearTolerance(retrace_618=0.8, ext_1618=1.2)}


def fibs(frame: pd.DataFrame) -> pd.DataFrame:
    return fib_levels_daily(frame, NEAR)


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    return random_market(31)


class Pivot(NamedTuple):
    kind: str
    at: int
    confirmed_at: int


def zigzag(closes: list[float], threshold: float) -> list[Pivot]:
    """Every confirmed pivot, one close at a time: always among all closes since the last pivot."""
    pivots: list[Pivot] = []
    start = 0
    for i, close in enumerate(closes):
        since = closes[start : i + 1]
        highest, lowest = max(since), min(since)
        may_be = {"high", "low"} - {pivots[-1].kind} if pivots else {"high", "low"}
        if "high" in may_be and close <= highest * (1 - threshold):
            pivots.append(Pivot("high", start + since.index(highest), i))
        elif "low" in may_be and close >= lowest * (1 + threshold):
            pivots.append(Pivot("low", start + since.index(lowest), i))
        else:
            continue
        start = pivots[-1].at
    return pivots


def reference(frame: pd.DataFrame) -> pd.DataFrame:
    """Threshold and leg of every session by the definition, one at a time."""
    rows = []
    for symbol, own in frame.groupby("symbol", observed=True):
        own = own.sort_values("date", ignore_index=True)
        days, close = [date.date() for date in own["date"]], list(own["adj_close"])
        gap = [math.inf, *(int(np.busday_count(a, b)) for a, b in itertools.pairwise(days))]
        ranges = [
            max(own["adj_high"][i], close[i - 1]) - min(own["adj_low"][i], close[i - 1])
            if gap[i] <= span_limit(2)
            else None
            for i in range(len(own))
        ]
        relative: list[float | None] = []
        for i in range(len(own)):
            window = ranges[max(0, i - 13) : i + 1]
            whole = i >= 14 and None not in window and np.busday_count(days[i - 13], days[i]) <= span_limit(14)
            total = 0.0
            for value in window if whole else ():
                total += value or 0.0
            relative.append(total / 14 / close[i] if whole else None)
        for i in range(len(own)):
            first = max(0, i - 125)
            while np.busday_count(days[first], days[i]) > span_limit(126):
                first += 1
            known = [value for value in relative[first : i + 1] if value is not None]
            row: dict[str, object] = {"symbol": symbol, "date": own["date"][i]}
            if i - first + 1 >= 40 and len(known) >= 26:
                threshold = min(max(3 * statistics.median(known), 0.005), 0.15)
                row["zigzag_threshold"] = threshold
                pivots = zigzag(close[first : i + 1], threshold)
                if len(pivots) >= 2:
                    last = pivots[-1]
                    ends = {pivot.kind: first + pivot.at for pivot in pivots[-2:]}
                    row["swing_date_low"], row["swing_date_high"] = own["date"][ends["low"]], own["date"][ends["high"]]
                    row["leg_confirmed_date"] = own["date"][first + last.confirmed_at]
                    row["trend_direction"] = "up" if last.kind == "high" else "down"
                    row["days_since_swing"] = (days[i] - days[first + last.at]).days
                    for kind in ("low", "high"):
                        price = close[ends[kind]] / own["adj_factor"][i]
                        row[f"swing_{kind}_price"] = float(np.round(price, 10))
            rows.append(row)
    return pd.DataFrame(rows)


def assert_agrees_with_the_reference(frame: pd.DataFrame) -> pd.DataFrame:
    computed, expected = fibs(frame), reference(frame)
    for name in expected.columns:
        left, right = computed[name], expected[name]
        assert (left.isna() == right.isna()).all(), name
        known = right.notna()
        assert (left[known] == right[known]).all(), name
    return computed


def one_leg(prices: list[float], *, symbol: str = "XX", amplitude: float = 0.012) -> pd.DataFrame:
    """Straight lines of 25 sessions from one of `prices` to the next, with ranges of `amplitude` of the close."""
    ends = [np.linspace(a, b, 25, endpoint=False) for a, b in itertools.pairwise(prices)]
    close = np.append(np.concatenate(ends), prices[-1])
    spread = close * amplitude / 2
    dates = pd.bdate_range("2020-01-01", periods=len(close))
    return continuous_frame(symbol, dates, close, high=close + spread, low=close - spread)


def test_golden_levels_of_an_up_leg() -> None:
    last = fibs(one_leg([53, 50, 60, 56])).iloc[-1]
    assert last["trend_direction"] == "up"
    assert (last["swing_low_price"], last["swing_high_price"]) == (50, 60)
    assert [round(last[f"retrace_{name}"], 2) for name in RETRACEMENTS] == [57.64, 56.18, 55, 53.82, 52.14]
    assert [round(last[f"ext_{name}"], 2) for name in EXTENSIONS] == [60, 62.36, 63.82, 66.18, 70, 76.18]
    assert last["swing_position_pct"] == pytest.approx(60)


def test_golden_levels_of_a_down_leg() -> None:
    last = fibs(one_leg([57, 60, 50, 54])).iloc[-1]
    assert last["trend_direction"] == "down"
    assert [round(last[f"retrace_{name}"], 2) for name in RETRACEMENTS] == [52.36, 53.82, 55, 56.18, 57.86]
    assert [round(last[f"ext_{name}"], 2) for name in EXTENSIONS] == [50, 47.64, 46.18, 43.82, 40, 33.82]
    assert last["swing_position_pct"] == pytest.approx(40)


def test_random_markets_agree_bit_for_bit_with_the_reference(market: pd.DataFrame) -> None:
    computed = assert_agrees_with_the_reference(market)
    assert set(computed["trend_direction"].dropna()) == {"up", "down"}
    assert computed["trend_direction"].notna().mean() > 0.3


def test_real_prices_agree_bit_for_bit_with_the_reference() -> None:
    computed = assert_agrees_with_the_reference(real_sessions())
    assert computed["trend_direction"].notna().mean() > 0.5


@settings(max_examples=150)
@given(
    ticks=st.lists(st.integers(-4, 4), min_size=1, max_size=60),
    start=st.integers(80, 120),
    threshold=st.sampled_from([0.005, 0.02, 0.05, 0.15]),
)
def test_legs_agree_with_the_reference_on_any_walk(ticks: list[int], start: int, threshold: float) -> None:
    # Whole prices make ties and exact reversals common.
    closes = [float(price) for price in start + np.cumsum(ticks) if price > 0]
    size = len(closes)
    windows = np.full((size, size), np.nan)
    for end in range(size):
        windows[end, size - 1 - end :] = closes[: end + 1]
    legs = last_legs(windows, np.full(size, threshold))
    for end in range(size):
        pivots = zigzag(closes[: end + 1], threshold)
        assert legs.exists[end] == (len(pivots) >= 2)
        if len(pivots) >= 2:
            offset = size - 1 - end
            at = {pivot.kind: pivot.at + offset for pivot in pivots[-2:]}
            assert (legs.low_at[end], legs.high_at[end]) == (at["low"], at["high"])
            assert legs.confirmed_at[end] == pivots[-1].confirmed_at + offset


def test_the_first_pivot_is_the_extreme_and_not_the_first_price() -> None:
    # From 100 down to 96 and up: the low at 96 is the first pivot, though 100 was the first price.
    closes = np.array([[100.0, 98, 96, 99, 102, 105, 99]])
    legs = last_legs(closes, np.array([0.05]))
    assert (legs.exists[0], legs.low_at[0], legs.high_at[0], legs.confirmed_at[0]) == (True, 2, 5, 6)


def test_a_single_confirmed_pivot_is_no_leg() -> None:
    assert not last_legs(np.array([[100.0, 96, 101, 105]]), np.array([0.05])).exists[0]
    assert not last_legs(np.array([[100.0, 96, 101, 90]]), np.array([np.nan])).exists[0]


def test_a_leg_needs_its_end_confirmed_before_it_counts() -> None:
    table = fibs(one_leg([53, 50, 60, 56]))
    up = table[table["trend_direction"] == "up"]
    assert (up["leg_confirmed_date"] == up["date"].iloc[0]).all()
    assert up["leg_confirmed_date"].iloc[0] > up["swing_date_high"].iloc[0]
    assert up["days_since_swing"].iloc[0] == (up["date"].iloc[0] - up["swing_date_high"].iloc[0]).days
    assert not (table["leg_confirmed_date"] > table["date"]).any()


def test_without_a_leg_everything_but_price_and_threshold_is_null(market: pd.DataFrame) -> None:
    rising = one_leg([50, 60, 70], symbol="ES")
    table = fibs(pd.concat([market, rising]))
    without = table[table["trend_direction"].isna()]
    assert without["zigzag_threshold"].notna().any()
    assert without["current_price"].notna().all()
    always = ["date", "symbol", "current_price", "zigzag_threshold"]
    assert without.drop(columns=always).isna().all().all()
    assert table[table["trend_direction"].notna()].notna().all().all()


def test_forty_sessions_are_needed() -> None:
    table = fibs(random_sessions("ZL", 6, 60, holiday_rate=0.0))
    assert table["zigzag_threshold"].first_valid_index() == 39


def test_a_long_hole_leaves_too_few_sessions_in_reach() -> None:
    whole = random_sessions("ZL", 6, 400, holiday_rate=0.0)
    # 141 weekdays are in reach; a hole of 102 leaves 39 sessions, one of 101 leaves 40 (and 26 true ranges or more).
    for missing, known in ((101, True), (102, False)):
        after = fibs(whole.drop(index=range(200, 200 + missing)))["zigzag_threshold"][200:210]
        assert after.notna().all() == known
        assert after.isna().all() == (not known)


def test_the_threshold_is_clamped() -> None:
    for amplitude, expected in ((0.0001, 0.005), (0.2, 0.15)):
        frame = one_leg([50, 50.2, 50, 50.2], amplitude=amplitude)
        assert fibs(frame)["zigzag_threshold"].iloc[-1] == expected


def test_a_roll_makes_no_swing_and_levels_follow_the_contract() -> None:
    plain = one_leg([53, 50, 60, 56])
    rolled = plain.copy()
    new_contract = rolled.index >= len(rolled) - 5
    rolled.loc[new_contract, ["high", "low", "close"]] *= 2
    rolled.loc[new_contract, "adj_factor"] = 0.5
    before, after = fibs(plain).iloc[-1], fibs(rolled).iloc[-1]
    levels = [name for name in before.index if name.startswith(("retrace", "ext", "swing_low", "swing_high"))]
    assert len(levels) == 13
    for name in levels:
        assert after[name] == pytest.approx(2 * before[name], rel=1e-12)
    assert after["swing_date_high"] == before["swing_date_high"]
    assert after["swing_position_pct"] == before["swing_position_pct"]


def test_near_flags_use_one_percent_or_the_tolerance_of_the_symbol() -> None:
    # Closes at 54.5; .618 of the leg is 53.82: 0.68 away, within 0.8 but not within 1 % of 54.5.
    default, own = (fibs(one_leg([53, 50, 60, 54.5], symbol=symbol)).iloc[-1] for symbol in ("XX", "ZL"))
    assert not default["price_near_618_retrace"]
    assert own["price_near_618_retrace"]
    # .5 of the leg is 55: 0.5 away, within 1 % for both.
    assert default["price_near_any_major"]
    assert own["price_near_any_major"]
    assert not own["price_near_1618_ext"]


def test_a_near_618_or_1618_is_near_a_major_level(market: pd.DataFrame) -> None:
    table = fibs(market).dropna(subset="trend_direction")
    single = table["price_near_618_retrace"] | table["price_near_1618_ext"]
    assert table.loc[single, "price_near_any_major"].all()
    away = {name: (table["current_price"] - table[name]).abs().round(10) for name in table.filter(regex="retr|ext_")}
    one_percent = 0.01 * table["current_price"]
    oil = table["symbol"] == "ZL"
    near_618 = away["retrace_618"] <= one_percent.mask(oil, 0.8)
    near_1618 = away["ext_1618"] <= one_percent.mask(oil, 1.2)
    others = sum((away[name] <= one_percent).astype(int) for name in ("retrace_382", "retrace_50", "ext_100"))
    assert (table["price_near_618_retrace"] == near_618).all()
    assert (table["price_near_1618_ext"] == near_1618).all()
    assert (table["price_near_any_major"] == (near_618 | near_1618 | (others > 0))).all()


def test_a_close_that_is_unknown_or_not_positive_voids_its_window() -> None:
    frame = random_sessions("CL", 6, 260, holiday_rate=0.0)
    for bad in (np.nan, -37.63):
        spoiled = frame.copy()
        spoiled.loc[100, "adj_close"] = bad
        threshold = fibs(spoiled)["zigzag_threshold"]
        assert threshold[99:100].notna().all()
        assert threshold[100:226].isna().all()
        assert threshold[226:].notna().all()


def test_an_empty_frame_gives_an_empty_frame_of_the_same_columns(market: pd.DataFrame) -> None:
    assert (fibs(market.iloc[:0]).dtypes == fibs(market).dtypes).all()


def test_deleting_the_future_changes_nothing(market: pd.DataFrame) -> None:
    assert_the_past_stands(fibs, market, DAYS[::10])


def test_a_day_alone_equals_the_full_rebuild(market: pd.DataFrame) -> None:
    assert_windows_suffice(fibs, market, DAYS, declared_back(FIB_LEVELS_DAILY))


@pytest.mark.parametrize("back", [125, span_limit(126)])
def test_a_window_without_the_ranges_behind_it_would_not_do(market: pd.DataFrame, back: int) -> None:
    with pytest.raises(AssertionError):
        assert_windows_suffice(fibs, market, DAYS, back)
