"""Simulated vendor deliveries: genuine DBN files of invented markets, for demonstrations and tests.

`simulate_delivery` writes what a Databento batch download looks like: monthly files of the universe's continuous
symbols and a manifest with their hashes. Everything follows from the seed: the same arguments give the same bytes.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cbi_dagster.config.biofuel import MacroSeries, load_biofuel
from cbi_dagster.config.policy_actions import Modifier, load_policy_actions
from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.sessions import BAR_NS, utc_instants
from cbi_dagster.vendors.databento.bar_files import MAPPING_COLUMNS
from cbi_dagster.vendors.databento.writing import write_dbn, write_manifest
from cbi_dagster.vendors.simulated_markets import (
    clipped,
    contracts_of,
    generator,
    hourly_bars,
    hours_of,
    market_of,
    minute_bars,
    price_paths,
    trading_minutes,
)

SIMULATED_DATASET = "SIM.DEMO"
DEFAULT_MINUTE_DAYS = 92


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
    (92 days before the end without it), made month by month, and manifest.json. Symbols are continuous (`ZL.v.0`).
    Where both schemas exist the hourly bar is the sum of the minutes. With the same start, minute start and seed a
    later end repeats the earlier months byte for byte. The first months contain one faulty bar each, none in the
    markets with minutes: `_FAULTS`.
    """
    universe = load_universe()
    minute_from = minute_start or max(start, end - dt.timedelta(days=DEFAULT_MINUTE_DAYS))
    if not start <= minute_from < end:
        raise ValueError(f"simulate_delivery: the dates must be in the order {start} <= {minute_from} < {end}")
    markets = {product.root: market_of(product) for product in universe.products}
    paths = price_paths(markets, seed, np.datetime64(start), np.datetime64(end))
    minute_months = months_of(minute_from, end)
    hourly: list[list[pd.DataFrame]] = []
    minutely: dict[str, tuple[pd.DataFrame, Iterator[pd.DataFrame]]] = {}
    mappings = []
    for index, product in enumerate(universe.products):
        market = markets[product.root]
        contracts = contracts_of(product, market, seed, start, end)
        contracts["instrument_id"] = 100_000 * (index + 1) + contracts["number"]
        contracts["gap"] = [
            generator(seed, "gap", market.spot, str(number)).normal(0, market.contract_gap)
            for number in contracts["number"]
        ]
        hours, trades = trading_minutes(product, universe, start, end)
        contract = np.searchsorted(contracts["start_date"].to_numpy(), hours, side="right") - 1
        gap = contracts["gap"].to_numpy()[contract]
        bars = hourly_bars(product, market, paths, hours, gap, seed)
        if product.root in minute_roots:
            fine = hours >= np.datetime64(minute_from)
            lasts = [last.tz_convert(None).to_datetime64() for _, last in minute_months]
            ends = np.searchsorted(hours[fine], lasts).tolist()
            minutes = minute_bars(product, market, paths, hours[fine], gap[fine], trades[fine], seed, ends)
            minutely[product.root] = (contracts, minutes)
            bars = bars[bars["ts_event"] < pd.Timestamp(minute_from, tz="UTC")]
        hourly.append([_with_contract(bars, contracts, product.root)])
        mappings.append(contracts.assign(symbol=f"{product.root}.v.0")[list(MAPPING_COLUMNS)])
    mapping = pd.concat(mappings, ignore_index=True)
    out_dir.mkdir(parents=True, exist_ok=True)
    minute_files = []
    own = mapping[mapping["symbol"].isin([f"{root}.v.0" for root in minutely])]
    for first, last in minute_months if minutely else []:
        month = []
        for product, of_product in zip(universe.products, hourly, strict=True):
            if product.root in minutely:
                contracts, pieces = minutely[product.root]
                month.append(_with_contract(next(pieces), contracts, product.root))
                of_product.append(_with_contract(hours_of(month[-1]), contracts, product.root))
        bars = pd.concat(month, ignore_index=True)
        minute_files.append(_write_month(out_dir, dataset, "ohlcv-1m", first, last, bars, own))
    hours_of_all = pd.concat([bars for of_product in hourly for bars in of_product], ignore_index=True)
    clean = ~hours_of_all["root"].isin(minute_roots)
    files = []
    for number, (first, last) in enumerate(months_of(start, end)):
        bars = _between(hours_of_all, first, last)
        bars = _with_fault(bars, bars[clean[bars.index]], number, last, seed)
        files.append(_write_month(out_dir, dataset, "ohlcv-1h", first, last, bars, mapping))
    files += minute_files
    write_manifest(out_dir, files)
    return files


