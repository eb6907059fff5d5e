"""Technical indicators over sessions."""

from __future__ import annotations

from cbi_dagster.catalog.columns.bars import PRICE
from cbi_dagster.catalog.model import Column, Type, names, per_window

_F = Type.FLOAT64

RETURN_SESSIONS = (1, 5, 21)
AVERAGE_SESSIONS = (5, 10, 20, 50, 100, 200)
RSI_SESSIONS = (7, 14, 21)
VOLATILITY_SESSIONS = (5, 10, 20, 30, 60)
DISTANCE_SESSIONS = (20, 50, 200)

INPUTS = ("date", "symbol", "volume", "adj_factor", "adj_high", "adj_low", "adj_close")

_OWN = "in the price of the row's contract"

COLUMNS = (
    *per_window(
        RETURN_SESSIONS,
        Column("return_{n}d", _F, "Adjusted close over the one {n} sessions before, minus 1.", "fraction"),
    ),
    Column(
        "log_return_1d", _F, "Natural logarithm of the adjusted close over the one of the session before.", "fraction"
    ),
    *per_window(AVERAGE_SESSIONS, Column("sma_{n}", _F, f"Mean of the last {{n}} closes, {_OWN}.", PRICE)),
    *per_window(
        AVERAGE_SESSIONS,
        Column("ema_{n}", _F, f"Exponential mean of closes, span {{n}} sessions, from the first on, {_OWN}.", PRICE),
    ),
    *per_window(
        RSI_SESSIONS,
        Column("rsi_{n}", _F, "Wilder's RSI of {n} sessions; 50 for a flat series.", "0..100", ge=0, le=100),
    ),
    Column("macd_line", _F, f"EMA of 12 sessions minus EMA of 26, {_OWN}.", PRICE),
    Column("macd_signal", _F, "EMA of 9 sessions of macd_line, from the first session on.", PRICE),
    Column("macd_hist", _F, "macd_line minus macd_signal.", PRICE),
    Column("bb_upper", _F, "sma_20 plus 2 sample standard deviations of the last 20 closes.", PRICE),
    Column("bb_lower", _F, "sma_20 minus 2 sample standard deviations of the last 20 closes.", PRICE),
    Column("bb_width", _F, "bb_upper minus bb_lower.", PRICE, ge=0),
    Column("bb_position", _F, "(close - bb_lower) / bb_width; may leave 0..1; NULL for a width of 0.", "fraction"),
    Column("atr_14_wilder", _F, f"Wilder's average of 14 true ranges, {_OWN}.", PRICE, ge=0),
    *per_window(
        VOLATILITY_SESSIONS,
        Column(
            "vol_{n}d",
            _F,
            "Sample standard deviation of the last {n} log returns, not annualised.",
            "fraction per session",
            ge=0,
        ),
    ),
    *per_window(
        DISTANCE_SESSIONS,
        Column("dist_sma_{n}", _F, "(close - sma_{n}) / sma_{n}; NULL unless the mean is positive.", "fraction"),
    ),
    Column("volume_sma_20", _F, "Mean volume of the last 20 sessions.", "contracts", ge=0),
    Column("volume_ratio", _F, "Volume over volume_sma_20; NULL where that is 0.", "ratio", ge=0),
    Column("volume_trend", _F, "Mean volume of 5 sessions over volume_sma_20; NULL where that is 0.", "ratio", ge=0),
    Column("momentum_10", _F, f"Close minus the close 10 sessions before, {_OWN}.", PRICE),
    Column("roc_10", _F, "Close over the close 10 sessions before, minus 1, times 100.", "percent"),
)

TECHNICALS = ("date", "symbol", *names(COLUMNS))
