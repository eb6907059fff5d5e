"""What the exchange says of its contracts."""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import PRICE
from cbi_dagster.catalog.model import Column, Type

_S, _I, _F, _D, _T = Type.STRING, Type.INT64, Type.FLOAT64, Type.DATE, Type.TIMESTAMP

COLUMNS = (
    Column("instrument_class", _S, "The vendor's letter for the kind of instrument; F is a future.", isin=("F",)),
    Column("security_update_action", _S, "Whether the definition adds (A), modifies (M) or deletes (D) the contract."),
    Column("delivery_month", _D, "First day of the contract's delivery month."),
    Column("activation", _T, "When the contract was or will be listed (UTC)."),
    Column("expiration", _T, "When the contract's trading ends (UTC)."),
    Column("min_price_increment", _F, "Smallest difference of two prices of the contract (tick).", PRICE, ge=0),
    Column("display_factor", _F, "Price on the exchange's screens per price of the vendor.", "ratio"),
    Column("unit_of_measure", _S, "Unit of what the contract delivers, e.g. LBS, as the exchange writes it."),
    Column("unit_of_measure_qty", _F, "How much of that one contract delivers.", "unit_of_measure", ge=0),
    Column("trading_currency", _S, "Currency of the price, as the exchange writes it."),
    Column("exchange_mic", _S, "Market identifier of the exchange, e.g. XCBT."),
    Column("security_group", _S, "The exchange's product group, e.g. ZL."),
)  # fmt: skip

INSTRUMENTS = (
    "date", "ts_recv", "root", "symbol", "instrument_id", "publisher_id", "instrument_class", "security_update_action",
    "delivery_month", "activation", "expiration", "min_price_increment", "display_factor", "unit_of_measure",
    "unit_of_measure_qty", "trading_currency", "exchange_mic", "security_group", "dataset", "source_file", "source_row",
)  # fmt: skip

KEY = ("symbol", "ts_recv")
"""What identifies a definition: the vendor states each contract once a day and whenever it changes."""
