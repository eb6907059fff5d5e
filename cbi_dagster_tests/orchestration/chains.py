"""A chain of tables from bars to volatility over two weeks, and runs over it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.features import VOLATILITY_DAILY
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D, OHLCV_1D, OHLCV_1H, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.catalog.tables.ops import INGESTION_RUNS
from cbi_dagster.definitions import build_defs
from cbi_dagster.home import Home
from cbi_dagster.orchestration.checks import RANGE_END_TAG, RANGE_START_TAG
from cbi_dagster.orchestration.io_manager import WarehouseIOManager
from cbi_dagster.orchestration.partitions import asset_key
from cbi_dagster.orchestration.runs import SILENT

CHAIN = (OHLCV_1M, OHLCV_1H, OHLCV_UTC_1D, OHLCV_1D, FUTURES_CONTINUOUS_1D, VOLATILITY_DAILY)
START, END = dt.date(2023, 6, 5), dt.date(2023, 6, 17)
LANDED_DAYS = {OHLCV_1M.id: 3, OHLCV_UTC_1D.id: 0}
"""How many of the ten trade dates the delivery has files for, where not for all."""
FIRST, LAST = np.datetime64("2023-06-05"), np.datetime64("2023-06-16")


def a_range(first: str = "2023-06-05", last: str = "2023-06-16") -> dict[str, str]:
    """The tags of a run that the UI starts over a range of partitions, both ends included."""
    return {RANGE_START_TAG: first, RANGE_END_TAG: last}


class Chain:
    """A state directory with landed files, and runs over it."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path)
        self.home.prepare()
        self.warehouse = self.home.open().warehouse
        self.instance = dg.DagsterInstance.from_config(str(self.home.dagster))

    @property
    def io_manager(self) -> WarehouseIOManager:
        return WarehouseIOManager(self.home.open().builder)

    def accounts(self, run_id: str) -> pd.DataFrame:
        """What `ops.ingestion_runs` says of a run."""
        rows = to_frame(INGESTION_RUNS, self.warehouse.read(INGESTION_RUNS))
        return rows[rows["event_id"].str.startswith(f"{run_id}:")]

    def run(
        self, tables: Sequence[Table], tags: dict[str, str], defs: dg.Definitions | None = None
    ) -> dg.ExecuteInProcessResult:
        defs = defs or build_defs(self.home)
        job = defs.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance, asset_selection=[asset_key(item.id) for item in tables], tags=tags,
            run_config=SILENT, raise_on_error=False,
        )  # fmt: skip

    def over(self, tables: Sequence[Table], first: str, last: str) -> dg.ExecuteInProcessResult:
        return self.run(tables, a_range(first, last))

    def ledger(self, item: Table) -> pd.DataFrame:
        return self.warehouse.ledger_rows({item.id}).set_index("partition_key")

    def dates(self, item: Table) -> set[str]:
        column = item.partitioning.column
        return set(to_frame(item, self.warehouse.read(item))[column].dt.strftime("%Y-%m-%d"))


def events(chain: Chain, result: dg.ExecuteInProcessResult, item: Table) -> list[dg.AssetMaterialization]:
    """What the UI was told of a table's partitions in a run."""
    records = chain.instance.fetch_materializations(asset_key(item.id), limit=1000).records
    return [
        found.asset_materialization
        for found in records
        if found.run_id == result.run_id and found.asset_materialization
    ]


def facts(chain: Chain, result: dg.ExecuteInProcessResult, item: Table) -> dict[str, object]:
    """The run statistics that the materialization of a table's last partition carries."""
    (metadata,) = [event.metadata for event in events(chain, result, item) if "partitions_written" in event.metadata]
    return {name: value.value for name, value in metadata.items()}
