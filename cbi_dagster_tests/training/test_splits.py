"""Splits by date, without rows whose label reaches into a later split."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.config.horizons import Horizon, Splits, load_horizons
from cbi_dagster.training.labels import labels
from cbi_dagster.training.splits import split_of
from cbi_dagster_tests.features.continuous_frames import random_sessions

SPLITS = load_horizons().splits


@pytest.mark.parametrize(
    ("date", "target_date", "split"),
    [
        ("2022-12-22", "2022-12-30", "train"),
        ("2022-12-23", "2022-12-31", "train"),
        ("2022-12-23", "2023-01-01", "purged"),
        ("2022-12-30", "2023-01-06", "purged"),
        ("2022-06-01", "2024-06-03", "purged"),
        ("2023-01-02", "2023-01-09", "val"),
        ("2023-12-22", "2023-12-29", "val"),
        ("2023-12-29", "2024-01-02", "purged"),
        ("2024-01-01", "2024-01-08", "test"),
        ("2030-01-01", "2031-01-01", "test"),
    ],
)
def test_a_row_belongs_to_a_split_when_its_label_ends_there(date: str, target_date: str, split: str) -> None:
    dates, targets = (pd.Series(pd.to_datetime([day])) for day in (date, target_date))
    assert split_of(dates, targets, SPLITS).tolist() == [split]


def test_the_last_date_of_a_split_is_inside() -> None:
    splits = Splits(train_to=dt.date(2024, 1, 9), val_to=dt.date(2024, 1, 11))
    dates = pd.Series(pd.bdate_range("2024-01-08", periods=5))
    assert split_of(dates, dates, splits).tolist() == ["train", "train", "val", "val", "test"]


@pytest.mark.parametrize("sessions", [1, 5, 21, 63, 126])
def test_the_last_h_sessions_before_each_boundary_are_purged(sessions: int) -> None:
    one = Horizon(symbol="ZL", name="h", sessions=sessions, model_family="tree")
    rows = labels(random_sessions("ZL", 4, 1500, start="2020-01-01"), one).dropna(subset=["target_date"])
    split = split_of(rows["date"], rows["target_date"], SPLITS)
    for boundary in ("2023-01-01", "2024-01-01"):
        before = split[(rows["date"] < boundary).to_numpy()]
        assert set(before[-sessions:]) == {"purged"}
        assert before[-sessions - 1] != "purged"
    assert (split == "purged").sum() == 2 * sessions


def test_no_label_of_one_split_is_seen_in_an_earlier_one() -> None:
    one = Horizon(symbol="ZL", name="h", sessions=21, model_family="tree")
    rows = labels(random_sessions("ZL", 4, 1500, start="2020-01-01"), one).dropna(subset=["target_date"])
    split = split_of(rows["date"], rows["target_date"], SPLITS)
    for earlier, later in (("train", "val"), ("val", "test")):
        assert rows["target_date"][split == earlier].max() < rows["date"][split == later].min()


def test_no_rows_have_no_splits() -> None:
    assert len(split_of(pd.Series([], dtype="datetime64[ns]"), pd.Series([], dtype="datetime64[ns]"), SPLITS)) == 0


def test_a_row_without_a_target_date_is_refused() -> None:
    dates = pd.Series(pd.to_datetime(["2024-01-02", "2024-01-03"]))
    with pytest.raises(ValueError, match="1 rows have no target date"):
        split_of(dates, dates.where(np.array([True, False])), SPLITS)
