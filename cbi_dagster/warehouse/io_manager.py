"""Between Dagster and the warehouse: what a step reads, what it may write, and what it tells.

A step rebuilds the partitions of its run's range that landed data covers (only the stale ones when the run says so).
Each input is read in the union of the declared windows of those partitions, so that a pure function never needs to
know which range was asked for; rows it returns for other dates are context, not content, and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa

from cbi_dagster.catalog import LANDING_SOURCES, TABLES, Read, Table, Unpartitioned
from cbi_dagster.catalog.checks import validate
from cbi_dagster.partitions import keys_between
from cbi_dagster.warehouse.contract import WHOLE, Accounts, Provenance, ReplaceResult, Warehouse, to_arrow, to_frame
from cbi_dagster.warehouse.plan import (
    Contents,
    expected_partitions,
    fingerprints,
    landed_trade_dates,
    read_intervals,
    stale_partitions,
)

ONLY_STALE_TAG = "cbi/only_stale"

OnWrite = Callable[[str, dict[str, Any]], None]
ReadBars = Callable[[str, list[tuple[np.datetime64, np.datetime64]]], pd.DataFrame]


@dataclass(frozen=True)
class Built:
    """Rows of a table together with the rows that did not become part of it (see `Accounts`)."""

    rows: pd.DataFrame
    rejected: pd.DataFrame
    held_back: pd.DataFrame


@dataclass(frozen=True)
class _Build:
    """What one step rebuilds, fixed when the step first looks at the ledger.

    Fingerprints are taken before any input is read: should an input change in between, the partition is found stale
    later, never wrongly fresh.
    """

    table: Table
    partitions: np.ndarray
    not_landed: int
    provenance: Provenance


class WarehouseIOManager(dg.IOManager):
    """Loads the declared windows of a step's inputs and replaces the partitions it rebuilt.

    `read_bars(schema, intervals)` reads landed vendor bars; `code_versions` maps table ids to their code version;
    `on_write(table id, facts)` is called after every table.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        read_bars: ReadBars,
        code_versions: Mapping[str, str],
        on_write: OnWrite | None = None,
    ) -> None:
        self._warehouse = warehouse
        self._on_write = on_write
        self._read_bars = read_bars
        self._code_versions = code_versions
        self._builds: dict[tuple[str, str], _Build] = {}

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        metadata = context.definition_metadata
        build = self._build(context, TABLES[metadata["table"]])
        source = ".".join(context.asset_key.path)
        read = next(read for read in build.table.reads if read.source == source)
        return self.read(build.table, read, build.partitions)

    def read(self, table: Table, read: Read, partitions: np.ndarray) -> pd.DataFrame:
        """Rows of an input in the union of the windows of `partitions` of `table`."""
        source = TABLES.get(read.source)
        if source is not None and isinstance(source.partitioning, Unpartitioned):
            return to_frame(source, self._warehouse.read(source))
        intervals = read_intervals(table, read, partitions)
        if source is None:
            return self._read_bars(LANDING_SOURCES[read.source], intervals)
        return to_frame(source, self._warehouse.read(source, intervals))

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame | pa.Table | Built) -> None:
        build = self._build(context, TABLES[".".join(context.asset_key.path)])
        result, accounts = self.write(build.table, build.partitions, obj, build.provenance)
        del self._builds[context.run_id, build.table.id]
        metadata: dict[str, Any] = {
            "dagster/row_count": int(sum(self._row_counts(build))),
            "partitions_written": len(result.written),
            "partitions_unchanged": len(result.unchanged),
            "rows_written": result.rows_written,
        }
        if build.not_landed:
            metadata["partitions_not_landed"] = build.not_landed
        if accounts is not None:
            metadata["rows_rejected"] = len(accounts.rejected)
            metadata["rows_held_back"] = int(accounts.held_back["bar_rows"].sum())
        context.log.info(
            f"{build.table.id}: {len(result.written)} partitions written ({result.rows_written} rows), "
            f"{len(result.unchanged)} unchanged, {build.not_landed} without landed data"
        )
        step = context.step_context
        partition = None if isinstance(build.table.partitioning, Unpartitioned) else step.partition_key_range.end
        # Dagster would copy output metadata into the event of every partition of a range.
        step.add_asset_metadata(metadata, asset_key=context.asset_key, partition_key=partition)
        if self._on_write is not None:
            self._on_write(build.table.id, metadata)

    def _row_counts(self, build: _Build) -> pd.Series:
        return self._warehouse.ledger(build.table.id)["row_count"]

    def write(
        self, table: Table, partitions: np.ndarray, obj: pd.DataFrame | pa.Table | Built, provenance: Provenance
    ) -> tuple[ReplaceResult, Accounts | None]:
        """Validate what a pure function returned and replace `partitions` with the rows that belong to them."""
        accounts = None
        if isinstance(obj, Built):
            accounts = Accounts(_within(obj.rejected, partitions), _within(obj.held_back, partitions))
            obj = obj.rows
        arrow = to_arrow(table, obj)
        if not isinstance(table.partitioning, Unpartitioned):
            dates = arrow[table.partitioning.column].cast(pa.int32()).to_numpy(zero_copy_only=False)
            own = np.isin(table.partitioning.keys_of(np.asarray(dates).astype("datetime64[D]")), partitions)
            arrow = arrow if own.all() else arrow.filter(pa.array(own))
        validate(table, to_frame(table, arrow))
        return self._warehouse.replace(table, partitions, arrow, provenance, accounts), accounts

    def _build(self, context: dg.InputContext | dg.OutputContext, table: Table) -> _Build:
        step = context.step_context
        identity = (step.run_id, table.id)
        if identity not in self._builds:
            asked = np.array([WHOLE])
            if not isinstance(table.partitioning, Unpartitioned):
                keys = step.partition_key_range
                asked = keys_between(table, np.datetime64(keys.start, "D"), np.datetime64(keys.end, "D"))
            only_stale = step.dagster_run.tags.get(ONLY_STALE_TAG) == "true"
            self._builds[identity] = self.build(table, asked, step.run_id, only_stale=only_stale)
        return self._builds[identity]

    def build(self, table: Table, asked: np.ndarray, run_id: str, *, only_stale: bool) -> _Build:
        """Fix what is rebuilt of the partitions `asked` for, and under which inputs."""
        ledger = self._warehouse.ledger()
        contents = Contents.by_table(ledger)
        code_version = self._code_versions[table.id]
        expected = np.intersect1d(asked, expected_partitions(table, landed_trade_dates(contents)))
        not_landed = len(asked) - len(expected)
        if only_stale:
            stale = stale_partitions(table, contents, ledger, code_version)
            expected = np.array([key for key in expected if key in stale], dtype="datetime64[D]")
        prints = fingerprints(table, expected, contents)
        return _Build(table, expected, not_landed, Provenance(run_id, code_version, prints))


def _within(rows: pd.DataFrame, partitions: np.ndarray) -> pd.DataFrame:
    dates = rows["date"].to_numpy().astype("datetime64[D]")
    return rows[np.isin(dates, partitions)].reset_index(drop=True)
