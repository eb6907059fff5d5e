"""What a recipe would have given for a row, had its inputs been otherwise.

Recipes are pure functions of the frames that tables declare to read, so that a cause can be found by trying: with the
unknown filled in, the missing session put in or the history made longer, the value is there or is not. Nothing here
knows a column or a family by name. What is put in is made up, and only ever asked whether a value comes of it.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cbi_dagster.catalog import TABLES, Column, Read, Table, Type
from cbi_dagster.catalog.columns.sessions import QUALITIES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.partitioning import Daily
from cbi_dagster.config.universe import load_universe
from cbi_dagster.home import Platform
from cbi_dagster.market.sessions import CHICAGO
from cbi_dagster.recipes import TableOutput
from cbi_dagster.warehouse.plan import read_intervals
from cbi_dagster.warehouse.slices import ContractError, leaf_values, to_arrow

Frames = Mapping[str, pd.DataFrame]

#: Trade dates that a history since inception is made longer by, and the rows that may come of it at most.
_LONGER, _MOST_ROWS = 300, 200_000

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

    def __init__(self, platform: Platform, table: Table, key: Mapping[str, Any], day: np.datetime64) -> None:
        self.table, self.day = table, day
        self._key = dict(key)
        self.symbol: str | None = self._key.get("symbol")
        self._builder = platform.builder
        partition = table.partitioning.keys_of(np.array([day], "datetime64[D]"))
        self.sources: dict[str, Table] = {read.source: TABLES[read.source] for read in table.reads}
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
        try:
            made = self._builder.recipes[self.table.id](*frames.values())
            rows = to_arrow(self.table, made.rows if isinstance(made, TableOutput) else made)
        except (ValueError, ContractError, LookupError, pa.ArrowInvalid):
            return None
        at = np.ones(len(rows), bool)
        for name, value in self._key.items():
            at &= np.array([item == value for item in rows[name].to_pylist()], bool)
        if at.sum() != 1:
            return None
        own = rows.take(pa.array(np.flatnonzero(at)))
        return {path: leaf_values(own, path)[0].as_py() for path, _ in self.table.leaves()}

    def known(self, frames: Frames) -> frozenset[str]:
        """The paths that have a value of these inputs."""
        row = self.row(frames)
        return frozenset(path for path, value in (row or {}).items() if value is not None)

    # -- trials -------------------------------------------------------------------------------------------------------

    def fillings(self, paths: Collection[str]) -> Iterator[Trial]:
        """Each column of each input with its NULLs filled in: those of the row's date and symbol, else all of them.

        Columns that are called as one of the `paths` come first: most often they are handed on.
        """
        if not self.known({name: _known(frame, self.sources[name]) for name, frame in self.frames.items()}) & {*paths}:
            return  # with everything known they are NULL still
        alike = {path.replace(".", "_") for path in paths}
        unknown = [
            (name, column) for name, frame in self.frames.items() for column in frame.columns[frame.isna().any()]
        ]
        for name, column in sorted(unknown, key=lambda cell: cell[1] not in alike):
            table, frame = self.sources[name], self.frames[name]
            nulls = frame[column].isna().to_numpy()
            whole = _filled(frame, column, table)
            for which in (nulls & self._own(frame) & self._today(table, frame), nulls):
                if which.any():
                    # Cells that were not NULL stay: a column of another dtype may result, of the same values.
                    values = frame[column].astype(object).where(~which, whole.astype(object))
                    changed = frame.assign(**{column: values.astype(whole.dtype, errors="ignore")})
                    at = _days(table, frame)[which] if table.partitioning.column else ()
                    symbols = frame["symbol"].astype(object)[which] if "symbol" in frame else ()
                    yield Trial("filled", name, self._with(name, changed), column, tuple(at[-1:]), tuple(symbols[-1:]))

    def sessions(self) -> Iterator[Trial]:
        """Rows that a symbol of an input lacks on dates from its first to the row's, put in as its nearest are."""
        for name, table in self.sources.items():
            frame = self.frames[name]
            if not len(frame) or not isinstance(table.partitioning, Daily):
                continue
            days = _days(table, frame)
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
                        parts.append(_put_in(_known(frame[groups == symbol], table), table, gaps))
                    dates += list(gaps)
                    of += [symbol] * len(gaps)
                if dates:
                    last = max(dates)
                    names = tuple(symbol for symbol, day in zip(of, dates, strict=True) if symbol and day == last)
                    yield Trial("put_in", name, self._with(name, _stacked(parts)), "", (last,), names)

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
                    last = frame[_days(table, frame) == _days(table, frame).max()]
                    like = _known(frame[frame["symbol"] == last["symbol"].iloc[0]], table)
                    parts = [frame, *(like.assign(symbol=name) for name in absent)]
                    changed = self._with(read.source, _stacked(parts))
                    yield Trial("borrowed", read.source, changed, "", (), tuple(absent))

    def elsewhen(self) -> Iterator[Trial]:
        """Inputs of which there is nothing in the window, with the rows of other dates in their place."""
        for read in self.table.reads:
            table = self.sources.get(read.source)
            if table is None or len(self.frames[read.source]) or not table.partitioning.column:
                continue
            ledger = self._builder.warehouse.ledger_by_table({table.id}).get(table.id)
            filled = ledger.keys[ledger.row_counts > 0] if ledger is not None else np.empty(0, "datetime64[D]")
            if len(filled):
                key = _nearest(filled, self.day)
                names = list(self.frames[read.source].columns)
                rows = self._builder.warehouse.read(table, [table.partitioning.span(key)], names, read.symbols)
                there = to_frame(table, rows)
                moved = _made_up(there, table, _days(table, there).max(), self.day) if len(there) else there
                yield Trial("elsewhen", read.source, self._with(read.source, moved), "", (self.day,))

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
                frames[name] = _before(_alike(frames[name], table), table, reach)
        return Trial("longer", "", frames)

    def over(self, frames: Frames) -> Bench:
        """The same row on other inputs."""
        bench = copy.copy(self)
        bench.frames = frames
        return bench

    def mended(self) -> Frames:
        """All inputs with everything put in and filled in that the trials try one by one, and a longer history."""
        bench = self.over(self.longer().frames)
        for trials in (Bench.elsewhen, Bench.foreign, Bench.sessions):
            for trial in list(trials(bench)):
                bench.frames = {**bench.frames, trial.source: trial.frames[trial.source]}
        frames = {name: _known(frame, self.sources[name]) for name, frame in bench.frames.items()}
        whole = {"session_quality": QUALITIES[0]}
        return {name: f.assign(**whole) if "session_quality" in f else f for name, f in frames.items()}

    def sessions_there(self) -> int:
        """How many dates the row's symbol has in the inputs up to its own."""
        counts = [0]
        for name, table in self.sources.items():
            frame = self.frames[name]
            if isinstance(table.partitioning, Daily):
                days = _days(table, frame)[self._own(frame)]
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

    def columns_behind(self, path: str, value: Any) -> dict[str, list[str]]:
        """By source, the columns of inputs whose values matter to the row's."""
        found: dict[str, list[str]] = {}
        for name, table in self.sources.items():
            frame = self.frames[name]
            aside = {*table.key, table.partitioning.column, "root"}
            for column in frame.columns if len(frame) else ():
                other = None if column in aside else _disturbed(frame[column])
                if other is not None and not self._gives(
                    self._with(name, frame.assign(**{column: other})), path, value
                ):
                    found.setdefault(name, []).append(column)
        return found

    def symbols_behind(self, name: str, path: str, value: Any) -> list[str]:
        """The symbols of a source that the value is made of."""
        frame = self.frames[name]
        if "symbol" not in frame:
            return []
        there = list(dict.fromkeys(frame["symbol"].astype(object)))
        own = self.frames[name][self._own(frame)]
        if self.symbol in there and self._gives(self._with(name, own), path, value):
            return [self.symbol] if self.symbol else []
        without = {each: self._with(name, frame[frame["symbol"] != each]) for each in there}
        return [each for each in there if not self._gives(without[each], path, value)]

    def first_behind(self, name: str, path: str, value: Any) -> np.datetime64 | None:
        """The first date of a source without which the value would be another one."""
        table, frame = self.sources[name], self.frames[name]
        if not table.partitioning.column:
            return None
        days = _days(table, frame)
        dates = np.unique(days)
        low, high = 0, len(dates)
        while high - low > 1:
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
        on: np.ndarray = _days(table, frame) == self.day
        return on


