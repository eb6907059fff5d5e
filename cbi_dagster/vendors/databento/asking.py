"""What to ask the vendor for: what is lacking, and the UTC days that it has changed since they were taken. Pure.

The vendor says of every UTC day how good its data is and when it was last modified. A period is asked for when nothing
that was delivered covers it, a day also when the vendor's word on it is not what it was at delivery. Days that the
vendor calls pending wait. Of a day that is still running, periods end with a session's close, so that a session is
there soon after it and little is asked for twice. Periods are [start, end), instants UTC.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from cbi_dagster.catalog.columns.conditions import AVAILABLE
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.sessions import session_bounds

PENDING = "pending"
_HOUR, _DAY = pd.Timedelta(hours=1), pd.Timedelta(days=1)
_CONTINUOUS = re.compile(r"[A-Z0-9]+\.[vnc]\.\d+")
_PARENT = re.compile(r"[A-Z0-9]+\.(FUT|OPT)")

Span = tuple[pd.Timestamp, pd.Timestamp]


class Word(NamedTuple):
    """What the vendor says of a UTC day; `modified`: when its data was last changed, None where there is none."""

    condition: str
    modified: dt.date | None


@dataclass(frozen=True)
class Series:
    """What one symbol of a schema is followed by: the period that should be here."""

    schema: str
    stype_in: str
    symbol: str
    start: pd.Timestamp
    end: pd.Timestamp

    @property
    def key(self) -> tuple[str, str, str]:
        return self.schema, self.stype_in, self.symbol


@dataclass(frozen=True)
class Delivered:
    """A period of a symbol that was delivered at `taken_at`, and what the vendor had said of its days by then."""

    start: pd.Timestamp
    end: pd.Timestamp
    taken_at: pd.Timestamp
    words: Mapping[dt.date, Word] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A request for records: symbols of one kind over a period of one schema."""

    dataset: str
    schema: str
    stype_in: str
    symbols: tuple[str, ...]
    start: pd.Timestamp
    end: pd.Timestamp

    def months(self) -> list[Request]:
        """The same cut at the beginnings of months."""
        firsts = pd.date_range(self.start.normalize(), self.end, freq="MS", inclusive="left")
        cuts = [self.start, *(first for first in firsts if first > self.start), self.end]
        return [replace(self, start=start, end=end) for start, end in itertools.pairwise(cuts)]

    @property
    def file_name(self) -> str:
        """As the vendor names its files, with times where the period is not of whole days."""
        start, end = self.start, self.end
        whole = start == start.normalize() and end == end.normalize()
        last = end - pd.Timedelta(1, "ns") if whole else end
        stamp = "%Y%m%d" if whole else "%Y%m%dT%H%M"
        return f"{self.dataset.lower().replace('.', '-')}-{start:{stamp}}-{last:{stamp}}.{self.schema}.dbn.zst"

    def __str__(self) -> str:
        named = ", ".join(self.symbols[:3]) + (f" and {len(self.symbols) - 3} others" if len(self.symbols) > 3 else "")
        return f"{self.schema} of {named} from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"


def stype_of(symbol: str) -> str:
    """The vendor's kind of a symbol: continuous (`ZL.v.0`), parent (`ZL.FUT`) or raw_symbol (`ZLZ5`)."""
    if _CONTINUOUS.fullmatch(symbol):
        return "continuous"
    return "parent" if _PARENT.fullmatch(symbol) else "raw_symbol"


def usual_symbols(schema: str, universe: Universe) -> list[str]:
    """The symbols of the universe that a schema is asked for by: bars of continuous ones, the rest of all contracts.

    Statistics of a day come on the day after, when a continuous symbol may be another contract.
    """
    if schema.startswith("ohlcv"):
        return [product.continuous_symbol for product in universe.products]
    return [f"{root}.FUT" for root in universe.roots]


