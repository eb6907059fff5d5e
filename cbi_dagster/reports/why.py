"""Why a value is what it is: what it means, what it was made of down to vendor files, and for NULL the reason.

The reason is found by trying (`experiments`) what would have given a value: what is unknown filled in, sessions put in,
a longer history. What answers is the cause; an unknown input is asked in its turn, down to the root. What no trial
answers is NULL by the column's own rule, where its meaning has one.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from cbi_dagster.catalog import LANDING_SOURCES, TABLES, Column, Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables import ops
from cbi_dagster.config.universe import load_universe
from cbi_dagster.home import Platform
from cbi_dagster.reports.absence import Reason, left_out, why_absent
from cbi_dagster.reports.experiments import Bench, Trial
from cbi_dagster.reports.features import formula_files
from cbi_dagster.reports.made_up import source_path
from cbi_dagster.reports.rows import rows_of, symbols_of
from cbi_dagster.warehouse.slices import leaf_values

#: What the reason of a NULL can be, and what each means.
NULLS = {
    "upstream_null": "an input is NULL, for a reason of its own",
    "no_session": "an input has no row of a market on a date, for a reason of its own",
    "no_such_row": "an input has no row of a kind that the column is made of",
    "not_of_symbol": "what the column is made of does not exist for the symbol",
    "warm_up": "the history is shorter than the column needs",
    "cut_session": "a session is there in part",
    "nothing_known": "an input has nothing in the window, for a reason of its own",
    "several": "more than one of these together",
    "not_in_universe": "an input is read for a market that the platform does not cover",
    "by_rule": "the column is NULL by its own meaning",
    "not_delivered": "the files that the row is of do not say it",
    "unexplained": "the function gave NULL, and no trial says why",
}


class NoSuchRowError(LookupError):
    """There is no row to ask about, or more than one; `choices` are the keys of those that there are."""

    def __init__(self, choices: list[dict[str, str]]) -> None:
        super().__init__("no such row" if not choices else "several rows")
        self.choices = choices


@dataclass(frozen=True)
class Input:
    """What a value was made of, of one table: which columns and symbols matter, in which of the rows that were read."""

    source: Table
    columns: tuple[str, ...]
    symbols: tuple[str, ...]
    first: str
    last: str
    rows: int
    of_date: str
    """The values of these columns on the row's own date."""


@dataclass(frozen=True)
class FileRows:
    """Rows of a landed file that a trade date's bars came from, with what a later delivery changed of them."""

    source: str
    file: str
    file_hash: str
    first_row: int
    last_row: int
    rows: int
    corrections: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """`value` of a column in the row of `key`. `reasons`: of a NULL, from the column to the root, else none.

    `inputs`: what the value was made of; not `apart`: in the time that there is no more was found out than that it was
    made of some of that together. `files`: the landed rows of the row's own date behind it all; `left_out`: what was
    held back or rejected of that date.
    """

    table: Table
    path: str
    column: Column
    key: Mapping[str, Any]
    value: Any
    formulas: tuple[str, ...]
    reasons: tuple[Reason, ...] = ()
    inputs: tuple[Input, ...] = ()
    files: tuple[FileRows, ...] = field(default=())
    apart: bool = True
    left_out: tuple[Reason, ...] = ()


