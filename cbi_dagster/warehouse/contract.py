"""What every engine accepts and refuses, and the one way a slice of a table is replaced.

A write that BigQuery would reject is rejected here, before any engine sees it, with a named error: a wrong type, a
NULL in a required column, a duplicate key, a row outside the partitions it claims to replace, an unknown or missing
column, a NaN or infinity. Nothing is written then.
"""

from __future__ import annotations

import abc
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cbi_dagster.catalog.model import Column, Daily, Monthly, Table, Type, Unpartitioned

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
    """The stored table differs from its declaration in a way that cannot be mended by adding nullable columns."""


def key_label(table: Table, key: np.datetime64) -> str:
    """The Dagster partition key of an internal partition key: `YYYY-MM-DD`, or `all` for an unpartitioned table."""
    return "all" if isinstance(table.partitioning, Unpartitioned) else str(key)


def parse_key(table: Table, label: str) -> np.datetime64:
    """The internal partition key (datetime64[D]) of a Dagster partition key."""
    return WHOLE if isinstance(table.partitioning, Unpartitioned) else np.datetime64(label, "D")


#: The only partition of an unpartitioned table.
WHOLE = np.datetime64("1970-01-01", "D")


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
        raise MissingColumnError(table, f"columns {missing} are declared but missing: an unknown value is NULL, not absent")
    arrays = []
    for column in table.columns:
        try:
            arrays.append(_column_to_arrow(column, data))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, ValueError) as error:
            raise WrongTypeError(table, f"column {column.name} is not {column.type.value}: {error}") from error
    result = pa.table(arrays, names=declared)
    for path, leaf in table.leaves():
        if leaf.type is Type.FLOAT64:
            values = _leaf(result, path)
            bad = pc.sum(pc.invert(pc.is_finite(values))).as_py() or 0
            if bad:
                raise NotFiniteError(table, f"column {path} holds {bad} NaN or infinite values")
    return result


def _leaf(data: pa.Table, path: str) -> pa.ChunkedArray:
    name, _, part = path.partition(".")
    return pc.struct_field(data[name], part) if part else data[name]


def _column_to_arrow(column: Column, data: pd.DataFrame | pa.Table) -> pa.Array | pa.ChunkedArray:
    if isinstance(data, pa.Table):
        array = data[column.name]
        return array.cast(column.arrow_type)
    series = data[column.name]
    if series.isna().all():
        # Nothing is known, so the frame's dtype says nothing either.
        return pa.nulls(len(series), column.arrow_type)
    if column.type is Type.FLOAT64:
        if series.dtype.kind not in "fiu":
            raise TypeError(f"its dtype is {series.dtype}")
        return pa.array(series.to_numpy(np.float64, na_value=np.nan), from_pandas=True)
    if column.type in (Type.INT64, Type.BOOL):
        kinds = "iu" if column.type is Type.INT64 else "b"
        if series.dtype.kind not in kinds:
            raise TypeError(f"its dtype is {series.dtype}")
        return pa.array(series).cast(column.arrow_type)
    if column.type is Type.DATE:
        if not (series.dt.normalize() == series).where(series.notna(), True).all():
            raise TypeError("it has times of day")
        return pa.array(series.to_numpy("datetime64[ns]"), from_pandas=True).cast(pa.date32())
    if column.type is Type.TIMESTAMP:
        if series.dt.tz is None:
            raise TypeError("it has no time zone (UTC wanted)")
        # safe=True: a nanosecond that microseconds cannot hold is an error, not a rounding.
        return pa.array(series.dt.tz_convert(None).to_numpy(), from_pandas=True).cast(pa.timestamp("us")).cast(column.arrow_type)
    if column.type is Type.STRUCT:
        return pa.array(series, column.arrow_type, from_pandas=True)
    array = pa.array(series, from_pandas=True)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_large_string(array.type):
        array = array.cast(pa.string())
    if array.type != pa.string():
        raise TypeError(f"its type is {array.type}")
    return array


def to_frame(table: Table, data: pa.Table) -> pd.DataFrame:
    """Stored rows as a frame of the project's conventions; STRUCTs are flattened to `<struct>_<field>` columns.

    Strings of intraday tables become categoricals (millions of rows repeat a few names).
    """
    columns: dict[str, pd.Series] = {}
    for name in data.column_names:
        column = table.column(name)
        if column.type is Type.STRUCT:
            for part in column.fields:
                columns[f"{name}_{part.name}"] = _series(part, pc.struct_field(data[name], part.name), False, table)
        else:
            columns[name] = _series(column, data[name], name in table.required, table)
    return pd.DataFrame(columns)


