"""A run that a signal ends is no failed table, and a failed table is told in a sentence."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import dagster as dg
import pytest

from cbi_dagster.catalog.tables.ops import INGESTION_RUNS
from cbi_dagster.home import Home
from cbi_dagster.orchestration.failures import record_failures, sentence, was_interrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_told_from_a_failure(tmp_path: Path, number: signal.Signals) -> None:
    @dg.op
    def waits() -> None:
        os.kill(os.getpid(), number)

    @dg.op
    def breaks() -> None:
        raise ZeroDivisionError

    @dg.job
    def interrupted() -> None:
        waits()

    @dg.job
    def failed() -> None:
        breaks()

    warehouse = Home(tmp_path).open().ready().warehouse
    with dg.DagsterInstance.ephemeral() as instance:
        runs = [job.execute_in_process(instance=instance, raise_on_error=False) for job in (interrupted, failed)]
        assert [was_interrupted(instance, run.run_id) for run in runs] == [True, False]
        for run in runs:
            record_failures(warehouse, instance, run.run_id)
    rows = warehouse.read(INGESTION_RUNS, columns=("source",)).to_pylist()
    assert rows == [{"source": "breaks"}]


@pytest.mark.parametrize(
    "after",
    [
        dg.DagsterEventType.RUN_START,
        dg.DagsterEventType.RESOURCE_INIT_STARTED,
        dg.DagsterEventType.STEP_START,
        dg.DagsterEventType.STEP_SUCCESS,
    ],
)
def test_a_signal_is_told_whenever_in_a_run_it_comes(
    monkeypatch: pytest.MonkeyPatch, after: dg.DagsterEventType
) -> None:
    @dg.op
    def works() -> None:
        pass

    @dg.job
    def interrupted() -> None:
        works()

    with dg.DagsterInstance.ephemeral() as instance:
        store = instance.event_log_storage.store_event

        def store_and_interrupt(event: dg.EventLogEntry) -> None:
            store(event)
            if event.dagster_event_type is after:
                os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(instance.event_log_storage, "store_event", store_and_interrupt)
        run = interrupted.execute_in_process(instance=instance, raise_on_error=False)
        assert not run.success
        assert was_interrupted(instance, run.run_id)


def test_of_an_error_the_first_lines_matter() -> None:
    assert sentence("\nValueError: close is wrong\n\n  in row 3\n") == "ValueError: close is wrong in row 3"
    long = sentence("SchemaError: " + "\n".join(f"row {number} is wrong" for number in range(200)))
    assert long == "SchemaError: row 0 is wrong row 1 is wrong row 2 is wrong"
    assert len(sentence("x" * 5000)) < 700
