"""Screening and merging vendor bars. Pure functions over the frames of `BarFile`.

Every row of a file ends in exactly one place: kept, rejected with a reason, or counted as outside the universe.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from cbi_dagster.catalog.model import FIRST_TRADE_DATE
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.sessions import BAR_NS, exchange_days, is_weekend, trade_dates, utc_instants, weekdays
from cbi_dagster.vendors.databento.bar_files import MAPPING_COLUMNS, PRICES
from cbi_dagster.vendors.databento.plausibility import FUTURE_AFTER, MAX_VOLUME, impossible_prices

REASONS = (
    "undefined_price",
    "non_positive_price",
    "ohlc_order",
    "non_positive_volume",
    "off_grid_timestamp",
    "outside_file_span",
    "future_timestamp",
    "price_out_of_bounds",
    "volume_out_of_bounds",
    "duplicate_bar",
    "weekend_trade_date",
    "before_first_trade_date",
)
"""Why a bar is rejected, in the order in which the reasons are looked for: a row gets the first that holds."""

CORRECTED = (*PRICES, "volume", "instrument_id")
"""The values of a bar that a later delivery can correct."""

_DAY_BITS = 20  # a day since 1970 fits, so that (code << _DAY_BITS) + day orders by code, then day


@dataclass(frozen=True)
class Screened:
    """The bars of one file, sorted into kept and rejected ones, both in the file's order.

    `bars` has the file's columns and `root` and `date` (trade date, datetime64[ns]); `rejected` has these and `reason`.
    `outside_counts` has the number of rows per vendor symbol that is no continuous symbol or single contract of the
    universe (spreads included): these rows are left out.
    """

    bars: pd.DataFrame
    rejected: pd.DataFrame
    outside_counts: pd.Series


def classify_symbols(symbols: Sequence[str], universe: Universe) -> pd.DataFrame:
    """What each vendor symbol is: one row per symbol in the given order, columns `symbol`, `root`, `kind`.

    `kind` is `continuous` (`ZL.v.0`), `outright` (`ZLZ4`), `spread` (calendar spreads such as `ZLZ4-ZLH5` and named
    strategies such as `ZL:BF F5-H5-K5` of a root of the universe) or `outside`, which has no `root` (None).
    """
    roots = "|".join(re.escape(root) for root in sorted(universe.roots, key=len, reverse=True))
    pattern = re.compile(
        rf"(?P<root>{roots})"
        r"(?:(?P<continuous>\.[vnc]\.\d+)|(?P<outright>[FGHJKMNQUVXZ]\d{1,2})|(?P<spread>[FGHJKMNQUVXZ]\d{1,2}-.+|:.+))"
    )
    matches = [pattern.fullmatch(symbol) for symbol in symbols]
    found = {
        "symbol": list(symbols),
        "root": [match["root"] if match else None for match in matches],
        "kind": [match.lastgroup if match else "outside" for match in matches],
    }
    return pd.DataFrame({name: np.array(values, dtype=object) for name, values in found.items()})


def screen_bars(
    bars: pd.DataFrame,
    schema: str,
    universe: Universe,
    span: tuple[pd.Timestamp, pd.Timestamp],
    now: pd.Timestamp,
) -> Screened:
    """Split the bars of a file of `schema` that states the period `span` (UTC, end exclusive); see REASONS.

    A bar more than a day after `now` is of the future. Prices and volumes are out of bounds where no market ever was:
    see `plausibility`.

    Of several bars of one symbol and time the first without another fault is kept and every later one is rejected as
    `duplicate_bar`, equal or not: nothing in a file says which of two is right, so the choice is at least always the
    same, and the others can be read in the quarantine. The exchange day of a vendor day bar is its UTC date, or the
    Monday after it if that is a Sunday.
    """
    symbol = bars["symbol"].astype("category")
    kinds = classify_symbols(list(symbol.cat.categories), universe)
    codes = symbol.cat.codes.to_numpy()
    inside = kinds["kind"].isin(["continuous", "outright"]).to_numpy(bool)[codes]
    counts = pd.Series(np.bincount(codes[~inside], minlength=len(kinds)), index=kinds["symbol"], name="rows")

    # Most rows of a file can be outside: those are looked at no further, and nothing of them is copied.
    own = bars.copy(deep=False) if inside.all() else bars.take(np.flatnonzero(inside))
    codes = codes[inside]
    used = np.flatnonzero(np.bincount(codes, minlength=len(kinds)))
    kinds, names = kinds.iloc[used], symbol.cat.categories[used]
    codes = np.searchsorted(used, codes)
    root_codes, roots = pd.factorize(kinds["root"], sort=True)
    own.index = pd.RangeIndex(len(own))
    own["symbol"] = pd.Categorical.from_codes(codes, names)
    own["root"] = pd.Categorical.from_codes(root_codes[codes], roots)
    dates = _bar_dates(own, schema, universe)
    own["date"] = dates.astype("datetime64[ns]")

    negative_allowed = {product.root for product in universe.products if product.allows_negative_price}
    positive_only = ~kinds["root"].isin(negative_allowed).to_numpy(bool)[codes]
    impossible = impossible_prices(own, universe)
    reason = _first_reason(own, dates, codes, positive_only, impossible, schema, span, now)
    bad = reason > 0
    sound = own[~bad].reset_index(drop=True) if bad.any() else own
    rejected = own.take(np.flatnonzero(bad)).reset_index(drop=True)
    rejected["reason"] = np.array(REASONS, dtype=object)[reason[bad] - 1]
    return Screened(sound, rejected, counts[counts > 0])


def _bar_dates(own: pd.DataFrame, schema: str, universe: Universe) -> np.ndarray:
    """The trade date of each bar of the universe (`root`, `ts_event`)."""
    instants = utc_instants(own["ts_event"])
    if schema == "ohlcv-1d":
        days = instants.astype("datetime64[D]")
        days = days + (weekdays(days) == 6).astype("timedelta64[D]")
    else:
        days = exchange_days(instants)
    calendars = [universe.product(str(root)).calendar for root in own["root"].cat.categories]
    calendar_of = np.array(calendars, object)[own["root"].cat.codes.to_numpy()]
    for name in set(calendars):
        of_calendar = calendar_of == name
        days[of_calendar] = trade_dates(days[of_calendar], universe.calendars[name])
    return days


def _first_reason(
    own: pd.DataFrame,
    dates: np.ndarray,
    codes: np.ndarray,
    positive_only: np.ndarray,
    impossible: np.ndarray,
    schema: str,
    span: tuple[pd.Timestamp, pd.Timestamp],
    now: pd.Timestamp,
) -> np.ndarray:
    """1-based position in REASONS of each row's first fault, 0 for none."""
    opened, high, low, close = (own[name].to_numpy(np.float64) for name in PRICES)
    stamps = utc_instants(own["ts_event"]).astype(np.int64)
    start, end = (moment.as_unit("ns").value for moment in span)
    lower, upper = np.minimum(opened, close), np.maximum(opened, close)
    with np.errstate(invalid="ignore"):
        faults = [
            ~np.isfinite(opened + high + low + close),
            positive_only & (np.minimum(np.minimum(lower, low), high) <= 0),
            ~((low <= lower) & (upper <= high)),
            own["volume"].to_numpy(np.int64) <= 0,
            stamps % BAR_NS[schema] != 0,
            (stamps < start) | (stamps >= end),
            stamps > (now + FUTURE_AFTER).as_unit("ns").value,
            impossible,
            own["volume"].to_numpy(np.int64) > MAX_VOLUME,
        ]
    sound = np.flatnonzero(~np.logical_or.reduce(faults))
    duplicate = np.zeros(len(own), bool)
    # One number for a symbol and a time, which is on the grid: hashed in a third of the time that two take.
    bar = stamps[sound] // BAR_NS[schema] * (codes.max(initial=0) + 1) + codes[sound]
    duplicate[sound] = pd.Series(bar).duplicated().to_numpy()
    faults += [duplicate, is_weekend(dates), dates < np.datetime64(FIRST_TRADE_DATE, "D")]
    reason = np.zeros(len(own), np.int8)
    for position in range(len(faults), 0, -1):
        reason[faults[position - 1]] = position
    return reason


