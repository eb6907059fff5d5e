"""Macro series: from a file to vintages, and from vintages to what was known at an instant.

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
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cbi_dagster.config.universe import Universe, clock_minutes
from cbi_dagster.market.sessions import CHICAGO, utc_instants
from cbi_dagster.vendors.databento.delivery import (
    CorruptFileError,
    DeliveryError,
    LayoutError,
    TruncatedFileError,
    UnreadableFileError,
    is_macro_file,
)

VERSION = "1"

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
    texts = _or_none(column)
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


def trade_date_available(available_at: pd.Series, universe: Universe) -> np.ndarray:
    """The first trade date (datetime64[ns]) at whose decision time a value of that `available_at` is known.

    A value that becomes public at the decision time itself is known.
    """
    local = pd.DatetimeIndex(available_at).tz_convert(CHICAGO).tz_localize(None)
    too_late = local - local.normalize() > pd.Timedelta(minutes=clock_minutes(universe.decision_time))
    days = local.to_numpy().astype("datetime64[D]") + too_late.astype("timedelta64[D]")
    known_from: np.ndarray = np.busday_offset(days, 0, roll="forward").astype("datetime64[ns]")
    return known_from


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


# -- as known at an instant -------------------------------------------------------------------------------------------


def as_of(series: pd.DataFrame, instants: pd.DatetimeIndex) -> pd.DataFrame:
    """The value of each series as known at each instant (UTC), sorted by series, in the order of the instants.

    Known is what was `available_at` <= the instant; of that, the latest vintage of the latest reference date counts.
    `series` holds vintages (SERIES_COLUMNS), in any order. Columns: `series_id`, `instant`, `value`, `unit`,
    `reference_date`, `available_at`; all but the first two NULL where nothing was known.
    """
    wanted = instants.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[ns]")
    ordered = series.sort_values(["series_id", "available_at"], ignore_index=True)
    public = utc_instants(ordered["available_at"])
    reference = ordered["reference_date"].to_numpy(dtype="datetime64[ns]").astype(np.int64)
    codes, names = pd.factorize(ordered["series_id"], sort=True)
    bounds = np.searchsorted(codes, np.arange(len(names) + 1))
    found = np.full((len(names), len(wanted)), -1)
    for code, (start, stop) in enumerate(itertools.pairwise(bounds)):
        own = reference[start:stop]
        # A row is news if no later reference date is known yet; until the next news it is the answer.
        news = np.flatnonzero(own == np.maximum.accumulate(own)) + start
        at = np.searchsorted(public[news], wanted, side="right") - 1
        found[code] = np.where(at >= 0, news[at], -1)
    position = found.ravel()
    taken = ordered.reindex(position).reset_index(drop=True)  # -1 is no row, hence all NULL
    return pd.DataFrame(
        {
            "series_id": np.repeat(np.asarray(names, dtype=object), len(wanted)),
            "instant": pd.DatetimeIndex(np.tile(wanted, len(names))).tz_localize("UTC"),
            "value": taken["value"].astype("float64"),
            "unit": _or_none(taken["unit"]),
            "reference_date": taken["reference_date"].astype("datetime64[ns]"),
            "available_at": taken["available_at"].astype("datetime64[ns, UTC]"),
        }
    )


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


def daily_frame(
    series: pd.DataFrame,
    trade_dates: np.ndarray,
    decision_instants: np.ndarray,
    max_staleness_days: Mapping[str, int],
) -> pd.DataFrame:
    """What a row of each trade date may use of each series, sorted by (series_id, date).

    Args:
        series: vintages (SERIES_COLUMNS), in any order.
        trade_dates: datetime64, ascending and distinct.
        decision_instants: the decision time of each of them (UTC, plain datetime64).
        max_staleness_days: the series wanted, and how many calendar days the reference date of each may lie before the
            trade date; older values are not used. A day needs the vintages of `trade_dates_within` that many days.

    Returns:
        One row per wanted series and trade date, also where nothing is known: `series_id`, `date` (trade date), then
        `value`, `unit`, `reference_date` and `available_at`, NULL together.
    """
    dates = np.asarray(trade_dates, dtype="datetime64[ns]")
    instants = pd.DatetimeIndex(np.asarray(decision_instants, dtype="datetime64[ns]")).tz_localize("UTC")
    names = sorted(max_staleness_days)
    known = as_of(series[series["series_id"].isin(names)], instants)
    known["date"] = np.tile(dates, len(known) // max(len(dates), 1))
    limit = pd.to_timedelta(known["series_id"].map(dict(max_staleness_days)).astype("int64"), unit="D")
    fresh = known[known["date"] - known["reference_date"] <= limit]  # false where nothing is known
    series_ids = np.repeat(np.array(names, dtype=object), len(dates))
    wanted = pd.DataFrame({"series_id": series_ids, "date": np.tile(dates, len(names))})
    frame = wanted.merge(fresh.drop(columns="instant"), on=["series_id", "date"], how="left", validate="one_to_one")
    frame["unit"] = _or_none(frame["unit"])
    return frame[["series_id", "date", "value", "unit", "reference_date", "available_at"]]


def _or_none(texts: pd.Series) -> pd.Series:
    nullable: pd.Series = texts.astype(object).where(texts.notna(), None)
    return nullable


def trade_dates_within(calendar_days: int) -> int:
    """How many trade dates before a trade date the partitions reach that can hold a value at most `calendar_days` old.

    A value is never available before its reference date, so its partition is no older than that date.
    """
    return calendar_days // 7 * 5 + min(calendar_days % 7, 4)
