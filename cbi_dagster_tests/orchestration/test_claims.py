"""A run is under way as long as the process that executes it lives, and no longer."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cbi_dagster.orchestration.claims import claim, claimed, end_orphans

STARTED, SUCCESS, FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE


@dg.job
def empty_job() -> None:
    pass


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    return tmp_path / "state" / "claims"


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def killed(claims: Path, run_id: str) -> None:
    """A process claims a run and is killed, after it was seen alive."""
    code = (
        "import pathlib, sys\n"
        "from cbi_dagster.orchestration.claims import claimed\n"
        "with claimed(pathlib.Path(sys.argv[1]), sys.argv[2]):\n"
        "    print('claimed', flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(claims), run_id], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"claimed\n"
    with dg.DagsterInstance.ephemeral() as instance:
        instance.create_run_for_job(empty_job, run_id=run_id, status=STARTED)
        end_orphans(claims, instance)
        assert status(instance, run_id) is STARTED
    process.kill()
    process.communicate()


def test_a_run_whose_process_was_killed_has_failed(instance: dg.DagsterInstance, claims: Path) -> None:
    run = instance.create_run_for_job(empty_job, status=STARTED)
    killed(claims, run.run_id)
    assert [path.name for path in claims.iterdir()] == [f"{run.run_id}.lock"]
    end_orphans(claims, instance)
    assert status(instance, run.run_id) is FAILURE
    (event,) = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    assert "the process that executed this run was killed" in event.event_log_entry.message
    assert list(claims.iterdir()) == []


def test_a_run_that_had_ended_before_its_process_was_killed_stays_as_it_ended(
    instance: dg.DagsterInstance, claims: Path
) -> None:
    run = instance.create_run_for_job(empty_job, status=SUCCESS)
    killed(claims, run.run_id)
    end_orphans(claims, instance)
    assert status(instance, run.run_id) is SUCCESS
    assert list(claims.iterdir()) == []


def test_a_claim_on_a_run_that_was_never_created_is_cleared_away(instance: dg.DagsterInstance, claims: Path) -> None:
    killed(claims, "11111111-0000-4000-8000-000000000000")
    end_orphans(claims, instance)
    assert instance.get_runs_count() == 0
    assert list(claims.iterdir()) == []


def test_a_claim_ends_with_its_block_and_leaves_the_run_alone(instance: dg.DagsterInstance, claims: Path) -> None:
    run = instance.create_run_for_job(empty_job, status=STARTED)
    with claimed(claims, run.run_id):
        assert [path.name for path in claims.iterdir()] == [f"{run.run_id}.lock"]
        end_orphans(claims, instance)
    assert list(claims.iterdir()) == []
    with pytest.raises(ZeroDivisionError), claimed(claims, run.run_id):
        raise ZeroDivisionError
    assert list(claims.iterdir()) == []
    assert status(instance, run.run_id) is STARTED


def test_a_claim_from_inside_a_run_outlives_that_code_and_ends_with_the_run(
    instance: dg.DagsterInstance, claims: Path
) -> None:
    run = instance.create_run_for_job(empty_job, status=STARTED)
    claim(claims, run.run_id)
    claim(claims, run.run_id)
    assert end_orphans(claims, instance) == []
    assert [path.name for path in claims.iterdir()] == [f"{run.run_id}.lock"]
    instance.report_run_canceled(run)
    assert end_orphans(claims, instance) == []
    assert list(claims.iterdir()) == []


def test_a_run_whose_process_ends_without_its_last_event_has_failed(instance: dg.DagsterInstance, claims: Path) -> None:
    run = instance.create_run_for_job(empty_job, status=STARTED)
    code = (
        "import os, pathlib, sys\n"
        "from cbi_dagster.orchestration.claims import claim\n"
        "claim(pathlib.Path(sys.argv[1]), sys.argv[2])\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(claims), run.run_id], check=True)
    assert end_orphans(claims, instance) == [run.run_id]
    assert status(instance, run.run_id) is FAILURE


def test_what_a_process_leaves_that_was_killed_while_it_claimed_is_cleared_away(
    instance: dg.DagsterInstance, claims: Path
) -> None:
    claims.mkdir(parents=True)
    left, coming = claims / "1.new", claims / "2.new"
    for path, age_s in ((left, 1000.0), (coming, 0.0)):
        path.touch()
        os.utime(path, (time.time() - age_s,) * 2)
    end_orphans(claims, instance)
    assert [path.name for path in claims.iterdir()] == ["2.new"]


def test_a_claim_that_is_interrupted_while_it_is_made_leaves_nothing(
    claims: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def interrupted(path: Path, **options: Any) -> sqlite3.Connection:
        connect(path, **options).close()
        assert path.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(sqlite3, "connect", interrupted)
    with pytest.raises(KeyboardInterrupt), claimed(claims, "run"):
        pass
    assert list(claims.iterdir()) == []


def test_a_claim_that_ends_while_others_look_is_no_dead_process(instance: dg.DagsterInstance, claims: Path) -> None:
    run = instance.create_run_for_job(empty_job, status=STARTED)
    claims.mkdir(parents=True)
    (claims / f"{run.run_id}.lock").symlink_to(claims / "gone")  # listed, and no longer there
    end_orphans(claims, instance)
    assert status(instance, run.run_id) is STARTED
    assert not (claims / "gone").exists()


def test_a_claim_is_held_from_the_moment_that_it_can_be_seen(instance: dg.DagsterInstance, claims: Path) -> None:
    runs = [instance.create_run_for_job(empty_job, status=STARTED).run_id for _ in range(100)]
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            end_orphans(claims, instance)

    watcher = threading.Thread(target=look)
    watcher.start()
    for run_id in runs:
        with claimed(claims, run_id):
            pass
    stop.set()
    watcher.join()
    assert {status(instance, run_id) for run_id in runs} == {STARTED}
