"""Simulated vendor deliveries: genuine DBN files of invented markets, for demonstrations and tests.

`simulate_delivery` writes what a Databento batch download looks like: monthly files of the universe's continuous
symbols and a manifest with their hashes. Sessions, holidays, daylight saving, contract rolls, ticks and price levels
are those of the real markets; the prices are random. Everything follows from the seed: the same arguments give the
same bytes. `write_dbn` writes any bars as one file; the vendor's own reader decodes it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import databento_dbn
import numpy as np
import pandas as pd
import pandas_market_calendars
import zstandard
from databento_dbn.metadata import MappingInterval

from cbi_dagster.config.biofuel import load_biofuel
from cbi_dagster.config.universe import Product, Universe, load_universe
from cbi_dagster.market.sessions import BAR_NS, CHICAGO, session_bounds, utc_instants, weekdays
from cbi_dagster.vendors.databento.delivery import MAPPING_COLUMNS, PRICES

SIMULATED_DATASET = "SIM.DEMO"
DEFAULT_MINUTE_DAYS = 92

_HOUR = np.timedelta64(1, "h")
_MINUTE = np.timedelta64(1, "m")
_MINUTES = 60
_SESSIONS_PER_YEAR = 252
_REVERSION_PER_SESSION = 0.7 / _SESSIONS_PER_YEAR
_RTYPES = {"ohlcv-1m": 0x21, "ohlcv-1h": 0x22, "ohlcv-1d": 0x23}
_RECORD = np.dtype(databento_dbn.OHLCVMsg._dtypes)

# Grain trading pauses in the morning: first trade date of the era, begin and end in minutes after midnight in Chicago.
_GRAIN_PAUSES = (
    (np.datetime64("2000-01-01"), 7 * 60 + 15, 9 * 60 + 30),
    (np.datetime64("2012-05-21"), 0, 0),
    (np.datetime64("2013-04-08"), 7 * 60 + 45, 8 * 60 + 30),
)


# -- writing DBN ------------------------------------------------------------------------------------------------------


@dataclass
class _Interval:
    start_date: dt.date
    end_date: dt.date
    symbol: str


@dataclass
class _Symbol:
    raw_symbol: str
    intervals: Sequence[MappingInterval]


def write_dbn(
    path: Path,
    *,
    dataset: str,
    schema: str,
    stype_in: str,
    start: pd.Timestamp,
    end: pd.Timestamp,
    mappings: pd.DataFrame,
    bars: pd.DataFrame,
    symbols: Sequence[str] | None = None,
) -> Path:
    """Write bars as one DBN file, zstd-compressed with checksums if its name ends in `.zst`; returns `path`.

    The header states the UTC period [start, end), the requested `symbols` (those of `mappings` without it) and the
    `mappings` (`symbol`, `start_date`, `end_date` (exclusive), `instrument_id`). Records are the rows of `bars` in the
    given order: `ts_event` (UTC), `instrument_id`, `open`, `high`, `low`, `close` (NaN for none), `volume` and,
    optional, `publisher_id` (0 without it). Nothing is checked, so that faulty files can be written for tests.
    """
    records = np.zeros(len(bars), _RECORD)
    records["length"] = _RECORD.itemsize // 4
    records["rtype"] = _RTYPES.get(schema, 0)
    records["publisher_id"] = bars["publisher_id"].to_numpy() if "publisher_id" in bars.columns else 0
    records["instrument_id"] = bars["instrument_id"].to_numpy()
    records["ts_event"] = utc_instants(bars["ts_event"]).astype("datetime64[ns]").astype(np.int64)
    for name in PRICES:
        price = bars[name].to_numpy(np.float64)
        undefined = np.isnan(price)
        records[name] = np.rint(np.where(undefined, 0.0, price) * 1e9).astype(np.int64)
        records[name][undefined] = databento_dbn.UNDEF_PRICE
    records["volume"] = bars["volume"].to_numpy()
    header = databento_dbn.Metadata(
        dataset=dataset,
        start=start.as_unit("ns").value,
        end=end.as_unit("ns").value,
        stype_in=databento_dbn.SType.from_str(stype_in),
        stype_out=databento_dbn.SType.from_str("instrument_id"),
        schema=databento_dbn.Schema.from_str(schema),
        symbols=sorted(mappings["symbol"].unique()) if symbols is None else list(symbols),
        mappings=[
            _Symbol(
                str(symbol),
                [
                    _Interval(pd.Timestamp(first).date(), pd.Timestamp(last).date(), str(number))
                    for first, last, number in rows.sort_values("start_date")[list(MAPPING_COLUMNS[1:])].to_numpy()
                ],
            )
            for symbol, rows in mappings.groupby("symbol", sort=True, observed=True)
        ],
    )
    content = bytes(header.encode()) + records.tobytes()
    if path.suffix == ".zst":
        content = zstandard.ZstdCompressor(write_checksum=True).compress(content)
    path.write_bytes(content)
    return path


def write_manifest(directory: Path, files: Sequence[Path]) -> Path:
    """Write the manifest.json of a batch download: name, size and sha256 of each file."""
    entries = [
        {
            "filename": file.name,
            "size": file.stat().st_size,
            "hash": f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}",
            "urls": {},
        }
        for file in files
    ]
    path = directory / "manifest.json"
    path.write_text(json.dumps({"job_id": "SIMULATED", "files": entries}, indent=2) + "\n", encoding="utf-8")
    return path


# -- simulated markets ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Market:
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
    "ZL": _Market("ZL", "soy", 52.0, 0.30, 5_000, 0.012),
    "ZS": _Market("ZS", "soy", 1180.0, 0.20, 9_000, 0.010),
    "ZM": _Market("ZM", "soy", 360.0, 0.26, 4_500, 0.014),
    "ZC": _Market("ZC", "soy", 480.0, 0.27, 14_000, 0.014),
    "MES": _Market("SPX", "equity", 4600.0, 0.18, 45_000, 0.008),
    "ES": _Market("SPX", "equity", 4600.0, 0.18, 60_000, 0.008),
    "CL": _Market("CL", "energy", 76.0, 0.35, 14_000, 0.008),
    "HO": _Market("HO", "energy", 2.6, 0.33, 4_000, 0.009, 0.9),
    "RB": _Market("RB", "energy", 2.3, 0.34, 4_000, 0.015, 0.9),
    "NG": _Market("NG", "energy", 3.2, 0.50, 7_000, 0.030, 0.95),
    "6A": _Market("6A", "fx", 0.68, 0.11, 4_000, 0.002),
    "6B": _Market("6B", "fx", 1.27, 0.09, 4_000, 0.002),
    "6C": _Market("6C", "fx", 0.74, 0.07, 3_500, 0.002),
    "6E": _Market("6E", "fx", 1.09, 0.08, 8_000, 0.004),
    "6J": _Market("6J", "fx", 0.0075, 0.10, 7_000, 0.008),
    "6L": _Market("6L", "fx", 0.19, 0.16, 150, 0.006, 0.35),
}


def _market(product: Product) -> _Market:
    """The market of a product; one without figures of its own moves around the middle of its price bounds."""
    low, high = product.price_bounds
    middle = float(np.sqrt(low * high)) if low > 0 else high / 3
    return _MARKETS.get(product.root) or _Market(product.root, product.root, middle, 0.25, 2_000, 0.01)


def _generator(seed: int, *purpose: str) -> np.random.Generator:
    """Random numbers of one purpose, independent of what else is simulated.

    Arrays are drawn with time as their first axis, so that a longer period begins with the shorter one's numbers.
    """
    return np.random.default_rng([seed, *(zlib.crc32(word.encode()) for word in purpose)])


@dataclass(frozen=True)
class _Paths:
    """Log prices of each spot at the full hours of the simulated period, and the standard deviation of each hour."""

    hours: np.ndarray
    chicago_hour: np.ndarray
    log_price: dict[str, np.ndarray]
    deviation: dict[str, np.ndarray]

    def at(self, stamps: np.ndarray) -> np.ndarray:
        position: np.ndarray = (stamps - self.hours[0]) // _HOUR
        return position


def _paths(markets: dict[str, _Market], seed: int, start: np.datetime64, end: np.datetime64) -> _Paths:
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
        market.factor: _generator(seed, "factor", market.factor).standard_normal(len(hours))
        for market in spots.values()
    }
    shocks, volatility, regimes = [], [], []
    for name, market in spots.items():
        loading = _LOADING.get(market.factor, 0.0)
        own = _generator(seed, "spot", name).standard_normal(len(hours))
        shocks.append(loading * factors[market.factor] + np.sqrt(1 - loading**2) * own)
        volatility.append(market.annual_volatility / np.sqrt(_SESSIONS_PER_YEAR))
        regimes.append(_generator(seed, "regime", name).standard_normal(session[-1] + 1))
    regime = np.zeros(len(spots))
    calm = np.empty((session[-1] + 1, len(spots)))
    for day, shock in enumerate(np.array(regimes).T):
        regime = 0.97 * regime + 0.085 * shock
        calm[day] = regime
    deviation = np.array(volatility) * np.exp(calm[session]) * np.sqrt(share)[:, None]
    steps = deviation * np.array(shocks).T
    offset = np.zeros((len(hours) + 1, len(spots)))
    offset[0] = [_generator(seed, "level", name).normal(0, 0.08) for name in spots]
    pull = 1 - _REVERSION_PER_SESSION * share
    for position in range(len(hours)):
        offset[position + 1] = offset[position] * pull[position] + steps[position]
    return _Paths(
        hours,
        hour,
        {name: np.log(spots[name].level) + offset[:, index] for index, name in enumerate(spots)},
        {name: deviation[:, index] for index, name in enumerate(spots)},
    )


def _sessions(product: Product, universe: Universe, start: dt.date, end: dt.date) -> tuple[np.ndarray, ...]:
    """Trade dates and UTC open and close of each session that the exchange calendar knows, early closes included."""
    calendar = pandas_market_calendars.get_calendar(product.calendar)
    schedule = calendar.schedule(start - dt.timedelta(days=3), end + dt.timedelta(days=3))
    dates = schedule.index.to_numpy().astype("datetime64[D]")
    opens, closes = session_bounds(product.root, dates, universe)
    early = np.isin(dates, calendar.early_closes(schedule).index.to_numpy().astype("datetime64[D]"))
    calendar_closes = utc_instants(schedule["market_close"]).astype("datetime64[ns]")
    return dates, opens, np.where(early, np.minimum(closes, calendar_closes), closes)


def _trading_minutes(
    product: Product, universe: Universe, start: dt.date, end: dt.date
) -> tuple[np.ndarray, np.ndarray]:
    """Hours [start, end) in which the product trades, and which of their 60 minutes do (hours x 60)."""
    dates, opens, closes = _sessions(product, universe, start, end)
    count = -((opens - closes) // _HOUR)
    session = np.repeat(np.arange(len(dates)), count)
    hours = opens[session] + (np.arange(len(session)) - np.repeat(np.cumsum(count) - count, count)) * _HOUR
    minute = hours[:, None] + np.arange(_MINUTES) * _MINUTE
    trades = minute < closes[session][:, None]
    if product.schedule == "grains":
        eras = np.array([era for era, _, _ in _GRAIN_PAUSES], dtype="datetime64[D]")
        of_era = np.array([[begin, stop] for _, begin, stop in _GRAIN_PAUSES])
        pause = of_era[np.searchsorted(eras, dates, side="right") - 1][session]
        clock = pd.DatetimeIndex(hours, tz="UTC").tz_convert(CHICAGO).hour.to_numpy()[:, None] * 60 + np.arange(60)
        trades &= ~((clock >= pause[:, :1]) & (clock < pause[:, 1:]))
    inside = (hours >= np.datetime64(start)) & (hours < np.datetime64(end)) & trades.any(axis=1)
    return hours[inside], trades[inside]


def _contracts(product: Product, market: _Market, seed: int, start: dt.date, end: dt.date) -> pd.DataFrame:
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
        random = _generator(seed, "roll", market.spot, str(month))
        left = np.busday_offset(day, int(random.integers(0, spread)))
        flips = product.force_roll in ("first_notice", "none") and random.random() < 0.15
        back = np.busday_offset(left, 1), np.busday_offset(left, 2)
        following = delivery[delivery > month]
        rows.append((entered, left, number))
        if flips and len(following):
            rows += [(left, back[0], int(following[0].astype(np.int64))), (back[0], back[1], number)]
        entered = back[1] if flips and len(following) else left
    frame = pd.DataFrame(rows, columns=["start_date", "end_date", "number"])
    return _clipped(frame, pd.Timestamp(start), pd.Timestamp(end))


def _clipped(intervals: pd.DataFrame, first: pd.Timestamp, last: pd.Timestamp) -> pd.DataFrame:
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


def _hourly_bars(
    product: Product, market: _Market, paths: _Paths, hours: np.ndarray, gap: np.ndarray, seed: int
) -> pd.DataFrame:
    random = _generator(seed, "hours", product.root)
    at = paths.at(hours)
    path, deviation = paths.log_price[market.spot], paths.deviation[market.spot][at]
    noise, size = random.standard_normal((len(hours), 2)).T
    traded = _generator(seed, "hours traded", product.root).random(len(hours))
    begin, finish = path[at] + gap + 0.02 * deviation * noise, path[at + 1] + gap
    high, low = _bridge(begin, finish, deviation, _generator(seed, "range", product.root))
    busy = (paths.chicago_hour[at] >= 7) & (paths.chicago_hour[at] < 15)
    volume = market.hourly_volume * np.where(busy, 1.6, 0.25) * np.exp(0.45 * size)
    bars = pd.DataFrame(_on_ticks(product, (begin, high, low, finish)))
    bars["volume"] = np.maximum(np.rint(volume), 1).astype(np.int64)
    bars["ts_event"] = pd.DatetimeIndex(hours, tz="UTC")
    kept: np.ndarray = busy | (traded < market.activity)
    return bars[kept].reset_index(drop=True)


def _minute_bars(
    product: Product, market: _Market, paths: _Paths, hours: np.ndarray, gap: np.ndarray, trades: np.ndarray, seed: int
) -> pd.DataFrame:
    """Minute bars between the hourly points of the path; quiet minutes have no trade and so no bar."""
    walk_of, traded_of, size_of, range_of = (
        _generator(seed, f"minute {purpose}", product.root) for purpose in ("walk", "traded", "size", "range")
    )
    at = paths.at(hours)
    step = (paths.deviation[market.spot][at] / np.sqrt(_MINUTES))[:, None]
    walk = np.cumsum(step * walk_of.standard_normal((len(hours), _MINUTES)), axis=1)
    traded, size = traded_of.random(walk.shape), size_of.standard_normal(walk.shape)
    begin, finish = (paths.log_price[market.spot][at + end][:, None] + gap[:, None] for end in (0, 1))
    part = np.arange(1, _MINUTES + 1) / _MINUTES
    points = np.concatenate([begin, begin + walk + part * (finish - begin - walk[:, -1:])], axis=1)
    opened, close = points[:, :-1], points[:, 1:]
    high, low = _bridge(opened, close, np.broadcast_to(step, opened.shape), range_of)
    busy = ((paths.chicago_hour[at] >= 7) & (paths.chicago_hour[at] < 15))[:, None]
    volume = market.hourly_volume / _MINUTES * np.where(busy, 1.6, 0.25) * np.exp(0.8 * size - 0.3)
    kept = trades & (busy | (traded < 0.85 * market.activity))
    bars = pd.DataFrame(_on_ticks(product, [values[kept] for values in (opened, high, low, close)]))
    bars["volume"] = np.maximum(np.rint(volume[kept]), 1).astype(np.int64)
    stamps = hours[:, None] + np.arange(_MINUTES) * _MINUTE
    bars["ts_event"] = pd.DatetimeIndex(stamps[kept], tz="UTC")
    return bars


def _hours_of(minutes: pd.DataFrame) -> pd.DataFrame:
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


def simulate_delivery(
    out_dir: Path,
    *,
    seed: int,
    start: dt.date,
    end: dt.date,
    minute_roots: Sequence[str] = ("ZL", "MES"),
    minute_start: dt.date | None = None,
    dataset: str = SIMULATED_DATASET,
) -> list[Path]:
    """Write a simulated delivery for the UTC dates [start, end) into `out_dir`; returns its data files, oldest first.

    Monthly `ohlcv-1h` files of the whole universe, monthly `ohlcv-1m` files of `minute_roots` from `minute_start` on
    (92 days before the end without it) and manifest.json. Symbols are continuous (`ZL.v.0`). Where both schemas exist
    the hourly bar is the sum of the minutes. With the same start, minute start and seed a later end repeats the earlier
    months byte for byte. The first months contain one faulty bar each, none in the markets with minutes: `_FAULTS`.
    """
    universe = load_universe()
    minute_from = minute_start or max(start, end - dt.timedelta(days=DEFAULT_MINUTE_DAYS))
    if not start <= minute_from < end:
        raise ValueError(f"simulate_delivery: the dates must be in the order {start} <= {minute_from} < {end}")
    markets = {product.root: _market(product) for product in universe.products}
    paths = _paths(markets, seed, np.datetime64(start), np.datetime64(end))
    hourly, minutely, mappings = [], [], []
    for index, product in enumerate(universe.products):
        market = markets[product.root]
        contracts = _contracts(product, market, seed, start, end)
        contracts["instrument_id"] = 100_000 * (index + 1) + contracts["number"]
        contracts["gap"] = [
            _generator(seed, "gap", market.spot, str(number)).normal(0, market.contract_gap)
            for number in contracts["number"]
        ]
        hours, trades = _trading_minutes(product, universe, start, end)
        contract = np.searchsorted(contracts["start_date"].to_numpy(), hours, side="right") - 1
        gap = contracts["gap"].to_numpy()[contract]
        bars = _hourly_bars(product, market, paths, hours, gap, seed)
        if product.root in minute_roots:
            fine = hours >= np.datetime64(minute_from)
            minutes = _minute_bars(product, market, paths, hours[fine], gap[fine], trades[fine], seed)
            minutely.append(_with_contract(minutes, contracts, product.root))
            coarse = bars["ts_event"] < pd.Timestamp(minute_from, tz="UTC")
            bars = pd.concat([bars[coarse], _hours_of(minutes)], ignore_index=True)
        hourly.append(_with_contract(bars, contracts, product.root))
        mappings.append(contracts.assign(symbol=f"{product.root}.v.0")[list(MAPPING_COLUMNS)])
    mapping = pd.concat(mappings, ignore_index=True)
    hours_of_all = pd.concat(hourly, ignore_index=True)
    clean = ~hours_of_all["root"].isin(minute_roots)
    out_dir.mkdir(parents=True, exist_ok=True)
    files = []
    for number, (first, last) in enumerate(_months(start, end)):
        bars = _between(hours_of_all, first, last)
        bars = _with_fault(bars, bars[clean[bars.index]], number, last, seed)
        files.append(_write_month(out_dir, dataset, "ohlcv-1h", first, last, bars, mapping))
    if minutely:
        minutes_of_all = pd.concat(minutely, ignore_index=True)
        own = mapping[mapping["symbol"].isin([f"{root}.v.0" for root in minute_roots])]
        for first, last in _months(minute_from, end):
            bars = _between(minutes_of_all, first, last)
            files.append(_write_month(out_dir, dataset, "ohlcv-1m", first, last, bars, own))
    write_manifest(out_dir, files)
    return files


def simulate_macro(out_dir: Path, *, seed: int, start: dt.date, end: dt.date) -> Path:
    """Write a simulated macro file for the reference dates [start, end): the series that the biofuel features read.

    One value per weekday, a random walk, public at 20:00 UTC of the day; the source says that it is simulated. A later
    end repeats the earlier values.
    """
    series = load_biofuel().series
    days = pd.bdate_range(start, end, inclusive="left")
    frames = []
    for one, level in ((series.sugar, 20.0), (series.clean_energy, 15.0)):
        steps = _generator(seed, "macro", one.series_id).normal(0, 0.015, len(days))
        frames.append(
            pd.DataFrame(
                {
                    "series_id": one.series_id,
                    "date": days.strftime("%Y-%m-%d"),
                    "value": np.round(level * np.exp(np.cumsum(steps)), 4),
                    "available_at": days.strftime("%Y-%m-%dT20:00:00Z"),
                    "unit": one.unit,
                    "source": SIMULATED_DATASET,
                }
            )
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / "simulated.macro.csv"
    pd.concat(frames).to_csv(path, index=False, lineterminator="\n")
    return path


def _with_contract(bars: pd.DataFrame, contracts: pd.DataFrame, root: str) -> pd.DataFrame:
    at = np.searchsorted(contracts["start_date"].to_numpy(), utc_instants(bars["ts_event"]), side="right") - 1
    return bars.assign(instrument_id=contracts["instrument_id"].to_numpy()[at], root=root)


def _months(start: dt.date, end: dt.date) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """The calendar months of [start, end), cut to it, as UTC periods."""
    firsts = pd.date_range(pd.Timestamp(start).replace(day=1), end, freq="MS", inclusive="left", tz="UTC")
    low, high = pd.Timestamp(start, tz="UTC"), pd.Timestamp(end, tz="UTC")
    return [(max(first, low), min(first + pd.offsets.MonthBegin(1), high)) for first in firsts]


def _between(bars: pd.DataFrame, first: pd.Timestamp, last: pd.Timestamp) -> pd.DataFrame:
    return bars[(bars["ts_event"] >= first) & (bars["ts_event"] < last)]


_FAULTS = ("high_below_low", "zero_price", "weekend", "repeated", "repeated_differently", "undefined_price")


def _with_fault(
    bars: pd.DataFrame, candidates: pd.DataFrame, month: int, last: pd.Timestamp, seed: int
) -> pd.DataFrame:
    """The bars of a month until `last` with the fault whose turn it is, made of one of the candidates, or unchanged."""
    fault = _FAULTS[month] if month < len(_FAULTS) else None
    saturday = candidates["ts_event"].dt.normalize() + pd.Timedelta(days=1)
    if fault == "weekend":
        # A Friday's contract is that of the Saturday as well.
        candidates = candidates[(candidates["ts_event"].dt.dayofweek == 4) & (saturday < last)]
    if fault is None or candidates.empty:
        return bars
    chosen = candidates.iloc[[int(_generator(seed, "fault", fault).integers(len(candidates)))]]
    faulty = chosen.copy()
    if fault == "high_below_low":
        faulty[["high", "low"]] = chosen["low"].iloc[0] * 0.99, chosen["high"].iloc[0]
    elif fault == "zero_price":
        faulty["open"] = faulty["low"] = 0.0
    elif fault == "undefined_price":
        faulty["close"] = np.nan
    elif fault == "weekend":
        faulty["ts_event"] = saturday[chosen.index] + pd.Timedelta(hours=15)
    elif fault == "repeated_differently":
        faulty["volume"] += 1
    kept = bars.drop(index=chosen.index) if fault in ("high_below_low", "zero_price", "undefined_price") else bars
    return pd.concat([kept, faulty])


def _write_month(
    out_dir: Path,
    dataset: str,
    schema: str,
    first: pd.Timestamp,
    last: pd.Timestamp,
    bars: pd.DataFrame,
    mapping: pd.DataFrame,
) -> Path:
    period = f"{first:%Y%m%d}-{last - pd.Timedelta(BAR_NS[schema], 'ns'):%Y%m%d}"
    return write_dbn(
        out_dir / f"{dataset.lower().replace('.', '-')}-{period}.{schema}.dbn.zst",
        dataset=dataset,
        schema=schema,
        stype_in="continuous",
        start=first,
        end=last,
        mappings=_clipped(mapping, first.tz_convert(None), last.tz_convert(None)),
        bars=bars.sort_values(["ts_event", "instrument_id"], kind="stable"),
    )
