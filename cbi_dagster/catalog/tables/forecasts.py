"""What a baseline forecasts, and how it fared: what any better model is held against."""

from __future__ import annotations

from cbi_dagster.catalog.columns import forecasts, pick, regimes, training
from cbi_dagster.catalog.model import Read, Table, ordered
from cbi_dagster.catalog.partitioning import INCEPTION, Daily
from cbi_dagster.catalog.spans import MOST_TRADE_DATES
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX, VOLATILITY_DAILY
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.catalog.tables.regimes import REGIME_CALENDAR
from cbi_dagster.catalog.tables.training import flattened, matrix_inputs
from cbi_dagster.config.horizons import load_horizons

_SYMBOLS = (forecasts.SYMBOL,)
HORIZONS = load_horizons().daily(forecasts.SYMBOL)
FEATURES = flattened(forecasts.SYMBOL)
"""What the baseline learns from: the features of the symbol's training tables."""

ZL_FORESTS = Table(
    dataset="predictions",
    name="zl_forests",
    description="What the baseline learned of soybean oil at the first session of each year, from targets that had "
    "come before that year, where these were enough: the trees that the forecasts of the year are made of, as text.",
    columns=pick(*forecasts.FORESTS),
    key=("date", "symbol", "target_horizon"),
    partitioning=Daily("date"),
    layer="predictions",
    required=frozenset(forecasts.FORESTS),
    cluster=("target_horizon",),
    reads=(
        Read(DAILY_ML_MATRIX.id, INCEPTION, columns=matrix_inputs(forecasts.SYMBOL), symbols=_SYMBOLS),
        Read(FUTURES_CONTINUOUS_1D.id, INCEPTION, columns=training.LABEL_INPUTS, symbols=_SYMBOLS),
        # The dates that are wanted: only the forests of their years are grown.
        Read(VOLATILITY_DAILY.id, columns=forecasts.WANTED_INPUTS, symbols=_SYMBOLS),
    ),
    owners=("team:models",),
)
ZL_FORECASTS = Table(
    dataset="predictions",
    name="zl_forecasts",
    description="Soybean oil over each horizon of its training tables, by a baseline and by two naive forecasts, as "
    "known at the decision time. A model learns at the beginning of each year, from targets that had come by then "
    "(zl_forests); it is tuned to nothing.",
    columns=pick(*forecasts.FORECASTS),
    key=("date", "symbol", "target_horizon", "model"),
    partitioning=Daily("date"),
    layer="predictions",
    required=frozenset({"timestamp", "close", "trained_rows"}),
    cluster=("target_horizon", "model"),
    reads=(
        Read(DAILY_ML_MATRIX.id, columns=matrix_inputs(forecasts.SYMBOL), symbols=_SYMBOLS),
        # The first session of the year may lie that far back.
        Read(ZL_FORESTS.id, MOST_TRADE_DATES[12], columns=forecasts.FORESTS),
    ),
    row_checks=(
        ordered("forecast_p10", "forecast_p50", "forecast_p90"),
        ordered("forecast_price_p10", "forecast_price_p50", "forecast_price_p90"),
    ),
    owners=("team:models",),
)
MODEL_PERFORMANCE = Table(
    dataset="monitoring",
    name="model_performance",
    description="How the forecasts fared whose targets had come, at the first session of every month, over all of them "
    "and by the regime in which they were made.",
    columns=pick(*forecasts.PERFORMANCE),
    key=("date", "symbol", "target_horizon", "model", "scored_regime"),
    partitioning=Daily("date"),
    layer="predictions",
    required=frozenset({"scored_forecasts", "mean_absolute_error", "root_mean_squared_error"}),
    cluster=("target_horizon", "model"),
    reads=(
        Read(ZL_FORECASTS.id, INCEPTION, columns=forecasts.SCORED_INPUTS),
        Read(FUTURES_CONTINUOUS_1D.id, INCEPTION, columns=training.LABEL_INPUTS, symbols=_SYMBOLS),
        Read(REGIME_CALENDAR.id, INCEPTION, columns=regimes.CALENDAR_INPUTS, looked_up=True),
    ),
    owners=("team:models",),
)
