"""MES on every horizon: technicals of its intraday bars, and the completed bars of longer periods per session.

Intraday (1min .. 4hr) windows count *bars* of the horizon (hence `_5b`, `_200b`), run across sessions on
roll-adjusted prices, and are NULL until full.

Exponential averages and Wilder's are recursive, and the other windows are moving sums: their last bits depend on
where they start. A single day must not need sixteen years of minutes, so the work on the bars of a calendar quarter
always starts at `anchor(date, horizon)`, a day that depends on the quarter and the horizon only. Whatever is asked
for, a day, a range or everything, each bar is computed from the same first bar, and comes out bit-identical. The
warm-up before the quarter has about 1,300 bars or more; by then the start weighs less than 1e-5 in the slowest average
(EMA 200).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.mes import (
    AVERAGE_BARS,
    BAR,
    BAR_TECHNICALS,
    DISTANCE_BARS,
    PERIOD_INPUTS,
    PERIODS,
    RETURN_BARS,
    RSI_BARS,
    TECHNICAL_INPUTS,
    VOLATILITY_BARS,
    WARM_UP_MONTHS,
)
from cbi_dagster.catalog.frames import require, require_order
from cbi_dagster.catalog.spans import span_limit
from cbi_dagster.market.sessions import trade_date_ordinals, week_numbers

from . import indicators
from .windows import Booleans, Floats, Integers, Sessions, quotient, to_price_resolution

_Number = TypeVar("_Number", np.float64, np.int64)


MAX_STEP = span_limit(2)
"""Trade dates from one session to the next within a contiguous stretch. A longer hole starts the windows anew: no
return, average or range is taken across it."""

_ROW = {name: row for row, name in enumerate(BAR_TECHNICALS)}
_PRICES = {
    "macd_line_b", "macd_signal_b", "macd_hist_b",
    *(f"sma_{n}b" for n in AVERAGE_BARS), *(f"ema_{n}b" for n in AVERAGE_BARS),
    "bb_upper_20b", "bb_lower_20b", "bb_width_20b", "atr_14b",
}  # fmt: skip

_MONTHS = {"3m": 3, "6m": 6, "12m": 12}
ROLLING_SESSIONS = 21
"""Sessions of a 30d bar."""


class _Series(NamedTuple):
    """What indicators are made of, one element per bar; all but `factor` are NaN where a bar is not usable."""

    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    factor: Floats


def anchor(dates: npt.ArrayLike, horizon: str) -> npt.NDArray[np.datetime64]:
    """The calendar day (datetime64[D], inclusive) from which the bars of each trade date are computed.

    The first day of the date's calendar quarter less `WARM_UP_MONTHS[horizon]` months: the same for all dates of a
    quarter. Read bars with `anchor(D) <= date <= D` to compute D.

    Raises:
        KeyError: the horizon is not an intraday one.
    """
    months = np.asarray(dates, dtype="datetime64[M]").astype(np.int64)
    first = months - months % 3 - WARM_UP_MONTHS[horizon]
    return first.astype("datetime64[M]").astype("datetime64[D]")


def contiguous_starts(dates: npt.ArrayLike, usable: Booleans) -> Integers:
    """The segment each bar belongs to, as the positions where segments start, ascending, the first one 0.

    A segment ends where the next bar's trade date is more than `MAX_STEP` trade dates on, or where bars turn from
    usable to not or back; so a segment is usable or not as a whole.
    """
    days = np.asarray(dates, dtype="datetime64[D]")
    changes = np.flatnonzero(days[1:] != days[:-1]) + 1
    steps = trade_date_ordinals(days[changes]) - trade_date_ordinals(days[changes - 1])
    holes = changes[steps > MAX_STEP]
    turns = np.flatnonzero(usable[1:] != usable[:-1]) + 1
    return np.union1d(np.union1d(holes, turns), [0] if len(days) else []).astype(np.int64)


def mes_intraday(bars: pd.DataFrame, horizon: str) -> pd.DataFrame:
    """Technicals of every bar of one horizon, one row per bar in order of time.

    Args:
        bars: one market's bars of the horizon in order of time, as `resampled_bars` gives them: `date`, `symbol`,
            `bar_close_ts`, unadjusted `open`, `high`, `low`, `close`, `volume`, and `adj_factor`. Rows of a date are
            right once all stored bars from `anchor(date, horizon)` on are among them; earlier ones change nothing.
        horizon: a key of `WARM_UP_MONTHS`.

    The columns are INTRADAY of the dictionary; the bars' own are carried, the rest is float64 with NaN = NULL. Returns
    and averages are of adjusted prices; prices are quoted in the contract of the bar (adjusted value / factor of the
    bar). Recursions start from the first close. A ratio is NULL where its denominator is 0.

    A bar whose adjusted price is unknown or not positive has no indicators, and windows start anew after it, as they
    do after a hole of more than `MAX_STEP` trade dates.

    Raises:
        InvalidFrameError: a column is missing, there are several symbols, or bars are not in order of time.
        KeyError: the horizon is not an intraday one.
    """
    require(bars, TECHNICAL_INPUTS, "bars of a horizon")
    require_order(bars, "bar_close_ts", "bars of a horizon")
    count = len(bars)
    days = bars["date"].to_numpy("datetime64[D]")
    factor = bars["adj_factor"].to_numpy(np.float64)
    high, low, close = (bars[name].to_numpy(np.float64) * factor for name in ("high", "low", "close"))
    series = _Series(high, low, close, bars["volume"].to_numpy(np.float64, copy=True), factor)
    usable = np.isfinite(close) & (low > 0)
    starts = contiguous_starts(days, usable)
    for values in series[:-1]:
        values[~usable] = np.nan
    table = np.empty((len(BAR_TECHNICALS), count))
    for first, begin, end in _quarters(days, horizon):
        inside = np.append(0, starts[(starts > first) & (starts < end)] - first)
        work = slice(first, end)
        _technicals(_Series(*(values[work] for values in series)), inside, table[:, begin:end])
    # One array per column: gathering gigabytes of minutes into blocks would take longer than computing them.
    return pd.DataFrame(
        {**{name: bars[name].array for name in BAR}, **dict(zip(BAR_TECHNICALS, table, strict=True))}, copy=False
    )


def _quarters(days: npt.NDArray[np.datetime64], horizon: str) -> Iterator[tuple[int, int, int]]:
    """For each calendar quarter: where its computation starts, where it starts and where it ends."""
    quarters = days.astype("datetime64[M]").astype(np.int64) // 3
    begins = np.flatnonzero(np.diff(quarters, prepend=quarters[:1] - 1))
    ends = np.append(begins, len(days))[1:]
    firsts = np.searchsorted(days, anchor(days[begins], horizon))
    yield from zip(firsts.tolist(), begins.tolist(), ends.tolist(), strict=True)


def _technicals(bars: _Series, starts: Integers, out: Floats) -> None:
    """Indicators of the last bars of the given ones, written to `out`: a row per indicator, a column per bar."""
    close, volume, factor = bars.close, bars.volume, bars.factor
    skip = len(close) - out.shape[1]

    def put(name: str, values: Floats) -> None:
        if name in _PRICES:
            np.divide(values[skip:], factor[skip:], out=out[_ROW[name]])
        else:
            out[_ROW[name]] = values[skip:]

    for n in RETURN_BARS:
        put(f"ret_{n}b", _lagged_ratio(close, n, starts) - 1)
    log_returns = np.log(_lagged_ratio(close, 1, starts))
    of_returns = indicators.known_segments(starts, log_returns)
    for n in VOLATILITY_BARS:
        put(f"vol_{n}b", indicators.standard_deviation(log_returns, n, of_returns))
    known = indicators.known_segments(starts, close)
    for n in RSI_BARS:
        put(f"rsi_{n}b", indicators.rsi(close, n, known))
    macd = indicators.macd(close, known)
    for name, values in zip(("macd_line_b", "macd_signal_b", "macd_hist_b"), macd, strict=True):
        put(name, values)
    bands = indicators.bollinger(close, 20, 2.0, known)
    for n in AVERAGE_BARS:
        average = bands.middle if n == 20 else indicators.sma(close, n, known)
        put(f"sma_{n}b", average)
        put(f"ema_{n}b", indicators.ema(close, n, known))
        if n in DISTANCE_BARS:
            put(f"dist_sma_{n}b", (close - average) / average)
    put("bb_upper_20b", bands.upper)
    put("bb_lower_20b", bands.lower)
    put("bb_width_20b", bands.width)
    put("bb_position_20b", bands.position)
    put("atr_14b", indicators.atr(bars.high, bars.low, close, 14, starts))
    of_volume = indicators.known_segments(starts, volume)
    usual = indicators.sma(volume, 20, of_volume)
    put("volume_sma_20b", usual)
    put("volume_ratio_20b", quotient(volume, usual))
    put("volume_trend_20b", quotient(indicators.sma(volume, 5, of_volume), usual))


def _lagged_ratio(values: Floats, lag: int, starts: Integers) -> Floats:
    """Each value over the one `lag` bars before it in its segment; NaN for the segment's first bars."""
    result = np.empty_like(values)
    np.divide(values[lag:], values[:-lag], out=result[lag:])
    first = (starts[:, None] + np.arange(lag)).ravel()
    result[first[first < len(values)]] = np.nan
    return result


