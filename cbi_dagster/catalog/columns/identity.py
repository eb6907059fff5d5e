"""Columns that say what a row is about: dates, markets, contracts, instants."""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Type

_S, _I, _D, _T = Type.STRING, Type.INT64, Type.DATE, Type.TIMESTAMP

COLUMNS = (
    Column(
        "date",
        _D,
        "Trade date: the date of America/Chicago wall-clock time plus seven hours; on holidays that are traded without "
        "a settlement the next business day.",
    ),
    Column("data_date", _D, "Trade date the row describes; features are as known at its decision time."),
    Column("symbol", _S, "Market: the root for the platform's continuous series, else the vendor's symbol."),
    Column("root", _S, "Product root, e.g. ZL."),
    Column(
        "contract",
        _S,
        "Contract the prices belong to, e.g. ZLZ5; NULL when neither the delivery nor a definition names it.",
    ),
    Column(
        "instrument_id",
        _I,
        "Vendor's id of the contract, unique within a day only; negative where the delivery named "
        "the contract but gave no id.",
    ),
    Column("publisher_id", _I, "Vendor's id of the publisher (venue feed).", ge=0),
    Column("exchange", _S, "Venue of the product."),
    Column("currency", _S, "Currency of the price."),
    Column(
        "timestamp",
        _T,
        "Decision time of the row (UTC): the session close of its symbol, or the end of its last bar where that is "
        "later.",
    ),
    Column("ts_event", _T, "Start of the bar (UTC, inclusive)."),
    Column(
        "bar_close_ts",
        _T,
        "End of the bar's block, anchored at 17:00 America/Chicago of its session (UTC, exclusive).",
    ),
)
