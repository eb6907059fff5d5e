"""The embedded engine: all tables in one DuckDB file.

One connection per operation, closed at once and never held during computation, so that several processes can work on
the file; a lock held by another process is waited for with backoff. Every connection is read-write: DuckDB refuses
mixed modes within a process. A replace is one transaction, its ledger rows included.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import itertools
import random
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from cbi_dagster.catalog.ddl import duckdb_table, duckdb_type
from cbi_dagster.catalog.model import Table
from cbi_dagster.catalog.tables.ops import HELD_BACK, INGESTION_RUNS, LANDED_FILES, PARTITION_LEDGER, QUARANTINE
from cbi_dagster.warehouse.contract import (
    LandingFacts,
    LeftOutRows,
    Provenance,
    RegistryMovedError,
    ReplaceResult,
    SchemaDriftError,
    Slice,
    Warehouse,
    check_slice,
    now_utc,
    to_arrow,
    to_frame,
)
from cbi_dagster.warehouse.hashing import content_hashes
from cbi_dagster.warehouse.ledger import NOTHING, Ledger

_LOCK_WAIT_S = 120.0


@dataclass(frozen=True)
class Coverage:
    """How much of a column is known.

    `path` as in `Table.leaves`. `symbols` are those that have a value, `rows` the rows of these symbols, `known` how
    many of them have one, and `first` is the date of the first.
    """

    path: str
    symbols: tuple[str, ...]
    rows: int
    known: int
    first: dt.date | None


@dataclass(frozen=True)
class _Kept:
    """A connection that is kept open, and what has been read of the ledger through it (NOTHING for no rows)."""

    connection: duckdb.DuckDBPyConnection
    ledgers: dict[str, Ledger] = field(default_factory=dict)


class DuckDBWarehouse(Warehouse):
    """All tables in the DuckDB file at `path`, created on first use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = threading.local()

    @property
    def _kept(self) -> _Kept | None:
        """What this thread keeps open."""
        return getattr(self._thread, "kept", None)

    @contextlib.contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection for one short operation; waits while another process has the file.

        Inside `shared_connection` it is the block's. Raises TimeoutError after two minutes, naming the file.
        """
        if self._kept is not None:
            yield self._kept.connection
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + _LOCK_WAIT_S
        pause = 0.01
        while True:
            try:
                connection = duckdb.connect(str(self.path))
                break
            except duckdb.IOException as error:
                if "lock" not in str(error).lower():
                    raise
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"{self.path} has been in use by another process for {_LOCK_WAIT_S:.0f} s; "
                        "close the program that holds it open and try again"
                    ) from error
                # Jitter keeps two waiting writers from meeting again and again.
                time.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 1.5, 0.25)
        try:
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction of all operations in the block; it commits on success and leaves nothing behind otherwise."""
        with self.shared_connection() as kept:
            kept.connection.begin()
            try:
                try:
                    yield kept.connection
                except BaseException:
                    kept.connection.rollback()
                    raise
                kept.connection.commit()
            except BaseException:
                kept.ledgers.clear()
                raise

    @contextlib.contextmanager
    def shared_connection(self) -> Iterator[_Kept]:
        """Operations of this thread inside the block share one connection; other processes wait until it ends.

        What has been read of the ledger is remembered until then: no other thread may write meanwhile.
        """
        outer = self._kept
        if outer is not None:
            yield outer
            return
        with self.connection() as connection:
            self._thread.kept = _Kept(connection)
            try:
                yield self._thread.kept
            finally:
                self._thread.kept = None

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        with self.transaction():
            yield

    def copy_to(self, path: Path) -> None:
        """A copy of the whole warehouse as of one moment, in a new file."""
        with self.connection() as connection:
            connection.execute("CHECKPOINT")
            # The lock that this connection holds keeps writers of other processes out meanwhile.
            shutil.copyfile(self.path, path)

    def ensure(self, tables: Iterable[Table]) -> None:
        with self.transaction() as connection:
            existing: dict[str, dict[str, str]] = {}
            for schema, name, column, type_ in connection.sql(
                "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns"
            ).fetchall():
                existing.setdefault(f"{schema}.{name}", {})[column] = type_

            # A thousand columns have a dozen types: each is asked for once.
            @functools.cache
            def normal(type_: str) -> str:
                return str(connection.sql(f"SELECT typeof(NULL::{type_})").fetchall()[0][0])

            drift: dict[str, list[str]] = {}
            for table in tables:
                if table.id not in existing:
                    for statement in duckdb_table(table):
                        connection.execute(statement)
                elif differences := self._mend(connection, table, existing[table.id], normal):
                    drift[table.id] = differences
            if drift:
                raise SchemaDriftError(drift)

    def drop(self, table: Table) -> None:
        with self.shared_connection() as kept, self.transaction() as connection:
            connection.execute(f'DROP TABLE IF EXISTS "{table.dataset}"."{table.name}"')
            connection.execute("DELETE FROM ops.partition_ledger WHERE table_name = ?", [table.id])
            kept.ledgers.pop(table.id, None)

    def _mend(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: Table,
        stored: dict[str, str],
        normal: Callable[[str], str],
    ) -> list[str]:
        """Add nullable columns that the stored table lacks; what else differs, in words."""
        declared = {column.name: column for column in table.stored_columns}
        extra = [name for name in stored if name not in declared]
        differences = [f"stored and not declared: {', '.join(extra)}"] if extra else []
        for name, column in declared.items():
            wanted = duckdb_type(column)
            if name not in stored and name in table.required:
                differences.append(f"{name} is required and not stored")
            elif name not in stored:
                connection.execute(f'ALTER TABLE "{table.dataset}"."{table.name}" ADD COLUMN "{name}" {wanted}')
            elif stored[name] != normal(wanted):
                differences.append(f"{name} is stored as {stored[name]}, declared as {normal(wanted)}")
        return differences

    def read(
        self,
        table: Table,
        intervals: Sequence[tuple[np.datetime64, np.datetime64]] | None = None,
        columns: Sequence[str] = (),
        symbols: Sequence[str] = (),
    ) -> pa.Table:
        names = [table.column(name).name for name in columns] or [column.name for column in table.stored_columns]
        select = ", ".join(f'"{name}"' for name in names)
        order = ", ".join(f'"{name}"' for name in table.key)
        conditions: list[str] = []
        parameters: list[object] = []
        if intervals == [] or (intervals and table.partitioning.column):
            column = table.partitioning.column
            terms = [f'"{column}" BETWEEN ? AND ?'] * len(intervals)
            conditions.append(f"({' OR '.join(terms) or 'false'})")
            parameters += [bound.astype(object) for interval in intervals for bound in interval]
        if symbols:
            conditions.append("symbol IN (SELECT unnest(?))")
            parameters.append(list(symbols))
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        sql = f'SELECT {select} FROM "{table.dataset}"."{table.name}"{where}'
        with self.connection() as connection:
            rows = connection.sql(f"{sql} ORDER BY {order}", params=parameters).to_arrow_table()
        # DuckDB labels instants with the session's time zone; the instants themselves are the same.
        return rows.cast(pa.schema([pa.field(name, table.column(name).arrow_type) for name in names]))

    def replace(
        self,
        table: Table,
        partitions: np.ndarray,
        data: pd.DataFrame | pa.Table,
        provenance: Provenance,
        left_out: LeftOutRows | None = None,
    ) -> ReplaceResult:
        rows = check_slice(table, partitions, data)
        labels = np.array(table.partitioning.labels(rows.partitions), dtype=object)
        moment = now_utc()
        entries = Ledger(
            keys=rows.partitions,
            hashes=np.array(content_hashes(rows), dtype=object),
            row_counts=rows.row_counts,
            written_at=np.full(len(labels), moment.to_datetime64()),
            written_runs=np.full(len(labels), provenance.run_id, dtype=object),
            code_versions=np.full(len(labels), provenance.code_version, dtype=object),
            fingerprints=np.array([provenance.fingerprints[key] for key in rows.partitions], dtype=object),
            verified_at=np.full(len(labels), moment.to_datetime64()),
            verified_runs=np.full(len(labels), provenance.run_id, dtype=object),
        )
        with self.shared_connection() as kept, self.transaction() as connection:
            known = self.ledger_by_table({table.id}).get(table.id, NOTHING)
            at = known.at(rows.partitions)
            there = at >= 0
            same = there.copy()
            same[there] = known.hashes[at[there]] == entries.hashes[there]
            entries.written_at[same] = known.written_at[at[same]]
            entries.written_runs[same] = known.written_runs[at[same]]
            confirmed = same.copy()
            confirmed[same] = known.code_versions[at[same]] == provenance.code_version
            confirmed[same] &= known.fingerprints[at[same]] == entries.fingerprints[same]
            changed = ~same
            if changed.any():
                _delete(connection, table, rows.partitions[changed])
                written = rows.only(changed)
                instants = pa.repeat(pa.scalar(moment, pa.timestamp("us", tz="UTC")), len(written))
                written = written.append_column("ingestion_ts", instants)
                written = written.append_column("run_id", pa.repeat(provenance.run_id, len(written)))
                insert(connection, table, written)
            if not confirmed.all():
                news = entries.only(~confirmed)
                self.write_ledger(news.rows(table))
                known = known.replaced(news)
                kept.ledgers[table.id] = known
            if left_out is not None:
                _write_left_out(connection, table, rows.partitions, left_out)
            _record_runs(connection, _run_row(rows, provenance, left_out, moment, changed))
        return ReplaceResult(
            written=tuple(labels[changed]),
            unchanged=tuple(labels[same]),
            rows_written=int(rows.row_counts[changed].sum()),
            table_rows=int(known.row_counts.sum()),
        )

    def take(self, facts: LandingFacts) -> None:
        checked = {table: check_slice(table, None, rows).data for table, rows in facts.rows.items()}
        ledger = check_slice(PARTITION_LEDGER, None, facts.ledger).data
        with self.transaction() as connection:
            ((registered,),) = connection.sql(f"SELECT count(*) FROM {LANDED_FILES.id}").fetchall()
            if registered != facts.registered:
                raise RegistryMovedError(facts.registered, registered)
            for table, rows in checked.items():
                insert(connection, table, rows)
            self.write_ledger(ledger)

    def coverage(self, table: Table) -> list[Coverage]:
        """What is known of each scalar column of a partitioned table with symbols, STRUCT fields included."""
        paths = [path for path, _ in table.leaves()]
        fields = ['"' + path.replace(".", '"."') + '"' for path in paths]
        day = f'"{table.partitioning.column}"'
        counts = ", ".join(f"count({field}), min({day}) FILTER ({field} IS NOT NULL)" for field in fields)
        sql = f'SELECT symbol, count(*), {counts} FROM "{table.dataset}"."{table.name}" GROUP BY symbol ORDER BY symbol'
        with self.connection() as connection:
            found = connection.sql(sql).fetchall()
        coverages = []
        for path, at in zip(paths, itertools.count(2, 2), strict=False):
            having = [row for row in found if row[at]]
            coverages.append(
                Coverage(
                    path=path,
                    symbols=tuple(row[0] for row in having),
                    rows=sum(row[1] for row in having),
                    known=sum(row[at] for row in having),
                    first=min((row[at + 1] for row in having), default=None),
                )
            )
        return coverages

    def ledger_rows(self, table_ids: Collection[str] | None = None) -> pd.DataFrame:
        rows = self._ledger_rows(table_ids)
        return to_frame(PARTITION_LEDGER, rows.sort_by([(name, "ascending") for name in PARTITION_LEDGER.key]))

    def ledger_by_table(self, table_ids: Collection[str] | None = None) -> dict[str, Ledger]:
        with self.shared_connection() as kept:
            wanted = set(table_ids or ())
            if table_ids is None:
                found = kept.connection.sql("SELECT DISTINCT table_name FROM ops.partition_ledger").fetchall()
                wanted = {str(name) for (name,) in found}
            if missing := wanted - kept.ledgers.keys():
                read = Ledger.by_table(self._ledger_rows(missing))
                kept.ledgers.update({name: read.get(name, NOTHING) for name in missing})
            return {name: kept.ledgers[name] for name in wanted if len(kept.ledgers[name].keys)}

    def _ledger_rows(self, table_ids: Collection[str] | None) -> pa.Table:
        where, parameters = "", []
        if table_ids is not None:
            where, parameters = "WHERE table_name IN (SELECT unnest(?))", [list(table_ids)]
        names = ", ".join(column.name for column in PARTITION_LEDGER.columns)
        with self.connection() as connection:
            result = connection.sql(f"SELECT {names} FROM ops.partition_ledger {where}", params=parameters)
            return result.to_arrow_table()

    def write_ledger(self, rows: pd.DataFrame | pa.Table) -> None:
        """Put rows of `ops.partition_ledger` in the place of those of the same tables and partitions.

        Part of the caller's transaction, with the content that they speak of.
        """
        entries = to_arrow(PARTITION_LEDGER, rows)
        with self.shared_connection() as kept:
            kept.connection.register("ledger_entries", entries)
            kept.connection.execute(
                "DELETE FROM ops.partition_ledger AS old USING ledger_entries AS new "
                "WHERE old.table_name = new.table_name AND old.partition_key = new.partition_key"
            )
            kept.connection.unregister("ledger_entries")
            insert(kept.connection, PARTITION_LEDGER, entries)
            for name in entries["table_name"].unique().to_pylist():
                kept.ledgers.pop(name, None)

    def record_runs(self, rows: pd.DataFrame) -> None:
        with self.transaction() as connection:
            _record_runs(connection, rows)


