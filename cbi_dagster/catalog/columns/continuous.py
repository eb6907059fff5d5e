"""The continuous series: front sessions, rolls and adjusted prices."""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import PRICE
from cbi_dagster.catalog.model import Column, Type, names

_S, _I, _F, _B = Type.STRING, Type.INT64, Type.FLOAT64, Type.BOOL

COLUMNS = (
    Column("is_roll", _B, "Whether the session trades another contract than the previous one."),
    Column(
        "roll_gap",
        _F,
        "New contract's price minus the old one's at the switch, unadjusted; NULL without a roll.",
        PRICE,
    ),
    Column(
        "roll_method",
        _S,
        "How the factor of the session's contract was found when it became front: both_legs compares both contracts' "
        "closes of one earlier session; adjacent_bars compares the old contract's last bar with the new contract's "
        "first; after_gap does so across missing sessions or after one that was delivered in part; kept: it was front "
        "before and keeps its factor; undefined: a price is not positive. NULL without a roll.",
        isin=("both_legs", "adjacent_bars", "after_gap", "kept", "undefined"),
    ),
    Column(
        "roll_span_trade_dates",
        _I,
        "Trade dates between the two prices that the roll compares: 0 when both belong to one session; NULL without a "
        "roll.",
        "trade dates",
        ge=0,
    ),
    Column(
        "adj_factor",
        _F,
        "Forward ratio factor of the session's contract, the same whenever it is front: 1 for the first contract, then "
        "the old contract's times old price / new price. NULL if a price was not positive.",
        "ratio",
        gt=0,
    ),
    Column("adj_open", _F, "open x adj_factor.", "adjusted price"),
    Column("adj_high", _F, "high x adj_factor.", "adjusted price"),
    Column("adj_low", _F, "low x adj_factor.", "adjusted price"),
    Column("adj_close", _F, "close x adj_factor.", "adjusted price"),
)

INPUTS = (
    "date", "root", "symbol", "contract", "instrument_id", "open", "high", "low", "close", "volume", "vwap",
    "realized_vol_1h", "bar_source", "bars_seen", "bars_usual", "last_bar_end", "session_quality", "session_close_ts",
    "boundary_instrument_id", "boundary_close",
)  # fmt: skip
"""What the continuous series needs of session bars."""

CONTINUOUS = (
    "date", "symbol", "contract", "instrument_id", "open", "high", "low", "close", "volume", "vwap", "realized_vol_1h",
    "bar_source", "bars_seen", "bars_usual", "last_bar_end", "session_quality", "session_close_ts", *names(COLUMNS),
)  # fmt: skip
