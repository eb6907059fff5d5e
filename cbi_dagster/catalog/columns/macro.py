"""Macro series, by vintage."""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Type, names

_S, _F, _D, _T = Type.STRING, Type.FLOAT64, Type.DATE, Type.TIMESTAMP

COLUMNS = (
    Column("series_id", _S, "Macro series, e.g. SB."),
    Column(
        "reference_date", _D, "Day, or first day of the period, that the value describes (calendar date, any weekday)."
    ),
    Column("value", _F, "Value of the series in `unit`.", "see unit"),
    Column("available_at", _T, "When this vintage of the value became public (UTC)."),
    Column("unit", _S, "Unit of the value, the same in all rows of a series."),
    Column("series_source", _S, "Who published the value."),
    Column(
        "trade_date_available",
        _D,
        "First trade date at whose decision time (13:20 America/Chicago) the vintage, the post or the span is known.",
    ),
)

VINTAGES = names(COLUMNS)
KEY = ("series_id", "reference_date", "available_at")
"""What identifies a vintage."""
