"""What each kind of partition says of itself."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from cbi_dagster.catalog.partitioning import (
    BEGINNING,
    END,
    INCEPTION,
    Daily,
    Monthly,
    Partitioning,
    Unpartitioned,
    merged,
    parse_labels,
)

DAILY, MONTHLY, WHOLE = Daily("date"), Monthly("date"), Unpartitioned()
KINDS = pytest.mark.parametrize("kind", [DAILY, MONTHLY, WHOLE], ids=lambda kind: type(kind).__name__)


def days(*labels: str) -> np.ndarray:
    return np.array(labels, "datetime64[D]")


def texts(dates: np.ndarray) -> list[str]:
    return [str(date) for date in dates]


#: A Thursday, the Friday and Monday around the end of a month, and a Sunday.
DATES = days("2024-02-29", "2024-03-01", "2024-03-04", "2024-03-31")


@KINDS
def test_a_label_names_a_key_and_the_key_the_label(kind: Partitioning) -> None:
    keys = kind.expected(DATES)
    labels = kind.labels(keys)
    assert [kind.label(key) for key in keys] == labels
    assert [kind.parse(label) for label in labels] == list(keys)
    np.testing.assert_array_equal(parse_labels(pa.chunked_array([labels])), keys)


def test_labels_are_those_that_dagster_and_the_ledger_write() -> None:
    assert DAILY.labels(DAILY.expected(DATES)) == texts(DATES)
    assert MONTHLY.labels(MONTHLY.expected(DATES)) == ["2024-02-01", "2024-03-01"]
    assert WHOLE.labels(WHOLE.expected(DATES)) == ["all"]


def test_a_table_in_one_piece_is_expected_whatever_its_inputs_hold() -> None:
    nothing = days()
    assert [len(kind.expected(nothing)) for kind in (DAILY, MONTHLY, WHOLE)] == [0, 0, 1]


@KINDS
def test_every_date_lies_in_the_span_of_its_key(kind: Partitioning) -> None:
    first, last = kind.spans(kind.keys_of(DATES))
    assert ((first <= DATES) & (last >= DATES)).all()
    rows = pa.table({"date": pa.array(DATES)})
    np.testing.assert_array_equal(kind.keys_in(rows), kind.keys_of(DATES))


def test_spans_are_inclusive() -> None:
    assert texts(np.array(DAILY.span(DATES[0]))) == ["2024-02-29", "2024-02-29"]
    assert texts(np.array(MONTHLY.span(days("2024-02-01")[0]))) == ["2024-02-01", "2024-02-29"]
    assert WHOLE.span(WHOLE.parse("all")) == (BEGINNING, END)


def test_keys_between_dates_are_snapped_to_partitions() -> None:
    # Friday to the Monday after: a weekend day is no trade date. A date inside a month names the month.
    assert texts(DAILY.keys_between(*days("2024-03-01", "2024-03-04"))) == ["2024-03-01", "2024-03-04"]
    assert texts(DAILY.keys_between(*days("2024-03-02", "2024-03-03"))) == []
    assert texts(MONTHLY.keys_between(*days("2024-02-29", "2024-03-01"))) == ["2024-02-01", "2024-03-01"]
    assert WHOLE.labels(WHOLE.keys_between(*days("2024-03-02", "2024-03-03"))) == ["all"]


def test_the_covering_range_ends_with_the_last_partition() -> None:
    months = days("2024-02-01", "2024-04-01")
    assert MONTHLY.covering(months) == [(months[0], np.datetime64("2024-04-30"))]
    assert DAILY.covering(DATES) == [(DATES[0], DATES[-1])]
    assert DAILY.covering(days()) == []


def test_windows_count_trade_dates_from_the_first_and_after_the_last_date() -> None:
    monday = days("2024-03-04")
    assert [texts(part) for part in DAILY.window(monday, 0, 0)] == [["2024-03-04"], ["2024-03-04"]]
    assert [texts(part) for part in DAILY.window(monday, 1, 2)] == [["2024-03-01"], ["2024-03-06"]]
    march = days("2024-03-01")
    # March 2024 ends on a Sunday: the first trade date after it is Monday, April 1.
    assert [texts(part) for part in MONTHLY.window(march, 1, 1)] == [["2024-02-29"], ["2024-04-01"]]
    assert [texts(part) for part in MONTHLY.window(march, 0, 0)] == [["2024-03-01"], ["2024-03-31"]]
    assert [part[0] for part in DAILY.window(monday, INCEPTION, 0)] == [BEGINNING, monday[0]]
    assert [part[0] for part in WHOLE.window(WHOLE.expected(monday), 3, 2)] == [BEGINNING, END]


@KINDS
def test_partitions_reached_are_those_with_dates_in_the_window(kind: Partitioning) -> None:
    keys = kind.expected(np.arange(*days("2024-01-01", "2024-06-01")))
    first, last = days("2024-02-29", "2024-03-15", "2024-05-31"), days("2024-03-01", "2024-03-15", "2024-07-01")
    starts, stops = kind.reached(keys, first, last)
    opens, closes = kind.spans(keys)
    for number, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        touched = (opens <= last[number]) & (closes >= first[number])
        np.testing.assert_array_equal(keys[start:stop], keys[touched])


def test_a_range_is_written_by_its_ends_and_one_key_alone() -> None:
    assert DAILY.range_label(DATES[0], DATES[2]) == "2024-02-29 … 2024-03-04"
    assert DAILY.range_label(DATES[0], DATES[0]) == "2024-02-29"
    assert WHOLE.range_label(DATES[0], DATES[0]) == ""


def test_intervals_are_joined_over_a_gap_of_the_days_given_and_no_longer_one() -> None:
    firsts, lasts = days("2024-01-01", "2024-01-03", "2024-01-17"), days("2024-01-10", "2024-01-05", "2024-01-18")
    assert merged(firsts, lasts, gap_days=7) == [(firsts[0], lasts[2])]
    assert merged(firsts, lasts, gap_days=6) == [(firsts[0], lasts[0]), (firsts[2], lasts[2])]
    assert merged(firsts[:0], lasts[:0], gap_days=7) == []
