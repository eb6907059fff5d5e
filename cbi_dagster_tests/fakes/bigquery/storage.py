"""Datasets and tables: a table is a list of versions, each whole rows with the instant of its commit.

Snapshot isolation, rollback and time travel follow from that: a transaction works on the versions of its beginning and
commits new ones, or nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: https://cloud.google.com/bigquery/quotas#partitioned_tables
PARTITIONS_OF_A_TABLE = 10_000
PARTITIONS_OF_A_JOB = 4_000
#: Loads only: https://cloud.google.com/bigquery/quotas#partitioned_tables says that DML does not count.
PARTITION_MODIFICATIONS_A_DAY = 30_000
OPERATIONS_IN_TEN_SECONDS = 50
#: https://cloud.google.com/bigquery/quotas#load_jobs
LOADS_OF_A_TABLE_A_DAY = 1_500
LOADS_OF_A_PROJECT_A_DAY = 100_000
#: https://cloud.google.com/bigquery/quotas#dataset_limits and #transactions
TABLES_OF_A_TRANSACTION = 100
PARTITIONS_OF_A_TRANSACTION = 100_000

#: How many versions of a table time travel reaches; the service keeps those of seven days.
#: https://cloud.google.com/bigquery/docs/time-travel
_VERSIONS = 12

_STATUS = {
    "notFound": 404, "duplicate": 409, "rateLimitExceeded": 403, "quotaExceeded": 403, "backendError": 503,
    "internalError": 500, "accessDenied": 403,
}  # fmt: skip

#: Functions that DuckDB calls otherwise.
_MACROS = (
    "CREATE MACRO unix_micros(instant) AS epoch_us(instant)",
    "CREATE MACRO timestamp_micros(number) AS make_timestamptz(number)",
)

_ARROW = {
    "STRING": pa.string(), "INTEGER": pa.int64(), "INT64": pa.int64(), "FLOAT": pa.float64(), "FLOAT64": pa.float64(),
    "BOOLEAN": pa.bool_(), "BOOL": pa.bool_(), "DATE": pa.date32(), "TIMESTAMP": pa.timestamp("us", tz="UTC"),
}  # fmt: skip


class ServiceError(Exception):
    """What the service answers instead of a result: https://cloud.google.com/bigquery/docs/error-messages."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message, self.status = reason, message, _STATUS.get(reason, 400)

    @property
    def body(self) -> dict:
        error = {"reason": self.reason, "message": self.message}
        return {"error": {"code": self.status, "message": self.message, "errors": [error]}}


def arrow_type(column: dict) -> pa.DataType:
    if column["type"] in ("RECORD", "STRUCT"):
        return pa.struct([pa.field(part["name"], arrow_type(part)) for part in column["fields"]])
    return _ARROW[column["type"]]


@dataclass
class StoredTable:
    """A table: its REST resource, its versions, and what counts against its limits."""

    resource: dict
    versions: list[tuple[int, pa.Table]]
    mutated_at: int = 0
    operations: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    partitions_loaded: list[tuple[float, int]] = field(default_factory=list)

    @property
    def columns(self) -> list[dict]:
        return self.resource["schema"]["fields"]

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([pa.field(column["name"], arrow_type(column)) for column in self.columns])

    @property
    def rows(self) -> pa.Table:
        return self.versions[-1][1]

    @property
    def partition_column(self) -> str:
        return self.resource.get("timePartitioning", {}).get("field", "")

    def partitions_of(self, rows: pa.Table) -> np.ndarray:
        """Distinct partitions of rows, as datetime64 of a day or a month; one for a table without partitions."""
        if not self.partition_column:
            return np.zeros(min(len(rows), 1))
        days = rows[self.partition_column].cast(pa.int32()).drop_null().to_numpy().astype("datetime64[D]")
        unit = "M" if self.resource["timePartitioning"]["type"] == "MONTH" else "D"
        return np.unique(days.astype(f"datetime64[{unit}]"))

    def stored(self, rows: pa.Table) -> pa.Table:
        """Rows as this table has them: by name, of its types, what is missing as NULL, never in a REQUIRED column."""
        if unknown := [name for name in rows.column_names if name not in self.schema.names]:
            raise ServiceError("invalid", f"Provided Schema does not match Table: no such field: {', '.join(unknown)}")
        made = {}
        for column in self.columns:
            name, kind = column["name"], arrow_type(column)
            values = rows[name] if name in rows.column_names else pa.chunked_array([pa.nulls(len(rows), kind)])
            if column.get("mode") == "REQUIRED" and values.null_count:
                raise ServiceError("invalid", f"Required field {name} cannot be null")
            if values.type != kind:
                raise ServiceError("invalid", f"Field {name} has changed type from {kind} to {values.type}")
            made[name] = values
        return pa.table(made, schema=self.schema)


