"""Parameters that several commands take: trade dates and tables by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cbi_dagster.cli.main import Failure

if TYPE_CHECKING:
    import pandas as pd

    from cbi_dagster.catalog import Table

DATE = click.DateTime(formats=["%Y-%m-%d"])


def instant(context: click.Context, parameter: click.Parameter, value: str) -> pd.Timestamp:
    """The instant that a text with a zone names, in UTC."""
    import pandas as pd

    try:
        moment = pd.Timestamp(value).tz_convert("UTC")
    except (ValueError, TypeError):  # what is no time, and what has no zone
        moment = None
    if moment is None or pd.isna(moment):
        raise click.BadParameter(
            f"{value!r} is no instant with a zone, like 2024-06-03T18:30Z or 2024-06-03T13:30-05:00", context, parameter
        )
    return moment


def one_table(context: click.Context, parameter: click.Parameter, name: str) -> Table:
    """The table of a name."""
    return several_tables(context, parameter, [name])[0]


def several_tables(context: click.Context, parameter: click.Parameter, names: Sequence[str]) -> list[Table]:
    """The tables of names, in the order of the names."""
    from cbi_dagster.catalog import table

    try:
        return [table(name) for name in names]
    except KeyError as error:
        raise _unknown(error) from error


def built_tables(context: click.Context, parameter: click.Parameter, names: Sequence[str]) -> list[Table]:
    """The tables of names that the platform builds, inputs first; all of them for no names."""
    from cbi_dagster.catalog import asset_tables

    try:
        return asset_tables(names)
    except KeyError as error:
        raise _unknown(error) from error


def _unknown(error: KeyError) -> Failure:
    return Failure(f"{error.args[0]}; `cbi status` lists the tables")


select = click.option(
    "--select",
    "tables",
    multiple=True,
    callback=built_tables,
    help="Only these tables (repeatable; default: all).",
)
