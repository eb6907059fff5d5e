"""The same commands, another engine: what is built in BigQuery is what is built in a file, also when requests fail."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from cbi_dagster.catalog import ASSET_TABLES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D, OHLCV_1H
from cbi_dagster.catalog.tables.ops import CODE_VERSIONS, CORRECTIONS, HELD_BACK, LANDED_FILES
from cbi_dagster.catalog.views import views
from cbi_dagster.cli.main import DIFFERENT, STALE
from cbi_dagster.reports.plans import exact_plan
from cbi_dagster.vendors.landing import DatasetMismatchError
from cbi_dagster.vendors.simulate import simulate_delivery, simulate_macro
from cbi_dagster.warehouse.bigquery import BigQueryWarehouse
from cbi_dagster.warehouse.contract import now_utc
from cbi_dagster_tests.cli.commands import cbi
from cbi_dagster_tests.fakes.bigquery import Faults, LoopbackBigQuery
from cbi_dagster_tests.fakes.bigquery.storage import ServiceError
from cbi_dagster_tests.properties.test_promises import require_split_invariance, stored
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import restating_file, zl_file

START, END = dt.date(2023, 6, 5), dt.date(2023, 6, 10)
RESTATED = pd.Timestamp("2023-06-07 15:00", tz="UTC")


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A week of all markets, minutes of its last day."""
    directory = tmp_path_factory.mktemp("delivery")
    simulate_delivery(directory, seed=3, start=START, end=END, minute_start=dt.date(2023, 6, 9))
    simulate_macro(directory, seed=3, start=START, end=END)
    return directory


