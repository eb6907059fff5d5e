"""What holds for a warehouse of any engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import TABLES, Column, Monthly, Type, Unpartitioned
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables import ops
from cbi_dagster.warehouse import contract
from cbi_dagster.warehouse.changes import LeftOutRows, Provenance, RunSums
from cbi_dagster.warehouse.contract import LandingFacts, RegistryMovedError, now_utc
from cbi_dagster.warehouse.coverage import Coverage
from cbi_dagster.warehouse.slices import NullInRequiredError
from cbi_dagster.warehouse.stored import SchemaDriftError

from .conftest import SAMPLE

DAYS = np.array(["2024-01-02", "2024-01-03"], dtype="datetime64[D]")
LABELS = ("2024-01-02", "2024-01-03")


def prices(warehouse, table=SAMPLE):
    """Price of every row, by date and symbol."""
    frame = to_frame(table, warehouse.read(table))
    return {(f"{row.date:%Y-%m-%d}", row.symbol): row.price for row in frame.itertuples()}


# -- content and its verification -------------------------------------------------------------------------------------


def test_a_slice_replaces_its_partitions_and_no_others(warehouse, provenance, rows):
    warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    result = warehouse.replace(SAMPLE, DAYS[1:], rows("2024-01-03").assign(price=9.0), provenance(DAYS[1:]))
    assert (result.written, result.rows_written, result.table_rows) == (("2024-01-03",), 2, 4)
    assert prices(warehouse) == {
        ("2024-01-02", "ZL"): 0.5, ("2024-01-02", "ES"): 1.5, ("2024-01-03", "ZL"): 9.0, ("2024-01-03", "ES"): 9.0,
    }  # fmt: skip


def test_an_empty_slice_clears_its_partitions_and_keeps_them_known(warehouse, provenance, rows):
    warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    result = warehouse.replace(SAMPLE, DAYS, rows("2024-01-02"), provenance(DAYS))
    assert result.written == ("2024-01-03",)
    assert warehouse.ledger_rows({SAMPLE.id})["row_count"].tolist() == [2, 0]


def test_partitions_that_are_no_more_leave_nothing(warehouse, provenance, rows):
    left_out = LeftOutRows(
        pd.DataFrame({"date": pd.to_datetime([*LABELS]), "file_hash": "", "source_file": "x", "source_row": [1, 2],
                      "symbol": "ZL", "ts_event": pd.Timestamp("2024-01-02", tz="UTC"), "reason": "r"}),
        pd.DataFrame({"date": pd.to_datetime([*LABELS]), "symbol": "ZL", "vendor_schema": "", "reason": "r",
                      "bar_rows": 3}),
    )  # fmt: skip
    warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS), left_out)
    nothing = SAMPLE.arrow_schema().empty_table()
    result = warehouse.replace(SAMPLE, DAYS[:0], nothing, provenance(DAYS[:0]), gone=DAYS[:1])
    assert (result.written, result.removed, result.table_rows) == ((), LABELS[:1], 2)
    assert result.sums.partitions_written == 1
    assert {date for date, _ in prices(warehouse)} == {LABELS[1]}
    assert warehouse.ledger_rows({SAMPLE.id})["partition_key"].tolist() == [LABELS[1]]
    for book in (ops.QUARANTINE, ops.HELD_BACK):
        assert to_frame(book, warehouse.read(book))["date"].dt.strftime("%Y-%m-%d").tolist() == [LABELS[1]]


def test_what_a_landing_takes_back_the_ledger_knows_no_more(warehouse):
    entries = pd.DataFrame(
        {"table_name": ["landing.ohlcv_1h"] * 2 + ["landing.ohlcv_1m"], "partition_key": [*LABELS, LABELS[0]],
         "content_hash": "0" * 32, "row_count": 1, "written_at": now_utc(), "written_run": "landing",
         "code_version": "1", "input_fingerprint": "", "verified_at": now_utc(), "verified_run": "landing"}
    )  # fmt: skip
    warehouse.take(LandingFacts(0, {}, entries))
    # Of the dates of a file that is withdrawn, others may still be about some: these change and the others go.
    changed = entries.iloc[1:2].assign(content_hash="1" * 32)
    warehouse.take(LandingFacts(0, {}, changed, {"landing.ohlcv_1h": LABELS[:1]}))
    left = warehouse.ledger_rows()[["table_name", "partition_key", "content_hash"]].to_numpy().tolist()
    assert left == [["landing.ohlcv_1h", LABELS[1], "1" * 32], ["landing.ohlcv_1m", LABELS[0], "0" * 32]]


def test_writing_the_same_data_twice_changes_nothing(warehouse, provenance, rows):
    first = warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    before = warehouse.read(SAMPLE), warehouse.ledger_rows({SAMPLE.id})
    shuffled = rows(*LABELS).sample(frac=1, random_state=1)
    second = warehouse.replace(SAMPLE, DAYS, shuffled, provenance(DAYS, run="run-2"))
    assert (len(first.written), second.written, second.unchanged, second.rows_written) == (2, (), LABELS, 0)
    assert warehouse.read(SAMPLE).equals(before[0])
    pd.testing.assert_frame_equal(warehouse.ledger_rows({SAMPLE.id}), before[1])


def test_recomputing_to_equal_content_advances_only_the_verification(warehouse, provenance, rows):
    warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    before = warehouse.ledger_rows({SAMPLE.id})
    warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS, run="run-2", code="2", prints="b"))
    after = warehouse.ledger_rows({SAMPLE.id})
    content = ["content_hash", "row_count", "written_at", "written_run"]
    pd.testing.assert_frame_equal(before[content], after[content])
    assert after["code_version"].tolist() == ["2", "2"]
    assert after["input_fingerprint"].tolist() == ["b", "b"]
    assert after["verified_run"].tolist() == ["run-2", "run-2"]
    assert (after["verified_at"] > before["verified_at"]).all()


@pytest.mark.parametrize(
    "damage", ["UPDATE {} SET price = price + 1", "DELETE FROM {}", "INSERT INTO {0} SELECT * FROM {0}"]
)
def test_rows_that_other_hands_changed_are_written_again_when_what_is_stored_is_asked(
    warehouse, store, provenance, rows, damage
):
    store.open().replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    before = prices(warehouse)
    store.change(f"{damage} WHERE date = '{LABELS[0]}'")
    overlooked = warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    assert overlooked.unchanged == LABELS
    restored = warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS), against_stored=True)
    # Of rows that cannot be told apart nobody knows which partition is sound.
    assert restored.written == (LABELS if damage.startswith("INSERT") else LABELS[:1])
    assert prices(warehouse) == before
    assert len(warehouse.read(SAMPLE)) == len(before)


def test_rows_say_when_and_by_which_run_they_were_written(warehouse, provenance, rows):
    warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    warehouse.replace(SAMPLE, DAYS[1:], rows("2024-01-03").assign(price=9.0), provenance(DAYS[1:], run="run-2"))
    frame = to_frame(SAMPLE, warehouse.read(SAMPLE)).sort_values("date")
    assert frame["run_id"].tolist() == ["run-1", "run-1", "run-2", "run-2"]
    ledger = warehouse.ledger_rows({SAMPLE.id})
    assert frame["ingestion_ts"].drop_duplicates().tolist() == ledger["written_at"].tolist()


def test_a_table_in_one_piece_is_replaced_and_read_whole(warehouse, provenance, rows):
    table = replace(SAMPLE, name="sample_in_one_piece", partitioning=Unpartitioned())
    warehouse.ensure([table])
    key = table.partitioning.expected(DAYS)
    warehouse.replace(table, key, rows(*LABELS), provenance(key))
    result = warehouse.replace(table, key, rows("2024-01-03"), provenance(key))
    assert (result.written, result.table_rows) == (("all",), 2)
    assert len(warehouse.read(table)) == len(warehouse.read(table, [(DAYS[0], DAYS[0])])) == 2
    assert len(warehouse.read(table, [])) == 0


def test_a_write_that_was_overtaken_is_worked_out_again(warehouse, store, provenance, rows):
    with warehouse.shared_connection():
        assert warehouse.ledger_by_table({SAMPLE.id}) == {}
        store.open().replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
        result = warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    assert (result.written, result.unchanged) == ((), LABELS)
    assert len(warehouse.read(SAMPLE)) == 4


def test_others_write_while_a_shared_connection_is_let_go(warehouse, store, provenance, rows):
    with warehouse.shared_connection():
        assert warehouse.ledger_by_table({SAMPLE.id}) == {}
        with warehouse.let_go():
            store.open().replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
        assert len(warehouse.ledger_by_table({SAMPLE.id})[SAMPLE.id].keys) == 2, "what was remembered is not"
        with pytest.raises(ZeroDivisionError), warehouse.let_go():
            raise ZeroDivisionError
        assert len(warehouse.read(SAMPLE)) == 4


def test_a_write_is_newer_than_the_last_one_also_by_a_clock_that_is_slow(warehouse, provenance, rows, monkeypatch):
    warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    before = warehouse.ledger_rows({SAMPLE.id}).set_index("partition_key")["verified_at"]
    monkeypatch.setattr(contract, "now_utc", lambda: before.max() - pd.Timedelta(hours=1))
    changed = rows(*LABELS)
    changed["price"] += 1.0
    assert warehouse.replace(SAMPLE, DAYS, changed, provenance(DAYS, run="run-2")).written == LABELS
    after = warehouse.ledger_rows({SAMPLE.id}).set_index("partition_key")
    assert (after["verified_at"] > before.max()).all()
    assert (after["written_run"] == "run-2").all()


def test_a_slice_without_a_fingerprint_for_every_partition_is_not_written(warehouse, provenance, rows):
    with pytest.raises(KeyError):
        warehouse.replace(SAMPLE, DAYS, rows(*LABELS), Provenance("r", "1", {}, now_utc(), 0))
    assert len(warehouse.read(SAMPLE)) == 0
    assert warehouse.ledger_rows({SAMPLE.id}).empty


# -- reading ----------------------------------------------------------------------------------------------------------


def test_a_read_is_narrowed_by_dates_symbols_and_columns_and_sorted_by_key(warehouse, provenance, rows):
    days = np.arange(np.datetime64("2024-01-02"), np.datetime64("2024-01-06"))
    labels = days.astype(str)
    warehouse.replace(SAMPLE, days, rows(*labels), provenance(days))
    warehouse.replace(SAMPLE, days[1:2], rows(labels[1]).assign(price=9.0), provenance(days[1:2]))
    found = warehouse.read(SAMPLE, [(days[0], days[1]), (days[3], days[3])], ("price", "date"), ("ZL", "CL"))
    assert found.column_names == ["price", "date"]
    assert found["date"].to_pylist() == [days[i].astype(object) for i in (0, 1, 3)]
    assert found["price"].to_pylist() == [0.5, 9.0, 6.5]
    assert warehouse.read(SAMPLE)["symbol"].to_pylist() == ["ES"] * 4 + ["ZL"] * 4
    nothing = warehouse.read(SAMPLE, [], ("price", "date"))
    assert (len(nothing), nothing.column_names) == (0, ["price", "date"])


def test_what_is_known_of_each_column_is_counted_over_the_symbols_that_have_it(warehouse, provenance, rows):
    frame = rows(*LABELS)
    frame["pivots"] = [None, {"P": None, "kind": "R1"}, {"P": 1.0, "kind": "R1"}, None]
    warehouse.replace(SAMPLE, DAYS, frame, provenance(DAYS))
    found = {item.path: item for item in warehouse.coverage(SAMPLE)}
    assert list(found) == [path for path, _ in SAMPLE.leaves()]
    first, second = (day.astype(object) for day in DAYS)
    assert found["price"] == Coverage("price", ("ES", "ZL"), 4, 4, first)
    assert found["volume"] == Coverage("volume", ("ES", "ZL"), 4, 3, first)
    assert found["pivots.P"] == Coverage("pivots.P", ("ZL",), 2, 1, second)
    assert found["pivots.kind"] == Coverage("pivots.kind", ("ES", "ZL"), 4, 2, first)


def test_nothing_is_known_of_an_empty_table(warehouse):
    assert {(item.symbols, item.rows, item.known, item.first) for item in warehouse.coverage(SAMPLE)} == {
        ((), 0, 0, None)
    }


# -- rows left out, and the run's row ---------------------------------------------------------------------------------


def left_out(rejected=(), held_back=()):
    """One rejected row, and one row held back, on each of the dates given."""
    rejected = pd.DataFrame({"date": pd.to_datetime(list(rejected)), "source_row": range(len(rejected))}).assign(
        file_hash="h", source_file="f", symbol="ZL", reason="roll_boundary", detail=""
    )
    rejected["ts_event"] = rejected["date"].dt.tz_localize("UTC")
    held = pd.DataFrame({"date": pd.to_datetime(list(held_back)), "symbol": "ZL", "reason": "open", "bar_rows": 3})
    return LeftOutRows(rejected, held.assign(vendor_schema=""))


def dates_of(warehouse, book, table=SAMPLE):
    frame = to_frame(book, warehouse.read(book))
    return frame.loc[frame["table_name"] == table.id, "date"].dt.strftime("%m-%d").tolist()


def test_rows_left_out_are_replaced_with_their_partition(warehouse, provenance, rows):
    other = replace(SAMPLE, name="sample_of_others")
    warehouse.ensure([other])
    for table in (other, SAMPLE):
        warehouse.replace(table, DAYS, rows(*LABELS), provenance(DAYS), left_out(LABELS, LABELS))
    warehouse.replace(SAMPLE, DAYS[:1], rows("2024-01-02"), provenance(DAYS[:1]), left_out())
    for book in (ops.QUARANTINE, ops.HELD_BACK):
        assert dates_of(warehouse, book) == ["01-03"]
        assert dates_of(warehouse, book, other) == ["01-02", "01-03"]


def test_where_no_partition_is_replaced_nothing_that_was_left_out_goes(warehouse, provenance, rows):
    warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS), left_out(LABELS, LABELS))
    warehouse.replace(SAMPLE, DAYS[:0], rows(*LABELS).iloc[:0], provenance(DAYS[:0]), left_out())
    assert len(warehouse.read(SAMPLE)) == len(rows(*LABELS))
    for book in (ops.QUARANTINE, ops.HELD_BACK):
        assert dates_of(warehouse, book) == ["01-02", "01-03"]


@pytest.mark.parametrize("partitioning", [Monthly("date"), Unpartitioned()], ids=["months", "one piece"])
def test_rows_left_out_are_replaced_with_their_month_or_with_the_table(warehouse, provenance, partitioning):
    table = replace(SAMPLE, name="sample_of_months", partitioning=partitioning)
    warehouse.ensure([table])
    dates = ["2024-01-02", "2024-01-31", "2024-02-01", "2024-02-29"]
    months = partitioning.expected(np.array(dates, "datetime64[D]"))
    empty = table.arrow_schema().empty_table()
    warehouse.replace(table, months, empty, provenance(months), left_out(held_back=dates))
    warehouse.replace(table, months[-1:], empty, provenance(months[-1:]), left_out(held_back=["2024-02-29"]))
    kept = ["01-02", "01-31", "02-29"] if len(months) == 2 else ["02-29"]
    assert dates_of(warehouse, ops.HELD_BACK, table) == kept


def test_left_out_rows_that_do_not_fit_leave_nothing_written(warehouse, provenance, rows):
    bad = LeftOutRows(pd.DataFrame({"date": pd.to_datetime(["2024-01-02"])}), left_out().held_back)
    with pytest.raises(ValueError, match=r"ops\.quarantine"):
        warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS), bad)
    assert len(warehouse.read(SAMPLE)) == 0
    assert warehouse.ledger_rows({SAMPLE.id}).empty


def test_a_run_has_one_row_for_a_table_that_sums_up_its_writes(warehouse, provenance, rows):
    first = warehouse.replace(
        SAMPLE, DAYS[:1], rows("2024-01-02"), provenance(DAYS[:1], rows_in=7), left_out(LABELS[:1])
    )
    assert first.sums == RunSums(7, 2, 1, 0, 1, 0)
    second = provenance(DAYS, rows_in=5, earlier=first.sums)
    assert warehouse.replace(SAMPLE, DAYS, rows(*LABELS), second, left_out(held_back=LABELS)).sums == RunSums(
        rows_in=12, rows_out=6, rows_rejected=1, rows_held_back=6, partitions_written=2, partitions_unchanged=1
    )
    (kept,) = to_frame(ops.INGESTION_RUNS, warehouse.read(ops.INGESTION_RUNS)).itertuples()
    assert (kept.event_id, kept.source, kept.run_status) == ("run-1:features.sample", SAMPLE.id, "success")
    assert (kept.rows_in, kept.rows_out, kept.rows_held_back, kept.partitions_unchanged) == (12, 6, 6, 1)
    assert kept.started_at == second.started_at.floor("us") <= kept.ended_at


def test_runs_are_kept_in_place_of_those_with_the_same_event(warehouse):
    names = [column.name for column in ops.INGESTION_RUNS.columns]
    row = pd.DataFrame({"event_id": ["a", "b"], "source": "x", "run_status": "failed", "started_at": now_utc()})
    warehouse.record(ops.INGESTION_RUNS, row.reindex(columns=names))
    warehouse.record(ops.INGESTION_RUNS, row.assign(run_status="success").iloc[:1].reindex(columns=names))
    stored = warehouse.read(ops.INGESTION_RUNS, columns=("event_id", "run_status")).to_pylist()
    assert [(item["event_id"], item["run_status"]) for item in stored] == [("a", "success"), ("b", "failed")]


# -- tables -----------------------------------------------------------------------------------------------------------


def test_new_nullable_columns_are_added(warehouse, provenance, rows):
    warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    wider = replace(SAMPLE, columns=(*SAMPLE.columns, Column("colour", Type.STRING, "")))
    for _ in range(2):
        warehouse.ensure([wider])
        assert warehouse.read(wider)["colour"].to_pylist() == [None] * 4
    warehouse.replace(wider, DAYS[:1], rows("2024-01-02").assign(colour="red"), provenance(DAYS[:1]))
    assert warehouse.read(wider)["colour"].to_pylist() == ["red", None, "red", None]


def test_other_drift_stops_what_touches_the_table_and_nothing_else(warehouse, provenance, rows):
    price, volume, *others = (column for column in SAMPLE.columns if column.name != "flag")
    drifted = replace(
        SAMPLE,
        columns=(price, replace(volume, type=Type.DATE), *others, Column("colour", Type.STRING, "")),
        required=frozenset({"colour"}),
        key=("date",),
    )
    unheard_of = replace(SAMPLE, name="sample_unheard_of")
    warehouse.ensure([drifted, unheard_of])
    assert warehouse.drifted == {
        "features.sample": (
            "stored and not declared: flag",
            f"symbol is stored as {warehouse._type_of(volume)}, declared as DATE",
            "colour is required and not stored",
        )
    }
    with pytest.raises(SchemaDriftError, match=r"cbi reset features\.sample"):
        warehouse.read(drifted)
    with pytest.raises(SchemaDriftError, match=r"cbi reset features\.sample"):
        warehouse.replace(drifted, DAYS, rows(*LABELS), provenance(DAYS))
    assert len(warehouse.read(unheard_of)) == 0
    warehouse.drop(drifted.id)
    warehouse.ensure([drifted, unheard_of])
    assert len(warehouse.read(drifted)) == 0


def test_a_stored_table_that_nothing_declares_is_named_until_it_is_dropped(warehouse):
    declared, forgotten = [*TABLES.values(), SAMPLE], replace(SAMPLE, name="sample_forgotten")
    warehouse.ensure([forgotten])
    assert warehouse.undeclared(declared) == [forgotten.id]
    warehouse.drop(forgotten.id)
    assert warehouse.undeclared(declared) == []


def test_a_dropped_table_is_made_anew_and_its_partitions_are_missing(warehouse, provenance, rows):
    warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    warehouse.drop(SAMPLE.id)
    assert warehouse.ledger_rows({SAMPLE.id}).empty
    warehouse.ensure([SAMPLE])
    assert len(warehouse.read(SAMPLE)) == 0
    result = warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    assert (result.written, len(warehouse.read(SAMPLE))) == (LABELS, 4)


# -- landing ----------------------------------------------------------------------------------------------------------


def facts(registered, *, days=("2024-01-02",), content="0" * 32, **columns):
    """A landing of one file that touches `days` of hourly bars; `columns` overwrite those of its registry row."""
    moment = now_utc()
    file = {
        "file_hash": f"hash-{registered}", "landing_sequence": registered, "source_file": f"{registered}.dbn",
        "file_bytes": 1, "dataset": "SIM.DEMO", "vendor_schema": "ohlcv-1h", "stype_in": "continuous",
        "span_start": moment, "span_end": moment, "file_rows": 1, "kept_rows": 0, "rejected_rows": 1,
        "outside_rows": 0, "landed_at": moment, "withdrawn_at": pd.NaT, "refused_because": None,
    }  # fmt: skip
    rejected = pd.DataFrame({"file_hash": [f"hash-{registered}"], "source_file": "f", "source_row": 1}).assign(
        table_name="landing.ohlcv_1h", ts_event=moment, date=pd.Timestamp("2024-01-02"), symbol="ZL",
        reason="no_price", detail="",
    )  # fmt: skip
    ledger = pd.DataFrame({"table_name": "landing.ohlcv_1h", "partition_key": list(days)}).assign(
        content_hash=content, row_count=1, written_at=moment, written_run="landing", code_version="1",
        input_fingerprint="", verified_at=moment, verified_run="landing",
    )  # fmt: skip
    rows = {ops.LANDED_FILES: pd.DataFrame([file | columns]), ops.QUARANTINE: rejected}
    return LandingFacts(registered, rows, ledger)


def landed(warehouse):
    """Files, quarantined rows and content of landed dates."""
    ledger = warehouse.ledger_rows({"landing.ohlcv_1h"})
    counts = [len(warehouse.read(table)) for table in (ops.LANDED_FILES, ops.QUARANTINE)]
    return (*counts, dict(zip(ledger["partition_key"], ledger["content_hash"], strict=True)))


def test_a_landing_appends_its_rows_and_replaces_its_ledger_rows(warehouse):
    with warehouse.shared_connection():
        warehouse.take(facts(0, days=LABELS))
        assert warehouse.ledger_by_table()["landing.ohlcv_1h"].hashes.tolist() == ["0" * 32] * 2
        warehouse.take(facts(1, days=("2024-01-03",), content="1" * 32))
        assert warehouse.ledger_by_table()["landing.ohlcv_1h"].hashes.tolist() == ["0" * 32, "1" * 32]
    assert landed(warehouse) == (2, 2, {"2024-01-02": "0" * 32, "2024-01-03": "1" * 32})


def test_a_landing_that_was_overtaken_takes_nothing(warehouse):
    warehouse.take(facts(0))
    for registered in (0, 2):
        with pytest.raises(RegistryMovedError, match=f"no longer holds exactly {registered} files"):
            warehouse.take(facts(registered, content="1" * 32))
    assert landed(warehouse) == (1, 1, {"2024-01-02": "0" * 32})


@pytest.mark.parametrize("fault", ["row", "ledger"])
def test_a_landing_that_does_not_fit_takes_nothing(warehouse, fault):
    broken = facts(0, source_file=None) if fault == "row" else facts(0, content=None)
    with pytest.raises(NullInRequiredError):
        warehouse.take(broken)
    assert landed(warehouse) == (0, 0, {})
