"""What a warehouse is: the rules of writing, once, over the few primitives that an engine implements.

Whatever changes rows is one `Change`: content, its ledger rows, the rows left out and the run's row together. An engine
commits it as a whole or not at all, and refuses it when the state that it was worked out on has moved on since. That
is all an engine knows of writing; what is compared with what, and what is kept, is decided here.
"""

from __future__ import annotations

import abc
import datetime as dt
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.model import Column, Table
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables.ops import PARTITION_LEDGER
from cbi_dagster.catalog.views import View
from cbi_dagster.warehouse.changes import Change, Gone, LeftOutRows, Provenance, RunSums, Swap, replacement
from cbi_dagster.warehouse.coverage import Coverage
from cbi_dagster.warehouse.hashing import content_hashes
from cbi_dagster.warehouse.ledger import NOTHING, Ledger
from cbi_dagster.warehouse.slices import ContractError, by_key, check_slice
from cbi_dagster.warehouse.stored import Lacking, SchemaDriftError, Stored, compared

if TYPE_CHECKING:
    from sqlglot import exp

    from cbi_dagster.warehouse.sql import Parameter

#: What the vendor datasets of simulated data begin with.
SIMULATED = "SIM."


class DamagedWarehouseError(RuntimeError):
    """What is stored cannot be read: it was cut short, overwritten, or is nothing that the engine wrote."""


class EngineError(RuntimeError):
    """The engine did not do what it should be able to do; what was asked of it is done as a whole or not at all."""


class UnreachableWarehouseError(EngineError):
    """The engine does not answer, or does not let us in."""


class OvertakenError(RuntimeError):
    """The state that a change was worked out on has moved on; nothing of the change was written."""


class RegistryMovedError(RuntimeError):
    """Files were landed by another process since the facts of a landing were made; nothing was taken."""

    def __init__(self, registered: int) -> None:
        super().__init__(
            f"ops.landed_files no longer holds exactly {registered} files: another process has landed files meanwhile, "
            "and what is new must be asked again"
        )


@dataclass(frozen=True)
class ReplaceResult:
    """What a write did: partitions whose content changed, and partitions confirmed as they were, by label.

    `removed`: partitions that are no more. `table_rows`: rows of the whole table after it. `sums`: the run's row after
    it, earlier writes included. `hashes` and `row_counts`: of each partition that was written or confirmed.
    """

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    rows_written: int
    table_rows: int
    sums: RunSums = field(default_factory=RunSums)
    removed: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    row_counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LandingFacts:
    """All that a landing adds, for `Warehouse.take`.

    `registered`: how many files `ops.landed_files` held when the facts were made. `rows`: new rows by ops table.
    `ledger`: rows of `ops.partition_ledger` of landing sources, in place of those of the same partitions. `gone`: keys
    of partitions that the ledger is to know no more, by landing source.
    """

    registered: int
    rows: Mapping[Table, pd.DataFrame]
    ledger: pd.DataFrame | pa.Table
    gone: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass
class _Memory:
    """What has been read of the ledger in a block of one connection; NOTHING for tables without content."""

    ledgers: dict[str, Ledger] = field(default_factory=dict)
    complete: bool = False


