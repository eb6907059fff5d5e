"""`cbi`: land vendor files, build the tables, look at them, and open the Dagster UI.

Exit codes: 0 done, 1 the work failed (the message says what and where), 2 the command was called wrongly, 3 `plan` or
`refresh` found something stale.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import datetime as dt
import errno
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from cbi_dagster.home import Home, builder

if TYPE_CHECKING:
    from cbi_dagster.catalog import Table
    from cbi_dagster.vendors.databento.landing import Landing, LandingReport
    from cbi_dagster.warehouse.builder import Builder
    from cbi_dagster.warehouse.duckdb import DuckDBWarehouse
    from cbi_dagster.warehouse.plan import TablePlan

# A pipe has no width of its own: do not squeeze tables for it.
console = Console(width=None if sys.stdout.isatty() else 160)
DATE = click.DateTime(formats=["%Y-%m-%d"])

#: A refresh of at most this many rows keeps the warehouse for its seconds instead of opening it for every step: other
#: processes can wait that long.
_SMALL_REFRESH_ROWS = 100_000


class _Failure(click.ClickException):
    """A failure in the user's words, exit code 1."""

    def show(self, file: Any = None) -> None:
        Console(stderr=True).print(f"[red]cbi:[/red] {escape(self.message)}", highlight=False, soft_wrap=True)


def _examples(*lines: str) -> str:
    """Help text that keeps its line breaks."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _open(home: Home) -> tuple[DuckDBWarehouse, Landing]:
    from cbi_dagster.catalog import TABLES
    from cbi_dagster.config.universe import load_universe
    from cbi_dagster.vendors.databento.landing import Landing
    from cbi_dagster.warehouse.duckdb import DuckDBWarehouse

    home.prepare()
    warehouse = DuckDBWarehouse(home.warehouse)
    with _drift_told():
        warehouse.ensure(TABLES.values())
    return warehouse, Landing(warehouse, home.landing, load_universe())


def _builder(home: Home) -> Builder:
    home.prepare()
    return builder(home.warehouse, home.landing)


@contextlib.contextmanager
def _drift_told() -> Iterator[None]:
    from cbi_dagster.warehouse.contract import SchemaDriftError

    try:
        yield
    except SchemaDriftError as error:
        raise _Failure(str(error)) from error


class _Commands(click.Group):
    """Commands whose trouble with files, or with a lock that another program holds, is told without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        # A command lives for seconds and imports hundreds of thousands of objects, which the collector would go through
        # again and again: measured, it took a twelfth of a small refresh.
        gc.set_threshold(50_000, 10, 10)
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read the output has had enough: click ends in silence
                raise
            raise _Failure(str(error)) from error


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="State lives under CBI_HOME (default ./.cbi).",
)
@click.version_option(package_name="cbi-dagster")
def main() -> None:
    """Point-in-time feature tables for futures, from vendor files to training data."""


@main.command(epilog=_examples("cbi land GLBX-20251216-WEJLAFALCV", "cbi land march.zip correction.ohlcv-1h.dbn.zst"))
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def land(paths: tuple[Path, ...]) -> None:
    """Take vendor deliveries: directories, batch zips, DBN files (with or without zstd), Parquet or CSV bars,
    macro series (`*.macro.csv`, `*.macro.parquet`).

    Every file is verified before it is believed. Landing a file twice changes nothing; on the same bar the later
    delivery wins and the change is recorded as a correction.
    """
    _, landing = _open(Home.from_environment())
    _print_landing(_land(landing, paths))


def _land(landing: Landing, paths: Sequence[Path]) -> LandingReport:
    from cbi_dagster.vendors.databento.delivery import DeliveryError
    from cbi_dagster.vendors.databento.landing import DatasetMismatchError

    with console.status("reading deliveries …") as status:

        def progress(stage: str, done: int, total: int) -> None:
            status.update(f"{stage} … {done}/{total}")

        try:
            return landing.land(list(paths), progress)
        except ExceptionGroup as group:
            raise _Failure(f"{group.message}\n" + "\n".join(f"  {error}" for error in group.exceptions)) from group
        except (DeliveryError, DatasetMismatchError) as error:
            raise _Failure(f"{str(error).rstrip('.')}; nothing was landed") from error


