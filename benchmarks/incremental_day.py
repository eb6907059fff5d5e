"""One new trade date: `cbi refresh` against building everything anew, as whole processes, start-up included.

The peer is this platform's own full rebuild (`cbi backfill` of an empty warehouse), which is what one would run without
the ledger. History is simulated (sixteen markets in hours, ZL and MES in minutes at its end, posts), then one day's
files are landed, and copies of the home refreshed, the shortest of three times counts. Timed as well: a second refresh,
with nothing stale; and what no faster table could save of the day:
DuckDB reading the same inputs and writing the same slices, with nothing computed, checked or hashed in between. With
`--against` another checkout (`git worktree add ../earlier COMMIT`) does the same in turn, in a directory of its own.

Example:
    python benchmarks/incremental_day.py --days 3800 --against ../earlier
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from recording import cbi, markdown, versions

from cbi_dagster.catalog import ASSET_TABLES, TABLES
from cbi_dagster.home import Home
from cbi_dagster.vendors.posts.simulated import simulate_posts
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster.warehouse.contract import now_utc
from cbi_dagster.warehouse.plan import read_intervals

_MINUTE_DAYS, _ROUNDS = 100, 3


def written_since(home: Path, moment: pd.Timestamp) -> int:
    """Partitions of all tables whose content was written after an instant."""
    ledger = Home(home).open().warehouse.ledger_rows([table.id for table in ASSET_TABLES])
    return int((ledger["written_at"] > moment).sum())


def seconds_of_slices(home: Path, day: np.datetime64) -> tuple[int, float]:
    """How many tables have rows on `day` or in its month, and how long reading their inputs and writing these takes."""
    warehouse = Home(home).open().warehouse
    slices = []
    for table in ASSET_TABLES:
        if table.reads and table.partitioning.column:
            partition = table.partitioning.keys_of(np.array([day]))
            span = table.partitioning.span(partition[0])
            if len(rows := warehouse.read(table, [span])):
                slices.append((table, partition, span, rows))
    started = time.perf_counter()
    with warehouse.shared_connection(), duckdb.connect(Home(home).warehouse_file) as connection:
        for table, partition, span, rows in slices:
            for read in table.reads:
                if source := TABLES.get(read.source):
                    intervals = read_intervals(table, read, partition)
                    warehouse.read(source, intervals, read.columns, read.symbols)
            connection.begin()
            where = f'"{table.partitioning.column}" BETWEEN ? AND ?'
            connection.execute(f"DELETE FROM {table.id} WHERE {where}", [bound.astype(object) for bound in span])
            connection.register("slice_rows", rows)
            connection.execute(f"INSERT INTO {table.id} BY NAME SELECT * FROM slice_rows")
            connection.commit()
    return len(slices), time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=3800, help="trade dates of history")
    parser.add_argument("--against", type=Path, help="another checkout")
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
            simulate_posts(deliveries[name], seed=1, start=days[0].date(), end=stop)
        home, fresh = scratch / "home", scratch / "fresh"
        checkouts = {"here": Path(__file__).parents[1]} | (
            {"there": options.against.resolve()} if options.against else {}
        )
        homes = {name: home if name == "here" else scratch / name for name in checkouts}
        for name, checkout in checkouts.items():
            cbi(homes[name], "land", str(deliveries["before"]), checkout=checkout)
            cbi(homes[name], "backfill", checkout=checkout)
        landed, days_s, nothing_s = now_utc(), dict[str, list[float]](), dict[str, list[float]]()
        for name, checkout in checkouts.items():
            cbi(homes[name], "land", str(deliveries["after"]), checkout=checkout)
        refreshed = scratch / "refreshed"
        for _ in range(_ROUNDS):
            for name, checkout in checkouts.items():
                shutil.rmtree(refreshed, ignore_errors=True)
                shutil.copytree(homes[name], refreshed)
                for times in (days_s, nothing_s):
                    times.setdefault(name, []).append(cbi(refreshed, "refresh", checkout=checkout))
        cbi(home, "refresh")
        (day, nothing), written = (min(days_s["here"]), min(nothing_s["here"])), written_since(home, landed)
        slices, bare = seconds_of_slices(home, days[-1].to_datetime64().astype("datetime64[D]"))
        cbi(fresh, "land", str(deliveries["after"]))
        full = cbi(fresh, "backfill")
        all_partitions = written_since(fresh, pd.Timestamp(0, tz="UTC"))
    print(versions("duckdb", "dagster"))
    print(f"{len(days):,} trade dates up to {end - dt.timedelta(days=1)}, {len(ASSET_TABLES)} tables")
    rows = [
        ["full rebuild", f"{full:.1f} s", f"{all_partitions:,}", "1"],
        ["one new day", f"{day:.1f} s", f"{written:,}", f"1/{full / day:.0f}"],
        ["nothing new", f"{nothing:.1f} s", "0", f"1/{full / nothing:.0f}"],
        [f"{slices} slices read and written, no more", f"{bare:.1f} s", f"{slices}", f"1/{full / bare:.0f}"],
    ]
    print(markdown(["", "process time", "partitions written", "of the full rebuild"], rows))
    if options.against:
        peer_day, peer_nothing = min(days_s["there"]), min(nothing_s["there"])
        print(f"there: one new day {peer_day:.1f} s, here / there {day / peer_day:.2f}; ", end="")
        print(f"nothing new {peer_nothing:.1f} s, here / there {nothing / peer_nothing:.2f}")


if __name__ == "__main__":
    main()
