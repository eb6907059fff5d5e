"""What a recipe would have given for a row, had its inputs been otherwise.

Recipes are pure functions of the frames that tables declare to read, so that a cause can be found by trying: with the
unknown filled in, the missing session put in or the history made longer, the value is there or is not. Nothing here
knows a column or a family by name. What is put in is made up, and only ever asked whether a value comes of it.
"""

from __future__ import annotations

import copy
import datetime as dt
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from cbi_dagster.catalog import TABLES, Read, Table, Type
from cbi_dagster.catalog.columns.sessions import QUALITIES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.partitioning import Daily
from cbi_dagster.config.universe import load_universe
from cbi_dagster.home import Platform
from cbi_dagster.recipes import TableOutput
from cbi_dagster.reports.made_up import (
    all_of_a_kind,
    as_of_another_date,
    days_of,
    disturbed,
    filled,
    is_free_text,
    nearest,
    put_in,
    stacked,
    with_all_known,
    with_more_before,
)
from cbi_dagster.warehouse.plan import read_intervals
from cbi_dagster.warehouse.slices import ContractError, leaf_values, to_arrow

Frames = Mapping[str, pd.DataFrame]
_Item = TypeVar("_Item")

#: Trade dates that a history since inception is made longer by.
_LONGER = 300

#: Trade dates of a long history on which causes are looked for, where they tell the same NULLs as all of it.
_RECENT = 600

#: Trade dates on which it is first tried what a value is made of.
_FEW = 64

#: How long is tried which columns and dates matter one by one: of some models each trial is a training. Of the time of
#: this process, so that a busy machine gives no other answers.
_PATIENCE_S = 5.0

#: What two computations of one value may differ by, relatively.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Trial:
    """Inputs that were changed: what was done (`kind`) to which `source`, and the `frames` that came of it.

    `column`, `dates` and `symbols` say where: of `filled` cells, of rows that were `put_in`, or of `borrowed` symbols.
    `also_short`: the history was made longer besides.
    """

    kind: str
    source: str
    frames: Frames
    column: str = ""
    dates: tuple[np.datetime64, ...] = ()
    symbols: tuple[str, ...] = ()
    also_short: bool = False


