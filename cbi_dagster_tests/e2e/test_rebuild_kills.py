"""A rebuild that is killed at any moment: what is there passes for nothing whole, and the same command goes on."""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cbi_dagster.home import Home
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster.warehouse.contract import now_utc
from cbi_dagster_tests.cli.commands import cbi
from cbi_dagster_tests.e2e.test_kills import start
from cbi_dagster_tests.properties.worlds import World

KILLS = 6


def begun(process: subprocess.Popen[bytes], out: Home) -> float:
    """Wait until a rebuild has made a directory its own, or has ended; returns the time by the monotonic clock."""
    while process.poll() is None and not out.rebuilding.exists():
        time.sleep(0.02)
    return time.monotonic()


@pytest.mark.slow
def test_after_any_kill_the_same_command_ends_as_one_does_that_nobody_killed(tmp_path: Path) -> None:
    delivery, home, out, clean = (tmp_path / name for name in ("delivery", "home", "out", "clean"))
    delivery.mkdir()
    simulate_delivery(delivery, seed=3, start=dt.date(2023, 6, 5), end=dt.date(2023, 7, 8), minute_roots=())
    World(home).land(delivery)
    instant = now_utc()
    command = ("rebuild", "--as-landed-by", str(instant), "--out")
    undisturbed = start(home, *command, str(clean))
    began = begun(undisturbed, Home(clean))
    assert undisturbed.wait(900) == 0
    took_s = time.monotonic() - began
    moments, cut_short, times = random.Random(20230605), 0, 0
    while cut_short < KILLS:
        process = start(home, *command, str(out))
        begun(process, Home(out))
        # What is done stays done: the later ones come soon.
        times += 1
        time.sleep(moments.uniform(0.0, 0.8) * took_s / times)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if Home(out).rebuilding.exists():
            cut_short += 1
            told = cbi(out, "status")
            assert "was cut short" in told.output or "nothing is landed" in told.output, told.output
        elif out.exists():  # it came too late or too soon, and there is another
            assert not (out / "rebuilt.json").exists() or World(out).hashes().equals(World(clean).hashes())
            shutil.rmtree(out)
    assert start(home, *command, str(out)).wait(900) == 0
    assert World(out).hashes().equals(World(clean).hashes())
    assert {path.name for path in out.iterdir()} == {path.name for path in clean.iterdir()}
    assert not list(out.rglob("*.part"))
    assert not World(out).builder.plan().tables
