"""What is stored against what was declared and written: rows that other hands changed are found here.

A check looks at one table and says what is wrong with it in words. Dagster's asset checks and `cbi check` show the same
results; a further check is one function and its entry in CHECKS.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cbi_dagster.catalog import ASSET_TABLES, Table
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.hashing import content_hashes
from cbi_dagster.warehouse.slices import ContractError, check_slice

_EXAMPLES = 5


@dataclass(frozen=True)
class CheckResult:
    """What a check found in `partitions` of a table with `rows`; `problems` by their names, none if it passed."""

    table: Table
    partitions: int
    rows: int
    problems: Mapping[str, str]

    @property
    def passed(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class Check:
    """A check of some tables: `function(warehouse, table, span)`, `span` as in `stored_as_written`."""

    name: str
    tables: tuple[Table, ...]
    function: Callable[[Warehouse, Table, Interval | None], CheckResult]


def stored_as_written(warehouse: Warehouse, table: Table, span: Interval | None = None) -> CheckResult:
    """Whether stored partitions have the declared form and the content that the ledger recorded.

    `span`: the partitions of the trade dates from its first to its last, both inclusive (None: everything stored).
    """
    drift = warehouse.drifted.get(table.id)
    if drift:
        return CheckResult(table, 0, 0, {"drifted": "; ".join(drift)})
    ledger = warehouse.ledger_rows({table.id})
    partitions = np.array([table.partitioning.parse(label) for label in ledger["partition_key"]], "datetime64[D]")
    if span is not None:
        starts, stops = table.partitioning.spans(partitions)
        partitions = partitions[(starts <= span[1]) & (stops >= span[0])]
    intervals = table.partitioning.covering(partitions)
    names = [column.name for column in table.columns]
    rows = warehouse.read(table, None if span is None else intervals, names)
    every = table.partitioning.keys_between(*intervals[0]) if intervals else partitions
    try:
        checked = check_slice(table, every, rows)
    except ContractError as error:
        return CheckResult(
            table, len(partitions), len(rows), {"broken": str(error).removesuffix("; nothing was written")}
        )
    recorded = dict(zip(ledger["partition_key"], ledger["content_hash"], strict=True))
    labels = table.partitioning.labels(checked.partitions)
    found = dict(zip(labels, content_hashes(checked), strict=True))
    differing = [label for label in table.partitioning.labels(partitions) if recorded[label] != found[label]]
    unknown = [label for label, count in zip(found, checked.row_counts, strict=True) if count and label not in recorded]
    listed = {"stored_differs_from_ledger": differing, "stored_without_ledger": unknown}
    problems = {name: _some(labels) for name, labels in listed.items() if labels}
    return CheckResult(table, len(partitions), len(rows), problems)


def _some(labels: Sequence[str]) -> str:
    more = len(labels) - _EXAMPLES
    return ", ".join(labels[:_EXAMPLES]) + (f" and {more:,} more" if more > 0 else "")


CHECKS = (Check("stored_as_written", ASSET_TABLES, stored_as_written),)


def check(
    warehouse: Warehouse, tables: Sequence[Table], first: dt.date | None, last: dt.date | None
) -> Iterator[tuple[str, CheckResult]]:
    """The name and the result of every check of `tables`, over the trade dates from `first` to `last`.

    Both are inclusive, None is unbounded.
    """
    span = None
    if first is not None or last is not None:
        span = (np.datetime64(first or dt.date.min, "D"), np.datetime64(last or dt.date.max, "D"))
    for item in CHECKS:
        for table in tables:
            if table in item.tables:
                yield item.name, item.function(warehouse, table, span)
