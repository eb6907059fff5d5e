"""What every engine accepts and refuses, and the one way a slice of a table is replaced.

A write that BigQuery would reject is rejected here, before any engine sees it, with a named error: a wrong type, a
NULL in a required column, a duplicate key, a row outside the partitions it claims to replace, an unknown or missing
column, a NaN or infinity. Nothing is written then.
"""

from __future__ import annotations

import abc
import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cbi_dagster.catalog.frames import to_array, to_frame
from cbi_dagster.catalog.model import Table, Type
from cbi_dagster.warehouse.ledger import Ledger

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


class SchemaDriftError(RuntimeError):
    """Stored tables differ from their declarations in ways that adding nullable columns cannot mend.

    `tables`: what differs, by table id.
    """

    def __init__(self, tables: Mapping[str, Sequence[str]]) -> None:
        self.tables = dict(tables)
        lines = [f"  {name}: {'; '.join(differences)}" for name, differences in self.tables.items()]
        super().__init__(
            "the warehouse was made by another version of the declarations:\n"
            + "\n".join(lines)
            + f"\n`cbi reset {' '.join(self.tables)}` drops these tables; `cbi refresh` then rebuilds them."
        )


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
            values = _leaf(result, path)
            # NumPy shows a NULL as NaN.
            bad = int(np.count_nonzero(~np.isfinite(values.to_numpy()))) - values.null_count
            if bad:
                raise NotFiniteError(table, f"column {path} holds {bad} NaN or infinite values")
    return result


def _leaf(data: pa.Table, path: str) -> pa.ChunkedArray:
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
    ranks = [keys.astype(np.int64), *(_rank(arrow[name]) for name in table.key)]
    if not _sorted(ranks):
        order = np.lexsort(ranks[::-1])
        arrow = arrow.take(pa.array(order))
        ranks = [rank[order] for rank in ranks]
    same = np.ones(max(len(arrow) - 1, 0), bool)
    for rank in ranks:
        same &= rank[1:] == rank[:-1]
    if same.any():
        at = np.flatnonzero(same)[:_EXAMPLES]
        examples = ["(" + ", ".join(str(arrow[name][int(i)]) for name in table.key) + ")" for i in at]
        raise DuplicateKeyError(table, f"{int(same.sum())} rows repeat the key {table.key}, e.g. {', '.join(examples)}")
    starts = np.append(np.searchsorted(ranks[0], partitions.astype(np.int64)), len(arrow))
    return Slice(table, arrow, partitions, starts)


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


def _sorted(ranks: Sequence[np.ndarray]) -> bool:
    undecided = np.ones(max(len(ranks[0]) - 1, 0), bool)
    for rank in ranks:
        if (rank[1:] < rank[:-1])[undecided].any():
            return False
        undecided &= rank[1:] == rank[:-1]
    return True


@dataclass(frozen=True)
class Provenance:
    """Under what a slice was computed: the run, the code version, each partition's input fingerprint, what was read."""

    run_id: str
    code_version: str
    fingerprints: Mapping[np.datetime64, str]
    started_at: pd.Timestamp
    rows_in: int


@dataclass(frozen=True)
class ReplaceResult:
    """What a write did: partitions whose content changed, and partitions confirmed as they were.

    `table_rows`: rows of the whole table after it.
    """

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    rows_written: int
    table_rows: int


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
class LandingFacts:
    """All that a landing adds, for `Warehouse.take`.

    `registered`: how many files `ops.landed_files` held when the facts were made. `rows`: new rows by ops table.
    `ledger`: rows of `ops.partition_ledger` of landing sources, in place of those of the same partitions.
    """

    registered: int
    rows: Mapping[Table, pd.DataFrame]
    ledger: pd.DataFrame | pa.Table


class RegistryMovedError(RuntimeError):
    """Files were landed by another process since the facts of a landing were made; nothing was taken."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(
            f"ops.landed_files holds {found} files where {expected} were expected: another process has landed files "
            "meanwhile, and what is new must be asked again"
        )


class Warehouse(abc.ABC):
    """One store of all tables. Engines implement the primitives; the rules of writing are here, once."""

    @abc.abstractmethod
    def ensure(self, tables: Iterable[Table]) -> None:
        """Create missing tables, add missing nullable columns, refuse any other drift (SchemaDriftError)."""

    @abc.abstractmethod
    def drop(self, table: Table) -> None:
        """Drop a table with its ledger rows; `ensure` makes it anew, and all of its partitions are missing."""

    @contextmanager
    def shared_connection(self) -> Iterator[object]:
        """A block whose operations may share a connection; engines with one user at a time let others wait for it."""
        yield None

    @abc.abstractmethod
    def snapshot(self) -> AbstractContextManager[object]:
        """A block whose reads, of rows and of the ledger, all see the warehouse as of one moment."""

    @abc.abstractmethod
    def read(
        self,
        table: Table,
        intervals: Sequence[tuple[np.datetime64, np.datetime64]] | None = None,
        columns: Sequence[str] = (),
        symbols: Sequence[str] = (),
    ) -> pa.Table:
        """Rows whose partition column lies in any of the inclusive date `intervals` (None: all), sorted by key.

        A table in one piece is read whole, or not at all for no intervals.
        `columns` and `symbols`: only these (empty: all).
        """

    @abc.abstractmethod
    def replace(
        self,
        table: Table,
        partitions: np.ndarray,
        data: pd.DataFrame | pa.Table,
        provenance: Provenance,
        left_out: LeftOutRows | None = None,
    ) -> ReplaceResult:
        """Make `data` the whole content of `partitions`, atomically, with its ledger rows.

        Partitions whose content hash the ledger already has are not written; their verification advances. Raises a
        ContractError subclass, and writes nothing, when the rows do not fit the table.
        """

    @abc.abstractmethod
    def take(self, facts: LandingFacts) -> None:
        """Append the rows of a landing and replace its ledger rows: all of it, or none.

        Raises RegistryMovedError when the registry of landed files no longer is what the facts were made on, and a
        ContractError subclass when rows do not fit their table; nothing has changed then.
        """

    @abc.abstractmethod
    def ledger_rows(self, table_ids: Collection[str] | None = None) -> pd.DataFrame:
        """Rows of `ops.partition_ledger`, of the tables and landing sources named or of all."""

    @abc.abstractmethod
    def ledger_by_table(self, table_ids: Collection[str] | None = None) -> dict[str, Ledger]:
        """The same per table, as far as a plan needs it; tables without content are absent."""

    @abc.abstractmethod
    def record_runs(self, rows: pd.DataFrame) -> None:
        """Keep rows of `ops.ingestion_runs`, in place of those with the same `event_id`; `replace` keeps its own."""


def now_utc() -> pd.Timestamp:
    """The present instant, as the ledger and audit columns record it."""
    return pd.Timestamp(dt.datetime.now(dt.UTC))


__all__ = [
    "ContractError", "DuplicateKeyError", "LandingFacts", "LeftOutRows", "MissingColumnError", "NotFiniteError",
    "NullInRequiredError", "OutsidePartitionError", "Provenance", "RegistryMovedError", "ReplaceResult",
    "SchemaDriftError", "Slice", "UnknownColumnError", "Warehouse", "WrongTypeError", "check_slice", "now_utc",
    "to_arrow", "to_frame",
]  # fmt: skip