def mes_daily(continuous: pd.DataFrame) -> pd.DataFrame:
    """The last completed bar of every period as of each session of `futures_continuous_1d`, by (symbol, date).

    Periods: 1d the session itself; 7d the calendar week; 30d the last 21 sessions, ending at D; 3m, 6m, 12m the
    calendar quarter, half-year and year. A calendar period is complete at D when D is its last weekday or lies in the
    next period; so when its last weekday is a holiday it completes with the first session after it, and no calendar
    needs to be known in advance. The columns are HORIZONS of the dictionary.

    All columns of a period are NULL when none has been completed, when more than max(2, n // 8) of the n weekdays of
    the calendar period have no session (history had not begun, or a hole), when the 21 sessions span more than
    `span_limit(21)` trade dates, or when an adjusted price in it is unknown; its return also when the session before
    its first lies more than `span_limit(2)` trade dates before that.

    Raises:
        InvalidFrameError: the frame is not one row per (symbol, weekday), or lacks a column.
    """
    sessions = Sessions(continuous, PERIOD_INPUTS)
    frame = {"date": sessions.dates, "symbol": sessions.frame["symbol"]}
    for name in PERIODS:
        first, last, known = _period_bounds(sessions, name)
        for column, values in _period_bar(sessions, first, last, known).items():
            frame[f"bar_{column}_{name}"] = values
    return pd.DataFrame(frame)


