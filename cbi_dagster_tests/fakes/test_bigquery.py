"""The loopback server keeps the service's rules, as the official client sees them."""

from __future__ import annotations

import datetime as dt
import io
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from cbi_dagster_tests.fakes.bigquery import LoopbackBigQuery
from cbi_dagster_tests.fakes.bigquery.storage import Project, Transaction

FIELDS = [
    bigquery.SchemaField("date", "DATE", "REQUIRED"),
    bigquery.SchemaField("price", "FLOAT"),
    bigquery.SchemaField("symbol", "STRING"),
]
DAYS = [dt.date(2024, 1, 2), dt.date(2024, 1, 3)]


class Scene:
    """A server with a partitioned table `d.t`, and the official client of it."""

    def __init__(self, server: LoopbackBigQuery) -> None:
        self.server = server
        self.client = bigquery.Client(
            project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": server.endpoint}
        )
        self.client.create_dataset("d")
        table = bigquery.Table("p.d.t", FIELDS)
        table.time_partitioning = bigquery.TimePartitioning("DAY", "date")
        self.client.create_table(table)

    def load(self, rows: pa.Table, table="p.d.t", *, truncate=False, resumable=False, **options):
        file = io.BytesIO()
        pq.write_table(rows, file)
        size = None if resumable else file.tell()
        file.seek(0)
        config = bigquery.LoadJobConfig(
            source_format="PARQUET", write_disposition="WRITE_TRUNCATE" if truncate else "WRITE_APPEND", **options
        )
        job_id = options.pop("job_id", uuid.uuid4().hex)
        return self.client.load_table_from_file(file, table, size=size, job_config=config, job_id=job_id).result()

    def query(self, text: str, job_id: str | None = None, **options):
        config = bigquery.QueryJobConfig(**options)
        name = job_id or uuid.uuid4().hex
        return self.client.query(text, job_id=name, job_config=config, retry=None, job_retry=None)

    def prices(self) -> list[float]:
        return self.server.project.table("d.t").rows.sort_by("date")["price"].to_pylist()


@pytest.fixture
def scene():
    with LoopbackBigQuery() as server:
        yield Scene(server)


def rows(*days, price=1.0, **columns):
    return pa.table({"date": pa.array(days, pa.date32()), "price": [price] * len(days), **columns})


@pytest.mark.parametrize("resumable", [False, True], ids=["multipart", "resumable"])
def test_columns_are_loaded_by_name_and_missing_ones_are_null(scene, resumable):
    scene.load(rows(*DAYS).select(["price", "date"]), resumable=resumable)
    assert scene.server.project.table("d.t").rows.to_pylist() == [
        {"date": day, "price": 1.0, "symbol": None} for day in DAYS
    ]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (rows(None), "Required field date"),
        (rows(*DAYS, colour=["red"] * 2), "no such field: colour"),
        (rows(*DAYS).set_column(1, "price", pa.array(["1", "2"])), "changed type"),
    ],
)
def test_rows_that_do_not_fit_are_refused_whole(scene, bad, said):
    scene.load(rows(*DAYS))
    with pytest.raises(exceptions.BadRequest, match=said):
        scene.load(bad, truncate=True)
    assert scene.prices() == [1.0, 1.0]


def test_a_decorator_replaces_its_partition_and_takes_no_rows_of_others(scene):
    scene.load(rows(*DAYS))
    scene.load(rows(DAYS[0], price=2.0), "p.d.t$20240102", truncate=True)
    assert scene.prices() == [2.0, 1.0]
    with pytest.raises(exceptions.BadRequest, match="partition 20240102"):
        scene.load(rows(DAYS[1]), "p.d.t$20240102", truncate=True)
    assert scene.prices() == [2.0, 1.0]


def test_an_id_is_used_once_also_by_a_job_that_failed(scene):
    with pytest.raises(exceptions.BadRequest):
        scene.query("nonsense", "mine").result(job_retry=None)
    with pytest.raises(exceptions.Conflict):
        scene.query("SELECT 1 AS one", "mine")


def test_a_transaction_is_rolled_back_by_what_it_raises(scene):
    scene.load(rows(*DAYS))
    script = (
        "BEGIN TRANSACTION; DELETE FROM `p.d.t` WHERE TRUE; "
        "IF (SELECT COUNT(*) FROM `p.d.t`) <> 1 THEN RAISE USING MESSAGE = 'not one'; END IF; COMMIT TRANSACTION;"
    )
    with pytest.raises(exceptions.BadRequest, match="not one"):
        scene.query(script).result(job_retry=None)
    assert scene.prices() == [1.0, 1.0]


