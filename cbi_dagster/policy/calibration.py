"""How the rule's probabilities fared in years that nobody had seen: against the base rate and a logistic regression.

What is predicted is that posts state the action on one of the trade dates within its horizon. It is no statement that
the government acted: posts are all that is known here. The rule was fitted to nothing; the base rate and the regression
of a year know the years before it only.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.predictions import (
    CALIBRATION_INPUTS,
    POLICY_ACTION_CALIBRATION,
    RAW_FEATURES,
)
from cbi_dagster.catalog.frames import require
from cbi_dagster.config.policy_actions import ACTIONS, PolicyActions

Floats: TypeAlias = npt.NDArray[np.float64]

MIN_DAYS = 250
"""Sessions of earlier years without which a year is not tested."""
MIN_CASES = 10
"""Sessions after which the action was stated, and such after which it was not, in the earlier years."""
MIN_YEARS = 3
"""Held-out years without which nothing is said of the rule."""
MIN_GAIN = 0.02
"""Share of the base rate's error by which the rule is better, or worse, before anything is said of it."""
_SCORES = ("prior_rate", "brier_base_rate", "brier_rule", "brier_logistic")
#: Linear algebra may differ in its last bits from one machine to the next; scores need no more digits than these.
_DECIMALS = 9


def policy_action_calibration(actions: pd.DataFrame, wanted: np.ndarray, settings: PolicyActions) -> pd.DataFrame:
    """At the first session of each year that is among `wanted`: how the year before it was predicted, by action.

    Args:
        actions: rows of `predictions.trump_action_daily` since inception.
        wanted: trade dates (datetime64[D]); those that begin no year have no row.
        settings: the horizons of the actions.

    Returns:
        Columns POLICY_ACTION_CALIBRATION; the scores are NULL for years that are not tested (MIN_DAYS, MIN_CASES).

    Raises:
        InvalidFrameError: `actions` lacks a column or repeats a date and action.
    """
    require(actions, CALIBRATION_INPUTS, "action probabilities", key=("date", "action"))
    dates = np.unique(actions["date"].to_numpy().astype("datetime64[D]"))
    years = dates.astype("datetime64[Y]")
    first = dates[np.flatnonzero(years[1:] != years[:-1]) + 1]
    asked = first[np.isin(first, wanted)]
    parts = [
        _calibration(rows.sort_values("date"), name, first, settings.actions[name].horizon_days)
        for name in ACTIONS
        if len(asked) and len(rows := actions[(actions["action"] == name).to_numpy()])
    ]
    if not parts:
        return pd.DataFrame(columns=list(POLICY_ACTION_CALIBRATION))
    rows = pd.concat(parts, ignore_index=True)
    rows = rows[np.isin(rows["date"].to_numpy().astype("datetime64[D]"), asked)]
    return rows.sort_values(["date", "action"], ignore_index=True)[list(POLICY_ACTION_CALIBRATION)]


def stated_within(stated: Floats, days: int) -> Floats:
    """Whether an action is stated on one of the `days` sessions after each one (1 or 0); NaN where that is unknown.

    `stated`: posts that state it, by session in order of date; NaN where posts are not covered.
    """
    ahead = np.full((len(stated), days), np.nan)
    for lag in range(1, days + 1):
        ahead[:-lag, lag - 1] = stated[lag:]
    known = ~np.isnan(ahead).any(axis=1)
    return np.where(known, (ahead > 0).any(axis=1).astype(np.float64), np.nan)


def _calibration(rows: pd.DataFrame, name: str, first: np.ndarray, days: int) -> pd.DataFrame:
    """One action at the beginning of each year."""
    dates = rows["date"].to_numpy().astype("datetime64[D]")
    outcome = stated_within(rows["stated_posts"].to_numpy(dtype=np.float64, na_value=np.nan), days)
    rule = rows["probability"].to_numpy(dtype=np.float64)
    features = rows[["driver_rate", *RAW_FEATURES]].to_numpy(dtype=np.float64, na_value=np.nan)
    usable = ~np.isnan(outcome) & ~np.isnan(rule)
    #: The session at whose decision time each outcome was known.
    settled = np.append(dates, np.full(days, np.datetime64("9999-12-31")))[np.arange(len(dates)) + days]
    found = []
    for start in first:
        year = start.astype("datetime64[Y]") - 1
        test = np.flatnonzero(usable & (dates.astype("datetime64[Y]") == year) & (settled <= start))
        train = np.flatnonzero(usable & (settled < year.astype("datetime64[D]")))
        scores = dict.fromkeys(_SCORES, np.nan)
        cases = outcome[train].sum()
        if len(test) and len(train) >= MIN_DAYS and MIN_CASES <= cases <= len(train) - MIN_CASES:
            predicted = _logistic(features[train], outcome[train], features[test])
            scores = {
                "prior_rate": outcome[train].mean(),
                "brier_base_rate": _brier(outcome[train].mean(), outcome[test]),
                "brier_rule": _brier(rule[test], outcome[test]),
                "brier_logistic": _brier(predicted, outcome[test]),
            }
        found.append(
            {"held_out_year": int(str(year)), "held_out_days": len(test), "stated_days": int(outcome[test].sum())}
            | {score: round(float(value), _DECIMALS) for score, value in scores.items()}
        )
    frame = pd.DataFrame(found).assign(date=first.astype("datetime64[ns]"), action=name)
    tested = frame["brier_rule"].notna()
    better = frame["brier_rule"] < frame["brier_base_rate"]
    frame["tested_years"] = tested.cumsum()
    frame["rule_better_years"] = better.cumsum()
    judged = frame["held_out_days"].where(tested, 0)
    errors = {name: (frame[name] * judged).where(tested, 0.0).cumsum() for name in ("brier_base_rate", "brier_rule")}
    gain = (errors["brier_base_rate"] - errors["brier_rule"]) / errors["brier_base_rate"].where(tested.cumsum() > 0)
    often = (3 * frame["rule_better_years"] >= 2 * frame["tested_years"]).to_numpy()
    frame["probability_support"] = np.select(
        [
            (frame["tested_years"] < MIN_YEARS).to_numpy(),
            (gain <= -MIN_GAIN).to_numpy(),
            (gain >= MIN_GAIN).to_numpy() & often,
        ],
        ["untested", "contradicted", "supported"],
        default="none",
    ).astype(object)
    return frame


def _brier(predicted: Floats | float, outcome: Floats) -> float:
    return float(np.mean((predicted - outcome) ** 2))


def _logistic(train: Floats, outcome: Floats, test: Floats) -> Floats:
    """Probabilities of a logistic regression on standardised features (ridge, C = 1); an unknown one counts as mean."""
    from sklearn.linear_model import LogisticRegression  # takes seconds to import, and only few builds need it

    centre = np.nanmean(train, axis=0)
    spread = np.nanstd(train, axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    model = LogisticRegression(C=1.0, solver="newton-cholesky")
    model.fit(np.nan_to_num((train - centre) / scale), outcome)
    predicted: Floats = model.predict_proba(np.nan_to_num((test - centre) / scale))[:, 1]
    return predicted
