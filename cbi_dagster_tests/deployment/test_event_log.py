"""Dagster's records in a real PostgreSQL, by deploy/dagster.yaml as it is: they tell what those in a file tell."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from cbi_dagster.catalog import ASSET_TABLES
from cbi_dagster.home import Home
from cbi_dagster.orchestration.building import BUILDING_POOL
from cbi_dagster.orchestration.event_log_postgres import BatchedPostgresEventLogStorage
from cbi_dagster.orchestration.landing import LANDING_JOB
from cbi_dagster.orchestration.launcher import WatchedRunLauncher
from cbi_dagster.orchestration.runs import announce_pools
from cbi_dagster_tests.deployment.composed import DEPLOY
from cbi_dagster_tests.deployment.postgres import Postgres, binaries, served
from cbi_dagster_tests.orchestration.log_events import PRICES, RUN, UNIQUE, materialized, stored_at_once
from cbi_dagster_tests.orchestration.test_event_log import make_instance, require_failed_first, run_range, told

pytestmark = pytest.mark.skipif(binaries() is None, reason="no PostgreSQL server on this machine (Debian: postgresql)")


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with served() as made:
        yield made


@pytest.fixture
def home(database: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A state directory whose instance is a deployment's."""
    for name, value in database.environment.items():
        monkeypatch.setenv(name, value)
    made = Home(tmp_path / "home")
    made.dagster.mkdir(parents=True)
    shutil.copyfile(DEPLOY / "dagster.yaml", made.dagster / "dagster.yaml")
    return made


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home.dagster)) as made:
        made.event_log_storage.wipe()
        made.run_storage.wipe()
        yield made


def test_the_instance_is_what_its_file_says(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.event_log_storage, BatchedPostgresEventLogStorage)
    assert isinstance(instance.run_launcher, WatchedRunLauncher)
    assert instance.run_monitoring_enabled
    assert (instance.run_retries_enabled, instance.run_retries_max_retries) == (True, 2)
    limits = instance.get_concurrency_config()
    assert limits.pool_config.default_pool_limit == 1
    assert limits.run_queue_config is not None
    assert limits.run_queue_config.max_concurrent_runs == 4


def test_a_range_run_tells_what_it_tells_in_a_file(instance: dg.DagsterInstance, home: Home, tmp_path: Path) -> None:
    keys = run_range(instance, 12, run_id=RUN, with_broken=True)
    stored = told(instance, home.dagster)
    with make_instance(tmp_path / "file") as other:
        run_range(other, 12, run_id=RUN, with_broken=True)
        in_a_file = told(other, tmp_path / "file")
    assert stored["status"] == dg.DagsterRunStatus.FAILURE
    assert stored["kinds"]["ASSET_MATERIALIZATION"] == 2 * len(keys)
    for question in in_a_file.keys() - {"storage ids", "latest", "planned"}:  # ids count on in one database
        assert stored[question] == in_a_file[question], question


def test_a_range_is_planned_once_and_written_in_batches(instance: dg.DagsterInstance) -> None:
    log = instance.event_log_storage
    assert isinstance(log, BatchedPostgresEventLogStorage)
    statements: list[str] = []
    db.event.listen(log._engine, "before_cursor_execute", lambda *told: statements.append(told[2]))

    def measure(count: int) -> int:
        statements.clear()
        run_range(instance, count, run_id=str(uuid.uuid4()))
        return sum(statement.startswith("INSERT INTO event_logs") for statement in statements)

    assert measure(3) == measure(300)
    (newest, *_) = instance.get_runs()
    planned = instance.all_logs(newest.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    assert len(planned) == 2
    executions = log.get_asset_check_execution_history(UNIQUE, limit=10)
    assert [(found.status, found.partition) for found in executions] == [
        (AssetCheckExecutionRecordStatus.SUCCEEDED, None)
    ] * 2


def test_what_is_told_at_once_is_there_with_its_partitions_and_versions(instance: dg.DagsterInstance) -> None:
    log = instance.event_log_storage
    assert isinstance(log, BatchedPostgresEventLogStorage)
    labels = [f"2024-07-{day:02}" for day in range(1, 32)]
    stored_at_once(log, [materialized(PRICES, label, version=f"v{label}") for label in labels])
    stored_at_once(log, [materialized(PRICES, labels[3], version="another")])
    assert instance.get_materialized_partitions(PRICES) == set(labels)
    versions = log.get_latest_tags_by_partition(
        PRICES, dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
    )
    told = {label: tags["dagster/data_version"] for label, tags in versions.items()}
    assert told == {label: f"v{label}" for label in labels} | {labels[3]: "another"}
    last = instance.get_latest_materialization_event(PRICES)
    assert last is not None
    assert last.asset_materialization is not None
    assert last.asset_materialization.partition == labels[3]


def test_a_run_has_failed_before_its_failure_can_be_read(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_failed_first(instance, monkeypatch)


def test_every_table_has_a_pool_before_the_first_run(instance: dg.DagsterInstance, home: Home) -> None:
    announce_pools(home)
    assert {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()} == {
        **{table.id: 1 for table in ASSET_TABLES},
        LANDING_JOB: 1,
        BUILDING_POOL: 1,
    }
    instance.event_log_storage.set_concurrency_slots(LANDING_JOB, 3)
    announce_pools(home)
    limits = {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}
    assert limits[LANDING_JOB] == 3, "what a person has set stays"
