"""CSV, Parquet and JSON Lines files as columns of text, numbers and instants, each checked to its last row.

Only the named columns of a file are read. An empty field of a CSV file is NULL.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from cbi_dagster.vendors.compression import plain
from cbi_dagster.vendors.files import AGAIN, Content, CorruptFileError, LayoutError, TruncatedFileError

_ISO_8601 = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?)?$"
_NO_ZONE = r"[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?$"
_TEXT_LIMIT = 1000  # letters of a text
_MAX_ROWS = 20_000_000
_WHOLE_LIMIT = 2**53  # beyond it a double does not tell neighbouring whole numbers apart


class TabularFile:
    """The columns of a CSV or Parquet file, by the names that they have in it.

    Every method raises LayoutError, naming the column and the first wrong row, for a column that does not hold what is
    asked for. An optional column that is absent is NULL throughout.
    """

    def __init__(
        self, content: Content, required: Sequence[str], optional: Sequence[str] = (), *, prose: Sequence[str] = ()
    ) -> None:
        """Reads the columns; raises TruncatedFileError, CorruptFileError or LayoutError.

        `prose`: further optional columns, whose text may hold anything, line ends and NUL characters included.
        """
        self._path = content.path
        self._prose = frozenset(prose)
        name = content.name.removesuffix(".zst").removesuffix(".gz")
        read = _parquet if name.endswith(".parquet") else _json_lines if name.endswith(".jsonl") else _csv
        self._columns = read(content, (*required, *optional, *prose), self._prose)
        if missing := [name for name in required if name not in self._columns.column_names]:
            raise LayoutError(
                content.path,
                f"the columns {', '.join(missing)} are missing",
                f"Give it the columns {', '.join(required)}",
            )
        if not len(self):
            raise LayoutError(content.path, "it has no rows", "Leave it out")

    def __len__(self) -> int:
        return int(self._columns.num_rows)

    def __contains__(self, name: str) -> bool:
        return name in self._columns.column_names

    def texts(self, name: str) -> pd.Series:
        """Text (object), None for NULL and for empty text."""
        column = self._column(name)
        if not pa.types.is_string(column.type):
            self.refuse(name, column.is_valid(), "is no text")
        return _series(column.cast(pa.string()), object)

    def numbers(self, name: str) -> pd.Series:
        """The doubles nearest to the stated decimals, NaN for NULL."""
        column = self._column(name)
        if pa.types.is_decimal(column.type):
            column = column.cast(pa.string())  # exact, and so is the way from text to the nearest double
        if pa.types.is_string(column.type):
            try:
                column = pc.utf8_trim_whitespace(column).cast(pa.float64())
            except pa.ArrowInvalid:
                self.refuse(name, ~_series(column, object).map(_is_number).astype(bool), "is no number")
                raise
        elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            self.refuse(name, column.is_valid(), "is no number")
        return _series(column.cast(pa.float64(), safe=False), np.float64)

    def whole_numbers(self, name: str) -> pd.Series:
        """int64; NULL is refused."""
        numbers = self.numbers(name)
        whole = (numbers == np.floor(numbers)) & (numbers.abs() < _WHOLE_LIMIT)
        self.refuse(name, ~whole, "is no whole number")
        return numbers.astype(np.int64)

    def instants(self, name: str) -> pd.Series:
        """datetime64[ns, UTC], NaT for NULL: timestamps, or ISO 8601 text; without a zone they are read as UTC.

        A date is the instant at which it begins; text that names less than a day is refused.
        """
        column = self._column(name)
        try:
            if pa.types.is_string(column.type):
                self.refuse(
                    name,
                    pc.invert(pc.match_substring_regex(column, _ISO_8601)),
                    "is no ISO 8601 date or instant (of the vendor, ask for pretty_ts)",
                )
                stated = pd.to_datetime(_series(column, object), utc=True, format="ISO8601")
                return stated.astype("datetime64[ns, UTC]")
            if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
                self.refuse(name, column.is_valid(), "is no ISO 8601 text and no timestamp")
            if not pa.types.is_timestamp(column.type):
                column = column.cast(pa.timestamp("ns"))
            return pd.Series(column.cast(pa.timestamp("ns", "UTC")).to_pandas())
        except (ValueError, TypeError) as error:  # of pandas; those of Arrow are ValueErrors too
            said = str(error).partition("\n")[0].rstrip(".: ")
            raise LayoutError(self._path, f"{name}: {said}", "Write ISO 8601, e.g. 2024-07-01T14:00:00Z") from error

    def flags(self, name: str) -> pd.Series:
        """bool, False for NULL: truth values, or `true` and `false`."""
        column = self._column(name)
        if pa.types.is_string(column.type):
            column = pc.utf8_lower(column)
            self.refuse(name, pc.invert(pc.is_in(column, pa.array(["true", "false", None]))), "is not true or false")
            column = pc.equal(column, "true")
        elif not pa.types.is_boolean(column.type):
            self.refuse(name, column.is_valid(), "is not true or false")
        return _series(column.cast(pa.bool_()), object).eq(True)

    def without_zone(self, name: str) -> pd.Series:
        """Which instants of a column name a time of day and no zone."""
        column = self._column(name)
        if pa.types.is_string(column.type):
            return _series(pc.match_substring_regex(column, _NO_ZONE), object).eq(True)
        naive = pa.types.is_timestamp(column.type) and column.type.tz is None
        return pd.Series(naive, range(len(self)), dtype=bool)

    def bare_dates(self, name: str) -> pd.Series:
        """Which instants of a column are stated as a date alone."""
        column = self._column(name)
        if pa.types.is_string(column.type):
            return _series(pc.equal(pc.utf8_length(column), len("2024-07-01")), object).eq(True)
        return pd.Series(pa.types.is_date(column.type), range(len(self)), dtype=bool)

    def refuse(self, name: str, bad: pd.Series | pa.ChunkedArray, what: str) -> None:
        """Raise LayoutError for the first row where `bad` is true, if there is one."""
        rows = np.flatnonzero(bad)
        if len(rows):
            where = f"{name} of data row {rows[0]} {what} ({len(rows)} such rows)"
            raise LayoutError(self._path, where, "Correct the column")

    def _column(self, name: str) -> pa.ChunkedArray:
        if name not in self:
            return pa.chunked_array([pa.nulls(len(self))])
        column = self._columns[name]
        if pa.types.is_dictionary(column.type):
            lengths = [pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0 for chunk in column.chunks]
            if max(lengths, default=0) > _TEXT_LIMIT:  # before every row has a copy of it
                raise LayoutError(self._path, f"{name} holds text of {max(lengths)} bytes", "Correct the column")
            column = column.cast(column.type.value_type)
        if pa.types.is_large_string(column.type):
            column = column.cast(pa.string())
        if pa.types.is_string(column.type):
            if name not in self._prose:
                self.refuse(name, pc.match_substring(column, "\0"), "holds a NUL character")
                self.refuse(name, pc.equal(column, name), "is the name of its column: it is two files in one")
            column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
        return column


def _series(column: pa.ChunkedArray, dtype: type) -> pd.Series:
    return pd.Series(column.to_numpy(zero_copy_only=False), dtype=dtype)


def _is_number(text: str | None) -> bool:
    try:
        pa.scalar(text, pa.string()).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _csv(content: Content, names: Sequence[str], prose: frozenset[str]) -> pa.Table:
    data = plain(content.path, content.data)
    if b"\0" in (data.partition(b"\n")[0] if prose else data):
        raise LayoutError(content.path, "it holds NUL bytes", "Write it as comma-separated UTF-8 text")
    if not data.endswith((b"\n", b"\r")):
        raise TruncatedFileError(
            content.path, "its last line has no line end", f"If it is whole, add one. {AGAIN} otherwise"
        )
    try:
        # What holds line ends is read in one piece, since no block may end inside a row.
        reading = pa.csv.ReadOptions(block_size=len(data) if prose else None)
        parsing = pa.csv.ParseOptions(newlines_in_values=bool(prose))
        with pa.csv.open_csv(io.BytesIO(data), reading, parsing) as reader:
            wanted = _once(content.path, reader.schema.names, names)
        options = pa.csv.ConvertOptions(include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()))
        return pa.csv.read_csv(io.BytesIO(data), reading, parsing, options)
    except (pa.ArrowException, ValueError) as error:
        raise LayoutError(
            content.path, f"it cannot be read as CSV ({error})", "Write it as comma-separated UTF-8"
        ) from error


def _json_lines(content: Content, names: Sequence[str], prose: frozenset[str]) -> pa.Table:
    """One object per line; a name that an object lacks is NULL in it."""
    data = plain(content.path, content.data)
    if not data.endswith(b"\n"):
        raise TruncatedFileError(
            content.path, "its last line has no line end", f"If it is whole, add one. {AGAIN} otherwise"
        )
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            row = _JSON.decode(line.decode())
        except (ValueError, RecursionError) as error:
            raise LayoutError(
                content.path, f"line {number} is no JSON ({error})", "Write one object per line"
            ) from error
        if not isinstance(row, dict):
            raise LayoutError(content.path, f"line {number} is no JSON object", "Write one object per line")
        rows.append(row)
    present = [name for name in names if any(name in row for row in rows)]
    try:
        return pa.table({name: _json_column([row.get(name) for row in rows]) for name in present})
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise LayoutError(content.path, f"a column has values of several kinds ({error})", "Correct it") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has a name twice")
    return found


_JSON = json.JSONDecoder(object_pairs_hook=_object)


def _json_column(values: list[Any]) -> pa.Array:
    """Text, numbers or truth values; halves of surrogate pairs, which are no characters, are replaced."""
    if any(isinstance(value, list | dict) for value in values):
        raise TypeError("one of them is nested")
    whole = [_characters(value) if isinstance(value, str) else value for value in values]
    return pa.array(whole, pa.string()) if all(value is None for value in whole) else pa.array(whole)


def _characters(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _parquet(content: Content, names: Sequence[str], prose: frozenset[str]) -> pa.Table:
    try:
        schema = pa.parquet.read_schema(io.BytesIO(content.data))
        wanted = _once(content.path, schema.names, names)
        texts = [name for name in wanted if name not in prose and _is_text(schema.field(name).type)]
        file = pa.parquet.ParquetFile(io.BytesIO(content.data), read_dictionary=texts)
        nested = [name for name in wanted if pa.types.is_nested(schema.field(name).type)]
        if nested:
            raise LayoutError(content.path, f"{nested[0]} is nested", "Give every column one value per row")
        if file.metadata.num_rows > _MAX_ROWS:
            raise LayoutError(
                content.path, f"its {file.metadata.num_rows} rows are more than {_MAX_ROWS}", "Split it by month"
            )
        # The pandas metadata of other writers may name indexes and types that this reader should not restore.
        return file.read(wanted).replace_schema_metadata()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorruptFileError(content.path, f"it cannot be read as Parquet ({error})", AGAIN) from error


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _once(path: Path, present: list[str], wanted: Sequence[str]) -> list[str]:
    """Those of the wanted columns that are present, each of which may be there only once."""
    for name in wanted:
        if present.count(name) > 1:
            raise LayoutError(path, f"it has the column {name} twice", "Give every column a name of its own")
    return [name for name in wanted if name in present]
