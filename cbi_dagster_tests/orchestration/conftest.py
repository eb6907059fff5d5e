"""Fixtures of the tests of orchestration."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbi_dagster.orchestration.event_log import BatchedSqliteEventLogStorage
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster_tests.orchestration.scenes import Scene

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
