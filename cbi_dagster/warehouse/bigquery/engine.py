"""The warehouse in BigQuery.

Every change, a day, a range or scattered corrections, goes the same way: its rows are loaded into staging tables, and
one script moves them (`script`). Rows are read through the Storage Read API, as of one moment where that matters.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from cbi_dagster.catalog.model import INGESTION_TS, Column, Table
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.registry import TABLES
from cbi_dagster.catalog.tables.ops import PARTITION_LEDGER
from cbi_dagster.catalog.views import View, views
from cbi_dagster.warehouse.bigquery.budget import Budget
from cbi_dagster.warehouse.bigquery.client import BigQuerySettings, Service
from cbi_dagster.warehouse.bigquery.jobs import Jobs
from cbi_dagster.warehouse.bigquery.schema import (
    VIEW_LABEL,
    field_of,
    fields_of,
    parquet_schema,
    stored_type,
    table_resource,
    type_of,
    view_resource,
)
from cbi_dagster.warehouse.bigquery.script import (
    coverage_query,
    forget_script,
    is_book,
    newest,
    restriction,
    script_of,
    source,
)
from cbi_dagster.warehouse.changes import Change, Gone, Swap
from cbi_dagster.warehouse.contract import EngineError, OvertakenError, UnreachableWarehouseError, Warehouse
from cbi_dagster.warehouse.coverage import Coverage, coverages
from cbi_dagster.warehouse.overlay import Overlay
from cbi_dagster.warehouse.stored import Lacking, Stored

if TYPE_CHECKING:
    from sqlglot import exp

#: Requests at the same time.
_POOL = 8
#: Tables that are written at the same time: what each waits for is mostly the service.
_WRITERS = 4
#: Streams of one read.
_STREAMS = 4
_STAGING_LIVES_MS = 3_600_000
#: Rows of the ledger that are worth a clearing; a full history of all tables has a quarter of a million.
_CROWDED = 2_000_000
_DATASETS = tuple(dict.fromkeys(name.partition(".")[0] for name in (*TABLES, *views())))

_T = TypeVar("_T")
_R = TypeVar("_R")


class BigQueryWarehouse(Warehouse):
    """All tables in the datasets of one project."""

    def __init__(self, settings: BigQuerySettings) -> None:
        super().__init__()
        self.settings = settings
        self._service = Service(settings)
        self._budget = Budget(settings.max_bytes_billed, settings.max_run_bytes)
        self._jobs = Jobs(self._service, self._budget)
        #: Rows of the ledger, those included that no longer hold, when the tables were last looked at.
        self._ledger_rows = 0

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        """Requests need no connection of their own; what keeps them from being answered is told in one sentence."""
        try:
            yield
        except (exceptions.RetryError, exceptions.Forbidden, exceptions.Unauthorized, GoogleAuthError) as error:
            cause = error.cause if isinstance(error, exceptions.RetryError) else error
            place = self.settings.endpoint or f"BigQuery project {self.settings.project}"
            raise UnreachableWarehouseError(
                f"{place} does not answer, or not us ({type(cause).__name__}: {cause}). What was written is whole; "
                "when network, credentials and roles are in order, the same command goes on"
            ) from error
        except exceptions.GoogleAPICallError as error:
            raise EngineError(
                f"BigQuery refuses a request for project {self.settings.project} ({type(error).__name__}: "
                f"{error.message}). What was written is whole; do project, location and prefix name what is meant?"
            ) from error

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        with self.shared_connection():
            if self._moment is not None:
                yield
                return
            # The clock of the service: what has been committed before is seen.
            ((self._local.moment,),) = self._jobs.rows("SELECT CURRENT_TIMESTAMP() AS moment")
            self._forget_all()  # others write while a connection is shared: the ledger is to be of this moment too
            try:
                yield
            finally:
                self._local.moment = None

    @property
    def _moment(self) -> dt.datetime | None:
        """As of when this thread reads; None for the present."""
        return getattr(self._local, "moment", None)

    def overlay(self) -> Warehouse:
        return Overlay(self)

    # -- tables -------------------------------------------------------------------------------------------------------

    @property
    def takes_simulated(self) -> bool:
        return self.settings.is_loopback

    def for_run(self, run_id: str) -> contextlib.AbstractContextManager[None]:
        return self._budget.for_run(run_id)

    @property
    def writers(self) -> int:
        return _WRITERS

    @property
    def bills_bytes(self) -> bool:
        return True

    def too_costly(self, count: int) -> str:
        if count <= (most := self.settings.max_run_bytes):
            return ""
        return (
            f"reading about {count:,} bytes is more than the {most:,} that a run may read "
            "(CBI_BIGQUERY_MAX_RUN_BYTES); nothing was done. Allow more, or do less at a time (`--select`)"
        )

    def exists(self) -> bool:
        with self.shared_connection():
            try:
                self._service.client.get_table(self.settings.name(PARTITION_LEDGER.id), retry=self._service.retry)
            except exceptions.NotFound:
                return False
            return True

    def _stored(self) -> Stored:
        with self.shared_connection():
            return self._fetched()

    def _fetched(self) -> Stored:
        client, retry, settings = self._service.client, self._service.retry, self.settings

        def listed(dataset: str) -> list[Any]:
            try:
                return list(client.list_tables(f"{settings.project}.{settings.prefix}{dataset}", retry=retry))
            except exceptions.NotFound:
                return []

        def named(item: Any) -> str:
            return f"{item.dataset_id.removeprefix(settings.prefix)}.{item.table_id}"

        items = [item for part in _parallel(listed, _DATASETS) for item in part]
        tables = [item for item in items if item.table_type == "TABLE"]
        fetched = _parallel(lambda item: client.get_table(item.reference, retry=retry), tables)
        for table in fetched:
            self._require_location(table.dataset_id, table.location)
            if named(table) == PARTITION_LEDGER.id:
                self._ledger_rows = int(table.num_rows or 0)
        columns = {
            named(table): {field["name"]: stored_type(field) for field in table.to_api_repr()["schema"]["fields"]}
            for table in fetched
        }
        digests = {named(item): item.labels[VIEW_LABEL] for item in items if VIEW_LABEL in item.labels}
        return Stored(columns, digests)

    def _type_of(self, column: Column) -> str:
        return type_of(column)

    def _evolve(self, lacking: Lacking) -> None:
        client, retry = self._service.client, self._service.retry
        datasets = [f"{self.settings.prefix}{name}" for name in lacking.datasets]
        _parallel(self._create_dataset, [*datasets, *([self.settings.staging] if lacking.tables else [])])

        def create(table: Table) -> None:
            made = bigquery.Table.from_api_repr(table_resource(self.settings, table))
            client.create_table(made, exists_ok=True, retry=retry)

        def widen(table_id: str) -> None:
            stored = client.get_table(self.settings.name(table_id), retry=retry)
            there = {field.name for field in stored.schema}
            fields = [field_of(column, required=False) for column in wider[table_id] if column.name not in there]
            stored.schema = [*stored.schema, *(bigquery.SchemaField.from_api_repr(field) for field in fields)]
            client.update_table(stored, ["schema"], retry=retry)

        wider: dict[str, list[Column]] = {}
        for table, column in lacking.columns:
            wider.setdefault(table.id, []).append(column)
        _parallel(create, lacking.tables)
        _parallel(widen, wider)
        _parallel(self._make_view, lacking.views)
        _parallel(
            lambda name: client.delete_table(self.settings.name(name), not_found_ok=True, retry=retry),
            lacking.left_over,
        )

    def _make_view(self, view: View) -> None:
        from cbi_dagster.warehouse.sql import query_of, written

        def named(table: Table) -> str:
            return source(table, self.settings.name, filtered=self.settings.require_partition_filter)

        text = written(query_of(view.text), "bigquery", named)
        made = bigquery.Table.from_api_repr(view_resource(self.settings, view, text))
        client, retry = self._service.client, self._service.retry
        try:
            client.create_table(made, retry=retry)
        except exceptions.Conflict:
            client.update_table(made, ["view_query", "description", "labels"], retry=retry)

    def _create_dataset(self, name: str) -> None:
        dataset = bigquery.Dataset(f"{self.settings.project}.{name}")
        dataset.location = self.settings.location
        dataset.labels = {"cbi": "warehouse"}
        if name == self.settings.staging:
            dataset.default_table_expiration_ms = _STAGING_LIVES_MS
        there = self._service.client.create_dataset(dataset, exists_ok=True, retry=self._service.retry)
        self._require_location(name, there.location)

    def _require_location(self, name: str, location: str | None) -> None:
        """Jobs of one location do not find what is in another."""
        stated = self.settings.location
        if location is not None and location.lower() != stated.lower():
            raise EngineError(
                f"{self.settings.project}.{name} is at {location}, and CBI_BIGQUERY_LOCATION says {stated}; nothing "
                f"was written to it. Set CBI_BIGQUERY_LOCATION to {location}, or CBI_BIGQUERY_PREFIX to what no other "
                "datasets begin with"
            )

    def _drop(self, table_id: str) -> None:
        # Where this is cut short, the table has rows that the ledger does not speak of, which the next build replaces.
        with self.shared_connection():
            self._jobs.script(forget_script(table_id, self.settings.name), None, uuid.uuid4().hex)
            retry = self._service.retry
            self._service.client.delete_table(self.settings.name(table_id), not_found_ok=True, retry=retry)

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _read(
        self,
        table: Table,
        names: Sequence[str],
        intervals: Sequence[Interval] | None,
        chosen: Mapping[str, Collection[str]],
    ) -> pa.Table:
        book = is_book(table)
        asked = [*names, *(table.key if book else ()), *((INGESTION_TS.name,) if book else ())]
        only = restriction(table, intervals, {name: list(values) for name, values in chosen.items()})
        with self.shared_connection():
            rows = self._streamed(table, list(dict.fromkeys(asked)), only)
        if book:
            rows = newest(rows, table)
        return rows.select(list(names))

    def _streamed(self, table: Table, names: list[str], only: str) -> pa.Table:
        """Rows as the Storage Read API gives them, in the declared types."""
        rows = self._stream(f"{self.settings.prefix}{table.id}", names, only, self._moment).select(names)
        return rows.cast(pa.schema([pa.field(name, table.column(name).arrow_type) for name in names]))

    def _stream(
        self, place: str, names: list[str], only: str, moment: dt.datetime | None, streams: int = _STREAMS
    ) -> pa.Table:
        """Rows of `dataset.table`; those of one stream come in their order."""
        from google.cloud.bigquery_storage_v1 import types

        settings, reads, retry = self.settings, self._service.reads, self._service.retry
        dataset, _, name = place.partition(".")
        wanted = types.ReadSession(
            table=f"projects/{settings.project}/datasets/{dataset}/tables/{name}",
            data_format=types.DataFormat.ARROW,
            read_options=types.ReadSession.TableReadOptions(selected_fields=names, row_restriction=only),
        )
        if moment is not None:
            wanted.table_modifiers.snapshot_time = moment
        session = reads.create_read_session(
            parent=f"projects/{settings.project}", read_session=wanted, max_stream_count=streams, retry=retry
        )
        scanned = session.estimated_total_bytes_scanned
        self._budget.require(scanned, f"{settings.name(place.removeprefix(settings.prefix))}: a read")
        self._budget.spend(scanned)
        sent = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))

        def batches(stream: Any) -> list[pa.RecordBatch]:
            # A connection that ends is taken up again where it was, by the client.
            messages = [message.arrow_record_batch for message in reads.read_rows(stream.name, retry=retry)]
            return [pa.ipc.read_record_batch(pa.py_buffer(item.serialized_record_batch), sent) for item in messages]

        parts = _parallel(batches, list(session.streams))
        return pa.Table.from_batches([batch for part in parts for batch in part], sent)

    def _query(self, query: exp.Query) -> pa.Table:
        from cbi_dagster.warehouse.sql import normalised, written

        text = written(query, "bigquery", lambda table: source(table, self.settings.name, self._moment))
        answer = self._jobs.query(text).destination
        # In one stream: an answer may have an order.
        return normalised(self._stream(f"{answer.dataset_id}.{answer.table_id}", [], "", None, streams=1))

    def coverage(self, table: Table) -> list[Coverage]:
        with self.shared_connection():
            return coverages(table, list(self._jobs.rows(coverage_query(table, self.settings.name, self._moment))))

    # -- writing ------------------------------------------------------------------------------------------------------

    def _commit(self, change: Change) -> None:
        with self.shared_connection():
            self._run(change)
            if self._ledger_rows > _CROWDED:
                self._ledger_rows = 0
                with contextlib.suppress(OvertakenError):  # somebody writes: another time
                    self._compact()

    def _compact(self) -> None:
        """Remove rows of the ledger that newer ones stand for; the others keep the instants that say which are."""
        names = [column.name for column in PARTITION_LEDGER.stored_columns]
        rows = self._streamed(PARTITION_LEDGER, names, "")
        self._run(Change((Swap(PARTITION_LEDGER, newest(rows, PARTITION_LEDGER), gone=Gone()),)), ledger_rows=len(rows))

    def _run(self, change: Change, ledger_rows: int | None = None) -> None:
        """The script of a change, after its rows were staged; `ledger_rows` as of `script_of`."""
        ours = uuid.uuid4().hex
        staged = [
            f"{self.settings.project}.{self.settings.staging}.rows_{ours}_{number}" if len(swap.rows) else None
            for number, swap in enumerate(change.swaps)
        ]

        def stage(pair: tuple[Swap, str]) -> None:
            swap, destination = pair
            names = swap.rows.column_names
            schema, fields = parquet_schema(swap.table, names), fields_of(swap.table, names)
            self._jobs.load(swap.rows, schema, fields, destination, ours)

        _parallel(stage, [(swap, name) for swap, name in zip(change.swaps, staged, strict=True) if name])
        text = script_of(change, staged, self.settings.name, ledger_rows)
        self._jobs.script(text, self._turn(change), ours)

    def _turn(self, change: Change) -> str | None:
        """Which writes exclude each other: those that were worked out on the same state.

        Two of them would not meet in the service where neither deletes a row. The first to use an id goes first; the
        fence of the others is read after it has ended.
        """
        if change.verified is not None:
            name, version = change.verified
            return f"cbi_{self.settings.prefix}{name.replace('.', '_')}_{version}"
        if change.registered is not None:
            return f"cbi_{self.settings.prefix}landing_{change.registered}"
        return None


def _parallel(act: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
    """Results in the order of the items; the first error ends it."""
    items = list(items)
    if len(items) < 2:
        return [act(item) for item in items]
    with ThreadPoolExecutor(min(_POOL, len(items))) as pool:
        return list(pool.map(act, items))
