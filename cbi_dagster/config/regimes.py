"""The regime registry: which regime is in force when, and how much its rows weigh in training."""

from __future__ import annotations

import datetime as dt
import functools

from pydantic import Field, model_validator

from cbi_dagster.config.strict import Strict, read_yaml


class Baseline(Strict):
    """What stands in for dates that no regime covers."""

    name: str
    weight: int = Field(ge=1, le=1000)
    description: str
    research_rationale: str


class Regime(Baseline):
    """A regime from `valid_from` to `valid_to`, both inclusive."""

    valid_from: dt.date = Field(alias="from")
    valid_to: dt.date = Field(alias="to")
    known_from: dt.date


class RegimeRegistry(Strict):
    """All regimes in order, without gaps or overlaps, and the baseline."""

    baseline: Baseline
    regimes: tuple[Regime, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _gapless(self) -> RegimeRegistry:
        names = [self.baseline.name, *(regime.name for regime in self.regimes)]
        if len(set(names)) != len(names):
            raise ValueError("regimes.yaml: a regime is named twice")
        for regime in self.regimes:
            if regime.valid_to < regime.valid_from:
                raise ValueError(f"regimes.yaml: {regime.name} ends before it starts")
        for earlier, later in zip(self.regimes, self.regimes[1:], strict=False):
            if later.valid_from != earlier.valid_to + dt.timedelta(days=1):
                raise ValueError(f"regimes.yaml: {later.name} must start on the day after {earlier.name} ends")
        return self


@functools.cache
def load_regimes() -> RegimeRegistry:
    """The validated content of regimes.yaml."""
    return RegimeRegistry.model_validate(read_yaml("regimes.yaml"))
