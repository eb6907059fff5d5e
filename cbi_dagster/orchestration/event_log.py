"""Dagster event log in one SQLite file, written one transaction a batch.

A range run of N partitions logs N materializations per asset. Dagster's own SQLite event log opens an engine and
commits for every one of them, twice (the run's file and the index file): 3,800 partitions take minutes a table.
This storage keeps Dagster's schema and rows and changes how they are written:

- one file instead of one per run plus an index, so that a batch is one transaction: stored whole or not at all.
  (Dagster answers a failed batch by storing its events one by one; half a batch would then be there twice.)
- one insert a batch and one update of the asset index per asset and event type, on connections that are kept.
- several processes (webserver, daemon, code server, runs, CLI) share the file: readers never wait for a writer, and
  whoever meets a lock waits instead of failing.

The parent class watches the file for live logs; in WAL mode commits do not touch it, so watching is polling here.

Named in dagster.yaml; without `base_dir` the file lives in the instance's own directory, next to the run history,
also for the temporary instance of a `dagster dev` without DAGSTER_HOME:

    event_log_storage:
      module: cbi_dagster.orchestration.event_log
      class: BatchedSqliteEventLogStorage
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import sqlalchemy as db
from dagster import DagsterEventType, EventLogEntry, Field, StringSource
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.event_api import EventHandlerFn, EventLogCursor
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage, SqlEventLogStorage
from dagster._core.storage.event_log.schema import (
    AssetEventTagsTable,
    SqlEventLogStorageMetadata,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite import consolidated_sqlite_event_log
from dagster._core.storage.sql import check_alembic_revision, get_alembic_config, stamp_alembic_rev
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._record import copy
from dagster._serdes import ConfigurableClassData

# Dagster hands events over in batches only when this variable is set, and it reads it at every event. Set here, in
# the module that dagster.yaml names, it holds in every process that opens the instance and nobody has to export it.
# 4,000 holds a full history of trade dates, so that the events of a table are one transaction.
os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "4000")

# How long to wait for another process's lock. SQLite's busy handler tries again with growing pauses. Transactions here
# take milliseconds: only a stopped process that holds the lock uses this up.
_LOCK_PATIENCE_SECONDS = 600.0
_WATCH_POLL_SECONDS = 0.5

_ADD_EVENT = """
    INSERT INTO event_logs (run_id, dagster_event_type, timestamp, step_key, asset_key, event, partition)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_ADD_TAG = "INSERT INTO asset_event_tags (asset_key, key, event_timestamp, event_id, value) VALUES (?, ?, ?, ?, ?)"


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    """Make the file's journal a write-ahead log; nothing to do but for the process that creates the file.

    While processes race to create it, SQLite refuses the switch at once, whatever the busy timeout says: wait here.
    """
    deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
    pause = 0.01
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 1.0)


class PlatformEventLog(SqlEventLogStorage):
    """What is otherwise than in Dagster's event log, whatever the database.

    A run over a range of partitions plans one event an asset and one row a check, and a run that fails has failed
    before its failure can be read.
    """

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """Plan a range with one event an asset, not one a partition.

        The price: the UI does not mark single partitions as failed when a run fails.
        """
        return True

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        """Plan a check over a range of partitions once, because such a run evaluates it once, for no partition.

        Dagster plans it once a partition, in rows that no evaluation ever finds: 6 MB a check for 3,800 partitions,
        "planned" for ever.
        """
        planned = event.get_dagster_event().asset_check_planned_data
        if planned.partitions_subset is not None and len(planned.partitions_subset) > 1:
            once = event.get_dagster_event()._replace(event_specific_data=copy(planned, partitions_subset=None))
            event = event._replace(dagster_event=once)
        super()._store_asset_check_evaluation_planned(event, event_id)

    def store_materializations(
        self, last: EventLogEntry, texts: Sequence[str], partitions: Sequence[str | None], data_versions: Sequence[str]
    ) -> None:
        """Store the records of an asset's materializations, which one step wrote, in one transaction.

        `texts`: the records as they are stored, of which `last` is the last; with the partition and the data version
        of each.
        """
        row = self._event_to_row(last)
        rows = [{**row, "event": text, "partition": label} for text, label in zip(texts, partitions, strict=True)]
        with self.index_transaction() as connection:
            ids = self._insert(connection, rows)
            tag = {"asset_key": row["asset_key"], "key": DATA_VERSION_TAG, "event_timestamp": row["timestamp"]}
            tags = [{**tag, "event_id": i, "value": value} for i, value in zip(ids, data_versions, strict=True)]
            connection.execute(AssetEventTagsTable.insert(), tags)
            self._store_asset_event(connection, last, ids[-1])

    def _insert(self, connection: db.Connection, rows: Sequence[Mapping[str, Any]]) -> Sequence[int]:
        """Insert rows of the log, of the same columns; their ids, in this order."""
        logs = SqlEventLogStorageTable
        return connection.scalars(logs.insert().returning(logs.c.id, sort_by_parameter_order=True), rows).all()

    def _fail_first(self, event: EventLogEntry) -> None:
        """Note at the run that it has failed, if an event says so, before the event is stored.

        Dagster does it after: what repeats failed runs, which looks at each event once, may find the event and a run
        that has not failed yet, and leaves it at that.
        """
        if event.dagster_event_type is DagsterEventType.RUN_FAILURE and self.has_instance:
            at = dt.datetime.fromtimestamp(event.timestamp, dt.UTC)
            self._instance.run_storage.handle_run_event(event.run_id, event.get_dagster_event(), at)


