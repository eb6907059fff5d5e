"""The declarations of feature tables and the pure functions behind them say the same."""

from __future__ import annotations

from cbi_dagster.catalog import INCEPTION, Table
from cbi_dagster.catalog.indicator_columns import BIOFUEL
from cbi_dagster.catalog.tables.features import (
    BIOFUEL_DAILY,
    FIB_LEVELS_DAILY,
    FX_CROSS_DAILY,
    FX_DAILY,
    PIVOT_MATH_DAILY,
    TECHNICALS_DAILY,
    VOLATILITY_DAILY,
)
from cbi_dagster.config.biofuel import load_biofuel
from cbi_dagster.features import biofuel, fibs, fx, pivots, volatility
from cbi_dagster.vendors.macro import trade_dates_within


def backs(table: Table) -> list[object]:
    return [read.back for read in table.reads]


def test_declared_windows_are_those_the_functions_enforce() -> None:
    assert backs(VOLATILITY_DAILY) == [volatility.BACK_TRADE_DATES]
    assert backs(PIVOT_MATH_DAILY) == [pivots.BACK_TRADE_DATES]
    assert backs(FIB_LEVELS_DAILY) == [fibs.BACK_TRADE_DATES]
    assert backs(TECHNICALS_DAILY) == backs(FX_DAILY) == [INCEPTION]
    assert backs(FX_CROSS_DAILY) == [fx.CROSS_BACK_TRADE_DATES]
    oldest = max(load_biofuel().max_staleness_days.values())
    assert backs(BIOFUEL_DAILY) == [biofuel.BACK_TRADE_DATES, biofuel.BACK_TRADE_DATES + trade_dates_within(oldest)]


def test_biofuel_columns_have_the_units_of_the_formulas() -> None:
    assert {column.name: column.unit for column in BIOFUEL} == biofuel.COLUMN_UNITS
