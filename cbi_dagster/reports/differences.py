"""What differs between two warehouses: by the ledgers' hashes first, then by the rows of the partitions that differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbi_dagster.catalog import Table, Type
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.ledger import NOTHING, Ledger
from cbi_dagster.warehouse.slices import leaf_values


@dataclass(frozen=True)
class ColumnDifference:
    """How many rows that both have differ in a column, the first of them, and by how much numbers differ at most.

    `known` and `unknown`: rows that have a value where there was NULL, and the other way round. `relative` is the
    largest difference over the earlier value, None where no earlier value was other than zero.
    """

    path: str
    rows: int
    first: str
    known: int
    unknown: int
    absolute: float | None
    relative: float | None


@dataclass(frozen=True)
class TableDifference:
    """What differs in a table: its partitions, rows that only one of the two has, and rows that differ, by column."""

    table: Table
    partitions: tuple[str, ...]
    added: int
    removed: int
    changed: int
    columns: tuple[ColumnDifference, ...]


def differences(old: Warehouse, new: Warehouse, tables: Sequence[Table]) -> Iterator[TableDifference]:
    """The tables whose content differs, from `old` to `new`; partitions that are empty and not there are alike."""
    names = {table.id for table in tables}
    one, other = old.ledger_by_table(names), new.ledger_by_table(names)
    for table in tables:
        keys = _differing(one.get(table.id, NOTHING), other.get(table.id, NOTHING))
        if len(keys):
            yield _difference(table, keys, old, new)


def _differing(one: Ledger, other: Ledger) -> np.ndarray:
    """The partitions whose content is not the same."""
    keys = np.union1d(one.keys[one.row_counts > 0], other.keys[other.row_counts > 0])
    contents = [_contents(ledger, keys) for ledger in (one, other)]
    differing: np.ndarray = keys[contents[0] != contents[1]]
    return differing


def _contents(ledger: Ledger, keys: np.ndarray) -> np.ndarray:
    at = ledger.at(keys)
    found = np.full(len(keys), "", dtype=object)
    filled = at >= 0
    filled[filled] = ledger.row_counts[at[filled]] > 0
    found[filled] = ledger.hashes[at[filled]]
    return found


def _difference(table: Table, keys: np.ndarray, old: Warehouse, new: Warehouse) -> TableDifference:
    one, other = (_rows(warehouse, table, keys) for warehouse in (old, new))
    names = list(table.key)
    numbered = [
        rows.select(names).append_column("at", pa.array(np.arange(len(rows)))) for rows in (one, other)
    ]  # fmt: skip
    both = numbered[0].join(numbered[1], keys=names, join_type="inner", right_suffix=" of other")
    before, after = (rows.take(both[name]) for rows, name in ((one, "at"), (other, "at of other")))
    changed = np.zeros(len(both), bool)
    columns = []
    content = {column.name for column in table.content_columns}
    for path, column in table.leaves():
        if path.partition(".")[0] in content and path not in names:
            found = _of_column(table, path, column.type, before, after)
            if found is not None:
                columns.append(found[0])
                changed |= found[1]
    labels = tuple(table.partitioning.labels(keys))
    counts = (len(other) - len(both), len(one) - len(both), int(changed.sum()))
    return TableDifference(table, labels, *counts, tuple(columns))


def _rows(warehouse: Warehouse, table: Table, keys: np.ndarray) -> pa.Table:
    intervals = [table.partitioning.span(key) for key in keys]
    rows = warehouse.read(table, intervals if len(keys) < _SEPARATE else table.partitioning.covering(keys))
    return rows.filter(pa.array(np.isin(table.partitioning.keys_in(rows), keys)))


#: Partitions that are asked for one by one; of more the whole range is read.
_SEPARATE = 50


def _of_column(
    table: Table, path: str, kind: Type, before: pa.Table, after: pa.Table
) -> tuple[ColumnDifference, np.ndarray] | None:
    """How a column differs in rows that stand beside each other, and in which; None where it does not."""
    one, other = leaf_values(before, path), leaf_values(after, path)
    there = one.is_valid().to_numpy(), other.is_valid().to_numpy()
    unlike = pc.fill_null(pc.not_equal(one, other), False).to_numpy()
    differs = unlike | (there[0] != there[1])
    if not differs.any():
        return None
    absolute = relative = None
    if kind in (Type.FLOAT64, Type.INT64) and unlike.any():
        values = [side.filter(pa.array(unlike)).cast(pa.float64()).to_numpy() for side in (one, other)]
        distances = np.abs(values[1] - values[0])
        absolute = float(distances.max())
        if (values[0] != 0).any():
            relative = float((distances[values[0] != 0] / np.abs(values[0][values[0] != 0])).max())
    dates = before[table.partitioning.column].filter(pa.array(differs)) if table.partitioning.column else None
    first = "" if dates is None else str(pc.min(dates).as_py())
    known, unknown = int((~there[0] & there[1]).sum()), int((there[0] & ~there[1]).sum())
    return ColumnDifference(path, int(differs.sum()), first, known, unknown, absolute, relative), differs