def _series(column: Column, array: pa.ChunkedArray, required: bool, table: Table) -> pd.Series:
    if column.type is Type.STRING:
        if table.intraday:
            return array.dictionary_encode().unify_dictionaries().to_pandas()
        return pd.Series(array.to_pandas(), dtype=object)
    if column.type is Type.DATE:
        return pd.Series(array.cast(pa.timestamp("ns")).to_numpy())
    if column.type is Type.TIMESTAMP:
        return pd.Series(array.cast(pa.timestamp("ns")).to_numpy()).dt.tz_localize("UTC")
    if column.type is Type.FLOAT64:
        return pd.Series(array.to_numpy())
    if required:
        return pd.Series(array.to_numpy())
    return array.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get)


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


def check_slice(table: Table, partitions: np.ndarray, data: pd.DataFrame | pa.Table) -> Slice:
    """Check rows against the table's declaration and sort them; raises a ContractError subclass.

    `partitions`: datetime64[D] partition keys that the write replaces.
    """
    arrow = to_arrow(table, data)
    for column in table.columns:
        nulls = arrow[column.name].null_count
        if nulls and column.name in table.required:
            first = int(np.flatnonzero(arrow[column.name].is_null().to_numpy())[0])
            raise NullInRequiredError(table, f"column {column.name} is NULL in {nulls} rows, first at row {first}")
    partitions = np.unique(partitions.astype("datetime64[D]"))
    if isinstance(table.partitioning, Unpartitioned):
        keys = np.full(len(arrow), WHOLE)
    else:
        dates = arrow[table.partitioning.column].cast(pa.int32()).to_numpy().astype("datetime64[D]")
        keys = table.partitioning.keys_of(dates)
    outside = ~np.isin(keys, partitions)
    if outside.any():
        examples = [str(key) for key in np.unique(keys[outside])[:_EXAMPLES]]
        raise OutsidePartitionError(
            table,
            f"{int(outside.sum())} rows belong to partitions that this write does not replace, e.g. {', '.join(examples)}",
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
        return order[encoded.indices.to_numpy()]
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    return column.cast(pa.int64()).to_numpy()


def _sorted(ranks: Sequence[np.ndarray]) -> bool:
    undecided = np.ones(max(len(ranks[0]) - 1, 0), bool)
    for rank in ranks:
        if (rank[1:] < rank[:-1])[undecided].any():
            return False
        undecided &= rank[1:] == rank[:-1]
    return True


@dataclass(frozen=True)
class Provenance:
    """Under what a slice was computed: the run, the code version, and each partition's input fingerprint."""

    run_id: str
    code_version: str
    fingerprints: Mapping[np.datetime64, str]


@dataclass(frozen=True)
class ReplaceResult:
    """What a write did: partitions whose content changed, and partitions confirmed as they were."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    rows_written: int


@dataclass(frozen=True)
class Accounts:
    """Rows that did not become part of the slice, to be kept with it.

    `rejected`: one row per rejected input row (columns of `ops.quarantine` without `table_name`); `held_back`: counts
    per trade date, symbol and reason (columns of `ops.held_back` without `table_name`).
    """

    rejected: pd.DataFrame
    held_back: pd.DataFrame


class Warehouse(abc.ABC):
    """One store of all tables. Engines implement the primitives; the rules of writing are here, once."""

    @abc.abstractmethod
    def ensure(self, tables: Iterable[Table]) -> None:
        """Create missing tables, add missing nullable columns, refuse any other drift (SchemaDriftError)."""

    @abc.abstractmethod
    def read(
        self,
        table: Table,
        intervals: Sequence[tuple[np.datetime64, np.datetime64]] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Rows whose partition column lies in any of the inclusive date `intervals` (None: all), sorted by key."""

    @abc.abstractmethod
    def replace(
        self,
        table: Table,
        partitions: np.ndarray,
        data: pd.DataFrame | pa.Table,
        provenance: Provenance,
        accounts: Accounts | None = None,
    ) -> ReplaceResult:
        """Make `data` the whole content of `partitions`, atomically, with its ledger rows.

        Partitions whose content hash the ledger already has are not written; their verification advances. Raises a
        ContractError subclass, and writes nothing, when the rows do not fit the table.
        """

    @abc.abstractmethod
    def ledger(self, table_id: str | None = None) -> pd.DataFrame:
        """Rows of `ops.partition_ledger`, of one table or of all."""


def now_utc() -> pd.Timestamp:
    """The present instant, as the ledger and audit columns record it."""
    return pd.Timestamp(dt.datetime.now(dt.UTC))


__all__ = [
    "WHOLE", "Accounts", "ContractError", "Daily", "DuplicateKeyError", "MissingColumnError", "Monthly",
    "NotFiniteError", "NullInRequiredError", "OutsidePartitionError", "Provenance", "ReplaceResult",
    "SchemaDriftError", "Slice", "UnknownColumnError", "Warehouse", "WrongTypeError", "check_slice", "key_label",
    "now_utc", "parse_key", "to_arrow", "to_frame",
]  # fmt: skip
