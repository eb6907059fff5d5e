"""Floor-trader pivots and where the close stands among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cbi_dagster.catalog.columns.bars import PRICE
from cbi_dagster.catalog.model import Column, Type, names

_S, _I, _F, _B = Type.STRING, Type.INT64, Type.FLOAT64, Type.BOOL

_FORMULAS = {
    "P": ("Pivot", "(H+L+C)/3"),
    "R1": ("Resistance 1", "2P-L"),
    "R2": ("Resistance 2", "P+(H-L)"),
    "R3": ("Resistance 3", "H+2(P-L)"),
    "R4": ("Resistance 4", "H+3(P-L)"),
    "S1": ("Support 1", "2P-H"),
    "S2": ("Support 2", "P-(H-L)"),
    "S3": ("Support 3", "L-2(H-P)"),
    "S4": ("Support 4", "L-3(H-P)"),
}
LEVELS = tuple(_FORMULAS)
PERIOD_LEVELS = ("P", "R1", "R2", "R3", "S1", "S2", "S3")
"""Levels that a week (`W`) and a month (`M` before the name) have too."""
MID_POINTS = {
    "M1": ("P", "R1"), "M2": ("R1", "R2"), "M3": ("R2", "R3"), "M4": ("R3", "R4"),
    "M5": ("P", "S1"), "M6": ("S1", "S2"), "M7": ("S2", "S3"), "M8": ("S3", "S4"),
}  # fmt: skip
"""The two levels that each lies between."""
NEAREST = (*LEVELS, "M1", "M5")
DISTANCES = ("P", "R1", "S1", "R2", "S2", "R3", "S3")
CONFLUENCE = ("P", "R1", "S1", "R2", "S2", "WP", "MP")
CONFLUENCE_ATR = 0.25
"""Half-width of a confluence zone around the close, in ATRs of 14 sessions."""
ATR_SESSIONS = 14
_CONFLUENCE = f"How many of {', '.join(CONFLUENCE)} lie within"

INPUTS = ("date", "symbol", "high", "low", "close", "adj_factor", "adj_high", "adj_low", "adj_close")


def _levels(prefix: str, period: str, levels: Iterable[str]) -> Iterator[Column]:
    for level in levels:
        word, formula = _FORMULAS[level]
        yield Column(prefix + level, _F, f"{word} of the prior {period}: {formula}.", PRICE)


COLUMNS = (
    *_levels("", "session", _FORMULAS),
    *(Column(name, _F, f"Mid-point of {near} and {far}.", PRICE) for name, (near, far) in MID_POINTS.items()),
    *_levels("W", "ISO week", PERIOD_LEVELS),
    *_levels("M", "calendar month", PERIOD_LEVELS),
    Column("current_price", _F, "Unadjusted close of the row's trade date.", PRICE),
    Column(
        "atr_14",
        _F,
        f"Simple mean of the last {ATR_SESSIONS} true ranges, in the price of the row's contract.",
        PRICE,
        ge=0,
    ),
    *(Column(f"distance_to_{level}", _F, f"current_price - {level}, signed.", PRICE) for level in DISTANCES),
    Column("distance_to_P_atr", _F, "distance_to_P / atr_14, signed; NULL if atr_14 is 0.", "ATR"),
    Column(
        "distance_to_nearest_pivot",
        _F,
        "Unsigned distance from current_price to the nearest of P, R1..R4, S1..S4, M1, M5.",
        PRICE,
        ge=0,
    ),
    Column(
        "nearest_pivot_type",
        _S,
        "Name of that nearest level (the first of equals in that order).",
        isin=NEAREST,
    ),
    Column("price_above_P", _B, "current_price > P."),
    Column("price_between_R1_R2", _B, "R1 <= current_price <= R2."),
    Column("price_between_S1_P", _B, "S1 <= current_price <= P."),
    *(
        column
        for period, level in (("weekly", "WP"), ("monthly", "MP"))
        for column in (
            Column(f"{period}_pivot_distance", _F, f"Unsigned distance from current_price to {level}.", PRICE, ge=0),
            Column(f"{period}_pivot_distance_signed", _F, f"current_price - {level}.", PRICE),
        )
    ),
    Column(
        "pivot_confluence_count",
        _I,
        f"{_CONFLUENCE} {CONFLUENCE_ATR} atr_14 of current_price, inclusive.",
        "levels",
        ge=0,
        le=len(CONFLUENCE),
    ),
    Column(
        "pivot_confluence_count_fixed",
        _I,
        f"{_CONFLUENCE} the symbol's fixed tolerance of current_price, inclusive; NULL for symbols without one.",
        "levels",
        ge=0,
        le=len(CONFLUENCE),
    ),
    Column("pivot_zone_strength", _I, "pivot_confluence_count clamped to 1..5.", "levels", ge=1, le=5),
    Column("pivot_confluence_3_or_higher", _B, "pivot_confluence_count >= 3."),
    Column(
        "price_rejected_R1_twice",
        _B,
        "At least 2 of the 3 sessions before had high > R1 and close < R1, each with its own day's R1.",
    ),
    Column(
        "price_bouncing_off_S1",
        _B,
        "Of the 3 sessions before at least 1 had low <= S1 and at least 2 had close >= P, "
        "each with its own day's levels.",
    ),
    Column(
        "price_stuck_between_R1_S1_for_3_days", _B, "All 3 sessions before closed within [S1, R1] of their own day."
    ),
    Column(
        "weekly_pivot_flip",
        _B,
        "The session before and this one closed strictly on opposite sides of their own day's WP.",
    ),
)

PIVOTS = ("date", "symbol", *names(COLUMNS))
