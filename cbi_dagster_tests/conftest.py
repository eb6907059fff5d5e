from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pytest
from hypothesis import settings

from cbi_dagster_tests.properties.worlds import World, simulated

# No example has a deadline: on a busy machine the slowest of hundreds says nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Everything built from the whole delivery."""
    built = World(tmp_path_factory.mktemp("world"))
    built.land(simulated(tmp_path_factory.mktemp("delivery")))
    built.refresh()
    return built


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
