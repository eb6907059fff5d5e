"""The vendor's word on the quality of its days."""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Type

_S, _D = Type.STRING, Type.DATE

AVAILABLE = "available"
"""What the vendor says of a day whose data it believes to be whole."""

COLUMNS = (
    Column("utc_date", _D, "Day in UTC, as the vendor counts."),
    Column("condition", _S, "What the vendor says of its data of a day: available, degraded, pending or missing."),
    Column("last_modified_date", _D, "When the vendor last changed its data of a day (UTC date)."),
)

CONDITIONS = ("date", "utc_date", "condition", "last_modified_date")
INPUTS = ("date", "utc_date", "condition")
