"""One new trade date: `cbi refresh` against building everything anew, as whole processes, start-up included.

The peer is this platform's own full rebuild (`cbi backfill` of an empty warehouse), which is what one would run without
the ledger. History is simulated (sixteen markets in hours, ZL and MES in minutes at its end), then one day's file is
landed. Timed as well: a second refresh, with nothing stale, and as many Dagster steps that do nothing
(`empty_steps.py`).

Example:
    python benchmarks/incremental_day.py --days 3800
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
from pathlib import Path

import pandas as pd
from recording import cbi, markdown, python, versions

from cbi_dagster.catalog import ASSET_TABLES, Monthly
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster.warehouse.contract import now_utc
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse

_MINUTE_DAYS = 100
_MONTHLY = [table for table in ASSET_TABLES if isinstance(table.partitioning, Monthly)]


def written_since(home: Path, moment: pd.Timestamp) -> int:
    """Partitions of all tables whose content was written after an instant."""
    ledger = DuckDBWarehouse(home / "warehouse.duckdb").ledger([table.id for table in ASSET_TABLES])
    return int((ledger["written_at"] > moment).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=3800, help="trade dates of history")
    parser.add_argument("--small", action="store_true", help="a miniature run, to see that it works")
    options = parser.parse_args()
    days = pd.bdate_range("2011-01-03", periods=30 if options.small else options.days)
    # The last session closes on its own date; a delivery's end is exclusive.
    end = days[-1].date() + dt.timedelta(days=1)
    minutes = days[-min(_MINUTE_DAYS, len(days) // 2)].date()
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        deliveries = {}
        for name, last in (("before", days[-2].date()), ("after", days[-1].date())):
            deliveries[name] = scratch / name
            deliveries[name].mkdir()
            stop = last + dt.timedelta(days=1)
            simulate_delivery(deliveries[name], seed=1, start=days[0].date(), end=stop, minute_start=minutes)
        home, fresh = scratch / "home", scratch / "fresh"
        cbi(home, "land", str(deliveries["before"]))
        cbi(home, "backfill")
        landed = now_utc()
        cbi(home, "land", str(deliveries["after"]))
        day = cbi(home, "refresh")
        written = written_since(home, landed)
        nothing = cbi(home, "refresh")
        counts = ["--daily", str(written - len(_MONTHLY)), "--monthly", str(len(_MONTHLY))]
        # The second run finds the databases of its instance, as a refresh does.
        empty = [python("empty_steps.py", "--home", str(scratch / "empty"), *counts) for _ in range(2)][-1]
        cbi(fresh, "land", str(deliveries["after"]))
        full = cbi(fresh, "backfill")
        all_partitions = written_since(fresh, pd.Timestamp(0, tz="UTC"))
    print(versions("duckdb", "dagster"))
    print(f"{len(days):,} trade dates up to {end - dt.timedelta(days=1)}, {len(ASSET_TABLES)} tables")
    rows = [
        ["full rebuild", f"{full:.1f} s", f"{all_partitions:,}", "1"],
        ["one new day", f"{day:.1f} s", f"{written:,}", f"1/{full / day:.0f}"],
        ["nothing new", f"{nothing:.1f} s", "0", f"1/{full / nothing:.0f}"],
        [f"{written} empty Dagster steps", f"{empty:.1f} s", "0", f"1/{full / empty:.0f}"],
    ]
    print(markdown(["", "process time", "partitions written", "of the full rebuild"], rows))


if __name__ == "__main__":
    main()
