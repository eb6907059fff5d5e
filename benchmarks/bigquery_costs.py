"""What the tables cost in BigQuery: jobs, bytes, dollars and head-room, for more markets and years than there are here.

Rows are those of a state directory that is built (`--home`): of each table, what a trade date has, times the years; of
tables with several markets, times the markets. Bytes are counted as BigQuery does. Nothing is asked of BigQuery; prices
are those of the US in November 2026, on demand: check them before you rely on them.

Example:
    python benchmarks/bigquery_costs.py --home .cbi/demo --markets 500 --years 20
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from recording import markdown

from cbi_dagster.catalog import ASSET_TABLES, TABLES, Table
from cbi_dagster.home import Home
from cbi_dagster.warehouse.builder import SLICE_VALUES
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.traffic import row_bytes

TRADE_DATES_A_YEAR = 260
#: Dollars: active storage for a GiB and month, rows read by the Storage Read API and by queries for a TiB.
STORED, READ, QUERIED = 0.02, 1.10, 6.25
#: Jobs that a project may load in a day, and partitions that a table may have.
JOBS_A_DAY, PARTITIONS_A_TABLE = 100_000, 10_000
#: Every statement is billed for at least this much; a script's fences, deletes and inserts are about six.
LEAST_BYTES, STATEMENTS_A_WRITE = 10 << 20, 6
#: A write loads the rows, their ledger and the run's row, and runs one script.
JOBS_A_WRITE = 4


@dataclass(frozen=True)
class Size:
    """Rows of a table that a trade date has, and the bytes of one."""

    rows: float
    row_bytes: int


def size_of(warehouse: Warehouse, table: Table, markets: int) -> Size | None:
    """None for a table that is empty here."""
    ledger = warehouse.ledger_by_table({table.id}).get(table.id)
    filled = [] if ledger is None else ledger.keys[ledger.row_counts > 0]
    if not len(filled) or not table.partitioning.column:
        return None
    last = table.partitioning.span(filled[-1])
    rows = float(ledger.row_counts.sum()) / len(filled)
    if table.partitioning.span(filled[0])[0] != table.partitioning.span(filled[0])[1]:
        rows /= TRADE_DATES_A_YEAR / 12
    names = [column.name for column in table.columns]
    if "symbol" in names:
        here = len(warehouse.read(table, [last], ["symbol"])["symbol"].unique())
        rows *= markets / here if here > 1 else 1
    return Size(rows, row_bytes(table.stored_columns))


def rows_a_write(table: Table) -> int:
    """Rows of a table that one write takes: a slice of a build reads about as many values as it makes."""
    return SLICE_VALUES // (2 * len(table.columns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(".cbi/demo"), help="a state directory that is built")
    parser.add_argument("--markets", type=int, default=500)
    parser.add_argument("--years", type=int, default=20)
    options = parser.parse_args()
    warehouse = Home(options.home.resolve()).open().ready().warehouse
    sizes = {table.id: size for table in ASSET_TABLES if (size := size_of(warehouse, table, options.markets))}
    dates = options.years * TRADE_DATES_A_YEAR
    header = ["", "jobs", "of those allowed a day", "GiB written", "GiB read", "dollars"]
    lines = []
    for what, days in (("full history", dates), ("one new day", 1)):
        jobs, written, queried, read = 0, 0.0, 0.0, 0.0
        for name, size in sizes.items():
            writes = max(1, round(size.rows * days / rows_a_write(TABLES[name])))
            jobs += JOBS_A_WRITE * writes
            written += size.rows * days * size.row_bytes
            queried += max(size.rows * days * size.row_bytes, writes * STATEMENTS_A_WRITE * LEAST_BYTES)
            for need in TABLES[name].reads:
                if source := sizes.get(need.source):
                    columns = [TABLES[need.source].column(column) for column in need.columns]
                    width = row_bytes(columns) if columns else source.row_bytes
                    # A new day reads its window, which may be everything that there is.
                    back = need.back if isinstance(need.back, int) else dates
                    read += source.rows * min(dates, days + back + need.forward) * width
        cost = (read * READ + queried * QUERIED) / 2**40
        sums = (f"{written / 2**30:,.2f}", f"{read / 2**30:,.2f}", f"{cost:,.2f}")
        lines.append([what, f"{jobs:,}", f"{jobs / JOBS_A_DAY:.1%}", *sums])
    print(f"{options.markets} markets, {options.years} years, {len(sizes)} tables\n")
    print(markdown(header, lines))
    kept = sum(size.rows * dates * size.row_bytes for size in sizes.values()) / 2**30
    print(f"\nStored: {kept:,.1f} GiB, {kept * STORED:,.2f} dollars a month.")
    most, largest = max((size.rows, name) for name, size in sizes.items())
    print(
        f"Head-room: {dates:,} of {PARTITIONS_A_TABLE:,} partitions that a table may have "
        f"({PARTITIONS_A_TABLE / TRADE_DATES_A_YEAR:.0f} years); the largest table has {most:,.0f} rows a trade date, "
        f"of {rows_a_write(TABLES[largest]):,} that a write takes; DML counts against no limit of a day."
    )


if __name__ == "__main__":
    main()
