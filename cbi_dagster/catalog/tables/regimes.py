"""The regime calendar and its weights, made from config/regimes.yaml."""

from __future__ import annotations

from cbi_dagster.catalog.columns import pick, regimes
from cbi_dagster.catalog.model import Table
from cbi_dagster.catalog.partitioning import Daily, Unpartitioned

REGIME_CALENDAR = Table(
    dataset="training",
    name="regime_calendar",
    description="The regime in force on each trade date.",
    columns=pick(*regimes.CALENDAR),
    key=("date",),
    partitioning=Daily("date"),
    layer="regimes",
    required=frozenset({"regime", "is_fallback"}),
)

REGIME_WEIGHTS = Table(
    dataset="training",
    name="regime_weights",
    description="The declared regimes with their training weights.",
    columns=pick(*regimes.WEIGHTS),
    key=("regime",),
    partitioning=Unpartitioned(),
    layer="regimes",
    required=frozenset({"weight"}),
)
