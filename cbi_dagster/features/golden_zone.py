"""The golden zone of MES: where the close of a 1h bar stands in the retracement of the last confirmed swing.

Everything is evaluated on closed, session-anchored 1h bars in roll-adjusted prices, since the inception of the
series: Wilder's average and the zigzag are recursive. What a row says follows from the bars up to and including it.

**Swings.** A zigzag on highs and lows. A swing high is confirmed by the first later bar whose low lies at least
3 x ATR (Wilder, 14 bars, of that later bar) below it, a swing low the other way round; they alternate. The first pivot
is whichever running extreme is reversed first, the larger reversal if a bar does both. The order of trades within a
bar is unknown, so a bar that makes a new extreme does not confirm it by its own other end. If, before the next pivot is
confirmed, price goes beyond the last one, that pivot moves to the new extreme and the search for the next starts after
it.

**Leg.** The last two pivots confirmed by *earlier* bars: a pivot counts from the bar after its confirmation on. Low to
high is `up`, high to low `down`, and all that follows is mirrored for `down`. A new extreme beyond the leg's later end
extends the leg, at once.

**Levels.** With R = swing_high - swing_low: fib_50, fib_618, invalidation = high - 0.5 R, high - 0.618 R,
high - 0.786 R. state, by the close c: 1 if fib_618 <= c <= fib_50; 2 if invalidation <= c < fib_618; 0 otherwise, and
0 for the rest of the leg once c < invalidation.

**Volume.** Hours differ, so each bar's volume is divided by the median of the last 20 bars of the same hour of the
session before it. vol_decay_slope of bar t: OLS slope over bars t-5 .. t-1, divided by their mean.

**Trigger.** A close qualifies at bar t when c[t] > fib_50 >= c[t-1] (levels of t), the leg had state 1 or 2 in at
least one of the bars t-3 .. t-1, is not dead, volume[t] >= 1.5 x mean of bars t-24 .. t-1 (both normalised) and
vol_decay_slope < 0. Only the first of a leg counts.

A hole of more than `MAX_STEP` trade dates, or a bar whose adjusted price is unknown, starts all of it anew.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.golden_zone import INPUTS, SESSION_INPUTS, ZONE
from cbi_dagster.catalog.frames import require, require_order
from cbi_dagster.market.resample import SESSION_STARTS_AT
from cbi_dagster.market.sessions import HOUR_NS, chicago_instants, utc_instants

from .indicators import atr as average_true_range
from .mes_horizons import contiguous_starts
from .windows import Booleans, Floats, Integers, nullable_booleans, nullable_integers, quotient, to_price_resolution

_Element = TypeVar("_Element", bound=np.generic)


ATR_BARS = 14
REVERSAL_ATR = 3.0
INVALIDATION = 0.786
HOUR_MEDIAN_BARS = 20
SLOPE_BARS = 5
MEAN_BARS = 24
SPIKE = 1.5
ZONE_BARS = 3
"""Bars before a trigger among which one must have been in the zone."""


def golden_zone_1h(bars: pd.DataFrame) -> pd.DataFrame:
    """The golden zone of every 1h bar, one row per bar in order of time.

    Args:
        bars: all 1h bars of one market since inception, as `resampled_bars` gives them: `date`, `symbol`,
            `bar_close_ts`, unadjusted `high`, `low`, `close`, `volume`, and `adj_factor`.

    The columns are BY_BAR of the dictionary; prices are those of the contract of the bar's own date (adjusted value /
    factor), rounded to 1e-10; NULL as long as no two pivots are confirmed. `vol_decay_slope` is NULL until all its bars
    can be compared with 20 like hours, `qualified_close` also where the volumes it compares are unknown,
    `golden_zone_atr` for the first 14 bars.

    Raises:
        InvalidFrameError: a column is missing, there are several symbols, or bars are not in order of time.
    """
    require(bars, INPUTS, "1h bars")
    require_order(bars, "bar_close_ts", "1h bars")
    factor = bars["adj_factor"].to_numpy(np.float64)
    high, low, close = (bars[name].to_numpy(np.float64) * factor for name in ("high", "low", "close"))
    usable = np.isfinite(close) & (low > 0)
    starts = contiguous_starts(bars["date"], usable)
    bounds = [*starts.tolist(), len(bars)] if len(bars) else [0]
    atr = average_true_range(high, low, close, ATR_BARS, starts)
    volume = np.full(len(bars), np.nan)
    legs = _Legs(len(bars))
    hours = _hours_of_session(bars)
    traded = bars["volume"].to_numpy(np.float64)
    for begin, end in itertools.pairwise(bounds):
        if usable[begin]:
            stretch = slice(begin, end)
            volume[stretch] = _like_hours(traded[stretch], hours[stretch])
            legs.follow(begin, high[stretch], low[stretch], atr[stretch])
    segment = np.searchsorted(starts, np.arange(len(bars)), side="right")

    # Along its leg a swing runs up when seen with this sign, so that one set of rules serves both directions.
    sign = legs.sign
    length = sign * (legs.end - legs.origin)
    level = {name: legs.end - sign * share * length for name, share in _SHARES.items()}
    above = {name: to_price_resolution(sign * (close - price)) for name, price in level.items()}
    known = legs.number >= 0
    dead = _ever_in_leg(known & (above["invalidation"] < 0), legs.number)
    in_zone = known & ~dead & (above["fib_50"] <= 0)
    state = np.where(in_zone, np.where(above["fib_618"] >= 0, 1, 2), 0)

    decay, comparable, spike = _volume_pattern(volume, segment)
    was_in_zone = np.zeros(len(bars), bool)
    for lag in range(1, ZONE_BARS + 1):
        was_in_zone |= _lagged(in_zone, lag, False) & (_lagged(legs.number, lag, -1) == legs.number)
    below_before = to_price_resolution(sign * (_lagged(close, 1, np.nan) - level["fib_50"])) <= 0
    crossed = known & ~dead & (above["fib_50"] > 0) & below_before & was_in_zone
    trigger = _first_in_leg(crossed & comparable & spike & (decay < 0), legs.number)

    confirmed = bars["bar_close_ts"].array.take(np.where(known, legs.confirmed_at, -1), allow_fill=True)
    upward = sign > 0
    quoted = {
        "swing_high": np.where(upward, legs.end, legs.origin),
        "swing_low": np.where(upward, legs.origin, legs.end),
        **level,
    }
    return pd.DataFrame(
        {
            **{name: bars[name].array for name in ("date", "symbol", "bar_close_ts")},
            "state": nullable_integers(state, known),
            **{name: to_price_resolution(price / factor) for name, price in quoted.items()},
            "leg_direction": np.array([None, "up", "down"], dtype=object)[np.where(known, np.where(upward, 1, 2), 0)],
            "leg_confirmed_ts": confirmed,
            "vol_decay_slope": decay,
            "qualified_close": nullable_booleans(trigger, known & comparable & ~np.isnan(decay)),
            "golden_zone_atr": atr / factor,
        }
    )


def golden_zone_daily(hourly: pd.DataFrame) -> pd.DataFrame:
    """The golden zone as of each session's close: one row per session that has 1h bars, by date.

    `hourly` is what `golden_zone_1h` returns. Values are those of the session's last 1h bar, except
    `qualified_trigger`: whether a close qualified in any bar of the session, NULL if none is known to have and some
    are unknown. `golden_zone_source` is always 1h.
    """
    require(hourly, SESSION_INPUTS, "rows of golden_zone_1h")
    days = hourly["date"].to_numpy("datetime64[D]")
    last = np.flatnonzero(days[1:] != days[:-1]) if len(days) else np.empty(0, np.int64)
    last = np.append(last, len(days) - 1) if len(days) else last
    begins = np.append(0, last[:-1] + 1) if len(days) else last
    rows = hourly.take(last).reset_index(drop=True)
    qualified = hourly["qualified_close"].array
    yes = qualified.fillna(False).to_numpy(bool)
    unknown = qualified.isna()
    any_yes = np.logical_or.reduceat(yes, begins) if len(days) else yes
    any_unknown = np.logical_or.reduceat(unknown, begins) if len(days) else unknown
    return pd.DataFrame(
        {
            "date": rows["date"],
            "symbol": rows["symbol"],
            **{name: rows[name] for name in ZONE},
            "qualified_trigger": nullable_booleans(any_yes, any_yes | ~any_unknown),
            "golden_zone_source": pd.Series(["1h"] * len(rows), dtype=object),
        }
    )


_SHARES = {"fib_50": 0.5, "fib_618": 0.618, "invalidation": INVALIDATION}


class _Turn(NamedTuple):
    """Where the search for a pivot stands: prices are seen with `sign`, in which the pivot searched for is a high."""

    position: int
    sign: float
    pivot: float
    """The last pivot, of the other kind."""
    peak: float
    """The running extreme that the next pivot may turn out to be."""


class _Leg(NamedTuple):
    """A leg, by the position of the bar that confirmed it."""

    confirmed_at: int
    sign: float
    origin: float
    end: float


class _Legs:
    """The leg in force at each bar, found in one pass over the bars of each contiguous stretch.

    Attributes:
        number: running number of the leg; -1 where none is in force.
        sign: 1.0 for an up leg, -1.0 for a down leg; NaN where none is in force, as in the prices.
        origin: price of the leg's earlier end.
        end: price of its later end, extended by the bar itself.
        confirmed_at: position of the bar that confirmed the later end.
    """

    def __init__(self, count: int) -> None:
        self.number: Integers = np.full(count, -1, np.int64)
        self.confirmed_at: Integers = np.full(count, -1, np.int64)
        self.sign, self.origin, self.end = (np.full(count, np.nan) for _ in range(3))
        self._legs = 0

    def follow(self, offset: int, highs: Floats, lows: Floats, atr: Floats) -> None:
        """Find the legs of one stretch that starts at position `offset`.

        With the sign of the pivot searched for, a search for a low is one for a high in mirrored prices, so the pass
        knows one case: `peak` is the running extreme it may turn out to be, `since` the opposite extreme after it.
        """
        bars = list(zip(highs.tolist(), lows.tolist(), (REVERSAL_ATR * atr).tolist(), strict=True))
        first = self._first_pivot(bars)
        if first is None:
            return
        at, sign, pivot, peak = first
        since = np.inf
        legs: list[_Leg] = []
        for position in range(at + 1, len(bars)):
            high, low, threshold = bars[position]
            rise, fall = (high, low) if sign > 0 else (-low, -high)
            beyond = fall < pivot
            if rise > peak and not beyond:
                peak, since = rise, np.inf
            elif rise <= peak and threshold > 0 and peak - fall >= threshold:
                legs.append(_Leg(position, sign, sign * pivot, sign * peak))
                # Mirror: the peak is the last pivot now, and the search is for the other kind, from `since` on.
                sign, pivot, peak, since = -sign, -peak, -min(since, fall), np.inf
            elif beyond:
                pivot, peak, since = fall, -np.inf, np.inf
            else:
                since = min(since, fall)
        # In force from the bar after its confirmation to the one that confirms the next leg.
        stops = [*(leg.confirmed_at for leg in legs[1:]), len(bars) - 1]
        for leg, stop in zip(legs, stops, strict=False):
            self._legs += 1
            own = slice(leg.confirmed_at + 1, stop + 1)
            rows = slice(offset + own.start, offset + own.stop)
            self.number[rows], self.confirmed_at[rows] = self._legs, offset + leg.confirmed_at
            self.sign[rows], self.origin[rows] = leg.sign, leg.origin
            if leg.sign > 0:
                self.end[rows] = np.fmax(np.fmax.accumulate(highs[own]), leg.end)
            else:
                self.end[rows] = np.fmin(np.fmin.accumulate(lows[own]), leg.end)

    @staticmethod
    def _first_pivot(bars: list[tuple[float, float, float]]) -> _Turn | None:
        """Where the first pivot is confirmed."""
        top, bottom = -np.inf, np.inf
        since_top, since_bottom = np.inf, -np.inf
        for position, (high, low, threshold) in enumerate(bars):
            fallen = top - low if high <= top else -np.inf
            risen = high - bottom if low >= bottom else -np.inf
            if threshold > 0 and max(fallen, risen) >= threshold:
                if fallen >= risen:
                    return _Turn(position, -1.0, -top, -min(since_top, low))
                return _Turn(position, 1.0, bottom, max(since_bottom, high))
            top, since_top = (high, np.inf) if high > top else (top, min(since_top, low))
            bottom, since_bottom = (low, -np.inf) if low < bottom else (bottom, max(since_bottom, high))
        return None


def _hours_of_session(bars: pd.DataFrame) -> Integers:
    """Number of each bar's hour in its exchange day, 0 for the one that starts at 17:00 America/Chicago."""
    days, inverse = np.unique(bars["date"].to_numpy("datetime64[D]"), return_inverse=True)
    starts = chicago_instants(days, SESSION_STARTS_AT).astype(np.int64)
    hours: Integers = ((utc_instants(bars["bar_close_ts"]).astype(np.int64) - starts[inverse]) // HOUR_NS - 1) % 24
    return hours


def _like_hours(volume: Floats, hours: Integers) -> Floats:
    """Each volume over the median of the `HOUR_MEDIAN_BARS` bars of the same hour before it; NaN before there are."""
    result = np.full(len(volume), np.nan)
    for hour in np.unique(hours):
        rows = np.flatnonzero(hours == hour)
        if len(rows) > HOUR_MEDIAN_BARS:
            before = np.lib.stride_tricks.sliding_window_view(volume[rows], HOUR_MEDIAN_BARS)[:-1]
            median = np.median(before, axis=1)
            result[rows[HOUR_MEDIAN_BARS:]] = quotient(volume[rows[HOUR_MEDIAN_BARS:]], median)
    return result


def _volume_pattern(volume: Floats, segment: Integers) -> tuple[Floats, Booleans, Booleans]:
    """Slope of the bars before each bar, whether its volume can be compared with them, and whether it is a spike."""
    before: list[Floats] = [
        np.where(_lagged(segment, lag, -1) == segment, _lagged(volume, lag, np.nan), np.nan)
        for lag in range(1, MEAN_BARS + 1)
    ]
    centre = (SLOPE_BARS + 1) / 2
    weights = [centre - lag for lag in range(1, SLOPE_BARS + 1)]
    slope, total = np.zeros(len(volume)), np.zeros(len(volume))
    for weight, values in zip(weights, before, strict=False):
        slope += weight * values
        total += values
    slope /= sum(weight**2 for weight in weights)
    mean = total / SLOPE_BARS
    decay = quotient(slope, mean)
    usual = np.zeros(len(volume))
    for values in before:
        usual += values
    usual /= MEAN_BARS
    comparable = ~np.isnan(volume) & ~np.isnan(usual)
    return decay, comparable, volume >= SPIKE * usual


def _lagged(values: npt.NDArray[_Element], lag: int, fill: float) -> npt.NDArray[_Element]:
    """The element `lag` rows above, `fill` for the first ones."""
    result = np.full_like(values, fill)
    result[lag:] = values[:-lag]
    return result


def _leg_starts(number: Integers) -> Integers:
    return np.flatnonzero(np.diff(number, prepend=number[:1] - 1))


def _ever_in_leg(happened: Booleans, number: Integers) -> Booleans:
    """Whether it has happened in the bar's leg, the bar included."""
    total = np.cumsum(happened)
    starts = _leg_starts(number)
    before: Integers = (total - happened)[starts]
    since: Booleans = total > np.repeat(before, np.diff(np.append(starts, len(number))))
    return since


def _first_in_leg(happened: Booleans, number: Integers) -> Booleans:
    """The first time it happens in each leg."""
    again = _ever_in_leg(happened, number)
    earlier = _lagged(again, 1, False) & (_lagged(number, 1, -2) == number)
    first: Booleans = happened & ~earlier
    return first
