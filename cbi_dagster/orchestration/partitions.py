"""Partition definitions: trade dates (Monday to Friday) and months.

`end_offset=1` makes today's trade date and the current month available before they are over.
"""

from __future__ import annotations

import dagster as dg
import numpy as np

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


def last_key(partitions: dg.TimeWindowPartitionsDefinition) -> np.datetime64:
    """The newest partition key that exists now."""
    key = partitions.get_last_partition_key()
    if key is None:
        raise RuntimeError(f"no partition exists yet: the first trade date is {FIRST_TRADE_DATE}")
    return np.datetime64(key, "D")
