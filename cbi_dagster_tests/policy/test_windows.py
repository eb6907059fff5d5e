"""Times before a decision: what lies in them, and how much of them is covered."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from cbi_dagster.policy.windows import covered_share, trailing

HOUR = np.timedelta64(1, "h")
NOON = np.datetime64("2019-06-12T12:00", "ns")


def spans(*hours: tuple[int, int]) -> pd.DataFrame:
    """Covered times, in hours from noon."""
    starts, ends = ([NOON + bound * HOUR for bound in side] for side in zip(*hours, strict=True)) if hours else ([], [])
    return pd.DataFrame(
        {
            "covered_from": pd.DatetimeIndex(starts, tz="UTC").as_unit("ns"),
            "covered_to": pd.DatetimeIndex(ends, tz="UTC").as_unit("ns"),
        }
    )


def share(covered: pd.DataFrame, start: int, end: int) -> float:
    return float(covered_share(covered, np.array([NOON + start * HOUR]), np.array([NOON + end * HOUR]))[0])


def test_an_event_at_the_end_of_a_time_is_in_it_and_one_at_its_start_is_not() -> None:
    published = NOON + np.array([0, 1, 2, 3]) * HOUR
    times, events = trailing(published, NOON + np.array([0, 2, 9]) * HOUR, NOON + np.array([2, 3, 10]) * HOUR)
    assert list(zip(times.tolist(), events.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 3)]


def test_covered_times_count_once_where_they_overlap_and_only_inside() -> None:
    assert share(spans((0, 4), (2, 6)), 0, 12) == 0.5
    assert share(spans((-5, 4), (10, 20)), 0, 12) == 0.5
    assert share(spans((0, 24)), 3, 4) == 1
    assert share(spans(), 0, 12) == 0
    assert share(spans((2, 4)), 5, 6) == 0
    assert share(spans((2, 4)), 1, 1) == 0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=6), st.integers(0, 40), st.integers(1, 30))
def test_the_covered_share_is_that_of_the_hours_that_some_span_holds(
    found: list[tuple[int, int]], start: int, length: int
) -> None:
    covered = {hour for first, hours in found for hour in range(first, first + hours)}
    expected = len(covered & set(range(start, start + length))) / length
    assert share(spans(*((first, first + hours) for first, hours in found)), start, start + length) == expected