def _print_landing(report: LandingReport) -> None:
    new = report.files[report.files["outcome"] == "landed"]
    console.print(f"{len(new)} files landed, {len(report.files) - len(new)} were here already.")
    for name in report.ignored:
        console.print(f"  ignored {name}")
    if new.empty:
        return
    grid = Grid("schema", "files", "from (UTC)", "to (UTC)", "rows", "kept", "rejected", "outside universe")
    for schema, rows in new.groupby("vendor_schema"):
        grid.add_row(
            str(schema),
            str(len(rows)),
            f"{rows['span_start'].min():%Y-%m-%d %H:%M}",
            f"{rows['span_end'].max():%Y-%m-%d %H:%M}",
            *(f"{int(rows[name].sum()):,}" for name in ("file_rows", "kept_rows", "rejected_rows", "outside_rows")),
        )
    console.print(grid)
    if len(report.rejected):
        counts = report.rejected.groupby(["reason", "symbol"], observed=True).size().reset_index(name="rows")
        grid = Grid("rejected because", "symbol", "rows")
        for case in counts.itertuples():
            grid.add_row(str(case.reason), str(case.symbol), f"{case.rows:,}")
        console.print(grid)
    if report.outside:
        console.print(
            f"{len(report.outside)} symbols outside universe.yaml left out: {', '.join(sorted(report.outside))}"
        )
    if len(report.corrections):
        console.print(f"{len(report.corrections)} bars corrected (see ops.corrections).")


@main.command(
    epilog=_examples(
        "cbi backfill", "cbi backfill --from 2020-01-01 --to 2020-12-31", "cbi backfill --select fib_levels_daily"
    )
)
@click.option("--from", "start", type=DATE, help="First trade date, inclusive (default: first landed).")
@click.option("--to", "stop", type=DATE, help="Last trade date, inclusive (default: last landed).")
@click.option("--select", "selected", multiple=True, help="Only these tables (repeatable; default: all).")
def backfill(start: dt.datetime | None, stop: dt.datetime | None, selected: tuple[str, ...]) -> None:
    """Rebuild a range of trade dates, whether stale or not. Unchanged partitions are confirmed, not written."""
    from cbi_dagster.orchestration import runs

    home = Home.from_environment()
    warehouse, _ = _open(home)
    tables = _select(selected)
    try:
        span = runs.landed_span(warehouse, start.date() if start else None, stop.date() if stop else None)
    except runs.NothingLandedError as error:
        raise _Failure(str(error)) from error
    _execute(lambda report: runs.backfill(home, tables, *span, on_table=report))


#: Exit code of `plan` and `refresh` when something was stale.
STALE = 3


