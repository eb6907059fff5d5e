"""The baseline's forecasts and how they fared."""

from __future__ import annotations

import pandas as pd

from cbi_dagster.catalog.tables.forecasts import FEATURES, HORIZONS, MODEL_PERFORMANCE, ZL_FORECASTS
from cbi_dagster.recipes.recipe import recipe
from cbi_dagster.training import baseline, performance


@recipe(ZL_FORECASTS)
def zl_forecasts(
    daily_ml_matrix: pd.DataFrame, futures_continuous_1d: pd.DataFrame, volatility_daily: pd.DataFrame
) -> pd.DataFrame:
    return baseline.forecasts(daily_ml_matrix, futures_continuous_1d, volatility_daily, HORIZONS, FEATURES)


@recipe(MODEL_PERFORMANCE)
def model_performance(
    zl_forecasts: pd.DataFrame, futures_continuous_1d: pd.DataFrame, regime_calendar: pd.DataFrame
) -> pd.DataFrame:
    return performance.model_performance(zl_forecasts, futures_continuous_1d, regime_calendar, HORIZONS)
