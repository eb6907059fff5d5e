"""Sources other than futures bars, as landed."""

from __future__ import annotations

from cbi_dagster.catalog.columns import macro, pick
from cbi_dagster.catalog.model import Read, Table
from cbi_dagster.catalog.partitioning import Daily

MACRO_SERIES = Table(
    dataset="raw_intelligence",
    name="macro_series",
    description="Vintages of macro series: every value with the instant it became public. A revision is one more row; "
    "of one vintage landed twice the later file wins. A vintage is in the partition of the trade date on which it is "
    "known first.",
    columns=pick(*macro.VINTAGES),
    key=macro.KEY,
    partitioning=Daily("trade_date_available"),
    layer="raw_intelligence",
    required=frozenset({"value", "unit", "series_source"}),
    cluster=("series_id",),
    reads=(Read("landing.macro", columns=macro.VINTAGES),),
    owners=("team:market-data",),
)
