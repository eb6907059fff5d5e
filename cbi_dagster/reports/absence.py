"""Why there is no row: what the calendar, the landed files, the books and the tables behind a table say of a date.

Nothing here knows a table by name. A row is missing because no session was due, because nothing is landed for the date,
because the table is not built or stale, because rows were held back or rejected, or because what it is made of has no
row itself, for which there is a reason in turn.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cbi_dagster.catalog import LANDING_SOURCES, TABLES, Read, Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables import ops
from cbi_dagster.catalog.tables.market_data import DATABENTO_CONDITIONS
from cbi_dagster.config.universe import load_universe
from cbi_dagster.home import Platform
from cbi_dagster.market.sessions import trade_dates
from cbi_dagster.reports.rows import rows_of, symbols_of
from cbi_dagster.vendors.databento.bars import classify_symbols
from cbi_dagster.warehouse.contract import now_utc
from cbi_dagster.warehouse.ledger import NOTHING
from cbi_dagster.warehouse.plan import expected_partitions, landing_sources, newest_trade_date

#: What a reason can be, and what each means.
ABSENCES = {
    "weekend": "trade dates are Monday to Friday",
    "not_in_universe": "the platform does not cover the symbol",
    "to_come": "the trade date has not come yet",
    "holiday": "no session was due",
    "nothing_landed": "of what the table is made of nothing is landed at all",
    "before_first": "before the first date that is landed, or that the symbol has",
    "after_last": "after the last date that is landed",
    "not_landed": "no landed file is about the date",
    "not_built": "the table is not built for the date, or was built from something else than is there now",
    "held_back": "rows are sound and left out, until something is known",
    "rejected": "rows were refused",
    "no_bars": "landed files are about the date, and have nothing of it",
    "not_of_table": "the table holds other symbols",
    "made_of": "something that the table is made of has no row",
    "not_made": "everything it is made of is there, and its function made no row of that",
}

#: Columns of bars that say whether all of a session that a row needs is landed.
_COVERED = ("session_covered", "decision_covered")


@dataclass(frozen=True)
class Reason:
    """One step of an answer: what it is, by a name of a closed set, and the particulars for a person."""

    kind: str
    text: str


def why_absent(platform: Platform, table: Table, date: dt.date, symbol: str | None = None) -> list[Reason]:
    """Why a table has no row of a trade date, of one symbol or at all: from the table down to the root, never empty.

    That there is none is the caller's knowledge. The last reason is the root, the ones before lead there.
    """
    with platform.builder.warehouse.shared_connection():
        return _Question(platform, date, symbol).reasons(table)


def left_out(platform: Platform, table: Table, date: dt.date, symbols: Collection[str]) -> list[Reason]:
    """What was held back or rejected of a trade date from a table or anything behind it, of these symbols.

    `symbols` as rows have them; of what says no symbol everything counts, and of none at all everything of all.
    """
    warehouse, behind = platform.builder.warehouse, _behind(table)
    found = []
    with warehouse.shared_connection():
        for books, told in ((ops.HELD_BACK, _told_held_back), (ops.QUARANTINE, _told_rejected)):
            rows = to_frame(books, warehouse.read(books))
            rows = rows[rows["table_name"].isin(behind) & (rows["date"] == pd.Timestamp(date))]
            if symbols:
                rows = rows[rows["symbol"].isin([*symbols]) | rows["symbol"].isna()]
            for source in behind:
                if len(own := rows[rows["table_name"] == source]):
                    found.append(told(source, date, own))
    return found


def _behind(table: Table) -> list[str]:
    """A table, what it is made of, tables and landing sources, and so on, by id."""
    found = [table.id]
    for name in found:  # grows
        if name in TABLES:
            found += [read.source for read in TABLES[name].reads if read.source not in found]
    return found


def _told_held_back(source: str, date: dt.date, rows: pd.DataFrame) -> Reason:
    counts = rows.groupby("reason", observed=True)["bar_rows"].sum()
    said = ", ".join(f"{reason} ({count:,} rows)" for reason, count in counts.items())
    return Reason("held_back", f"held back from {source} on {date}: {said}")


def _told_rejected(source: str, date: dt.date, rows: pd.DataFrame) -> Reason:
    row: Any = rows.iloc[0]
    first = f"{row['source_file']} row {row['source_row']}: {row['detail']}"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in rows["reason"].astype(str).value_counts().items())
    return Reason("rejected", f"rejected from {source} on {date}: {reasons}; the first is {first}")


class _Question:
    """One date and symbol; the tables differ on the way down."""

    def __init__(self, platform: Platform, date: dt.date, symbol: str | None) -> None:
        self._platform, self._builder = platform, platform.builder
        self._warehouse = platform.builder.warehouse
        self._universe = load_universe()
        self._date, self._symbol = date, symbol
        self._day = np.datetime64(date, "D")
        self._key = np.array([date], "datetime64[D]")
        known: str | None = classify_symbols([symbol or ""], self._universe)["root"].iloc[0]
        self._root = symbol if symbol in self._universe.roots else known
        self._said = f"{date} ({date:%A})"

    def reasons(self, table: Table) -> list[Reason]:
        """The reasons from `table` down."""
        if found := self._of_calendar(table) or self._of_landing(table) or self._of_books(table):
            return [found]
        if found := self._of_symbol(table):
            return [found]
        for read in table.reads:
            if behind := self._behind(table, read):
                return behind
        if rejected := self._rejected(table.id):
            return [rejected]
        told = f"all that {table.id} is made of is there for {self._day}, and it makes no row of that"
        return [Reason("not_made", f"{told}. {table.description}")]

    def _has(self, table: Table, column: str) -> bool:
        return any(item.name == column for item in table.columns)

    def _of_calendar(self, table: Table) -> Reason | None:
        """What needs no data: weekends, foreign symbols, the future, holidays."""
        if self._date.weekday() > 4:
            return Reason("weekend", f"{self._said}: trade dates are Monday to Friday; Sunday evening is Monday's")
        if self._symbol is not None and self._has(table, "symbol") and self._root is None:
            known = ", ".join(sorted(self._universe.roots))
            return Reason("not_in_universe", f"{self._symbol} is not in the universe ({known})")
        newest = newest_trade_date(now_utc())
        if self._day > newest:
            return Reason("to_come", f"{self._said}: the newest trade date is {newest}")
        return self._holiday() if self._has(table, "symbol") else None

    def _holiday(self) -> Reason | None:
        roots = [self._root] if self._root is not None else list(self._universe.roots)
        rests = []
        for root in roots:
            calendar = self._universe.calendar(root)
            if self._date in calendar.closed:
                rests.append(f"{self._said}: a holiday, the exchange of {root} was closed")
            elif self._date in calendar.joined:
                (belongs,) = trade_dates(self._key, calendar)
                rests.append(f"{self._said}: a holiday without settlement, its trades of {root} belong to {belongs}")
        return Reason("holiday", rests[0]) if len(rests) == len(roots) else None

    def _of_landing(self, table: Table) -> Reason | None:
        """What the landed files behind a table say of the date."""
        sources = sorted(landing_sources(table))
        ledgers = self._warehouse.ledger_by_table([*sources, table.id])
        landed = np.unique(np.concatenate([ledgers.get(name, NOTHING).keys for name in sources] or [self._key]))
        if not len(landed):
            files = "; ".join(LANDING_SOURCES[name].files for name in sources)
            return Reason("nothing_landed", f"{table.id} is made of files of which none are landed: {files}")
        known = ", ".join(name for name in sources if name in ledgers)
        if self._day < landed[0]:
            return Reason(
                "before_first", f"{self._day} is before {landed[0]}, the first date of what is landed ({known})"
            )
        if self._day > landed[-1]:
            return Reason("after_last", f"{self._day} is after {landed[-1]}, the last date of what is landed ({known})")
        if self._day not in landed and sources:
            near = landed[max(np.searchsorted(landed, self._day) - 1, 0) :][:2]
            return Reason("not_landed", f"no landed file is about {self._day}; around it are {near[0]} and {near[-1]}")
        return None

    def _of_books(self, table: Table) -> Reason | None:
        """What the ledger says of the partition, and what was left out of it."""
        ledgers = self._warehouse.ledger_by_table()
        key = table.partitioning.keys_of(self._key)
        command = f"`cbi refresh --select {table.name}`"
        if ledgers.get(table.id, NOTHING).at(key)[0] < 0:
            if key[0] in expected_partitions(table, ledgers, newest_trade_date(now_utc())):
                return Reason("not_built", f"{table.id} is not built for {self._day}: {command} builds it")
            return Reason("not_landed", f"nothing is landed of which {table.id} would have {self._day}")
        if reason := self._held_back(table):
            return reason
        for item in self._builder.plan([table]).tables:
            if key[0] in item.partitions:
                why = next(r.reason for r in item.ranges if r.first <= table.partitioning.label(key[0]) <= r.last)
                return Reason("not_built", f"{table.id} is stale for {self._day} ({why}): {command}")
        return None

    def _held_back(self, table: Table) -> Reason | None:
        found = self._left_out(ops.HELD_BACK, table.id)
        if found.empty:
            return None
        return _told_held_back(table.id, self._date, found)

    def _left_out(self, books: Table, source: str) -> pd.DataFrame:
        """What was left out of a table or landing source on the date, of the symbol or at all."""
        rows = to_frame(books, self._warehouse.read(books))
        rows = rows[(rows["table_name"] == source) & (rows["date"] == pd.Timestamp(self._date))]
        return rows if self._symbol is None else rows[rows["symbol"].isin(symbols_of(self._symbol, self._universe))]

    def _rejected(self, source: str) -> Reason | None:
        found = self._left_out(ops.QUARANTINE, source)
        if found.empty:
            return None
        return _told_rejected(source, self._date, found)

    def _of_symbol(self, table: Table) -> Reason | None:
        """Where the date lies among all rows of the symbol."""
        column = table.partitioning.column
        if self._symbol is None or not column or not self._has(table, "symbol"):
            return None
        own = self._warehouse.read(table, columns=[column], symbols=symbols_of(self._symbol, self._universe))
        if not len(own):
            there = sorted(set(rows_of(self._warehouse, table, self._date)["symbol"]))
            if there:
                return Reason("not_of_table", f"{table.id} has no {self._symbol}; it holds {', '.join(there)}")
            return None
        days = own[column].cast("int32").to_numpy().astype("datetime64[D]")
        if self._day < days.min():
            return Reason("before_first", f"{self._symbol} begins on {days.min()} in {table.id}")
        return None

    def _behind(self, table: Table, read: Read) -> list[Reason]:
        """The reasons of an input that has nothing for the date; none where it has something."""
        if read.looked_up:
            return []
        if read.source in LANDING_SOURCES:
            return [self._in_files(table, read.source)]
        source = TABLES[read.source]
        if not source.partitioning.column:
            return []
        rows = self._rows(source, read)
        if len(rows):
            uncovered = [name for name in _COVERED if name in read.columns and not rows[name].fillna(False).any()]
            told = f"{source.id} has bars of {self._day}, and what is landed ends before they are all there"
            return [Reason("held_back", f"{told} ({uncovered[0]} is false)")] if uncovered else []
        # Inputs of the same columns stand for each other: the one that has rows is asked, else one that is landed.
        alike = [other for other in table.reads if other is not read and other.columns == read.columns]
        others = [TABLES[other.source] for other in alike if other.source in TABLES]
        if any(len(self._rows(other, read)) for other in others):
            return []
        if self._of_landing(source) and not all(self._of_landing(other) for other in others):
            return []
        if rejected := self._rejected(table.id):
            return [rejected]
        whose = _Question(self._platform, self._date, read.symbols[0]) if len(read.symbols) == 1 else self
        return [Reason("made_of", f"{table.id} is made of {source.id}, which has none"), *whose.reasons(source)]

    def _rows(self, source: Table, read: Read) -> pd.DataFrame:
        """The rows that an input has of the date: of the symbol, where the input is not about others anyway."""
        symbols: Sequence[str] = symbols_of(self._symbol, self._universe) if self._symbol is not None else ()
        if read.symbols:
            symbols = [name for name in read.symbols if name in symbols] or read.symbols
        symbols = symbols if self._has(source, "symbol") else ()
        return to_frame(source, self._warehouse.read(source, [(self._day, self._day)], symbols=symbols))

    def _in_files(self, table: Table, source: str) -> Reason:
        """What is known of a date that files are about and have nothing of."""
        if rejected := self._rejected(source) or self._rejected(table.id):
            return rejected
        said = rows_of(self._warehouse, DATABENTO_CONDITIONS, self._date)
        stated = said.loc[said["utc_date"] == pd.Timestamp(self._date), "condition"]
        vendor = f"; the vendor calls the day {stated.iloc[-1]}" if len(stated) else ""
        own = f" of {self._symbol}" if self._symbol is not None and self._has(table, "symbol") else ""
        return Reason("no_bars", f"landed files ({source}) are about {self._day} and have no row{own}{vendor}")
