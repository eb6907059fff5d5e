"""Commands that are killed at any moment: the next one works, and in the end nothing tells that it happened."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from cbi_dagster.cli.main import STALE
from cbi_dagster.home import Home
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster_tests.properties.worlds import World

KILLS, LONGEST_S = 30, 12.0
TABLES = ("databento_futures_ohlcv_1h", "databento_futures_ohlcv_1d", "futures_continuous_1d", "volatility_daily")
SELECTED = [word for name in TABLES for word in ("--select", name)]


def start(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "CBI_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "cbi_dagster.cli", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)


@pytest.mark.slow
def test_after_any_kill_the_next_command_works_and_ends_as_a_clean_build_does(tmp_path: Path) -> None:
    delivery, home, clean = tmp_path / "delivery", tmp_path / "home", tmp_path / "clean"
    delivery.mkdir()
    simulate_delivery(delivery, seed=3, start=dt.date(2023, 6, 5), end=dt.date(2023, 7, 15), minute_roots=())
    commands = {"land": ("land", str(delivery)), "refresh": ("refresh", *SELECTED), "backfill": ("backfill", *SELECTED)}
    moments = random.Random(20230605)
    for number in range(KILLS):
        process = start(home, *commands[[*commands][number % 3]])
        time.sleep(moments.uniform(0.0, LONGEST_S))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for at in (home, clean):
        assert start(at, *commands["land"]).wait(300) in ((0,) if at == clean else (0, 1))  # 1: it was here
        assert start(at, *commands["refresh"]).wait(300) in (0, STALE)
        assert start(at, "backfill", *SELECTED).wait(300) == 0  # the next run ends what was killed
        assert start(at, "check", *SELECTED).wait(300) == 0
    assert World(home).hashes().equals(World(clean).hashes())
    assert list(Home(home).claims.glob("*")) == []
    assert list(home.rglob("*.part")) == []
    assert {path.name for path in home.iterdir()} == {path.name for path in clean.iterdir()}
    with dg.DagsterInstance.from_config(str(Home(home).dagster)) as instance:
        assert all(run.is_finished for run in instance.get_runs())
