"""`cbi land`, and what a landing looks like on the screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table as Grid

from cbi_dagster.cli.main import Failure, cbi, console, examples, opened
from cbi_dagster.home import Home

if TYPE_CHECKING:
    from cbi_dagster.vendors.arrivals import LandingReport
    from cbi_dagster.vendors.landing import Landing


@cbi.command(epilog=examples("cbi land GLBX-20251216-WEJLAFALCV", "cbi land march.zip correction.ohlcv-1h.dbn.zst"))
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--again", is_flag=True, help="Let files win that were landed before and overruled by later ones.")
def land(paths: tuple[Path, ...], again: bool) -> None:
    """Take vendor deliveries: directories, batch zips, DBN files (with or without zstd), Parquet or CSV bars,
    the vendor's word on its days (`condition.json`), macro series (`*.macro.csv`, `*.macro.parquet`), posts of policy
    (`*.posts.jsonl`, `.csv`, `.parquet`) and what is known of them (`*.posts-coverage.csv`).

    Every file is verified before it is believed. Landing a file twice changes nothing; on the same bar the later
    delivery wins and the change is recorded as a correction. Exit code 1 says that nothing was taken and nothing was
    known already.
    """
    report = take(opened(Home.from_environment()).landing, paths, again=again)
    print_landing(report)
    if report.files.empty:
        raise Failure("nothing was landed: no file of this delivery says by its name that it holds data")


@cbi.command(epilog=examples("cbi unland zl-fix.ohlcv-1h.csv", "cbi unland 3f9a0c41d2"))
@click.argument("which", metavar="FILE|HASH")
def unland(which: str) -> None:
    """Withdraw a landed file: what it had changed comes back, and the plan follows.

    The file is named as it was delivered, or by the beginning of its hash (ops.landed_files). It stays in the archive
    and in the records; `cbi land` takes it anew.
    """
    from cbi_dagster.vendors.register import NotLandedError

    try:
        done = opened(Home.from_environment()).landing.unland(which)
    except NotLandedError as error:
        raise Failure(str(error)) from error
    console.print(
        f"{done.file.source_file} is withdrawn with its {done.file.kept_rows:,} rows; "
        f"{len(done.returned):,} {_kind(done.file.vendor_schema)} are what they were before it (see ops.corrections)."
    )


def take(landing: Landing, paths: Sequence[Path], again: bool = False) -> LandingReport:
    """Land deliveries, telling how far it is; a broken one fails by name."""
    from cbi_dagster.vendors.files import DeliveryError
    from cbi_dagster.vendors.landing import DatasetMismatchError

    with console.status("reading deliveries …") as status:

        def progress(stage: str, done: int, total: int) -> None:
            status.update(f"{stage} … {done}/{total}")

        try:
            return landing.land(list(paths), progress, again)
        except ExceptionGroup as group:
            raise Failure(f"{group.message}\n" + "\n".join(f"  {error}" for error in group.exceptions)) from group
        except (DeliveryError, DatasetMismatchError) as error:
            raise Failure(f"{str(error).rstrip('.')}; nothing was landed") from error


def _names(symbols: Iterable[str], limit: int = 200) -> str:
    listed = sorted(symbols)
    return ", ".join(listed[:limit]) + (f" and {len(listed) - limit} others" if len(listed) > limit else "")


def _kind(schema: str) -> str:
    """What the rows of a schema are that can be corrected."""
    return "posts" if schema.startswith("posts") else "bars"


def print_landing(report: LandingReport) -> None:
    """What came in, and which rows were not taken."""
    from cbi_dagster.vendors.files import shown

    new = report.files[report.files["outcome"] == "landed"]
    console.print(f"{len(new)} files landed, {len(report.files) - len(new)} were here already.")
    for name in report.ignored:
        console.print(f"  ignored {name}")
    for said in report.left:
        console.print(f"  left for a later feature: {said}")
    for name in report.files.loc[report.files["outcome"] == "overruled", "source_file"]:
        console.print(f"  {name} was overruled by later files since it was landed; --again lets it win")
    if new.empty:
        return
    promised = int(new["promised"].sum())
    told = f"The hashes of {promised} files are those of their manifest." if promised else ""
    if promised < len(new):
        told += f" No manifest has a hash for {len(new) - promised} files: what they hold is taken on trust."
    console.print(told.strip())
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
        # Every post has an identity of its own: they are told by source.
        posts = report.rejected["table_name"] == "landing.posts"
        symbols = report.rejected["symbol"].astype(str)
        named = report.rejected.assign(symbol=symbols.where(~posts, symbols.str.partition(":")[0]))
        counts = named.groupby(["reason", "symbol"], observed=True).size().reset_index(name="rows")
        grid = Grid("rejected because", "symbol", "rows")
        for case in counts.itertuples():
            grid.add_row(str(case.reason), shown(case.symbol, 60), f"{case.rows:,}")
        console.print(grid)
    if report.outside:
        console.print(f"Left out, outside universe.yaml or of no table: {_names(report.outside)}")
    if len(report.corrections):
        for kind, rows in report.corrections.groupby(report.corrections["vendor_schema"].map(_kind)):
            console.print(f"{len(rows)} {kind} corrected (see ops.corrections).")
