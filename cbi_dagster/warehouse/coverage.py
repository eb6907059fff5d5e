"""How much of a table's columns is known."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cbi_dagster.catalog.model import Table


@dataclass(frozen=True)
class Coverage:
    """How much of a column is known.

    `path` as in `Table.leaves`. `symbols` are those that have a value, `rows` the rows of these symbols, `known` how
    many of them have one, and `first` is the date of the first.
    """

    path: str
    symbols: tuple[str, ...]
    rows: int
    known: int
    first: dt.date | None


def coverages(table: Table, counted: Sequence[tuple[Any, ...]]) -> list[Coverage]:
    """`Warehouse.coverage`, from one tuple for each symbol, in order.

    It holds the symbol, its rows, and for each of `table.leaves()` how many have a value and the date of the first.
    """
    found = []
    for (path, _), at in zip(table.leaves(), itertools.count(2, 2), strict=False):
        having = [row for row in counted if row[at]]
        found.append(
            Coverage(
                path=path,
                symbols=tuple(row[0] for row in having),
                rows=sum(row[1] for row in having),
                known=sum(row[at] for row in having),
                first=min((row[at + 1] for row in having), default=None),
            )
        )
    return found
