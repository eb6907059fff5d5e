from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import TABLES, Column, Daily, Table, Type
from cbi_dagster.catalog.model import struct
from cbi_dagster.warehouse.changes import Provenance
from cbi_dagster.warehouse.contract import Warehouse, now_utc
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse
from cbi_dagster.warehouse.overlay import Overlay

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


@pytest.fixture(params=["duckdb", "overlay"])
def warehouse(request: pytest.FixtureRequest, file: Path) -> Warehouse:
    """Every engine, over what `file` holds."""
    base = DuckDBWarehouse(file)
    return base if request.param == "duckdb" else Overlay(base)


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
