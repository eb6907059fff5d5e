"""The pandera schemas of a table, derived from its declaration.

They hold what a value may be: bounds, vocabularies and row conditions. Types, required columns, unique keys and
partitions are the warehouse contract's, which both engines share. Columns with the same bounds are checked as one long
column: a wide table has a hundred of them and a handful of bounds, and pandera's cost is per column.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pandera.pandas as pa

from cbi_dagster.catalog.model import Column, RowCheck, Table, Type


def _bounds(column: Column) -> tuple[object, ...]:
    """Columns with equal bounds can be checked as one; numbers of both types can, numbers and strings cannot."""
    return (column.type is Type.STRING, column.ge, column.gt, column.le, column.isin)


def _column_checks(column: Column) -> list[pa.Check]:
    checks = []
    if column.ge is not None:
        checks.append(pa.Check.ge(column.ge))
    if column.gt is not None:
        checks.append(pa.Check.gt(column.gt))
    if column.le is not None:
        checks.append(pa.Check.le(column.le))
    if column.isin is not None:
        checks.append(pa.Check.isin(column.isin))
    return checks


def _row_check(check: RowCheck) -> pa.Check:
    return pa.Check(check.holds, name=check.name, error=check.name)


@functools.cache
def column_schemas(table: Table) -> list[tuple[tuple[str, ...], pa.SeriesSchema]]:
    """Per set of bounds: the columns it holds for, STRUCTs flattened to `<struct>_<field>`, and their pandera schema.

    Columns without checks are left out.
    """
    leaves = [(path.replace(".", "_"), leaf) for path, leaf in table.leaves() if _column_checks(leaf)]
    groups: dict[object, list[tuple[str, Column]]] = {}
    for name, leaf in leaves:
        groups.setdefault(_bounds(leaf), []).append((name, leaf))
    return [
        (tuple(name for name, _ in group), pa.SeriesSchema(checks=_column_checks(group[0][1]), nullable=True))
        for group in groups.values()
    ]


@functools.cache
def looked_at(table: Table) -> tuple[str, ...]:
    """The columns that checks look at, STRUCTs as a whole, and those of the key, which names the rows that fail."""
    checked = {name for names, _ in column_schemas(table) for name in names}
    checked |= {name for check in table.row_checks for name in check.columns} | set(table.key)
    leaves = [(path.partition(".")[0], path.replace(".", "_")) for path, _ in table.leaves()]
    return tuple(dict.fromkeys(column for column, name in leaves if name in checked))


@functools.cache
def row_schema(table: Table) -> pa.DataFrameSchema:
    """pandera schema of the conditions on several columns of a row."""
    return pa.DataFrameSchema(checks=[_row_check(check) for check in table.row_checks], name=table.id)


class ChecksFailedError(ValueError):
    """Rows of `frame` break the declared checks of their table. The message counts them per check, with examples.

    `failures`: a row per case with `column` (None for a condition on the row), `check` and `index`, the row's number.
    """

    def __init__(self, table: Table, frame: pd.DataFrame, failures: pd.DataFrame) -> None:
        self.failures = failures
        conditions = {check.name: check.columns for check in table.row_checks}
        lines = []
        for (column, check), cases in failures.groupby(["column", "check"], dropna=False, sort=True):
            subject, shown = check, conditions.get(str(check), ())
            if isinstance(column, str):
                subject, shown = f"{column}: {check}", (column,)
            examples = []
            for row in frame.iloc[cases["index"].head(3)].to_dict("records"):
                key = ", ".join(str(row[name]) for name in table.key)
                examples.append(f"{', '.join(f'{name} = {row[name]!r}' for name in shown)} at ({key})")
            lines.append(f"  {subject}: {len(cases)} cases, e.g. {'; '.join(examples)}")
        super().__init__(f"{table.id}: rows break the table's checks; nothing was written\n" + "\n".join(lines))


#: Values checked at once: enough to make pandera's cost per call small, too few to matter in memory.
_BATCH_VALUES = 1_000_000


def _stacked(frame: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """The columns below each other, NaN or None for NULL."""
    if len(names) == 1:
        return frame[names[0]]
    return pd.Series(np.concatenate([_plain(frame[name]) for name in names]))


def _plain(column: pd.Series) -> np.ndarray:
    """Values as NumPy knows them: nullable integers and booleans become numbers, categories their strings."""
    nullable = column.dtype.kind in "iub" and not isinstance(column.dtype, np.dtype)
    return column.to_numpy(np.float64, na_value=np.nan) if nullable else column.to_numpy()


def validate(table: Table, frame: pd.DataFrame) -> None:
    """Check a whole batch at once; raises ChecksFailedError with every failing case.

    `frame` has the table's columns, at least those that are `looked_at`, with STRUCTs flattened, and rows numbered
    from 0.
    """
    failures = []
    columns_at_once = max(1, _BATCH_VALUES // max(1, len(frame)))
    for names, schema in column_schemas(table):
        for start in range(0, len(names), columns_at_once):
            batch = names[start : start + columns_at_once]
            try:
                schema.validate(_stacked(frame, batch), lazy=True)
            except pa.errors.SchemaErrors as error:
                cases = error.failure_cases
                column, index = np.divmod(cases["index"].to_numpy(np.int64), len(frame))
                failures.append(cases[["check"]].assign(column=np.array(batch)[column], index=index))
    if table.row_checks:
        try:
            row_schema(table).validate(frame, lazy=True)
        except pa.errors.SchemaErrors as error:
            # pandera repeats such a case for every column of the row.
            cases = error.failure_cases[["check", "index"]].drop_duplicates()
            failures.append(cases.assign(column=None))
    if failures:
        raise ChecksFailedError(table, frame, pd.concat(failures, ignore_index=True))
