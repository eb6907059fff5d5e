"""Open interest of the session before, as it was published by the decision time."""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Type, names

_I, _F = Type.INT64, Type.FLOAT64

CHANGE_SESSIONS = (1, 5)

INPUTS = ("date", "symbol", "contract", "instrument_id")
"""What is needed of the continuous series."""

STATISTICS_INPUTS = ("ts_recv", "ref_date", "root", "symbol", "instrument_id", "stat_type", "update_action", "quantity")
"""What is needed of statistics."""

_KNOWN = "by what was published until 13:20 America/Chicago of the trade date"
COLUMNS = (
    Column(
        "oi_front_lag1",
        _I,
        f"Open contracts of the row's contract at the end of the session before, {_KNOWN}.",
        "contracts",
        ge=0,
    ),
    Column(
        "oi_market_lag1",
        _I,
        f"Open contracts of all outrights of the product at the end of the session before, {_KNOWN}.",
        "contracts",
        ge=0,
    ),
    Column(
        "oi_front_share_lag1",
        _F,
        "oi_front_lag1 over oi_market_lag1; NULL where that is 0.",
        "fraction",
        ge=0,
        le=1,
    ),
    *(
        Column(
            f"oi_change_{n}d",
            _F,
            f"oi_market_lag1 over that of {n} session{'s' if n > 1 else ''} earlier - 1, {_KNOWN}; NULL if that is 0.",
            "fraction",
            ge=-1,
        )
        for n in CHANGE_SESSIONS
    ),
)

OPEN_INTEREST = ("date", "symbol", *names(COLUMNS))
