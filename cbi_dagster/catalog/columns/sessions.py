"""Session bars: one row per symbol and trade date."""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import OHLCV, PRICE
from cbi_dagster.catalog.model import Column, Type
from cbi_dagster.catalog.spans import span_limit

_S, _I, _F, _T = Type.STRING, Type.INT64, Type.FLOAT64, Type.TIMESTAMP

STALE_TRADE_DATES = span_limit(2)
"""How many trade dates old another market's last price may be at the decision time."""

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
        "close_decision",
        _F,
        "Close of the last intraday bar completed by 13:20 America/Chicago of the trade date; NULL when none was.",
        PRICE,
    ),
    Column(
        "bar_source",
        _S,
        "What the session was built from: the finest stored schema that covers it.",
        isin=("ohlcv-1m", "ohlcv-1h", "utc_1d", "utc_1d_merged"),
    ),
    Column("bar_count", _I, "Source bars of the session's contract.", "bars", ge=1),
    Column("session_close_ts", _T, "Scheduled close of the session (UTC)."),
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
    "date", "root", "symbol", "contract", "instrument_id", "open", "high", "low", "close", "settle", "volume",
    "open_interest", "vwap", "realized_vol_1h", "close_decision", "bar_source", "bar_count", "session_close_ts",
    "boundary_instrument_id", "boundary_close", "exchange", "currency", "dataset",
)  # fmt: skip
