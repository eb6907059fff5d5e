"""What tables declare and what the pure functions behind them take and give is the same."""

from __future__ import annotations

import pandas as pd
import pytest

from cbi_dagster.catalog import ASSET_TABLES, TABLES, Read, Table
from cbi_dagster.catalog.columns import DICTIONARY
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.model import WRITE_COLUMNS, names
from cbi_dagster.catalog.tables.features import (
    BIOFUEL_DAILY,
    FIB_LEVELS_DAILY,
    FX_CROSS_DAILY,
    FX_DAILY,
    PIVOT_MATH_DAILY,
    TECHNICALS_DAILY,
    VOLATILITY_DAILY,
)
from cbi_dagster.catalog.tables.mes import GOLDEN_ZONE_1H, GOLDEN_ZONE_DAILY, MES_HORIZONS_DAILY, MES_INTRADAY
from cbi_dagster.recipes import RECIPES

READS = [pytest.param(read, id=f"{table.id}-{read.source}") for table in ASSET_TABLES for read in table.reads]


@pytest.mark.parametrize("read", READS)
def test_every_read_says_which_columns_it_needs(read: Read) -> None:
    assert read.columns
    source = TABLES.get(read.source)
    known = names((*source.columns, *WRITE_COLUMNS)) if source else tuple(DICTIONARY)
    assert set(read.columns) <= set(known)


def none_of(table: Table) -> list[pd.DataFrame]:
    """Empty inputs of a table with the columns that it reads."""
    empty = [(TABLES[read.source], read.columns) for read in table.reads]
    return [
        to_frame(source, source.arrow_schema(stored=True).empty_table().select(columns)) for source, columns in empty
    ]


@pytest.mark.parametrize(
    "table",
    [
        VOLATILITY_DAILY, PIVOT_MATH_DAILY, FIB_LEVELS_DAILY, TECHNICALS_DAILY, FX_DAILY, FX_CROSS_DAILY, BIOFUEL_DAILY,
        MES_HORIZONS_DAILY, GOLDEN_ZONE_1H, GOLDEN_ZONE_DAILY, *MES_INTRADAY,
    ],
    ids=lambda table: table.name,
)  # fmt: skip
def test_a_function_gives_the_columns_of_its_table_in_order(table: Table) -> None:
    assert tuple(RECIPES[table.id](*none_of(table)).columns) == names(table.columns)
