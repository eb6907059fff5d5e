"""One asset per feature family, and the matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from cbi_dagster.catalog.columns.fx import MATRIX_FIELDS
from cbi_dagster.catalog.tables.features import (
    BIOFUEL_DAILY,
    DAILY_ML_MATRIX,
    FIB_LEVELS_DAILY,
    FX_CROSS_DAILY,
    FX_DAILY,
    MATRIX_FAMILIES,
    OPEN_INTEREST_DAILY,
    PIVOT_MATH_DAILY,
    POLICY_DAILY,
    TECHNICALS_DAILY,
    VOLATILITY_DAILY,
)
from cbi_dagster.config.biofuel import load_biofuel
from cbi_dagster.config.universe import load_universe
from cbi_dagster.features import biofuel, fibs, fx, open_interest, pivots, technicals, volatility
from cbi_dagster.market.decision import series_at_decision
from cbi_dagster.matrix.regimes import RegimeCache
from cbi_dagster.matrix.structs import consolidate
from cbi_dagster.policy import daily, impact
from cbi_dagster.recipes.recipe import recipe


@recipe(VOLATILITY_DAILY)
def volatility_daily(futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
    return volatility.volatility_daily(futures_continuous_1d)


@recipe(PIVOT_MATH_DAILY)
def pivot_math_daily(futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
    tolerances = {p.root: p.pivot_tolerance for p in load_universe().products if p.pivot_tolerance is not None}
    return pivots.pivot_math_daily(futures_continuous_1d, tolerances)


@recipe(FIB_LEVELS_DAILY)
def fib_levels_daily(futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
    tolerances = {p.root: fibs.NearTolerance(p.near_618, p.near_1618) for p in load_universe().products}
    return fibs.fib_levels_daily(futures_continuous_1d, tolerances)


@recipe(TECHNICALS_DAILY)
def technicals_daily(futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
    return technicals.technicals_daily(futures_continuous_1d)


@recipe(FX_DAILY)
def fx_daily(futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
    return fx.fx_daily(futures_continuous_1d, load_universe().quote_units)


@recipe(FX_CROSS_DAILY)
def fx_cross_daily(futures_continuous_1d: pd.DataFrame, futures_decision_1d: pd.DataFrame) -> pd.DataFrame:
    return fx.fx_cross_daily(futures_continuous_1d, futures_decision_1d, load_universe().quote_units)


@recipe(BIOFUEL_DAILY)
def biofuel_daily(
    futures_continuous_1d: pd.DataFrame,
    futures_decision_1d: pd.DataFrame,
    crush_legs_1d: pd.DataFrame,
    macro_series: pd.DataFrame,
) -> pd.DataFrame:
    parameters = load_biofuel()
    dates = np.unique(futures_continuous_1d["date"].to_numpy().astype("datetime64[D]"))
    known = series_at_decision(macro_series, dates, parameters.max_staleness_days, load_universe())
    return biofuel.biofuel_daily(futures_continuous_1d, futures_decision_1d, crush_legs_1d, known, parameters)


@recipe(POLICY_DAILY)
def policy_daily(
    futures_continuous_1d: pd.DataFrame,
    policy_events: pd.DataFrame,
    policy_coverage: pd.DataFrame,
    zl_impact_daily: pd.DataFrame,
) -> pd.DataFrame:
    predicted = impact.expected_over_actions(zl_impact_daily)
    return daily.policy_daily(futures_continuous_1d, policy_events, policy_coverage, predicted, load_universe())


@recipe(OPEN_INTEREST_DAILY)
def open_interest_daily(
    futures_continuous_1d: pd.DataFrame, databento_futures_statistics: pd.DataFrame
) -> pd.DataFrame:
    return open_interest.open_interest_daily(futures_continuous_1d, databento_futures_statistics, load_universe())


@recipe(DAILY_ML_MATRIX)
def daily_ml_matrix(
    futures_continuous_1d: pd.DataFrame,
    volatility_daily: pd.DataFrame,
    pivot_math_daily: pd.DataFrame,
    fib_levels_daily: pd.DataFrame,
    technicals_daily: pd.DataFrame,
    fx_cross_daily: pd.DataFrame,
    biofuel_daily: pd.DataFrame,
    golden_zone_daily: pd.DataFrame,
    policy_daily: pd.DataFrame,
    open_interest_daily: pd.DataFrame,
    regime_calendar: pd.DataFrame,
    regime_weights: pd.DataFrame,
) -> pa.Table:
    currencies = fx_cross_daily.rename(columns=MATRIX_FIELDS)
    filled = (
        volatility_daily, pivot_math_daily, fib_levels_daily, technicals_daily, currencies, biofuel_daily,
        golden_zone_daily, policy_daily, open_interest_daily,
    )  # fmt: skip
    families = dict(zip(MATRIX_FAMILIES, filled, strict=True))
    regimes = RegimeCache(regime_calendar, regime_weights)
    return consolidate(futures_continuous_1d, families, regimes, DAILY_ML_MATRIX, load_universe())