@main.command(
    epilog=_examples(
        "cbi plan", "cbi plan --exact", "cbi plan --select daily_ml_matrix --json", "cbi plan || cbi refresh"
    )
)
@click.option("--select", "selected", multiple=True, help="Only these tables (repeatable; default: all).")
@click.option("--exact", is_flag=True, help="Recompute in a scratch copy and show what would really change.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(selected: tuple[str, ...], exact: bool, as_json: bool) -> None:
    """Show which partitions are stale, and why, before anything runs.

    The plan is an upper bound: how far a correction reaches depends on values. Exit code 0: nothing is stale, 3:
    something is.
    """
    home = Home.from_environment()
    wanted = _select(selected)
    with _drift_told():
        current = _builder(home)
        stale = current.plan(wanted).tables
    if exact and stale:
        from cbi_dagster.orchestration import runs

        with console.status("rebuilding in a scratch copy …"):
            changes = runs.exact_plan(home, wanted)
        if as_json:
            click.echo(json.dumps({"exact": changes}, indent=2))
        else:
            _print_exact(stale, changes)
    elif as_json:
        tables = [
            {
                "table": item.table.id,
                "partitions": len(item.partitions),
                "estimated_rows": item.rows,
                "ranges": [dataclasses.asdict(part) for part in item.ranges],
            }
            for item in stale
        ]
        click.echo(json.dumps({"upper_bound": tables}, indent=2))
    else:
        _print_plan(stale)
        _print_stale_inputs(current, wanted)
    raise SystemExit(STALE if stale else 0)


@main.command(epilog=_examples("cbi refresh", "cbi refresh --select zl_training_prod_allhistory_1m"))
@click.option("--select", "selected", multiple=True, help="Only these tables (repeatable; default: all).")
def refresh(selected: tuple[str, ...]) -> None:
    """Rebuild exactly what is stale, layer by layer, until nothing is.

    Exit code 0: nothing was stale, 3: something was and has been rebuilt, 1: a table failed.
    """
    home = Home.from_environment()
    wanted = _select(selected)
    current = _builder(home)
    with contextlib.ExitStack() as open_warehouse:
        with _drift_told():
            open_warehouse.enter_context(current.warehouse.shared_connection())
            present = current.plan(wanted)
        if present.rows is None or present.rows > _SMALL_REFRESH_ROWS:
            open_warehouse.close()
        _print_plan(present.tables)
        _print_stale_inputs(current, wanted)
        if present.tables:
            from cbi_dagster.orchestration import runs

            _execute(lambda report: runs.refresh(home, wanted, current, present, on_table=report))
            raise SystemExit(STALE)


@main.command(epilog=_examples("cbi reset zl_training_prod_allhistory_1m", "cbi reset daily_ml_matrix && cbi refresh"))
@click.argument("names", metavar="TABLE...", nargs=-1, required=True)
def reset(names: tuple[str, ...]) -> None:
    """Drop tables that the platform builds, so that the next refresh rebuilds them from what was landed.

    Needed when a new version declares a table differently; landed vendor data is never touched.
    """
    from cbi_dagster.warehouse.duckdb import DuckDBWarehouse

    home = Home.from_environment()
    tables = _select(names)
    if not home.warehouse.exists():
        raise _Failure(f"{home.warehouse} does not exist: there is nothing to drop")
    warehouse = DuckDBWarehouse(home.warehouse)
    for table in tables:
        warehouse.drop(table)
        console.print(f"{table.id} dropped")
    console.print("`cbi refresh` rebuilds what is missing.")


def _select(names: Sequence[str]) -> list[Table]:
    from cbi_dagster.catalog import asset_tables

    try:
        return asset_tables(names)
    except KeyError as error:
        raise _unknown(error) from error


def _unknown(error: KeyError) -> _Failure:
    return _Failure(f"{error.args[0]}; `cbi status` lists the tables")


_RANGES_SHOWN = 4


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
    """Name the stale tables that the selected ones are made of and that are not selected themselves."""
    from cbi_dagster.catalog import ASSET_TABLES, TABLES

    if len(wanted) == len(ASSET_TABLES):
        return
    behind = {table.id for table in wanted}
    queue = list(wanted)
    while queue:
        sources = {read.source for read in queue.pop().reads if read.source in TABLES} - behind
        behind |= sources
        queue += [TABLES[name] for name in sources]
    stale = [item.table.id for item in current.plan().tables if item.table.id in behind and item.table not in wanted]
    if stale:
        console.print(
            f"Stale themselves and not selected: {', '.join(stale)}. What is selected is made from what they hold now."
        )


def _print_exact(stale: Sequence[TablePlan], changes: Mapping[str, Sequence[str]]) -> None:
    grid = Grid("table", "would change", "of at most", "first", "last")
    for item in stale:
        written = changes.get(item.table.id, ())
        span = (min(written), max(written)) if written else ("-", "-")
        grid.add_row(item.table.id, f"{len(written):,}", f"{len(item.partitions):,}", *span)
    console.print(grid)


def _execute(run: Callable[[Callable[[str, dict[str, Any], float], None]], bool]) -> None:
    """Run with one line per finished table; exit code 1 when a table failed."""
    from cbi_dagster.orchestration.runs import NeverCurrentError

    started = time.perf_counter()

    def report(table: str, facts: dict[str, Any], seconds: float) -> None:
        parts = [f"{facts['partitions_written']:,} written", f"{facts['partitions_unchanged']:,} unchanged"]
        for name, words in (
            ("partitions_not_landed", "not landed"),
            ("rows_rejected", "rows rejected"),
            ("rows_held_back", "rows held back"),
        ):
            if facts.get(name):
                parts.append(f"{facts[name]:,} {words}")
        console.print(
            f"  {table:<50} {seconds:6.1f} s  {facts['rows_written']:>9,} rows  {', '.join(parts)}", highlight=False
        )

    try:
        done = run(report)
    except NeverCurrentError as error:
        raise _Failure(str(error)) from error
    if not done:
        raise _Failure("a table failed; the run's page in the UI (`cbi ui`) has the whole story")
    console.print(f"done in {time.perf_counter() - started:.1f} s")


@main.command(epilog=_examples("cbi status"))
def status() -> None:
    """Tables, partitions, rows, span, and what was rejected or held back."""
    home = Home.from_environment()
    warehouse, _ = _open(home)
    _print_status(home, warehouse)


def _print_status(home: Home, warehouse: DuckDBWarehouse) -> None:
    from cbi_dagster.catalog import ASSET_TABLES
    from cbi_dagster.catalog.tables import ops
    from cbi_dagster.warehouse.contract import to_frame

    ledger = warehouse.ledger_rows()
    files = to_frame(ops.LANDED_FILES, warehouse.read(ops.LANDED_FILES))
    console.print(
        f"{home.path}: {len(files)} files landed" + (f" ({', '.join(files['dataset'].unique())})" if len(files) else "")
    )
    grid = Grid("table", "partitions", "with rows", "rows", "first", "last", "last written (UTC)")
    for table in ASSET_TABLES:
        rows = ledger[ledger["table_name"] == table.id]
        filled = rows[rows["row_count"] > 0]
        grid.add_row(
            table.id,
            f"{len(rows):,}",
            f"{len(filled):,}",
            f"{int(rows['row_count'].sum()):,}",
            *((filled["partition_key"].min(), filled["partition_key"].max()) if len(filled) else ("-", "-")),
            f"{rows['written_at'].max():%Y-%m-%d %H:%M}" if len(rows) else "-",
        )
    console.print(grid)
    runs = to_frame(ops.INGESTION_RUNS, warehouse.read(ops.INGESTION_RUNS)).sort_values("ended_at", kind="stable")
    last = runs.groupby("source").tail(1)
    failed = last[last["run_status"] == "failed"]
    if len(failed):
        grid = Grid("failed last", "at (UTC)", "because")
        for run in failed.itertuples():
            grid.add_row(str(run.source), f"{run.ended_at:%Y-%m-%d %H:%M}", escape(str(run.error_message)))
        console.print(grid)
    quarantine = to_frame(ops.QUARANTINE, warehouse.read(ops.QUARANTINE))
    held = to_frame(ops.HELD_BACK, warehouse.read(ops.HELD_BACK))
    if len(quarantine):
        grid = Grid("rejected from", "because", "rows", "first", "last")
        for (name, reason), rows in quarantine.groupby(["table_name", "reason"]):
            grid.add_row(
                str(name),
                str(reason),
                f"{len(rows):,}",
                f"{rows['date'].min():%Y-%m-%d}",
                f"{rows['date'].max():%Y-%m-%d}",
            )
        console.print(grid)
    if len(held):
        grid = Grid("held back from", "because", "rows", "trade dates", "first", "last")
        for (name, reason), rows in held.groupby(["table_name", "reason"]):
            grid.add_row(
                str(name),
                str(reason),
                f"{int(rows['bar_rows'].sum()):,}",
                f"{rows['date'].nunique():,}",
                f"{rows['date'].min():%Y-%m-%d}",
                f"{rows['date'].max():%Y-%m-%d}",
            )
        console.print(grid)


def _table_or_fail(name: str) -> Any:
    from cbi_dagster.catalog import table

    try:
        return table(name)
    except KeyError as error:
        raise _unknown(error) from error


@main.command(epilog=_examples("cbi features", "cbi features --table biofuel_daily"))
@click.option("--table", "names", multiple=True, help="Only the features of these tables (repeatable; default: all).")
def features(names: tuple[str, ...]) -> None:
    """Every feature: unit, first date, share of NULLs and meaning; per table, where its formulas and inputs are.

    Symbols that never have a feature do not count in its share of NULLs.
    """
    from cbi_dagster.catalog import ASSET_TABLES
    from cbi_dagster.catalog.versions import formula_modules
    from cbi_dagster.recipes import RECIPES

    known = [table for table in ASSET_TABLES if table.layer == "features"]
    tables = [_table_or_fail(name) for name in names] or known
    if strangers := [table.id for table in tables if table not in known]:
        raise _Failure(f"{', '.join(strangers)} hold no features: choose from {', '.join(t.name for t in known)}")
    warehouse, _ = _open(Home.from_environment())
    for table in tables:
        console.print(f"\n{table.id}: {table.description}", highlight=False)
        sources = formula_modules(RECIPES[table.id].function)
        console.print(f"formulas in {', '.join(sources)}", highlight=False)
        console.print(f"reads {'; '.join(f'{read.source} ({read.history})' for read in table.reads)}", highlight=False)
        leaves = dict(table.leaves())
        grid = Grid("feature", "unit", "first date", "NULL", "symbols", "meaning")
        for found in warehouse.coverage(table):
            if found.path in {*table.key, table.partitioning.column}:
                continue
            grid.add_row(
                found.path,
                leaves[found.path].unit,
                str(found.first or "-"),
                f"{1 - found.known / found.rows:.1%}" if found.known else "all",
                ", ".join(found.symbols) if len(found.symbols) < _SYMBOLS_NAMED else f"{len(found.symbols)}",
                leaves[found.path].description,
            )
        console.print(grid)


_SYMBOLS_NAMED = 3


@main.command(epilog=_examples("cbi show daily_ml_matrix --date 2024-06-03 --symbol ZL"))
@click.argument("table_name", metavar="TABLE")
@click.option("--date", "date", type=DATE, required=True, help="Trade date.")
@click.option("--symbol", help="Only this symbol.")
def show(table_name: str, date: dt.datetime, symbol: str | None) -> None:
    """Show the rows of one trade date, one column per line."""
    import numpy as np

    from cbi_dagster.warehouse.contract import to_frame

    table = _table_or_fail(table_name)
    warehouse, _ = _open(Home.from_environment())
    day = np.datetime64(date.date(), "D")
    intervals = [(day, day)] if table.partitioning.column else None
    frame = to_frame(table, warehouse.read(table, intervals))
    if symbol is not None and "symbol" in frame:
        frame = frame[frame["symbol"] == symbol]
    if frame.empty:
        raise _Failure(f"{table.id} has no row for {date:%Y-%m-%d}" + (f" and symbol {symbol}" if symbol else ""))
    for _, row in frame.iterrows():
        grid = Grid(table.id, "", show_lines=False)
        for name, value in row.items():
            grid.add_row(str(name), _cell(value))
        console.print(grid)


def _cell(value: Any) -> str:
    import pandas as pd

    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return "NULL"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, pd.Timestamp) and value.tz is None:
        return f"{value:%Y-%m-%d}"
    return str(value)


