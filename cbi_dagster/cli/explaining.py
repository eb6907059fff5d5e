"""`cbi why`: what a value means, what it was made of, and for NULL the reason."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.table import Table as Grid

from cbi_dagster.cli.looking import cell, no_row
from cbi_dagster.cli.main import Failure, cbi, console, examples, looked_at
from cbi_dagster.cli.parameters import DATE, one_table
from cbi_dagster.home import Home

if TYPE_CHECKING:
    from cbi_dagster.catalog import Table
    from cbi_dagster.reports.why import Answer

_CHOICES_SHOWN = 30
_CORRECTIONS_SHOWN = 10
_TRYING = "trying what the value depends on …"


@cbi.command(
    epilog=examples(
        "cbi why technicals_daily rsi_14 --date 2024-06-03 --symbol ZL",
        "cbi why daily_ml_matrix biofuel.boho_spread --date 2024-06-03 --symbol ZL",
        'cbi why mes_1hr sma_20b --date 2024-06-03 --key "bar_close_ts=2024-06-03 15:00"',
    )
)
@click.argument("table", metavar="TABLE", callback=one_table)
@click.argument("column", metavar="COLUMN")
@click.option("--date", "date", type=DATE, required=True, help="Trade date, e.g. 2024-06-03.")
@click.option("--symbol", help="The row's symbol.")
@click.option("--key", "keys", multiple=True, help="Another column of the row's key, NAME=VALUE (repeatable; UTC).")
def why(table: Table, column: str, date: dt.datetime, symbol: str | None, keys: Sequence[str]) -> None:
    """Say what a value means and what it was made of; where it is NULL, why.

    COLUMN may be a field of a STRUCT (`pivots.P`). Inputs are told down to the vendor's file and row, corrections
    included. A reason is found by trying what would have given a value, and followed to its root.
    """
    from cbi_dagster.reports.why import NoSuchRowError
    from cbi_dagster.reports.why import why as asked

    path = _path(table, column)
    key = dict(_named(table, text) for text in keys) | ({"symbol": symbol} if symbol is not None else {})
    if symbol is not None and not any(item.name == "symbol" for item in table.columns):
        raise Failure(f"{table.id} has no symbols; leave --symbol out")
    platform = looked_at(Home.from_environment())
    try:
        with console.status(_TRYING) as status:
            count = itertools.count(1)
            answer = asked(
                platform, table, path, date.date(), key, lambda: status.update(f"{_TRYING} {next(count)} trials")
            )
    except NoSuchRowError as error:
        if not error.choices:
            raise no_row(platform, table, date.date(), symbol) from error
        rows = ["  " + ", ".join(f"{k} {v}" for k, v in row.items()) for row in error.choices[:_CHOICES_SHOWN]]
        more = len(error.choices) - len(rows)
        told = f"{len(error.choices)} rows of {table.id} are meant; say which with --symbol or --key NAME=VALUE:"
        raise Failure("\n".join([told, *rows, *([f"  … and {more} more"] if more > 0 else [])])) from error
    _print(answer)


def _path(table: Table, column: str) -> str:
    """The path of a column by its name; a field of a STRUCT may be named as flat tables name it."""
    paths = [path for path, _ in table.leaves()]
    found = [path for path in paths if column in (path, path.replace(".", "_"))]
    if not found:
        import difflib

        near = difflib.get_close_matches(column, paths, n=3)
        meant = f"; did you mean {', '.join(near)}?" if near else f"; it has {', '.join(paths[:10])}, …"
        raise Failure(f"{table.id} has no column {column}{meant}")
    return found[0]


def _named(table: Table, text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if name not in table.key or not value:
        raise Failure(f"--key {text}: NAME=VALUE is wanted, with one of {', '.join(table.key)}")
    return name, value


def _print(answer: Answer) -> None:
    row = ", ".join(f"{name} {value}" for name, value in answer.key.items())
    console.print(f"{answer.table.id}.{answer.path} = {cell(answer.value)}   ({row})")
    unit = f" [{answer.column.unit}]" if answer.column.unit else ""
    console.print(f"means: {answer.column.description}{unit}", soft_wrap=True)
    if answer.formulas:
        console.print(f"formula in {', '.join(answer.formulas)}")
    for number, reason in enumerate(answer.reasons):
        console.print(f"{'NULL because' if number == 0 else '  ' * number + 'because'} {reason.text} ({reason.kind})")
    if answer.inputs:
        grid = Grid("made of", "columns", "symbols", "rows", "from", "to", "on the date")
        for item in answer.inputs:
            counted = (f"{item.rows:,}", item.first or "-", item.last or "-", item.of_date)
            grid.add_row(item.source.id, "\n".join(item.columns), " ".join(item.symbols), *counted)
        console.print(grid)
    if not answer.apart:
        told = "Each trial takes long here: columns and dates stand together that were not tried one by one."
        console.print(told, soft_wrap=True)
    for part in answer.files:
        rows = f"row {part.first_row}" if part.rows == 1 else f"{part.rows} rows of {part.first_row} … {part.last_row}"
        console.print(f"landed in {part.file} ({part.file_hash[:12]}), {rows}", soft_wrap=True)
    for reason in answer.left_out:
        console.print(reason.text, soft_wrap=True)
    corrections = list(dict.fromkeys(told for part in answer.files for told in part.corrections))
    for told in corrections[:_CORRECTIONS_SHOWN]:
        console.print(f"  corrected: {told}", soft_wrap=True)
    if len(corrections) > _CORRECTIONS_SHOWN:
        console.print(f"  … and {len(corrections) - _CORRECTIONS_SHOWN} more corrections (ops.corrections)")
