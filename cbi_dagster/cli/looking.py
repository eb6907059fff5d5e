"""Commands that look at tables and change nothing: status, features, rows, exports."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table as Grid

from cbi_dagster.cli.main import NOTHING_HERE, Failure, cbi, console, examples, holds_nothing, looked_at
from cbi_dagster.cli.parameters import DATE, one_table, select, several_tables
from cbi_dagster.home import Home

if TYPE_CHECKING:
    from cbi_dagster.catalog import Table
    from cbi_dagster.home import Platform
    from cbi_dagster.warehouse.contract import Warehouse

_SYMBOLS_NAMED = 3


@cbi.command(epilog=examples("cbi status"))
def status() -> None:
    """Tables, partitions, rows, span, and what was rejected or held back."""
    home = Home.from_environment()
    if holds_nothing(home):
        console.print(NOTHING_HERE.format(home.place), soft_wrap=True)
        return
    print_status(home, looked_at(home).warehouse)


def print_status(home: Home, warehouse: Warehouse) -> None:
    """The state of all tables, then what failed, what was rejected and what was held back, if anything was."""
    from cbi_dagster.reports import status as reports

    found = reports.status(warehouse)
    console.print(
        f"{home.place}: {found.files} files landed" + (f" ({', '.join(found.datasets)})" if found.datasets else "")
    )
    grid = Grid("table", "partitions", "with rows", "rows", "first", "last", "last written (UTC)")
    for item in found.tables:
        counts = (f"{item.partitions:,}", f"{item.filled:,}", f"{item.rows:,}")
        written_at = "-" if item.written_at is None else f"{item.written_at:%Y-%m-%d %H:%M}"
        grid.add_row(item.table.id, *counts, item.first or "-", item.last or "-", written_at)
    console.print(grid)
    for name, differences in found.drifted.items():
        console.print(
            f"{name} is stored otherwise than declared ({'; '.join(differences)}): `cbi reset {name}` drops it"
        )
    for name in found.undeclared:
        console.print(f"{name} is stored and no longer declared: `cbi reset {name}` drops it")
    print_refused(found.refused)
    if len(found.failed):
        grid = Grid("failed last", "at (UTC)", "because")
        for run in found.failed.itertuples():
            grid.add_row(str(run.source), f"{run.ended_at:%Y-%m-%d %H:%M}", str(run.error_message))
        console.print(grid)
    if len(found.rejected):
        grid = Grid("rejected from", "because", "rows", "first", "last")
        for case in found.rejected.itertuples():
            span = (f"{case.first:%Y-%m-%d}", f"{case.last:%Y-%m-%d}")
            grid.add_row(str(case.table_name), str(case.reason), f"{case.rows:,}", *span)
        console.print(grid)
    if len(found.held_back):
        grid = Grid("held back from", "because", "rows", "trade dates", "first", "last")
        for case in found.held_back.itertuples():
            span = (f"{case.first:%Y-%m-%d}", f"{case.last:%Y-%m-%d}")
            grid.add_row(str(case.table_name), str(case.reason), f"{case.rows:,}", f"{case.trade_dates:,}", *span)
        console.print(grid)


def print_refused(files: Sequence[str]) -> None:
    """Landed files that later rules refuse, and the way out."""
    for said in files:
        console.print(f"landed once and refused now: {said}")


@cbi.command(epilog=examples("cbi check", "cbi check --select daily_ml_matrix --from 2024-01-01 --all"))
@click.option("--from", "start", type=DATE, help="First trade date, inclusive (default: all that is stored).")
@click.option("--to", "stop", type=DATE, help="Last trade date, inclusive (default: all that is stored).")
@click.option("--all", "every", is_flag=True, help="Name every case of every finding.")
@select
def check(start: dt.datetime | None, stop: dt.datetime | None, every: bool, tables: list[Table]) -> None:
    """Look at what is stored: is it what was declared and written, and what in it is strange?

    `cbi backfill` writes again what is not as it was written. What is strange may be right: it is told, and no failure.
    Exit code 0: no check failed, 1: one failed.
    """
    from cbi_dagster.reports import checks

    warehouse = looked_at(Home.from_environment()).warehouse
    span = (start.date() if start else None, stop.date() if stop else None)
    failed: list[str] = []
    strange: list[str] = []
    done = broken = findings = 0
    for item, result in checks.check(warehouse, tables, *span):
        done, broken, findings = done + 1, broken + bool(result.problems), findings + len(result.warnings)
        failed += [f"  {line}" for line in checks.lines(item, result, result.problems, every=every)]
        strange += [f"  {line}" for line in checks.lines(item, result, result.warnings, every=every)]
    if strange:
        console.print("\n".join(["To look at:", *strange]))
    if failed:
        told = "\n".join([f"{broken} of {done} checks failed:", *failed])
        raise Failure(f"{told}\n`cbi backfill --select TABLE` writes again what is not as it was written")
    console.print(f"{done} checks passed{f', {findings} findings to look at' if strange else ''}.")


@cbi.command(epilog=examples("cbi sessions", "cbi sessions --from 2014-01-01 --to 2014-12-31 --symbol ZL"))
@click.option("--from", "start", type=DATE, help="First trade date, inclusive (default: the first session).")
@click.option("--to", "stop", type=DATE, help="Last trade date, inclusive (default: the last session).")
@click.option("--symbol", help="Only this symbol.")
def sessions(start: dt.datetime | None, stop: dt.datetime | None, symbol: str | None) -> None:
    """List the sessions that are not what the exchange held: missing, cut, holed, doubtful, thin, and those nobody
    expected.

    `session_quality` in the data dictionary says what the words mean; bars are those seen of those usual. The vendor's
    word is that of a landed condition.json, where it is another than `available`.
    """
    from cbi_dagster.config.universe import load_universe
    from cbi_dagster.reports import sessions as reports

    warehouse = looked_at(Home.from_environment()).warehouse
    span = (start.date() if start else None, stop.date() if stop else None)
    found = reports.sessions(warehouse, load_universe(), *span, symbol)
    if not found.counts:
        raise Failure("there are no sessions in the range asked for; `cbi refresh` builds them from what has landed")
    total = sum(found.counts.values())
    console.print(f"{total:,} sessions: " + ", ".join(f"{count:,} {name}" for name, count in found.counts.items()))
    grid = Grid("trade date", "is", "sessions", "bars of usual", "vendor")
    for (date, verdict), cases in found.irregular.groupby(["date", "is"], sort=True):
        bars = [str(case.bars) for case in cases.itertuples() if case.bars]
        grid.add_row(
            f"{date:%Y-%m-%d}", str(verdict), " ".join(cases["symbol"]), " ".join(bars), cases["vendor"].iloc[0]
        )
    if len(found.irregular):
        console.print(grid)


@cbi.command(epilog=examples("cbi features", "cbi features --table biofuel_daily"))
@click.option(
    "--table",
    "tables",
    multiple=True,
    callback=several_tables,
    help="Only the features of these tables (repeatable; default: all).",
)
def features(tables: list[Table]) -> None:
    """Every feature: unit, first date, share of NULLs and meaning; per table, where its formulas and inputs are.

    Symbols that never have a feature do not count in its share of NULLs.
    """
    from cbi_dagster.reports import features as reports

    known = reports.FEATURE_TABLES
    if strangers := [table.id for table in tables if table not in known]:
        raise Failure(f"{', '.join(strangers)} hold no features: choose from {', '.join(t.name for t in known)}")
    warehouse = looked_at(Home.from_environment()).warehouse
    for table in tables or known:
        console.print(f"\n{table.id}: {table.description}")
        console.print(f"formulas in {', '.join(reports.formula_files(table))}")
        console.print(f"reads {'; '.join(f'{read.source} ({read.history})' for read in table.reads)}")
        grid = Grid("feature", "unit", "first date", "NULL", "symbols", "meaning")
        for feature in reports.features(warehouse, table):
            grid.add_row(
                feature.path,
                feature.column.unit,
                str(feature.first or "-"),
                f"{feature.null_share:.1%}" if feature.first else "all",
                ", ".join(feature.symbols) if len(feature.symbols) < _SYMBOLS_NAMED else f"{len(feature.symbols)}",
                feature.column.description,
            )
        console.print(grid)


@cbi.command(epilog=examples("cbi show daily_ml_matrix --date 2024-06-03 --symbol ZL"))
@click.argument("table", metavar="TABLE", callback=one_table)
@click.option("--date", "date", type=DATE, required=True, help="Trade date.")
@click.option("--symbol", help="Only this symbol.")
def show(table: Table, date: dt.datetime, symbol: str | None) -> None:
    """Show the rows of one trade date, one column per line; where there is none, why."""
    from cbi_dagster.reports.rows import rows_of

    platform = looked_at(Home.from_environment())
    rows = rows_of(platform.warehouse, table, date.date(), symbol)
    if rows.empty:
        raise no_row(platform, table, date.date(), symbol)
    for _, row in rows.iterrows():
        grid = Grid(table.id, "", show_lines=False)
        for name, value in row.items():
            grid.add_row(str(name), cell(value))
        console.print(grid)


def no_row(platform: Platform, table: Table, date: dt.date, symbol: str | None) -> Failure:
    """That a table has no row of a date, and why."""
    from cbi_dagster.reports.absence import why_absent

    told = f"{table.id} has no row for {date}" + (f" and symbol {symbol}" if symbol else "")
    if not table.partitioning.column:
        return Failure(told)
    reasons = why_absent(platform, table, date, symbol)
    return Failure("\n".join([told, *(f"  {reason.kind}: {reason.text}" for reason in reasons)]))


def cell(value: Any) -> str:
    """A value as it is shown."""
    import pandas as pd

    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return "NULL"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, pd.Timestamp) and value.tz is None:
        return f"{value:%Y-%m-%d}"
    return str(value)


@cbi.command(
    epilog=examples(
        "cbi export zl_training_prod_allhistory_1m --out zl_1m.parquet",
        "cbi export futures_continuous_1d --symbol ZL --from 2024-01-01 --to 2024-06-28 --out zl.csv",
    )
)
@click.argument("table", metavar="TABLE", callback=one_table)
@click.option(
    "--out",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write: .parquet, .arrow or .csv.",
)
@click.option(
    "--format", "stated", type=click.Choice(["parquet", "arrow", "csv"]), help="Where the name does not say it."
)
@click.option("--from", "start", type=DATE, help="First date (default: all).")
@click.option("--to", "stop", type=DATE, help="Last date, inclusive.")
@click.option("--symbol", "symbols", multiple=True, help="Only this symbol (repeatable; default: all).")
def export(
    table: Table,
    out: Path,
    stated: str | None,
    start: dt.datetime | None,
    stop: dt.datetime | None,
    symbols: Sequence[str],
) -> None:
    """Write a table, or part of it, to a file.

    Parquet and Arrow files say in their metadata what the columns mean and which version of the content they hold.
    """
    import numpy as np

    from cbi_dagster.catalog.partitioning import BEGINNING, END
    from cbi_dagster.reports import rows as reports

    interval = None
    if start or stop:
        if not table.partitioning.column:
            raise Failure(f"{table.id} has no dates; leave --from and --to out")
        interval = (
            np.datetime64(start.date(), "D") if start else BEGINNING,
            np.datetime64(stop.date(), "D") if stop else END,
        )
    if symbols and not any(column.name == "symbol" for column in table.columns):
        raise Failure(f"{table.id} has no symbols; leave --symbol out")
    try:
        reports.format_of(out, stated)
    except ValueError as error:
        raise Failure(f"{error}; --format takes parquet, arrow or csv") from error
    warehouse = looked_at(Home.from_environment()).warehouse
    try:
        count = reports.export(warehouse, table, out, stated=stated, interval=interval, symbols=symbols)
    except LookupError as error:
        raise Failure(str(error)) from error
    console.print(f"{count:,} rows of {table.id} -> {out}")
