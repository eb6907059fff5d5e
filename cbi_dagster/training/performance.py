"""How forecasts fared, once their targets had come."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.forecasts import (
    ALL_REGIMES,
    PERFORMANCE,
    QUANTILES,
    SCORED_INPUTS,
)
from cbi_dagster.catalog.columns.regimes import CALENDAR_INPUTS
from cbi_dagster.catalog.columns.training import LABEL_INPUTS
from cbi_dagster.catalog.frames import require
from cbi_dagster.config.horizons import Horizon
from cbi_dagster.training.labels import labels

Floats = npt.NDArray[np.float64]

_NAIVE = "no_change"
_KEY = ["symbol", "target_horizon", "model"]


def model_performance(
    forecasts: pd.DataFrame, continuous: pd.DataFrame, regimes: pd.DataFrame, horizons: tuple[Horizon, ...]
) -> pd.DataFrame:
    """Scores at the first session of every month but the first, from forecasts whose targets had come before it.

    Args:
        forecasts: rows of `predictions.zl_forecasts` since inception.
        continuous: rows of `futures_continuous_1d` since inception: what came.
        regimes: the regime calendar, which holds the dates of `forecasts`.
        horizons: those of the forecasts.

    Returns:
        Columns PERFORMANCE, a row per month, horizon, model and regime of which anything can be said.
    """
    require(forecasts, SCORED_INPUTS, "forecasts", key=("date", *_KEY))
    require(continuous, LABEL_INPUTS, "rows of futures_continuous_1d", key=("symbol", "date"))
    require(regimes, CALENDAR_INPUTS, "the regime calendar", key=("date",))
    sessions = np.unique(continuous["date"].to_numpy().astype("datetime64[D]"))
    months = sessions.astype("datetime64[M]")
    at = sessions[np.flatnonzero(months[1:] != months[:-1]) + 1]
    scored = _scored(forecasts, continuous, regimes, horizons)
    parts = []
    for regime in (ALL_REGIMES, *np.unique(scored["regime"].to_numpy(str))):
        of_regime = scored if regime == ALL_REGIMES else scored[scored["regime"] == regime]
        for key, rows in of_regime.groupby(_KEY, observed=True):
            assert isinstance(key, tuple)
            said = {name: str(value) for name, value in zip(_KEY, key, strict=True)}
            parts.append(pd.DataFrame({**_cumulated(rows, at), **said, "scored_regime": regime}))
    if not parts:
        return pd.DataFrame(columns=list(PERFORMANCE))
    rows = pd.concat(parts, ignore_index=True)
    return rows.sort_values(["date", *_KEY, "scored_regime"], ignore_index=True)[list(PERFORMANCE)]


def _scored(
    forecasts: pd.DataFrame, continuous: pd.DataFrame, regimes: pd.DataFrame, horizons: tuple[Horizon, ...]
) -> pd.DataFrame:
    """Forecasts whose targets have come, by target date, with what came and the errors."""
    parts = []
    for horizon in horizons:
        own = forecasts[(forecasts["target_horizon"] == horizon.name) & forecasts["forecast_p50"].notna()]
        names = {f"target_{horizon.name}": "came", f"target_price_{horizon.name}": "price"}
        known = labels(continuous, horizon).rename(columns=names)[["symbol", "date", "came", "price", "target_date"]]
        parts.append(own.merge(known[known["came"].notna()], on=["symbol", "date"], how="inner"))
    rows = pd.concat(parts, ignore_index=True).merge(regimes[["date", "regime"]], on="date", how="left")
    rows["error"] = (rows["came"] - rows["forecast_p50"]).abs()
    naive = rows.loc[rows["model"] == _NAIVE, ["date", "symbol", "target_horizon", "error"]]
    rows = rows.merge(
        naive.rename(columns={"error": "naive_error"}), on=["date", "symbol", "target_horizon"], how="left"
    )
    return rows.sort_values(["target_date", "date"], kind="stable", ignore_index=True)


def _cumulated(rows: pd.DataFrame, at: np.ndarray) -> dict[str, np.ndarray]:
    """The scores of forecasts, ascending by target date, over those whose targets lie before each of the dates `at`.

    By column; dates without such a forecast have none.
    """
    count = np.searchsorted(rows["target_date"].to_numpy().astype("datetime64[D]"), at)
    some = count > 0
    count, at = count[some], at[some]

    def total(values: Floats) -> Floats:
        return np.cumsum(values)[count - 1]

    came, p50 = rows["came"].to_numpy(np.float64), rows["forecast_p50"].to_numpy(np.float64)
    error, naive = rows["error"].to_numpy(np.float64), rows["naive_error"].to_numpy(np.float64)
    quantiles = {name: rows[f"forecast_{name}"].to_numpy(np.float64) for name in QUANTILES}
    price, forecast = rows["price"].to_numpy(np.float64), rows["forecast_price_p50"].to_numpy(np.float64)
    inside = np.where((came >= quantiles["p10"]) & (came <= quantiles["p90"]), 1.0, 0.0)
    loss = np.mean(
        [np.maximum(level * (came - quantiles[name]), (level - 1) * (came - quantiles[name]))
         for name, level in QUANTILES.items()],
        axis=0,
    )  # fmt: skip
    stated = np.where(p50 != 0, 1.0, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = total(came**2) - total(came) ** 2 / count
        squared = total(error**2)
        scores = {
            "mean_absolute_error": total(error) / count,
            "root_mean_squared_error": np.sqrt(squared / count),
            "mean_absolute_percentage_error": total(np.abs(price - forecast) / price) / count,
            "r_squared": np.where((count > 1) & (spread > 0), 1 - squared / spread, np.nan),
            "directional_accuracy": total((np.sign(came) == np.sign(p50)) * stated) / total(stated),
            # Of a distribution that is not stated nothing can be said.
            "interval_coverage": np.where(np.isnan(total(loss)), np.nan, total(inside) / count),
            "pinball_loss": total(loss) / count,
            "error_over_no_change": total(error) / total(naive),
        }
    rounded = {name: np.round(values, 9) for name, values in scores.items()}
    return {"date": at.astype("datetime64[ns]"), "scored_forecasts": count, **rounded}
