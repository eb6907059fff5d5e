from __future__ import annotations

import datetime as dt

import pytest

from cbi_dagster_tests.properties.worlds import World, made_once, simulated

CUT = dt.date(2023, 6, 14)


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Everything built when the files after `CUT` did not exist yet."""

    def build(made: World) -> None:
        made.land(simulated(tmp_path_factory.mktemp("past_delivery"), CUT))
        made.refresh()

    return made_once(tmp_path_factory, "past", build)
