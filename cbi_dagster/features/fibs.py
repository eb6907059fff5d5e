"""Fibonacci levels of the last confirmed swing, per (symbol, trade date).

The swing of D is found anew from D's own window of sessions, on roll-adjusted closes up to and including D,
and only from confirmed pivots: nothing is repainted, and nothing depends on where the history starts. Levels
are adjusted prices divided by the adjustment factor of D, so they are quoted in the price of the contract
that trades on D.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.fibs import (
    EXTENSIONS,
    INPUTS,
    NEAR_FRACTION,
    RETRACEMENTS,
    THRESHOLD_BOUNDS,
    THRESHOLD_TRUE_RANGES,
    WINDOW_AT_LEAST,
    WINDOW_SESSIONS,
)
from cbi_dagster.catalog.columns.pivots import ATR_SESSIONS

from .pivots import average_true_range
from .windows import (
    Booleans,
    Floats,
    Integers,
    Sessions,
    nullable_booleans,
    nullable_integers,
    positive,
    to_price_resolution,
)


class NearTolerance(NamedTuple):
    """How close, in quote units, counts as near for one symbol; None: 1 % of the close."""

    retrace_618: float | None = None
    ext_1618: float | None = None


class _Legs(NamedTuple):
    """The last two confirmed pivots of each window, as columns of it; meaningless where not `exists`."""

    exists: Booleans
    low_at: Integers
    high_at: Integers
    confirmed_at: Integers


def fib_levels_daily(continuous: pd.DataFrame, near_tolerances: Mapping[str, NearTolerance]) -> pd.DataFrame:
    """Fibonacci levels of every session of `futures_continuous_1d`, sorted by (symbol, date).

    The window is the last 126 sessions ending at D within `span_limit(126)` trade dates, at least 40; all
    their closes must be known and positive. For the first sessions of the window the mean of 14 true ranges
    comes from the sessions before it; it is left out only where those do not exist (start of the history, or a
    hole), as long as 26 values remain: what the first 40 sessions of a history have.

    Zigzag on closes: the running minimum and maximum are kept until a close is off either by the threshold, a
    rise to >= minimum x (1 + threshold) or a fall to <= maximum x (1 - threshold). That extreme is the first
    pivot; from then on pivots alternate, each confirmed on the session whose close reversed by the threshold.
    Of equal extremes the first counts. The leg is the last two confirmed pivots; with fewer, everything but
    current_price and zigzag_threshold is NULL.

    The columns are FIBS of the dictionary. Prices are in quote units of D's contract, levels rounded to 1e-10;
    tolerances are inclusive.

    Raises:
        InvalidFrameError: the frame is not one row per (symbol, weekday), or lacks a column of INPUTS.
    """
    sessions = Sessions(continuous, INPUTS)
    factor, close = sessions.column("adj_factor"), sessions.column("close")
    adjusted = sessions.column("adj_close")
    closes = positive(adjusted)
    present = sessions.present(WINDOW_SESSIONS)
    threshold = _thresholds(sessions, closes, present)
    low_row, high_row, confirmed_row = (np.zeros(len(sessions), dtype=np.int64) for _ in range(3))
    exists = np.zeros(len(sessions), dtype=np.bool_)
    for rows, window in sessions.trailing(closes, WINDOW_SESSIONS):
        whole = (~np.isnan(window)).sum(axis=1) == present[rows]
        threshold[rows] = np.where(whole, threshold[rows], np.nan)
        legs = last_legs(window, threshold[rows])
        first_row = np.arange(rows.start, rows.stop) - (WINDOW_SESSIONS - 1)
        exists[rows] = legs.exists
        for target, column in (
            (low_row, legs.low_at),
            (high_row, legs.high_at),
            (confirmed_row, legs.confirmed_at),
        ):
            target[rows] = np.where(legs.exists, first_row + column, 0)

    low, high = np.where(exists, adjusted[low_row], np.nan), np.where(exists, adjusted[high_row], np.nan)
    up = high_row > low_row
    start, end = np.where(up, low, high), np.where(up, high, low)
    leg = end - start  # signed, so that one formula serves both directions
    quoted = {
        "swing_low_price": low,
        "swing_high_price": high,
        **{f"retrace_{name}": end - ratio * leg for name, ratio in RETRACEMENTS.items()},
        **{f"ext_{name}": end + ratio * leg for name, ratio in EXTENSIONS.items()},
    }
    levels = {name: to_price_resolution(price / factor) for name, price in quoted.items()}
    near_618, near_1618 = _near_widths(sessions, close, near_tolerances)
    near = {
        "retrace_382": _within(close, levels["retrace_382"], NEAR_FRACTION * np.abs(close)),
        "retrace_50": _within(close, levels["retrace_50"], NEAR_FRACTION * np.abs(close)),
        "retrace_618": _within(close, levels["retrace_618"], near_618),
        "ext_100": _within(close, levels["ext_100"], NEAR_FRACTION * np.abs(close)),
        "ext_1618": _within(close, levels["ext_1618"], near_1618),
    }
    near_any: Booleans = np.logical_or.reduce(list(near.values()))
    days = sessions.dates.astype("datetime64[D]").astype(np.int64)
    return pd.DataFrame(
        {
            "date": sessions.dates,
            "symbol": sessions.frame["symbol"],
            "swing_date_low": _dates(sessions.dates, low_row, exists),
            "swing_date_high": _dates(sessions.dates, high_row, exists),
            "leg_confirmed_date": _dates(sessions.dates, confirmed_row, exists),
            "zigzag_threshold": threshold,
            "trend_direction": _directions(up, exists),
            "days_since_swing": nullable_integers(days - days[np.maximum(low_row, high_row)], exists),
            **levels,
            "current_price": close,
            "swing_position_pct": 100 * (adjusted - low) / (high - low),
            "price_near_618_retrace": nullable_booleans(near["retrace_618"], exists),
            "price_near_1618_ext": nullable_booleans(near["ext_1618"], exists),
            "price_near_any_major": nullable_booleans(near_any, exists),
        }
    )


def last_legs(closes: Floats, thresholds: Floats) -> _Legs:
    """The last two confirmed zigzag pivots of every window at once.

    Args:
        closes: shape (windows, sessions), oldest session first, absent sessions NaN on the left.
        thresholds: shape (windows,), the reversal that confirms a pivot, as a fraction; NaN: none ever does.
    """
    windows = len(closes)
    fall, rise = 1 - thresholds, 1 + thresholds
    high, low = np.full(windows, -np.inf), np.full(windows, np.inf)
    high_at, low_at = np.zeros(windows, dtype=np.int64), np.zeros(windows, dtype=np.int64)
    seeks_high, seeks_low = np.ones(windows, dtype=np.bool_), np.ones(windows, dtype=np.bool_)
    last_at, before_at, confirmed_at, pivots = (np.zeros(windows, dtype=np.int64) for _ in range(4))
    for column, close in enumerate(np.ascontiguousarray(closes.T)):
        higher, lower = seeks_high & (close > high), seeks_low & (close < low)
        high[higher], high_at[higher] = close[higher], column
        low[lower], low_at[lower] = close[lower], column
        # A close cannot be off both extremes: the later extreme would have been off the earlier one already.
        fell, rose = seeks_high & (close <= high * fall), seeks_low & (close >= low * rise)
        reversed_ = np.flatnonzero(fell | rose)
        if not len(reversed_):
            continue
        was_high = fell[reversed_]
        before_at[reversed_] = last_at[reversed_]
        last_at[reversed_] = np.where(was_high, high_at[reversed_], low_at[reversed_])
        confirmed_at[reversed_] = column
        pivots[reversed_] += 1
        # The reversing close is the extreme of the new direction so far: one beyond it would have reversed
        # earlier.
        high[reversed_] = low[reversed_] = close[reversed_]
        high_at[reversed_] = low_at[reversed_] = column
        seeks_high[reversed_], seeks_low[reversed_] = ~was_high, was_high
    rising = seeks_high  # after a confirmed low the next pivot sought is a high
    return _Legs(
        exists=pivots >= 2,
        low_at=np.where(rising, last_at, before_at),
        high_at=np.where(rising, before_at, last_at),
        confirmed_at=confirmed_at,
    )


def _thresholds(sessions: Sessions, closes: Floats, present: Integers) -> Floats:
    at_least = WINDOW_AT_LEAST - ATR_SESSIONS
    typical = sessions.median(average_true_range(sessions) / closes, WINDOW_SESSIONS, at_least)
    threshold = np.clip(THRESHOLD_TRUE_RANGES * typical, *THRESHOLD_BOUNDS)
    return np.where(present >= WINDOW_AT_LEAST, threshold, np.nan)


def _near_widths(
    sessions: Sessions, close: Floats, near_tolerances: Mapping[str, NearTolerance]
) -> tuple[Floats, Floats]:
    default = NEAR_FRACTION * np.abs(close)
    own = [
        sessions.by_symbol(
            {symbol: width for symbol, near in near_tolerances.items() if (width := near[field]) is not None}
        )
        for field in (0, 1)
    ]
    retrace_618, ext_1618 = (np.where(np.isnan(width), default, width) for width in own)
    return retrace_618, ext_1618


def _within(close: Floats, level: Floats, width: Floats) -> Booleans:
    return np.abs(to_price_resolution(close - level)) <= width


def _directions(up: Booleans, exists: Booleans) -> npt.NDArray[np.object_]:
    directions = np.array(["down", "up"], dtype=object)[up.astype(np.int64)]
    directions[~exists] = None
    return directions


def _dates(dates: npt.NDArray[np.datetime64], rows: Integers, exists: Booleans) -> npt.NDArray[np.datetime64]:
    if not len(dates):
        return dates
    return np.where(exists, dates[rows], np.datetime64("NaT", "ns"))
