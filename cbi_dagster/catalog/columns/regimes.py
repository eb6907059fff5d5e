"""Market regimes."""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Type

_S, _I, _B, _D = Type.STRING, Type.INT64, Type.BOOL, Type.DATE

COLUMNS = (
    Column("regime", _S, "Name of the market regime in force on the trade date."),
    Column("regime_name", _S, "regime, at the top level because no table is clustered by the fields of a STRUCT."),
    Column("valid_from", _D, "First date of the regime (inclusive)."),
    Column("valid_to", _D, "Last date of the regime (inclusive); NULL for the fallback."),
    Column("is_fallback", _B, "Whether no declared regime covers the date and the baseline stands in."),
    Column("weight", _I, "Training weight of the regime.", "weight", ge=1, le=1000),
    Column("description", _S, "What the regime is."),
    Column("research_rationale", _S, "Why it is weighted as it is."),
    Column("known_from", _D, "First date on which the regime could have been named; no model input before."),
)

CALENDAR = ("date", "regime", "valid_from", "valid_to", "is_fallback")
WEIGHTS = ("regime", "weight", "description", "research_rationale", "known_from")
CALENDAR_INPUTS = ("date", "regime", "valid_from", "valid_to")
"""What finding the regime of a date needs of the calendar,"""
WEIGHT_INPUTS = ("regime", "weight")
"""and of the weights."""