def source_path(table: Table, column: str) -> str:
    """The path of a column of a frame: fields of STRUCTs have one name there."""
    return next((path for path, _ in table.leaves() if path.replace(".", "_") == column), column)


def _days(table: Table, frame: pd.DataFrame) -> np.ndarray:
    days: np.ndarray = frame[table.partitioning.column].to_numpy().astype("datetime64[D]")
    return days


def _nearest(days: np.ndarray, day: np.datetime64) -> np.datetime64:
    nearest: np.datetime64 = days[np.argmin(np.abs(days - day))]
    return nearest


def _stacked(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _shifted(rows: pd.DataFrame, table: Table, shifts: np.ndarray, times: np.ndarray | None = None) -> pd.DataFrame:
    """Rows with all dates and instants moved by days, and quantities `times` as large."""
    columns: dict[str, Any] = {}
    for name in rows.columns:
        column = _declared(table, name)
        if column.type is Type.DATE:
            columns[name] = rows[name] + pd.to_timedelta(shifts)
        elif column.type is Type.TIMESTAMP:  # by the exchange's clock, which a session keeps
            clock = rows[name].dt.tz_convert(CHICAGO).dt.tz_localize(None) + pd.to_timedelta(shifts)
            clock = clock.dt.tz_localize(CHICAGO, ambiguous=np.ones(len(clock), bool), nonexistent="shift_forward")
            columns[name] = clock.dt.tz_convert("UTC")
        elif times is not None and column.type is Type.FLOAT64 and column.unit not in ("", "ratio"):
            columns[name] = rows[name] * times
    shifted: pd.DataFrame = rows.assign(**columns)
    return shifted


def _made_up(frame: pd.DataFrame, table: Table, of: np.datetime64, to: np.datetime64) -> pd.DataFrame:
    """The rows of one date as if they were of another, with nothing unknown in them."""
    rows = _known(frame, table)[_days(table, frame) == of]
    return _shifted(rows, table, np.full(len(rows), to - of))


def _put_in(own: pd.DataFrame, table: Table, gaps: np.ndarray) -> pd.DataFrame:
    """Rows of one symbol for dates that it lacks, each date's as those of the nearest that it has."""
    days = _days(table, own)
    rows_of = {day: np.flatnonzero(days == day) for day in np.unique(days)}
    nearest = [rows_of[_nearest(days, day)] for day in gaps]
    at, to = np.concatenate(nearest), np.repeat(gaps, [len(rows) for rows in nearest])
    return _shifted(own.take(at), table, to - days[at])


def _known(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The frame with its NULLs filled in."""
    nulls = list(frame.columns[frame.isna().any()])
    known: pd.DataFrame = frame.assign(**{column: _filled(frame, column, table) for column in nulls})
    return known


def _alike(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The frame with all rows of a kind: what is text and no key says what the last row of the symbol says."""
    texts = [name for name in frame.columns if _declared(table, name).type is Type.STRING and name not in table.key]
    if "symbol" not in frame or not texts:
        return frame
    of = frame["symbol"].astype(object)
    alike: pd.DataFrame = frame.assign(**{n: frame[n].astype(object).groupby(of).transform("last") for n in texts})
    return alike


def _before(frame: pd.DataFrame, table: Table, trade_dates: int) -> pd.DataFrame:
    """The frame with made-up trade dates before its first: its own ones mirrored, in quantities that vary."""
    every = _days(table, frame)
    groups = frame.groupby(frame["symbol"].astype(object)).indices if "symbol" in frame else {"": np.arange(len(frame))}
    taken: list[np.ndarray] = []
    numbers: list[np.ndarray] = []
    for rows in groups.values():
        days, codes = np.unique(every[rows], return_inverse=True)
        # The first may be there in part, like the first hours of a delivery.
        of_day = [rows[codes == code] for code in range(len(days))][min(1, len(days) - 1) :]
        count = min(trade_dates, max(1, _MOST_ROWS * len(of_day) // len(frame)))
        for number, own in enumerate(itertools.islice(itertools.cycle([*of_day, *of_day[::-1]]), count), 1):
            taken.append(own)
            numbers.append(np.full(len(own), number))
    at, ago = np.concatenate(taken), np.concatenate(numbers)
    to = np.busday_offset(every.min(), -ago, roll="backward")
    wave = 1 + 0.02 * np.sin(ago * 0.9) + 0.01 * np.sin(ago * 0.13)
    made = _shifted(frame.take(at), table, (to - every[at]).astype("timedelta64[D]"), wave)
    order = np.argsort(to, kind="stable")
    return _stacked([made.take(order), frame])


def _declared(table: Table, name: str) -> Column:
    return dict(table.leaves()).get(source_path(table, name)) or table.column(name)


def _filled(frame: pd.DataFrame, name: str, table: Table) -> pd.Series:
    """A column without NULLs: what is known nearest of the symbol, of others, or what its declaration allows."""
    values = frame[name]
    if "symbol" in frame:
        values = values.groupby(frame["symbol"].astype(object)).transform(lambda own: own.ffill().bfill())
    values = values.ffill().bfill()
    column = _declared(table, name)
    if values.notna().all():
        return values
    if column.type is Type.STRING:
        return pd.Series((column.isin or ("x",))[0], index=frame.index, dtype=object)
    if column.type in (Type.DATE, Type.TIMESTAMP):
        at = frame[table.partitioning.column] if table.partitioning.column else pd.Timestamp(0)
        zoned = column.type is Type.TIMESTAMP
        return pd.to_datetime(pd.Series(at, index=frame.index), utc=zoned)
    number = 1.0 if column.le is None or column.le >= 1 else column.le
    kinds: dict[Type, Any] = {Type.BOOL: pd.Series(False, dtype="boolean", index=frame.index)}
    if column.type is Type.INT64:
        return pd.Series(int(number), dtype="Int64", index=frame.index)
    filled: pd.Series = kinds.get(column.type, pd.Series(number, index=frame.index))
    return filled


def _disturbed(values: pd.Series) -> pd.Series | None:
    """Other values in place of a column's, all a little and none alike; None where there is nothing to disturb."""
    steps = np.arange(len(values)) * 7919 % 13 + 1
    kind = values.dtype.kind if hasattr(values.dtype, "kind") else "O"
    if kind == "f":
        return values * (1 + steps / 1000)
    if kind in "iu":
        return values + steps
    return ~values if kind == "b" else None
