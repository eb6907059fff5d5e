"""The sensors over a real watched directory, warehouse and instance; the daemon's part is to call them and launch."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from cbi_dagster.catalog.tables.market_data import OHLCV_1H
from cbi_dagster.orchestration.partitions import asset_key
from cbi_dagster.orchestration.sensors import LANDING_TAG, Seen, after_landing, build_sensors, look
from cbi_dagster.reports.status import status
from cbi_dagster_tests.orchestration.scenes import Scene, empty_job

pytestmark = pytest.mark.usefixtures("files_stay_open")

# -- which files are ready --------------------------------------------------------------------------------------------


def test_a_file_is_ready_once_it_has_settled() -> None:
    known, ready = look({"a": "10:1"}, {}, now=100.0, settle_s=30.0)
    assert (known["a"], ready) == (Seen("10:1", 100.0), [])
    assert look({"a": "10:1"}, known, 129.0, 30.0)[1] == []
    assert look({"a": "10:1"}, known, 130.0, 30.0)[1] == ["a"]


def test_a_file_that_still_grows_waits_anew() -> None:
    known, _ = look({"a": "10:1"}, {}, 100.0, 30.0)
    known, ready = look({"a": "20:2"}, known, 140.0, 30.0)
    assert (known["a"].since, ready) == (140.0, [])


def test_a_file_that_is_dealt_with_is_taken_again_only_when_it_changes() -> None:
    done = {"a": Seen("10:1", 0.0, asked="x", failures=3, done=True)}
    assert look({"a": "10:1"}, done, 999.0, 30.0) == (done, [])
    known, _ = look({"a": "11:3"}, done, 999.0, 30.0)
    assert known == {"a": Seen("11:3", 999.0)}


def test_a_file_that_is_gone_is_forgotten() -> None:
    assert look({}, {"a": Seen("10:1", 0.0)}, 999.0, 30.0) == ({}, [])


@pytest.mark.parametrize(("failures", "wait_s"), [(0, 30.0), (1, 60.0), (3, 240.0), (7, 3840.0), (50, 3840.0)])
def test_every_landing_that_failed_doubles_the_wait_up_to_an_hour_or_so(failures: int, wait_s: float) -> None:
    seen = {"a": Seen("10:1", 100.0, failures=failures)}
    assert look({"a": "10:1"}, seen, 99.0 + wait_s, 30.0)[1] == []
    assert look({"a": "10:1"}, seen, 100.0 + wait_s, 30.0)[1] == ["a"]


@pytest.mark.parametrize(
    ("statuses", "known"),
    [
        (["SUCCESS"], Seen("10:1", 0.0, "key", 1, done=True)),
        (["FAILURE"], Seen("10:1", 50.0, "", 2)),
        (["CANCELED"], Seen("10:1", 50.0, "", 2)),
        ([], Seen("10:1", 50.0, "", 2)),
        (["FAILURE", "SUCCESS"], Seen("10:1", 0.0, "key", 1, done=True)),
        (["FAILURE", "FAILURE"], Seen("10:1", 50.0, "", 2)),
        *((["FAILURE", status], None) for status in ("NOT_STARTED", "STARTING", "STARTED", "CANCELING")),
    ],
    ids=lambda value: "+".join(value) or "never launched" if isinstance(value, list) else "",
)
def test_a_file_is_dealt_with_when_a_run_of_its_request_succeeded(statuses: list[str], known: Seen | None) -> None:
    other = Seen("99:9", 7.0)
    with dg.DagsterInstance.ephemeral() as instance:
        for status in statuses:
            instance.create_run_for_job(empty_job, tags={LANDING_TAG: "key"}, status=dg.DagsterRunStatus(status))
        instance.create_run_for_job(empty_job, tags={LANDING_TAG: "another"}, status=dg.DagsterRunStatus.STARTED)
        found = after_landing({"a": Seen("10:1", 0.0, "key", 1), "b": other}, instance, 50.0)
    assert found == (None if known is None else {"a": known, "b": other})


# -- landing ----------------------------------------------------------------------------------------------------------


def test_arriving_files_are_landed_and_only_what_they_make_stale_is_run(scene: Scene, march: Path, april: Path) -> None:
    shutil.copy(march, scene.watched)
    assert scene.launch(scene.request(scene.landing)).success
    assert scene.landed() == [march.name]
    assert scene.launch(scene.request(scene.refresh)).success, "trade dates and months in one run"
    assert scene.tick(scene.refresh).skip_message == "nothing is stale"
    tick = scene.tick(scene.landing)
    assert (tick.run_requests, tick.skip_message) == ([], f"0 files ready, 0 still settling in {scene.watched}")
    built = scene.warehouse.ledger_rows({OHLCV_1H.id})["partition_key"]
    assert (built.min(), built.max()) == ("2023-03-01", "2023-03-31")

    shutil.copy(april, scene.watched)
    assert scene.launch(scene.request(scene.landing)).success
    assert scene.landed() == [march.name, april.name]
    run = scene.launch(scene.request(scene.refresh))
    assert run.success
    records = scene.instance.fetch_materializations(asset_key(OHLCV_1H.id), limit=100).records
    told = {record.partition_key for record in records if record.run_id == run.run_id}
    assert (min(told), max(told)) == ("2023-04-03", "2023-05-01")


def test_a_tick_that_is_repeated_names_the_same_run(scene: Scene, march: Path) -> None:
    shutil.copy(march, scene.watched)
    asked = scene.request(scene.landing)
    scene.forget()
    again = scene.request(scene.landing)
    assert asked.run_key == again.run_key == again.tags[LANDING_TAG]
    assert len(again.run_key or "") == 32
    scene.launch(again)
    keys = {scene.request(scene.refresh).run_key for _ in range(2)}
    assert keys == {f"{scene.builder.plan().digest} 0"}


def test_a_file_that_changes_is_another_request(scene: Scene, march: Path, april: Path) -> None:
    file = scene.watched / "new.ohlcv-1h.dbn.zst"
    shutil.copy(march, file)
    first = scene.request(scene.landing)
    assert scene.launch(first).success
    shutil.copy(april, file)
    second = scene.request(scene.landing)
    assert second.run_key != first.run_key
    assert scene.launch(second).success
    assert scene.landed() == [file.name] * 2


def test_a_broken_file_is_refused_by_name_and_the_others_are_landed(scene: Scene, march: Path, april: Path) -> None:
    shutil.copy(march, scene.watched)
    broken = scene.watched / "broken.ohlcv-1h.dbn.zst"
    broken.write_bytes(march.read_bytes()[:5000])
    run = scene.launch(scene.request(scene.landing))
    assert run.success
    logged = [(record.level, record.user_message) for record in scene.instance.all_logs(run.run_id)]
    (error,) = [message for level, message in logged if level == 40]
    assert "refused broken.ohlcv-1h.dbn.zst: its last compressed frame is incomplete" in error
    assert any(message.startswith("landed 1 files with ") and "refused 1" in message for _, message in logged)
    assert scene.landed() == [march.name]
    told = scene.told(run.run_id)
    assert told["run_status"].to_dict() == {broken.name: "failed", march.name: "success", "land_files": "success"}
    assert "incomplete" in told.loc[broken.name, "error_message"]
    assert scene.tick(scene.landing).skip_message.startswith("0 files ready, 0 still settling")

    shutil.copy(april, broken)
    run = scene.launch(scene.request(scene.landing))
    assert scene.told(run.run_id)["run_status"].to_dict() == {broken.name: "success", "land_files": "success"}


def test_a_file_that_is_gone_before_the_run_stops_no_other(scene: Scene, march: Path, april: Path) -> None:
    for file in (march, april):
        shutil.copy(file, scene.watched)
    request = scene.request(scene.landing)
    (scene.watched / march.name).unlink()
    assert scene.launch(request).success
    assert scene.landed() == [april.name]


def test_a_file_whose_landing_fails_is_asked_for_again_under_another_name(scene: Scene, march: Path) -> None:
    shutil.copy(march, scene.watched)
    first = scene.request(scene.landing)
    archive = scene.home.landing
    archive.rmdir()
    archive.write_text("no directory")  # as a full or broken disk: no fault of the file
    run = scene.launch(first)
    assert not run.success
    assert scene.landed() == []
    scene.tell_of_failure(run)
    assert status(scene.warehouse).failed["source"].to_list() == ["land_files"]
    second = scene.request(scene.landing)
    assert second.run_key != first.run_key
    archive.unlink()
    archive.mkdir()
    assert scene.launch(second).success
    assert scene.landed() == [march.name]
    assert scene.tick(scene.landing).run_requests == []
    assert status(scene.warehouse).failed.empty


def test_what_failed_in_a_run_of_the_daemon_is_kept(scene: Scene, march: Path) -> None:
    shutil.copy(march, scene.watched)
    scene.launch(scene.request(scene.landing))
    (archived,) = scene.home.landing.rglob("*.ohlcv-1h.dbn.zst")
    archived.unlink()
    run = scene.launch(scene.request(scene.refresh))
    assert not run.success
    scene.tell_of_failure(run)
    kept = scene.told(run.run_id)
    assert kept.index[kept["run_status"] == "failed"].to_list() == ["market_data.databento_futures_ohlcv_1h"]
    assert "is missing from the archive" in kept.loc["market_data.databento_futures_ohlcv_1h", "error_message"]


@pytest.mark.parametrize("tags", [None, {}], ids=["asked for by the sensor", "started by a person"])
def test_nothing_else_is_asked_for_while_files_are_being_landed(
    scene: Scene, march: Path, april: Path, tags: dict[str, str] | None
) -> None:
    shutil.copy(march, scene.watched)
    landing = scene.request(scene.landing)
    assert scene.launch(landing).success
    run_id = scene.begin(landing, dg.DagsterRunStatus.NOT_STARTED, tags)
    shutil.copy(april, scene.watched)
    for sensor in (scene.landing, scene.refresh):
        assert scene.tick(sensor).skip_message == "files are being landed"
    run = scene.instance.get_run_by_id(run_id)
    assert run is not None
    scene.instance.report_run_canceled(run)
    assert scene.request(scene.refresh)
    assert scene.request(scene.landing)


def test_nothing_is_refreshed_while_a_refresh_is_under_way(scene: Scene, march: Path) -> None:
    shutil.copy(march, scene.watched)
    scene.launch(scene.request(scene.landing))
    scene.begin(scene.request(scene.refresh))
    assert "tables are being built" in (scene.tick(scene.refresh).skip_message or "")


def test_a_refresh_whose_process_was_killed_is_ended_and_asked_for_again_at_once(scene: Scene, march: Path) -> None:
    shutil.copy(march, scene.watched)
    scene.launch(scene.request(scene.landing))
    patient = build_sensors(scene.home, scene.builder, str(scene.watched), settle_s=1000.0)[1]
    asked = scene.request(patient)
    run_id = scene.begin(asked)
    (scene.home.claims / f"{run_id}.lock").touch()  # that nobody holds
    again = scene.request(patient)
    assert again.run_key != asked.run_key
    killed = scene.instance.get_run_by_id(run_id)
    assert killed is not None
    assert killed.status is dg.DagsterRunStatus.FAILURE
    assert "has failed 1 times" in (scene.tick(patient).skip_message or ""), "it was asked for, and waits its turn"
    scene.begin(again)
    other = scene.begin(asked)
    (scene.home.claims / f"{other}.lock").touch()
    told = scene.tick(patient).skip_message or ""
    assert told.startswith("tables are being built")
    assert f"an orphan was ended: the process of run {other} was killed" in told


_EXECUTE = """
import json, pathlib, sys
import dagster as dg
from cbi_dagster.definitions import build_defs
from cbi_dagster.home import Home
home = Home(pathlib.Path(sys.argv[1]))
request = json.load(sys.stdin)
with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
    build_defs(home).resolve_job_def("landing").execute_in_process(instance=instance, **request)
