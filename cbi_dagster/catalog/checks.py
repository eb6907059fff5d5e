"""The pandera schema of a table, derived from its declaration.

The schema holds what a value may be: bounds, vocabularies and row conditions. Types, required columns, unique keys and
partitions are the warehouse contract's, which both engines share.
"""

from __future__ import annotations

import functools

import pandas as pd
import pandera.pandas as pa

from cbi_dagster.catalog.model import Column, RowCheck, Table


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
def schema_of(table: Table) -> pa.DataFrameSchema:
    """pandera schema over frames with STRUCTs flattened to `<struct>_<field>`; columns without checks are left out."""
    columns = {}
    for path, leaf in table.leaves():
        if checks := _column_checks(leaf):
            columns[path.replace(".", "_")] = pa.Column(checks=checks, nullable=True, required=True)
    return pa.DataFrameSchema(columns, checks=[_row_check(check) for check in table.row_checks], name=table.id)


class ChecksFailedError(ValueError):
    """Rows break the declared checks of their table. The message counts the cases per check with examples."""

    def __init__(self, table: Table, failures: pd.DataFrame) -> None:
        self.failures = failures
        lines = []
        for (column, check), cases in failures.groupby(["column", "check"], dropna=False, sort=True):
            examples = ", ".join(
                f"{case!r} at row {index}" for case, index in cases[["failure_case", "index"]].head(3).to_numpy()
            )
            lines.append(
                f"  {column if isinstance(column, str) else 'row'}: {check}: {len(cases)} cases, e.g. {examples}"
            )
        super().__init__(f"{table.id}: rows break the table's checks; nothing was written\n" + "\n".join(lines))


def validate(table: Table, frame: pd.DataFrame) -> None:
    """Check a whole batch at once; raises ChecksFailedError with every failing case."""
    try:
        schema_of(table).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise ChecksFailedError(table, error.failure_cases) from error
