"""What is said of a session's quality: against a second implementation, and case by case."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.bars import session_bars

UNIVERSE = load_universe()
NOTHING_SAID = pd.DataFrame({"utc_date": [], "condition": [], "date": []})
CHICAGO = ZoneInfo("America/Chicago")
HOURS = {"MES": range(23), "ZL": [*range(2, 21)], "6L": [1, 9, 15, 16, 17, 18, 19]}  # from 17:00 on


def market(root: str, first: str, last: str, *, ids: dict[str, int] | None = None, volume: int = 100) -> pd.DataFrame:
    """Landed hourly bars of a product that trades in the same hours of every business day; early closes are kept."""
    calendar = UNIVERSE.calendar(root)
    rows = []
    instrument = 1
    for day in pd.bdate_range(first, last).date:
        if day in calendar.closed or day in calendar.joined:
            continue
        instrument = (ids or {}).get(str(day), instrument)
        for hour in HOURS[root]:
            start = dt.datetime.combine(day, dt.time(), CHICAGO) + dt.timedelta(hours=hour - 7)
            if (hour - 6) * 60 > calendar.early_closes.get(day, 1440) + 59:
                continue
            rows.append((pd.Timestamp(start).tz_convert("UTC"), pd.Timestamp(day), hour, instrument))
    frame = pd.DataFrame(rows, columns=["ts_event", "date", "hour", "instrument_id"])
    return frame.assign(
        root=root, symbol=f"{root}.v.0", open=50.0, high=50.0, low=50.0, close=50.0, volume=volume,
        session_instrument_id=frame["instrument_id"].astype("Int64"), session_covered=True, dataset="GLBX.MDP3",
        source_file="f", source_row=range(len(frame)),
    )  # fmt: skip


def said(*days: str, word: str = "degraded") -> pd.DataFrame:
    """The vendor's word on UTC days, and a good one on all others of the year."""
    every = pd.date_range("2023-10-01", "2024-12-31")
    return pd.DataFrame(
        {"utc_date": every, "condition": np.where(every.isin(pd.to_datetime(days)), word, "available"), "date": every}
    )


def judged(bars: pd.DataFrame, schema: str = "ohlcv-1h", conditions: pd.DataFrame = NOTHING_SAID) -> pd.Series:
    sessions = session_bars({schema: bars}, conditions, UNIVERSE).sessions
    return sessions.set_index(sessions["date"].dt.strftime("%Y-%m-%d"))["session_quality"]


def without(bars: pd.DataFrame, day: str, hours: range) -> pd.DataFrame:
    return bars[~((bars["date"] == day) & bars["hour"].isin(hours))]


# -- a second implementation ------------------------------------------------------------------------------------------


