"""What a table is: the column dictionary, one declaration per table, and everything derived from them."""

from cbi_dagster.catalog.model import (
    AUDIT_COLUMNS,
    Column,
    Read,
    RowCheck,
    Table,
    Type,
)
from cbi_dagster.catalog.partitioning import INCEPTION, Daily, Monthly, Partitioning, Unpartitioned
from cbi_dagster.catalog.registry import (
    ASSET_TABLES,
    LANDING_SOURCES,
    OPS_TABLES,
    TABLES,
    asset_tables,
    partitioning_of,
    table,
)

__all__ = [
    "ASSET_TABLES",
    "AUDIT_COLUMNS",
    "INCEPTION",
    "LANDING_SOURCES",
    "OPS_TABLES",
    "TABLES",
    "Column",
    "Daily",
    "Monthly",
    "Partitioning",
    "Read",
    "RowCheck",
    "Table",
    "Type",
    "Unpartitioned",
    "asset_tables",
    "partitioning_of",
    "table",
]
