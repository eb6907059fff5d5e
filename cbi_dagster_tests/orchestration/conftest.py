"""Fixtures of the tests of orchestration."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbi_dagster.orchestration.event_log import BatchedSqliteEventLogStorage
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster_tests.orchestration.chains import CHAIN, Chain
from cbi_dagster_tests.orchestration.chains import END as CHAIN_END
from cbi_dagster_tests.orchestration.chains import START as CHAIN_START
from cbi_dagster_tests.orchestration.scenes import Scene
from cbi_dagster_tests.properties.worlds import World

START, MINUTES = dt.date(2023, 3, 1), dt.date(2023, 4, 24)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[BatchedSqliteEventLogStorage]:
    storage = BatchedSqliteEventLogStorage(str(tmp_path / "events"))
    yield storage
    storage.dispose()


@pytest.fixture(scope="session")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("delivery")
    simulate_delivery(directory, seed=3, start=START, end=dt.date(2023, 5, 1), minute_start=MINUTES)
    (directory / "manifest.json").unlink()
    return directory


@pytest.fixture(scope="session")
def march(delivery: Path) -> Path:
    (file,) = delivery.glob("*202303*.ohlcv-1h*")
    return file


@pytest.fixture(scope="session")
def april(delivery: Path) -> Path:
    (file,) = delivery.glob("*202304*.ohlcv-1h*")
    return file


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.instance.dispose()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks of the chain, built through Dagster."""
    delivery = tmp_path_factory.mktemp("delivery")
    simulate_delivery(delivery, seed=5, start=CHAIN_START, end=CHAIN_END, minute_start=dt.date(2023, 6, 14))
    world = World(tmp_path_factory.mktemp("template"))
    world.land(delivery)
    chain = Chain(world.path)
    assert chain.over(CHAIN, "2023-06-05", "2023-06-16").success
    chain.instance.dispose()
    return world.path


@pytest.fixture
def chain(template: Path, tmp_path: Path) -> Iterator[Chain]:
    shutil.copytree(template, tmp_path / "home")
    made = Chain(tmp_path / "home")
    yield made
    made.instance.dispose()