class Project:
    """All that is stored. `clock` gives seconds since 1970; every job takes `job_seconds` of its own time."""

    def __init__(self, clock: Callable[[], float], job_seconds: float = 1.0) -> None:
        self.lock = threading.RLock()
        self.datasets: dict[str, dict] = {}
        self.tables: dict[str, StoredTable] = {}
        self.views: dict[str, dict] = {}
        self.answers: dict[str, StoredTable] = {}
        self.jobs: dict[str, dict] = {}
        self.results: dict[str, pa.Table] = {}
        self.loads: list[float] = []
        self._clock, self._job_seconds, self._ahead, self._last = clock, job_seconds, 0.0, 0
        self.database = duckdb.connect(config={"threads": 1})
        self.database.execute("SET GLOBAL TimeZone = 'UTC'")
        for macro in _MACROS:
            self.database.execute(macro)

    def evaluator(self) -> duckdb.DuckDBPyConnection:
        """A connection that knows the functions of the dialect, to be closed after use."""
        return self.database.cursor()

    def now(self) -> float:
        return self._clock() + self._ahead

    def pass_time(self, seconds: float | None = None) -> None:
        """A job's time passes: limits and expiry go by the server's clock."""
        self._ahead += self._job_seconds if seconds is None else seconds

    def instant(self) -> int:
        """Microseconds since 1970, later than any before."""
        with self.lock:
            self._last = max(int(self.now() * 1e6), self._last + 1)
            return self._last

    def holding(self, condition: str, rows: pa.Table) -> np.ndarray:
        """For which rows a condition holds; for those where it is NULL it does not. Raises ServiceError."""
        holds = np.zeros(len(rows), bool)
        numbered = rows.append_column("row number", pa.array(np.arange(len(rows))))
        with self.evaluator() as connection:
            connection.register("numbered", numbered)
            try:
                # Rows need not come in their order: a long list of values is joined.
                found = connection.sql(f'SELECT "row number" FROM numbered WHERE {condition.replace("`", chr(34))}')
                holds[found.to_arrow_table()["row number"].to_numpy()] = True
            except duckdb.Error as error:
                raise ServiceError("invalidQuery", f"{error} in {condition[:2000]}") from error
        return holds

    # -- tables -------------------------------------------------------------------------------------------------------

    def table(self, name: str) -> StoredTable:
        """`dataset.table`. A table that expired is gone.

        https://cloud.google.com/bigquery/docs/managing-tables#updating_a_tables_expiration_time
        """
        with self.lock:
            found = self.tables.get(name) or self.answers.get(name)
            if found and int(found.resource.get("expirationTime", 1 << 60)) <= self.now() * 1000:
                del self.tables[name]
                found = None
            if found is None:
                raise ServiceError("notFound", f"Not found: Table {name}")
            return found

    def create(self, dataset: str, resource: dict) -> StoredTable:
        with self.lock:
            if dataset not in self.datasets:
                raise ServiceError("notFound", f"Not found: Dataset {dataset}")
            name = f"{dataset}.{resource['tableReference']['tableId']}"
            try:
                self.table(name)
            except ServiceError:
                pass
            else:
                raise ServiceError("duplicate", f"Already Exists: Table {name}")
            columns = resource.setdefault("schema", {}).setdefault("fields", [])
            kinds = {column["name"]: column["type"] for column in columns}
            # https://cloud.google.com/bigquery/docs/creating-clustered-tables: four columns, none of them a STRUCT
            clustered = resource.get("clustering", {}).get("fields", [])
            if len(clustered) > 4 or any(kinds.get(column) in (None, "RECORD", "STRUCT") for column in clustered):
                raise ServiceError("invalid", f"Table {name} cannot be clustered by {clustered}")
            partitioned = resource.get("timePartitioning", {}).get("field")
            if partitioned and kinds.get(partitioned) != "DATE":
                raise ServiceError("invalid", f"Table {name} cannot be partitioned by {partitioned}")
            instant = self.instant()
            resource |= {"creationTime": str(instant // 1000), "numRows": "0", "type": "TABLE"}
            if expires := self.datasets[dataset].get("defaultTableExpirationMs"):
                resource.setdefault("expirationTime", str(instant // 1000 + int(expires)))
            made = StoredTable(resource, [])
            made.versions.append((instant, made.schema.empty_table()))
            self.tables[name] = made
            return made

    def create_view(self, dataset: str, resource: dict, fields: list[dict]) -> dict:
        """https://cloud.google.com/bigquery/docs/views: `fields` are those of its query."""
        with self.lock:
            if dataset not in self.datasets:
                raise ServiceError("notFound", f"Not found: Dataset {dataset}")
            name = f"{dataset}.{resource['tableReference']['tableId']}"
            if name in self.views or name in self.tables:
                raise ServiceError("duplicate", f"Already Exists: Table {name}")
            self.views[name] = resource | {"type": "VIEW", "schema": {"fields": fields}}
            return self.views[name]

    def keep_answer(self, job: str, resource: dict, rows: pa.Table) -> dict:
        """The table that holds what a query found; the place of it."""
        place = {"projectId": "loopback", "datasetId": "_anonymous", "tableId": job}
        self.answers[f"_anonymous.{job}"] = StoredTable(resource | {"tableReference": place}, [(self.instant(), rows)])
        return place

    def widen(self, name: str, fields: list[dict]) -> None:
        """Only new nullable columns: https://cloud.google.com/bigquery/docs/managing-table-schemas."""
        with self.lock:
            table = self.table(name)
            there = {column["name"]: column for column in table.columns}
            lost = there.keys() - {column["name"] for column in fields}
            added = [column for column in fields if column["name"] not in there]
            changed = [c["name"] for c in fields if c["name"] in there and c["type"] != there[c["name"]]["type"]]
            if lost or changed or any(column.get("mode") == "REQUIRED" for column in added):
                raise ServiceError("invalid", f"Provided Schema does not match Table {name}")
            table.resource["schema"] = {"fields": fields}
            table.versions.append((self.instant(), table.stored(table.rows)))

    def rows_at(self, name: str, instant: int | None = None) -> pa.Table:
        """Rows of a table as of an instant: https://cloud.google.com/bigquery/docs/time-travel."""
        table = self.table(name)
        if instant is None:
            return table.rows
        found = [rows for committed, rows in table.versions if committed <= instant]
        if not found:
            raise ServiceError("invalidQuery", f"Invalid snapshot time {instant} for table {name}")
        return found[-1]

    def put(self, name: str, rows: pa.Table, instant: int, *, mutated: bool) -> None:
        table = self.table(name)
        if len(table.partitions_of(rows)) > PARTITIONS_OF_A_TABLE:
            raise ServiceError("quotaExceeded", f"Too many partitions in {name}: at most {PARTITIONS_OF_A_TABLE}")
        table.versions = [*table.versions, (instant, rows)][-_VERSIONS:]
        if mutated:
            table.mutated_at = instant

    # -- limits -------------------------------------------------------------------------------------------------------

    def count_operation(self, table: StoredTable) -> None:
        """https://cloud.google.com/bigquery/quotas#partitioned_tables."""
        if table.partition_column:
            now = self.now()
            table.operations = [*(at for at in table.operations if at > now - 10), now]
            if len(table.operations) > OPERATIONS_IN_TEN_SECONDS:
                raise ServiceError("rateLimitExceeded", "Exceeded rate limits: too many partition modifications")

    def count_load(self, table: StoredTable, partitions: int) -> None:
        now = self.now()
        for loads, limit in ((table.loads, LOADS_OF_A_TABLE_A_DAY), (self.loads, LOADS_OF_A_PROJECT_A_DAY)):
            loads[:] = [*(at for at in loads if at > now - 86_400), now]
            if len(loads) > limit:
                raise ServiceError("quotaExceeded", "Quota exceeded: too many load jobs a day")
        if table.partition_column:
            today = [(at, count) for at, count in table.partitions_loaded if at > now - 86_400]
            table.partitions_loaded = [*today, (now, partitions)]
            if sum(count for _, count in table.partitions_loaded) > PARTITION_MODIFICATIONS_A_DAY:
                raise ServiceError("quotaExceeded", "Quota exceeded: too many partition modifications a day")


class Transaction:
    """Snapshot isolation: https://cloud.google.com/bigquery/docs/transactions."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.began = project.instant()
        self._base: dict[str, pa.Table] = {}
        self._kept: dict[str, pa.Table] = {}
        self._added: dict[str, list[pa.Table]] = {}
        self._partitions = 0

    def rows(self, name: str) -> pa.Table:
        """What this transaction sees of a table: the rows of its beginning and its own changes."""
        if name not in self._base:
            self._base[name] = self._kept[name] = self._project.rows_at(name, self.began)
        added = self._added.get(name, [])
        return pa.concat_tables([self._kept[name], *added]) if added else self._kept[name]

    def delete(self, name: str, gone: np.ndarray) -> int:
        table, rows = self._project.table(name), self.rows(name)
        self._modify(name, table, rows.filter(pa.array(gone)))
        if self._added.get(name):
            raise ServiceError("invalidQuery", "rows that this transaction inserted are not deleted by our engine")
        self._kept[name] = rows.filter(pa.array(~gone))
        return int(gone.sum())

    def insert(self, name: str, rows: pa.Table) -> int:
        table = self._project.table(name)
        self.rows(name)
        stored = table.stored(rows)
        self._modify(name, table, stored)
        self._added.setdefault(name, []).append(stored)
        return len(rows)

    def _modify(self, name: str, table: StoredTable, rows: pa.Table) -> None:
        self._project.count_operation(table)
        count = len(table.partitions_of(rows))
        if count > PARTITIONS_OF_A_JOB:
            raise ServiceError("quotaExceeded", f"Too many partitions produced by query: {count} of {name}")
        self._partitions += count
        if self._partitions > PARTITIONS_OF_A_TRANSACTION or len(self._base) > TABLES_OF_A_TRANSACTION:
            raise ServiceError("quotaExceeded", "a transaction may not change so much")

    def commit(self) -> None:
        """All changes at once; a table that another transaction mutated since the beginning refuses this one's.

        Rows that others only added since then do not conflict, and stay.
        """
        with self._project.lock:
            mutated = {name for name, rows in self._kept.items() if len(rows) != len(self._base[name])}
            for name in mutated:
                if self._project.table(name).mutated_at > self.began:
                    raise ServiceError(
                        "invalidQuery", f"Transaction is aborted due to concurrent update against table {name}."
                    )
            instant = self._project.instant()
            for name in mutated | self._added.keys():
                now = self._project.table(name).rows
                kept = now if name not in mutated else self._kept[name]
                others = [now.slice(len(self._base[name]))] if name in mutated else []
                rows = pa.concat_tables([kept, *others, *self._added.get(name, [])])
                self._project.put(name, rows, instant, mutated=name in mutated)


def load(project: Project, configuration: dict, data: pa.Table) -> tuple[str, int]:
    """A load job, all of it or nothing; the table and its rows.

    https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet: columns by name.
    https://cloud.google.com/bigquery/docs/managing-partitioned-table-data: a decorator names the one partition.
    """
    destination = configuration["destinationTable"]
    name, _, decorator = f"{destination['datasetId']}.{destination['tableId']}".partition("$")
    declared = configuration.get("schema", {}).get("fields", [])
    with project.lock:
        try:
            table = project.table(name)
        except ServiceError:
            if not declared:
                raise
            reference = destination | {"tableId": name.partition(".")[2]}
            resource = {"tableReference": reference, "schema": {"fields": declared}}
            table = project.create(destination["datasetId"], resource)
        disposition = configuration.get("writeDisposition", "WRITE_APPEND")
        if disposition == "WRITE_TRUNCATE" and declared and not decorator:
            table.resource["schema"] = {"fields": declared}
        rows = table.stored(data)
        project.count_operation(table)
        partitions = table.partitions_of(rows)
        if len(partitions) > PARTITIONS_OF_A_JOB:
            raise ServiceError("quotaExceeded", f"Too many partitions produced by load: {len(partitions)}")
        project.count_load(table, len(partitions))
        kept = table.rows
        if decorator:
            wanted = np.array(f"{decorator[:4]}-{decorator[4:6]}" + (f"-{decorator[6:]}" if decorator[6:] else ""))
            if (partitions.astype(str) != wanted).any():
                raise ServiceError("invalid", f"The rows do not all belong to the partition {decorator}")
            kept = kept.filter(pc.invert(_in_partition(kept[table.partition_column], str(wanted))))
        if disposition == "WRITE_EMPTY" and len(table.rows):
            raise ServiceError("duplicate", f"Already Exists: Table {name}")
        if disposition == "WRITE_TRUNCATE" and not decorator:
            kept = table.schema.empty_table()
        project.put(name, pa.concat_tables([kept, rows]), project.instant(), mutated=True)
        return name, len(rows)


def _in_partition(dates: pa.ChunkedArray, partition: str) -> pa.ChunkedArray:
    return pc.starts_with(dates.cast(pa.string()), partition)
