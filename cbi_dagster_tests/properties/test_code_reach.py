"""A code version covers the code that runs: every recipe is run and what it calls is compared with what it reaches."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import cbi_dagster
from cbi_dagster.catalog import ASSET_TABLES, Table
from cbi_dagster.home import code_versions
from cbi_dagster.recipes import RECIPES
from cbi_dagster_tests.properties.worlds import World

ROOT = Path(cbi_dagster.__file__).parent
#: Rooms whose code does not count, and modules that only declare: see catalog/versions.py.
UNCOUNTED = ("warehouse.", "recipes.recipe.", "catalog.columns", "catalog.tables")


def called(function: Any, inputs: list[Any]) -> set[str]:
    """The definitions of the package that a call runs through, as parts of a version are named."""
    found: set[tuple[str, str]] = set()

    def watch(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            found.add((frame.f_code.co_filename, frame.f_code.co_qualname))

    sys.setprofile(watch)
    try:
        function(*inputs)
    finally:
        sys.setprofile(None)
    names = set()
    for file, qualified in found:
        path = Path(file)
        name = qualified.partition(".<locals>")[0]
        if path.is_relative_to(ROOT) and not name.startswith("<"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            names.add(f"{module}.{name}")
    return {name for name in names if not name.startswith(UNCOUNTED)}


@pytest.mark.parametrize("table", ASSET_TABLES, ids=lambda table: table.id)
def test_everything_that_a_recipe_calls_is_part_of_its_tables_code_version(world: World, table: Table) -> None:
    _, inputs = world.builder.prepare(table, None, "test", only_stale=False)
    ran = called(RECIPES[table.id].function, list(inputs.values()))
    assert ran, "the recipe ran nothing"
    assert ran <= {part.removeprefix("code ") for part in code_versions()[table.id].parts}
