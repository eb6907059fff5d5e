"""Operational tables, written by landing and by the warehouse itself, never by an asset."""

from __future__ import annotations

from cbi_dagster.catalog.columns import pick
from cbi_dagster.catalog.model import Table
from cbi_dagster.catalog.partitioning import Unpartitioned


def _ops(name: str, description: str, columns: str, key: tuple[str, ...], required: str = "") -> Table:
    return Table(
        dataset="ops",
        name=name,
        description=description,
        columns=pick(columns),
        key=key,
        partitioning=Unpartitioned(),
        layer="ops",
        required=frozenset(required.split()),
        owners=("team:platform",),
    )


PARTITION_LEDGER = _ops(
    "partition_ledger",
    "What each partition holds (content hash, rows, written when and by which run) and under which code version and "
    "inputs that content was last confirmed (verification).",
    "table_name partition_key content_hash row_count written_at written_run "
    "code_version input_fingerprint verified_at verified_run",
    key=("table_name", "partition_key"),
    required="content_hash row_count written_at code_version input_fingerprint verified_at",
)
CODE_VERSIONS = _ops(
    "code_versions",
    "Versions of the tables' code that something was built with: what each was made of, and under which files of the "
    "package it was last found.",
    "table_name code_version package_files code_parts",
    key=("table_name", "code_version"),
    required="package_files code_parts",
)
QUARANTINE = _ops(
    "quarantine",
    "Rows that were rejected, where they came from and why. Rows of a partition are replaced when it is rebuilt; "
    "they know their file by its name alone and have an empty `file_hash`.",
    "table_name date file_hash source_file source_row symbol ts_event reason detail",
    key=("table_name", "file_hash", "source_file", "source_row", "symbol", "ts_event", "reason"),
)
HELD_BACK = _ops(
    "held_back",
    "Rows that are sound and not in the table all the same, counted per table, trade date, symbol and reason: bars "
    "that wait for the rest of their session, training rows without a label.",
    "table_name date symbol vendor_schema reason bar_rows",
    key=("table_name", "date", "symbol", "vendor_schema", "reason"),
)
LANDED_FILES = _ops(
    "landed_files",
    "What became of vendor files, in order: a row for each that was verified and taken, for each that was taken again "
    "so that it wins, and for each that was withdrawn. The last row of a `file_hash` says what holds. A file that "
    "later rules refuse counts for nothing, as in a warehouse that is landed now.",
    "file_hash landing_sequence source_file file_bytes dataset vendor_schema stype_in span_start span_end file_rows "
    "kept_rows rejected_rows outside_rows landed_at withdrawn_at refused_because",
    key=("landing_sequence",),
    required="file_hash source_file dataset vendor_schema span_start span_end",
)
LANDED_SYMBOLS = _ops(
    "landed_symbols",
    "The vendor's symbology of each landed file for the universe's symbols: which contract a symbol stood for on which "
    "UTC dates. A symbol the vendor could not resolve in the file's span has one row with NULL instrument_id.",
    "file_hash symbol root mapping_start mapping_end instrument_id",
    key=("file_hash", "symbol", "mapping_start"),
)
CORRECTIONS = _ops(
    "corrections",
    "What a later delivery changed, with the values before and after: a bar that it states no longer, or a post that "
    "it takes back, has no new values. Of a post, `symbol` is its identity and `ts_event` when it was published; of a "
    "statistic or a definition, `symbol` names it and `ts_event` is when it was received. A withdrawn file changes "
    "back what it had changed.",
    "file_hash vendor_schema symbol ts_event date old_open old_high old_low old_close old_volume old_instrument_id "
    "new_open new_high new_low new_close new_volume new_instrument_id old_text new_text old_published_at "
    "new_published_at landed_at",
    key=("file_hash", "symbol", "ts_event", "landed_at"),
)
VENDOR_SPEND = _ops(
    "vendor_spend",
    "Requests to the vendor's API that cost money, written before each is sent and when it has ended. A request whose "
    "end is unknown counts as spent. `span_start` and `span_end`: the period that was asked for.",
    "request_id dataset vendor_schema stype_in request_symbols span_start span_end request_mode request_state spent "
    "record_count asked_at ended_at job_id error_message",
    key=("request_id",),
    required="dataset vendor_schema stype_in request_symbols span_start span_end request_mode request_state spent "
    "record_count asked_at",
)
INGESTION_RUNS = _ops(
    "ingestion_runs",
    "One row per landing and per write of a table by a run: what came in, what went out, what was rejected.",
    "event_id source run_status started_at ended_at rows_in rows_out rows_rejected rows_held_back partitions_written "
    "partitions_unchanged code_version error_message",
    key=("event_id",),
    required="source run_status started_at",
)
PROOFS = _ops(
    "proofs",
    "What `cbi prove` found of each table: made again from deliveries cut at instants, and from its declared windows, "
    "it is what is stored, or not.",
    "table_name proved_at code_version cut_instants rows_compared rows_differing partitions_recomputed "
    "partitions_differing proof_finding",
    key=("table_name", "proved_at"),
    required="code_version cut_instants rows_compared rows_differing partitions_recomputed partitions_differing",
)
