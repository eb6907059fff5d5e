"""What the UI hears of a build: one materialization a partition, all of a table's in one transaction.

Dagster logs the partitions of a range one by one, each through its loggers, and gives all of them one data version,
made of the code's and the inputs'. Here a partition's data version is its content hash, as in the ledger, so that what
is built on it counts as out of date when its content is another, and not when it was confirmed; and what the
partitions of a table have in common is put into words once.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any

import dagster as dg
import numpy as np
from dagster import EventLogEntry
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_DATA_VERSION,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.storage.tags import BACKFILL_ID_TAG
from dagster._serdes import deserialize_value, serialize_value

from cbi_dagster.catalog import TABLES, Table
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.orchestration.event_log import PlatformEventLog
from cbi_dagster.orchestration.partitions import asset_key, partitions_of
from cbi_dagster.reports.thumbnails import PICTURED, SYMBOL, thumbnail
from cbi_dagster.warehouse.builder import Builder, WriteOutcome
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.ledger import NOTHING

PICTURED_PARTITIONS = 24
"""From how many partitions on a table's materialization has a picture: a range, not a day or the days since."""

_NULL_SHARES_SHOWN = 15


def described(warehouse: Warehouse, table: Table, outcome: WriteOutcome, log: dg.DagsterLogManager) -> dict[str, Any]:
    """What a table's page shows of a build: its counts, dates and NULLs, and what a person looks for first."""
    result = outcome.result
    metadata: dict[str, Any] = {
        "dagster/row_count": result.table_rows,
        "partitions_written": len(result.written),
        "partitions_unchanged": len(result.unchanged),
        "rows_written": result.rows_written,
        **_nulls(outcome),
        **_shown(warehouse, table, outcome, log),
    }
    counts = {
        "partitions_removed": len(result.removed),
        "partitions_not_landed": outcome.not_landed,
        "rows_rejected": result.sums.rows_rejected,
        "rows_held_back": result.sums.rows_held_back,
    }
    return metadata | {name: count for name, count in counts.items() if count}


def _nulls(outcome: WriteOutcome) -> dict[str, Any]:
    """Dates of the first and last rows, the share of NULLs, how many columns are all NULL, and the others with most."""
    rows = outcome.result.sums.rows_out
    if not rows:
        return {}
    metadata: dict[str, Any] = {}
    if outcome.span is not None:
        metadata = {"first_date": str(outcome.span[0]), "last_date": str(outcome.span[1])}
    metadata["null_share"] = round(sum(outcome.nulls.values()) / (rows * len(outcome.nulls)), 6)
    metadata["columns_all_null"] = sum(count == rows for count in outcome.nulls.values())
    partly = sorted((item for item in outcome.nulls.items() if 0 < item[1] < rows), key=lambda item: -item[1])
    if partly:
        records = [dg.TableRecord({"column": path, "null_share": round(count / rows, 4)}) for path, count in partly]
        metadata["null_shares"] = dg.MetadataValue.table(records[:_NULL_SHARES_SHOWN])
    return metadata


def _shown(warehouse: Warehouse, table: Table, outcome: WriteOutcome, log: dg.DagsterLogManager) -> dict[str, Any]:
    """The last close, and a picture where a range was built.

    A day's refresh draws none: to import the library takes longer than to build the day.
    """
    if outcome.span is None or table not in PICTURED:
        return {}
    last, shown = np.datetime64(outcome.span[1], "D"), dict[str, Any]()
    if table is FUTURES_CONTINUOUS_1D:
        closes = warehouse.read(table, [(last, last)], ("close",), (SYMBOL,))["close"].to_pylist()
        shown |= {f"last_close_{SYMBOL}": close for close in closes}
    if len(outcome.result.hashes) >= PICTURED_PARTITIONS:
        try:
            if picture := thumbnail(warehouse, table, last):
                shown["picture"] = dg.MetadataValue.md(picture)
        except Exception:
            # The rows are written: nobody waits for them because of a picture.
            log.warning(f"{table.id}: its picture could not be drawn", exc_info=True)
    return shown


#: What stands in the common words of a table's events for what differs: no text of ours has it.
_OPEN, _CLOSE = "<~", "~>"
_PLACE = re.compile(f"{_OPEN}(.*?){_CLOSE}")
_REASON = "rebuilt_because"
_ASKED = "the run was asked for it"
#: Stands for a number of rows.
_ROWS = 999_999_999_999_999
_UNKNOWN = DEFAULT_DATA_VERSION.value


def _place(name: str) -> str:
    return f"{_OPEN}{name}{_CLOSE}"


