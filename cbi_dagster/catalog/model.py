"""The vocabulary of a table declaration, and the Arrow schema every engine stores.

A `Column` says what a name means everywhere. A `Table` lists column names, its key, its partitioning and how far
around a trade date it reads each input. DDL, pandera checks, Dagster metadata and the data dictionary are derived
from these objects (`ddl.py`, `checks.py`, `documents.py`, `assets/table_asset.py`); nothing about a table is said
twice.
"""

from __future__ import annotations

import datetime as dt
import enum
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd
import pyarrow as pa

from cbi_dagster.catalog.partitioning import INCEPTION, Inception, Partitioning

#: The first trade date that has a partition: CME Globex history of the vendor begins on Sunday, 2010-06-06.
FIRST_TRADE_DATE = dt.date(2010, 6, 7)


class Type(enum.Enum):
    """Column types that both engines store without loss. STRUCT columns carry `fields`."""

    STRING = "STRING"
    INT64 = "INT64"
    FLOAT64 = "FLOAT64"
    BOOL = "BOOL"
    DATE = "DATE"
    TIMESTAMP = "TIMESTAMP"
    STRUCT = "STRUCT"


_ARROW: dict[Type, pa.DataType] = {
    Type.STRING: pa.string(),
    Type.INT64: pa.int64(),
    Type.FLOAT64: pa.float64(),
    Type.BOOL: pa.bool_(),
    Type.DATE: pa.date32(),
    Type.TIMESTAMP: pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True)
class Column:
    """One meaning of one name.

    `unit` is empty for names, flags and dates. Bounds are inclusive (`ge`, `le`) or exclusive (`gt`) and hold for
    every table that has the column; NULL always passes them.
    """

    name: str
    type: Type
    description: str
    unit: str = ""
    ge: float | None = None
    le: float | None = None
    gt: float | None = None
    isin: tuple[str, ...] | None = None
    fields: tuple[Column, ...] = ()

    @property
    def arrow_type(self) -> pa.DataType:
        if self.type is Type.STRUCT:
            return pa.struct([pa.field(part.name, part.arrow_type) for part in self.fields])
        return _ARROW[self.type]


@dataclass(frozen=True)
class Read:
    """An input and the trade dates around D that D's partition may depend on.

    `back` counts trade dates (Mon-Fri, holidays included) before D, or is INCEPTION; `forward` counts trade dates
    after D. `(0, 0)` reads D alone. `columns` and `symbols` narrow what is read of a table (empty: all); what makes a
    partition stale is still the input's whole partition. A `looked_up` input is consulted for the trade dates that the
    other inputs have: its own make no partition expected.
    """

    source: str
    back: int | Inception = 0
    forward: int = 0
    columns: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    looked_up: bool = False

    @property
    def history(self) -> str:
        """The window in words."""
        if self.back == 0 and self.forward == 0:
            return "the same dates"
        back = "since inception" if self.back is INCEPTION else f"{self.back} trade dates back"
        return f"{back}, {self.forward} forward" if self.forward else back


@dataclass(frozen=True)
class RowCheck:
    """A condition on several columns of a row. `holds` returns one boolean per row; rows with NULLs must pass."""

    name: str
    columns: tuple[str, ...]
    holds: Callable[[pd.DataFrame], pd.Series]


INGESTION_TS = Column(
    "ingestion_ts", Type.TIMESTAMP, "When the row was written (UTC); not part of the row's content.", ""
)
RUN_ID = Column("run_id", Type.STRING, "Dagster run that wrote the row; not part of the row's content.")
WRITE_COLUMNS = (INGESTION_TS, RUN_ID)

#: Columns that say how a row came to be rather than what it says: left out of content hashes.
AUDIT_COLUMNS = frozenset({"ingestion_ts", "run_id", "source_run_id", "source_file", "source_row"})


