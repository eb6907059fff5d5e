"""Memory does not grow with history: three times the minutes land and are built in the memory of one time."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

from cbi_dagster.vendors.simulate import simulate_delivery

START = dt.date(2022, 1, 3)
#: Bytes by which the largest memory may grow with each further minute bar. Held whole, one takes about 900.
MOST_A_BAR = 300

#: Lands a delivery and builds the tables that read the bars of all markets, a little at a time. Says how many minute
#: bars there are, and the largest resident memory of the process in kilobytes.
PROCESS = """
import resource
import sys
from dataclasses import replace
from pathlib import Path

from cbi_dagster.catalog.tables.market_data import BARS_AT_DECISION, OHLCV_1D, OHLCV_1H, OHLCV_1M
from cbi_dagster.home import Home
from cbi_dagster.vendors import landed, register
from cbi_dagster.vendors.databento import landed_bars

for module in (landed, landed_bars, register):
    module.ROWS_AT_ONCE = 50_000
home = Home(Path(sys.argv[1]))
home.prepare()
platform = home.open().ready()
platform.landing.land([Path(sys.argv[2])])
builder = replace(platform.builder, slice_values=2_000_000)
with builder.warehouse.shared_connection():  # as a run has it
    for table in (OHLCV_1M, OHLCV_1H, OHLCV_1D, BARS_AT_DECISION):
        builder.build(table, None, "memory", only_stale=True)
bars = sum(file.kept_rows for file in platform.landing.files_of("ohlcv-1m"))
print(bars, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def figures(path: Path, end: dt.date) -> tuple[int, int]:
    """Minute bars of ZL and MES up to `end`, and the bytes that it took to land and build them."""
    simulate_delivery(path / "delivery", seed=1, start=START, end=end, minute_start=START)
    command = [sys.executable, "-c", PROCESS, str(path / "home"), str(path / "delivery")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    bars, peak = done.stdout.splitlines()[-1].split()
    return int(bars), int(peak) * 1024


@pytest.mark.slow
def test_the_memory_of_landing_and_building_does_not_grow_with_history(tmp_path: Path) -> None:
    few, least = figures(tmp_path / "short", dt.date(2022, 4, 1))
    many, most = figures(tmp_path / "long", dt.date(2022, 12, 1))
    assert many > 3 * few
    print(f"{few:,} bars: {least:,} bytes, {many:,} bars: {most:,}: {(most - least) / (many - few):.0f} a bar")
    assert (most - least) / (many - few) < MOST_A_BAR, f"{few:,} bars: {least:,} bytes, {many:,} bars: {most:,}"
