"""Macro series: files and vintages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.columns.macro import KEY, VINTAGES
from cbi_dagster.config.universe import load_universe
from cbi_dagster.vendors.files import (
    CorruptFileError,
    DeliveryError,
    LayoutError,
    TruncatedFileError,
)
from cbi_dagster.vendors.macro import (
    REASONS,
    SeriesUnitChangedError,
    UnitConflictError,
    decode_macro,
    merge_macro,
    screen_macro,
)
from cbi_dagster_tests.market.vintages import utc, vintages
from cbi_dagster_tests.vendors.small_files import content

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
UNIVERSE = load_universe()
HEADER = "series_id,date,value,available_at,unit,source\n"
ROW = "SB,2024-03-01,21.5,2024-03-01T23:30:00Z,USc/lb,ICE\n"

Write = Callable[[str | bytes], Path]


def rows_of(path: Path) -> pd.DataFrame:
    return decode_macro(content(path))


@pytest.fixture
def csv(tmp_path: Path) -> Write:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "sugar.macro.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_file_gives_its_rows_in_its_order(csv: Write) -> None:
    rows = rows_of(csv(HEADER + ROW + "NA,2024-02-01,0.1,2024-03-12 08:30:00-05:00,percent,BLS\n"))
    assert rows["series_id"].tolist() == ["SB", "NA"]
    assert rows["reference_date"].tolist() == [pd.Timestamp("2024-03-01"), pd.Timestamp("2024-02-01")]
    assert rows["value"].tolist() == [21.5, 0.1]
    assert rows["available_at"].tolist() == list(utc("2024-03-01 23:30", "2024-03-12 13:30"))
    assert rows["source_row"].tolist() == [0, 1]


@pytest.mark.parametrize("as_dates", [False, True])
def test_parquet_gives_the_same_rows_as_csv(csv: Write, tmp_path: Path, as_dates: bool) -> None:
    text = csv(HEADER + ROW + ROW.replace("21.5", ""))
    frame = pd.read_csv(text, parse_dates=["date", "available_at"])
    if as_dates:
        frame["date"] = frame["date"].dt.date
    frame.to_parquet(tmp_path / "sugar.macro.parquet")
    pd.testing.assert_frame_equal(rows_of(tmp_path / "sugar.macro.parquet"), rows_of(text), check_exact=True)


def test_an_instant_without_a_zone_is_utc(csv: Write) -> None:
    rows = rows_of(csv(HEADER + ROW.replace("Z,", ",")))
    assert rows["available_at"].tolist() == list(utc("2024-03-01 23:30"))


def test_decimals_become_the_nearest_double(csv: Write) -> None:
    texts = ["0.1", "1e-7", "123456.789012345678", "2.2250738585072011e-308", "9007199254740993"]
    rows = rows_of(csv(HEADER + "".join(ROW.replace("21.5", text) for text in texts)))
    assert rows["value"].tolist() == [float(text) for text in texts]


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("", TruncatedFileError, "0 bytes"),
        (HEADER + ROW.rstrip(), TruncatedFileError, "no line end"),
        (HEADER, LayoutError, "no rows"),
        (HEADER.replace("unit", "units") + ROW, LayoutError, "the columns unit are missing"),
        (HEADER + ROW.replace("21.5", "high"), LayoutError, "value of data row 0 is no number"),
        (HEADER + ROW.replace("21.5", "2_1"), LayoutError, "value of data row 0 is no number"),
        (HEADER + ROW.replace("21.5", "True"), LayoutError, "value of data row 0 is no number"),
        (HEADER + ROW.replace("2024-03-01,", "March,"), LayoutError, "date of data row 0 is no ISO 8601"),
        (HEADER + ROW.replace("2024-03-01,", "2024-03-01T05:00,"), LayoutError, "date of data row 0 has a time of day"),
        (HEADER + ROW.replace("T23:30:00Z", " soon"), LayoutError, "available_at of data row 0 is no ISO 8601"),
        (HEADER + ROW + ROW.replace("USc", "USD"), UnitConflictError, "values of SB are in USD/lb, USc/lb"),
        (
            HEADER + ROW.replace("SB,", "AB,").replace("USc/lb", "") + ROW + ROW.replace("USc", "USD"),
            UnitConflictError,
            "values of SB are in USD/lb, USc/lb",
        ),
        (b"\xff\xfe\n", LayoutError, "cannot be read as CSV"),
    ],
)
def test_a_broken_file_is_a_named_error(
    csv: Write, content: str | bytes, error: type[DeliveryError], message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        rows_of(csv(content))
    assert str(raised.value).startswith(str(raised.value.file))


def test_a_broken_parquet_file_is_a_named_error(tmp_path: Path) -> None:
    path = tmp_path / "x.macro.parquet"
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(CorruptFileError):
        rows_of(path)
    numbers = pd.DataFrame({"series_id": [7], "date": ["2024-01-01"], "value": [1.0], "available_at": [20240101]})
    numbers.assign(unit="x", source="y").to_parquet(path)
    with pytest.raises(LayoutError, match="series_id of data row 0 is no text"):
        rows_of(path)
    numbers.assign(series_id="A", unit="x", source="y").to_parquet(path)
    with pytest.raises(LayoutError, match="available_at of data row 0 is no ISO 8601 text"):
        rows_of(path)


# -- screening --------------------------------------------------------------------------------------------------------

FAULTS = {
    ",2024-03-04,1,2024-03-05,USc/lb,ICE": "null_series_id",
    "SB,,1,2024-03-05,USc/lb,ICE": "null_reference_date",
    "SB,2024-03-04,1,,USc/lb,ICE": "null_available_at",
    "SB,2024-03-04,,2024-03-05,USc/lb,ICE": "null_value",
    "SB,2024-03-04,inf,2024-03-05,USc/lb,ICE": "null_value",
    "SB,2024-03-04,1,2024-03-05,,ICE": "null_unit",
    "SB,2024-03-04,1,2024-03-05,USc/lb,": "null_source",
    "SB,2024-03-04,1,2024-03-03T23:59:59Z,USc/lb,ICE": "available_before_reference_date",
    "SB,2024-03-01,99,2024-03-01T23:30:00Z,USc/lb,ICE": "duplicate_vintage",
}


def test_every_row_is_kept_or_rejected_with_its_reason(csv: Write) -> None:
    rows = rows_of(csv(HEADER + ROW + "".join(f"{fault}\n" for fault in FAULTS)))
    screened = screen_macro(rows, UNIVERSE)
    assert screened.rejected["reason"].tolist() == list(FAULTS.values())
    assert screened.rejected["source_row"].tolist() == list(range(1, len(FAULTS) + 1))
    assert set(FAULTS.values()) == set(REASONS)
    assert list(screened.series.columns) == [*VINTAGES, "source_row"]
    assert screened.series["value"].tolist() == [21.5]
    assert screened.series["trade_date_available"].tolist() == [pd.Timestamp("2024-03-04")]


def test_a_row_with_another_fault_does_not_shadow_a_sound_one(csv: Write) -> None:
    screened = screen_macro(rows_of(csv(HEADER + ROW.replace("21.5", "") + ROW)), UNIVERSE)
    assert screened.series["value"].tolist() == [21.5]
    assert screened.rejected["reason"].tolist() == ["null_value"]


def test_a_value_may_be_public_on_its_reference_date() -> None:
    assert len(vintages(("SB", "2024-03-04", 1.0, "2024-03-04"))) == 1


def test_a_file_of_rejected_rows_only_leaves_an_empty_series(csv: Write) -> None:
    screened = screen_macro(rows_of(csv(HEADER + ROW.replace("21.5", ""))), UNIVERSE)
    assert len(screened.series) == 0
    assert screened.series.dtypes["trade_date_available"] == np.dtype("datetime64[ns]")


# -- merging ----------------------------------------------------------------------------------------------------------


def test_all_vintages_are_kept_and_the_later_landing_wins_an_equal_one() -> None:
    stored = vintages(("A", "2024-01-01", 1.0, "2024-02-01"), ("A", "2024-02-01", 2.0, "2024-03-01"))
    arriving = vintages(("A", "2024-01-01", 1.5, "2024-03-01"), ("A", "2024-02-01", 2.5, "2024-03-01"))
    merged = merge_macro(stored, arriving)
    assert merged["value"].tolist() == [1.0, 1.5, 2.5]
    assert list(merged.columns) == [*VINTAGES, "source_row"]
    assert not merged.duplicated(list(KEY)).any()


def test_merging_again_or_into_nothing_changes_nothing() -> None:
    series = vintages(("B", "2024-01-01", 1.0, "2024-02-01"), ("A", "2024-02-01", 2.0, "2024-03-01"))
    once = merge_macro(series.iloc[:0], series)
    assert once["series_id"].tolist() == ["A", "B"]
    pd.testing.assert_frame_equal(merge_macro(once, series), once)
    pd.testing.assert_frame_equal(merge_macro(once, series.iloc[:0]), once)
    pd.testing.assert_frame_equal(merge_macro(once.iloc[:0], once.iloc[:0]), once.iloc[:0])


def test_a_series_does_not_change_its_unit() -> None:
    stored = vintages(("A", "2024-01-01", 1.0, "2024-02-01"), ("A", "2024-02-01", 1.0, "2024-03-01"))
    with pytest.raises(SeriesUnitChangedError, match="A is stored in percent and arrives in fraction"):
        merge_macro(stored, vintages(("A", "2024-02-01", 0.01, "2024-03-01"), unit="fraction"))


def test_a_bare_date_of_availability_means_the_end_of_that_day_where_the_series_is(csv: Write) -> None:
    header = HEADER.strip() + ",timezone\n"
    rows = rows_of(csv(header + "".join(f"{row}\n" for row in (
        "SB,2024-03-01,1,2024-03-04,USc/lb,ICE,",
        "SB,2024-03-02,1,2024-03-04,USc/lb,ICE,Asia/Tokyo",
        "SB,2024-03-03,1,2024-03-04T00:00:00Z,USc/lb,ICE,Asia/Tokyo",
        "SB,2024-03-04,1,2024-03-04T00:00:00.000000001Z,USc/lb,ICE,",
    ))))  # fmt: skip
    assert rows["available_at"].astype(str).tolist() == [
        "2024-03-05 06:00:00+00:00", "2024-03-04 15:00:00+00:00", "2024-03-04 00:00:00+00:00",
        "2024-03-04 00:00:00.000001+00:00",
    ]  # fmt: skip
    with pytest.raises(LayoutError, match="timezone of data row 0 is no name of a time zone"):
        rows_of(csv(header + "SB,2024-03-01,1,2024-03-04,USc/lb,ICE,Mars/North\n"))
