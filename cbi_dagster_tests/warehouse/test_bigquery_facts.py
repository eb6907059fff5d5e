"""What the engine takes for granted of the service, on the loopback server and, where one is configured, on a project.

With `CBI_LIVE_BIGQUERY_PROJECT=my-project`, pytest on this file makes datasets there that begin with `cbi_live_`, and
removes them. What rests on documentation alone comes first.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pytest
from google.cloud import bigquery

from cbi_dagster.catalog import OPS_TABLES, TABLES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.ops import PARTITION_LEDGER
from cbi_dagster.catalog.views import views
from cbi_dagster.warehouse.bigquery import BigQuerySettings, BigQueryWarehouse
from cbi_dagster.warehouse.bigquery.budget import Budget, TooManyBytesError
from cbi_dagster.warehouse.bigquery.client import Service
from cbi_dagster.warehouse.bigquery.jobs import Jobs
from cbi_dagster.warehouse.changes import Change
from cbi_dagster.warehouse.contract import OvertakenError

from .conftest import SAMPLE

LIVE = os.environ.get("CBI_LIVE_BIGQUERY_PROJECT", "")
LABELS = ("2024-01-02", "2024-01-03")
DAYS = np.array(LABELS, "datetime64[D]")


@dataclass
class Place:
    """A warehouse of its own, with SAMPLE in it, and the jobs that it runs."""

    settings: BigQuerySettings
    warehouse: BigQueryWarehouse
    service: Service
    jobs: Jobs

    @property
    def table(self) -> str:
        return f"`{self.settings.name(SAMPLE.id)}`"

    def script(self, *statements: str) -> None:
        self.jobs.script(";\n".join(["BEGIN TRANSACTION", *statements, "COMMIT TRANSACTION"]), None, uuid.uuid4().hex)

    def ask(self, question: str) -> list[dict]:
        """The answer over SAMPLE, which no catalog has."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(TABLES, SAMPLE.id, SAMPLE)
            return self.warehouse.query(question).to_pylist()

    def count(self) -> int:
        ((count,),) = self.jobs.rows(f"SELECT COUNT(*) AS n FROM {self.table}")
        return int(count)


@pytest.fixture(params=["loopback", pytest.param("live", marks=pytest.mark.skipif(not LIVE, reason="no project"))])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    prefix = f"cbi_live_{uuid.uuid4().hex[:8]}_"
    if request.param == "live":
        settings = BigQuerySettings(LIVE, os.environ.get("CBI_LIVE_BIGQUERY_LOCATION", "US"), prefix)
    else:
        server = request.getfixturevalue("loopback")
        settings = BigQuerySettings("loopback", prefix=prefix, endpoint=server.endpoint, retry_s=20.0)
    service = Service(settings)
    warehouse = BigQueryWarehouse(settings)
    try:
        warehouse.ensure([*OPS_TABLES, SAMPLE])
        yield Place(
            settings, warehouse, service, Jobs(service, Budget(settings.max_bytes_billed, settings.max_run_bytes))
        )
    finally:
        for dataset in service.client.list_datasets():
            if dataset.dataset_id.startswith(prefix):
                service.client.delete_dataset(dataset.reference, delete_contents=True, not_found_ok=True)


def test_a_fence_that_raises_leaves_nothing_behind_and_is_told_apart(place, provenance, rows):
    place.warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    with pytest.raises(OvertakenError):
        place.warehouse._commit(Change((), verified=(SAMPLE.id, 1)))
    with pytest.raises(OvertakenError):
        place.script(
            f"DELETE FROM {place.table} WHERE TRUE",
            f"IF (SELECT COUNT(*) FROM {place.table}) <> 4 THEN RAISE USING MESSAGE = 'cbi: overtaken'; END IF",
        )
    assert place.count() == 4


def test_transactions_that_add_rows_to_one_table_all_commit(place):
    insert = f"INSERT INTO {place.table} (`date`, `symbol`, `price`) SELECT DATE '2024-01-02', '%s', 1.5"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: place.script(insert % number), range(4)))
    assert place.count() == 4


def test_transactions_that_meet_are_cancelled_in_words_that_are_known(place, provenance, rows):
    place.warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    statements = [f"DELETE FROM {place.table} WHERE `date` = DATE '{label}'" for label in LABELS]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(place.script, statements))
    assert place.count() == 0


