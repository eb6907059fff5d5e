"""Trade dates, session times, and the arithmetic of both.

The exchange day of an instant is the date of its America/Chicago wall clock plus seven hours, so that what opens at
17:00 on Sunday is Monday's. 17:00 is on the hour all year: hourly bars never straddle two days. The trade date is the
exchange day, except on holidays that are traded without a settlement (Labor Day, Thanksgiving): their bars belong to
the next business day, whose session then has two openings. The exchange's schedules say so: "Sunday 17:00, for trade
date of Tuesday".
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.config.calendars import ExchangeCalendar
from cbi_dagster.config.clock import clock_minutes
from cbi_dagster.config.universe import Universe

CHICAGO = "America/Chicago"
MINUTE_NS, HOUR_NS, DAY_NS = 60_000_000_000, 3_600_000_000_000, 86_400_000_000_000
BAR_NS = {"ohlcv-1m": MINUTE_NS, "ohlcv-1h": HOUR_NS, "ohlcv-1d": DAY_NS}
"""Length of a bar in nanoseconds, per vendor schema, the finest first."""
_EXCHANGE_DAY_SHIFT = pd.Timedelta(hours=7)


def utc_instants(column: pd.Series) -> np.ndarray:
    """The instants of a `datetime64[ns, UTC]` column as a plain datetime64[ns] array."""
    instants: np.ndarray = column.dt.tz_convert(None).to_numpy()
    return instants


def exchange_days(instants: np.ndarray) -> np.ndarray:
    """Exchange day (datetime64[D]) of each UTC instant (datetime64[ns]); weekend dates are returned as they fall.

    Both daylight-saving offsets are whole hours, so one conversion per distinct UTC hour is enough.
    """
    if not len(instants):
        return np.empty(0, "datetime64[D]")
    hours = instants.astype("datetime64[ns]").astype(np.int64) // HOUR_NS
    first = hours.min()
    table = pd.to_datetime(np.arange(first, hours.max() + 1) * HOUR_NS, utc=True).tz_convert(CHICAGO)
    dates = (table.tz_localize(None) + _EXCHANGE_DAY_SHIFT).to_numpy().astype("datetime64[D]")
    by_instant: np.ndarray = dates[hours - first]
    return by_instant


def trade_dates(days: np.ndarray, calendar: ExchangeCalendar) -> np.ndarray:
    """Trade date of each exchange day (datetime64[D]): the next business day for joined days, else the day itself."""
    joined = np.isin(days, _days(calendar.joined))
    if not joined.any():
        return days
    moved = days.copy()
    moved[joined] = np.busday_offset(days[joined], 0, roll="forward", holidays=_no_business(calendar))
    return moved


def first_exchange_days(dates: np.ndarray, calendar: ExchangeCalendar) -> np.ndarray:
    """The first exchange day whose bars belong to each trade date (datetime64[D]): the date itself but after joined
    days. A joined day is no trade date and stands for itself."""
    joined = _days(calendar.joined)
    targets, first = np.unique(trade_dates(joined, calendar), return_index=True)
    place = np.minimum(np.searchsorted(targets, dates), max(len(targets) - 1, 0))
    return np.where(targets[place] == dates, joined[first][place], dates) if len(targets) else dates


def business_days(first: np.datetime64, last: np.datetime64, calendar: ExchangeCalendar) -> np.ndarray:
    """The trade dates (datetime64[D]) for which a session is expected, from `first` to `last` (both inclusive)."""
    days = np.arange(first, last + 1, dtype="datetime64[D]")
    return days[np.is_busday(days, holidays=_no_business(calendar))]


def newest_due(now: np.datetime64, universe: Universe) -> np.datetime64:
    """The last trade date whose session should have landed at `now` (UTC): that of every market at noon of the day
    after, America/Chicago. A day on which any market rests is not due."""
    chicago = pd.Timestamp(now, tz="UTC").tz_convert(CHICAGO).tz_localize(None)
    today = np.datetime64((chicago - pd.Timedelta(hours=12)).date(), "D")
    due = [business_days(today - 14, today - 1, calendar) for calendar in universe.calendars.values()]
    newest: np.datetime64 = functools.reduce(np.intersect1d, due).max()
    return newest


def early_close_minutes(dates: np.ndarray, calendar: ExchangeCalendar) -> npt.NDArray[np.int64]:
    """Minutes after midnight (America/Chicago) of each date's early close, -1 where trading ends as usual."""
    minutes = [calendar.early_closes.get(day, -1) for day in dates.tolist()]
    return np.array(minutes, dtype=np.int64)


@functools.cache
def _days(dates: tuple[dt.date, ...]) -> np.ndarray:
    days = np.array(dates, dtype="datetime64[D]")
    days.flags.writeable = False
    return days


def _no_business(calendar: ExchangeCalendar) -> np.ndarray:
    return np.concatenate([_days(calendar.closed), _days(calendar.joined)])


