"""`cbi sessions`."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbi_dagster_tests.cli.commands import cbi
from cbi_dagster_tests.properties.worlds import World

pytestmark = pytest.mark.usefixtures("files_stay_open")


@pytest.fixture
def nothing_built(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.platform.ready()
    return world


def test_without_sessions_it_says_what_to_do(nothing_built: World) -> None:
    result = cbi(nothing_built.path, "sessions")
    assert result.exit_code == 1
    assert "`cbi refresh` builds them" in result.output