"""


def test_the_files_of_a_landing_that_was_killed_are_landed_by_the_next(scene: Scene, march: Path) -> None:
    shutil.copy(march, scene.watched)
    asked = scene.request(scene.landing)
    with scene.warehouse.shared_connection():  # the landing waits for the file
        process = subprocess.Popen(
            [sys.executable, "-c", _EXECUTE, str(scene.home.path)],
            stdin=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        json.dump({"tags": asked.tags, "run_config": asked.run_config}, process.stdin)
        process.stdin.close()
        while process.poll() is None and not list(scene.home.claims.glob("*.lock")):
            time.sleep(0.05)
        assert process.poll() is None
        assert scene.tick(scene.landing).skip_message == "files are being landed"
        os.killpg(process.pid, signal.SIGKILL)  # with the processes that copy its output
        process.wait()
    (run,) = scene.instance.get_runs()
    assert not run.is_finished
    again = scene.request(scene.landing)
    (run,) = scene.instance.get_runs()
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert again.run_key != asked.run_key
    assert scene.launch(again).success
    assert scene.landed() == [march.name]
    scene.tick(scene.landing)
    assert list(scene.home.claims.iterdir()) == []


def test_what_an_earlier_version_knew_of_files_is_found_out_anew(scene: Scene, march: Path) -> None:
    shutil.copy(march, scene.watched)
    scene._cursor = json.dumps({str(scene.watched / march.name): ["10:1", 0.0, True]})
    assert scene.launch(scene.request(scene.landing)).success
    assert scene.landed() == [march.name]


def test_without_a_directory_the_landing_sensor_says_how_to_name_one(scene: Scene) -> None:
    sensor, refresh = build_sensors(scene.home, scene.builder, None)
    assert "cbi ui --watch" in (scene.tick(sensor).skip_message or "")
    assert {sensor.default_status, refresh.default_status} == {dg.DefaultSensorStatus.STOPPED}
    assert {scene.landing.default_status, scene.refresh.default_status} == {dg.DefaultSensorStatus.RUNNING}
    assert {scene.landing.minimum_interval_seconds, scene.refresh.minimum_interval_seconds} == {30}