def _run_row(
    rows: Slice, provenance: Provenance, left_out: LeftOutRows | None, ended_at: pd.Timestamp, changed: np.ndarray
) -> pa.Table:
    """The row of `ops.ingestion_runs` of one write."""
    row = {
        "event_id": f"{provenance.run_id}:{rows.table.id}",
        "source": rows.table.id,
        "run_status": "success",
        "started_at": provenance.started_at,
        "ended_at": ended_at,
        "rows_in": provenance.rows_in,
        "rows_out": len(rows.data),
        "rows_rejected": 0 if left_out is None else left_out.rows_rejected,
        "rows_held_back": 0 if left_out is None else left_out.rows_held_back,
        "partitions_written": int(changed.sum()),
        "partitions_unchanged": int((~changed).sum()),
        "code_version": provenance.code_version,
        "error_message": None,
    }
    return pa.Table.from_pylist([row], INGESTION_RUNS.arrow_schema())


def _record_runs(connection: duckdb.DuckDBPyConnection, rows: pd.DataFrame | pa.Table) -> None:
    checked = check_slice(INGESTION_RUNS, None, rows).data
    events = checked["event_id"].to_pylist()
    connection.execute("DELETE FROM ops.ingestion_runs WHERE event_id IN (SELECT unnest(?))", [events])
    insert(connection, INGESTION_RUNS, checked)


