"""The batched event log stores what Dagster's own storage stores, whole or not at all, for all processes at once."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster import AssetCheckEvaluation, AssetKey, DagsterEvent, DagsterEventType, DagsterInstance, EventLogEntry
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEventBatchMetadata,
    StepMaterializationData,
)
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage, SqliteEventLogStorage
from hypothesis import given, settings
from hypothesis import strategies as st

from cbi_dagster.orchestration.event_log import BatchedSqliteEventLogStorage

RUN = "7d2f6a1e-0000-4000-8000-000000000000"
ANOTHER_RUN = "7d2f6a1e-0000-4000-8000-000000000001"
PRICES = AssetKey(["market_data", "futures_continuous_1d"])
PIVOTS = AssetKey(["features", "pivot_math_daily"])
UNIQUE = dg.AssetCheckKey(PRICES, "unique")


# --- events ---------------------------------------------------------------------------------------------------------


def entry(kind: DagsterEventType | None, data: Any = None, *, run_id: str = RUN, at: float = 1.7e9) -> EventLogEntry:
    """One log entry; `kind` None is a line logged by user code."""
    event = kind and DagsterEvent(kind.value, "job", step_key="step", event_specific_data=data)
    return EventLogEntry(
        error_info=None,
        level=10,
        user_message="message",
        run_id=run_id,
        timestamp=at,
        step_key="step",
        job_name="job",
        dagster_event=event,
    )


def materialized(key: AssetKey, partition: str | None, *, version: str = "v1", **entry_fields: Any) -> EventLogEntry:
    tags = {"dagster/data_version": version, "not/indexed": "x"}
    materialization = dg.AssetMaterialization(key, partition=partition, tags=tags)
    return entry(DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(materialization), **entry_fields)


def materializations(count: int, **entry_fields: Any) -> list[EventLogEntry]:
    return [materialized(PRICES, f"p{i}", **entry_fields) for i in range(count)]


@st.composite
def entries(draw: st.DrawFn) -> EventLogEntry:
    key = draw(st.sampled_from([PRICES, PIVOTS]))
    partition = draw(st.sampled_from([None, "2024-07-01", "2024-07-02"]))
    version = draw(st.sampled_from(["v1", "v2"]))
    tags = {"dagster/data_version": version, "not/indexed": "x"}
    fields = {"run_id": draw(st.sampled_from([RUN, ANOTHER_RUN])), "at": 1.7e9 + draw(st.integers(0, 10**8)) / 1000}
    kinds: list[Callable[[], EventLogEntry]] = [
        lambda: entry(None, **fields),
        lambda: entry(DagsterEventType.STEP_START, **fields),
        lambda: entry(DagsterEventType.RUN_SUCCESS, **fields),
        lambda: materialized(key, partition, version=version, **fields),
        lambda: entry(
            DagsterEventType.ASSET_OBSERVATION,
            AssetObservationData(dg.AssetObservation(key, partition=partition, tags=tags)),
            **fields,
        ),
        lambda: entry(
            DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
            AssetMaterializationPlannedData(key, partition=partition),
            **fields,
        ),
        lambda: entry(
            DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
            AssetMaterializationPlannedData(key, partitions_subset=DefaultPartitionsSubset({"2024-07-01"})),
            **fields,
        ),
        lambda: entry(
            DagsterEventType.FRESHNESS_STATE_CHANGE,
            FreshnessStateChange(
                key=key,
                new_state=FreshnessState.PASS,
                previous_state=FreshnessState.FAIL,
                state_change_timestamp=fields["at"],
            ),
            **fields,
        ),
        lambda: entry(
            DagsterEventType.ASSET_CHECK_EVALUATION,
            AssetCheckEvaluation(asset_key=key, check_name="unique", passed=version == "v1", metadata={}),
            **fields,
        ),
    ]
    return draw(st.sampled_from(kinds))()


def check_planned() -> EventLogEntry:
    planned = AssetCheckEvaluationPlanned(asset_key=PRICES, check_name="unique")
    return entry(DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, planned)


# --- reading the file -----------------------------------------------------------------------------------------------


def rows(path: str, table: str) -> list[dict[str, Any]]:
    """All rows of a table in id order, without the column that the database stamps with its own clock."""
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        found = [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1")]
    return [{name: value for name, value in row.items() if name != "create_timestamp"} for row in found]


TABLES = ["event_logs", "asset_keys", "asset_event_tags", "asset_check_executions", "dynamic_partitions"]


def contents(path: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of the file; the rows of the asset index, which nothing refers to by id, by key."""
    found = {table: rows(path, table) for table in TABLES}
    found["asset_keys"] = sorted(
        ({**row, "id": None} for row in found["asset_keys"]), key=lambda row: str(row["asset_key"])
    )
    return found


