"""MES on every horizon, and its golden zone."""

from __future__ import annotations

import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.tables.mes import (
    GOLDEN_ZONE_1H,
    GOLDEN_ZONE_DAILY,
    MES_1HR,
    MES_1MIN,
    MES_4HR,
    MES_5MIN,
    MES_15MIN,
    MES_30MIN,
    MES_HORIZONS_DAILY,
)
from cbi_dagster.features import golden_zone
from cbi_dagster.features.mes_horizons import mes_daily, mes_intraday
from cbi_dagster.market.resample import resampled_bars
from cbi_dagster.recipes.recipe import Recipe, recipe


@recipe(MES_1MIN)
def mes_1min(databento_futures_ohlcv_1m: pd.DataFrame, futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
    return _technicals({"ohlcv-1m": databento_futures_ohlcv_1m}, futures_continuous_1d, "1min")


def _longer_bars(table: Table, horizon: str, made_of: str) -> Recipe:
    @recipe(table, bars=f"mes_{made_of}")
    def mes_bars(bars: pd.DataFrame, futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
        return _technicals({made_of: bars}, futures_continuous_1d, horizon)

    return mes_bars


mes_5min = _longer_bars(MES_5MIN, "5min", "1min")
mes_15min = _longer_bars(MES_15MIN, "15min", "5min")
mes_30min = _longer_bars(MES_30MIN, "30min", "15min")


@recipe(MES_1HR)
def mes_1hr(
    databento_futures_ohlcv_1h: pd.DataFrame, mes_30min: pd.DataFrame, futures_continuous_1d: pd.DataFrame
) -> pd.DataFrame:
    return _technicals({"ohlcv-1h": databento_futures_ohlcv_1h, "30min": mes_30min}, futures_continuous_1d, "1hr")


mes_4hr = _longer_bars(MES_4HR, "4hr", "1hr")


def _technicals(bars: dict[str, pd.DataFrame], continuous: pd.DataFrame, horizon: str) -> pd.DataFrame:
    return mes_intraday(resampled_bars(bars, continuous, [horizon])[horizon], horizon)


@recipe(MES_HORIZONS_DAILY)
def mes_horizons_daily(futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
    return mes_daily(futures_continuous_1d)


@recipe(GOLDEN_ZONE_1H)
def golden_zone_1h(mes_1hr: pd.DataFrame, futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
    return golden_zone.golden_zone_1h(resampled_bars({"1hr": mes_1hr}, futures_continuous_1d, ["1hr"])["1hr"])


@recipe(GOLDEN_ZONE_DAILY)
def golden_zone_daily(golden_zone_1h: pd.DataFrame) -> pd.DataFrame:
    return golden_zone.golden_zone_daily(golden_zone_1h)
