from __future__ import annotations

import datetime as dt

import pytest

from cbi_dagster_tests.properties.worlds import World, simulated

CUT = dt.date(2023, 6, 14)


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Everything built when the files after `CUT` did not exist yet."""
    built = World(tmp_path_factory.mktemp("past"))
    built.land(simulated(tmp_path_factory.mktemp("past_delivery"), CUT))
    built.refresh()
    return built
