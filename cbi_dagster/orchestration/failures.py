"""What failed in a run, in a sentence per table, where `cbi status` and the pages of the assets find it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import dagster as dg
import pandas as pd
from dagster._core.events import RunFailureReason
from dagster._core.execution.plan.objects import ErrorSource

from cbi_dagster.catalog.tables.ops import INGESTION_RUNS
from cbi_dagster.warehouse.contract import Warehouse

#: What a table's last failure is told in: a validation may say hundreds of lines.
_TOLD_CHARACTERS, _TOLD_LINES = 600, 3


def sentence(message: str) -> str:
    """What matters of an error's message: its first lines, without the frames that led to it."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    told = " ".join(lines[:_TOLD_LINES])
    return told if len(told) <= _TOLD_CHARACTERS else f"{told[:_TOLD_CHARACTERS]} …"


def keep_failures(warehouse: Warehouse, run_id: str, failures: Mapping[str, tuple[dt.datetime, str]]) -> None:
    """Keep a row of `ops.ingestion_runs` for every table that failed in a run; doing it twice changes nothing.

    `failures`: when a table failed, and with what message, by table.
    """
    if not failures:
        return
    rows = [(f"{run_id}:{table}", table, at, sentence(message)) for table, (at, message) in failures.items()]
    frame = pd.DataFrame(rows, columns=["event_id", "source", "ended_at", "error_message"])
    wanted = [column.name for column in INGESTION_RUNS.columns]
    started = frame["ended_at"]
    warehouse.record(INGESTION_RUNS, frame.assign(run_status="failed", started_at=started).reindex(columns=wanted))


def _step_failures(instance: dg.DagsterInstance, run_id: str) -> list[tuple[float, dg.DagsterEvent]]:
    """When which step of a run failed, and with what."""
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    return [(record.timestamp, record.event_log_entry.get_dagster_event()) for record in records]


def was_interrupted(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a signal ended a run, in a step of it, before the first or after the last."""
    failures = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    told = [failure.event_log_entry.get_dagster_event().job_failure_data for failure in failures]
    return any(failure.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION for failure in told)


def record_failures(warehouse: Warehouse, instance: dg.DagsterInstance, run_id: str) -> None:
    """Keep what failed in the steps of a run, but for what a step has said by itself."""
    failures = {}
    for timestamp, step in _step_failures(instance, run_id):
        data = step.step_failure_data
        if data.error_source is ErrorSource.INTERRUPT or data.user_failure_data is not None:
            continue
        told = (data.error.cause or data.error).message if data.error else "the step failed without an error"
        table = ".".join(str(step.step_key).split("__", 1))
        failures[table] = (dt.datetime.fromtimestamp(timestamp, dt.UTC), told)
    keep_failures(warehouse, run_id, failures)
