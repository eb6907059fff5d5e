"""Pivots per (symbol, trade date), against golden vectors and a reference that works one day at a time."""

from __future__ import annotations

import datetime as dt
import itertools

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.columns.pivots import NEAREST
from cbi_dagster.catalog.spans import span_limit
from cbi_dagster.catalog.tables.features import PIVOT_MATH_DAILY
from cbi_dagster.features.pivots import pivot_math_daily

from .continuous_frames import (
    assert_the_past_stands,
    assert_windows_suffice,
    continuous_frame,
    declared_back,
    random_market,
    random_sessions,
    real_sessions,
)

DAYS = pd.bdate_range("2015-01-20", "2016-08-30", freq="5B")
TOLERANCES = {"ZL": 1.0}


def pivots(frame: pd.DataFrame) -> pd.DataFrame:
    return pivot_math_daily(frame, TOLERANCES)


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    return random_market(21)


def week_of_sessions(
    high: list[float], low: list[float], close: list[float], *, start: str = "2024-03-04", symbol: str = "ZL"
) -> pd.DataFrame:
    """Consecutive weekdays with the given prices."""
    dates = pd.bdate_range(start, periods=len(close))
    return continuous_frame(symbol, dates, np.array(close), high=np.array(high), low=np.array(low))


def levels_of(high: float, low: float, close: float) -> dict[str, float]:
    pivot = (high + low + close) / 3
    r1, s1, span = 2 * pivot - low, 2 * pivot - high, high - low
    r2, s2 = pivot + span, pivot - span
    r3, s3 = high + 2 * (pivot - low), low - 2 * (high - pivot)
    r4, s4 = high + 3 * (pivot - low), low - 3 * (high - pivot)
    rungs_up, rungs_down = [pivot, r1, r2, r3, r4], [pivot, s1, s2, s3, s4]
    middles = [(near + far) / 2 for rungs in (rungs_up, rungs_down) for near, far in itertools.pairwise(rungs)]
    names = ["P", "R1", "R2", "R3", "R4", "S1", "S2", "S3", "S4", *(f"M{n}" for n in range(1, 9))]
    return dict(zip(names, [*rungs_up, *rungs_down[1:], *middles], strict=True))


def reference(frame: pd.DataFrame) -> pd.DataFrame:
    """The definitions, one day at a time, in adjusted prices and with plain Python."""
    results = []
    for symbol, own in frame.groupby("symbol", observed=True):
        days = own.sort_values("date").to_dict("records")
        dates = [day["date"].date() for day in days]
        rows: list[dict[str, object]] = []
        for i, day in enumerate(days):
            levels: dict[str, float] = {}
            if i and np.busday_count(dates[i - 1], dates[i]) <= span_limit(2):
                before = days[i - 1]
                levels = levels_of(before["adj_high"], before["adj_low"], before["adj_close"])
            last_week = (dates[i] - dt.timedelta(days=7)).isocalendar()[:2]
            first_of_month = dates[i].replace(day=1)
            last_month = first_of_month - dt.timedelta(days=1)
            in_week = [d for d, date in zip(days, dates, strict=True) if date.isocalendar()[:2] == last_week]
            in_month = [
                d
                for d, date in zip(days, dates, strict=True)
                if (date.year, date.month) == (last_month.year, last_month.month)
            ]
            for prefix, members in (("W", in_week), ("M", in_month)):
                if members:
                    period = levels_of(
                        max(d["adj_high"] for d in members),
                        min(d["adj_low"] for d in members),
                        members[-1]["adj_close"],
                    )
                    wanted = ("P", "R1", "R2", "R3", "S1", "S2", "S3")
                    levels.update({prefix + name: period[name] for name in wanted})
            in_contract = {name: level / day["adj_factor"] for name, level in levels.items()}
            rows.append({"date": day["date"], "symbol": symbol, **in_contract})
        for i, day in enumerate(days):
            row, close = rows[i], day["close"]
            near = {n: abs(close - row[n]) for n in NEAREST if n in row}
            if near:
                row["distance_to_nearest_pivot"] = min(near.values())
            true_ranges = [
                max(days[j]["adj_high"], days[j - 1]["adj_close"]) - min(days[j]["adj_low"], days[j - 1]["adj_close"])
                if np.busday_count(dates[j - 1], dates[j]) <= span_limit(2)
                else np.nan
                for j in range(max(1, i - 13), i + 1)
            ]
            if len(true_ranges) == 14 and np.busday_count(dates[i - 13], dates[i]) <= span_limit(14):
                row["atr_14"] = np.mean(true_ranges) / day["adj_factor"]
            zone = [n for n in ("P", "R1", "S1", "R2", "S2", "WP", "MP") if n in row]
            if len(zone) == 7 and row.get("atr_14", np.nan) > 0:
                row["pivot_confluence_count"] = sum(abs(close - row[n]) <= 0.25 * row["atr_14"] for n in zone)
            past = [(days[j], rows[j]) for j in range(max(0, i - 3), i)]
            known = len(past) == 3 and all("P" in own_levels for _, own_levels in past)
            if known and np.busday_count(dates[i - 3], dates[i]) <= span_limit(4):
                tie = 1e-9
                rejections = sum(d["high"] > p["R1"] + tie and d["close"] < p["R1"] - tie for d, p in past)
                touches = sum(d["low"] <= p["S1"] + tie for d, p in past)
                holds = sum(d["close"] >= p["P"] - tie for d, p in past)
                inside = sum(p["S1"] - tie <= d["close"] <= p["R1"] + tie for d, p in past)
                row["price_rejected_R1_twice"] = rejections >= 2
                row["price_bouncing_off_S1"] = touches >= 1 and holds >= 2
                row["price_stuck_between_R1_S1_for_3_days"] = inside == 3
            if i and np.busday_count(dates[i - 1], dates[i]) <= span_limit(2) and "WP" in row and "WP" in rows[i - 1]:
                sides = [days[i - 1]["close"] - rows[i - 1]["WP"], close - row["WP"]]
                row["weekly_pivot_flip"] = min(sides) < -1e-9 and max(sides) > 1e-9
        results.extend(rows)
    return pd.DataFrame(results)