def insert(connection: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table) -> None:
    """Append checked rows; write columns that `rows` lacks stay NULL."""
    connection.register("new_rows", rows)
    names = ", ".join(f'"{name}"' for name in rows.column_names)
    connection.execute(f'INSERT INTO "{table.dataset}"."{table.name}" ({names}) SELECT {names} FROM new_rows')
    connection.unregister("new_rows")


def _delete(connection: duckdb.DuckDBPyConnection, table: Table, partitions: np.ndarray) -> None:
    name = f'"{table.dataset}"."{table.name}"'
    column = table.partitioning.column
    if not column:
        connection.execute(f"DELETE FROM {name}")
        return
    connection.register("replaced", _spans(table, partitions))
    connection.execute(f'DELETE FROM {name} USING replaced WHERE "{column}" BETWEEN replaced.first AND replaced.last')
    connection.unregister("replaced")


def _spans(table: Table, partitions: np.ndarray) -> pa.Table:
    """First and last date of each partition, both inclusive."""
    first, last = table.partitioning.spans(partitions)
    return pa.table({"first": pa.array(first), "last": pa.array(last)})


def _write_left_out(
    connection: duckdb.DuckDBPyConnection, table: Table, partitions: np.ndarray, left_out: LeftOutRows
) -> None:
    connection.register("replaced", _spans(table, partitions))
    for account, rows in ((QUARANTINE, left_out.rejected), (HELD_BACK, left_out.held_back)):
        connection.execute(
            f"DELETE FROM ops.{account.name} AS old USING replaced "
            "WHERE old.table_name = ? AND old.date BETWEEN replaced.first AND replaced.last",
            [table.id],
        )
        if len(rows):
            rows = rows.assign(table_name=table.id).reindex(columns=[column.name for column in account.columns])
            insert(connection, account, check_slice(account, None, rows).data)
    connection.unregister("replaced")
