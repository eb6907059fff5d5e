"""The IO manager: between Dagster's steps and the builder.

A step asks what to build of the range it was given; its run's tag says whether all of it or only what is stale now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa

from cbi_dagster.catalog import TABLES, Table
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.orchestration.claims import claim
from cbi_dagster.orchestration.partitions import partitions_of
from cbi_dagster.recipes import TableOutput
from cbi_dagster.reports.thumbnails import PICTURED, SYMBOL, thumbnail
from cbi_dagster.warehouse.builder import Builder, PreparedBuild, WriteOutcome
from cbi_dagster.warehouse.contract import ReplaceResult

ONLY_STALE_TAG = "cbi/only_stale"

PICTURED_PARTITIONS = 12
"""From how many partitions on a table's materialization has a picture: a range, not a day or the days since."""

OnWrite = Callable[[PreparedBuild, WriteOutcome], None]


@dataclass(frozen=True)
class _Attempt:
    """What was prepared for an attempt of a step; `inputs` are those that it has not taken yet."""

    number: int
    build: PreparedBuild
    inputs: dict[str, pd.DataFrame]


class WarehouseIOManager(dg.IOManager):
    """Loads the declared windows of a step's inputs and replaces the partitions it rebuilt.

    A step is one slice, since Dagster loads its inputs once and stores one output. `on_write(build, outcome)` is called
    after every table.
    """

    def __init__(self, builder: Builder, on_write: OnWrite | None = None) -> None:
        self.builder = builder
        self._on_write = on_write
        self._attempts: dict[tuple[str, str], _Attempt] = {}

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        attempt = self._attempt(context, TABLES[context.definition_metadata["table"]])
        # Handed over, not kept: the step alone holds its inputs while it computes.
        return attempt.inputs.pop(".".join(context.asset_key.path))

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame | pa.Table | TableOutput) -> None:
        build = self._attempt(context, TABLES[".".join(context.asset_key.path)]).build
        outcome = self.builder.write(build, obj)
        result = outcome.result
        del self._attempts[context.run_id, build.table.id]
        metadata: dict[str, Any] = {
            "dagster/row_count": result.table_rows,
            "partitions_written": len(result.written),
            "partitions_unchanged": len(result.unchanged),
            "rows_written": result.rows_written,
            **_description(outcome),
            **self._shown(context, build.table, outcome),
        }
        if result.removed:
            metadata["partitions_removed"] = len(result.removed)
        if build.not_landed:
            metadata["partitions_not_landed"] = build.not_landed
        if isinstance(obj, TableOutput):
            metadata["rows_rejected"] = result.sums.rows_rejected
            metadata["rows_held_back"] = result.sums.rows_held_back
        context.log.info(
            f"{build.table.id}: {len(result.written)} partitions written ({result.rows_written} rows), "
            f"{len(result.unchanged)} unchanged, {build.not_landed} without landed data"
        )
        if _only_stale(context):
            _log_written(context, build, result, metadata)
        else:
            # Dagster would copy output metadata into the event of every partition of a range.
            step = context.step_context
            partition = None if partitions_of(build.table) is None else step.partition_key_range.end
            step.add_asset_metadata(metadata, asset_key=context.asset_key, partition_key=partition)
        if self._on_write is not None:
            self._on_write(build, outcome)

    def _shown(self, context: dg.OutputContext, table: Table, outcome: WriteOutcome) -> dict[str, Any]:
        """What a person looks for first: the last close, and a picture where a range was built.

        A day's refresh draws none: to import the library takes longer than to build the day.
        """
        if outcome.span is None or table not in PICTURED:
            return {}
        warehouse, last = self.builder.warehouse, np.datetime64(outcome.span[1], "D")
        shown: dict[str, Any] = {}
        if table is FUTURES_CONTINUOUS_1D:
            closes = warehouse.read(table, [(last, last)], ("close",), (SYMBOL,))["close"].to_pylist()
            shown |= {f"last_close_{SYMBOL}": close for close in closes}
        result = outcome.result
        told = result.written if _only_stale(context) else (*result.written, *result.unchanged)
        if len(told) >= PICTURED_PARTITIONS:
            try:
                if picture := thumbnail(warehouse, table, last):
                    shown["picture"] = dg.MetadataValue.md(picture)
            except Exception:
                # The rows are written: nobody waits for them because of a picture.
                context.log.warning(f"{table.id}: its picture could not be drawn", exc_info=True)
        return shown

    def _attempt(self, context: dg.InputContext | dg.OutputContext, table: Table) -> _Attempt:
        """What is prepared for the step's present attempt; a retry begins anew, with what is stored by then."""
        step = context.step_context
        identity, number = (step.run_id, table.id), step.previous_attempt_count
        if identity not in self._attempts or self._attempts[identity].number != number:
            asked = None
            if partitions_of(table) is not None:
                keys = step.partition_key_range
                asked = table.partitioning.keys_between(np.datetime64(keys.start, "D"), np.datetime64(keys.end, "D"))
            self._attempts.pop(identity, None)  # its inputs, if a failure left some, before others are read
            prepared = self.builder.prepare(table, asked, step.run_id, only_stale=_only_stale(context))
            self._attempts[identity] = _Attempt(number, *prepared)
        return self._attempts[identity]


def claiming(manager: WarehouseIOManager, claims: Path) -> dg.IOManagerDefinition:
    """The IO manager of runs that a daemon starts: the process of a run claims it from the first moment that it can."""

    def held(context: dg.InitResourceContext) -> WarehouseIOManager:
        assert context.run is not None
        claim(claims, context.run.run_id)
        return manager

    return dg.IOManagerDefinition(held)


_NULL_SHARES_SHOWN = 15


def _description(outcome: WriteOutcome) -> dict[str, Any]:
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


def _only_stale(context: dg.InputContext | dg.OutputContext) -> bool:
    return context.step_context.dagster_run.tags.get(ONLY_STALE_TAG) == "true"


def _log_written(
    context: dg.OutputContext, build: PreparedBuild, result: ReplaceResult, metadata: dict[str, Any]
) -> None:
    """One materialization per partition that changed, with the reason: a range run would claim the whole range."""
    changed = (*result.written, *result.removed)
    for label in changed:
        facts = {"rebuilt_because": build.reasons[build.table.partitioning.parse(label)]}
        context.log_event(
            dg.AssetMaterialization(
                context.asset_key,
                partition=None if partitions_of(build.table) is None else label,
                metadata=facts | metadata if label == changed[-1] else facts,
            )
        )
