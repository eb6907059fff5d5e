"""The batched event log serves several processes and threads at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as db
from dagster import EventLogEntry

from cbi_dagster.orchestration.event_log import BatchedSqliteEventLogStorage
from cbi_dagster_tests.orchestration.log_events import (
    ANOTHER_RUN,
    PIVOTS,
    PRICES,
    RUN,
    entry,
    materializations,
    materialized,
    rows,
    stored_partitions,
)

# --- several processes --------------------------------------------------------------------------------------------


def _run_processes(target: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> list[int | None]:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=args) for args in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    return [process.exitcode for process in processes]


def _write_and_read(base_dir: str, run_id: str, start_at: float) -> None:
    """Open, write, read and close again and again; any error is the exit code."""
    time.sleep(max(0.0, start_at - time.time()))
    for i in range(10):
        storage = BatchedSqliteEventLogStorage(base_dir)
        batch = [materialized(PRICES, f"{run_id}-{i}-{k}", run_id=run_id) for k in range(10)]
        storage.store_event_batch(batch)
        storage.store_event(materialized(PIVOTS, f"{run_id}-{i}", run_id=run_id))
        assert len(storage.get_records_for_run(run_id).records) == 11 * (i + 1)
        assert storage.get_asset_records([PRICES, PIVOTS])
        storage.dispose()


def test_processes_that_create_and_write_the_same_file_lose_nothing(tmp_path: Path) -> None:
    start_at = time.time() + 3  # all imported by then, so that they meet at the creation of the file
    arguments = [(str(tmp_path), f"run{i}", start_at) for i in range(3)]
    assert _run_processes(_write_and_read, arguments) == [0] * 3
    storage = BatchedSqliteEventLogStorage(str(tmp_path))
    stored = [str(partition) for partition in stored_partitions(storage)]
    assert len(stored) == len(set(stored)) == 3 * 10 * 11
    assert len(rows(storage.get_db_path(), "asset_keys")) == 2
    assert len(rows(storage.get_db_path(), "asset_event_tags")) == 3 * 10 * 11
    storage.dispose()


def test_a_file_that_is_being_created_is_seen_complete_or_not_at_all(storage: BatchedSqliteEventLogStorage) -> None:
    class Slow(BatchedSqliteEventLogStorage):
        def reindex_assets(self, *args: Any, **kwargs: Any) -> None:
            half_way.set()
            time.sleep(0.7)
            super().reindex_assets(*args, **kwargs)

    half_way = threading.Event()
    slow = Slow(storage._base_dir)
    creator = threading.Thread(target=slow.store_event, args=(materialized(PRICES, "slow"),))
    creator.start()
    half_way.wait()
    assert rows(storage.get_db_path(), "sqlite_master") == []
    storage.store_event(materialized(PRICES, "quick"))
    creator.join()
    slow.dispose()
    assert sorted(stored_partitions(storage)) == ["quick", "slow"]
    assert [len(rows(storage.get_db_path(), name)) for name in ("alembic_version", "secondary_indexes")] == [1, 2]


def test_a_process_waits_for_another_that_is_creating_the_file(storage: BatchedSqliteEventLogStorage) -> None:
    path = Path(storage.get_db_path())
    path.parent.mkdir()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE half_made (id INTEGER)")
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.5, other.rollback)
    release.start()
    storage.store_event_batch(materializations(3))
    release.join()
    other.close()
    assert stored_partitions(storage) == ["p0", "p1", "p2"]


def test_a_writer_waits_for_the_lock_of_another_and_stores_once(storage: BatchedSqliteEventLogStorage) -> None:
    storage.store_event(entry(None))
    other = sqlite3.connect(storage.get_db_path(), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    other.execute("DELETE FROM event_logs")
    assert len(storage.get_records_for_run(RUN).records) == 1  # readers do not wait
    released = threading.Event()

    def let_go() -> None:
        released.set()
        other.rollback()

    release = threading.Timer(0.5, let_go)
    release.start()
    storage.store_event_batch(materializations(3))
    assert released.is_set(), "a writer has not waited"
    release.join()
    other.close()
    assert stored_partitions(storage) == [None, "p0", "p1", "p2"]


def test_a_transaction_that_reads_before_it_writes_is_not_refused(storage: BatchedSqliteEventLogStorage) -> None:
    storage.store_event(entry(None))
    count = db.text("SELECT count(*) FROM event_logs")
    with storage.index_connection() as connection:
        assert connection.execute(count).scalar() == 1
        other = BatchedSqliteEventLogStorage(storage._base_dir)
        other.store_event(entry(None))
        other.dispose()
        connection.execute(db.text("DELETE FROM event_logs"))
    assert stored_partitions(storage) == []


def test_threads_have_transactions_of_their_own(storage: BatchedSqliteEventLogStorage) -> None:
    def write(run_id: str) -> None:
        for i in range(25):
            storage.store_event_batch([materialized(PRICES, f"{run_id}-{i}-{k}", run_id=run_id) for k in range(4)])

    threads = [threading.Thread(target=write, args=(f"run{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(stored_partitions(storage))) == 4 * 25 * 4


def _die_in_the_middle_of_a_batch(base_dir: str) -> None:
    class Dying(BatchedSqliteEventLogStorage):
        def _store_asset_event_tags(self, *args: Any) -> None:
            super()._store_asset_event_tags(*args)
            os.kill(os.getpid(), signal.SIGKILL)

    Dying(base_dir).store_event_batch(materializations(2000, run_id="killed"))


def test_a_killed_writer_leaves_nothing_of_its_batch_and_stops_nobody(storage: BatchedSqliteEventLogStorage) -> None:
    storage.store_event(entry(None))
    assert _run_processes(_die_in_the_middle_of_a_batch, [(storage._base_dir,)]) == [-signal.SIGKILL]
    storage.store_event_batch(materializations(2))
    assert stored_partitions(storage) == [None, "p0", "p1"]
    assert rows(storage.get_db_path(), "(PRAGMA_integrity_check)") == [{"integrity_check": "ok"}]


# --- watching -----------------------------------------------------------------------------------------------------


def _store(base_dir: str, run_id: str, partitions: list[str]) -> None:
    storage = BatchedSqliteEventLogStorage(base_dir)
    storage.store_event_batch([materialized(PRICES, partition, run_id=run_id) for partition in partitions])
    storage.dispose()


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_a_watcher_hears_what_another_process_stores_in_order_and_once(storage: BatchedSqliteEventLogStorage) -> None:
    heard: list[str | None] = []
    cursors: list[str] = []

    def listen(event: EventLogEntry, cursor: str) -> None:
        heard.append(event.get_dagster_event().partition)
        cursors.append(cursor)
        if len(heard) == 1:
            raise ValueError("a watcher that fails goes on watching")

    storage.store_event_batch(materializations(3))
    past = storage.get_records_for_run(RUN, limit=2).cursor
    storage.watch(RUN, past, listen)
    until(lambda: heard == ["p2"])
    arguments = [(storage._base_dir, RUN, [f"q{i}" for i in range(1500)]), (storage._base_dir, ANOTHER_RUN, ["x"])]
    assert _run_processes(_store, arguments) == [0, 0]
    until(lambda: len(heard) == 1501)
    assert heard == ["p2", *(f"q{i}" for i in range(1500))]
    assert storage.get_records_for_run(RUN, cursors[-2]).records[0].partition_key == "q1499"

    storage.end_watch(RUN, listen)
    storage.store_event(materialized(PRICES, "unheard"))
    time.sleep(1.2)
    assert heard[-1] == "q1499"


def test_a_watch_can_be_ended_from_its_own_callback_and_by_dispose(storage: BatchedSqliteEventLogStorage) -> None:
    heard: list[str | None] = []

    def listen_once(event: EventLogEntry, _: str) -> None:
        heard.append(event.get_dagster_event().partition)
        storage.end_watch(RUN, listen_once)

    storage.store_event_batch(materializations(3))
    storage.watch(RUN, None, listen_once)
    storage.watch(ANOTHER_RUN, None, lambda *_: None)
    until(lambda: bool(heard))
    storage.dispose()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("watch-")])
    assert heard == ["p0"]
