"""Technical indicators of every market, per (symbol, trade date).

Prices are roll-adjusted; results that are prices are divided by the adjustment factor of D, so they are quoted in
the contract that trades on D. Windows and recursions count sessions, from the inception of the symbol. A hole of
more weekdays than a window of that many sessions may contain (`span_limit`: an eighth of the sessions, at least
four) starts the indicator anew, and so does a session whose value is unknown.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cbi_dagster.catalog.columns.technicals import (
    AVERAGE_SESSIONS,
    DISTANCE_SESSIONS,
    INPUTS,
    RETURN_SESSIONS,
    RSI_SESSIONS,
    VOLATILITY_SESSIONS,
)
from cbi_dagster.catalog.spans import span_limit

from . import indicators
from .windows import Floats, Integers, Sessions, positive, quotient

MOMENTUM_SESSIONS = 10
MACD_SESSIONS = (12, 26, 9)
BAND_SESSIONS, BAND_DEVIATIONS = 20, 2.0
ATR_SESSIONS = 14
VOLUME_SESSIONS, VOLUME_SHORT_SESSIONS = 20, 5


def technicals_daily(continuous: pd.DataFrame) -> pd.DataFrame:
    """Technical indicators of every session of `futures_continuous_1d`, sorted by (symbol, date).

    The columns are TECHNICALS of the dictionary, all float64 with NaN = NULL. A return is NULL if the earlier price is
    not positive or lies further back than `span_limit` of the sessions + 1; an average is NULL before its window is
    full.

    Raises:
        InvalidFrameError: the frame is not one row per (symbol, weekday), or lacks a column of INPUTS.
    """
    sessions = Sessions(continuous, INPUTS)
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
                f"dist_sma_{n}": quotient(close - averages[f"sma_{n}"], averages[f"sma_{n}"]) for n in DISTANCE_SESSIONS
            },
            "volume_sma_20": mean_volume,
            "volume_ratio": quotient(volume, mean_volume),
            "volume_trend": quotient(short_volume, mean_volume),
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
    return np.log(positive(_growth(sessions, close, count)))


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
    return quotient(close, sessions.previous(close, count))
