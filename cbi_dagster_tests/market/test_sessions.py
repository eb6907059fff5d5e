import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.sessions import (
    business_days,
    exchange_days,
    first_exchange_days,
    regular_hours,
    session_bounds,
    trade_date_ordinals,
    trade_dates,
    week_numbers,
    weekdays,
)


def _utc(*chicago: str) -> np.ndarray:
    return pd.DatetimeIndex(chicago, tz="America/Chicago").tz_convert("UTC").tz_localize(None).to_numpy()


@pytest.mark.parametrize(
    ("chicago", "expected"),
    [
        ("2025-11-16 17:30", "2025-11-17"),  # Sunday evening belongs to Monday
        ("2025-11-17 15:59", "2025-11-17"),
        ("2025-11-17 17:00", "2025-11-18"),
        ("2025-11-16 19:00", "2025-11-17"),
        ("2024-03-10 17:00", "2024-03-11"),  # the day the clocks went forward
        ("2024-11-03 17:00", "2024-11-04"),  # and back
        ("2024-07-05 16:59", "2024-07-05"),
    ],
)
def test_the_exchange_day_is_the_chicago_date_seven_hours_on(chicago, expected):
    assert exchange_days(_utc(chicago))[0] == np.datetime64(expected)


@given(st.lists(st.datetimes(dt.datetime(2005, 1, 1), dt.datetime(2035, 1, 1)), min_size=1, max_size=50))
def test_exchange_days_agree_with_a_conversion_one_by_one(instants):
    expected = [
        (pd.Timestamp(t, tz="UTC").tz_convert("America/Chicago").tz_localize(None) + pd.Timedelta("7h")).date()
        for t in instants
    ]
    assert exchange_days(np.array(instants, dtype="datetime64[ns]")).tolist() == expected


def test_session_hours_follow_the_eras_of_the_exchange():
    dates = np.array(["2012-05-18", "2012-05-21", "2013-04-08", "2015-07-06"], dtype="datetime64[D]")
    opens, closes = session_bounds("ZL", dates, load_universe())
    assert (opens == _utc("2012-05-17 18:00", "2012-05-20 17:00", "2013-04-07 19:00", "2015-07-05 19:00")).all()
    assert (closes == _utc("2012-05-18 13:15", "2012-05-21 14:00", "2013-04-08 13:15", "2015-07-06 13:20")).all()


HOLIDAYS = [  # what the exchange's schedules say: joined exchange day, and the trade date of its bars
    ("2024-01-15", "2024-01-16"),  # Martin Luther King
    ("2024-02-19", "2024-02-20"),  # Presidents
    ("2024-05-27", "2024-05-28"),  # Memorial
    ("2024-06-19", "2024-06-20"),  # Juneteenth
    ("2024-07-04", "2024-07-05"),  # Independence
    ("2020-07-03", "2020-07-06"),  # observed on Friday: Monday's
    ("2024-09-02", "2024-09-03"),  # Labor
    ("2024-11-28", "2024-11-29"),  # Thanksgiving
]


@pytest.mark.parametrize(("holiday", "business_day"), HOLIDAYS)
@pytest.mark.parametrize("root", ["MES", "CL", "6E"])
def test_bars_of_a_holiday_without_settlement_belong_to_the_next_business_day(root, holiday, business_day):
    calendar = load_universe().calendar(root)
    days = np.array([holiday, business_day], "datetime64[D]")
    assert trade_dates(days, calendar).tolist() == [days[1]] * 2
    assert first_exchange_days(days, calendar).tolist() == [days[0]] * 2
    opens, closes = session_bounds(root, days[1:], load_universe())
    assert opens == _utc(f"{days[0] - 1} 17:00")
    assert closes == _utc(f"{business_day} 16:00")


@pytest.mark.parametrize(("holiday", "business_day"), HOLIDAYS)
def test_grains_rest_on_holidays(holiday, business_day):
    calendar = load_universe().calendar("ZL")
    days = np.array([holiday, business_day], "datetime64[D]")
    assert (trade_dates(days, calendar) == days).all()
    assert business_days(days[0], days[1], calendar).tolist() == [days[1]]


@pytest.mark.parametrize("day", ["2012-10-29", "2018-12-05", "2021-04-02", "2023-04-07", "2025-01-09", "2021-06-18"])
def test_storms_mourning_and_good_fridays_with_an_employment_report_are_trade_dates_of_their_own(day):
    calendar = load_universe().calendar("MES")
    days = np.array([day], "datetime64[D]")
    assert (trade_dates(days, calendar) == days).all()
    assert business_days(days[0], days[0], calendar).tolist() == [days[0]]


def test_futures_settle_on_250_to_253_days_a_year():
    universe = load_universe()
    for root in universe.roots:
        for year in range(2011, 2031):
            first, last = np.datetime64(f"{year}-01-01"), np.datetime64(f"{year}-12-31")
            assert 250 <= len(business_days(first, last, universe.calendar(root))) <= 253, (root, year)


def test_every_session_lies_within_its_own_exchange_days():
    universe = load_universe()
    dates = np.arange("2010-06-07", "2026-01-01", dtype="datetime64[D]")
    dates = dates[np.is_busday(dates)]
    for root in universe.roots:
        opens, closes = regular_hours(root, dates, universe)
        assert (exchange_days(opens) == dates).all()
        assert (exchange_days(closes) == dates).all()
        assert (opens < closes).all()
        trading = business_days(dates[0], dates[-1], universe.calendar(root))
        opens, closes = session_bounds(root, trading, universe)
        assert (trade_dates(exchange_days(opens), universe.calendar(root)) == trading).all()
        assert (exchange_days(closes) == trading).all()
        assert (opens[1:] >= closes[:-1]).all()


def test_trade_date_ordinals_count_weekdays_over_weekends_and_holidays() -> None:
    friday, monday, after_christmas = np.array(["2024-12-20", "2024-12-23", "2024-12-26"], dtype="datetime64[D]")
    ordinals = trade_date_ordinals([friday, monday, after_christmas])
    assert list(np.diff(ordinals)) == [1, 3]
    assert list(trade_date_ordinals(["1970-01-01", "1970-01-02", "1970-01-05"])) == [0, 1, 2]


def test_weeks_begin_on_monday() -> None:
    days = np.arange("1969-12-22", "2031-01-01", dtype="datetime64[D]")
    assert (weekdays(days) == pd.DatetimeIndex(days).dayofweek).all()
    days = days[np.is_busday(days)]
    iso = pd.DatetimeIndex(days).isocalendar()
    changes = (iso["week"].diff().fillna(0) != 0).to_numpy()
    assert (np.diff(week_numbers(trade_date_ordinals(days)), prepend=-1) == changes).all()


def test_a_session_before_the_first_schedule_is_refused_by_name() -> None:
    universe = load_universe()
    first = np.datetime64(universe.eras("ZL")[0].first_trade_date, "D")
    assert len(session_bounds("ZL", np.array([first]), universe)[0]) == 1
    with pytest.raises(ValueError, match=f"schedule of ZL starts on {first}"):
        session_bounds("ZL", np.array([first + 3, first - 1]), universe)


def test_no_instants_have_no_dates() -> None:
    assert len(exchange_days(np.empty(0, "datetime64[ns]"))) == 0
    assert all(len(bounds) == 0 for bounds in session_bounds("ZL", np.empty(0, "datetime64[D]"), load_universe()))
