"""Bounds, vocabularies and row conditions: what breaks them is named with column, value and row, all of it at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import checks
from cbi_dagster.catalog.checks import ChecksFailedError, looked_at, validate
from cbi_dagster.catalog.model import Column, Table, Type, ordered, struct
from cbi_dagster.catalog.partitioning import Daily

SHARE = struct("share", "Shares.", (Column("of_all", Type.FLOAT64, "A share.", ge=0, le=1),))
TABLE = Table(
    "features",
    "checked",
    "A table.",
    (
        Column("date", Type.DATE, "The day."),
        Column("symbol", Type.STRING, "The symbol.", isin=("MES", "ZL")),
        Column("other", Type.STRING, "Another symbol.", isin=("MES", "ZL")),
        Column("low", Type.FLOAT64, "The low.", ge=0),
        Column("high", Type.FLOAT64, "The high.", ge=0),
        Column("trades", Type.INT64, "Trades.", ge=0),
        Column("ratio", Type.FLOAT64, "A ratio.", gt=0),
        SHARE,
    ),
    ("symbol", "date"),
    Daily("date"),
    "features",
    row_checks=(ordered("low", "high"),),
)


def rows() -> pd.DataFrame:
    """Four good rows, the last of which knows nothing."""
    return pd.DataFrame(
        {
            "date": pd.to_datetime(["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]),
            "symbol": pd.Categorical(["ZL", "MES", "ZL", "ZL"], categories=["CL", "MES", "ZL"]),
            "other": ["MES", "ZL", None, None],
            "low": [1.0, 2.0, 0.0, np.nan],
            "high": [1.0, 3.0, 0.0, np.nan],
            "trades": pd.array([0, 5, 7, None], "Int64"),
            "ratio": [0.5, 0.1, 9.0, np.nan],
            "share_of_all": [0.0, 1.0, 0.5, np.nan],
        }
    )


BROKEN = [
    ("symbol", 2, "CL", "symbol: isin(('MES', 'ZL')): 1 cases, e.g. symbol = 'CL' at (CL, 2024-01-04"),
    ("other", 0, "CL", "other: isin(('MES', 'ZL')): 1 cases, e.g. other = 'CL' at (ZL, 2024-01-02"),
    ("low", 0, -1.0, "low: greater_than_or_equal_to(0): 1 cases, e.g. low = -1.0 at (ZL, 2024-01-02"),
    ("trades", 1, -5, "trades: greater_than_or_equal_to(0): 1 cases, e.g. trades = -5 at (MES, 2024-01-03"),
    ("ratio", 2, 0.0, "ratio: greater_than(0): 1 cases, e.g. ratio = 0.0 at (ZL, 2024-01-04"),
    ("share_of_all", 1, 1.5, "share_of_all: less_than_or_equal_to(1): 1 cases, e.g. share_of_all = 1.5 at (MES, 2024"),
    ("low", 1, 4.0, "low <= high: 1 cases, e.g. low = 4.0, high = 3.0 at (MES, 2024-01-03"),
]


@pytest.fixture(params=[1_000_000, 6, 1], ids=["together", "in batches", "one by one"], autouse=True)
def values_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_BATCH_VALUES", request.param)


def test_bounds_are_inclusive_or_not_and_null_passes_them():
    validate(TABLE, rows())
    validate(TABLE, rows().iloc[:0])


@pytest.mark.parametrize(("column", "row", "value", "told"), BROKEN, ids=[f"{case[0]} {case[2]}" for case in BROKEN])
def test_a_broken_check_is_told_with_its_column_value_and_row(column: str, row: int, value: object, told: str):
    frame = rows()
    frame.loc[row, column] = value
    with pytest.raises(ChecksFailedError) as caught:
        validate(TABLE, frame)
    assert told in str(caught.value)
    assert caught.value.failures["index"].tolist() == [row]


def test_columns_without_a_check_need_not_be_there():
    bare = replace(TABLE, columns=(*TABLE.columns, Column("note", Type.STRING, "A note.")))
    assert looked_at(bare) == ("date", "symbol", "other", "low", "high", "trades", "ratio", "share")
    with pytest.raises(
        ChecksFailedError, match=r"low <= high: 1 cases, e.g. low = 4.0, high = 1.0 at \(ZL, 2024-01-02"
    ):
        validate(bare, rows().assign(low=[4.0, 2.0, 0.0, np.nan]))


def test_every_case_is_told_at_once():
    frame = rows().assign(low=-1.0, high=-2.0, trades=-3)
    with pytest.raises(ChecksFailedError) as caught:
        validate(TABLE, frame)
    told = caught.value.failures["column"].fillna("the row").value_counts()
    assert told.to_dict() == {"low": 4, "high": 4, "trades": 4, "the row": 4}
