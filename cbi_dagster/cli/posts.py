"""`cbi posts`: bringing posts of policy into files that `cbi land` takes."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from cbi_dagster.cli.main import Failure, cbi, console, examples


@cbi.group()
def posts() -> None:
    """Bring posts of policy into files that `cbi land` takes."""


@posts.command(epilog=examples("cbi posts convert tweets_2016_2020.csv truth_2025.csv --out posts", "cbi land posts"))
@click.argument("archives", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out", "out_dir", required=True, type=click.Path(file_okay=False, path_type=Path), help="Directory to write into."
)
def convert(archives: tuple[Path, ...], out_dir: Path) -> None:
    """Write archives of posts (CSV or Parquet, known by their columns) in the layout that `cbi land` takes.

    Every row becomes a row; the door judges them. What an archive covers is written beside it (`*.posts-coverage.csv`):
    look at it before you land it.
    """
    from cbi_dagster.vendors.files import DeliveryError
    from cbi_dagster.vendors.posts.archives import convert_archive

    for path in archives:
        try:
            done = convert_archive(path, out_dir)
        except DeliveryError as error:
            raise Failure(str(error)) from error
        console.print(f"{escape(path.name)} ({done.what}): {done.rows:,} rows")
        for file in done.files:
            console.print(f"  {escape(str(file))}")
        if len(done.files) == 1:
            console.print("  what it covers does not follow from it: state it, or its posts make no feature known")