def report(
    step: StepExecutionContext,
    builder: Builder,
    table: Table,
    outcome: WriteOutcome,
    metadata: Mapping[str, Any],
    without_data: Sequence[str] = (),
) -> None:
    """Tell the instance of every partition that a step wrote, confirmed or removed; `metadata` with the last.

    `without_data`: labels of partitions that the step was asked for and that there is nothing for. All are told of
    with the run, the job and the step that built them.
    """
    versions = {
        **dict.fromkeys(without_data, NULL_DATA_VERSION.value),
        **outcome.result.hashes,
        **dict.fromkeys(outcome.result.removed, NULL_DATA_VERSION.value),
    }
    if not versions:
        return
    sources, labels = [read.source for read in table.reads], sorted(versions)
    differing = {
        "label": labels,
        "data": [versions[label] for label in labels],
        "rows": [str(outcome.result.row_counts.get(label, 0)) for label in labels],
        _REASON: [outcome.reasons.get(label, _ASKED) for label in labels],
        **_versions(builder.warehouse, sources, np.array([table.partitioning.parse(label) for label in labels])),
    }
    storage = step.instance.event_log_storage
    newest = storage.get_maximum_record_id()
    pointer = NULL_EVENT_POINTER if newest is None else str(newest)
    tags = {
        CODE_VERSION_TAG: builder.code.digests(builder.warehouse)[table.id],
        DATA_VERSION_TAG: _place("data"),
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
    }
    for name in sources:
        tags[get_input_data_version_tag(asset_key(name))] = _place(name)
        tags[get_input_event_pointer_tag(asset_key(name))] = pointer
    backfill = step.get_tag(BACKFILL_ID_TAG)
    if backfill:
        tags[BACKFILL_ID_TAG] = backfill
    partition = None if partitions_of(table) is None else _place("label")
    each: dict[str, Any] = {_REASON: _place(_REASON), "dagster/partition_row_count": _ROWS}
    shared, last = (
        _entry(
            step,
            dg.AssetMaterialization(asset_key(table.id), partition=partition, tags=tags, metadata=facts),
        )
        for facts in (each, {**each, **metadata})
    )
    texts = _filled(shared, differing)
    (texts[-1],) = _filled(last, {name: values[-1:] for name, values in differing.items()})
    if isinstance(storage, PlatformEventLog):
        storage.store_materializations(
            deserialize_value(texts[-1], EventLogEntry),
            texts,
            [None] * len(labels) if partition is None else labels,
            differing["data"],
        )
    else:  # an instance of one's own, be it in memory
        for text in texts:
            storage.store_event(deserialize_value(text, EventLogEntry))


def _versions(warehouse: Warehouse, sources: Sequence[str], keys: np.ndarray) -> dict[str, list[str]]:
    """The content hash of each source's partitions of some dates; of a table in one piece its only one."""
    ledgers = warehouse.ledger_by_table({name for name in sources if name in TABLES})
    found = {}
    for name in sources:
        ledger = ledgers.get(name, NOTHING)
        whole = name in TABLES and partitions_of(TABLES[name]) is None
        at = np.full(len(keys), len(ledger.keys) - 1) if whole else ledger.at(keys)
        found[name] = [ledger.hashes[i] if i >= 0 else _UNKNOWN for i in at]
    return found


def _entry(step: StepExecutionContext, materialization: dg.AssetMaterialization) -> str:
    """The record of a materialization by a step, as Dagster writes it."""
    message = f"Materialized value {materialization.asset_key.to_user_string()}."
    event = DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
        job_name=step.job_name,
        step_handle=step.step.handle,
        node_handle=step.step.node_handle,
        step_kind_value=step.step.kind.value,
        logging_tags=step.event_tags,
        event_specific_data=StepMaterializationData(materialization),
        message=message,
        pid=os.getpid(),
    )
    return serialize_value(
        EventLogEntry(  # type: ignore[no-untyped-call]
            error_info=None,
            level=logging.DEBUG,
            user_message=message,
            run_id=step.run_id,
            timestamp=time.time(),
            step_key=step.step.key,
            job_name=step.job_name,
            dagster_event=event,
        )
    )


def _filled(text: str, differing: Mapping[str, Sequence[str]]) -> list[str]:
    """The text with what differs in its places, once for each."""
    text = text.replace(str(_ROWS), _place("rows"))
    (first, *common), names = _PLACE.split(text)[::2], _PLACE.findall(text)
    parts: list[Iterable[str]] = []
    for name, following in zip(names, common, strict=True):
        parts += (encode_basestring_ascii(value)[1:-1] for value in differing[name]), itertools.repeat(following)
    return [first + "".join(filled) for filled in zip(*parts, strict=False)]
