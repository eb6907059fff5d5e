"""One asset per feature family, and the matrix."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from cbi_dagster.assets.table_asset import table_asset
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX, FIB_LEVELS_DAILY, PIVOT_MATH_DAILY, VOLATILITY_DAILY
from cbi_dagster.config.universe import load_universe
from cbi_dagster.features import fibs, pivots, volatility
from cbi_dagster.matrix.regimes import RegimeCache
from cbi_dagster.matrix.structs import consolidate


@table_asset(VOLATILITY_DAILY)
def volatility_daily(futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
    return volatility.volatility_daily(futures_continuous_1d)


@table_asset(PIVOT_MATH_DAILY)
def pivot_math_daily(futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
    tolerances = {p.root: p.pivot_tolerance for p in load_universe().products if p.pivot_tolerance is not None}
    return pivots.pivot_math_daily(futures_continuous_1d, tolerances)


@table_asset(FIB_LEVELS_DAILY)
def fib_levels_daily(futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
    tolerances = {p.root: fibs.NearTolerance(p.near_618, p.near_1618) for p in load_universe().products}
    return fibs.fib_levels_daily(futures_continuous_1d, tolerances)


@table_asset(DAILY_ML_MATRIX)
def daily_ml_matrix(
    futures_continuous_1d: pd.DataFrame,
    volatility_daily: pd.DataFrame,
    pivot_math_daily: pd.DataFrame,
    fib_levels_daily: pd.DataFrame,
    regime_calendar: pd.DataFrame,
    regime_weights: pd.DataFrame,
) -> pa.Table:
    families = {"pivots": pivot_math_daily, "fibs": fib_levels_daily, "regime": volatility_daily}
    regimes = RegimeCache(regime_calendar, regime_weights)
    return consolidate(futures_continuous_1d, families, regimes, DAILY_ML_MATRIX, load_universe())