def stored_partitions(storage: BatchedSqliteEventLogStorage) -> list[str]:
    return [row["partition"] for row in rows(storage.get_db_path(), "event_logs")]


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[BatchedSqliteEventLogStorage]:
    storage = BatchedSqliteEventLogStorage(str(tmp_path / "events"))
    yield storage
    storage.dispose()


# --- the same rows as Dagster's own storage -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[ConsolidatedSqliteEventLogStorage, ...]:
    own = BatchedSqliteEventLogStorage(str(tmp_path_factory.mktemp("batched")))
    return ConsolidatedSqliteEventLogStorage(str(tmp_path_factory.mktemp("stock"))), own


@settings(max_examples=20)
@given(batches=st.lists(st.lists(entries(), max_size=8), max_size=3))
def test_batches_leave_the_rows_that_storing_event_by_event_leaves(
    pair: tuple[ConsolidatedSqliteEventLogStorage, BatchedSqliteEventLogStorage], batches: list[list[EventLogEntry]]
) -> None:
    stock, batched = pair
    for storage in pair:
        storage.wipe()
    for batch in batches:
        for event in batch:
            stock.store_event(event)
        batched.store_event_batch(batch)
    assert contents(batched.get_db_path()) == contents(stock.get_db_path())


def test_a_check_planned_and_evaluated_in_one_batch_is_one_execution(tmp_path: Path) -> None:
    evaluated = entry(
        DagsterEventType.ASSET_CHECK_EVALUATION,
        AssetCheckEvaluation(asset_key=PRICES, check_name="unique", passed=False, metadata={}),
    )
    stock = ConsolidatedSqliteEventLogStorage(str(tmp_path / "stock"))
    batched = BatchedSqliteEventLogStorage(str(tmp_path / "batched"))
    for event in (check_planned(), evaluated):
        stock.store_event(event)
    batched.store_event_batch([check_planned(), evaluated])
    batched.dispose()
    assert [row["execution_status"] for row in rows(batched.get_db_path(), "asset_check_executions")] == ["FAILED"]
    assert contents(batched.get_db_path()) == contents(stock.get_db_path())


def test_the_file_has_the_schema_the_revision_and_the_migration_marks_of_dagsters_own(
    tmp_path: Path, storage: BatchedSqliteEventLogStorage
) -> None:
    def schema(path: str) -> list[object]:
        marks = [row["name"] for row in rows(path, "secondary_indexes")]
        return [rows(path, "(SELECT name, sql FROM sqlite_master)"), rows(path, "alembic_version"), marks]

    # Its index file: the consolidated storage of Dagster loses the revision, which it does not commit.
    stock = SqliteEventLogStorage(str(tmp_path))
    storage.store_event(entry(None))
    assert schema(storage.get_db_path()) == schema(stock.path_for_shard("index"))


# --- a real range run ---------------------------------------------------------------------------------------------


class Discard(dg.IOManager):
    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        context.add_output_metadata({"rows": 5})

    def load_input(self, context: dg.InputContext) -> None:
        return None


TRADE_DATES = dg.TimeWindowPartitionsDefinition(start="2018-01-01", cron_schedule="0 0 * * 1-5", fmt="%Y-%m-%d")
DAILY = {"partitions_def": TRADE_DATES, "backfill_policy": dg.BackfillPolicy.single_run(), "code_version": "1"}


@dg.asset(key=PRICES, **DAILY)
def prices() -> int:
    dg.get_dagster_logger().info("a line of user code")
    return 1


@dg.asset(key=PIVOTS, deps=[PRICES], **DAILY)
def pivots() -> int:
    return 1


@dg.asset(key=["features", "broken"], deps=[PIVOTS], **DAILY)
def broken() -> int:
    raise ValueError("no pivots today")


@dg.asset_check(asset=PRICES, name="unique")
def prices_are_unique() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def run_range(instance: DagsterInstance, count: int, *, run_id: str, with_broken: bool = False) -> Sequence[str]:
    """Materialize the first `count` trade dates in one run; the keys."""
    keys = TRADE_DATES.get_partition_keys()[:count]
    assets = [prices, pivots, broken] if with_broken else [prices, pivots]
    defs = dg.Definitions(assets, asset_checks=[prices_are_unique], resources={"io_manager": Discard()})
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        raise_on_error=False,
        run_id=run_id,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        tags={"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]},
    )
    assert result.success is not with_broken
    return keys


BATCHED_YAML = """\
telemetry: {enabled: false}
event_log_storage:
  module: cbi_dagster.orchestration.event_log
  class: BatchedSqliteEventLogStorage
"""


def make_instance(home: Path, yaml: str = BATCHED_YAML) -> DagsterInstance:
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(yaml)
    return DagsterInstance.from_config(str(home))


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    with make_instance(tmp_path / "home") as instance:
        yield instance


