"""What vendor files state: the symbols of the universe that they were asked for, and the periods that they cover."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.sessions import exchange_days, trade_dates, utc_instants
from cbi_dagster.vendors.databento.bars import classify_symbols
from cbi_dagster.vendors.files import LayoutError, UnresolvedSymbolsError, some
from cbi_dagster.vendors.kinds import Landed, LandedFile

_KEPT = ("continuous", "outright")
_DATASET = re.compile(r"[A-Z0-9]{2,16}\.[A-Z0-9]{2,16}")


def require_known(path: Path, dataset: str, not_found: Sequence[str], universe: Universe) -> None:
    """Raise where the vendor does not know a symbol of the universe, a mistake of the request, or names no dataset."""
    kinds = classify_symbols(not_found, universe)
    parents = {f"{root}.FUT" for root in universe.roots}
    unknown = [
        symbol
        for symbol, kind in zip(kinds["symbol"], kinds["kind"], strict=True)
        if kind in _KEPT or symbol in parents
    ]
    if unknown:
        raise UnresolvedSymbolsError(
            path, f"the vendor does not know {some(unknown)}", "Request the file again without these symbols"
        )
    if not _DATASET.fullmatch(dataset):
        raise LayoutError(path, f"{dataset!r} is no vendor's dataset", "Name it as the vendor does, e.g. GLBX.MDP3")


def landed_symbols(
    symbols: Iterable[str], mapping: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp, universe: Universe
) -> pd.DataFrame:
    """The symbology of a file that covers [start, end) for the universe, as `Examined.symbols`.

    A symbol that the file could not resolve keeps its span without a contract.
    """
    kinds = classify_symbols(list(symbols), universe)
    wanted = kinds["kind"].isin(_KEPT).to_numpy()
    names = kinds["symbol"].to_numpy()[wanted]
    days = (start.tz_convert(None).normalize(), end.tz_convert(None).ceil("D"))
    # As a left join, which takes longer than all else here: per symbol its intervals in their order, or one unknown.
    of_symbol = pd.Index(names).get_indexer(mapping["symbol"].to_numpy(object))
    stated = np.flatnonzero(of_symbol >= 0)
    unstated = np.setdiff1d(np.arange(len(names)), of_symbol)
    place = np.append(of_symbol[stated], unstated)
    order = np.argsort(place, kind="stable")
    place, interval = place[order], np.append(stated, np.full(len(unstated), -1))[order]
    known = interval >= 0
    first, last = (np.full(len(place), day.to_datetime64(), "datetime64[ns]") for day in days)
    number = np.zeros(len(place), np.int64)
    for values, name in ((first, "start_date"), (last, "end_date"), (number, "instrument_id")):
        values[known] = mapping[name].to_numpy()[interval[known]]
    return pd.DataFrame(
        {
            "symbol": names[place],
            "root": kinds["root"].to_numpy()[wanted][place],
            "mapping_start": first,
            "mapping_end": last,
            "instrument_id": pd.arrays.IntegerArray(number, ~known),
        }
    )


def covered_periods(files: Sequence[LandedFile], landed: Landed) -> pd.DataFrame:
    """What files with a header cover: `symbol`, `start`, `end` (UTC, exclusive), as far as a contract is stated.

    A symbol of which no contract is known in the whole period is covered in vain; it has no bars.
    """
    spans = pd.DataFrame(files, columns=LandedFile._fields)[["file_hash", "span_start", "span_end"]]
    rows = landed.symbols.merge(spans, on="file_hash") if files else landed.symbols.iloc[:0]
    rows = rows[rows["instrument_id"].notna()]
    if rows.empty:
        moments = pd.DatetimeIndex([], tz="UTC").as_unit("ns")
        return pd.DataFrame({"symbol": pd.Series([], dtype=object), "start": moments, "end": moments})
    start, end = (pd.DatetimeIndex(rows[name]).tz_localize("UTC") for name in ("mapping_start", "mapping_end"))
    return pd.DataFrame(
        {
            "symbol": rows["symbol"].to_numpy(object),
            "start": np.maximum(start.as_unit("ns"), pd.DatetimeIndex(rows["span_start"]).as_unit("ns")),
            "end": np.minimum(end.as_unit("ns"), pd.DatetimeIndex(rows["span_end"]).as_unit("ns")),
        }
    )


def touched_dates(files: Sequence[LandedFile], universe: Universe) -> np.ndarray:
    """Weekdays (datetime64[D], ascending) whose session any of the files' spans touches."""
    if not files:
        return np.empty(0, "datetime64[D]")
    spans = pd.DataFrame(files, columns=LandedFile._fields)
    spans = spans[spans["span_start"] < spans["span_end"]]
    if spans.empty:
        return np.empty(0, "datetime64[D]")
    first = exchange_days(utc_instants(spans["span_start"]))
    last = exchange_days(utc_instants(spans["span_end"] - pd.Timedelta(1, "ns")))
    # What ends on a joined day touches the business day after it.
    calendars = universe.calendars.values()
    last = np.max([last, *(trade_dates(last, calendar) for calendar in calendars)], axis=0)
    touched = np.unique(np.column_stack([first, last]), axis=0)
    days = np.unique(np.concatenate([np.arange(start, stop + 1) for start, stop in touched]))
    return days[np.is_busday(days)]


def touches(file: LandedFile, intervals: Sequence[Interval]) -> bool:
    """Whether a file may have bars of trade dates in the intervals.

    A trade date begins on the evening before, for Monday on Sunday: three days leave room for both.
    """
    days = np.array([file.span_start.tz_convert(None), file.span_end.tz_convert(None)], "datetime64[D]")
    return any(first <= days[1] + 3 and last >= days[0] - 1 for first, last in intervals)


def as_categories(values: Sequence[str], codes: np.ndarray) -> pd.Series:
    """`values[code]` of every code (categorical: each value is in memory once)."""
    return pd.Series(values, dtype="category").take(codes).reset_index(drop=True)
