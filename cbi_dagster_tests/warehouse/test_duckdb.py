"""The embedded engine: atomic, idempotent, and patient with other processes."""

import multiprocessing
import signal
import subprocess
import sys
import time

import duckdb
import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import TABLES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables import ops
from cbi_dagster.warehouse.changes import Provenance
from cbi_dagster.warehouse.contract import DamagedWarehouseError, now_utc
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse

from .conftest import SAMPLE

DAYS = np.array(["2024-01-02", "2024-01-03"], dtype="datetime64[D]")


@pytest.fixture
def warehouse(file):
    return DuckDBWarehouse(file)


def by_other_hands(file, *statements):
    """Change a file as another program would."""
    with duckdb.connect(file) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_change_that_fails_on_its_last_statement_leaves_nothing_behind(warehouse, provenance, rows):
    warehouse.replace(SAMPLE, DAYS[:1], rows("2024-01-02"), provenance(DAYS[:1]))
    before = warehouse.read(SAMPLE), warehouse.ledger_rows()
    by_other_hands(warehouse.path, "ALTER TABLE ops.ingestion_runs DROP COLUMN error_message")
    with warehouse.shared_connection():
        with pytest.raises(duckdb.Error, match="error_message"):
            warehouse.replace(SAMPLE, DAYS, rows("2024-01-02", "2024-01-03").assign(price=9.0), provenance(DAYS))
        assert warehouse.ledger_by_table()[SAMPLE.id].keys.tolist() == DAYS[:1].tolist()
    assert warehouse.read(SAMPLE).equals(before[0])
    pd.testing.assert_frame_equal(warehouse.ledger_rows(), before[1])
    warehouse.ensure([ops.INGESTION_RUNS])
    assert len(warehouse.replace(SAMPLE, DAYS[1:], rows("2024-01-03"), provenance(DAYS[1:])).written) == 1


def test_another_process_has_the_file_while_a_shared_connection_is_let_go(warehouse, file, provenance, rows):
    look = [sys.executable, "-c", "import duckdb, sys; duckdb.connect(sys.argv[1]).close()", str(file)]
    with warehouse.shared_connection():
        assert subprocess.run(look, capture_output=True).returncode != 0
        with warehouse.let_go():
            assert subprocess.run(look, capture_output=True).returncode == 0
        assert subprocess.run(look, capture_output=True).returncode != 0


def test_a_snapshot_sees_one_moment(warehouse, file, provenance, rows):
    with warehouse.snapshot():
        assert len(warehouse.read(SAMPLE)) == 0
        DuckDBWarehouse(file).replace(SAMPLE, DAYS, rows("2024-01-02", "2024-01-03"), provenance(DAYS))
        assert len(warehouse.read(SAMPLE)) == 0
        assert warehouse.ledger_by_table({SAMPLE.id}) == {}
    assert len(warehouse.read(SAMPLE)) == 4


def test_a_warehouse_is_made_with_the_directories_it_lies_in(tmp_path):
    store = DuckDBWarehouse(tmp_path / "state" / "of" / "mine" / "warehouse.duckdb")
    store.ensure([SAMPLE])
    assert len(store.read(SAMPLE)) == 0


def made_by(run, days):
    return Provenance(run, "1", dict.fromkeys(days, run), now_utc(), 0)


def _write_forever(path, rows, started):
    store = DuckDBWarehouse(path)
    number = 0
    while True:
        number += 1
        frame = rows.assign(price=float(number))
        store.replace(SAMPLE, DAYS, frame, made_by(f"run-{number}", DAYS))
        started.set()


def test_a_killed_writer_leaves_whole_partitions_that_agree_with_the_ledger(warehouse, rows):
    context = multiprocessing.get_context("spawn")
    for _ in range(3):
        started = context.Event()
        writer = context.Process(
            target=_write_forever, args=(warehouse.path, rows("2024-01-02", "2024-01-03"), started)
        )
        writer.start()
        assert started.wait(600)
        time.sleep(0.2)
        writer.kill()
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
        prices = to_frame(SAMPLE, warehouse.read(SAMPLE))["price"]
        assert len(prices) == 4
        assert prices.nunique() == 1
        ledger = warehouse.ledger_rows({SAMPLE.id})
        assert ledger["input_fingerprint"].tolist() == [f"run-{int(prices[0])}"] * 2


def _write_many(path, rows, symbol, count):
    store = DuckDBWarehouse(path)
    for number in range(count):
        frame = rows[rows["symbol"] == symbol].assign(price=float(number))
        day = frame["date"].to_numpy().astype("datetime64[D]")
        store.replace(SAMPLE, day, frame, made_by(f"{symbol}-{number}", day))


def test_what_the_engine_says_of_a_damaged_file_is_told(tmp_path):
    file = tmp_path / "warehouse.duckdb"
    file.write_bytes(b"no warehouse" * 1000)
    with pytest.raises(DamagedWarehouseError, match=r"damaged, or no warehouse at all \(.*not a valid DuckDB"):
        DuckDBWarehouse(file).ensure([SAMPLE])


def test_two_processes_work_on_one_file_without_an_error(warehouse, rows):
    context = multiprocessing.get_context("spawn")
    work = [(rows("2024-01-02"), "ZL"), (rows("2024-01-03"), "ES")]
    writers = [context.Process(target=_write_many, args=(warehouse.path, frame, symbol, 20)) for frame, symbol in work]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        warehouse.read(SAMPLE)
        warehouse.ensure(TABLES.values())
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert to_frame(SAMPLE, warehouse.read(SAMPLE))["price"].tolist() == [19.0, 19.0]


@pytest.mark.parametrize(("said", "raised"), [("Query interrupted", KeyboardInterrupt), ("another", RuntimeError)])
def test_what_the_engine_says_of_a_signal_during_a_query_is_an_interrupt(warehouse, said, raised):
    with pytest.raises(raised), warehouse.shared_connection():
        raise RuntimeError(said)
