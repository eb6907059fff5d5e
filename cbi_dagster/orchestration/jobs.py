"""Which runs there are: a range of one partition definition, all of it or only what is stale; and what failed in them.

Dagster accepts assets of two partition definitions in one run and writes the wrong months, and it rounds a range whose
ends are no partition keys in silence: both are refused here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
import numpy as np
import pandas as pd
from dagster._core.execution.plan.objects import ErrorSource
from dagster._core.storage.tags import EXTERNALLY_MANAGED_ASSETS_TAG

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.tables.ops import INGESTION_RUNS
from cbi_dagster.orchestration.io_manager import ONLY_STALE_TAG
from cbi_dagster.orchestration.partitions import MONTHS, TRADE_DATES, last_key, partitions_of
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.plan import Plan

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"

#: Run config that keeps the console quiet: at its default level it writes megabytes a run.
QUIET = {"loggers": {"console": {"config": {"log_level": "WARNING"}}}}

#: For commands, which say themselves what failed: a failure's frames are on the run's page.
SILENT = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class RunNeeded:
    """A run over the covering range, `first` to `last` (inclusive), of the stale partitions of one definition."""

    tables: tuple[Table, ...]
    partitions: dg.TimeWindowPartitionsDefinition
    first: np.datetime64
    last: np.datetime64

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the run: its range, and that only what is stale is rebuilt and logged."""
        return run_tags(self.tables, self.partitions, self.first, self.last, only_stale=True)


def next_run(plan: Plan) -> RunNeeded:
    """The first run of a plan: its tables by trade date and unpartitioned ones, else its tables by month."""
    daily = [item for item in plan.tables if partitions_of(item.table) is not MONTHS]
    group = daily or plan.tables
    stale = [item.partitions for item in group if partitions_of(item.table) is not None]
    keys = np.concatenate(stale) if stale else np.array([last_key(TRADE_DATES)])
    tables = tuple(item.table for item in group)
    return RunNeeded(tables, TRADE_DATES if daily else MONTHS, keys.min(), keys.max())


def run_tags(
    tables: Sequence[Table],
    partitions: dg.TimeWindowPartitionsDefinition,
    first: np.datetime64,
    last: np.datetime64,
    *,
    only_stale: bool,
) -> dict[str, str]:
    """Tags of a run of `tables`, which share `partitions`, over the dates from `first` to `last` (both inclusive).

    With `only_stale` each table asks what is stale by then, and only partitions that change are logged as materialized.
    Raises ValueError for tables of two partition definitions, or a range without partitions.
    """
    if len({partitions_of(item) for item in tables} - {None, partitions}):
        raise ValueError("tables of two partition definitions never share a run")
    tags = {ONLY_STALE_TAG: "true", EXTERNALLY_MANAGED_ASSETS_TAG: "true"} if only_stale else {}
    partitioned = [item for item in tables if partitions_of(item) is not None]
    if partitioned:
        keys = partitioned[0].partitioning.keys_between(first, last)
        keys = keys[keys <= last_key(partitions)]
        if not len(keys) or not all(partitions.has_partition_key(str(key)) for key in (keys[0], keys[-1])):
            raise ValueError(f"no partitions from {first} to {last}: Dagster would round the range in silence")
        tags |= {RANGE_START_TAG: str(keys[0]), RANGE_END_TAG: str(keys[-1])}
    return tags


def _step_failures(instance: dg.DagsterInstance, run_id: str) -> list[tuple[float, dg.DagsterEvent]]:
    """When which step of a run failed, and with what."""
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    return [(record.timestamp, record.event_log_entry.get_dagster_event()) for record in records]


def was_interrupted(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a signal ended a step of a run."""
    steps = [step.step_failure_data for _, step in _step_failures(instance, run_id)]
    return any(step.error_source is ErrorSource.INTERRUPT for step in steps)


#: What a table's last failure is told in: a validation may say hundreds of lines.
_TOLD_CHARACTERS, _TOLD_LINES = 600, 3


def sentence(message: str) -> str:
    """What matters of an error's message: its first lines, without the frames that led to it."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    told = " ".join(lines[:_TOLD_LINES])
    return told if len(told) <= _TOLD_CHARACTERS else f"{told[:_TOLD_CHARACTERS]} …"


def record_failures(warehouse: Warehouse, instance: dg.DagsterInstance, run_id: str) -> None:
    """Keep a row of `ops.ingestion_runs` for every table that failed in a run; doing it twice changes nothing."""
    rows = []
    for timestamp, step in _step_failures(instance, run_id):
        if step.step_failure_data.error_source is ErrorSource.INTERRUPT:
            continue
        error = step.step_failure_data.error
        told = sentence((error.cause or error).message) if error else "the step failed without an error"
        table = ".".join(str(step.step_key).split("__", 1))
        rows.append((f"{run_id}:{table}", table, dt.datetime.fromtimestamp(timestamp, dt.UTC), told))
    if rows:
        frame = pd.DataFrame(rows, columns=["event_id", "source", "ended_at", "error_message"])
        wanted = [column.name for column in INGESTION_RUNS.columns]
        started = frame["ended_at"]
        warehouse.record(INGESTION_RUNS, frame.assign(run_status="failed", started_at=started).reindex(columns=wanted))
