"""What checks say of tables that a person should look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import Type
from cbi_dagster.catalog.tables.training import ZL_TRAINING
from cbi_dagster.home import Home
from cbi_dagster.reports.checks import FINDINGS, split_sizes
from cbi_dagster.warehouse.changes import Provenance
from cbi_dagster.warehouse.contract import now_utc

TABLE = ZL_TRAINING[0]


@pytest.mark.parametrize(
    ("validation", "said"),
    [(60, {}), (59, {"val split": "59 rows, fewer than 60"}), (0, {"val split": "0 rows, fewer than 60"})],
)
def test_a_split_with_fewer_than_sixty_rows_is_told(tmp_path: Path, validation: int, said: dict[str, str]) -> None:
    warehouse = Home(tmp_path).open().ready().warehouse
    splits = ["train"] * 80 + ["val"] * validation + ["test"] * 61 + ["purged"] * 5
    dates = pd.bdate_range("2020-01-01", periods=len(splits))
    rows = pd.DataFrame({"symbol": "ZL", "data_date": dates, "target_date": dates, "split": splits, "as_of": now_utc()})
    rows["regime"], rows["training_weight"] = "calm", 100
    values = {Type.FLOAT64: 0.5, Type.INT64: 1, Type.BOOL: True, Type.STRING: "complete"}
    others = {column.name: values[column.type] for column in TABLE.columns if column.name not in rows}
    rows = pd.concat([rows, pd.DataFrame(others, index=rows.index)], axis=1)
    keys = np.unique(dates.to_numpy().astype("datetime64[M]")).astype("datetime64[D]")
    warehouse.replace(TABLE, keys, rows, Provenance("run", "1", dict.fromkeys(keys, ""), now_utc(), 0))
    result = split_sizes(warehouse, TABLE)
    assert (dict(result.problems), dict(result.warnings)) == ({}, said)
    assert (result.rows, result.partitions) == (len(splits), len(keys))
    assert result.passed is not bool(said)


def test_every_training_table_is_asked_for_its_splits() -> None:
    (sizes,) = (check for check in FINDINGS if check.name == "split_sizes")
    assert len(sizes.tables) == 17
