import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import OPS_TABLES, TABLES, Column, Daily, Table, Type
from cbi_dagster.catalog.model import struct
from cbi_dagster.warehouse.bigquery import BigQuerySettings, BigQueryWarehouse
from cbi_dagster.warehouse.changes import Provenance
from cbi_dagster.warehouse.contract import Warehouse, now_utc
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse
from cbi_dagster.warehouse.overlay import Overlay
from cbi_dagster_tests.fakes.bigquery import LoopbackBigQuery

#: A table with every column type, for the rules that hold for all tables.
SAMPLE = Table(
    dataset="features",
    name="sample",
    description="Every type.",
    columns=(
        Column("date", Type.DATE, ""),
        Column("symbol", Type.STRING, ""),
        Column("price", Type.FLOAT64, ""),
        Column("volume", Type.INT64, "", ge=0),
        Column("flag", Type.BOOL, ""),
        Column("at", Type.TIMESTAMP, ""),
        Column("source_file", Type.STRING, "audit"),
        struct("pivots", "", (Column("P", Type.FLOAT64, ""), Column("kind", Type.STRING, ""))),
    ),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="features",
    required=frozenset({"price"}),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A DuckDB file with all tables, empty."""
    path = tmp_path / "warehouse.duckdb"
    DuckDBWarehouse(path).ensure([*TABLES.values(), SAMPLE])
    return path


@dataclass(frozen=True)
class Store:
    """Where an engine keeps its tables, empty: `open` gives a warehouse on it, as each process has its own.

    `change(sql)` changes rows of SAMPLE as another program would; `{}` in it stands for the table.
    """

    open: Callable[[], Warehouse]
    change: Callable[[str], None]


@pytest.fixture(scope="session")
def loopback() -> Iterator[LoopbackBigQuery]:
    with LoopbackBigQuery() as server:
        yield server


_PREFIXES = itertools.count()


def duckdb_store(file: Path) -> Store:
    def change(sql: str) -> None:
        with duckdb.connect(file) as connection:
            connection.execute(sql.format(SAMPLE.id))

    return Store(lambda: DuckDBWarehouse(file), change)


def bigquery_store(server: LoopbackBigQuery) -> Store:
    """The books and SAMPLE, empty, in datasets of their own."""
    settings = BigQuerySettings("loopback", prefix=f"t{next(_PREFIXES)}_", endpoint=server.endpoint, retry_s=20.0)
    BigQueryWarehouse(settings).ensure([*OPS_TABLES, SAMPLE])
    name = f"{settings.prefix}{SAMPLE.id}"

    def change(sql: str) -> None:
        rows = server.project.table(name).rows
        with duckdb.connect() as connection:
            connection.sql("SET TimeZone = 'UTC'")
            connection.from_arrow(rows).create("sample")
            connection.execute(sql.format("sample"))
            changed = connection.sql("FROM sample").to_arrow_table().cast(rows.schema)
        server.project.put(name, changed, server.project.instant(), mutated=True)

    return Store(lambda: BigQueryWarehouse(settings), change)


@pytest.fixture(params=["duckdb", "overlay", "bigquery"])
def store(request: pytest.FixtureRequest) -> Store:
    """Every engine's, and one that an overlay is over."""
    if request.param == "bigquery":
        return bigquery_store(request.getfixturevalue("loopback"))
    return duckdb_store(request.getfixturevalue("file"))


@pytest.fixture
def warehouse(request: pytest.FixtureRequest, store: Store) -> Warehouse:
    """Every engine, over what `store` holds."""
    opened = store.open()
    return Overlay(opened) if "overlay" in request.node.callspec.params.values() else opened


@pytest.fixture
def provenance():
    def make(keys, run="run-1", code="1", prints="a", rows_in=0, **more):
        keys = np.asarray(keys, "datetime64[D]")
        return Provenance(run, code, dict.fromkeys(keys, prints), now_utc(), rows_in, **more)

    return make


@pytest.fixture
def rows():
    """Rows of SAMPLE on given dates, two symbols a date."""

    def make(*dates):
        frame = pd.DataFrame([(d, s) for d in dates for s in ("ZL", "ES")], columns=["date", "symbol"])
        frame["date"] = pd.to_datetime(frame["date"])
        count = len(frame)
        frame["price"] = np.arange(count) + 0.5
        frame["volume"] = pd.array([None, *range(1, count)][:count], dtype="Int64")
        frame["flag"] = pd.array([None, *[True] * (count - 1)][:count], dtype="boolean")
        frame["at"] = pd.date_range("2024-01-02", periods=count, freq="h", tz="UTC").astype("datetime64[ns, UTC]")
        frame["source_file"] = "one"
        frame["pivots"] = [{"P": float(i), "kind": "R1"} for i in range(count)]
        return frame

    return make
