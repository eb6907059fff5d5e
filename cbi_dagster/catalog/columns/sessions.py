"""Session bars: one row per symbol and trade date."""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import OHLCV, PRICE
from cbi_dagster.catalog.columns.settlements import SESSION_COLUMNS
from cbi_dagster.catalog.model import Column, Type
from cbi_dagster.catalog.spans import span_limit

_S, _I, _F, _T = Type.STRING, Type.INT64, Type.FLOAT64, Type.TIMESTAMP

STALE_TRADE_DATES = span_limit(2)
"""How many trade dates lie between two sessions at most that are still neighbours: a session further back is of another
time."""

WINDOW_TRADE_DATES = 30
"""How many trade dates before a session its habits are taken from."""

QUALITIES = ("complete", "early_close", "doubtful", "thin", "holed", "cut")
IN_PART = ("holed", "cut")
"""Qualities of sessions that are there in part, as their bars say: no factor is made of the last price of one where
another one is known."""
WITHOUT_LABELS = (*IN_PART, "doubtful")
"""Qualities of sessions in which no label starts or ends."""

COLUMNS = (
    Column(
        "vwap",
        _F,
        "Sum of typical price x volume over the session's intraday bars divided by their volume; "
        "typical price is (high + low + close) / 3. NULL without intraday bars.",
        PRICE,
    ),
    Column(
        "realized_vol_1h",
        _F,
        "Square root of the sum of squared 1-hour log returns inside the session (the first "
        "from the session's open); not annualised. NULL without intraday bars.",
        "fraction",
        ge=0,
    ),
    Column(
        "bar_source",
        _S,
        "What the session was built from: the finest stored schema that covers it.",
        isin=("ohlcv-1m", "ohlcv-1h", "utc_1d", "utc_1d_merged"),
    ),
    Column("bars_seen", _I, "Source bars of the session's contract.", "bars", ge=1),
    Column(
        "bars_usual",
        _F,
        f"Mean bars_seen of the ordinary sessions of the {WINDOW_TRADE_DATES} trade dates before, from the same "
        "source; NULL for fewer than ten, and for bars of UTC days.",
        "bars",
        ge=0,
    ),
    Column(
        "last_bar_end",
        _T,
        "End of the session's last bar (UTC, exclusive bound of its trades); the close if that lies in the bar.",
    ),
    Column(
        "session_quality",
        _S,
        "Whether the session is what the exchange held, judged by itself and earlier ones: complete; early_close (the "
        "calendar says so); thin (hardly traded, e.g. the last days of a contract); holed (hours usually traded are "
        "missing); cut (they are missing up to the close); doubtful (one is missing on a day that the vendor calls "
        "degraded, missing or pending, which it may say much later: no feature). NULL where too little is known to "
        "tell.",
        isin=QUALITIES,
    ),
    Column(
        "session_close_ts",
        _T,
        "When the session is known (UTC): its regular close, or last_bar_end where that is later.",
    ),
    Column(
        "boundary_instrument_id",
        _I,
        "Contract of the bars that this session rejected as roll_boundary because "
        "they precede the switch; NULL when there were none.",
    ),
    Column("boundary_close", _F, "Close of the last such bar: the old contract's last price before the switch.", PRICE),
)

INPUTS = (
    "date", "ts_event", "root", "symbol", "instrument_id", *OHLCV, "session_instrument_id", "session_covered",
    "dataset", "source_file", "source_row",
)  # fmt: skip
"""What session bars need of landed bars; file and row are for those that are rejected."""

SESSIONS = (
    "date", "root", "symbol", "contract", "instrument_id", "open", "high", "low", "close", "settle", "settle_is_final",
    "volume", "open_interest", "settlement_complete", "vwap", "realized_vol_1h", "bar_source", "bars_seen",
    "bars_usual", "last_bar_end", "session_quality", "session_close_ts",
    "boundary_instrument_id", "boundary_close", "exchange", "currency", "dataset",
)  # fmt: skip

BUILT = tuple(name for name in SESSIONS if name not in SESSION_COLUMNS)
"""What bars alone say of a session."""
