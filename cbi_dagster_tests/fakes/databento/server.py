"""The API over http.server: what the official client asks for, with the vendor's prices and the vendor's bill."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import itertools
import json
import re
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pandas as pd

from cbi_dagster_tests.fakes.databento.faults import Fault, Faults
from cbi_dagster_tests.fakes.databento.market import Market, Query, UnknownSymbolsError

KEY = "db-LoopbackKeyThatNobodyMaySee"

_DOCS = "https://databento.com/docs"


@dataclass
class Refusal(Exception):  # noqa: N818
    """An answer that is an error of the caller."""

    status: int
    case: str
    message: str
    payload: dict[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        detail = {"case": self.case, "message": self.message, "status_code": self.status, "docs": _DOCS}
        return {"detail": detail | ({"payload": self.payload} if self.payload else {})}


@dataclass(frozen=True)
class Charge:
    """What was billed: for which data, streamed or as a batch job."""

    mode: str
    query: Query
    dollars: float


@dataclass
class Job:
    """A batch job: what was asked, its files once it is done, and how often it is still told to be at work."""

    id: str
    query: Query
    split: str
    received: dt.datetime
    polls: int
    dollars: float
    files: dict[str, bytes]

    @property
    def state(self) -> str:
        return "processing" if self.polls > 0 else "done"


class LoopbackDatabento:
    """A server of one market on 127.0.0.1. Used as a context manager; `market` and `faults` may be changed at will.

    `bill`: what was charged. A stream is charged as soon as its data begins to flow, every time; a job when it is
    submitted, and its files may be fetched again for nothing. `polls`: how often a new job is told to be at work.
    """

    def __init__(self, market: Market, port: int = 0) -> None:
        self.market, self.faults, self.polls = market, Faults(), 0
        self.bill: list[Charge] = []
        self.jobs: dict[str, Job] = {}
        #: Bytes of files of jobs that were sent, by file; what is resumed is sent once.
        self.sent: dict[str, int] = {}
        self.pause = threading.Event()
        self.pause.set()
        self._numbers = itertools.count(1)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def dollars(self) -> float:
        """What the whole bill comes to."""
        return sum(charge.dollars for charge in self.bill)

    def __enter__(self) -> LoopbackDatabento:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.pause.set()
        self._server.shutdown()
        self._server.server_close()

    # -- the API ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, fields: dict[str, str]) -> Any:
        """What a method answers as JSON. Raises Refusal."""
        act = _METHODS.get(method)
        if act is None:
            raise Refusal(404, "not_found", f"there is no method {method}")
        return act(self, fields)

    def query(self, fields: dict[str, str]) -> Query:
        """A request for data, refused where the vendor refuses it."""
        self._known(fields)
        start, end = (_nanoseconds(fields.get(name)) for name in ("start", "end"))
        schema = fields["schema"]
        if schema not in self.market.records:
            raise Refusal(422, "data_schema_not_supported", f"The schema {schema} is not available")
        start = self.market.start if start is None else start
        end = self.market.ends[schema] if end is None else end
        known = {"dataset": self.market.dataset, "available_start": _iso(self.market.start)}
        payload = known | {"available_end": _iso(self.market.ends[schema]), "start": _iso(start), "end": _iso(end)}
        if start >= end:
            raise Refusal(422, "data_time_range_start_on_or_after_end", "`start` must be before `end`", payload)
        if start < self.market.start:
            raise Refusal(422, "data_start_before_available_start", "`start` is before the available start", payload)
        if end > self.market.ends[schema]:
            message = f"The dataset has data available up to '{payload['available_end']}'. The `end` is after it."
            raise Refusal(422, "data_end_after_available_end", message, payload)
        symbols = tuple(fields["symbols"].split(","))
        return Query(self.market.dataset, schema, symbols, fields.get("stype_in", "raw_symbol"), start, end)

    def selected(self, query: Query) -> Any:
        try:
            return self.market.selected(query)
        except UnknownSymbolsError as error:
            raise Refusal(422, "symbology_invalid_request", str(error)) from error

    def _known(self, fields: dict[str, str]) -> None:
        if fields.get("dataset") != self.market.dataset:
            raise Refusal(422, "dataset_unavailable", f"There is no dataset {fields.get('dataset')}")

    def _range(self, fields: dict[str, str]) -> Any:
        self._known(fields)
        spans = {name: {"start": _iso(self.market.start), "end": _iso(end)} for name, end in self.market.ends.items()}
        return {"start": _iso(self.market.start), "end": _iso(max(self.market.ends.values())), "schema": spans}

    def _conditions(self, fields: dict[str, str]) -> Any:
        self._known(fields)
        first = dt.date.fromisoformat(fields.get("start_date", "1970-01-01"))
        return self.market.conditions(first, dt.date.fromisoformat(fields.get("end_date", "2200-01-01")))

    def _resolve(self, fields: dict[str, str]) -> Any:
        self._known(fields)
        symbols = tuple(fields["symbols"].split(","))
        start, end = (_nanoseconds(fields[name]) or 0 for name in ("start_date", "end_date"))
        found = self.market.resolved(Query(self.market.dataset, "", symbols, fields["stype_in"], start, end))
        result = {
            symbol: [{"d0": str(d0), "d1": str(d1), "s": number} for _, (d0, d1, number) in entries]
            for symbol, entries in found.items()
            if entries
        }
        missing = [symbol for symbol in symbols if symbol not in result]
        return {"result": result, "partial": [], "not_found": missing, "message": "OK", "status": 0}

    def _submit(self, fields: dict[str, str]) -> Any:
        query = self.query(fields)
        records = self.selected(query)
        cost = self.market.dollars(query, records)
        name = f"{query.dataset[:4]}-20240101-{next(self._numbers):010d}"
        job = Job(name, query, fields["split_duration"], dt.datetime.now(dt.UTC), self.polls, cost, {})
        self._write_files(job, records)
        self.jobs[name] = job
        self.bill.append(Charge("batch", query, cost))
        return self._details({"job_id": name})

    def _write_files(self, job: Job, records: Any) -> None:
        query = job.query
        bounds = [query.start, query.end]
        if job.split == "month":
            months = pd.date_range(pd.Timestamp(query.start), pd.Timestamp(query.end), freq="MS", inclusive="neither")
            bounds[1:1] = [int(month.normalize().value) for month in months]
        for start, end in itertools.pairwise(sorted(set(bounds))):
            part = Query(query.dataset, query.schema, query.symbols, query.stype_in, start, end)
            day = [f"{pd.Timestamp(at):%Y%m%d}" for at in (start, end - 1)]
            file = f"{query.dataset.lower().replace('.', '-')}-{day[0]}-{day[1]}.{query.schema}.dbn.zst"
            job.files[file] = self.market.encoded(part, self.market.selected(part))
        first, last = (pd.Timestamp(at).date() for at in (query.start, query.end - 1))
        job.files["condition.json"] = json.dumps(self.market.conditions(first, last)).encode()
        job.files["metadata.json"] = json.dumps({"version": 1, "job_id": job.id}).encode()
        job.files["manifest.json"] = json.dumps({"job_id": job.id, "files": self._listed(job)}).encode()

    def _listed(self, job: Job) -> list[dict[str, Any]]:
        return [
            {
                "filename": name,
                "size": len(content),
                "hash": f"sha256:{hashlib.sha256(content).hexdigest()}",
                "urls": {"https": f"{self.endpoint}/v0/batch/download/LOOPBACK/{job.id}/{name}"},
            }
            for name, content in job.files.items()
        ]

    def _job(self, fields: dict[str, str]) -> Job:
        if fields["job_id"] not in self.jobs:
            raise Refusal(404, "batch_job_not_found", f"There is no job {fields['job_id']}")
        return self.jobs[fields["job_id"]]

    def _details(self, fields: dict[str, str]) -> Any:
        job = self._job(fields)
        told = {"id": job.id, "state": job.state, "ts_received": job.received.isoformat(), "cost_usd": job.dollars}
        job.polls -= 1
        query = job.query
        asked = {"dataset": query.dataset, "schema": query.schema, "symbols": ",".join(query.symbols)}
        return told | asked | {"stype_in": query.stype_in, "start": _iso(query.start), "end": _iso(query.end)}

    def _jobs(self, fields: dict[str, str]) -> Any:
        since = _nanoseconds(fields.get("since")) or 0
        found = [job for job in self.jobs.values() if job.received.timestamp() * 1e9 >= since]
        return [{"id": job.id, "state": job.state, "ts_received": job.received.isoformat()} for job in found]

    def _files(self, fields: dict[str, str]) -> Any:
        job = self._job(fields)
        if job.state != "done":
            raise Refusal(422, "batch_job_not_done", f"The job {job.id} is {job.state}")
        return self._listed(job)

    def _cost(self, fields: dict[str, str]) -> Any:
        query = self.query(fields)
        return self.market.dollars(query, self.selected(query))

    def _size(self, fields: dict[str, str]) -> Any:
        return self.market.billable(self.selected(self.query(fields)))

    def _count(self, fields: dict[str, str]) -> Any:
        return len(self.selected(self.query(fields)))

    def _schemas(self, fields: dict[str, str]) -> Any:
        self._known(fields)
        return sorted(self.market.records)

    def _prices(self, fields: dict[str, str]) -> Any:
        return [{"mode": "historical-streaming", "unit_prices": self.market.prices}]


_METHODS: dict[str, Callable[[LoopbackDatabento, dict[str, str]], Any]] = {
    "metadata.get_dataset_range": LoopbackDatabento._range,
    "metadata.get_dataset_condition": LoopbackDatabento._conditions,
    "metadata.get_cost": LoopbackDatabento._cost,
    "metadata.get_billable_size": LoopbackDatabento._size,
    "metadata.get_record_count": LoopbackDatabento._count,
    "metadata.list_schemas": LoopbackDatabento._schemas,
    "metadata.list_unit_prices": LoopbackDatabento._prices,
    "symbology.resolve": LoopbackDatabento._resolve,
    "batch.submit_job": LoopbackDatabento._submit,
    "batch.list_jobs": LoopbackDatabento._jobs,
    "batch.list_files": LoopbackDatabento._files,
    "batch.get_job_details": LoopbackDatabento._details,
}


def _nanoseconds(text: str | None) -> int | None:
    if text is None:
        return None
    if text.isdecimal() and len(text) > 8:
        return int(text)
    moment = pd.Timestamp(text)
    return int((moment.tz_localize("UTC") if moment.tz is None else moment).as_unit("ns").value)


def _iso(nanoseconds: int) -> str:
    return f"{pd.Timestamp(nanoseconds):%Y-%m-%dT%H:%M:%S}.{nanoseconds % 1_000_000_000:09d}Z"


def _handler(server: LoopbackDatabento) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *told: object) -> None:
            pass

        def do_GET(self) -> None:
            self._serve(dict(urllib.parse.parse_qsl(self.path.partition("?")[2])))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._serve(dict(urllib.parse.parse_qsl(body.decode())))

        def _serve(self, fields: dict[str, str]) -> None:
            path = self.path.partition("?")[0].removeprefix("/v0/")
            method = "batch.download" if path.startswith("batch/download/") else path
            fault = server.faults.next(method)
            kind = "" if fault is None else fault.kind
            if kind == "dropped":
                self.close_connection = True
                return
            try:
                if fault is not None and kind.isdecimal():
                    headers = {"Retry-After": fault.retry_after} if kind == "429" else {}
                    said = f"the server answers {kind}"
                    self._say(int(kind), Refusal(int(kind), "scripted", said).body, headers)
                elif self.headers.get("Authorization") != f"Basic {base64.b64encode(f'{KEY}:'.encode()).decode()}":
                    # Unlike the vendor it repeats the key that it was given: who prints the answer gives it away.
                    given = base64.b64decode((self.headers.get("Authorization") or " ").split(" ")[1]).decode()
                    raise Refusal(401, "auth_authentication_failed", f"Authentication failed: {given.rstrip(':')}")
                elif method == "timeseries.get_range":
                    self._stream(fields, fault)
                elif method == "batch.download":
                    self._download(path, fault)
                else:
                    answer = server.answer(method, fields)
                    if kind == "lost":
                        self.close_connection = True
                        return
                    self._say(200, answer)
            except Refusal as error:
                self._say(error.status, error.body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def _say(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _stream(self, fields: dict[str, str], fault: Fault | None) -> None:
            query = server.query(fields)
            records = server.selected(query)
            kind = "" if fault is None else fault.kind
            server.bill.append(Charge("stream", query, server.market.dollars(query, records)))
            content = server.market.encoded(query, records[: len(records) // 2] if kind == "truncated" else records)
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            if kind == "warned":
                self.send_header("X-Warning", json.dumps(["Warning: The dataset is degraded on some of these days."]))
            self.end_headers()
            half = len(content) // 2
            for piece in (content[:half], content[half:]):
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.flush()
                if kind == "cut":
                    self.close_connection = True
                    return
                server.pause.wait()
            self.wfile.write(b"0\r\n\r\n")

        def _download(self, path: str, fault: Fault | None) -> None:
            _, job_id, name = urllib.parse.unquote(path).removeprefix("batch/download/").split("/")
            content = server._job({"job_id": job_id}).files[name]
            wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            first = int(wanted.group(1)) if wanted else 0
            piece = content[first:]
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(piece)))
            self.end_headers()
            if fault is not None and fault.kind == "cut":
                piece, self.close_connection = piece[: len(piece) // 2], True
            server.sent[name] = server.sent.get(name, 0) + len(piece)
            self.wfile.write(piece)
            server.pause.wait()

    return Handler
