"""Building tables through Dagster from a program: the same runs that the UI starts, recorded in the same instance."""

from __future__ import annotations

import errno
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import dagster as dg
import numpy as np
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG
from sqlalchemy.exc import DBAPIError

from cbi_dagster.catalog import ASSET_TABLES, Table
from cbi_dagster.home import CODE_LOCATION, Home
from cbi_dagster.orchestration.building import (
    BACKFILL_JOB,
    BUILDING_POOL,
    REFRESH_JOB,
    OnFound,
    OnTable,
    building_config,
    building_jobs,
)
from cbi_dagster.orchestration.claims import claimed, end_orphans
from cbi_dagster.orchestration.failures import record_failures, was_interrupted
from cbi_dagster.orchestration.findings import evaluation
from cbi_dagster.reports.checks import Check, CheckResult
from cbi_dagster.warehouse.builder import Builder
from cbi_dagster.warehouse.plan import Plan

#: With the runs that the UI and the daemon start of the same code, so that a job's page shows those of commands too.
_OF_THE_CODE = {REPOSITORY_LABEL_TAG: f"{SINGLETON_REPOSITORY_NAME}@{CODE_LOCATION}"}

#: The console stays quiet: commands say themselves what failed, and a failure's frames are on the run's page.
SILENT = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def backfill(
    home: Home,
    tables: Sequence[Table],
    first: np.datetime64,
    last: np.datetime64,
    on_table: OnTable,
    on_found: OnFound = lambda check, result: None,
) -> bool:
    """Materialize `tables` over the trade dates from `first` to `last` (both inclusive); False when a table failed.

    Raises KeyboardInterrupt when the run was interrupted: its table has not failed. `on_table` is told of every
    finished table, `on_found` of every check of what was written.
    """
    config = building_config(tables, (first, last), look_again=False)
    return _run(home, home.open().builder, BACKFILL_JOB, config, on_table, on_found)


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
    """Rebuild what is stale of `wanted` until nothing is; False when a table failed.

    In a run every table asks again what is stale by then, so that a partition whose inputs came out equal is not
    rebuilt. `plan` is `current`'s plan of `wanted`. What went stale meanwhile, since something was landed, is another
    run's. Raises NeverCurrentError. Callbacks as of `backfill`.
    """
    seen: set[str] = set()
    while plan.tables:
        if plan.digest in seen:
            raise NeverCurrentError(
                f"{', '.join(item.table.id for item in plan.tables)} stay stale after a rebuild; "
                "`cbi plan` says why they are found stale"
            )
        seen.add(plan.digest)
        config = building_config([item.table for item in plan.tables], look_again=False)
        if not _run(home, current, REFRESH_JOB, config, on_table, on_found):
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
    from cbi_dagster.orchestration.landing import LANDING_JOB

    with opened_instance(home) as instance:
        if instance.global_op_concurrency_default_limit is not None:
            storage = instance.event_log_storage
            known = {pool.name for pool in storage.get_pool_limits()}
            for name in sorted({*(table.id for table in ASSET_TABLES), LANDING_JOB, BUILDING_POOL} - known):
                storage.initialize_concurrency_limit_to_default(name)


def _run(
    home: Home, current: Builder, job_name: str, config: dict[str, Any], on_table: OnTable, on_found: OnFound
) -> bool:
    jobs = {job.name: job for job in building_jobs(current, None, on_table, on_found)}
    run_id = str(uuid.uuid4())
    with opened_instance(home) as instance:
        with claimed(home.claims, run_id):
            result = jobs[job_name].execute_in_process(
                instance=instance, run_id=run_id, run_config=config | SILENT, tags=_OF_THE_CODE, raise_on_error=False
            )
        if was_interrupted(instance, run_id):
            raise KeyboardInterrupt
        if not result.success:
            record_failures(current.warehouse, instance, run_id)
    return bool(result.success)
