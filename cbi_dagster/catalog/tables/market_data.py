"""Vendor bars as landed, session bars and the continuous series."""

from __future__ import annotations

from cbi_dagster.catalog.columns import bars, continuous, pick, sessions
from cbi_dagster.catalog.model import Read, Table, ordered
from cbi_dagster.catalog.partitioning import INCEPTION, Daily

_OHLC = (ordered("low", "open", "high"), ordered("low", "close", "high"))


def _landed(name: str, schema: str, what: str) -> Table:
    return Table(
        dataset="market_data",
        name=name,
        description=f"{what} of the universe, merged over all deliveries; a later one wins for its bars.",
        columns=pick(*bars.LANDED),
        key=("symbol", "ts_event"),
        partitioning=Daily("date"),
        layer="market_data",
        required=frozenset({"root", "instrument_id", *bars.OHLCV, "session_covered", "dataset"}),
        cluster=("root", "symbol"),
        reads=(Read(f"landing.{schema.replace('-', '_')}", columns=bars.LANDED),),
        row_checks=_OHLC,
        owners=("team:market-data",),
    )


OHLCV_1M = _landed("databento_futures_ohlcv_1m", "ohlcv-1m", "Vendor 1-minute bars")
OHLCV_1H = _landed("databento_futures_ohlcv_1h", "ohlcv-1h", "Vendor 1-hour bars")
OHLCV_UTC_1D = _landed("databento_futures_ohlcv_utc_1d", "ohlcv-1d", "Vendor UTC-day bars (not sessions)")

OHLCV_1D = Table(
    dataset="market_data",
    name="databento_futures_ohlcv_1d",
    description="Session bars: one row per symbol and trade date, made of one contract's bars from the finest stored "
    "schema that covers the session. The root is the symbol of the preferred continuous series.",
    columns=pick(*sessions.SESSIONS),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="market_data",
    required=frozenset(
        {"root", "instrument_id", *bars.OHLCV, "bar_source", "bars_seen", "last_bar_end", "session_close_ts"}
    ),
    cluster=("symbol",),
    # The bars before a session say what is usual.
    reads=tuple(
        Read(table.id, back=sessions.WINDOW_TRADE_DATES, columns=sessions.INPUTS)
        for table in (OHLCV_1M, OHLCV_1H, OHLCV_UTC_1D)
    ),
    row_checks=_OHLC,
    owners=("team:market-data",),
)

FUTURES_CONTINUOUS_1D = Table(
    dataset="market_data",
    name="futures_continuous_1d",
    description="One continuous series per product: the front contract's session, its roll and its forward factor.",
    columns=pick(*continuous.CONTINUOUS),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="market_data",
    required=frozenset({"instrument_id", *bars.OHLCV, "bar_source", "last_bar_end", "session_close_ts", "is_roll"}),
    cluster=("symbol",),
    reads=(Read(OHLCV_1D.id, back=INCEPTION, columns=continuous.INPUTS),),
    row_checks=_OHLC,
    owners=("team:market-data",),
)
