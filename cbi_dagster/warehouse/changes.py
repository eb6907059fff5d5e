"""What a write changes: the content of partitions, what the ledger says of them, the rows left out, the run's row.

A `Change` is worked out here, by comparing a slice with the ledger, and committed by an engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cbi_dagster.catalog.model import Table
from cbi_dagster.catalog.partitioning import BEGINNING
from cbi_dagster.catalog.tables.ops import HELD_BACK, INGESTION_RUNS, PARTITION_LEDGER, QUARANTINE
from cbi_dagster.warehouse.ledger import Ledger
from cbi_dagster.warehouse.slices import Slice, check_slice, to_arrow

#: The day that stands for a NULL date: before all that there are.
_NO_DATE = int(BEGINNING.astype(np.int64)) - 1


@dataclass(frozen=True)
class RunSums:
    """What a run did to one table, summed up over its writes."""

    rows_in: int = 0
    rows_out: int = 0
    rows_rejected: int = 0
    rows_held_back: int = 0
    partitions_written: int = 0
    partitions_unchanged: int = 0

    def __add__(self, other: RunSums) -> RunSums:
        return RunSums(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))


@dataclass(frozen=True)
class Provenance:
    """Under what a slice was computed: the run, the code version, each partition's input fingerprint, what was read.

    `earlier`: what the same run wrote of the table before, which its row of `ops.ingestion_runs` counts as well.
    """

    run_id: str
    code_version: str
    fingerprints: Mapping[np.datetime64, str]
    started_at: pd.Timestamp
    rows_in: int
    earlier: RunSums = RunSums()


@dataclass(frozen=True)
class LeftOutRows:
    """Rows that did not become part of the slice, to be kept with it.

    `rejected`: one row per rejected input row (columns of `ops.quarantine` without `table_name`); `held_back`: counts
    per trade date, symbol and reason (columns of `ops.held_back` without `table_name`).
    """

    rejected: pd.DataFrame
    held_back: pd.DataFrame

    @property
    def rows_rejected(self) -> int:
        return len(self.rejected)

    @property
    def rows_held_back(self) -> int:
        return int(self.held_back["bar_rows"].sum())


@dataclass(frozen=True)
class Gone:
    """Rows that go: those whose date `column` lies in one of `spans`, or without a column all.

    `spans`: first and last date of each, inclusive. `table_name`: only rows that say this in their column of that name.
    `partition_keys`: only rows that say one of these in theirs (None: whatever they say).
    """

    column: str = ""
    spans: tuple[np.ndarray, ...] = ()
    table_name: str | None = None
    partition_keys: tuple[str, ...] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that tell which rows go."""
        telling = {
            self.column: bool(self.column),
            "table_name": self.table_name is not None,
            "partition_key": self.partition_keys is not None,
        }
        return tuple(name for name, tells in telling.items() if tells)

    def among(self, rows: pa.Table) -> np.ndarray:
        """Which of `rows` go."""
        gone = np.ones(len(rows), bool)
        if self.column:
            days = pc.fill_null(rows[self.column].cast(pa.int32()), _NO_DATE).to_numpy().astype("datetime64[D]")
            first, last = self.spans
            order = np.argsort(first)
            before = np.searchsorted(first[order], days, side="right")
            # Of the spans that begin on or before a day, the one that reaches furthest.
            reach = np.append(np.datetime64(_NO_DATE, "D"), np.maximum.accumulate(last[order]))
            gone &= days <= reach[before]
        if self.table_name is not None:
            gone &= pc.fill_null(pc.equal(rows["table_name"], self.table_name), False).to_numpy()
        if self.partition_keys is not None:
            named = pa.array(self.partition_keys, pa.string())
            gone &= pc.is_in(rows["partition_key"], value_set=named).to_numpy()
        return gone


@dataclass(frozen=True)
class Swap:
    """Checked rows that come into a table, and which rows go for them: those of the same key, or those in `gone`.

    Columns that `rows` lacks stay NULL.
    """

    table: Table
    rows: pa.Table
    same_key: bool = False
    gone: Gone | None = None


@dataclass(frozen=True)
class Change:
    """One write, for an engine to commit as a whole; within a swap rows go before rows come.

    It holds only while `ops.landed_files` has `registered` rows, and the ledger of a table the version in `verified`
    (table id, `Ledger.version`); None: whatever they are.
    """

    swaps: tuple[Swap, ...]
    registered: int | None = None
    verified: tuple[str, int] | None = None


@dataclass(frozen=True)
class Replacement:
    """The change that puts a slice in its partitions: for which of them the ledger knew this content already (`same`),
    what it says anew (`news`), and what the run's row says after it."""

    change: Change
    same: np.ndarray
    news: Ledger
    sums: RunSums


