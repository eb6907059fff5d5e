"""A daemon that is killed in its runs: the next one ends what was under way and goes on to what a clean build holds."""

from __future__ import annotations

import datetime as dt
import random
import shutil
import time
from pathlib import Path

import dagster as dg
import pytest

from cbi_dagster.catalog.tables.ops import LANDED_FILES
from cbi_dagster.home import Home
from cbi_dagster.vendors.simulate import simulate_delivery, simulate_macro
from cbi_dagster_tests.orchestration.pages import served
from cbi_dagster_tests.properties.worlds import World

KILLS, LONGEST_S = 3, 6.0
START, END = dt.date(2023, 6, 5), dt.date(2023, 6, 24)


def is_current(world: World, files: int) -> bool:
    """Whether so many files are landed and nothing is stale."""
    landed = len(world.warehouse.read(LANDED_FILES, columns=["file_hash"]))
    return landed == files and not world.builder.plan().tables


@pytest.mark.slow
@pytest.mark.waits
def test_a_daemon_that_is_killed_in_its_runs_goes_on_and_ends_as_a_clean_build_does(tmp_path: Path) -> None:
    delivery, watched, home, clean = (tmp_path / name for name in ("delivery", "watched", "home", "clean"))
    delivery.mkdir()
    simulate_delivery(delivery, seed=3, start=START, end=END, minute_roots=())
    simulate_macro(delivery, seed=3, start=START, end=END)
    macro = next(delivery.glob("*.macro.csv"))
    head, *rows = macro.read_text().splitlines(keepends=True)
    macro.unlink()
    for number in range(KILLS):
        (delivery / f"{number}.macro.csv").write_text(head + "".join(rows[number::KILLS]))
    shutil.copytree(delivery, watched, ignore=shutil.ignore_patterns("*.macro.csv"))
    moments = random.Random(20230605)
    claims = Home(home).claims
    for number in range(KILLS):
        with served(home, "--watch", str(watched)) as page:
            before, deadline = {path.name for path in claims.glob("*.lock")}, time.monotonic() + 900
            # A run begins: of the landing job, or of the refresh that the last kill left undone.
            shutil.copy(delivery / f"{number}.macro.csv", watched)
            while not {path.name for path in claims.glob("*.lock")} - before:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            time.sleep(moments.uniform(0.0, LONGEST_S))
            page.kill()
    world, built = World(home), World(clean)
    with served(home, "--watch", str(watched)):
        deadline = time.monotonic() + 900
        while not is_current(world, len(list(delivery.glob("*.ohlcv-*"))) + KILLS):
            assert time.monotonic() < deadline
            time.sleep(5)
    built.land(delivery)
    built.refresh()
    assert world.hashes().equals(built.hashes())
    with dg.DagsterInstance.from_config(str(Home(home).dagster)) as instance:
        assert all(run.is_finished for run in instance.get_runs())
