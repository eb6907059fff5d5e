"""The legs of the soybean crush in delivery months that go together."""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Type, names

_F, _D = Type.FLOAT64, Type.DATE

ROOTS = ("ZL", "ZM", "ZS")
"""Soybean oil, soybean meal, soybeans."""
SETTLED_SESSIONS = 3
"""Sessions of which a contract must have been front before the series counts as having rolled to it."""

COLUMNS = (
    Column(
        "crush_oil_price", _F, "Close of soybean oil in the matched month; NULL while months do not match.", "USc/lb"
    ),
    Column("crush_meal_price", _F, "Close of soybean meal in the matched month; NULL likewise.", "USD/short_ton"),
    Column("crush_bean_price", _F, "Close of soybeans in the matched month; NULL likewise.", "USc/bu"),
    Column(
        "crush_bean_month",
        _D,
        "First day of the delivery month of the soybeans; NULL where only continuous symbols were delivered and no "
        "definitions, which say their months.",
    ),
)

SERIES_INPUTS = ("date", "symbol", "contract", "instrument_id", "close")
"""What is needed of the continuous series."""
SESSION_INPUTS = ("date", "root", "symbol", "contract", "instrument_id", "close")
"""What is needed of session bars: the outrights."""
LEGS = ("crush_oil_price", "crush_meal_price", "crush_bean_price")
CRUSH_LEGS = ("date", "symbol", *names(COLUMNS))
