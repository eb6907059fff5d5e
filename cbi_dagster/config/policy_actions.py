"""The policy actions: how posts make them probable, what they are expected to do to soybean oil, and what modifies it.

All numbers are expert priors. `predictions.policy_event_study` and `predictions.policy_action_calibration` say what the
data has to say about them.
"""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, FiniteFloat, model_validator

from cbi_dagster.config.strict import Strict, read_yaml

_Floats = npt.NDArray[np.float64]

ACTIONS = (
    "tariff_announcement", "trade_negotiation", "social_media_storm", "policy_reversal", "market_intervention",
    "china_threat", "deal_making",
)  # fmt: skip
MODIFIERS = ("volatility", "harvest", "inventory", "argentina")
POST = "post"
"""The group that every social post belongs to, also one whose text is unknown."""


class Curve(Strict):
    """A probability that grows with a rate: linear at first, then ever slower towards a ceiling that it never reaches.

    Slope and value have no jump anywhere.
    """

    per_unit: float = Field(gt=0)
    linear_to: float = Field(gt=0, lt=1)
    ceiling: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _bends_below_the_ceiling(self) -> Curve:
        if self.linear_to >= self.ceiling:
            raise ValueError("linear_to must lie below the ceiling")
        return self

    def probability(self, rate: _Floats) -> _Floats:
        """The probability at each rate (points a day, not negative); NaN where the rate is NaN."""
        linear = self.per_unit * rate
        room = self.ceiling - self.linear_to
        bent = self.ceiling - room * np.exp(-np.maximum(linear - self.linear_to, 0) / room)
        return np.where(linear <= self.linear_to, linear, bent)


class Impact(Strict):
    """What soybean oil is expected to do within `hours` if the action comes: fractions of its price."""

    move: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    confidence: float = Field(ge=0, le=1)
    hours: int = Field(gt=0)

    @model_validator(mode="after")
    def _within_its_range(self) -> Impact:
        if not self.low <= self.move <= self.high or self.move == 0:
            raise ValueError("an impact is no zero, and lies from low to high")
        return self


class Action(Strict):
    """One action; the comments of policy_actions.yaml say what its settings mean."""

    points: dict[str, float] = Field(min_length=1)
    requires: tuple[str, ...] = ()
    curve: Curve
    stated_by: tuple[str, ...]
    timing: str
    horizon_hours: int = Field(gt=0, multiple_of=24)
    impact: Impact | None
    provenance: str = Field(min_length=1)

    @property
    def horizon_days(self) -> int:
        """Trade dates within which the action is predicted to be stated."""
        return self.horizon_hours // 24


class Rule(Strict):
    """A factor that holds `above` or `below` a value of the series, which itself belongs to neither."""

    factor: float = Field(gt=0)
    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Rule:
        if (self.above is None) == (self.below is None):
            raise ValueError("a rule holds above a value or below one")
        return self

    def holds(self, values: _Floats) -> npt.NDArray[np.bool_]:
        if self.above is not None:
            return values > self.above
        assert self.below is not None
        return values < self.below


class Modifier(Strict):
    """A macro series that multiplies expected moves; its rules exclude each other."""

    series_id: str = Field(min_length=1)
    unit: str
    max_staleness_days: int = Field(gt=0)
    meaning: str
    amplifies: Literal["both", "rises", "falls"]
    rules: tuple[Rule, ...] = Field(min_length=1)
    provenance: str = Field(min_length=1)

    def concerns(self, move: float) -> bool:
        return self.amplifies == "both" or (self.amplifies == "rises") == (move > 0)

    def factor(self, values: _Floats) -> _Floats:
        """The factor at each value of the series: 1 where no rule holds, NaN where the value is unknown."""
        factors = np.where(np.isnan(values), np.nan, 1.0)
        for rule in self.rules:
            factors = np.where(rule.holds(values), rule.factor, factors)
        return factors

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest factor there can be."""
        factors = (1.0, *(rule.factor for rule in self.rules))
        return min(factors), max(factors)


class PolicyActions(Strict):
    """The content of policy_actions.yaml."""

    terms: dict[str, tuple[str, ...]]
    social_sources: tuple[str, ...] = Field(min_length=1)
    storm_posts: int = Field(gt=0)
    actions: dict[str, Action]
    modifiers: dict[str, Modifier]

    @model_validator(mode="after")
    def _complete(self) -> PolicyActions:
        if tuple(self.actions) != ACTIONS:
            raise ValueError(f"policy_actions.yaml: the actions must be {', '.join(ACTIONS)}, in this order")
        if tuple(self.modifiers) != MODIFIERS:
            raise ValueError(f"policy_actions.yaml: the modifiers must be {', '.join(MODIFIERS)}, in this order")
        for name, action in self.actions.items():
            named = {*action.points, *action.requires, *action.stated_by} - {POST}
            if unknown := sorted(named - set(self.terms)):
                raise ValueError(f"policy_actions.yaml: {name} names groups of terms that are not there: {unknown}")
        return self

    @property
    def max_staleness_days(self) -> dict[str, int]:
        """How old the values of each series may be, by its series_id: what `series_at_decision` asks for."""
        return {one.series_id: one.max_staleness_days for one in self.modifiers.values()}


@functools.cache
def load_policy_actions() -> PolicyActions:
    """The validated content of policy_actions.yaml."""
    return PolicyActions.model_validate(read_yaml("policy_actions.yaml"))
