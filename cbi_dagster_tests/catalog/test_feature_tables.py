"""The declarations of feature tables and the pure functions behind them say the same."""

from __future__ import annotations

import pandas as pd

from cbi_dagster.catalog import INCEPTION, Table
from cbi_dagster.catalog.indicator_columns import BIOFUEL
from cbi_dagster.catalog.spans import trade_dates_within
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
from cbi_dagster.config.biofuel import load_biofuel
from cbi_dagster.features import biofuel, fibs, fx, golden_zone, mes_horizons, pivots, volatility


def backs(table: Table) -> list[object]:
    return [read.back for read in table.reads]


def computed(table: Table) -> list[str]:
    """The declared columns but those that a write adds."""
    return [column.name for column in table.columns]


def test_declared_windows_are_those_the_functions_enforce() -> None:
    assert backs(VOLATILITY_DAILY) == [volatility.BACK_TRADE_DATES]
    assert backs(PIVOT_MATH_DAILY) == [pivots.BACK_TRADE_DATES]
    assert backs(FIB_LEVELS_DAILY) == [fibs.BACK_TRADE_DATES]
    assert backs(TECHNICALS_DAILY) == backs(FX_DAILY) == [INCEPTION]
    assert backs(FX_CROSS_DAILY) == [fx.CROSS_BACK_TRADE_DATES]
    oldest = max(load_biofuel().max_staleness_days.values())
    assert backs(BIOFUEL_DAILY) == [biofuel.BACK_TRADE_DATES, biofuel.BACK_TRADE_DATES + trade_dates_within(oldest)]


def test_the_windows_of_mes_tables_reach_back_to_the_anchor() -> None:
    for table, (horizon, back) in zip(MES_INTRADAY, mes_horizons.BACK_TRADE_DATES.items(), strict=True):
        assert (table.name, set(backs(table))) == (f"mes_{horizon}", {back})
    assert backs(MES_HORIZONS_DAILY) == [mes_horizons.DAILY_BACK_TRADE_DATES]
    assert set(backs(GOLDEN_ZONE_1H)) == {INCEPTION}
    assert backs(GOLDEN_ZONE_DAILY) == [0]


def test_mes_tables_declare_the_columns_of_their_functions_in_order() -> None:
    bar = ("date", "symbol", "bar_close_ts", "open", "high", "low", "close", "volume")
    for table in MES_INTRADAY:
        assert computed(table) == [*bar, *mes_horizons.INDICATORS]
    bars = {name: [] for name in (*bar, "adj_factor")}
    empty = pd.DataFrame(bars).astype({"date": "datetime64[us]", "bar_close_ts": "datetime64[us, UTC]"})
    zone = golden_zone.golden_zone_1h(empty)
    assert computed(GOLDEN_ZONE_1H) == [*zone.columns]
    assert computed(GOLDEN_ZONE_DAILY) == [*golden_zone.golden_zone_daily(zone).columns]


def test_biofuel_columns_have_the_units_of_the_formulas() -> None:
    assert {column.name: column.unit for column in BIOFUEL} == biofuel.COLUMN_UNITS
