"""Parameters that several commands take: trade dates and tables by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cbi_dagster.cli.main import Failure

if TYPE_CHECKING:
    import pandas as pd

    from cbi_dagster.catalog import Table

DATE = click.DateTime(formats=["%Y-%m-%d"])


class _Instant(click.ParamType):
    """An instant with its zone, in UTC."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> pd.Timestamp:
        import pandas as pd

        if isinstance(value, pd.Timestamp):
            return value
        try:
            moment = pd.Timestamp(value)
        except ValueError:
            moment = pd.NaT
        if moment is pd.NaT or moment.tzinfo is None:
            self.fail(f"{value!r} is no instant with a zone, like 2024-06-03T18:30Z or 2024-06-03T13:30-05:00")
        return moment.tz_convert("UTC")


INSTANT = _Instant()


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
