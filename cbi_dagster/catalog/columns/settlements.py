"""What the exchange published of a contract's trade date: settlement, open interest, cleared volume."""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import PRICE
from cbi_dagster.catalog.model import Column, Type

_I, _F, _B, _T = Type.INT64, Type.FLOAT64, Type.BOOL, Type.TIMESTAMP

PUBLICATION_TRADE_DATES = 4
"""A statement about a trade date counts if it is received on it or on one of the next three (Mon-Fri): behind
Thanksgiving or Christmas lies no more."""

LATER_TRADE_DATES = 6
"""How many trade dates after its own are looked at to tell that nothing more will be said of a trade date."""

COLUMNS = (
    Column(
        "settle",
        _F,
        "Settlement price of the trade date, as published last; NULL where none was, and where the exchange says 0 for "
        "a contract that nobody trades. Known after the session's decision time.",
        PRICE,
    ),
    Column("settle_is_final", _B, "Whether the exchange calls the settlement final; NULL where it says nothing of it."),
    Column("settle_published_at", _T, "When that settlement was received (UTC)."),
    Column(
        "open_interest",
        _I,
        "Open contracts at the end of the trade date, as published last, mostly on the next one.",
        "contracts",
        ge=0,
    ),
    Column("open_interest_published_at", _T, "When that open interest was received (UTC)."),
    Column("cleared_volume", _I, "Contracts cleared on the trade date, as published last.", "contracts", ge=0),
    Column(
        "settlement_complete",
        _B,
        "Whether nothing that is published from now on changes what the row says of settlement, open interest and "
        "cleared volume: a later trade date was spoken of, or enough time has passed. NULL where nothing is landed.",
    ),
)

REVISED = (
    "settle", "settle_is_final", "settle_published_at", "open_interest", "open_interest_published_at",
    "cleared_volume", "settlement_complete",
)  # fmt: skip
"""What of a row may still change while `settlement_complete` is not true. No feature reads these columns."""

INPUTS = (
    "date", "ts_recv", "ref_date", "root", "symbol", "instrument_id", "stat_type", "update_action", "price", "quantity",
    "stat_flags", "dataset", "source_file", "source_row",
)  # fmt: skip
"""What is needed of statistics; file and row are for those that come too late."""

SETTLEMENTS = (
    "date", "root", "symbol", "instrument_id", "settle", "settle_is_final", "settle_published_at", "open_interest",
    "open_interest_published_at", "cleared_volume", "settlement_complete", "dataset",
)  # fmt: skip

SESSION_COLUMNS = ("settle", "settle_is_final", "open_interest", "settlement_complete")
"""What session bars say of them."""

SESSION_INPUTS = ("date", "root", "symbol", "instrument_id", *SESSION_COLUMNS)
