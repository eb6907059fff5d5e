"""Rows of a trade date, and a table as a file."""

from __future__ import annotations

import datetime as dt
import json
import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyarrow import csv, feather

from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX, VOLATILITY_DAILY
from cbi_dagster.catalog.tables.ops import HELD_BACK, PARTITION_LEDGER
from cbi_dagster.catalog.tables.training import ZL_TRAINING
from cbi_dagster.reports.rows import export, rows_of
from cbi_dagster.warehouse.contract import Warehouse

FIRST, LAST = dt.date(2024, 7, 1), dt.date(2024, 7, 3)


def test_rows_are_those_of_the_trade_date_and_the_symbol(warehouse: Warehouse) -> None:
    assert rows_of(warehouse, VOLATILITY_DAILY, LAST)["symbol"].to_list() == ["ES", "ZL"]
    row = rows_of(warehouse, VOLATILITY_DAILY, LAST, "ZL")
    assert row[["symbol", "k_vol"]].to_numpy().tolist() == [["ZL", 1.0]]
    assert rows_of(warehouse, VOLATILITY_DAILY, dt.date(2024, 7, 2)).empty
    assert rows_of(warehouse, VOLATILITY_DAILY, LAST, "XX").empty


def test_a_table_without_dates_is_shown_whole_and_one_without_symbols_for_every_symbol(warehouse: Warehouse) -> None:
    assert rows_of(warehouse, HELD_BACK, FIRST)["bar_rows"].to_list() == [2, 3, 7]
    assert rows_of(warehouse, HELD_BACK, FIRST, "ZL")["bar_rows"].to_list() == [2, 7]
    assert len(rows_of(warehouse, PARTITION_LEDGER, FIRST, "ZL")) == 3


def test_an_export_takes_the_place_of_the_file_and_never_changes_it(warehouse: Warehouse, tmp_path: Path) -> None:
    out, kept = tmp_path / "x.parquet", tmp_path / "kept"
    out.write_bytes(b"an earlier export")
    os.link(out, kept)  # as a reader who has the earlier file open
    assert export(warehouse, VOLATILITY_DAILY, out) == 4
    assert kept.read_bytes() == b"an earlier export"
    assert pq.read_table(out).equals(warehouse.read(VOLATILITY_DAILY))


def test_a_part_is_exported_in_the_format_that_the_name_says(warehouse: Warehouse, tmp_path: Path) -> None:
    day = np.datetime64("2024-07-03")
    for name, read in {"x.parquet": pq.read_table, "x.arrow": feather.read_table, "x.CSV": csv.read_csv}.items():
        count = export(warehouse, VOLATILITY_DAILY, tmp_path / name, interval=(day, day), symbols=["ZL"])
        rows = read(tmp_path / name)
        assert count == len(rows) == 1
        assert (rows["symbol"].to_pylist(), rows["k_vol"].to_pylist()) == (["ZL"], [1])


def test_structs_are_flat_in_csv(warehouse: Warehouse, tmp_path: Path) -> None:
    assert export(warehouse, DAILY_ML_MATRIX, tmp_path / "x.csv") == 0
    header = (tmp_path / "x.csv").read_text().split(",")
    assert '"pivots_P"' in header
    assert '"pivots"' not in header


@pytest.mark.parametrize(
    ("name", "stated", "said"),
    [
        ("x.csv", "parquet", "x.csv would be parquet under a name that says csv"),
        ("x.txt", None, "x.txt does not say what it is: let its name end in one of .parquet"),
    ],
)
def test_no_format_is_written_under_the_name_of_another(
    warehouse: Warehouse, tmp_path: Path, name: str, stated: str | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        export(warehouse, VOLATILITY_DAILY, tmp_path / name, stated=stated)
    assert not list(tmp_path.glob("x.*"))
    assert export(warehouse, VOLATILITY_DAILY, tmp_path / "x.data", stated="csv") == 4


def test_a_file_says_what_its_columns_mean_and_which_version_they_are_of(warehouse: Warehouse, tmp_path: Path) -> None:
    def about(interval: tuple[np.datetime64, np.datetime64] | None = None) -> Any:
        export(warehouse, VOLATILITY_DAILY, tmp_path / "x.parquet", interval=interval)
        return json.loads(pq.read_schema(tmp_path / "x.parquet").metadata[b"cbi_dagster"])

    said = about()
    assert said["table"] == VOLATILITY_DAILY.id
    assert said["columns"]["k_vol"] == {
        "meaning": VOLATILITY_DAILY.column("k_vol").description, "unit": VOLATILITY_DAILY.column("k_vol").unit
    }  # fmt: skip
    assert about((np.datetime64("2024-07-01"), np.datetime64("2024-07-02")))["version"] != said["version"]
    # The dates that are asked for beyond those that are there change nothing.
    assert about((np.datetime64("2020-01-01"), np.datetime64("2030-01-01")))["version"] == said["version"]
    export(warehouse, ZL_TRAINING[0], tmp_path / "t.parquet")
    columns = json.loads(pq.read_schema(tmp_path / "t.parquet").metadata[b"cbi_dagster"])["columns"]
    assert [columns[name]["role"] for name in ("pivots_P", "target_1w", "training_weight", "split")] == [
        "feature", "label", "weight", "split",
    ]  # fmt: skip


def test_an_export_that_fails_leaves_the_earlier_file(warehouse: Warehouse, tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    out.write_bytes(b"an earlier export")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with warehouse.shared_connection():  # opened before files may not grow
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                export(warehouse, VOLATILITY_DAILY, out)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert out.read_bytes() == b"an earlier export"
    assert list(tmp_path.glob("*.part")) == []