def why(
    platform: Platform,
    table: Table,
    path: str,
    date: dt.date,
    key: Mapping[str, str],
    tried: Callable[[], None] = lambda: None,
) -> Answer:
    """What is known of a value. `path` as in `Table.leaves`; `key`: values of key columns as text, `symbol` among them.

    `tried` is called whenever something was tried.
    Raises KeyError for a path that the table does not have, NoSuchRowError where not exactly one row is meant.
    """
    column = dict(table.leaves())[path]
    own, value = _row(platform, table, path, date, key)
    day = np.datetime64(date, "D")
    landed = not table.reads or table.reads[0].source in LANDING_SOURCES
    bench = None if landed else Bench(platform, table, own, day, tried)
    reasons = tuple(_Nulls(platform, tried).reasons(table, path, own, day, bench)) if value is None else ()
    narrowed = None if bench is None or value is None else bench.narrowed(path, value)
    inputs = () if narrowed is None else tuple(_inputs(narrowed, path, value))
    symbols = {symbol for item in inputs for symbol in item.symbols} or {str(own.get("symbol", ""))} - {""}
    with platform.builder.warehouse.shared_connection():
        files = tuple(_files(platform, table, day, symbols))
    apart = narrowed is None or narrowed.patient()
    named = {name for symbol in symbols for name in symbols_of(symbol, load_universe())}
    missing = tuple(left_out(platform, table, date, named))
    return Answer(table, path, column, own, value, tuple(formula_files(table)), reasons, inputs, files, apart, missing)


def null_reasons(platform: Platform, table: Table, own: Mapping[str, Any], day: np.datetime64) -> dict[str, Reason]:
    """The first reason of every column that is NULL in a row, by path."""
    return _Nulls(platform).of_row(table, own, day)


def _row(
    platform: Platform, table: Table, path: str, date: dt.date, key: Mapping[str, str]
) -> tuple[dict[str, Any], Any]:
    """The key and the value of the one row that is meant."""
    day = np.datetime64(date, "D")
    interval = [(day, day)] if table.partitioning.column else None
    rows = platform.builder.warehouse.read(table, interval)
    names = [name for name in table.key if name != table.partitioning.column]
    chosen = np.ones(len(rows), bool)
    for name, text in key.items():
        wanted = symbols_of(text, load_universe()) if name == "symbol" else [text]
        chosen &= np.array([_same(value, wanted) for value in rows[name].to_pylist()], bool)
    found = rows.filter(chosen)
    if len(found) != 1:
        told = found.select(names).to_pylist()
        raise NoSuchRowError([{name: str(value) for name, value in item.items()} for item in told])
    return found.select(table.key).to_pylist()[0], leaf_values(found, path)[0].as_py()


def _same(value: Any, wanted: Collection[str]) -> bool:
    """Whether a value of a key is one of those wanted, which are text."""
    if isinstance(value, dt.datetime):
        stamps = (pd.Timestamp(text) for text in wanted)
        return any(pd.Timestamp(value) == (t.tz_localize("UTC") if t.tz is None else t) for t in stamps)
    return str(value) in wanted


