"""What is asked for: what no delivery covers, and the days that the vendor has changed since."""

from __future__ import annotations

import datetime as dt
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi_dagster.config.universe import load_universe
from cbi_dagster.vendors.databento.asking import (
    Delivered,
    Request,
    Series,
    Span,
    Word,
    available_until,
    requests_of,
    stale_spans,
    stype_of,
    union,
    without,
)
from cbi_dagster_tests.vendors.databento.live import utc

UNIVERSE = load_universe()
HOURS = Series("ohlcv-1h", "continuous", "ZL.v.0", utc("2024-03-01"), utc("2024-03-08"))


def day(number: int) -> dt.date:
    return dt.date(2024, 3, number)


def words(first: int = 1, last: int = 7) -> dict[dt.date, Word]:
    """Every day is available and was written on the day after."""
    return {day(number): Word("available", day(number + 1)) for number in range(first, last + 1)}


def delivered(start: str, end: str, taken: str, said: dict[dt.date, Word] | None = None) -> Delivered:
    return Delivered(utc(start), utc(end), utc(taken), said or {})


def spans(*bounds: tuple[str, str]) -> list[Span]:
    return [(utc(start), utc(end)) for start, end in bounds]


WHOLE = delivered("2024-03-01", "2024-03-08", "2024-03-09", words())


def test_all_is_asked_for_when_nothing_is_here_and_nothing_when_all_is() -> None:
    assert stale_spans(HOURS, [], words()) == spans(("2024-03-01", "2024-03-08"))
    assert stale_spans(HOURS, [WHOLE], words()) == []
    assert stale_spans(HOURS, [WHOLE], words(), again=True) == spans(("2024-03-01", "2024-03-08"))


def test_what_no_delivery_covers_is_asked_for_in_the_middle_and_at_both_ends() -> None:
    held = [
        delivered("2024-03-02", "2024-03-03", "2024-03-09", words()),
        delivered("2024-03-04", "2024-03-07", "2024-03-09", words()),
    ]
    wanted = spans(("2024-03-01", "2024-03-02"), ("2024-03-03", "2024-03-04"), ("2024-03-07", "2024-03-08"))
    assert stale_spans(HOURS, held, words()) == wanted


@pytest.mark.parametrize(
    "word",
    [Word("available", day(20)), Word("degraded", day(6)), Word("missing", None)],
    ids=["modified", "degraded", "missing"],
)
def test_a_day_of_which_the_vendor_says_something_else_is_asked_for_and_no_other(word: Word) -> None:
    assert stale_spans(HOURS, [WHOLE], words() | {day(5): word}) == spans(("2024-03-05", "2024-03-06"))


def test_a_pending_day_waits_whether_it_lacks_or_is_written_anew() -> None:
    pending = words() | {day(5): Word("pending", None)}
    assert stale_spans(HOURS, [WHOLE], pending) == []
    assert stale_spans(HOURS, [], pending) == spans(("2024-03-01", "2024-03-05"), ("2024-03-06", "2024-03-08"))


def test_a_corrected_day_that_was_asked_for_again_is_current_however_old_the_rest_of_its_month_is() -> None:
    corrected = words() | {day(5): Word("available", day(20))}
    again = delivered("2024-03-05", "2024-03-06", "2024-03-21", corrected)
    assert stale_spans(HOURS, [WHOLE, again], corrected) == []
    assert stale_spans(HOURS, [WHOLE, again], corrected | {day(5): Word("available", day(25))}) == spans(
        ("2024-03-05", "2024-03-06")
    )


def test_the_first_word_on_a_day_that_was_taken_while_it_ran_is_no_correction_and_a_later_one_is() -> None:
    said = words(last=6)
    pieces = [
        delivered("2024-03-01", "2024-03-07", "2024-03-07", said),
        delivered("2024-03-07T00:00", "2024-03-07T20:00", "2024-03-07T20:01", said),
        delivered("2024-03-07T20:00", "2024-03-08", "2024-03-08T00:30", words()),
    ]
    assert stale_spans(HOURS, pieces, words()) == []
    assert stale_spans(HOURS, pieces, words() | {day(7): Word("available", day(9))}) == spans(
        ("2024-03-07", "2024-03-08")
    )


