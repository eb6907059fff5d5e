"""The engine for many machines: every write is whole, whatever becomes of requests, jobs and processes."""

from __future__ import annotations

import base64
import itertools
import json
import multiprocessing
import os
import random
import re
import signal
import threading
from dataclasses import replace

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cbi_dagster.catalog import ASSET_TABLES, OPS_TABLES, TABLES, Daily, Monthly
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.catalog.tables.ops import INGESTION_RUNS, PARTITION_LEDGER
from cbi_dagster.warehouse.bigquery import BigQuerySettings, BigQueryWarehouse, engine
from cbi_dagster.warehouse.bigquery.jobs import ATTEMPTS, JobFailedError
from cbi_dagster.warehouse.bigquery.resource import ProjectResource
from cbi_dagster.warehouse.bigquery.schema import table_resource
from cbi_dagster.warehouse.bigquery.script import PARTITIONS_A_STATEMENT, script_of
from cbi_dagster.warehouse.changes import Change, Gone, Provenance, Swap
from cbi_dagster.warehouse.contract import EngineError, OvertakenError, UnreachableWarehouseError
from cbi_dagster_tests.fakes.bigquery import FAULTS, Faults, LoopbackBigQuery
from cbi_dagster_tests.fakes.bigquery.storage import ServiceError

from .conftest import SAMPLE

DAYS = np.array(["2024-01-02", "2024-01-03"], dtype="datetime64[D]")
LABELS = ("2024-01-02", "2024-01-03")


class Scene:
    """A server with the books and SAMPLE, and writers on it."""

    def __init__(self, server: LoopbackBigQuery, provenance, rows) -> None:
        self.server, self.provenance, self.rows = server, provenance, rows
        self.settings = BigQuerySettings("loopback", endpoint=server.endpoint, retry_s=20.0)
        self.warehouse = self.opened()
        self.warehouse.ensure([*OPS_TABLES, SAMPLE])

    def opened(self, **settings) -> BigQueryWarehouse:
        """A warehouse as another process has it."""
        return BigQueryWarehouse(replace(self.settings, **settings))

    def write(self, price: float, warehouse: BigQueryWarehouse | None = None, labels=LABELS):
        days = np.array(labels, "datetime64[D]")
        content = self.rows(*labels).assign(price=price)
        made = self.provenance(days, run=f"run-{price}", prints=f"print-{price}")
        return (warehouse or self.warehouse).replace(SAMPLE, days, content, made)

    def requests(self, act) -> int:
        """How many requests something takes."""
        before = len(self.server.faults.asked)
        act()
        return len(self.server.faults.asked) - before

    def require_whole(self) -> float | None:
        """One set of rows, of the run that the ledger names; its price, None for no rows."""
        self.server.wait_until_idle()
        self.server.faults = Faults()
        warehouse = self.opened()
        frame = to_frame(SAMPLE, warehouse.read(SAMPLE))
        ledger = warehouse.ledger_rows({SAMPLE.id})
        if frame.empty:
            assert ledger.empty
            return None
        assert len(frame) == 4
        (price,) = frame["price"].unique()
        assert ledger["input_fingerprint"].tolist() == [f"print-{price}"] * 2
        assert ledger["written_run"].tolist() == [f"run-{price}"] * 2
        found = warehouse.stored_hashes(SAMPLE, DAYS)
        assert ledger["content_hash"].tolist() == found.tolist()
        return price


@pytest.fixture
def scene(provenance, rows):
    with LoopbackBigQuery() as server:
        yield Scene(server, provenance, rows)


# -- tables -----------------------------------------------------------------------------------------------------------


def test_tables_are_partitioned_clustered_described_and_required_as_declared():
    settings = BigQuerySettings("p", prefix="x_", require_partition_filter=True, kms_key="key")
    for table in TABLES.values():
        made = table_resource(settings, table)
        assert made["tableReference"]["datasetId"] == f"x_{table.dataset}"
        kind = {Daily: "DAY", Monthly: "MONTH"}.get(type(table.partitioning))
        assert made.get("timePartitioning", {}).get("type") == kind
        assert made.get("requirePartitionFilter", False) is (kind is not None)
        assert made.get("clustering", {}).get("fields", []) == list(table.cluster)
        assert made["encryptionConfiguration"] == {"kmsKeyName": "key"}
        required = {field["name"] for field in made["schema"]["fields"] if field["mode"] == "REQUIRED"}
        assert required == table.required
        assert all(field["description"] for field in made["schema"]["fields"])


