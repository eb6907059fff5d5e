"""MES on every horizon: technicals of intraday bars and completed bars of longer periods.

Windows whose names end in `b` count bars of the table's horizon.
"""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import OHLCV, PRICE
from cbi_dagster.catalog.model import Column, Type, names, per_window

_I, _F, _D = Type.INT64, Type.FLOAT64, Type.DATE

WARM_UP_MONTHS = {"1min": 1, "5min": 1, "15min": 1, "30min": 3, "1hr": 3, "4hr": 12}
"""Whole calendar months before the quarter of a bar from which its computation starts."""

RETURN_BARS = (1, 7, 30)
VOLATILITY_BARS = (5, 10, 20, 30, 60)
RSI_BARS = (7, 14, 21)
AVERAGE_BARS = (5, 10, 20, 50, 100, 200)
DISTANCE_BARS = (20, 50, 200)

LANDED_INPUTS = ("date", "ts_event", "instrument_id", *OHLCV, "session_covered")
"""What resampling needs of landed bars,"""
BAR_INPUTS = ("date", "bar_close_ts", *OHLCV)
"""of bars that it has made,"""
SESSION_INPUTS = ("date", "symbol", "instrument_id", "bar_source", "adj_factor")
"""and of the sessions of `futures_continuous_1d`."""
RESAMPLED = ("date", "symbol", "bar_close_ts", "instrument_id", *OHLCV, "adj_factor")
"""Bars of a horizon as resampling gives them,"""
BAR = ("date", "symbol", "bar_close_ts", *OHLCV)
"""as the tables have them,"""
TECHNICAL_INPUTS = (*BAR, "adj_factor")
"""and as technicals need them."""
PERIOD_INPUTS = ("date", "symbol", "volume", "adj_factor", "adj_open", "adj_high", "adj_low", "adj_close")
"""What bars of longer periods need of sessions."""

_OWN = "in the price of the bar's contract"

BAR_COLUMNS = (
    *per_window(
        RETURN_BARS, Column("ret_{n}b", _F, "Adjusted close over the one {n} bars before, minus 1.", "fraction", gt=-1)
    ),
    *per_window(
        VOLATILITY_BARS,
        Column(
            "vol_{n}b",
            _F,
            "Sample standard deviation of the last {n} one-bar log returns, not annualised.",
            "fraction per bar",
            ge=0,
        ),
    ),
    *per_window(
        RSI_BARS, Column("rsi_{n}b", _F, "Wilder's RSI of {n} bars; 50 for a flat series.", "0..100", ge=0, le=100)
    ),
    Column("macd_line_b", _F, f"EMA of 12 bars minus EMA of 26, {_OWN}.", PRICE),
    Column("macd_signal_b", _F, "EMA of 9 bars of macd_line_b.", PRICE),
    Column("macd_hist_b", _F, "macd_line_b minus macd_signal_b.", PRICE),
    *per_window(AVERAGE_BARS, Column("sma_{n}b", _F, f"Mean of the last {{n}} closes (bars), {_OWN}.", PRICE)),
    *per_window(AVERAGE_BARS, Column("ema_{n}b", _F, f"Exponential mean of closes, span {{n}} bars, {_OWN}.", PRICE)),
    Column("bb_upper_20b", _F, "sma_20b plus 2 sample standard deviations of the last 20 closes (bars).", PRICE),
    Column("bb_lower_20b", _F, "sma_20b minus 2 sample standard deviations of the last 20 closes (bars).", PRICE),
    Column("bb_width_20b", _F, "bb_upper_20b minus bb_lower_20b.", PRICE, ge=0),
    Column(
        "bb_position_20b",
        _F,
        "(close - bb_lower_20b) / bb_width_20b; may leave 0..1; NULL for a width of 0.",
        "fraction",
    ),
    Column("atr_14b", _F, f"Wilder's average of 14 true ranges (bars), {_OWN}.", PRICE, ge=0),
    *per_window(DISTANCE_BARS, Column("dist_sma_{n}b", _F, "(close - sma_{n}b) / sma_{n}b.", "fraction", gt=-1)),
    Column("volume_sma_20b", _F, "Mean volume of the last 20 bars.", "contracts", ge=0),
    Column("volume_ratio_20b", _F, "volume / volume_sma_20b; NULL where that is 0.", "ratio", ge=0),
    Column("volume_trend_20b", _F, "Mean volume of 5 bars / volume_sma_20b; NULL where that is 0.", "ratio", ge=0),
)

PERIODS = {
    "1d": "the session",
    "7d": "the last completed calendar week",
    "30d": "the last 21 sessions",
    "3m": "the last completed calendar quarter",
    "6m": "the last completed calendar half-year",
    "12m": "the last completed calendar year",
}

PERIOD_COLUMNS = tuple(
    column
    for h, period in PERIODS.items()
    for column in (
        Column(f"bar_first_date_{h}", _D, f"First trade date of {period}."),
        Column(f"bar_last_date_{h}", _D, f"Last trade date of {period}."),
        Column(f"bar_open_{h}", _F, f"Adjusted open of {period}, in the price of the row's contract.", PRICE),
        Column(f"bar_high_{h}", _F, f"Adjusted high of {period}, in the price of the row's contract.", PRICE),
        Column(f"bar_low_{h}", _F, f"Adjusted low of {period}, in the price of the row's contract.", PRICE),
        Column(f"bar_close_{h}", _F, f"Adjusted close of {period}, in the price of the row's contract.", PRICE),
        Column(f"bar_volume_{h}", _I, f"Contracts traded in {period}.", "contracts", ge=0),
        Column(f"bar_sessions_{h}", _I, f"Sessions of {period}.", "sessions", ge=1),
        Column(
            f"bar_ret_{h}",
            _F,
            f"Adjusted close of {period} over that of the session before it, minus 1.",
            "fraction",
            gt=-1,
        ),
        Column(f"bar_range_{h}", _F, f"bar_high_{h} / bar_low_{h} - 1.", "fraction", ge=0),
        Column(
            f"bar_position_{h}",
            _F,
            f"(close of the row - bar_low_{h}) / (bar_high_{h} - bar_low_{h}); may leave 0..1.",
            "fraction",
        ),
    )
)
COLUMNS = (*BAR_COLUMNS, *PERIOD_COLUMNS)

BAR_TECHNICALS = names(BAR_COLUMNS)
INTRADAY = (*BAR, *BAR_TECHNICALS)
HORIZONS = ("date", "symbol", *names(PERIOD_COLUMNS))
