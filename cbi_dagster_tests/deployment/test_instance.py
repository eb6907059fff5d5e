"""What deploy/compose.yaml starts, on a real PostgreSQL and against BigQuery on the loopback interface."""

from __future__ import annotations

import datetime as dt
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cbi_dagster.catalog import TABLES
from cbi_dagster.catalog.tables.market_data import OHLCV_1D, OHLCV_1H, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.catalog.tables.ops import PARTITION_LEDGER
from cbi_dagster.cli.main import STALE
from cbi_dagster.home import Home
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster_tests.deployment.composed import Composed, composed
from cbi_dagster_tests.deployment.postgres import binaries, served
from cbi_dagster_tests.fakes.bigquery import Faults, LoopbackBigQuery
from cbi_dagster_tests.properties.worlds import World

pytestmark = [
    pytest.mark.waits,
    pytest.mark.slow,  # it starts a web server, a daemon and runs as processes of their own
    pytest.mark.skipif(binaries() is None, reason="no PostgreSQL server on this machine (Debian: postgresql)"),
]

START, END = dt.date(2023, 6, 5), dt.date(2023, 6, 17)
FIRST, LAST = "2023-06-05", "2023-06-16"
HOURS, MINUTES = (OHLCV_1H.id,), (OHLCV_1M.id,)
#: Requests that a service which is gone for a while refuses, one after the other.
GONE = 200
CHAIN = (OHLCV_1M.id, OHLCV_1H.id, OHLCV_1D.id)
BACKFILL = """mutation($wanted: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $wanted) { ... on LaunchBackfillSuccess { backfillId } }
}"""
PROGRESS = """query($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status runs { id status } } }
}"""


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("delivery")
    simulate_delivery(directory, seed=4, start=START, end=END, minute_start=dt.date(2023, 6, 15))
    return directory


@pytest.fixture(scope="module")
def clean(delivery: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.Series:
    """What one process that nobody disturbs makes of the delivery, in a file."""
    world = World(tmp_path_factory.mktemp("clean"))
    world.land(delivery)
    world.refresh()
    return world.hashes()


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackBigQuery]:
    with LoopbackBigQuery() as made:
        yield made


@pytest.fixture(scope="module")
def deployment(
    server: LoopbackBigQuery, delivery: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Composed]:
    """Started, the delivery landed in it."""
    path = tmp_path_factory.mktemp("deployment")
    settings = {
        "CBI_TARGET": "bigquery",
        "CBI_BIGQUERY_PROJECT": "loopback",
        "CBI_BIGQUERY_ENDPOINT": server.endpoint,
        "CBI_ARCHIVE": str(path / "bucket"),
    }
    with served() as database, composed(path, database, settings) as made:
        landed = made.cbi("land", delivery)
        assert landed.returncode == 0, landed.stderr
        yield made


@pytest.fixture(autouse=True)
def _unhurt(server: LoopbackBigQuery) -> Iterator[None]:
    yield
    go_on(server)


@dataclass
class Held(Faults):
    """Nothing goes wrong, but from where a condition holds on every request waits until it may `go_on`."""

    from_where: Callable[[], bool] = lambda: True

    def __post_init__(self) -> None:
        super().__init__(self._wait)
        self.waiting, self.free = threading.Event(), threading.Event()

    def _wait(self, number: int, method: str, path: str) -> None:
        if self.waiting.is_set() or self.from_where():
            self.waiting.set()
            self.free.wait()


def go_on(server: LoopbackBigQuery, faults: Faults | None = None) -> None:
    """What waits is answered, what comes meets other faults or none."""
    held, server.faults = server.faults, faults or Faults()
    if isinstance(held, Held):
        held.free.set()


def warehouse(deployment: Composed) -> Warehouse:
    return Home(deployment.state, deployment.settings).open().warehouse


def require_right(deployment: Composed, clean: pd.Series, tables: tuple[str, ...]) -> None:
    """Tables hold just what a clean build holds, no row less or twice, and the ledger says so."""
    stored = warehouse(deployment)
    ledger = stored.ledger_rows(set(tables)).set_index(["table_name", "partition_key"])["content_hash"].sort_index()
    pd.testing.assert_series_equal(ledger, clean[clean.index.isin(tables, level=0)])
    for name in tables:
        told = stored.ledger_by_table({name})[name]
        assert stored.stored_hashes(TABLES[name], told.keys).tolist() == told.hashes.tolist()


def drop(deployment: Composed) -> None:
    for name in CHAIN:
        warehouse(deployment).drop(name)


def under_way(deployment: Composed, server: LoopbackBigQuery) -> str:
    """A run of tables that are not there, held when it has written the first; its id."""
    drop(deployment)

    def written() -> bool:
        names = server.project.table(PARTITION_LEDGER.id).rows["table_name"]
        return not set(CHAIN).isdisjoint(names.to_pylist())

    server.faults = held = Held(written)
    run = deployment.launch(CHAIN, FIRST, LAST)
    deployment.until(held.waiting.is_set, "a first table is written")
    return run


def require_repeated_if_failed(deployment: Composed, run: str) -> None:
    if deployment.ended(run) == "FAILURE":
        deployment.until(lambda: deployment.retries(run), "the run is asked for again")
        (again,) = deployment.retries(run)
        assert deployment.ended(again) == "SUCCESS"


def backfill(deployment: Composed, dates: list[str]) -> str:
    """A backfill of the chain that somebody asks for; its id."""
    wanted = {"assetSelection": [{"path": name.split(".")} for name in CHAIN], "partitionNames": dates}
    return str(deployment.ask(BACKFILL, wanted=wanted)["launchPartitionBackfill"]["backfillId"])


