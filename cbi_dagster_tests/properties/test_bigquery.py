"""The promises hold in BigQuery as they do in a file: for every table, on a small world of the loopback server.

e2e/test_bigquery.py has the short version.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES, Table
from cbi_dagster.reports.plans import exact_plan
from cbi_dagster.vendors.posts.simulated import simulate_posts
from cbi_dagster.vendors.simulate import simulate_delivery, simulate_macro
from cbi_dagster_tests.e2e.test_bigquery import beside
from cbi_dagster_tests.fakes.bigquery import LoopbackBigQuery
from cbi_dagster_tests.properties import test_promises as promises
from cbi_dagster_tests.properties.test_corrections import corrected_bar
from cbi_dagster_tests.properties.worlds import SEED, World, computed

pytestmark = pytest.mark.slow

START, MINUTES, CUT, END = dt.date(2023, 5, 15), dt.date(2023, 5, 30), dt.date(2023, 6, 1), dt.date(2023, 6, 10)

by_table = pytest.mark.parametrize("table", ASSET_TABLES, ids=lambda table: table.id)


def delivered(directory: Path, end: dt.date) -> Path:
    directory.mkdir()
    simulate_delivery(directory, seed=SEED, start=START, end=end, minute_start=MINUTES)
    simulate_macro(directory, seed=SEED, start=START, end=end)
    simulate_posts(directory, seed=SEED, start=START, end=end)
    return directory


def built(world: World, delivery: Path) -> World:
    world.land(delivery)
    world.refresh()
    return world


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackBigQuery]:
    with LoopbackBigQuery() as served:
        yield served


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bigquery")


@pytest.fixture(scope="module")
def delivery(directory: Path) -> Path:
    return delivered(directory / "delivery", END)


@pytest.fixture(scope="module")
def small(server: LoopbackBigQuery, directory: Path, delivery: Path) -> World:
    return built(beside(server, directory / "small", BIGQUERY_PREFIX="small_"), delivery)


@pytest.fixture(scope="module")
def earlier(server: LoopbackBigQuery, directory: Path) -> World:
    """What was built when the files after `CUT` did not exist yet."""
    world = beside(server, directory / "earlier", BIGQUERY_PREFIX="earlier_")
    return built(world, delivered(directory / "earlier_delivery", CUT))


@pytest.fixture(scope="module")
def in_a_file(directory: Path, delivery: Path) -> World:
    return built(World(directory / "file"), delivery)


@by_table
def test_a_day_a_range_and_the_full_history_give_bit_identical_partitions(small: World, table: Table) -> None:
    whole = computed(small, table, None)
    assert whole == promises.stored(small, table)
    promises.require_split_invariance(small, table, whole)


@by_table
def test_deleting_the_future_changes_no_row_of_the_past(earlier: World, small: World, table: Table) -> None:
    promises.require_no_look_ahead(earlier, small, table, cut=CUT)


def test_every_partition_is_the_one_that_a_file_has(small: World, in_a_file: World) -> None:
    pd.testing.assert_series_equal(small.hashes(), in_a_file.hashes())


def require_exact(small: World, server: LoopbackBigQuery, directory: Path, delivery: Path, seed: int) -> None:
    """A corrected bar rebuilds what a build of everything has otherwise, and no more."""
    world = built(beside(server, directory / f"corrected_{seed}", BIGQUERY_PREFIX=f"corrected_{seed}_"), delivery)
    before = world.hashes()
    file, _ = corrected_bar(small, directory / f"{seed}.ohlcv-1h.dbn.zst", np.random.default_rng(seed))
    world.land(file)
    exact = exact_plan(world.platform, ASSET_TABLES)
    written = world.refresh()
    scratch = World(directory / f"scratch_{seed}")
    scratch.land(delivery)
    built(scratch, file)
    truth = scratch.hashes()
    pd.testing.assert_series_equal(world.hashes(), truth)
    changed = set(before.index[(before != truth.reindex(before.index)).to_numpy()])
    changed = {(name, key) for name, key in changed if name not in LANDING_SOURCES}
    assert {(name, key) for name, keys in written.items() for key in keys} == changed
    assert {(name, key) for name, keys in exact.items() for key in keys} == changed
    assert not world.builder.plan().tables


@pytest.mark.parametrize("seed", range(2))
def test_a_refresh_after_a_correction_is_a_rebuild_and_writes_no_more(
    small: World, server: LoopbackBigQuery, directory: Path, delivery: Path, seed: int
) -> None:
    require_exact(small, server, directory, delivery, seed)
