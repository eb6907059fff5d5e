"""What Dagster alone takes for a refresh: as many steps as one new day has, which read, compute and write nothing.

Two runs over partitioned assets (by trade date, then by month) in one process, on an instance set up as the platform's:
the part of `cbi refresh` that no faster table could save. `incremental_day.py` times it as a whole process.

Example:
    python benchmarks/empty_steps.py --daily 21 --monthly 17
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import Any

import dagster as dg
from cbi_dagster.orchestration.jobs import QUIET, RANGE_END_TAG, RANGE_START_TAG

from cbi_dagster.home import Home
from cbi_dagster.orchestration.partitions import MONTHS, TRADE_DATES


class _Nothing(dg.IOManager):
    def load_input(self, context: dg.InputContext) -> None:
        return None

    def handle_output(self, context: dg.OutputContext, obj: None) -> None:
        return None


def _empty(name: str, partitions: dg.TimeWindowPartitionsDefinition, inputs: list[str]) -> dg.AssetsDefinition:
    mapping = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)

    @dg.asset(
        name=name,
        partitions_def=partitions,
        ins={key: dg.AssetIn(key=key, partition_mapping=mapping) for key in inputs},
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def empty(**inputs: Any) -> None:
        return None

    return empty


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--daily", type=int, default=21, help="steps by trade date, each reading the two before it")
    parser.add_argument("--monthly", type=int, default=17, help="steps by month, each reading two of those")
    parser.add_argument("--home", type=Path, help="state directory to keep, so that a second run finds its databases")
    options = parser.parse_args()
    warnings.simplefilter("ignore", dg.BetaWarning)
    names = [f"day_{number}" for number in range(options.daily)]
    daily = [_empty(name, TRADE_DATES, names[max(0, at - 2) : at]) for at, name in enumerate(names)]
    monthly = [_empty(f"month_{number}", MONTHS, names[-2:]) for number in range(options.monthly)]
    definitions = dg.Definitions(
        assets=[*daily, *monthly], resources={"io_manager": _Nothing()}, executor=dg.in_process_executor
    )
    job = definitions.resolve_implicit_global_asset_job_def()
    with tempfile.TemporaryDirectory() as directory:
        home = Home(options.home or Path(directory))
        home.prepare()
        with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
            for assets, key in ((daily, "2024-07-25"), (monthly, "2024-07-01")):
                result = job.execute_in_process(
                    instance=instance,
                    asset_selection=[asset.key for asset in assets],
                    tags={RANGE_START_TAG: key, RANGE_END_TAG: key},
                    run_config=QUIET,
                )
                assert result.success
    print(f"{len(daily)} + {len(monthly)} empty steps done")


if __name__ == "__main__":
    main()
