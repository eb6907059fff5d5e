"""Which partitions are stale, and why: pure functions over the ledger, the catalog and the code versions.

A partition is stale when it has no content, when it was last confirmed under another code version, or when the
fingerprint of its inputs in the declared window differs from the confirmed one. What depends on a stale partition may
become stale once that one is rebuilt: `plan` follows the declared windows and so gives an upper bound, since how far a
change really reaches depends on values.

Which partitions a table should have is asked of what it is made of: the trade dates that the landing sources behind its
inputs have files about. A table over minutes expects the trade dates of minutes, macro series theirs. An input that is
only looked up adds none: the biofuel table has the trade dates of bars, whatever macro values were published besides. A
table of no landed input (the regime calendar) expects the trade dates of every source, and adds none to its readers.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from cbi_dagster.catalog.model import FIRST_TRADE_DATE, Read, Table
from cbi_dagster.catalog.partitioning import INCEPTION, Interval, merged
from cbi_dagster.catalog.registry import LANDING_SOURCES, TABLES, partitioning_of
from cbi_dagster.warehouse.hashing import DIGEST_BYTES, mixed
from cbi_dagster.warehouse.ledger import NOTHING, Ledger

#: What a symbol has of bars on a trade date, as far as memory is concerned: one a minute.
_MOST_BARS = 1_440


def newest_trade_date(now: pd.Timestamp) -> np.datetime64:
    """The newest trade date that has a partition at the instant `now`: today in Chicago, else the Friday before.

    A Sunday evening's bars belong to Monday, whose partition exists from Monday on.
    """
    today = np.datetime64(now.tz_convert("America/Chicago").date(), "D")
    newest: np.datetime64 = np.busday_offset(today, 0, roll="backward")
    return newest


def landing_sources(table: Table) -> frozenset[str]:
    """The landing sources behind the inputs of a table, those that are only looked up aside."""
    found: set[str] = set()
    for read in table.reads:
        if not read.looked_up:
            found |= {read.source} if read.source in LANDING_SOURCES else landing_sources(TABLES[read.source])
    return frozenset(found)


def expected_partitions(table: Table, ledgers: Mapping[str, Ledger], newest: np.datetime64) -> np.ndarray:
    """Partitions that a table should have, given the `ledgers` of the landing sources (those absent have nothing).

    Trade dates before `FIRST_TRADE_DATE` or after `newest` have no partition.
    """
    sources = landing_sources(table) or LANDING_SOURCES.keys()
    landed = np.unique(np.concatenate([ledgers.get(source, NOTHING).keys for source in sources]))
    inside = (landed >= np.datetime64(FIRST_TRADE_DATE, "D")) & (landed <= newest)
    return table.partitioning.expected(landed[inside])


def gone_partitions(
    table: Table, ledgers: Mapping[str, Ledger], newest: np.datetime64, unread: Collection[str]
) -> np.ndarray:
    """Partitions that the ledger knows of a table and that nothing is landed for any more.

    While landing sources behind it are to be read anew (`unread`), nobody knows, and there are none.
    """
    if not (landing_sources(table) or LANDING_SOURCES.keys()).isdisjoint(unread):
        return np.empty(0, "datetime64[D]")
    return np.setdiff1d(ledgers.get(table.id, NOTHING).keys, expected_partitions(table, ledgers, newest))


def read_intervals(table: Table, read: Read, partitions: np.ndarray) -> list[Interval]:
    """The inclusive date intervals that together cover the windows of `partitions`, merged where they touch."""
    windows = table.partitioning.window(np.sort(partitions), read.back, read.forward)
    # A gap of a week or less costs less to read than to skip.
    return merged(*windows, gap_days=7)


def fitting(table: Table, partitions: np.ndarray, ledgers: Mapping[str, Ledger], limit_values: int) -> int:
    """How many of the first `partitions` (ascending; one at least, if any) take at most `limit_values` together.

    Values, rows times columns, are what is read, by the row counts of the ledger, and what is made of it by a table of
    bars, which has about a row for each row of its own dates. Where one partition's window alone is too large, a third
    of the limit on top of it: else every partition would read it anew. All of them, if a single one reads everything up
    to its date: cutting would only read that again and again.
    """
    if not table.partitioning.column or any(read.back is INCEPTION for read in table.reads) or not len(partitions):
        return len(partitions)
    together, made = np.zeros((2, len(partitions)), np.int64)
    for read in table.reads:
        source = ledgers.get(read.source, NOTHING)
        rows = np.minimum(source.row_counts, len(read.symbols) * _MOST_BARS) if read.symbols else source.row_counts
        totals = np.append(0, np.cumsum(rows))
        starts, stops = _extent(table, read, partitions, source.keys)
        # What a window shares with the one before it is read once.
        fresh = np.maximum(starts, np.append(starts[:1], stops[:-1]))
        width = len(read.columns) or len(TABLES.get(read.source, table).columns)
        together += np.cumsum(totals[stops] - totals[fresh]) * width
        starts, stops = _extent(table, replace(read, back=0, forward=0), partitions, source.keys)
        made = np.maximum(made, totals[stops] - totals[starts])
    if table.intraday:
        together += np.cumsum(made) * sum(1 for _ in table.leaves())
    within = np.searchsorted(together, limit_values, side="right")
    beyond = np.searchsorted(together, together[0] + limit_values // 3, side="left")
    return max(1, int(within), int(beyond))


def fingerprints(table: Table, partitions: np.ndarray, ledgers: Mapping[str, Ledger]) -> np.ndarray:
    """Per partition, the digest (hex) of the content of all inputs in the partition's declared windows.

    An input partition that does not exist and one that is empty are different facts and give different digests. They
    are stored, so a change to how they are made makes every partition stale once: rebuilding finds equal content,
    confirms it under the new fingerprint and writes no row.
    """
    lanes = np.zeros((len(partitions), 2), np.uint64)
    for number, read in enumerate(table.reads):
        source = ledgers.get(read.source, NOTHING)
        starts, stops = _extent(table, read, partitions, source.keys)
        # Equal content of two inputs, or of one at two tables, must not look the same.
        salt = hashlib.blake2b(f"{table.id} {number} {read.source}".encode(), digest_size=DIGEST_BYTES).digest()
        content = (source.sums[stops] - source.sums[starts]) ^ np.frombuffer(salt, np.uint64)
        lanes += np.column_stack([mixed(content[:, lane]) for lane in (0, 1)])
    text = lanes.astype(">u8").tobytes().hex()
    width = 2 * DIGEST_BYTES
    return np.array([text[at : at + width] for at in range(0, len(text), width)], object)


def _extent(table: Table, read: Read, partitions: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`keys[starts[i]:stops[i]]` are the partitions of an input that partition i of `table` reads."""
    first, last = table.partitioning.window(partitions, read.back, read.forward)
    return partitioning_of(read.source).reached(keys, first, last)


