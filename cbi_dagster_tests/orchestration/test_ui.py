"""`cbi ui` as a person uses it, through the web server's own interface: real processes on a free loopback port."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES
from cbi_dagster.catalog.tables.market_data import OHLCV_1D, OHLCV_1H, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.home import Home
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster_tests.properties.worlds import World

START, END = dt.date(2023, 6, 5), dt.date(2023, 6, 10)
SESSIONS = (OHLCV_1M, OHLCV_1H, OHLCV_UTC_1D, OHLCV_1D)


@dataclass(frozen=True)
class Page:
    """The running UI over a state directory in which a week has been landed and nothing built."""

    port: int
    world: World

    def ask(self, query: str, **variables: object) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/graphql", body, headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path: Path = tmp_path_factory.mktemp("ui")
    delivery = tmp_path_factory.mktemp("delivery")
    simulate_delivery(delivery, seed=4, start=START, end=END, minute_start=dt.date(2023, 6, 8))
    Home(path).prepare()
    world = World(path)
    world.land(delivery)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (path / "ui.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "cbi_dagster.cli", "ui", "--port", str(port)],
        env={**os.environ, "CBI_HOME": str(path)},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    made = Page(port, world)
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                made.ask("{version}")
                break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None, (path / "ui.log").read_text()
                assert time.monotonic() < deadline, (path / "ui.log").read_text()
                time.sleep(0.5)
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
        log.close()


def test_the_ui_shows_every_table_with_its_layer_columns_and_freshness(page: Page) -> None:
    nodes = page.ask("{assetNodes{assetKey{path} groupName hasAssetChecks metadataEntries{__typename label}}}")
    shown = {".".join(node["assetKey"]["path"]): node for node in nodes["assetNodes"]}
    assert {table.id for table in ASSET_TABLES} | set(LANDING_SOURCES) <= set(shown)
    for table in ASSET_TABLES:
        assert shown[table.id]["groupName"] == table.layer
        assert shown[table.id]["hasAssetChecks"]
        labels = {entry["label"] for entry in shown[table.id]["metadataEntries"]}
        assert {"dagster/column_schema", "dagster/column_lineage", "dagster/table_name"} <= labels


LAUNCH = """mutation($wanted: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $wanted) { __typename ... on LaunchBackfillSuccess { backfillId } }
}"""
PROGRESS = """query($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status runs { id status } } }
}"""


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
    deadline = time.monotonic() + 240
    while True:
        backfill = page.ask(PROGRESS, id=launched["backfillId"])["partitionBackfillOrError"]
        if backfill["status"] != "REQUESTED":
            break
        assert time.monotonic() < deadline, backfill
        time.sleep(1)
    assert backfill["status"] == "COMPLETED_SUCCESS"
    assert [run["status"] for run in backfill["runs"]] == ["SUCCESS"]
    written = page.world.hashes()
    page.world.refresh()
    own = [table.id for table in SESSIONS]
    written, wanted_content = (found[found.index.isin(own, level=0)] for found in (written, page.world.hashes()))
    assert written.equals(wanted_content), "each table has the dates that its own sources were landed for"
    assert len(written) > 5