def test_golden_levels_of_one_prior_session() -> None:
    today = pivots(week_of_sessions([51, 52], [49, 50], [50.5, 51])).iloc[1]
    golden = {"P": 50.1667, "R1": 51.3333, "S1": 49.3333, "R2": 52.1667, "S2": 48.1667, "R3": 53.3333, "S3": 47.3333}
    golden |= {"R4": 54.5, "S4": 46.5, "M1": 50.75, "M5": 49.75}
    assert {name: round(today[name], 4) for name in golden} == golden
    assert today["M2"] == pytest.approx((today["R1"] + today["R2"]) / 2)
    assert today["M4"] == pytest.approx((today["R3"] + today["R4"]) / 2)
    assert today["M8"] == pytest.approx((today["S3"] + today["S4"]) / 2)
    assert today["distance_to_P"] == pytest.approx(51 - 50.1667, abs=1e-4)
    assert today["distance_to_R2"] == pytest.approx(51 - 52.1667, abs=1e-4)
    assert (today["nearest_pivot_type"], round(today["distance_to_nearest_pivot"], 4)) == ("M1", 0.25)
    assert today["price_above_P"]
    assert not today["price_between_R1_R2"]
    assert not today["price_between_S1_P"]


def test_the_first_session_has_a_price_and_nothing_else() -> None:
    first = pivots(week_of_sessions([51], [49], [50.5])).iloc[0]
    assert first["current_price"] == 50.5
    assert first.drop(["date", "symbol", "current_price"]).isna().all()


def test_all_columns_agree_with_the_reference(market: pd.DataFrame) -> None:
    computed, expected = pivots(market), reference(market)
    for name in expected.columns.drop(["date", "symbol"]):
        left, right = computed[name].astype(float), expected[name].astype(float)
        np.testing.assert_allclose(left, right, rtol=1e-7, atol=2e-10, err_msg=name)


def test_columns_derived_from_levels_agree_with_them(market: pd.DataFrame) -> None:
    table = pivots(market)
    for name in ("P", "R1", "S1", "R2", "S2", "R3", "S3"):
        np.testing.assert_allclose(table[f"distance_to_{name}"], table["current_price"] - table[name], atol=1e-10)
    for period, level in (("weekly", "WP"), ("monthly", "MP")):
        signed = table[f"{period}_pivot_distance_signed"]
        np.testing.assert_allclose(signed, table["current_price"] - table[level], atol=1e-10)
        np.testing.assert_array_equal(table[f"{period}_pivot_distance"], signed.abs())
    known = table[table["P"].notna()]
    assert (known["price_above_P"] == (known["current_price"] > known["P"])).all()
    between = (known["current_price"] >= known["R1"]) & (known["current_price"] <= known["R2"])
    assert (known["price_between_R1_R2"] == between).all()
    between = (known["current_price"] >= known["S1"]) & (known["current_price"] <= known["P"])
    assert (known["price_between_S1_P"] == between).all()
    at_type = [known.loc[row, name] for row, name in known["nearest_pivot_type"].items()]
    np.testing.assert_allclose(known["distance_to_nearest_pivot"], (known["current_price"] - at_type).abs(), atol=1e-10)
    counted = table[table["pivot_confluence_count"].notna()]
    assert (counted["pivot_zone_strength"] == counted["pivot_confluence_count"].clip(1, 5)).all()
    assert (counted["pivot_confluence_3_or_higher"] == (counted["pivot_confluence_count"] >= 3)).all()
    in_atr = table["distance_to_P"] / table["atr_14"]
    np.testing.assert_array_equal(table["distance_to_P_atr"], in_atr)


