"""Building tables through Dagster from a program: the same runs that the UI starts, recorded in the same instance."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
from dagster._core.storage.tags import EXTERNALLY_MANAGED_ASSETS_TAG

from cbi_dagster.assets.table_asset import FUNCTIONS, asset_key
from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES, Monthly, Table, Unpartitioned, table
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.definitions import build_defs, builder, warehouse_io_manager
from cbi_dagster.home import Home
from cbi_dagster.partitions import MONTHS, TRADE_DATES, keys_between, last_key, partitions_of
from cbi_dagster.warehouse.contract import Warehouse, now_utc
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse
from cbi_dagster.warehouse.io_manager import ONLY_STALE_TAG
from cbi_dagster.warehouse.plan import Ledger, Plan, expected_partitions, landed_trade_dates, newest_trade_date

OnTable = Callable[[str, dict[str, Any], float], None]

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"


class NothingLandedError(RuntimeError):
    """There is no landed data in the range that was asked for."""


def select_tables(names: Sequence[str]) -> list[Table]:
    """The tables called `names` in dependency order, all for none; KeyError for an unknown name."""
    wanted = {table(name).id for name in names}
    return [item for item in ASSET_TABLES if not wanted or item.id in wanted]


def landed_span(
    warehouse: Warehouse, first: dt.date | None, last: dt.date | None
) -> tuple[np.datetime64, np.datetime64]:
    """First and last landed trade date between `first` and `last` (both inclusive, None: unbounded).

    Trade dates whose partition does not exist yet (a Sunday evening's) wait. Raises NothingLandedError.
    """
    landed = landed_trade_dates(Ledger.by_table(warehouse.ledger(LANDING_SOURCES)))
    dates = expected_partitions(FUTURES_CONTINUOUS_1D, landed, newest_trade_date(now_utc()))
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
    *,
    on_table: OnTable = lambda name, facts, seconds: None,
) -> bool:
    """Materialize `tables` over the trade dates from `first` to `last` (both inclusive); False when a table failed.

    One run for tables by trade date and unpartitioned ones, then one for tables by month: Dagster accepts two
    partition definitions in one run and writes the wrong months. `on_table` is told of every finished table.
    """
    daily = [item for item in tables if not isinstance(item.partitioning, Monthly)]
    monthly = [item for item in tables if isinstance(item.partitioning, Monthly)]
    for group, partitions in ((daily, TRADE_DATES), (monthly, MONTHS)):
        if group and not _run(home, group, partitions, first, last, on_table, only_stale=False):
            return False
    return True


class NeverCurrentError(RuntimeError):
    """Rebuilding what was stale left the same stale: a table's function does not settle."""


def exact_plan(home: Home, tables: Sequence[Table]) -> dict[str, list[str]]:
    """Partitions (Dagster keys) whose content a refresh of `tables` would change, per table id.

    Rebuilds everything stale in a copy of the warehouse, which is thrown away.
    """
    with tempfile.TemporaryDirectory(dir=home.path) as scratch:
        copy = Path(scratch) / "warehouse.duckdb"
        DuckDBWarehouse(home.warehouse).copy_to(copy)
        exact = builder(copy, home.landing)
        results = {item.id: exact.rebuild(item, FUNCTIONS[item.id], "exact plan").written for item in tables}
    return {name: list(written) for name, written in results.items() if written}


def refresh(home: Home, wanted: Sequence[Table], *, on_table: OnTable = lambda name, facts, seconds: None) -> bool:
    """Rebuild what is stale of `wanted`, layer by layer, until nothing is; False when a table failed.

    Each round is one run over the hull of the stale partitions of one partition definition; inside it every table asks
    again what is stale by then, so that a partition whose inputs came out equal is not rebuilt. Raises
    NeverCurrentError.
    """
    current = builder(home.warehouse, home.landing)
    seen: set[str] = set()
    while stale := [item for item in current.plan().tables if item.table in wanted]:
        plan = Plan(tuple(stale))
        if plan.digest in seen:
            raise NeverCurrentError(
                f"{', '.join(item.table.id for item in stale)} stay stale after a rebuild; "
                "`cbi plan` says why they are found stale"
            )
        seen.add(plan.digest)
        request = next_run(plan)
        if not _run(home, request.tables, request.partitions, request.first, request.last, on_table, only_stale=True):
            return False
    return True


@dataclass(frozen=True)
class RunNeeded:
    """A run over the hull of the stale partitions of one partition definition; `first` and `last` are inclusive."""

    tables: tuple[Table, ...]
    partitions: dg.TimeWindowPartitionsDefinition
    first: np.datetime64
    last: np.datetime64

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the run: its range, and that only what is stale is rebuilt and logged."""
        return _tags(self.tables, self.partitions, self.first, self.last, only_stale=True)


def next_run(plan: Plan) -> RunNeeded:
    """The first run of a plan: its tables by trade date and unpartitioned ones, else its tables by month."""
    daily = [item for item in plan.tables if not isinstance(item.table.partitioning, Monthly)]
    group = daily or plan.tables
    keys = [item.partitions for item in group if not isinstance(item.table.partitioning, Unpartitioned)]
    hull = np.concatenate(keys) if keys else np.array([last_key(TRADE_DATES)])
    tables = tuple(item.table for item in group)
    return RunNeeded(tables, TRADE_DATES if daily else MONTHS, hull.min(), hull.max())


def _run(
    home: Home,
    tables: Sequence[Table],
    partitions: dg.TimeWindowPartitionsDefinition,
    first: np.datetime64,
    last: np.datetime64,
    on_table: OnTable,
    *,
    only_stale: bool,
) -> bool:
    tags = _tags(tables, partitions, first, last, only_stale=only_stale)
    clock = time.perf_counter()

    def written(name: str, facts: dict[str, Any]) -> None:
        nonlocal clock
        now = time.perf_counter()
        on_table(name, facts, now - clock)
        clock = now

    defs = build_defs(io_manager=warehouse_io_manager(home, written))
    home.prepare()
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            run_id=str(uuid.uuid4()),
            asset_selection=[asset_key(item.id) for item in tables],
            tags=tags,
            run_config={"loggers": {"console": {"config": {"log_level": "WARNING"}}}},
            raise_on_error=False,
        )
    return bool(result.success)


def _tags(
    tables: Sequence[Table],
    partitions: dg.TimeWindowPartitionsDefinition,
    first: np.datetime64,
    last: np.datetime64,
    *,
    only_stale: bool,
) -> dict[str, str]:
    if len({partitions_of(item) for item in tables} - {None, partitions}):
        raise ValueError("tables of two partition definitions never share a run")
    tags = {ONLY_STALE_TAG: "true", EXTERNALLY_MANAGED_ASSETS_TAG: "true"} if only_stale else {}
    partitioned = [item for item in tables if partitions_of(item) is not None]
    if partitioned:
        keys = keys_between(partitioned[0], first, last)
        keys = keys[keys <= last_key(partitions)]
        for key in (keys[0], keys[-1]):
            if not partitions.has_partition_key(str(key)):
                raise ValueError(f"{key} is no partition: Dagster would round a range to other dates in silence")
        tags |= {RANGE_START_TAG: str(keys[0]), RANGE_END_TAG: str(keys[-1])}
    return tags