@dataclass(frozen=True)
class StaleRange:
    """Neighbouring stale partitions of a table with one reason; `first` and `last` are partition keys, inclusive.

    `rows` is an estimate from the ledger: what the partitions held, or the table's mean for those without content; None
    for a table that has none yet. `certain` is false where the partitions only depend on others that will be rebuilt
    and may come out equal.
    """

    first: str
    last: str
    partitions: int
    rows: int | None
    reason: str
    certain: bool


@dataclass(frozen=True)
class TablePlan:
    """The stale partitions of a table (datetime64[D], ascending), and the same as ranges with reasons."""

    table: Table
    partitions: np.ndarray
    ranges: tuple[StaleRange, ...]

    @property
    def rows(self) -> int | None:
        """The estimates of its ranges together; None where one is unknown."""
        return _together([item.rows for item in self.ranges])


@dataclass(frozen=True)
class Plan:
    """Everything that is stale, inputs before the tables that read them; an upper bound.

    `landed`: why landing sources must be read anew, by source; what is made of them may change through that.
    `blocked`: tables that cannot be built, and are not among the others, with the reason.
    """

    tables: tuple[TablePlan, ...]
    digest: str
    """Names the stale set and the contents it was found on: a plan that comes again has the same digest."""
    landed: Mapping[str, str] = field(default_factory=dict)
    blocked: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int | None:
        """The estimates of its tables together; None where one is unknown."""
        return _together([item.rows for item in self.tables])


