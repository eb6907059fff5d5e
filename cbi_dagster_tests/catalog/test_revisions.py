"""What becomes known after a row's decision time stands beside the row, and nothing is computed of it."""

from __future__ import annotations

import pytest

from cbi_dagster.catalog import ASSET_TABLES, TABLES, Table
from cbi_dagster.catalog.columns.settlements import REVISED
from cbi_dagster.catalog.model import names


@pytest.mark.parametrize("table", ASSET_TABLES, ids=lambda table: table.id)
def test_only_tables_that_say_whether_a_row_is_complete_read_what_is_revised(table: Table) -> None:
    complete = "settlement_complete" in names(table.columns)
    for read in table.reads:
        source = TABLES.get(read.source)
        if source is not None and "settlement_complete" in names(source.columns):
            assert read.columns, f"{table.id} reads all of {source.id}"
            assert complete or not set(read.columns) & set(REVISED), f"{table.id} reads what is revised of {source.id}"
