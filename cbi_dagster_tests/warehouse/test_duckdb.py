"""The embedded engine: atomic, idempotent, and patient with other processes."""

import multiprocessing
import signal
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import TABLES, Monthly
from cbi_dagster.catalog.tables import ops
from cbi_dagster.warehouse.contract import LeftOutRows, Provenance, SchemaDriftError, now_utc, to_frame
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse

from .conftest import SAMPLE

DAYS = np.array(["2024-01-02", "2024-01-03"], dtype="datetime64[D]")


def test_a_slice_replaces_its_partitions_and_no_others(warehouse, provenance, rows):
    warehouse.replace(SAMPLE, DAYS, rows("2024-01-02", "2024-01-03"), provenance(DAYS))
    warehouse.replace(SAMPLE, DAYS[1:], rows("2024-01-03").assign(price=9.0), provenance(DAYS[1:]))
    frame = to_frame(SAMPLE, warehouse.read(SAMPLE)).sort_values(["date", "symbol"])
    assert frame["price"].tolist() == [1.5, 0.5, 9.0, 9.0]


def test_an_empty_slice_clears_its_partitions_and_keeps_them_known(warehouse, provenance, rows):
    warehouse.replace(SAMPLE, DAYS, rows("2024-01-02", "2024-01-03"), provenance(DAYS))
    result = warehouse.replace(SAMPLE, DAYS, rows("2024-01-02"), provenance(DAYS))
    assert result.written == ("2024-01-03",)
    assert warehouse.ledger_rows({SAMPLE.id})["row_count"].tolist() == [2, 0]


def test_writing_the_same_data_twice_changes_nothing(warehouse, provenance, rows):
    first = warehouse.replace(SAMPLE, DAYS, rows("2024-01-02", "2024-01-03"), provenance(DAYS))
    before = warehouse.read(SAMPLE), warehouse.ledger_rows({SAMPLE.id})
    shuffled = rows("2024-01-02", "2024-01-03").sample(frac=1, random_state=1)
    second = warehouse.replace(SAMPLE, DAYS, shuffled, provenance(DAYS, run="run-2"))
    assert (len(first.written), second.written, second.unchanged) == (2, (), ("2024-01-02", "2024-01-03"))
    assert warehouse.read(SAMPLE).equals(before[0])
    pd.testing.assert_frame_equal(warehouse.ledger_rows({SAMPLE.id}), before[1])


def test_recomputing_to_equal_content_advances_only_the_verification(warehouse, provenance, rows):
    warehouse.replace(SAMPLE, DAYS, rows("2024-01-02", "2024-01-03"), provenance(DAYS))
    before = warehouse.ledger_rows({SAMPLE.id})
    warehouse.replace(
        SAMPLE, DAYS, rows("2024-01-02", "2024-01-03"), provenance(DAYS, run="run-2", code="2", prints="b")
    )
    after = warehouse.ledger_rows({SAMPLE.id})
    content = ["content_hash", "row_count", "written_at", "written_run"]
    pd.testing.assert_frame_equal(before[content], after[content])
    assert after["code_version"].tolist() == ["2", "2"]
    assert after["input_fingerprint"].tolist() == ["b", "b"]
    assert after["verified_run"].tolist() == ["run-2", "run-2"]


def test_rejected_rows_are_replaced_with_their_partition(warehouse, provenance, rows):
    def left_out(dates):
        rejected = pd.DataFrame({"date": pd.to_datetime(dates), "source_row": range(len(dates))}).assign(
            file_hash="h", source_file="f", symbol="ZL", reason="roll_boundary", detail=""
        )
        rejected["ts_event"] = pd.to_datetime(dates, utc=True)
        held = pd.DataFrame(columns=["date", "symbol", "vendor_schema", "reason", "bar_rows"])
        return LeftOutRows(rejected, held)

    days = ["2024-01-02", "2024-01-03"]
    warehouse.replace(SAMPLE, DAYS, rows(*days), provenance(DAYS), left_out(days))
    warehouse.replace(SAMPLE, DAYS[:1], rows("2024-01-02"), provenance(DAYS[:1]), left_out([]))
    left = to_frame(ops.QUARANTINE, warehouse.read(ops.QUARANTINE))
    assert left["date"].dt.strftime("%Y-%m-%d").tolist() == ["2024-01-03"]


def test_rows_held_back_are_replaced_with_their_month(warehouse, provenance):
    table = replace(SAMPLE, name="sample_of_months", partitioning=Monthly("date"))
    warehouse.ensure([table])
    months = np.array(["2024-01-01", "2024-02-01"], "datetime64[D]")
    nothing = pd.DataFrame(columns=["date"])

    def write(keys, dates):
        held = pd.DataFrame({"date": pd.to_datetime(dates), "symbol": "ZL", "reason": "not_matured", "bar_rows": 1})
        empty = table.arrow_schema().empty_table()
        warehouse.replace(table, keys, empty, provenance(keys), LeftOutRows(nothing, held.assign(vendor_schema="")))

    write(months, ["2024-01-02", "2024-01-31", "2024-02-01", "2024-02-29"])
    write(months[1:], ["2024-02-29"])
    left = to_frame(ops.HELD_BACK, warehouse.read(ops.HELD_BACK))
    assert left["date"].dt.strftime("%m-%d").tolist() == ["01-02", "01-31", "02-29"]


def test_a_failure_inside_the_transaction_leaves_nothing(warehouse, provenance, rows):
    with pytest.raises(KeyError):
        warehouse.replace(SAMPLE, DAYS, rows("2024-01-02", "2024-01-03"), Provenance("r", "1", {}, now_utc(), 0))
    bad = LeftOutRows(pd.DataFrame({"date": pd.to_datetime(["2024-01-02"])}), pd.DataFrame())
    with pytest.raises(ValueError, match=r"ops\.quarantine"):
        warehouse.replace(SAMPLE, DAYS, rows("2024-01-02", "2024-01-03"), provenance(DAYS), bad)
    assert len(warehouse.read(SAMPLE)) == 0
    assert warehouse.ledger_rows({SAMPLE.id}).empty


def test_new_nullable_columns_are_added_and_other_drift_is_refused(warehouse):
    with warehouse.connection() as connection:
        connection.execute("ALTER TABLE features.sample DROP COLUMN flag")
    warehouse.ensure([SAMPLE])
    assert "flag" in warehouse.read(SAMPLE).column_names
    with warehouse.connection() as connection:
        connection.execute("ALTER TABLE features.sample DROP COLUMN price")
        connection.execute("ALTER TABLE features.sample ADD COLUMN colour VARCHAR")
    with pytest.raises(SchemaDriftError) as caught:
        warehouse.ensure([SAMPLE])
    assert caught.value.tables == {
        "features.sample": ["stored and not declared: colour", "price is required and not stored"]
    }
    assert "cbi reset features.sample" in str(caught.value)


def test_a_dropped_table_is_made_anew_and_its_partitions_are_missing(warehouse, provenance, rows):
    warehouse.replace(SAMPLE, DAYS, rows("2024-01-02", "2024-01-03"), provenance(DAYS))
    warehouse.drop(SAMPLE)
    assert warehouse.ledger_rows({SAMPLE.id}).empty
    warehouse.ensure([SAMPLE])
    assert len(warehouse.read(SAMPLE)) == 0


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
        assert started.wait(60)
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
