"""Landing: verified files become the platform's bars and macro series, by content hash and in landing order.

Files are kept as delivered, under their hash, and decoded on demand. A file is taken once; where files state the same,
the later one wins and the change is recorded. All facts of a landing, the content hash of every trade date it touches
included, are committed at once: a broken file changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables import ops
from cbi_dagster.config.universe import Universe
from cbi_dagster.vendors.archive import Archive
from cbi_dagster.vendors.databento.landed_bars import Bars
from cbi_dagster.vendors.delivery import Delivery, open_delivery
from cbi_dagster.vendors.files import DeliveredFile, DeliveryError, content_of
from cbi_dagster.vendors.kinds import Examined, Kind, Landed, LandedFile
from cbi_dagster.vendors.macro import Macro
from cbi_dagster.warehouse.contract import (
    LandingFacts,
    RegistryMovedError,
    Warehouse,
    check_slice,
    now_utc,
    to_frame,
)
from cbi_dagster.warehouse.hashing import content_hashes
from cbi_dagster.warehouse.ledger import NOTHING
from cbi_dagster.warehouse.plan import read_intervals

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


@dataclass(frozen=True)
class _Arrival:
    """A delivered file. `landed` and `examined` are None where its content is known already; `examined.kept` may have
    been let go of, then it is read again where it is needed."""

    file: DeliveredFile
    sha256: str
    landed: LandedFile | None
    examined: Examined | None

    @property
    def order(self) -> tuple[str, pd.Timestamp, str]:
        """In time within a schema."""
        if self.landed is None:
            return "", pd.Timestamp.min.tz_localize("UTC"), self.file.name
        return self.landed.vendor_schema, self.landed.span_start, self.file.name


class Landing:
    """The landed files of one warehouse: taking new ones, and reading what they hold together."""

    def __init__(self, warehouse: Warehouse, archive: Archive, universe: Universe) -> None:
        self._warehouse = warehouse
        self._archive = archive
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
                arrivals, facts, landed = self._gather(deliveries, progress)
                try:
                    self._commit(arrivals, facts, landed)
                except RegistryMovedError:
                    continue  # another process has landed files meanwhile: what is new is asked again
                return _report(deliveries, arrivals, facts)

    def read(self, source: str, intervals: Sequence[Interval]) -> pd.DataFrame:
        """Merged landed rows of a landing source, as rows of its table, of the trade dates in the inclusive
        `intervals`."""
        (schema,) = (schema for schema, own in self._source_of.items() if own == source)
        files, symbols = self._registry()
        return self._kind_of[schema].read(schema, intervals, self._together(files, symbols, []))

    def _registry(self) -> tuple[list[LandedFile], pd.DataFrame]:
        """Landed files in landing order, and their symbology."""
        files = to_frame(ops.LANDED_FILES, self._warehouse.read(ops.LANDED_FILES, columns=LandedFile._fields))
        symbols = to_frame(ops.LANDED_SYMBOLS, self._warehouse.read(ops.LANDED_SYMBOLS))
        rows = files.sort_values("landing_sequence").itertuples(index=False, name=None)
        return [LandedFile(*row) for row in rows], symbols

    def _together(self, files: list[LandedFile], symbols: pd.DataFrame, arrivals: Sequence[_Arrival]) -> Landed:
        """What has landed, files that have just arrived included."""
        delivered = {arrival.sha256: arrival for arrival in arrivals}

        def kept(file: LandedFile) -> pd.DataFrame:
            arrival = delivered.get(file.file_hash)
            if arrival is None:
                content = self._archive.get(file.file_hash, file.source_file)
            elif arrival.examined is not None and len(arrival.examined.kept) == file.kept_rows:
                return arrival.examined.kept
            else:
                content = content_of(replace(arrival.file, name=file.source_file))
            return self._kind_of[file.vendor_schema].examine(content, file.landed_at).kept

        return Landed(files, symbols, kept)

    def _gather(
        self, deliveries: Sequence[Delivery], progress: Progress
    ) -> tuple[list[_Arrival], LandingFacts, Landed]:
        """All that there is to know of the delivered files; nothing has changed yet."""
        landed_at = now_utc()
        files, symbols = self._registry()
        arrivals = self._examine(deliveries, {file.file_hash for file in files}, landed_at, progress)
        found = [(arrival.landed, arrival.examined) for arrival in arrivals if arrival.landed and arrival.examined]
        new = [file._replace(landing_sequence=len(files) + number) for number, (file, _) in enumerate(found)]
        self._require_one_dataset([*files, *new])
        new_symbols = _rows_of(
            ops.LANDED_SYMBOLS, [examined.symbols.assign(file_hash=file.file_hash) for file, examined in found]
        )
        rejected = [
            examined.rejected.assign(
                table_name=self._source_of[file.vendor_schema], file_hash=file.file_hash, source_file=file.source_file
            )
            for file, examined in found
        ]
        landed = self._together([*files, *new], _rows_of(ops.LANDED_SYMBOLS, [symbols, new_symbols]), arrivals)
        rows = {
            ops.LANDED_FILES: _rows_of(ops.LANDED_FILES, [pd.DataFrame(new, columns=LandedFile._fields)]),
            ops.LANDED_SYMBOLS: new_symbols,
            ops.QUARANTINE: _rows_of(ops.QUARANTINE, rejected),
            ops.CORRECTIONS: _rows_of(ops.CORRECTIONS, list(self._corrections(landed, len(files)))),
            ops.INGESTION_RUNS: _run_rows(new),
        }
        return arrivals, LandingFacts(len(files), rows, self._ledger_rows(new, landed, landed_at, progress)), landed

    def _commit(self, arrivals: Sequence[_Arrival], facts: LandingFacts, landed: Landed) -> None:
        """Keep the delivered files, and take what is known of the new ones."""
        names = {file.file_hash: file.source_file for file in landed.files}
        for arrival in arrivals:
            self._archive.put(arrival.file.path, arrival.sha256, names[arrival.sha256])
        if len(landed.files) > facts.registered:
            self._warehouse.take(facts)

    def _examine(
        self, deliveries: Sequence[Delivery], known: set[str], landed_at: pd.Timestamp, progress: Progress
    ) -> list[_Arrival]:
        """Every delivered file, those that are new read to their end; in order of time within each delivery."""
        total, done, remembered = sum(len(delivery.files) for delivery in deliveries), 0, 0
        arrivals: list[_Arrival] = []
        broken: list[DeliveryError] = []
        for delivery in deliveries:
            own = []
            for file in delivery.files:
                progress("reading files", done, total)
                done += 1
                try:
                    arrival = self._arrival(file, known, landed_at)
                except DeliveryError as error:
                    broken.append(error)
                    continue
                known = known | {arrival.sha256}
                if arrival.examined is not None:
                    if remembered + len(arrival.examined.kept) <= ROWS_AT_ONCE:
                        remembered += len(arrival.examined.kept)
                    else:
                        let_go = replace(arrival.examined, kept=arrival.examined.kept.iloc[:0])
                        arrival = replace(arrival, examined=let_go)
                own.append(arrival)
            arrivals += sorted(own, key=lambda arrival: arrival.order)
        if len(broken) == 1:
            raise broken[0]
        if broken:
            raise ExceptionGroup(f"{len(broken)} of {total} files are broken", broken)
        return arrivals

    def _arrival(self, file: DeliveredFile, known: Set[str], landed_at: pd.Timestamp) -> _Arrival:
        content = content_of(file)
        if content.sha256 in known:
            return _Arrival(file, content.sha256, None, None)
        kind = next(kind for kind in self._kinds if kind.recognises(file.name))
        examined = kind.examine(content, landed_at)
        landed = LandedFile(
            file_hash=content.sha256,
            landing_sequence=-1,
            source_file=file.name,
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
        return _Arrival(file, content.sha256, landed, examined)

    def _require_one_dataset(self, files: Sequence[LandedFile]) -> None:
        datasets = {file.dataset for file in files if self._kind_of[file.vendor_schema].one_dataset}
        if len(datasets) > 1:
            raise DatasetMismatchError(
                f"the warehouse would mix the datasets {', '.join(sorted(datasets))}: "
                "land each dataset under a CBI_HOME of its own"
            )

    def _corrections(self, landed: Landed, registered: int) -> Iterator[pd.DataFrame]:
        """What each file after the first `registered` ones changes of those before it."""
        for number in range(registered, len(landed.files)):
            file = landed.files[number]
            found = self._kind_of[file.vendor_schema].corrections(file, replace(landed, files=landed.files[:number]))
            yield found.assign(file_hash=file.file_hash, vendor_schema=file.vendor_schema, landed_at=file.landed_at)

    def _ledger_rows(
        self, new: Sequence[LandedFile], landed: Landed, moment: pd.Timestamp, progress: Progress
    ) -> pd.DataFrame:
        """Content hashes of every trade date that the new files are about, and of those that the ledger still lacks.

        A trade date of a source without rows is known to be empty, which is different from not landed.
        """
        ledgers = self._warehouse.ledger_by_table(self._source_of.values())
        entries = []
        for schema, source in self._source_of.items():
            kind, table = self._kind_of[schema], self._table_of[schema]
            every = kind.trade_dates(landed.of(schema), landed)
            lacking = np.setdiff1d(every, ledgers.get(source, NOTHING).keys)
            touched = kind.trade_dates([file for file in new if file.vendor_schema == schema], landed)
            dates = np.union1d(touched, lacking)
            rows = sum(file.kept_rows for file in landed.of(schema)) * len(dates) // max(len(every), 1)
            parts = np.array_split(dates, rows // ROWS_AT_ONCE + 1)
            for number, part in enumerate(parts):
                progress(f"hashing trade dates of {schema}", number, len(parts))
                entries.append(
                    _ledger_rows(source, table, part, kind.read(schema, _intervals(table, part), landed), moment)
                )
        return pd.concat(entries, ignore_index=True)


def _intervals(table: Table, dates: np.ndarray) -> list[Interval]:
    return read_intervals(table, table.reads[0], dates)


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


def _ledger_rows(
    source: str, table: Table, dates: np.ndarray, landed: pd.DataFrame, moment: pd.Timestamp
) -> pd.DataFrame:
    """Ledger rows of a landing source for its rows on `dates`; others are left out."""
    days = landed[table.partitioning.column].to_numpy().astype("datetime64[D]")
    rows = check_slice(table, dates, landed[np.isin(days, dates)])
    return pd.DataFrame(
        {
            "table_name": source,
            "partition_key": dates.astype(str),
            "content_hash": content_hashes(rows),
            "row_count": rows.row_counts,
            "written_at": moment,
            "written_run": "landing",
            "code_version": "1",
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
