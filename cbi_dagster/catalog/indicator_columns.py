"""Columns of the indicator families: technicals, currencies and biofuel economics, by name pattern.

Kept apart from `columns.py`, which joins them into the one dictionary, because most are one meaning over several
window lengths. Windows count sessions unless a name ends in `b` (bars).
"""

from __future__ import annotations

import itertools

from cbi_dagster.catalog.model import Column, Type

_F, _S = Type.FLOAT64, Type.STRING
_PRICE = "quote unit"
_DOLLARS = "USD per unit of currency"
_AVERAGES = (5, 10, 20, 50, 100, 200)

TECHNICALS = (
    *(
        Column(f"return_{n}d", _F, f"Adjusted close over the one {n} sessions before, minus 1.", "fraction")
        for n in (1, 5, 21)
    ),
    Column(
        "log_return_1d", _F, "Natural logarithm of the adjusted close over the one of the session before.", "fraction"
    ),
    *(
        Column(f"sma_{n}", _F, f"Mean of the last {n} closes, in the price of the row's contract.", _PRICE)
        for n in _AVERAGES
    ),
    *(
        Column(
            f"ema_{n}",
            _F,
            f"Exponential mean of closes, span {n} sessions, in the price of the row's contract.",
            _PRICE,
        )
        for n in _AVERAGES
    ),
    *(
        Column(f"rsi_{n}", _F, f"Wilder's RSI of {n} sessions; 50 for a flat series.", "0..100", ge=0, le=100)
        for n in (7, 14, 21)
    ),
    Column("macd_line", _F, "EMA of 12 sessions minus EMA of 26, in the price of the row's contract.", _PRICE),
    Column("macd_signal", _F, "EMA of 9 sessions of macd_line.", _PRICE),
    Column("macd_hist", _F, "macd_line minus macd_signal.", _PRICE),
    Column("bb_upper", _F, "sma_20 plus 2 sample standard deviations of the last 20 closes.", _PRICE),
    Column("bb_lower", _F, "sma_20 minus 2 sample standard deviations of the last 20 closes.", _PRICE),
    Column("bb_width", _F, "bb_upper minus bb_lower.", _PRICE, ge=0),
    Column("bb_position", _F, "(close - bb_lower) / bb_width; may leave 0..1; NULL for a width of 0.", "fraction"),
    Column(
        "atr_14_wilder", _F, "Wilder's average of 14 true ranges, in the price of the row's contract.", _PRICE, ge=0
    ),
    *(
        Column(
            f"vol_{n}d",
            _F,
            f"Sample standard deviation of the last {n} log returns, not annualised.",
            "fraction per session",
            ge=0,
        )
        for n in (5, 10, 20, 30, 60)
    ),
    *(Column(f"dist_sma_{n}", _F, f"(close - sma_{n}) / sma_{n}.", "fraction") for n in (20, 50, 200)),
    Column("volume_sma_20", _F, "Mean volume of the last 20 sessions.", "contracts", ge=0),
    Column("volume_ratio", _F, "Volume over volume_sma_20.", "ratio", ge=0),
    Column("volume_trend", _F, "Mean volume of the last 5 sessions over volume_sma_20.", "ratio", ge=0),
    Column("momentum_10", _F, "Close minus the close 10 sessions before, in the price of the row's contract.", _PRICE),
    Column("roc_10", _F, "Close over the close 10 sessions before, minus 1, times 100.", "percent"),
)

_CURRENCIES = {"6a": "aud", "6b": "gbp", "6c": "cad", "6e": "eur", "6j": "jpy", "6l": "brl", "cnh": "cny"}

