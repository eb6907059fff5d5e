"""What is known of sources: spans, hours of the day, and how they meet the decision times."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.catalog.columns.policy import COVERAGE
from cbi_dagster.config.universe import load_universe
from cbi_dagster.vendors.files import LayoutError
from cbi_dagster.vendors.posts.coverage import covered_spans, decode_coverage, screen_coverage
from cbi_dagster_tests.vendors.small_files import content

NOW = pd.Timestamp("2024-07-10", tz="UTC")
HEADER = "source,span_start,span_end,content,daily_from,daily_to,timezone\n"


def stated(tmp_path: Path, *lines: str) -> pd.DataFrame:
    path = tmp_path / "a.posts-coverage.csv"
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return decode_coverage(content(path))


def covered(tmp_path: Path, *lines: str) -> list[tuple[str, str, str]]:
    kept, rejected = screen_coverage(stated(tmp_path, *lines), NOW)
    assert rejected.empty
    spans = covered_spans(kept, load_universe())
    assert tuple(spans.columns) == COVERAGE
    texts = spans[["trade_date_available", "covered_from", "covered_to"]].astype(str)
    return [(day, start[:16], end[:16]) for day, start, end in texts.itertuples(index=False)]


def test_a_span_is_cut_at_every_decision_time_and_a_weekend_belongs_to_monday(tmp_path: Path) -> None:
    assert covered(tmp_path, "x,2024-07-04T00:00:00Z,2024-07-09T00:00:00Z,text,,,") == [
        ("2024-07-04", "2024-07-04 00:00", "2024-07-04 18:20"),
        ("2024-07-05", "2024-07-04 18:20", "2024-07-05 18:20"),
        ("2024-07-08", "2024-07-05 18:20", "2024-07-08 18:20"),
        ("2024-07-09", "2024-07-08 18:20", "2024-07-09 00:00"),
    ]


def test_spans_that_meet_or_overlap_are_one(tmp_path: Path) -> None:
    assert covered(
        tmp_path,
        "x,2024-07-02T02:00:00Z,2024-07-02T05:00:00Z,text,,,",
        "x,2024-07-02T00:00:00Z,2024-07-02T02:00:00Z,text,,,",
        "x,2024-07-02T04:00:00Z,2024-07-02T04:30:00Z,text,,,",
        "x,2024-07-02T06:00:00Z,2024-07-02T07:00:00Z,text,,,",
    ) == [
        ("2024-07-02", "2024-07-02 00:00", "2024-07-02 05:00"),
        ("2024-07-02", "2024-07-02 06:00", "2024-07-02 07:00"),
    ]


def test_daily_hours_are_those_of_their_zone_all_year_round(tmp_path: Path) -> None:
    assert covered(tmp_path, "x,2024-03-08T15:00:00Z,2024-03-11T23:00:00Z,text,09:30,16:00,America/New_York") == [
        ("2024-03-08", "2024-03-08 15:00", "2024-03-08 19:20"),
        ("2024-03-11", "2024-03-08 19:20", "2024-03-08 21:00"),
        ("2024-03-11", "2024-03-09 14:30", "2024-03-09 21:00"),
        ("2024-03-11", "2024-03-10 13:30", "2024-03-10 20:00"),
        ("2024-03-11", "2024-03-11 13:30", "2024-03-11 18:20"),
        ("2024-03-12", "2024-03-11 18:20", "2024-03-11 20:00"),
    ]


def test_text_and_rate_of_a_source_are_apart(tmp_path: Path) -> None:
    kept, _ = screen_coverage(
        stated(
            tmp_path, "x,2024-07-02T00:00:00Z,2024-07-02T02:00:00Z,text,,,",
            "X,2024-07-02T00:00:00Z,2024-07-02T02:00:00Z,rate,,,",
        ),
        NOW,
    )  # fmt: skip
    spans = covered_spans(kept, load_universe())
    assert spans[["post_source", "covers_text"]].to_numpy().tolist() == [["x", False], ["x", True]]


def test_every_row_is_taken_or_rejected_with_a_reason(tmp_path: Path) -> None:
    kept, rejected = screen_coverage(
        stated(
            tmp_path, ",2024-07-02T00:00:00Z,2024-07-02T02:00:00Z,text,,,", "x,,2024-07-02T02:00:00Z,text,,,",
            "x,2024-07-02T02:00:00Z,2024-07-02T02:00:00Z,text,,,",
            "x,2024-07-02T00:00:00Z,2024-08-02T02:00:00Z,text,,,",
        ),
        NOW,
    )  # fmt: skip
    assert kept.empty
    assert rejected["reason"].tolist() == ["null_source", "null_span", "empty_span", "ends_in_future"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("x,2024-07-02,2024-07-03T00:00:00Z,text,,,", "span_start"),
        ("x,2024-07-02T00:00:00,2024-07-03T00:00:00Z,text,,,", "span_start"),
        ("x,2024-07-02T00:00:00Z,2024-07-03T00:00:00Z,all,,,", "content"),
        ("x,2024-07-02T00:00:00Z,2024-07-03T00:00:00Z,text,09:30,,", "daily_to"),
        ("x,2024-07-02T00:00:00Z,2024-07-03T00:00:00Z,text,09:30,09:30,UTC", "daily_to"),
        ("x,2024-07-02T00:00:00Z,2024-07-03T00:00:00Z,text,9h,10:30,UTC", "daily_from"),
        ("x,2024-07-02T00:00:00Z,2024-07-03T00:00:00Z,text,09:30,16:00,Mars/Base", "timezone"),
    ],
)
def test_a_row_that_cannot_be_understood_refuses_the_file(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(LayoutError, match=says):
        stated(tmp_path, line)