@main.command(epilog=_examples("cbi export zl_training_prod_allhistory_1m --out zl_1m.parquet"))
@click.argument("table_name", metavar="TABLE")
@click.option(
    "--out", "out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Parquet file to write."
)
def export(table_name: str, out: Path) -> None:
    """Write a whole table to a Parquet file."""
    import pyarrow.parquet as pq

    table = _table_or_fail(table_name)
    warehouse, _ = _open(Home.from_environment())
    rows = warehouse.read(table)
    partial = out.with_name(out.name + ".part")
    pq.write_table(rows, partial, compression="zstd")
    partial.replace(out)
    console.print(f"{len(rows):,} rows of {table.id} -> {out}")


@main.command(epilog=_examples("cbi demo", "cbi demo --from 2023-06-01 --to 2023-12-29"))
@click.option("--from", "start", type=DATE, default="2021-06-01", show_default=True, help="First simulated date.")
@click.option(
    "--to", "stop", type=DATE, default="2023-12-29", show_default=True, help="Last simulated date, inclusive."
)
@click.option("--seed", default=7, show_default=True, help="Seed of the simulated markets.")
def demo(start: dt.datetime, stop: dt.datetime, seed: int) -> None:
    """Build everything from a simulated vendor delivery, in a state directory of its own (CBI_HOME/demo).

    The delivery is made of genuine DBN files and goes through the same code as real ones.
    """
    import tempfile

    from cbi_dagster.catalog import ASSET_TABLES
    from cbi_dagster.orchestration import runs
    from cbi_dagster.vendors.simulate import simulate_delivery, simulate_macro

    if stop < start:
        raise click.UsageError(f"--from {start:%Y-%m-%d} is after --to {stop:%Y-%m-%d}")
    home = Home(Home.from_environment().path / "demo")
    warehouse, landing = _open(home)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        with console.status("simulating a vendor delivery …"):
            end = stop.date() + dt.timedelta(days=1)
            minutes = max(start.date(), end - dt.timedelta(days=92))
            simulate_delivery(Path(directory), seed=seed, start=start.date(), end=end, minute_start=minutes)
            simulate_macro(Path(directory), seed=seed, start=start.date(), end=end)
        console.print(f"Simulated vendor delivery (dataset SIM.DEMO), {start:%Y-%m-%d} … {stop:%Y-%m-%d}:")
        _print_landing(_land(landing, [Path(directory)]))
    span = runs.landed_span(warehouse, None, None)
    console.print(f"\nBuilding every table for {span[0]} … {span[1]}:")
    _execute(lambda report: runs.backfill(home, ASSET_TABLES, *span, on_table=report))
    console.print()
    _print_status(home, warehouse)
    console.print(f"\nAll of it took {time.perf_counter() - started:.0f} s. What to try next:")
    last = span[1]
    for command, what in (
        (f"cbi show daily_ml_matrix --date {last} --symbol ZL", "one row of the matrix"),
        ("cbi export zl_training_prod_allhistory_1m --out zl_1m.parquet", "a training table as Parquet"),
        ("cbi ui", "the asset graph, schemas and run history in the Dagster UI"),
        ("cbi land PATH && cbi backfill", "the same on your own Databento files (without CBI_HOME=…)"),
    ):
        prefix = "" if command.startswith("cbi land") else f"CBI_HOME={os.path.relpath(home.path)} "
        console.print(f"  {prefix}.venv/bin/{command}  # {what}", highlight=False, soft_wrap=True)


