"""The Storage Read API, over gRPC: sessions of one moment, rows as Arrow.

https://cloud.google.com/bigquery/docs/reference/storage/rpc/google.cloud.bigquery.storage.v1
"""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types

from cbi_dagster_tests.fakes.bigquery.scripts import bytes_stored
from cbi_dagster_tests.fakes.bigquery.storage import ServiceError

if TYPE_CHECKING:
    from cbi_dagster_tests.fakes.bigquery.server import LoopbackBigQuery

_SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"
_BATCH_ROWS = 20_000
_CODES = {"notFound": grpc.StatusCode.NOT_FOUND, "invalidQuery": grpc.StatusCode.INVALID_ARGUMENT}


class _Reads:
    def __init__(self, served: LoopbackBigQuery) -> None:
        self._served = served
        self._streams: dict[str, pa.Table] = {}

    def create_read_session(self, request: types.CreateReadSessionRequest, context) -> types.ReadSession:
        self._meet_fault("CreateReadSession", context)
        session = request.read_session
        _, _, _, dataset, _, name = session.table.split("/")
        moment = session.table_modifiers.snapshot_time
        instant = round(moment.timestamp() * 1e6) if moment else None
        try:
            rows = self._served.project.rows_at(f"{dataset}.{name}", instant)
        except ServiceError as trouble:
            context.abort(_CODES.get(trouble.reason, grpc.StatusCode.INVALID_ARGUMENT), trouble.message)
        options = session.read_options
        rows = self._restricted(rows, options.row_restriction, list(options.selected_fields), context)
        session.estimated_total_bytes_scanned = sum(bytes_stored(rows[name]) for name in rows.column_names)
        session.name = f"{request.parent}/sessions/{uuid.uuid4().hex}"
        session.arrow_schema.serialized_schema = rows.schema.serialize().to_pybytes()
        # An empty table has no streams.
        for part in range(min(request.max_stream_count or 1, -(-len(rows) // _BATCH_ROWS))):
            stream = f"{session.name}/streams/{part}"
            count = min(request.max_stream_count or 1, -(-len(rows) // _BATCH_ROWS))
            size = -(-len(rows) // count)
            self._streams[stream] = rows.slice(part * size, size)
            session.streams.append(types.ReadStream(name=stream))
        return session

    def read_rows(self, request: types.ReadRowsRequest, context):
        self._meet_fault("ReadRows", context)
        rows = self._streams[request.read_stream].slice(request.offset)
        for batch in rows.combine_chunks().to_batches(max_chunksize=_BATCH_ROWS):
            serialized = types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes())
            yield types.ReadRowsResponse(arrow_record_batch=serialized, row_count=len(batch))

    def _restricted(self, rows: pa.Table, restriction: str, names: list[str], context) -> pa.Table:
        if restriction:
            try:
                rows = rows.filter(pa.array(self._served.project.holding(restriction, rows)))
            except ServiceError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Request contains an invalid argument: {error}")
        return rows.select(names) if names else rows

    def _meet_fault(self, name: str, context) -> None:
        time.sleep(self._served.latency_s)
        if self._served.faults.next("GRPC", name):
            context.abort(grpc.StatusCode.UNAVAILABLE, "the service is not there for once")


def serve_reads(served: LoopbackBigQuery, port: int) -> grpc.Server | None:
    """A started server at a port, None if it is taken."""
    reads = _Reads(served)

    def handler(message: type) -> dict:
        return {
            "request_deserializer": message.deserialize,
            "response_serializer": lambda answer: type(answer).serialize(answer),
        }

    methods = {
        "CreateReadSession": grpc.unary_unary_rpc_method_handler(
            reads.create_read_session, **handler(types.CreateReadSessionRequest)
        ),
        "ReadRows": grpc.unary_stream_rpc_method_handler(reads.read_rows, **handler(types.ReadRowsRequest)),
    }
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, methods),))
    try:
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
    except RuntimeError:
        return None
    if not bound:
        return None
    server.start()
    return server
