"""Landed sources other than futures bars."""

from __future__ import annotations

import dagster as dg
import pandas as pd

from cbi_dagster.assets.table_asset import asset_key, table_asset
from cbi_dagster.catalog import MACRO_SOURCE
from cbi_dagster.catalog.tables.raw_intelligence import MACRO_SERIES
from cbi_dagster.partitions import TRADE_DATES

LANDED = [
    dg.AssetSpec(
        key=asset_key(MACRO_SOURCE),
        description="Macro files (`*.macro.csv`, `*.macro.parquet`), taken by `cbi land` and kept by content hash.",
        group_name="landing",
        partitions_def=TRADE_DATES,
    )
]


@table_asset(MACRO_SERIES)
def macro_series(macro: pd.DataFrame) -> pd.DataFrame:
    return macro