VOLATILE = [
    (r"\d+(\.\d+)?m?s\b", "T"),  # durations in messages
    (r"\d+\.\d+(e-?\d+)?", "F"),  # clock and durations in data
    (r'(pid"?: )\d+', r"\1P"),
    (r'("log_key": )"\w+"', r"\1K"),
]


def told(instance: DagsterInstance, home: Path) -> dict[str, Any]:
    """Everything the instance tells about the run, without clock, process and paths."""
    log = instance.event_log_storage

    def settled(text: str) -> str:
        text = text.replace(str(home), "HOME")
        for pattern, replacement in VOLATILE:
            text = re.sub(pattern, replacement, text)
        return text

    keys = [PRICES, PIVOTS, AssetKey(["features", "broken"])]
    run = instance.get_run_by_id(RUN)
    assert run is not None
    return {
        "status": run.status,
        "events": [settled(dg.serialize_value(event)) for event in instance.all_logs(RUN)],
        "kinds": Counter(event.dagster_event_type for event in instance.all_logs(RUN)),
        "stats": log.get_stats_for_run(RUN).steps_succeeded,
        "steps": {stats.step_key: stats.status for stats in log.get_step_stats_for_run(RUN)},
        "materialized": {key: sorted(instance.get_materialized_partitions(key)) for key in keys},
        "storage ids": {
            key: log.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION) for key in keys
        },
        "versions": {
            key: log.get_latest_tags_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"])
            for key in keys
        },
        "latest": [
            (record.asset_entry.asset_key, record.asset_entry.last_run_id, materialization.asset_materialization)
            for record in instance.get_asset_records(keys)
            if (materialization := record.asset_entry.last_materialization)
        ],
        "planned": {key: log.get_latest_planned_materialization_info(key) for key in keys},
        "checks": {
            key: execution.status for key, execution in log.get_latest_asset_check_execution_by_key([UNIQUE]).items()
        },
    }


def test_a_range_run_reads_the_same_as_through_dagsters_own_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS", "true")  # what ours does of itself
    stock_yaml = f"""\
event_log_storage:
  module: dagster._core.storage.event_log
  class: ConsolidatedSqliteEventLogStorage
  config: {{base_dir: {tmp_path / "stock" / "history"}}}
"""
    answers = []
    for home, yaml in ((tmp_path / "stock", stock_yaml), (tmp_path / "batched", BATCHED_YAML)):
        with make_instance(home, yaml) as instance:
            keys = run_range(instance, 12, run_id=RUN, with_broken=True)
            answers.append(told(instance, home))
    stock, batched = answers
    assert batched["materialized"][PIVOTS] == sorted(keys)
    assert batched["status"] == dg.DagsterRunStatus.FAILURE
    for question, answer in batched.items():
        assert answer == stock[question], question


def test_a_range_costs_one_planned_event_and_one_transaction_an_asset(instance: DagsterInstance) -> None:
    def measure(count: int, run_id: str) -> tuple[int, Counter[str | None]]:
        commits.clear()
        run_range(instance, count, run_id=run_id)
        return len(commits), Counter(row["dagster_event_type"] for row in rows(log.get_db_path(), "event_logs"))

    log = instance.event_log_storage
    assert isinstance(log, BatchedSqliteEventLogStorage)
    commits: list[object] = []
    db.event.listen(log._engine, "commit", commits.append)

    few, _ = measure(3, RUN)
    many, kinds = measure(300, ANOTHER_RUN)
    assert many <= few  # the first run of an instance has a few more
    assert kinds["ASSET_MATERIALIZATION"] == 2 * 303
    assert kinds["ASSET_MATERIALIZATION_PLANNED"] == 2 * 2


def test_a_check_over_a_range_is_planned_once_and_finished_by_its_evaluation(instance: DagsterInstance) -> None:
    run_range(instance, 30, run_id=RUN)
    executions = instance.event_log_storage.get_asset_check_execution_history(UNIQUE, limit=10)
    assert [(execution.status, execution.partition) for execution in executions] == [
        (AssetCheckExecutionRecordStatus.SUCCEEDED, None)
    ]


def test_a_partition_costs_less_than_three_kilobytes_of_disk(instance: DagsterInstance) -> None:
    run_range(instance, 500, run_id=RUN)
    log = instance.event_log_storage
    assert isinstance(log, BatchedSqliteEventLogStorage)
    log.dispose()  # the last connection moves the write-ahead log into the file
    assert sum(path.stat().st_size for path in Path(log.get_db_path()).parent.glob("event_log.*")) < 3_000 * 2 * 500


# --- whole or not at all --------------------------------------------------------------------------------------------

