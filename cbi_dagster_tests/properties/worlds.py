"""Whole warehouses on simulated vendor files, built without Dagster: what the promises are tested on."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import ASSET_TABLES, Table
from cbi_dagster.catalog.columns.settlements import REVISED
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.home import Home, Platform
from cbi_dagster.recipes import Recipe
from cbi_dagster.vendors.arrivals import LandingReport
from cbi_dagster.vendors.posts.simulated import simulate_posts
from cbi_dagster.vendors.simulate import simulate_conditions, simulate_delivery, simulate_macro
from cbi_dagster.vendors.simulated_statistics import simulate_statistics
from cbi_dagster.warehouse.builder import Builder
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.turns import OthersTurnError, connected

SEED, START, MINUTE_START, END = 11, dt.date(2022, 6, 1), dt.date(2023, 5, 15), dt.date(2023, 9, 1)
"""Fifteen months, longer than the longest bounded window but those of a year and more; minutes in the last four."""


@contextlib.contextmanager
def kept_open(home: Path) -> Iterator[None]:
    """A block in which this process has the file of a state directory open, where there is one and nobody else has it.

    Small operations take most of their time to open the file and to close it: here they find it open.
    """
    file = Home(home).warehouse_file
    with contextlib.ExitStack() as held:
        if os.access(file, os.W_OK):
            # What opens it next waits for it, or says what it has.
            with contextlib.suppress(OthersTurnError, duckdb.Error):
                held.enter_context(connected(file, read_only=False))
        yield


@dataclass(frozen=True)
class World:
    """A state directory with its warehouse and the builder over it."""

    path: Path

    @cached_property
    def platform(self) -> Platform:
        return Home(self.path).open()

    @property
    def warehouse(self) -> Warehouse:
        return self.platform.warehouse

    @property
    def builder(self) -> Builder:
        return self.platform.builder

    def by_other_hands(self, *statements: str) -> None:
        """Change the warehouse's file as another program would: the ledger hears nothing of it."""
        with duckdb.connect(Home(self.path).warehouse_file) as connection:
            for statement in statements:
                connection.execute(statement)

    def land(self, *paths: Path) -> LandingReport:
        platform = self.platform.ready()
        with kept_open(self.path):
            return platform.landing.land(paths)

    def refresh(self) -> dict[str, list[str]]:
        """Rebuild what is stale; the partitions written, per table."""
        builder = self.builder
        with builder.warehouse.shared_connection():
            results = {table.id: builder.build(table, None, "test", only_stale=True).result for table in ASSET_TABLES}
        return {name: list(result.written) for name, result in results.items() if result.written}

    def hashes(self) -> pd.Series:
        """Content hash of every partition of every table, by (table, partition)."""
        ledger = self.warehouse.ledger_rows()
        return ledger.set_index(["table_name", "partition_key"])["content_hash"].sort_index()

    def rows(self, table: Table) -> pd.DataFrame:
        """Content of a table, indexed by its key."""
        frame = to_frame(table, self.warehouse.read(table))
        names = [
            c.name if not c.fields else [f"{c.name}_{part.name}" for part in c.fields] for c in table.content_columns
        ]
        flat = [name for item in names for name in (item if isinstance(item, list) else [item])]
        return (
            frame[flat].astype({k: object for k in table.key if frame[k].dtype == "category"}).set_index([*table.key])
        )


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[World], None]) -> World:
    """A world that the first of the processes of a test run to ask for it makes, and that the others have copies of."""
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    whole = (factory.getbasetemp() if alone else factory.getbasetemp().parent) / f"{name}-of-all"
    with whole.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            world = World(factory.mktemp(name))
            make(world)
            world.path.rename(whole)
    return World(Path(shutil.copytree(whole, factory.mktemp(name), dirs_exist_ok=True)))


def simulated(directory: Path, end: dt.date = END) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    minutes = min(MINUTE_START, end - dt.timedelta(days=1))
    simulate_delivery(directory, seed=SEED, start=START, end=end, minute_start=minutes)
    simulate_conditions(directory, seed=SEED, start=START, end=end)
    simulate_statistics(directory / "statistics", seed=SEED, start=START, end=end)
    simulate_macro(directory, seed=SEED, start=START, end=end)
    simulate_posts(directory, seed=SEED, start=START, end=end)
    return directory


def without_revisions(before: pd.DataFrame, after: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows as they were and as they are (equal indexes), both NULL in what they did not call complete then.

    Such a row says so itself (`settlement_complete`), and no feature reads these columns of it.
    """
    if "settlement_complete" not in before:
        return before, after
    pending = ~before["settlement_complete"].fillna(False).to_numpy(bool)
    names = [name for name in REVISED if name in before]
    hidden = [frame.astype(dict.fromkeys(names, object)) for frame in (before, after)]
    for frame in hidden:
        frame.loc[pending, names] = None
    return hidden[0], hidden[1]


def computed(
    world: World, table: Table, asked: np.ndarray | None, function: Callable[..., Any] | None = None
) -> dict[str, str]:
    """Content hashes of the partitions `asked` for (None: all), computed from stored inputs and not written."""
    recipes = world.builder.recipes if function is None else {table.id: Recipe(table, function)}
    builder = replace(world.builder, store=world.builder.warehouse.overlay(), recipes=recipes)
    # It has the tables of its base: to look for them takes longer than all else.
    vars(builder)["warehouse"] = builder.store
    with builder.store.shared_connection():
        result = builder.build(table, asked, "test", only_stale=False).result
        ledger = builder.store.ledger_rows({table.id}).set_index("partition_key")["content_hash"]
    return ledger[[*result.written, *result.unchanged]].to_dict()


def with_windows_halved(table: Table) -> Table:
    """The same table reading half as far back."""
    reads = tuple(replace(r, back=r.back // 2) if isinstance(r.back, int) else r for r in table.reads)
    return replace(table, reads=reads)