def test_every_table_of_the_catalog_is_made_and_found_as_declared(scene):
    scene.warehouse.ensure(TABLES.values())
    again = scene.opened()
    assert scene.requests(lambda: again.ensure(TABLES.values())) < 2 * len(TABLES)
    assert again.drifted == {}
    assert again.undeclared([*TABLES.values(), SAMPLE]) == []
    assert len(again.read(DAILY_ML_MATRIX)) == 0


def test_a_table_that_wants_a_filter_is_read_counted_and_written(scene):
    strict = scene.opened(prefix="strict_", require_partition_filter=True)
    strict.ensure([*OPS_TABLES, SAMPLE])
    for price in (1.0, 2.0):
        scene.write(price, strict)
    assert set(strict.read(SAMPLE)["price"].to_pylist()) == {2.0}
    assert next(item for item in strict.coverage(SAMPLE) if item.path == "price").known == 4


def test_a_read_or_a_query_that_would_cost_too_much_is_refused(scene):
    scene.write(1.0)
    thrifty = scene.opened(max_bytes_billed=60)
    assert len(thrifty.read(SAMPLE, columns=["flag"])) == 4
    with pytest.raises(
        EngineError, match=r"features\.sample: a read of 80 bytes is more than the 60 that one may have"
    ):
        thrifty.read(SAMPLE, columns=["price"])
    with pytest.raises(EngineError, match="exceeded limit for bytes billed"):
        thrifty.coverage(SAMPLE)


def test_a_run_has_what_all_its_queries_and_reads_may_have_together(scene):
    scene.write(1.0)
    thrifty = scene.opened(max_run_bytes=200)
    with thrifty.for_run("one"):
        thrifty.read(SAMPLE, columns=["price"])
        thrifty.read(SAMPLE, columns=["price"])
        with pytest.raises(EngineError, match=r"it has had 160 of the 200 bytes .*CBI_BIGQUERY_MAX_RUN_BYTES"):
            thrifty.read(SAMPLE, columns=["price"])
    with thrifty.for_run("another"):
        thrifty.read(SAMPLE, columns=["price"])
    for _ in range(4):
        thrifty.read(SAMPLE, columns=["price"])  # no run's: `cbi status` is never refused for what was read before


def test_a_run_that_has_had_its_bytes_writes_nothing_more_and_what_it_wrote_is_whole(scene):
    scene.write(1.0)
    thrifty = scene.opened(max_run_bytes=25 << 20)
    with thrifty.for_run("one"), pytest.raises(EngineError, match="what was written before is whole"):
        [scene.write(float(price), thrifty) for price in range(2, 100)]
    price = scene.require_whole()
    assert 2.0 <= price < 99.0
    assert "--select" in thrifty.too_costly(1 << 30)
    assert thrifty.too_costly(1 << 20) == ""


# -- settings that mean something else -------------------------------------------------------------------------------


def test_datasets_at_another_location_are_named_before_anything_is_written(scene):
    elsewhere = scene.opened(location="EU")
    with pytest.raises(EngineError, match=r"loopback\.\w+ is at US, and CBI_BIGQUERY_LOCATION says EU"):
        elsewhere.ensure([*OPS_TABLES, SAMPLE])
    scene.opened(location="us").ensure([*OPS_TABLES, SAMPLE])
    reference = {"projectId": "loopback", "datasetId": "new_features"}
    scene.server.project.datasets["new_features"] = {"datasetReference": reference, "location": "US"}
    with pytest.raises(EngineError, match="new_features is at US"):
        scene.opened(location="EU", prefix="new_").ensure([SAMPLE])


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"type": "authorized_user"}'])
def test_a_file_that_is_no_key_is_named(scene, tmp_path, content):
    place = tmp_path / "key.json"
    place.write_text(content, encoding="utf-8")
    real = BigQueryWarehouse(BigQuerySettings("p", key_file=str(place)))
    with pytest.raises(EngineError, match=r"key\.json is no service account's key"):
        real.exists()


def test_what_the_service_refuses_is_told_in_words(scene):
    del scene.server.project.tables["features.sample"]
    with pytest.raises(EngineError, match="do project, location and prefix name what is meant"):
        scene.warehouse.read(SAMPLE)
    assert scene.warehouse.exists()


