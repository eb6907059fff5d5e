"""Building tables through Dagster from a program: the same runs that the UI starts, recorded in the same instance."""

from __future__ import annotations

import datetime as dt
import errno
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

import dagster as dg
import numpy as np
from sqlalchemy.exc import DBAPIError

from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES, Table
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables.regimes import REGIME_CALENDAR
from cbi_dagster.home import Home
from cbi_dagster.orchestration.assets import ASSETS, IO_MANAGER_KEY, LANDED, asset_key
from cbi_dagster.orchestration.checks import evaluation
from cbi_dagster.orchestration.claims import claimed, end_orphans
from cbi_dagster.orchestration.io_manager import WarehouseIOManager
from cbi_dagster.orchestration.jobs import SILENT, next_run, record_failures, run_tags, was_interrupted
from cbi_dagster.orchestration.landing import LANDING_JOB
from cbi_dagster.orchestration.partitions import MONTHS, TRADE_DATES, partitions_of
from cbi_dagster.reports.checks import FINDINGS, Check, CheckResult
from cbi_dagster.warehouse.builder import Builder, PreparedBuild, WriteOutcome
from cbi_dagster.warehouse.contract import Warehouse, now_utc
from cbi_dagster.warehouse.plan import Plan, expected_partitions, newest_trade_date

#: Told of every finished table: what was asked for, what came of it, and the seconds since the one before.
OnTable = Callable[[PreparedBuild, WriteOutcome, float], None]
#: Told of every check of what was written, once the run is over.
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


def backfill(
    home: Home,
    tables: Sequence[Table],
    first: np.datetime64,
    last: np.datetime64,
    on_table: OnTable,
    on_found: OnFound = lambda check, result: None,
) -> bool:
    """Materialize `tables` over the trade dates from `first` to `last` (both inclusive); False when a table failed.

    Raises KeyboardInterrupt when the run was interrupted: its table has not failed.
    One run for tables by trade date and unpartitioned ones, then one for tables by month: Dagster accepts two
    partition definitions in one run and writes the wrong months. `on_table` is told of every finished table, `on_found`
    of every check of what was written.
    """
    daily = [item for item in tables if partitions_of(item) is not MONTHS]
    monthly = [item for item in tables if partitions_of(item) is MONTHS]
    current = home.open().builder
    with opened_instance(home) as instance:
        for group, partitions in ((daily, TRADE_DATES), (monthly, MONTHS)):
            if group:
                tags = run_tags(group, partitions, first, last, only_stale=False)
                if not _run(home, current, instance, group, tags, on_table, on_found):
                    return False
    return True


class NeverCurrentError(RuntimeError):
    """Rebuilding what was stale left the same stale: a table's function does not settle."""


def refresh(
    home: Home,
    wanted: Sequence[Table],
    current: Builder,
    plan: Plan,
    on_table: OnTable,
    on_found: OnFound = lambda check, result: None,
) -> bool:
    """Rebuild what is stale of `wanted`, layer by layer, until nothing is; False when a table failed.

    Each round is one run over the covering range of the stale partitions of one partition definition; inside it every
    table asks again what is stale by then, so that a partition whose inputs came out equal is not rebuilt. `plan` is
    `current`'s plan of `wanted`. Raises NeverCurrentError. Callbacks as of `backfill`.
    """
    seen: set[str] = set()
    with opened_instance(home) as instance:
        while plan.tables:
            if plan.digest in seen:
                raise NeverCurrentError(
                    f"{', '.join(item.table.id for item in plan.tables)} stay stale after a rebuild; "
                    "`cbi plan` says why they are found stale"
                )
            seen.add(plan.digest)
            run = next_run(plan)
            if not _run(home, current, instance, run.tables, run.tags, on_table, on_found):
                return False
            plan = current.plan(wanted)
    return True


def keep(home: Home, found: Sequence[tuple[Check, CheckResult]]) -> None:
    """Put what checks found outside a run where those of runs are kept, on the pages of the assets."""
    with opened_instance(home) as instance:
        for check, result in found:
            instance.report_runless_asset_event(evaluation(check, result))


@contextmanager
def opened_instance(home: Home) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of a state directory, created on first use, without runs whose process was killed.

    Dagster creates its databases in steps that two processes must not mix: the lock is SQLite's own, so that it works
    everywhere and dies with its holder. Raises OSError where these databases cannot be written, be it in the block.
    """
    home.prepare()
    try:
        with closing(sqlite3.connect(home.dagster / "creation.lock", timeout=60, isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            instance = dg.DagsterInstance.from_config(str(home.dagster))
        with instance:
            end_orphans(home.claims, instance)
            yield instance
    except (sqlite3.Error, DBAPIError) as error:
        said = error.orig if isinstance(error, DBAPIError) else error
        told = f"Dagster's records of runs cannot be written ({said}); make room there or make it writable"
        raise OSError(errno.EIO, f"{told}, and the same command goes on", str(home.dagster)) from error


def announce_pools(home: Home) -> None:
    """Tell the run queue of every table's pool, where the instance limits pools.

    Dagster holds runs to the limit of a pool from the second on that it hears of: two runs of one table that are asked
    for before any other would go on at once.
    """
    with opened_instance(home) as instance:
        if instance.global_op_concurrency_default_limit is not None:
            storage = instance.event_log_storage
            known = {pool.name for pool in storage.get_pool_limits()}
            for name in sorted({*(table.id for table in ASSET_TABLES), LANDING_JOB} - known):
                storage.initialize_concurrency_limit_to_default(name)


def _run(
    home: Home,
    current: Builder,
    instance: dg.DagsterInstance,
    tables: Sequence[Table],
    tags: dict[str, str],
    on_table: OnTable,
    on_found: OnFound,
) -> bool:
    spans: dict[str, Interval] = {}
    clock = time.perf_counter()

    def written(build: PreparedBuild, outcome: WriteOutcome) -> None:
        nonlocal clock
        now = time.perf_counter()
        on_table(build, outcome, now - clock)
        clock = now
        if outcome.result.written:
            partitioning = build.table.partitioning
            (spans[build.table.id],) = partitioning.covering(
                np.sort(np.array([partitioning.parse(label) for label in outcome.result.written], "datetime64[D]"))
            )

    # Every write is validated; the blocking checks, which read all of it again, belong to the UI's and the daemon's
    # runs. What a person should look at is looked for in what was written, and kept where those runs keep it.
    defs = dg.Definitions(
        assets=[*LANDED, *ASSETS],
        resources={IO_MANAGER_KEY: WarehouseIOManager(current, written)},
        executor=dg.in_process_executor,
    )
    run_id = str(uuid.uuid4())
    with claimed(home.claims, run_id):
        result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            run_id=run_id,
            asset_selection=[asset_key(item.id) for item in tables],
            tags=tags,
            run_config=SILENT,
            raise_on_error=False,
        )
    if was_interrupted(instance, run_id):
        raise KeyboardInterrupt
    if not result.success:
        record_failures(current.warehouse, instance, run_id)
    for check in FINDINGS:
        for table in check.tables:
            if table.id in spans:
                found = check.function(current.warehouse, table, spans[table.id])
                instance.report_runless_asset_event(evaluation(check, found))
                on_found(check, found)
    return bool(result.success)
