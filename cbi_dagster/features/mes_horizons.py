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
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.spans import span_limit
from cbi_dagster.market.sessions import trade_date_ordinals, week_numbers

from . import indicators
from .windows import Booleans, Floats, Integers, Sessions, to_price_resolution

_Number = TypeVar("_Number", np.float64, np.int64)


WARM_UP_MONTHS = {"1min": 1, "5min": 1, "15min": 1, "30min": 3, "1hr": 3, "4hr": 12}
"""Whole calendar months before the quarter of a bar from which its computation starts."""

BACK_TRADE_DATES = {horizon: 66 + {1: 23, 3: 66, 12: 262}[months] - 1 for horizon, months in WARM_UP_MONTHS.items()}
"""How far before D the bars of D may look: from the last weekday of a quarter to its anchor. A quarter has at most
66 weekdays, a month 23, four quarters 262."""

MAX_STEP = span_limit(2)
"""Trade dates from one session to the next within a contiguous stretch. A longer hole starts the windows anew: no
return, average or range is taken across it."""

_RETURNS = (1, 7, 30)
_VOLATILITIES = (5, 10, 20, 30, 60)
_RSIS = (7, 14, 21)
_AVERAGES = (5, 10, 20, 50, 100, 200)
_DISTANCES = (20, 50, 200)

INDICATORS = (
    *(f"ret_{n}b" for n in _RETURNS),
    *(f"vol_{n}b" for n in _VOLATILITIES),
    *(f"rsi_{n}b" for n in _RSIS),
    "macd_line_b", "macd_signal_b", "macd_hist_b",
    *(f"sma_{n}b" for n in _AVERAGES),
    *(f"ema_{n}b" for n in _AVERAGES),
    "bb_upper_20b", "bb_lower_20b", "bb_width_20b", "bb_position_20b",
    "atr_14b",
    *(f"dist_sma_{n}b" for n in _DISTANCES),
    "volume_sma_20b", "volume_ratio_20b", "volume_trend_20b",
)  # fmt: skip
_ROW = {name: row for row, name in enumerate(INDICATORS)}
_PRICES = {
    "macd_line_b", "macd_signal_b", "macd_hist_b", *(f"sma_{n}b" for n in _AVERAGES), *(f"ema_{n}b" for n in _AVERAGES),
    "bb_upper_20b", "bb_lower_20b", "bb_width_20b", "atr_14b",
}  # fmt: skip

PERIODS = ("1d", "7d", "30d", "3m", "6m", "12m")
_MONTHS = {"3m": 3, "6m": 6, "12m": 12}
ROLLING_SESSIONS = 21
"""Sessions of a 30d bar."""
DAILY_BACK_TRADE_DATES = 2 * 262 + span_limit(2)
"""How far before D a daily row may look: to the first weekday of the year before that of D, and the session before
it."""


