"""A new day, nothing new, and a corrected day: how long SQLMesh and `cbi refresh` take, and what they leave wrong.

The same situations on both sides. Thousands of trade dates are built, and the next one comes; then nothing comes; then
the vendor corrects one bar in the middle. Each time the engineer asks for the tables to be brought up to date. SQLMesh
is run up to the day of the first two (`run --end`) and is told the corrected day (`plan --restate-model`),
since it does not notice a changed value by itself; its three models are what one would write for this: a feature
(20-day mean and a running factor since inception), a matrix, and a label that looks 21 days ahead. Here what came is
landed, and `cbi refresh` finds out itself. "Left wrong" are rows that differ from a build from scratch on the
corrected data. Both are real runs of the released programs; the times are of projects of different size (3 tables of
one market there, all tables of sixteen markets here) and are given for scale, not for comparison.

SQLMesh is no dependency of this project: give the interpreter of an environment that has it.

Example:
    python benchmarks/restatement.py --peer-python /path/to/environment/bin/python
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from recording import cbi, markdown, versions

from cbi_dagster.catalog import ASSET_TABLES, Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.market_data import OHLCV_1H
from cbi_dagster.home import Home
from cbi_dagster.vendors.databento.writing import write_dbn
from cbi_dagster.vendors.simulate import SIMULATED_DATASET, simulate_delivery
from cbi_dagster.warehouse.contract import now_utc

_PEER_MODELS = {
    "feature": "day, avg(close) OVER (ORDER BY day ROWS 19 PRECEDING) AS mean_20, "
    "exp(sum(ln(close / open)) OVER (ORDER BY day)) AS factor FROM read_parquet('{bars}')",
    "matrix": "f.day, f.mean_20, f.factor, b.close, b.close / f.mean_20 - 1 AS distance "
    "FROM lab.feature AS f JOIN read_parquet('{bars}') AS b ON b.day = f.day",
    "label": "day, lead(close, 21) OVER (ORDER BY day) / close - 1 AS target FROM lab.matrix",
}


def simulated_days(count: int) -> pd.DataFrame:
    """Daily bars of one market: `day`, `open`, `close`."""
    random = np.random.default_rng(1)
    days = pd.bdate_range("2012-01-02", periods=count)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.01, count)))
    return pd.DataFrame({"day": days.date, "open": close * np.exp(random.normal(0, 0.005, count)), "close": close})


def peer_project(directory: Path, bars: Path, start: dt.date) -> None:
    """A SQLMesh project of the three models over a DuckDB file in `directory`."""
    (directory / "models").mkdir(parents=True)
    database = directory / "store.duckdb"
    (directory / "config.yaml").write_text(
        "gateways: {lab: {connection: {type: duckdb, database: " + str(database) + "}}}\n"
        "default_gateway: lab\nmodel_defaults: {dialect: duckdb, start: " + f"'{start}'" + "}\n"
        "disable_anonymized_analytics: true\n"
    )
    for name, select in _PEER_MODELS.items():
        (directory / "models" / f"{name}.sql").write_text(
            f"MODEL (name lab.{name}, kind INCREMENTAL_BY_TIME_RANGE (time_column day));\n"
            f"SELECT * FROM (SELECT {select.format(bars=bars)}) AS rows_of_all_days\n"
            "WHERE day BETWEEN @start_date AND @end_date\n"
        )


def peer(python: Path, directory: Path, *arguments: str) -> float:
    """Run SQLMesh in a project; the seconds it took. Raises CalledProcessError when it fails."""
    started = time.perf_counter()
    command = [str(python.parent / "sqlmesh"), "-p", str(directory), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=directory)
    return time.perf_counter() - started


def peer_plan(python: Path, directory: Path, tomorrow: dt.date, *arguments: str) -> float:
    """A plan of SQLMesh's, applied as of the midnight at which `tomorrow` begins; the seconds it took."""
    quiet = ("--execution-time", str(tomorrow), "--auto-apply", "--no-prompts")
    return peer(python, directory, "plan", *quiet, *arguments)


