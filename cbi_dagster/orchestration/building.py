"""Building in a run of one step: the job `refresh` rebuilds what is stale, the job `backfill` a range of trade dates.

The tables are built one after the other, inputs first, each by the builder; the UI is told of each when it is stored. A
table that fails stops those made of it and no other, and the run fails at its end: when it is repeated, it goes on with
what is still stale. Commands and sensors start the same jobs.
"""

# No postponed annotations: Dagster reads those of an op when it is declared.
import contextlib
import datetime as dt
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
from dagster._utils.error import serializable_error_info_from_exc_info

from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES, TABLES, Table
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables.regimes import REGIME_CALENDAR
from cbi_dagster.orchestration.claims import claim
from cbi_dagster.orchestration.failures import keep_failures, sentence
from cbi_dagster.orchestration.findings import evaluation
from cbi_dagster.orchestration.landed import observations
from cbi_dagster.orchestration.materializations import described, report
from cbi_dagster.orchestration.partitions import partitions_of
from cbi_dagster.reports.checks import FINDINGS, STORED_AS_WRITTEN, Check, CheckResult, in_short
from cbi_dagster.warehouse.builder import FEW_ROWS, Builder, WriteOutcome
from cbi_dagster.warehouse.contract import Warehouse, now_utc
from cbi_dagster.warehouse.plan import expected_partitions, newest_trade_date

REFRESH_JOB = "refresh"
BACKFILL_JOB = "backfill"
#: The pool of both: where an instance limits pools, one of them is under way at a time.
BUILDING_POOL = "building"

#: Told of every finished table: what came of it, and the seconds that it took.
OnTable = Callable[[Table, WriteOutcome, float], None]
#: Told of every check of what was written, once all tables are built.
OnFound = Callable[[Check, CheckResult], None]


class NothingLandedError(RuntimeError):
    """There is no landed data in the range that was asked for."""


def landed_span(
    warehouse: Warehouse, first: dt.date | None, last: dt.date | None
) -> tuple[np.datetime64, np.datetime64]:
    """First and last landed trade date between `first` and `last` (both inclusive, None: unbounded).

    Trade dates whose partition does not exist yet (a Sunday evening's) wait. Raises NothingLandedError.
    """
    ledgers = warehouse.ledger_by_table(LANDING_SOURCES)
    dates = expected_partitions(REGIME_CALENDAR, ledgers, newest_trade_date(now_utc()))  # those of every source
    span = f"{dates[0]} … {dates[-1]}" if len(dates) else "nothing"
    if first is not None:
        dates = dates[dates >= np.datetime64(first, "D")]
    if last is not None:
        dates = dates[dates <= np.datetime64(last, "D")]
    if not len(dates):
        raise NothingLandedError(
            f"no landed trade date in the range asked for (landed: {span}); `cbi land PATH` takes vendor files"
        )
    return dates[0], dates[-1]


def building_config(
    tables: Collection[Table],
    span: tuple[np.datetime64, np.datetime64] | None = None,
    *,
    look_again: bool = True,
) -> dict[str, Any]:
    """Run config of a refresh of `tables`, or of their backfill over the trade dates of `span` (both ends inclusive).

    `look_again`: what was stored of each table is read back and compared before anything is built on it.
    """
    config: dict[str, Any] = {"tables": [table.id for table in tables], "look_again": look_again}
    if span is not None:
        config |= {"first": str(span[0]), "last": str(span[1])}
    return {"ops": {_op_name(REFRESH_JOB if span is None else BACKFILL_JOB): {"config": config}}}


def _op_name(job_name: str) -> str:
    """The one op of a job: Dagster has each name once."""
    return f"{job_name}_tables"


def _no_one(*told: object) -> None:
    """Nobody else is told."""


def building_jobs(
    builder: Builder, claims: Path | None, on_table: OnTable = _no_one, on_found: OnFound = _no_one
) -> list[dg.JobDefinition]:
    """The jobs `refresh` and `backfill`.

    `claims`: where the process of a run claims it (None: it is claimed already). `on_table` and `on_found` are told
    what became of each table and what was found in what was written.
    """
    tables = dg.Field([str], is_required=False, default_value=[], description="Ids of tables; none: all of them.")
    look_again = dg.Field(
        bool, is_required=False, default_value=True, description="Compare what was stored before building on it."
    )

    def date(which: str) -> dg.Field:
        told = f"{which} trade date, inclusive, e.g. 2023-06-30; none: the {which.lower()} landed."
        return dg.Field(str, is_required=False, description=told)

    def job(name: str, description: str, more: Mapping[str, dg.Field]) -> dg.JobDefinition:
        @dg.op(
            name=_op_name(name), config_schema={"tables": tables, "look_again": look_again, **more}, pool=BUILDING_POOL
        )
        def build(context: dg.OpExecutionContext) -> None:
            if claims is not None:
                claim(claims, context.run_id)
            _Run(context, builder, on_table, on_found).build(only_stale=name == REFRESH_JOB)

        @dg.job(name=name, description=description)
        def made() -> None:
            build()

        return made

    return [
        job(REFRESH_JOB, "Rebuilds what is stale of all tables, or of those that are named, and nothing else.", {}),
        job(
            BACKFILL_JOB,
            "Rebuilds a range of trade dates of all tables, or of those that are named, whether stale or not.",
            {"first": date("First"), "last": date("Last")},
        ),
    ]


