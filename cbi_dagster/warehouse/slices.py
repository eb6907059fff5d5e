"""Rows as every engine accepts them: checked against their table's declaration, sorted by partition and key.

A write that BigQuery would reject is rejected here, before any engine sees it, with a named error: a wrong type, a
NULL in a required column, a duplicate key, a row outside the partitions it claims to replace, an unknown or missing
column, a NaN or infinity. Nothing is written then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cbi_dagster.catalog.frames import to_array
from cbi_dagster.catalog.model import Table, Type

_EXAMPLES = 3


class ContractError(ValueError):
    """A slice that no engine may store. The message names the table, what is wrong, where, and examples."""

    def __init__(self, table: Table, problem: str) -> None:
        super().__init__(f"{table.id}: {problem}; nothing was written")


class UnknownColumnError(ContractError):
    """The slice has a column that the table does not declare."""


class MissingColumnError(ContractError):
    """The slice lacks a declared column."""


class WrongTypeError(ContractError):
    """A column does not hold its declared type without loss."""


class NullInRequiredError(ContractError):
    """A required column is NULL."""


class NotFiniteError(ContractError):
    """A FLOAT64 column holds an infinity, or a NaN that is not a NULL."""


class DuplicateKeyError(ContractError):
    """Two rows share the table's key."""


class OutsidePartitionError(ContractError):
    """A row belongs to a partition that the write does not replace."""


def to_arrow(table: Table, data: pd.DataFrame | pa.Table) -> pa.Table:
    """`data` as Arrow with exactly the declared columns and types, in declared order.

    Frames follow the project's conventions: naive midnight timestamps for DATE, UTC timestamps, NaN for a NULL
    FLOAT64. Raises UnknownColumnError, MissingColumnError, WrongTypeError or NotFiniteError.
    """
    names = list(data.column_names) if isinstance(data, pa.Table) else [str(name) for name in data.columns]
    declared = [column.name for column in table.columns]
    if unknown := sorted(set(names) - set(declared)):
        raise UnknownColumnError(table, f"unknown columns {unknown}: declare them in the catalog or leave them out")
    if missing := sorted(set(declared) - set(names)):
        raise MissingColumnError(
            table, f"columns {missing} are declared but missing: an unknown value is NULL, not absent"
        )
    arrays = []
    for column in table.columns:
        try:
            arrays.append(to_array(column, data[column.name]))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, ValueError) as error:
            raise WrongTypeError(table, f"column {column.name} is not {column.type.value}: {error}") from error
    result = pa.table(arrays, names=declared)
    for path, leaf in table.leaves():
        if leaf.type is Type.FLOAT64:
            values = leaf_values(result, path)
            # NumPy shows a NULL as NaN.
            bad = int(np.count_nonzero(~np.isfinite(values.to_numpy()))) - values.null_count
            if bad:
                raise NotFiniteError(table, f"column {path} holds {bad} NaN or infinite values")
    return result


def leaf_values(data: pa.Table, path: str) -> pa.ChunkedArray:
    """Values of a scalar column or STRUCT field, by its path as in `Table.leaves`."""
    name, _, part = path.partition(".")
    return pc.struct_field(data[name], part) if part else data[name]


@dataclass(frozen=True)
class Slice:
    """Checked rows of some partitions of a table, sorted by partition and key.

    `partitions` are the partitions replaced, ascending; `starts[i]:starts[i + 1]` are the rows of `partitions[i]`
    (none: the partition becomes empty).
    """

    table: Table
    data: pa.Table
    partitions: np.ndarray
    starts: np.ndarray

    @property
    def row_counts(self) -> np.ndarray:
        return np.diff(self.starts)

    def only(self, wanted: np.ndarray) -> pa.Table:
        """The rows of the partitions where the boolean array `wanted` is true."""
        if wanted.all():
            return self.data
        keep = np.repeat(wanted, self.row_counts)
        return self.data.filter(pa.array(keep))


def check_slice(table: Table, partitions: np.ndarray | None, data: pd.DataFrame | pa.Table) -> Slice:
    """Check rows against the table's declaration and sort them; raises a ContractError subclass.

    `partitions`: datetime64[D] partition keys that the write replaces; None for whichever the rows belong to.
    """
    arrow = to_arrow(table, data)
    for name in sorted(table.required):
        if nulls := arrow[name].null_count:
            first = int(np.flatnonzero(arrow[name].is_null().to_numpy())[0])
            raise NullInRequiredError(table, f"column {name} is NULL in {nulls} rows, first at row {first}")
    keys = table.partitioning.keys_in(arrow)
    partitions = np.unique(keys if partitions is None else partitions.astype("datetime64[D]"))
    outside = ~np.isin(keys, partitions)
    if outside.any():
        examples = [str(key) for key in np.unique(keys[outside])[:_EXAMPLES]]
        raise OutsidePartitionError(
            table,
            f"{int(outside.sum())} rows belong to partitions that this write does not replace, "
            f"e.g. {', '.join(examples)}",
        )
    arrow, ranks = _sorted(arrow, [keys.astype(np.int64), *(_rank(arrow[name]) for name in table.key)])
    same = np.ones(max(len(arrow) - 1, 0), bool)
    for rank in ranks:
        same &= rank[1:] == rank[:-1]
    if same.any():
        at = np.flatnonzero(same)[:_EXAMPLES]
        examples = ["(" + ", ".join(str(arrow[name][int(i)]) for name in table.key) + ")" for i in at]
        raise DuplicateKeyError(table, f"{int(same.sum())} rows repeat the key {table.key}, e.g. {', '.join(examples)}")
    starts = np.append(np.searchsorted(ranks[0], partitions.astype(np.int64)), len(arrow))
    return Slice(table, arrow, partitions, starts)


def by_key(table: Table, rows: pa.Table) -> pa.Table:
    """Rows of a table, with the columns of its key at least, sorted by it."""
    return _sorted(rows, [_rank(rows[name]) for name in table.key])[0]


def _rank(column: pa.ChunkedArray) -> np.ndarray:
    """Integers that sort like the column's values."""
    if pa.types.is_string(column.type):
        encoded = column.combine_chunks().dictionary_encode()
        values = encoded.dictionary.to_numpy(zero_copy_only=False)
        order = np.empty(len(values), np.int64)
        order[np.argsort(values)] = np.arange(len(values))
        ranks: np.ndarray = order[encoded.indices.to_numpy()]
        return ranks
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    integers: np.ndarray = column.cast(pa.int64()).to_numpy()
    return integers


def _sorted(rows: pa.Table, ranks: list[np.ndarray]) -> tuple[pa.Table, list[np.ndarray]]:
    """Rows and what ranks them, sorted by it; rows that are sorted already are not copied."""
    if _ascending(ranks):
        return rows, ranks
    order = np.lexsort(ranks[::-1])
    return rows.take(pa.array(order)), [rank[order] for rank in ranks]


def _ascending(ranks: Sequence[np.ndarray]) -> bool:
    undecided = np.ones(max(len(ranks[0]) - 1, 0), bool)
    for rank in ranks:
        if (rank[1:] < rank[:-1])[undecided].any():
            return False
        undecided &= rank[1:] == rank[:-1]
    return True
