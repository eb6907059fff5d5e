"""A warehouse over another one: what is written stays here, everything else is read through.

For questions of the kind "what would a refresh change?". The base is never written to; what others write to it
meanwhile is seen, but for rows that were replaced here.
"""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbi_dagster.catalog.model import Column, Table
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables.ops import LANDED_FILES, PARTITION_LEDGER
from cbi_dagster.warehouse.changes import Change, Gone, Swap
from cbi_dagster.warehouse.contract import OvertakenError, Warehouse
from cbi_dagster.warehouse.coverage import Coverage
from cbi_dagster.warehouse.ledger import NOTHING, Ledger
from cbi_dagster.warehouse.slices import leaf_values
from cbi_dagster.warehouse.stored import Lacking, Stored

if TYPE_CHECKING:
    from sqlglot import exp

#: Larger writes are kept in a scratch file, which is read as it is needed.
_IN_MEMORY_BYTES = 64 << 20


@dataclass(frozen=True)
class _Kept:
    """What was written of a table: `rows` of all stored columns, and which rows of the base are gone.

    `same_key`: those that share a key with `rows`. `alone`: all of them, whatever the base holds. `added`: columns that
    the base lacks.
    """

    rows: pa.Table
    gone: tuple[Gone, ...] = ()
    same_key: bool = False
    alone: bool = False
    added: frozenset[str] = frozenset()


