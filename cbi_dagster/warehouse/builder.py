"""Building partitions of a table: the declared windows go in, a checked slice comes out, the ledger remembers both.

A build is prepared, computed and written. Preparing asks which partitions of the range are wanted (all, or only those
that are stale now) and reads each input in the union of the declared windows of exactly those, so that a pure function
never needs to know which range was asked for; rows it returns for other dates are context, not content, and are left
out. A build that would read very much is done in slices of neighbouring partitions, each prepared, computed and
written by itself: no result depends on how it was cut.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES, TABLES, Read, Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.views import views
from cbi_dagster.recipes import Recipe, TableOutput
from cbi_dagster.warehouse.changes import LeftOutRows, Provenance, RunSums
from cbi_dagster.warehouse.code import CodeAccount
from cbi_dagster.warehouse.contract import ReplaceResult, Warehouse, now_utc
from cbi_dagster.warehouse.plan import (
    GONE,
    Plan,
    expected_partitions,
    fingerprints,
    fitting,
    gone_partitions,
    make_plan,
    newest_trade_date,
    read_intervals,
    stale_partitions,
)
from cbi_dagster.warehouse.slices import leaf_values, to_arrow

ReadLanded = Callable[[str, list[Interval]], pd.DataFrame]

#: Values (rows times columns) that a slice may read and make; one takes about 30 bytes of memory while it is worked on.
#: Every table over hours or days is one slice, years of minutes are many.
SLICE_VALUES = 32_000_000

#: What reads at most this many rows is computed in moments: other processes can wait for the warehouse that long.
FEW_ROWS = 400_000


@dataclass(frozen=True)
class PreparedBuild:
    """What is rebuilt of a table, fixed when it is prepared.

    `rest`: partitions that were wanted as well and did not fit. `gone`: partitions that are to go, since nothing is
    landed for them any more. `table_rows`: rows of the whole table. `reasons`: why each partition is rebuilt, where
    that was asked, or goes. `against_stored`: whether what is stored is compared as well, which
    a rebuild of what is not stale is for.
    """

    table: Table
    partitions: np.ndarray
    rest: np.ndarray
    gone: np.ndarray
    not_landed: int
    provenance: Provenance
    table_rows: int
    reasons: Mapping[np.datetime64, str] = field(default_factory=dict)
    against_stored: bool = False


@dataclass(frozen=True)
class WriteOutcome:
    """What a build put in its partitions.

    Of all their rows: how many are NULL in each column (`nulls`, by path as in `Table.leaves`), and the first and last
    date (`span`, None without rows or dates). `reasons`: why partitions were rebuilt or went, where that was asked, by
    label. `not_landed`: partitions that were asked for and that nothing is landed for.
    """

    result: ReplaceResult
    nulls: Mapping[str, int]
    span: tuple[dt.date, dt.date] | None
    reasons: Mapping[str, str] = field(default_factory=dict)
    not_landed: int = 0

    def after(self, earlier: WriteOutcome) -> WriteOutcome:
        """Both together; this one was written later."""
        result = replace(
            self.result,
            written=earlier.result.written + self.result.written,
            unchanged=earlier.result.unchanged + self.result.unchanged,
            rows_written=earlier.result.rows_written + self.result.rows_written,
            removed=earlier.result.removed + self.result.removed,
            hashes={**earlier.result.hashes, **self.result.hashes},
            row_counts={**earlier.result.row_counts, **self.result.row_counts},
        )
        nulls = {path: count + earlier.nulls.get(path, 0) for path, count in self.nulls.items()}
        dates = [*(earlier.span or ()), *(self.span or ())]
        reasons, not_landed = {**earlier.reasons, **self.reasons}, earlier.not_landed + self.not_landed
        return WriteOutcome(result, nulls, (min(dates), max(dates)) if dates else None, reasons, not_landed)


@dataclass(frozen=True)
class Builder:
    """Builds tables of one warehouse.

    `store` is that warehouse, whose tables may still be missing. `read_landed(source id, intervals)` reads landed
    vendor data. `recipes`: how each table is made, by table id. `stale_landed` says which landing sources must be read
    anew, and why, before anything is built from them. `slice_values`: rows times columns that a slice of a build may
    read and make.
    """

    store: Warehouse
    read_landed: ReadLanded
    recipes: Mapping[str, Recipe]
    code: CodeAccount
    stale_landed: Callable[[], Mapping[str, str]] = dict
    slice_values: int = SLICE_VALUES

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse, whose tables exist once it has been asked for: loading definitions opens no file."""
        self.store.ensure(TABLES.values(), views().values())
        return self.store

    def stale_sources(self) -> Mapping[str, str]:
        """The landing sources that must be read anew before anything is built from them, and why."""
        with self.warehouse.shared_connection():
            return self.stale_landed()

    def plan(self, wanted: Collection[Table] | None = None) -> Plan:
        """Everything that is stale now, in all tables, or in those `wanted` given what the others hold now."""
        with self.warehouse.shared_connection():
            ledgers = self.warehouse.ledger_by_table()
            tables = [table for table in ASSET_TABLES if wanted is None or table in wanted]
            blocked = {name: why for name, why in self.blocked.items() if name in {table.id for table in tables}}
            tables = [table for table in tables if table.id not in blocked]
            digests = self.code.digests(self.warehouse)
            newest, landed = newest_trade_date(now_utc()), self.stale_sources()
            plan = make_plan(ledgers, digests, newest, tables, self._changes_of_code, landed)
            return replace(plan, blocked=blocked)

    @property
    def blocked(self) -> dict[str, str]:
        """Tables that cannot be built, with the reason: stored otherwise than declared, or made of one that is."""
        drifted, found = self.warehouse.drifted, {}
        for table in ASSET_TABLES:
            behind = [read.source for read in table.reads if read.source in found]
            if table.id in drifted:
                found[table.id] = f"{'; '.join(drifted[table.id])}: `cbi reset {table.id}` drops it"
            elif behind:
                found[table.id] = f"is made of {', '.join(behind)}"
        return found

    def build(self, table: Table, asked: np.ndarray | None, run_id: str, *, only_stale: bool) -> WriteOutcome:
        """Rebuild the partitions `asked` for (None: all), or those of them that are stale, in as many slices as needed.

        Each slice is committed by itself: a build that fails keeps what it has written.
        """
        build, inputs = self.prepare(table, asked, run_id, only_stale=only_stale)
        return self.finish(build, self._made(build, inputs))

    def finish(self, build: PreparedBuild, outcome: WriteOutcome) -> WriteOutcome:
        """Make the slices that are left of what was asked for after the first, with what came of that; all together."""
        started_at, run_id, only_stale = build.provenance.started_at, build.provenance.run_id, not build.against_stored
        while len(build.rest):
            build, inputs = self.prepare(build.table, build.rest, run_id, only_stale=only_stale)
            provenance = replace(build.provenance, started_at=started_at, earlier=outcome.result.sums)
            build = replace(build, provenance=provenance)
            outcome = self._made(build, inputs).after(outcome)
        return outcome

    def _made(self, build: PreparedBuild, inputs: dict[str, pd.DataFrame]) -> WriteOutcome:
        """Compute a slice and write it. Nobody else holds the inputs while the recipe works, or its rows then.

        While what takes long is computed the connection is let go, if it is shared: of many rows, and of every one of
        several slices, which together take long, and of which DuckDB would keep all it has read and written in memory.
        """
        recipe, several = self.recipes[build.table.id], len(build.rest) > 0 or build.provenance.earlier != RunSums()
        few = build.provenance.rows_in <= FEW_ROWS and not several
        made: list[pd.DataFrame | pa.Table | TableOutput] = []
        if len(build.partitions):
            with contextlib.nullcontext() if few else self.warehouse.let_go():
                made.append(recipe(*_handed_over(inputs)))
        outcome = self.write(build, made.pop() if made else None)
        if not few:
            # A frame and its accessors (pandera's, `.dt`) hold each other: what was used up would stay for many slices.
            gc.collect(1)
        return outcome

    def prepare(
        self,
        table: Table,
        asked: np.ndarray | None,
        run_id: str,
        *,
        only_stale: bool,
    ) -> tuple[PreparedBuild, dict[str, pd.DataFrame]]:
        """Fix the first slice of what is rebuilt of the partitions `asked` for (None: all), and read its inputs.

        Inputs, by source id in the order of the table's reads, and their fingerprints are of one moment.
        """
        started_at = now_utc()
        code = self.code.digests(self.warehouse)[table.id]
        relevant = {table.id, *LANDING_SOURCES, *(read.source for read in table.reads)}
        with self.warehouse.for_run(run_id), self.warehouse.snapshot():
            ledgers = self.warehouse.ledger_by_table(relevant)
            newest, not_landed = newest_trade_date(now_utc()), 0
            wanted, gone = expected_partitions(table, ledgers, newest), gone_partitions(table, ledgers, newest, ())
            if asked is not None:
                wanted, gone = np.intersect1d(asked, wanted), np.intersect1d(asked, gone)
            if len(gone):  # asked only then, since it takes a look at the books
                gone = np.intersect1d(gone, gone_partitions(table, ledgers, newest, self.stale_landed()))
            if asked is not None:
                not_landed = len(asked) - len(wanted) - len(gone)
            reasons: dict[np.datetime64, str] = {}
            if only_stale:
                reasons = stale_partitions(table, wanted, ledgers, code, self._changes_of_code)
                wanted = np.array(sorted(reasons), "datetime64[D]")
            reasons |= dict.fromkeys(gone, GONE)
            count = fitting(table, wanted, ledgers, self.slice_values)
            wanted, rest = wanted[:count], wanted[count:]
            inputs = {read.source: self._read(table, read, wanted) for read in table.reads}
        prints = dict(zip(wanted, fingerprints(table, wanted, ledgers), strict=True))
        rows_in = sum(len(rows) for rows in inputs.values())
        provenance = Provenance(run_id, code, prints, started_at, rows_in)
        table_rows = int(ledgers[table.id].row_counts.sum()) if table.id in ledgers else 0
        build = PreparedBuild(table, wanted, rest, gone, not_landed, provenance, table_rows, reasons, not only_stale)
        return build, inputs

    def _changes_of_code(self, table_id: str, earlier: str) -> tuple[str, ...] | None:
        return self.code.changes_since(self.warehouse, table_id, earlier)

    def _read(self, table: Table, read: Read, partitions: np.ndarray) -> pd.DataFrame:
        """Rows of an input in the union of the windows of `partitions`."""
        source = TABLES.get(read.source)
        intervals = read_intervals(table, read, partitions)
        if source is None:
            return self.read_landed(read.source, intervals)
        return to_frame(source, self.warehouse.read(source, intervals, read.columns, read.symbols))

    def write(self, build: PreparedBuild, output: pd.DataFrame | pa.Table | TableOutput | None) -> WriteOutcome:
        """Check what a recipe returned and replace the build's partitions with the rows that belong to them.

        `output` is looked at only if there are partitions to replace. The build's partitions that are to go, go.
        """
        table, partitions = build.table, build.partitions
        if not len(partitions) and not len(build.gone):
            nothing = ReplaceResult((), (), 0, build.table_rows, build.provenance.earlier)
            return WriteOutcome(nothing, {}, None, not_landed=build.not_landed)
        left_out = None
        if isinstance(output, TableOutput):
            left_out = LeftOutRows(
                _within(table, output.rejected, partitions), _within(table, output.held_back, partitions)
            )
            output = output.rows
        if not len(partitions):
            output = table.arrow_schema().empty_table()
        assert output is not None
        rows = to_arrow(table, output)
        del output
        own = np.isin(table.partitioning.keys_in(rows), partitions)
        rows = rows if own.all() else rows.filter(pa.array(own))
        # pandera takes long to import, and no plan needs it.
        from cbi_dagster.catalog.checks import looked_at, validate

        validate(table, to_frame(table, rows.select(looked_at(table))))
        self.code.record(self.warehouse)
        with self.warehouse.for_run(build.provenance.run_id):
            result = self.warehouse.replace(
                table,
                partitions,
                rows,
                build.provenance,
                left_out,
                against_stored=build.against_stored,
                gone=build.gone,
            )
        nulls = {path: leaf_values(rows, path).null_count for path, _ in table.leaves()}
        span = None
        if table.partitioning.column and len(rows):
            ends = pc.min_max(rows[table.partitioning.column])
            span = (ends["min"].as_py(), ends["max"].as_py())
        reasons = {table.partitioning.label(key): why for key, why in build.reasons.items()}
        return WriteOutcome(result, nulls, span, reasons, build.not_landed)


def _handed_over(inputs: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, ...]:
    """The frames of `inputs`, which are in it no longer."""
    frames = tuple(inputs.values())
    inputs.clear()
    return frames


def _within(table: Table, rows: pd.DataFrame, partitions: np.ndarray) -> pd.DataFrame:
    """The rows whose trade date belongs to one of the partitions."""
    keys = table.partitioning.keys_of(rows["date"].to_numpy().astype("datetime64[D]"))
    return rows[np.isin(keys, partitions)].reset_index(drop=True)
