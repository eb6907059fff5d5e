from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import Type
from cbi_dagster.catalog.tables.features import VOLATILITY_DAILY
from cbi_dagster.home import Home
from cbi_dagster.warehouse.changes import LeftOutRows, Provenance
from cbi_dagster.warehouse.contract import Warehouse, now_utc


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Volatilities of ES and ZL on three trade dates, of which the middle one has no rows.

    k_vol is known for ZL on the last date alone. Three rows were rejected, for two reasons, and twelve held back.
    """
    warehouse = Home(tmp_path).open().ready().warehouse
    rows = pd.DataFrame({"date": pd.to_datetime(["2024-07-01", "2024-07-03"] * 2), "symbol": ["ES", "ES", "ZL", "ZL"]})
    for column in VOLATILITY_DAILY.columns:
        if column.type is Type.FLOAT64:
            rows[column.name] = 0.5
    rows["k_vol"] = [np.nan, np.nan, np.nan, 1.0]
    rows["parkinson_vol_21d"] = np.nan
    keys = np.array(["2024-07-01", "2024-07-02", "2024-07-03"], "datetime64[D]")
    rejected = pd.DataFrame(
        {
            "date": pd.to_datetime(["2024-07-01", "2024-07-03", "2024-07-02"]),
            "file_hash": "", "source_file": "a.dbn", "source_row": [1, 2, 3], "symbol": "ZL", "ts_event": now_utc(),
            "reason": ["ohlc_order", "ohlc_order", "weekend_trade_date"], "detail": None,
        }
    )  # fmt: skip
    held_back = pd.DataFrame(
        {
            "date": pd.to_datetime(["2024-07-02", "2024-07-03", "2024-07-03"]),
            "symbol": ["ZL", "ES", "ZL"], "vendor_schema": "", "reason": "not_matured", "bar_rows": [2, 3, 7],
        }
    )  # fmt: skip
    provenance = Provenance("run", "1", dict.fromkeys(keys, ""), now_utc(), 0)
    warehouse.replace(VOLATILITY_DAILY, keys, rows, provenance, LeftOutRows(rejected, held_back))
    return warehouse
