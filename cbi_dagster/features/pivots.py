"""Floor-trader pivots of the prior session, week and month, and where the close of D stands among them.

Levels of D come from sessions before D only. They are computed on roll-adjusted prices and divided by the
adjustment factor of D, so they are quoted in the price of the contract that trades on D. An earlier session s
is compared with its own levels in the contract of s, which is the same comparison as in adjusted prices.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.pivots import (
    ATR_SESSIONS,
    CONFLUENCE,
    CONFLUENCE_ATR,
    DISTANCES,
    INPUTS,
    MID_POINTS,
    NEAREST,
    PERIOD_LEVELS,
)
from cbi_dagster.market.sessions import week_numbers

from .windows import (
    Booleans,
    Floats,
    Integers,
    Sessions,
    nullable_booleans,
    nullable_integers,
    quotient,
    to_price_resolution,
)

_PATTERN_SESSIONS = (1, 2, 3)


def pivot_math_daily(continuous: pd.DataFrame, tolerances: Mapping[str, float]) -> pd.DataFrame:
    """Pivots of every session of `futures_continuous_1d`, sorted by (symbol, date): the columns PIVOTS.

    Daily levels are NULL if the prior session lies more than `span_limit(2)` trade dates back. W- and M-prefixed ones
    have the same formulas on the highest high, lowest low and last close of the ISO week / calendar month before that
    of D, as far as it has sessions; NULL if it has none. Prices and distances are in quote units; levels and distances
    rounded to 1e-10. Comparisons are inclusive unless a column says otherwise; each session of a pattern is compared
    with the levels of its own day. Flags and counts are NULL when any value they need is.

    `tolerances`: half-width, in quote units, of the fixed confluence zone of each symbol that has one.

    Raises:
        InvalidFrameError: the frame is not one row per (symbol, weekday), or lacks a column of INPUTS.
    """
    sessions = Sessions(continuous, INPUTS)
    close = sessions.column("close")
    factor = sessions.column("adj_factor")
    adjusted = [sessions.column(f"adj_{price}") for price in ("high", "low", "close")]
    week, month = week_numbers(sessions.ordinals), _month_numbers(sessions.dates)
    day_levels = _levels(*(sessions.previous(price) for price in adjusted))
    adjusted_levels = {
        **day_levels,
        **{name: (day_levels[near] + day_levels[far]) / 2 for name, (near, far) in MID_POINTS.items()},
        **_period_levels("W", sessions, adjusted, week),
        **_period_levels("M", sessions, adjusted, month),
    }
    levels = {name: to_price_resolution(level / factor) for name, level in adjusted_levels.items()}
    atr = average_true_range(sessions) / factor
    distance = {name: to_price_resolution(close - level) for name, level in levels.items()}
    nearest, nearest_type = _nearest(distance)
    known, count = _confluence(distance, to_price_resolution(CONFLUENCE_ATR * atr))
    known_fixed, count_fixed = _confluence(distance, sessions.by_symbol(tolerances))
    return pd.DataFrame(
        {
            "date": sessions.dates,
            "symbol": sessions.frame["symbol"],
            **levels,
            "current_price": close,
            "atr_14": atr,
            **{f"distance_to_{name}": distance[name] for name in DISTANCES},
            "distance_to_P_atr": quotient(distance["P"], atr),
            "distance_to_nearest_pivot": nearest,
            "nearest_pivot_type": nearest_type,
            "price_above_P": _flag(distance["P"] > 0, distance["P"]),
            "price_between_R1_R2": _flag((distance["R1"] >= 0) & (distance["R2"] <= 0), distance["R1"], distance["R2"]),
            "price_between_S1_P": _flag((distance["S1"] >= 0) & (distance["P"] <= 0), distance["S1"], distance["P"]),
            "weekly_pivot_distance": np.abs(distance["WP"]),
            "weekly_pivot_distance_signed": distance["WP"],
            "monthly_pivot_distance": np.abs(distance["MP"]),
            "monthly_pivot_distance_signed": distance["MP"],
            "pivot_confluence_count": nullable_integers(count, known),
            "pivot_confluence_count_fixed": nullable_integers(count_fixed, known_fixed),
            "pivot_zone_strength": nullable_integers(np.clip(count, 1, 5), known),
            "pivot_confluence_3_or_higher": nullable_booleans(count >= 3, known),
            **_patterns(sessions, levels, distance),
        }
    )


def average_true_range(sessions: Sessions) -> Floats:
    """Simple mean of the last 14 true ranges, in adjusted prices.

    A true range is max(high, previous close) - min(low, previous close); the first session of a symbol has
    none. Reaches `span_limit(14) + span_limit(2)` trade dates.
    """
    before = sessions.previous(sessions.column("adj_close"))
    true_range = np.maximum(sessions.column("adj_high"), before) - np.minimum(sessions.column("adj_low"), before)
    return sessions.mean(true_range, ATR_SESSIONS)


def _levels(high: Floats, low: Floats, close: Floats) -> dict[str, Floats]:
    pivot = (high + low + close) / 3
    return {
        "P": pivot,
        "R1": 2 * pivot - low,
        "R2": pivot + (high - low),
        "R3": high + 2 * (pivot - low),
        "R4": high + 3 * (pivot - low),
        "S1": 2 * pivot - high,
        "S2": pivot - (high - low),
        "S3": low - 2 * (high - pivot),
        "S4": low - 3 * (high - pivot),
    }


def _month_numbers(dates: npt.NDArray[np.datetime64]) -> Integers:
    return dates.astype("datetime64[M]").astype(np.int64)


def _period_levels(prefix: str, sessions: Sessions, adjusted: list[Floats], period: Integers) -> dict[str, Floats]:
    """Levels from the sessions of the period (numbered without gaps) before that of each session."""
    if not len(sessions):
        return {prefix + name: np.empty(0) for name in PERIOD_LEVELS}
    # One number per (symbol, period), with a spare period between symbols, so that the first of one symbol
    # never finds the last of another before it.
    key = sessions.symbol_codes * (int(np.ptp(period)) + 2) + (period - period.min())
    first = np.flatnonzero(np.diff(key, prepend=-1))
    last = np.append(first[1:], len(key)) - 1
    high, low, close = adjusted
    summary = (np.maximum.reduceat(high, first), np.minimum.reduceat(low, first), close[last])
    place = np.minimum(np.searchsorted(key[first], key - 1), len(first) - 1)
    found = key[first][place] == key - 1
    levels = _levels(*(np.where(found, values[place], np.nan) for values in summary))
    return {prefix + name: levels[name] for name in PERIOD_LEVELS}


def _nearest(distance: dict[str, Floats]) -> tuple[Floats, npt.NDArray[np.object_]]:
    away = np.abs(np.stack([distance[name] for name in NEAREST]))
    known = ~np.isnan(away).any(axis=0)
    index = np.where(known, np.argmin(away, axis=0), 0)
    types = np.array(NEAREST, dtype=object)[index]
    types[~known] = None
    return np.where(known, away[index, np.arange(away.shape[1])], np.nan), types


def _confluence(distance: dict[str, Floats], tolerance: Floats) -> tuple[Booleans, Integers]:
    away = np.abs(np.stack([distance[name] for name in CONFLUENCE]))
    known = ~np.isnan(away).any(axis=0) & ~np.isnan(tolerance)
    return known, (away <= tolerance).sum(axis=0)


def _flag(values: Booleans, *needed: Floats) -> pd.arrays.BooleanArray:
    known: Booleans = np.logical_and.reduce([~np.isnan(value) for value in needed])
    return nullable_booleans(values, known)


def _patterns(
    sessions: Sessions, levels: dict[str, Floats], distance: dict[str, Floats]
) -> dict[str, pd.arrays.BooleanArray]:
    # Each session's own verdicts, as 1/0/NaN so that they can be looked up from later sessions.
    to_r1, to_s1, to_p, to_wp = (distance[name] for name in ("R1", "S1", "P", "WP"))
    high, low = sessions.column("high"), sessions.column("low")
    known = ~np.isnan(to_r1 + high + low)
    rejected = np.where(known, (high > levels["R1"]) & (to_r1 < 0), np.nan)
    touched = np.where(known, low <= levels["S1"], np.nan)
    held = np.where(known, to_p >= 0, np.nan)
    inside = np.where(known, (to_s1 >= 0) & (to_r1 <= 0), np.nan)

    def past(verdict: Floats) -> Floats:
        total: Floats = np.sum([sessions.previous(verdict, back) for back in _PATTERN_SESSIONS], axis=0)
        return total

    rejections, touches, holds, insides = (past(verdict) for verdict in (rejected, touched, held, inside))
    crossed = sessions.previous(to_wp) * to_wp
    return {
        "price_rejected_R1_twice": _flag(rejections >= 2, rejections),
        "price_bouncing_off_S1": _flag((touches >= 1) & (holds >= 2), touches),
        "price_stuck_between_R1_S1_for_3_days": _flag(insides == 3, insides),
        "weekly_pivot_flip": _flag(crossed < 0, crossed),
    }
