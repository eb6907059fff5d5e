"""Markets as they stood at the decision time of each trade date, 13:20 America/Chicago."""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import OHLCV, PRICE
from cbi_dagster.catalog.model import Column, Type

_F, _T = Type.FLOAT64, Type.TIMESTAMP

COLUMNS = (
    Column(
        "close_decision",
        _F,
        "Close of the session's last intraday bar that had ended by 13:20 America/Chicago of the trade date.",
        PRICE,
    ),
    Column("decision_bar_end", _T, "End of that bar (UTC): no later trade is in close_decision."),
    Column("adj_close_decision", _F, "close_decision x adj_factor.", "adjusted price"),
)

BAR_INPUTS = (
    "date", "ts_event", "root", "symbol", "instrument_id", *OHLCV, "session_instrument_id", "decision_covered",
    "dataset",
)  # fmt: skip
"""What is needed of landed bars."""

BARS_AT_DECISION = (
    "date", "root", "symbol", "contract", "instrument_id", "open", "close_decision", "decision_bar_end", "bar_source",
    "boundary_instrument_id", "boundary_close", "dataset",
)  # fmt: skip
"""Each session's bars as they stood at the decision time."""

INPUTS = tuple(name for name in BARS_AT_DECISION if name not in ("bar_source", "dataset"))
"""What the front contracts need of them."""

SESSION_INPUTS = (
    "date", "root", "symbol", "contract", "instrument_id", "open", "close", "volume", "session_quality",
    "boundary_instrument_id", "boundary_close",
)  # fmt: skip
"""What they need of session bars."""

AT_DECISION = (
    "date", "symbol", "contract", "instrument_id", "close_decision", "decision_bar_end", "adj_factor",
    "adj_close_decision",
)  # fmt: skip
"""The front contract of each product at the decision time."""

PRICES = ("date", "symbol", "close_decision", "adj_close_decision")
"""What features need of it."""
