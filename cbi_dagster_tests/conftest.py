from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pytest
from hypothesis import settings

from cbi_dagster_tests.properties.worlds import World, made_once, simulated

# No example has a deadline: on a busy machine the slowest of hundreds says nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Everything built from the whole delivery."""

    def build(made: World) -> None:
        made.land(simulated(tmp_path_factory.mktemp("delivery")))
        made.refresh()

    return made_once(tmp_path_factory, "world", build)


@pytest.fixture
def files_stay_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """DuckDB files that a test opens stay open until it is over, and no other process may have them.

    Small operations take most of their time to open a file and to close it: here they find it open.
    """
    connect = duckdb.connect
    opened: set[Path] = set()
    with ExitStack() as held:

        def connected(path: Path | str = ":memory:", read_only: bool = False) -> duckdb.DuckDBPyConnection:
            connection = connect(path, read_only=read_only)
            if path != ":memory:" and not read_only and Path(path) not in opened:
                opened.add(Path(path))
                held.enter_context(connect(path))
            return connection

        monkeypatch.setattr(duckdb, "connect", connected)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What mostly waits for processes of its own begins first: what computes has the machine meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("waits") is None)
