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
    """Make the tables and views that are missing where tables are kept, and show the settings that say where.

    Every other command makes what it needs by itself; this one shows before anything is landed that it can.
    """
    from cbi_dagster.catalog import TABLES
    from cbi_dagster.catalog.views import views
    from cbi_dagster.warehouse.stored import Lacking

    home = Home.from_environment()
    console.print(f"Tables: {home.place}", soft_wrap=True)
    console.print(f"Delivered files: {home.settings.get('CBI_ARCHIVE', home.landing)}", soft_wrap=True)
    for name in SETTINGS:
        if name in home.settings:
            console.print(f"  {name}={home.settings[name]}", soft_wrap=True)
    warehouse = home.warehouse()
    if dry_run and not warehouse.exists():
        lacking = Lacking(tuple(TABLES.values()), views=tuple(views().values()))
    else:
        lacking = warehouse.lacking(TABLES.values(), views().values())
    if not dry_run:
        from cbi_dagster.orchestration.runs import announce_pools

        home.prepare()
        warehouse.ensure(TABLES.values(), views().values())
        announce_pools(home)
    said = "would be made" if dry_run else "made"
    for dataset, members in groupby(sorted(lacking.ids), key=lambda name: name.partition(".")[0]):
        names = ", ".join(name.partition(".")[2] for name in members)
        console.print(f"{said} in {home.stored_name(dataset)}: {names}", soft_wrap=True)
    for name in lacking.left_over:
        console.print(f"{'would be dropped' if dry_run else 'dropped'}: view {home.stored_name(name)}", soft_wrap=True)
    for table, column in lacking.columns:
        console.print(f"{said}: column {column.name} of {home.stored_name(table.id)}", soft_wrap=True)
    for name, differences in warehouse.drifted.items():
        console.print(f"{name} is stored otherwise than declared: {'; '.join(differences)}", soft_wrap=True)
    if not lacking:
        console.print("every table is there")
