"""A walk-forward baseline: what a plain model makes of the features, and what one that looks at none would say.

Quantile regression forests (N. Meinshausen, Journal of Machine Learning Research 7, 2006), grown of extremely
randomized trees (P. Geurts et al., Machine Learning 63, 2006): the leaves in which a row falls say which rows of the
past resemble it, and the quantiles of their returns are the forecast. Nothing is tuned: the settings are those that one
would begin with. No tree extrapolates, so that a price level that was never seen gives no wild forecast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.forecasts import FORECASTS, MODELS, QUANTILES, WANTED_INPUTS
from cbi_dagster.catalog.columns.training import LABEL_INPUTS
from cbi_dagster.catalog.frames import require
from cbi_dagster.catalog.model import Column, names
from cbi_dagster.config.horizons import Horizon
from cbi_dagster.training.labels import labels

Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]

MIN_ROWS = 120
"""Rows without which nothing is learned: about half a year of sessions."""
TREES = 50
LEAF_ROWS = 50
_SEED = 0
_LEVELS = np.array(list(QUANTILES.values()))
#: Sums over trees may differ in their last bits from one machine to the next; forecasts need no more digits than these.
_DECIMALS = 9


def forecasts(
    rows: pd.DataFrame,
    continuous: pd.DataFrame,
    wanted: pd.DataFrame,
    horizons: Sequence[Horizon],
    features: Sequence[Column],
) -> pd.DataFrame:
    """Forecasts of one symbol on the `wanted` dates, one row per date, horizon and model.

    Args:
        rows: rows of `features.daily_ml_matrix` since inception, with flattened STRUCTs.
        continuous: rows of `futures_continuous_1d` since inception, which hold the dates of `rows`.
        wanted: `date` and `symbol` of the rows wanted; dates without a matrix row have no forecast.
        horizons: the symbol's; what is forecast is the simple return that `labels` defines.
        features: the columns of `rows` to learn from: numbers, booleans, or strings of declared values (`isin`).

    A model of a year learns from the rows whose targets had come before its first of January: a forecast depends on
    nothing later than its own date. With fewer than MIN_ROWS such rows the forecasts are NULL.
    Raises InvalidFrameError for a frame that lacks a column or repeats a date.
    """
    require(rows, ("symbol", "data_date", "timestamp", "market_data_close", *names(features)), "rows of the matrix")
    require(continuous, LABEL_INPUTS, "rows of futures_continuous_1d", key=("symbol", "date"))
    require(wanted, WANTED_INPUTS, "wanted rows", key=("symbol", "date"))
    rows = rows.sort_values("data_date", ignore_index=True)
    dates = rows["data_date"].to_numpy().astype("datetime64[D]")
    asked = np.flatnonzero(np.isin(dates, wanted["date"].to_numpy().astype("datetime64[D]")))
    values = np.column_stack([_numbers(rows[feature.name], feature) for feature in features])
    said_of = rows[["symbol", "data_date", "timestamp", "market_data_close"]]
    parts = []
    for horizon in horizons:
        known = labels(continuous, horizon).set_index("date").reindex(rows["data_date"])
        target = known[f"target_{horizon.name}"].to_numpy(np.float64)
        came = known["target_date"].to_numpy().astype("datetime64[D]")
        for year, own in _by_year(dates, asked):
            learnt = np.flatnonzero(~np.isnan(target) & (came < year))
            parts += [
                _rows(said_of.iloc[own], horizon, model, returns, came[learnt])
                for model, returns in _returns(values, target, learnt, own)
            ]
    if not parts:
        return pd.DataFrame(columns=list(FORECASTS))
    return pd.concat(parts, ignore_index=True)[list(FORECASTS)]


def _by_year(dates: Days, asked: npt.NDArray[np.intp]) -> Iterator[tuple[np.datetime64, npt.NDArray[np.intp]]]:
    """The first of January of each year that is asked for, and the positions of its dates."""
    years = dates[asked].astype("datetime64[Y]")
    for year in np.unique(years):
        yield year.astype("datetime64[D]"), asked[years == year]


def _numbers(values: pd.Series, column: Column) -> Floats:
    """A feature as numbers, NaN where it is unknown; a string by its place among the declared ones."""
    if column.isin is not None:
        codes = pd.Categorical(values, categories=column.isin).codes
        return np.where(codes < 0, np.nan, codes)
    return values.to_numpy(np.float64, na_value=np.nan)


def _returns(
    values: Floats, target: Floats, learnt: npt.NDArray[np.intp], own: npt.NDArray[np.intp]
) -> Iterator[tuple[str, Floats]]:
    """Quantiles of the return on each of the rows `own`, by model."""
    unknown = np.full((len(own), len(_LEVELS)), np.nan)
    if len(learnt) < MIN_ROWS:
        yield from ((model, unknown) for model in MODELS)
        return
    yield "quantile_forest", quantile_forest(values[learnt], target[learnt], values[own])
    past = np.quantile(target[learnt], _LEVELS, method="inverted_cdf")
    yield "past_returns", np.broadcast_to(past, unknown.shape)
    # A return of zero is no distribution.
    unknown[:, list(QUANTILES).index("p50")] = 0.0
    yield "no_change", unknown


def quantile_forest(learnt: Floats, target: Floats, asked: Floats) -> Floats:
    """Quantiles (columns, as QUANTILES) of the target for each row of `asked`, from the rows `learnt`."""
    from sklearn.ensemble import ExtraTreesRegressor

    # A feature that was never known says nothing, and the library refuses it.
    some = ~np.isnan(learnt).all(axis=0)
    forest = ExtraTreesRegressor(
        n_estimators=TREES, min_samples_leaf=LEAF_ROWS, max_features="sqrt", random_state=_SEED, n_jobs=1
    ).fit(learnt[:, some], target)
    order = np.argsort(target, kind="stable")
    leaves = _leaves(forest, np.concatenate([learnt[order], asked])[:, some])
    leaves, fallen = leaves[: len(target)], leaves[len(target) :]
    sizes = np.maximum(leaves.sum(axis=0), 1)
    weights = (fallen.multiply(1 / sizes).tocsr() @ leaves.T).toarray()
    # Weights of whole trees: rounded up a little, or a level that they hit exactly may be missed by a bit.
    reached = np.cumsum(weights, axis=1) / TREES + 1e-12
    places = np.array([np.searchsorted(row, _LEVELS) for row in reached]).reshape(-1, len(_LEVELS))
    forecast: Floats = target[order][np.minimum(places, len(target) - 1)]
    return forecast


def _leaves(forest: Any, rows: Floats) -> Any:
    """Sparse: whether a row (of `rows`) fell into a leaf (of all trees, one after the other)."""
    from scipy.sparse import csr_matrix

    found = forest.apply(rows)
    nodes = max(tree.tree_.node_count for tree in forest.estimators_)
    columns = (found + nodes * np.arange(TREES)).ravel()
    starts = np.arange(len(rows) + 1) * TREES
    return csr_matrix((np.ones(len(columns)), columns, starts), shape=(len(rows), nodes * TREES))


def _rows(of: pd.DataFrame, horizon: Horizon, model: str, returns: Floats, came: Days) -> pd.DataFrame:
    close = of["market_data_close"].to_numpy(np.float64)
    learnt = len(came) >= MIN_ROWS
    made = {
        "date": of["data_date"].to_numpy(),
        "symbol": of["symbol"].to_numpy(object),
        "target_horizon": horizon.name,
        "model": model,
        "timestamp": of["timestamp"].array,
        "close": close,
        "trained_rows": len(came) if learnt else 0,
        "trained_to": np.full(len(of), came.max() if learnt else np.datetime64("NaT"), "datetime64[ns]"),
    }
    for place, name in enumerate(QUANTILES):
        made[f"forecast_{name}"] = np.round(returns[:, place], _DECIMALS)
        made[f"forecast_price_{name}"] = np.round(close * (1 + returns[:, place]), _DECIMALS)
    return pd.DataFrame(made)