def available_until(schema: str, end: pd.Timestamp, universe: Universe) -> pd.Timestamp:
    """How far to ask when the vendor has data until `end`: to midnight, or to the last session that has closed since.

    A session closes with the hour of its close. Bars of whole UTC days are asked for to midnight alone.
    """
    midnight = end.normalize()
    if schema == "ohlcv-1d":
        return midnight
    date = np.array([midnight.tz_localize(None).to_datetime64()], "datetime64[D]")
    if not np.is_busday(date)[0]:
        return midnight
    closes = {pd.Timestamp(session_bounds(root, date, universe)[1][0], tz="UTC").ceil(_HOUR) for root in universe.roots}
    return max([midnight, *(close for close in closes if midnight < close <= end)])


def stale_spans(
    series: Series, delivered: Sequence[Delivered], words: Mapping[dt.date, Word], again: bool = False
) -> list[Span]:
    """What to ask for of a series: what no delivery covers, and days whose `words` are not those of their deliveries.

    `delivered` in the order in which it came. `again`: everything.
    """
    whole = [(series.start, series.end)] if series.start < series.end else []
    waiting = [_of_day(day) for day, word in words.items() if word.condition == PENDING]
    if again:
        return without(whole, waiting)
    lacking = without(whole, [(one.start, one.end) for one in delivered])
    changed = [
        _of_day(day)
        for day, word in words.items()
        if word.condition != PENDING and _changed(day, word, within(whole, _of_day(day)), delivered)
    ]
    return without(union([*lacking, *(span for day in changed for span in within(whole, day))]), waiting)


def _changed(day: dt.date, word: Word, wanted: Sequence[Span], delivered: Sequence[Delivered]) -> bool:
    """Whether any delivery that holds a part of a day was made when the vendor said something else of it."""
    left = list(wanted)
    start, end = _of_day(day)
    for one in reversed(delivered):
        if not left:
            return False
        if one.end <= start or one.start >= end:
            continue
        rest = without(left, [(one.start, one.end)])
        if rest != left and _differs(day, word, one):
            return True
        left = rest
    return False


def _differs(day: dt.date, word: Word, one: Delivered) -> bool:
    known = one.words.get(day)
    if known is not None:
        return known != word
    if word.condition != AVAILABLE:
        return True
    # Every day is written anew when it is over: the first word on one that was taken while it ran is no change, nor
    # is one about a time before a file was taken that came without the vendor's word.
    return word.modified is not None and word.modified > max(day + dt.timedelta(days=1), one.taken_at.date())


def requests_of(dataset: str, spans: Mapping[tuple[str, str, str], Sequence[Span]]) -> list[Request]:
    """Requests for stale spans of series: symbols that lack the same are asked for together; in order of time."""
    together: dict[tuple[str, str, Span], list[str]] = defaultdict(list)
    for (schema, stype_in, symbol), stale in spans.items():
        for span in stale:
            together[schema, stype_in, span].append(symbol)
    found = [
        Request(dataset, schema, stype_in, tuple(sorted(symbols)), *span)
        for (schema, stype_in, span), symbols in together.items()
    ]
    return sorted(found, key=lambda request: (request.schema, request.start, request.end, request.symbols))


# -- periods ----------------------------------------------------------------------------------------------------------


def union(spans: Iterable[Span]) -> list[Span]:
    """The same time as disjoint spans in order; those that touch are one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        elif start < end:
            joined.append((start, end))
    return joined


def within(spans: Iterable[Span], bounds: Span) -> list[Span]:
    """What of the spans lies in a span."""
    cut = [(max(start, bounds[0]), min(end, bounds[1])) for start, end in spans]
    return [(start, end) for start, end in cut if start < end]


def without(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """What of the spans lies in none of the others."""
    left = union(spans)
    for start, end in union(others):
        left = [
            part for span in left for part in ((span[0], min(span[1], start)), (max(span[0], end), span[1]))
            if part[0] < part[1]
        ]  # fmt: skip
    return left


def _of_day(day: dt.date) -> Span:
    midnight = pd.Timestamp(day, tz="UTC")
    return midnight, midnight + _DAY