class InvalidIntradayBarsError(ValueError):
    """The frame given is not one market's bars of one horizon in order of time."""


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

    The bars' own columns but `adj_factor` are carried; the rest is float64 with NaN = NULL. c, h, l are adjusted
    prices; prices are quoted in the contract of the bar (adjusted value / factor of the bar). n counts bars:
        ret_{n}b: c / c[n bars ago] - 1.
        vol_{n}b: sample st. dev. (ddof 1) of the last n one-bar log returns, per bar, not annualised.
        rsi_{n}b: Wilder; 50 where neither gain nor loss is left.
        macd_line_b, macd_signal_b, macd_hist_b: EMA12 - EMA26, its EMA9, their difference; price.
        sma_{n}b, ema_{n}b: price; the EMA's recursion starts from the first close.
        bb_upper_20b, bb_lower_20b: SMA20 ± 2 sample st. dev. (ddof 1); bb_width_20b: upper - lower, price;
            bb_position_20b: (c - lower) / (upper - lower), NULL for a width of 0.
        atr_14b: Wilder's average true range; price.
        dist_sma_{n}b: (c - sma) / sma.
        volume_sma_20b: contracts; volume_ratio_20b: volume / volume_sma_20b; volume_trend_20b: mean of 5 / mean of
            20 volumes. NULL where the denominator is 0.
    A bar whose adjusted price is unknown or not positive has no indicators, and windows start anew after it, as they
    do after a hole of more than `MAX_STEP` trade dates.

    Raises:
        InvalidIntradayBarsError: a column is missing, there are several symbols, or bars are not in order of time.
        KeyError: the horizon is not an intraday one.
    """
    _check(bars)
    count = len(bars)
    days = bars["date"].to_numpy("datetime64[D]")
    factor = bars["adj_factor"].to_numpy(np.float64)
    high, low, close = (bars[name].to_numpy(np.float64) * factor for name in ("high", "low", "close"))
    volume = bars["volume"].to_numpy(np.float64, copy=True)
    usable = np.isfinite(close) & (low > 0)
    starts = contiguous_starts(days, usable)
    for values in (high, low, close, volume):
        values[~usable] = np.nan
    table = np.empty((len(INDICATORS), count))
    for first, begin, end in _quarters(days, horizon):
        inside = np.append(0, starts[(starts > first) & (starts < end)] - first)
        work = slice(first, end)
        _technicals(high[work], low[work], close[work], volume[work], factor[work], inside, table[:, begin:end])
    carried = ("date", "symbol", "bar_close_ts", "open", "high", "low", "close", "volume")
    # One array per column: gathering gigabytes of minutes into blocks would take longer than computing them.
    return pd.DataFrame(
        {**{name: bars[name].array for name in carried}, **dict(zip(INDICATORS, table, strict=True))}, copy=False
    )


def _check(bars: pd.DataFrame) -> None:
    wanted = ("date", "symbol", "bar_close_ts", "open", "high", "low", "close", "volume", "adj_factor")
    missing = [name for name in wanted if name not in bars.columns]
    if missing:
        raise InvalidIntradayBarsError(f"the bars lack the columns {', '.join(missing)}; give those of resampled_bars")
    if bars["symbol"].nunique() > 1:
        raise InvalidIntradayBarsError(f"bars of {bars['symbol'].nunique()} symbols; give those of one market")
    closes = bars["bar_close_ts"].astype("int64").to_numpy()
    backwards = np.flatnonzero(closes[1:] <= closes[:-1])
    if len(backwards):
        at = bars["bar_close_ts"].iloc[backwards[0] + 1]
        raise InvalidIntradayBarsError(f"the bar closed at {at} is repeated or out of order; sort bars by bar_close_ts")


def _quarters(days: npt.NDArray[np.datetime64], horizon: str) -> Iterator[tuple[int, int, int]]:
    """For each calendar quarter: where its computation starts, where it starts and where it ends."""
    quarters = days.astype("datetime64[M]").astype(np.int64) // 3
    begins = np.flatnonzero(np.diff(quarters, prepend=quarters[:1] - 1))
    ends = np.append(begins, len(days))[1:]
    firsts = np.searchsorted(days, anchor(days[begins], horizon))
    yield from zip(firsts.tolist(), begins.tolist(), ends.tolist(), strict=True)


def _technicals(
    high: Floats, low: Floats, close: Floats, volume: Floats, factor: Floats, starts: Integers, out: Floats
) -> None:
    """Indicators of the last bars of the given ones, written to `out`: a row per indicator, a column per bar."""
    skip = len(close) - out.shape[1]

    def put(name: str, values: Floats) -> None:
        if name in _PRICES:
            np.divide(values[skip:], factor[skip:], out=out[_ROW[name]])
        else:
            out[_ROW[name]] = values[skip:]

    position = np.arange(len(close)) - np.repeat(starts, np.diff(np.append(starts, len(close))))
    for n in _RETURNS:
        put(f"ret_{n}b", _lagged_ratio(close, n, position) - 1)
    log_returns = np.log(_lagged_ratio(close, 1, position))
    for n in _VOLATILITIES:
        put(f"vol_{n}b", indicators.standard_deviation(log_returns, n, starts))
    for n in _RSIS:
        put(f"rsi_{n}b", indicators.rsi(close, n, starts))
    macd = indicators.macd(close, starts)
    for name, values in zip(("macd_line_b", "macd_signal_b", "macd_hist_b"), macd, strict=True):
        put(name, values)
    bands = indicators.bollinger(close, 20, 2.0, starts)
    for n in _AVERAGES:
        average = bands.middle if n == 20 else indicators.sma(close, n, starts)
        put(f"sma_{n}b", average)
        put(f"ema_{n}b", indicators.ema(close, n, starts))
        if n in _DISTANCES:
            put(f"dist_sma_{n}b", (close - average) / average)
    put("bb_upper_20b", bands.upper)
    put("bb_lower_20b", bands.lower)
    put("bb_width_20b", bands.width)
    put("bb_position_20b", bands.position)
    put("atr_14b", indicators.atr(high, low, close, 14, starts))
    usual = indicators.sma(volume, 20, starts)
    put("volume_sma_20b", usual)
    put("volume_ratio_20b", _quotient(volume, usual))
    put("volume_trend_20b", _quotient(indicators.sma(volume, 5, starts), usual))


def _lagged_ratio(values: Floats, lag: int, position: Integers) -> Floats:
    """Each value over the one `lag` bars before it in its segment; NaN for the segment's first bars."""
    result = np.full(len(values), np.nan)
    np.divide(values[lag:], values[:-lag], out=result[lag:], where=position[lag:] >= lag)
    return result


