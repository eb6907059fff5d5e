"""Dagster's event log for the full history of daily partitions: this platform's storage against stock SQLite.

A chain of assets with trivial data and IO runs over a range of weekday partitions in one run, in a process of its own
per storage. What is timed is the run, without start-up; what is weighed is everything in the instance's directory.

With `--postgres` the same in the database that DAGSTER_PG_* name, which must be empty: by deploy/dagster.yaml, and with
Dagster's own event log in its place. `--checks` of each asset are planned and evaluated too.

Stock SQLite is measured on fewer partitions. Its figure for the full range is the measured one times the ratio of
partitions: an extrapolation, marked as one.

Example:
    python benchmarks/event_log.py --partitions 3800 --stock-partitions 400
    python benchmarks/event_log.py --postgres --checks 5
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import dagster as dg
from recording import markdown, megabytes, versions

BUDGET_SECONDS, BUDGET_MEGABYTES = 1.5, 10.0
_BATCHED = "event_log_storage:\n  module: cbi_dagster.orchestration.event_log\n  class: BatchedSqliteEventLogStorage\n"
_PARTITIONS = dg.TimeWindowPartitionsDefinition(cron_schedule="0 0 * * 1-5", start="2010-06-07", fmt="%Y-%m-%d")


class NothingStored(dg.IOManager):
    """Takes and gives no data, so that only Dagster's own work is left."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        pass

    def load_input(self, context: dg.InputContext) -> int:
        return 0


def chain(length: int) -> list[dg.AssetsDefinition]:
    """Assets that each read the one before."""
    assets: list[dg.AssetsDefinition] = []
    for number in range(length):
        assets.append(
            dg.asset(
                name=f"table_{number}",
                ins={"before": dg.AssetIn(key=assets[-1].key)} if assets else {},
                partitions_def=_PARTITIONS,
                backfill_policy=dg.BackfillPolicy.single_run(),
            )(_following if assets else _first)
        )
    return assets


def _first() -> int:
    return 0


def _following(before: object) -> int:
    return 0


def checks_of(asset: dg.AssetsDefinition, count: int) -> list[dg.AssetChecksDefinition]:
    return [dg.asset_check(asset=asset.key, name=f"check_{number}")(_passed) for number in range(count)]


def _passed() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def configuration(storage: str) -> str:
    """The dagster.yaml of an instance with a storage."""
    if "postgres" not in storage:
        return "telemetry:\n  enabled: false\n" + (_BATCHED if storage == "batched" else "")
    text = (Path(__file__).parents[1] / "deploy" / "dagster.yaml").read_text(encoding="utf-8")
    if storage == "postgres":
        return text
    own = "cbi_dagster.orchestration.event_log_postgres\n  class: BatchedPostgresEventLogStorage"
    return text.replace(own, "dagster_postgres.event_log\n  class: PostgresEventLogStorage")


def stored_megabytes(instance: dg.DagsterInstance, directory: str) -> float:
    """What records take: in the database, else in the instance's directory."""
    engine = getattr(instance.event_log_storage, "_engine", None)
    if engine is None or engine.dialect.name != "postgresql":
        return megabytes(Path(directory))
    with engine.connect() as connection:
        return float(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()) / 1e6


def run(storage: str, partitions: int, tables: int, checks: int) -> dict[str, float]:
    """Materialize the chain over the first `partitions` weekdays; seconds and megabytes."""
    keys = _PARTITIONS.get_partition_keys()[:partitions]
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "dagster.yaml").write_text(configuration(storage), encoding="utf-8")
        with dg.DagsterInstance.from_config(directory) as instance:
            assets = chain(tables)
            defs = dg.Definitions(
                assets=assets,
                asset_checks=[check for asset in assets for check in checks_of(asset, checks)],
                resources={"io_manager": NothingStored()},
            )
            before = stored_megabytes(instance, directory)
            job = defs.resolve_implicit_global_asset_job_def()
            started = time.perf_counter()
            result = job.execute_in_process(
                instance=instance,
                tags={"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]},
                run_config={"loggers": {"console": {"config": {"log_level": "WARNING"}}}},
            )
            seconds = time.perf_counter() - started
            stored = instance.get_materialized_partitions(dg.AssetKey(f"table_{tables - 1}"))
            if not result.success or len(stored) != partitions:
                raise RuntimeError(
                    f"{storage}: {len(stored)} of {partitions} partitions of the last table are recorded"
                )
            size = stored_megabytes(instance, directory) - before
            if "postgres" in storage:
                instance.run_storage.wipe()
                instance.event_log_storage.wipe()
        return {"seconds": seconds, "megabytes": size}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=3800, help="daily partitions for the batched storage")
    parser.add_argument("--stock-partitions", type=int, default=400, help="daily partitions for stock SQLite")
    parser.add_argument("--tables", type=int, default=8, help="length of the chain")
    parser.add_argument("--checks", type=int, default=0, help="of each asset")
    parser.add_argument("--postgres", action="store_true", help="measure the database that DAGSTER_PG_* name too")
    parser.add_argument("--only", help="measure one storage in this process, print JSON")
    options = parser.parse_args()
    warnings.simplefilter("ignore", dg.BetaWarning)
    counts = {"batched": options.partitions, "stock": options.stock_partitions}
    if options.postgres:
        # Dagster counts on batches only when this is set; our own storages set it.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "4000")
        counts |= {"postgres": options.partitions, "stock postgres": options.partitions}
    if options.only:
        print(json.dumps(run(options.only, counts[options.only], options.tables, options.checks)))
        return
    measured = {}
    for storage in counts:
        command = [sys.executable, __file__, *sys.argv[1:], "--only", storage]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        measured[storage] = json.loads(output.splitlines()[-1])
    print(versions("dagster"))
    rows = []
    for storage, count in counts.items():
        seconds, size = (measured[storage][unit] / options.tables for unit in ("seconds", "megabytes"))
        rows.append([f"{storage}, measured", f"{count:,}", f"{seconds:.2f} s", f"{size:.1f} MB"])
        if count != options.partitions:
            scale = options.partitions / count
            rows.append(
                [
                    f"{storage}, extrapolated",
                    f"{options.partitions:,}",
                    f"{seconds * scale:.0f} s",
                    f"{size * scale:.0f} MB",
                ]
            )
    print(markdown(["event log", "partitions", "time a table", "size a table"], rows))
    seconds, size = (measured["batched"][unit] / options.tables for unit in ("seconds", "megabytes"))
    holds = seconds <= BUDGET_SECONDS and size <= BUDGET_MEGABYTES
    print(
        f"Budget of {BUDGET_SECONDS} s and {BUDGET_MEGABYTES:.0f} MB a table: {'holds' if holds else 'does not hold'}."
    )


if __name__ == "__main__":
    main()
