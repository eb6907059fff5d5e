"""The batched event log stores what Dagster's own storage stores, whole or not at all, and is configured by a file."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster import AssetCheckEvaluation, AssetKey, DagsterEventType, DagsterInstance, EventLogEntry
from dagster._core.events import (
    DagsterEventBatchMetadata,
)
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage, SqliteEventLogStorage
from hypothesis import given, settings
from hypothesis import strategies as st

from cbi_dagster.orchestration.event_log import BatchedSqliteEventLogStorage
from cbi_dagster_tests.orchestration.log_events import (
    ANOTHER_RUN,
    PIVOTS,
    PRICES,
    RUN,
    UNIQUE,
    check_planned,
    contents,
    entries,
    entry,
    materializations,
    materialized,
    rows,
    stored_at_once,
    stored_partitions,
)
from cbi_dagster_tests.orchestration.scenes import empty_job

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


@pytest.mark.parametrize("partitions", [["2024-07-01"], [None], [f"p{i}" for i in range(1200)]], ids=["1", "0", "many"])
def test_what_is_told_at_once_leaves_the_rows_that_storing_event_by_event_leaves(
    pair: tuple[ConsolidatedSqliteEventLogStorage, BatchedSqliteEventLogStorage], partitions: list[str | None]
) -> None:
    stock, batched = pair
    for storage in pair:
        storage.wipe()
        storage.store_event(materialized(PIVOTS, "2024-07-01"))
    events = [materialized(PRICES, label, version=f"v{at}") for at, label in enumerate(partitions)]
    for event in events:
        stock.store_event(event)
    stored_at_once(batched, events)
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
    log = instance.event_log_storage
    assert isinstance(log, BatchedSqliteEventLogStorage)

    def size() -> int:
        log.dispose()  # the last connection moves the write-ahead log into the file
        return sum(path.stat().st_size for path in Path(log.get_db_path()).parent.glob("event_log.*"))

    assert log.get_maximum_record_id() is None
    empty = size()
    run_range(instance, 500, run_id=RUN)
    assert size() - empty < 3_000 * 2 * 500


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


def require_failed_first(instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads that a run failed finds it failed: what repeats failed runs looks at each event once."""
    readable: list[int] = []
    note = instance.run_storage.handle_run_event

    def noted(run_id: str, *told: Any) -> None:
        note(run_id, *told)
        failures = instance.get_records_for_run(run_id, of_type=DagsterEventType.RUN_FAILURE).records
        readable.append(len(failures))

    monkeypatch.setattr(instance.run_storage, "handle_run_event", noted)
    run = instance.create_run_for_job(empty_job, status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(run, "its process was killed")
    assert readable[0] == 0
    assert [record.dagster_run.status for record in instance.get_run_records()] == [dg.DagsterRunStatus.FAILURE]
    assert len(instance.get_records_for_run(run.run_id, of_type=DagsterEventType.RUN_FAILURE).records) == 1


def test_a_run_has_failed_before_its_failure_can_be_read(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_failed_first(instance, monkeypatch)


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
