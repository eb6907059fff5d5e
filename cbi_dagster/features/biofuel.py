"""Biofuel economics for the soybean oil row of each trade date: spreads, margins and RIN proxies in stated units.

Prices are unadjusted, since only those say what a gallon or a bushel costs. Soybean oil enters with its own close,
every other market as it stood at the decision time (13:20 Chicago) of the trade date. The window statistics are of
these levels, so a roll of a leg counts as a move.

The `_proxy` columns are what a price would have to be for producers to break even. They are no market prices.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from cbi_dagster.catalog.spans import span_limit
from cbi_dagster.config.biofuel import Biofuel, MacroSeries
from cbi_dagster.market.decision import STALE_TRADE_DATES, prices_at_decision

from .windows import Floats, Integers, Sessions

SYMBOL = "ZL"
FUTURES_UNITS = {
    "ZL": "USc/lb",
    "ZS": "USc/bu",
    "ZM": "USD/short_ton",
    "ZC": "USc/bu",
    "CL": "USD/bbl",
    "HO": "USD/gal",
    "RB": "USD/gal",
    "NG": "USD/MMBtu",
}
"""The markets read, and the unit in which each is quoted."""

MEAN_SESSIONS = 30
VOLATILITY_SESSIONS = 20
MOMENTUM_SESSIONS = (7, 30)

BACK_TRADE_DATES = span_limit(MEAN_SESSIONS) + STALE_TRADE_DATES
"""How far before D a row may look: the 30 sessions of a mean, and the last session of another market behind the
first of them. The 30 sessions of a momentum are nearer. `macro` is needed for the same dates; each of its values may
in turn be as old as its series allows (`trade_dates_within` its `max_staleness_days`)."""

LEVEL_UNITS = {
    "boho_spread": "USD/gal",
    "biodiesel_margin": "USD/gal",
    "d4_rin_proxy": "USD/RIN",
    "d5_rin_proxy": "USD/RIN",
    "d6_rin_proxy": "USD/RIN",
    "oil_value_bu": "USD/bu",
    "board_crush": "USD/bu",
    "oil_share": "fraction",
    "ethanol_margin_proxy": "USD/gal",
    "ethanol_parity_spread": "USD/gal",
    "sugar_ethanol_spread": "USD/gal",
    "soy_to_corn_ratio": "ratio",
    "oil_to_gas_ratio": "ratio",
    "nat_gas_cost_per_gal_ethanol": "USD/gal",
    "crack_321": "USD/bbl",
}
"""Unit of each level; each has a `_ma30` and a `_vol20` in the same unit."""

COLUMN_UNITS = {
    **LEVEL_UNITS,
    "biodiesel_margin_to_oil": "fraction",
    "ethanol_margin_proxy_to_gasoline": "fraction",
    **{f"clean_energy_momentum_{n}d": "fraction" for n in MOMENTUM_SESSIONS},
    **{f"{name}_ma{MEAN_SESSIONS}": unit for name, unit in LEVEL_UNITS.items()},
    **{f"{name}_vol{VOLATILITY_SESSIONS}": unit for name, unit in LEVEL_UNITS.items()},
}
"""Unit of every column of `biofuel_daily` but the key, in its order."""


class BiofuelInputError(ValueError):
    """A macro series is not one value per trade date in the unit that the formulas use."""


def biofuel_daily(continuous: pd.DataFrame, macro: pd.DataFrame, parameters: Biofuel) -> pd.DataFrame:
    """Biofuel economics of every ZL session of `futures_continuous_1d`, sorted by date; `symbol` is ZL.

    Args:
        continuous: unadjusted `close` and `close_decision` of the markets of FUTURES_UNITS in their quote units; other
            symbols are not read. ZL counts with its `close`. Every other market counts with its `close_decision` of the
            same trade date or, where that is NULL or missing, with the `close` of its session before, which must lie at
            most STALE_TRADE_DATES back.
        macro: values as known at the decision time of each trade date, as `series_at_decision` gives them: `series_id`,
            `date`, `value`, `unit`. It needs the trade dates that `continuous` covers.
        parameters: yields, costs and credits, each as of the row's date.

    Columns, all float64 with NaN = NULL where an input is unknown; units in COLUMN_UNITS. With oil_gal the soybean oil
    in a gallon of biodiesel, ZL/100 x 7.5, corn_gal the corn in a gallon of ethanol, ZC/100 / 2.8, and gasoline_gal the
    gasoline with the energy of a gallon of ethanol, RB x 0.667 (values of the parameters for illustration):
        boho_spread: oil_gal - HO. Positive: the feedstock costs more than the fuel it replaces.
        biodiesel_margin: HO - oil_gal - conversion cost + blender credit, before the value of RINs.
        d4_rin_proxy: max(0, -biodiesel_margin) / 1.5: the D4 RIN that lets a producer break even.
        ethanol_parity_spread: gasoline_gal - corn_gal.
        ethanol_margin_proxy: gasoline_gal - corn_gal - conversion cost + distillers grains (17 lb per bushel at the
            price of corn per pound); the price of ethanol is taken to be gasoline_gal.
        d6_rin_proxy: max(0, -ethanol_margin_proxy) / 1.0.
        d5_rin_proxy: max(d4_rin_proxy, d6_rin_proxy). The obligations nest: a D4 may be retired for a D5, a D5 for a
            D6. At the margin D5 is met with surplus D4, and is never worth less than D6.
        oil_value_bu: ZL/100 x 11, the oil in a bushel of soybeans.
        board_crush: oil_value_bu + ZM x 44/2000 - ZS/100.
        oil_share: oil_value_bu / (oil_value_bu + ZM x 44/2000).
        sugar_ethanol_spread: SB/100 x 14.8 - corn_gal. Positive: sugar is the dearer feedstock.
        soy_to_corn_ratio: ZS / ZC. oil_to_gas_ratio: CL / (42 RB).
        nat_gas_cost_per_gal_ethanol: NG x 0.026.
        crack_321: (2 x 42 RB + 42 HO - 3 CL) / 3.
        biodiesel_margin_to_oil: biodiesel_margin / oil_gal.
        ethanol_margin_proxy_to_gasoline: ethanol_margin_proxy / RB.
        clean_energy_momentum_7d, _30d: value of the clean energy series / its value 7 or 30 ZL sessions before, each
            as known on its day, - 1.
        X_ma30, X_vol20 for every X of LEVEL_UNITS: mean of the last 30 sessions and sample st. dev. (ddof 1) of the
            last 20, D included; NULL if one of them is.
    A ratio whose divisor is not positive is NULL.

    Raises:
        InvalidSessionsError: `continuous` is not one row per (symbol, weekday), or lacks a column.
        BiofuelInputError: `macro` lacks a column, has a date twice, or has values in another unit.
    """
    markets = Sessions(continuous[continuous["symbol"].isin(list(FUTURES_UNITS))])
    oil = Sessions(continuous[continuous["symbol"] == SYMBOL])
    prices = {root: _at_decision(markets, root, oil.ordinals) for root in FUTURES_UNITS if root != SYMBOL}
    prices[SYMBOL] = oil.column("close")
    sugar = _series(macro, parameters.series.sugar, oil)
    clean_energy = _series(macro, parameters.series.clean_energy, oil)
    levels, relative = _economics(prices, sugar, lambda name: getattr(parameters.parameters, name).at(oil.dates))
    return pd.DataFrame(
        {
            "date": oil.dates,
            "symbol": np.full(len(oil), SYMBOL, dtype=object),
            **levels,
            **relative,
            **{
                f"clean_energy_momentum_{n}d": _ratio(clean_energy, oil.previous(clean_energy, n)) - 1
                for n in MOMENTUM_SESSIONS
            },
            **{f"{name}_ma{MEAN_SESSIONS}": oil.mean(level, MEAN_SESSIONS) for name, level in levels.items()},
            **{
                f"{name}_vol{VOLATILITY_SESSIONS}": oil.standard_deviation(level, VOLATILITY_SESSIONS)
                for name, level in levels.items()
            },
        }
    )


def _economics(
    price: dict[str, Floats], sugar: Floats, parameter: Callable[[str], Floats]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """The levels, in the order of LEVEL_UNITS, and the margins relative to a price."""
    cents = parameter("cents_per_dollar")
    barrel = parameter("gallons_per_barrel")
    oil, beans, corn = (price[root] / cents for root in ("ZL", "ZS", "ZC"))
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

    oil_bu = oil * parameter("soybean_oil_yield")
    meal_bu = price["ZM"] * (parameter("soybean_meal_yield") / parameter("pounds_per_short_ton"))

    d4 = np.maximum(0.0, -biodiesel_margin) / parameter("d4_rins_per_gallon")
    d6 = np.maximum(0.0, -ethanol_margin) / parameter("d6_rins_per_gallon")
    levels = {
        "boho_spread": boho,
        "biodiesel_margin": biodiesel_margin,
        "d4_rin_proxy": d4,
        "d5_rin_proxy": np.maximum(d4, d6),
        "d6_rin_proxy": d6,
        "oil_value_bu": oil_bu,
        "board_crush": oil_bu + meal_bu - beans,
        "oil_share": _ratio(oil_bu, oil_bu + meal_bu),
        "ethanol_margin_proxy": ethanol_margin,
        "ethanol_parity_spread": parity,
        "sugar_ethanol_spread": sugar / cents * parameter("sugar_per_gallon_ethanol") - corn_gal,
        "soy_to_corn_ratio": _ratio(price["ZS"], price["ZC"]),
        "oil_to_gas_ratio": _ratio(price["CL"], barrel * gasoline),
        "nat_gas_cost_per_gal_ethanol": price["NG"] * parameter("natural_gas_per_gallon_ethanol"),
        "crack_321": (2 * barrel * gasoline + barrel * heating_oil - 3 * price["CL"]) / 3,
    }
    relative = {
        "biodiesel_margin_to_oil": _ratio(biodiesel_margin, oil_gal),
        "ethanol_margin_proxy_to_gasoline": _ratio(ethanol_margin, gasoline),
    }
    return levels, relative


def _at_decision(markets: Sessions, root: str, ordinals: Integers) -> Floats:
    """The price of `root` as it stood at the decision time of each trade date; NaN where it is unknown or too old."""
    own = markets.rows(root)
    decided, closes = markets.column("close_decision")[own], markets.column("close")[own]
    return prices_at_decision(
        ordinals, sessions=markets.ordinals[own], closes=closes, decided=decided, traded=~np.isnan(decided)
    )


def _series(macro: pd.DataFrame, series: MacroSeries, oil: Sessions) -> Floats:
    missing = [name for name in ("series_id", "date", "value", "unit") if name not in macro.columns]
    if missing:
        raise BiofuelInputError(
            f"the macro values lack the column(s) {', '.join(missing)}; give a frame as series_at_decision makes it"
        )
    own = macro[macro["series_id"] == series.series_id]
    values = own["value"].to_numpy(dtype=np.float64, na_value=np.nan)
    foreign = own["unit"][~np.isnan(values) & (own["unit"] != series.unit).to_numpy()]
    if len(foreign):
        raise BiofuelInputError(
            f"{series.series_id} has values in {foreign.iloc[0]}, the formulas need {series.unit}; land the series in "
            f"{series.unit}"
        )
    dates = pd.DatetimeIndex(own["date"])
    if dates.has_duplicates:
        raise BiofuelInputError(
            f"{series.series_id} has more than one value for {dates[dates.duplicated()][0].date()}; keep the one that "
            "was known at the decision time"
        )
    aligned: Floats = pd.Series(values, index=dates).reindex(pd.DatetimeIndex(oil.dates)).to_numpy(dtype=np.float64)
    return aligned


def _ratio(numerator: Floats, divisor: Floats) -> Floats:
    return numerator / np.where(divisor > 0, divisor, np.nan)
