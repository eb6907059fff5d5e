"""Intraday bars of any horizon from stored minute or hour bars, anchored at the session's start.

An exchange day starts at 17:00 America/Chicago of the day before. Blocks of a horizon count from there: the 4hr blocks
start at 17, 21, 01, 05, 09 and 13 o'clock, the last of them cut short by the close at 16:00. A block never crosses an
exchange day, a session consists of whole ones, and it has one contract, so no bar mixes two of either.

A bar is named by its close, `bar_close_ts`: the end of its block (exclusive bound of the trades in it). The end of
the last 4hr block is 17:00 although trading stops at 16:00: the label depends on the clock alone, not on early closes
or changed hours, and is never earlier than the bar's last trade. A block that the session's close cuts short counts
as complete then. Blocks without trades have no bar.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.bars import OHLCV
from cbi_dagster.catalog.columns.mes import BAR_INPUTS, LANDED_INPUTS, RESAMPLED, SESSION_INPUTS
from cbi_dagster.catalog.frames import InvalidFrameError, require, require_order
from cbi_dagster.market.sessions import BAR_NS, MINUTE_NS, chicago_instants, utc_instants

HORIZON_MINUTES = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "1hr": 60, "4hr": 240}
"""Length of each horizon's blocks; each is a multiple of the one before it, so bars are built from bars."""

SESSION_STARTS_AT = -7 * 60
"""17:00 of the day before, in minutes from midnight of the trade date."""
_LEAD_MINUTES = 6 * 1440
"""How far before that joined days may reach: a holiday on Friday belongs to Monday."""
_KEY_MINUTES = 8 * 1440

_Arrays = dict[str, npt.NDArray[np.generic]]
_Positions = npt.NDArray[np.intp]


def resampled_bars(
    bars: Mapping[str, pd.DataFrame], continuous: pd.DataFrame, horizons: Collection[str] = tuple(HORIZON_MINUTES)
) -> dict[str, pd.DataFrame]:
    """Bars of the `horizons` (names of `HORIZON_MINUTES`), made of the bars of each session's own contract only.

    Args:
        bars: landed bars of one market's preferred continuous symbol by vendor schema (`ohlcv-1m`, `ohlcv-1h`),
            any of which may be absent; in any order. `date`, `ts_event` (start of the bar, UTC),
            `instrument_id`, `open`, `high`, `low`, `close`, `volume`, `session_covered`. In place of a schema, the
            name of a horizon stands for bars that this function has made: `date`, `bar_close_ts` and the values.
        continuous: that market's rows of `futures_continuous_1d`: `date`, `symbol`, `instrument_id`, `bar_source`,
            `adj_factor`. A session's `bar_source` names the schema its bars are taken from; sessions that are not
            listed, that were built from vendor day bars, or that the landed data does not cover yield nothing.

    Returns:
        For each of the horizons a frame of `RESAMPLED` sorted by `bar_close_ts` with a RangeIndex. `date` is the
        session's, `symbol` (categorical) that of `continuous`; prices are unadjusted, and price x `adj_factor` is the
        adjusted price (NaN where the factor is unknown). A horizon finer than a session's schema has no bars of it.

    Raises:
        InvalidFrameError: a column is missing, a bar or session is repeated, or there are several symbols.
    """
    require(continuous, SESSION_INPUTS, "sessions")
    sessions = continuous.sort_values("date", kind="stable")
    require_order(sessions, "date", "sessions")

    lengths = {horizon: minutes for horizon, minutes in HORIZON_MINUTES.items() if horizon in horizons}
    parts: dict[str, list[_Arrays]] = {horizon: [] for horizon in lengths}
    for source, frame in bars.items():
        if source in BAR_NS:
            minutes = BAR_NS[source] // MINUTE_NS
            level = _session_blocks(frame, sessions[(sessions["bar_source"] == source).to_numpy(bool)], source)
        else:
            minutes = HORIZON_MINUTES[source]
            level = _made_blocks(frame, sessions)
        for horizon, length in lengths.items():
            if length >= minutes:
                level = _merge(level, length)
                parts[horizon].append(level)
    return {horizon: _frame(found, sessions, lengths[horizon]) for horizon, found in parts.items()}