def _together(estimates: Sequence[int | None]) -> int | None:
    known = [rows for rows in estimates if rows is not None]
    return sum(known) if len(known) == len(estimates) else None


#: The parts of a table's code (its id) that are not as in an earlier version; None where no account was kept of that.
ChangesOfCode = Callable[[str, str], Sequence[str] | None]


def make_plan(
    ledgers: Mapping[str, Ledger],
    code_versions: Mapping[str, str],
    newest: np.datetime64,
    tables: Iterable[Table],
    changes_of_code: ChangesOfCode,
    landed: Mapping[str, str] | None = None,
) -> Plan:
    """The stale partitions of `tables` (inputs first), those that may become stale through them included.

    `code_versions` maps table ids to their present code version; `newest` as in `expected_partitions`; `landed`: why
    landing sources must be read anew, those included that no table of the plan reads.
    """
    landed, tables = landed or {}, list(tables)
    stale = {source: ledgers[source].keys for source in landed if source in ledgers}
    plans = []
    for table in tables:
        expected = expected_partitions(table, ledgers, newest)
        gone = gone_partitions(table, ledgers, newest, landed)
        causes = _causes(table, expected, ledgers, code_versions[table.id], changes_of_code)
        if len(gone):
            every = np.union1d(expected, gone)
            causes = {int(np.searchsorted(every, expected[i])): cause for i, cause in causes.items()}
            causes |= dict.fromkeys(map(int, np.searchsorted(every, gone)), _Cause("gone"))
            expected = every
        for read in table.reads:
            upstream = stale.get(read.source)
            if upstream is not None:
                starts, stops = _extent(table, read, expected, upstream)
                for i in np.flatnonzero(stops > starts):
                    first, last = upstream[starts[i]], upstream[stops[i] - 1]
                    causes.setdefault(int(i), _Cause("through", read.source, first, last))
        if causes:
            stale[table.id] = expected[sorted(causes)]
            ranges = tuple(_ranges(table, expected, causes, ledgers.get(table.id, NOTHING)))
            plans.append(TablePlan(table, stale[table.id], ranges))
    direct = {read.source for table in tables for read in table.reads}
    landed = {source: reason for source, reason in landed.items() if source in direct}
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for item in plans:
        digest.update(f"{item.table.id} {code_versions[item.table.id]}".encode() + item.partitions.tobytes())
    for name in sorted(landed):
        digest.update(f"{name} {code_versions[name]}".encode())
    for name in sorted(ledgers):
        digest.update(name.encode() + ledgers[name].sums[-1].tobytes())
    return Plan(tuple(plans), digest.hexdigest(), landed)


def stale_sources(
    ledgers: Mapping[str, Ledger], code_versions: Mapping[str, str], changes_of_code: ChangesOfCode
) -> dict[str, str]:
    """The landing sources of which the ledger knows trade dates as other code read them, with what has changed."""
    found = {}
    for source in LANDING_SOURCES:
        versions = ledgers.get(source, NOTHING).code_versions
        earlier = versions[versions != code_versions[source]]
        if len(earlier):
            found[source] = _said(changes_of_code(source, earlier[-1]))
    return found


def stale_partitions(
    table: Table,
    partitions: np.ndarray,
    ledgers: Mapping[str, Ledger],
    code_version: str,
    changes_of_code: ChangesOfCode,
) -> dict[np.datetime64, str]:
    """Those of `partitions` that are stale now, with the reason.

    Looks at what the inputs hold now; that an input is itself stale is the caller's business.
    """
    causes = _causes(table, partitions, ledgers, code_version, changes_of_code)
    return {partitions[i]: cause.text for i, cause in causes.items()}


#: The reason of a partition that is to go.
GONE = "no longer landed"


@dataclass(frozen=True)
class _Cause:
    """Why a partition is stale: `missing`, `code` (what of it), `inputs` (of `source`, in first..last) or `through`;
    or that it is to go, since nothing is landed for it any more (`gone`)."""

    kind: str
    source: str = ""
    first: np.datetime64 | None = None
    last: np.datetime64 | None = None

    @property
    def text(self) -> str:
        if self.kind == "missing":
            return "missing"
        if self.kind == "gone":
            return GONE
        if self.kind == "code":
            return self.source
        words = [self.source]
        if self.first is not None and self.last is not None:
            words.append(partitioning_of(self.source).range_label(self.first, self.last))
        return " ".join([*filter(None, words), "changed" if self.kind == "inputs" else "may change"])


