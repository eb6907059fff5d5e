"""What has landed in one warehouse: which files, what they hold together, and what the ledger says of that."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables import ops
from cbi_dagster.config.universe import Universe, load_universe
from cbi_dagster.vendors.archive import Archive
from cbi_dagster.vendors.arrivals import Arrival
from cbi_dagster.vendors.databento.conditions import Conditions
from cbi_dagster.vendors.databento.definitions import Definitions
from cbi_dagster.vendors.databento.landed_bars import Bars
from cbi_dagster.vendors.databento.statistics import Statistics
from cbi_dagster.vendors.decoded import Decoded
from cbi_dagster.vendors.files import (
    Content,
    content_of,
    shown,
)
from cbi_dagster.vendors.futures_eod import FuturesEod
from cbi_dagster.vendors.kinds import Examined, Kind, Landed, LandedFile
from cbi_dagster.vendors.macro import Macro
from cbi_dagster.vendors.posts.landed_posts import Posts
from cbi_dagster.vendors.register import ROWS_AT_ONCE, Register, Remembered
from cbi_dagster.warehouse.code import CodeAccount
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.hashing import content_hashes
from cbi_dagster.warehouse.ledger import NOTHING, Ledger
from cbi_dagster.warehouse.plan import read_intervals
from cbi_dagster.warehouse.slices import check_slice

#: Every kind of file that can be landed.
KINDS = (Bars, Statistics, Definitions, FuturesEod, Conditions, Macro, Posts)

Progress = Callable[[str, int, int], None]


def quietly(stage: str, done: int, total: int) -> None:
    """The progress of which nobody is told."""


def readers(table: Table, universe: Universe) -> list[Callable[..., Any]]:
    """The functions by which landed files become the input of a table; none for tables that read no landed files."""
    kinds = [kind for kind in KINDS if table in kind(universe).tables.values()]
    return [function for kind in kinds for function in (kind.examine, kind.read)]


def landed_code(universe: Universe) -> dict[str, tuple[Table, list[Callable[..., Any]]]]:
    """By landing source: the table of its rows, and the functions that judge its files and read what has landed.

    The universe is among them: kinds are made of it.
    """
    return {
        table.reads[0].source: (table, [load_universe, kind.examine, kind.corrections, kind.trade_dates, kind.read])
        for kind in KINDS
        for table in kind(universe).tables.values()
    }


@dataclass(frozen=True)
class Holdings:
    """What landed files say together: `kinds` by vendor schema, `schemas` by landing source."""

    landed: Landed
    kinds: Mapping[str, Kind]
    schemas: Mapping[str, str]

    def until(self, instant: pd.Timestamp) -> Holdings:
        """What they would say if every delivery had ended before an instant, be it in the middle of a session."""
        return replace(self, landed=self.landed.until(instant, self.kinds))

    def read(self, source: str, intervals: Sequence[Interval]) -> pd.DataFrame:
        """Merged rows of a landing source, as rows of its table, of the trade dates in `intervals`."""
        schema = self.schemas[source]
        return self.kinds[schema].read(schema, intervals, self.landed)

    def trade_dates(self, source: str) -> np.ndarray:
        """The trade dates (datetime64[D], ascending) that files of a landing source are about."""
        schema = self.schemas[source]
        return self.kinds[schema].trade_dates(self.landed.of(schema), self.landed)


class LandedFiles:
    """The landed files of one warehouse, and what they hold together."""

    def __init__(
        self, warehouse: Warehouse, archive: Archive, decoded: Decoded, universe: Universe, code: CodeAccount
    ) -> None:
        self._warehouse = warehouse
        self._archive = archive
        self._decoded = decoded
        self._code = code
        self._kinds: list[Kind] = [kind(universe) for kind in KINDS]
        self._kind_of = {schema: kind for kind in self._kinds for schema in kind.tables}
        self._table_of = {schema: table for kind in self._kinds for schema, table in kind.tables.items()}
        self._source_of = {schema: table.reads[0].source for schema, table in self._table_of.items()}
        self._held: tuple[list[tuple[str, int]], Holdings] | None = None

    def over(self, warehouse: Warehouse) -> Self:
        """The landing of the same files in another warehouse."""
        other = copy.copy(self)
        other._warehouse, other._held = warehouse, None
        return other

    def hand_over(self, other: LandedFiles, progress: Progress) -> int:
        """Copy every file that was ever landed into the archive of another landing; how many were not there."""
        files = {(file.file_hash, file.source_file) for file in self._log()}
        copied = 0
        with other._archive.landing():
            for number, (sha256, name) in enumerate(sorted(files)):
                progress("copying landed files", number, len(files))
                copied += other._archive.take_over(self._archive, sha256, name)
            other._archive.settle({sha256 for sha256, _ in files})
        return copied

    def read(self, source: str, intervals: Sequence[Interval]) -> pd.DataFrame:
        """Merged landed rows of a landing source, as rows of its table, of the trade dates in `intervals`."""
        current = Register(self._log(), pd.DataFrame()).current
        files = [(file.file_hash, file.landing_sequence) for file in current]
        # The slices of a build, one after the other, read of the same files.
        if self._held is None or self._held[0] != files:
            self._held = files, self.holdings()
        return self._held[1].read(source, intervals)

    def holdings(self) -> Holdings:
        """What the files that hold say together; what is read of them is remembered as far as ROWS_AT_ONCE reaches."""
        register = self._register()
        landed = self._together(register.current, register.symbols, [], Remembered())
        return Holdings(landed, self._kind_of, {source: schema for schema, source in self._source_of.items()})

    def delivered_symbols(self, dataset: str) -> Iterator[tuple[tuple[str, str, str], LandedFile]]:
        """Which file of a vendor's dataset was delivered for which schema, kind of symbol and symbol, in landing order.

        A parent (`ZL.FUT`) stands for its contracts. Files that do not say what they were asked by are left out.
        """
        register = self._register()
        files = pd.DataFrame(register.current, columns=LandedFile._fields)
        files = files[(files["dataset"] == dataset) & files["stype_in"].notna()]
        rows = files[["file_hash", "stype_in"]].merge(register.symbols[["file_hash", "symbol", "root"]], on="file_hash")
        rows["symbol"] = rows["symbol"].where(rows["stype_in"] != "parent", rows["root"] + ".FUT")
        by_hash = {file.file_hash: file for file in register.current}
        for file_hash, symbols in rows.groupby("file_hash", sort=False)["symbol"]:
            file = by_hash[str(file_hash)]
            for symbol in dict.fromkeys(symbols):
                yield (file.vendor_schema, str(file.stype_in), str(symbol)), file

    def files_of(self, schema: str) -> list[LandedFile]:
        """The files of a schema that hold, in landing order."""
        return [file for file in self._register().current if file.vendor_schema == schema]

    def kept_rows(self, file: LandedFile) -> pd.DataFrame:
        """The sound rows of a landed file, in columns of its kind's own."""
        return self._archived(file).kept

    def _register(self) -> Register:
        """What has become of files, and their symbology."""
        with self._warehouse.shared_connection():
            return Register(self._log(), to_frame(ops.LANDED_SYMBOLS, self._warehouse.read(ops.LANDED_SYMBOLS)))

    def _log(self) -> list[LandedFile]:
        files = to_frame(ops.LANDED_FILES, self._warehouse.read(ops.LANDED_FILES, columns=LandedFile._fields))
        rows = files.sort_values("landing_sequence").itertuples(index=False, name=None)
        return [LandedFile(*row) for row in rows]

    def _together(
        self, files: Sequence[LandedFile], symbols: pd.DataFrame, arrivals: Sequence[Arrival], remembered: Remembered
    ) -> Landed:
        """What has landed, files that have just arrived included."""
        delivered = {arrival.sha256: arrival.file for arrival in arrivals}

        def examined(file: LandedFile) -> Examined:
            found = remembered.get(file.file_hash)
            if found is None:
                place = delivered.get(file.file_hash)
                if place is None:
                    found = self._archived(file)
                else:
                    content = content_of(replace(place, name=file.source_file, sha256=file.file_hash))
                    found = self._kind_of[file.vendor_schema].examine(content, file.landed_at)
                remembered.add(file.file_hash, found)
            return found

        return Landed(files, symbols, examined)

    def _archived(self, file: LandedFile) -> Examined:
        """What a file of the archive holds, which is verified also where it was decoded before."""
        content, kind = self._archive.get(file.file_hash, file.source_file), self._kind_of[file.vendor_schema]
        if not kind.read_whole:
            return kind.examine(content, file.landed_at)
        found = self._decoded.get(file, self._code_version(file))
        if found is None:
            found = kind.examine(content, file.landed_at)
            self._decoded.put(file, self._code_version(file), found)
        return found

    def _code_version(self, file: LandedFile) -> str:
        """The present version of the code that judges a file."""
        return self._code.digests(self._warehouse)[self._source_of[file.vendor_schema]]

    def _rejected(self, file: LandedFile, examined: Examined) -> pd.DataFrame:
        return examined.rejected.assign(
            table_name=self._source_of[file.vendor_schema], file_hash=file.file_hash, source_file=file.source_file
        )

    def _corrections(self, file: LandedFile, landed: Landed) -> pd.DataFrame:
        """What a file changes of those before it, as rows of `ops.corrections`."""
        before = replace(
            landed, files=[other for other in landed.files if other.landing_sequence < file.landing_sequence]
        )
        found = self._kind_of[file.vendor_schema].corrections(file, before)
        return correction_rows(found, file, file.landed_at)

    def _ledger_rows(
        self, new: Sequence[LandedFile], landed: Landed, moment: pd.Timestamp, progress: Progress
    ) -> Iterator[pd.DataFrame]:
        """Content hashes of every trade date that the new files are about, and of those that the ledger still lacks.

        A trade date of a source without rows is known to be empty, which is different from not landed.
        """
        ledgers = self._warehouse.ledger_by_table(self._source_of.values())
        for schema, source in self._source_of.items():
            kind = self._kind_of[schema]
            every = kind.trade_dates(landed.of(schema), landed)
            lacking = np.setdiff1d(every, ledgers.get(source, NOTHING).keys)
            touched = kind.trade_dates([file for file in new if file.vendor_schema == schema], landed)
            dates = np.union1d(touched, lacking)
            yield from self._hashed(schema, dates, landed, moment, progress, len(every))

    def _hashed(
        self,
        schema: str,
        dates: np.ndarray,
        landed: Landed,
        moment: pd.Timestamp,
        progress: Progress = quietly,
        of_dates: int | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Ledger rows of trade dates of a schema (of the `of_dates` that its files are about, default: all of them)."""
        if not len(dates):
            return
        kind, table, source = self._kind_of[schema], self._table_of[schema], self._source_of[schema]
        version = self._code.digests(self._warehouse)[source]
        known = self._warehouse.ledger_by_table([source]).get(source, NOTHING)
        rows = sum(file.kept_rows for file in landed.of(schema)) * len(dates) // (of_dates or len(dates))
        parts = np.array_split(dates, rows // ROWS_AT_ONCE + 1)
        for number, part in enumerate(parts):
            progress(f"hashing trade dates of {schema}", number, len(parts))
            # The rows of a part go before those of the next one come.
            read = partial(kind.read, schema, read_intervals(table, table.reads[0], part), landed)
            yield _entries(source, table, part, read, moment, version, known)


def rows_of(table: Table, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames of a table's columns below each other; an empty frame with these columns for none."""
    names = [column.name for column in table.columns]
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True)[names] if filled else pd.DataFrame(columns=names)


