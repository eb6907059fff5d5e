"""What a refresh reads of stored tables and writes to them, in bytes, before it does: by the rows of the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from cbi_dagster.catalog.model import Column, Type
from cbi_dagster.catalog.registry import TABLES
from cbi_dagster.warehouse.ledger import NOTHING, Ledger
from cbi_dagster.warehouse.plan import Plan, read_intervals

#: Bytes of a value as BigQuery counts them; text is two and its letters, of which names and codes have about a dozen.
_WIDTHS = {Type.BOOL: 1, Type.STRING: 14}


@dataclass(frozen=True)
class Traffic:
    """Bytes that are `read` and `written`. Inputs that are built first count as far as they are stored now."""

    read: int
    written: int


def traffic(plan: Plan, ledgers: Mapping[str, Ledger]) -> Traffic:
    """Of a refresh that rebuilds everything in the plan."""
    read = written = 0
    for item in plan.tables:
        for need in item.table.reads:
            source, ledger = TABLES.get(need.source), ledgers.get(need.source, NOTHING)
            if source is None or not len(ledger.keys):
                continue  # landed files are read from the archive
            first, last = np.array(read_intervals(item.table, need, item.partitions)).T
            starts, stops = source.partitioning.reached(ledger.keys, first, last)
            totals = np.append(0, np.cumsum(ledger.row_counts))
            columns = [source.column(name) for name in need.columns] or source.stored_columns
            read += int((totals[stops] - totals[starts]).sum()) * row_bytes(columns)
        written += (item.rows or 0) * row_bytes(item.table.stored_columns)
    return Traffic(read, written)


def row_bytes(columns: Iterable[Column]) -> int:
    """Bytes of a row that has all values."""
    return sum(row_bytes(column.fields) if column.fields else _WIDTHS.get(column.type, 8) for column in columns)
