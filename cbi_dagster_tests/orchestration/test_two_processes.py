"""Several processes on one state directory: nobody sees a lock, and what they leave is what one alone would leave."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cbi_dagster.catalog.tables.market_data import OHLCV_1D, OHLCV_1H, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.catalog.tables.ops import LANDED_FILES
from cbi_dagster.cli.main import cbi as group
from cbi_dagster.definitions import defs
from cbi_dagster.home import Home
from cbi_dagster.orchestration.partitions import asset_key
from cbi_dagster.orchestration.runs import opened_instance
from cbi_dagster.orchestration.sensors import build_sensors
from cbi_dagster.reports.checks import stored_as_written
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import restating_file

CHAIN = (OHLCV_1M, OHLCV_1H, OHLCV_UTC_1D, OHLCV_1D)
SELECTED = [word for table in CHAIN for word in ("--select", table.name)]
NOTHING_STALE, REBUILT = 0, 3


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("delivery")
    start, end = dt.date(2023, 6, 5), dt.date(2023, 6, 17)
    simulate_delivery(directory, seed=5, start=start, end=end, minute_start=dt.date(2023, 6, 14))
    return directory


@pytest.fixture
def home(delivery: Path, tmp_path: Path) -> World:
    world = World(tmp_path / "home")
    world.land(delivery)
    return world


def started(home: World) -> subprocess.Popen[str]:
    """A refresh in a process of its own, which has begun its run."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cbi_dagster.cli", "refresh", *SELECTED],
        env={**os.environ, "CBI_HOME": str(home.path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    claims = Home(home.path).claims
    while process.poll() is None and not list(claims.glob("*.lock")):
        time.sleep(0.02)
    return process


def ended(process: subprocess.Popen[str]) -> int:
    """Exit code of a process that told nobody of any trouble."""
    output, errors = process.communicate(timeout=600)
    assert process.returncode in (NOTHING_STALE, REBUILT), errors or output
    assert "lock" not in (output + errors).lower()
    assert errors == ""
    return process.returncode


def cbi(home: World, *arguments: str | Path) -> int:
    """Exit code of a command in this process, which told nobody of any trouble."""
    result = CliRunner(env={"CBI_HOME": str(home.path)}).invoke(group, [str(argument) for argument in arguments])
    assert result.exit_code in (NOTHING_STALE, REBUILT), result.output
    assert "lock" not in result.output.lower()
    return result.exit_code


def require_consistent(home: World, scratch: World, *files: Path) -> None:
    """The tables are current, hold what the ledger says, and are those of one process working alone."""
    assert not home.builder.plan(CHAIN).tables
    for table in CHAIN:
        result = stored_as_written(home.warehouse, table)
        assert result.passed, (table.id, result.problems)
    scratch.land(*files[:1])
    for file in files[1:]:
        scratch.land(file)
    for table in CHAIN:
        scratch.builder.build(table, None, "scratch", only_stale=True)
    pd.testing.assert_series_equal(home.hashes(), scratch.hashes())


def test_two_refreshes_and_readers_at_once_leave_what_one_refresh_leaves(
    home: World, delivery: Path, tmp_path: Path
) -> None:
    other = started(home)
    assert other.poll() is None
    assert cbi(home, "status") == NOTHING_STALE
    here = cbi(home, "refresh", *SELECTED)
    while other.poll() is None:
        assert cbi(home, "status") == NOTHING_STALE
        time.sleep(0.5)
    assert REBUILT in (here, ended(other))
    require_consistent(home, World(tmp_path / "scratch"), delivery)


CORRECTION = "fix.ohlcv-1h.dbn.zst"


def correction(home: World, directory: Path) -> Path:
    day = [(np.datetime64("2023-06-08"), np.datetime64("2023-06-08"))]
    bars = home.platform.landing.read("landing.ohlcv_1h", day)
    bar = bars[bars["symbol"] == "HO.v.0"].iloc[[9]]
    return restating_file(directory / CORRECTION, bar, high=bar["high"].iloc[0] + 0.02)


def test_a_killed_refresh_neither_blocks_the_sensors_nor_spoils_the_next_one(
    home: World, delivery: Path, tmp_path: Path
) -> None:
    place = Home(home.path)
    place.prepare()
    refresh = started(home)
    with opened_instance(place) as instance:  # told of hours, when the tables made of them are still to come
        while refresh.poll() is None and not instance.get_latest_materialization_event(asset_key(OHLCV_1H.id)):
            time.sleep(0.02)
    os.killpg(refresh.pid, signal.SIGKILL)  # with the processes that copy its output
    refresh.communicate()
    (sensor,) = (item for item in build_sensors(place, home.builder, None) if item.name == "refresh_sensor")
    with dg.DagsterInstance.from_config(str(place.dagster)) as instance:
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.STARTED
        tick = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, definitions=defs))
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.FAILURE
        assert len(tick.run_requests) == 1
    # A correction lands while the next refresh is at work: it is in this one or in the one after it.
    file, refresh = correction(home, tmp_path), started(home)
    assert cbi(home, "land", file) == 0
    assert ended(refresh) == REBUILT
    cbi(home, "refresh", *SELECTED)
    require_consistent(home, World(tmp_path / "scratch"), delivery, tmp_path / CORRECTION)
    assert list(place.claims.iterdir()) == []


def together(code: str, *arguments: list[str]) -> list[str]:
    """What processes print that run `code` after `input()` at the same moment, one for each list of arguments."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, *own],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for own in arguments
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = []
    for process in processes:
        output, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
        outputs.append(output.strip())
    return outputs


def test_deliveries_that_land_together_are_landed_one_after_the_other(delivery: Path, tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\n"
        "from cbi_dagster_tests.properties.worlds import World\n"
        "world = World(pathlib.Path(sys.argv[1]))\n"
        "print('ready', flush=True)\n"
        "input()\n"
        "report = world.platform.ready().landing.land([pathlib.Path(sys.argv[2])])\n"
        "print(report.files['outcome'].iloc[0])\n"
    )
    (hours,), (minutes,) = delivery.glob("*.ohlcv-1h.*"), delivery.glob("*.ohlcv-1m.*")
    home, scratch = World(tmp_path / "home"), World(tmp_path / "scratch")
    said = together(code, *[[str(home.path), str(file)] for file in (hours, hours, minutes)])
    assert sorted(said) == ["already landed", "landed", "landed"]
    files = home.warehouse.read(LANDED_FILES, columns=["file_hash", "landing_sequence"]).to_pandas()
    assert files["file_hash"].is_unique
    assert sorted(files["landing_sequence"]) == [0, 1]
    scratch.land(hours, minutes)
    pd.testing.assert_series_equal(home.hashes(), scratch.hashes())
