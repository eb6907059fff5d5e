"""`cbi copy`: everything that is landed and built, in another place."""

from __future__ import annotations

from pathlib import Path

import click

from cbi_dagster.cli.main import Failure, cbi, console, examples, looked_at, opened
from cbi_dagster.home import Home


@cbi.command(epilog=examples("cbi copy --to ~/elsewhere   # ~/elsewhere/settings.yaml names its engine and archive"))
@click.option("--to", "place", required=True, type=click.Path(path_type=Path), help="Another state directory.")
def copy(place: Path) -> None:
    """Copy landed files, tables and books into the warehouse of another state directory, proved by content hash.

    The other directory's settings.yaml says where its tables and files are (`cbi init --help`); the environment speaks
    for this one alone. What is there already is left alone: the same command goes on after it was cut short, and copies
    what has changed since.
    """
    from cbi_dagster.catalog import ASSET_TABLES
    from cbi_dagster.warehouse.copying import CopyRefusedError, copy_books, copy_tables

    home, other = Home.from_environment(), Home(place.expanduser().resolve(), environment={})
    if home.path == other.path:
        raise Failure(f"{place} is the state directory that would be copied")
    source = looked_at(home)
    target = opened(other)
    console.print(f"{home.place} → {other.place}", soft_wrap=True)
    try:
        with console.status("copying …") as status:
            files = source.landing.hand_over(
                target.landing, lambda stage, done, total: status.update(f"{stage} … {done}/{total}")
            )
            console.print(f"{files} landed files copied")
            if copy_books(source.warehouse, target.warehouse):
                console.print("the books copied")
            status.update("copying tables …")
            for done in copy_tables(source.warehouse, target.warehouse, ASSET_TABLES):
                if done.partitions:
                    copied = f"{done.partitions:,} partitions copied with {done.rows:,} rows"
                    console.print(f"{done.table.id}: {copied}, {done.there:,} were there")
    except CopyRefusedError as error:
        raise Failure(str(error)) from error
    console.print("Every partition there has the content hash that it has here.")
