"""Training, validation and test splits with purged boundaries."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.config.horizons import Splits

SPLITS = ("train", "val", "test")
"""Earliest first; `purged` rows are of none."""


def split_of(dates: pd.Series, target_dates: pd.Series, splits: Splits) -> npt.NDArray[np.object_]:
    """The split of each row: `train`, `val`, `test`, or `purged`.

    A row belongs to the split of its date. When its target date lies in a later split its label overlaps that split, so
    it is purged: with h-session labels these are the last h sessions before each boundary. Raises ValueError for a row
    without a target date: a label that is not known belongs to no split.
    """
    if target_dates.isna().any():
        raise ValueError(f"{int(target_dates.isna().sum())} rows have no target date: leave immature rows out first")
    names = np.array(SPLITS, dtype=object)
    ends = np.array([splits.train_to, splits.val_to], dtype="datetime64[D]")
    own = np.searchsorted(ends, dates.to_numpy().astype("datetime64[D]"))
    target = np.searchsorted(ends, target_dates.to_numpy().astype("datetime64[D]"))
    return np.where(own == target, names[own], "purged")
