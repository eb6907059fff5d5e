"""`cbi demo`: everything from a simulated delivery."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
import time
from pathlib import Path

import click

from cbi_dagster.cli.building import execute
from cbi_dagster.cli.landing import print_landing, take
from cbi_dagster.cli.looking import print_status
from cbi_dagster.cli.main import cbi, console, examples, opened
from cbi_dagster.cli.parameters import DATE
from cbi_dagster.home import Home


@cbi.command(epilog=examples("cbi demo", "cbi demo --from 2023-06-01 --to 2023-12-29"))
@click.option("--from", "start", type=DATE, default="2021-06-01", show_default=True, help="First simulated date.")
@click.option(
    "--to", "stop", type=DATE, default="2023-12-29", show_default=True, help="Last simulated date, inclusive."
)
@click.option("--seed", default=7, show_default=True, help="Seed of the simulated markets.")
def demo(start: dt.datetime, stop: dt.datetime, seed: int) -> None:
    """Build everything from a simulated vendor delivery, in a state directory of its own (CBI_HOME/demo).

    The delivery is made of genuine DBN files and goes through the same code as real ones.
    """
    from cbi_dagster.catalog import ASSET_TABLES
    from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
    from cbi_dagster.orchestration import runs
    from cbi_dagster.orchestration.building import landed_span
    from cbi_dagster.vendors.posts.simulated import simulate_posts
    from cbi_dagster.vendors.simulate import simulate_conditions, simulate_delivery, simulate_macro
    from cbi_dagster.vendors.simulated_statistics import simulate_statistics

    if stop < start:
        raise click.UsageError(f"--from {start:%Y-%m-%d} is after --to {stop:%Y-%m-%d}")
    home = Home(Home.from_environment().path / "demo")
    platform = opened(home)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        with console.status("simulating a vendor delivery …"):
            end = stop.date() + dt.timedelta(days=1)
            minutes = max(start.date(), end - dt.timedelta(days=92))
            simulate_delivery(Path(directory), seed=seed, start=start.date(), end=end, minute_start=minutes)
            simulate_conditions(Path(directory), seed=seed, start=start.date(), end=end)
            simulate_statistics(Path(directory) / "statistics", seed=seed, start=start.date(), end=end)
            simulate_macro(Path(directory), seed=seed, start=start.date(), end=end)
            simulate_posts(Path(directory), seed=seed, start=start.date(), end=end)
        console.print(f"Simulated vendor delivery (dataset SIM.DEMO), {start:%Y-%m-%d} … {stop:%Y-%m-%d}:")
        print_landing(take(platform.landing, [Path(directory)]))
    first, last = landed_span(platform.warehouse, None, None)
    console.print(f"\nBuilding every table for {first} … {last}:")
    execute(platform.warehouse, lambda *told: runs.backfill(home, ASSET_TABLES, first, last, *told))
    console.print()
    print_status(home, platform.warehouse)
    console.print(f"\nAll of it took {time.perf_counter() - started:.0f} s. What to try next:")
    matrix = platform.warehouse.ledger_by_table({DAILY_ML_MATRIX.id})[DAILY_ML_MATRIX.id]
    # The last trade date of all may be one that only macro series know.
    day = max(matrix.keys[matrix.row_counts > 0], default=last)
    for command, what in (
        (f"cbi show daily_ml_matrix --date {day} --symbol ZL", "one row of the matrix"),
        ("cbi export zl_training_prod_allhistory_1m --out zl_1m.parquet", "a training table as Parquet"),
        ('cbi sql "SELECT * FROM api.vw_zl_dashboard_current"', "soybean oil as it stands, from a view"),
        ("cbi report", "a page of pictures to open in a browser"),
        ("cbi ui", "the asset graph, schemas and run history in the Dagster UI"),
        ("cbi land PATH && cbi backfill", "the same on your own Databento files (without CBI_HOME=…)"),
    ):
        prefix = "" if command.startswith("cbi land") else f"CBI_HOME={os.path.relpath(home.path)} "
        console.print(f"  {prefix}.venv/bin/{command}  # {what}", soft_wrap=True)
