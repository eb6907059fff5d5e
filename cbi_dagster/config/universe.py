"""The universe: which markets the platform covers, and the facts about each that the code needs."""

from __future__ import annotations

import datetime as dt
import functools
from typing import Literal

from pydantic import Field, field_validator, model_validator

from cbi_dagster.config.calendars import ExchangeCalendar
from cbi_dagster.config.clock import clock_minutes
from cbi_dagster.config.strict import Strict, read_yaml


class SessionEra(Strict):
    """Session hours in force from a trade date on, as minutes after midnight of America/Chicago wall clock."""

    first_trade_date: dt.date = Field(alias="from")
    open_minute: int = Field(alias="open")
    close_minute: int = Field(alias="close")

    @field_validator("open_minute", "close_minute", mode="before")
    @classmethod
    def _minutes(cls, value: str) -> int:
        return clock_minutes(value)


class Product(Strict):
    """One futures market. Prices of every table are in `quote_unit`; `point_value` is dollars per 1.00 of price."""

    root: str = Field(pattern=r"^[A-Z0-9]{1,4}$")
    name: str
    venue: str
    schedule: str
    calendar: str
    tick_size: float = Field(gt=0)
    point_value: float = Field(gt=0)
    currency: str
    quote_unit: str
    months: str = Field(pattern=r"^[FGHJKMNQUVXZ]+$")
    roll: Literal["v", "n", "c"]
    force_roll: Literal["first_notice", "third_friday_week", "third_wednesday_week", "none"]
    price_bounds: tuple[float, float]
    allows_negative_price: bool = False
    pivot_tolerance: float | None = Field(default=None, gt=0)
    near_618: float | None = Field(default=None, gt=0)
    near_1618: float | None = Field(default=None, gt=0)
    priority_tier: int = 2

    @property
    def continuous_symbol(self) -> str:
        """The vendor's front continuous symbol whose sessions become the root's own rows, e.g. `ZL.v.0`."""
        return f"{self.root}.{self.roll}.0"


class Universe(Strict):
    """All products, their session schedules, the exchange's calendars and the platform's decision time."""

    day_rolls_at: str
    decision_time: str
    schedules: dict[str, tuple[SessionEra, ...]]
    calendars: dict[str, ExchangeCalendar]
    products: tuple[Product, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Universe:
        roots = [product.root for product in self.products]
        if len(set(roots)) != len(roots):
            raise ValueError("universe.yaml: a root is listed twice")
        unknown = {product.schedule for product in self.products} - set(self.schedules)
        if unknown:
            raise ValueError(f"universe.yaml: products name unknown schedules {sorted(unknown)}")
        unknown = {product.calendar for product in self.products} - set(self.calendars)
        if unknown:
            raise ValueError(f"universe.yaml: products name unknown calendars {sorted(unknown)}")
        for name, eras in self.schedules.items():
            starts = [era.first_trade_date for era in eras]
            if not starts or starts != sorted(set(starts)):
                raise ValueError(f"universe.yaml: eras of schedule {name!r} must be in ascending order of `from`")
        return self

    @property
    def roots(self) -> tuple[str, ...]:
        return tuple(product.root for product in self.products)

    @property
    def quote_units(self) -> dict[str, str]:
        """Unit of each root's prices, e.g. `USD/BRL` for dollars per real."""
        return {product.root: product.quote_unit for product in self.products}

    def product(self, root: str) -> Product:
        """The product of a root; KeyError naming the known roots otherwise."""
        for product in self.products:
            if product.root == root:
                return product
        raise KeyError(f"{root!r} is not in universe.yaml (known: {', '.join(self.roots)})")

    def eras(self, root: str) -> tuple[SessionEra, ...]:
        return self.schedules[self.product(root).schedule]

    def calendar(self, root: str) -> ExchangeCalendar:
        return self.calendars[self.product(root).calendar]


@functools.cache
def load_universe() -> Universe:
    """The validated content of universe.yaml and calendars.yaml."""
    return Universe.model_validate(read_yaml("universe.yaml") | {"calendars": read_yaml("calendars.yaml")})
