"""Technical indicators of every market, per (symbol, trade date).

Prices are roll-adjusted; results that are prices are divided by the adjustment factor of D, so they are quoted in
the contract that trades on D. Windows and recursions count sessions, from the inception of the symbol. A hole of
more weekdays than a window of that many sessions may contain (`span_limit`: an eighth of the sessions, at least
four) starts the indicator anew, and so does a session whose value is unknown.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cbi_dagster.catalog.spans import span_limit

from . import indicators
from .windows import Floats, Integers, Sessions

RETURN_SESSIONS = (1, 5, 21)
AVERAGE_SESSIONS = (5, 10, 20, 50, 100, 200)
RSI_SESSIONS = (7, 14, 21)
VOLATILITY_SESSIONS = (5, 10, 20, 30, 60)
DISTANCE_SESSIONS = (20, 50, 200)
MOMENTUM_SESSIONS = 10
MACD_SESSIONS = (12, 26, 9)
BAND_SESSIONS, BAND_DEVIATIONS = 20, 2.0
ATR_SESSIONS = 14
VOLUME_SESSIONS, VOLUME_SHORT_SESSIONS = 20, 5


def technicals_daily(continuous: pd.DataFrame) -> pd.DataFrame:
    """Technical indicators of every session of `futures_continuous_1d`, sorted by (symbol, date).

    Columns, all float64 with NaN = NULL; c is `adj_close`, prices are in quote units of D's contract:
        return_1d, _5d, _21d: c / c that many sessions ago - 1. log_return_1d: ln(c / c one session ago). NULL if the
            earlier price is not positive or lies further back than `span_limit` of the sessions + 1.
        sma_n: mean of the last n closes. ema_n: exponential mean, e += 2 / (n + 1) x (c - e), starting from the
            first close; n = 5, 10, 20, 50, 100, 200; NULL before the n-th session.
        rsi_7, _14, _21: Wilder's, 0..100; 50 for a flat series.
        macd_line = EMA12 - EMA26, NULL before the 26th session; macd_signal = EMA9 of the line, macd_hist = line -
            signal, NULL before the 34th. The recursions start from the first close.
        bb_upper, bb_lower: 2 sample standard deviations (ddof 1) of 20 around sma_20; bb_width = upper
            - lower; bb_position = (c - lower) / (upper - lower), NULL for a width of 0.
        atr_14_wilder: Wilder's average of 14 true ranges.
        vol_5d, _10d, _20d, _30d, _60d: sample standard deviation (ddof 1) of that many log returns, per session,
            not annualised.
        dist_sma_20, _50, _200: (c - sma) / sma; NULL unless the mean is positive.
        volume_sma_20: mean of 20 volumes, contracts; volume_ratio: volume / that mean; volume_trend: mean of 5
            volumes / mean of 20. NULL where the mean of 20 is 0.
        momentum_10: c - c 10 sessions ago, price. roc_10: 100 x (c / c 10 sessions ago - 1), percent.

    Raises:
        InvalidSessionsError: the frame is not one row per (symbol, weekday), or lacks a column.
    """
    sessions = Sessions(continuous)
    factor = sessions.column("adj_factor")
    high, low, close = (sessions.column(f"adj_{price}") for price in ("high", "low", "close"))
    volume = sessions.column("volume")
    averages = moving_averages(sessions, close, AVERAGE_SESSIONS)
    true_range = indicators.atr(high, low, close, ATR_SESSIONS, segment_starts(sessions, ATR_SESSIONS))
    mean_volume = indicators.sma(volume, VOLUME_SESSIONS, segment_starts(sessions, VOLUME_SESSIONS))
    short_volume = indicators.sma(volume, VOLUME_SHORT_SESSIONS, segment_starts(sessions, VOLUME_SHORT_SESSIONS))
    return pd.DataFrame(
        {
            "date": sessions.dates,
            "symbol": sessions.frame["symbol"],
            **{f"return_{n}d": _growth(sessions, close, n) - 1 for n in RETURN_SESSIONS},
            "log_return_1d": log_return(sessions, close),
            **{name: average / factor for name, average in averages.items()},
            **relative_strengths(sessions, close, RSI_SESSIONS),
            **macd_columns(sessions, close, factor),
            **band_columns(sessions, close, factor),
            "atr_14_wilder": true_range / factor,
            **volatilities(sessions, close, VOLATILITY_SESSIONS),
            **{
                f"dist_sma_{n}": _quotient(close - averages[f"sma_{n}"], averages[f"sma_{n}"])
                for n in DISTANCE_SESSIONS
            },
            "volume_sma_20": mean_volume,
            "volume_ratio": _quotient(volume, mean_volume),
            "volume_trend": _quotient(short_volume, mean_volume),
            "momentum_10": (close - sessions.previous(close, MOMENTUM_SESSIONS)) / factor,
            "roc_10": 100 * (_growth(sessions, close, MOMENTUM_SESSIONS) - 1),
        }
    )


def segment_starts(sessions: Sessions, count: int) -> Integers:
    """The rows from which an indicator of `count` sessions counts: new symbols, and sessions behind too long a hole.

    A hole is too long if its weekdays alone exceed what `span_limit(count)` lets a window of `count` sessions miss.
    """
    longest_step = span_limit(count) - (count - 1) + 1
    begins = np.ones(len(sessions), dtype=np.bool_)
    begins[1:] = (np.diff(sessions.symbol_codes) != 0) | (np.diff(sessions.ordinals) > longest_step)
    return np.flatnonzero(begins)


def log_return(sessions: Sessions, close: Floats, count: int = 1) -> Floats:
    """ln(close / close `count` sessions ago); NaN if either is not positive or the hole is too long."""
    growth = _growth(sessions, close, count)
    return np.log(np.where(growth > 0, growth, np.nan))


def moving_averages(sessions: Sessions, close: Floats, counts: tuple[int, ...]) -> dict[str, Floats]:
    """`sma_n` and `ema_n` of each count, in the unit of the closes."""
    simple = {f"sma_{n}": indicators.sma(close, n, segment_starts(sessions, n)) for n in counts}
    return simple | {f"ema_{n}": indicators.ema(close, n, segment_starts(sessions, n)) for n in counts}


def relative_strengths(sessions: Sessions, close: Floats, counts: tuple[int, ...]) -> dict[str, Floats]:
    """`rsi_n` of each count."""
    return {f"rsi_{n}": indicators.rsi(close, n, segment_starts(sessions, n)) for n in counts}


def macd_columns(sessions: Sessions, close: Floats, factor: Floats) -> dict[str, Floats]:
    """`macd_line`, `macd_signal` and `macd_hist` of adjusted closes, divided by the factor."""
    fast, slow, signal = MACD_SESSIONS
    macd = indicators.macd(close, segment_starts(sessions, slow), fast=fast, slow=slow, signal=signal)
    return dict(zip(("macd_line", "macd_signal", "macd_hist"), (values / factor for values in macd), strict=True))


def band_columns(sessions: Sessions, close: Floats, factor: Floats) -> dict[str, Floats]:
    """`bb_upper`, `bb_lower`, `bb_width` divided by the factor, and `bb_position`."""
    bands = indicators.bollinger(close, BAND_SESSIONS, BAND_DEVIATIONS, segment_starts(sessions, BAND_SESSIONS))
    return {
        "bb_upper": bands.upper / factor,
        "bb_lower": bands.lower / factor,
        "bb_width": bands.width / factor,
        "bb_position": bands.position,
    }


def volatilities(sessions: Sessions, close: Floats, counts: tuple[int, ...]) -> dict[str, Floats]:
    """`vol_nd` of each count: sample standard deviation of one-session log returns, not annualised."""
    returns = log_return(sessions, close)
    return {f"vol_{n}d": sessions.standard_deviation(returns, n) for n in counts}


def _growth(sessions: Sessions, close: Floats, count: int) -> Floats:
    return _quotient(close, sessions.previous(close, count))


def _quotient(numerator: Floats, denominator: Floats) -> Floats:
    """NaN where the denominator is not positive."""
    return numerator / np.where(denominator > 0, denominator, np.nan)