def test_an_id_is_used_once_and_its_job_says_whose_it_is(place):
    turn = f"cbi_turn_{uuid.uuid4().hex}"
    submitted = []

    def submitting(ours: str):
        def submit(job_id: str):
            submitted.append((ours, job_id))
            options = bigquery.QueryJobConfig(labels={"cbi_commit": ours})
            return place.service.client.query("SELECT 1 AS one", job_id=job_id, job_config=options, job_retry=None)

        return submit

    first = place.jobs.in_turn(turn, "one", submitting("one"))
    assert place.jobs.in_turn(turn, "one", submitting("one")).job_id == first.job_id
    assert place.jobs.in_turn(turn, "two", submitting("two")).job_id == f"{turn}_2"
    assert submitted == [("one", f"{turn}_1"), ("one", f"{turn}_1"), ("two", f"{turn}_1"), ("two", f"{turn}_2")]


def test_whole_partitions_are_deleted_without_reading_them(place, provenance, rows):
    place.warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    options = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
    for condition, reads in (("`date` BETWEEN DATE '2024-01-02' AND DATE '2024-01-03'", False), ("`price` > 0", True)):
        job = place.service.client.query(f"DELETE FROM {place.table} WHERE {condition}", job_config=options)
        assert (job.total_bytes_processed > 0) is reads


def test_what_was_read_in_a_snapshot_is_of_its_beginning(place, provenance, rows):
    with place.warehouse.snapshot():
        assert len(place.warehouse.read(SAMPLE)) == 0
        BigQueryWarehouse(place.settings).replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
        assert len(place.warehouse.read(SAMPLE)) == len(place.warehouse.ledger_rows({SAMPLE.id})) == 0
        assert place.warehouse.coverage(SAMPLE)[0].rows == 0
    assert len(place.warehouse.read(SAMPLE)) == 4


def test_a_view_is_made_found_again_and_asked_by_its_name(place, provenance, rows):
    health = views()["monitoring.vw_pipeline_health"]
    place.warehouse.ensure([*OPS_TABLES, SAMPLE], [health])
    assert not place.warehouse.lacking([*OPS_TABLES, SAMPLE], [health])
    for number in range(2):
        place.warehouse.replace(SAMPLE, DAYS, rows(*LABELS).assign(price=float(number)), provenance(DAYS))
    columns = "table_name, partitions, table_rows, last_run_status"
    shown = list(place.jobs.rows(f"SELECT {columns} FROM `{place.settings.name(health.id)}`"))
    asked = place.warehouse.query(f"SELECT {columns} FROM {health.id}").to_pylist()
    assert shown == [tuple(row.values()) for row in asked] == [(SAMPLE.id, 2, 4, "success")]


def test_an_answer_has_its_order_and_its_moment(place, provenance, rows):
    question = "SELECT date, symbol, price, pivots.P AS pivot FROM features.sample ORDER BY price DESC"
    with place.warehouse.snapshot():
        place.jobs.script(
            f"INSERT INTO {place.table} (`date`, `symbol`, `price`) SELECT DATE '2024-01-02', 'ZL', 1.5", None, "later"
        )
        assert place.ask(question) == []
    place.warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    assert [row["price"] for row in place.ask(question)] == [3.5, 2.5, 1.5, 0.5]


def test_a_query_that_would_be_billed_for_more_than_it_may_is_refused(place, provenance, rows):
    place.warehouse.replace(SAMPLE, DAYS, rows(*LABELS), provenance(DAYS))
    thrifty = BigQueryWarehouse(replace(place.settings, max_bytes_billed=1))
    with pytest.raises(TooManyBytesError, match="CBI_BIGQUERY_MAX_BYTES"):
        thrifty.coverage(SAMPLE)


def test_what_was_written_last_to_the_books_holds(place, provenance, rows):
    for number in range(3):
        made = provenance(DAYS, run=f"run-{number}", prints=f"print-{number}")
        place.warehouse.replace(SAMPLE, DAYS, rows(*LABELS).assign(price=float(number)), made)
    ledger = to_frame(PARTITION_LEDGER, place.warehouse.read(PARTITION_LEDGER))
    assert ledger["input_fingerprint"].tolist() == ["print-2"] * 2
    assert set(place.warehouse.read(SAMPLE)["price"].to_pylist()) == {2.0}
