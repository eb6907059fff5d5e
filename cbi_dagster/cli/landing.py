"""`cbi land`, and what a landing looks like on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table as Grid

from cbi_dagster.cli.main import Failure, cbi, console, examples, opened
from cbi_dagster.home import Home

if TYPE_CHECKING:
    from cbi_dagster.vendors.landing import Landing, LandingReport


@cbi.command(epilog=examples("cbi land GLBX-20251216-WEJLAFALCV", "cbi land march.zip correction.ohlcv-1h.dbn.zst"))
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def land(paths: tuple[Path, ...]) -> None:
    """Take vendor deliveries: directories, batch zips, DBN files (with or without zstd), Parquet or CSV bars,
    macro series (`*.macro.csv`, `*.macro.parquet`).

    Every file is verified before it is believed. Landing a file twice changes nothing; on the same bar the later
    delivery wins and the change is recorded as a correction.
    """
    landing = opened(Home.from_environment()).landing
    print_landing(take(landing, paths))


def take(landing: Landing, paths: Sequence[Path]) -> LandingReport:
    """Land deliveries, telling how far it is; a broken one fails by name."""
    from cbi_dagster.vendors.files import DeliveryError
    from cbi_dagster.vendors.landing import DatasetMismatchError

    with console.status("reading deliveries …") as status:

        def progress(stage: str, done: int, total: int) -> None:
            status.update(f"{stage} … {done}/{total}")

        try:
            return landing.land(list(paths), progress)
        except ExceptionGroup as group:
            raise Failure(f"{group.message}\n" + "\n".join(f"  {error}" for error in group.exceptions)) from group
        except (DeliveryError, DatasetMismatchError) as error:
            raise Failure(f"{str(error).rstrip('.')}; nothing was landed") from error


def print_landing(report: LandingReport) -> None:
    """What came in, and which rows were not taken."""
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
