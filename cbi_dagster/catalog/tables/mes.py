"""MES on every horizon: technicals of intraday bars, completed bars of longer periods, and the golden zone."""

from __future__ import annotations

from cbi_dagster.catalog.columns import bars, golden_zone, mes, pick
from cbi_dagster.catalog.model import Read, Table, ordered
from cbi_dagster.catalog.partitioning import INCEPTION, Daily, Inception
from cbi_dagster.catalog.spans import MOST_TRADE_DATES, span_limit
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D, OHLCV_1H, OHLCV_1M
from cbi_dagster.config.universe import load_universe

MES = "MES"


def _bars(table: Table, back: int | Inception) -> Read:
    """The vendor's bars of the market, or those of a shorter horizon."""
    if table in (OHLCV_1M, OHLCV_1H):
        symbol = load_universe().product(MES).continuous_symbol
        return Read(table.id, back, columns=mes.LANDED_INPUTS, symbols=(symbol,))
    return Read(table.id, back, columns=mes.BAR_INPUTS)


def _sessions(back: int | Inception) -> Read:
    return Read(FUTURES_CONTINUOUS_1D.id, back, columns=mes.SESSION_INPUTS, symbols=(MES,), looked_up=True)


def _intraday(horizon: str, made_of: str, *sources: Table) -> Table:
    # From the last weekday of a quarter back to the anchor of its first.
    back = MOST_TRADE_DATES[3] + MOST_TRADE_DATES[mes.WARM_UP_MONTHS[horizon]] - 1
    return Table(
        dataset="features",
        name=f"mes_{horizon}",
        description=f"MES bars of {horizon} with technicals over bars, each named by its close and made of {made_of}.",
        columns=pick(*mes.INTRADAY),
        key=("symbol", "bar_close_ts"),
        partitioning=Daily("date"),
        layer="features",
        required=frozenset(bars.OHLCV),
        cluster=("symbol",),
        reads=(*(_bars(source, back) for source in sources), _sessions(back)),
        row_checks=(ordered("low", "open", "high"), ordered("low", "close", "high")),
    )


_MINUTES_ONLY = "sessions landed in hours only have none"

MES_1MIN = _intraday("1min", f"1-minute vendor bars: {_MINUTES_ONLY}", OHLCV_1M)
MES_5MIN = _intraday("5min", f"1-minute bars: {_MINUTES_ONLY}", MES_1MIN)
MES_15MIN = _intraday("15min", f"5-minute bars: {_MINUTES_ONLY}", MES_5MIN)
MES_30MIN = _intraday("30min", f"15-minute bars: {_MINUTES_ONLY}", MES_15MIN)
MES_1HR = _intraday(
    "1hr",
    "30-minute bars, or of 1-hour vendor bars where the session is landed in hours only",
    OHLCV_1H,
    MES_30MIN,
)
MES_4HR = _intraday("4hr", "1-hour bars", MES_1HR)
MES_INTRADAY = (MES_1MIN, MES_5MIN, MES_15MIN, MES_30MIN, MES_1HR, MES_4HR)

MES_HORIZONS_DAILY = Table(
    dataset="features",
    name="mes_horizons_daily",
    description="The last completed bar of every longer period as of each MES session: 1d 7d 30d 3m 6m 12m.",
    columns=pick(*mes.HORIZONS),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="features",
    cluster=("symbol",),
    reads=(
        # To the first weekday of the year before that of D, and the session before it.
        Read(
            FUTURES_CONTINUOUS_1D.id,
            back=2 * MOST_TRADE_DATES[12] + span_limit(2),
            columns=mes.PERIOD_INPUTS,
            symbols=(MES,),
        ),
    ),
)

GOLDEN_ZONE_1H = Table(
    dataset="features",
    name="golden_zone_1h",
    description="The golden-zone state machine of MES at the close of every 1h bar, since inception.",
    columns=pick(*golden_zone.BY_BAR),
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
    columns=pick(*golden_zone.BY_SESSION),
    key=("symbol", "date"),
    partitioning=Daily("date"),
    layer="features",
    cluster=("symbol",),
    reads=(Read(GOLDEN_ZONE_1H.id, columns=golden_zone.SESSION_INPUTS),),
)
