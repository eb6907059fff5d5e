"""Contracts of a product: what trades on a day, and when the front one changes."""

from __future__ import annotations

from cbi_dagster.catalog.columns import settlements
from cbi_dagster.catalog.model import Column, Type

_S, _I, _F, _D = Type.STRING, Type.INT64, Type.FLOAT64, Type.DATE

COLUMNS = (
    Column("month_code", _S, "Letter of the delivery month, F for January to Z for December."),
    Column(
        "months_to_delivery", _I, "Calendar months from that of the trade date to the delivery month.", "months", ge=0
    ),
    Column(
        "last_trade_date",
        _D,
        "Date in Chicago on which trading of the contract ends, as the day's definition, or an end-of-day row, says; "
        "NULL without one.",
    ),
    Column(
        "first_notice_date",
        _D,
        "Last business day before the delivery month, from which on holders may be called to take delivery; NULL for "
        "products that are not rolled before it.",
    ),
    Column(
        "forced_roll_date",
        _D,
        "First trade date on which the contract may no longer be front by the product's rule; NULL for no such rule.",
    ),
    Column("from_contract", _S, "Contract that was front before the roll; NULL where its name is not known."),
    Column("from_instrument_id", _I, "The vendor's id of the contract that was front before the roll."),
    Column("roll_ratio", _F, "Factor of the new contract over that of the old one.", "ratio", gt=0),
)

RULE_DATES = ("delivery_month", "first_notice_date", "forced_roll_date")
"""What follows from the name of a contract."""
DEFINITION_INPUTS = ("date", "ts_recv", "root", "symbol", "instrument_id", "security_update_action", "expiration")
"""What is needed of definitions."""
SESSION_INPUTS = ("date", "root", "symbol", "contract", "instrument_id", "close", "volume", "session_quality")
"""What the curve needs of session bars."""
ROLL_INPUTS = (
    "date", "symbol", "contract", "instrument_id", "is_roll", "roll_method", "roll_gap", "roll_span_trade_dates",
    "adj_factor",
)  # fmt: skip
"""What the roll calendar needs of the continuous series."""

CURVE = (
    "date", "root", "contract", "instrument_id", "delivery_month", "month_code", "months_to_delivery",
    "last_trade_date", "close", "volume", "session_quality", *settlements.SESSION_COLUMNS,
)  # fmt: skip
ROLL_CALENDAR = (
    "date", "symbol", "from_contract", "contract", "from_instrument_id", "instrument_id", *RULE_DATES,
    "last_trade_date", "roll_method", "roll_span_trade_dates", "roll_gap", "roll_ratio", "adj_factor",
)  # fmt: skip