class Warehouse(abc.ABC):
    """One store of all tables.

    Everything above knows only what is public here; the methods with an underscore are for engines to implement.
    """

    def __init__(self) -> None:
        self._local = threading.local()
        self._drifted: dict[str, tuple[str, ...]] = {}

    # -- tables -------------------------------------------------------------------------------------------------------

    @property
    def takes_simulated(self) -> bool:
        """Whether simulated data may be landed in it."""
        return True

    def for_run(self, run_id: str) -> AbstractContextManager[None]:
        """A block that reads and writes for a run, whose bytes together may be capped; EngineError at the cap."""
        return nullcontext()

    @property
    def writers(self) -> int:
        """How many tables are worth being written at the same time, each by a thread of its own."""
        return 1

    @property
    def bills_bytes(self) -> bool:
        """Whether what is read is paid for by its bytes."""
        return False

    def too_costly(self, count: int) -> str:
        """Why a run may not have so many bytes, and what to do; empty where it may."""
        return ""

    @abc.abstractmethod
    def exists(self) -> bool:
        """Whether there are tables of the platform, or were any; nothing is made by asking."""

    def ensure(self, tables: Iterable[Table], views: Collection[View] = ()) -> None:
        """Create missing tables, add missing nullable columns, and make `views` what they should be.

        Tables that are stored otherwise than declared are left as they are: `drifted` names them, and only what touches
        one raises SchemaDriftError. Views of ours that are none of `views` are dropped, unless there are none.
        """
        with self.shared_connection():
            if lacking := self.lacking(tables, views):
                self._evolve(lacking)

    def lacking(self, tables: Iterable[Table], views: Collection[View] = ()) -> Lacking:
        """What `ensure` would make of these tables and views; `drifted` is known from then on."""
        with self.shared_connection():
            lacking, self._drifted = compared(self._stored(), tables, views, self._type_of)
        return lacking

    @property
    def drifted(self) -> Mapping[str, Sequence[str]]:
        """How tables were stored otherwise than declared when `ensure` looked, by table id."""
        return self._drifted

    def undeclared(self, declared: Collection[Table]) -> list[str]:
        """Ids of stored tables in the datasets of the `declared` ones that are none of these."""
        datasets, known = {table.dataset for table in declared}, {table.id for table in declared}
        stored = self._stored().tables
        return sorted(name for name in stored if name.partition(".")[0] in datasets and name not in known)

    def drop(self, table_id: str) -> None:
        """Drop a table with its ledger rows; `ensure` makes it anew, and all of its partitions are missing."""
        self._drop(table_id)
        self._drifted.pop(table_id, None)
        self._forget([table_id])

    def require_sound(self, *tables: Table) -> None:
        """Raise SchemaDriftError for tables that are stored otherwise than declared."""
        if drift := {table.id: self._drifted[table.id] for table in tables if table.id in self._drifted}:
            raise SchemaDriftError(drift)

    # -- reading ------------------------------------------------------------------------------------------------------

    @contextmanager
    def shared_connection(self) -> Iterator[None]:
        """A block whose operations, of this thread, may share a connection; others may have to wait until it ends.

        What has been read of the ledger is remembered until then: no other thread may write meanwhile.
        """
        if self._memory is not None:
            yield
            return
        with ExitStack() as held:
            held.enter_context(self._connected())
            self._local.held, self._local.memory = held, _Memory()
            try:
                yield
            finally:
                self._local.memory = None

    @contextmanager
    def let_go(self) -> Iterator[None]:
        """A block in which this thread holds no connection, and others may write, be it in a `shared_connection`."""
        if self._memory is None:
            yield
            return
        held: ExitStack = self._local.held
        self._local.memory = None
        held.close()
        try:
            yield
        finally:
            held.enter_context(self._connected())
            self._local.held, self._local.memory = held, _Memory()

    @abc.abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """A block whose reads, of rows and of the ledger, see the warehouse as of one moment; it writes nothing."""

    @abc.abstractmethod
    def overlay(self) -> Warehouse:
        """A warehouse that reads through to this one and keeps what is written to itself, until it is let go."""

    def read(
        self,
        table: Table,
        intervals: Sequence[Interval] | None = None,
        columns: Sequence[str] = (),
        symbols: Sequence[str] = (),
    ) -> pa.Table:
        """Rows whose partition column lies in any of the inclusive date `intervals` (None: all), sorted by key.

        A table in one piece is read whole, or not at all for no intervals. `columns` and `symbols`: only these (empty:
        all, with the write columns).
        """
        self.require_sound(table)
        names = [table.column(name).name for name in columns] or [column.name for column in table.stored_columns]
        if intervals is not None and not len(intervals):
            return table.arrow_schema(stored=True).empty_table().select(names)
        chosen = {"symbol": symbols} if symbols else {}
        asked = list(dict.fromkeys([*names, *table.key]))
        rows = self._read(table, asked, intervals if table.partitioning.column else None, chosen)
        return by_key(table, rows).select(names)

    def ledger_rows(self, table_ids: Collection[str] | None = None) -> pd.DataFrame:
        """Rows of `ops.partition_ledger`, of the tables and landing sources named or of all."""
        return to_frame(PARTITION_LEDGER, by_key(PARTITION_LEDGER, self._read_ledger(table_ids)))

    def ledger_by_table(self, table_ids: Collection[str] | None = None) -> dict[str, Ledger]:
        """The same per table, as far as a plan needs it; tables without content are absent."""
        with self.shared_connection():
            memory = self._memory
            assert memory is not None
            known = memory.ledgers
            if table_ids is None and not memory.complete:
                known.update(Ledger.by_table(self._read_ledger(None)))
                memory.complete = True
            wanted = known.keys() if table_ids is None else set(table_ids)
            if not memory.complete and (missing := wanted - known.keys()):
                read = Ledger.by_table(self._read_ledger(missing))
                known.update({name: read.get(name, NOTHING) for name in missing})
            return {name: known[name] for name in wanted if len(known.get(name, NOTHING).keys)}

    def query(self, text: str, **parameters: Parameter) -> pa.Table:
        """The answer to one query in the dialect of `sql/`, over tables and views by their ids.

        `parameters`: values for the names in the text that begin with `@`. Whole numbers are INT64, others FLOAT64,
        instants in UTC. Nothing is changed: raises QueryError for what is no query, names no table or cannot be
        answered here, and SchemaDriftError. In a `snapshot` it is of that moment.
        """
        from cbi_dagster.warehouse.sql import query_of, tables_of  # takes long to import, and few need it

        asked = query_of(text, parameters)
        self.require_sound(*tables_of(asked))
        with self.shared_connection():
            return self._query(asked)

    @abc.abstractmethod
    def coverage(self, table: Table) -> list[Coverage]:
        """What is known of each scalar column of a partitioned table with symbols, STRUCT fields included."""

    # -- writing ------------------------------------------------------------------------------------------------------

    def replace(
        self,
        table: Table,
        partitions: np.ndarray,
        data: pd.DataFrame | pa.Table,
        provenance: Provenance,
        left_out: LeftOutRows | None = None,
        *,
        against_stored: bool = False,
        gone: np.ndarray | None = None,
    ) -> ReplaceResult:
        """Make `data` the whole content of `partitions`, atomically, with its ledger rows.

        `gone`: other partitions, of which nothing is to stay (None: none).

        Partitions whose content hash the ledger already has are not written; their verification advances. With
        `against_stored` the stored rows are asked as well: those that other hands changed are written again. Raises a
        ContractError subclass, and writes nothing, when the rows do not fit the table.
        """
        self.require_sound(table, PARTITION_LEDGER)
        rows = check_slice(table, partitions, data)
        hashes = np.array(content_hashes(rows), dtype=object)
        with self.shared_connection():
            while True:
                known = self.ledger_by_table({table.id}).get(table.id, NOTHING)
                # Later than everything the ledger says of the table, also by the clock of another machine.
                moment = max(now_utc(), pd.Timestamp(known.version + 1, unit="us", tz="UTC"))
                # What the ledger does not know is written whatever is stored.
                ask = against_stored and len(known.keys) > 0
                damaged = self.stored_hashes(table, rows.partitions) != hashes if ask else None
                made = replacement(rows, hashes, known, provenance, left_out, moment, damaged, gone)
                try:
                    self._commit(made.change)
                    break
                except OvertakenError:
                    self._forget([table.id])
            after = known.replaced(made.news)
            if gone is not None:
                after = after.without(gone)
            self._remember(table.id, after)
        labels = np.array(table.partitioning.labels(rows.partitions), dtype=object)
        return ReplaceResult(
            written=tuple(labels[~made.same]),
            unchanged=tuple(labels[made.same]),
            rows_written=int(rows.row_counts[~made.same].sum()),
            table_rows=int(after.row_counts.sum()),
            sums=made.sums,
            removed=() if gone is None else tuple(table.partitioning.labels(gone)),
            hashes=dict(zip(labels, hashes, strict=True)),
            row_counts=dict(zip(labels, rows.row_counts.tolist(), strict=True)),
        )

    def stored_hashes(self, table: Table, partitions: np.ndarray) -> np.ndarray:
        """Content hash of the rows that are stored of each of `partitions`; "" where they break the declaration."""
        covering = table.partitioning.covering(partitions)
        rows = self.read(table, covering, [column.name for column in table.columns])
        rows = rows.filter(pa.array(np.isin(table.partitioning.keys_in(rows), partitions)))
        try:
            return np.array(content_hashes(check_slice(table, partitions, rows)), dtype=object)
        except ContractError:
            return np.full(len(partitions), "", dtype=object)

    def take(self, facts: LandingFacts) -> None:
        """Append the rows of a landing and replace its ledger rows: all of it, or none.

        Raises RegistryMovedError when the registry of landed files no longer is what the facts were made on, and a
        ContractError subclass when rows do not fit their table; nothing has changed then.
        """
        swaps = [Swap(table, check_slice(table, None, rows).data) for table, rows in facts.rows.items()]
        ledger = check_slice(PARTITION_LEDGER, None, facts.ledger).data
        # Rows go before others come: what a transaction inserted it does not delete.
        for source, keys in facts.gone.items():
            if keys:
                gone = Gone(table_name=source, partition_keys=tuple(keys))
                swaps.append(Swap(PARTITION_LEDGER, ledger.slice(0, 0), gone=gone))
        swaps.append(Swap(PARTITION_LEDGER, ledger, same_key=True))
        try:
            self._commit(Change(tuple(swaps), registered=facts.registered))
        except OvertakenError as error:
            raise RegistryMovedError(facts.registered) from error
        self._forget([*ledger["table_name"].unique().to_pylist(), *facts.gone])

    def retake(self, facts: LandingFacts, sources: Collection[str]) -> None:
        """Put all that is known of landed files in place of what was known, and the ledger rows of `sources` too.

        Of a table that says which table its rows are about, those about `sources` go, of any other table all rows.
        Raises what `take` raises, and nothing has changed then.
        """
        swaps = []
        for table, rows in {**facts.rows, PARTITION_LEDGER: facts.ledger}.items():
            checked = check_slice(table, None, rows).data
            about = any(column.name == "table_name" for column in table.columns)
            for gone in [Gone(table_name=source) for source in sources] if about else [Gone()]:
                swaps.append(Swap(table, checked.slice(0, 0), gone=gone))
            swaps.append(Swap(table, checked))
        try:
            self._commit(Change(tuple(swaps), registered=facts.registered))
        except OvertakenError as error:
            raise RegistryMovedError(facts.registered) from error
        self._forget(sources)

    def record(self, table: Table, rows: pd.DataFrame) -> None:
        """Keep rows of a table of the books, in place of those with the same key."""
        checked = check_slice(table, None, rows).data
        self._commit(Change((Swap(table, checked, same_key=True),)))

    def adopt(self, change: Change, about: Collection[str]) -> None:
        """Make a change that was worked out on what another warehouse holds.

        `about`: tables and landing sources whose ledger rows it changes. Raises OvertakenError, and nothing has changed
        then.
        """
        self._commit(change)
        self._forget(about)

    # -- memory -------------------------------------------------------------------------------------------------------

    @property
    def _memory(self) -> _Memory | None:
        """What this thread remembers in its `shared_connection`."""
        return getattr(self._local, "memory", None)

    def _remember(self, table_id: str, ledger: Ledger) -> None:
        if self._memory is not None:
            self._memory.ledgers[table_id] = ledger

    def _forget(self, table_ids: Iterable[str]) -> None:
        if self._memory is not None:
            self._memory.complete = False
            for name in table_ids:
                self._memory.ledgers.pop(name, None)

    def _forget_all(self) -> None:
        if self._memory is not None:
            self._local.memory = _Memory()

    def _read_ledger(self, table_ids: Collection[str] | None) -> pa.Table:
        self.require_sound(PARTITION_LEDGER)
        chosen = {} if table_ids is None else {"table_name": table_ids}
        return self._read(PARTITION_LEDGER, [c.name for c in PARTITION_LEDGER.columns], None, chosen)

    # -- what an engine implements ------------------------------------------------------------------------------------

    @abc.abstractmethod
    def _connected(self) -> AbstractContextManager[None]:
        """A block in which this thread's operations use one connection."""

    @abc.abstractmethod
    def _stored(self) -> Stored:
        """What there is."""

    @abc.abstractmethod
    def _type_of(self, column: Column) -> str:
        """The engine's type for a declared column, in the words of `_stored`."""

    @abc.abstractmethod
    def _evolve(self, lacking: Lacking) -> None:
        """Create tables, add columns to tables, make views, and drop those that are left over."""

    @abc.abstractmethod
    def _drop(self, table_id: str) -> None:
        """Drop a table if it exists, with its ledger rows."""

    @abc.abstractmethod
    def _read(
        self,
        table: Table,
        names: Sequence[str],
        intervals: Sequence[Interval] | None,
        chosen: Mapping[str, Collection[str]],
    ) -> pa.Table:
        """The columns `names` of rows in any of the `intervals` (None: all) whose values are among those `chosen`.

        Of the declared Arrow types, in any order.
        """

    @abc.abstractmethod
    def _query(self, query: exp.Query) -> pa.Table:
        """The answer to a query over tables by their ids; raises QueryError for one that this engine cannot answer."""

    @abc.abstractmethod
    def _commit(self, change: Change) -> None:
        """Make a change durable, all of it or nothing; OvertakenError when what it was worked out on has moved on."""


def now_utc() -> pd.Timestamp:
    """The present instant, as the ledger and audit columns record it."""
    return pd.Timestamp(dt.datetime.now(dt.UTC))
