"""Biofuel economics for the soybean oil row of each trade date: spreads, margins and RIN proxies in stated units.

Prices are unadjusted, since only those say what a gallon or a bushel costs. The grains close together and enter with
the close of their session; every other market enters as it stood at the decision time (13:20 Chicago) of the trade
date. The window statistics are of these levels, so a roll of a leg counts as a move; the crush alone is made of legs
in matched delivery months, and unknown while they roll.

The `_proxy` columns are what a price would have to be for producers to break even. They are no market prices.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from cbi_dagster.catalog.columns.biofuel import (
    AT_DECISION,
    AT_THEIR_CLOSE,
    CRUSH_INPUTS,
    INPUTS,
    MEAN_SESSIONS,
    MOMENTUM_SESSIONS,
    VOLATILITY_SESSIONS,
    known_of,
)
from cbi_dagster.catalog.columns.crush import LEGS
from cbi_dagster.catalog.columns.decisions import PRICES
from cbi_dagster.catalog.frames import require
from cbi_dagster.config.biofuel import Biofuel, MacroSeries

from .windows import Floats, Sessions, nullable_booleans, quotient

SYMBOL = "ZL"
_MACRO_COLUMNS = ("series_id", "date", "value", "unit")


class BiofuelInputError(ValueError):
    """A macro series is not in the unit that the formulas use."""


def biofuel_daily(
    continuous: pd.DataFrame, decisions: pd.DataFrame, crush: pd.DataFrame, macro: pd.DataFrame, parameters: Biofuel
) -> pd.DataFrame:
    """Biofuel economics of every ZL session of `futures_continuous_1d`, sorted by date; `symbol` is ZL.

    Args:
        continuous: unadjusted `close` of the markets AT_THEIR_CLOSE in their quote units (FUTURES_UNITS); others are
            not read. A market without a session on the trade date is unknown.
        decisions: unadjusted `close_decision` of the markets AT_DECISION, as in `futures_decision_1d`; unknown where a
            market had not traded since its last session.
        crush: the legs of the crush as in `crush_legs_1d`.
        macro: values as known at the decision time of each trade date, as `series_at_decision` gives them: `series_id`,
            `date`, `value`, `unit`. It needs the trade dates that `continuous` covers.
        parameters: yields, costs and credits, each as of the row's date.

    The columns are BIOFUEL of the dictionary, numbers as float64, NULL where an input is unknown, also that of any
    session of a window. The numbers in their formulas are those of the parameters, for illustration. A ratio whose
    divisor is not positive is NULL.

    Raises:
        InvalidFrameError: `continuous`, `decisions` or `crush` is not one row per (symbol, weekday), `macro` not one
            per (series, date), or one of them lacks a column.
        BiofuelInputError: `macro` has values in another unit.
    """
    require(continuous, INPUTS, "sessions")
    require(macro, _MACRO_COLUMNS, "values of macro series", key=("series_id", "date"))
    require(decisions, PRICES, "prices at the decision time")
    grains = Sessions(continuous[continuous["symbol"].isin(AT_THEIR_CLOSE)], INPUTS)
    others = Sessions(decisions[decisions["symbol"].isin(AT_DECISION)], PRICES)
    matched = Sessions(crush, CRUSH_INPUTS)
    oil = Sessions(continuous[continuous["symbol"] == SYMBOL], INPUTS)
    prices = {root: grains.of_dates(root, oil.ordinals, "close") for root in AT_THEIR_CLOSE}
    prices |= {root: others.of_dates(root, oil.ordinals, "close_decision") for root in AT_DECISION}
    prices |= {name: matched.of_dates(SYMBOL, oil.ordinals, name) for name in LEGS}
    sugar = _series(macro, parameters.series.sugar, oil)
    clean_energy = _series(macro, parameters.series.clean_energy, oil)
    credit = parameters.parameters.blender_credit.at(oil.dates)
    levels, relative = _economics(prices, sugar, lambda name: getattr(parameters.parameters, name).at(oil.dates))
    return pd.DataFrame(
        {
            "date": oil.dates,
            "symbol": np.full(len(oil), SYMBOL, dtype=object),
            **levels,
            "blender_credit_in_force": nullable_booleans(credit > 0, ~np.isnan(credit)),
            **relative,
            **{
                f"clean_energy_momentum_{n}d": quotient(clean_energy, oil.previous(clean_energy, n)) - 1
                for n in MOMENTUM_SESSIONS
            },
            **{
                f"{name}_ma{MEAN_SESSIONS}": oil.mean(level, MEAN_SESSIONS, known_of(name, MEAN_SESSIONS))
                for name, level in levels.items()
            },
            **{
                f"{name}_vol{VOLATILITY_SESSIONS}": oil.standard_deviation(
                    level, VOLATILITY_SESSIONS, known_of(name, VOLATILITY_SESSIONS)
                )
                for name, level in levels.items()
            },
        }
    )


def _economics(
    price: dict[str, Floats], sugar: Floats, parameter: Callable[[str], Floats]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """The levels and the margins relative to a price; `price` by root, or by name for the legs of the crush."""
    cents = parameter("cents_per_dollar")
    barrel = parameter("gallons_per_barrel")
    oil, corn = (price[root] / cents for root in ("ZL", "ZC"))
    heating_oil, gasoline = price["HO"], price["RB"]

    oil_gal = oil * parameter("biodiesel_feedstock")
    boho = oil_gal - heating_oil
    biodiesel_margin = parameter("blender_credit") - boho - parameter("biodiesel_conversion_cost")

    corn_gal = corn / parameter("ethanol_yield")
    gasoline_gal = gasoline * parameter("ethanol_energy_ratio")
    parity = gasoline_gal - corn_gal
    grains_share = parameter("distillers_grains_yield") / parameter("corn_bushel_weight")
    grains_credit = corn_gal * grains_share * parameter("distillers_grains_price_ratio")
    ethanol_margin = parity - parameter("ethanol_conversion_cost") + grains_credit

    oil_yield = parameter("soybean_oil_yield")
    oil_bu = price["crush_oil_price"] / cents * oil_yield
    meal_bu = price["crush_meal_price"] * (parameter("soybean_meal_yield") / parameter("pounds_per_short_ton"))
    beans_bu = price["crush_bean_price"] / cents

    d4 = np.maximum(0.0, -biodiesel_margin) / parameter("d4_rins_per_gallon")
    d6 = np.maximum(0.0, -ethanol_margin) / parameter("d6_rins_per_gallon")
    levels = {
        "boho_spread": boho,
        "biodiesel_margin": biodiesel_margin,
        "d4_rin_proxy": d4,
        # The obligations nest: a D4 may be retired for a D5, a D5 for a D6.
        "d5_rin_proxy": np.maximum(d4, d6),
        "d6_rin_proxy": d6,
        "oil_value_bu": oil * oil_yield,
        "board_crush": oil_bu + meal_bu - beans_bu,
        "oil_share": quotient(oil_bu, oil_bu + meal_bu),
        "ethanol_margin_proxy": ethanol_margin,
        "ethanol_parity_spread": parity,
        "sugar_ethanol_spread": sugar / cents * parameter("sugar_per_gallon_ethanol") - corn_gal,
        "soy_to_corn_ratio": quotient(price["ZS"], price["ZC"]),
        "oil_to_gas_ratio": quotient(price["CL"], barrel * gasoline),
        "nat_gas_cost_per_gal_ethanol": price["NG"] * parameter("natural_gas_per_gallon_ethanol"),
        "crack_321": (2 * barrel * gasoline + barrel * heating_oil - 3 * price["CL"]) / 3,
    }
    relative = {
        "biodiesel_margin_to_oil": quotient(biodiesel_margin, oil_gal),
        "ethanol_margin_proxy_to_gasoline": quotient(ethanol_margin, gasoline),
    }
    return levels, relative


def _series(macro: pd.DataFrame, series: MacroSeries, oil: Sessions) -> Floats:
    own = macro[macro["series_id"] == series.series_id]
    values = own["value"].to_numpy(dtype=np.float64, na_value=np.nan)
    foreign = own["unit"][~np.isnan(values) & (own["unit"] != series.unit).to_numpy()]
    if len(foreign):
        raise BiofuelInputError(
            f"{series.series_id} has values in {foreign.iloc[0]}, the formulas need {series.unit}; land the series in "
            f"{series.unit}"
        )
    aligned: Floats = (
        pd.Series(values, index=pd.DatetimeIndex(own["date"]))
        .reindex(pd.DatetimeIndex(oil.dates))
        .to_numpy(dtype=np.float64)
    )
    return aligned
