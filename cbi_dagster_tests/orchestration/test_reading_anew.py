"""Files that other code or settings read last are read anew by a run of the landing job; what a tick says meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest

from cbi_dagster.orchestration.sensors import ANEW_TAG, ORPHANS_TAG, build_sensors
from cbi_dagster_tests.orchestration.scenes import Scene

pytestmark = pytest.mark.usefixtures("files_stay_open")

HOURS = "landing.ohlcv_1h"


@pytest.fixture
def stale(scene: Scene, march: Path) -> Scene:
    """March is landed, and then the ledger says that other code read it."""
    shutil.copy(march, scene.watched)
    assert scene.launch(scene.request(scene.landing)).success
    scene.by_other_hands(f"UPDATE ops.partition_ledger SET code_version = 'other' WHERE table_name = '{HOURS}'")
    return scene


def test_what_was_read_by_other_code_is_read_anew_before_anything_is_built_from_it(stale: Scene) -> None:
    waiting = stale.tick(stale.refresh).skip_message
    assert waiting == f"{HOURS} must be read anew first: landing_sensor asks for that"
    request = stale.request(stale.landing)
    assert ANEW_TAG in request.tags
    assert stale.request(stale.landing).run_key == request.run_key, "a tick that is repeated names the same run"
    run_id = stale.begin(request, dg.DagsterRunStatus.STARTED)
    for sensor in (stale.landing, stale.refresh):
        assert stale.tick(sensor).skip_message == "files are being landed"
    stale.end(run_id)
    assert stale.launch(stale.request(stale.landing)).success
    assert stale.builder.stale_sources() == {}
    assert (stale.tick(stale.landing).skip_message or "").startswith("0 files ready")


def test_reading_anew_that_failed_is_asked_for_again_under_another_name_and_after_twice_the_time(stale: Scene) -> None:
    (archived,) = stale.home.landing.rglob("*.ohlcv-1h.dbn.zst")
    aside = archived.rename(stale.home.path / "aside")
    first = stale.request(stale.landing)
    assert not stale.launch(first).success
    again = stale.request(stale.landing)
    assert again.run_key != first.run_key
    assert again.tags[ANEW_TAG] == first.tags[ANEW_TAG]
    assert not stale.launch(again).success
    patient, _ = build_sensors(stale.home, stale.builder, str(stale.watched), settle_s=100.0)
    told = stale.tick(patient).skip_message or ""
    assert told.startswith(f"reading {HOURS} anew has failed 2 times, last in run ")
    assert told.endswith("it is asked for again 400 s after that")
    aside.rename(archived)
    assert stale.launch(stale.request(stale.landing)).success
    assert stale.builder.stale_sources() == {}


def test_a_run_whose_process_was_killed_is_ended_and_asked_for_again_at_once(stale: Scene) -> None:
    patient, _ = build_sensors(stale.home, stale.builder, str(stale.watched), settle_s=1000.0)
    run_id = stale.begin(stale.request(patient))
    assert stale.tick(patient).skip_message == "files are being landed"
    (stale.home.claims / f"{run_id}.lock").touch()  # that nobody holds
    again = stale.request(patient)
    assert again.tags[ORPHANS_TAG] == run_id
    run = stale.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert "has failed 1 times" in (stale.tick(patient).skip_message or ""), "it was asked for, and waits its turn"
    assert stale.launch(again).success
    other = stale.begin(again)
    (stale.home.claims / f"{other}.lock").touch()
    told = stale.tick(patient).skip_message or ""
    assert told.startswith("0 files ready")
    assert told.endswith(f"; an orphan was ended: the process of run {other} was killed")
