"""The physical yields, costs and policy values behind the biofuel features, with unit, source and validity."""

from __future__ import annotations

import datetime as dt
import functools
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, FiniteFloat, model_validator

from cbi_dagster.config.strict import Strict, read_yaml


class Period(Strict):
    """A value in force on the trade dates from `valid_from` to `valid_to`, both inclusive, None being open."""

    value: FiniteFloat
    provenance: str = Field(min_length=1)
    valid_from: dt.date | None = None
    valid_to: dt.date | None = None


class Parameter(Strict):
    """A quantity in `unit` whose value may differ by date; its periods ascend and do not overlap."""

    unit: str
    meaning: str
    periods: tuple[Period, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ascending(self) -> Parameter:
        end = dt.date.min
        for number, period in enumerate(self.periods):
            start = period.valid_from or dt.date.min
            if (number and start <= end) or (period.valid_to or dt.date.max) < start:
                raise ValueError("periods must ascend without overlap, each from valid_from to a later valid_to")
            end = period.valid_to or dt.date.max
        return self

    def at(self, dates: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The value on each date (datetime64); NaN on dates outside every period."""
        days = np.asarray(dates, dtype="datetime64[D]")
        values = np.full(days.shape, np.nan)
        for period in self.periods:
            inside = np.ones(days.shape, dtype=bool)
            if period.valid_from is not None:
                inside &= days >= np.datetime64(period.valid_from, "D")
            if period.valid_to is not None:
                inside &= days <= np.datetime64(period.valid_to, "D")
            values[inside] = period.value
        return values


class MacroSeries(Strict):
    """A landed macro series that a feature reads, the unit of its values, and how old they may be (calendar days)."""

    series_id: str = Field(min_length=1)
    unit: str
    meaning: str
    max_staleness_days: int = Field(gt=0)


class BiofuelParameterSet(Strict):
    """Every parameter of the biofuel formulas; each must be stated in the unit that the formulas use (UNITS)."""

    UNITS: ClassVar[dict[str, str]] = {
        "cents_per_dollar": "USc/USD",
        "gallons_per_barrel": "gal/bbl",
        "pounds_per_short_ton": "lb/short_ton",
        "soybean_oil_yield": "lb/bu",
        "soybean_meal_yield": "lb/bu",
        "biodiesel_feedstock": "lb/gal",
        "biodiesel_conversion_cost": "USD/gal",
        "blender_credit": "USD/gal",
        "d4_rins_per_gallon": "RIN/gal",
        "d6_rins_per_gallon": "RIN/gal",
        "ethanol_yield": "gal/bu",
        "ethanol_conversion_cost": "USD/gal",
        "ethanol_energy_ratio": "gal/gal",
        "distillers_grains_yield": "lb/bu",
        "corn_bushel_weight": "lb/bu",
        "distillers_grains_price_ratio": "lb/lb",
        "sugar_per_gallon_ethanol": "lb/gal",
        "natural_gas_per_gallon_ethanol": "MMBtu/gal",
    }

    cents_per_dollar: Parameter
    gallons_per_barrel: Parameter
    pounds_per_short_ton: Parameter
    soybean_oil_yield: Parameter
    soybean_meal_yield: Parameter
    biodiesel_feedstock: Parameter
    biodiesel_conversion_cost: Parameter
    blender_credit: Parameter
    d4_rins_per_gallon: Parameter
    d6_rins_per_gallon: Parameter
    ethanol_yield: Parameter
    ethanol_conversion_cost: Parameter
    ethanol_energy_ratio: Parameter
    distillers_grains_yield: Parameter
    corn_bushel_weight: Parameter
    distillers_grains_price_ratio: Parameter
    sugar_per_gallon_ethanol: Parameter
    natural_gas_per_gallon_ethanol: Parameter

    @model_validator(mode="after")
    def _in_the_units_of_the_formulas(self) -> BiofuelParameterSet:
        for name, unit in self.UNITS.items():
            stated = getattr(self, name).unit
            if stated != unit:
                raise ValueError(f"biofuel.yaml: {name} is stated in {stated}, the formulas need {unit}: convert it")
        return self


class BiofuelSeries(Strict):
    """The macro series of the biofuel features, each in the unit that the formulas use."""

    UNITS: ClassVar[dict[str, str]] = {"sugar": "USc/lb", "clean_energy": "USD/share"}

    sugar: MacroSeries
    clean_energy: MacroSeries

    @model_validator(mode="after")
    def _in_the_units_of_the_formulas(self) -> BiofuelSeries:
        for name, unit in self.UNITS.items():
            stated = getattr(self, name).unit
            if stated != unit:
                raise ValueError(f"biofuel.yaml: series {name} is in {stated}, the formulas need {unit}: land it so")
        return self


class Biofuel(Strict):
    """The content of biofuel.yaml."""

    parameters: BiofuelParameterSet
    series: BiofuelSeries

    @property
    def max_staleness_days(self) -> dict[str, int]:
        """How old the values of each series may be, by its series_id: what `series_at_decision` asks for."""
        return {one.series_id: one.max_staleness_days for one in (self.series.sugar, self.series.clean_energy)}


@functools.cache
def load_biofuel() -> Biofuel:
    """The validated content of biofuel.yaml."""
    return Biofuel.model_validate(read_yaml("biofuel.yaml"))
