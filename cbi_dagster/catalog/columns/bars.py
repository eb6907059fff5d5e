"""Vendor bars as landed."""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Type

_S, _I, _F, _B = Type.STRING, Type.INT64, Type.FLOAT64, Type.BOOL

PRICE = "quote unit"
"""Unit of prices: the quote unit of the row's product (universe.yaml)."""

COLUMNS = (
    Column("open", _F, "First traded price of the bar or session, unadjusted.", PRICE),
    Column("high", _F, "Highest traded price, unadjusted.", PRICE),
    Column("low", _F, "Lowest traded price, unadjusted.", PRICE),
    Column("close", _F, "Last traded price, unadjusted.", PRICE),
    Column("volume", _I, "Contracts traded.", "contracts", ge=0),
    Column(
        "session_instrument_id",
        _I,
        "Contract that the vendor's mapping names for the UTC date equal to the trade "
        "date; NULL when no landed mapping covers that date.",
    ),
    Column("session_covered", _B, "Whether landed data covers the bar's session from open to close."),
    Column(
        "decision_covered",
        _B,
        "Whether landed data covers the bar's session from open to the decision time (13:20 America/Chicago) of its "
        "trade date, or to its close where that is earlier; NULL for bars of UTC days.",
    ),
    Column("source_file", _S, "Name of the landed file the bar came from; not part of the row's content."),
    Column("source_row", _I, "Row (0-based) in that file; not part of the row's content.", ge=0),
    Column("dataset", _S, "Vendor dataset, e.g. GLBX.MDP3; simulated data says SIM.DEMO."),
)

OHLCV = ("open", "high", "low", "close", "volume")

LANDED = (
    "date", "ts_event", "root", "symbol", "instrument_id", "publisher_id", *OHLCV, "session_instrument_id",
    "session_covered", "decision_covered", "dataset", "source_file", "source_row",
)  # fmt: skip
"""Bars of the universe with what is known of their session."""
