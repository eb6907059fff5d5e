"""The global column dictionary: one name, one type, one unit, one meaning.

A column name that appears in two tables means the same in both. Prices are in the quote unit of the row's product
(`universe.yaml`); columns starting with `adj_` are on the forward-ratio-adjusted scale, on which the first contract
of the history has factor 1.
"""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Type

_S, _I, _F, _B, _D, _T = Type.STRING, Type.INT64, Type.FLOAT64, Type.BOOL, Type.DATE, Type.TIMESTAMP
_PRICE = "quote unit"

_IDENTITY = [
    Column("date", _D, "Trade date: the date of America/Chicago wall-clock time plus seven hours."),
    Column("data_date", _D, "Trade date the row describes; features are as known at its decision time."),
    Column("symbol", _S, "Market: the root for the platform's continuous series, else the vendor's symbol."),
    Column("root", _S, "Product root, e.g. ZL."),
    Column("contract", _S, "Contract the prices belong to, e.g. ZLZ5; NULL when the vendor names only an id."),
    Column("instrument_id", _I, "Vendor's id of the contract; unique within a day only.", ge=0),
    Column("publisher_id", _I, "Vendor's id of the publisher (venue feed).", ge=0),
    Column("exchange", _S, "Venue of the product."),
    Column("currency", _S, "Currency of the price."),
    Column("timestamp", _T, "Decision time of the row: the session close of its symbol (UTC)."),
    Column("ts_event", _T, "Start of the bar (UTC, inclusive)."),
]

_BARS = [
    Column("open", _F, "First traded price of the bar or session, unadjusted.", _PRICE),
    Column("high", _F, "Highest traded price, unadjusted.", _PRICE),
    Column("low", _F, "Lowest traded price, unadjusted.", _PRICE),
    Column("close", _F, "Last traded price, unadjusted.", _PRICE),
    Column("volume", _I, "Contracts traded.", "contracts", ge=0),
    Column("settle", _F, "Settlement price of the trade date; NULL until statistics are landed.", _PRICE),
    Column("open_interest", _I, "Open contracts at the end of the trade date; NULL until statistics are landed.",
           "contracts", ge=0),
    Column("session_instrument_id", _I, "Contract that the vendor's mapping names for the UTC date equal to the trade "
           "date; NULL when no landed mapping covers that date.", ge=0),
    Column("session_covered", _B, "Whether landed data covers the bar's session from open to close."),
    Column("source_file", _S, "Name of the landed file the bar came from; not part of the row's content."),
    Column("source_row", _I, "Row (0-based) in that file; not part of the row's content.", ge=0),
    Column("dataset", _S, "Vendor dataset, e.g. GLBX.MDP3; simulated data says SIM.DEMO."),
]

_SESSIONS = [
    Column("vwap", _F, "Sum of typical price x volume over the session's intraday bars divided by their volume; "
           "typical price is (high + low + close) / 3. NULL without intraday bars.", _PRICE),
    Column("realized_vol_1h", _F, "Square root of the sum of squared 1-hour log returns inside the session (the first "
           "from the session's open); not annualised. NULL without intraday bars.", "fraction", ge=0),
    Column("close_decision", _F, "Close of the last intraday bar completed by 13:20 America/Chicago of the trade date; "
           "NULL when none was.", _PRICE),
    Column("bar_source", _S, "What the session was built from: the finest stored schema that covers it.",
           isin=("ohlcv-1m", "ohlcv-1h", "utc_1d", "utc_1d_merged")),
    Column("bar_count", _I, "Source bars of the session's contract.", "bars", ge=1),
    Column("session_close_ts", _T, "Scheduled close of the session (UTC)."),
    Column("boundary_instrument_id", _I, "Contract of the bars that this session rejected as roll_boundary because "
           "they precede the switch; NULL when there were none.", ge=0),
    Column("boundary_close", _F, "Close of the last such bar: the old contract's last price before the switch.",
           _PRICE),
]

_CONTINUOUS = [
    Column("is_roll", _B, "Whether the session trades another contract than the previous one."),
    Column("roll_gap", _F, "New contract's price minus the old one's at the switch, unadjusted; NULL without a roll.",
           _PRICE),
    Column("roll_method", _S, "How the roll's factor was found: both_legs compares the two contracts' closes of the "
           "session before; adjacent_bars compares the old contract's last bar with the new contract's first; "
           "undefined marks a price that is not positive.", isin=("both_legs", "adjacent_bars", "undefined")),
    Column("roll_span_trade_dates", _I, "Trade dates between the two prices of the roll's factor: 0 when both belong to "
           "one session; NULL without a roll.", "trade dates", ge=0),
    Column("adj_factor", _F, "Forward ratio factor of the session's contract: 1 for the first contract, then the "
           "product of old/new price ratios. NULL once a ratio was undefined.", "ratio", gt=0),
    Column("adj_open", _F, "open x adj_factor.", "adjusted price"),
    Column("adj_high", _F, "high x adj_factor.", "adjusted price"),
    Column("adj_low", _F, "low x adj_factor.", "adjusted price"),
    Column("adj_close", _F, "close x adj_factor.", "adjusted price"),
    Column("adj_close_decision", _F, "close_decision x adj_factor.", "adjusted price"),
]