def test_a_file_that_came_without_the_vendors_word_counts_as_of_its_landing() -> None:
    by_hand = delivered("2024-03-01", "2024-03-08", "2024-03-20")
    assert stale_spans(HOURS, [by_hand], words() | {day(2): Word("available", day(19))}) == []
    assert stale_spans(HOURS, [by_hand], words() | {day(2): Word("available", day(21))}) == spans(
        ("2024-03-02", "2024-03-03")
    )


@pytest.mark.parametrize(
    ("end", "until"),
    [
        ("2024-03-06T19:59", "2024-03-06T00:00"),  # soybean oil closes at 13:20 in Chicago, 19:20 UTC in winter
        ("2024-03-06T20:00", "2024-03-06T20:00"),
        ("2024-03-06T21:59", "2024-03-06T20:00"),
        ("2024-03-06T22:00", "2024-03-06T22:00"),  # the others close at 16:00
        ("2024-03-06T23:30", "2024-03-06T22:00"),  # the next session has been open since 17:00
        ("2024-03-07T00:00", "2024-03-07T00:00"),
        ("2024-03-13T19:00", "2024-03-13T19:00"),  # summer time
        ("2024-03-13T21:00", "2024-03-13T21:00"),
        ("2024-03-09T15:00", "2024-03-09T00:00"),  # no session is dated on a Saturday
        ("2024-03-10T23:00", "2024-03-10T00:00"),
    ],
)
def test_a_running_day_is_asked_for_to_the_last_close_and_else_to_midnight(end: str, until: str) -> None:
    assert available_until("ohlcv-1h", utc(end), UNIVERSE) == utc(until)
    assert available_until("ohlcv-1d", utc(end), UNIVERSE) == utc(end).normalize()


def test_series_that_lack_the_same_share_a_request_and_requests_end_with_months() -> None:
    lacking = spans(("2024-01-30", "2024-03-02"))
    others = spans(("2024-03-01", "2024-03-02"))
    keys = [("ohlcv-1h", "continuous", name) for name in ("ZS.v.0", "ZL.v.0", "MES.v.0")]
    first, second = requests_of("SIM.DEMO", {keys[0]: lacking, keys[1]: lacking, keys[2]: others})
    assert (first.symbols, second.symbols) == (("ZL.v.0", "ZS.v.0"), ("MES.v.0",))
    months = [(f"{part.start:%m-%d}", f"{part.end:%m-%d}") for part in first.months()]
    assert months == [("01-30", "02-01"), ("02-01", "03-01"), ("03-01", "03-02")]


def test_a_file_is_named_as_the_vendor_names_it_with_times_where_it_ends_within_a_day() -> None:
    asked = Request("GLBX.MDP3", "ohlcv-1h", "continuous", ("ZL.v.0",), utc("2024-03-01"), utc("2024-04-01"))
    assert asked.file_name == "glbx-mdp3-20240301-20240331.ohlcv-1h.dbn.zst"
    part = Request("GLBX.MDP3", "ohlcv-1h", "continuous", ("ZL.v.0",), utc("2024-03-06"), utc("2024-03-06T20:00"))
    assert part.file_name == "glbx-mdp3-20240306T0000-20240306T2000.ohlcv-1h.dbn.zst"


def test_symbols_say_by_their_form_how_the_vendor_is_to_resolve_them() -> None:
    assert [stype_of(name) for name in ("ZL.v.0", "6L.c.1", "ZL.FUT", "ZLZ5")] == [
        "continuous", "continuous", "parent", "raw_symbol",
    ]  # fmt: skip


HOUR_SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


@given(HOUR_SPANS, HOUR_SPANS)
def test_periods_are_sets_of_instants(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    def of(pairs: list[tuple[int, int]]) -> list[Span]:
        origin = utc("2024-03-01")
        return [(origin + pd.Timedelta(hours=a), origin + pd.Timedelta(hours=b)) for a, b in pairs if a < b]

    def hours(periods: list[Span]) -> set[int]:
        return {
            hour for start, end in periods
            for hour in np.arange(start.value, end.value, 3_600_000_000_000).tolist()
        }  # fmt: skip

    assert hours(union(of(one))) == hours(of(one))
    assert hours(without(of(one), of(other))) == hours(of(one)) - hours(of(other))
    joined = union(of(one))
    assert all(before[1] < after[0] for before, after in itertools.pairwise(joined))
