"""`cbi sql`: questions of one's own."""

from __future__ import annotations

import csv
import json
import sys
from typing import Any

import click
from rich.table import Table as Grid

from cbi_dagster.cli.looking import cell
from cbi_dagster.cli.main import Failure, cbi, console, examples, looked_at
from cbi_dagster.home import Home

_ROWS_SHOWN = 100


@cbi.command(
    epilog=examples(
        'cbi sql "SELECT * FROM api.vw_regime_strip"',
        "cbi sql \"SELECT date, adj_close FROM futures_continuous_1d WHERE symbol = 'ZL' ORDER BY date DESC LIMIT 5\"",
        'cbi sql "SELECT symbol, COUNT(*) AS n FROM daily_ml_matrix GROUP BY symbol" --format csv > counts.csv',
        "cbi sql - < question.sql",
    )
)
@click.argument("text", metavar="QUERY")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["table", "csv", "jsonl"]),
    default="table",
    help=f"How to print the answer; a table shows {_ROWS_SHOWN} rows and a single one as a column, the others all.",
)
def sql(text: str, kind: str) -> None:
    """Ask one question of tables and views: a SELECT in the dialect of `sql/`. Nothing can be changed by it.

    Tables are named as in the data dictionary; `-` reads the question from the standard input. The answer is of one
    moment, and the same on every engine: what this one would answer otherwise is refused, with what to say instead.
    """
    from cbi_dagster.warehouse.sql import QueryError

    warehouse = looked_at(Home.from_environment()).warehouse
    try:
        answer = warehouse.query(sys.stdin.read() if text == "-" else text)
    except QueryError as error:
        raise Failure(str(error)) from error
    if kind == "csv":
        lines = csv.writer(sys.stdout, lineterminator="\n")
        lines.writerow(answer.column_names)
        lines.writerows([_plain(value) for value in row.values()] for row in answer.to_pylist())
    elif kind == "jsonl":
        for row in answer.to_pylist():
            click.echo(json.dumps(row, default=str))
    elif len(answer) == 1:
        grid = Grid("", "")
        for name, value in answer.to_pylist()[0].items():
            grid.add_row(name, cell(_plain(value)))
        console.print(grid)
    else:
        grid = Grid(*answer.column_names)
        for row in answer.slice(0, _ROWS_SHOWN).to_pylist():
            grid.add_row(*(cell(_plain(value)) for value in row.values()))
        console.print(grid)
        if len(answer) > _ROWS_SHOWN:
            console.print(f"… and {len(answer) - _ROWS_SHOWN:,} more rows (`--format csv` has all)")


def _plain(value: Any) -> Any:
    """A value for one cell: what has parts is JSON."""
    return json.dumps(value, default=str) if isinstance(value, dict | list) else value
