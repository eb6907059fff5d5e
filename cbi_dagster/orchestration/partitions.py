"""Partition definitions: trade dates (Monday to Friday) and months.

`end_offset=1` makes today's trade date and the current month available before they are over.
"""

from __future__ import annotations

import dagster as dg
import numpy as np

from cbi_dagster.catalog.model import FIRST_TRADE_DATE, Daily, Monthly, Table

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


def partitions_of(table: Table) -> dg.TimeWindowPartitionsDefinition | None:
    """The Dagster partitions of a table; None for an unpartitioned one."""
    if isinstance(table.partitioning, Daily):
        return TRADE_DATES
    return MONTHS if isinstance(table.partitioning, Monthly) else None


def keys_between(table: Table, first: np.datetime64, last: np.datetime64) -> np.ndarray:
    """Internal partition keys (datetime64[D]) from `first` to `last`, both inclusive and snapped inwards.

    A weekend day is no trade date; a date inside a month names that month.
    """
    if isinstance(table.partitioning, Monthly):
        months = np.arange(first.astype("datetime64[M]"), last.astype("datetime64[M]") + 1)
        return months.astype("datetime64[D]")
    days = np.arange(first, last + 1, dtype="datetime64[D]")
    return days[np.is_busday(days)]


def last_key(partitions: dg.TimeWindowPartitionsDefinition) -> np.datetime64:
    """The newest partition key that exists now."""
    key = partitions.get_last_partition_key()
    if key is None:
        raise RuntimeError(f"no partition exists yet: the first trade date is {FIRST_TRADE_DATE}")
    return np.datetime64(key, "D")
