"""Operational tables."""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import PRICE
from cbi_dagster.catalog.model import Column, Type

_S, _I, _F, _D, _T = Type.STRING, Type.INT64, Type.FLOAT64, Type.DATE, Type.TIMESTAMP

COLUMNS = (
    Column("table_name", _S, "Table a record is about, `dataset.name`."),
    Column("partition_key", _S, "Dagster partition key: a trade date, the first day of a month, or `all`."),
    Column("content_hash", _S, "Digest of the partition's rows without audit columns."),
    Column("row_count", _I, "Rows of the partition.", "rows", ge=0),
    Column("written_at", _T, "When the partition's content last changed (UTC)."),
    Column("written_run", _S, "Run that wrote the content."),
    Column("code_version", _S, "Code version of the table under which the content was last confirmed."),
    Column("package_files", _S, "Digest of the files of the package under which the version was last found."),
    Column("code_parts", _S, "Digests of what the version is made of, by name (JSON)."),
    Column("input_fingerprint", _S, "Digest of the inputs' content in the declared window when last confirmed."),
    Column("verified_at", _T, "When the content was last confirmed (UTC)."),
    Column("verified_run", _S, "Run that confirmed the content."),
    Column("reason", _S, "Why a row was rejected or held back."),
    Column("detail", _S, "The rejected values, for a person to read."),
    Column(
        "vendor_schema",
        _S,
        "Vendor schema of a file or bar; `macro` for a file of macro series, `posts` and `posts-coverage` for files of "
        "posts and of what is known of them, empty for rows of a table.",
        isin=(
            "ohlcv-1m",
            "ohlcv-1h",
            "ohlcv-1d",
            "statistics",
            "definition",
            "futures-eod",
            "macro",
            "posts",
            "posts-coverage",
            "",
        ),
    ),
    Column("bar_rows", _I, "Number of bars or rows.", "rows", ge=0),
    Column("file_hash", _S, "SHA-256 of a landed file."),
    Column("landing_sequence", _I, "Landing order: on the same bar the higher number wins.", ge=0),
    Column("file_bytes", _I, "Size of the file.", "bytes", ge=0),
    Column("stype_in", _S, "How the request named its symbols.", isin=("continuous", "parent", "raw_symbol")),
    Column("span_start", _T, "Start of what the file covers (UTC, inclusive)."),
    Column("span_end", _T, "End of what the file covers (UTC, exclusive)."),
    Column("file_rows", _I, "Rows of the file.", "rows", ge=0),
    Column("kept_rows", _I, "Rows taken: bars of the universe, vintages of a series, posts, days.", "rows", ge=0),
    Column(
        "rejected_rows",
        _I,
        "Rows rejected with a reason, those of symbols outside the universe not counted.",
        "rows",
        ge=0,
    ),
    Column("outside_rows", _I, "Rows of symbols outside the universe, left out.", "rows", ge=0),
    Column("landed_at", _T, "When the file was landed (UTC)."),
    Column("withdrawn_at", _T, "When the file was withdrawn (UTC); NULL in the record of a landing."),
    Column(
        "refused_because",
        _S,
        "Why a landed file no longer counts: what the present rules say of it, found when it was read anew; else NULL.",
    ),
    Column("mapping_start", _D, "First UTC date of a symbol's mapping (inclusive)."),
    Column("mapping_end", _D, "End of a symbol's mapping (UTC date, exclusive)."),
    *(
        Column(f"{side}_{name}", _F, f"{word} {name} of a corrected bar.", PRICE)
        for side, word in (("old", "Earlier"), ("new", "Corrected"))
        for name in ("open", "high", "low", "close")
    ),
    Column("old_volume", _I, "Earlier volume of a corrected bar.", "contracts", ge=0),
    Column("new_volume", _I, "Corrected volume of a corrected bar.", "contracts", ge=0),
    Column("old_instrument_id", _I, "Earlier contract of a corrected bar."),
    Column("new_instrument_id", _I, "Corrected contract of a corrected bar."),
    Column("old_text", _S, "Earlier text of a corrected post."),
    Column("new_text", _S, "Corrected text of a corrected post; NULL for one that was taken back."),
    Column("old_published_at", _T, "Earlier time of publication of a corrected post (UTC)."),
    Column("new_published_at", _T, "Corrected time of publication; NULL for a post that was taken back (UTC)."),
    Column("event_id", _S, "Identity of a landing or of one table's write within a run."),
    Column("source", _S, "What ran: a vendor file name or a table."),
    Column("run_status", _S, "How it ended.", isin=("running", "success", "failed")),
    Column("started_at", _T, "When it started (UTC)."),
    Column("ended_at", _T, "When it ended (UTC)."),
    Column("rows_in", _I, "Rows that went in.", "rows", ge=0),
    Column("rows_out", _I, "Rows that came out.", "rows", ge=0),
    Column("rows_rejected", _I, "Rows rejected with a reason.", "rows", ge=0),
    Column(
        "rows_held_back",
        _I,
        "Rows held back: bars until their session is complete, training rows without a label.",
        "rows",
        ge=0,
    ),
    Column("partitions_written", _I, "Partitions whose content changed.", "partitions", ge=0),
    Column("partitions_unchanged", _I, "Partitions confirmed as they were.", "partitions", ge=0),
    Column("proved_at", _T, "When the table was proved (UTC)."),
    Column("cut_instants", _I, "Instants at which deliveries were cut and the table made of what was left.", "", ge=0),
    Column("rows_compared", _I, "Rows so made that were compared with the stored ones.", "rows", ge=0),
    Column(
        "rows_differing", _I, "Rows of them that the stored table does not have so, and rows it gained.", "rows", ge=0
    ),
    Column(
        "partitions_recomputed",
        _I,
        "Partitions, alone or a few together, that were made again from their declared windows.",
        "partitions",
        ge=0,
    ),
    Column("partitions_differing", _I, "Partitions of them that came out otherwise than stored.", "partitions", ge=0),
    Column("proof_finding", _S, "What differed, where and at which cut; NULL for a table that stands."),
    Column("error_message", _S, "What went wrong, NULL on success."),
    Column("request_id", _S, "Identity of a request to the vendor's API."),
    Column("request_symbols", _S, "The symbols of a request, with commas."),
    Column(
        "request_mode", _S, "How the data comes: streamed, or as the files of a batch job.", isin=("stream", "batch")
    ),
    Column(
        "request_state",
        _S,
        "How far a request is: sent (its end is unknown until another state stands here), submitted (a batch job is at "
        "work), received (verified, not landed yet), landed, refused (by the door, not asked for again), broken (it "
        "may have been charged, its data is not here), failed (the vendor answered with an error, nothing is charged).",
        isin=("sent", "submitted", "received", "landed", "refused", "broken", "failed"),
    ),
    Column("spent", _F, "What a request cost or may have cost, by the vendor's price before it was made.", "USD", ge=0),
    Column("record_count", _I, "Records that the vendor said a request has.", "records", ge=0),
    Column("asked_at", _T, "When a request was sent (UTC)."),
    Column("job_id", _S, "The vendor's batch job, NULL for a stream."),
)
