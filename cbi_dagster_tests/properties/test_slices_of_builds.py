"""A build that is cut into slices gives what it gives in one piece: rows, rows left out, and the account of the run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import ASSET_TABLES, Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.partitioning import INCEPTION
from cbi_dagster.catalog.tables.ops import HELD_BACK, INGESTION_RUNS, QUARANTINE
from cbi_dagster.recipes import Recipe
from cbi_dagster.warehouse.builder import WriteOutcome
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster_tests.properties.worlds import World

pytestmark = pytest.mark.usefixtures("files_stay_open")

COUNT = 2


def middle(world: World, table: Table) -> np.ndarray:
    """A few neighbouring partitions of a table."""
    ledger = world.warehouse.ledger_rows({table.id})
    keys = np.array([table.partitioning.parse(label) for label in ledger["partition_key"]], "datetime64[D]")
    first = max(0, len(keys) // 2 - COUNT)
    return keys[first : first + COUNT]


def built(world: World, table: Table, asked: np.ndarray, slice_values: int) -> tuple[int, WriteOutcome, Warehouse]:
    """How many slices were computed, what came of them, and the warehouse afterwards."""
    calls = 0

    def counted(*inputs: pd.DataFrame) -> Any:
        nonlocal calls
        calls += 1
        return world.builder.recipes[table.id](*inputs)

    over = world.warehouse.overlay()
    builder = replace(world.builder, store=over, recipes={table.id: Recipe(table, counted)}, slice_values=slice_values)
    outcome = builder.build(table, asked, "slices", only_stale=False)
    return calls, outcome, over


def rows_of(warehouse: Warehouse, book: Table, table: Table) -> pd.DataFrame:
    rows = to_frame(book, warehouse.read(book)).drop(columns=["ingestion_ts", "run_id"])
    return rows[rows["table_name"] == table.id].reset_index(drop=True)


@pytest.mark.parametrize("table", ASSET_TABLES, ids=lambda table: table.id)
def test_a_build_in_slices_is_the_build_in_one_piece(world: World, table: Table) -> None:
    asked = middle(world, table)
    if not len(asked):
        pytest.skip("has no partitions in this world")
    _, together, one = built(world, table, asked, 10**9)
    slices, alone, many = built(world, table, asked, 1)
    uncut = not table.reads or any(read.back is INCEPTION for read in table.reads)
    assert (slices == 1) == (uncut or len(asked) == 1)
    assert alone.result.unchanged == together.result.unchanged == tuple(table.partitioning.labels(asked))
    assert (alone.nulls, alone.span) == (together.nulls, together.span)
    assert replace(alone.result.sums, rows_in=0) == replace(together.result.sums, rows_in=0)
    for book in (QUARANTINE, HELD_BACK):
        pd.testing.assert_frame_equal(rows_of(many, book, table), rows_of(one, book, table))
    runs = to_frame(INGESTION_RUNS, many.read(INGESTION_RUNS)).set_index("event_id")
    kept = runs.loc[f"slices:{table.id}"]
    assert (kept["rows_out"], kept["partitions_unchanged"]) == (together.result.sums.rows_out, len(asked))
