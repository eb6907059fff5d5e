"""Fibonacci levels of the last confirmed swing."""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import PRICE
from cbi_dagster.catalog.columns.pivots import ATR_SESSIONS
from cbi_dagster.catalog.model import Column, Type, names

_S, _I, _F, _B, _D = Type.STRING, Type.INT64, Type.FLOAT64, Type.BOOL, Type.DATE

WINDOW_SESSIONS = 126
WINDOW_AT_LEAST = 40
THRESHOLD_TRUE_RANGES = 3.0
THRESHOLD_BOUNDS = (0.005, 0.15)
NEAR_FRACTION = 0.01
"""Half-width of "near", as a fraction of the close, where a symbol has no tolerance of its own."""

RETRACEMENTS = {"236": 0.236, "382": 0.382, "50": 0.5, "618": 0.618, "786": 0.786}
EXTENSIONS = {"100": 0.0, "1236": 0.236, "1382": 0.382, "1618": 0.618, "200": 1.0, "2618": 1.618}
"""Distance beyond the end of the leg, in lengths of the leg."""

_NEAR = f"{100 * NEAR_FRACTION:g} %"

INPUTS = ("date", "symbol", "close", "adj_factor", "adj_high", "adj_low", "adj_close")

_LEG = (
    Column("swing_date_low", _D, "Session of the leg's low close."),
    Column("swing_date_high", _D, "Session of the leg's high close."),
    Column("leg_confirmed_date", _D, "Session whose close confirmed the leg's later end, never after the row's."),
    Column(
        "zigzag_threshold",
        _F,
        f"Reversal that confirms a pivot: {THRESHOLD_TRUE_RANGES:g} x median over the window of (mean of "
        f"{ATR_SESSIONS} true ranges / close), clamped to {THRESHOLD_BOUNDS[0]}..{THRESHOLD_BOUNDS[1]}.",
        "fraction",
        ge=THRESHOLD_BOUNDS[0],
        le=THRESHOLD_BOUNDS[1],
    ),
    Column("trend_direction", _S, "up when the leg's low came first, else down.", isin=("up", "down")),
    Column("days_since_swing", _I, "From the leg's later end to the row's trade date.", "calendar days", ge=0),
    Column("swing_low_price", _F, "Low close of the leg in the price of the row's contract.", PRICE),
    Column("swing_high_price", _F, "High close of the leg in the price of the row's contract.", PRICE),
    *(
        Column(f"retrace_{name}", _F, f"{100 * share:g} % retracement of the leg from its later end.", PRICE)
        for name, share in RETRACEMENTS.items()
    ),
    *(
        Column(
            f"ext_{name}", _F, f"{100 * (1 + beyond):g} % extension of the leg, measured from its earlier end.", PRICE
        )
        for name, beyond in EXTENSIONS.items()
    ),
)
_POSITION = (
    Column("swing_position_pct", _F, "100 x (close - low) / (high - low) of the leg; may leave 0..100.", "percent"),
    Column(
        "price_near_618_retrace",
        _B,
        f"current_price lies within the symbol's tolerance (else {_NEAR}) of retrace_618.",
    ),
    Column(
        "price_near_1618_ext",
        _B,
        f"current_price lies within the symbol's tolerance (else {_NEAR}) of ext_1618. While a leg is in force price "
        "cannot stand beyond its end by more than the reversal threshold, so this is nearly always false; the matrix "
        "leaves it out.",
    ),
    Column(
        "price_near_any_major",
        _B,
        f"price_near_618_retrace or price_near_1618_ext, or within {_NEAR} of retrace_382, retrace_50 or ext_100.",
    ),
)
COLUMNS = (*_LEG, *_POSITION)

FIBS = ("date", "symbol", *names(_LEG), "current_price", *names(_POSITION))
