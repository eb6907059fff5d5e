"""Invented markets: prices, contracts and trading hours that follow from a seed and look like the real ones.

Sessions, holidays, daylight saving, contract rolls, ticks and price levels are those of the real markets; the prices
are random. A longer period begins with the numbers of a shorter one.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cbi_dagster.config.universe import Product, Universe
from cbi_dagster.market.sessions import (
    CHICAGO,
    chicago_instants,
    early_close_minutes,
    regular_hours,
    utc_instants,
    weekdays,
)
from cbi_dagster.vendors.databento.bar_files import PRICES

_HOUR = np.timedelta64(1, "h")
_MINUTE = np.timedelta64(1, "m")
_MINUTES = 60
_SESSIONS_PER_YEAR = 252
_REVERSION_PER_SESSION = 0.7 / _SESSIONS_PER_YEAR

# Grain trading pauses in the morning: first trade date of the era, begin and end in minutes after midnight in Chicago.
_GRAIN_PAUSES = (
    (np.datetime64("2000-01-01"), 7 * 60 + 15, 9 * 60 + 30),
    (np.datetime64("2012-05-21"), 0, 0),
    (np.datetime64("2013-04-08"), 7 * 60 + 45, 8 * 60 + 30),
)


@dataclass(frozen=True)
class Market:
    """What a product's prices look like. Products of one `spot` share a price path, those of one `factor` correlate."""

    spot: str
    factor: str
    level: float
    annual_volatility: float
    hourly_volume: float
    contract_gap: float  # standard deviation of the log price difference of contracts
    activity: float = 1.0  # share of the minutes and hours with trades in quiet times


_LOADING = {"soy": 0.8, "energy": 0.75, "fx": 0.6, "equity": 1.0}
_MARKETS = {
    "ZL": Market("ZL", "soy", 52.0, 0.30, 5_000, 0.012),
    "ZS": Market("ZS", "soy", 1180.0, 0.20, 9_000, 0.010),
    "ZM": Market("ZM", "soy", 360.0, 0.26, 4_500, 0.014),
    "ZC": Market("ZC", "soy", 480.0, 0.27, 14_000, 0.014),
    "MES": Market("SPX", "equity", 4600.0, 0.18, 45_000, 0.008),
    "ES": Market("SPX", "equity", 4600.0, 0.18, 60_000, 0.008),
    "CL": Market("CL", "energy", 76.0, 0.35, 14_000, 0.008),
    "HO": Market("HO", "energy", 2.6, 0.33, 4_000, 0.009, 0.995),
    "RB": Market("RB", "energy", 2.3, 0.34, 4_000, 0.015, 0.995),
    "NG": Market("NG", "energy", 3.2, 0.50, 7_000, 0.030),
    "6A": Market("6A", "fx", 0.68, 0.11, 4_000, 0.002),
    "6B": Market("6B", "fx", 1.27, 0.09, 4_000, 0.002),
    "6C": Market("6C", "fx", 0.74, 0.07, 3_500, 0.002),
    "6E": Market("6E", "fx", 1.09, 0.08, 8_000, 0.004),
    "6J": Market("6J", "fx", 0.0075, 0.10, 7_000, 0.008),
    "6L": Market("6L", "fx", 0.19, 0.16, 150, 0.006, 0.35),
}


def market_of(product: Product) -> Market:
    """The market of a product; one without figures of its own moves around the middle of its price bounds."""
    low, high = product.price_bounds
    middle = float(np.sqrt(low * high)) if low > 0 else high / 3
    return _MARKETS.get(product.root) or Market(product.root, product.root, middle, 0.25, 2_000, 0.01)


def generator(seed: int, *purpose: str) -> np.random.Generator:
    """Random numbers of one purpose, independent of what else is simulated.

    Arrays are drawn with time as their first axis, so that a longer period begins with the shorter one's numbers.
    """
    return np.random.default_rng([seed, *(zlib.crc32(word.encode()) for word in purpose)])


@dataclass(frozen=True)
class Paths:
    """Log prices of each spot at the full hours of the simulated period, and the standard deviation of each hour."""

    hours: np.ndarray
    chicago_hour: np.ndarray
    log_price: dict[str, np.ndarray]
    deviation: dict[str, np.ndarray]

    def at(self, stamps: np.ndarray) -> np.ndarray:
        position: np.ndarray = (stamps - self.hours[0]) // _HOUR
        return position