def correction_rows(found: pd.DataFrame, file: LandedFile, moment: pd.Timestamp) -> pd.DataFrame:
    """What a kind says of its corrections as rows of `ops.corrections`; what it has no values of is NULL."""
    if found.empty:
        return pd.DataFrame()
    stamped = found.assign(file_hash=file.file_hash, vendor_schema=file.vendor_schema, landed_at=moment)
    empty = to_frame(ops.CORRECTIONS, ops.CORRECTIONS.arrow_schema().empty_table())
    rows = stamped.reindex(columns=empty.columns)
    return rows.astype({name: empty[name].dtype for name in empty.columns if name not in stamped})


def _entries(
    source: str,
    table: Table,
    dates: np.ndarray,
    read: Callable[[], pd.DataFrame],
    moment: pd.Timestamp,
    code_version: str,
    known: Ledger,
) -> pd.DataFrame:
    """Ledger rows of a landing source for its rows on `dates`; others are left out. Equal content stays as written."""
    landed = read()
    days = landed[table.partitioning.column].to_numpy().astype("datetime64[D]")
    rows = check_slice(table, dates, landed[np.isin(days, dates)])
    hashes = np.array(content_hashes(rows), dtype=object)
    at = known.at(dates)
    same = at >= 0
    same[same] = known.hashes[at[same]] == hashes[same]
    written_at = np.full(len(dates), moment.to_datetime64())
    written_at[same] = known.written_at[at[same]]
    return pd.DataFrame(
        {
            "table_name": source,
            "partition_key": dates.astype(str),
            "content_hash": hashes,
            "row_count": rows.row_counts,
            "written_at": pd.DatetimeIndex(written_at, tz="UTC"),
            "written_run": "landing",
            "code_version": code_version,
            "input_fingerprint": "",
            "verified_at": moment,
            "verified_run": "landing",
        }
    )


def landed_file(content: Content, examined: Examined, landed_at: pd.Timestamp) -> LandedFile:
    return LandedFile(
        file_hash=content.sha256,
        landing_sequence=-1,
        source_file=shown(content.name),
        file_bytes=len(content.data),
        dataset=examined.dataset,
        vendor_schema=examined.schema,
        stype_in=examined.stype_in,
        span_start=examined.start,
        span_end=examined.end,
        file_rows=examined.rows,
        kept_rows=len(examined.kept),
        rejected_rows=len(examined.rejected),
        outside_rows=sum(examined.outside.values()),
        landed_at=landed_at,
    )