class _Nulls:
    """The reasons of NULLs."""

    def __init__(self, platform: Platform, tried: Callable[[], None] = lambda: None) -> None:
        self._platform, self._tried = platform, tried

    def reasons(
        self, table: Table, path: str, key: Mapping[str, Any], day: np.datetime64, bench: Bench | None
    ) -> Iterator[Reason]:
        """From the column down to the root."""
        if bench is None:
            yield _by_rule(table, path) or Reason("not_delivered", f"the landed files do not say it ({table.id})")
            return
        trial = self._answering(bench, {path}).get(path)
        if trial is None:
            yield self._rest(bench, path)
            return
        yield self._warm_up(bench, path) if trial.kind == "longer" else self._told(bench, trial)
        if trial.kind == "filled":
            yield from self._of_cell(bench, trial)
        elif trial.kind in ("put_in", "borrowed", "elsewhen"):
            at = trial.dates[-1] if trial.dates else day
            symbol = trial.symbols[0] if trial.symbols else None
            yield from why_absent(self._platform, TABLES[trial.source], _date(at), symbol)

    def of_row(self, table: Table, key: Mapping[str, Any], day: np.datetime64) -> dict[str, Reason]:
        """The first reason of every NULL of the row."""
        bench = Bench(self._platform, table, key, day)
        found = self._answering(bench, bench.nulls)
        reasons = {path: self._told(bench, trial) for path, trial in found.items()}
        return {path: reasons.get(path) or self._rest(bench, path) for path in bench.nulls}

    def _answering(self, bench: Bench, paths: Collection[str]) -> dict[str, Trial]:
        """For each of the paths the first trial that gives it a value."""
        found: dict[str, Trial] = {}
        by_rule = {path for path in paths if _by_rule(bench.table, path, bench.nulls) is not None}
        recent = bench.recent()
        if recent is not None:
            self._try(recent, itertools.chain(recent.fillings(paths), recent.judged_complete()), paths, found)
            self._try(bench, iter([bench.longer()]), {*paths} - found.keys(), found)
            self._try(recent, self._rows_put_in(recent), {*paths} - found.keys(), found)
            paths = {*paths} - by_rule - found.keys()
        for trials in (self._singly, self._together):
            self._try(bench, trials(bench, paths), paths, found, by_rule)
        return found

    def _try(
        self,
        bench: Bench,
        trials: Iterator[Trial],
        paths: Collection[str],
        found: dict[str, Trial],
        by_rule: Collection[str] = (),
    ) -> None:
        """Add to `found` what trials answer, until all of the paths have one."""
        while left := {*paths} - found.keys():
            trial = next(trials, None)
            if trial is None:
                return
            # What the meaning of a column says of NULL comes before causes of which it takes several.
            if (trial.also_short and trial.kind != "of_kind") or trial.kind == "several":
                left -= {*by_rule}
            if not left:
                continue
            found |= dict.fromkeys(left & bench.known(trial.frames), trial)

    def _singly(self, bench: Bench, paths: Collection[str]) -> Iterator[Trial]:
        """What is tried by itself, the likeliest and nearest cause first."""
        yield from bench.fillings(paths)
        yield from bench.judged_complete()
        yield bench.longer()
        yield from self._rows_put_in(bench)

    def _together(self, bench: Bench, paths: Collection[str]) -> Iterator[Trial]:
        """The same with a longer history, and last all of it together."""
        over = bench.over(bench.longer().frames)
        for trial in itertools.chain(over.fillings(paths), self._rows_put_in(over)):
            yield replace(trial, also_short=True)
        yield Trial("several", "", bench.mended())

    def _rows_put_in(self, bench: Bench) -> Iterator[Trial]:
        yield from bench.sessions()
        yield from bench.foreign()
        yield from bench.elsewhen()
        yield from bench.of_kinds()

    def _told(self, bench: Bench, trial: Trial) -> Reason:
        """A trial that gave a value, as a reason."""
        told = self._of_trial(bench, trial)
        return replace(told, text=f"{told.text}; the history is short besides") if trial.also_short else told

    def _of_trial(self, bench: Bench, trial: Trial) -> Reason:
        on = f" on {trial.dates[-1]}" if trial.dates else ""
        whose = f" of {', '.join(trial.symbols)}" if trial.symbols else ""
        if trial.kind == "filled":
            return Reason(
                "upstream_null",
                f"{source_path(TABLES[trial.source], trial.column)}{whose} is NULL in {trial.source}{on}",
            )
        if trial.kind == "longer":
            return Reason("warm_up", "the history before the row is shorter than the column needs")
        if trial.kind == "judged":
            return Reason(
                "cut_session", f"{trial.source} holds a session in part (session_quality), and it would count whole"
            )
        if trial.kind == "put_in":
            return Reason("no_session", f"{trial.source} has no row{whose}{on}")
        if trial.kind == "borrowed":
            own = trial.symbols == (bench.symbol,)
            return Reason("not_of_symbol" if own else "no_session", f"{trial.source} has nothing{whose} in the window")
        if trial.kind == "of_kind":
            return Reason(
                "no_such_row", f"no row{whose} in {trial.source} counts for it in which {trial.column} stands"
            )
        if trial.kind == "elsewhen":
            return Reason("nothing_known", f"{trial.source} has nothing in the window that is read for {bench.day}")
        return Reason("several", "several inputs lack something, or the history is too short for them together")

    def _warm_up(self, bench: Bench, path: str) -> Reason:
        """How many sessions there are, and how many would do."""
        lacking = bench.needed(path)
        there = bench.sessions_there()
        return Reason(
            "warm_up", f"{there:,} of {there + lacking:,} sessions: {lacking:,} more before the first would do"
        )

    def _rest(self, bench: Bench, path: str) -> Reason:
        """Of what no trial gave a value."""
        rule = _by_rule(bench.table, path, bench.nulls)
        handed_on = path.replace(".", "_")
        for read in sorted(bench.table.reads, key=lambda read: handed_on not in bench.frames[read.source]):
            frame = bench.frames[read.source]
            # What an input would hand on is unknown for want of it, whatever else its NULLs mean.
            if frame.empty and (rule is None or handed_on in frame):
                symbol = read.symbols[0] if len(read.symbols) == 1 else None
                because = why_absent(self._platform, TABLES[read.source], _date(bench.day), symbol)[-1]
                told = f"{read.source} has nothing in the window ({because.kind}: {because.text})"
                return Reason("nothing_known", told)
        if rule is not None:
            return rule
        covered = set(load_universe().roots) | {product.continuous_symbol for product in load_universe().products}
        for read in bench.table.reads:
            if strangers := [name for name in read.symbols if name not in covered]:
                told = f"nothing that was tried gives a value; {read.source} is read for {', '.join(strangers)} too"
                return Reason("not_in_universe", f"{told}, which the universe does not have")
        return Reason("unexplained", "the function gave NULL; nothing that was tried gives it a value")

    def _of_cell(self, bench: Bench, trial: Trial) -> Iterator[Reason]:
        """The reasons of the input that is NULL itself."""
        source = TABLES[trial.source]
        rows = rows_of(self._platform.builder.warehouse, source, _date(trial.dates[-1] if trial.dates else bench.day))
        if trial.symbols:
            rows = rows[rows["symbol"] == trial.symbols[-1]]
        rows = rows[rows[trial.column].isna()] if trial.column in rows else rows.iloc[:0]
        if rows.empty:
            return
        last = rows.iloc[-1]
        path, day = source_path(source, trial.column), trial.dates[-1] if trial.dates else bench.day
        data = self._platform.builder.warehouse.read(source, [(day, day)] if source.partitioning.column else None)
        keys = data.select(source.key).to_pylist()
        key = next(key for key in keys if all(_equal(key[name], last[name]) for name in source.key))
        landed = source.reads and source.reads[0].source in LANDING_SOURCES
        below = None if landed or not source.reads else Bench(self._platform, source, key, day, self._tried)
        yield from self.reasons(source, path, key, day, below)