@pytest.fixture(scope="module")
def in_a_file(delivery: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    return lived(World(tmp_path_factory.mktemp("file")), delivery)


@pytest.fixture
def server() -> Iterator[LoopbackBigQuery]:
    with LoopbackBigQuery() as served:
        yield served


def beside(server: LoopbackBigQuery, path: Path, **settings: str) -> World:
    """A state directory whose settings name a server."""
    named = {"TARGET": "bigquery", "BIGQUERY_PROJECT": "loopback", "BIGQUERY_ENDPOINT": server.endpoint} | settings
    path.mkdir()
    text = yaml.safe_dump({f"CBI_{name}": value for name, value in named.items()})
    (path / "settings.yaml").write_text(text, encoding="utf-8")
    return World(path)


def lived(world: World, delivery: Path) -> World:
    """Landed, built, corrected and refreshed."""
    world.land(delivery)
    world.refresh()
    return corrected(world)


def corrected(world: World) -> World:
    """A bar of the delivery corrected, what a plan says of it, and a refresh that does just that."""
    bars = to_frame(OHLCV_1H, world.warehouse.read(OHLCV_1H))
    bar = bars[(bars["root"] == "ZL") & (bars["ts_event"] == RESTATED)]
    file = world.path.with_name(f"{world.path.name}.ohlcv-1h.dbn.zst")
    world.land(restating_file(file, bar, volume=float(bar["volume"].iloc[0]) + 100.0))
    planned = exact_plan(world.platform, ASSET_TABLES)
    assert world.refresh() == planned
    assert not world.builder.plan().tables
    return world


def books(world: World) -> pd.DataFrame:
    """What the ledger says of every partition but when and by which run."""
    names = ["table_name", "partition_key", "content_hash", "row_count", "code_version", "input_fingerprint"]
    return world.warehouse.ledger_rows()[names]


def require_equal(world: World, other: World) -> None:
    pd.testing.assert_frame_equal(books(world), books(other))
    for table in ASSET_TABLES:
        ledger = world.warehouse.ledger_by_table({table.id}).get(table.id)
        if ledger is not None:
            assert world.warehouse.stored_hashes(table, ledger.keys).tolist() == ledger.hashes.tolist()


def require_views(world: World, other: World) -> None:
    """Every view shows the same, but for when something was written."""
    filled = 0
    for view in views():
        shown, wanted = (one.warehouse.query(f"SELECT * FROM {view}").to_pandas() for one in (world, other))
        times = [name for name in shown if name.startswith("last_") and name.endswith("_at")]
        order = [name for name in ("table_name", "symbol", "date", "data_date", "bar_close_ts") if name in shown]
        shown, wanted = (
            frame.drop(columns=times).sort_values(order or [*frame.columns[:1]]).reset_index(drop=True)
            for frame in (shown, wanted)
        )
        filled += len(shown) > 0
        pd.testing.assert_frame_equal(shown, wanted, check_exact=True, obj=view)
    assert filled > 12


def require_stored_views(world: World, server: LoopbackBigQuery, prefix: str) -> None:
    """Other programs that ask the service for a view by its name there are shown what a question here is."""
    assert {name.removeprefix(prefix) for name in server.project.views} == {*views()}
    client = bigquery.Client("loopback", AnonymousCredentials(), client_options={"api_endpoint": server.endpoint})
    for view in ("monitoring.vw_pipeline_health", "api.vw_zl_dashboard_current", "features.vw_daily_ml_flat"):
        rows = client.query(f"SELECT * FROM `loopback.{prefix}{view}`", job_retry=None).result()
        asked = world.warehouse.query(f"SELECT * FROM {view}").to_pylist()
        assert {tuple(map(_plain, row.values())) for row in rows} == {tuple(map(_plain, row.values())) for row in asked}


def require_explained(world: World, other: World) -> None:
    """What rows and values are, why there are none, and what differs is told in the same words."""
    of_zl = ("--date", "2023-06-08", "--symbol", "ZL")
    asked = {
        ("show", "daily_ml_matrix", *of_zl): 0,
        ("show", "zl_training_prod_allhistory_1w", *of_zl): 1,
        ("why", "technicals_daily", "return_1d", *of_zl): 0,
        ("why", "technicals_daily", "sma_20", *of_zl): 0,
        ("diff", str(world.path), str(other.path)): 0,
    }
    for words, code in asked.items():
        told, wanted = cbi(world.path, *words), cbi(other.path, *words)
        assert (told.exit_code, _said(told.output)) == (code, _said(wanted.output)), words


def _said(output: str) -> list[list[str]]:
    """The words of each line but those of when and by which run."""
    return [
        re.findall(r"[^\W_]\S*", line) for line in output.splitlines() if not re.search("ingestion_ts|run_id", line)
    ]


def _plain(value: object) -> object:
    return value.astimezone(dt.UTC).isoformat() if isinstance(value, dt.datetime) else value


def test_what_is_built_and_corrected_in_bigquery_is_what_is_built_in_a_file(server, delivery, in_a_file, tmp_path):
    url = f"memory://{tmp_path.name}/landing"
    world = lived(beside(server, tmp_path / "home", BIGQUERY_PREFIX="mine_", ARCHIVE=url), delivery)
    require_equal(world, in_a_file)
    require_views(world, in_a_file)
    require_stored_views(world, server, "mine_")
    for table in (FUTURES_CONTINUOUS_1D, DAILY_ML_MATRIX):
        require_split_invariance(world, table, stored(world, table))
    here = {path.name for path in world.path.iterdir()}
    assert here == {"settings.yaml", "decoded"}, "files and tables are elsewhere, but for copies that can be made again"
    assert "A refresh reads about" not in cbi(world.path, "plan").output
    world.warehouse.drop(DAILY_ML_MATRIX.id)
    said = re.search(r"A refresh reads about ([\d,]+) bytes of stored tables", cbi(world.path, "plan").output)
    assert said
    assert 10_000 < int(said[1].replace(",", "")) < 10_000_000
    # Through Dagster, as everybody does it.
    refreshed = cbi(world.path, "refresh")
    assert refreshed.exit_code == STALE, refreshed.output
    require_equal(world, in_a_file)
    require_explained(world, in_a_file)
    assert {name.partition(".")[0].partition("_")[0] for name in server.project.tables} == {"mine"}


def test_every_tenth_request_may_fail(server, delivery, in_a_file, tmp_path):
    server.faults = Faults.every(10)
    world = lived(beside(server, tmp_path / "home"), delivery)
    assert len(server.faults.met) > 100
    server.faults = Faults()
    require_equal(world, in_a_file)


@pytest.mark.slow
def test_what_is_in_bigquery_is_proved_pictured_compared_and_made_again_as_it_was_known(server, delivery, tmp_path):
    world = beside(server, tmp_path / "home", ARCHIVE=f"memory://{tmp_path.name}/landing")
    world.land(delivery)
    world.refresh()
    before = now_utc()
    proved = cbi(world.path, "prove", "--cuts", "1")
    assert (proved.exit_code, "Every row made again is the stored one." in proved.output) == (0, True), proved.output
    assert cbi(world.path, "diff").exit_code == 0
    page = tmp_path / "report.html"
    assert cbi(world.path, "report", "--out", page).exit_code == 0
    assert page.stat().st_size > 50_000
    corrected(world)
    audit = World(tmp_path / "audit")
    assert cbi(world.path, "rebuild", "--as-landed-by", str(before), "--out", audit.path).exit_code == 0
    differing = cbi(world.path, "diff", audit.path, world.path, "--select", OHLCV_1H.name)
    assert differing.exit_code == DIFFERENT
    assert f"{OHLCV_1H.id}: 1 partitions (2023-06-07), 0 rows added, 0 removed, 1 changed" in differing.output
    (correction,) = set(world.platform.landing.landed_by(now_utc())) - set(world.platform.landing.landed_by(before))
    world.platform.landing.unland(correction.file_hash)
    world.refresh()
    assert audit.hashes().equals(world.hashes())


@pytest.mark.slow
def test_two_machines_refresh_the_same_tables_at_the_same_time(server, delivery, in_a_file, tmp_path):
    machines = [beside(server, tmp_path / name, ARCHIVE=str(tmp_path / "archive")) for name in ("one", "other")]
    machines[0].land(delivery)
    command = [sys.executable, "-m", "cbi_dagster.cli", "refresh"]
    runs = [
        subprocess.Popen(command, env={**os.environ, "CBI_HOME": str(machine.path)}, stdout=subprocess.DEVNULL)
        for machine in machines
    ]
    assert [run.wait(900) for run in runs] == [STALE, STALE]
    assert not machines[0].builder.plan().tables
    require_equal(corrected(machines[1]), in_a_file)


def test_simulated_data_is_refused_by_a_warehouse_for_real_data(server, delivery, tmp_path, monkeypatch):
    world = beside(server, tmp_path / "home")
    monkeypatch.setattr(BigQueryWarehouse, "takes_simulated", False)
    with pytest.raises(DatasetMismatchError, match=r"SIM\.DEMO is simulated"):
        world.land(delivery)
    assert len(world.warehouse.read(LANDED_FILES)) == 0
    assert not any(path.is_file() for path in (world.path / "landing").rglob("*"))


def test_a_warehouse_moves_into_bigquery_and_back(server, in_a_file, tmp_path):
    there = beside(server, tmp_path / "there", ARCHIVE=f"memory://{tmp_path.name}/landing")

    def failing(number: int, method: str, path: str) -> None:
        if number == 250:
            server.jobs.failing["query"].append(ServiceError("accessDenied", "no permission"))

    server.faults = Faults(failing)
    cut_short = cbi(in_a_file.path, "copy", "--to", there.path)
    assert (cut_short.exit_code, "no permission; nothing of it was done" in cut_short.output) == (1, True)
    copied = cbi(in_a_file.path, "copy", "--to", there.path)
    assert copied.exit_code == 0
    assert "0 landed files copied" in copied.output
    require_equal(there, in_a_file)
    for book in (LANDED_FILES, CORRECTIONS, HELD_BACK, CODE_VERSIONS):
        names = [column.name for column in book.columns]
        assert there.warehouse.read(book, columns=names).equals(in_a_file.warehouse.read(book, columns=names))
    assert not there.builder.plan().tables
    assert "partitions copied" not in cbi(in_a_file.path, "copy", "--to", there.path).output

    back = World(tmp_path / "back")
    assert cbi(there.path, "copy", "--to", back.path).exit_code == 0
    require_equal(back, in_a_file)
    assert not back.builder.plan().tables


def test_only_an_empty_warehouse_or_an_earlier_copy_is_copied_into(server, delivery, in_a_file, tmp_path):
    other = World(tmp_path / "other")
    other.land(zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    refused = cbi(in_a_file.path, "copy", "--to", other.path)
    assert (refused.exit_code, "1 files have been landed where the copy would go" in refused.output) == (1, True)
    beside(server, tmp_path / "real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BigQueryWarehouse, "takes_simulated", False)
        refused = cbi(in_a_file.path, "copy", "--to", tmp_path / "real")
    assert (refused.exit_code, "only real data belongs" in refused.output) == (1, True)
