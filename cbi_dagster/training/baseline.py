"""A walk-forward baseline: what a plain model makes of the features, and what one that looks at none would say."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.forecasts import FORECASTS, FORESTS, MODELS, QUANTILES
from cbi_dagster.catalog.frames import require
from cbi_dagster.catalog.model import Column, names
from cbi_dagster.config.horizons import Horizon
from cbi_dagster.training.forests import Forest, numbers

Floats = npt.NDArray[np.float64]

_LEVELS = np.array(list(QUANTILES.values()))
#: Sums over trees may differ in their last bits from one machine to the next; forecasts need no more digits than these.
_DECIMALS = 9


def forecasts(
    rows: pd.DataFrame, forests: pd.DataFrame, horizons: Sequence[Horizon], features: Sequence[Column]
) -> pd.DataFrame:
    """Forecasts of one symbol on the dates of `rows`, one row per date, horizon and model.

    Args:
        rows: rows of `features.daily_ml_matrix`, with flattened STRUCTs.
        forests: rows of `predictions.zl_forests`: for each date the last one of its year that is not after it, of each
            horizon. Where there is none nothing was learned, and the forecasts are NULL.
        horizons: the symbol's.
        features: the columns of `rows` that forests may have learned from.

    Raises InvalidFrameError for a frame that lacks a column or repeats a date.
    """
    inputs = ("symbol", "data_date", "timestamp", "market_data_close", *names(features))
    require(rows, inputs, "rows of the matrix", key=("symbol", "data_date"))
    require(forests, FORESTS, "rows of zl_forests", key=("date", "symbol", "target_horizon"))
    values = numbers(rows, features)
    place = {name: number for number, name in enumerate(names(features))}
    parts = []
    for horizon in horizons:
        returns = {model: np.full((len(rows), len(_LEVELS)), np.nan) for model in MODELS}
        trained_rows, trained_to = np.zeros(len(rows), np.int64), np.full(len(rows), "NaT", "datetime64[ns]")
        for own, row in _by_forest(rows, forests[(forests["target_horizon"] == horizon.name).to_numpy(bool)]):
            forest = Forest.read(row)
            asked = values[own][:, [place[name] for name in forest.features]]
            returns["quantile_forest"][own] = forest.quantiles(asked, _LEVELS)
            returns["past_returns"][own] = np.quantile(forest.returns, _LEVELS, method="inverted_cdf")
            # A return of zero is no distribution.
            returns["no_change"][own, list(QUANTILES).index("p50")] = 0.0
            trained_rows[own], trained_to[own] = row["trained_rows"], row["trained_to"].to_datetime64()
        trained = {"trained_rows": trained_rows, "trained_to": trained_to}
        parts += [_rows(rows, horizon, model, stated).assign(**trained) for model, stated in returns.items()]
    return pd.concat(parts, ignore_index=True)[list(FORECASTS)]


def _by_forest(rows: pd.DataFrame, forests: pd.DataFrame) -> Iterator[tuple[npt.NDArray[np.intp], dict[Hashable, Any]]]:
    """The positions of the rows that each of the forests of a horizon speaks of, and the forest's row."""
    forests = forests.sort_values("date")
    dates, grown = (of.to_numpy().astype("datetime64[D]") for of in (rows["data_date"], forests["date"]))
    last = np.searchsorted(grown, dates, side="right") - 1
    for number, forest in enumerate(forests.to_dict("records")):
        same_year = dates.astype("datetime64[Y]") == grown[number].astype("datetime64[Y]")
        if len(own := np.flatnonzero((last == number) & same_year)):
            yield own, forest


def _rows(of: pd.DataFrame, horizon: Horizon, model: str, returns: Floats) -> pd.DataFrame:
    close = of["market_data_close"].to_numpy(np.float64)
    made = {
        "date": of["data_date"].to_numpy(),
        "symbol": of["symbol"].to_numpy(object),
        "target_horizon": horizon.name,
        "model": model,
        "timestamp": of["timestamp"].array,
        "close": close,
    }
    for place, name in enumerate(QUANTILES):
        made[f"forecast_{name}"] = np.round(returns[:, place], _DECIMALS)
        made[f"forecast_price_{name}"] = np.round(close * (1 + returns[:, place]), _DECIMALS)
    return pd.DataFrame(made)