def _period_bounds(sessions: Sessions, name: str) -> tuple[Integers, Integers, Booleans]:
    """First and last row (inclusive) of each row's last completed period, and whether it has one."""
    rows = np.arange(len(sessions))
    if name in ("1d", "30d"):
        count = 1 if name == "1d" else ROLLING_SESSIONS
        return np.maximum(rows - count + 1, 0), rows, sessions.complete(count)
    period, following = (_period_numbers(ordinals, name) for ordinals in (sessions.ordinals, sessions.ordinals + 1))
    completed = np.where(following != period, period, period - 1)
    # One key for symbol and period: every symbol's periods on a stretch of its own.
    stretch = int(np.ptp(period)) + 2 if len(period) else 1
    base = sessions.symbol_codes * stretch - (int(period.min()) - 1 if len(period) else 0)
    first = np.searchsorted(base + period, base + completed, side="left")
    after = np.searchsorted(base + period, base + completed, side="right")
    weekdays = np.full(len(rows), 5)
    if name in _MONTHS:
        begin = (completed * _MONTHS[name]).astype("datetime64[M]")
        weekdays = np.busday_count(begin.astype("datetime64[D]"), (begin + _MONTHS[name]).astype("datetime64[D]"))
    known = weekdays - (after - first) <= np.maximum(2, weekdays // 8)
    return np.minimum(first, rows), np.where(known, after - 1, rows), known


def _period_numbers(ordinals: Integers, name: str) -> Integers:
    """Running number of the calendar week, quarter, half-year or year of each trade date."""
    if name == "7d":
        return week_numbers(ordinals)
    days = np.busday_offset(np.datetime64("1970-01-01"), ordinals)
    return np.asarray(days.astype("datetime64[M]").astype(np.int64) // _MONTHS[name])


def _period_bar(sessions: Sessions, first: Integers, last: Integers, known: Booleans) -> dict[str, object]:
    """The bar of rows `first` to `last` for each row, in the price of the row's own contract."""
    factor = sessions.column("adj_factor")
    opened, high, low, close = (sessions.column(f"adj_{name}") for name in ("open", "high", "low", "close"))
    volume = sessions.column("volume").astype(np.int64)
    pairs, inverse = np.unique(np.stack([first, last], axis=1), axis=0, return_inverse=True)
    highest = _between(np.maximum, high, pairs)[inverse]
    lowest = _between(np.minimum, low, pairs)[inverse]
    total = _between(np.add, volume, pairs)[inverse]
    before = sessions.previous(close)
    known = known & np.isfinite(highest) & np.isfinite(lowest) & np.isfinite(factor)
    known &= np.isfinite(opened[first]) & np.isfinite(close[last])

    def price(values: Floats) -> Floats:
        return np.where(known, to_price_resolution(values / factor), np.nan)

    width = np.where(known & (highest > lowest), highest - lowest, np.nan)
    return {
        "first_date": np.where(known, sessions.dates[first], np.datetime64("NaT", "ns")),
        "last_date": np.where(known, sessions.dates[last], np.datetime64("NaT", "ns")),
        "open": price(opened[first]),
        "high": price(highest),
        "low": price(lowest),
        "close": price(close[last]),
        "volume": pd.arrays.IntegerArray(np.where(known, total, 0).astype(np.int64), ~known),
        "sessions": pd.arrays.IntegerArray(np.where(known, last - first + 1, 0), ~known),
        "ret": np.where(known, quotient(close[last], before[first]) - 1, np.nan),
        "range": np.where(known, quotient(highest, lowest) - 1, np.nan),
        "position": (close - lowest) / width,
    }


def _between(reduce: np.ufunc, values: npt.NDArray[_Number], pairs: Integers) -> npt.NDArray[_Number]:
    """`reduce` over the rows of each (first, last) pair, both inclusive."""
    if not len(pairs):
        return values[:0]
    bounds = np.stack([pairs[:, 0], pairs[:, 1] + 1], axis=1).ravel()
    reduced: npt.NDArray[_Number] = reduce.reduceat(np.append(values, values[-1:]), bounds)[::2]
    return reduced
