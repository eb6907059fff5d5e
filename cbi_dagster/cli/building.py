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

from cbi_dagster.cli.looking import print_refused
from cbi_dagster.cli.main import NOTHING_HERE, STALE, Failure, cbi, console, examples, holds_nothing, looked_at, opened
from cbi_dagster.cli.parameters import DATE, built_tables, select
from cbi_dagster.home import Home

if TYPE_CHECKING:
    from cbi_dagster.catalog import Table
    from cbi_dagster.home import Platform
    from cbi_dagster.orchestration.building import OnFound, OnTable
    from cbi_dagster.reports.checks import Check, CheckResult
    from cbi_dagster.warehouse.builder import Builder, WriteOutcome
    from cbi_dagster.warehouse.contract import Warehouse
    from cbi_dagster.warehouse.plan import Plan, TablePlan
    from cbi_dagster.warehouse.traffic import Traffic

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
    from cbi_dagster.orchestration.building import NothingLandedError, landed_span

    home = Home.from_environment()
    platform = opened(home)
    _read_anew(platform)
    chosen = {table.id for table in tables}
    blocked = {name: why for name, why in platform.builder.blocked.items() if name in chosen}
    tables = [table for table in tables if table.id not in blocked]
    try:
        span = landed_span(platform.warehouse, start.date() if start else None, stop.date() if stop else None)
    except NothingLandedError as error:
        raise Failure(str(error)) from error
    if tables:
        execute(platform.warehouse, lambda *told: runs.backfill(home, tables, *span, *told))
    _refuse(blocked)


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
    if holds_nothing(home):
        nothing = json.dumps({"landed": {}, "blocked": {}, "refused": [], "upper_bound": []}, indent=2)
        click.echo(nothing if as_json else NOTHING_HERE.format(home.place))
        return
    from cbi_dagster.reports.status import refused_files
    from cbi_dagster.warehouse.builder import FEW_ROWS

    platform = looked_at(home)
    current = platform.builder
    present = current.plan(tables)
    stale = present.tables
    if exact and (stale or present.landed):
        from cbi_dagster.reports.plans import exact_plan

        few = present.rows is not None and present.rows <= FEW_ROWS and not present.landed
        shared = platform.warehouse.shared_connection() if few else contextlib.nullcontext()
        with console.status("rebuilding, without writing …"), shared:
            changes = exact_plan(platform, tables)
        if as_json:
            click.echo(json.dumps({"exact": changes}, indent=2))
        else:
            _print_exact(stale, changes)
    elif as_json:
        found: dict[str, object] = {"landed": dict(present.landed), "blocked": dict(present.blocked)}
        found["refused"] = refused_files(platform.warehouse)
        click.echo(json.dumps(found | {"upper_bound": [_document(item) for item in stale]}, indent=2))
    else:
        _print_landed(present)
        _print_plan(present)
        _print_traffic(platform.warehouse, present)
        _print_stale_inputs(current, tables)
        for name, why in present.blocked.items():
            console.print(f"{name} cannot be built: {why}")
        print_refused(refused_files(platform.warehouse))
    raise SystemExit(STALE if stale or present.landed or present.blocked else 0)


@cbi.command(epilog=examples("cbi refresh", "cbi refresh --select zl_training_prod_allhistory_1m"))
@select
def refresh(tables: list[Table]) -> None:
    """Rebuild exactly what is stale, until nothing is.

    Exit code 0: nothing was stale, 3: something was and has been rebuilt, 1: a table failed.
    """
    if refreshed(Home.from_environment(), tables):
        raise SystemExit(STALE)


def refreshed(home: Home, tables: Sequence[Table]) -> bool:
    """Rebuild what is stale of `tables`, and say so; whether anything was. Fails for a table that failed."""
    from cbi_dagster.warehouse.builder import FEW_ROWS

    home.prepare()
    platform, anew = home.open(), False
    with contextlib.ExitStack() as open_warehouse:
        open_warehouse.enter_context(platform.warehouse.shared_connection())
        current = platform.ready().builder
        present = current.plan(tables)
        if present.landed:
            open_warehouse.close()
            anew = _read_anew(platform, present)
            present = current.plan(tables)
        if present.rows is None or present.rows > FEW_ROWS:
            open_warehouse.close()
        _print_plan(present)
        _print_stale_inputs(current, tables)
        if present.tables:
            from cbi_dagster.orchestration import runs

            if platform.warehouse.bills_bytes and (
                why := platform.warehouse.too_costly(_traffic(platform.warehouse, present).read)
            ):
                raise Failure(why)
            execute(platform.warehouse, lambda *told: runs.refresh(home, tables, current, present, *told))
    _refuse(present.blocked)
    return bool(present.tables) or anew


