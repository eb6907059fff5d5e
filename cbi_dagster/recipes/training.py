"""Regimes and training tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.model import FIRST_TRADE_DATE, names
from cbi_dagster.catalog.tables.regimes import REGIME_CALENDAR, REGIME_WEIGHTS
from cbi_dagster.catalog.tables.training import MES_BAR_TRAINING, MES_TRAINING, ZL_TRAINING
from cbi_dagster.config.horizons import Horizon, IntradayHorizon, load_horizons
from cbi_dagster.config.regimes import load_regimes
from cbi_dagster.matrix import regimes
from cbi_dagster.recipes.recipe import Recipe, TableOutput, recipe
from cbi_dagster.training.frames import TrainingFrame, split_by_maturity, with_resampled_bars
from cbi_dagster.training.intraday import split_by_label


@recipe(REGIME_CALENDAR)
def regime_calendar() -> pd.DataFrame:
    days = np.arange(np.datetime64(FIRST_TRADE_DATE), np.datetime64("2100-01-01"))
    return regimes.regime_calendar(days[np.is_busday(days)], load_regimes())


@recipe(REGIME_WEIGHTS)
def regime_weights() -> pd.DataFrame:
    return regimes.regime_weights(load_regimes())


def _built(table: Table, frame: TrainingFrame) -> TableOutput:
    """The labelled rows with the columns that the table declares; those without a label are accounted for."""
    nothing = frame.unlabelled.rename(columns={"data_date": "date"}).iloc[:0]
    return TableOutput(frame.rows[list(names(table.columns))], nothing, frame.unlabelled_counts())


def _zl_asset(table: Table, horizon: Horizon) -> Recipe:
    @recipe(table)
    def training_table(daily_ml_matrix: pd.DataFrame, futures_continuous_1d: pd.DataFrame) -> TableOutput:
        splits = load_horizons().splits_of(horizon)
        return _built(table, split_by_maturity(daily_ml_matrix, futures_continuous_1d, horizon, splits))

    return training_table


def _mes_asset(table: Table, horizon: Horizon) -> Recipe:
    @recipe(table)
    def training_table(
        daily_ml_matrix: pd.DataFrame, mes_horizons_daily: pd.DataFrame, futures_continuous_1d: pd.DataFrame
    ) -> TableOutput:
        rows = with_resampled_bars(daily_ml_matrix, mes_horizons_daily, horizon.symbol)
        splits = load_horizons().splits_of(horizon)
        return _built(table, split_by_maturity(rows, futures_continuous_1d, horizon, splits))

    return training_table


def _mes_bar_asset(table: Table, horizon: IntradayHorizon) -> Recipe:
    @recipe(table, bars=f"mes_{horizon.name}")
    def training_table(
        bars: pd.DataFrame,
        futures_continuous_1d: pd.DataFrame,
        regime_calendar: pd.DataFrame,
        regime_weights: pd.DataFrame,
    ) -> TableOutput:
        cache = regimes.RegimeCache(regime_calendar, regime_weights)
        return _built(table, split_by_label(bars, futures_continuous_1d, cache, horizon, load_horizons().splits))

    return training_table


_HORIZONS = load_horizons()
zl_training = [_zl_asset(*pair) for pair in zip(ZL_TRAINING, _HORIZONS.daily("ZL"), strict=True)]
mes_training = [_mes_asset(*pair) for pair in zip(MES_TRAINING, _HORIZONS.daily("MES"), strict=True)]
mes_bar_training = [_mes_bar_asset(*pair) for pair in zip(MES_BAR_TRAINING, _HORIZONS.intraday("MES"), strict=True)]