def test_the_fixed_tolerance_serves_only_symbols_that_have_one(market: pd.DataFrame) -> None:
    table = pivots(market)
    assert table.loc[table["symbol"] != "ZL", "pivot_confluence_count_fixed"].isna().all()
    oil = table[(table["symbol"] == "ZL") & table["MP"].notna()]
    levels = oil[["P", "R1", "S1", "R2", "S2", "WP", "MP"]]
    away = levels.sub(oil["current_price"], axis=0).abs().round(10)
    assert (oil["pivot_confluence_count_fixed"] == (away <= 1.0).sum(axis=1)).all()


def test_a_close_on_a_level_is_on_it_whatever_the_adjustment_factor() -> None:
    # The prior session's P is exactly 50.10 in decimals, which neither binary thirds nor factors hit by themselves.
    for factor in (1.0, 0.8831, 1.1 / 3):
        frame = week_of_sessions([50.2, 50.3], [50.0, 50.0], [50.1, 50.1])
        adjusted = [column for column in frame if column.startswith("adj_") and column != "adj_factor"]
        frame["adj_factor"] = factor
        frame[adjusted] = frame[[column.removeprefix("adj_") for column in adjusted]].to_numpy() * factor
        today = pivots(frame).iloc[1]
        assert today["distance_to_P"] == 0
        assert not today["price_above_P"]
        assert today["price_between_S1_P"]


def test_levels_are_quoted_in_the_contract_of_the_day_across_a_roll() -> None:
    frame = week_of_sessions([51, 102.5], [49, 100], [50.5, 101])
    frame["adj_factor"] = [1.0, 0.5]
    for name in ("high", "low", "close"):
        frame[f"adj_{name}"] = frame[name] * frame["adj_factor"]
    today = pivots(frame).iloc[1]
    assert today["P"] == pytest.approx(2 * 50.1667, abs=1e-3)
    assert today["distance_to_R1"] == pytest.approx(101 - 2 * 51.3333, abs=1e-3)


def test_the_prior_week_is_the_iso_week_before_not_the_last_rows() -> None:
    frame = week_of_sessions(*([list(range(10, 25))] * 3), start="2024-12-16")
    table = pivots(frame).set_index("date")
    assert table["WP"][:"2024-12-20"].isna().all()
    # Over New Year: week 52 (23 to 27 December, closes 15 to 19) serves all of week 1.
    assert set(table["WP"]["2024-12-30":"2025-01-03"]) == {round((19 + 15 + 19) / 3, 10)}
    without = frame[(frame["date"] < "2024-12-23") | (frame["date"] > "2024-12-27")]
    assert pivots(without).set_index("date")["WP"]["2024-12-30":].isna().all()


def test_the_prior_month_is_the_calendar_month_before() -> None:
    frame = week_of_sessions(*([[float(n) for n in range(10, 80)]] * 3), start="2024-11-25")
    table = pivots(frame).set_index("date")
    closes = frame.set_index("date")["close"]["2024-12-01":"2024-12-31"]
    december = (closes.max() + closes.min() + closes.iloc[-1]) / 3
    assert table["MP"]["2024-11-25":"2024-11-29"].isna().all()
    assert set(table["MP"]["2025-01-01":"2025-01-31"]) == {round(december, 10)}
    assert table["MR1"].loc["2025-01-15"] == pytest.approx(2 * december - closes.min())


def test_a_prior_session_too_long_ago_gives_no_levels() -> None:
    frame = random_sessions("ZL", 4, 60, holiday_rate=0.0)
    for missing, known in ((4, True), (5, False)):
        table = pivots(frame.drop(index=range(30, 30 + missing)))
        assert pd.notna(table["P"][30]) == known
        assert pd.notna(table["P"][31])


