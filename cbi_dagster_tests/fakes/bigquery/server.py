"""The REST API, over http.server: datasets, tables, jobs and uploads, as the official client asks for them."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cbi_dagster_tests.fakes.bigquery.faults import Faults
from cbi_dagster_tests.fakes.bigquery.jobs import Jobs, fields_of
from cbi_dagster_tests.fakes.bigquery.reads import serve_reads
from cbi_dagster_tests.fakes.bigquery.scripts import Query
from cbi_dagster_tests.fakes.bigquery.storage import Project, ServiceError

_ANSWERS = {"429": "rateLimitExceeded", "500": "internalError", "503": "backendError", "403": "rateLimitExceeded"}


class LoopbackBigQuery:
    """A server with one project's data, in memory, on 127.0.0.1: REST on `port`, reads of rows on the one above it.

    Used as a context manager. `faults`: what goes wrong; exchange it at will. `latency_s`: how long a request takes to
    arrive, those that come together as long as one.
    """

    def __init__(self, port: int = 0, *, job_seconds: float = 1.0, clock: Callable[[], float] = time.time) -> None:
        self.project = Project(clock, job_seconds)
        self.jobs = Jobs(self.project)
        self.faults = Faults()
        self.latency_s = 0.0
        self._uploads: dict[str, tuple[dict, bytearray]] = {}
        self._answered: dict[str, dict] = {}
        self._requests, self._idle = 0, threading.Condition()
        self._server, self._reads = _bound(port, self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> LoopbackBigQuery:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._reads.stop(None).wait()
        self.project.database.close()
        del self.project.database  # DuckDB complains of what is left when the interpreter ends

    @contextmanager
    def working(self) -> Iterator[None]:
        """A block in which a request is being answered."""
        with self._idle:
            self._requests += 1
        try:
            yield
        finally:
            with self._idle:
                self._requests -= 1
                self._idle.notify_all()

    def wait_until_idle(self) -> None:
        """Until every request that has arrived is done, also those that nobody waits for any more."""
        with self._idle:
            self._idle.wait_for(lambda: not self._requests, timeout=600)

    # -- the API ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: dict[str, str], body: dict) -> dict:
        for verb, pattern, act in _ROUTES:
            if verb == method and (found := re.fullmatch(pattern, path)):
                return act(self, query, body, *found.groups())
        raise ServiceError("notFound", f"this server does not know {method} {path}")

    def _datasets(self, query: dict, body: dict, project: str) -> dict:
        return {"datasets": list(self.project.datasets.values())}

    def _create_dataset(self, query: dict, body: dict, project: str) -> dict:
        name = body["datasetReference"]["datasetId"]
        if name in self.project.datasets:
            raise ServiceError("duplicate", f"Already Exists: Dataset {project}:{name}")
        self.project.datasets[name] = body | {"id": f"{project}:{name}"}
        return self.project.datasets[name]

    def _dataset(self, query: dict, body: dict, project: str, name: str) -> dict:
        if name not in self.project.datasets:
            raise ServiceError("notFound", f"Not found: Dataset {project}:{name}")
        return self.project.datasets[name]

    def _delete_dataset(self, query: dict, body: dict, project: str, name: str) -> dict:
        self._dataset(query, body, project, name)
        if query.get("deleteContents") == "true":
            for held in (self.project.tables, self.project.views):
                for table in [table for table in held if table.startswith(f"{name}.")]:
                    del held[table]
        del self.project.datasets[name]
        return {}

    def _tables(self, query: dict, body: dict, project: str, dataset: str) -> dict:
        self._dataset(query, body, project, dataset)
        names = [name for name in list(self.project.tables) if name.startswith(f"{dataset}.")]
        views = [view for name, view in list(self.project.views.items()) if name.startswith(f"{dataset}.")]
        return {"tables": [*(self.project.tables[name].resource for name in names), *views]}

    def _create_table(self, query: dict, body: dict, project: str, dataset: str) -> dict:
        if "view" in body:
            return self.project.create_view(dataset, body, self._fields_of(body["view"]))
        return self.project.create(dataset, body).resource

    def _fields_of(self, view: dict) -> list[dict]:
        """Those of a view's query, which must be a query over tables that are there."""
        query = Query(self.project, view["query"])
        query.run()
        return fields_of(query.rows.schema)

    def _table(self, query: dict, body: dict, project: str, dataset: str, name: str) -> dict:
        if view := self.project.views.get(f"{dataset}.{name}"):
            return view
        table = self.project.table(f"{dataset}.{name}")
        location = self.project.datasets[dataset].get("location", "US")
        return table.resource | {
            "location": location,
            "numRows": str(len(table.rows)),
            "numBytes": str(table.rows.nbytes),
        }

    def _patch_table(self, query: dict, body: dict, project: str, dataset: str, name: str) -> dict:
        if view := self.project.views.get(f"{dataset}.{name}"):
            view |= body | {"schema": {"fields": self._fields_of(body["view"])}}
            return view
        self.project.widen(f"{dataset}.{name}", body["schema"]["fields"])
        return self.project.table(f"{dataset}.{name}").resource

    def _delete_table(self, query: dict, body: dict, project: str, dataset: str, name: str) -> dict:
        if self.project.views.pop(f"{dataset}.{name}", None):
            return {}
        self.project.table(f"{dataset}.{name}")
        del self.project.tables[f"{dataset}.{name}"]
        return {}

    def _insert_job(self, query: dict, body: dict, project: str) -> dict:
        return self.jobs.insert(body)

    def _get_job(self, query: dict, body: dict, project: str, name: str) -> dict:
        return self.jobs.get(name)

    def _results(self, query: dict, body: dict, project: str, name: str) -> dict:
        return self.jobs.results(name)

    # -- uploads: https://cloud.google.com/bigquery/docs/reference/api-uploads ----------------------------------------

    def multipart(self, content_type: str, data: bytes) -> dict:
        message = BytesParser().parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + data)
        resource, content = (part.get_payload(decode=True) for part in message.get_payload())
        return self.jobs.insert(json.loads(resource), content)

    def begin_upload(self, resource: dict) -> str:
        name = uuid.uuid4().hex
        self._uploads[name] = (resource, bytearray())
        return name

    def add_to_upload(self, name: str, data: bytes, content_range: str) -> dict | None:
        """The job once the upload is whole, None before; asked again, a finished upload gives the same answer."""
        if name in self._answered:
            return self._answered[name]
        resource, content = self._uploads[name]
        span, _, total = content_range.removeprefix("bytes ").partition("/")
        if span != "*":
            first = int(span.partition("-")[0])
            content[first:] = data
        if total == "*" or len(content) < int(total):
            return None
        try:
            self._answered[name] = self.jobs.insert(resource, bytes(content))
        except ServiceError as trouble:
            self._answered[name] = trouble.body
        return self._answered[name]

    def uploaded(self, name: str) -> int:
        return len(self._uploads[name][1])


