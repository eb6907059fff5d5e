"""The sensor follows what has landed as the vendor has it, says what it costs, and spends through a run of the job."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from cbi_dagster.definitions import build_defs
from cbi_dagster.home import Home
from cbi_dagster.orchestration.fetching import FETCH_TAG, databento_sensor
from cbi_dagster.orchestration.landing import FETCHING_JOB
from cbi_dagster.orchestration.runs import opened_instance
from cbi_dagster.vendors.simulate import SIMULATED_DATASET, simulate_delivery
from cbi_dagster_tests.fakes.databento import Faults, LoopbackDatabento, Market
from cbi_dagster_tests.fakes.databento.server import KEY
from cbi_dagster_tests.vendors.databento.live import LiveHome

pytestmark = pytest.mark.usefixtures("files_stay_open")

BOTH = ("MES.v.0", "ZL.v.0")
START, END = dt.date(2023, 3, 1), dt.date(2023, 4, 1)


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vendor") / "delivery"
    simulate_delivery(path, seed=3, start=START, end=END, minute_roots=())
    return path


@pytest.fixture
def server(delivery: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackDatabento]:
    with LoopbackDatabento(Market.of(delivery.glob("*.dbn.zst"))) as server:
        monkeypatch.setenv("DATABENTO_API_KEY", KEY)
        monkeypatch.setenv("CBI_DATABENTO_GATEWAY", server.endpoint)
        monkeypatch.setenv("CBI_DATABENTO_DATASET", SIMULATED_DATASET)
        yield server


class Daemon:
    """The sensor's part and the daemon's: ticks, and runs of what they ask for."""

    def __init__(self, path: Path, server: LoopbackDatabento) -> None:
        self.live = LiveHome(path / "home", server)
        self.home = Home(self.live.home.path)
        self.sensor = databento_sensor(self.home, self.home.open(), running=True, settle_s=0.0)
        self.defs = build_defs(self.home, live=True)
        self.cursor: str | None = None
        self.told: str | None = None

    def tick(self, instance: dg.DagsterInstance) -> dg.RunRequest | None:
        context = dg.build_sensor_context(instance=instance, cursor=self.cursor, definitions=self.defs)
        found = self.sensor.evaluate_tick(context)
        self.cursor, self.told = found.cursor or self.cursor, found.skip_message
        return found.run_requests[0] if found.run_requests else None

    def launch(self, instance: dg.DagsterInstance, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        return self.defs.resolve_job_def(FETCHING_JOB).execute_in_process(
            instance=instance, run_config=request.run_config, tags=request.tags, raise_on_error=False
        )


@pytest.fixture
def daemon(tmp_path: Path, server: LoopbackDatabento) -> Daemon:
    return Daemon(tmp_path, server)


@pytest.fixture
def instance(daemon: Daemon) -> Iterator[dg.DagsterInstance]:
    with opened_instance(daemon.home) as instance:
        yield instance


@pytest.mark.parametrize("last", ["2023-03-16", pytest.param("2023-04-01", marks=pytest.mark.slow)])
def test_what_arrives_day_by_day_equals_one_load_and_every_day_is_paid_once(
    daemon: Daemon, instance: dg.DagsterInstance, tmp_path: Path, last: str
) -> None:
    live = daemon.live
    live.until("2023-03-14")
    live.fetch("2023-03-01", symbols=BOTH)
    for day in pd.date_range("2023-03-14T21:00", last, freq="D", inclusive="left"):
        for end in (day, day.normalize() + pd.Timedelta(days=1)):
            live.until(str(end))
            if (request := daemon.tick(instance)) is not None:
                assert daemon.launch(instance, request).success
            assert daemon.tick(instance) is None, "what was fetched is current"
    bulk = LiveHome(tmp_path / "bulk", live.server)
    paid = live.server.dollars
    bulk.fetch("2023-03-01", symbols=BOTH)
    assert (live.hashes(), live.conditions()) == (bulk.hashes(), bulk.conditions())
    assert paid == pytest.approx(live.server.dollars - paid)


def test_a_tick_says_what_there_is_and_a_request_what_it_costs(daemon: Daemon, instance: dg.DagsterInstance) -> None:
    live = daemon.live
    assert daemon.tick(instance) is None  # nothing has landed, so nothing is followed
    live.until("2023-03-14")
    live.fetch("2023-03-13", symbols=BOTH)
    assert daemon.tick(instance) is None
    assert daemon.told == "nothing to ask for: the vendor has data until 2023-03-14 00:00 UTC"
    assert json.loads(daemon.cursor or "")["ends"] == {"ohlcv-1h": "2023-03-14T00:00:00+00:00"}
    live.until("2023-03-15")
    paid = live.server.dollars
    request = daemon.tick(instance)
    assert request is not None
    assert live.server.dollars == paid
    assert daemon.launch(instance, request).success
    assert float(request.tags["cbi/dollars"]) == pytest.approx(live.server.dollars - paid, abs=1e-4)


def test_a_corrected_day_is_asked_for_by_the_weekly_sweep_however_old_it_is(
    daemon: Daemon, instance: dg.DagsterInstance
) -> None:
    live = daemon.live
    live.fetch("2023-03-13", symbols=BOTH)
    assert daemon.tick(instance) is None
    live.server.market.days[dt.date(2023, 3, 14)] = ("available", dt.date(2023, 4, 20))
    assert daemon.tick(instance) is None  # years ago: asked for once a week
    cursor = json.loads(daemon.cursor or "")
    daemon.cursor = json.dumps(cursor | {"swept": str(dt.date.today() - dt.timedelta(days=8))})
    request = daemon.tick(instance)
    assert request is not None
    assert daemon.launch(instance, request).success
    assert live.books()["span_start"].iloc[-1] == pd.Timestamp("2023-03-14", tz="UTC")
    assert daemon.tick(instance) is None


def test_a_tick_over_a_cap_asks_for_nothing_and_says_so(
    daemon: Daemon, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.live.until("2023-03-14")
    daemon.live.fetch("2023-03-13", symbols=BOTH)
    daemon.live.until("2023-03-20")
    monkeypatch.setenv("CBI_DATABENTO_REQUEST_DOLLARS", "0.0001")
    capped = Daemon(daemon.home.path.parent, daemon.live.server)
    assert capped.tick(instance) is None
    assert "more than the cap of $0.0001 a request: ask for less, or raise CBI_DATABENTO_REQUEST_DOLLARS" in str(
        capped.told
    )


@pytest.mark.parametrize("key", ["", "db-wrong"])
def test_a_tick_without_a_key_or_with_a_wrong_one_says_so(
    daemon: Daemon, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("DATABENTO_API_KEY", key)
    assert daemon.tick(instance) is None
    assert "DATABENTO_API_KEY" in str(daemon.told)
    assert "db-wrong" not in str(daemon.told)


def test_a_run_that_fails_is_asked_for_again_later_and_other_work_waits_for_a_fetch(
    daemon: Daemon, instance: dg.DagsterInstance
) -> None:
    daemon.live.until("2023-03-14")
    daemon.live.fetch("2023-03-13", symbols=BOTH)
    daemon.live.until("2023-03-15")
    request = daemon.tick(instance)
    assert request is not None
    daemon.live.server.faults = Faults.of("timeseries.get_range", ["401"])
    run = daemon.launch(instance, request)
    assert not run.success
    daemon.live.server.faults = Faults()
    again = daemon.tick(instance)
    assert again is not None
    assert again.tags[FETCH_TAG] == request.tags[FETCH_TAG]
    assert again.run_key != request.run_key
    assert daemon.launch(instance, again).success
    job = daemon.defs.resolve_job_def(FETCHING_JOB)
    instance.create_run_for_job(job, run_config=request.run_config, status=dg.DagsterRunStatus.STARTED)
    for name in ("databento_sensor", "landing_sensor", "refresh_sensor"):
        context = dg.build_sensor_context(instance=instance, definitions=daemon.defs)
        assert "landed" in str(daemon.defs.resolve_sensor_def(name).evaluate_tick(context).skip_message)


def test_the_key_is_in_no_event_no_log_and_no_file(
    daemon: Daemon, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    daemon.live.until("2023-03-14")
    daemon.live.fetch("2023-03-13", symbols=BOTH)
    for fault in ("401", "cut", None):
        daemon.live.until("2023-03-15" if fault != "cut" else "2023-03-16")
        daemon.live.server.faults = Faults.of("timeseries.get_range", [fault])
        if (request := daemon.tick(instance)) is not None:
            run = daemon.launch(instance, request)
            assert KEY not in repr(instance.all_logs(run.run_id))
            assert KEY not in repr(instance.get_run_by_id(run.run_id))
    told = "".join(capfd.readouterr()) + str(daemon.cursor)
    assert KEY not in told
    files = [path for path in daemon.home.path.rglob("*") if path.is_file()]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def test_the_definitions_load_without_a_key_and_say_where_it_is_read_from() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "from cbi_dagster.definitions import defs; print(defs.resources['databento'])"],
        check=True, capture_output=True, text=True,
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), "CBI_HOME": "/nonexistent", "CBI_LIVE": "1"},
    )  # fmt: skip
    assert "DATABENTO_API_KEY" in told.stdout
