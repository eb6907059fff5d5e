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
    come = scored["target_date"].to_numpy().astype("datetime64[D]")
    terms, of_regime = _terms(scored), scored["regime"].to_numpy(object)
    parts = []
    for key, own in scored.groupby(_KEY, observed=True).indices.items():
        assert isinstance(key, tuple)
        for regime in (ALL_REGIMES, *scored["regime"].iloc[own].dropna().unique()):
            rows = own if regime == ALL_REGIMES else own[of_regime[own] == regime]
            scores = _cumulated({name: values[rows] for name, values in terms.items()}, come[rows], at)
            named = dict(zip([*_KEY, "scored_regime"], [*key, regime], strict=True))
            parts.append(scores | {name: np.full(len(scores["date"]), value, object) for name, value in named.items()})
    if not parts:
        return pd.DataFrame(columns=list(PERFORMANCE))
    rows = pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return rows.sort_values(["date", *_KEY, "scored_regime"], ignore_index=True)[list(PERFORMANCE)]


def _scored(
    forecasts: pd.DataFrame, continuous: pd.DataFrame, regimes: pd.DataFrame, horizons: tuple[Horizon, ...]
) -> pd.DataFrame:
    """Forecasts whose targets have come, by target date, with what came and the errors."""
    targets = []
    for horizon in horizons:
        names = {f"target_{horizon.name}": "came", f"target_price_{horizon.name}": "price"}
        known = labels(continuous, horizon).rename(columns=names)[["symbol", "date", "came", "price", "target_date"]]
        targets.append(known[known["came"].notna()].assign(target_horizon=horizon.name))
    stated = forecasts[forecasts["forecast_p50"].notna()]
    rows = stated.merge(pd.concat(targets, ignore_index=True), on=["symbol", "date", "target_horizon"])
    rows = rows.merge(regimes[["date", "regime"]], on="date", how="left")
    rows["error"] = (rows["came"] - rows["forecast_p50"]).abs()
    naive = rows.loc[rows["model"] == _NAIVE, ["date", "symbol", "target_horizon", "error"]]
    rows = rows.merge(
        naive.rename(columns={"error": "naive_error"}), on=["date", "symbol", "target_horizon"], how="left"
    )
    return rows.sort_values(["target_date", "date"], kind="stable", ignore_index=True)


def _terms(scored: pd.DataFrame) -> dict[str, Floats]:
    """What scores are sums of, by forecast."""
    names = ("came", "forecast_p50", "error", "naive_error", "price", "forecast_price_p50")
    came, p50, error, naive, price, forecast = (scored[name].to_numpy(np.float64) for name in names)
    quantiles = {name: scored[f"forecast_{name}"].to_numpy(np.float64) for name in QUANTILES}
    loss = np.mean(
        [np.maximum(level * (came - quantiles[name]), (level - 1) * (came - quantiles[name]))
         for name, level in QUANTILES.items()],
        axis=0,
    )  # fmt: skip
    stated = np.where(p50 != 0, 1.0, 0.0)
    return {
        "came": came,
        "came_squared": came**2,
        "error": error,
        "error_squared": error**2,
        "naive": naive,
        "share": np.abs(price - forecast) / price,
        "stated": stated,
        "direction": (np.sign(came) == np.sign(p50)) * stated,
        "inside": np.where((came >= quantiles["p10"]) & (came <= quantiles["p90"]), 1.0, 0.0),
        "loss": loss,
    }


def _cumulated(terms: dict[str, Floats], come: np.ndarray, at: np.ndarray) -> dict[str, np.ndarray]:
    """The scores of forecasts over those whose targets lie before each of the dates `at`, by column.

    `come`: their target dates, ascending. Dates without such a forecast have none.
    """
    count = np.searchsorted(come, at)
    some = count > 0
    count, at = count[some], at[some]
    total = {name: np.cumsum(values)[count - 1] for name, values in terms.items()}
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = total["came_squared"] - total["came"] ** 2 / count
        scores = {
            "mean_absolute_error": total["error"] / count,
            "root_mean_squared_error": np.sqrt(total["error_squared"] / count),
            "mean_absolute_percentage_error": total["share"] / count,
            "r_squared": np.where((count > 1) & (spread > 0), 1 - total["error_squared"] / spread, np.nan),
            "directional_accuracy": total["direction"] / total["stated"],
            # Of a distribution that is not stated nothing can be said.
            "interval_coverage": np.where(np.isnan(total["loss"]), np.nan, total["inside"] / count),
            "pinball_loss": total["loss"] / count,
            "error_over_no_change": total["error"] / total["naive"],
        }
    rounded = {name: np.round(values, 9) for name, values in scores.items()}
    return {"date": at.astype("datetime64[ns]"), "scored_forecasts": count, **rounded}