class BatchedSqliteEventLogStorage(PlatformEventLog, ConsolidatedSqliteEventLogStorage):
    """Event log storage in `<base_dir>/event_log.db`; `base_dir` defaults to `history` in the instance's directory."""

    def __init__(self, base_dir: str | None = None, inst_data: ConfigurableClassData | None = None) -> None:
        # Not the parent's constructor: it creates the file at once, before the instance can say where it belongs.
        super(ConsolidatedSqliteEventLogStorage, self).__init__()  # type: ignore[no-untyped-call]
        self._base_dir = base_dir or ""
        self._inst_data = inst_data
        self._secondary_index_cache: dict[str, bool] = {}
        self._thread = threading.local()
        self._watches: dict[tuple[str, EventHandlerFn], tuple[threading.Event, threading.Thread]] = {}

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        return {"base_dir": Field(StringSource, is_required=False)}

    def get_db_path(self) -> str:
        return os.path.join(self._base_dir or os.path.join(self._instance.root_directory, "history"), "event_log.db")

    @cached_property
    def _engine(self) -> db.Engine:
        """The connections of this process; the file is created by whoever comes first."""
        base_dir, name = os.path.split(self.get_db_path())
        os.makedirs(base_dir, exist_ok=True)
        engine = db.create_engine(
            create_db_conn_string(base_dir, os.path.splitext(name)[0]),
            max_overflow=-1,
            connect_args={"timeout": _LOCK_PATIENCE_SECONDS},
        )

        @db.event.listens_for(engine, "connect")
        def configure(connection: sqlite3.Connection, _: object) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA page_size=16384")  # rows of 2 to 4 KB: little room is left over between them
            _switch_to_wal(cursor)
            cursor.execute("PRAGMA synchronous=NORMAL")  # a power cut may lose the last events, never the file
            cursor.close()

        # One transaction, so that another process sees no schema or all of it, migration marks included.
        with engine.begin() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            alembic = get_alembic_config(consolidated_sqlite_event_log.__file__)
            if check_alembic_revision(alembic, connection)[0] is None:
                SqlEventLogStorageMetadata.create_all(connection)
                stamp_alembic_rev(alembic, connection)
                with self._use(connection):
                    self.reindex_events()
                    self.reindex_assets()
        return engine

    @contextmanager
    def _use(self, connection: db.Connection) -> Iterator[db.Connection]:
        self._thread.connection = connection
        try:
            yield connection
        finally:
            self._thread.connection = None

    @contextmanager
    def _connect(self) -> Iterator[db.Connection]:
        """A connection in a transaction; inside another `_connect` of the thread it is the same transaction.

        The parent's methods ask for a connection each: nesting makes them part of the caller's transaction.
        """
        if (connection := getattr(self._thread, "connection", None)) is not None:
            yield connection
        else:
            with self._engine.begin() as connection, self._use(connection):
                yield connection

    def has_table(self, table_name: str) -> bool:
        with self._connect() as connection:
            return connection.dialect.has_table(connection, table_name)

    def _insert(self, connection: db.Connection, rows: Sequence[Mapping[str, Any]]) -> Sequence[int]:
        """The same without asking for each row's id, for which each would be a statement of its own.

        Nobody else writes until this transaction ends, so that SQLite counts on from the newest id there is.
        """
        connection.execute(SqlEventLogStorageTable.insert(), rows)
        return self._newest(connection, len(rows))

    @staticmethod
    def _newest(connection: db.Connection, count: int) -> range:
        """The ids of the events that this transaction has inserted last."""
        newest = connection.scalar(db.select(db.func.max(SqlEventLogStorageTable.c.id)))
        return range(newest - count + 1, newest + 1)

    def store_materializations(
        self, last: EventLogEntry, texts: Sequence[str], partitions: Sequence[str | None], data_versions: Sequence[str]
    ) -> None:
        """The same by statements of the driver: SQLAlchemy takes as long over the values as SQLite to store them."""
        row = self._event_to_row(last)
        at = row["timestamp"].isoformat(" ", "microseconds")  # as SQLAlchemy writes it
        event = (row["run_id"], row["dagster_event_type"], at, row["step_key"], row["asset_key"])
        tag = (row["asset_key"], DATA_VERSION_TAG, at)
        with self.index_transaction() as connection:
            connection.exec_driver_sql(_ADD_EVENT, [(*event, *own) for own in zip(texts, partitions, strict=True)])
            ids = self._newest(connection, len(texts))
            connection.exec_driver_sql(_ADD_TAG, [(*tag, *own) for own in zip(ids, data_versions, strict=True)])
            self._store_asset_event(connection, last, ids[-1])

    def store_event(self, event: EventLogEntry) -> None:
        self._fail_first(event)
        self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events in one transaction, with the rows that storing them one by one in this order leaves."""
        if not events:
            return
        with self._connect() as connection:
            ids = self._insert(connection, [self._event_to_row(event) for event in events])
            asset_events, asset_event_ids = [], []
            newest: dict[tuple[str, DagsterEventType], tuple[EventLogEntry, int]] = {}
            for event, event_id in zip(events, ids, strict=True):
                kind = event.dagster_event_type
                if kind in ASSET_EVENTS and (asset_key := event.get_dagster_event().asset_key):
                    asset_events.append(event)
                    asset_event_ids.append(event_id)
                    # Events of a type set the same columns of the asset's row: only the last one shows.
                    newest.pop((asset_key.to_string(), kind), None)
                    newest[asset_key.to_string(), kind] = (event, event_id)
                elif kind in ASSET_CHECK_EVENTS:
                    self.store_asset_check_event(event, event_id)
            self._store_asset_event_tags(connection, asset_events, asset_event_ids)
            for event, event_id in newest.values():
                self._store_asset_event(connection, event, event_id)

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        """Call `callback(event, cursor)` from a thread for every event of the run after `cursor`, until `end_watch`."""
        stop = threading.Event()
        thread = threading.Thread(
            target=self._follow, args=(run_id, cursor, callback, stop), name=f"watch-{run_id}", daemon=True
        )
        self._watches[run_id, callback] = (stop, thread)
        thread.start()

    def _follow(self, run_id: str, cursor: str | None, callback: EventHandlerFn, stop: threading.Event) -> None:
        while not stop.is_set():
            page = self.get_records_for_run(run_id, cursor, limit=1000)
            cursor = page.cursor
            for record in page.records:
                if stop.is_set():
                    return
                try:
                    callback(record.event_log_entry, str(EventLogCursor.from_storage_id(record.storage_id)))
                except Exception:
                    logging.exception("A watcher of run %s failed on event %s", run_id, record.storage_id)
            if not page.has_more:
                stop.wait(_WATCH_POLL_SECONDS)

    def end_watch(self, run_id: str, handler: EventHandlerFn) -> None:
        if watch := self._watches.pop((run_id, handler), None):
            watch[0].set()

    def dispose(self) -> None:
        watches = list(self._watches.values())
        self._watches.clear()
        for stop, _ in watches:
            stop.set()
        for _, thread in watches:
            thread.join()
        if "_engine" in self.__dict__:
            self._engine.dispose()
