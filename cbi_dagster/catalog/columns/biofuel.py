"""Biofuel economics of soybean oil."""

from __future__ import annotations

from cbi_dagster.catalog.columns.crush import LEGS
from cbi_dagster.catalog.model import Column, Type, names, per_window

_F, _B = Type.FLOAT64, Type.BOOL

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

AT_THEIR_CLOSE = ("ZL", "ZS", "ZC")
"""Markets that count with the close of their session, which is that of soybean oil."""
AT_DECISION = ("CL", "HO", "RB", "NG")
"""Markets that count as they stood at the decision time."""
MATCHED = ("board_crush", "oil_share")
"""Levels of legs in matched delivery months, which are unknown while the legs roll."""
MATCHED_SHARE = 2 / 3
"""Share of the sessions of a window in which these must be known."""
INPUTS = ("date", "symbol", "close")
CRUSH_INPUTS = ("date", "symbol", *LEGS)
MACRO_INPUTS = ("series_id", "reference_date", "value", "available_at", "unit")
"""What is read of the vintages of macro series."""

LEVELS = (
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
        "HO - ZL/100 x 7.5 - conversion cost + blender credit as the law was known on the date, before the value of "
        "RINs.",
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
    Column(
        "board_crush",
        _F,
        "ZL/100 x 11 + ZM x 44/2000 - ZS/100, in delivery months that go together (crush_legs_1d); NULL while they do "
        "not.",
        "USD/bu",
    ),
    Column(
        "oil_share",
        _F,
        "Oil in the value of the crush products: ZL/100 x 11 / (ZL/100 x 11 + ZM x 44/2000), in the months of "
        "board_crush.",
        "fraction",
    ),
    Column(
        "ethanol_margin_proxy",
        _F,
        "ethanol_parity_spread - conversion cost + distillers grains (17 lb per bushel, at the price of corn per "
        "pound); ethanol is taken to cost RB x 0.667.",
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
        "SB/100 x 14.8 - ZC/100/2.8: raw sugar minus corn in a gallon of ethanol; positive when sugar is the dearer "
        "feedstock; NULL without the sugar series.",
        "USD/gal",
    ),
    Column("soy_to_corn_ratio", _F, "ZS / ZC.", "ratio"),
    Column("oil_to_gas_ratio", _F, "CL / (42 x RB).", "ratio"),
    Column("nat_gas_cost_per_gal_ethanol", _F, "Natural gas burnt for a gallon of ethanol: NG x 0.026.", "USD/gal"),
    Column("crack_321", _F, "(2 x 42 x RB + 42 x HO - 3 x CL) / 3.", "USD/bbl"),
)
"""From unadjusted prices as known at the decision time; a roll counts as a move, except in the crush."""

_CREDIT = Column(
    "blender_credit_in_force",
    _B,
    "Whether an act that covers the date had been signed by then: a credit that was revived for the past later on was "
    "not in force.",
)
_RELATIVE = (
    Column("biodiesel_margin_to_oil", _F, "biodiesel_margin / (ZL/100 x 7.5).", "fraction"),
    Column("ethanol_margin_proxy_to_gasoline", _F, "ethanol_margin_proxy / RB.", "fraction"),
    *per_window(
        MOMENTUM_SESSIONS,
        Column(
            "clean_energy_momentum_{n}d",
            _F,
            "Clean energy series (ICLN) over its value {n} ZL sessions before, each as known on its day, minus 1; NULL "
            "without the series.",
            "fraction",
        ),
    ),
)


def known_of(name: str, sessions: int) -> int:
    """In how many sessions of a window a level must be known; 0 stands for all."""
    return round(sessions * MATCHED_SHARE) if name in MATCHED else 0


def _of_known(level: Column, sessions: int) -> str:
    count = known_of(level.name, sessions)
    return f", of those that are known, {count} at least" if count else ""


_WINDOWS = (
    *(
        Column(
            f"{level.name}_ma{MEAN_SESSIONS}",
            _F,
            f"Mean of {level.name} over the last {MEAN_SESSIONS} sessions{_of_known(level, MEAN_SESSIONS)}.",
            level.unit,
        )
        for level in LEVELS
    ),
    *(
        Column(
            f"{level.name}_vol{VOLATILITY_SESSIONS}",
            _F,
            f"Sample standard deviation of {level.name} over the last {VOLATILITY_SESSIONS} sessions"
            f"{_of_known(level, VOLATILITY_SESSIONS)}.",
            level.unit,
            ge=0,
        )
        for level in LEVELS
    ),
)
MATRIX_COLUMNS = (*LEVELS, _CREDIT, *_RELATIVE)
"""What the matrix takes: means and volatilities of levels stay in `biofuel_daily`."""
COLUMNS = (*MATRIX_COLUMNS, *_WINDOWS)

BIOFUEL = ("date", "symbol", *names(COLUMNS))