@main.command(epilog=_examples("cbi ui", "cbi ui --port 4000 --watch ~/databento"))
@click.option("--port", default=3000, show_default=True, help="Port of the web server on 127.0.0.1.")
@click.option("--watch", help="Directory or fsspec URL that vendor files arrive in: land and refresh by themselves.")
def ui(port: int, watch: str | None) -> None:
    """Open the Dagster UI: web server and daemon, until Ctrl-C."""
    from cbi_dagster.orchestration.runs import opened_instance

    home = Home.from_environment()
    _open(home)
    with opened_instance(home):
        pass  # web server and daemon find the databases ready, whatever else starts meanwhile
    environment = {**os.environ, "CBI_HOME": str(home.path), "DAGSTER_HOME": str(home.dagster)}
    if watch is not None:
        environment["CBI_WATCH"] = watch if "://" in watch else str(Path(watch).resolve())
    console.print(f"Dagster UI on http://127.0.0.1:{port} (state in {home.path}); Ctrl-C ends it.")
    dagster = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-m",
        "cbi_dagster.definitions",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    # Dagster warns of any other dagster.yaml in the working directory.
    os.chdir(home.dagster)
    os.execve(sys.executable, dagster, environment)


def run() -> None:
    """`main` as a process of its own, left at once when its work is done and its exit handlers have run.

    Python would take everything that Dagster made apart first, one by one: measured, 0.3 to 0.8 s.
    """
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    # As the interpreter begins its own end: threads (idle pools are told to stop), then exit handlers.
    threading._shutdown()  # type: ignore[attr-defined]  # what Python calls first itself; it has no public name
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 1
    os._exit(code)


if __name__ == "__main__":
    run()
