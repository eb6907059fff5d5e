"""What no market ever had: prices in another unit, volumes beyond reason, times of the future or of another zone.

The limits are wide, since a market may leave every range that it ever had: four times `price_bounds` (a quarter of the
lower bound where that is positive, four times it where it is not). A price that is a hundred times too large or too
small lies beyond them wherever the true one lies within a twenty-fifth of the other bound. No bar of fifteen real
years lies outside the bounds themselves.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cbi_dagster.config.universe import Universe
from cbi_dagster.market.sessions import BAR_NS, exchange_days, regular_hours, utc_instants
from cbi_dagster.vendors.databento.bar_files import PRICES
from cbi_dagster.vendors.files import ImplausibleValuesError, shown

MAX_VOLUME = 20_000_000
"""Contracts in one bar: several times what any future of the universe traded on its busiest day."""

FUTURE_AFTER = pd.Timedelta(days=1)
"""How far a bar may lie ahead of the clock that judges it: clocks differ."""

_SLACK = 4.0
_NO_ACCIDENT, _MANY_OUTSIDE, _FEW_LEFT = 8, 0.02, 0.1
_ZONES = ("America/New_York", "America/Chicago", "America/Los_Angeles", "Europe/London", "Europe/Berlin", "Asia/Tokyo")


def price_limits(universe: Universe) -> dict[str, tuple[float, float]]:
    """The lowest and highest price that is believed, per root."""
    limits = {}
    for product in universe.products:
        low, high = product.price_bounds
        limits[product.root] = (low / _SLACK if low > 0 else low * _SLACK, high * _SLACK)
    return limits


def impossible_prices(bars: pd.DataFrame, universe: Universe) -> np.ndarray:
    """Which bars of the universe (`root`, prices) have a price beyond the limits; NaN is within them."""
    limits = price_limits(universe)
    roots = bars["root"].astype("category")
    known = [limits[str(root)] for root in roots.cat.categories]
    low, high = (np.array([pair[side] for pair in known])[roots.cat.codes.to_numpy()] for side in (0, 1))
    beyond = np.zeros(len(bars), bool)
    for name in PRICES:
        price = bars[name].to_numpy(np.float64)
        beyond |= (price < low) | (price > high)
    return beyond


def require_prices(path: Path, bars: pd.DataFrame, universe: Universe) -> None:
    """Raise ImplausibleValuesError when the median close of a symbol of a file (`symbol`, `root`, `close`) is beyond.

    Every bar of such a file is wrong, and in a way that says what to ask for.
    """
    limits, bounds = price_limits(universe), {product.root: product.price_bounds for product in universe.products}
    symbols = bars["symbol"].astype("category")
    codes, first = np.unique(symbols.cat.codes, return_index=True)
    medians = bars["close"].groupby(symbols.cat.codes.to_numpy()).median()
    for symbol, root, median in zip(symbols.cat.categories[codes], bars["root"].iloc[first], medians, strict=True):
        low, high = limits[root]
        if np.isnan(median) or low <= median <= high:
            continue
        said, ask = _unit_of(float(median), bounds[root])
        raise ImplausibleValuesError(
            path,
            f"half of the closes of {shown(symbol, 40)} are beyond {median:g}, where {root} trades between "
            f"{bounds[root][0]:g} and {bounds[root][1]:g}: {said}",
            ask,
        )


def _unit_of(price: float, bounds: tuple[float, float]) -> tuple[str, str]:
    units = (
        (1e9, "the prices look like fixed-precision integers, in units of 1e-9",
         "Ask the vendor for decimal prices (pretty_px, in the portal \"pretty prices\"), or for DBN"),
        (1e2, "the prices look a hundred times too large", "State them in the quote unit of universe.yaml"),
        (1e-2, "the prices look a hundred times too small", "State them in the quote unit of universe.yaml"),
    )  # fmt: skip
    for factor, said, ask in units:
        if bounds[0] <= price / factor <= bounds[1]:
            return said, ask
    return "no market had such prices", "Check unit and symbols, and ask the vendor for decimal prices"


def require_utc(path: Path, bars: pd.DataFrame, schema: str, universe: Universe) -> None:
    """Raise ImplausibleValuesError when the intraday bars of a file (`root`, `ts_event`) are not in UTC.

    They are not when most of them lie outside the trading hours of their products. Products that trade around the
    clock have few hours to be outside of: so they are not either when one in fifty lies outside, and nine in ten of
    these would be within if the stamps were the wall clock of a financial centre.
    """
    if schema == "ohlcv-1d" or bars.empty:
        return
    stamps = utc_instants(bars["ts_event"]).astype("datetime64[ns]")
    outside = _outside_hours(bars["root"], stamps, schema, universe)
    if outside <= max(_NO_ACCIDENT, _MANY_OUTSIDE * len(bars)):
        return
    zones = [
        zone
        for zone in _ZONES
        if _outside_hours(bars["root"], _read_in(zone, stamps), schema, universe) <= _FEW_LEFT * outside
    ]
    if zones or outside > len(bars) / 2:
        reading = f", and as times of {zones[0]} they would not" if zones else ""
        raise ImplausibleValuesError(
            path,
            f"{outside} of {len(bars)} bars lie outside the trading hours of their products{reading}: "
            "its stamps are not UTC",
            "Ask for UTC, or write the offset with every stamp, e.g. 2024-07-01T09:00:00-05:00",
        )


def _read_in(zone: str, stamps: np.ndarray) -> np.ndarray:
    """The instants of wall-clock times of a zone; those that a change of clocks makes ambiguous are one of the two."""
    wall = pd.DatetimeIndex(stamps)
    known = wall.tz_localize(zone, ambiguous=np.zeros(len(wall), bool), nonexistent="shift_forward")
    instants: np.ndarray = known.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[ns]")
    return instants


def _outside_hours(roots: pd.Series, stamps: np.ndarray, schema: str, universe: Universe) -> int:
    """How many bars have no minute in a session of their product."""
    days, names = exchange_days(stamps), roots.astype(object).to_numpy()
    outside = int((~np.is_busday(days)).sum())
    for root in pd.unique(names):
        own = (names == root) & np.is_busday(days)
        opens, closes = regular_hours(str(root), days[own], universe)
        outside += int(((stamps[own] + np.timedelta64(BAR_NS[schema], "ns") <= opens) | (stamps[own] >= closes)).sum())
    return outside
