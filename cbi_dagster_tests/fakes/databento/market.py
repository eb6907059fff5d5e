"""What the vendor has: records of DBN files by schema, how good its days are, and until when there are any."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import databento
import databento_dbn
import numpy as np
import zstandard

DAY_NS = 86_400_000_000_000

#: Dollars for 2**30 bytes. Of ohlcv-1d a real bill says so; ohlcv-1h is what the vendor's documentation has in its
#: example, three times as much: a cost that is estimated too high does no harm. Of the others as documented there.
PRICES = {"ohlcv-1m": 280.0, "ohlcv-1h": 600.0, "ohlcv-1d": 190.0, "statistics": 11.0, "definition": 5.0}

Interval = tuple[dt.date, dt.date, str]  # first UTC date, end (exclusive), instrument id


class UnknownSymbolsError(ValueError):
    """None of the requested symbols is known."""


@dataclass(frozen=True)
class Query:
    """A request for data; `start` and `end` (exclusive) in nanoseconds since 1970 UTC."""

    dataset: str
    schema: str
    symbols: tuple[str, ...]
    stype_in: str
    start: int
    end: int


@dataclass
class _Entry:
    raw_symbol: str
    intervals: Sequence[Any]


@dataclass
class _Mapped:
    start_date: dt.date
    end_date: dt.date
    symbol: str


@dataclass
class Market:
    """The data of one dataset.

    `records`: by schema, in the order of the vendor's index time (ts_recv of statistics and definitions, ts_event of
    bars). `mapping`: by kind of symbol and symbol, the names and contracts that it stood for. `ends`: until when there
    is data, by schema, in nanoseconds (exclusive). `days`: what the vendor says of days that are not as usual: the
    condition and when it was last modified. Days are modified on the day after, Saturdays are not listed.
    """

    dataset: str
    records: dict[str, np.ndarray] = field(default_factory=dict)
    mapping: dict[str, dict[str, list[tuple[str, Interval]]]] = field(default_factory=dict)
    start: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    days: dict[dt.date, tuple[str, dt.date | None]] = field(default_factory=dict)
    prices: dict[str, float] = field(default_factory=lambda: dict(PRICES))

    @staticmethod
    def of(files: Iterable[Path]) -> Market:
        """Everything that DBN files of one dataset hold."""
        stores = [databento.DBNStore.from_file(path) for path in sorted(files)]
        market = Market(stores[0].metadata.dataset)
        parts: dict[str, list[np.ndarray]] = {}
        for store in stores:
            header = store.metadata
            schema = str(header.schema)
            parts.setdefault(schema, []).append(store.to_ndarray().reshape(-1))
            market.ends[schema] = max(market.ends.get(schema, 0), int(header.end))
            market.start = min(market.start or int(header.start), int(header.start))
            market._learn(str(header.stype_in), header.symbols, header.mappings)
        for schema, found in parts.items():
            records = np.concatenate(found)
            market.records[schema] = records[np.argsort(index_times(records), kind="stable")]
        return market

    def _learn(self, stype_in: str, symbols: Sequence[str], mappings: Mapping[str, Sequence[Any]]) -> None:
        known = self.mapping.setdefault(stype_in, {})
        for name, intervals in mappings.items():
            symbol = name if stype_in != "parent" else next(s for s in symbols if _is_child(name, s))
            for one in intervals:
                entry = (name, (one["start_date"], one["end_date"], one["symbol"]))
                if entry not in known.setdefault(symbol, []):
                    known[symbol].append(entry)

    # -- what a query is about ----------------------------------------------------------------------------------------

    def resolved(self, query: Query) -> dict[str, list[tuple[str, Interval]]]:
        """The contracts of each requested symbol on the query's days; none for symbols that stood for nothing."""
        first, last = _date(query.start), _date(query.end - 1)
        found = {}
        for symbol in query.symbols:
            entries = self.mapping.get(query.stype_in, {}).get(symbol, [])
            found[symbol] = [
                (name, (max(d0, first), min(d1, last + dt.timedelta(days=1)), number))
                for name, (d0, d1, number) in entries
                if d0 <= last and d1 > first
            ]
        return found

    def selected(self, query: Query) -> np.ndarray:
        """The records of a query. Raises UnknownSymbolsError."""
        records = self.records.get(query.schema, np.empty(0, np.dtype(databento_dbn.OHLCVMsg._dtypes)))
        times = index_times(records)
        inside = records[np.searchsorted(times, query.start) : np.searchsorted(times, query.end)]
        resolved = self.resolved(query)
        if not any(resolved.values()):
            raise UnknownSymbolsError(f"None of the symbols could be resolved: {', '.join(query.symbols)}")
        days, wanted = index_times(inside) // DAY_NS, np.zeros(len(inside), bool)
        for entries in resolved.values():
            for _, (first, end, number) in entries:
                on = (days >= _days(first)) & (days < _days(end))
                wanted |= on & (inside["instrument_id"] == int(number))
        return inside[wanted]

    def encoded(self, query: Query, records: np.ndarray) -> bytes:
        """A DBN file (zstd) of records that answer a query."""
        resolved = self.resolved(query)
        by_name: dict[str, list[_Mapped]] = {}
        for entries in resolved.values():
            for name, (first, end, number) in entries:
                by_name.setdefault(name, []).append(_Mapped(first, end, number))
        days = _date(query.start), _date(query.end - 1) + dt.timedelta(days=1)
        header = databento_dbn.Metadata(
            dataset=query.dataset,
            start=query.start,
            end=query.end,
            stype_in=databento_dbn.SType.from_str(query.stype_in),
            stype_out=databento_dbn.SType.from_str("instrument_id"),
            schema=databento_dbn.Schema.from_str(query.schema),
            symbols=list(query.symbols),
            partial=[
                symbol
                for symbol, entries in resolved.items()
                if entries and (min(e[1][0] for e in entries) > days[0] or max(e[1][1] for e in entries) < days[1])
            ],
            not_found=[symbol for symbol, entries in resolved.items() if not entries],
            mappings=[_Entry(name, sorted(found, key=lambda m: m.start_date)) for name, found in by_name.items()],
        )
        content = bytes(header.encode()) + records.tobytes()
        return zstandard.ZstdCompressor(write_checksum=True).compress(content)

    def billable(self, records: np.ndarray) -> int:
        return int(records.nbytes)

    def dollars(self, query: Query, records: np.ndarray) -> float:
        return self.billable(records) / 2**30 * self.prices.get(query.schema, 0.0)

    # -- what the vendor says of itself -------------------------------------------------------------------------------

    def conditions(self, first: dt.date, last: dt.date) -> list[dict[str, str | None]]:
        """What the vendor says of its finished days from `first` to `last` (both inclusive)."""
        end = _date(max(self.ends.values()))
        first, last = max(first, _date(self.start)), min(last, max([end - dt.timedelta(days=1), *self.days]))
        listed = []
        for number in range((last - first).days + 1):
            day = first + dt.timedelta(days=number)
            if day.weekday() == 5 and day not in self.days:
                continue
            condition, modified = self.days.get(day, ("available", day + dt.timedelta(days=1)))
            stamp = None if modified is None else modified.isoformat()
            listed.append({"date": day.isoformat(), "condition": condition, "last_modified_date": stamp})
        return listed


def index_times(records: np.ndarray) -> np.ndarray:
    """What the vendor filters and sorts by, in nanoseconds since 1970 UTC."""
    names = records.dtype.names or ()
    name = "ts_recv" if "ts_recv" in names else "ts_event"
    return np.ascontiguousarray(records[name]).view(np.int64)


def _is_child(name: str, parent: str) -> bool:
    return re.fullmatch(re.escape(parent.removesuffix(".FUT")) + r"[FGHJKMNQUVXZ]\d+(-.*)?", name) is not None


def _date(nanoseconds: int) -> dt.date:
    return dt.datetime.fromtimestamp(nanoseconds // 1_000_000_000, dt.UTC).date()


def _days(date: dt.date) -> int:
    return (date - dt.date(1970, 1, 1)).days