FX = (
    Column("fx_usd_per_unit", _F, "Close in dollars per unit of the currency, unadjusted.", _DOLLARS, gt=0),
    *(
        Column(f"fx_log_return_{n}d", _F, f"Log return of the currency over {n} sessions.", "fraction")
        for n in (1, 7, 30)
    ),
    *(Column(f"fx_sma_{n}", _F, f"Mean of the last {n} closes of the currency.", _DOLLARS) for n in _AVERAGES[:-1]),
    *(
        Column(f"fx_ema_{n}", _F, f"Exponential mean of closes of the currency, span {n} sessions.", _DOLLARS)
        for n in _AVERAGES[:-1]
    ),
    *(
        Column(f"fx_rsi_{n}", _F, f"Wilder's RSI of the currency, {n} sessions.", "0..100", ge=0, le=100)
        for n in (7, 14)
    ),
    Column("fx_macd_line", _F, "EMA of 12 sessions minus EMA of 26 of the currency.", _DOLLARS),
    Column("fx_macd_signal", _F, "EMA of 9 sessions of fx_macd_line.", _DOLLARS),
    Column("fx_macd_hist", _F, "fx_macd_line minus fx_macd_signal.", _DOLLARS),
    Column("fx_bb_upper", _F, "fx_sma_20 plus 2 sample standard deviations.", _DOLLARS),
    Column("fx_bb_lower", _F, "fx_sma_20 minus 2 sample standard deviations.", _DOLLARS),
    Column("fx_bb_width", _F, "fx_bb_upper minus fx_bb_lower.", _DOLLARS, ge=0),
    Column("fx_bb_position", _F, "(close - fx_bb_lower) / fx_bb_width; may leave 0..1.", "fraction"),
    *(
        Column(
            f"fx_vol_{n}d",
            _F,
            f"Sample standard deviation of the last {n} log returns of the currency.",
            "fraction per session",
            ge=0,
        )
        for n in (5, 10, 20, 30)
    ),
    Column("fx_atr_14", _F, "Simple mean of the last 14 true ranges of the currency.", _DOLLARS, ge=0),
)

FX_CROSS = (
    *(
        Column(
            f"fx_{root}_log_return_1d",
            _F,
            f"Log return of {currency.upper()} against the dollar between the decision "
            "times of ZL's last two sessions.",
            "fraction",
        )
        for root, currency in _CURRENCIES.items()
    ),
    Column("fx_strength_index", _F, "Mean of the known of these returns: currencies against the dollar.", "fraction"),
    Column("fx_usd_index", _F, "The dollar against these currencies: minus fx_strength_index.", "fraction"),
    Column(
        "fx_dispersion",
        _F,
        "Standard deviation across currencies of their returns, each in units of its own.",
        "standard deviations",
        ge=0,
    ),
    Column("fx_volatility_regime", _S, "Cut of fx_dispersion at 1, 2 and 4.", isin=("low", "normal", "high", "crisis")),
    Column("fx_brl_cny_log_ratio", _F, "Logarithm of yuan per real.", "log ratio"),
    *(
        Column(
            f"fx_corr_{a}_{b}_{n}d",
            _F,
            f"Correlation of the last {n} returns of {a.upper()} and {b.upper()}.",
            "-1..1",
            ge=-1,
            le=1,
        )
        for a, b in itertools.combinations(_CURRENCIES, 2)
        for n in (30, 90)
    ),
    *(
        Column(
            f"cross_corr_fx_{name}_{n}d",
            _F,
            f"Correlation of the last {n} returns of ZL and of {what}.",
            "-1..1",
            ge=-1,
            le=1,
        )
        for name, what in (("brl", "BRL"), ("cny", "CNY"), ("eur", "EUR"), ("usd_index", "fx_usd_index"))
        for n in (30, 90)
    ),
    Column("fx_brl_impact_score", _F, "Return of BRL times its 30-session correlation with ZL.", "fraction"),
    Column("fx_cny_impact_score", _F, "Return of CNY times its 30-session correlation with ZL.", "fraction"),
)

#: Columns of `fx_cross_daily` in the matrix' STRUCT `fx`, with the field each becomes there.
FX_FIELDS = {
    **{f"fx_{root}_log_return_1d": f"{currency}_log_return_1d" for root, currency in _CURRENCIES.items()},
    **{
        column.name: column.name.removeprefix("fx_")
        for column in FX_CROSS
        if not column.name.endswith("_log_return_1d") and not column.name.startswith("fx_corr_")
    },
}

