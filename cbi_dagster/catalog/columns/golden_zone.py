"""The golden zone of MES."""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import PRICE
from cbi_dagster.catalog.model import Column, Type, names

_S, _I, _F, _B, _T = Type.STRING, Type.INT64, Type.FLOAT64, Type.BOOL, Type.TIMESTAMP

ZONE_COLUMNS = (
    Column("state", _I, "0 outside the golden zone, 1 inside, 2 deep.", "", ge=0, le=2),
    Column("swing_high", _F, "High of the active swing, in the price of the row's contract.", PRICE),
    Column("swing_low", _F, "Low of the active swing, in the price of the row's contract.", PRICE),
    Column("fib_50", _F, "50 % retracement of the active swing.", PRICE),
    Column("fib_618", _F, "61.8 % retracement of the active swing.", PRICE),
    Column(
        "invalidation", _F, "78.6 % retracement of the active swing: a close beyond it ends the set-up.", PRICE
    ),
    Column("leg_direction", _S, "up when the active swing's low came first, else down.", isin=("up", "down")),
    Column(
        "leg_confirmed_ts",
        _T,
        "Close of the 1h bar that confirmed the active swing's later end (UTC), always before the row's.",
    ),
    Column(
        "vol_decay_slope",
        _F,
        "Slope of normalised volume over the 5 bars before the candidate bar, per bar.",
        "fraction per bar",
    ),
)  # fmt: skip

_BAR_COLUMNS = (
    Column(
        "qualified_close",
        _B,
        "Whether the bar's close qualified: back across fib_50 on expanding volume, the first time in its swing.",
    ),
    Column(
        "golden_zone_atr",
        _F,
        "Wilder's average of 14 true ranges of 1h bars since inception, in the price of the bar's contract.",
        PRICE,
        ge=0,
    ),
)

_SESSION_COLUMNS = (
    Column(
        "qualified_trigger", _B, "Whether a close qualified in the session: back across fib_50 on expanding volume."
    ),
    Column("golden_zone_source", _S, "Bars that the golden zone was computed from.", isin=("1h",)),
)
COLUMNS = (*ZONE_COLUMNS, *_BAR_COLUMNS, *_SESSION_COLUMNS)

INPUTS = ("date", "symbol", "bar_close_ts", "high", "low", "close", "volume", "adj_factor")

ZONE = names(ZONE_COLUMNS)
BY_BAR = ("date", "symbol", "bar_close_ts", *ZONE, *names(_BAR_COLUMNS))
BY_SESSION = ("date", "symbol", *ZONE, *names(_SESSION_COLUMNS))
SESSION_INPUTS = ("date", "symbol", *ZONE, "qualified_close")
"""What the golden zone of a session needs of that of its bars."""
