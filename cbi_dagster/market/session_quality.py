"""How good a session is: whether it is what the exchange held, as far as its own bars and earlier ones can tell.

A session is judged against its scheduled hours, the exchange calendar and the product's own habits, never against
later sessions: what was said of it on its day stands. Habits are those of the ordinary sessions of the
`WINDOW_TRADE_DATES` trade dates before it: neither closed early nor after a closed day, when some markets open late.
An hour is *usual* if there were trades in it in nine of ten of them. A usual hour without trades is *missing*, unless
the session is the first of a contract and the hour lies before 00:00 UTC of its trade date (it belongs to the contract
before), or the day before was closed and the hour lies before the first trade (a late opening). What was traded on a
holiday that the session was joined with is no part of the judgement.

The verdicts, the first that holds:

- `thin`: in the hours in which it traded, less than 5 % of the usual volume, or, where usual hours are missing, less
  than a quarter of it. The last days of a contract that the vendor's continuous symbol has not left yet.
- `cut`: more than a tenth of the usual hours, and at least two, are missing in a row up to the close.
- `holed`: as many are missing in a row elsewhere. An outage of the exchange looks the same.
- `doubtful`: a usual hour is missing, in a market of any habits, on a UTC day of which the vendor says that its data
  is not whole (`degraded`, `missing`, `pending`). A day that the vendor doubts and whose hours are all there is none.
- `early_close`: the calendar says so.
- `complete`.

`doubtful` is the only verdict that needs more than bars, and the vendor says it afterwards: it keeps labels away and
nothing else. No price, factor or feature is made of it, so that a row does not change with what nobody knew on its day.

NULL where nothing can be said: fewer than `MIN_SESSIONS` ordinary sessions before, or bars of whole UTC days. A market
that usually trades in less than 70 % of its scheduled hours has no holes: its quiet hours say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.sessions import WINDOW_TRADE_DATES
from cbi_dagster.config.calendars import ExchangeCalendar
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.sessions import (
    HOUR_NS,
    business_days,
    chicago_instants,
    early_close_minutes,
    regular_hours,
    same_hours,
    trade_date_ordinals,
)

DAY_HOURS = 24
_INTRADAY = ("ohlcv-1m", "ohlcv-1h")
MIN_SESSIONS = 10
_USUAL_SHARE = (9, 10)
_FEW_BARS = 10  # an hour with a tenth of its usual bars or less is as good as missing
_BUSY_SHARE = 0.7
_MISSING_SHARE, _MISSING_HOURS = 0.1, 2
_HABIT_DAYS = 4
BUSY_VOLUME = 10_000
"""Contracts a day of a market that has no day without a trade."""
_THIN_SHARE, _DYING_SHARE = 0.05, 0.25

Counts = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


def hours_of_bars(starts: np.ndarray, sessions: npt.NDArray[np.int64], dates: np.ndarray) -> npt.NDArray[np.int64]:
    """Number of each bar's hour in the exchange day equal to its trade date, 0 from 17:00 America/Chicago on.

    `starts` are UTC datetime64[ns], `sessions` the position of each bar's trade date in `dates` (datetime64[D]).
    Negative for bars of a joined day before.
    """
    begins = _day_begins(dates).astype(np.int64)
    hours: npt.NDArray[np.int64] = (starts.astype("datetime64[ns]").astype(np.int64) - begins[sessions]) // HOUR_NS
    return hours


def _day_begins(dates: np.ndarray) -> np.ndarray:
    """When the exchange days begin (UTC datetime64[ns])."""
    days, of_day = np.unique(dates, return_inverse=True)
    begins: np.ndarray = chicago_instants(days, -7 * 60)[of_day]
    return begins


def judge_sessions(
    sessions: pd.DataFrame, bars: Counts, volumes: Counts, doubted: np.ndarray, universe: Universe
) -> pd.DataFrame:
    """`bars_usual` and `session_quality` of each session, on the index of `sessions`.

    `sessions`: any number of symbols in any order, each with its sessions of the `WINDOW_TRADE_DATES` before: `root`,
    `vendor_symbol`, `date`, `instrument_id`, `bar_source`, `bars_seen`, `volume`. `bars` and `volumes`
    (sessions x DAY_HOURS) are what was traded in each hour (`hours_of_bars`), all zero for bars of UTC days.
    `doubted`: the UTC days (datetime64[D]) of which the vendor says that its data is not whole.
    """
    usual = np.full(len(sessions), np.nan)
    quality = np.full(len(sessions), None, dtype=object)
    dates = sessions["date"].to_numpy().astype("datetime64[D]")
    facts = {
        "instrument_id": sessions["instrument_id"].to_numpy(np.int64),
        "bar_source": sessions["bar_source"].to_numpy(object),
        "bars_seen": sessions["bars_seen"].to_numpy(np.int64),
        "bars": bars,
        "volumes": volumes,
    }
    symbols = pd.factorize(sessions["vendor_symbol"])[0]
    for root, positions in same_hours(sessions["root"], universe):
        days, of_day = np.unique(dates[positions], return_inverse=True)
        hours = _hours(root, days, doubted, universe)
        order = np.lexsort((of_day, symbols[positions]))
        begins = np.flatnonzero(np.diff(symbols[positions][order])) + 1
        for own in np.split(order, begins):
            rows = positions[own]
            of_symbol = {name: values[rows] for name, values in facts.items()}
            usual[rows], quality[rows] = _judge(dates[rows], hours.take(of_day[own]), of_symbol)
    return pd.DataFrame({"bars_usual": usual, "session_quality": quality}, index=sessions.index)


class _Hours(NamedTuple):
    """The hours of exchange days, by day: when trading is scheduled and what excuses bars that are missing.

    `early`: minutes after midnight of an early close, -1 for none. `late`: whether the day before was closed.
    `scheduled` (days x DAY_HOURS): whether trading is; the hour of an early close is none, since it is not traded in
    whole. `midnight`: the hour that begins at 00:00 UTC. `doubted` (days x DAY_HOURS): whether the hour is of a UTC day
    that the vendor doubts.
    """

    early: Counts
    late: _Mask
    scheduled: _Mask
    midnight: Counts
    doubted: _Mask

    def take(self, days: np.ndarray) -> _Hours:
        return _Hours(*(values[days] for values in self))


def _hours(root: str, days: np.ndarray, doubted: np.ndarray, universe: Universe) -> _Hours:
    calendar = universe.calendar(root)
    early = early_close_minutes(days, calendar)
    before = np.busday_offset(days, -1, roll="backward")
    late = ~np.isin(before, business_days(before.min(), before.max(), calendar)) & ~np.isin(
        before, np.array(calendar.joined, "datetime64[D]")
    )
    opens, closes = regular_hours(root, days, universe)
    closes = np.where(early >= 0, np.minimum(chicago_instants(days, np.maximum(early, 0) // 60 * 60), closes), closes)
    begins = _day_begins(days)
    hour = np.timedelta64(HOUR_NS, "ns")
    starts = begins[:, None] + np.arange(DAY_HOURS) * hour
    scheduled = (starts + hour > opens[:, None]) & (starts < closes[:, None])
    midnight = (days.astype("datetime64[ns]") - begins) // hour
    return _Hours(early, late, scheduled, midnight, np.isin(starts.astype("datetime64[D]"), doubted))


def _judge(
    dates: np.ndarray, hours: _Hours, own: Mapping[str, np.ndarray]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.object_]]:
    """The same for the sessions of one symbol, ascending by date."""
    early, late, scheduled = hours.early, hours.late, hours.scheduled
    bars, volumes, of_source = own["bars"], own["volumes"], own["bar_source"]
    intraday = np.logical_or.reduce([of_source == source for source in _INTRADAY])
    past = _Past(dates, (early < 0) & ~late)

    known = past.count(intraday)
    bars_usual = np.full(len(dates), np.nan)
    per_hour = np.full(bars.shape, np.nan)
    for source in _INTRADAY:
        if not (same := of_source == source).any():
            continue
        count = past.count(same)
        enough = same & (count >= MIN_SESSIONS)
        bars_usual[enough] = past.total(own["bars_seen"] * same)[enough] / count[enough]
        per_hour[enough] = past.total(bars * same[:, None])[enough] / count[enough, None]

    share, whole = _USUAL_SHARE
    usual = past.total((bars > 0) & intraday[:, None]) * whole >= share * known[:, None]
    missing = np.where(np.isnan(per_hour), bars == 0, bars * _FEW_BARS <= per_hour)
    number = np.arange(DAY_HOURS)
    first = np.argmax(bars > 0, axis=1)
    contract = own["instrument_id"]
    rolled = np.append(True, contract[1:] != contract[:-1])
    excused = (rolled[:, None] & (number < hours.midnight[:, None])) | (late[:, None] & (number < first[:, None]))
    counted = usual & scheduled & ~excused
    cut, holed = _runs(missing, counted, usual.sum(axis=1))
    doubtful = (missing & counted & hours.doubted).any(axis=1)
    busy = (usual & scheduled).sum(axis=1) >= _BUSY_SHARE * scheduled.sum(axis=1)
    cut, holed = cut & busy, holed & busy

    seen = bars > 0
    expected = np.where(seen, past.total(volumes * intraday[:, None]), 0).sum(axis=1)
    traded = np.where(seen, volumes, 0).sum(axis=1) * known
    thin = (traded < _THIN_SHARE * expected) | ((cut | holed) & (traded < _DYING_SHARE * expected))

    verdict = np.full(len(dates), "complete", dtype=object)
    for name, holds in (
        ("early_close", early >= 0),
        ("doubtful", doubtful),
        ("holed", holed),
        ("cut", cut),
        ("thin", thin),
    ):
        verdict[holds] = name
    verdict[~intraday | (known < MIN_SESSIONS)] = None
    return bars_usual, verdict


class _Past:
    """Sums over the ordinary sessions in the window before each session; integers, so that no sum depends on others."""

    def __init__(self, dates: np.ndarray, ordinary: _Mask) -> None:
        ordinals = trade_date_ordinals(dates)
        self._ordinary = ordinary
        self._first = np.searchsorted(ordinals, ordinals - WINDOW_TRADE_DATES)

    def total(self, values: Counts | _Mask) -> Counts:
        ordinary = self._ordinary if values.ndim == 1 else self._ordinary[:, None]
        running = np.zeros((len(values) + 1, *values.shape[1:]), np.int64)
        np.cumsum(values.astype(np.int64) * ordinary, axis=0, out=running[1:])
        sums: Counts = running[:-1] - running[self._first]
        return sums

    def count(self, sessions: _Mask) -> Counts:
        return self.total(sessions)


def _runs(missing: _Mask, counted: _Mask, usual: Counts) -> tuple[_Mask, _Mask]:
    """Whether too many of the `counted` hours are `missing` in a row up to the last of them, or anywhere before it."""
    run = np.zeros(len(missing), np.int64)
    longest = np.zeros(len(missing), np.int64)
    for hour in range(DAY_HOURS):
        ended = counted[:, hour] & ~missing[:, hour]
        longest = np.where(ended, np.maximum(longest, run), longest)
        run = np.where(ended, 0, run + (counted & missing)[:, hour])
    limit = np.maximum(_MISSING_SHARE * usual, _MISSING_HOURS - 0.5)
    return run > limit, longest > limit


def missing_sessions(
    dates: np.ndarray, volumes: Counts, first: np.datetime64, last: np.datetime64, calendar: ExchangeCalendar
) -> tuple[np.ndarray, np.ndarray]:
    """Business days from `first` to `last` without a session of a product, and its sessions on other days.

    `dates` (datetime64[D], ascending) and `volumes` are those of all its sessions. A business day without one is
    missing if the product's habit was to have one when it had its last: on nine in ten of the business days in the
    `WINDOW_TRADE_DATES` trade dates before that, with `BUSY_VOLUME` contracts a day on average, since a market that
    hardly trades may have days without a trade. Nothing is missing in the product's first five business days, and
    nothing more once `WINDOW_TRADE_DATES` trade dates went by without a session.
    """
    asked = dates[(dates >= first) & (dates <= last)]
    if not len(dates):
        return asked, asked
    due = business_days(dates[0], last, calendar)
    at = np.minimum(np.searchsorted(dates, due), len(dates) - 1)
    seen = dates[at] == due
    past = _Past(due, np.ones(len(due), bool))
    days = past.count(np.ones(len(due), bool))
    share, whole = _USUAL_SHARE
    usual = (past.total(seen) * whole >= share * days) & (days >= _HABIT_DAYS)
    usual &= past.total(np.where(seen, volumes[at], 0)) >= BUSY_VOLUME * days
    before = np.maximum.accumulate(np.where(seen, np.arange(len(due)), 0))
    ordinals = trade_date_ordinals(due)
    missing = ~seen & usual[before] & (ordinals - ordinals[before] <= WINDOW_TRADE_DATES)
    return due[missing & (due >= first)], asked[~np.isin(asked, due)]