def chicago_instants(dates: np.ndarray, minutes: np.ndarray | int) -> np.ndarray:
    """UTC instants (datetime64[ns]) of Chicago wall-clock `minutes` after midnight of `dates` (datetime64[D]).

    Negative minutes fall on the day before. Session times never lie in a daylight-saving gap.
    """
    wall = dates.astype("datetime64[ns]") + np.asarray(minutes) * np.timedelta64(60, "s")
    return pd.DatetimeIndex(wall).tz_localize(CHICAGO).tz_convert("UTC").tz_localize(None).to_numpy()


def session_bounds(root: str, dates: np.ndarray, universe: Universe) -> tuple[np.ndarray, np.ndarray]:
    """Scheduled open and close (UTC datetime64[ns]) of `root`'s sessions on trade dates (datetime64[D]).

    A session that joined days belong to opens with the first of them. The regular hours of the era; early closes only
    shorten them. Sessions may pause in between.
    """
    opens, _ = regular_hours(root, first_exchange_days(dates, universe.calendar(root)), universe)
    return opens, regular_hours(root, dates, universe)[1]


def regular_hours(root: str, days: np.ndarray, universe: Universe) -> tuple[np.ndarray, np.ndarray]:
    """Begin and end (UTC datetime64[ns]) of `root`'s regular trading hours on exchange days (datetime64[D]).

    They do not know holidays and early closes. Grain hours may pause in between.
    """
    eras = universe.eras(root)
    starts = np.array([era.first_trade_date for era in eras], dtype="datetime64[D]")
    era = np.searchsorted(starts, days, side="right") - 1
    if len(days) and era.min() < 0:
        raise ValueError(f"universe.yaml: the schedule of {root} starts on {starts[0]}, after {days.min()}")
    day_rolls_at = clock_minutes(universe.day_rolls_at)
    opens = np.array([e.open_minute - (1440 if e.open_minute >= day_rolls_at else 0) for e in eras])
    closes = np.array([e.close_minute for e in eras])
    return chicago_instants(days, opens[era]), chicago_instants(days, closes[era])


def same_hours(roots: pd.Series, universe: Universe) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """For each schedule and calendar: one of the roots that keep them, and the positions of the rows of all these."""
    codes, names = pd.factorize(roots)
    products = [universe.product(str(root)) for root in names]
    kinds = [(product.schedule, product.calendar) for product in products]
    kind_of_root = np.array([kinds.index(kind) for kind in kinds], np.int64)
    for kind in np.unique(kind_of_root):
        yield products[kind].root, np.flatnonzero(kind_of_root[codes] == kind)


def with_closed_hours(
    root: str, starts: np.ndarray, ends: np.ndarray, universe: Universe
) -> tuple[np.ndarray, np.ndarray]:
    """The periods [start, end) (UTC datetime64[ns]), grown as far as no trading hour of `root` lies between.

    A start in the closed hours moves back to the close before it, an end to the open after it; others stay. Regular
    hours count, holidays included, so that a period never grows over a session.
    """

    def bounds(instants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # The longest closed time without a weekday in it is a weekend: five days reach beyond it.
        days = instants.astype("datetime64[D]")[:, None] + np.arange(-5, 6)
        opens, closes = regular_hours(root, np.where(np.is_busday(days), days, days - 2).ravel(), universe)
        return opens.reshape(days.shape), closes.reshape(days.shape)

    opens, closes = bounds(starts)
    inside = ((opens < starts[:, None]) & (starts[:, None] < closes)).any(axis=1)
    before = np.where(closes <= starts[:, None], closes, closes.min(axis=1, keepdims=True)).max(axis=1)
    first = np.where(inside, starts, before)
    opens, closes = bounds(ends)
    inside = ((opens < ends[:, None]) & (ends[:, None] < closes)).any(axis=1)
    after = np.where(opens >= ends[:, None], opens, opens.max(axis=1, keepdims=True)).min(axis=1)
    return first, np.where(inside, ends, after)


def is_weekend(dates: np.ndarray) -> np.ndarray:
    """Whether each datetime64[D] date is a Saturday or Sunday, on which no session is dated."""
    return ~np.is_busday(dates)


def weekdays(dates: np.ndarray) -> np.ndarray:
    """Day of the week of each date: 0 is Monday, 6 is Sunday."""
    numbers: np.ndarray = (dates.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    return numbers


def trade_date_ordinals(dates: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Trade dates since 1970-01-01, which has ordinal 0; differences count weekdays, holidays included."""
    days = np.asarray(dates, dtype="datetime64[D]")
    return np.busday_count(np.datetime64("1970-01-01"), days).astype(np.int64)


def week_numbers(ordinals: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Running number of the ISO week of each trade date, given by its ordinal."""
    return (ordinals + 3) // 5  # ordinal 0 is a Thursday