def replacement(
    rows: Slice,
    hashes: np.ndarray,
    known: Ledger,
    provenance: Provenance,
    left_out: LeftOutRows | None,
    moment: pd.Timestamp,
    damaged: np.ndarray | None = None,
    gone: np.ndarray | None = None,
) -> Replacement:
    """How a warehouse changes whose ledger of the table is `known`: equal content is confirmed and not written.

    `damaged`: partitions of the slice whose stored rows are not this content, whatever the ledger says (None: none).
    `gone`: other partitions (datetime64[D]) that are no more, with all that is known of them (None: none).
    """
    gone = np.empty(0, "datetime64[D]") if gone is None else gone
    table, count = rows.table, len(rows.partitions)
    at = known.at(rows.partitions)
    there = at >= 0
    same = there.copy()
    same[there] = known.hashes[at[there]] == hashes[there]
    if damaged is not None:
        same &= ~damaged
    entries = Ledger(
        keys=rows.partitions,
        hashes=hashes,
        row_counts=rows.row_counts,
        written_at=np.full(count, moment.to_datetime64()),
        written_runs=np.full(count, provenance.run_id, dtype=object),
        code_versions=np.full(count, provenance.code_version, dtype=object),
        fingerprints=np.array([provenance.fingerprints[key] for key in rows.partitions], dtype=object),
        verified_at=np.full(count, moment.to_datetime64()),
        verified_runs=np.full(count, provenance.run_id, dtype=object),
    )
    entries.written_at[same] = known.written_at[at[same]]
    entries.written_runs[same] = known.written_runs[at[same]]
    confirmed = same.copy()
    confirmed[same] = known.code_versions[at[same]] == entries.code_versions[same]
    confirmed[same] &= known.fingerprints[at[same]] == entries.fingerprints[same]
    news = entries.only(~confirmed)
    sums = provenance.earlier + RunSums(
        rows_in=provenance.rows_in,
        rows_out=len(rows.data),
        rows_rejected=0 if left_out is None else left_out.rows_rejected,
        rows_held_back=0 if left_out is None else left_out.rows_held_back,
        partitions_written=int((~same).sum()) + len(gone),
        partitions_unchanged=int(same.sum()),
    )
    swaps = [
        *_content(rows, ~same, provenance.run_id, moment),
        Swap(PARTITION_LEDGER, to_arrow(PARTITION_LEDGER, news.rows(table)), same_key=bool(there.any())),
        *_left_out(rows, left_out),
        *_removed(table, gone),
        Swap(INGESTION_RUNS, _run_row(table, provenance, sums, moment), same_key=True),
    ]
    return Replacement(Change(tuple(swaps), verified=(table.id, known.version)), same, news, sums)


def _content(rows: Slice, changed: np.ndarray, run_id: str, moment: pd.Timestamp) -> Iterator[Swap]:
    """The rows of the changed partitions, with their write columns, in place of what these held."""
    if changed.any():
        written = rows.only(changed)
        instants = pa.repeat(pa.scalar(moment, pa.timestamp("us", tz="UTC")), len(written))
        written = written.append_column("ingestion_ts", instants)
        written = written.append_column("run_id", pa.repeat(run_id, len(written)))
        partitioning = rows.table.partitioning
        spans = partitioning.spans(rows.partitions[changed])
        yield Swap(rows.table, written, gone=Gone(partitioning.column, spans))


def _removed(table: Table, gone: np.ndarray) -> Iterator[Swap]:
    """Whatever is stored of partitions that are no more."""
    if len(gone):
        spans = table.partitioning.spans(gone)
        labels = tuple(table.partitioning.labels(gone))
        for where, what in (
            (table, Gone(table.partitioning.column, spans)),
            (PARTITION_LEDGER, Gone(table_name=table.id, partition_keys=labels)),
            (QUARANTINE, Gone("date", spans, table.id)),
            (HELD_BACK, Gone("date", spans, table.id)),
        ):
            yield Swap(where, where.arrow_schema().empty_table(), gone=what)


def _left_out(rows: Slice, left_out: LeftOutRows | None) -> Iterator[Swap]:
    """The rows left out of the slice, in place of those left out of its partitions before."""
    if left_out is not None:
        gone = Gone("date", rows.table.partitioning.spans(rows.partitions), rows.table.id)
        for book, kept in ((QUARANTINE, left_out.rejected), (HELD_BACK, left_out.held_back)):
            kept = kept.assign(table_name=rows.table.id).reindex(columns=[column.name for column in book.columns])
            yield Swap(book, check_slice(book, None, kept).data, gone=gone)


def _run_row(table: Table, provenance: Provenance, sums: RunSums, ended_at: pd.Timestamp) -> pa.Table:
    """The row of `ops.ingestion_runs` of a run's writes of a table."""
    row = {
        "event_id": f"{provenance.run_id}:{table.id}",
        "source": table.id,
        "run_status": "success",
        "started_at": provenance.started_at,
        "ended_at": ended_at,
        "code_version": provenance.code_version,
        "error_message": None,
    }
    row |= {item.name: getattr(sums, item.name) for item in fields(sums)}
    return pa.Table.from_pylist([row], INGESTION_RUNS.arrow_schema())
