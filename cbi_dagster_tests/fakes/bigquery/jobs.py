"""Jobs: an id is used once, what it asks for is done or is not, and the job says which."""

from __future__ import annotations

import base64
import datetime as dt
import io

import pyarrow as pa
import pyarrow.parquet as pq

from cbi_dagster_tests.fakes.bigquery.scripts import MIN_BYTES_BILLED, Query
from cbi_dagster_tests.fakes.bigquery.storage import Project, ServiceError, load


class Jobs:
    """The jobs of a project. `failing`: what the next jobs of a kind ("load", "query") end in, instead of being run."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.failing: dict[str, list[ServiceError]] = {"load": [], "query": []}

    def insert(self, resource: dict, data: bytes | None = None) -> dict:
        """https://cloud.google.com/bigquery/docs/running-jobs#generate-jobid: an id cannot be used again."""
        project, configuration = self._project, resource["configuration"]
        name = resource["jobReference"]["jobId"]
        with project.lock:
            if name in project.jobs:
                raise ServiceError("duplicate", f"Already Exists: Job {name}")
            if configuration.get("dryRun"):
                query = Query(project, configuration["query"]["query"])
                return resource | {"status": {"state": "DONE"}, "statistics": _statistics(query)}
            job = project.jobs[name] = resource | {"status": {"state": "RUNNING"}, "statistics": {}}
            project.pass_time()
        kind = "load" if "load" in configuration else "query"
        job["statistics"] |= {"creationTime": _ms(project), "startTime": _ms(project)}
        configuration["jobType"] = kind.upper()
        try:
            if self.failing[kind]:
                raise self.failing[kind].pop(0)
            if kind == "load":
                assert data is not None
                self._load(job, configuration["load"], data)
            else:
                self._query(job, name, configuration["query"])
            job["status"] = {"state": "DONE"}
        except ServiceError as trouble:
            error = trouble.body["error"]["errors"][0]
            job["status"] = {"state": "DONE", "errorResult": error, "errors": [error]}
        job["statistics"]["endTime"] = _ms(project)
        return job

    def get(self, name: str) -> dict:
        if name not in self._project.jobs:
            raise ServiceError("notFound", f"Not found: Job {name}")
        return self._project.jobs[name]

    def _load(self, job: dict, configuration: dict, data: bytes) -> None:
        if configuration.get("sourceFormat") != "PARQUET":
            raise ServiceError("invalid", "this server loads Parquet alone")
        try:
            rows = pq.read_table(io.BytesIO(data))
        except pa.ArrowInvalid as error:
            raise ServiceError("invalid", f"Error while reading data: {error}") from error
        _, count = load(self._project, configuration, rows)
        job["statistics"]["load"] = {"outputRows": str(count), "inputFileBytes": str(len(data))}

    def _query(self, job: dict, name: str, configuration: dict) -> None:
        query = Query(self._project, configuration["query"])
        cap = configuration.get("maximumBytesBilled")
        # https://cloud.google.com/bigquery/docs/best-practices-costs: a query that would read more fails, unbilled
        if cap and query.bytes > int(cap):
            raise ServiceError("bytesBilledLimitExceeded", f"Query exceeded limit for bytes billed: {cap}.")
        query.run()
        job["statistics"] |= _statistics(query)
        if not query.is_script:
            # https://cloud.google.com/bigquery/docs/cached-results: an answer is an anonymous table of its own
            answer = self._project.keep_answer(name, {"schema": {"fields": fields_of(query.rows.schema)}}, query.rows)
            configuration["destinationTable"] = answer
        self._project.results[name] = query.rows

    def results(self, name: str) -> dict:
        """https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/getQueryResults."""
        job = self.get(name)
        if error := job["status"].get("errorResult"):
            raise ServiceError(error["reason"], error["message"])
        rows = self._project.results.get(name, pa.table({}))
        return {
            "kind": "bigquery#getQueryResultsResponse",
            "jobReference": job["jobReference"],
            "jobComplete": True,
            "schema": {"fields": fields_of(rows.schema)},
            "totalRows": str(len(rows)),
            "rows": [{"f": [{"v": _cell(value)} for value in row.values()]} for row in rows.to_pylist()],
        }


def _statistics(query: Query) -> dict:
    billed = max(query.bytes, MIN_BYTES_BILLED) if query.bytes else 0
    return {
        "totalBytesProcessed": str(query.bytes),
        "query": {
            "statementType": "SCRIPT" if query.is_script else "SELECT",
            "totalBytesProcessed": str(query.bytes),
            "totalBytesBilled": str(billed),
            "numDmlAffectedRows": str(query.changed),
        },
    }


def _ms(project: Project) -> str:
    return str(project.instant() // 1000)


def fields_of(schema: pa.Schema) -> list[dict]:
    return [_field(field) for field in schema]


def _field(field: pa.Field) -> dict:
    for kind, test in (
        ("INTEGER", pa.types.is_integer), ("FLOAT", pa.types.is_floating), ("BOOLEAN", pa.types.is_boolean),
        ("DATE", pa.types.is_date), ("TIMESTAMP", pa.types.is_timestamp),
    ):  # fmt: skip
        if test(field.type):
            return {"name": field.name, "type": kind, "mode": "NULLABLE"}
    return {"name": field.name, "type": "STRING", "mode": "NULLABLE"}


def _cell(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.datetime):
        return str(round(value.timestamp() * 1e6))
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)