def price_paths(markets: dict[str, Market], seed: int, start: np.datetime64, end: np.datetime64) -> Paths:
    """Mean-reverting random walks with volatility regimes; trading hours move prices more than closed ones."""
    hours = np.arange(start.astype("datetime64[h]"), end.astype("datetime64[h]"))
    local = pd.DatetimeIndex(hours.astype("datetime64[ns]"), tz="UTC").tz_convert(CHICAGO)
    hour = local.hour.to_numpy()
    # Shares of a session's variance: nights, the American day, and closed markets at weekends.
    share = np.where((hour >= 7) & (hour < 15), 2.5, 0.55)
    share[(local.dayofweek == 5) | ((local.dayofweek == 6) & (hour < 17))] = 0.02
    share[(local.dayofweek == 4) & (hour >= 17)] = 0.02
    share /= 8 * 2.5 + 16 * 0.55
    session = (np.arange(len(hours)) // 24).astype(np.int64)
    spots = {market.spot: market for market in markets.values()}
    factors = {
        market.factor: generator(seed, "factor", market.factor).standard_normal(len(hours)) for market in spots.values()
    }
    shocks, volatility, regimes = [], [], []
    for name, market in spots.items():
        loading = _LOADING.get(market.factor, 0.0)
        own = generator(seed, "spot", name).standard_normal(len(hours))
        shocks.append(loading * factors[market.factor] + np.sqrt(1 - loading**2) * own)
        volatility.append(market.annual_volatility / np.sqrt(_SESSIONS_PER_YEAR))
        regimes.append(generator(seed, "regime", name).standard_normal(session[-1] + 1))
    regime = np.zeros(len(spots))
    calm = np.empty((session[-1] + 1, len(spots)))
    for day, shock in enumerate(np.array(regimes).T):
        regime = 0.97 * regime + 0.085 * shock
        calm[day] = regime
    deviation = np.array(volatility) * np.exp(calm[session]) * np.sqrt(share)[:, None]
    steps = deviation * np.array(shocks).T
    offset = np.zeros((len(hours) + 1, len(spots)))
    offset[0] = [generator(seed, "level", name).normal(0, 0.08) for name in spots]
    pull = 1 - _REVERSION_PER_SESSION * share
    for position in range(len(hours)):
        offset[position + 1] = offset[position] * pull[position] + steps[position]
    return Paths(
        hours,
        hour,
        {name: np.log(spots[name].level) + offset[:, index] for index, name in enumerate(spots)},
        {name: deviation[:, index] for index, name in enumerate(spots)},
    )


def _openings(product: Product, universe: Universe, start: dt.date, end: dt.date) -> tuple[np.ndarray, ...]:
    """Exchange days on which the product trades, and the UTC begin and end of trading, early closes included."""
    calendar = universe.calendar(product.root)
    days = np.arange(np.datetime64(start, "D") - 3, np.datetime64(end, "D") + 4)
    days = days[np.is_busday(days, holidays=np.array(calendar.closed, "datetime64[D]"))]
    opens, closes = regular_hours(product.root, days, universe)
    early = early_close_minutes(days, calendar)
    return days, opens, np.where(early >= 0, np.minimum(closes, chicago_instants(days, early)), closes)


def trading_minutes(
    product: Product, universe: Universe, start: dt.date, end: dt.date
) -> tuple[np.ndarray, np.ndarray]:
    """Hours [start, end) in which the product trades, and which of their 60 minutes do (hours x 60)."""
    days, opens, closes = _openings(product, universe, start, end)
    count = -((opens - closes) // _HOUR)
    session = np.repeat(np.arange(len(days)), count)
    hours = opens[session] + (np.arange(len(session)) - np.repeat(np.cumsum(count) - count, count)) * _HOUR
    minute = hours[:, None] + np.arange(_MINUTES) * _MINUTE
    trades = minute < closes[session][:, None]
    if product.schedule == "grains":
        eras = np.array([era for era, _, _ in _GRAIN_PAUSES], dtype="datetime64[D]")
        of_era = np.array([[begin, stop] for _, begin, stop in _GRAIN_PAUSES])
        pause = of_era[np.searchsorted(eras, days, side="right") - 1][session]
        clock = pd.DatetimeIndex(hours, tz="UTC").tz_convert(CHICAGO).hour.to_numpy()[:, None] * 60 + np.arange(60)
        trades &= ~((clock >= pause[:, :1]) & (clock < pause[:, 1:]))
    inside = (hours >= np.datetime64(start)) & (hours < np.datetime64(end)) & trades.any(axis=1)
    return hours[inside], trades[inside]


def contracts_of(product: Product, market: Market, seed: int, start: dt.date, end: dt.date) -> pd.DataFrame:
    """The contract that the continuous symbol stands for: `start_date`, `end_date` (exclusive), `number`.

    A contract is left some days before its forced roll date or its delivery; volumes of the grains and of energy
    sometimes return to the old contract for a day.
    """
    months = np.arange(np.datetime64(start, "M") - 1, np.datetime64(end, "M") + 15)
    codes = np.array(list("FGHJKMNQUVXZ"))[months.astype(np.int64) % 12]
    delivery = months[np.isin(codes, list(product.months))]
    first = delivery.astype("datetime64[D]")
    weekday = {"third_friday_week": 4, "third_wednesday_week": 2}.get(product.force_roll)
    if weekday is not None:
        third = first + (weekday - weekdays(first)) % 7 + 14
        leave = np.busday_offset(third, -5, roll="backward")
        spread = 1
    elif product.root == "CL":
        leave, spread = np.busday_offset(first - 12, -5, roll="backward"), 3
    else:
        leave, spread = np.busday_offset(first, -7, roll="backward"), 4
    # The numbers of contract k must not depend on where the simulation starts or ends.
    rows = []
    entered = np.datetime64(start, "D")
    for month, day in zip(delivery, leave, strict=True):
        number = int(month.astype(np.int64))
        random = generator(seed, "roll", market.spot, str(month))
        left = np.busday_offset(day, int(random.integers(0, spread)))
        flips = product.force_roll in ("first_notice", "none") and random.random() < 0.15
        back = np.busday_offset(left, 1), np.busday_offset(left, 2)
        following = delivery[delivery > month]
        rows.append((entered, left, number))
        if flips and len(following):
            rows += [(left, back[0], int(following[0].astype(np.int64))), (back[0], back[1], number)]
        entered = back[1] if flips and len(following) else left
    frame = pd.DataFrame(rows, columns=["start_date", "end_date", "number"])
    return clipped(frame, pd.Timestamp(start), pd.Timestamp(end))


def clipped(intervals: pd.DataFrame, first: pd.Timestamp, last: pd.Timestamp) -> pd.DataFrame:
    """Intervals cut to [first, last)."""
    starts = np.maximum(intervals["start_date"].to_numpy("datetime64[ns]"), first.to_datetime64())
    ends = np.minimum(intervals["end_date"].to_numpy("datetime64[ns]"), last.to_datetime64())
    cut = intervals.assign(start_date=starts, end_date=ends)
    return cut[cut["start_date"] < cut["end_date"]].reset_index(drop=True)


def _bridge(
    begin: np.ndarray, finish: np.ndarray, deviation: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Highest and lowest point of Brownian paths of given ends: sampled from the exact law of a bridge's maximum."""
    spread = -2 * deviation[..., None] ** 2 * np.log(1 - random.random((*begin.shape, 2)))
    above, below = np.moveaxis(np.sqrt((finish - begin)[..., None] ** 2 + spread), -1, 0)
    return (begin + finish + above) / 2, (begin + finish - below) / 2


def _on_ticks(product: Product, log_points: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Open, high, low and close of log prices, on the tick and inside the product's price bounds."""
    low_bound, high_bound = product.price_bounds
    floor = np.ceil(max(low_bound * 1.02, product.tick_size) / product.tick_size)
    ceiling = np.floor(high_bound * 0.98 / product.tick_size)
    opened, high, low, close = (
        np.clip(np.rint(np.exp(points) / product.tick_size), floor, ceiling) for points in log_points
    )
    high, low = np.maximum(high, np.maximum(opened, close)), np.minimum(low, np.minimum(opened, close))
    return {
        # From whole billionths, as the vendor states them, so that the double is the one nearest to the decimal.
        name: np.rint(ticks * product.tick_size * 1e9) / 1e9
        for name, ticks in zip(PRICES, (opened, high, low, close), strict=True)
    }


def hourly_bars(
    product: Product, market: Market, paths: Paths, hours: np.ndarray, gap: np.ndarray, seed: int
) -> pd.DataFrame:
    random = generator(seed, "hours", product.root)
    at = paths.at(hours)
    path, deviation = paths.log_price[market.spot], paths.deviation[market.spot][at]
    noise, size = random.standard_normal((len(hours), 2)).T
    traded = generator(seed, "hours traded", product.root).random(len(hours))
    begin, finish = path[at] + gap + 0.02 * deviation * noise, path[at + 1] + gap
    high, low = _bridge(begin, finish, deviation, generator(seed, "range", product.root))
    busy = (paths.chicago_hour[at] >= 7) & (paths.chicago_hour[at] < 15)
    volume = market.hourly_volume * np.where(busy, 1.6, 0.25) * np.exp(0.45 * size)
    bars = pd.DataFrame(_on_ticks(product, (begin, high, low, finish)))
    bars["volume"] = np.maximum(np.rint(volume), 1).astype(np.int64)
    bars["ts_event"] = pd.DatetimeIndex(hours, tz="UTC")
    kept: np.ndarray = busy | (traded < market.activity)
    return bars[kept].reset_index(drop=True)


def minute_bars(
    product: Product,
    market: Market,
    paths: Paths,
    hours: np.ndarray,
    gap: np.ndarray,
    trades: np.ndarray,
    seed: int,
    ends: Sequence[int],
) -> Iterator[pd.DataFrame]:
    """Minute bars between the hourly points of the path; quiet minutes have no trade and so no bar.

    Those of the hours before the first of `ends` (positions in `hours`), then of the hours from there to the next one:
    no cut changes what is drawn, and years of minutes need the memory of one piece.
    """
    walk_of, traded_of, size_of, range_of = (
        generator(seed, f"minute {purpose}", product.root) for purpose in ("walk", "traded", "size", "range")
    )
    part = np.arange(1, _MINUTES + 1) / _MINUTES
    for start, stop in zip([0, *ends[:-1]], ends, strict=True):
        piece = slice(start, stop)
        at = paths.at(hours[piece])
        step = (paths.deviation[market.spot][at] / np.sqrt(_MINUTES))[:, None]
        walk = np.cumsum(step * walk_of.standard_normal((len(at), _MINUTES)), axis=1)
        traded, size = traded_of.random(walk.shape), size_of.standard_normal(walk.shape)
        begin, finish = (paths.log_price[market.spot][at + end][:, None] + gap[piece, None] for end in (0, 1))
        points = np.concatenate([begin, begin + walk + part * (finish - begin - walk[:, -1:])], axis=1)
        opened, close = points[:, :-1], points[:, 1:]
        high, low = _bridge(opened, close, np.broadcast_to(step, opened.shape), range_of)
        busy = ((paths.chicago_hour[at] >= 7) & (paths.chicago_hour[at] < 15))[:, None]
        volume = market.hourly_volume / _MINUTES * np.where(busy, 1.6, 0.25) * np.exp(0.8 * size - 0.3)
        kept = trades[piece] & (busy | (traded < 0.85 * market.activity))
        bars = pd.DataFrame(_on_ticks(product, [values[kept] for values in (opened, high, low, close)]))
        bars["volume"] = np.maximum(np.rint(volume[kept]), 1).astype(np.int64)
        stamps = hours[piece, None] + np.arange(_MINUTES) * _MINUTE
        bars["ts_event"] = pd.DatetimeIndex(stamps[kept], tz="UTC")
        yield bars


def hours_of(minutes: pd.DataFrame) -> pd.DataFrame:
    """The hourly bars that minute bars (in order of time) make."""
    hour = utc_instants(minutes["ts_event"]).astype("datetime64[h]")
    starts = np.flatnonzero(np.append(True, hour[1:] != hour[:-1]))[: len(hour)]
    ends = np.append(starts[1:], len(hour))[: len(starts)] - 1
    return pd.DataFrame(
        {
            "open": minutes["open"].to_numpy()[starts],
            "high": np.maximum.reduceat(minutes["high"].to_numpy(), starts),
            "low": np.minimum.reduceat(minutes["low"].to_numpy(), starts),
            "close": minutes["close"].to_numpy()[ends],
            "volume": np.add.reduceat(minutes["volume"].to_numpy(), starts),
            "ts_event": pd.DatetimeIndex(hour[starts].astype("datetime64[ns]"), tz="UTC"),
        }
    )