def test_transactions_see_their_beginning_and_cannot_both_delete(scene):
    scene.load(rows(*DAYS))
    project = scene.server.project
    first, second = Transaction(project), Transaction(project)
    for transaction in (first, second):
        transaction.delete("d.t", np.array([True, False]))
    first.commit()
    assert len(second.rows("d.t")) == 1
    with pytest.raises(Exception, match="concurrent update against table"):
        second.commit()
    assert scene.prices() == [1.0]


def test_transactions_that_only_add_do_not_conflict(scene):
    project = scene.server.project
    transactions = [Transaction(project) for _ in DAYS]
    for transaction, day in zip(transactions, DAYS, strict=True):
        transaction.insert("d.t", rows(day))
    for transaction in transactions:
        transaction.commit()
    assert scene.prices() == [1.0, 1.0]


def test_a_long_list_of_values_names_exactly_the_rows_that_have_one():
    project = Project(clock=lambda: 0.0)
    names = [f"table {number}" for number in range(40)]
    held = pa.table({"name": np.repeat(names, 70)})
    quoted = ", ".join(f"'{name}'" for name in names[::3])
    found = project.holding(f"`name` IN ({quoted})", held)
    assert held.filter(pa.array(found))["name"].unique().to_pylist() == names[::3]
    assert found.sum() == 70 * len(names[::3])


def test_a_table_is_read_as_it_was(scene):
    scene.load(rows(*DAYS))
    ((moment,),) = [row.values() for row in scene.query("SELECT CURRENT_TIMESTAMP() AS moment").result()]
    scene.query("DELETE FROM `p.d.t` WHERE `date` = DATE '2024-01-02'").result()
    micros = (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    counts = [
        [tuple(row.values()) for row in scene.query(f"SELECT COUNT(*) AS n FROM `p.d.t`{at}").result()]
        for at in ("", f" FOR SYSTEM_TIME AS OF TIMESTAMP_MICROS({micros})")
    ]
    assert counts == [[(1,)], [(2,)]]


def test_a_table_expires(scene):
    staging = bigquery.Dataset("p.staging")
    staging.default_table_expiration_ms = 3_600_000
    scene.client.create_dataset(staging)
    scene.load(rows(*DAYS), "p.staging.rows", schema=FIELDS)
    scene.server.project.pass_time(3_500)
    assert scene.client.get_table("p.staging.rows").num_rows == 2
    scene.server.project.pass_time(3_700)
    with pytest.raises(exceptions.NotFound):
        scene.client.get_table("p.staging.rows")


def test_a_job_changes_at_most_4000_partitions(scene):
    many = [dt.date(2000, 1, 1) + dt.timedelta(n) for n in range(4_001)]
    with pytest.raises(exceptions.Forbidden, match="Too many partitions"):
        scene.load(rows(*many))
    scene.load(rows(*many[:4_000]))
    scene.load(rows(many[-1]))
    with pytest.raises(exceptions.Forbidden, match="Too many partitions"):
        scene.query("DELETE FROM `p.d.t` WHERE TRUE").result(job_retry=None, retry=None)


def test_a_partitioned_table_is_changed_at_most_50_times_in_ten_seconds(scene):
    scene.server.project._job_seconds = 0.1
    for _ in range(50):
        scene.load(rows(DAYS[0]))
    with pytest.raises(exceptions.TooManyRequests, match="rate limits"):
        scene.load(rows(DAYS[0]))
    scene.server.project.pass_time(10)
    scene.load(rows(DAYS[0]))


def test_bytes_are_estimated_capped_and_none_for_whole_partitions(scene):
    scene.load(rows(*DAYS, symbol=["ZL", "ES"]))
    estimate = scene.query("SELECT MAX(price) AS p FROM `p.d.t`", dry_run=True)
    assert estimate.total_bytes_processed == 16
    with pytest.raises(exceptions.GoogleAPICallError, match="exceeded limit for bytes billed"):
        scene.query("SELECT MAX(price) AS p FROM `p.d.t`", maximum_bytes_billed=15).result(job_retry=None)
    scene.query("DELETE FROM `p.d.t` WHERE `date` = DATE '2024-01-02'", maximum_bytes_billed=1).result()
    assert len(scene.prices()) == 1


def test_a_table_cannot_be_clustered_by_a_struct_nor_lose_a_column(scene):
    struct = bigquery.SchemaField("s", "RECORD", fields=(bigquery.SchemaField("x", "FLOAT"),))
    clustered = bigquery.Table("p.d.c", [*FIELDS, struct])
    clustered.clustering_fields = ["s"]
    with pytest.raises(exceptions.BadRequest, match="clustered"):
        scene.client.create_table(clustered)
    narrower = scene.client.get_table("p.d.t")
    narrower.schema = FIELDS[:2]
    with pytest.raises(exceptions.BadRequest, match="does not match"):
        scene.client.update_table(narrower, ["schema"])