class _Run:
    """One run of a job: what it has built so far, and what failed, by table."""

    def __init__(self, context: dg.OpExecutionContext, builder: Builder, on_table: OnTable, on_found: OnFound) -> None:
        self._context, self._builder, self._on_table, self._on_found = context, builder, on_table, on_found
        self._look_again = context.op_config["look_again"]
        self._failed: dict[str, str] = {}
        self._left: dict[str, str] = {}
        self._spans: dict[str, Interval] = {}

    def build(self, *, only_stale: bool) -> None:
        named, wanted = self._context.op_config["tables"], ASSET_TABLES
        if unknown := [name for name in named if name not in TABLES or TABLES[name] not in ASSET_TABLES]:
            raise dg.Failure(f"there is no table {', '.join(unknown)} to build", allow_retries=False)
        if named:
            wanted = tuple(table for table in ASSET_TABLES if table.id in named)
        if landed := self._builder.stale_sources():
            first = f"{', '.join(landed)} must be read anew first: `cbi refresh` does it, and so does landing_sensor"
            raise dg.Failure(first, allow_retries=False)
        span = None
        if not only_stale:
            ends = (self._context.op_config.get(name) for name in ("first", "last"))
            dates = (None if end is None else dt.date.fromisoformat(end) for end in ends)
            span = landed_span(self._builder.warehouse, *dates)
        self._left = {name: why for name, why in self._builder.blocked.items() if TABLES[name] in wanted}
        with self._builder.warehouse.shared_connection():
            for observation in observations(self._context.instance, self._builder.warehouse):
                self._context.log_event(observation)
            for table in wanted:
                self._build(table, span)
            self._find()
        if self._failed or self._left:
            lines = [f"{name} failed: {why}" for name, why in self._failed.items()]
            lines += [f"{name} was not built: {why}" for name, why in self._left.items()]
            raise dg.Failure("\n".join(lines), metadata={**self._failed, **self._left})

    def _build(self, table: Table, span: tuple[np.datetime64, np.datetime64] | None) -> None:
        """Build a table and tell of it, unless what it is made of failed."""
        if table.id in self._left:
            return
        if behind := [read.source for read in table.reads if read.source in {**self._failed, **self._left}]:
            self._left[table.id] = f"it is made of {', '.join(behind)}"
            return
        log, run_id, began = self._context.log, self._context.run_id, time.perf_counter()
        asked = None if span is None or partitions_of(table) is None else table.partitioning.keys_between(*span)
        try:
            outcome = self._builder.build(table, asked, run_id, only_stale=span is None)
            problems = self._look(table, outcome)
        except Exception:
            error = serializable_error_info_from_exc_info(sys.exc_info())
            log.error(f"{table.id} failed", exc_info=True)
            self._failed[table.id] = sentence(error.message)
            keep_failures(self._builder.warehouse, run_id, {table.id: (now_utc(), error.message)})
            return
        report(
            self._context.get_step_execution_context(),
            self._builder,
            table,
            outcome,
            described(self._builder.warehouse, table, outcome, log),
        )
        result = outcome.result
        if result.written or result.removed:
            log.info(
                f"{table.id}: {len(result.written)} partitions written ({result.rows_written} rows), "
                f"{len(result.unchanged)} unchanged, {len(result.removed)} removed"
            )
        self._on_table(table, outcome, time.perf_counter() - began)
        if problems:
            self._failed[table.id] = problems
            keep_failures(self._builder.warehouse, run_id, {table.id: (now_utc(), problems)})

    def _look(self, table: Table, outcome: WriteOutcome) -> str:
        """Note which dates of a table were written, and compare what is stored there; what is wrong with it."""
        if outcome.result.written:
            self._spans[table.id] = _covering(table, outcome.result.written)
        if not self._look_again or not outcome.result.hashes:
            return ""
        warehouse, few = self._builder.warehouse, sum(outcome.result.row_counts.values()) <= FEW_ROWS
        with contextlib.nullcontext() if few else warehouse.let_go():
            found = STORED_AS_WRITTEN.function(warehouse, table, _covering(table, outcome.result.hashes))
        self._context.instance.report_runless_asset_event(evaluation(STORED_AS_WRITTEN, found))
        return "; ".join(f"{name.replace('_', ' ')}: {in_short(cases)}" for name, cases in found.problems.items())

    def _find(self) -> None:
        """Look for what a person should look at in what was written, and keep it on the pages of the assets."""
        for check in FINDINGS:
            for table in check.tables:
                if table.id in self._spans:
                    found = check.function(self._builder.warehouse, table, self._spans[table.id])
                    self._context.instance.report_runless_asset_event(evaluation(check, found))
                    self._on_found(check, found)


def _covering(table: Table, labels: Collection[str]) -> Interval:
    """First and last date of some partitions."""
    keys = np.array([table.partitioning.parse(label) for label in labels], "datetime64[D]")
    (span,) = table.partitioning.covering(np.sort(keys))
    return span
