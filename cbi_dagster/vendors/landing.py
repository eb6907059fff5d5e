"""Landing: verified files become the platform's bars and macro series, by content hash and in landing order.

Files are kept as delivered, under their hash, and decoded on demand. A file is taken once; where files state the same,
the later one wins and the change is recorded. All facts of a landing, the content hash of every trade date it touches
included, are committed at once: a broken file changes nothing.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables import ops
from cbi_dagster.config.universe import Universe, load_universe
from cbi_dagster.vendors.archive import Archive
from cbi_dagster.vendors.databento.landed_bars import Bars
from cbi_dagster.vendors.delivery import Delivery, open_delivery
from cbi_dagster.vendors.files import Content, DeliveredFile, DeliveryError, content_of
from cbi_dagster.vendors.kinds import Examined, Kind, Landed, LandedFile
from cbi_dagster.vendors.macro import Macro
from cbi_dagster.warehouse.code import CodeAccount
from cbi_dagster.warehouse.contract import LandingFacts, RegistryMovedError, Warehouse, now_utc
from cbi_dagster.warehouse.hashing import content_hashes
from cbi_dagster.warehouse.ledger import NOTHING, Ledger
from cbi_dagster.warehouse.plan import read_intervals, stale_sources
from cbi_dagster.warehouse.slices import check_slice

#: Every kind of file that can be landed.
KINDS = (Bars, Macro)

#: Rows of files that are kept in memory during a landing, and merged at once; files beyond them are read again.
ROWS_AT_ONCE = 2_000_000

Progress = Callable[[str, int, int], None]


class DatasetMismatchError(ValueError):
    """Files of another vendor dataset than the warehouse already holds: simulated and real data never mix."""


@dataclass(frozen=True)
class LandingReport:
    """What a landing did.

    `files`: one row per delivered file (`source_file`, `outcome` in landed / already landed, and the columns of
    `ops.landed_files` for landed ones). `rejected`, `corrections`: rows of `ops.quarantine` and `ops.corrections`.
    `outside`: rows per symbol outside the universe. `ignored`: names of files that hold no data.
    """

    files: pd.DataFrame
    rejected: pd.DataFrame
    corrections: pd.DataFrame
    outside: dict[str, int]
    ignored: tuple[str, ...]


def is_delivered_name(name: str) -> bool:
    """Whether a file of this name can be landed, alone or as a batch zip."""
    return name.endswith(".zip") or any(kind.recognises(name) for kind in KINDS)


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
class ReadAnew:
    """What reading a landing source anew found: trade dates whose content `changed`, and others that were `confirmed`.

    A trade date that is no longer among those of the files counts as changed.
    """

    files: int
    changed: int
    confirmed: int


@dataclass(frozen=True)
class _Arrival:
    """A delivered file; `landed` and `examined` (whose kept rows are elsewhere) are None for content known already."""

    file: DeliveredFile
    sha256: str
    landed: LandedFile | None = None
    examined: Examined | None = None

    @property
    def order(self) -> tuple[str, pd.Timestamp, str]:
        """In time within a schema."""
        if self.landed is None:
            return "", pd.Timestamp(0, tz="UTC"), self.file.name
        return self.landed.vendor_schema, self.landed.span_start, self.file.name


class _Remembered:
    """Kept rows by the hash of their file, as far as ROWS_AT_ONCE reaches."""

    def __init__(self) -> None:
        self._rows: dict[str, pd.DataFrame] = {}
        self._room = ROWS_AT_ONCE

    def add(self, file_hash: str, rows: pd.DataFrame) -> None:
        if len(rows) <= self._room:
            self._rows[file_hash] = rows
            self._room -= len(rows)

    def get(self, file_hash: str) -> pd.DataFrame | None:
        return self._rows.get(file_hash)


class Landing:
    """The landed files of one warehouse: taking new ones, and reading what they hold together."""

    def __init__(self, warehouse: Warehouse, archive: Archive, universe: Universe, code: CodeAccount) -> None:
        self._warehouse = warehouse
        self._archive = archive
        self._code = code
        self._kinds: list[Kind] = [kind(universe) for kind in KINDS]
        self._kind_of = {schema: kind for kind in self._kinds for schema in kind.tables}
        self._table_of = {schema: table for kind in self._kinds for schema, table in kind.tables.items()}
        self._source_of = {schema: table.reads[0].source for schema, table in self._table_of.items()}

    def land(self, paths: Sequence[Path], progress: Progress = lambda stage, done, total: None) -> LandingReport:
        """Verify deliveries and take their new files: all of them, or none. Later `paths` win over earlier ones.

        `progress(stage, done, total)` is called as files are worked on. Raises DeliveryError for a broken file, an
        ExceptionGroup of them for several, or DatasetMismatchError; no table has changed then.
        """
        with ExitStack() as stack:
            deliveries = [stack.enter_context(open_delivery(path, self._kinds)) for path in paths]
            while True:
                arrivals, landed, facts = self._gather(deliveries, progress)
                try:
                    self._commit(arrivals, landed, facts)
                except RegistryMovedError:
                    continue  # another process has landed files meanwhile: what is new is asked again
                return _report(deliveries, arrivals, facts)

    def over(self, warehouse: Warehouse) -> Landing:
        """The landing of the same files in another warehouse."""
        other = copy.copy(self)
        other._warehouse = warehouse
        return other

    def stale(self) -> dict[str, str]:
        """Landing sources that must be read anew, with the reason: other code or settings read them last."""
        ledgers = self._warehouse.ledger_by_table(self._source_of.values())
        digests = self._code.digests(self._warehouse)

        def changes(source: str, earlier: str) -> tuple[str, ...] | None:
            return self._code.changes_since(self._warehouse, source, earlier)

        found = stale_sources(ledgers, digests, changes)
        files = self._warehouse.read(ops.LANDED_FILES, columns=("vendor_schema", "kept_rows"))
        with_rows = {row["vendor_schema"] for row in files.to_pylist() if row["kept_rows"]}
        for schema in with_rows & self._source_of.keys():
            if self._source_of[schema] not in ledgers:
                found[self._source_of[schema]] = "the ledger has lost what was landed"
        return found

    def read_anew(self, progress: Progress = lambda stage, done, total: None) -> dict[str, ReadAnew]:
        """Judge and read the kept files of every stale source again, by source, as if they were landed now.

        All that is known of them changes at once. Trade dates whose content comes out equal are confirmed, and nothing
        that is made of them is stale. Raises a DeliveryError for a kept file that is missing or no longer taken.
        """
        while sources := self.stale():
            registered, known = self._registry()
            moment, remembered = now_utc(), _Remembered()
            files, symbols, rejected = self._judged_again(registered, known, sources, remembered, progress)
            landed = self._together(files, symbols, [], remembered)
            corrections = _rows_of(ops.CORRECTIONS, [self._corrections(file, landed) for file in files])
            entries, found = [_rows_of(ops.PARTITION_LEDGER, [])], {}
            for source in sources:
                (schema,) = (schema for schema, own in self._source_of.items() if own == source)
                before = self._warehouse.ledger_by_table([source]).get(source, NOTHING)
                every = self._kind_of[schema].trade_dates(landed.of(schema), landed)
                own = _rows_of(ops.PARTITION_LEDGER, [*self._hashed(schema, every, landed, moment, progress)])
                entries.append(own)
                changed = int((own["written_at"] == moment).sum()) + len(np.setdiff1d(before.keys, every))
                confirmed = int((own["written_at"] != moment).sum())
                found[source] = ReadAnew(len(landed.of(schema)), changed, confirmed)
            rows = {
                ops.LANDED_FILES: pd.DataFrame(files, columns=LandedFile._fields),
                ops.LANDED_SYMBOLS: symbols,
                ops.QUARANTINE: _rows_of(ops.QUARANTINE, rejected),
                ops.CORRECTIONS: corrections,
            }
            self._code.record(self._warehouse)
            try:
                facts = LandingFacts(len(registered), rows, _rows_of(ops.PARTITION_LEDGER, entries))
                self._warehouse.retake(facts, sources)
            except RegistryMovedError:
                continue  # another process has landed files meanwhile: they are read as well
            return found
        return {}

    def _judged_again(
        self,
        files: Sequence[LandedFile],
        symbols: pd.DataFrame,
        sources: Collection[str],
        remembered: _Remembered,
        progress: Progress,
    ) -> tuple[list[LandedFile], pd.DataFrame, list[pd.DataFrame]]:
        """All files with what the present code says of those of `sources`; all symbology, and these files' rejects."""
        known, kept_symbols, rejected = [], [], []
        for number, file in enumerate(files):
            progress("reading landed files anew", number, len(files))
            source = self._source_of[file.vendor_schema]
            if source not in sources:
                known.append(file)
                kept_symbols.append(symbols[symbols["file_hash"] == file.file_hash])
                continue
            content = self._archive.get(file.file_hash, file.source_file)
            examined = self._kind_of[file.vendor_schema].examine(content, file.landed_at)
            remembered.add(file.file_hash, examined.kept)
            found = _landed_file(content, examined, file.landed_at)
            known.append(found._replace(landing_sequence=file.landing_sequence))
            kept_symbols.append(examined.symbols.assign(file_hash=file.file_hash))
            rejected.append(self._rejected(file, examined))
        return known, _rows_of(ops.LANDED_SYMBOLS, kept_symbols), rejected

    def _rejected(self, file: LandedFile, examined: Examined) -> pd.DataFrame:
        return examined.rejected.assign(
            table_name=self._source_of[file.vendor_schema], file_hash=file.file_hash, source_file=file.source_file
        )

    def read(self, source: str, intervals: Sequence[Interval]) -> pd.DataFrame:
        """Merged landed rows of a landing source, as rows of its table, of the trade dates in `intervals`."""
        (schema,) = (schema for schema, own in self._source_of.items() if own == source)
        return self._kind_of[schema].read(schema, intervals, self._together(*self._registry(), [], _Remembered()))

    def _gather(
        self, deliveries: Sequence[Delivery], progress: Progress
    ) -> tuple[list[_Arrival], Landed, LandingFacts]:
        """All that there is to know of the delivered files; nothing has changed yet."""
        landed_at, remembered = now_utc(), _Remembered()
        files, symbols = self._registry()
        arrivals = self._examine(deliveries, {file.file_hash for file in files}, landed_at, remembered, progress)
        found = [(arrival.landed, arrival.examined) for arrival in arrivals if arrival.landed and arrival.examined]
        new = [file._replace(landing_sequence=len(files) + number) for number, (file, _) in enumerate(found)]
        self._require_one_dataset([*files, *new])
        added = [examined.symbols.assign(file_hash=file.file_hash) for file, examined in found]
        symbols = _rows_of(ops.LANDED_SYMBOLS, [symbols, *added])
        landed = self._together([*files, *new], symbols, arrivals, remembered)
        rejected = [self._rejected(file, examined) for file, examined in found]
        rows = {
            ops.LANDED_FILES: _rows_of(ops.LANDED_FILES, [pd.DataFrame(new, columns=LandedFile._fields)]),
            ops.LANDED_SYMBOLS: _rows_of(ops.LANDED_SYMBOLS, added),
            ops.QUARANTINE: _rows_of(ops.QUARANTINE, rejected),
            ops.CORRECTIONS: _rows_of(ops.CORRECTIONS, [self._corrections(file, landed) for file in new]),
            ops.INGESTION_RUNS: _run_rows(new),
        }
        ledger = list(self._ledger_rows(new, landed, landed_at, progress))
        return arrivals, landed, LandingFacts(len(files), rows, _rows_of(ops.PARTITION_LEDGER, ledger))

    def _commit(self, arrivals: Sequence[_Arrival], landed: Landed, facts: LandingFacts) -> None:
        """Keep the delivered files, and take what is known of the new ones."""
        names = {file.file_hash: file.source_file for file in landed.files}
        for arrival in arrivals:
            self._archive.put(arrival.file.path, arrival.sha256, names[arrival.sha256])
        if len(landed.files) > facts.registered:
            self._code.record(self._warehouse)
            self._warehouse.take(facts)

    def _registry(self) -> tuple[list[LandedFile], pd.DataFrame]:
        """Landed files in landing order, and their symbology."""
        files = to_frame(ops.LANDED_FILES, self._warehouse.read(ops.LANDED_FILES, columns=LandedFile._fields))
        symbols = to_frame(ops.LANDED_SYMBOLS, self._warehouse.read(ops.LANDED_SYMBOLS))
        rows = files.sort_values("landing_sequence").itertuples(index=False, name=None)
        return [LandedFile(*row) for row in rows], symbols

    def _together(
        self, files: list[LandedFile], symbols: pd.DataFrame, arrivals: Sequence[_Arrival], remembered: _Remembered
    ) -> Landed:
        """What has landed, files that have just arrived included."""
        delivered = {arrival.sha256: arrival.file for arrival in arrivals}

        def kept(file: LandedFile) -> pd.DataFrame:
            rows = remembered.get(file.file_hash)
            if rows is None:
                place = delivered.get(file.file_hash)
                if place is None:
                    content = self._archive.get(file.file_hash, file.source_file)
                else:
                    content = content_of(replace(place, name=file.source_file, sha256=file.file_hash))
                rows = self._kind_of[file.vendor_schema].examine(content, file.landed_at).kept
                remembered.add(file.file_hash, rows)
            return rows

        return Landed(files, symbols, kept)

    def _examine(
        self,
        deliveries: Sequence[Delivery],
        known: set[str],
        landed_at: pd.Timestamp,
        remembered: _Remembered,
        progress: Progress,
    ) -> list[_Arrival]:
        """Every delivered file, those that are new read to their end; in order of time within each delivery."""
        total, done = sum(len(delivery.files) for delivery in deliveries), itertools.count()
        arrivals: list[_Arrival] = []
        broken: list[DeliveryError] = []
        for delivery in deliveries:
            own = []
            for file in delivery.files:
                progress("reading files", next(done), total)
                try:
                    content = content_of(file)
                    if content.sha256 in known:
                        own.append(_Arrival(file, content.sha256))
                        continue
                    kind = next(kind for kind in self._kinds if kind.recognises(file.name))
                    examined = kind.examine(content, landed_at)
                except DeliveryError as error:
                    broken.append(error)
                    continue
                known.add(content.sha256)
                remembered.add(content.sha256, examined.kept)
                # A copy, since a slice would keep all rows in memory.
                alone = replace(examined, kept=examined.kept.iloc[:0].copy())
                own.append(_Arrival(file, content.sha256, _landed_file(content, examined, landed_at), alone))
            arrivals += sorted(own, key=lambda arrival: arrival.order)
        if len(broken) == 1:
            raise broken[0]
        if broken:
            raise ExceptionGroup(f"{len(broken)} of {total} files are broken", broken)
        return arrivals

    def _require_one_dataset(self, files: Sequence[LandedFile]) -> None:
        datasets = {file.dataset for file in files if self._kind_of[file.vendor_schema].one_dataset}
        if len(datasets) > 1:
            raise DatasetMismatchError(
                f"the warehouse would mix the datasets {', '.join(sorted(datasets))}: "
                "land each dataset under a CBI_HOME of its own"
            )

    def _corrections(self, file: LandedFile, landed: Landed) -> pd.DataFrame:
        """What a file changes of those before it, as rows of `ops.corrections`."""
        before = replace(landed, files=landed.files[: file.landing_sequence])
        found = self._kind_of[file.vendor_schema].corrections(file, before)
        return found.assign(file_hash=file.file_hash, vendor_schema=file.vendor_schema, landed_at=file.landed_at)

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
        progress: Progress,
        of_dates: int | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Ledger rows of trade dates of a schema (of the `of_dates` that its files are about, default: all of them)."""
        kind, table, source = self._kind_of[schema], self._table_of[schema], self._source_of[schema]
        version = self._code.digests(self._warehouse)[source]
        known = self._warehouse.ledger_by_table([source]).get(source, NOTHING)
        rows = sum(file.kept_rows for file in landed.of(schema)) * len(dates) // max(of_dates or len(dates), 1)
        parts = np.array_split(dates, rows // ROWS_AT_ONCE + 1) if len(dates) else []
        for number, part in enumerate(parts):
            progress(f"hashing trade dates of {schema}", number, len(parts))
            merged = kind.read(schema, read_intervals(table, table.reads[0], part), landed)
            yield _entries(source, table, part, merged, moment, version, known)


def _landed_file(content: Content, examined: Examined, landed_at: pd.Timestamp) -> LandedFile:
    return LandedFile(
        file_hash=content.sha256,
        landing_sequence=-1,
        source_file=content.name,
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


def _report(deliveries: Sequence[Delivery], arrivals: Sequence[_Arrival], facts: LandingFacts) -> LandingReport:
    new = facts.rows[ops.LANDED_FILES]
    files = pd.DataFrame(
        [(arrival.file.name, arrival.sha256, arrival.landed is not None) for arrival in arrivals],
        columns=["source_file", "file_hash", "new"],
    )
    files["outcome"] = np.where(files.pop("new"), "landed", "already landed")
    files = files.merge(
        new.drop(columns="source_file").assign(outcome="landed"), on=["file_hash", "outcome"], how="left"
    )
    outside: Counter[str] = Counter()
    for arrival in arrivals:
        outside.update(arrival.examined.outside if arrival.examined else {})
    return LandingReport(
        files=files,
        rejected=facts.rows[ops.QUARANTINE],
        corrections=facts.rows[ops.CORRECTIONS],
        outside=dict(outside),
        ignored=tuple(name for delivery in deliveries for name in delivery.ignored),
    )


def _rows_of(table: Table, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames of a table's columns below each other; an empty frame with these columns for none."""
    names = [column.name for column in table.columns]
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True)[names] if filled else pd.DataFrame(columns=names)


def _entries(
    source: str,
    table: Table,
    dates: np.ndarray,
    landed: pd.DataFrame,
    moment: pd.Timestamp,
    code_version: str,
    known: Ledger,
) -> pd.DataFrame:
    """Ledger rows of a landing source for its rows on `dates`; others are left out. Equal content stays as written."""
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


def _run_rows(files: Sequence[LandedFile]) -> pd.DataFrame:
    """A row of `ops.ingestion_runs` for each file."""
    ended_at = now_utc()
    rows = [
        {
            "event_id": f"landing:{file.file_hash}",
            "source": file.source_file,
            "run_status": "success",
            "started_at": file.landed_at,
            "ended_at": ended_at,
            "rows_in": file.file_rows,
            "rows_out": file.kept_rows,
            "rows_rejected": file.rejected_rows,
            "rows_held_back": 0,
        }
        for file in files
    ]
    return pd.DataFrame(rows).reindex(columns=[column.name for column in ops.INGESTION_RUNS.columns])
