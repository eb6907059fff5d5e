"""Events to store in an event log, and what its file holds: for the tests of the storage."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import dagster as dg
from dagster import AssetCheckEvaluation, AssetKey, DagsterEvent, DagsterEventType, EventLogEntry
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    StepMaterializationData,
)
from dagster._serdes import serialize_value
from hypothesis import strategies as st

from cbi_dagster.orchestration.event_log import BatchedSqliteEventLogStorage, PlatformEventLog

RUN = "7d2f6a1e-0000-4000-8000-000000000000"
ANOTHER_RUN = "7d2f6a1e-0000-4000-8000-000000000001"
PRICES = AssetKey(["market_data", "futures_continuous_1d"])
PIVOTS = AssetKey(["features", "pivot_math_daily"])
UNIQUE = dg.AssetCheckKey(PRICES, "unique")


# --- events ---------------------------------------------------------------------------------------------------------


def entry(kind: DagsterEventType | None, data: Any = None, *, run_id: str = RUN, at: float = 1.7e9) -> EventLogEntry:
    """One log entry; `kind` None is a line logged by user code."""
    event = kind and DagsterEvent(kind.value, "job", step_key="step", event_specific_data=data)
    return EventLogEntry(
        error_info=None,
        level=10,
        user_message="message",
        run_id=run_id,
        timestamp=at,
        step_key="step",
        job_name="job",
        dagster_event=event,
    )


def materialized(key: AssetKey, partition: str | None, *, version: str = "v1", **entry_fields: Any) -> EventLogEntry:
    tags = {"dagster/data_version": version, "not/indexed": "x"}
    materialization = dg.AssetMaterialization(key, partition=partition, tags=tags)
    return entry(DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(materialization), **entry_fields)


def materializations(count: int, **entry_fields: Any) -> list[EventLogEntry]:
    return [materialized(PRICES, f"p{i}", **entry_fields) for i in range(count)]


def stored_at_once(storage: PlatformEventLog, events: list[EventLogEntry]) -> None:
    """Materializations of one asset, given to a storage as the records that it keeps."""
    told = [event.get_dagster_event().step_materialization_data.materialization for event in events]
    versions = [(item.tags or {})["dagster/data_version"] for item in told]
    texts = [serialize_value(event) for event in events]
    storage.store_materializations(events[-1], texts, [item.partition for item in told], versions)


@st.composite
def entries(draw: st.DrawFn) -> EventLogEntry:
    key = draw(st.sampled_from([PRICES, PIVOTS]))
    partition = draw(st.sampled_from([None, "2024-07-01", "2024-07-02"]))
    version = draw(st.sampled_from(["v1", "v2"]))
    tags = {"dagster/data_version": version, "not/indexed": "x"}
    fields = {"run_id": draw(st.sampled_from([RUN, ANOTHER_RUN])), "at": 1.7e9 + draw(st.integers(0, 10**8)) / 1000}
    kinds: list[Callable[[], EventLogEntry]] = [
        lambda: entry(None, **fields),
        lambda: entry(DagsterEventType.STEP_START, **fields),
        lambda: entry(DagsterEventType.RUN_SUCCESS, **fields),
        lambda: materialized(key, partition, version=version, **fields),
        lambda: entry(
            DagsterEventType.ASSET_OBSERVATION,
            AssetObservationData(dg.AssetObservation(key, partition=partition, tags=tags)),
            **fields,
        ),
        lambda: entry(
            DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
            AssetMaterializationPlannedData(key, partition=partition),
            **fields,
        ),
        lambda: entry(
            DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
            AssetMaterializationPlannedData(key, partitions_subset=DefaultPartitionsSubset({"2024-07-01"})),
            **fields,
        ),
        lambda: entry(
            DagsterEventType.FRESHNESS_STATE_CHANGE,
            FreshnessStateChange(
                key=key,
                new_state=FreshnessState.PASS,
                previous_state=FreshnessState.FAIL,
                state_change_timestamp=fields["at"],
            ),
            **fields,
        ),
        lambda: entry(
            DagsterEventType.ASSET_CHECK_EVALUATION,
            AssetCheckEvaluation(asset_key=key, check_name="unique", passed=version == "v1", metadata={}),
            **fields,
        ),
    ]
    return draw(st.sampled_from(kinds))()


def check_planned() -> EventLogEntry:
    planned = AssetCheckEvaluationPlanned(asset_key=PRICES, check_name="unique")
    return entry(DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, planned)


# --- reading the file -----------------------------------------------------------------------------------------------


def rows(path: str, table: str) -> list[dict[str, Any]]:
    """All rows of a table in id order, without the column that the database stamps with its own clock."""
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        found = [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1")]
    return [{name: value for name, value in row.items() if name != "create_timestamp"} for row in found]


TABLES = ["event_logs", "asset_keys", "asset_event_tags", "asset_check_executions", "dynamic_partitions"]


def contents(path: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of the file; the rows of the asset index, which nothing refers to by id, by key."""
    found = {table: rows(path, table) for table in TABLES}
    found["asset_keys"] = sorted(
        ({**row, "id": None} for row in found["asset_keys"]), key=lambda row: str(row["asset_key"])
    )
    return found


def stored_partitions(storage: BatchedSqliteEventLogStorage) -> list[str]:
    return [row["partition"] for row in rows(storage.get_db_path(), "event_logs")]
