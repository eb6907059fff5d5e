"""Building partitions: what is read for them, what of the result is theirs, and that a cut changes nothing."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from filelock import FileLock, Timeout

from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables import ops
from cbi_dagster.catalog.tables.market_data import OHLCV_1H
from cbi_dagster.catalog.versions import CodeVersion
from cbi_dagster.recipes import Recipe, TableOutput
from cbi_dagster.warehouse.builder import Builder, WriteOutcome
from cbi_dagster.warehouse.code import CodeAccount
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse

from .test_contract import facts

LANDED = "landing.ohlcv_1h"
LABELS = ("2024-01-02", "2024-01-03", "2024-01-04")
DAYS = np.array(LABELS, "datetime64[D]")


def bars(*labels: str, price: float = 1.0) -> pd.DataFrame:
    """A landed bar of ZL on each date; its publisher is unknown."""
    dates = pd.DatetimeIndex(labels)
    frame = pd.DataFrame({"date": dates, "ts_event": dates.tz_localize("UTC")}, index=range(len(labels)))
    texts = {"root": "ZL", "symbol": "ZL.v.0", "dataset": "SIM.DEMO", "source_file": "f"}
    numbers = {"instrument_id": 7, "volume": 3, "session_instrument_id": 7, "source_row": 0}
    prices = dict.fromkeys(("open", "high", "low", "close"), price)
    return frame.assign(publisher_id=pd.NA, session_covered=True, decision_covered=True, **texts, **numbers, **prices)


class Scene:
    """A builder over three landed dates of one row each, and what its recipe was given."""

    def __init__(self, file: Path) -> None:
        self.store = DuckDBWarehouse(file)
        self.store.take(facts(0, days=LABELS))
        self.landed = bars(*LABELS)
        self.read: list[list[tuple[str, str]]] = []
        self.made: list[list[str]] = []
        self.output: Callable[[pd.DataFrame], Any] = lambda rows: rows

    def builder(self, **changes: Any) -> Builder:
        code = CodeAccount(lambda: {OHLCV_1H.id: CodeVersion("1", {})}, "files")
        return replace(Builder(self.store, self._landed, {OHLCV_1H.id: Recipe(OHLCV_1H, self._make)}, code), **changes)

    def build(self, asked: np.ndarray | None = None, *, only_stale: bool = True, **changes: Any) -> WriteOutcome:
        return self.builder(**changes).build(OHLCV_1H, asked, "run", only_stale=only_stale)

    def run(self) -> dict[str, Any]:
        (row,) = self.store.read(ops.INGESTION_RUNS).to_pylist()[-1:]
        return row

    def _landed(self, source: str, intervals: list[Interval]) -> pd.DataFrame:
        assert source == LANDED
        self.read.append([(str(first), str(last)) for first, last in intervals])
        inside = [self.landed["date"].between(pd.Timestamp(first), pd.Timestamp(last)) for first, last in intervals]
        return self.landed[np.logical_or.reduce(inside)] if inside else self.landed.iloc[:0]

    def _make(self, rows: pd.DataFrame) -> Any:
        self.made.append([str(date)[:10] for date in rows["date"]])
        return self.output(rows)


@pytest.fixture
def scene(file: Path) -> Scene:
    return Scene(file)


def test_what_is_stale_is_built_and_what_is_not_is_neither_read_nor_computed(scene):
    assert scene.build().result.written == LABELS
    assert (scene.read, scene.made) == ([[(LABELS[0], LABELS[2])]], [[*LABELS]])
    assert scene.build().result.written == ()
    assert len(scene.made) == 1
    assert scene.build(only_stale=False).result.unchanged == LABELS
    assert len(scene.made) == 2


def test_fingerprints_that_were_made_otherwise_settle_without_a_write(scene):
    scene.build()
    before = scene.store.ledger_rows({OHLCV_1H.id})
    with duckdb.connect(scene.store.path) as connection:
        connection.execute(f"UPDATE ops.partition_ledger SET input_fingerprint = '{'0' * 32}'")
    result = scene.build().result
    assert (result.written, result.unchanged, result.rows_written) == ((), LABELS, 0)
    after = scene.store.ledger_rows({OHLCV_1H.id})
    for name in ("content_hash", "written_at", "written_run", "input_fingerprint"):
        assert after[name].tolist() == before[name].tolist()
    assert scene.build().result.unchanged == ()


def test_partitions_asked_for_are_built_if_they_are_landed(scene):
    asked = np.array([LABELS[1], "2024-01-05"], "datetime64[D]")
    build, inputs = scene.builder().prepare(OHLCV_1H, asked, "run", only_stale=False)
    assert (build.partitions.astype(str).tolist(), build.not_landed) == ([LABELS[1]], 1)
    assert {name: len(rows) for name, rows in inputs.items()} == {LANDED: 1}
    assert scene.build(asked).result.written == LABELS[1:2]


def test_rows_beyond_the_partitions_are_context_and_no_content(scene):
    scene.output = lambda rows: bars(*LABELS, price=5.0)
    outcome = scene.build(DAYS[:2])
    assert (outcome.result.written, outcome.result.rows_written, outcome.result.table_rows) == (LABELS[:2], 2, 2)
    assert [str(day) for day in outcome.span] == [*LABELS[:2]]
    assert (outcome.nulls["publisher_id"], outcome.nulls["close"]) == (2, 0)


def test_rows_left_out_are_kept_where_their_partition_is_built(scene):
    def output(rows: pd.DataFrame) -> TableOutput:
        out = pd.DataFrame({"date": pd.DatetimeIndex(LABELS), "symbol": "ZL.v.0", "reason": "no_price"})
        origin = {"file_hash": "h", "source_file": "f", "source_row": range(len(out)), "detail": ""}
        rejected = out.assign(ts_event=pd.Timestamp(0, tz="UTC"), **origin)
        return TableOutput(rows, rejected, out.assign(vendor_schema="ohlcv-1h", bar_rows=4))

    scene.output = output
    before = len(scene.store.read(ops.QUARANTINE))
    scene.build(DAYS[1:])
    assert len(scene.store.read(ops.QUARANTINE)) - before == 2
    assert [str(day) for day in scene.store.read(ops.HELD_BACK)["date"].to_pylist()] == [*LABELS[1:]]
    run = scene.run()
    assert (run["rows_in"], run["rows_out"], run["rows_rejected"], run["rows_held_back"]) == (2, 2, 2, 8)


@pytest.mark.parametrize("asked", [None, DAYS])
def test_a_build_in_slices_leaves_what_one_at_once_leaves(file, asked):
    whole = Scene(Path(shutil.copy(file, file.with_name("whole.duckdb"))))
    scene = Scene(file)
    outcome, at_once = scene.build(asked, slice_values=1), whole.build(asked)
    assert scene.made == [[label] for label in LABELS]
    assert (outcome.nulls, outcome.span) == (at_once.nulls, at_once.span)
    assert outcome.result.written == at_once.result.written == LABELS
    assert (outcome.result.rows_written, outcome.result.table_rows) == (3, 3)
    hashes = [each.store.ledger_rows({OHLCV_1H.id})["content_hash"].tolist() for each in (scene, whole)]
    assert hashes[0] == hashes[1]
    accounts = [each.run() for each in (scene, whole)]
    for name in ("rows_in", "rows_out", "partitions_written", "partitions_unchanged"):
        assert accounts[0][name] == accounts[1][name]


def test_others_have_their_turn_while_each_of_several_slices_is_computed(scene, file):
    had = []

    def output(rows: pd.DataFrame) -> pd.DataFrame:
        turn = FileLock(f"{file}.lock")
        try:
            with turn.acquire(blocking=False):
                had.append(True)
        except Timeout:
            had.append(False)
        return rows

    scene.output = output
    with scene.store.shared_connection():
        scene.build()
        assert had == [False]
        scene.build(only_stale=False, slice_values=1)
    assert had[1:] == [True, True, True]


def test_frames_of_a_slice_are_gone_when_the_next_is_computed(scene):
    frames = []

    def output(rows: pd.DataFrame) -> pd.DataFrame:
        frames.append(sum(isinstance(held, pd.DataFrame) for held in gc.get_objects()))
        return rows

    scene.output = output
    scene.build(slice_values=1)
    assert frames[1:] == frames[:1] * 2


def test_slices_that_were_written_before_a_failure_stay(scene):
    def output(rows: pd.DataFrame) -> pd.DataFrame:
        if str(rows["date"].iloc[0])[:10] == LABELS[1]:
            raise ZeroDivisionError("a fault in the function")
        return rows

    scene.output = output
    with pytest.raises(ZeroDivisionError):
        scene.build(slice_values=1)
    assert scene.store.ledger_rows({OHLCV_1H.id})["partition_key"].tolist() == [LABELS[0]]
    scene.output = lambda rows: rows
    assert scene.build().result.written == LABELS[1:]