def _equal(value: Any, other: Any) -> bool:
    if isinstance(value, dt.datetime | dt.date):
        one, two = pd.Timestamp(value), pd.Timestamp(other)
        return one.tz_localize(None) == two.tz_localize(None) if one.tz is None else one == two
    return bool(value == other)


def _date(day: np.datetime64) -> dt.date:
    return dt.date.fromisoformat(str(day))


def _by_rule(table: Table, path: str, nulls: Collection[str] = ()) -> Reason | None:
    """What the meaning of a column says of NULL, its own or that of such of the `nulls` as its meaning names."""
    leaves = dict(table.leaves())
    group = path.rpartition(".")[0]
    queue, asked = [path], set()
    while queue:
        name = queue.pop(0)
        asked.add(name)
        description = leaves[name].description
        clauses = [part.strip() for part in re.split(r"[;.](?:\s|$)", description) if re.search(r"\bNULL\b", part)]
        if clauses:
            of = "" if name == path else f"{name}: "
            return Reason("by_rule", f"{of}{'; '.join(clauses)}")
        words = re.findall(r"\w+", description)
        named = [f"{group}.{word}" if group else word for word in words]
        queue += [each for each in dict.fromkeys(named) if each in {*nulls} & leaves.keys() - {*asked, *queue}]
    of_group = next((c.description for c in table.columns if group and c.name == group), "")
    if clauses := [part.strip() for part in re.split(r"[;.](?:\s|$)", of_group) if re.search(r"\bNULL\b", part)]:
        return Reason("by_rule", f"{group}: {'; '.join(clauses)}")
    return None


