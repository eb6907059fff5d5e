"""What checks say of tables that a person should look at."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import Type
from cbi_dagster.catalog.tables.features import VOLATILITY_DAILY
from cbi_dagster.catalog.tables.training import ZL_TRAINING
from cbi_dagster.home import Home
from cbi_dagster.reports.checks import FINDINGS, CheckResult, data_age, lines, split_sizes
from cbi_dagster.warehouse.changes import Provenance
from cbi_dagster.warehouse.contract import Warehouse, now_utc

pytestmark = pytest.mark.usefixtures("files_stay_open")

TABLE = ZL_TRAINING[0]


@pytest.mark.parametrize(
    ("validation", "said"),
    [
        (60, {}),
        (59, {"small splits": ["val (rows: 80 train, 59 val, 61 test)"]}),
        (0, {"small splits": ["val (rows: 80 train, 0 val, 61 test)"]}),
    ],
)
def test_a_split_with_fewer_than_sixty_rows_is_told(
    tmp_path: Path, validation: int, said: dict[str, list[str]]
) -> None:
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


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2024-07-04T17:05", None),  # noon of a holiday: the newest session is of the 3rd
        ("2024-07-05T20:00", None),  # the holiday itself is not due
        ("2024-07-06T16:55", None),  # before noon of the day after the 5th
        ("2024-07-06T17:05", "2024-07-05"),
        ("2024-07-08T12:00", "2024-07-05"),
        ("2027-01-20T18:00", "2027-01-19"),
    ],
)
def test_data_is_as_old_as_its_newest_session_by_the_exchanges_calendars(
    warehouse: Warehouse, now: str, due: str | None
) -> None:
    """The fixture's newest session is that of 2024-07-03."""
    result = data_age(warehouse, VOLATILITY_DAILY, now=dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC))
    assert list(result.warnings) == ([] if due is None else ["newest session"])
    if due:
        (told,) = result.warnings["newest session"]
        assert told.startswith("2024-07-03, ")
        assert f"before {due}" in told


def test_a_table_without_sessions_has_no_age(tmp_path: Path) -> None:
    assert data_age(Home(tmp_path).open().ready().warehouse, VOLATILITY_DAILY).passed


def test_a_finding_is_told_in_short_or_with_every_case() -> None:
    days = [f"ZL 2024-07-0{day}" for day in range(1, 6)]
    result = CheckResult(VOLATILITY_DAILY, 5, 5, {}, {"strange_returns": days, "alone": days[:1]})
    head = "features.volatility_daily: quality: "
    assert lines(FINDINGS[0], result, result.warnings) == [
        f"{head}strange returns: 5 x (ZL 2024-07-01, ZL 2024-07-02, ZL 2024-07-03, …)",
        f"{head}alone: ZL 2024-07-01",
    ]
    assert lines(FINDINGS[0], result, result.warnings, every=True) == [
        f"{head}strange returns: 5 x", *(f"  {day}" for day in days), f"{head}alone: ZL 2024-07-01",
    ]  # fmt: skip