def simulate_macro(out_dir: Path, *, seed: int, start: dt.date, end: dt.date) -> Path:
    """Write a simulated macro file for the reference dates [start, end): the series that features and predictions read.

    One value per weekday, public at 20:00 UTC of the day; the source says that it is simulated. Random walks, but the
    harvest, which goes from September to November. A later end repeats the earlier values.
    """
    series, modifiers = load_biofuel().series, load_policy_actions().modifiers
    days = pd.bdate_range(start, end, inclusive="left")

    def walk(one: MacroSeries | Modifier) -> np.ndarray:
        return np.cumsum(generator(seed, "macro", one.series_id).normal(0, 0.015, len(days)))

    in_season = np.where(days.dayofyear < 335, (days.dayofyear - 255) / 70, 0.0)
    values = (
        (series.sugar, 20 * np.exp(walk(series.sugar))),
        (series.clean_energy, 15 * np.exp(walk(series.clean_energy))),
        (modifiers["volatility"], 20 * np.exp(3 * walk(modifiers["volatility"]))),
        (modifiers["harvest"], np.clip(in_season, 0, 1)),
        (modifiers["inventory"], 0.5 + 0.5 * np.sin(10 * walk(modifiers["inventory"]))),
        (modifiers["argentina"], 20 * np.sin(10 * walk(modifiers["argentina"]))),
    )
    frames = [
        pd.DataFrame(
            {
                "series_id": one.series_id,
                "date": days.strftime("%Y-%m-%d"),
                "value": np.round(value, 4),
                "available_at": days.strftime("%Y-%m-%dT20:00:00Z"),
                "unit": one.unit,
                "source": SIMULATED_DATASET,
            }
        )
        for one, value in values
    ]
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / "simulated.macro.csv"
    pd.concat(frames).to_csv(path, index=False, lineterminator="\n")
    return path


def simulate_conditions(out_dir: Path, *, seed: int, start: dt.date, end: dt.date) -> Path:
    """Write what the vendor says of the UTC dates [start, end), Saturdays left out: about one in fifty is degraded.

    The bars know nothing of it. A later end repeats the earlier days.
    """
    days = pd.date_range(start, end, inclusive="left")
    poor = generator(seed, "conditions").random(len(days)) < 0.02
    said = [
        {
            "date": f"{day:%Y-%m-%d}",
            "condition": "degraded" if degraded else "available",
            "last_modified_date": f"{day + pd.Timedelta(days=1):%Y-%m-%d}",
        }
        for day, degraded in zip(days, poor, strict=True)
        if day.dayofweek != 5
    ]
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / "simulated.condition.json"
    path.write_text(json.dumps(said), encoding="utf-8")
    return path


def _with_contract(bars: pd.DataFrame, contracts: pd.DataFrame, root: str) -> pd.DataFrame:
    at = np.searchsorted(contracts["start_date"].to_numpy(), utc_instants(bars["ts_event"]), side="right") - 1
    return bars.assign(instrument_id=contracts["instrument_id"].to_numpy()[at], root=root)


def months_of(start: dt.date, end: dt.date) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
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
    chosen = candidates.iloc[[int(generator(seed, "fault", fault).integers(len(candidates)))]]
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
        mappings=clipped(mapping, first.tz_convert(None), last.tz_convert(None)),
        bars=bars.sort_values(["ts_event", "instrument_id"], kind="stable"),
    )
