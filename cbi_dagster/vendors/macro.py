"""Macro series: from a file to vintages. What was known of them when is for `market/decision.py` to say.

A file is named `<anything>.macro.csv` or `<anything>.macro.parquet` and has one row per vintage of a value, with the
columns (others are not read):

* `series_id`: the series, e.g. `SB`.
* `date`: the reference date, i.e. the day or the first day of the period that the value describes (ISO 8601).
* `value`: the number, in `unit`.
* `available_at`: when the value became public (ISO 8601 text or a timestamp; without a zone it is read as UTC).
* `unit`: unit of the value, one per series.
* `source`: who published it.

Nothing is stored here. A value that is revised is one more row with a later `available_at`: all vintages are kept, and
an instant sees those that were public by then. In tables the reference date is called `reference_date` and the source
`series_source`, because `date` is a trade date everywhere else.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cbi_dagster.config.universe import Universe
from cbi_dagster.market.decision import trade_date_available
from cbi_dagster.vendors.databento.delivery import (
    CorruptFileError,
    DeliveryError,
    LayoutError,
    TruncatedFileError,
    UnreadableFileError,
    is_macro_file,
)

FILE_COLUMNS = ("series_id", "date", "value", "available_at", "unit", "source")
SERIES_COLUMNS = (
    "series_id", "reference_date", "value", "available_at", "unit", "series_source", "trade_date_available",
)  # fmt: skip
"""Columns of `raw_intelligence.macro_series`."""
KEY = ("series_id", "reference_date", "available_at")
"""What identifies a vintage."""

REASONS = (
    "null_series_id",
    "null_reference_date",
    "null_available_at",
    "null_value",
    "null_unit",
    "null_source",
    "available_before_reference_date",
    "duplicate_vintage",
)
"""Why a row is rejected, in the order in which the reasons are looked for: a row gets the first that holds."""

_TABLE_NAMES = {"date": "reference_date", "source": "series_source"}


class UnitConflictError(DeliveryError):
    """A file with values of one series in different units."""


class SeriesUnitChangedError(ValueError):
    """Arriving values of a series are in another unit than the stored ones."""


@dataclass(frozen=True)
class VerifiedMacroFile:
    """A file that was read to its end and has the documented columns.

    `rows` has, in the file's order: `series_id`, `unit`, `series_source` (text or None), `reference_date` (naive
    datetime64[ns] at midnight), `available_at` (datetime64[ns, UTC]), `value` (float64) and `source_row` (0-based data
    row). Anything may be NULL: rows are judged by `screen_macro`.
    """

    path: Path
    name: str
    sha256: str
    size: int
    rows: pd.DataFrame


@dataclass(frozen=True)
class ScreenedMacro:
    """The rows of one file, sorted into kept and rejected ones, both in the file's order.

    `series` has SERIES_COLUMNS and `source_row`; `rejected` has the columns of `VerifiedMacroFile.rows` and `reason`.
    """

    series: pd.DataFrame
    rejected: pd.DataFrame


# -- reading ----------------------------------------------------------------------------------------------------------


def verify_macro(path: Path) -> VerifiedMacroFile:
    """Hash a macro file and read it to its end.

    Raises a DeliveryError whose class says what is wrong: UnreadableFileError, TruncatedFileError (no bytes, or a CSV
    whose last line has no line end), CorruptFileError, LayoutError (a column is missing or does not hold what it
    should, or there are no rows), UnitConflictError.
    """
    if not is_macro_file(path.name):
        raise LayoutError(path, "its name does not say that it holds macro series", "Name it <anything>.macro.csv")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableFileError(path, "there is no such file", "Check the path") from error
    except OSError as error:
        raise UnreadableFileError(path, f"the file cannot be read ({error})", "Check its permissions") from error
    if not data:
        raise TruncatedFileError(path, "the file is empty (0 bytes)", "Copy the file again and land it once more")
    raw = _read_csv(path, data) if path.suffix == ".csv" else _read_parquet(path, data)
    missing = [name for name in FILE_COLUMNS if name not in raw.columns]
    if missing:
        raise LayoutError(
            path, f"the columns {', '.join(missing)} are missing", f"Give it the columns {', '.join(FILE_COLUMNS)}"
        )
    if raw.empty:
        raise LayoutError(path, "it has no rows", "Leave it out")
    raw = raw.rename(columns=_TABLE_NAMES)
    rows = pd.DataFrame(
        {
            "series_id": _texts(path, raw["series_id"]),
            "reference_date": _reference_dates(path, raw["reference_date"]),
            "value": _numbers(path, raw["value"]),
            "available_at": _instants(path, raw["available_at"]),
            "unit": _texts(path, raw["unit"]),
            "series_source": _texts(path, raw["series_source"]),
            "source_row": np.arange(len(raw), dtype=np.int64),
        }
    )
    units = rows.groupby("series_id")["unit"].nunique()
    if (units > 1).any():
        name = units.index[units > 1][0]
        found = sorted(rows.loc[rows["series_id"] == name, "unit"].dropna().unique())
        raise UnitConflictError(path, f"values of {name} are in {', '.join(found)}", "State every series in one unit")
    return VerifiedMacroFile(path, path.name, hashlib.sha256(data).hexdigest(), len(data), rows)


def _read_csv(path: Path, data: bytes) -> pd.DataFrame:
    if not data.endswith((b"\n", b"\r")):
        raise TruncatedFileError(
            path, "its last line has no line end", "If it is whole, add one; otherwise copy the file again"
        )
    try:
        return pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False, na_values=[""])
    except (ValueError, pd.errors.ParserError) as error:
        raise LayoutError(path, f"it cannot be read as CSV ({error})", "Write it as comma-separated UTF-8") from error


def _read_parquet(path: Path, data: bytes) -> pd.DataFrame:
    try:
        # The pandas metadata of other writers may name indexes and types that this reader should not restore.
        frame: pd.DataFrame = pq.read_table(io.BytesIO(data)).to_pandas(ignore_metadata=True)
        return frame
    except (pa.lib.ArrowException, OSError, ValueError) as error:
        raise CorruptFileError(path, f"it cannot be read as Parquet ({error})", "Copy the file again") from error


def _texts(path: Path, column: pd.Series) -> pd.Series:
    texts = column.astype(object).where(column.notna(), None)
    _refuse(path, column, ~texts.map(lambda text: text is None or isinstance(text, str)).astype(bool), "is no text")
    return texts.where(texts != "", None)


def _numbers(path: Path, column: pd.Series) -> pd.Series:
    plain = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    numbers = column if plain else column.astype(object).map(_number_of)
    values: pd.Series = pd.to_numeric(numbers, errors="coerce").astype("float64")
    _refuse(path, column, values.isna() & column.notna(), "is no number")
    return values


def _number_of(stated: object) -> float | None:
    """The double nearest to a decimal (the parsers of pandas may be off by one bit); None for anything else."""
    if isinstance(stated, bool) or "_" in str(stated):
        return None
    try:
        return float(stated)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _instants(path: Path, column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column) and column.notna().any():
        raise LayoutError(path, f"{_stated(column)} holds numbers", "Write it as ISO 8601 text or as a timestamp")
    try:
        instants: pd.Series = pd.to_datetime(column, utc=True, format="ISO8601").astype("datetime64[ns, UTC]")
    except (ValueError, TypeError) as error:
        raise LayoutError(path, f"{_stated(column)}: {error}", "Write ISO 8601, e.g. 2024-07-01T14:00:00Z") from error
    return instants


def _reference_dates(path: Path, column: pd.Series) -> pd.Series:
    dates: pd.Series = _instants(path, column).dt.tz_localize(None)
    timed = dates.notna() & (dates != dates.dt.normalize())
    _refuse(path, column, timed, "has a time of day")
    return dates


def _refuse(path: Path, column: pd.Series, bad: pd.Series, what: str) -> None:
    if bad.any():
        rows = np.flatnonzero(bad)
        what = f"{_stated(column)} of data row {rows[0]} {what} ({len(rows)} such rows)"
        raise LayoutError(path, what, "Correct the column")


def _stated(column: pd.Series) -> str:
    """The name of a column in the file."""
    return {table: stated for stated, table in _TABLE_NAMES.items()}.get(str(column.name), str(column.name))


# -- screening and merging --------------------------------------------------------------------------------------------


def screen_macro(rows: pd.DataFrame, universe: Universe) -> ScreenedMacro:
    """Split the rows of a file; see REASONS. A value that is not finite counts as NULL.

    A value cannot be public before its reference date begins (00:00 UTC). Of several rows of one vintage the first
    without another fault is kept and every later one is rejected as `duplicate_vintage`, equal or not: nothing in a
    file says which of two is right, and the others can be read in the quarantine.
    """
    faults = [
        rows["series_id"].isna(),
        rows["reference_date"].isna(),
        rows["available_at"].isna(),
        ~np.isfinite(rows["value"]),
        rows["unit"].isna(),
        rows["series_source"].isna(),
        rows["available_at"].dt.tz_localize(None) < rows["reference_date"],
    ]
    sound = ~np.logical_or.reduce(faults)
    faults.append(rows[sound].duplicated(list(KEY)).reindex(rows.index, fill_value=False))
    reason = np.select(faults, np.array(REASONS, dtype=object).tolist(), default="")
    bad = reason != ""
    kept = rows[~bad].reset_index(drop=True)
    kept["trade_date_available"] = trade_date_available(kept["available_at"], universe)
    rejected = rows[bad].assign(reason=reason[bad].astype(object)).reset_index(drop=True)
    return ScreenedMacro(kept[[*SERIES_COLUMNS, "source_row"]], rejected)


def merge_macro(stored: pd.DataFrame, arriving: pd.DataFrame) -> pd.DataFrame:
    """The vintages of both frames (SERIES_COLUMNS; further columns pass through), sorted by KEY.

    A vintage that is in both is taken from `arriving`; every other one is kept.

    Raises:
        SeriesUnitChangedError: a series arrives in another unit than it is stored in.
    """
    frames = [frame for frame in (stored, arriving) if len(frame)] or [arriving]
    merged = pd.concat(frames, ignore_index=True)
    units = merged.groupby("series_id", observed=True)["unit"].nunique()
    if (units > 1).any():
        name = units.index[units > 1][0]
        found = merged.loc[merged["series_id"] == name, "unit"].unique()
        raise SeriesUnitChangedError(
            f"{name} is stored in {found[0]} and arrives in {found[1]}; convert the new values, or land them under "
            "another series_id"
        )
    merged = merged.drop_duplicates(list(KEY), keep="last")
    return merged.sort_values(list(KEY), ignore_index=True)


def quarantine_rows(rejected: pd.DataFrame, universe: Universe, landed_at: pd.Timestamp) -> pd.DataFrame:
    """Rejected rows as rows for `ops.quarantine`: `symbol` is the series, `ts_event` when the value became public.

    A row that does not say when stands at `landed_at`.
    """
    named = ["reference_date", "value", "available_at", "unit", "series_source"]
    public = rejected["available_at"].fillna(landed_at)
    return pd.DataFrame(
        {
            "date": trade_date_available(public, universe),
            "source_row": rejected["source_row"],
            "symbol": rejected["series_id"].fillna("(no series_id)").astype(object),
            "ts_event": public,
            "reason": rejected["reason"],
            "detail": [
                ", ".join(f"{name}={value}" for name, value in zip(named, row, strict=True))
                for row in rejected[named].astype(str).itertuples(index=False)
            ],
        }
    )
