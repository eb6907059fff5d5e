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

KILLS = 4  # of each command
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
    took_s = {}
    for name in commands:
        began = time.monotonic()
        assert start(clean, *commands[name]).wait(900) in (0, STALE)
        took_s[name] = time.monotonic() - began
    moments, killed = random.Random(20230605), dict.fromkeys(commands, 0)
    while min(killed.values()) < KILLS:
        for name in commands:
            process = start(home, *commands[name])
            time.sleep(moments.uniform(0.2, 1.0) * took_s[name])  # imports are the first fifth
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                killed[name] += 1
            else:
                took_s[name] /= 2  # there is less left to do, or the machine has become faster
            process.wait()
    assert start(home, *commands["land"]).wait(900) in (0, 1)  # 1: it was here
    assert start(home, *commands["refresh"]).wait(900) in (0, STALE)
    assert start(home, "backfill", *SELECTED).wait(900) == 0  # the next run ends what was killed
    for at in (home, clean):
        assert start(at, "check", *SELECTED).wait(900) == 0
    assert World(home).hashes().equals(World(clean).hashes())
    assert list(Home(home).claims.glob("*")) == []
    assert list(home.rglob("*.part")) == []
    assert {path.name for path in home.iterdir()} == {path.name for path in clean.iterdir()}
    with dg.DagsterInstance.from_config(str(Home(home).dagster)) as instance:
        assert all(run.is_finished for run in instance.get_runs())
