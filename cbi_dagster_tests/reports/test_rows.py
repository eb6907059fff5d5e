"""Rows of a trade date, and a table as a file."""

from __future__ import annotations

import datetime as dt
import os
import resource
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cbi_dagster.catalog.tables.features import VOLATILITY_DAILY
from cbi_dagster.catalog.tables.ops import HELD_BACK, PARTITION_LEDGER
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