def _session_blocks(frame: pd.DataFrame, sessions: pd.DataFrame, schema: str) -> _Arrays:
    """The bars of the sessions' own contracts in order of time.

    `at` counts minutes from _LEAD_MINUTES before the session's start plus _KEY_MINUTES for every day of the session's
    date: one ascending key for time, session and block.
    """
    require(frame, LANDED_INPUTS, f"landed bars of {schema}")
    if frame.empty or sessions.empty:
        return {"at": np.empty(0, np.int64), **{name: np.empty(0) for name in OHLCV}}
    session_days = sessions["date"].to_numpy("datetime64[D]")
    days = frame["date"].to_numpy("datetime64[D]")
    first, count = _runs(days)
    place = np.minimum(np.searchsorted(session_days, days[first]), len(session_days) - 1)
    contract = np.repeat(sessions["instrument_id"].to_numpy(np.int64)[place], count)
    own = contract == frame["instrument_id"].to_numpy(np.int64)
    own &= np.repeat(session_days[place] == days[first], count)
    own &= frame["session_covered"].to_numpy(bool)
    at = _minutes_at(session_days, place, count, frame["ts_event"])
    columns: _Arrays = {"at": at, **{name: frame[name].to_numpy() for name in OHLCV}}
    if not own.all():
        columns = {name: values[own] for name, values in columns.items()}
    step = np.diff(columns["at"])
    if (step <= 0).any():
        order = np.argsort(columns["at"], kind="stable")
        columns = {name: values[order] for name, values in columns.items()}
        if (np.diff(columns["at"]) == 0).any():
            row = int(np.flatnonzero(np.diff(columns["at"]) == 0)[0])
            day = np.datetime64(int(columns["at"][row]) // _KEY_MINUTES, "D")
            raise InvalidFrameError(f"{schema} has two bars of one start in the session {day}; keep the last landed")
    return columns


def _made_blocks(frame: pd.DataFrame, sessions: pd.DataFrame) -> _Arrays:
    """The same of bars of a horizon, in order of time; a bar is placed by the last minute of its block."""
    require(frame, BAR_INPUTS, "bars of a horizon")
    session_days = sessions["date"].to_numpy("datetime64[D]")
    days = frame["date"].to_numpy("datetime64[D]")
    own = np.isin(days, session_days)
    frame, days = frame[own], days[own]
    first, count = _runs(days)
    at = _minutes_at(session_days, np.searchsorted(session_days, days[first]), count, frame["bar_close_ts"]) - 1
    order = np.argsort(at, kind="stable")
    return {"at": at[order], **{name: frame[name].to_numpy()[order] for name in OHLCV}}


def _runs(days: npt.NDArray[np.datetime64]) -> tuple[_Positions, _Positions]:
    """Where each run of equal days begins, and how long it is: whatever is said of days is said once for a run."""
    changes = np.ones(len(days), bool)
    np.not_equal(days[1:], days[:-1], out=changes[1:])
    first = np.flatnonzero(changes)
    return first, np.diff(np.append(first, len(days)))


def _minutes_at(
    session_days: npt.NDArray[np.datetime64], place: _Positions, count: _Positions, instants: pd.Series
) -> npt.NDArray[np.int64]:
    """The key `at` of instants, of which `count` after `count` lie in the sessions `session_days[place]`."""
    starts = chicago_instants(session_days, SESSION_STARTS_AT).astype(np.int64)[place]
    at: npt.NDArray[np.int64] = utc_instants(instants).astype("datetime64[ns]").astype(np.int64)
    at -= np.repeat(starts, count)
    at //= MINUTE_NS
    at += np.repeat(session_days[place].astype(np.int64) * _KEY_MINUTES + _LEAD_MINUTES, count)
    return at


def _merge(bars: _Arrays, minutes: int) -> _Arrays:
    """Bars of blocks of `minutes`; the blocks of `bars` must divide them. A session's minutes are divisible too."""
    block = bars["at"] // minutes
    first = np.ones(len(block), bool)
    np.not_equal(block[1:], block[:-1], out=first[1:])
    if first.all():
        return bars
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(block)) - 1
    return {
        "at": bars["at"][starts],
        "open": bars["open"][starts],
        "high": np.maximum.reduceat(bars["high"], starts),
        "low": np.minimum.reduceat(bars["low"], starts),
        "close": bars["close"][ends],
        "volume": np.add.reduceat(bars["volume"], starts),
    }


def _frame(parts: list[_Arrays], sessions: pd.DataFrame, minutes: int) -> pd.DataFrame:
    """The bars of all schemas in order of time, with what their sessions say."""
    filled = [part for part in parts if len(part["at"])]
    columns: _Arrays = {
        name: np.concatenate([part[name] for part in filled]) if filled else np.empty(0, np.int64)
        for name in ("at", *OHLCV)
    }
    if len(filled) > 1:
        order = np.argsort(columns["at"], kind="stable")
        columns = {name: values[order] for name, values in columns.items()}
    at = columns["at"].astype(np.int64)
    session_days = sessions["date"].to_numpy("datetime64[D]")
    day = at // _KEY_MINUTES
    first, count = _runs(day.astype("datetime64[D]"))
    place = np.searchsorted(session_days, day[first].astype("datetime64[D]"))
    starts = chicago_instants(session_days, SESSION_STARTS_AT).astype(np.int64)[place]
    block_end = (at - day * _KEY_MINUTES) // minutes + 1
    block_end *= minutes * MINUTE_NS
    closes = (block_end + np.repeat(starts - _LEAD_MINUTES * MINUTE_NS, count)).view("datetime64[ns]")
    symbols = [str(name) for name in sessions["symbol"].unique()]
    return pd.DataFrame(
        {
            "date": np.repeat(session_days.astype("datetime64[ns]")[place], count),
            "symbol": pd.Categorical.from_codes(np.zeros(len(at), np.int8), pd.Index(symbols, dtype=object)),
            "bar_close_ts": pd.DatetimeIndex(closes, tz="UTC"),
            "instrument_id": np.repeat(sessions["instrument_id"].to_numpy(np.int64)[place], count),
            **{name: columns[name].astype(np.float64, copy=False) for name in ("open", "high", "low", "close")},
            "volume": columns["volume"].astype(np.int64, copy=False),
            "adj_factor": np.repeat(sessions["adj_factor"].to_numpy(np.float64)[place], count),
        },
        columns=list(RESAMPLED),
        copy=False,
    )
