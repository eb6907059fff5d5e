"""What a recipe is: how one table is made of the tables it reads."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cbi_dagster.catalog import Table


@dataclass(frozen=True)
class TableOutput:
    """Rows of a table together with the rows that did not become part of it.

    `rejected`: one row per rejected input row (columns of `ops.quarantine` without `table_name`); `held_back`: counts
    per trade date, symbol and reason (columns of `ops.held_back` without `table_name`).
    """

    rows: pd.DataFrame
    rejected: pd.DataFrame
    held_back: pd.DataFrame


@dataclass(frozen=True)
class Recipe:
    """A table and the function that makes it of the frames it reads, in the order of the table's reads.

    The function returns a frame, an Arrow table or a TableOutput.
    """

    table: Table
    function: Callable[..., Any]

    def __call__(self, *inputs: pd.DataFrame) -> Any:
        return self.function(*inputs)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The function's parameters: one per read of the table."""
        return tuple(inspect.signature(self.function).parameters)


def recipe(table: Table, **stand_for: str) -> Callable[[Callable[..., Any]], Recipe]:
    """Make a recipe of a function whose parameters are the tables it reads, by name and in declared order.

    `stand_for` names the table behind a parameter that is called otherwise, where one function serves several tables.
    Raises TypeError for other parameters.
    """

    def decorate(function: Callable[..., Any]) -> Recipe:
        made = Recipe(table, function)
        sources = [read.source.partition(".")[2] for read in table.reads]
        if [stand_for.get(name, name) for name in made.parameters] != sources:
            raise TypeError(f"{table.id} reads {sources}, but {function.__name__} takes {list(made.parameters)}")
        return made

    return decorate
