"""Statistics that the exchange publishes of contracts, as they were received."""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import PRICE
from cbi_dagster.catalog.model import Column, Type

_S, _I, _F, _D, _T = Type.STRING, Type.INT64, Type.FLOAT64, Type.DATE, Type.TIMESTAMP

STAT_TYPES = ("settlement_price", "cleared_volume", "open_interest")

COLUMNS = (
    Column("ts_recv", _T, "When the vendor received the record (UTC): from then on its content is known."),
    Column("ref_date", _D, "Trade date that the record is about; it may be received on a later one."),
    Column("stat_type", _S, "What the record states.", isin=STAT_TYPES),
    Column("price", _F, "Settlement price that the record states; NULL for none, 0 for what nobody trades.", PRICE),
    Column("quantity", _I, "Contracts that the record states; NULL for none.", "contracts", ge=0),
    Column(
        "stat_flags",
        _I,
        "The exchange's flags of a settlement, as a sum: 1 final, 2 actual, 4 rounded, 8 intraday, 128 none; 255 where "
        "they do not apply.",
        ge=0,
    ),
    Column("update_action", _S, "Whether the record states a value or takes one back.", isin=("new", "delete")),
    Column("sequence", _I, "The exchange's number of the message, per channel and week.", ge=0),
)  # fmt: skip

STATISTICS = (
    "date", "ts_recv", "ref_date", "root", "symbol", "instrument_id", "publisher_id", "stat_type", "update_action",
    "price", "quantity", "stat_flags", "sequence", "dataset", "source_file", "source_row",
)  # fmt: skip

KEY = ("symbol", "stat_type", "ref_date", "ts_recv")
"""What identifies a record: nothing is said twice of one contract and trade date at one instant."""
