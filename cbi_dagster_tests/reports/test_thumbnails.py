"""Pictures on the pages of assets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import Type
from cbi_dagster.catalog.tables.training import ZL_TRAINING
from cbi_dagster.home import Home
from cbi_dagster.reports import checks
from cbi_dagster.reports.thumbnails import thumbnail
from cbi_dagster.warehouse.changes import Provenance
from cbi_dagster.warehouse.contract import now_utc

pytestmark = pytest.mark.usefixtures("files_stay_open")

TABLE = ZL_TRAINING[0]


def test_a_picture_of_targets_is_the_same_however_many_rows_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = Home(tmp_path).open().ready().warehouse
    assert thumbnail(warehouse, TABLE, np.datetime64("2020-01-01")) == ""
    dates = pd.bdate_range("2020-01-01", periods=90)
    rows = pd.DataFrame(
        {"symbol": "ZL", "data_date": dates, "target_date": dates, "split": "train", "as_of": now_utc()}
    )
    rows["regime"] = ["calm"] * 30 + ["war"] * 25 + ["calm"] * 20 + ["drought"] * 15
    rows["target_1w"] = np.random.default_rng(1).normal(0, 0.02, len(rows))
    values = {Type.FLOAT64: 0.5, Type.INT64: 1, Type.BOOL: True, Type.STRING: "complete"}
    others = {column.name: values[column.type] for column in TABLE.columns if column.name not in rows}
    rows = pd.concat([rows, pd.DataFrame(others, index=rows.index)], axis=1)
    keys = np.unique(dates.to_numpy().astype("datetime64[M]")).astype("datetime64[D]")
    warehouse.replace(TABLE, keys, rows, Provenance("run", "1", dict.fromkeys(keys, ""), now_utc(), 0))
    at_once = thumbnail(warehouse, TABLE, keys[-1])
    assert at_once.startswith("![picture](data:image/png;base64,")
    monkeypatch.setattr(checks, "ROWS_AT_ONCE", 30)
    assert thumbnail(warehouse, TABLE, keys[-1]) == at_once
    rows.loc[70:, "target_1w"] = 0.3
    warehouse.replace(TABLE, keys, rows, Provenance("run", "1", dict.fromkeys(keys, ""), now_utc(), 0))
    assert thumbnail(warehouse, TABLE, keys[-1]) != at_once
