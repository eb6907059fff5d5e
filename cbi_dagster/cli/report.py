"""`cbi report`: a page of pictures on one symbol and trade date."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from cbi_dagster.cli.main import Failure, cbi, console, examples, looked_at
from cbi_dagster.cli.parameters import DATE
from cbi_dagster.home import Home


@cbi.command(
    epilog=examples(
        "cbi report",
        "cbi report --symbol MES --date 2024-06-03 --out mes.html",
        "cbi report --since 2022-01-01   # drift: rows from then on against those before",
    )
)
@click.option("--symbol", default="ZL", show_default=True, help="The symbol that is reported on.")
@click.option("--date", "date", type=DATE, help="Trade date (default: the symbol's last session).")
@click.option(
    "--since", type=DATE, help="Drift: first trade date of the later period (default: the last 252 sessions)."
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default="report.html", show_default=True, help="The page."
)
def report(symbol: str, date: dt.datetime | None, since: dt.datetime | None, out: Path) -> None:
    """Write one page to open in a browser: price, rolls, pivots and fibs, forecasts with their record, policy, the D4
    proxy, targets by regime, coverage, NULLs, drift and suspicious correlations.

    The page is one file that fetches nothing. Nothing on it but the coverage was known later than the date.
    """
    import numpy as np

    from cbi_dagster.reports.material import NoSessionError

    if not out.absolute().parent.is_dir():
        raise Failure(f"there is no directory {out.parent} to write {out.name} into")
    warehouse = looked_at(home := Home.from_environment()).warehouse
    with console.status("reading …") as shown:
        from cbi_dagster.reports.report import write_report  # with the pictures comes a library that takes its time

        day, first = (None if value is None else np.datetime64(value.date(), "D") for value in (date, since))
        try:
            size = write_report(
                warehouse, home.place, out, symbol=symbol, date=day, since=first,
                told=lambda step: shown.update(f"{step} …"),
            )  # fmt: skip
        except NoSessionError as error:
            raise Failure(str(error)) from error
    console.print(f"{out} ({size / 1e6:.1f} MB): open it in a browser", soft_wrap=True)
