"""Commands that build tables, say what would be built, or drop tables to be built anew."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click
from rich.table import Table as Grid

from cbi_dagster.cli.main import STALE, Failure, cbi, console, examples, opened
from cbi_dagster.cli.parameters import DATE, built_tables, select
from cbi_dagster.home import Home

if TYPE_CHECKING:
    from cbi_dagster.catalog import Table
    from cbi_dagster.orchestration.runs import OnTable
    from cbi_dagster.warehouse.builder import Builder, PreparedBuild, WriteOutcome
    from cbi_dagster.warehouse.plan import TablePlan

#: A refresh of at most this many rows keeps the warehouse for its seconds instead of opening it for every step: other
#: processes can wait that long.
_SMALL_REFRESH_ROWS = 100_000
_RANGES_SHOWN = 4


@cbi.command(
    epilog=examples(
        "cbi backfill", "cbi backfill --from 2020-01-01 --to 2020-12-31", "cbi backfill --select fib_levels_daily"
    )
)
@click.option("--from", "start", type=DATE, help="First trade date, inclusive (default: first landed).")
@click.option("--to", "stop", type=DATE, help="Last trade date, inclusive (default: last landed).")
@select
def backfill(start: dt.datetime | None, stop: dt.datetime | None, tables: list[Table]) -> None:
    """Rebuild a range of trade dates, whether stale or not. Unchanged partitions are confirmed, not written."""
    from cbi_dagster.orchestration import runs

    home = Home.from_environment()
    warehouse = opened(home).warehouse
    try:
        span = runs.landed_span(warehouse, start.date() if start else None, stop.date() if stop else None)
    except runs.NothingLandedError as error:
        raise Failure(str(error)) from error
    execute(lambda on_table: runs.backfill(home, tables, *span, on_table))


@cbi.command(
    epilog=examples(
        "cbi plan", "cbi plan --exact", "cbi plan --select daily_ml_matrix --json", "cbi plan || cbi refresh"
    )
)
@select
@click.option("--exact", is_flag=True, help="Recompute without writing, and show what would really change.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(tables: list[Table], exact: bool, as_json: bool) -> None:
    """Show which partitions are stale, and why, before anything runs.

    The plan is an upper bound: how far a correction reaches depends on values. Exit code 0: nothing is stale, 3:
    something is.
    """
    home = Home.from_environment()
    current = opened(home).builder
    stale = current.plan(tables).tables
    if exact and stale:
        from cbi_dagster.reports.plans import exact_plan

        with console.status("rebuilding, without writing …"):
            changes = exact_plan(current, tables)
        if as_json:
            click.echo(json.dumps({"exact": changes}, indent=2))
        else:
            _print_exact(stale, changes)
    elif as_json:
        click.echo(json.dumps({"upper_bound": [_document(item) for item in stale]}, indent=2))
    else:
        _print_plan(stale)
        _print_stale_inputs(current, tables)
    raise SystemExit(STALE if stale else 0)


@cbi.command(epilog=examples("cbi refresh", "cbi refresh --select zl_training_prod_allhistory_1m"))
@select
def refresh(tables: list[Table]) -> None:
    """Rebuild exactly what is stale, layer by layer, until nothing is.

    Exit code 0: nothing was stale, 3: something was and has been rebuilt, 1: a table failed.
    """
    home = Home.from_environment()
    home.prepare()
    platform = home.open()
    with contextlib.ExitStack() as open_warehouse:
        open_warehouse.enter_context(platform.warehouse.shared_connection())
        current = platform.ready().builder
        present = current.plan(tables)
        if present.rows is None or present.rows > _SMALL_REFRESH_ROWS:
            open_warehouse.close()
        _print_plan(present.tables)
        _print_stale_inputs(current, tables)
        if present.tables:
            from cbi_dagster.orchestration import runs

            execute(lambda on_table: runs.refresh(home, tables, current, present, on_table))
            raise SystemExit(STALE)


@cbi.command(epilog=examples("cbi reset zl_training_prod_allhistory_1m", "cbi reset daily_ml_matrix && cbi refresh"))
@click.argument("tables", metavar="TABLE...", nargs=-1, required=True, callback=built_tables)
def reset(tables: list[Table]) -> None:
    """Drop tables that the platform builds, so that the next refresh rebuilds them from what was landed.

    Needed when a new version declares a table differently; landed vendor data is never touched.
    """
    home = Home.from_environment()
    if not home.warehouse_file.exists():
        raise Failure(f"{home.warehouse_file} does not exist: there is nothing to drop")
    warehouse = home.open().warehouse
    for table in tables:
        warehouse.drop(table)
        console.print(f"{table.id} dropped")
    console.print("`cbi refresh` rebuilds what is missing.")


def execute(run: Callable[[OnTable], bool]) -> None:
    """Run with one line per finished table; exit code 1 when a table failed."""
    from cbi_dagster.orchestration.runs import NeverCurrentError

    started = time.perf_counter()
    try:
        done = run(_print_written)
    except NeverCurrentError as error:
        raise Failure(str(error)) from error
    if not done:
        raise Failure("a table failed; the run's page in the UI (`cbi ui`) has the whole story")
    console.print(f"done in {time.perf_counter() - started:.1f} s")


def _print_written(build: PreparedBuild, outcome: WriteOutcome, seconds: float) -> None:
    result = outcome.result
    parts = [f"{len(result.written):,} written", f"{len(result.unchanged):,} unchanged"]
    for count, words in (
        (build.not_landed, "not landed"),
        (result.sums.rows_rejected, "rows rejected"),
        (result.sums.rows_held_back, "rows held back"),
    ):
        if count:
            parts.append(f"{count:,} {words}")
    console.print(
        f"  {build.table.id:<50} {seconds:6.1f} s  {result.rows_written:>9,} rows  {', '.join(parts)}", highlight=False
    )


def _document(item: TablePlan) -> dict[str, object]:
    """The plan of a table as JSON has it."""
    return {
        "table": item.table.id,
        "partitions": len(item.partitions),
        "estimated_rows": item.rows,
        "ranges": [dataclasses.asdict(part) for part in item.ranges],
    }


def _print_plan(stale: Sequence[TablePlan]) -> None:
    """Per table: how many partitions, which ranges, and why; then how far the change spreads."""
    if not stale:
        console.print("Nothing is stale.")
        return
    grid = Grid("table", "partitions", "rows (est.)", "from", "to", "why")
    for item in stale:
        for number, part in enumerate(item.ranges[:_RANGES_SHOWN]):
            rows = "unknown" if item.rows is None else f"{item.rows:,}"
            head = (item.table.id, f"{len(item.partitions):,}", rows) if number == 0 else ("", "", "")
            grid.add_row(*head, part.first, part.last, part.reason)
        if len(item.ranges) > _RANGES_SHOWN:
            grid.add_row("", "", "", "", "", f"… and {len(item.ranges) - _RANGES_SHOWN} more ranges (--json)")
    console.print(grid)
    certain = [part for item in stale for part in item.ranges if part.certain]
    partitions = sum(len(item.partitions) for item in stale)
    console.print(
        f"{sum(part.partitions for part in certain):,} partitions are stale; with what depends on them at most "
        f"{partitions:,} in {len(stale)} tables. `cbi plan --exact` recomputes and shows what would really change."
    )


def _print_stale_inputs(current: Builder, wanted: Sequence[Table]) -> None:
    from cbi_dagster.reports.plans import stale_inputs

    if names := stale_inputs(current, wanted):
        console.print(
            f"Stale themselves and not selected: {', '.join(names)}. What is selected is made from what they hold now."
        )


def _print_exact(stale: Sequence[TablePlan], changes: Mapping[str, Sequence[str]]) -> None:
    grid = Grid("table", "would change", "of at most", "first", "last")
    for item in stale:
        written = changes.get(item.table.id, ())
        span = (min(written), max(written)) if written else ("-", "-")
        grid.add_row(item.table.id, f"{len(written):,}", f"{len(item.partitions):,}", *span)
    console.print(grid)
