"""`cbi ui` as a person uses it, through the web server's own interface: real processes on a free loopback port."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES
from cbi_dagster.catalog.tables.market_data import OHLCV_1D, OHLCV_1H, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.home import CODE_LOCATION, Home
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster_tests.orchestration.pages import Page, served
from cbi_dagster_tests.properties.worlds import World

START, END = dt.date(2023, 6, 5), dt.date(2023, 6, 10)
SESSIONS = (OHLCV_1M, OHLCV_1H, OHLCV_UTC_1D, OHLCV_1D)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Over a state directory in which a week has been landed and nothing built."""
    path: Path = tmp_path_factory.mktemp("ui") / "home"
    delivery = tmp_path_factory.mktemp("delivery")
    simulate_delivery(delivery, seed=4, start=START, end=END, minute_start=dt.date(2023, 6, 8))
    Home(path).prepare()
    World(path).land(delivery)
    with served(path) as made:
        yield made


def test_the_ui_shows_every_table_with_its_layer_columns_and_checks(page: Page) -> None:
    nodes = page.ask("{assetNodes{assetKey{path} groupName hasAssetChecks metadataEntries{__typename label}}}")
    shown = {".".join(node["assetKey"]["path"]): node for node in nodes["assetNodes"]}
    assert {table.id for table in ASSET_TABLES} | set(LANDING_SOURCES) <= set(shown)
    for table in ASSET_TABLES:
        assert shown[table.id]["groupName"] == table.layer
        assert shown[table.id]["hasAssetChecks"]
        labels = {entry["label"] for entry in shown[table.id]["metadataEntries"]}
        assert {"dagster/column_schema", "dagster/column_lineage", "dagster/table_name"} <= labels


RUNS = """query($job: PipelineSelector!) { pipelineOrError(params: $job) { ... on Pipeline { runs { status } } } }"""


def test_the_page_of_a_job_shows_the_runs_of_commands_too(page: Page) -> None:
    job = {"repositoryLocationName": CODE_LOCATION, "repositoryName": "__repository__", "pipelineName": "refresh"}
    assert page.ask(RUNS, job=job)["pipelineOrError"]["runs"] == []
    command = [sys.executable, "-m", "cbi_dagster.cli", "refresh", "--select", OHLCV_1M.id]
    told = subprocess.run(command, env={**os.environ, "CBI_HOME": str(page.path)}, capture_output=True)
    assert told.returncode == 3, told.stderr
    assert page.ask(RUNS, job=job)["pipelineOrError"]["runs"] == [{"status": "SUCCESS"}]


LAUNCH = """mutation($wanted: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $wanted) { __typename ... on LaunchBackfillSuccess { backfillId } }
}"""
PROGRESS = """query($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status runs { id status } } }
}"""


@pytest.mark.waits
@pytest.mark.slow  # the daemon looks for backfills every half minute
def test_a_range_backfill_started_in_the_ui_is_one_run_and_writes_what_the_builder_writes(
    page: Page, tmp_path: Path
) -> None:
    wanted = {
        "assetSelection": [{"path": table.id.split(".")} for table in SESSIONS],
        "partitionNames": [f"2023-06-0{day}" for day in range(5, 10)],
    }
    launched = page.ask(LAUNCH, wanted=wanted)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess"
    deadline = time.monotonic() + 900
    while True:
        backfill = page.ask(PROGRESS, id=launched["backfillId"])["partitionBackfillOrError"]
        if backfill["status"] != "REQUESTED":
            break
        assert time.monotonic() < deadline, backfill
        time.sleep(1)
    assert backfill["status"] == "COMPLETED_SUCCESS"
    assert [run["status"] for run in backfill["runs"]] == ["SUCCESS"]
    written = World(page.path).hashes()
    World(page.path).refresh()
    own = [table.id for table in SESSIONS]
    written, wanted_content = (found[found.index.isin(own, level=0)] for found in (written, World(page.path).hashes()))
    assert written.equals(wanted_content), "each table has the dates that its own sources were landed for"
    assert len(written) > 5


def alive(process: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.waits
@pytest.mark.slow  # it starts a web server and a daemon of its own
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_ui_and_all_that_it_has_started(tmp_path: Path, number: signal.Signals) -> None:
    with served(tmp_path / "home") as page:
        started = page.processes
        assert len(started) > 3, "a web server, a daemon and what serves the definitions"
        page.server.send_signal(number)
        page.server.wait(300)
        # What is killed takes a moment to be gone.
        deadline = time.monotonic() + 60
        while (left := [process for process in started if alive(process)]) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert left == []
        assert page.server.returncode == 0
