"""`cbi diff`: what differs between two state directories, or would after a refresh."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table as Grid

from cbi_dagster.cli.main import DIFFERENT, NOTHING_HERE, Failure, cbi, console, examples, looked_at
from cbi_dagster.cli.parameters import select
from cbi_dagster.home import Home

if TYPE_CHECKING:
    from cbi_dagster.catalog import Table
    from cbi_dagster.reports.differences import TableDifference


@cbi.command(
    epilog=examples(
        "cbi diff                              # what `cbi refresh` would change",
        "cbi diff --select daily_ml_matrix",
        "cbi diff ~/before/.cbi ~/after/.cbi",
    )
)
@click.argument("homes", metavar="[A B]", nargs=-1, type=click.Path(path_type=Path))
@select
def diff(homes: tuple[Path, ...], tables: list[Table]) -> None:
    """Compare the tables of two state directories, or those of this one before and after a refresh, by column.

    The ledgers' content hashes say which partitions differ; only their rows are read. Nothing is written.
    Exit code 0: they are equal, 3: they differ.
    """
    from cbi_dagster.reports.differences import differences

    if len(homes) not in (0, 2):
        raise Failure("name two state directories, or none to see what a refresh would change")
    found = False
    if homes:
        for place in homes:
            if not Home(place.expanduser().resolve(), environment={}).warehouse().exists():
                raise Failure(NOTHING_HERE.format(place))
        sides = [looked_at(Home(place.expanduser().resolve(), environment={})).warehouse for place in homes]
        with console.status("comparing …"):
            told = list(differences(sides[0], sides[1], tables))
        found = _print(told)
    else:
        from cbi_dagster.reports.plans import refreshed

        platform = looked_at(Home.from_environment())
        with console.status("rebuilding, without writing …"):
            told = list(differences(platform.warehouse, refreshed(platform, tables).warehouse, tables))
        found = _print(told)
    if not found:
        console.print("Nothing differs.")
    raise SystemExit(DIFFERENT if found else 0)


def _print(found: Iterable[TableDifference]) -> bool:
    """Each table that differs, and its columns; whether there were any."""
    any_differs = False
    for item in found:
        any_differs = True
        span = item.partitions[0] if len(item.partitions) == 1 else f"{item.partitions[0]} … {item.partitions[-1]}"
        console.print(
            f"{item.table.id}: {len(item.partitions):,} partitions ({span}), {item.added:,} rows added, "
            f"{item.removed:,} removed, {item.changed:,} changed",
            soft_wrap=True,
        )
        if item.columns:
            grid = Grid("column", "rows", "first", "now known", "now NULL", "largest difference", "relative")
            for column in item.columns:
                counts = (f"{column.rows:,}", column.first or "-", f"{column.known:,}", f"{column.unknown:,}")
                grid.add_row(column.path, *counts, _number(column.absolute), _number(column.relative))
            console.print(grid)
    return any_differs


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
