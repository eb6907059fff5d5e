"""A change as one script: fence, rows that go, rows that come, all in one transaction.

The books are appended to: of rows with the same key the one written last holds, so that two tables can be written at
the same time (rows that are added never conflict, rows that are deleted do). The instant of its transaction, by the
clock of the service, says which that is; writes of one table follow each other (`jobs.Jobs.in_turn`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from cbi_dagster.catalog.model import INGESTION_TS, Table
from cbi_dagster.catalog.partitioning import Interval, merged
from cbi_dagster.catalog.tables.ops import LANDED_FILES, PARTITION_LEDGER
from cbi_dagster.warehouse.changes import Change, Gone, Swap

#: What the script raises when the state that its change was worked out on has moved on.
OVERTAKEN = "cbi: overtaken"
#: How many partitions one statement changes; 4,000 are allowed.
PARTITIONS_A_STATEMENT = 3_000

Named = Callable[[str], str]


def is_book(table: Table) -> bool:
    """Whether of rows with the same key only the one written last holds."""
    return table.layer == "ops"


def script_of(change: Change, staged: Sequence[str | None], named: Named, ledger_rows: int | None = None) -> str:
    """The text that commits a change or nothing of it.

    `staged`: the table that holds the rows of each swap, None for no rows. `named`: table ids as the service has them.
    `ledger_rows`: how many the ledger must have, those included that no longer hold.
    """
    statements = ["BEGIN TRANSACTION", *_fences(change, named)]
    if ledger_rows is not None:
        statements.append(_unless(f"SELECT COUNT(*) FROM {_quoted(named(PARTITION_LEDGER.id))}", ledger_rows))
    for swap, rows in zip(change.swaps, staged, strict=True):
        for condition in _parts(swap.gone):
            if condition is not None:
                statements.append(f"DELETE FROM {_quoted(named(swap.table.id))} WHERE {condition}")
        if rows is not None:
            statements += _inserts(swap, rows, named)
    return ";\n".join([*statements, "COMMIT TRANSACTION"]) + ";\n"


def forget_script(table_id: str, named: Named) -> str:
    """Deletes what the ledger says of a table."""
    return f"DELETE FROM {_quoted(named(PARTITION_LEDGER.id))} WHERE {_equal('table_name', table_id)}"


def source(table: Table, named: Named, moment: dt.datetime | None = None, *, filtered: bool = False) -> str:
    """What a query reads a table from: of the books the rows that hold, and where `moment` is given those of then.

    `filtered`: with a condition on partitions that all meet, for tables that want one.
    """
    text = _quoted(named(table.id))
    if moment is not None:
        text += f" FOR SYSTEM_TIME AS OF TIMESTAMP_MICROS({microseconds(moment)})"
    column = table.partitioning.column if filtered else ""
    if not is_book(table) and moment is None and not column:
        return text
    text = f"SELECT * FROM {text} WHERE " + (f"`{column}` >= DATE '0001-01-01'" if column else "TRUE")
    if is_book(table):
        key = ", ".join(f"`{name}`" for name in table.key)
        newest_first = f"PARTITION BY {key} ORDER BY `{INGESTION_TS.name}` DESC"
        text += f" QUALIFY ROW_NUMBER() OVER ({newest_first}) = 1"
    return f"({text})"


def coverage_query(table: Table, named: Named, moment: dt.datetime | None) -> str:
    """Per symbol: rows, then for each leaf how many have a value and the date of the first."""
    day = f"`{table.partitioning.column}`"
    leaves = ["`" + path.replace(".", "`.`") + "`" for path, _ in table.leaves()]
    counted = ", ".join(
        f"COUNT({leaf}) AS known_{number}, MIN(IF({leaf} IS NOT NULL, {day}, NULL)) AS first_{number}"
        for number, leaf in enumerate(leaves)
    )
    source = _quoted(named(table.id))
    if moment is not None:
        source += f" FOR SYSTEM_TIME AS OF TIMESTAMP_MICROS({microseconds(moment)})"
    return (
        f"SELECT symbol, COUNT(*) AS row_count, {counted} FROM {source} "
        f"WHERE {day} >= DATE '0001-01-01' GROUP BY symbol ORDER BY symbol"
    )


def restriction(table: Table, intervals: Sequence[Interval] | None, chosen: dict[str, Sequence[str]]) -> str:
    """The rows that a read is for, in the words of the Storage Read API; a table's partitions are always named."""
    conditions = []
    if column := table.partitioning.column:
        spans = [(np.datetime64("0001-01-01"), np.datetime64("9999-12-31"))] if intervals is None else intervals
        firsts, lasts = np.array(spans, "datetime64[D]").reshape(-1, 2).T
        conditions.append(_within(column, firsts, lasts))
    conditions += [_among(name, values) for name, values in chosen.items()]
    return " AND ".join(conditions)