def merge_bars(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Screened bars of several files in landing order as one frame, sorted by root, symbol and `ts_event`.

    The last frame wins for each (symbol, `ts_event`). `symbol` and `root` are categorical; other columns pass through.
    """
    bars = _stacked(frames)
    names = bars["symbol"].cat.categories
    codes = bars["symbol"].cat.codes.to_numpy()
    roots = bars["root"].astype(object).to_numpy()
    used, first = np.unique(codes, return_index=True)
    rank = np.zeros(len(names), np.min_scalar_type(len(names)))
    rank[used[np.lexsort((names.to_numpy()[used], roots[first]))]] = np.arange(len(used))
    stamps = utc_instants(bars["ts_event"])
    # Files are in order of time and ranks are small numbers: both stable sorts are linear.
    order = np.argsort(stamps, kind="stable")
    order = order[np.argsort(rank[codes[order]], kind="stable")]
    codes, stamps = codes[order], stamps[order]
    last = np.ones(len(order), bool)
    last[:-1] = (codes[1:] != codes[:-1]) | (stamps[1:] != stamps[:-1])
    chosen = order[last]
    if len(chosen) == len(bars) and (chosen[1:] > chosen[:-1]).all():
        return bars  # one file that is in this order is not copied
    bars = bars.take(chosen)
    bars.index = pd.RangeIndex(len(bars))
    return bars


def _stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames below each other; categories are united, for which pandas would fall back to strings."""
    filled = [frame for frame in frames if len(frame)] or list(frames[:1])
    bars = pd.concat([frame.drop(columns=["symbol", "root"]) for frame in filled], ignore_index=True)
    for name in ("symbol", "root"):
        parts = [frame[name].astype("category") for frame in filled]
        bars[name] = union_categoricals(parts, sort_categories=True)
    return bars[list(filled[0].columns)]


def corrections(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Bars that are in both frames with different values, sorted by symbol and time.

    Both frames have one row per (symbol, `ts_event`). Columns: `symbol`, `ts_event`, `date`, then `old_` and `new_` of
    each of CORRECTED.
    """
    within = (before["ts_event"] >= after["ts_event"].min()) & (before["ts_event"] <= after["ts_event"].max())
    old = before.loc[within, ["symbol", "ts_event", *CORRECTED]]
    new = after[["symbol", "ts_event", "date", *CORRECTED]]
    symbols = union_categoricals([old["symbol"].astype("category"), new["symbol"].astype("category")]).categories
    old, new = (
        frame.assign(symbol=frame["symbol"].astype("category").cat.set_categories(symbols)) for frame in (old, new)
    )
    both = new.merge(old, on=["symbol", "ts_event"], suffixes=("_new", "_old"), validate="one_to_one")
    differs = np.zeros(len(both), bool)
    for name in CORRECTED:
        differs |= (both[f"{name}_new"] != both[f"{name}_old"]).to_numpy(bool)
    changed = both[differs].astype({"symbol": object}).sort_values(["symbol", "ts_event"], ignore_index=True)
    names = {f"{name}_{age}": f"{age}_{name}" for age in ("old", "new") for name in CORRECTED}
    return changed.rename(columns=names)[["symbol", "ts_event", "date", *names.values()]]


def left_out(bars: pd.DataFrame, stated: pd.DataFrame, rejected: pd.DataFrame) -> np.ndarray:
    """Which bars an exhaustive later file does not have, although it states their symbol and time.

    `bars` as from `merge_bars`, none of them in the file. `stated` are the symbols and periods (`symbol`, `start`,
    `end`, exclusive) of the file, `rejected` its rows (`symbol`, `ts_event`) that were no sound bars: of their times
    nothing better is known than what the earlier files say.
    """
    gone = np.zeros(len(bars), bool)
    codes, stamps = bars["symbol"].cat.codes.to_numpy(), utc_instants(bars["ts_event"])
    begins = np.flatnonzero(np.append(True, codes[1:] != codes[:-1])[: len(codes)])
    ends = np.append(begins[1:], len(codes))[: len(begins)]
    runs = {bars["symbol"].cat.categories[codes[at]]: slice(at, end) for at, end in zip(begins, ends, strict=True)}
    for symbol, start, end in zip(
        stated["symbol"], utc_instants(stated["start"]), utc_instants(stated["end"]), strict=True
    ):
        if run := runs.get(symbol):
            first, last = run.start + np.searchsorted(stamps[run], [start, end])
            gone[first:last] = True
    if len(rejected) and gone.any():
        gone &= ~keys_of(bars).isin(keys_of(rejected))
    return gone


def removals(bars: pd.DataFrame) -> pd.DataFrame:
    """Bars that are no more, in the columns of `corrections`: their new values are NULL."""
    return _one_sided(bars, "old", "new")


def arrivals(bars: pd.DataFrame) -> pd.DataFrame:
    """Bars that were not there, in the columns of `corrections`: their old values are NULL."""
    return _one_sided(bars, "new", "old")


def _one_sided(bars: pd.DataFrame, there: str, absent: str) -> pd.DataFrame:
    found = bars[["symbol", "ts_event", "date"]].astype({"symbol": object})
    for name in CORRECTED:
        found[f"{there}_{name}"] = bars[name].to_numpy()
        found[f"{absent}_{name}"] = np.nan if name in PRICES else pd.Series(pd.NA, found.index, "Int64")
    return found


def keys_of(bars: pd.DataFrame) -> pd.MultiIndex:
    """(symbol, `ts_event`) of each bar."""
    return pd.MultiIndex.from_arrays([bars["symbol"].astype(object), bars["ts_event"]])


def merge_mappings(mappings: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Symbologies of several files in landing order as one without overlaps, sorted by symbol and date.

    The last file wins for each symbol and UTC date. Intervals without a contract state nothing and change nothing.
    Columns and types as the `mapping` of `BarFile`; further columns are left out.
    """
    stated = pd.concat([mapping[list(MAPPING_COLUMNS)] for mapping in mappings], ignore_index=True)
    stated = stated[stated["instrument_id"].notna()]
    codes, symbols = pd.factorize(stated["symbol"].astype(object), sort=True)
    first = _day_numbers(stated["start_date"])
    count = _day_numbers(stated["end_date"]) - first
    # One entry per symbol and day, in landing order.
    source = np.repeat(np.arange(len(stated)), count)
    key = (codes.astype(np.int64) << _DAY_BITS)[source] + first[source]
    key += np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
    order = np.argsort(key, kind="stable")
    key = key[order]
    contract = stated["instrument_id"].to_numpy(np.int64)[source[order]]
    last = np.append(key[1:] != key[:-1], True)[: len(key)]
    key, contract = key[last], contract[last]
    begins = np.ones(len(key), bool)
    begins[1:] = (key[1:] != key[:-1] + 1) | (contract[1:] != contract[:-1])
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(key))[: len(starts)] - 1
    day = key & ((1 << _DAY_BITS) - 1)
    return pd.DataFrame(
        {
            "symbol": symbols.to_numpy(object)[key[starts] >> _DAY_BITS],
            "start_date": day[starts].astype("datetime64[D]").astype("datetime64[ns]"),
            "end_date": (day[ends] + 1).astype("datetime64[D]").astype("datetime64[ns]"),
            "instrument_id": contract[starts],
        }
    )


def session_instruments(
    mapping: pd.DataFrame, symbols: Sequence[str] | np.ndarray, dates: np.ndarray
) -> pd.api.extensions.ExtensionArray:
    """The contract of each symbol's session on a trade date: the one that `mapping` states for the equal UTC date.

    `mapping` has no overlaps (`merge_mappings`), `dates` are datetime64; the result is Int64 with NA where unknown.
    """
    names, wanted = pd.Index(mapping["symbol"].unique()), pd.Index(symbols)
    starts = (names.get_indexer(mapping["symbol"]).astype(np.int64) << _DAY_BITS) + _day_numbers(mapping["start_date"])
    ends = starts + _day_numbers(mapping["end_date"]) - _day_numbers(mapping["start_date"])
    order = np.argsort(starts)
    code = names.get_indexer(wanted).astype(np.int64)
    key = (code << _DAY_BITS) + dates.astype("datetime64[D]").astype(np.int64)
    position = np.searchsorted(starts[order], key, side="right") - 1
    result = pd.array([pd.NA] * len(key), dtype="Int64")
    known = (code >= 0) & (position >= 0)
    at = order[position[known]]
    known[known] = key[known] < ends[at]
    at = order[position[known]]
    result[known] = mapping["instrument_id"].to_numpy(np.int64)[at]
    return result


def _day_numbers(dates: pd.Series) -> np.ndarray:
    return pd.DatetimeIndex(dates).to_numpy().astype("datetime64[D]").astype(np.int64)


def covered(
    spans: pd.DataFrame, symbols: Sequence[str] | np.ndarray, opens: np.ndarray, closes: np.ndarray
) -> np.ndarray:
    """Whether landed data covers each session: [open, close) lies in the union of the symbol's spans.

    `spans` has the columns `symbol`, `start`, `end` (UTC, end exclusive); spans that overlap or touch count as one.
    `opens` and `closes` are UTC instants (datetime64[ns]).
    """
    result = np.zeros(len(opens), bool)
    opened, closed = (array.astype("datetime64[ns]") for array in (opens, closes))
    sessions = pd.Series(symbols, dtype=object).groupby(np.asarray(symbols, dtype=object)).indices
    for symbol, own in spans.groupby("symbol", observed=True):
        rows = sessions.get(symbol)
        if rows is None:
            continue
        start, end = (utc_instants(own[name]).astype("datetime64[ns]") for name in ("start", "end"))
        order = np.argsort(start)
        start, reach = start[order], np.maximum.accumulate(end[order])
        begins = np.append(True, start[1:] > reach[:-1])
        start, reach = start[begins], reach[np.append(begins[1:], True)]
        position = np.searchsorted(start, opened[rows], side="right") - 1
        result[rows] = (position >= 0) & (closed[rows] <= reach[position])
    return result
