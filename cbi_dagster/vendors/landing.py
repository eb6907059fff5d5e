"""Landing: verified files become the platform's bars and macro series, by content hash and in landing order.

Files are kept as delivered, under their hash, and decoded on demand. A file is taken once; where files state the same,
the later one wins and the change is recorded. All facts of a landing, the content hash of every trade date it touches
included, are committed at once: a broken file changes nothing.
"""

from __future__ import annotations

import copy
import itertools
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
from cbi_dagster.vendors.arrivals import Arrival, Gathered, LandingReport, Withdrawal, landing_report
from cbi_dagster.vendors.databento.conditions import landed_conditions
from cbi_dagster.vendors.databento.landed_bars import Bars
from cbi_dagster.vendors.delivery import Delivery, open_delivery
from cbi_dagster.vendors.files import (
    Content,
    DeliveredFile,
    DeliveryError,
    LaterFeatureError,
    UnreadableFileError,
    content_of,
    shown,
)
from cbi_dagster.vendors.kinds import Examined, Kind, Landed, LandedFile
from cbi_dagster.vendors.macro import Macro
from cbi_dagster.vendors.register import ROWS_AT_ONCE, Register, Remembered, the_one
from cbi_dagster.warehouse.code import CodeAccount
from cbi_dagster.warehouse.contract import LandingFacts, RegistryMovedError, Warehouse, now_utc
from cbi_dagster.warehouse.hashing import content_hashes
from cbi_dagster.warehouse.ledger import NOTHING, Ledger
from cbi_dagster.warehouse.plan import read_intervals, stale_sources
from cbi_dagster.warehouse.slices import check_slice

#: Every kind of file that can be landed.
KINDS = (Bars, Macro)

Progress = Callable[[str, int, int], None]