REFUSE_BATCHES = """
    CREATE TRIGGER refuse_batches BEFORE INSERT ON asset_event_tags
    WHEN (SELECT count(*) FROM event_logs WHERE id > (SELECT coalesce(max(event_id), 0) FROM asset_event_tags)) > 1
    BEGIN SELECT RAISE(ABORT, 'refused half-way'); END
"""


def alter(path: str, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("step", ["INSERT ON asset_event_tags", "UPDATE ON asset_keys"])
def test_a_batch_that_fails_after_its_event_rows_leaves_nothing(
    storage: BatchedSqliteEventLogStorage, step: str, count: int
) -> None:
    storage.store_event(materialized(PRICES, "first"))
    path = storage.get_db_path()
    before = contents(path)
    alter(path, f"CREATE TRIGGER refuse BEFORE {step} BEGIN SELECT RAISE(ABORT, 'refused half-way'); END")
    with pytest.raises(db.exc.DatabaseError, match="refused half-way"):
        storage.store_event_batch(materializations(count))
    assert contents(path) == before
    alter(path, "DROP TRIGGER refuse")
    storage.store_event_batch(materializations(count))
    assert stored_partitions(storage) == ["first", *(f"p{i}" for i in range(count))]


def test_events_that_dagster_stores_again_one_by_one_are_there_once(
    instance: DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    log = instance.event_log_storage
    assert isinstance(log, BatchedSqliteEventLogStorage)
    log.store_event(materialized(PRICES, "first"))
    alter(log.get_db_path(), REFUSE_BATCHES)
    for i, event in enumerate(materializations(4)):
        instance.handle_new_event(event, batch_metadata=DagsterEventBatchMetadata("batch", is_end=i == 3))
    assert "Falling back" in capsys.readouterr().err
    assert stored_partitions(log) == ["first", "p0", "p1", "p2", "p3"]


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


# --- several processes --------------------------------------------------------------------------------------------


def _run_processes(target: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> list[int | None]:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=args) for args in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
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
    release = threading.Timer(1.5, other.rollback)
    release.start()
    began = time.monotonic()
    assert len(storage.get_records_for_run(RUN).records) == 1  # readers do not wait
    assert time.monotonic() - began < 1.0
    storage.store_event_batch(materializations(3))
    assert time.monotonic() - began > 1.0
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


# --- watching -----------------------------------------------------------------------------------------------------


def _store(base_dir: str, run_id: str, partitions: list[str]) -> None:
    storage = BatchedSqliteEventLogStorage(base_dir)
    storage.store_event_batch([materialized(PRICES, partition, run_id=run_id) for partition in partitions])
    storage.dispose()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
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


# --- configuration ------------------------------------------------------------------------------------------------


def test_without_base_dir_the_file_lives_in_the_directory_of_the_instance(tmp_path: Path) -> None:
    with make_instance(tmp_path / "home") as instance:
        instance.event_log_storage.store_event(entry(None))
    assert (tmp_path / "home" / "history" / "event_log.db").exists()


def test_a_dagster_yaml_in_the_working_directory_serves_a_temporary_instance(tmp_path: Path) -> None:
    """How `dagster dev` without DAGSTER_HOME makes its instance."""
    for name in ("project", "temporary"):
        (tmp_path / name).mkdir()
    (tmp_path / "project" / "dagster.yaml").write_text(BATCHED_YAML)
    ref = InstanceRef.from_dir(str(tmp_path / "temporary"), config_dir=str(tmp_path / "project"))
    with DagsterInstance.from_ref(ref) as instance:
        instance.event_log_storage.store_event(entry(None))
    assert (tmp_path / "temporary" / "history" / "event_log.db").exists()
    assert sorted(path.name for path in (tmp_path / "project").iterdir()) == ["dagster.yaml"]


def test_base_dir_can_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTS", str(tmp_path / "elsewhere"))
    with make_instance(tmp_path / "home", BATCHED_YAML + "  config: {base_dir: {env: EVENTS}}\n") as instance:
        instance.event_log_storage.store_event(entry(None))
    assert (tmp_path / "elsewhere" / "event_log.db").exists()


def test_opening_the_storage_turns_batches_on_unless_the_user_chose_a_size() -> None:
    def size_after_import(**chosen: str) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_EVENT_BATCH_SIZE"}
        code = "import os, cbi_dagster.orchestration.event_log; print(os.environ['DAGSTER_EVENT_BATCH_SIZE'])"
        return subprocess.Popen(
            [sys.executable, "-c", code], env=environment | chosen, stdout=subprocess.PIPE, text=True
        )

    processes = [size_after_import(), size_after_import(DAGSTER_EVENT_BATCH_SIZE="7")]
    assert [process.communicate()[0].strip() for process in processes] == ["4000", "7"]
