"""Macro series: from a file to vintages. What was known of them when is for `market/decision.py` to say.

A file is named `<anything>.macro.csv` (`.csv.zst`, `.csv.gz`) or `<anything>.macro.parquet` and has one row per vintage
of a value, with the columns (others are not read):

* `series_id`: the series, e.g. `SB`.
* `date`: the reference date, i.e. the day or the first day of the period that the value describes (ISO 8601).
* `value`: the number, in `unit`.
* `available_at`: when the value became public (ISO 8601 text or a timestamp; without a zone it is read as UTC). A bare
  date says no time: it means the end of that day in the series' zone, since before nobody can be sure to have known.
* `unit`: unit of the value, one per series.
* `source`: who published it.
* `timezone`, optional: the IANA name of the series' zone, one per series; America/Chicago without it.

Nothing is stored here. A value that is revised is one more row with a later `available_at`: all vintages are kept, and
an instant sees those that were public by then. In tables the reference date is called `reference_date` and the source
`series_source`, because `date` is a trade date everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.columns.macro import KEY, VINTAGES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables.raw_intelligence import MACRO_SERIES
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.decision import trade_date_available
from cbi_dagster.market.sessions import CHICAGO
from cbi_dagster.vendors.files import Content, DeliveryError
from cbi_dagster.vendors.kinds import Examined, Landed, LandedFile, within
from cbi_dagster.vendors.tabular import TabularFile

FILE_COLUMNS = ("series_id", "date", "value", "available_at", "unit", "source")

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


class UnitConflictError(DeliveryError):
    """A file with values of one series in different units."""


class SeriesUnitChangedError(ValueError):
    """Arriving values of a series are in another unit than the stored ones."""


@dataclass(frozen=True)
class ScreenedMacro:
    """The rows of one file, sorted into kept and rejected ones, both in the file's order.

    `series` has VINTAGES and `source_row`; `rejected` has the columns of `decode_macro` and `reason`.
    """

    series: pd.DataFrame
    rejected: pd.DataFrame


# -- reading ----------------------------------------------------------------------------------------------------------


def decode_macro(content: Content) -> pd.DataFrame:
    """The rows of a macro file, in its order; anything may be NULL, rows are judged by `screen_macro`.

    Columns: `series_id`, `unit`, `series_source` (text or None), `reference_date` (naive datetime64[ns] at midnight),
    `available_at` (datetime64[ns, UTC]), `value` (float64) and `source_row` (0-based data row).

    Raises a DeliveryError whose class says what is wrong.
    """
    file = TabularFile(content, FILE_COLUMNS, ["timezone"])
    dates = file.instants("date").dt.tz_localize(None)
    file.refuse("date", dates.notna() & (dates != dates.dt.normalize()), "has a time of day")
    rows = pd.DataFrame(
        {
            "series_id": file.texts("series_id"),
            "reference_date": dates,
            "value": file.numbers("value"),
            "available_at": _public_at(file),
            "unit": file.texts("unit"),
            "series_source": file.texts("source"),
            "source_row": np.arange(len(file), dtype=np.int64),
        }
    )
    units = rows.groupby("series_id")["unit"].nunique()
    if (units > 1).any():
        name = units.index[units > 1][0]
        found = sorted(rows.loc[rows["series_id"] == name, "unit"].dropna().unique())
        raise UnitConflictError(
            content.path, f"values of {name} are in {', '.join(found)}", "State every series in one unit"
        )
    return rows


def _public_at(file: TabularFile) -> pd.Series:
    """When each value became public, in whole microseconds; of a date its end."""
    stated: pd.Series = file.instants("available_at").dt.ceil("us").copy()
    bare = file.bare_dates("available_at")
    zones = file.texts("timezone").fillna(CHICAGO)
    for zone in zones[bare].unique():
        try:
            next_days = stated[bare & (zones == zone)].dt.tz_localize(None) + pd.Timedelta(days=1)
            ends = next_days.dt.tz_localize(zone, nonexistent="shift_forward", ambiguous=False)
        except (ValueError, KeyError, OSError, TypeError):  # what the names of no zone raise depends on the name
            file.refuse("timezone", zones == zone, "is no name of a time zone")
            raise
        stated[ends.index] = ends.dt.tz_convert("UTC")
    return stated


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
    return ScreenedMacro(kept[[*VINTAGES, "source_row"]], rejected)


def merge_macro(stored: pd.DataFrame, arriving: pd.DataFrame) -> pd.DataFrame:
    """The vintages of both frames (VINTAGES; further columns pass through), sorted by KEY.

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


# -- at the door ------------------------------------------------------------------------------------------------------


class Macro:
    """Files of macro series; what `ops.landed_files` calls their dataset and schema stands for a vendor's."""

    tables: ClassVar[Mapping[str, Table]] = {"macro": MACRO_SERIES}
    naming = "<name>.macro.csv or <name>.macro.parquet"
    one_dataset = False
    read_whole = True

    def __init__(self, universe: Universe) -> None:
        self._universe = universe

    @staticmethod
    def recognises(name: str) -> bool:
        return name.endswith((".macro.csv", ".macro.csv.zst", ".macro.csv.gz", ".macro.parquet"))

    def examine(self, content: Content, landed_at: pd.Timestamp) -> Examined:
        rows = decode_macro(content)
        screened = screen_macro(rows, self._universe)
        public = screened.series["available_at"]
        return Examined(
            dataset="MACRO",
            schema="macro",
            stype_in=None,
            start=public.min() if len(public) else landed_at,
            end=public.max() + pd.Timedelta(1, "us") if len(public) else landed_at,
            rows=len(rows),
            kept=screened.series[list(VINTAGES)],
            rejected=quarantine_rows(screened.rejected, self._universe, landed_at),
            outside={},
            symbols=pd.DataFrame(),
        )

    def corrections(self, file: LandedFile, before: Landed) -> pd.DataFrame:
        """None: a revision is a vintage of its own. A series keeps its unit, or UnitConflictError is raised."""
        try:
            merge_macro(self._merged(before), before.kept(file))
        except SeriesUnitChangedError as error:
            raise UnitConflictError(Path(file.source_file), str(error), "Nothing of it was taken") from error
        return pd.DataFrame()

    def returns(self, file: LandedFile, landed: Landed) -> pd.DataFrame:
        return pd.DataFrame()

    def trade_dates(self, files: Sequence[LandedFile], landed: Landed) -> np.ndarray:
        """The trade dates on which a vintage of the files is known first."""
        dates = [landed.kept(file)["trade_date_available"].to_numpy() for file in files]
        return np.unique(np.concatenate([np.empty(0, "datetime64[D]"), *dates]).astype("datetime64[D]"))

    def until(self, instant: pd.Timestamp, kept: pd.DataFrame, schema: str) -> pd.DataFrame:
        return kept[kept["available_at"] < instant]

    def read(self, schema: str, intervals: Sequence[Interval], landed: Landed) -> pd.DataFrame:
        return self._merged(landed, intervals)

    def _merged(self, landed: Landed, intervals: Sequence[Interval] | None = None) -> pd.DataFrame:
        """The vintages of all files, or those of trade dates in the intervals: all that state a vintage agree in it."""
        frames = [landed.kept(file) for file in landed.of("macro")]
        if intervals is not None:
            frames = [frame[within(frame["trade_date_available"].to_numpy(), intervals)] for frame in frames]
        if not frames:
            return to_frame(MACRO_SERIES, MACRO_SERIES.arrow_schema().empty_table())
        return merge_macro(pd.concat(frames[:-1] or frames, ignore_index=True), frames[-1])
