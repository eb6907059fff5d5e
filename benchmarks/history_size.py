"""How memory, time and disk grow with history: sixteen markets in minutes, landed, built, and refreshed by a day.

The delivery is simulated (minutes and hours by month, and what else `cbi demo` lands), each size ending on the same
day. A year is about 4.7 million minute bars. Every step is a process of its own, start-up included; its peak is the
largest resident memory that the kernel saw it have, DuckDB's included; processor time is what does not depend on other
work on the machine. Disk: the delivery's files are kept in the home as they are, beside the warehouse.

Example:
    python benchmarks/history_size.py --months 3 13 --directory /tmp
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from recording import markdown, megabytes, versions

from cbi_dagster.config.universe import load_universe
from cbi_dagster.home import Home
from cbi_dagster.vendors.posts.simulated import simulate_posts
from cbi_dagster.vendors.simulate import simulate_conditions, simulate_delivery, simulate_macro
from cbi_dagster.vendors.simulated_statistics import simulate_statistics

#: The day that is refreshed; a Friday, and the delivery before ends when its UTC day begins.
DAY = dt.date(2025, 6, 6)
_SEED = 1


@dataclass(frozen=True)
class Step:
    """What a process took: seconds by the clock and of the processor, and the largest resident memory in bytes."""

    name: str
    seconds: float
    processor_s: float
    peak_bytes: int


def step(name: str, home: Path, arguments: Sequence[str]) -> Step:
    """Run this interpreter with `arguments` on a state directory as a process of its own, and watch it."""
    started = time.perf_counter()
    environment = {**os.environ, "CBI_HOME": str(home)}
    process = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):  # 3 says that something was stale
        raise RuntimeError(f"{' '.join(arguments)} ended with exit code {process.returncode}")
    processor_s = used.ru_utime + used.ru_stime
    taken = Step(name, time.perf_counter() - started, processor_s, used.ru_maxrss * 1024)
    print(taken, file=sys.stderr, flush=True)
    return taken


def deliver(out_dir: Path, months: int) -> None:
    """Write the history of so many months up to `DAY`, and below `day` the minutes of that day alone."""
    start, roots = (pd.Timestamp(DAY) - pd.DateOffset(months=months)).date(), load_universe().roots
    before = out_dir / "before"
    simulate_delivery(before, seed=_SEED, start=start, end=DAY, minute_roots=roots, minute_start=start)
    simulate_statistics(before / "statistics", seed=_SEED, start=start, end=DAY)
    for simulate in (simulate_conditions, simulate_macro, simulate_posts):
        simulate(before, seed=_SEED, start=start, end=DAY)
    week, after = DAY - dt.timedelta(days=7), DAY + dt.timedelta(days=1)
    for file in simulate_delivery(
        out_dir / "day", seed=_SEED, start=week, end=after, minute_roots=roots, minute_start=DAY
    ):
        if ".ohlcv-1m." not in file.name:
            file.unlink()
    (out_dir / "day" / "manifest.json").unlink()


def measure(scratch: Path, months: int) -> list[list[str]]:
    """One row of figures for every step of a history of so many months."""
    delivery, home = scratch / "delivery", scratch / "home"
    steps = [step("simulate", home, [__file__, "--deliver", str(delivery), "--months", str(months)])]
    cbi = ["-m", "cbi_dagster.cli"]
    steps.append(step("land", home, [*cbi, "land", str(delivery / "before")]))
    landed = Home(home).open().landing.files_of("ohlcv-1m")
    bars = sum(file.kept_rows for file in landed) / 1e6
    steps.append(step("backfill", home, [*cbi, "backfill"]))
    delivered, warehouse = megabytes(delivery / "before"), Home(home).warehouse_file.stat().st_size / 1e6
    steps.append(step("land a day", home, [*cbi, "land", str(delivery / "day")]))
    steps.append(step("refresh", home, [*cbi, "refresh"]))
    disk = {"land": delivered / bars, "backfill": warehouse / bars}
    return [
        [
            f"{bars:.1f} M bars: {taken.name}",
            f"{taken.peak_bytes / 1e9:.2f} GB",
            f"{taken.seconds:.0f} s",
            f"{taken.processor_s / bars:.2f} s",
            f"{disk[taken.name]:.0f} MB" if taken.name in disk else "",
        ]
        for taken in steps
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, nargs="+", default=[13, 180], help="months of history, for each size")
    parser.add_argument("--directory", type=Path, help="where there is room: about 120 MB a million bars")
    parser.add_argument("--small", action="store_true", help="a miniature run, to see that it works")
    parser.add_argument("--deliver", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.deliver:
        deliver(options.deliver, options.months[0])
        return
    print(versions("duckdb", "numpy", "pandas", "pyarrow"))
    rows = []
    for months in [1] if options.small else options.months:
        with tempfile.TemporaryDirectory(dir=options.directory) as directory:
            rows += measure(Path(directory), months)
            header = ["", "peak memory", "time", "processor time a million bars", "disk a million bars"]
            print(markdown(header, rows), flush=True)


if __name__ == "__main__":
    main()