def _quotient(numerator: Floats, denominator: Floats) -> Floats:
    """NaN where the denominator is not positive."""
    result = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def mes_daily(continuous: pd.DataFrame) -> pd.DataFrame:
    """The last completed bar of every period as of each session of `futures_continuous_1d`, by (symbol, date).

    Periods: 1d the session itself; 7d the calendar week; 30d the last 21 sessions, ending at D; 3m, 6m, 12m the
    calendar quarter, half-year and year. A calendar period is complete at D when D is its last weekday or lies in the
    next period; so when its last weekday is a holiday it completes with the first session after it, and no calendar
    needs to be known in advance. For each period {h}:
        bar_first_date_{h}, bar_last_date_{h}: trade dates of its first and last session.
        bar_open_{h}, bar_high_{h}, bar_low_{h}, bar_close_{h}: adjusted prices divided by the factor of D.
        bar_volume_{h}: contracts (Int64). bar_sessions_{h}: sessions in it (Int64).
        bar_ret_{h}: its close / close of the session before its first one - 1; NULL if that session lies more than
            `span_limit(2)` trade dates before.
        bar_range_{h}: high / low - 1.
        bar_position_{h}: (close of D - low) / (high - low), which may leave 0..1; NULL for a range of 0.
    All columns of a period are NULL when none has been completed, when more than max(2, n // 8) of the n weekdays of
    the calendar period have no session (history had not begun, or a hole), when the 21 sessions span more than
    `span_limit(21)` trade dates, or when an adjusted price in it is unknown.

    Raises:
        InvalidSessionsError: the frame is not one row per (symbol, weekday), or lacks a column.
    """
    sessions = Sessions(continuous)
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
    base = np.where(before[first] > 0, before[first], np.nan)
    return {
        "first_date": np.where(known, sessions.dates[first], np.datetime64("NaT", "ns")),
        "last_date": np.where(known, sessions.dates[last], np.datetime64("NaT", "ns")),
        "open": price(opened[first]),
        "high": price(highest),
        "low": price(lowest),
        "close": price(close[last]),
        "volume": pd.arrays.IntegerArray(np.where(known, total, 0).astype(np.int64), ~known),
        "sessions": pd.arrays.IntegerArray(np.where(known, last - first + 1, 0), ~known),
        "ret": np.where(known, close[last] / base - 1, np.nan),
        "range": np.where(known & (lowest > 0), highest / np.where(lowest > 0, lowest, np.nan) - 1, np.nan),
        "position": (close - lowest) / width,
    }


def _between(reduce: np.ufunc, values: npt.NDArray[_Number], pairs: Integers) -> npt.NDArray[_Number]:
    """`reduce` over the rows of each (first, last) pair, both inclusive."""
    if not len(pairs):
        return values[:0]
    bounds = np.stack([pairs[:, 0], pairs[:, 1] + 1], axis=1).ravel()
    reduced: npt.NDArray[_Number] = reduce.reduceat(np.append(values, values[-1:]), bounds)[::2]
    return reduced