def newest(rows: pa.Table, table: Table) -> pa.Table:
    """Of rows of the books, with their key and `ingestion_ts`, those that hold."""
    if len(rows) < 2:
        return rows
    rows = rows.sort_by([(INGESTION_TS.name, "descending")])
    frame = rows.select(list(table.key)).to_pandas()
    holds = ~frame.duplicated().to_numpy()
    return rows.filter(pa.array(holds))


def microseconds(moment: dt.datetime) -> int:
    """Since 1970, exact."""
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def _fences(change: Change, named: Named) -> Iterator[str]:
    if change.registered is not None:
        count = f"SELECT COUNT(DISTINCT landing_sequence) FROM {_quoted(named(LANDED_FILES.id))}"
        yield _unless(count, change.registered)
    if change.verified is not None:
        name, version = change.verified
        newest = "SELECT IFNULL(MAX(UNIX_MICROS(verified_at)), 0)"
        ledger = f"{newest} FROM {_quoted(named(PARTITION_LEDGER.id))} WHERE {_equal('table_name', name)}"
        yield _unless(ledger, version)


def _unless(query: str, value: int) -> str:
    return f"IF ({query}) <> {value} THEN RAISE USING MESSAGE = {_text(OVERTAKEN)}; END IF"


def _parts(gone: Gone | None) -> Iterator[str | None]:
    """Conditions for rows that go, each of not too many partitions; None where no row does."""
    if gone is None:
        yield None
        return
    about = [] if gone.table_name is None else [_equal("table_name", gone.table_name)]
    if gone.partition_keys is not None:
        about.append(_among("partition_key", gone.partition_keys))
    if not gone.column:
        yield " AND ".join(about) or "TRUE"
        return
    first, last = gone.spans
    order = np.argsort(first)
    for start in range(0, len(order), PARTITIONS_A_STATEMENT):
        part = order[start : start + PARTITIONS_A_STATEMENT]
        yield " AND ".join([*about, _within(gone.column, first[part], last[part])])


def _inserts(swap: Swap, staged: str, named: Named) -> Iterator[str]:
    """Rows that come, as many statements as those that go have where these are of the same partitions."""
    names = [f"`{name}`" for name in swap.rows.column_names]
    values = list(names)
    if is_book(swap.table) and INGESTION_TS.name not in swap.rows.column_names:
        names, values = [*names, f"`{INGESTION_TS.name}`"], [*values, "CURRENT_TIMESTAMP()"]
    insert = (
        f"INSERT INTO {_quoted(named(swap.table.id))} ({', '.join(names)})\n"
        f"SELECT {', '.join(values)} FROM {_quoted(staged)}"
    )
    conditions = list(_parts(swap.gone)) if swap.table.partitioning.column else []
    if len(conditions) < 2:
        yield insert
    else:
        yield from (f"{insert} WHERE {condition}" for condition in conditions)


def _within(column: str, firsts: np.ndarray, lasts: np.ndarray) -> str:
    joined = merged(firsts, lasts, gap_days=1)
    terms = [
        f"`{column}` = DATE '{first}'" if first == last else f"`{column}` BETWEEN DATE '{first}' AND DATE '{last}'"
        for first, last in joined
    ]
    return f"({' OR '.join(terms)})" if terms else "FALSE"


def _among(column: str, values: Sequence[str]) -> str:
    """No value is none of a row's."""
    return f"`{column}` IN ({', '.join(_text(value) for value in values)})" if values else "FALSE"


def _equal(column: str, value: str) -> str:
    return f"`{column}` = {_text(value)}"


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quoted(name: str) -> str:
    return f"`{name}`"
