"""What there is to ask the vendor for: what landed so far against what it says that it has, and at what price."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import pandas as pd

from cbi_dagster.config.universe import Universe
from cbi_dagster.vendors.databento.asking import (
    Delivered,
    Request,
    Series,
    Span,
    Word,
    available_until,
    requests_of,
    stale_spans,
    stype_of,
    usual_symbols,
    within,
)
from cbi_dagster.vendors.databento.client import SCHEMAS, EndBeyondError, Range, Vendor, VendorError
from cbi_dagster.vendors.databento.plausibility import FUTURE_AFTER
from cbi_dagster.vendors.databento.spending import DELIVERED, Books
from cbi_dagster.vendors.files import some
from cbi_dagster.vendors.landing import Landing
from cbi_dagster.warehouse.contract import Warehouse, now_utc

_T = TypeVar("_T")

#: What files with the vendor's word say, by their hash: a daemon asks at every tick.
_WORDS: dict[str, dict[dt.date, Word]] = {}

#: Told of what is being done: what, and how many steps of how many are behind.
Told = Callable[[str, int, int], None]


def silently(what: str, done: int, total: int) -> None:
    """The progress of which nobody is told."""


class ClockError(RuntimeError):
    """The clock of this machine is behind what the vendor has data of: what is fetched would be of the future."""


class UnknownSymbolError(VendorError):
    """The vendor knows no such symbol in the period that was asked for; nothing was charged."""


@dataclass(frozen=True)
class Wish:
    """What somebody asks for by name: schemas and symbols (none: those of the universe) from `start` to `end`.

    `end` (exclusive) None: until there is data.
    """

    schemas: tuple[str, ...]
    symbols: tuple[str, ...]
    start: pd.Timestamp
    end: pd.Timestamp | None = None


@dataclass(frozen=True)
class Part:
    """A request, what it costs, and whether it is large enough for a batch job."""

    request: Request
    dollars: float
    batch: bool


@dataclass(frozen=True)
class Outlook:
    """What there is to ask for, priced; `words`: what the vendor says of its days; `unknown`: symbols it does not know
    in the periods that lack them; `range`: of which time it has data."""

    parts: tuple[Part, ...]
    words: Mapping[dt.date, Word]
    range: Range
    unknown: tuple[str, ...] = ()

    @property
    def dollars(self) -> float:
        return sum(part.dollars for part in self.parts)


class Survey:
    """What the vendor has, beside what was delivered into one warehouse.

    A request of more than `batch_bytes` becomes a batch job.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        landing: Landing,
        vendor: Vendor,
        books: Books,
        universe: Universe,
        *,
        dataset: str,
        batch_bytes: int,
    ) -> None:
        self._warehouse, self._landing, self._vendor, self._books = warehouse, landing, vendor, books
        self._universe, self._dataset, self._batch_bytes = universe, dataset, batch_bytes

    def followed(self, known: Range) -> list[Series]:
        """What has landed, as series that go on: every continuous and parent symbol from its first landed instant."""
        series = []
        for (schema, stype_in, symbol), found in self._delivered().items():
            if stype_in in ("continuous", "parent") and schema in known.spans:
                until = available_until(schema, known.spans[schema][1], self._universe)
                series.append(Series(schema, stype_in, symbol, min(one.start for one in found), until))
        return series

    def wished(self, wish: Wish, known: Range) -> list[Series]:
        """The series of a wish, cut to what the vendor has."""
        series = []
        for schema in wish.schemas:
            if schema not in SCHEMAS or schema not in known.spans:
                there = some(set(known.spans) & set(SCHEMAS))
                raise VendorError(f"nothing is made of {schema}, or {self._dataset} has none; there is {there}")
            start, end = known.spans[schema]
            end = available_until(schema, end, self._universe)
            end = end if wish.end is None else min(end, wish.end)
            for symbol in wish.symbols or usual_symbols(schema, self._universe):
                series.append(Series(schema, stype_of(symbol), symbol, max(wish.start, start), end))
        return series

    def outlook(
        self,
        series: Callable[[Range], Sequence[Series]],
        since: pd.Timestamp | None = None,
        *,
        named: Collection[str] = (),
        again: bool = False,
        told: Told = silently,
    ) -> Outlook:
        """What of the series is lacking or has changed, priced. Nothing is charged by asking.

        `since`: the vendor is asked whether days from then on have changed (None: all that are here). Raises
        UnknownSymbolError for symbols in `named` that the vendor does not know, ClockError, DatasetMismatchError for a
        dataset that the warehouse would not take, VendorError.
        """
        self._landing.require_takes(self._dataset)
        told("asking what there is", 0, 3)
        known = self._vendor.range(self._dataset)
        self._require_clock(known)
        wanted = [one for one in series(known) if one.start < one.end]
        if not wanted:
            return Outlook((), {}, known)
        first, end = min(one.start for one in wanted), max(one.end for one in wanted)
        delivered = self._delivered()
        if since is not None:
            # What lacks comes with the vendor's word on it, however long ago it is.
            lacks = [spans[0][0] for spans in _stale(wanted, delivered, {}, again).values() if spans]
            first = min([max(first, since), *lacks])
        words = self._vendor.words(self._dataset, first.date(), _last_day(end)) if first < end else {}
        told("asking what there is", 1, 3)
        stale = _stale(wanted, delivered, words, again)
        known_stale, unknown = self._known({key: spans for key, spans in stale.items() if spans})
        if lacking := sorted(set(named) & set(unknown)):
            raise UnknownSymbolError(f"{self._dataset} has no {some(lacking)} in that time; nothing was charged")
        told("asking what it costs", 2, 3)
        parts = [part for request in requests_of(self._dataset, known_stale) for part in self._priced(request)]
        return Outlook(tuple(parts), words, known, tuple(sorted(unknown)))

    def _require_clock(self, known: Range) -> None:
        newest, now = known.end, now_utc()
        if newest > now + FUTURE_AFTER:
            raise ClockError(
                f"the clock of this machine says {now:%Y-%m-%d %H:%M} UTC, and the vendor has data until "
                f"{newest:%Y-%m-%d %H:%M}: set the clock right"
            )

    def _delivered(self) -> dict[tuple[str, str, str], list[Delivered]]:
        """What was delivered of every series, by files and by requests, in the order in which it came."""
        found: dict[tuple[str, str, str], list[Delivered]] = defaultdict(list)
        with self._warehouse.shared_connection():
            words, entries = self._landed_words(), self._books.entries()
            files = list(self._landing.delivered_symbols(self._dataset))
        for (schema, stype_in, symbol), file in files:
            one = Delivered(file.span_start, file.span_end, file.landed_at, words.get(file.landed_at, {}))
            found[schema, stype_in, symbol].append(one)
        for entry in entries:
            if entry.request_state in DELIVERED and entry.dataset == self._dataset:
                moment = entry.asked_at if entry.ended_at is None else entry.ended_at
                one = Delivered(entry.span_start, entry.span_end, moment, words.get(moment, {}))
                for symbol in entry.request.symbols:
                    found[entry.vendor_schema, entry.stype_in, symbol].append(one)
        return {key: sorted(ones, key=lambda one: one.taken_at) for key, ones in found.items()}

    def _landed_words(self) -> dict[pd.Timestamp, dict[dt.date, Word]]:
        """What the vendor had said of its days, by the moment at which it landed."""
        found: dict[pd.Timestamp, dict[dt.date, Word]] = defaultdict(dict)
        for file in self._landing.files_of("conditions"):
            if file.file_hash not in _WORDS:
                rows = self._landing.kept_rows(file)
                modified = [None if pd.isna(day) else day.date() for day in rows["last_modified_date"]]
                said = zip(rows["utc_date"].dt.date, rows["condition"], modified, strict=True)
                _WORDS[file.file_hash] = {day: Word(condition, changed) for day, condition, changed in said}
            found[file.landed_at] |= _WORDS[file.file_hash]
        return found

    def _known(
        self, stale: Mapping[tuple[str, str, str], Sequence[Span]]
    ) -> tuple[dict[tuple[str, str, str], list[Span]], set[str]]:
        """What of the stale spans the vendor knows the symbols in, and the symbols that it knows in none of theirs."""
        groups: dict[tuple[str, Span], list[tuple[str, str, str]]] = defaultdict(list)
        for key, spans in stale.items():
            groups[key[1], (spans[0][0], spans[-1][1])].append(key)
        known: dict[tuple[str, str, str], list[Span]] = {}
        unknown: set[str] = set()
        for (stype_in, hull), keys in groups.items():
            symbols = sorted({key[2] for key in keys})
            spans_of = self._vendor.known_spans(self._dataset, stype_in, symbols, hull)
            for key in keys:
                found = within(stale[key], spans_of[key[2]]) if key[2] in spans_of else []
                if found:
                    known[key] = found
                else:
                    unknown.add(key[2])
        return known, unknown

    def _priced(self, request: Request) -> list[Part]:
        """A request with its price, by months unless it is large; none where there is no data after all."""
        request, size = self.clamped(request, self._vendor.size)
        if request.start >= request.end:
            return []
        dollars = self._vendor.cost(request)
        if size > self._batch_bytes:
            return [Part(request, dollars, batch=True)]
        months = request.months()
        if len(months) == 1:
            return [Part(request, dollars, batch=False)]
        # The price is by bytes: what a month costs is asked for before it is sent.
        return [
            Part(month, dollars * (month.end - month.start) / (request.end - request.start), False) for month in months
        ]

    def clamped(self, request: Request, call: Callable[[Request], _T]) -> tuple[Request, _T]:
        """What a question about a request gives, cut to where the vendor has data if that is earlier than it said."""
        try:
            return request, call(request)
        except EndBeyondError as error:
            end = available_until(request.schema, error.available_end, self._universe)
            request = replace(request, end=max(min(request.end, end), request.start))
            if request.start >= request.end:
                raise VendorError(f"there is no data of {request} yet") from None
            return request, call(request)


def _stale(
    wanted: Sequence[Series],
    delivered: Mapping[tuple[str, str, str], Sequence[Delivered]],
    words: Mapping[dt.date, Word],
    again: bool,
) -> dict[tuple[str, str, str], list[Span]]:
    """What is stale of every series; those that lack and hold the same are worked out once."""
    worked_out = dict[object, list[Span]]()
    stale = {}
    for one in wanted:
        found = delivered.get(one.key, [])
        case = one.start, one.end, tuple((held.start, held.end, held.taken_at) for held in found)
        if case not in worked_out:
            worked_out[case] = stale_spans(one, found, words, again)
        stale[one.key] = worked_out[case]
    return stale


def _last_day(end: pd.Timestamp) -> dt.date:
    return (end - pd.Timedelta(1, "ns")).date()