_OPS = [
    Column("table_name", _S, "Table a record is about, `dataset.name`."),
    Column("partition_key", _S, "Dagster partition key: a trade date, the first day of a month, or `all`."),
    Column("content_hash", _S, "Digest of the partition's rows without audit columns."),
    Column("row_count", _I, "Rows of the partition.", "rows", ge=0),
    Column("written_at", _T, "When the partition's content last changed (UTC)."),
    Column("written_run", _S, "Run that wrote the content."),
    Column("code_version", _S, "Code version of the table under which the content was last confirmed."),
    Column("input_fingerprint", _S, "Digest of the inputs' content in the declared window when last confirmed."),
    Column("verified_at", _T, "When the content was last confirmed (UTC)."),
    Column("verified_run", _S, "Run that confirmed the content."),
    Column("reason", _S, "Why a row was rejected or held back."),
    Column("detail", _S, "The rejected values, for a person to read."),
    Column("vendor_schema", _S, "Vendor schema of a file or bar.", isin=("ohlcv-1m", "ohlcv-1h", "ohlcv-1d")),
    Column("bar_rows", _I, "Number of bars.", "bars", ge=0),
    Column("file_hash", _S, "SHA-256 of a landed file."),
    Column("landing_sequence", _I, "Landing order: on the same bar the higher number wins.", ge=0),
    Column("file_bytes", _I, "Size of the file.", "bytes", ge=0),
    Column("stype_in", _S, "How the request named its symbols.", isin=("continuous", "parent", "raw_symbol")),
    Column("span_start", _T, "Start of what the file covers (UTC, inclusive)."),
    Column("span_end", _T, "End of what the file covers (UTC, exclusive)."),
    Column("file_rows", _I, "Rows of the file.", "rows", ge=0),
    Column("kept_rows", _I, "Rows taken as bars of the universe.", "rows", ge=0),
    Column("rejected_rows", _I, "Rows of the universe rejected with a reason.", "rows", ge=0),
    Column("outside_rows", _I, "Rows of symbols outside the universe, left out.", "rows", ge=0),
    Column("landed_at", _T, "When the file was landed (UTC)."),
    Column("mapping_start", _D, "First UTC date of a symbol's mapping (inclusive)."),
    Column("mapping_end", _D, "End of a symbol's mapping (UTC date, exclusive)."),
    *(
        Column(f"{side}_{name}", _F, f"{word} {name} of a corrected bar.", _PRICE)
        for side, word in (("old", "Earlier"), ("new", "Corrected"))
        for name in ("open", "high", "low", "close")
    ),
    Column("old_volume", _I, "Earlier volume of a corrected bar.", "contracts", ge=0),
    Column("new_volume", _I, "Corrected volume of a corrected bar.", "contracts", ge=0),
    Column("old_instrument_id", _I, "Earlier contract of a corrected bar.", ge=0),
    Column("new_instrument_id", _I, "Corrected contract of a corrected bar.", ge=0),
    Column("event_id", _S, "Identity of a landing or of one table's write within a run."),
    Column("source", _S, "What ran: a vendor file name or a table."),
    Column("run_status", _S, "How it ended.", isin=("running", "success", "failed")),
    Column("started_at", _T, "When it started (UTC)."),
    Column("ended_at", _T, "When it ended (UTC)."),
    Column("rows_in", _I, "Rows that went in.", "rows", ge=0),
    Column("rows_out", _I, "Rows that came out.", "rows", ge=0),
    Column("rows_rejected", _I, "Rows rejected with a reason.", "rows", ge=0),
    Column("rows_held_back", _I, "Rows held back until their session is complete.", "rows", ge=0),
    Column("partitions_written", _I, "Partitions whose content changed.", "partitions", ge=0),
    Column("partitions_unchanged", _I, "Partitions confirmed as they were.", "partitions", ge=0),
    Column("error_message", _S, "What went wrong, NULL on success."),
]

_ALL = (*_IDENTITY, *_BARS, *_SESSIONS, *_CONTINUOUS, *_OPS)

DICTIONARY: dict[str, Column] = {column.name: column for column in _ALL}
if len(DICTIONARY) != len(_ALL):
    raise ValueError("the column dictionary declares a name twice")


def pick(names: str) -> tuple[Column, ...]:
    """Columns of the dictionary by name, separated by white space; KeyError for a name it does not have."""
    return tuple(DICTIONARY[name] for name in names.split())
