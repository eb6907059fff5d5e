"""Forecasts of a walk-forward baseline, and how they fared against naive ones."""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import PRICE
from cbi_dagster.catalog.model import Column, Type, names
from cbi_dagster.config.horizons import load_horizons

_S, _I, _F, _D = Type.STRING, Type.INT64, Type.FLOAT64, Type.DATE

SYMBOL = "ZL"
QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
MODELS = ("quantile_forest", "past_returns", "no_change")
ALL_REGIMES = "all"

_HORIZONS = tuple(horizon.name for horizon in load_horizons().daily(SYMBOL))
_WHAT = (
    Column("target_horizon", _S, "The horizon of the target, by the name that training tables have.", isin=_HORIZONS),
    Column(
        "model",
        _S,
        "quantile_forest: the baseline that learns from features; past_returns: the quantiles of all returns that it "
        "learned from; no_change: a return of zero.",
        isin=MODELS,
    ),
)
_TRAINED = (
    Column("trained_rows", _I, "Rows that the model learned from.", "rows", ge=0),
    Column("trained_to", _D, "The last trade date whose close it knew when it learned; NULL where it learned nothing."),
)
_FOREST = (
    Column(
        "forest_features",
        _S,
        "The features that the trees look at, separated by commas: flattened fields of the matrix; numbers, booleans "
        "as 0 and 1, strings by their place among the values that are declared.",
    ),
    Column(
        "forest_splits",
        _S,
        "base64, little-endian: what each of the 50 trees begins with (int32), then the splits of all trees, one after "
        "the other: feature by its place from 0 (int16), threshold (float64), what lies left and right of it (int32 "
        "each), whether the unknown goes left (1 byte). Left is a feature, in single precision, of at most the "
        "threshold. A number from 0 is a split by its place, a negative one a leaf of the tree: -1 - its number.",
    ),
    Column(
        "forest_leaves",
        _S,
        "base64: of each tree, for each row that it learned from, the number of the leaf in which that fell; a byte "
        "each, or two (little-endian) where a tree has more than 256 leaves.",
    ),
    Column(
        "forest_returns",
        _S,
        "base64, little-endian: the return of each row that was learned from (float64), ascending: their order in "
        "forest_leaves.",
    ),
)
_FORECAST = (
    *(
        Column(
            f"forecast_{name}",
            _F,
            f"Forecast of the simple return, quantile {level}; NULL where the model learned nothing"
            + (" or is no_change, which states no distribution." if name != "p50" else "."),
            "fraction",
            gt=-1,
        )
        for name, level in QUANTILES.items()
    ),
    *(
        Column(
            f"forecast_price_{name}",
            _F,
            f"close x (1 + forecast_{name}): the close that is forecast, in the contract of the row's date.",
            PRICE,
        )
        for name in QUANTILES
    ),
)
_PERFORMANCE = (
    Column("scored_regime", _S, f"The regime in force when the forecasts were made; `{ALL_REGIMES}` for all of them."),
    Column("scored_forecasts", _I, "Forecasts whose target had come before the row's date.", "forecasts", ge=1),
    Column("mean_absolute_error", _F, "Mean of |return - forecast_p50|.", "fraction", ge=0),
    Column("root_mean_squared_error", _F, "Root of the mean of (return - forecast_p50)^2.", "fraction", ge=0),
    Column("mean_absolute_percentage_error", _F, "Mean of |price - forecast_price_p50| / price.", "fraction", ge=0),
    Column("r_squared", _F, "1 - squared errors over those of the mean of the returns that came.", "", le=1),
    Column(
        "directional_accuracy",
        _F,
        "Share of forecasts other than 0 whose sign the return had; NULL where all are 0.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column(
        "interval_coverage",
        _F,
        "Share of returns within forecast_p10 … forecast_p90; 0.8 is meant. NULL where a forecast states no quantiles.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column(
        "pinball_loss",
        _F,
        "Mean pinball loss over the three quantiles; NULL where a forecast does not state them.",
        "fraction",
        ge=0,
    ),
    Column(
        "error_over_no_change",
        _F,
        "mean_absolute_error over that of no_change on the same forecasts; below 1 is better.",
        "ratio",
        ge=0,
    ),
)
COLUMNS = (*_WHAT, *_TRAINED, *_FOREST, *_FORECAST, *_PERFORMANCE)

FOREST_TEXTS = names(_FOREST)
FORESTS = ("date", "symbol", "target_horizon", *names(_TRAINED), *FOREST_TEXTS)
FORECASTS = ("date", "symbol", *names(_WHAT), "timestamp", "close", *names(_TRAINED), *names(_FORECAST))
PERFORMANCE = ("date", "symbol", *names(_WHAT), *names(_PERFORMANCE))

WANTED_INPUTS = ("date", "symbol")
SCORED_INPUTS = (
    "date", "symbol", *names(_WHAT), "forecast_p10", "forecast_p50", "forecast_p90", "forecast_price_p50"
)  # fmt: skip
