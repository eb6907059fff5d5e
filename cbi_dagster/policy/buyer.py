"""Text for a buyer of soybean oil: probabilities and both sides, never a command.

A buyer gains from covering before a rise and from staggering purchases before a fall: the legacy advice had it the
other way round. The text says how probable, by when, how much, what if not, and how far the past supports any of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.config.policy_actions import Action

NOTABLE_MOVE = 0.01
"""Expected moves up to this fraction suggest nothing."""

_RISE = "An expected rise speaks for considering to cover sooner; if it does not come, early cover may prove dear."
_FALL = "An expected fall speaks for considering to stagger purchases; if prices rise instead, what is open costs more."
_SMALL = "A move this small suggests nothing by itself."
_SUPPORT = {
    "supported": "in line with this",
    "contradicted": "against this",
    "none": "no support for this",
    "untested": "too few to test this",
}
_CALIBRATED = {
    "supported": "which has beaten the base rate in years held out",
    "contradicted": "which has done worse than the base rate in years held out",
    "none": "which has not beaten the base rate in years held out",
    "untested": "which is not tested yet",
}
_USED = (
    "probability", "probability_support", "modifier_low", "modifier_high", "expected_move", "missing_inputs",
    "zl_price", "expected_price", "best_price", "worst_price", "mean_move", "mean_move_low", "mean_move_high",
    "base_move", "independent_windows", "move_support",
)  # fmt: skip
_Row = Mapping[str, Any]

_CLOSING = "One signal of many, and no advice."


def buyer_texts(rows: pd.DataFrame, name: str, action: Action, sessions: int) -> npt.NDArray[np.object_]:
    """The text of each row of one action (columns of `predictions.zl_impact_daily`); None without a probability."""
    texts = np.full(len(rows), None, dtype=object)
    title = name.replace("_", " ").capitalize()
    known = np.flatnonzero(rows["probability"].notna())
    said = rows.take(known)
    columns = [said[column].tolist() for column in _USED]
    for position, values in zip(known.tolist(), zip(*columns, strict=True), strict=True):
        row = dict(zip(_USED, values, strict=True))
        parts = (_chance(title, row, action), _move(row, action), _past(row, sessions), _CLOSING)
        texts[position] = " ".join(part for part in parts if part)
    return texts


def _percent(fraction: float) -> str:
    return f"{100 * fraction:+.1f} %"


def _chance(title: str, row: _Row, action: Action) -> str:
    chance = "below 1 %" if row["probability"] < 0.01 else f"{100 * row['probability']:.0f} %"
    return (
        f"{title}: probability {chance} within {action.horizon_hours} h by an expert rule, "
        f"{_CALIBRATED[row['probability_support']]}."
    )


def _move(row: _Row, action: Action) -> str:
    impact = action.impact
    if impact is None:
        return "What it would do to soybean oil is not known."
    least, most = sorted((impact.move * row["modifier_low"], impact.move * row["modifier_high"]), key=abs)
    if np.isnan(row["expected_move"]):
        move = f"{_percent(least)} to {_percent(most)} (unknown: {row['missing_inputs']})"
    else:
        move = _percent(row["expected_move"])
    price = ""
    if not np.isnan(row["zl_price"]):
        expected = "" if np.isnan(row["expected_price"]) else f"{row['expected_price']:.2f} USc/lb, "
        price = f": {expected}range {row['best_price']:.2f} to {row['worst_price']:.2f} USc/lb"
    suggestion = _SMALL if abs(most) <= NOTABLE_MOVE else _RISE if impact.move > 0 else _FALL
    return f"If it comes, an expert prior expects soybean oil {move} within {impact.hours} h{price}. {suggestion}"


def _past(row: _Row, sessions: int) -> str:
    if pd.isna(row["mean_move"]):
        return "No past moves are known to hold against it."
    interval = (
        ""
        if pd.isna(row["mean_move_low"])
        else f" (95 %: {_percent(row['mean_move_low'])} to {_percent(row['mean_move_high'])})"
    )
    base = "" if pd.isna(row["base_move"]) else f", on any day {_percent(row['base_move'])}"
    return (
        f"After {row['independent_windows']} such events soybean oil moved {_percent(row['mean_move'])} on average "
        f"over {sessions} session{'s' if sessions > 1 else ''}{interval}{base}: {_SUPPORT[row['move_support']]}."
    )
