"""`cbi init`: where everything is kept, and that it can be."""

from __future__ import annotations

from itertools import groupby

import click

from cbi_dagster.cli.main import cbi, console, examples
from cbi_dagster.home import SETTINGS, Home

_NAMED = "\b\nSettings, in the environment or in CBI_HOME/settings.yaml:\n" + "\n".join(
    f"  {name}: {meaning}" for name, meaning in SETTINGS.items()
)


@cbi.command(epilog=f"{_NAMED}\n\n{examples('cbi init --dry-run', 'cbi init')}")
@click.option("--dry-run", is_flag=True, help="Show what would be made, and make nothing.")
def init(dry_run: bool) -> None:
    """Make the tables that are missing where tables are kept, and show the settings that say where.

    Every other command makes what it needs by itself; this one shows before anything is landed that it can.
    """
    from cbi_dagster.catalog import TABLES

    home = Home.from_environment()
    console.print(f"Tables: {home.place}", soft_wrap=True)
    console.print(f"Delivered files: {home.settings.get('CBI_ARCHIVE', home.landing)}", soft_wrap=True)
    for name in SETTINGS:
        if name in home.settings:
            console.print(f"  {name}={home.settings[name]}", soft_wrap=True)
    warehouse = home.warehouse()
    if dry_run and not warehouse.exists():
        new, columns = list(TABLES.values()), []
    else:
        lacking = warehouse.lacking(TABLES.values())
        new, columns = list(lacking.tables), list(lacking.columns)
    if not dry_run:
        home.prepare()
        warehouse.ensure(TABLES.values())
    said = "would be made" if dry_run else "made"
    for dataset, tables in groupby(sorted(new, key=lambda table: table.id), key=lambda table: table.dataset):
        names = ", ".join(table.name for table in tables)
        console.print(f"{said} in {home.stored_name(dataset)}: {names}", soft_wrap=True)
    for table, column in columns:
        console.print(f"{said}: column {column.name} of {home.stored_name(table.id)}", soft_wrap=True)
    for name, differences in warehouse.drifted.items():
        console.print(f"{name} is stored otherwise than declared: {'; '.join(differences)}", soft_wrap=True)
    if not new and not columns:
        console.print("every table is there")