# -- clients ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def key() -> dict[str, str]:
    """A service account's key that opens nothing."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    secret = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {
        "type": "service_account",
        "client_email": "x@p.example",
        "token_uri": "https://p.example",
        "private_key": secret,
    }


def test_credentials_stay_out_of_the_environment_of_the_process(key, tmp_path):
    place = tmp_path / "key.json"
    place.write_text(json.dumps(key), encoding="utf-8")
    encoded = base64.b64encode(place.read_bytes()).decode()
    before = dict(os.environ)
    with (
        ProjectResource(project="p", gcp_credentials=encoded).get_client() as given,
        ProjectResource.of(BigQuerySettings("p", "EU", key_file=str(place))).get_client() as filed,
    ):
        for client in (given, filed):
            assert client._credentials.service_account_email == "x@p.example"
        assert (filed.project, filed.location) == ("p", "EU")
    assert dict(os.environ) == before


def test_an_asset_of_ones_own_can_ask_the_project(scene):
    scene.write(1.0)

    @dg.asset
    def mine(bigquery: ProjectResource) -> int:
        with bigquery.get_client() as client:
            (row,) = client.query("SELECT COUNT(*) AS n FROM `loopback.features.sample`").result()
        return int(row["n"])

    done = dg.materialize([mine], resources={"bigquery": ProjectResource.of(scene.settings)})
    assert done.output_for_node("mine") == 4


# -- one moment -------------------------------------------------------------------------------------------------------


def test_a_snapshot_sees_one_moment(scene):
    warehouse = scene.warehouse
    with warehouse.snapshot():
        assert len(warehouse.read(SAMPLE)) == 0
        scene.write(1.0, scene.opened())
        assert len(warehouse.read(SAMPLE)) == 0
        assert warehouse.ledger_by_table({SAMPLE.id}) == {}
        assert warehouse.coverage(SAMPLE)[0].rows == 0
    assert len(warehouse.read(SAMPLE)) == 4
    with warehouse.snapshot():
        assert len(warehouse.read(SAMPLE)) == 4


# -- the one way to write ---------------------------------------------------------------------------------------------


def test_the_ledger_of_a_snapshot_is_of_its_moment_whatever_was_read_before(scene):
    with scene.warehouse.shared_connection():
        assert scene.warehouse.ledger_by_table({SAMPLE.id}) == {}
        scene.write(1.0, scene.opened())
        with scene.warehouse.snapshot():
            assert len(scene.warehouse.ledger_by_table({SAMPLE.id})[SAMPLE.id].keys) == len(LABELS)
            assert len(scene.warehouse.read(SAMPLE)) > 0


def test_no_statement_changes_more_partitions_than_a_job_may():
    days = np.datetime64("2000-01-03") + np.arange(0, 14_000, 2)
    rows = pa.table({"date": days})
    change = Change((Swap(SAMPLE, rows, gone=Gone("date", (days, days))),))
    text = script_of(change, ["p.staging.rows"], lambda name: f"p.{name}")
    deletes, inserts = (re.findall(rf"{word} .*?;\n", text, re.DOTALL) for word in ("DELETE FROM", "INSERT INTO"))
    counts = [statement.count("DATE '") for statement in (*deletes, *inserts)]
    assert counts == 2 * [PARTITIONS_A_STATEMENT, PARTITIONS_A_STATEMENT, 1_000]
    assert len(text) < 1 << 20


def test_thousands_of_scattered_partitions_are_one_change(scene):
    days = np.datetime64("2000-01-03") + np.arange(0, 14_000, 2)
    labels = days.astype(str)
    result = scene.write(1.0, labels=labels)
    assert (len(result.written), result.table_rows) == (7_000, 14_000)
    before = len(scene.server.project.jobs)
    result = scene.write(2.0, labels=labels[::10])
    assert len(scene.server.project.jobs) == before + 4, "three loads and one script, as for a single date"
    assert (len(result.written), result.table_rows) == (700, 14_000)
    assert sorted(np.unique(scene.warehouse.read(SAMPLE)["price"].to_numpy(), return_counts=True)[1]) == [1400, 12600]


def test_the_books_are_added_to_and_what_was_written_last_holds(scene):
    for price in (1.0, 2.0, 3.0):
        scene.write(price)
    assert len(scene.server.project.table("ops.partition_ledger").rows) == 6
    assert len(scene.warehouse.read(PARTITION_LEDGER)) == 2
    assert scene.require_whole() == 3.0
    assert scene.server.project.table("ops.ingestion_runs").mutated_at == 0
    assert len(scene.warehouse.read(INGESTION_RUNS)) == 3


def test_a_crowded_ledger_is_cleared_of_what_no_longer_holds(scene, monkeypatch):
    monkeypatch.setattr(engine, "_CROWDED", 5)
    for price in (1.0, 2.0, 3.0):
        scene.write(price)
    stored = scene.server.project.table("ops.partition_ledger")
    assert len(stored.rows) == 6, "nobody has looked since it is crowded"
    before = scene.warehouse.ledger_rows()
    later = scene.opened()
    later.ensure([*OPS_TABLES, SAMPLE])
    scene.write(3.0, later)
    assert len(stored.rows) == 2
    pd.testing.assert_frame_equal(scene.opened().ledger_rows(), before)
    assert scene.require_whole() == 3.0
    scene.write(4.0, later)
    assert (len(stored.rows), scene.require_whole()) == (4, 4.0)


def test_a_ledger_that_somebody_writes_to_is_not_cleared(scene, monkeypatch):
    for price in (1.0, 2.0):
        scene.write(price)
    read = BigQueryWarehouse._streamed

    def reading(warehouse, table, names, only):
        rows = read(warehouse, table, names, only)
        if not only:
            monkeypatch.setattr(BigQueryWarehouse, "_streamed", read)
            scene.write(3.0, scene.opened())
        return rows

    monkeypatch.setattr(BigQueryWarehouse, "_streamed", reading)
    with pytest.raises(OvertakenError):
        scene.opened()._compact()
    assert len(scene.server.project.table("ops.partition_ledger").rows) == 6
    assert scene.require_whole() == 3.0


def test_what_is_staged_expires(scene):
    scene.write(1.0)
    staged = [name for name in scene.server.project.tables if name.startswith("cbi_staging.")]
    assert staged
    scene.server.project.pass_time(3_601)
    for name in staged:
        with pytest.raises(ServiceError, match="Not found"):
            scene.server.project.table(name)


# -- trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FAULTS)
def test_a_request_that_meets_a_fault_leaves_one_set_of_rows(scene, kind):
    scene.write(1.0)
    count = scene.requests(lambda: scene.write(2.0))
    for number in range(count):
        scene.server.faults = Faults.at(number, kind)
        price = 3.0 + number
        scene.write(price)
        assert scene.server.faults.met
        assert scene.require_whole() == price


@pytest.mark.parametrize("upload", [True, False], ids=["load", "script"])
def test_a_job_whose_answer_was_lost_is_found_also_if_the_service_does_not_find_it_at_once(scene, upload):
    scene.write(1.0)
    kinds = iter(["lost", "missing", "missing"])

    def plan(number, method, path):
        first = path.endswith("/jobs") and not scene.server.faults.met and path.startswith("/upload") is upload
        return next(kinds, None) if first or "/jobs/" in path else None

    scene.server.faults = Faults(plan)
    jobs = len(scene.server.project.jobs)
    scene.write(2.0)
    assert scene.server.faults.met == ["lost", "missing", "missing"]
    assert len(scene.server.project.jobs) == jobs + 4
    assert scene.require_whole() == 2.0


@pytest.mark.parametrize("kind", ["dropped", "lost"])
def test_a_writer_that_is_gone_between_two_requests_leaves_all_or_nothing(scene, kind):
    scene.write(1.0)
    held = 1.0
    outcomes = set()
    for number in itertools.count():
        # From its request of this number on nothing of it arrives any more; the last one may be done all the same.
        scene.server.faults = Faults(
            lambda at, method, path, number=number: (kind if at == number else "dropped") if at >= number else None
        )
        gone = scene.opened(retry_s=0.02)
        try:
            scene.write(2.0 + number, gone)
        except UnreachableWarehouseError:
            found = scene.require_whole()
            assert found in (held, 2.0 + number)
            outcomes.add(found == held)
            held = found
        else:
            break
    assert number > 4
    assert outcomes == ({True} if kind == "dropped" else {True, False})
    assert scene.require_whole() == 2.0 + number


@pytest.mark.parametrize("reason", ["jobBackendError", "rateLimitExceeded", "invalidQuery"])
@pytest.mark.parametrize("kind", ["load", "query"])
def test_a_job_that_failed_for_a_reason_that_passes_is_followed_by_another(scene, kind, reason):
    said = "Transaction is aborted due to concurrent update against table x" if reason == "invalidQuery" else "later"
    scene.write(1.0)
    scene.server.jobs.failing[kind] = [ServiceError(reason, said)] * (ATTEMPTS - 1)
    scene.write(2.0)
    assert scene.require_whole() == 2.0
    scene.server.jobs.failing["query"] = [ServiceError(reason, said)] * ATTEMPTS
    with pytest.raises(JobFailedError, match=said):
        scene.write(3.0)
    assert scene.require_whole() == 2.0


def test_a_job_that_failed_for_good_is_told_at_once(scene):
    scene.write(1.0)
    scene.server.jobs.failing["query"] = [ServiceError("accessDenied", "no permission")]
    with pytest.raises(JobFailedError, match="no permission; nothing of it was done"):
        scene.write(2.0)
    assert scene.require_whole() == 1.0


def test_writers_of_one_table_follow_each_other(scene):
    """Also where neither deletes a row, so that the service itself sees no conflict."""
    for round_ in range(5):
        scene.warehouse.drop(SAMPLE.id)
        scene.warehouse.ensure([SAMPLE])
        prices = [10.0 * round_ + number for number in range(3)]
        start = threading.Barrier(len(prices))

        def write(price, start=start):
            own = scene.opened()
            start.wait()
            scene.write(price, own)

        writers = [threading.Thread(target=write, args=(price,)) for price in prices]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert scene.require_whole() in prices


def _write(settings: BigQuerySettings, content: pd.DataFrame, made: Provenance) -> None:
    BigQueryWarehouse(settings).replace(SAMPLE, DAYS, content, made)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [None, "dropped"], ids=["done all the same", "not done"])
def test_a_process_that_is_killed_at_any_request_leaves_all_or_nothing(scene, kind):
    context = multiprocessing.get_context("spawn")
    scene.write(1.0)
    held = 1.0
    for number in itertools.count():
        price = 2.0 + number
        made = scene.provenance(DAYS, run=f"run-{price}", prints=f"print-{price}")
        writer = context.Process(target=_write, args=(scene.settings, scene.rows(*LABELS).assign(price=price), made))

        def plan(at: int, method: str, path: str, number: int = number, writer=writer) -> str | None:
            if at != number:
                return None
            writer.kill()
            return kind

        scene.server.faults = Faults(plan)
        writer.start()
        writer.join()
        found = scene.require_whole()
        if writer.exitcode == 0:
            assert found == price
            break
        assert writer.exitcode == -signal.SIGKILL
        assert found in (held, price)
        held = found
    assert number > 4


def test_what_a_dropped_table_was_written_with_does_not_count_as_written_again(scene):
    scene.write(1.0)
    scene.warehouse.drop(SAMPLE.id)
    scene.warehouse.ensure([SAMPLE])
    assert scene.require_whole() is None
    assert len(scene.write(1.0).written) == 2
    assert scene.require_whole() == 1.0


def scripted_faults(scene, count: int, seed: int) -> None:
    """Writes of one table until `count` faults were met, each kind at requests of each kind."""
    chance = random.Random(seed)
    met, price = 0, 1.0
    while met < count:
        kinds = iter(chance.choices(FAULTS, k=1000))
        faults = Faults(lambda at, method, path, kinds=kinds: next(kinds) if chance.random() < 0.3 else None)
        scene.server.faults = faults
        price += 1.0
        scene.write(price, labels=LABELS)
        met += len(faults.met)
        assert scene.require_whole() == price


def test_a_series_of_faults_leaves_one_set_of_rows(scene):
    scripted_faults(scene, 40, seed=1)


@pytest.mark.slow
def test_five_hundred_faults_leave_one_set_of_rows(scene):
    scripted_faults(scene, 500, seed=2)


# -- counted ----------------------------------------------------------------------------------------------------------


def test_a_change_costs_a_load_for_each_table_it_has_rows_of_and_one_script(scene):
    scene.write(1.0)
    before = len(scene.server.project.jobs)
    scene.write(2.0)
    added = list(scene.server.project.jobs.values())[before:]
    kinds = [job["configuration"]["jobType"] for job in added]
    assert sorted(kinds) == ["LOAD", "LOAD", "LOAD", "QUERY"]  # rows, ledger, the run's row


def test_the_tables_of_the_catalog_can_be_clustered():
    for table in ASSET_TABLES:
        assert len(table.cluster) <= 4
        assert all(table.column(name).type.value != "STRUCT" for name in table.cluster)
