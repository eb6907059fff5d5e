"""What is gained by asking the service for several things at once, when every request takes as long as over a network.

A small home is simulated and built in a file, then copied into BigQuery on the loopback interface, whose server lets
each request wait (`--latency`, seconds): all tables made, then all written, one after the other and four at a time.
Rows and books are the same to the bit either way; that is checked. Only waiting is measured: the server computes in the
same process and holds everything in memory.

Example:
    python benchmarks/bigquery_latency.py --latency 0.3
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
import time
from pathlib import Path

from recording import cbi, markdown, versions

from cbi_dagster.catalog import ASSET_TABLES, TABLES
from cbi_dagster.catalog.views import views
from cbi_dagster.home import Home
from cbi_dagster.vendors.simulate import simulate_delivery, simulate_macro
from cbi_dagster.warehouse.bigquery import BigQuerySettings, BigQueryWarehouse, engine
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.copying import copy_books, copy_tables
from cbi_dagster_tests.fakes.bigquery import LoopbackBigQuery


def built(path: Path) -> Warehouse:
    """Four weeks of all markets, minutes of the last week."""
    start, end = dt.date(2023, 5, 29), dt.date(2023, 6, 24)
    (path / "delivery").mkdir()
    simulate_delivery(path / "delivery", seed=3, start=start, end=end, minute_start=dt.date(2023, 6, 19))
    simulate_macro(path / "delivery", seed=3, start=start, end=end)
    cbi(path / "home", "land", str(path / "delivery"))
    cbi(path / "home", "refresh")
    return Home(path / "home", environment={}).open().ready().warehouse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=0.3)
    latency = parser.parse_args().latency
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        source = built(Path(directory))
        for at_once in (1, 4):
            engine._WRITERS, engine._POOL = at_once, 8 if at_once > 1 else 1
            with LoopbackBigQuery() as server:
                server.latency_s = latency
                target = BigQueryWarehouse(BigQuerySettings("loopback", endpoint=server.endpoint))
                started = time.perf_counter()
                target.ensure(TABLES.values(), views().values())
                made = time.perf_counter()
                copy_books(source, target)
                list(copy_tables(source, target, ASSET_TABLES))
                copied, asked = time.perf_counter(), len(server.faults.asked)
                server.latency_s = 0.0
                assert source.ledger_rows().equals(target.ledger_rows())
            rows.append([str(at_once), f"{made - started:.1f} s", f"{copied - made:.1f} s", str(asked)])
    print(versions("google-cloud-bigquery"), f"{latency:.1f} s a request")
    print(markdown(["at once", "tables and views made", "tables written", "requests"], rows))


if __name__ == "__main__":
    main()
