"""Columns of CSV and Parquet files: the same from both, checked to the last row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi_dagster.vendors.files import Content, CorruptFileError, LayoutError, TruncatedFileError
from cbi_dagster.vendors.tabular import TabularFile


def csv(text: str | bytes, *required: str, optional: tuple[str, ...] = ()) -> TabularFile:
    data = text if isinstance(text, bytes) else text.encode()
    return TabularFile(Content(Path("x.csv"), "x.csv", data, ""), required, optional)


def parquet(columns: dict[str, object], *required: str) -> TabularFile:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    content = Content(Path("x.parquet"), "x.parquet", sink.getvalue().to_pybytes(), "")
    return TabularFile(content, required or tuple(columns))


def test_only_the_named_columns_are_read_and_absent_optional_ones_are_null() -> None:
    file = csv("b,junk,a\n1,é,x\n2,,y\n", "a", "b", optional=("c",))
    assert (len(file), "a" in file, "c" in file, "junk" in file) == (2, True, False, False)
    assert file.texts("a").tolist() == ["x", "y"]
    assert file.numbers("b").tolist() == [1.0, 2.0]
    assert file.texts("c").tolist() == [None, None]
    assert file.numbers("c").isna().all()
    assert file.instants("c").isna().all()


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("a\n1", TruncatedFileError, "its last line has no line end"),
        ("a\n", LayoutError, "it has no rows"),
        ("b\n1\n", LayoutError, "the columns a are missing"),
        ("a,b,a\n1,2,3\n", LayoutError, "it has the column a twice"),
        ("a,b\n1,2\n3\n", LayoutError, "cannot be read as CSV"),
        (b"a\n\xff\n", LayoutError, "cannot be read as CSV"),
        ("\n", LayoutError, "cannot be read as CSV"),
        ("a,b\n1\0,2\n", LayoutError, "holds NUL bytes"),
    ],
)
def test_a_csv_file_that_is_none_is_refused(text: str | bytes, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        csv(text, "a")


def test_a_parquet_file_that_is_none_is_refused() -> None:
    with pytest.raises(CorruptFileError, match="cannot be read as Parquet"):
        TabularFile(Content(Path("x.parquet"), "x.parquet", b"PAR1....PAR1", ""), ["a"])
    with pytest.raises(LayoutError, match="the columns a are missing"):
        parquet({"b": [1]}, "a")


def test_texts_are_text_and_empty_text_is_null() -> None:
    expected = ["NA", None, " x"]
    assert csv('a,b\nNA,1\n"",2\n x,3\n', "a").texts("a").tolist() == expected
    for column in (
        ["NA", "", " x"],
        pa.array(["NA", None, " x"]).dictionary_encode(),
        pa.array(expected, "large_string"),
    ):
        assert parquet({"a": column}).texts("a").tolist() == expected
    assert parquet({"a": pa.nulls(2)}).texts("a").tolist() == [None, None]
    with pytest.raises(LayoutError, match=r"a of data row 1 is no text \(1 such rows\)"):
        parquet({"a": pa.array([None, 7])}).texts("a")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**12), max_value=10**12))
def test_a_number_is_the_double_nearest_to_its_decimal(number: Decimal) -> None:
    assert csv(f"a\n{number:f}\n", "a").numbers("a").tolist() == [float(number)]
    stored = parquet({"a": pa.array([number], pa.decimal128(30, 9))})
    assert stored.numbers("a").tolist() == [float(number)]


def test_numbers_of_every_type_are_doubles_and_nothing_is_nan() -> None:
    assert csv("a,b\n 1.5,x\n,x\n1e-7,x\nnan,x\n", "a").numbers("a").fillna(-1).tolist() == [1.5, -1, 1e-7, -1]
    for column in ([1, 2], [1.0, 2.0], pa.array([1, 2], "uint8"), pa.array([1.0, 2.0], "float32"), ["1", "2"]):
        assert parquet({"a": column}).numbers("a").tolist() == [1.0, 2.0]


@pytest.mark.parametrize("text", ["x", "1_0", "True", "0x10", "1,5", "--1", "1.2.3"])
def test_text_that_is_no_number_is_refused_with_its_row(text: str) -> None:
    with pytest.raises(LayoutError, match=r"x\.csv: a of data row 2 is no number \(2 such rows\)"):
        csv(f'a\n1\n2\n"{text}"\n"{text}"\n', "a").numbers("a")


@pytest.mark.parametrize("column", [[True, False], [dt.date(2024, 1, 1)] * 2, [b"1", b"2"]])
def test_what_is_no_number_is_refused(column: list[object]) -> None:
    with pytest.raises(LayoutError, match=r"a of data row 0 is no number \(2 such rows\)"):
        parquet({"a": column}).numbers("a")


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("7", True),
        ("-7.0", True),
        (str(2**53 - 1), True),
        (str(2**53), False),
        ("7.5", False),
        ("", False),
        ("inf", False),
    ],
)
def test_whole_numbers_are_those_that_a_double_tells_apart(text: str, whole: bool) -> None:
    file = csv(f"a,b\n{text},x\n", "a")
    if whole:
        numbers = file.whole_numbers("a")
        assert (numbers.tolist(), numbers.dtype) == ([int(float(text))], np.int64)
    else:
        with pytest.raises(LayoutError, match="a of data row 0 is no whole number"):
            file.whole_numbers("a")


INSTANT = pd.Timestamp("2024-07-01 14:00", tz="UTC")


@pytest.mark.parametrize(
    "column",
    [
        ["2024-07-01T14:00:00Z"],
        ["2024-07-01 14:00"],
        ["2024-07-01T09:00:00-05:00"],
        [dt.datetime(2024, 7, 1, 14)],
        pa.array([INSTANT.value], pa.timestamp("ns")),
        pa.array([INSTANT.value // 10**9], pa.timestamp("s", "America/Chicago")),
    ],
)
def test_an_instant_is_read_in_its_zone_and_in_utc_without_one(column: object) -> None:
    found = parquet({"a": column}).instants("a")
    assert (found.tolist(), str(found.dtype)) == ([INSTANT], "datetime64[ns, UTC]")


def test_a_date_is_the_instant_at_which_it_begins_in_utc() -> None:
    for column in ([dt.date(2024, 7, 1)], ["2024-07-01"], pa.array([dt.date(2024, 7, 1)], pa.date64())):
        assert parquet({"a": column}).instants("a").tolist() == [pd.Timestamp("2024-07-01", tz="UTC")]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([20240701], "a of data row 0 is no ISO 8601 text and no timestamp"),
        ([dt.time(14)], "a of data row 0 is no ISO 8601 text and no timestamp"),
        *[
            (["2024-07-01", text], r"a of data row 1 is no ISO 8601 date or instant .* \(1 such rows\)")
            for text in (
                "now",
                "2024",
                "2024-07",
                "01/07/2024",
                "20240701",
                "2024-07-01T14",
                "2024-07-01T14:00:00.1234567891",
            )
        ],
        (["2024-13-01"], "a: [^\n]*Write ISO 8601"),
        (pa.array([10**10], pa.timestamp("s")), "a: .*Write ISO 8601"),
        (pa.array([dt.date(1500, 1, 1)]), "a: .*Write ISO 8601"),
    ],
)
def test_what_is_no_instant_is_refused(column: object, said: str) -> None:
    with pytest.raises(LayoutError, match=said):
        parquet({"a": column}).instants("a")


@pytest.mark.parametrize(
    "kind", [TabularFile.texts, TabularFile.numbers, TabularFile.instants], ids=["texts", "numbers", "instants"]
)
def test_a_column_without_any_value_is_null(kind: Callable[[TabularFile, str], pd.Series]) -> None:
    for file in (csv("a,b\n,x\n,x\n", "a"), parquet({"a": pa.nulls(2)})):
        assert kind(file, "a").isna().tolist() == [True, True]


def test_a_header_among_the_rows_is_a_second_file() -> None:
    with pytest.raises(LayoutError, match="a of data row 1 is the name of its column: it is two files in one"):
        csv("a,b\n1,2\na,b\n3,4\n", "a").numbers("a")


def test_hostile_parquet_columns_are_refused_before_they_fill_the_memory() -> None:
    long = pa.array(["x" * 2000] * 3).dictionary_encode()
    with pytest.raises(LayoutError, match="holds text of 2000 bytes"):
        parquet({"a": long}).texts("a")
    for length, kept in ((1000, True), (1001, False)):
        text = pa.array(["x" * length]).dictionary_encode()
        with nullcontext() if kept else pytest.raises(LayoutError, match="holds text of 1001 bytes"):
            assert parquet({"a": text}).texts("a").tolist() == ["x" * length]
    with pytest.raises(LayoutError, match="a is nested"):
        parquet({"a": [[1], [2]]})
    with pytest.raises(LayoutError, match="NUL"):
        parquet({"a": ["x\0"]}).texts("a")
