"""Regimes and training tables."""

from __future__ import annotations

import dagster as dg
import numpy as np
import pandas as pd

from cbi_dagster.assets.table_asset import table_asset
from cbi_dagster.catalog import Table
from cbi_dagster.catalog.model import FIRST_TRADE_DATE
from cbi_dagster.catalog.tables.regimes import REGIME_CALENDAR, REGIME_WEIGHTS
from cbi_dagster.catalog.tables.training import MES_TRAINING, ZL_TRAINING
from cbi_dagster.config.horizons import Horizon, load_horizons
from cbi_dagster.config.regimes import load_regimes
from cbi_dagster.matrix import regimes
from cbi_dagster.training.frames import TrainingFrame, split_by_maturity
from cbi_dagster.warehouse.builder import Built


@table_asset(REGIME_CALENDAR)
def regime_calendar() -> pd.DataFrame:
    days = np.arange(np.datetime64(FIRST_TRADE_DATE), np.datetime64("2100-01-01"))
    return regimes.regime_calendar(days[np.is_busday(days)], load_regimes())


@table_asset(REGIME_WEIGHTS)
def regime_weights() -> pd.DataFrame:
    return regimes.regime_weights(load_regimes())


def _built(table: Table, frame: TrainingFrame) -> Built:
    """The labelled rows with the columns that the table declares; those without a label are accounted for."""
    nothing = frame.unlabelled.rename(columns={"data_date": "date"}).iloc[:0]
    return Built(frame.rows[[column.name for column in table.columns]], nothing, frame.unlabelled_counts())


def _daily_asset(table: Table, horizon: Horizon) -> dg.AssetsDefinition:
    @table_asset(table)
    def training_table(daily_ml_matrix: pd.DataFrame, futures_continuous_1d: pd.DataFrame) -> Built:
        return _built(table, split_by_maturity(daily_ml_matrix, futures_continuous_1d, horizon, load_horizons().splits))

    return training_table


zl_training = [
    _daily_asset(table, horizon) for table, horizon in zip(ZL_TRAINING, load_horizons().daily("ZL"), strict=True)
]
mes_training = [
    _daily_asset(table, horizon) for table, horizon in zip(MES_TRAINING, load_horizons().daily("MES"), strict=True)
]
