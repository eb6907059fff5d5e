"""What Dagster calls a table, and its partition definitions: trade dates (Monday to Friday) and months.

`end_offset=1` makes today's trade date and the current month available before they are over.
"""

from __future__ import annotations

import dagster as dg

from cbi_dagster.catalog.model import FIRST_TRADE_DATE, Table
from cbi_dagster.catalog.partitioning import Daily, Monthly, Unpartitioned

TRADE_DATES = dg.TimeWindowPartitionsDefinition(
    cron_schedule="0 0 * * 1-5",
    start=FIRST_TRADE_DATE.isoformat(),
    fmt="%Y-%m-%d",
    timezone="America/Chicago",
    end_offset=1,
)
MONTHS = dg.MonthlyPartitionsDefinition(
    start_date=FIRST_TRADE_DATE.replace(day=1).isoformat(), timezone="America/Chicago", end_offset=1
)
_KINDS = {Daily: TRADE_DATES, Monthly: MONTHS, Unpartitioned: None}


def partitions_of(table: Table) -> dg.TimeWindowPartitionsDefinition | None:
    """The Dagster partitions of a table; None for an unpartitioned one."""
    return _KINDS[type(table.partitioning)]


def asset_key(table_id: str) -> dg.AssetKey:
    """Dagster asset key `[dataset, table]` of a table or landing source."""
    return dg.AssetKey(table_id.split("."))