class Bench:
    """One row of a table: the inputs of its partition, and what the recipe gives for it of any inputs."""

    def __init__(
        self,
        platform: Platform,
        table: Table,
        key: Mapping[str, Any],
        day: np.datetime64,
        tried: Callable[[], None] = lambda: None,
    ) -> None:
        """`tried` is called whenever the recipe is run."""
        self.table, self.day = table, day
        self._tried = tried
        self._patience_ends = math.inf
        self._nulls: frozenset[str] | None = None
        self._key = dict(key)
        self.symbol: str | None = self._key.get("symbol")
        self._builder = platform.builder
        partition = table.partitioning.keys_of(np.array([day], "datetime64[D]"))
        self.sources: dict[str, Table] = {read.source: TABLES[read.source] for read in table.reads}
        with self._builder.warehouse.shared_connection():
            self.frames: Frames = {read.source: self._read(read, partition) for read in table.reads}

    def _read(self, read: Read, partition: np.ndarray) -> pd.DataFrame:
        """An input as a build reads it, and the date that its rows are known by."""
        source = TABLES[read.source]
        columns = [*read.columns] if read.columns else [column.name for column in source.columns]
        if source.partitioning.column and source.partitioning.column not in columns:
            columns.append(source.partitioning.column)
        intervals = read_intervals(self.table, read, partition)
        return to_frame(source, self._builder.warehouse.read(source, intervals, columns, read.symbols))

    def row(self, frames: Frames) -> dict[str, Any] | None:
        """Values by path that the recipe gives for the row; None where it makes no such row of these inputs.

        Inputs that are made up may be of a kind that the function refuses: it makes nothing of them.
        """
        self._tried()
        try:
            made = self._builder.recipes[self.table.id](*frames.values())
            rows = made.rows if isinstance(made, TableOutput) else made
            meant = self._meant(rows)
            own = to_arrow(self.table, rows.filter(meant) if isinstance(rows, pa.Table) else rows[meant])
        except (ValueError, ContractError, LookupError, pa.ArrowInvalid):
            return None
        if len(own) != 1:
            return None
        return {path: leaf_values(own, path)[0].as_py() for path, _ in self.table.leaves()}

    def _meant(self, rows: pd.DataFrame | pa.Table) -> np.ndarray:
        """Which rows have the key of the row."""
        at = np.ones(len(rows), bool)
        for name, value in self._key.items():
            values = rows[name].to_pandas() if isinstance(rows, pa.Table) else rows[name]
            if isinstance(value, dt.date):
                values, value = pd.to_datetime(values), pd.Timestamp(value)
            at &= (values == value).to_numpy(bool, na_value=False)
        return at

    @property
    def nulls(self) -> frozenset[str]:
        """The paths that are NULL of the inputs as they are."""
        if self._nulls is None:
            row = self.row(self.frames)
            self._nulls = frozenset(path for path, value in (row or {}).items() if value is None)
        return self._nulls

    def known(self, frames: Frames) -> frozenset[str]:
        """The paths that have a value of these inputs."""
        row = self.row(frames)
        return frozenset(path for path, value in (row or {}).items() if value is not None)

    # -- trials -------------------------------------------------------------------------------------------------------

    def fillings(self, paths: Collection[str]) -> Iterator[Trial]:
        """Each column of each input with its NULLs filled in: those of the row's date and symbol, else all of them.

        Columns that are called as one of the `paths` come first: most often they are handed on.
        """
        row = self.row({name: with_all_known(frame, self.sources[name]) for name, frame in self.frames.items()})
        if row is not None and all(row[path] is None for path in paths):
            return  # with everything known they are NULL still
        alike = {path.replace(".", "_") for path in paths}
        unknown = [
            (name, column) for name, frame in self.frames.items() for column in frame.columns[frame.isna().any()]
        ]
        for name, column in sorted(unknown, key=lambda cell: cell[1] not in alike):
            table, frame = self.sources[name], self.frames[name]
            nulls = frame[column].isna().to_numpy()
            whole = filled(frame, column, table)
            for which in (nulls & self._own(frame) & self._today(table, frame), nulls):
                if which.any():
                    # Cells that were not NULL stay: a column of another dtype may result, of the same values.
                    values = frame[column].astype(object).where(~which, whole.astype(object))
                    changed = frame.assign(**{column: values.astype(whole.dtype, errors="ignore")})
                    at = days_of(table, frame)[which] if table.partitioning.column else ()
                    symbols = frame["symbol"].astype(object)[which] if "symbol" in frame else ()
                    yield Trial("filled", name, self._with(name, changed), column, tuple(at[-1:]), tuple(symbols[-1:]))

    def sessions(self) -> Iterator[Trial]:
        """Rows that a symbol of an input lacks on dates from its first to the row's, put in as its nearest are."""
        for name, table in self.sources.items():
            frame = self.frames[name]
            if not len(frame) or not isinstance(table.partitioning, Daily):
                continue
            days = days_of(table, frame)
            every = table.partitioning.keys_between(days.min(), max(self.day, days.min()))
            groups = frame["symbol"].astype(object).to_numpy() if "symbol" in frame else np.full(len(frame), "")
            lacking = {
                symbol: np.setdiff1d(every[every > days[groups == symbol].min()], days[groups == symbol])
                for symbol in dict.fromkeys([self.symbol or "", *np.unique(groups.astype(str))])
                if (groups == symbol).any()
            }
            for wanted in ("date", "all"):
                parts, dates, of = [frame], [], []
                for symbol, gaps in lacking.items():
                    gaps = gaps[gaps == self.day] if wanted == "date" else gaps
                    if len(gaps):
                        parts.append(put_in(with_all_known(frame[groups == symbol], table), table, gaps))
                    dates += list(gaps)
                    of += [symbol] * len(gaps)
                if dates:
                    last = max(dates)
                    names = tuple(symbol for symbol, day in zip(of, dates, strict=True) if symbol and day == last)
                    yield Trial("put_in", name, self._with(name, stacked(parts)), "", (last,), names)

    def foreign(self) -> Iterator[Trial]:
        """Symbols of which an input has nothing at all, put in as another one is: the row's own, then all others."""
        for read in self.table.reads:
            table, frame = self.sources.get(read.source), self.frames[read.source]
            if table is None or "symbol" not in frame or not len(frame):
                continue
            there = set(frame["symbol"].astype(object))
            own = [self.symbol] if self.symbol and (not read.symbols or self.symbol in read.symbols) else []
            for wanted in (own, list(read.symbols or load_universe().roots)):
                absent = [name for name in wanted if name not in there]
                if absent:
                    last = frame[days_of(table, frame) == days_of(table, frame).max()]
                    like = with_all_known(frame[frame["symbol"] == last["symbol"].iloc[0]], table)
                    parts = [frame, *(like.assign(symbol=name) for name in absent)]
                    changed = self._with(read.source, stacked(parts))
                    yield Trial("borrowed", read.source, changed, "", (), tuple(absent))

    def elsewhen(self) -> Iterator[Trial]:
        """Inputs of which there is nothing in the window, with the rows of other dates in their place."""
        for read in self.table.reads:
            table = self.sources.get(read.source)
            if table is None or len(self.frames[read.source]) or not table.partitioning.column:
                continue
            ledger = self._builder.warehouse.ledger_by_table({table.id}).get(table.id)
            there = ledger.keys[ledger.row_counts > 0] if ledger is not None else np.empty(0, "datetime64[D]")
            if len(there):
                key = nearest(there, self.day)
                names = list(self.frames[read.source].columns)
                rows = self._builder.warehouse.read(table, [table.partitioning.span(key)], names, read.symbols)
                found = to_frame(table, rows)
                moved = as_of_another_date(found, table, days_of(table, found).max(), self.day) if len(found) else found
                yield Trial("elsewhen", read.source, self._with(read.source, moved), "", (self.day,), read.symbols)

    def of_kinds(self) -> Iterator[Trial]:
        """Rows of every kind that a column of an input may say, put in as the row's others are.

        Kinds are what a column of text is declared to say, and what the key of the row says. Where the kind is no part
        of an input's key, the last row of the date is taken for one of that kind.
        """
        stated = {name: value for name, value in self._key.items() if isinstance(value, str) and name != "symbol"}
        symbols = (self.symbol,) if self.symbol else ()
        for name, table in self.sources.items():
            frame = self.frames[name]
            own = self._own(frame)
            for column in (item for item in table.columns if item.name in frame and item.type is Type.STRING):
                kind, in_key = column.name, column.name in table.key
                values = {*(column.isin or ()), *stated.values()} if in_key else {stated.get(kind)} - {None}
                like = own if own.any() else np.ones(len(frame), bool)
                for other in stated.keys() - {kind} if not in_key else ():
                    like = like & (frame[other] == stated[other]).to_numpy(bool) if other in frame else like
                at = np.flatnonzero(like if in_key else like & self._today(table, frame))
                at = at if in_key else at[-1:]
                for value in sorted(values, key=str) if kind not in ("symbol", "root") and len(at) else ():
                    of_kind = with_all_known(frame, table).iloc[at].assign(**{kind: value})
                    rest = frame if in_key else frame.drop(index=frame.index[at])
                    rows = stacked([rest, of_kind])
                    rows = rows.drop_duplicates([part for part in table.key if part in rows]) if in_key else rows
                    yield Trial("of_kind", name, self._with(name, rows), f"{kind} {value}", (), symbols)

    def judged_complete(self) -> Iterator[Trial]:
        """Sessions that are there in part taken for complete ones."""
        for name in self.sources:
            if "session_quality" in self.frames[name]:
                changed = self.frames[name].assign(session_quality=QUALITIES[0])
                yield Trial("judged", name, self._with(name, changed))

    def longer(self, trade_dates: int | None = None) -> Trial:
        """All inputs with so many made-up trade dates before their first (None: what windows reach, or many)."""
        windows = [read.back if isinstance(read.back, int) else _LONGER for read in self.table.reads]
        reach = max(windows, default=0) if trade_dates is None else trade_dates
        frames = dict(self.frames)
        for name, table in self.sources.items():
            if reach and len(frames[name]) and isinstance(table.partitioning, Daily):
                frames[name] = with_more_before(all_of_a_kind(frames[name], table), table, reach)
        return Trial("longer", "", frames)

    def recent(self) -> Bench | None:
        """The same row on the last trade dates of its inputs; None where they are no fewer or tell other NULLs."""
        since = np.busday_offset(self.day, -_RECENT, roll="backward")
        frames = self._since(since)
        if sum(map(len, frames.values())) > 0.7 * sum(map(len, self.frames.values())):
            return None
        found = self.over(frames)
        return found if found.nulls == self.nulls and self.nulls else None

    def _since(self, first: np.datetime64) -> Frames:
        """The inputs from a date on."""
        return {
            name: frame[days_of(table, frame) >= first].reset_index(drop=True)
            if table.partitioning.column and len(frame)
            else frame
            for (name, frame), table in zip(self.frames.items(), self.sources.values(), strict=True)
        }

    def over(self, frames: Frames) -> Bench:
        """The same row on other inputs."""
        bench = copy.copy(self)
        bench.frames, bench._nulls = frames, None
        return bench

    def mended(self) -> Frames:
        """All inputs with everything put in and filled in that the trials try one by one, and a longer history."""
        bench = self.over(self.longer().frames)
        for trials in (Bench.elsewhen, Bench.foreign, Bench.sessions):
            for trial in list(trials(bench)):
                bench.frames = {**bench.frames, trial.source: trial.frames[trial.source]}
        frames = {name: with_all_known(frame, self.sources[name]) for name, frame in bench.frames.items()}
        whole = {"session_quality": QUALITIES[0]}
        return {name: f.assign(**whole) if "session_quality" in f else f for name, f in frames.items()}

    def sessions_there(self) -> int:
        """How many dates the row's symbol has in the inputs up to its own."""
        counts = [0]
        for name, table in self.sources.items():
            frame = self.frames[name]
            if isinstance(table.partitioning, Daily):
                days = days_of(table, frame)[self._own(frame)]
                counts.append(len(np.unique(days[days <= self.day])))
        return max(counts)

    def needed(self, path: str) -> int:
        """The fewest trade dates by which all inputs must be longer for the path to have a value.

        That it has one with the longest is the caller's knowledge.
        """
        low, high = 0, 1
        while path not in self.known(self.longer(high).frames):
            low, high = high, high * 2
            if high > 2 * _LONGER:
                return high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if path in self.known(self.longer(middle).frames) else (middle, high)
        return high

    # -- what a value is made of --------------------------------------------------------------------------------------

    def patient(self) -> bool:
        """Whether there is time to try one by one what a value is made of."""
        return time.process_time() < self._patience_ends

    def narrowed(self, path: str, value: Any) -> Bench:
        """The same row on inputs of few symbols and dates that give the value as well, with patience for some time."""
        self._patience_ends = time.process_time() + _PATIENCE_S
        frames: Frames = {name: frame[self._own(frame)].reset_index(drop=True) for name, frame in self.frames.items()}
        bench = self.over(frames) if self._gives(frames, path, value) else self
        dates, longest = _FEW, max((len(frame) for frame in bench.frames.values()), default=0)
        while dates < longest and self.patient():
            frames = bench._since(np.busday_offset(self.day, -dates, roll="backward"))
            if self._gives(frames, path, value):
                return bench.over(frames)
            dates *= 4
        return bench

    def columns_behind(self, path: str, value: Any) -> dict[str, list[str]]:
        """By source, the columns of inputs whose values matter to the row's: text if nothing else of the source does.

        Once there is no patience left those that matter together are not taken apart.
        """
        others, texts = {}, {}
        for name, table in self.sources.items():
            frame = self.frames[name]
            aside = {*table.key, table.partitioning.column, "root"}
            for column in frame.columns if len(frame) else ():
                other = None if column in aside else disturbed(frame[column])
                if other is not None:
                    others[name, column] = other
                elif column not in aside and is_free_text(table, column):
                    texts[name, column] = "x" + frame[column].astype(object)

        def matters(cells: Sequence[tuple[str, str]]) -> bool:
            columns: dict[str, dict[str, pd.Series]] = {}
            for name, column in cells:
                columns.setdefault(name, {})[column] = others[name, column]
            changed = {name: self.frames[name].assign(**own) for name, own in columns.items()}
            return not self._gives({**self.frames, **changed}, path, value)

        found: dict[str, list[str]] = {}
        for name, column in _those_that(list(others), matters, self.patient):
            found.setdefault(name, []).append(column)
        # A function may refuse strange text that the value is not made of.
        others |= texts
        for source in dict.fromkeys(name for name, _ in texts if name not in found):
            if not self._gives(self._with(source, self.frames[source].iloc[:0]), path, value):
                own = [cell for cell in texts if cell[0] == source]
                if columns := [column for _, column in _those_that(own, matters, self.patient)]:
                    found[source] = columns
        return found

    def symbols_behind(self, name: str, path: str, value: Any) -> list[str]:
        """The symbols of a source that the value is made of."""
        frame = self.frames[name]
        if "symbol" not in frame:
            return []
        of = frame["symbol"].astype(object)
        there = list(dict.fromkeys(of))
        own = self._own(frame)
        if self.symbol in there and (own.all() or self._gives(self._with(name, frame[own]), path, value)):
            return [self.symbol] if self.symbol else []

        def matter(symbols: Sequence[str]) -> bool:
            return not self._gives(self._with(name, frame[~of.isin(symbols)]), path, value)

        return _those_that(there, matter, self.patient)

    def first_behind(self, name: str, path: str, value: Any) -> np.datetime64 | None:
        """The first date of a source without which the value would be another one; one before it without patience."""
        table, frame = self.sources[name], self.frames[name]
        if not table.partitioning.column:
            return None
        days = days_of(table, frame)
        dates = np.unique(days)
        low, high = 0, len(dates)
        while high - low > 1 and self.patient():
            middle = (low + high) // 2
            same = self._gives(self._with(name, frame[days >= dates[middle]]), path, value)
            low, high = (middle, high) if same else (low, middle)
        first: np.datetime64 = dates[low]
        return first

    def _gives(self, frames: Frames, path: str, value: Any) -> bool:
        """Whether inputs give the value, but for what running sums round."""
        given = (self.row(frames) or {}).get(path)
        if isinstance(value, float) and isinstance(given, float):
            return math.isclose(given, value, rel_tol=_ROUNDING)
        return bool(given == value)

    def _with(self, name: str, frame: pd.DataFrame) -> Frames:
        return {**self.frames, name: frame.reset_index(drop=True)}

    def _own(self, frame: pd.DataFrame) -> np.ndarray:
        if self.symbol is None or "symbol" not in frame:
            return np.ones(len(frame), bool)
        vendor = load_universe().product(self.symbol).continuous_symbol if self.symbol in load_universe().roots else ""
        own: np.ndarray = frame["symbol"].isin([self.symbol, vendor]).to_numpy()
        return own

    def _today(self, table: Table, frame: pd.DataFrame) -> np.ndarray:
        if not table.partitioning.column:
            return np.ones(len(frame), bool)
        on: np.ndarray = days_of(table, frame) == self.day
        return on


def _those_that(
    items: Sequence[_Item], matter: Callable[[Sequence[_Item]], bool], patient: Callable[[], bool]
) -> list[_Item]:
    """The items that matter by themselves, found by halves: where a half does not matter none of it is tried.

    Halves that matter are taken as they are once nobody is `patient`.
    """
    if not items or not matter(items):
        return []
    if len(items) == 1 or not patient():
        return list(items)
    middle = len(items) // 2
    return [*_those_that(items[:middle], matter, patient), *_those_that(items[middle:], matter, patient)]
