"""What the state of a warehouse says of its tables, failures and rows left out."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.catalog import ASSET_TABLES, TABLES
from cbi_dagster.catalog.tables.features import VOLATILITY_DAILY
from cbi_dagster.catalog.tables.ops import INGESTION_RUNS
from cbi_dagster.home import Home
from cbi_dagster.reports.status import TableStatus, status
from cbi_dagster.warehouse.contract import Warehouse, now_utc

pytestmark = pytest.mark.usefixtures("files_stay_open")


def test_every_table_has_its_partitions_rows_and_span(warehouse: Warehouse) -> None:
    found = {item.table.id: item for item in status(warehouse).tables}
    assert list(found) == [table.id for table in ASSET_TABLES]
    volatility = found.pop(VOLATILITY_DAILY.id)
    assert (volatility.partitions, volatility.filled, volatility.rows) == (3, 2, 4)
    assert (volatility.first, volatility.last) == ("2024-07-01", "2024-07-03")
    assert volatility.written_at is not None
    assert now_utc() - volatility.written_at < pd.Timedelta(minutes=5)
    assert set(found.values()) == {TableStatus(TABLES[name], 0, 0, 0, None, None, None) for name in found}


def test_rows_left_out_are_counted_by_table_and_reason(warehouse: Warehouse) -> None:
    found = status(warehouse)
    first, second, third = pd.to_datetime(["2024-07-01", "2024-07-02", "2024-07-03"])
    assert [tuple(row) for row in found.rejected.itertuples(index=False)] == [
        (VOLATILITY_DAILY.id, "ohlc_order", 2, first, third),
        (VOLATILITY_DAILY.id, "weekend_trade_date", 1, second, second),
    ]
    assert [tuple(row) for row in found.held_back.itertuples(index=False)] == [
        (VOLATILITY_DAILY.id, "not_matured", 12, 2, second, third)
    ]
    assert list(found.held_back.columns[2:]) == ["rows", "trade_dates", "first", "last"]


def told(warehouse: Warehouse, run: str, source: str, outcome: str, minute: int) -> None:
    at = pd.Timestamp("2030-01-01", tz="UTC") + pd.Timedelta(minutes=minute)
    row = {
        "event_id": f"{run}:{source}", "source": source, "run_status": outcome, "started_at": at, "ended_at": at,
        "error_message": "it broke" if outcome == "failed" else None,
    }  # fmt: skip
    frame = pd.DataFrame([row]).reindex(columns=[column.name for column in INGESTION_RUNS.columns])
    warehouse.record(INGESTION_RUNS, frame)


def test_what_failed_counts_until_it_succeeds(warehouse: Warehouse) -> None:
    assert status(warehouse).failed.empty
    told(warehouse, "one", VOLATILITY_DAILY.id, "failed", 1)
    told(warehouse, "one", "a.dbn", "failed", 2)
    failed = status(warehouse).failed
    assert failed["source"].to_list() == [VOLATILITY_DAILY.id, "a.dbn"]
    assert set(failed["error_message"]) == {"it broke"}
    told(warehouse, "two", VOLATILITY_DAILY.id, "success", 3)
    assert status(warehouse).failed["source"].to_list() == ["a.dbn"]


def test_a_new_warehouse_holds_nothing(tmp_path: Path) -> None:
    warehouse = Home(tmp_path).open().ready().warehouse
    found = status(warehouse)
    assert (found.files, found.datasets) == (0, ())
    assert [len(part) for part in (found.failed, found.rejected, found.held_back)] == [0, 0, 0]
