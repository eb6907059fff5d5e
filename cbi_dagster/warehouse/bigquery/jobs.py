"""Jobs whose work is done exactly once, whatever happens to requests, answers and processes.

An id of a job can be used once. Every job gets one of ours, so that a repeated request is refused rather than done
again, and a label that says whose it is, so that what is there already is told apart from what others did.
"""

from __future__ import annotations

import io
import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core import exceptions
from google.cloud import bigquery

from cbi_dagster.warehouse.bigquery.budget import Budget
from cbi_dagster.warehouse.bigquery.client import ONCE, TRANSIENT_REASONS, Service
from cbi_dagster.warehouse.bigquery.schema import Resource
from cbi_dagster.warehouse.bigquery.script import OVERTAKEN
from cbi_dagster.warehouse.contract import EngineError, OvertakenError

#: How often a job of ours may fail for a reason that passes.
ATTEMPTS = 5
#: Transactions that meet are cancelled: https://cloud.google.com/bigquery/docs/transactions#transaction_concurrency
_MET = "concurrent update"
_LABEL = "cbi_commit"


class JobFailedError(EngineError):
    """A job of the service ended in an error: nothing of it was done."""

    def __init__(self, job_id: str, reason: str, message: str) -> None:
        super().__init__(f"BigQuery job {job_id} failed ({reason}): {message}; nothing of it was done")
        self.job_id, self.reason = job_id, reason


class Jobs:
    """Runs jobs of one warehouse."""

    def __init__(self, service: Service, budget: Budget) -> None:
        self._service, self._budget = service, budget

    def load(self, rows: pa.Table, schema: pa.Schema, fields: list[Resource], destination: str, ours: str) -> None:
        """Put rows into a new table."""
        sink = io.BytesIO()
        pq.write_table(rows.cast(schema), sink, compression="zstd")
        content = sink.getvalue()
        options = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
            schema=[bigquery.SchemaField.from_api_repr(field) for field in fields],
            labels={_LABEL: ours},
        )

        def submit(job_id: str) -> Any:
            # One request up to 5 MiB, several beyond; repeating them is left to us, who know the id.
            return self._service.client.load_table_from_file(
                io.BytesIO(content), destination, size=len(content), num_retries=0, job_id=job_id, job_config=options
            )

        self.in_turn(f"cbi_load_{uuid.uuid4().hex}", ours, submit)

    def script(self, text: str, turn: str | None, ours: str) -> None:
        """Run a script that changes rows.

        `turn`: scripts of the same turn run one after the other, those of other processes included. Raises
        OvertakenError when its fence does, and JobFailedError.
        """
        options = self._options(ours)

        def submit(job_id: str) -> Any:
            return self._service.client.query(text, job_id=job_id, job_config=options, retry=ONCE, job_retry=None)

        self.in_turn(turn or f"cbi_script_{uuid.uuid4().hex}", ours, submit)

    def query(self, text: str) -> Any:
        """The job of a query that changes nothing, ended; its answer is in its `destination`."""
        ours = uuid.uuid4().hex
        options = self._options(ours)

        def submit(job_id: str) -> Any:
            return self._service.client.query(text, job_id=job_id, job_config=options, retry=ONCE, job_retry=None)

        return self.in_turn(f"cbi_query_{ours}", ours, submit)

    def rows(self, text: str) -> Iterator[tuple[Any, ...]]:
        """The few rows of a query that changes nothing."""
        job = self.query(text)
        return (tuple(row.values()) for row in job.result(retry=self._service.retry, job_retry=None))

    def in_turn(self, turn: str, ours: str, submit: Callable[[str], Any]) -> Any:
        """The job that did the work, ended.

        Ids are `turn` with a number. One that others used is waited for and left behind: whoever comes next knows what
        they did. A job of ours that failed for a reason that passes is followed by another one.
        """
        failures = 0
        for number in itertools.count(1):
            job_id = f"{turn}_{number}"
            try:
                job = self._service.again(lambda job_id=job_id: submit(job_id))  # type: ignore[misc]
            except exceptions.Conflict:
                job = self._found(job_id)
            job = self._ended(job)
            if (job.labels or {}).get(_LABEL) != ours:
                continue
            if (error := job.error_result) is None:
                if job.job_type == "query":
                    self._budget.spend(job.total_bytes_billed or 0)
                return job
            reason, message = error.get("reason", ""), error.get("message", "")
            if OVERTAKEN in message:
                raise OvertakenError("the warehouse changed while a write to it was worked out")
            if reason == "bytesBilledLimitExceeded":
                raise self._budget.refusal(f"what BigQuery job {job_id} would read ({message})")
            failures += 1
            if failures == ATTEMPTS or not (reason in TRANSIENT_REASONS or _MET in message):
                raise JobFailedError(job_id, reason, message)
            time.sleep(self._service.settings.pause_s * 2**failures)
        raise AssertionError("numbers do not end")

    def _found(self, job_id: str) -> Any:
        """A job that is there, which the service may not find at once."""
        client, location = self._service.client, self._service.settings.location
        return self._service.again(lambda: client.get_job(job_id, location=location, retry=ONCE), found_late=True)

    def _ended(self, job: Any) -> Any:
        pause = self._service.settings.pause_s / 5
        while job.state != "DONE":
            time.sleep(pause)
            pause = min(pause * 1.5, 5.0)
            job = self._found(job.job_id)
        return job

    def _options(self, ours: str) -> bigquery.QueryJobConfig:
        return bigquery.QueryJobConfig(
            maximum_bytes_billed=self._budget.next,
            labels={_LABEL: ours},
            use_query_cache=False,
        )
