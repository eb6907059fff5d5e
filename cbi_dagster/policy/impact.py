"""What each policy action is expected to do to soybean oil, if it comes: expert priors, modified by what is known.

A modifier whose series is not known at the decision time is not replaced by anything: the modified move is NULL, and
the range of prices widens to all that the modifier can be. A modifier counts for the moves that it is for (low stocks
strengthen rises, cheap Argentine oil strengthens falls). Beside every prior stands what the event study and the
calibration that were known on the date have to say about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.predictions import (
    CALIBRATION_TRADE_DATES,
    HORIZONS,
    IMPACT_ACTION_INPUTS,
    IMPACT_CALIBRATION_INPUTS,
    IMPACT_PRICE_INPUTS,
    IMPACT_STUDY_INPUTS,
    MODIFIER_COLUMNS,
    OVER_ACTIONS_INPUTS,
    STUDY_TRADE_DATES,
    ZL_IMPACT,
)
from cbi_dagster.catalog.frames import require
from cbi_dagster.config.policy_actions import ACTIONS, Action, Modifier, PolicyActions
from cbi_dagster.market.sessions import trade_date_ordinals
from cbi_dagster.policy.buyer import buyer_texts

Floats: TypeAlias = npt.NDArray[np.float64]
Objects: TypeAlias = npt.NDArray[np.object_]

SYMBOL = "ZL"
ALERT_PROBABILITY = 0.30
EXPECTED_MOVE_LIMIT = 0.10
"""The expected move over all actions is held within this fraction."""
#: So that a product such as 0.03 x 1.0 does not fall on the wrong side of a threshold.
_DECIMALS = 12
_MACRO_COLUMNS = ("series_id", "date", "value", "unit")
_STUDIED = ("event_days", "independent_windows", "mean_move", "mean_move_low", "mean_move_high", "base_move")


class ImpactInputError(ValueError):
    """A macro series is not in the unit that its rules are stated in."""


def urgency(moves: Floats, confidence: float) -> Objects:
    """URGENT beyond 3 % (confidence above 0.75), HIGH beyond 2 % (above 0.70), MODERATE beyond 1 %, else LOW."""
    size = np.round(np.abs(moves), _DECIMALS)
    levels = np.select(
        [(size > 0.03) & (confidence > 0.75), (size > 0.02) & (confidence > 0.70), size > 0.01],
        ["URGENT", "HIGH", "MODERATE"],
        default="LOW",
    ).astype(object)
    levels[np.isnan(moves)] = None
    return levels


def reliability(confidence: float) -> str:
    """HIGH for a confidence above 0.75, MEDIUM above 0.60, else LOW."""
    return "HIGH" if confidence > 0.75 else "MEDIUM" if confidence > 0.60 else "LOW"


def zl_impact_daily(
    actions: pd.DataFrame,
    prices: pd.DataFrame,
    macro: pd.DataFrame,
    study: pd.DataFrame,
    calibration: pd.DataFrame,
    settings: PolicyActions,
) -> pd.DataFrame:
    """A row per row of `actions`: what soybean oil is expected to do if the action comes, and what supports that.

    Args:
        actions: `date`, `action` and `probability` of `predictions.trump_action_daily`.
        prices: unadjusted `close` of soybean oil on the dates (rows of `futures_continuous_1d`; other symbols are left
            out). ZL's close is known at its decision time.
        macro: values of the modifiers' series as known at the decision time of each date (`series_at_decision`).
        study, calibration: rows of `predictions.policy_event_study` and `policy_action_calibration`; each date uses the
            last of each that is dated on it or up to STUDY_TRADE_DATES and CALIBRATION_TRADE_DATES before.
        settings: expert priors and modifiers.

    Sorted by date, actions in the order of ACTIONS.

    Raises:
        InvalidFrameError: a frame lacks a column or repeats a key.
        ImpactInputError: a series has values in another unit than its rules.
    """
    require(actions, IMPACT_ACTION_INPUTS, "action probabilities", key=("date", "action"))
    require(prices, IMPACT_PRICE_INPUTS, "sessions", key=("symbol", "date"))
    require(macro, _MACRO_COLUMNS, "values of macro series", key=("series_id", "date"))
    require(study, IMPACT_STUDY_INPUTS, "rows of the event study", key=("date", "subject_kind", "subject", "horizon"))
    require(calibration, IMPACT_CALIBRATION_INPUTS, "rows of the calibration", key=("date", "action"))
    dates = np.unique(actions["date"].to_numpy().astype("datetime64[D]"))
    index = pd.DatetimeIndex(dates)
    closes = prices[(prices["symbol"] == SYMBOL).to_numpy()].set_index("date")["close"]
    price = closes.reindex(index).to_numpy(dtype=np.float64, na_value=np.nan)
    inputs = {name: _series(macro, modifier, index) for name, modifier in settings.modifiers.items()}
    shared = {"date": dates.astype("datetime64[ns]"), "zl_price": price}
    shared |= {MODIFIER_COLUMNS[name]: values for name, values in inputs.items()}
    parts = []
    for name in ACTIONS:
        action = settings.actions[name]
        own = actions[(actions["action"] == name).to_numpy()].set_index("date")["probability"]
        probability = own.reindex(index).to_numpy(dtype=np.float64, na_value=np.nan)
        part = pd.DataFrame(
            {
                **shared,
                "action": name,
                "probability": probability,
                **_expected(action, settings, inputs, probability, price),
                **_studied(study, name, action, dates),
                "probability_support": _calibrated(calibration, name, dates),
            }
        )
        parts.append(part.assign(buyer_text=buyer_texts(part, name, action, studied_sessions(action))))
    rows = pd.concat(parts, ignore_index=True)
    order = np.argsort(rows["date"].to_numpy(), kind="stable")
    return rows.take(order).reset_index(drop=True)[list(ZL_IMPACT)]


def studied_sessions(action: Action) -> int:
    """The studied horizon that an action is held against: the shortest that is not shorter than its own."""
    hours = action.impact.hours if action.impact else action.horizon_hours
    return next((horizon for horizon in HORIZONS if 24 * horizon >= hours), HORIZONS[-1])


def expected_over_actions(impact: pd.DataFrame) -> pd.DataFrame:
    """What the matrix takes of rows of `predictions.zl_impact_daily`: one row per date, in order.

    `trump_action_prob`: the highest probability; `trump_expected_zl_move`: the sum of probability x expected_move over
    the actions that have a prior, within EXPECTED_MOVE_LIMIT; `trump_procurement_alert`: whether any action alerts.
    Each is NULL where something unknown could change it.
    """
    require(impact, OVER_ACTIONS_INPUTS, "impacts", key=("date", "action"))
    dates = np.unique(impact["date"].to_numpy())
    by_action = {
        name: impact[(impact["action"] == name).to_numpy()].set_index("date").reindex(dates) for name in ACTIONS
    }
    probabilities = np.column_stack([by_action[name]["probability"].to_numpy(dtype=np.float64) for name in ACTIONS])
    total = np.zeros(len(dates))
    any_true = np.zeros(len(dates), dtype=bool)
    all_false = np.ones(len(dates), dtype=bool)
    for position, name in enumerate(ACTIONS):
        rows = by_action[name]
        probability = probabilities[:, position]
        move = rows["expected_move"].to_numpy(dtype=np.float64)
        total += np.where(
            (probability == 0) | rows["prior_move"].isna().to_numpy(), 0 * probability, probability * move
        )
        alert = rows["alert"].astype("boolean")
        any_true |= alert.fillna(False).to_numpy(dtype=bool)
        all_false &= (~alert).fillna(False).to_numpy(dtype=bool)
    return pd.DataFrame(
        {
            "date": dates,
            "trump_action_prob": probabilities.max(axis=1),  # NaN if one is
            "trump_expected_zl_move": np.clip(total, -EXPECTED_MOVE_LIMIT, EXPECTED_MOVE_LIMIT),
            "trump_procurement_alert": pd.arrays.BooleanArray(any_true, ~(any_true | all_false)),
        }
    )


def _series(macro: pd.DataFrame, modifier: Modifier, dates: pd.DatetimeIndex) -> Floats:
    own = macro[(macro["series_id"] == modifier.series_id).to_numpy()]
    values = own["value"].to_numpy(dtype=np.float64, na_value=np.nan)
    foreign = own["unit"][~np.isnan(values) & (own["unit"] != modifier.unit).to_numpy()]
    if len(foreign):
        raise ImpactInputError(
            f"{modifier.series_id} has values in {foreign.iloc[0]}, its rules are in {modifier.unit}; land the series "
            f"in {modifier.unit}"
        )
    aligned = pd.Series(values, index=pd.DatetimeIndex(own["date"])).reindex(dates)
    return aligned.to_numpy(dtype=np.float64)


def _expected(
    action: Action, settings: PolicyActions, inputs: Mapping[str, Floats], probability: Floats, price: Floats
) -> dict[str, Any]:
    """The move and its prices, from the prior and the modifiers that concern it."""
    count = len(probability)
    nothing = np.full(count, None, dtype=object)
    impact = action.impact
    if impact is None:
        return _without_prior(probability)
    low, high, missing = np.ones(count), np.ones(count), np.full(count, "", dtype=object)
    for name, modifier in settings.modifiers.items():
        if not modifier.concerns(impact.move):
            continue
        factor = modifier.factor(inputs[name])
        absent = np.isnan(factor)
        least, most = modifier.bounds
        low *= np.where(absent, least, factor)
        high *= np.where(absent, most, factor)
        missing[absent] = [f"{before},{name}".lstrip(",") for before in missing[absent]]
    incomplete = missing != ""
    modifier_known = np.where(incomplete, np.nan, low)
    move = impact.move * modifier_known
    levels = urgency(impact.move * low, impact.confidence), urgency(impact.move * high, impact.confidence)
    alarming = tuple(np.isin(level.astype(str), ["HIGH", "URGENT"]) for level in levels)
    likely = probability > ALERT_PROBABILITY
    undecided = np.isnan(probability) | (likely & (alarming[0] != alarming[1]))
    status = np.select(
        [np.isnan(probability), np.isnan(price), incomplete],
        ["no_coverage", "no_price", "inputs_missing"],
        default="ok",
    )
    return {
        "prior_move": impact.move,
        "impact_hours": impact.hours,
        "move_confidence": impact.confidence,
        "reliability": reliability(impact.confidence),
        "modifier": modifier_known,
        "modifier_low": low,
        "modifier_high": high,
        "expected_move": move,
        "expected_price": price * (1 + move),
        "best_price": price * (1 + np.minimum(impact.low * low, impact.low * high)),
        "worst_price": price * (1 + np.maximum(impact.high * low, impact.high * high)),
        "expected_change_cwt": price * move,
        "urgency": np.where(levels[0] == levels[1], levels[0], nothing),
        "alert": pd.arrays.BooleanArray(likely & alarming[0] & ~undecided, undecided),
        "missing_inputs": np.where(incomplete, missing, nothing),
        "impact_status": status.astype(object),
    }


def _without_prior(probability: Floats) -> dict[str, Any]:
    """The same of an action whose impact nobody has stated: whether it would be urgent is not known either."""
    numbers = ("prior_move", "move_confidence", "modifier", "modifier_low", "modifier_high", "expected_move",
               "expected_price", "best_price", "worst_price", "expected_change_cwt")  # fmt: skip
    could_alert = ~(probability <= ALERT_PROBABILITY)  # also where it is unknown
    return dict.fromkeys(numbers, np.full(len(probability), np.nan)) | {
        "impact_hours": pd.array([None] * len(probability), dtype="Int64"),
        **dict.fromkeys(("reliability", "urgency", "missing_inputs"), np.full(len(probability), None, dtype=object)),
        "alert": pd.arrays.BooleanArray(np.zeros(len(probability), dtype=bool), could_alert),
        "impact_status": np.where(np.isnan(probability), "no_coverage", "no_prior").astype(object),
    }


def _last_known(stated: np.ndarray, dates: np.ndarray, reach: int) -> npt.NDArray[np.int64]:
    """Position in `stated` (ascending dates) of the last one that is known on each date; -1 if it is too old."""
    at = np.searchsorted(stated, dates, side="right") - 1
    if not len(stated):
        return at
    age = trade_date_ordinals(dates) - trade_date_ordinals(stated[np.maximum(at, 0)])
    return np.where((at >= 0) & (age <= reach), at, -1)


def _studied(study: pd.DataFrame, name: str, action: Action, dates: np.ndarray) -> dict[str, Any]:
    """What the last study before each date says of an action at its horizon."""
    every = np.unique(study["date"].to_numpy().astype("datetime64[D]"))
    at = _last_known(every, dates, STUDY_TRADE_DATES)
    known = at >= 0
    study_dates = np.full(len(dates), np.datetime64("NaT"), dtype="datetime64[D]")
    study_dates[known] = every[at[known]]
    own = study[
        (study["subject_kind"] == "action").to_numpy()
        & (study["subject"] == name).to_numpy()
        & (study["horizon"] == studied_sessions(action)).to_numpy()
    ]
    found = own.set_index("date").reindex(pd.DatetimeIndex(study_dates.astype("datetime64[ns]")))
    support = found["move_support"].to_numpy(dtype=object)
    support[pd.isna(support) & known] = "untested"  # studied, and no event so far
    support[~known] = None
    counts = {
        column: pd.array(np.where(known, found[column].astype(np.float64).fillna(0.0), np.nan), dtype="Int64")
        for column in ("event_days", "independent_windows")
    }
    means = {column: found[column].to_numpy(dtype=np.float64) for column in _STUDIED if column not in counts}
    return {"study_date": study_dates.astype("datetime64[ns]"), **counts, **means, "move_support": support}


def _calibrated(calibration: pd.DataFrame, name: str, dates: np.ndarray) -> Objects:
    own = calibration[(calibration["action"] == name).to_numpy()].sort_values("date")
    at = _last_known(own["date"].to_numpy().astype("datetime64[D]"), dates, CALIBRATION_TRADE_DATES)
    support = np.full(len(dates), "untested", dtype=object)
    support[at >= 0] = own["probability_support"].to_numpy(dtype=object)[at[at >= 0]]
    return support