def _inputs(bench: Bench, path: str, value: Any) -> Iterator[Input]:
    """What a value was made of, per table."""
    for name, columns in bench.columns_behind(path, value).items():
        source, frame = bench.sources[name], bench.frames[name]
        symbols = bench.symbols_behind(name, path, value)
        own = frame[frame["symbol"].isin(symbols)] if symbols else frame
        column = source.partitioning.column
        first = bench.first_behind(name, path, value)
        used = own if first is None else own[own[column].to_numpy().astype("datetime64[D]") >= first]
        last = "" if first is None else str(used[column].to_numpy().astype("datetime64[D]").max())
        today = used if first is None else used[used[column].to_numpy().astype("datetime64[D]") == bench.day]
        told = [
            (f"{row['symbol']} " if "symbol" in row else "")
            + ", ".join(f"{source_path(source, item)} {row[item]}" for item in columns)
            for _, row in today.tail(_SHOWN).iterrows()
        ]
        span = (str(first) if first is not None else "", last)
        yield Input(source, tuple(columns), tuple(symbols), *span, len(used), "; ".join(told))


#: Rows of an input that are shown of a date.
_SHOWN = 8


def _files(platform: Platform, table: Table, day: np.datetime64, symbols: Collection[str]) -> Iterator[FileRows]:
    """The landed rows of a date that tables behind a table were made of, of these symbols."""
    warehouse = platform.builder.warehouse
    universe = load_universe()
    named = sorted({name for symbol in symbols for name in symbols_of(symbol, universe)})
    landed = to_frame(ops.LANDED_FILES, warehouse.read(ops.LANDED_FILES)).sort_values("landing_sequence")
    hashes = dict(zip(landed["source_file"], landed["file_hash"], strict=True))
    corrections = to_frame(ops.CORRECTIONS, warehouse.read(ops.CORRECTIONS))
    corrections = corrections[corrections["date"] == pd.Timestamp(str(day))]
    if named:
        corrections = corrections[corrections["symbol"].isin(named)]
    for source in _landed_tables(table):
        if not {"source_file", "source_row"} <= {column.name for column in source.columns}:
            continue
        chosen = named if any(column.name == "symbol" for column in source.columns) else ()
        rows = to_frame(source, warehouse.read(source, [(day, day)], symbols=chosen))
        for file, own in rows.groupby("source_file", observed=True):
            at = own["source_row"].astype(int)
            told = tuple(_corrected(item) for _, item in corrections.iterrows())
            yield FileRows(source.id, str(file), hashes.get(file, ""), at.min(), at.max(), len(own), told)


def _corrected(row: pd.Series) -> str:
    """One correction in words."""
    parts = [
        f"{name.removeprefix('old_')} {row[name]} → {row['new_' + name.removeprefix('old_')]}"
        for name in row.index
        if name.startswith("old_") and pd.notna(row[name]) and row[name] != row["new_" + name.removeprefix("old_")]
    ]
    at, landed = f"{row['ts_event']:%Y-%m-%d %H:%M} UTC", f"{row['landed_at']:%Y-%m-%d %H:%M} UTC"
    return f"{row['symbol']} {at}: {', '.join(parts)} (by what was landed {landed})"


def _landed_tables(table: Table) -> list[Table]:
    """The tables of landed rows that a table is made of, directly or not."""
    found: dict[str, Table] = {}
    queue, seen = [table], {table.id}
    while queue:
        item = queue.pop()
        for read in item.reads:
            if read.source in LANDING_SOURCES:
                found[item.id] = item
            elif read.source not in seen:
                seen.add(read.source)
                queue.append(TABLES[read.source])
    return [item for item in TABLES.values() if item.id in found]
