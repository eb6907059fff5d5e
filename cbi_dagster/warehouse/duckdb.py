"""The embedded engine: all tables in one DuckDB file.

One connection per operation, closed at once and never held during computation, so that several processes can work on
the file; they take turns at it (`turns`), and another's is waited for with backoff. Every connection is read-write:
DuckDB refuses mixed modes within a process. A change is one transaction.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import random
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from cbi_dagster.catalog.model import Column, Table, Type
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables.ops import LANDED_FILES, PARTITION_LEDGER
from cbi_dagster.catalog.views import View
from cbi_dagster.warehouse.changes import Change, Swap
from cbi_dagster.warehouse.contract import DamagedWarehouseError, OvertakenError, Warehouse
from cbi_dagster.warehouse.coverage import Coverage, coverages
from cbi_dagster.warehouse.overlay import Overlay
from cbi_dagster.warehouse.stored import Lacking, Stored
from cbi_dagster.warehouse.turns import OthersTurnError, connected

if TYPE_CHECKING:
    from sqlglot import exp

_LOCK_WAIT_S = 120.0
#: A backfill lets others have the file while it computes a slice: for a tenth of a second, be it among seconds.
_LONGEST_PAUSE_S = 0.05
#: What DuckDB raises when the file, and not a statement, is the matter; a wrong checksum is a bare duckdb.Error.
_TROUBLE = (duckdb.IOException, duckdb.InternalException, duckdb.FatalException, duckdb.SerializationException)

#: What the comments of views of ours begin with, before their digest.
_VIEW_MARK = "cbi "

_TYPES = {
    Type.STRING: "VARCHAR",
    Type.INT64: "BIGINT",
    Type.FLOAT64: "DOUBLE",
    Type.BOOL: "BOOLEAN",
    Type.DATE: "DATE",
    Type.TIMESTAMP: "TIMESTAMPTZ",
}


class DuckDBWarehouse(Warehouse):
    """All tables in the DuckDB file at `path`, created on first use."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._types: dict[str, str] = {}

    # -- connections --------------------------------------------------------------------------------------------------

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        """The connection of this thread's `shared_connection`."""
        connection: duckdb.DuckDBPyConnection = self._local.connection
        return connection

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        """Waits while another process has the file; raises TimeoutError after two minutes, naming the file.

        A file that may not be written is read. Trouble with the file itself is OSError or DamagedWarehouseError.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as held:
            self._local.connection = self._opened(held)
            try:
                yield
            except duckdb.Error as error:
                if (told := self._told(error)) is error:
                    raise
                raise told from error
            except RuntimeError as error:
                # The engine stops a query at a signal, and takes the exception of the signal's handler for itself.
                if str(error) != "Query interrupted":
                    raise
                raise KeyboardInterrupt from error

    def _opened(self, held: contextlib.ExitStack) -> duckdb.DuckDBPyConnection:
        """A connection that `held` closes."""
        read_only = self.path.exists() and not all(os.access(place, os.W_OK) for place in (self.path, self.path.parent))
        deadline = time.monotonic() + _LOCK_WAIT_S
        pause = 0.01
        while True:
            try:
                return held.enter_context(connected(self.path, read_only=read_only))
            except (OthersTurnError, duckdb.Error) as error:
                # A program that knows of no turns may have the file too, or be just letting go of it in this process.
                had = "set lock" in str(error) or "Unique file handle conflict" in str(error)
                if isinstance(error, duckdb.Error) and not had:
                    raise self._told(error) from error
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"{self.path} has been in use by another process for {_LOCK_WAIT_S:.0f} s; "
                        "close the program that holds it open and try again"
                    ) from error
                # Jitter keeps two waiting writers from meeting again and again.
                time.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 1.5, _LONGEST_PAUSE_S)

    def _told(self, error: duckdb.Error) -> Exception:
        """The engine's trouble with the file as what it means, with the way out; other errors as they are."""
        said = str(error).strip().partition("\n")[0]
        if "attached in read-only mode" in said:
            return OSError(errno.EROFS, "the file cannot be written, and nothing was changed", str(self.path))
        if type(error) is not duckdb.Error and not isinstance(error, _TROUBLE):
            return error
        if "No space left" in said:
            return OSError(errno.ENOSPC, "the disk is full; make room, and the same command goes on", str(self.path))
        return DamagedWarehouseError(
            f"{self.path} is damaged, or no warehouse at all ({said}). Put a copy of it in its place, or move it away, "
            "land the delivered files again (they are kept in the directory `landing` beside it) and `cbi refresh`"
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction of all operations in the block; it commits on success and leaves nothing behind otherwise."""
        with self.shared_connection():
            self._connection.begin()
            try:
                yield
            except BaseException:
                self._connection.rollback()
                raise
            self._connection.commit()

    def snapshot(self) -> contextlib.AbstractContextManager[None]:
        return self._transaction()

    def overlay(self) -> Warehouse:
        return Overlay(self)

    # -- tables -------------------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        return self.path.exists()

    def _stored(self) -> Stored:
        tables: dict[str, dict[str, str]] = {}
        columns = (
            "SELECT of_table.schema_name, table_name, column_name, data_type FROM duckdb_columns() AS of_table "
            "JOIN duckdb_tables() USING (table_oid, table_name)"
        )
        own = f"SELECT schema_name, view_name, comment FROM duckdb_views() WHERE comment LIKE '{_VIEW_MARK}%'"
        with self.shared_connection():
            for schema, name, column, type_ in self._connection.sql(columns).fetchall():
                tables.setdefault(f"{schema}.{name}", {})[column] = type_
            found = self._connection.sql(own).fetchall()
        digests = {f"{schema}.{name}": comment.removeprefix(_VIEW_MARK).split()[0] for schema, name, comment in found}
        return Stored(tables, digests)

    def _type_of(self, column: Column) -> str:
        # A thousand columns have a dozen types: each is asked for once.
        declared = _declared_type(column)
        if declared not in self._types:
            with self.shared_connection():
                ((self._types[declared],),) = self._connection.sql(f"SELECT typeof(NULL::{declared})").fetchall()
        return self._types[declared]

    def _evolve(self, lacking: Lacking) -> None:
        with self._transaction():
            for dataset in lacking.datasets:
                self._connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{dataset}"')
            for table in lacking.tables:
                columns = ", ".join(
                    f'"{column.name}" {_declared_type(column)}{" NOT NULL" if column.name in table.required else ""}'
                    for column in table.stored_columns
                )
                self._connection.execute(f"CREATE TABLE IF NOT EXISTS {_name(table)} ({columns})")
            for table, column in lacking.columns:
                declared = f'"{column.name}" {_declared_type(column)}'
                self._connection.execute(f"ALTER TABLE {_name(table)} ADD COLUMN IF NOT EXISTS {declared}")
            for view in lacking.views:
                comment = f"{_VIEW_MARK}{view.digest} {view.description}".replace("'", "''")
                self._connection.execute(f"CREATE OR REPLACE VIEW {_name(view)} AS {_translated(view)}")
                self._connection.execute(f"COMMENT ON VIEW {_name(view)} IS '{comment}'")
            for view_id in lacking.left_over:
                dataset, _, name = view_id.partition(".")
                self._connection.execute(f'DROP VIEW IF EXISTS "{dataset}"."{name}"')

    def _drop(self, table_id: str) -> None:
        dataset, _, name = table_id.partition(".")
        with self._transaction():
            self._connection.execute(f'DROP TABLE IF EXISTS "{dataset}"."{name}"')
            self._connection.execute(f"DELETE FROM {_name(PARTITION_LEDGER)} WHERE table_name = ?", [table_id])

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _read(
        self,
        table: Table,
        names: Sequence[str],
        intervals: Sequence[Interval] | None,
        chosen: Mapping[str, Collection[str]],
    ) -> pa.Table:
        conditions: list[str] = []
        parameters: list[object] = []
        if intervals is not None:
            terms = [f'"{table.partitioning.column}" BETWEEN ? AND ?'] * len(intervals)
            conditions.append(f"({' OR '.join(terms)})")
            parameters += [bound.astype(object) for interval in intervals for bound in interval]
        for name, values in chosen.items():
            conditions.append(f'"{name}" IN (SELECT unnest(?))')
            parameters.append(list(values))
        sql = f"SELECT {_quoted(names)} FROM {_name(table)}"
        if conditions:
            sql += f" WHERE {' AND '.join(conditions)}"
        with self.shared_connection():
            rows = self._connection.sql(sql, params=parameters).to_arrow_table()
        # DuckDB labels instants with the session's time zone; the instants themselves are the same.
        return rows.cast(pa.schema([pa.field(name, table.column(name).arrow_type) for name in names]))

    def _query(self, query: exp.Query) -> pa.Table:
        from cbi_dagster.warehouse.sql import answered

        return answered(self._connection, query, _name)

    def coverage(self, table: Table) -> list[Coverage]:
        leaves = ['"' + path.replace(".", '"."') + '"' for path, _ in table.leaves()]
        day = f'"{table.partitioning.column}"'
        counts = ", ".join(f"count({leaf}), min({day}) FILTER ({leaf} IS NOT NULL)" for leaf in leaves)
        sql = f"SELECT symbol, count(*), {counts} FROM {_name(table)} GROUP BY symbol ORDER BY symbol"
        with self.shared_connection():
            found = self._connection.sql(sql).fetchall()
        return coverages(table, found)

    def _commit(self, change: Change) -> None:
        with self._transaction():
            if self._moved_on(change):
                raise OvertakenError("the warehouse changed while a write to it was worked out")
            for swap in change.swaps:
                with self._registered("incoming", swap.rows) if len(swap.rows) else contextlib.nullcontext():
                    self._make_way(swap)
                    if len(swap.rows):
                        names = _quoted(swap.rows.column_names)
                        insert = f"INSERT INTO {_name(swap.table)} ({names}) SELECT {names} FROM incoming"
                        self._connection.execute(insert)

    def _moved_on(self, change: Change) -> bool:
        if change.registered is not None:
            ((count,),) = self._connection.sql(f"SELECT count(*) FROM {_name(LANDED_FILES)}").fetchall()
            if count != change.registered:
                return True
        if change.verified is not None:
            name, version = change.verified
            newest = f"SELECT epoch_us(max(verified_at)) FROM {_name(PARTITION_LEDGER)} WHERE table_name = ?"
            ((found,),) = self._connection.sql(newest, params=[name]).fetchall()
            return (found or 0) != version
        return False

    def _make_way(self, swap: Swap) -> None:
        """Delete the rows that go; those that come are `incoming`."""
        if swap.same_key and len(swap.rows):
            equal = " AND ".join(f'old."{name}" = incoming."{name}"' for name in swap.table.key)
            self._connection.execute(f"DELETE FROM {_name(swap.table)} AS old USING incoming WHERE {equal}")
        if (gone := swap.gone) is None:
            return
        delete, conditions, parameters = f"DELETE FROM {_name(swap.table)} AS old", ["true"], list[object]()
        if gone.column:
            first, last = (bounds.astype(object).tolist() for bounds in gone.spans)
            if not first:
                return
            if len(first) > 1:
                delete += " USING (SELECT unnest(?::DATE[]) AS first, unnest(?::DATE[]) AS last) AS spans"
                conditions.append(f'old."{gone.column}" BETWEEN spans.first AND spans.last')
                parameters += [first, last]
            # What lies outside all spans is not even looked at.
            conditions.append(f'old."{gone.column}" BETWEEN ? AND ?')
            parameters += [min(first), max(last)]
        if gone.table_name is not None:
            conditions.append("old.table_name = ?")
            parameters.append(gone.table_name)
        if gone.partition_keys is not None:
            conditions.append("old.partition_key IN (SELECT unnest(?::VARCHAR[]))")
            parameters.append(list(gone.partition_keys))
        self._connection.execute(f"{delete} WHERE {' AND '.join(conditions)}", parameters)

    @contextlib.contextmanager
    def _registered(self, name: str, rows: pa.Table) -> Iterator[None]:
        """Rows that SQL in the block calls `name`."""
        self._connection.register(name, rows)
        yield
        # Not after a failure: a transaction that is aborted refuses it, and its own error is the one to tell.
        self._connection.unregister(name)


def _declared_type(column: Column) -> str:
    if column.type is Type.STRUCT:
        return "STRUCT(" + ", ".join(f'"{part.name}" {_declared_type(part)}' for part in column.fields) + ")"
    return _TYPES[column.type]


@functools.cache
def _translated(view: View) -> str:
    from cbi_dagster.warehouse.sql import query_of, translated

    return translated(query_of(view.text), _name)


def _name(item: Table | View) -> str:
    return f'"{item.dataset}"."{item.name}"'


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
