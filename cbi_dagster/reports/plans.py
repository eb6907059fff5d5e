"""Questions about what is stale: what a refresh would really change, and what it would be made from."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from cbi_dagster.catalog import ASSET_TABLES, TABLES, Table
from cbi_dagster.home import Home, builder
from cbi_dagster.recipes import RECIPES
from cbi_dagster.warehouse.builder import Builder
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse


def exact_plan(home: Home, tables: Sequence[Table]) -> dict[str, list[str]]:
    """Partitions (Dagster keys) whose content a refresh of `tables` would change, per table id.

    Rebuilds everything stale in a copy of the warehouse, which is thrown away.
    """
    with tempfile.TemporaryDirectory(dir=home.path) as scratch:
        copy = Path(scratch) / "warehouse.duckdb"
        DuckDBWarehouse(home.warehouse).copy_to(copy)
        exact = builder(copy, home.landing)
        with exact.warehouse.shared_connection():
            results = {item.id: exact.rebuild(item, RECIPES[item.id], "exact plan").written for item in tables}
    return {name: list(written) for name, written in results.items() if written}


def stale_inputs(current: Builder, wanted: Sequence[Table]) -> list[str]:
    """Ids of the stale tables that the `wanted` ones are made of, directly or not, and that are not among them."""
    if len(wanted) == len(ASSET_TABLES):
        return []
    behind = {table.id for table in wanted}
    queue = list(wanted)
    while queue:
        sources = {read.source for read in queue.pop().reads if read.source in TABLES} - behind
        behind |= sources
        queue += [TABLES[name] for name in sources]
    return [item.table.id for item in current.plan().tables if item.table.id in behind and item.table not in wanted]