def reference(bars: pd.DataFrame, root: str, degraded: set[str]) -> dict[str, tuple[str | None, float | None]]:
    """Quality and usual bars of each session of hourly bars, one session after the other in plain Python."""
    calendar, eras = UNIVERSE.calendar(root), UNIVERSE.eras(root)
    counts: dict[dt.date, Counter[int]] = {}
    volumes: dict[dt.date, Counter[int]] = {}
    contract: dict[dt.date, int] = {}
    for bar in bars.itertuples():
        day = bar.date.date()
        wall = bar.ts_event.tz_convert("America/Chicago").tz_localize(None) + pd.Timedelta(hours=7)
        if wall.date() == day:
            counts.setdefault(day, Counter())[wall.hour] += 1
            volumes.setdefault(day, Counter())[wall.hour] += bar.volume
        contract[day] = bar.instrument_id
    found: dict[str, tuple[str | None, float | None]] = {}
    days = sorted(contract)

    def opened_late(day: dt.date) -> bool:
        before = day - dt.timedelta(days=3 if day.weekday() == 0 else 1)
        return before in calendar.closed

    for number, day in enumerate(days):
        weekdays = np.busday_count([d.isoformat() for d in days[:number]], day.isoformat())
        past = [d for d, ago in zip(days, weekdays, strict=False) if ago <= 30]
        past = [d for d in past if d not in calendar.early_closes and not opened_late(d)]
        if len(past) < 10:
            found[str(day)] = (None, None)
            continue
        per_session = sum(sum(counts[d].values()) for d in past) / len(past)
        era = [era for era in eras if era.first_trade_date <= day][-1]
        begin, end = (era.open_minute + 420) % 1440, era.close_minute + 420
        early = calendar.early_closes.get(day)
        last = end if early is None else min(end, (early // 60) * 60 + 420)
        usual = [h for h in range(24) if sum(counts[d][h] > 0 for d in past) >= 0.9 * len(past)]
        scheduled = [h for h in range(24) if h * 60 + 60 > begin and h * 60 < last]
        traded = [h for h in range(24) if counts[day][h]]
        midnight = (dt.datetime.combine(day, dt.time(), dt.UTC).astimezone(CHICAGO).hour + 7) % 24
        counted = [h for h in usual if h in scheduled]
        busy = len(counted) >= 0.7 * len(scheduled)
        if number == 0 or contract[days[number - 1]] != contract[day]:
            counted = [h for h in counted if h >= midnight]
        if opened_late(day) and traded:
            counted = [h for h in counted if h >= traded[0]]
        runs = "".join("." if counts[day][h] else "x" for h in counted).split(".")
        limit = max(0.1 * len(usual), 1.5)
        cut = busy and len(runs[-1]) > limit
        holed = busy and any(len(run) > limit for run in runs[:-1])
        own = sum(volumes[day][h] for h in traded)
        expected = sum(sum(volumes[d][h] for d in past) / len(past) for h in traded)
        thin = own < 0.05 * expected or ((cut or holed) and own < 0.25 * expected)
        opening = dt.datetime.combine(day, dt.time(), CHICAGO) - dt.timedelta(hours=7)
        lost = [opening + dt.timedelta(hours=h) for h in counted if not counts[day][h]]
        doubtful = any(str(start.astimezone(dt.UTC).date()) in degraded for start in lost)
        said = [
            ("thin", thin), ("cut", cut), ("holed", holed), ("doubtful", doubtful), ("early_close", early is not None),
            ("complete", True),
        ]  # fmt: skip
        name = next(name for name, holds in said if holds)
        found[str(day)] = (name, per_session)
    return found


@pytest.mark.parametrize(("root", "seed"), [("MES", 1), ("MES", 2), ("ZL", 3), ("ZL", 4), ("6L", 5)])
def test_every_verdict_is_that_of_a_second_implementation(root: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = market(root, "2023-10-02", "2024-02-29", ids={"2023-11-21": 2, "2023-12-14": 3, "2024-01-19": 4})
    bars["volume"] = rng.integers(50, 200, len(bars))
    days = bars["date"].unique()
    for day in rng.choice(days[10:], 14, replace=False):
        start, length = rng.integers(0, 23), rng.integers(1, 20)
        bars = without(bars, day, range(start, start + length))
        if rng.random() < 0.4:
            thinner = bars["date"] == day
            bars.loc[thinner, "volume"] = bars.loc[thinner, "volume"] // int(rng.choice([3, 8, 40])) + 1
    bars = bars[rng.random(len(bars)) > 0.01].sample(frac=1, random_state=seed)
    degraded = rng.choice(pd.date_range("2023-10-15", "2024-02-29").strftime("%Y-%m-%d"), 60, replace=False)
    sessions = session_bars({"ohlcv-1h": bars}, said(*degraded), UNIVERSE).sessions
    expected = reference(bars, root, {*degraded})
    names = sessions["date"].dt.strftime("%Y-%m-%d")
    found = sessions["session_quality"].astype(object)
    quality = dict(zip(names, found.where(found.notna(), None), strict=True))
    assert quality == {day: name for day, (name, _) in expected.items()}
    usual = [np.nan if value is None else value for _, value in (expected[day] for day in names)]
    np.testing.assert_allclose(sessions["bars_usual"].astype(float), usual, rtol=1e-12)
    if root != "6L":
        assert {None, "complete", "early_close", "cut", "holed", "doubtful"} <= set(quality.values())


# -- case by case -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mes() -> pd.DataFrame:
    return market("MES", "2024-05-01", "2024-07-31")


@pytest.fixture(scope="module")
def zl() -> pd.DataFrame:
    return market("ZL", "2024-05-01", "2024-07-31")


def test_ordinary_sessions_are_complete_and_nothing_is_said_of_the_first_ten(mes: pd.DataFrame) -> None:
    quality = judged(mes)
    assert quality.iloc[:10].isna().all()
    assert set(quality.iloc[10:].drop("2024-07-03")) == {"complete"}


def test_an_early_close_is_no_cut(mes: pd.DataFrame) -> None:
    assert judged(mes)["2024-07-03"] == "early_close"
    assert judged(without(mes, "2024-07-03", range(15, 24)))["2024-07-03"] == "cut"


@pytest.mark.parametrize(
    ("hours", "verdict"),
    [
        (range(22, 24), "complete"),  # the last hour
        (range(20, 24), "cut"),
        (range(5, 7), "complete"),
        (range(5, 8), "holed"),
        (range(3), "holed"),  # the first hours
        (range(1, 23), "cut"),  # one bar
    ],
)
def test_more_than_a_tenth_of_the_hours_in_a_row_is_too_much(mes: pd.DataFrame, hours: range, verdict: str) -> None:
    assert judged(without(mes, "2024-07-10", hours))["2024-07-10"] == verdict


def test_a_new_contract_has_no_bars_before_midnight_utc() -> None:
    bars = market("MES", "2024-05-01", "2024-07-31", ids={"2024-07-10": 2})
    bars = without(bars, "2024-07-10", range(2))
    assert judged(without(bars, "2024-07-10", range(4)))["2024-07-10"] == "complete"
    assert judged(without(bars, "2024-07-10", range(5)))["2024-07-10"] == "holed"
    assert judged(without(bars, "2024-07-11", range(4)))["2024-07-11"] == "holed"


def test_grains_may_open_late_after_a_day_of_rest(zl: pd.DataFrame) -> None:
    assert judged(without(zl, "2024-07-05", range(15)))["2024-07-05"] == "complete"
    assert judged(without(zl, "2024-07-05", range(17, 20)))["2024-07-05"] == "holed"
    assert judged(without(zl, "2024-07-09", range(15)))["2024-07-09"] == "holed"


def test_the_last_days_of_a_contract_are_thin_and_no_cut(zl: pd.DataFrame) -> None:
    dying = without(zl, "2024-07-12", range(17, 24))
    dying.loc[dying["date"] == "2024-07-12", "volume"] = 10
    assert judged(dying)["2024-07-12"] == "thin"
    quiet = zl.copy()
    quiet.loc[quiet["date"] == "2024-07-12", "volume"] = 10
    assert judged(quiet)["2024-07-12"] == "complete"
    quiet.loc[quiet["date"] == "2024-07-12", "volume"] = 4
    assert judged(quiet)["2024-07-12"] == "thin"


def test_a_market_that_hardly_trades_has_no_holes() -> None:
    bars = market("6L", "2024-05-01", "2024-07-31")
    assert judged(without(bars, "2024-07-10", range(10, 24)))["2024-07-10"] == "complete"


@pytest.mark.parametrize("word", ["degraded", "missing", "pending"])
def test_an_hour_that_is_missing_on_a_day_that_the_vendor_doubts_makes_a_session_doubtful(
    mes: pd.DataFrame, word: str
) -> None:
    conditions = said("2024-07-10", word=word)
    assert judged(mes, conditions=conditions)["2024-07-10"] == "complete"  # nothing is missing
    one_less = without(mes, "2024-07-10", range(9, 10))
    assert judged(one_less)["2024-07-10"] == "complete"
    verdicts = judged(one_less, conditions=conditions)
    assert verdicts["2024-07-10"] == "doubtful"
    pd.testing.assert_series_equal(verdicts.drop("2024-07-10"), judged(one_less).drop("2024-07-10"))
    assert judged(one_less, conditions=said("2024-07-09", word=word))["2024-07-10"] == "complete"
    assert judged(without(mes, "2024-07-10", range(5, 8)), conditions=conditions)["2024-07-10"] == "holed"


def test_a_session_begins_on_the_utc_day_before_its_trade_date(mes: pd.DataFrame) -> None:
    monday = without(mes, "2024-07-08", range(1, 2))  # 18:00 Chicago is 23:00 UTC on Sunday
    assert judged(monday, conditions=said("2024-07-07"))["2024-07-08"] == "doubtful"
    assert judged(monday, conditions=said("2024-07-08"))["2024-07-08"] == "complete"


def test_a_market_that_hardly_trades_is_doubtful_too() -> None:
    bars = market("6L", "2024-05-01", "2024-07-31")
    assert judged(without(bars, "2024-07-10", range(15, 16)), conditions=said("2024-07-10"))["2024-07-10"] == "doubtful"


def test_hours_that_were_traded_on_a_holiday_are_no_part_of_the_judgement(mes: pd.DataFrame) -> None:
    joined = mes[mes["date"] == "2024-07-05"].assign(ts_event=lambda bars: bars["ts_event"] - pd.Timedelta(days=1))
    sessions = session_bars({"ohlcv-1h": pd.concat([joined.query("hour < 19"), mes])}, NOTHING_SAID, UNIVERSE).sessions
    row = sessions[sessions["date"] == "2024-07-05"].iloc[0]
    assert (row["session_quality"], row["bars_seen"]) == ("complete", 23 + 19)
    shorter = without(mes, "2024-07-05", range(18, 24))
    assert judged(pd.concat([joined, shorter]))["2024-07-05"] == "cut"


def test_later_sessions_change_no_verdict(mes: pd.DataFrame) -> None:
    holed = without(mes, "2024-07-10", range(5, 9))
    whole = judged(holed)
    for day in ("2024-07-09", "2024-07-10", "2024-07-11"):
        pd.testing.assert_series_equal(judged(holed[holed["date"] <= day]), whole[whole.index <= day])


def test_minutes_and_hours_say_the_same_and_a_nearly_empty_hour_of_minutes_is_a_hole(mes: pd.DataFrame) -> None:
    minutes = mes.loc[mes.index.repeat(60)].reset_index(drop=True)
    minutes["ts_event"] += pd.to_timedelta(np.arange(len(minutes)) % 60, unit="min")
    assert judged(minutes, "ohlcv-1m").equals(judged(mes))
    minute = minutes["ts_event"].dt.minute
    emptied = minutes["hour"].between(5, 7) & (minutes["date"] == "2024-07-10")
    assert judged(minutes[~emptied | (minute < 6)], "ohlcv-1m")["2024-07-10"] == "holed"
    assert judged(minutes[~emptied | (minute < 7)], "ohlcv-1m")["2024-07-10"] == "complete"


def test_habits_outlive_a_change_from_hours_to_minutes_but_bars_are_not_compared(mes: pd.DataFrame) -> None:
    before, after = mes[mes["date"] < "2024-07-01"], mes[mes["date"] >= "2024-07-01"]
    bars = {"ohlcv-1h": before, "ohlcv-1m": without(after, "2024-07-02", range(5, 9))}
    sessions = session_bars(bars, NOTHING_SAID, UNIVERSE).sessions.set_index("date")
    assert sessions.loc["2024-07-02", "session_quality"] == "holed"
    assert np.isnan(sessions.loc["2024-07-02", "bars_usual"])
    assert sessions.loc["2024-07-31", "bars_usual"] == pytest.approx((19 + 19 * 23) / 20)


def test_of_bars_of_utc_days_nothing_is_said(mes: pd.DataFrame) -> None:
    days = mes[mes["hour"] == 8]
    sessions = session_bars({"ohlcv-1d": days}, NOTHING_SAID, UNIVERSE).sessions
    assert sessions["session_quality"].isna().all()
    assert sessions["bars_usual"].isna().all()


# -- when a session is known ------------------------------------------------------------------------------------------


def ends(bars: pd.DataFrame, day: str) -> tuple[str, str]:
    row = session_bars({"ohlcv-1h": bars}, NOTHING_SAID, UNIVERSE).sessions.set_index("date").loc[day]
    last, known = (row[name].tz_convert("America/Chicago") for name in ("last_bar_end", "session_close_ts"))
    return f"{last:%H:%M}", f"{known:%H:%M}"


def test_a_row_is_known_at_the_close_and_never_before_its_last_bar_ended(mes: pd.DataFrame, zl: pd.DataFrame) -> None:
    assert ends(mes, "2024-07-10") == ("16:00", "16:00")
    assert ends(zl, "2024-07-10") == ("13:20", "13:20")  # the bar in which the close lies
    assert ends(without(zl, "2024-07-10", range(18, 24)), "2024-07-10") == ("11:00", "13:20")
    assert ends(mes, "2024-07-03") == ("12:15", "16:00")
    late = zl[(zl["date"] == "2024-07-10") & (zl["hour"] == 20)]
    late = late.assign(ts_event=late["ts_event"] + pd.Timedelta("1h"))
    assert ends(pd.concat([zl, late]), "2024-07-10") == ("15:00", "15:00")