def peer_rows(python: Path, directory: Path) -> dict[str, pd.DataFrame]:
    """What the project's models hold, read with the peer's own version of DuckDB."""
    script = (
        "import duckdb, sys\nlab = duckdb.connect(sys.argv[1], read_only=True)\n"
        "for name in sys.argv[3:]:\n"
        "    rows = lab.sql(f'SELECT * FROM lab.{name} ORDER BY day').df()\n"
        "    rows.to_csv(f'{sys.argv[2]}/{name}.csv', index=False)"
    )
    subprocess.run(
        [str(python), "-c", script, str(directory / "store.duckdb"), str(directory), *_PEER_MODELS], check=True
    )
    return {name: pd.read_csv(directory / f"{name}.csv").set_index("day") for name in _PEER_MODELS}


def differing(left: dict[str, pd.DataFrame], right: dict[str, pd.DataFrame]) -> int:
    """Rows in which two states of the same tables differ."""
    return sum(int((~((left[n] == right[n]) | (left[n].isna() & right[n].isna())).all(axis=1)).sum()) for n in left)


def measure_peer(python: Path, scratch: Path, count: int) -> list[str]:
    """Row of the result for SQLMesh: seconds of a new day and of none, affected rows, rows left wrong, seconds."""
    days = simulated_days(count)
    bars = scratch / "bars.parquet"
    start, newest = days["day"].iloc[0], days["day"].iloc[-1]
    days.iloc[:-1].to_parquet(bars)
    project = scratch / "restated"
    peer_project(project, bars, start)
    peer_plan(python, project, newest)
    days.to_parquet(bars)
    tomorrow = newest + dt.timedelta(days=1)
    new_day, nothing = (peer(python, project, "run", "--end", str(newest)) for _ in range(2))
    before = peer_rows(python, project)
    corrected = count // 2
    days.loc[corrected, "close"] *= 1.01
    days.to_parquet(bars)
    day = str(days["day"].iloc[corrected])
    seconds = peer_plan(python, project, tomorrow, "--restate-model", "lab.feature", "--start", day, "--end", day)
    restated = peer_rows(python, project)
    fresh = scratch / "from_scratch"
    peer_project(fresh, bars, start)
    peer_plan(python, fresh, tomorrow)
    truth = peer_rows(python, fresh)
    if str(before["feature"].index[-1])[:10] != str(newest):
        raise AssertionError(f"the new day {newest} has not come: {before['feature'].tail(1)}")
    wrong = [f"{differing(rows, truth):,}" for rows in (before, restated)]
    return ["SQLMesh", f"{new_day:.1f} s", f"{nothing:.1f} s", *wrong, f"{seconds:.1f} s"]


def rows_apart(one: Path, other: Path, tables: tuple[Table, ...]) -> int:
    """Rows of one warehouse that the other does not hold exactly so, in all tables, either way round."""
    total = 0
    with duckdb.connect() as connection:
        for name, path in (("one", one), ("other", other)):
            connection.execute(f"ATTACH '{path}' AS {name} (READ_ONLY)")
        for table in tables:
            columns = ", ".join(f'"{column.name}"' for column in table.content_columns)
            sides = [f'SELECT {columns} FROM {side}."{table.dataset}"."{table.name}"' for side in ("one", "other")]
            for left, right in (sides, sides[::-1]):
                total += connection.sql(f"SELECT count(*) FROM ({left} EXCEPT ALL {right})").fetchall()[0][0]
    return total


def corrected_file(path: Path, bar: pd.DataFrame) -> Path:
    """A vendor file that states one landed hourly bar anew, with its low as its close."""
    start = bar["ts_event"].iloc[0]
    day = start.tz_convert(None).normalize()
    mapping = bar[["symbol", "instrument_id"]].assign(start_date=day, end_date=day + pd.Timedelta(days=1))
    return write_dbn(
        path,
        dataset=SIMULATED_DATASET,
        schema="ohlcv-1h",
        stype_in="continuous",
        start=start,
        end=start + pd.Timedelta(hours=1),
        mappings=mapping,
        bars=bar.assign(close=bar["low"]),
    )


