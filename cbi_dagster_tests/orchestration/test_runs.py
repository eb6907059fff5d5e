"""Backfills and refreshes as a program starts them: which runs, in which order, and when they stop."""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
import threading
import time
from collections.abc import Collection
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from cbi_dagster.catalog import ASSET_TABLES, Table
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.catalog.tables.market_data import OHLCV_1D, OHLCV_1H, OHLCV_1M
from cbi_dagster.catalog.tables.ops import INGESTION_RUNS
from cbi_dagster.catalog.tables.regimes import REGIME_CALENDAR
from cbi_dagster.catalog.tables.training import ZL_TRAINING
from cbi_dagster.home import Home
from cbi_dagster.orchestration.building import NothingLandedError, landed_span
from cbi_dagster.orchestration.partitions import asset_key
from cbi_dagster.orchestration.runs import (
    NeverCurrentError,
    backfill,
    opened_instance,
    refresh,
)
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster.warehouse.builder import Builder, WriteOutcome
from cbi_dagster.warehouse.plan import Plan

pytestmark = pytest.mark.usefixtures("files_stay_open")

FIRST, LAST = np.datetime64("2023-06-05"), np.datetime64("2023-06-09")
MONTHLY = ZL_TRAINING[0]


class Told:
    """What a run tells of its tables: id, partitions written and unchanged; and the time that each took."""

    def __init__(self) -> None:
        self.tables: list[tuple[str, int, int]] = []
        self.seconds: list[float] = []
        self.moments: list[float] = []

    def __call__(self, table: Table, outcome: WriteOutcome, seconds: float) -> None:
        self.seconds.append(seconds)
        self.moments.append(time.perf_counter())
        self.tables.append((table.id, len(outcome.result.written), len(outcome.result.unchanged)))


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A week of hours, landed and nothing built."""
    home, delivery = Home(tmp_path_factory.mktemp("home")), tmp_path_factory.mktemp("delivery")
    simulate_delivery(delivery, seed=3, start=dt.date(2023, 6, 5), end=dt.date(2023, 6, 10), minute_roots=())
    home.prepare()
    home.open().ready().landing.land([delivery])
    return home.path


@pytest.fixture
def home(landed: Path, tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(landed, tmp_path / "home")))


def test_a_backfill_is_one_run_of_trade_dates_and_months(home: Home) -> None:
    told = Told()
    assert backfill(home, [OHLCV_1H, REGIME_CALENDAR, MONTHLY], FIRST, LAST, told)
    assert told.tables == [(OHLCV_1H.id, 5, 0), (REGIME_CALENDAR.id, 5, 0), (MONTHLY.id, 1, 0)]
    with opened_instance(home) as instance:
        (run,) = instance.get_runs()
        assert (run.job_name, run.is_success) == ("backfill", True)
    assert list(home.claims.iterdir()) == []


def test_what_fails_is_recorded_and_what_is_not_made_of_it_is_built(home: Home) -> None:
    (archived,) = home.landing.rglob("*.ohlcv-1h.dbn.zst")
    archived.unlink()
    told = Told()
    assert not backfill(home, [OHLCV_1H, REGIME_CALENDAR, MONTHLY], FIRST, LAST, told)
    assert told.tables == [(REGIME_CALENDAR.id, 5, 0), (MONTHLY.id, 1, 0)]
    warehouse = home.open().warehouse
    rows = warehouse.read(INGESTION_RUNS, columns=["source", "run_status", "error_message"]).to_pylist()
    (failed,) = (row for row in rows if row["run_status"] == "failed")
    assert failed["source"] == OHLCV_1H.id
    assert "is missing from the archive" in failed["error_message"]

    current = home.open().builder
    assert not refresh(home, [OHLCV_1H], current, current.plan([OHLCV_1H]), told)
    with opened_instance(home) as instance:
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.FAILURE}


def test_a_refresh_rebuilds_what_is_stale_and_nothing_else(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    chain, told = [OHLCV_1M, OHLCV_1H, OHLCV_1D, MONTHLY], Told()
    assert backfill(home, [OHLCV_1H], FIRST, np.datetime64("2023-06-07"), Told())
    current = home.open().builder
    assert refresh(home, chain, current, current.plan(chain), told)
    assert told.tables == [(OHLCV_1H.id, 2, 0), (OHLCV_1D.id, 5, 0), (MONTHLY.id, 1, 0)]
    assert told.seconds[1] == pytest.approx(told.moments[1] - told.moments[0], abs=0.05), "since the table before"
    assert not current.plan(chain).tables
    assert capfd.readouterr() == ("", ""), "what a run says is in its page of the UI, not on the screen"


def test_a_refresh_after_which_the_same_is_stale_ends_with_an_error(home: Home) -> None:
    current = home.open().builder
    first = current.plan([OHLCV_1H])

    class Restless(Builder):
        def plan(self, wanted: Collection[Table] | None = None) -> Plan:
            return first

    restless = Restless(**{field.name: getattr(current, field.name) for field in fields(current)})
    told = Told()
    with pytest.raises(NeverCurrentError, match=f"{OHLCV_1H.id} stay stale after a rebuild"):
        refresh(home, [OHLCV_1H], restless, first, told)
    assert told.tables == [(OHLCV_1H.id, 5, 0)]


@pytest.mark.parametrize(
    ("first", "last", "span"),
    [
        (None, None, ("2023-06-05", "2023-06-09")),
        ("2023-06-07", None, ("2023-06-07", "2023-06-09")),
        (None, "2023-06-07", ("2023-06-05", "2023-06-07")),
        ("2023-06-07", "2023-06-07", ("2023-06-07", "2023-06-07")),
        ("2020-01-01", "2030-01-01", ("2023-06-05", "2023-06-09")),
    ],
)
def test_a_span_is_what_was_landed_of_the_range_both_ends_included(
    landed: Path, first: str | None, last: str | None, span: tuple[str, str]
) -> None:
    ends = [dt.date.fromisoformat(end) if end else None for end in (first, last)]
    assert landed_span(Home(landed).open().warehouse, *ends) == tuple(np.datetime64(day) for day in span)


def test_a_range_without_landed_data_is_an_error_that_says_what_was_landed(landed: Path) -> None:
    with pytest.raises(NothingLandedError, match="landed: 2023-06-05 … 2023-06-09"):
        landed_span(Home(landed).open().warehouse, dt.date(2023, 6, 10), None)


def test_who_creates_the_dagster_instance_is_alone_with_it(tmp_path: Path) -> None:
    place = Home(tmp_path / "home")
    place.prepare()
    opened: list[int] = []

    def other() -> None:
        with opened_instance(place) as instance:
            opened.append(instance.get_runs_count())

    with closing(sqlite3.connect(place.dagster / "creation.lock", isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        there = {path.name for path in place.dagster.iterdir()}
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(1)
        assert thread.is_alive()
        assert {path.name for path in place.dagster.iterdir()} == there
    thread.join(60)
    assert opened == [0]
    with opened_instance(place) as first, opened_instance(place) as second:  # only creating it takes turns
        assert first.get_runs_count() == second.get_runs_count() == 0


def test_what_was_written_is_looked_at_told_and_shown_on_the_asset_page(home: Home) -> None:
    found: list[tuple[str, str]] = []
    assert backfill(
        home, ASSET_TABLES, FIRST, LAST, Told(),
        lambda check, result: found.append((check.name, result.table.id)),
    )  # fmt: skip
    assert ("quality", DAILY_ML_MATRIX.id) in found
    assert {name for name, _ in found} == {"quality", "split_sizes", "settlements", "vendor_conditions"}
    key = dg.AssetCheckKey(asset_key(DAILY_ML_MATRIX.id), "quality")
    with opened_instance(home) as instance:
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
        assert record.event is not None
        evaluation = record.event.asset_check_evaluation
        assert evaluation is not None
        assert {"rows", "null_rates"} <= evaluation.metadata.keys()
    again: list[str] = []
    assert backfill(home, ASSET_TABLES, FIRST, LAST, Told(), lambda check, result: again.append(check.name))
    assert again == [], "nothing was written, nothing is looked at"