@cbi.command(epilog=examples("cbi reset zl_training_prod_allhistory_1m", "cbi reset daily_ml_matrix && cbi refresh"))
@click.argument("names", metavar="TABLE...", nargs=-1, required=True)
@click.pass_context
def reset(context: click.Context, names: tuple[str, ...]) -> None:
    """Drop tables that the platform builds, so that the next refresh rebuilds them from what was landed.

    Needed when a new version declares a table differently, or no longer; landed vendor data is never touched.
    """
    from cbi_dagster.catalog import TABLES

    home = Home.from_environment()
    warehouse = home.warehouse()
    if not warehouse.exists():
        raise Failure(f"there is no warehouse in {home.place}, and nothing to drop")
    undeclared = [name for name in names if name in warehouse.undeclared(TABLES.values())]
    declared = [name for name in names if name not in undeclared]
    tables = built_tables(context, context.command.params[0], declared) if declared else []
    for name in (*undeclared, *(table.id for table in tables)):
        warehouse.drop(name)
        console.print(f"{name} dropped")
    console.print("`cbi refresh` rebuilds what is missing.")


def execute(warehouse: Warehouse, run: Callable[[OnTable, OnFound], bool]) -> None:
    """Run with one line per finished table, and at the end what was found in what was written.

    Exit code 1 when a table failed, which is named with the reason.
    """
    from cbi_dagster.orchestration.runs import NeverCurrentError
    from cbi_dagster.reports.checks import lines
    from cbi_dagster.reports.status import failed_since
    from cbi_dagster.warehouse.contract import now_utc

    began, started = now_utc(), time.perf_counter()
    found: dict[str, None] = {}

    def look(check: Check, result: CheckResult) -> None:
        found.update(dict.fromkeys(lines(check, result, {**result.problems, **result.warnings})))

    try:
        done = run(_print_written, look)
    except NeverCurrentError as error:
        raise Failure(str(error)) from error
    if not done:
        failed = [f"  {run.source}: {run.error_message}" for run in failed_since(warehouse, began).itertuples()]
        told = "a table failed; the run's page in the UI (`cbi ui`) has the whole story"
        raise Failure("\n".join([told, *failed]))
    if found:
        console.print("\n".join(["To look at in what was written:", *found]))
    console.print(f"done in {time.perf_counter() - started:.1f} s")


def _refuse(blocked: Mapping[str, str]) -> None:
    """Fail for tables that cannot be built, after what can be was."""
    if blocked:
        lines = [f"  {name}: {why}" for name, why in blocked.items()]
        raise Failure("\n".join([f"{len(blocked)} tables cannot be built:", *lines]))


def _read_anew(platform: Platform, present: Plan | None = None) -> bool:
    """Read landing sources anew that other code or settings read last; whether there were any.

    `present`: a plan that says which, and why.
    """
    if present is not None:
        _print_landed(present)
    with console.status("reading landed files anew …") as status:

        def progress(stage: str, done: int, total: int) -> None:
            status.update(f"{stage} … {done}/{total}")

        found = platform.landing.read_anew(progress)
    for source, result in found.items():
        console.print(
            f"{source}: {result.files:,} files read anew, {result.changed:,} trade dates changed, "
            f"{result.confirmed:,} unchanged",
        )
        print_refused(result.refused)
    return bool(found)


def _print_landed(present: Plan) -> None:
    """Which landing sources must be read anew, and why."""
    for source, reason in present.landed.items():
        console.print(f"{source}: {reason}; its files are to be read anew")


def _print_written(table: Table, outcome: WriteOutcome, seconds: float) -> None:
    result = outcome.result
    parts = [f"{len(result.written):,} written", f"{len(result.unchanged):,} unchanged"]
    for count, words in (
        (len(result.removed), "removed"),
        (outcome.not_landed, "not landed"),
        (result.sums.rows_rejected, "rows rejected"),
        (result.sums.rows_held_back, "rows held back"),
    ):
        if count:
            parts.append(f"{count:,} {words}")
    console.print(f"  {table.id:<50} {seconds:6.1f} s  {result.rows_written:>9,} rows  {', '.join(parts)}")


def _document(item: TablePlan) -> dict[str, object]:
    """The plan of a table as JSON has it."""
    return {
        "table": item.table.id,
        "partitions": len(item.partitions),
        "estimated_rows": item.rows,
        "ranges": [dataclasses.asdict(part) for part in item.ranges],
    }


def _print_plan(present: Plan) -> None:
    """Per table: how many partitions, which ranges, and why; then how far the change spreads."""
    stale = present.tables
    if not stale:
        console.print("No table is stale." if present.landed else "Nothing is stale.")
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


def _print_traffic(warehouse: Warehouse, present: Plan) -> None:
    """What a refresh costs where bytes are paid for."""
    if warehouse.bills_bytes and present.tables:
        found = _traffic(warehouse, present)
        console.print(f"A refresh reads about {found.read:,} bytes of stored tables and writes {found.written:,}.")


def _traffic(warehouse: Warehouse, present: Plan) -> Traffic:
    from cbi_dagster.warehouse.traffic import traffic

    return traffic(present, warehouse.ledger_by_table())


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