_BIOFUEL_LEVELS = (
    Column(
        "boho_spread",
        _F,
        "Soybean oil in a gallon of biodiesel minus heating oil: ZL/100 x 7.5 - HO; positive when the feedstock costs "
        "more than the fuel.",
        "USD/gal",
    ),
    Column(
        "biodiesel_margin",
        _F,
        "HO - ZL/100 x 7.5 - conversion cost + blender credit of the date, before the value of RINs.",
        "USD/gal",
    ),
    Column(
        "d4_rin_proxy",
        _F,
        "max(0, -biodiesel_margin) / 1.5: the D4 RIN that lets a biodiesel producer break even; no market price.",
        "USD/RIN",
    ),
    Column(
        "d5_rin_proxy",
        _F,
        "max(d4_rin_proxy, d6_rin_proxy): D5 met with surplus D4, never below D6; no market price.",
        "USD/RIN",
    ),
    Column(
        "d6_rin_proxy",
        _F,
        "max(0, -ethanol_margin_proxy) / 1.0: the D6 RIN that lets an ethanol producer break even; no market price.",
        "USD/RIN",
    ),
    Column("oil_value_bu", _F, "Oil in a bushel of soybeans: ZL/100 x 11.", "USD/bu"),
    Column("board_crush", _F, "ZL/100 x 11 + ZM x 44/2000 - ZS/100.", "USD/bu"),
    Column(
        "oil_share",
        _F,
        "Oil in the value of the crush products: oil_value_bu / (oil_value_bu + ZM x 44/2000).",
        "fraction",
    ),
    Column(
        "ethanol_margin_proxy",
        _F,
        "ethanol_parity_spread - conversion cost + distillers grains at the price of corn per pound; ethanol is taken "
        "to cost RB x 0.667.",
        "USD/gal",
    ),
    Column(
        "ethanol_parity_spread",
        _F,
        "RB x 0.667 - ZC/100/2.8: gasoline with the energy of a gallon of ethanol minus the corn in it.",
        "USD/gal",
    ),
    Column(
        "sugar_ethanol_spread",
        _F,
        "SB/100 x 14.8 - ZC/100/2.8: raw sugar minus corn in a gallon of ethanol; NULL without the sugar series.",
        "USD/gal",
    ),
    Column("soy_to_corn_ratio", _F, "ZS / ZC.", "ratio"),
    Column("oil_to_gas_ratio", _F, "CL / (42 x RB).", "ratio"),
    Column("nat_gas_cost_per_gal_ethanol", _F, "Natural gas burnt for a gallon of ethanol: NG x 0.026.", "USD/gal"),
    Column("crack_321", _F, "(2 x 42 x RB + 42 x HO - 3 x CL) / 3.", "USD/bbl"),
)

#: Levels are from unadjusted prices as known at the decision time; a roll of a leg counts as a move.
BIOFUEL = (
    *_BIOFUEL_LEVELS,
    Column("biodiesel_margin_to_oil", _F, "biodiesel_margin / (ZL/100 x 7.5).", "fraction"),
    Column("ethanol_margin_proxy_to_gasoline", _F, "ethanol_margin_proxy / RB.", "fraction"),
    *(
        Column(
            f"clean_energy_momentum_{n}d",
            _F,
            f"Clean energy series (ICLN) over its value {n} ZL sessions before, each as known on its day, minus 1; "
            "NULL without the series.",
            "fraction",
        )
        for n in (7, 30)
    ),
    *(
        Column(f"{level.name}_ma30", _F, f"Mean of {level.name} over the last 30 sessions.", level.unit)
        for level in _BIOFUEL_LEVELS
    ),
    *(
        Column(
            f"{level.name}_vol20",
            _F,
            f"Sample standard deviation of {level.name} over the last 20 sessions.",
            level.unit,
            ge=0,
        )
        for level in _BIOFUEL_LEVELS
    ),
)


def names(columns: tuple[Column, ...]) -> str:
    """Names of columns, as a declaration picks them."""
    return " ".join(column.name for column in columns)
