"""The baseline's forecasts and how they fared."""

from __future__ import annotations

import pandas as pd

from cbi_dagster.catalog.tables.forecasts import FEATURES, HORIZONS, MODEL_PERFORMANCE, ZL_FORECASTS, ZL_FORESTS
from cbi_dagster.recipes.recipe import recipe
from cbi_dagster.training import baseline, forests, performance


@recipe(ZL_FORESTS)
def zl_forests(
    daily_ml_matrix: pd.DataFrame, futures_continuous_1d: pd.DataFrame, volatility_daily: pd.DataFrame
) -> pd.DataFrame:
    return forests.yearly_forests(daily_ml_matrix, futures_continuous_1d, volatility_daily, HORIZONS, FEATURES)


@recipe(ZL_FORECASTS)
def zl_forecasts(daily_ml_matrix: pd.DataFrame, zl_forests: pd.DataFrame) -> pd.DataFrame:
    return baseline.forecasts(daily_ml_matrix, zl_forests, HORIZONS, FEATURES)


@recipe(MODEL_PERFORMANCE)
def model_performance(
    zl_forecasts: pd.DataFrame, futures_continuous_1d: pd.DataFrame, regime_calendar: pd.DataFrame
) -> pd.DataFrame:
    return performance.model_performance(zl_forecasts, futures_continuous_1d, regime_calendar, HORIZONS)