class DatasetMismatchError(ValueError):
    """Files of another vendor dataset than the warehouse already holds: simulated and real data never mix."""


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

    def land(
        self, paths: Sequence[Path], progress: Progress = lambda stage, done, total: None, again: bool = False
    ) -> LandingReport:
        """Verify deliveries and take their new files: all of them, or none. Later `paths` win over earlier ones.

        With `again`, a file that was landed before and overruled since wins as if it were new. `progress(stage, done,
        total)` is called as files are worked on. Raises DeliveryError for a broken file, an ExceptionGroup of them for
        several, or DatasetMismatchError; no table has changed then.
        """
        with ExitStack() as stack:
            deliveries = [self._opened(path, stack) for path in paths]
            while True:
                gathered = self._gather(deliveries, progress, again)
                try:
                    self._commit(gathered)
                except RegistryMovedError:
                    continue  # another process has landed files meanwhile: what is new is asked again
                return landing_report(deliveries, gathered)

    def unland(self, which: str) -> Withdrawal:
        """Withdraw the landed file of this name, or of a hash that begins so: what it had changed comes back.

        The file stays in the archive and in the records; landing it once more takes it anew. Raises NotLandedError.
        """
        while True:
            register, moment = self._register(), now_utc()
            file = the_one(register.current, which)
            kind = self._kind_of[file.vendor_schema]
            before = self._together(register.current, register.symbols, [], Remembered())
            returned = kind.returns(file, before)
            after = replace(before, files=[other for other in before.files if other.file_hash != file.file_hash])
            record = file._replace(landing_sequence=len(register.log), withdrawn_at=moment)
            stamped = returned.assign(file_hash=file.file_hash, vendor_schema=file.vendor_schema, landed_at=moment)
            rows = {
                ops.LANDED_FILES: _rows_of(ops.LANDED_FILES, [pd.DataFrame([record], columns=LandedFile._fields)]),
                ops.CORRECTIONS: _rows_of(ops.CORRECTIONS, [stamped]),
            }
            dates = kind.trade_dates([file], before)
            hashed = self._hashed(file.vendor_schema, dates, after, moment, lambda stage, done, total: None)
            ledger = _rows_of(ops.PARTITION_LEDGER, list(hashed))
            self._code.record(self._warehouse)
            try:
                self._warehouse.take(LandingFacts(len(register.log), rows, ledger))
            except RegistryMovedError:
                continue
            return Withdrawal(record, rows[ops.CORRECTIONS])

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
            moment, remembered = now_utc(), Remembered()
            register = self._register()
            again, rejected = self._judged_again(register, sources, remembered, progress)
            files = again.current
            landed = self._together(files, again.symbols, [], remembered)
            corrections = [self._corrections(file, landed) for file in files]
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
                ops.LANDED_FILES: pd.DataFrame(again.log, columns=LandedFile._fields),
                ops.LANDED_SYMBOLS: again.symbols,
                ops.QUARANTINE: _rows_of(ops.QUARANTINE, rejected),
                ops.CORRECTIONS: _rows_of(ops.CORRECTIONS, [self._earlier_corrections(files), *corrections]),
            }
            self._code.record(self._warehouse)
            try:
                facts = LandingFacts(len(register.log), rows, _rows_of(ops.PARTITION_LEDGER, entries))
                self._warehouse.retake(facts, sources)
            except RegistryMovedError:
                continue  # another process has landed files meanwhile: they are read as well
            return found
        return {}

    def _judged_again(
        self, register: Register, sources: Collection[str], remembered: Remembered, progress: Progress
    ) -> tuple[Register, list[pd.DataFrame]]:
        """The register with what the present code says of the files of `sources`, and these files' rejects.

        A withdrawn file that is no longer taken stays as it was recorded.
        """
        current = {file.file_hash for file in register.current}
        judged: dict[str, LandedFile] = {}
        kept_symbols, rejected = [], []
        hashes = {file.file_hash: file for file in register.log}
        for number, (file_hash, file) in enumerate(hashes.items()):
            progress("reading landed files anew", number, len(hashes))
            known = register.symbols[register.symbols["file_hash"] == file_hash]
            if self._source_of[file.vendor_schema] not in sources:
                kept_symbols.append(known)
                continue
            try:
                content = self._archive.get(file_hash, file.source_file)
                examined = self._kind_of[file.vendor_schema].examine(content, file.landed_at)
            except DeliveryError:
                if file_hash in current:
                    raise
                kept_symbols.append(known)
                continue
            remembered.add(file_hash, examined)
            judged[file_hash] = _landed_file(content, examined, file.landed_at)
            kept_symbols.append(examined.symbols.assign(file_hash=file_hash))
            rejected.append(self._rejected(file, examined))
        log = [
            judged[row.file_hash]._replace(
                source_file=row.source_file,
                landing_sequence=row.landing_sequence,
                landed_at=row.landed_at,
                withdrawn_at=row.withdrawn_at,
            )
            if row.file_hash in judged
            else row
            for row in register.log
        ]
        return Register(log, _rows_of(ops.LANDED_SYMBOLS, kept_symbols)), rejected

    def _earlier_corrections(self, current: Sequence[LandedFile]) -> pd.DataFrame:
        """Recorded corrections of files that no longer hold, or not as they were landed then, and of withdrawals."""
        recorded = to_frame(ops.CORRECTIONS, self._warehouse.read(ops.CORRECTIONS))
        holding = pd.MultiIndex.from_tuples(
            [(file.file_hash, file.landed_at) for file in current], names=["file_hash", "landed_at"]
        )
        return recorded[~pd.MultiIndex.from_frame(recorded[["file_hash", "landed_at"]]).isin(holding)]

    def _rejected(self, file: LandedFile, examined: Examined) -> pd.DataFrame:
        return examined.rejected.assign(
            table_name=self._source_of[file.vendor_schema], file_hash=file.file_hash, source_file=file.source_file
        )

    def read(self, source: str, intervals: Sequence[Interval]) -> pd.DataFrame:
        """Merged landed rows of a landing source, as rows of its table, of the trade dates in `intervals`."""
        (schema,) = (schema for schema, own in self._source_of.items() if own == source)
        register = self._register()
        landed = self._together(register.current, register.symbols, [], Remembered())
        return self._kind_of[schema].read(schema, intervals, landed)

    def _opened(self, path: Path, stack: ExitStack) -> Delivery:
        try:
            return stack.enter_context(open_delivery(path, self._kinds))
        except DeliveryError:
            raise
        except Exception as error:
            raise _unforeseen(path, error) from error

    def _gather(self, deliveries: Sequence[Delivery], progress: Progress, again: bool) -> Gathered:
        """All that there is to know of the delivered files; nothing has changed yet."""
        landed_at, remembered = now_utc(), Remembered()
        register = self._register()
        current = register.current
        arrivals, left = self._examine(
            deliveries, {file.file_hash for file in current}, landed_at, remembered, progress
        )
        arrivals = self._overruled(arrivals, register, landed_at, remembered, again)
        found = [arrival for arrival in arrivals if arrival.landed]
        new = [
            arrival.landed._replace(landing_sequence=len(register.log) + number)
            for number, arrival in enumerate(found)
            if arrival.landed
        ]
        taken = {file.file_hash for file in new}
        files = [*(file for file in current if file.file_hash not in taken), *new]
        self._require_one_dataset(files)
        # What is known of content that was landed before and withdrawn is known still.
        recorded = {file.file_hash for file in register.log}
        first = [
            (arrival.landed, arrival.examined)
            for arrival in found
            if arrival.landed and arrival.examined and arrival.sha256 not in recorded
        ]
        added = [examined.symbols.assign(file_hash=file.file_hash) for file, examined in first]
        symbols = _rows_of(ops.LANDED_SYMBOLS, [register.symbols, *added])
        landed = self._together(files, symbols, arrivals, remembered)
        rejected = [self._rejected(file, examined) for file, examined in first]
        conditions, alone = self._conditions(deliveries, arrivals, files, landed_at)
        rows = {
            ops.LANDED_FILES: _rows_of(ops.LANDED_FILES, [pd.DataFrame(new, columns=LandedFile._fields)]),
            ops.LANDED_SYMBOLS: _rows_of(ops.LANDED_SYMBOLS, added),
            ops.QUARANTINE: _rows_of(ops.QUARANTINE, rejected),
            ops.CORRECTIONS: _rows_of(ops.CORRECTIONS, [self._corrections(file, landed) for file in new]),
            ops.VENDOR_CONDITIONS: _rows_of(ops.VENDOR_CONDITIONS, conditions),
            ops.INGESTION_RUNS: _run_rows(new),
        }
        ledger = list(self._ledger_rows(new, landed, landed_at, progress))
        facts = LandingFacts(len(register.log), rows, _rows_of(ops.PARTITION_LEDGER, ledger))
        return Gathered(
            arrivals, landed, facts, (*left, *(f"{shown(place.name)}: no data lies beside it" for place in alone))
        )

    def _overruled(
        self,
        arrivals: Sequence[Arrival],
        register: Register,
        landed_at: pd.Timestamp,
        remembered: Remembered,
        again: bool,
    ) -> list[Arrival]:
        """The arrivals, those known already told apart by whether later files changed what they say."""
        current = {file.file_hash: file for file in register.current}
        landed = self._together(register.current, register.symbols, [], remembered)
        judged = []
        for arrival in arrivals:
            file = current.get(arrival.sha256)
            if file is not None and arrival.landed is None and self._changed_since(file, landed):
                winning = file._replace(landed_at=landed_at) if again else None
                arrival = replace(arrival, landed=winning, outcome="landed" if again else "overruled")
            judged.append(arrival)
        return judged

    def _changed_since(self, file: LandedFile, landed: Landed) -> bool:
        """Whether files that were landed later changed what a file says."""
        others = [other for other in landed.files if other.file_hash != file.file_hash]
        later = [
            other
            for other in others
            if other.landing_sequence > file.landing_sequence
            and other.vendor_schema == file.vendor_schema
            and other.span_start < file.span_end
            and other.span_end > file.span_start
        ]
        kind = self._kind_of[file.vendor_schema]
        return bool(later) and bool(len(kind.corrections(file, replace(landed, files=others))))

    def _conditions(
        self,
        deliveries: Sequence[Delivery],
        arrivals: Sequence[Arrival],
        files: Sequence[LandedFile],
        landed_at: pd.Timestamp,
    ) -> tuple[list[pd.DataFrame], list[Path]]:
        """What the vendor says of its days beside the bars of a delivery."""
        places = [place for delivery in deliveries for place in delivery.conditions]
        if not places:
            return [], []
        datasets = {file.file_hash: file.dataset for file in files if self._kind_of[file.vendor_schema].one_dataset}
        beside = {a.file.path.parent: datasets[a.sha256] for a in arrivals if a.sha256 in datasets}
        known = self._warehouse.read(ops.VENDOR_CONDITIONS, columns=["file_hash"])["file_hash"].to_pylist()
        return landed_conditions(places, beside, set(known), landed_at)

    def _commit(self, gathered: Gathered) -> None:
        """Keep the delivered files, and take what is known of the new ones.

        What was put in vain, by this process or by one that was killed, does not stay.
        """
        names = {file.file_hash: file.source_file for file in gathered.landed.files}
        with self._archive.landing():
            try:
                self._archive.settle({file.file_hash for file in self._register().log})
                for arrival in gathered.arrivals:
                    needed = arrival.file.symbology if arrival.examined and arrival.examined.by_symbology else None
                    self._archive.put(arrival.file.path, arrival.sha256, names[arrival.sha256], needed)
                if any(len(rows) for rows in gathered.facts.rows.values()):
                    self._code.record(self._warehouse)
                    self._warehouse.take(gathered.facts)
            finally:
                self._archive.settle({file.file_hash for file in self._register().log})

    def _register(self) -> Register:
        """What has become of files, and their symbology."""
        files = to_frame(ops.LANDED_FILES, self._warehouse.read(ops.LANDED_FILES, columns=LandedFile._fields))
        symbols = to_frame(ops.LANDED_SYMBOLS, self._warehouse.read(ops.LANDED_SYMBOLS))
        rows = files.sort_values("landing_sequence").itertuples(index=False, name=None)
        return Register([LandedFile(*row) for row in rows], symbols)

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
                    content = self._archive.get(file.file_hash, file.source_file)
                else:
                    content = content_of(replace(place, name=file.source_file, sha256=file.file_hash))
                found = self._kind_of[file.vendor_schema].examine(content, file.landed_at)
                remembered.add(file.file_hash, found)
            return found

        return Landed(files, symbols, examined)

    def _examine(
        self,
        deliveries: Sequence[Delivery],
        known: set[str],
        landed_at: pd.Timestamp,
        remembered: Remembered,
        progress: Progress,
    ) -> tuple[list[Arrival], tuple[str, ...]]:
        """Every delivered file, those that are new read to their end; in order of time within each delivery.

        And what is said of those that nothing is made of yet, as long as there are others.
        """
        total, done = sum(len(delivery.files) for delivery in deliveries), itertools.count()
        arrivals: list[Arrival] = []
        broken: list[DeliveryError] = []
        later: list[LaterFeatureError] = []
        for delivery in deliveries:
            own = []
            for file in delivery.files:
                progress("reading files", next(done), total)
                try:
                    arrival, examined = self._read(file, known, landed_at)
                except LaterFeatureError as error:
                    later.append(error)
                except DeliveryError as error:
                    broken.append(error)
                except Exception as error:
                    broken.append(_unforeseen(file.path, error))
                else:
                    own.append(arrival)
                    known.add(arrival.sha256)
                    if examined is not None:
                        remembered.add(arrival.sha256, examined)
            arrivals += sorted(own, key=lambda arrival: arrival.order)
        refused = broken if broken or arrivals else [*later]
        if len(refused) == 1:
            raise refused[0]
        if refused:
            raise ExceptionGroup(f"{len(refused)} of {total} files are refused", refused)
        return arrivals, tuple(f"{shown(error.file.name)}: {error.what}" for error in later)

    def _read(self, file: DeliveredFile, known: set[str], landed_at: pd.Timestamp) -> tuple[Arrival, Examined | None]:
        """A delivered file, and what it holds unless it is known already."""
        content = content_of(file)
        if content.sha256 in known:
            return Arrival(file, content.sha256, outcome="already landed"), None
        kind = next(kind for kind in self._kinds if kind.recognises(file.name))
        examined = kind.examine(content, landed_at)
        # A copy, since a slice would keep all rows in memory.
        alone = replace(examined, kept=examined.kept.iloc[:0].copy())
        return Arrival(file, content.sha256, _landed_file(content, examined, landed_at), alone), examined

    def _require_one_dataset(self, files: Sequence[LandedFile]) -> None:
        datasets = {file.dataset for file in files if self._kind_of[file.vendor_schema].one_dataset}
        if len(datasets) > 1:
            raise DatasetMismatchError(
                f"the warehouse would mix the datasets {', '.join(sorted(datasets))}: "
                "land each dataset under a CBI_HOME of its own"
            )

    def _corrections(self, file: LandedFile, landed: Landed) -> pd.DataFrame:
        """What a file changes of those before it, as rows of `ops.corrections`."""
        before = replace(
            landed, files=[other for other in landed.files if other.landing_sequence < file.landing_sequence]
        )
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


def _unforeseen(path: Path, error: Exception) -> DeliveryError:
    """A failure that nobody has a name for is one of the file that was being read."""
    return UnreadableFileError(
        path,
        f"reading it failed ({type(error).__name__}: {error})",
        "Leave it out, or download it again; if that does not help, report this with the file",
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
            "event_id": f"landing:{file.landing_sequence}:{file.file_hash}",
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