def test_patterns_compare_each_session_with_its_own_levels() -> None:
    # Two sessions poke through their R1 (50.93, 51.17) and close below it; then prices move far away, where today's
    # own levels would tell nothing of that.
    high, low, close = [51, 51, 51.5, 51.5, 70.0], [49, 49.2, 49.5, 49.5, 60.0], [50, 50, 50.0, 50.0, 65.0]
    table = pivots(week_of_sessions(high, low, close))
    assert table["price_rejected_R1_twice"].isna().tolist() == [True, True, True, True, False]
    assert table["price_rejected_R1_twice"].iloc[-1]
    assert table["price_stuck_between_R1_S1_for_3_days"].iloc[-1]
    assert not table["price_bouncing_off_S1"].iloc[-1]


def test_bouncing_needs_a_touch_of_s1_and_two_closes_at_or_above_p() -> None:
    high, low, close = [51, 51, 51, 51, 51.0], [49, 48.9, 49.5, 49.5, 49.5], [50, 50, 50.5, 50.5, 50.0]
    assert pivots(week_of_sessions(high, low, close))["price_bouncing_off_S1"].iloc[-1]
    close[2] = close[3] = 49.6
    assert not pivots(week_of_sessions(high, low, close))["price_bouncing_off_S1"].iloc[-1]


def test_the_weekly_flip_needs_strictly_opposite_sides() -> None:
    flat = [50.0] * 5
    for closes, flips in (([49, 51], True), ([51, 49], True), ([51, 52], False), ([51, 50], False), ([50, 51], False)):
        prices = [*flat, *(float(close) for close in closes)]
        assert pivots(week_of_sessions(prices, prices, prices))["weekly_pivot_flip"].iloc[-1] == flips


def test_an_unknown_factor_leaves_only_the_price(market: pd.DataFrame) -> None:
    frame = random_sessions("ZL", 4, 80)
    frame.loc[50:, [column for column in frame if column.startswith("adj_")]] = np.nan
    after = pivots(frame).iloc[50:].drop(columns=["date", "symbol"])
    assert after.pop("current_price").notna().all()
    own = [name for name in after if not name.startswith(("price_rejected", "price_bouncing", "price_stuck"))]
    assert after[own].isna().all().all()
    # The first session after still has three known ones behind it.
    assert after["price_bouncing_off_S1"].notna().tolist() == [True] + [False] * 29


def test_a_standing_market_has_no_distance_in_units_of_no_range() -> None:
    flat = [50.0] * 40
    last = pivots(week_of_sessions(flat, flat, flat)).iloc[-1]
    assert (last["atr_14"], last["distance_to_P"]) == (0, 0)
    assert np.isnan(last["distance_to_P_atr"])


def test_an_empty_frame_gives_an_empty_frame_of_the_same_columns(market: pd.DataFrame) -> None:
    assert (pivots(market.iloc[:0]).dtypes == pivots(market).dtypes).all()


def test_deleting_the_future_changes_nothing(market: pd.DataFrame) -> None:
    assert_the_past_stands(pivots, market, DAYS[::12])


def test_levels_ignore_the_day_itself(market: pd.DataFrame) -> None:
    day = DAYS[40]
    moved = market.copy()
    moved.loc[moved["date"] == day, ["high", "low", "close", "adj_high", "adj_low", "adj_close"]] *= 1.5
    levels = [*levels_of(3, 1, 2), *(prefix + name for prefix in "WM" for name in ("P", "R1", "R3", "S3"))]
    before, after = (table.loc[table["date"] == day, levels] for table in (pivots(market), pivots(moved)))
    assert len(before) == 3
    pd.testing.assert_frame_equal(before, after, check_exact=True)


def test_a_day_alone_equals_the_full_rebuild(market: pd.DataFrame) -> None:
    assert_windows_suffice(pivots, market, DAYS, declared_back(PIVOT_MATH_DAILY))


def test_the_declared_window_is_tight() -> None:
    # July and August 2013 have 45 weekdays, and the month's high was made on the first of them.
    frame = random_sessions("ZL", 4, 80, start="2013-06-03", holiday_rate=0.0)
    frame.loc[frame["date"] == "2013-07-01", ["high", "adj_high"]] *= 2
    last_day = pd.DatetimeIndex(["2013-08-30"])
    assert_windows_suffice(pivots, frame, last_day, declared_back(PIVOT_MATH_DAILY))
    with pytest.raises(AssertionError):
        assert_windows_suffice(pivots, frame, last_day, declared_back(PIVOT_MATH_DAILY) - 1)


def test_atr_is_the_one_the_legacy_system_computed() -> None:
    frame = real_sessions()
    table = pivots(frame)
    known = table["atr_14"].notna().to_numpy()
    assert known.mean() > 0.5
    np.testing.assert_allclose(table["atr_14"][known], frame["legacy_atr_14"][known], rtol=1e-9)