def _causes(
    table: Table,
    partitions: np.ndarray,
    ledgers: Mapping[str, Ledger],
    code_version: str,
    changes_of_code: ChangesOfCode,
) -> dict[int, _Cause]:
    ledger = ledgers.get(table.id, NOTHING)
    at = ledger.at(partitions)
    causes = {int(i): _Cause("missing") for i in np.flatnonzero(at < 0)}
    known = np.flatnonzero(at >= 0)
    same_code = ledger.code_versions[at[known]] == code_version
    told: dict[str, _Cause] = {}
    for i in known[~same_code]:
        digest = ledger.code_versions[at[i]]
        if digest not in told:
            told[digest] = _Cause("code", _said(changes_of_code(table.id, digest)))
        causes[int(i)] = told[digest]
    known = known[same_code]
    for i in known[ledger.fingerprints[at[known]] != fingerprints(table, partitions[known], ledgers)]:
        causes[int(i)] = _changed_input(table, partitions[i : i + 1], ledgers, ledger.verified_at[at[i]])
    return causes


#: Changed parts of a table's code that a reason names.
_PARTS_NAMED = 3


def _said(parts: Sequence[str] | None) -> str:
    """What of a table's code is not as it was, e.g. `setting changed: horizons.splits.train_to`."""
    if parts is None:
        return "code changed: an earlier version of cbi, which kept no account of its code, built it"
    words = []
    for kind, of_kind in itertools.groupby(parts[:_PARTS_NAMED], key=lambda part: part.partition(" ")[0]):
        words.append(f"{kind} changed: {', '.join(part.partition(' ')[2] for part in of_kind)}")
    more = len(parts) - _PARTS_NAMED
    return "; ".join(words) + (f" and {more} more" if more > 0 else "")


def _changed_input(
    table: Table, partition: np.ndarray, ledgers: Mapping[str, Ledger], verified_at: np.datetime64
) -> _Cause:
    """Which input was written in the partition's window after the partition was last confirmed."""
    for read in table.reads:
        source = ledgers.get(read.source, NOTHING)
        starts, stops = _extent(table, read, partition, source.keys)
        later = np.flatnonzero(source.written_at[starts[0] : stops[0]] > verified_at) + starts[0]
        if len(later):
            return _Cause("inputs", read.source, source.keys[later[0]], source.keys[later[-1]])
    # The declared windows or inputs themselves changed.
    return _Cause("inputs", "the set of inputs")


def _ranges(table: Table, expected: np.ndarray, causes: Mapping[int, _Cause], ledger: Ledger) -> Iterator[StaleRange]:
    at = ledger.at(expected)
    mean = float(ledger.row_counts.mean()) if len(ledger.row_counts) else np.nan
    rows = np.where(at >= 0, ledger.row_counts[at] if len(ledger.keys) else 0, mean)
    group: list[int] = []
    for i in [*sorted(causes), -1]:
        cause = causes.get(i)
        if group and (cause is None or i != group[-1] + 1 or not _alike(cause, causes[group[-1]])):
            yield _range(table, expected, [causes[j] for j in group], rows, group)
            group = []
        group.append(i)


def _alike(one: _Cause, other: _Cause) -> bool:
    return one.kind == other.kind and one.source == other.source


def _range(
    table: Table, expected: np.ndarray, causes: Sequence[_Cause], rows: np.ndarray, group: Sequence[int]
) -> StaleRange:
    dates = [date for cause in causes for date in (cause.first, cause.last) if date is not None]
    estimate = float(rows[group].sum())
    whole = _Cause(causes[0].kind, causes[0].source, min(dates, default=None), max(dates, default=None))
    return StaleRange(
        first=table.partitioning.label(expected[group[0]]),
        last=table.partitioning.label(expected[group[-1]]),
        partitions=len(group),
        rows=None if np.isnan(estimate) else round(estimate),
        reason=whole.text,
        certain=whole.kind != "through",
    )
