"""Building partitions of a table: the declared windows go in, a checked slice comes out, the ledger remembers both.

A build asks which partitions of the range are wanted (all, or only those that are stale now) and works on exactly
those. Each input is read in the union of the declared windows of those partitions, so that a pure function never needs
to know which range was asked for; rows it returns for other dates are context, not content, and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES, TABLES, Read, Table
from cbi_dagster.catalog.checks import validate
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.recipes import TableOutput
from cbi_dagster.warehouse.changes import LeftOutRows, Provenance
from cbi_dagster.warehouse.code import CodeAccount
from cbi_dagster.warehouse.contract import ReplaceResult, Warehouse, now_utc
from cbi_dagster.warehouse.plan import (
    Plan,
    expected_partitions,
    fingerprints,
    make_plan,
    newest_trade_date,
    read_intervals,
    stale_partitions,
)
from cbi_dagster.warehouse.slices import to_arrow

ReadLanded = Callable[[str, list[tuple[np.datetime64, np.datetime64]]], pd.DataFrame]


@dataclass(frozen=True)
class PreparedBuild:
    """What is rebuilt of a table, fixed when it is prepared.

    `inputs` (by source id, in the order of the table's reads), their fingerprints and `table_rows`, the rows of the
    whole table, are of one moment. `reasons`: why each partition is rebuilt, where that was asked.
    """

    table: Table
    partitions: np.ndarray
    not_landed: int
    provenance: Provenance
    table_rows: int
    inputs: dict[str, pd.DataFrame]
    reasons: Mapping[np.datetime64, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WriteOutcome:
    """What a build put in its partitions: the `rows` of all of them, which of them changed, and what was left out."""

    rows: pa.Table
    result: ReplaceResult
    left_out: LeftOutRows | None


class Builder:
    """Builds tables of one warehouse.

    `read_landed(source id, intervals)` reads landed vendor data.
    """

    def __init__(self, warehouse: Warehouse, read_landed: ReadLanded, code: CodeAccount) -> None:
        self._warehouse = warehouse
        self._read_landed = read_landed
        self._code = code

    def over(self, warehouse: Warehouse) -> Builder:
        """The same over another warehouse, from the same landed data."""
        return Builder(warehouse, self._read_landed, self._code)

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse, whose tables exist once it has been asked for: loading definitions opens no file."""
        self._warehouse.ensure(TABLES.values())
        return self._warehouse

    def plan(self, wanted: Collection[Table] | None = None) -> Plan:
        """Everything that is stale now, in all tables, or in those `wanted` given what the others hold now."""
        ledgers = self.warehouse.ledger_by_table()
        tables = [table for table in ASSET_TABLES if wanted is None or table in wanted]
        digests = self._code.digests(self.warehouse)
        return make_plan(ledgers, digests, newest_trade_date(now_utc()), tables, self._changes_of_code)

    def prepare(self, table: Table, asked: np.ndarray | None, run_id: str, *, only_stale: bool) -> PreparedBuild:
        """Fix what is rebuilt of the partitions `asked` for (None: all), and read its inputs."""
        started_at = now_utc()
        code = self._code.digests(self.warehouse)[table.id]
        relevant = {table.id, *LANDING_SOURCES, *(read.source for read in table.reads)}
        with self.warehouse.snapshot():
            ledgers = self.warehouse.ledger_by_table(relevant)
            wanted = expected_partitions(table, ledgers, newest_trade_date(now_utc()))
            not_landed = 0
            if asked is not None:
                wanted = np.intersect1d(asked, wanted)
                not_landed = len(asked) - len(wanted)
            reasons: dict[np.datetime64, str] = {}
            if only_stale:
                reasons = stale_partitions(table, wanted, ledgers, code, self._changes_of_code)
                wanted = np.array(sorted(reasons), "datetime64[D]")
            inputs = {read.source: self._read(table, read, wanted) for read in table.reads}
        prints = dict(zip(wanted, fingerprints(table, wanted, ledgers), strict=True))
        rows_in = sum(len(rows) for rows in inputs.values())
        provenance = Provenance(run_id, code, prints, started_at, rows_in)
        table_rows = int(ledgers[table.id].row_counts.sum()) if table.id in ledgers else 0
        return PreparedBuild(table, wanted, not_landed, provenance, table_rows, inputs, reasons)

    def _changes_of_code(self, table_id: str, earlier: str) -> tuple[str, ...] | None:
        return self._code.changes_since(self.warehouse, table_id, earlier)

    def _read(self, table: Table, read: Read, partitions: np.ndarray) -> pd.DataFrame:
        """Rows of an input in the union of the windows of `partitions`."""
        source = TABLES.get(read.source)
        intervals = read_intervals(table, read, partitions)
        if source is None:
            return self._read_landed(read.source, intervals)
        if not intervals:
            empty = source.arrow_schema(stored=True).empty_table()
            return to_frame(source, empty.select(list(read.columns)) if read.columns else empty)
        return to_frame(source, self.warehouse.read(source, intervals, read.columns, read.symbols))

    def write(self, build: PreparedBuild, rows: pd.DataFrame | pa.Table | TableOutput) -> WriteOutcome:
        """Check what a pure function returned and replace the build's partitions with the rows that belong to them."""
        table, partitions = build.table, build.partitions
        left_out = None
        if isinstance(rows, TableOutput):
            left_out = LeftOutRows(
                _within(table, rows.rejected, partitions), _within(table, rows.held_back, partitions)
            )
            rows = rows.rows
        if not len(partitions):
            return WriteOutcome(
                table.arrow_schema().empty_table(), ReplaceResult((), (), 0, build.table_rows), left_out
            )
        arrow = to_arrow(table, rows)
        own = np.isin(table.partitioning.keys_in(arrow), partitions)
        arrow = arrow if own.all() else arrow.filter(pa.array(own))
        validate(table, to_frame(table, arrow))
        self._code.record(self.warehouse)
        result = self.warehouse.replace(table, partitions, arrow, build.provenance, left_out)
        return WriteOutcome(arrow, result, left_out)

    def rebuild(self, table: Table, function: Callable[..., Any], run_id: str) -> ReplaceResult:
        """Rebuild what is stale of a table, without Dagster."""
        build = self.prepare(table, None, run_id, only_stale=True)
        rows = function(*build.inputs.values()) if len(build.partitions) else table.arrow_schema().empty_table()
        return self.write(build, rows).result


def _within(table: Table, rows: pd.DataFrame, partitions: np.ndarray) -> pd.DataFrame:
    """The rows whose trade date belongs to one of the partitions."""
    keys = table.partitioning.keys_of(rows["date"].to_numpy().astype("datetime64[D]"))
    return rows[np.isin(keys, partitions)].reset_index(drop=True)
