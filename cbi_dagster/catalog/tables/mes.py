"""MES on every horizon: technicals of intraday bars, completed bars of longer periods, and the golden zone."""

from __future__ import annotations

from cbi_dagster.catalog.columns import pick
from cbi_dagster.catalog.indicator_columns import names
from cbi_dagster.catalog.mes_columns import (
    BAR_TECHNICALS,
    GOLDEN_ZONE,
    GOLDEN_ZONE_BAR,
    GOLDEN_ZONE_SESSION,
    PERIOD_BARS,
)
from cbi_dagster.catalog.model import Read, Table, ordered
from cbi_dagster.catalog.partitioning import INCEPTION, Daily, Inception
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D, OHLCV_1H, OHLCV_1M
from cbi_dagster.config.universe import load_universe

MES = "MES"

_LANDED_COLUMNS = (
    "date", "symbol", "ts_event", "instrument_id", "open", "high", "low", "close", "volume", "session_covered",
)  # fmt: skip
_BAR_COLUMNS = ("date", "symbol", "bar_close_ts", "open", "high", "low", "close", "volume")
_SESSION_COLUMNS = ("date", "symbol", "instrument_id", "bar_source", "adj_factor")


def _landed(table: Table, back: int) -> Read:
    return Read(table.id, back, columns=_LANDED_COLUMNS, symbols=(load_universe().product(MES).continuous_symbol,))


def _bars(table: Table, back: int | Inception) -> Read:
    return Read(table.id, back, columns=_BAR_COLUMNS)


def _sessions(back: int | Inception) -> Read:
    return Read(FUTURES_CONTINUOUS_1D.id, back, columns=_SESSION_COLUMNS, symbols=(MES,), looked_up=True)


def _intraday(horizon: str, made_of: str, back: int, *bars: Read) -> Table:
    return Table(
        dataset="features",
        name=f"mes_{horizon}",
        description=f"MES bars of {horizon} with technicals over bars, each named by its close and made of {made_of}.",
        columns=pick(f"date symbol bar_close_ts open high low close volume {names(BAR_TECHNICALS)}"),
        key=("symbol", "bar_close_ts"),
        partitioning=Daily("date"),
        layer="features",
        required=frozenset({"open", "high", "low", "close", "volume"}),
        cluster=("symbol",),
        reads=(*bars, _sessions(back)),
        row_checks=(ordered("low", "open", "high"), ordered("low", "close", "high")),
    )


#: How far back a bar looks, by the horizon of its table; the pure function enforces it (a test keeps the two in step).
_QUARTER, _HALF_YEAR, _YEAR = 88, 131, 327

MES_1MIN = _intraday(
    "1min",
    "1-minute vendor bars: sessions that are landed in hours only have none",
    _QUARTER,
    _landed(OHLCV_1M, _QUARTER),
)
MES_5MIN = _intraday(
    "5min", "1-minute bars: sessions landed in hours only have none", _QUARTER, _bars(MES_1MIN, _QUARTER)
)
MES_15MIN = _intraday(
    "15min", "5-minute bars: sessions landed in hours only have none", _QUARTER, _bars(MES_5MIN, _QUARTER)
)
MES_30MIN = _intraday(
    "30min", "15-minute bars: sessions landed in hours only have none", _HALF_YEAR, _bars(MES_15MIN, _HALF_YEAR)
)
MES_1HR = _intraday(
    "1hr",
    "30-minute bars, or of 1-hour vendor bars where the session is landed in hours only",
    _HALF_YEAR,
    _landed(OHLCV_1H, _HALF_YEAR),
    _bars(MES_30MIN, _HALF_YEAR),
)
MES_4HR = _intraday("4hr", "1-hour bars", _YEAR, _bars(MES_1HR, _YEAR))
MES_INTRADAY = (MES_1MIN, MES_5MIN, MES_15MIN, MES_30MIN, MES_1HR, MES_4HR)

MES_HORIZONS_DAILY = Table(
    dataset="features",
    name="mes_horizons_daily",
    description="The last completed bar of every longer period as of each MES session: 1d 7d 30d 3m 6m 12m.",
    columns=pick(f"date symbol {names(PERIOD_BARS)}"),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="features",
    cluster=("symbol",),
    reads=(Read(FUTURES_CONTINUOUS_1D.id, back=529, symbols=(MES,)),),
)

GOLDEN_ZONE_1H = Table(
    dataset="features",
    name="golden_zone_1h",
    description="The golden-zone state machine of MES at the close of every 1h bar, since inception.",
    columns=pick(f"date symbol bar_close_ts {names(GOLDEN_ZONE)} {names(GOLDEN_ZONE_BAR)}"),
    key=("symbol", "bar_close_ts"),
    partitioning=Daily("date"),
    layer="features",
    cluster=("symbol",),
    reads=(_bars(MES_1HR, INCEPTION), _sessions(INCEPTION)),
)
GOLDEN_ZONE_DAILY = Table(
    dataset="features",
    name="golden_zone_daily",
    description="The golden zone of MES as of each session's close, and whether a close qualified in the session.",
    columns=pick(f"date symbol {names(GOLDEN_ZONE)} {names(GOLDEN_ZONE_SESSION)}"),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="features",
    cluster=("symbol",),
    reads=(Read(GOLDEN_ZONE_1H.id),),
)
