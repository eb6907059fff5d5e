"""Bounded windows over sessions: the one place that decides what a feature may look back on.

A feature counts *sessions* (rows of one symbol), while the platform reads history by *trade dates* (weekdays,
holidays included). A hole in the data could stretch a window of n sessions over any number of trade dates,
and then a day computed from the declared read window would differ from the same day in a full rebuild. So
every window here carries a limit, `span_limit(n)` trade dates; sessions older than that count as absent. What
a row sees is then fixed by the rows within the limit, and the limits of nested windows add up: a mean of 14
true ranges, each of which looks one session back, reaches `span_limit(14) + span_limit(2)` trade dates.

Results are bit-identical wherever a window stands in the frame: sums run lag by lag, in the same order for
every row, and never as running sums; order statistics are values and counts of the window itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.frames import InvalidFrameError, require
from cbi_dagster.catalog.spans import span_limit
from cbi_dagster.market.sessions import is_weekend, trade_date_ordinals

from .order_statistics import nth_smallest

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Booleans: TypeAlias = npt.NDArray[np.bool_]
_Element = TypeVar("_Element", bound=np.generic)

PRICE_DECIMALS = 10
"""Levels and distances are rounded to this many decimals, one more than the vendor's fixed-point prices have.
Prices are decimal fractions, so without it a close that sits exactly on a level would fall on either side of
it by rounding noise."""


_LARGEST = np.finfo(np.float64).max
_BLOCK_ROWS = 16_384
_BYTE = 255


def positive(values: Floats) -> Floats:
    """The values, NaN where they are not positive: what a logarithm or a ratio may be taken of."""
    return np.where(values > 0, values, np.nan)


def quotient(numerator: Floats, divisor: Floats) -> Floats:
    """`numerator / divisor`, NaN where the divisor is not positive."""
    ratio: Floats = numerator / positive(divisor)
    return ratio


def to_price_resolution(prices: Floats) -> Floats:
    """Prices or price differences rounded to `PRICE_DECIMALS`."""
    rounded: Floats = np.round(prices, PRICE_DECIMALS)
    return rounded


def nullable_booleans(values: Booleans, known: Booleans) -> pd.arrays.BooleanArray:
    """A nullable boolean column: `values` where `known`, NULL elsewhere."""
    return pd.arrays.BooleanArray(values & known, ~known)


def nullable_integers(values: Integers, known: Booleans) -> pd.arrays.IntegerArray:
    """A nullable integer column: `values` where `known`, NULL elsewhere."""
    return pd.arrays.IntegerArray(np.where(known, values, 0), ~known)


class Sessions:
    """The sessions of a frame by (symbol, date); windows never cross symbols nor exceed their limit.

    Every method takes and returns arrays with one element per session, in that order. NaN is NULL: it passes
    through sums, and order statistics leave it out.

    Attributes:
        frame: the input, sorted by symbol (as text) and date, with a RangeIndex.
        dates: trade dates, `datetime64[ns]`.
        ordinals: `trade_date_ordinals` of the dates.
        symbol_codes: 0, 1, … per symbol, ascending.
        symbols: the name of each symbol code.
    """

    def __init__(self, frame: pd.DataFrame, columns: Sequence[str] = ("symbol", "date")) -> None:
        """Sort and check `frame`, which needs the `columns`, `symbol` and `date` (naive midnights) among them.

        Raises:
            InvalidFrameError: a column is missing, a key is NULL or repeated, or a date is not a weekday.
        """
        require(frame, columns, "sessions")
        codes, names = pd.factorize(np.asarray(frame["symbol"], dtype=object), sort=True)
        dates = frame["date"].to_numpy(dtype="datetime64[ns]")
        days = dates.astype("datetime64[D]")
        if (codes < 0).any() or np.isnat(days).any():
            require(frame, columns, "sessions", key=("symbol", "date"))
        weekend = is_weekend(days)
        if weekend.any():
            row = int(np.flatnonzero(weekend)[0])
            raise InvalidFrameError(
                f"{names[codes[row]]} has a session on {days[row]}, a weekend: trade dates are Monday to "
                "Friday; assign bars by Chicago time + 7 h before building sessions"
            )
        ordinals = trade_date_ordinals(days)
        order = np.lexsort((ordinals, codes))
        if ((np.diff(codes[order]) == 0) & (np.diff(ordinals[order]) == 0)).any():
            # Seen sooner in sorted rows than by looking for equal keys, which is left for saying which they are.
            require(frame, columns, "sessions", key=("symbol", "date"))
        self.frame = frame.take(order)
        self.frame.index = pd.RangeIndex(len(order))
        self.dates: npt.NDArray[np.datetime64] = dates[order]
        self.ordinals: Integers = ordinals[order]
        self.symbol_codes: Integers = codes[order].astype(np.int64)
        self.symbols: list[str] = [str(name) for name in names]
        self._bounds: Integers = np.searchsorted(self.symbol_codes, np.arange(len(self.symbols) + 1))
        self._position: Integers = np.arange(len(order)) - self._bounds[self.symbol_codes]

    def __len__(self) -> int:
        return len(self.ordinals)

    def rows(self, symbol: str) -> slice:
        """The rows of one symbol; none for a symbol that has no session."""
        if symbol not in self.symbols:
            return slice(0, 0)
        code = self.symbols.index(symbol)
        return slice(int(self._bounds[code]), int(self._bounds[code + 1]))

    def column(self, name: str) -> Floats:
        """A numeric column as contiguous float64."""
        return np.ascontiguousarray(self.frame[name].to_numpy(dtype=np.float64, na_value=np.nan))

    def by_symbol(self, values: Mapping[str, float]) -> Floats:
        """Each session's value for its symbol; NaN for symbols without one."""
        return np.array([values.get(name, np.nan) for name in self.symbols], dtype=np.float64)[self.symbol_codes]

    def of_dates(self, symbol: str, wanted: Integers, name: str) -> Floats:
        """A column of the symbol's session of each wanted trade date, given by ordinal; NaN where it has none."""
        own = self.rows(symbol)
        ordinals, values = self.ordinals[own], self.column(name)[own]
        if not len(ordinals):
            return np.full(len(wanted), np.nan)
        at = np.minimum(np.searchsorted(ordinals, wanted), len(ordinals) - 1)
        return np.where(ordinals[at] == wanted, values[at], np.nan)

    def complete(self, count: int) -> Booleans:
        """Whether the `count` sessions ending here exist and span at most `span_limit(count)` trade dates."""
        first = self._lagged(self.ordinals, count - 1)
        return (self._position >= count - 1) & (self.ordinals - first <= span_limit(count))

    def present(self, count: int) -> Integers:
        """How many of the last `count` sessions ending here exist within `span_limit(count)` trade dates."""
        # The key puts every symbol's ordinals on a stretch of its own, so one search serves all symbols.
        stretch = int(np.ptp(self.ordinals)) + span_limit(count) + 1 if len(self) else 1
        key = self.symbol_codes * stretch + self.ordinals
        within = np.arange(len(self)) - np.searchsorted(key, key - span_limit(count)) + 1
        counted: Integers = np.minimum(within, count)
        return counted

    def previous(self, values: Floats, sessions: int = 1) -> Floats:
        """The value of `sessions` sessions ago; NaN where that session is absent.

        Reaches `span_limit(sessions + 1)` trade dates.
        """
        return np.where(self.complete(sessions + 1), self._lagged(values, sessions), np.nan)

    def mean(self, values: Floats, count: int, at_least: int = 0) -> Floats:
        """Mean of the last `count` values; NaN where one is NaN or the window is not complete.

        `at_least`: the mean of those that are known, NaN if they are fewer. Reaches `span_limit(count)` trade dates.
        """
        padded = _padded(np.nan_to_num(values), count)
        total = np.zeros(len(self))
        for rows in self._blocks():
            for lag in reversed(range(count)):
                total[rows] += _back(padded, rows, lag, count)
        known = self._known(values, np.full(len(self), count))
        enough = self.complete(count) & (known >= (at_least or count))
        return np.where(enough, total / np.maximum(known, 1), np.nan)

    def standard_deviation(self, values: Floats, count: int, at_least: int = 0) -> Floats:
        """Sample standard deviation (ddof 1) of the last `count` values; NaN as for `mean`, with its reach."""
        centre = self.mean(values, count, at_least)
        padded = _padded(values, count)
        squares = np.zeros(len(self))
        # Without these, no difference is NaN but in windows whose mean is.
        gaps = bool(np.isinf(values).any()) or (at_least > 0 and bool(np.isnan(values).any()))
        for rows in self._blocks():
            middle, sums = centre[rows], squares[rows]
            apart = np.empty_like(middle)
            for lag in reversed(range(count)):
                np.subtract(_back(padded, rows, lag, count), middle, out=apart)
                np.square(apart, out=apart)
                np.minimum(apart, _LARGEST, out=apart)
                if gaps:
                    np.copyto(apart, 0.0, where=np.isnan(apart))
                sums += apart
        known = self._known(values, np.full(len(self), count))
        deviation: Floats = np.sqrt(squares / np.maximum(known - 1, 1))
        return np.where(np.isnan(centre), np.nan, deviation)

    def median(self, values: Floats, count: int, at_least: int) -> Floats:
        """Median of those of the last `count` values that are known; NaN if fewer than `at_least` are.

        Reaches `span_limit(count)` trade dates.
        """
        present = self.present(count)
        known = self._known(values, present)
        middle = np.empty((2, len(self)))
        for own in self._whole_symbols():
            stops = np.tile(np.arange(1, own.stop - own.start + 1), 2)
            starts = stops - np.tile(present[own], 2)
            last = np.maximum(known[own], 1)
            places = np.concatenate([(last - 1) // 2, last // 2])
            middle[:, own] = nth_smallest(values[own], starts, stops, places).reshape(2, -1)
        return np.where(known >= at_least, 0.5 * (middle[0] + middle[1]), np.nan)

    def percentile_rank(self, values: Floats, count: int, at_least: int) -> Floats:
        """Fraction of the known among the last `count` values that are <= the last: 0 exclusive, 1 inclusive.

        NaN if the last value is NaN or fewer than `at_least` are known. Reaches `span_limit(count)` trade
        dates.
        """
        padded, present = _padded(values, count), self.present(count)
        not_above = np.zeros(len(self), np.int64)
        for rows in self._blocks():
            latest, reach = values[rows], present[rows].astype(np.int32)
            for first in range(0, count, _BYTE):
                # Counted in bytes, as many windows at once as the processor has room for.
                counted = np.zeros(len(latest), np.uint8)
                for lag in range(first, min(first + _BYTE, count)):
                    within = _back(padded, rows, lag, count) <= latest
                    within &= reach > lag
                    counted += within.view(np.uint8)
                not_above[rows] += counted
        known = self._known(values, present)
        rank = not_above / np.maximum(known, 1)
        return np.where((known >= at_least) & ~np.isnan(values), rank, np.nan)

    def trailing(self, values: Floats, count: int) -> Iterator[tuple[slice, Floats]]:
        """Rows, and a matrix of the last `count` values of each, oldest first.

        Absent sessions, also those beyond `span_limit(count)`, are NaN on the left. Some rows at a time bound memory.
        """
        present = self.present(count)
        columns = np.arange(count)
        padded = _padded(values, count)
        for rows in self._blocks():
            own = padded[rows.start : rows.stop + count - 1]
            window = np.lib.stride_tricks.sliding_window_view(own, count).copy()
            window[columns[None, :] < count - present[rows, None]] = np.nan
            yield rows, window

    def _whole_symbols(self) -> Iterator[slice]:
        """The rows of one symbol, or of so many as fit the processor's cache together."""
        start = 0
        for stop, following in itertools.pairwise([*self._bounds[1:].tolist(), math.inf]):
            if following - start > _BLOCK_ROWS:
                yield slice(start, stop)
                start = stop

    def _blocks(self) -> Iterator[slice]:
        """All rows, so many at a time that a pass over every lag finds them in the processor's cache."""
        for start in range(0, len(self), _BLOCK_ROWS):
            yield slice(start, min(start + _BLOCK_ROWS, len(self)))

    @staticmethod
    def _known(values: Floats, counts: Integers) -> Integers:
        """How many of the last `counts` values of each row are not NaN, whatever their symbol."""
        before = np.append(0, np.cumsum(~np.isnan(values)))
        known: Integers = before[1:] - before[np.maximum(np.arange(1, len(values) + 1) - counts, 0)]
        return known

    @staticmethod
    def _lagged(values: npt.NDArray[_Element], lag: int) -> npt.NDArray[_Element]:
        """The element `lag` rows above, whatever its symbol; the first rows repeat the first element."""
        if not lag:
            return values
        lagged = np.empty_like(values)
        lagged[:lag] = values[:1]
        lagged[lag:] = values[:-lag]
        return lagged


def _padded(values: Floats, count: int) -> Floats:
    """The values behind `count` - 1 unknown ones, so that the first of them have predecessors too."""
    return np.concatenate([np.full(count - 1, np.nan), values])


def _back(padded: Floats, rows: slice, lag: int, count: int) -> Floats:
    """The values `lag` rows above each of the `rows`, of what `_padded` made for windows of `count`."""
    shift = count - 1 - lag
    return padded[rows.start + shift : rows.stop + shift]
