"""What every feature means, and how much of it is known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from cbi_dagster.catalog import ASSET_TABLES, Column, Table
from cbi_dagster.catalog.versions import formula_modules
from cbi_dagster.recipes import RECIPES
from cbi_dagster.warehouse.contract import Warehouse

#: The tables that hold features.
FEATURE_TABLES: tuple[Table, ...] = tuple(table for table in ASSET_TABLES if table.layer == "features")


@dataclass(frozen=True)
class Feature:
    """A column of a table of features, or a field of a STRUCT in it (`path` as in `Table.leaves`).

    `symbols` have it, `first` is the date of its first value (None: it has none), and `null_share` its share of NULLs
    in the rows of these symbols.
    """

    path: str
    column: Column
    symbols: tuple[str, ...]
    first: dt.date | None
    null_share: float


def features(warehouse: Warehouse, table: Table) -> Iterator[Feature]:
    """The features of one of `FEATURE_TABLES`, in declared order."""
    warehouse.require_sound(table)
    leaves = dict(table.leaves())
    for found in warehouse.coverage(table):
        if found.path not in {*table.key, table.partitioning.column}:
            null_share = 1 - found.known / found.rows if found.rows else 1.0
            yield Feature(found.path, leaves[found.path], found.symbols, found.first, null_share)


def formula_files(table: Table) -> list[str]:
    """The source files of the pure functions that compute a table."""
    return formula_modules(RECIPES[table.id].function)
