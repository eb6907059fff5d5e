"""Technical indicators over long arrays: TA-Lib behind a guard.

Every function takes arrays with one element per row, and `starts`: the rows at which a segment begins (a new
symbol, the row after a hole), ascending, the first being 0. A value that is NaN or infinite is unknown and ends
its segment as well; indicators start anew behind it. Results have one element per row and are NaN until the
segment has as many rows as the indicator needs, never infinite. A row depends on its own segment up to itself
and on nothing else; but on all of that, so these indicators count from the inception of a segment.

The guard deals with what TA-Lib does otherwise: one NaN turns every later row into NaN or 0, a flat series has
RSI 0 and correlation 0, exponential means start from a simple mean, and Bollinger bands use the population's
standard deviation. TA-Lib must be 0.8 or later, whose sums carry no absolute tolerance: multiplying all prices by
a power of two multiplies price-like results by exactly that and changes no RSI, position or correlation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import talib

from .windows import Floats

_NO_VARIATION = 1e-9
"""A standard deviation below this share of the mean is rounding noise: no correlation is taken with it."""


class InvalidSegmentsError(ValueError):
    """The arrays, segment starts or window of an indicator do not fit together."""


class Macd(NamedTuple):
    """Moving average convergence/divergence, in the unit of the values."""

    line: Floats
    signal: Floats
    histogram: Floats


class Bollinger(NamedTuple):
    """Bollinger bands, in the unit of the values; `position` is 0 at the lower and 1 at the upper band."""

    middle: Floats
    upper: Floats
    lower: Floats
    width: Floats
    position: Floats


@dataclass(frozen=True)
class Segments:
    """Where stretches of known values begin and end (exclusive), ascending; between them a value is unknown."""

    begins: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


Starts: TypeAlias = npt.ArrayLike | Segments


def known_segments(starts: npt.ArrayLike, *values: Floats) -> Segments:
    """The stretches in which all of the `values` are known: to be given as `starts` of several indicators of these.

    Raises InvalidSegmentsError for starts that do not ascend from 0, or arrays that differ in length.
    """
    rows = len(values[0])
    begins = np.asarray(starts, dtype=np.int64)
    _require_same_length(values)
    if rows == 0:
        return Segments(begins[:0], begins[:0])
    if not len(begins) or begins[0] != 0 or begins[-1] >= rows or (np.diff(begins) <= 0).any():
        raise InvalidSegmentsError(
            f"segment starts must ascend from 0 and stay below the {rows} rows; got {begins[:5].tolist()}…"
        )
    ends = np.append(begins[1:], rows)
    known = np.isfinite(values[0])
    for other in values[1:]:
        known &= np.isfinite(other)
    if not known.all():
        opens, closes = known.copy(), known.copy()
        opens[1:] &= ~known[:-1]
        closes[:-1] &= ~known[1:]
        opens[begins] = known[begins]
        closes[ends - 1] = known[ends - 1]
        begins, ends = np.flatnonzero(opens), np.flatnonzero(closes) + 1
    return Segments(begins, ends)


def sma(values: Floats, count: int, starts: Starts) -> Floats:
    """Mean of the last `count` values; known from the `count`-th row of a segment."""
    return _by_segment(lambda own: talib.SMA(own, count), count, count, starts, values)


def ema(values: Floats, count: int, starts: Starts) -> Floats:
    """Exponential mean: e = e_before + 2 / (count + 1) x (value - e_before), e being the first value at first.

    The recursion runs from the first row of a segment; known from the `count`-th. (TA-Lib's default starts from
    the simple mean of the first `count` values instead.)
    """

    def of_segment(own: Floats) -> Floats:
        averaged = _recursive_mean(own, count)
        averaged[: count - 1] = np.nan
        return averaged

    return _by_segment(of_segment, count, count, starts, values)


def macd(values: Floats, starts: Starts, *, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd:
    """MACD: line = EMA(fast) - EMA(slow); signal = EMA(signal) of the line; histogram = line - signal.

    All three recursions run from the first row of a segment, where the line is 0. The line is known from the
    `slow`-th row of a segment, signal and histogram from the (`slow` + `signal` - 1)-th.
    """
    result = Macd(*(np.full(len(values), np.nan) for _ in range(3)))
    for rows in _segments(fast, slow, starts, values):
        line = _recursive_mean(values[rows], fast)
        line -= _recursive_mean(values[rows], slow)
        smooth = _recursive_mean(line, signal)
        known, smoothed = slow - 1, slow + signal - 2
        result.line[rows][known:] = line[known:]
        result.signal[rows][smoothed:] = smooth[smoothed:]
        np.subtract(line[smoothed:], smooth[smoothed:], out=result.histogram[rows][smoothed:])
    return result


def rsi(values: Floats, count: int, starts: Starts) -> Floats:
    """Wilder's relative strength index, 0 to 100: 100 x gain / (gain + loss).

    Gain and loss are the simple means of the first `count` changes' upward and downward parts, later
    (before x (count - 1) + now) / count. Known from the (`count` + 1)-th row of a segment. 50 where neither gain
    nor loss is left, as in a flat series; strictly rising values give 100, strictly falling ones 0.
    """

    def of_segment(own: Floats) -> Floats:
        strength: Floats = talib.RSI(own, count)
        # TA-Lib says 0 both for losses alone and for no change at all.
        if (strength == 0).any():
            change = np.diff(own, prepend=own[0])
            only_losses = np.logical_or.accumulate(change < 0) & ~np.logical_or.accumulate(change > 0)
            strength[(strength == 0) & ~only_losses] = 50.0
        return strength

    return _by_segment(of_segment, count, count + 1, starts, values)


def atr(high: Floats, low: Floats, close: Floats, count: int, starts: Starts) -> Floats:
    """Wilder's average true range: the mean of `count` ranges, later (before x (count - 1) + now) / count.

    A true range is max(high, close before) - min(low, close before); the first row of a segment has none. Known
    from the (`count` + 1)-th row of a segment.
    """
    return _by_segment(lambda *own: talib.ATR(*own, count), count, count + 1, starts, high, low, close)


def bollinger(values: Floats, count: int, deviations: float, starts: Starts) -> Bollinger:
    """Bands `deviations` sample standard deviations (ddof 1) around the mean of the last `count` values.

    width = upper - lower; position = (value - lower) / width, NaN where the width is 0. (TA-Lib's bands use the
    population's standard deviation and are narrower.)
    """
    middle = sma(values, count, starts)
    half = standard_deviation(values, count, starts)
    half *= deviations
    upper, lower = middle + half, middle - half
    width = upper - lower
    position = values - lower
    position /= np.where(width > 0, width, np.nan)
    return Bollinger(middle, upper, lower, width, position)


def standard_deviation(values: Floats, count: int, starts: Starts) -> Floats:
    """Sample standard deviation (ddof 1) of the last `count` values; known from the `count`-th row of a segment."""

    def of_segment(own: Floats) -> Floats:
        deviation: Floats = talib.STDDEV(own, count)
        deviation *= math.sqrt(count / (count - 1))
        return deviation

    return _by_segment(of_segment, count, count, starts, values)


def correlation(first: Floats, second: Floats, count: int, starts: Starts) -> Floats:
    """Pearson correlation of the last `count` pairs, -1 to 1; NaN where either side does not vary."""

    def of_segment(*own: Floats) -> Floats:
        varies = np.ones(len(own[0]), dtype=np.bool_)
        for values in own:
            varies &= talib.STDDEV(values, count) > _NO_VARIATION * np.abs(talib.SMA(values, count))
        return np.where(varies, np.clip(talib.CORREL(*own, count), -1.0, 1.0), np.nan)

    return _by_segment(of_segment, count, count, starts, first, second)


def _by_segment(compute: Callable[..., Floats], count: int, needed: int, starts: Starts, *values: Floats) -> Floats:
    """What `compute` makes of each segment of at least `needed` rows; NaN elsewhere."""
    segments = list(_segments(count, needed, starts, *values))
    whole = slice(0, len(values[0]))
    if segments == [whole]:
        return compute(*values)  # nothing to put together: most of a market's minutes are one segment
    result = np.full(whole.stop, np.nan)
    for rows in segments:
        result[rows] = compute(*(of[rows] for of in values))
    return result


def _segments(count: int, needed: int, starts: Starts, *values: Floats) -> Iterator[slice]:
    """The contiguous rows of known values that are at least `needed` long."""
    if count < 2:
        raise InvalidSegmentsError(f"a window of {count} rows is too short; use at least 2")
    if isinstance(starts, Segments):
        _require_same_length(values)
    else:
        starts = known_segments(starts, *values)
    for begin, end in zip(starts.begins.tolist(), starts.ends.tolist(), strict=True):
        if end - begin >= needed:
            yield slice(begin, end)


def _require_same_length(values: Sequence[Floats]) -> None:
    if any(len(other) != len(values[0]) for other in values):
        lengths = ", ".join(str(len(other)) for other in values)
        raise InvalidSegmentsError(f"the arrays differ in length ({lengths}); give one element per row")


def _recursive_mean(values: Floats, count: int) -> Floats:
    """The exponential mean of `ema`, also for the first rows."""
    # TA-Lib begins with the mean of `count` values: as many copies of the first one make that the first value.
    padded = np.concatenate([np.full(count - 1, values[0]), values])
    averaged: Floats = talib.EMA(padded, count)[count - 1 :]
    return averaged