def backfilled(deployment: Composed, asked: str) -> tuple[str, list[str]]:
    """What a backfill ends with, and its runs."""

    def progress() -> dict[str, Any]:
        found: dict[str, Any] = deployment.ask(PROGRESS, id=asked)["partitionBackfillOrError"]
        return found

    deployment.until(lambda: progress()["status"] != "REQUESTED", "the backfill is over")
    return progress()["status"], [run["status"] for run in progress()["runs"]]


def test_all_that_is_started_is_well(deployment: Composed) -> None:
    deployment.until(lambda: all(deployment.daemons().values()), "every daemon is well")
    assert {"BACKFILL", "QUEUED_RUN_COORDINATOR", "MONITORING", "EVENT_LOG_CONSUMER"} <= set(deployment.daemons())
    for service in ("code", "daemon"):
        assert deployment.healthy(service)
    assert not (deployment.state / "dagster" / "history").exists(), "nothing is recorded in files"


def test_runs_of_different_tables_go_on_at_once_and_runs_of_one_table_do_not(
    deployment: Composed, server: LoopbackBigQuery, clean: pd.Series
) -> None:
    server.faults = Held()
    asked = [deployment.launch(tables, FIRST, LAST) for tables in (HOURS, MINUTES, HOURS)]
    for run in asked[:2]:
        deployment.until(lambda run=run: deployment.run(run)["status"] == "STARTED", f"run {run} is under way")
    go_on(server)
    assert [deployment.ended(run) for run in asked] == ["SUCCESS"] * 3
    hours, minutes, again = (deployment.run(run) for run in asked)
    assert max(hours["startTime"], minutes["startTime"]) < min(hours["endTime"], minutes["endTime"])
    assert again["startTime"] >= hours["endTime"]
    require_right(deployment, clean, (*HOURS, *MINUTES))


def test_a_range_backfill_is_one_run(deployment: Composed, clean: pd.Series) -> None:
    asked = backfill(deployment, clean.loc[OHLCV_1H.id].index.tolist())
    assert backfilled(deployment, asked) == ("COMPLETED_SUCCESS", ["SUCCESS"])
    require_right(deployment, clean, CHAIN)


def test_a_run_whose_process_is_killed_fails_is_retried_and_ends_in_the_right_tables(
    deployment: Composed, server: LoopbackBigQuery, clean: pd.Series
) -> None:
    run = under_way(deployment, server)
    other = deployment.launch((OHLCV_UTC_1D.id,), FIRST, LAST)
    os.kill(deployment.worker(run), signal.SIGKILL)
    go_on(server)
    assert deployment.ended(run) == "FAILURE"
    require_repeated_if_failed(deployment, run)
    assert deployment.ended(other) == "SUCCESS", "a run of other tables was not disturbed"
    require_right(deployment, clean, CHAIN)


def test_runs_that_end_with_the_machine_of_the_code_are_retried_when_it_is_back(
    deployment: Composed, server: LoopbackBigQuery, clean: pd.Series
) -> None:
    run = under_way(deployment, server)
    deployment.kill("code")
    go_on(server)
    assert deployment.run(run)["status"] == "STARTED", "nobody was left to say a word"
    deployment.start("code")
    assert deployment.ended(run) == "FAILURE"
    require_repeated_if_failed(deployment, run)
    require_right(deployment, clean, CHAIN)


def test_a_database_that_restarts_in_the_middle_of_a_run_loses_nothing(
    deployment: Composed, server: LoopbackBigQuery, clean: pd.Series
) -> None:
    run = under_way(deployment, server)
    deployment.database.stop()
    go_on(server)
    time.sleep(5)
    deployment.database.start()
    require_repeated_if_failed(deployment, run)
    require_right(deployment, clean, CHAIN)


def test_the_daemon_and_the_web_server_may_be_killed_while_runs_go_on(
    deployment: Composed, server: LoopbackBigQuery, clean: pd.Series
) -> None:
    run = under_way(deployment, server)
    queued = deployment.launch(HOURS, FIRST, LAST)
    deployment.kill("daemon", "webserver")
    go_on(server)
    deployment.start("webserver", "daemon")
    assert deployment.ended(run) == "SUCCESS"
    assert deployment.ended(queued) == "SUCCESS"
    require_right(deployment, clean, CHAIN)


def test_a_service_that_is_gone_for_a_while_is_waited_for(
    deployment: Composed, server: LoopbackBigQuery, clean: pd.Series
) -> None:
    run = under_way(deployment, server)
    gone = Faults(lambda number, method, path: "503" if number < GONE else None)
    go_on(server, gone)
    assert deployment.ended(run) == "SUCCESS"
    assert len(gone.met) == GONE
    require_right(deployment, clean, CHAIN)


def test_two_backfills_of_ranges_that_overlap_leave_what_one_leaves(
    deployment: Composed, server: LoopbackBigQuery, clean: pd.Series
) -> None:
    dates = clean.loc[OHLCV_1H.id].index.tolist()
    drop(deployment)
    asked = [backfill(deployment, dates[:7]), backfill(deployment, dates[4:])]
    for found in asked:
        assert backfilled(deployment, found) == ("COMPLETED_SUCCESS", ["SUCCESS"])
    require_right(deployment, clean, CHAIN)


def test_a_command_refreshes_through_the_same_instance(deployment: Composed, clean: pd.Series) -> None:
    """Beside the daemon, in the container of the code, with everything that is left to build."""
    refreshed = deployment.cbi("refresh")
    assert refreshed.returncode == STALE, refreshed.stderr
    require_right(deployment, clean, tuple(name for name in clean.index.unique(level=0) if name in TABLES))
    assert deployment.cbi("plan").returncode == 0
    assert not list((deployment.state / "claims").glob("*.lock"))
