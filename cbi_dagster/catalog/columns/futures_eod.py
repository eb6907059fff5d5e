"""Settlements and open interest of contracts by another vendor, one row per contract and day."""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Type

_S, _I = Type.STRING, Type.INT64

COLUMNS = (
    Column("ticker", _S, "The contract as the other vendor calls it, e.g. BOF95 Comdty."),
    Column("delivery_rank", _I, "Place of the contract among its product's by delivery, 0 the nearest.", ge=0),
)

FUTURES_EOD = (
    "trade_date_available", "ref_date", "root", "symbol", "ticker", "delivery_rank", "delivery_month",
    "last_trade_date", "settle", "open_interest", "volume", "dataset", "source_file", "source_row",
)  # fmt: skip

KEY = ("symbol", "ref_date")