class Overlay(Warehouse):
    """Reads through to `base`."""

    def __init__(self, base: Warehouse) -> None:
        super().__init__()
        self._base = base
        self._kept: dict[str, _Kept] = {}
        self._types: dict[str, dict[str, str]] = {}
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def _connected(self) -> contextlib.AbstractContextManager[None]:
        return self._base.shared_connection()

    def snapshot(self) -> contextlib.AbstractContextManager[None]:
        return self._base.snapshot()

    def overlay(self) -> Warehouse:
        return Overlay(self)

    def _of(self, table: Table) -> _Kept:
        return self._kept.get(table.id) or _nothing_of(table)

    # -- tables -------------------------------------------------------------------------------------------------------

    @property
    def takes_simulated(self) -> bool:
        return self._base.takes_simulated

    def for_run(self, run_id: str) -> contextlib.AbstractContextManager[None]:
        return self._base.for_run(run_id)

    def exists(self) -> bool:
        return self._base.exists()

    def _stored(self) -> Stored:
        base = self._base._stored()
        stored: dict[str, Mapping[str, str]] = {
            name: types for name, types in base.tables.items() if not (name in self._kept and self._kept[name].alone)
        }
        for name, types in self._types.items():
            stored[name] = {**stored.get(name, {}), **types}
        return Stored(stored, base.views)

    def _type_of(self, column: Column) -> str:
        return self._base._type_of(column)

    def _evolve(self, lacking: Lacking) -> None:
        # Views are the base's own affair: a query has them put in.
        for table in lacking.tables:
            self._kept[table.id] = replace(_nothing_of(table), alone=True)
            self._types[table.id] = {column.name: self._type_of(column) for column in table.stored_columns}
        for table, column in lacking.columns:
            kept = self._of(table)
            rows = _filled(kept.rows, table, [item.name for item in table.stored_columns])
            self._kept[table.id] = replace(kept, rows=rows, added=kept.added | {column.name})
            self._types.setdefault(table.id, {})[column.name] = self._type_of(column)

    def _drop(self, table_id: str) -> None:
        self._kept[table_id] = _Kept(pa.table({}), alone=True)
        self._types.pop(table_id, None)
        nothing = PARTITION_LEDGER.arrow_schema().empty_table()
        self._commit(Change((Swap(PARTITION_LEDGER, nothing, gone=Gone(table_name=table_id)),)))

    # -- reading ------------------------------------------------------------------------------------------------------

    def _read(
        self,
        table: Table,
        names: Sequence[str],
        intervals: Sequence[Interval] | None,
        chosen: Mapping[str, Collection[str]],
    ) -> pa.Table:
        if table.id not in self._kept:
            return self._base._read(table, names, intervals, chosen)
        kept = self._kept[table.id]
        own = kept.rows
        for name, values in chosen.items():
            own = own.filter(pc.is_in(own[name], value_set=pa.array(list(values), own[name].type)))
        if intervals is not None:
            spans = np.array(intervals, "datetime64[D]").T
            own = own.filter(pa.array(Gone(table.partitioning.column, tuple(spans)).among(own)))
        # What is gone of the base is told by columns that may not be asked for.
        telling = [*names, *table.key, *(name for gone in kept.gone for name in gone.columns)]
        wanted = [name for name in dict.fromkeys(telling) if name not in kept.added]
        rows = own
        if not kept.alone:
            base = self._base._read(table, wanted, intervals, chosen)
            for gone in kept.gone:
                base = _without(base, gone.among(base))
            if kept.same_key:
                base = _without(base, _repeated(base, own, table))
            rows = _filled(base, table, [*wanted, *kept.added])
            rows = pa.concat_tables([rows, own.select(rows.column_names)])
        return rows.select(names)

    def _query(self, query: exp.Query) -> pa.Table:
        from cbi_dagster.warehouse.sql import answered_over, tables_of

        tables = tables_of(query)
        if not any(table.id in self._kept for table in tables):
            return self._base._query(query)
        every = [(table, [column.name for column in table.stored_columns]) for table in tables]
        return answered_over(query, {table.id: self._read(table, names, None, {}) for table, names in every})

    def coverage(self, table: Table) -> list[Coverage]:
        if table.id not in self._kept:
            return self._base.coverage(table)
        rows = self.read(table)
        days = rows[table.partitioning.column].cast(pa.int32()).to_numpy().astype("datetime64[D]")
        symbols = np.unique(rows["symbol"].to_numpy(zero_copy_only=False), return_inverse=True)
        of_all = np.bincount(symbols[1], minlength=len(symbols[0]))
        coverages = []
        for path, _ in table.leaves():
            known = leaf_values(rows, path).is_valid().to_numpy()
            counts = np.bincount(symbols[1][known], minlength=len(symbols[0]))
            having = counts > 0
            first = days[known].min().item() if known.any() else None
            names = tuple(symbols[0][having])
            coverages.append(Coverage(path, names, int(of_all[having].sum()), int(counts.sum()), first))
        return coverages

    # -- writing ------------------------------------------------------------------------------------------------------

    def _commit(self, change: Change) -> None:
        if self._moved_on(change):
            raise OvertakenError("the warehouse changed while a write to it was worked out")
        changed: dict[str, _Kept] = {}
        for swap in change.swaps:
            table, kept = swap.table, changed.get(swap.table.id) or self._of(swap.table)
            rows = kept.rows
            if swap.gone is not None:
                rows = _without(rows, swap.gone.among(rows))
                kept = replace(kept, gone=(*kept.gone, swap.gone))
            if swap.same_key:
                rows = _without(rows, _repeated(rows, swap.rows, table))
                kept = replace(kept, same_key=True)
            rows = pa.concat_tables([rows, self._stowed(_filled(swap.rows, table, rows.column_names))])
            changed[table.id] = replace(kept, rows=rows)
        self._kept |= changed

    def _moved_on(self, change: Change) -> bool:
        if change.registered is not None:
            files = self._read(LANDED_FILES, LANDED_FILES.key, None, {})
            if len(files) != change.registered:
                return True
        if change.verified is not None:
            name, version = change.verified
            ledger = Ledger.by_table(self._read_ledger({name})).get(name, NOTHING)
            return ledger.version != version
        return False

    def _stowed(self, rows: pa.Table) -> pa.Table:
        """The rows, mapped from a scratch file if they are many."""
        if rows.nbytes <= _IN_MEMORY_BYTES:
            return rows
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory()
        path = str(Path(self._scratch.name) / f"{uuid.uuid4().hex}.arrow")
        with pa.ipc.new_file(path, rows.schema) as file:
            file.write_table(rows)
        return pa.ipc.open_file(pa.memory_map(path)).read_all()


def _nothing_of(table: Table) -> _Kept:
    return _Kept(_filled(table.arrow_schema().empty_table(), table, [column.name for column in table.stored_columns]))


def _without(rows: pa.Table, gone: np.ndarray) -> pa.Table:
    return rows.filter(pa.array(~gone)) if gone.any() else rows


def _repeated(rows: pa.Table, others: pa.Table, table: Table) -> np.ndarray:
    """Which rows have the key of another one."""
    own, other = (
        pc.binary_join_element_wise(*(part[name].cast(pa.string()) for name in table.key), "\0")
        for part in (rows, others)
    )
    repeated: np.ndarray = pc.is_in(own, value_set=other.combine_chunks()).to_numpy()
    return repeated


def _filled(rows: pa.Table, table: Table, names: Sequence[str]) -> pa.Table:
    """The columns `names` of rows in their declared types, those that are lacking as NULL."""
    return pa.table(
        {
            name: rows[name].cast(kind) if name in rows.column_names else pa.nulls(len(rows), kind)
            for name, kind in ((name, table.column(name).arrow_type) for name in names)
        }
    )