@dataclass(frozen=True)
class Table:
    """The one declaration of a table.

    `columns` are the declared columns in storage order; `ingestion_ts` and `run_id` follow in every table.
    `required` names the columns that are never NULL (the key always is).
    """

    dataset: str
    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partitioning: Partitioning
    layer: str
    required: frozenset[str] = frozenset()
    cluster: tuple[str, ...] = ()
    reads: tuple[Read, ...] = ()
    row_checks: tuple[RowCheck, ...] = ()
    owners: tuple[str, ...] = ("team:features",)
    _index: dict[str, Column] = field(default_factory=dict, init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.id}: a column is declared twice")
        self._index.update({column.name: column for column in (*self.columns, *WRITE_COLUMNS)})
        named = {*self.key, *self.required, *self.cluster}
        if self.partitioning.column:
            named.add(self.partitioning.column)
        unknown = named - set(names)
        if unknown:
            raise ValueError(
                f"{self.id}: key, required, cluster or partitioning name unknown columns {sorted(unknown)}"
            )
        object.__setattr__(self, "required", frozenset({*self.key, *self.required, *self._partition_columns()}))

    def _partition_columns(self) -> tuple[str, ...]:
        return (self.partitioning.column,) if self.partitioning.column else ()

    @property
    def id(self) -> str:
        """`dataset.name`, the table's name in SQL, the ledger and messages."""
        return f"{self.dataset}.{self.name}"

    def __hash__(self) -> int:
        # Every name is declared once; hashing hundreds of columns would cost more than what is cached by table.
        return hash(self.id)

    @cached_property
    def stored_columns(self) -> tuple[Column, ...]:
        """Declared columns followed by `ingestion_ts` and `run_id`."""
        return (*self.columns, *WRITE_COLUMNS)

    @cached_property
    def content_columns(self) -> tuple[Column, ...]:
        """The columns that make up a row's content: the declared ones without audit columns."""
        return tuple(column for column in self.columns if column.name not in AUDIT_COLUMNS)

    @property
    def intraday(self) -> bool:
        """Whether a row is a bar inside a session rather than one row per symbol and date."""
        inside = not {"ts_event", "bar_close_ts"}.isdisjoint(self.key)
        return inside and bool(self.partitioning.column)

    def column(self, name: str) -> Column:
        return self._index[name]

    def arrow_schema(self, *, stored: bool = False) -> pa.Schema:
        """Arrow schema of the declared columns, or of the stored ones with the write columns."""
        columns = self.stored_columns if stored else self.columns
        return pa.schema(
            [pa.field(column.name, column.arrow_type, nullable=column.name not in self.required) for column in columns]
        )

    def leaves(self) -> Iterator[tuple[str, Column]]:
        """Every scalar column with its dotted path (`pivots.P`), STRUCT fields in place of the STRUCT."""
        for column in self.columns:
            if column.type is Type.STRUCT:
                for part in column.fields:
                    yield f"{column.name}.{part.name}", part
            else:
                yield column.name, column


def struct(name: str, description: str, fields: tuple[Column, ...]) -> Column:
    """A STRUCT column of scalar fields."""
    return Column(name, Type.STRUCT, description, fields=fields)


def per_window(lengths: Iterable[int], column: Column) -> tuple[Column, ...]:
    """One meaning over windows of several lengths: `{n}` in the column's name and description stands for each."""
    return tuple(
        replace(column, name=column.name.format(n=n), description=column.description.format(n=n)) for n in lengths
    )


def names(columns: Iterable[Column]) -> tuple[str, ...]:
    """Names of columns, in their order."""
    return tuple(column.name for column in columns)


def renamed(column: Column, name: str) -> Column:
    """The same meaning under the name a STRUCT gives it (`regime.name` is the dictionary's `regime`)."""
    return replace(column, name=name)


def ordered(*names: str) -> RowCheck:
    """Columns that never decrease from left to right, e.g. `low <= close <= high`."""

    def holds(frame: pd.DataFrame) -> pd.Series:
        result = pd.Series(True, index=frame.index)
        for lower, upper in itertools.pairwise(names):
            result &= ~(frame[lower] > frame[upper])
        return result

    return RowCheck(" <= ".join(names), names, holds)