def plan(home: Path, *arguments: str) -> dict[str, Any]:
    """What `cbi plan --json` says; its exit code only says whether anything is stale."""
    command = [sys.executable, "-m", "cbi_dagster.cli", "plan", "--json", *arguments]
    environment = {**os.environ, "CBI_HOME": str(home)}
    told = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(told))


def measure_here(scratch: Path, count: int) -> tuple[list[str], str]:
    """Row of the result for this platform, and what was planned and written."""
    start = dt.date(2012, 1, 2)
    days = pd.bdate_range(start, periods=count)
    earlier, delivery = scratch / "earlier", scratch / "delivery"
    for place, last in ((earlier, days[-2]), (delivery, days[-1])):
        place.mkdir()
        end = last.date() + dt.timedelta(days=1)  # exclusive; the last session closes on its own date
        simulate_delivery(place, seed=1, start=start, end=end, minute_start=days[-6].date())
    refreshed, fresh = scratch / "refreshed", scratch / "fresh"
    cbi(refreshed, "land", str(earlier))
    cbi(refreshed, "backfill")
    cbi(refreshed, "land", str(delivery))
    new_day, nothing = (cbi(refreshed, "refresh") for _ in range(2))
    warehouse = Home(refreshed).open().warehouse
    middle = np.busday_offset(np.datetime64(start), count // 2, roll="forward")
    bars = to_frame(OHLCV_1H, warehouse.read(OHLCV_1H, [(middle, middle)], symbols=("ZL.v.0",)))
    correction = corrected_file(scratch / "correction.ohlcv-1h.dbn.zst", bars.iloc[[-1]])
    before = scratch / "before.duckdb"
    shutil.copyfile(Home(refreshed).warehouse_file, before)

    cbi(refreshed, "land", str(correction))
    planned = sum(item["partitions"] for item in plan(refreshed)["upper_bound"])
    exact = sum(len(partitions) for partitions in plan(refreshed, "--exact")["exact"].values())
    landed = now_utc()
    seconds = cbi(refreshed, "refresh")

    for landed_then in (earlier, delivery, correction):
        cbi(fresh, "land", str(landed_then))
    cbi(fresh, "backfill")
    paths = [home / "warehouse.duckdb" for home in (refreshed, fresh)]
    ledger = warehouse.ledger_rows([table.id for table in ASSET_TABLES])
    written = int((ledger["written_at"] > landed).sum())
    facts = f"cbi planned at most {planned:,} partitions, exactly {exact:,}, and wrote {written:,}."
    affected = rows_apart(before, paths[1], ASSET_TABLES) // 2
    wrong = [f"{affected:,}", f"{rows_apart(paths[0], paths[1], ASSET_TABLES):,}"]
    return ["cbi", f"{new_day:.1f} s", f"{nothing:.1f} s", *wrong, f"{seconds:.1f} s"], facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", type=Path, help="interpreter of an environment with SQLMesh")
    parser.add_argument("--days", type=int, default=3000, help="trade dates of history")
    parser.add_argument("--small", action="store_true", help="a miniature run without the peer, to see that it works")
    options = parser.parse_args()
    if not options.small and (options.peer_python is None or not (options.peer_python.parent / "sqlmesh").exists()):
        parser.error(
            "SQLMesh is missing: `pip install 'sqlmesh[web]'` in an environment of its own, then --peer-python"
        )
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        rows, facts = [], ""
        if not options.small:
            rows.append(measure_peer(options.peer_python, scratch, options.days))
        here, facts = measure_here(scratch, 40 if options.small else options.days)
        rows.append(here)
    print(versions("duckdb", "dagster"))
    print(markdown(["", "a new day", "nothing new", "a corrected day: rows affected", "left wrong", "time"], rows))
    print(facts)


if __name__ == "__main__":
    main()