_ROUTES = (
    ("GET", r"/projects/([\w-]+)/datasets", LoopbackBigQuery._datasets),
    ("POST", r"/projects/([\w-]+)/datasets", LoopbackBigQuery._create_dataset),
    ("GET", r"/projects/([\w-]+)/datasets/(\w+)", LoopbackBigQuery._dataset),
    ("DELETE", r"/projects/([\w-]+)/datasets/(\w+)", LoopbackBigQuery._delete_dataset),
    ("GET", r"/projects/([\w-]+)/datasets/(\w+)/tables", LoopbackBigQuery._tables),
    ("POST", r"/projects/([\w-]+)/datasets/(\w+)/tables", LoopbackBigQuery._create_table),
    ("GET", r"/projects/([\w-]+)/datasets/(\w+)/tables/(\w+)", LoopbackBigQuery._table),
    ("PATCH", r"/projects/([\w-]+)/datasets/(\w+)/tables/(\w+)", LoopbackBigQuery._patch_table),
    ("DELETE", r"/projects/([\w-]+)/datasets/(\w+)/tables/(\w+)", LoopbackBigQuery._delete_table),
    ("POST", r"/projects/([\w-]+)/jobs", LoopbackBigQuery._insert_job),
    ("GET", r"/projects/([\w-]+)/jobs/([\w-]+)", LoopbackBigQuery._get_job),
    ("GET", r"/projects/([\w-]+)/queries/([\w-]+)", LoopbackBigQuery._results),
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    #: An answer is one packet: a second one would wait for the client to acknowledge the first.
    wbufsize = -1
    disable_nagle_algorithm = True
    served: LoopbackBigQuery

    def _serve(self) -> None:
        with self.served.working():
            self._answer()

    def _answer(self) -> None:
        served = self.served
        place = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(place.query))
        method = self.command
        path = place.path.replace("/bigquery/v2", "", 1)
        time.sleep(served.latency_s)
        fault = served.faults.next(method, path)
        if fault == "missing" and not (method == "GET" and "/jobs/" in path):
            fault = "503"
        if fault == "cut" and not int(self.headers.get("Content-Length", 0)):
            fault = "dropped"
        if fault == "dropped":
            return self._hang_up()
        if fault == "cut":
            self.rfile.read(int(self.headers["Content-Length"]) // 2)
            return self._hang_up()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault == "missing":
            return self._tell(ServiceError("notFound", f"Not found: Job {path}"), lost=False)
        if fault in _ANSWERS:
            trouble = ServiceError(_ANSWERS[fault], f"the service answers {fault}")
            trouble.status = int(fault)
            return self._tell(trouble, lost=False)
        lost = fault == "lost"
        try:
            if place.path.startswith("/upload/"):
                return self._upload(query, body, lost)
            return self._say(200, served.answer(method, path, query, json.loads(body) if body else {}), lost)
        except ServiceError as trouble:
            return self._tell(trouble, lost)

    def _upload(self, query: dict[str, str], body: bytes, lost: bool) -> None:
        served = self.served
        if query["uploadType"] == "multipart":
            return self._say(200, served.multipart(self.headers["Content-Type"], body), lost)
        if "upload_id" not in query:
            name = served.begin_upload(json.loads(body))
            place = f"{served.endpoint}{self.path}&upload_id={name}"
            return self._say(200, {}, lost, {"Location": place})
        job = served.add_to_upload(query["upload_id"], body, self.headers["Content-Range"])
        if job is None:
            there = served.uploaded(query["upload_id"])
            return self._say(308, {}, lost, {"Range": f"bytes=0-{there - 1}"} if there else {})
        return self._say(job.get("error", {}).get("code", 200), job, lost)

    def _tell(self, trouble: ServiceError, lost: bool) -> None:
        self._say(trouble.status, trouble.body, lost)

    def _say(self, status: int, body: dict, lost: bool, headers: dict[str, str] | None = None) -> None:
        if lost:
            self._hang_up()
            return
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _hang_up(self) -> None:
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        """The tests look at `faults.asked`; nothing is printed."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients may hang up, and be killed; anything else is a fault of this server."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _bound(port: int, served: LoopbackBigQuery):
    """Both servers on neighbouring ports, those asked for or free ones."""
    handler = type("_BoundHandler", (_Handler,), {"served": served})
    for _ in range(50):
        rest = _Server(("127.0.0.1", port), handler)
        reads = serve_reads(served, rest.server_address[1] + 1)
        if reads is not None:
            return rest, reads
        rest.server_close()
        if port:
            break
    raise OSError(f"no two neighbouring ports are free{f' at {port}' if port else ''}")
