"""`cbi fetch`: data from Databento's API, priced before it is asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.table import Table as Grid

from cbi_dagster.cli.main import STALE, Failure, cbi, console, examples, opened
from cbi_dagster.cli.parameters import DATE
from cbi_dagster.home import Home

if TYPE_CHECKING:
    import datetime as dt

    from cbi_dagster.vendors.databento.fetching import FetchReport
    from cbi_dagster.vendors.databento.survey import Outlook

_SHOWN = 40


@cbi.command(
    epilog=examples(
        "cbi fetch --from 2024-01-01 --dry-run",
        "cbi fetch --from 2024-03-01 --to 2024-03-31 --schema ohlcv-1h --symbols ZL.v.0,ZS.v.0",
        "cbi fetch",
    )
)
@click.option("--from", "first", type=DATE, help="First UTC day. Without it: what continues or corrects what is here.")
@click.option("--to", "last", type=DATE, help="Last UTC day (inclusive). Default: as far as there is data.")
@click.option("--schema", "schemas", multiple=True, help="E.g. ohlcv-1h, ohlcv-1m; repeatable. Default: ohlcv-1h.")
@click.option("--symbols", help="E.g. ZL.v.0,MES.v.0 (continuous), ZL.FUT (all contracts). Default: the universe.")
@click.option("--again", is_flag=True, help="Ask for what is here too; it is charged again.")
@click.option("--dry-run", is_flag=True, help="Show what would be asked for and its price. Exit code 3 for anything.")
@click.option("--wait", "wait_s", default=3600.0, show_default=True, help="Seconds to wait for a batch job at most.")
def fetch(
    first: dt.datetime | None,
    last: dt.datetime | None,
    schemas: tuple[str, ...],
    symbols: str | None,
    again: bool,
    dry_run: bool,
    wait_s: float,
) -> None:
    """Ask Databento for what is lacking here or was corrected there, verify it and land it.

    The key is read from DATABENTO_API_KEY. Nothing is asked for that is here, unless the vendor has changed it since.
    The price is asked first; CBI_DATABENTO_REQUEST_DOLLARS, _RUN_DOLLARS and _DAY_DOLLARS cap it, and ops.vendor_spend
    keeps what was spent. A command that was interrupted goes on where it stopped and pays for nothing twice that came.

    Exit code 0: done, or nothing to do. 1: something failed, and what came before it is landed.
    """
    import pandas as pd

    from cbi_dagster.vendors.databento.client import KEY_VARIABLE, VendorError
    from cbi_dagster.vendors.databento.spending import OverCapError
    from cbi_dagster.vendors.databento.survey import ClockError, Wish
    from cbi_dagster.vendors.landing import DatasetMismatchError

    if first is None and (last or schemas or symbols or again):
        raise click.UsageError("--to, --schema, --symbols and --again need --from")
    home = Home.from_environment()
    named = tuple(name.strip() for name in (symbols or "").split(",") if name.strip())
    try:
        fetching = home.fetching(opened(home), os.environ.get(KEY_VARIABLE, ""))
        survey = fetching.survey
        with console.status("asking the vendor …") as status:

            def told(what: str, done: int, total: int) -> None:
                status.update(f"{what} … {done}/{total}")

            def outlook() -> Outlook:
                if first is None:
                    return survey.outlook(survey.followed, told=told)
                end = None if last is None else pd.Timestamp(last, tz="UTC") + pd.Timedelta(days=1)
                wish = Wish(schemas or ("ohlcv-1h",), named, pd.Timestamp(first, tz="UTC"), end)
                return survey.outlook(lambda known: survey.wished(wish, known), named=named, again=again, told=told)

            if dry_run:
                found = outlook()
            else:

                def planned() -> Outlook:
                    found = outlook()
                    _print_outlook(found)
                    return found

                report = fetching.run(planned, wait_s, told)
    except (VendorError, OverCapError, ClockError, DatasetMismatchError) as error:
        raise Failure(f"{str(error).rstrip('.')}. The same command goes on; what came before is landed") from None
    if dry_run:
        _print_outlook(found)
        if found.parts:
            raise click.exceptions.Exit(STALE)
        return
    _print_report(report)
    if report.refused:
        raise Failure(
            "\n".join(["the door refused what came, and it is not asked for again:"]
                      + [f"  {request}: {why}" for request, why in report.refused.items()])
        )  # fmt: skip


def _print_outlook(found: Outlook) -> None:
    if found.unknown:
        console.print(f"The vendor knows nothing of {_names(found.unknown)} in the time that lacks.")
    if not found.parts:
        console.print(f"Nothing to ask for. The vendor has data until (UTC): {found.range}", soft_wrap=True)
        return
    grid = Grid("schema", "symbols", "from (UTC)", "to (UTC)", "as", "dollars")
    for part in found.parts[:_SHOWN]:
        asked = part.request
        grid.add_row(
            asked.schema,
            str(len(asked.symbols)) if len(asked.symbols) > 3 else ", ".join(asked.symbols),
            f"{asked.start:%Y-%m-%d %H:%M}",
            f"{asked.end:%Y-%m-%d %H:%M}",
            "batch job" if part.batch else "stream",
            f"{part.dollars:.4f}",
        )
    console.print(grid)
    if len(found.parts) > _SHOWN:
        console.print(f"… and {len(found.parts) - _SHOWN} others")
    console.print(f"{len(found.parts)} requests, ${found.dollars:,.4f} by the vendor's price.")


def _print_report(report: FetchReport) -> None:
    for said in dict.fromkeys(report.warnings):
        console.print(f"The vendor warns: {said}")
    if report.landed:
        console.print(
            f"{len(report.landed)} requests landed for ${report.dollars:,.4f}: {report.new_files} new files, "
            f"{report.corrections:,} bars corrected. `cbi plan` shows what is stale now."
        )
    for said in report.waiting:
        console.print(f"Still at work: {said}. The same command fetches it when it is done; it is paid for.")


def _names(symbols: Sequence[str]) -> str:
    return ", ".join(symbols[:20]) + (f" and {len(symbols) - 20} others" if len(symbols) > 20 else "")
