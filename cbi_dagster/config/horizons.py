"""Training horizons: how far ahead each target lies, and where the splits are."""

from __future__ import annotations

import datetime as dt
import functools
import math
from typing import Literal

from pydantic import Field, model_validator

from cbi_dagster.config.strict import Strict, read_yaml

ModelFamily = Literal["tree", "neural"]


class Splits(Strict):
    """Last dates (inclusive) of the training and validation splits; the test split follows."""

    train_to: dt.date
    val_to: dt.date

    @model_validator(mode="after")
    def _ordered(self) -> Splits:
        if self.train_to >= self.val_to:
            raise ValueError("horizons.yaml: train_to must lie before val_to")
        return self


class CommonSplits(Splits):
    """The splits of every table that has none of its own.

    `intraday_embargo_trade_dates`: how many weekdays before each boundary are left out of the intraday tables' splits.
    """

    intraday_embargo_trade_dates: int = Field(ge=1)


class Horizon(Strict):
    """A daily horizon: the target is the close `sessions` sessions ahead. `splits`: own ones, else the common."""

    symbol: str
    name: str
    sessions: int = Field(ge=1)
    model_family: ModelFamily
    splits: Splits | None = None

    @property
    def forward_trade_dates(self) -> int:
        """How many trade dates ahead the target session is looked for: room for holidays and a hole of two weeks."""
        return math.ceil(self.sessions * 1.06) + 10


class IntradayHorizon(Strict):
    """An intraday horizon: the target is the next bar of `minutes` minutes."""

    symbol: str
    name: str
    minutes: int = Field(ge=1)
    model_family: ModelFamily


class Horizons(Strict):
    """All training tables' horizons, and the splits of those that have none of their own."""

    splits: CommonSplits
    daily_horizons: tuple[Horizon, ...] = Field(alias="daily")
    intraday_horizons: tuple[IntradayHorizon, ...] = Field(alias="intraday")

    @model_validator(mode="after")
    def _named_once(self) -> Horizons:
        every: list[Horizon | IntradayHorizon] = [*self.daily_horizons, *self.intraday_horizons]
        if len({(horizon.symbol, horizon.name) for horizon in every}) != len(every):
            raise ValueError("horizons.yaml: a symbol's horizon is named twice")
        for earlier, later in zip(self.daily_horizons, self.daily_horizons[1:], strict=False):
            if earlier.symbol == later.symbol and earlier.sessions >= later.sessions:
                raise ValueError(f"horizons.yaml: {later.symbol} {later.name} must come before {earlier.name}")
        return self

    def splits_of(self, horizon: Horizon) -> Splits:
        """The splits of the horizon's table."""
        return horizon.splits or self.splits

    def daily(self, symbol: str) -> tuple[Horizon, ...]:
        """The daily horizons of a symbol, nearest first."""
        return tuple(horizon for horizon in self.daily_horizons if horizon.symbol == symbol)

    def intraday(self, symbol: str) -> tuple[IntradayHorizon, ...]:
        """The intraday horizons of a symbol, shortest first."""
        return tuple(horizon for horizon in self.intraday_horizons if horizon.symbol == symbol)


@functools.cache
def load_horizons() -> Horizons:
    """The validated content of horizons.yaml."""
    return Horizons.model_validate(read_yaml("horizons.yaml"))
