"""Rows that wait in files, of which only what is looked at comes into memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class KeptAside:
    """A frame whose columns lie in a directory, one file each; `categories` of those that are categorical."""

    directory: Path
    columns: tuple[str, ...]
    instants: frozenset[str]
    categories: Mapping[str, pd.Index]

    @staticmethod
    def of(frame: pd.DataFrame, directory: Path) -> KeptAside | None:
        """A copy of numbers, dates, instants in UTC and categories; None for a frame of others, such as strings."""
        arrays: dict[str, np.ndarray] = {}
        instants, categories = set(), {}
        for name, column in frame.items():
            if isinstance(column.dtype, pd.CategoricalDtype):
                categories[str(name)], arrays[str(name)] = column.cat.categories, column.cat.codes.to_numpy()
            elif isinstance(column.dtype, pd.DatetimeTZDtype) and str(column.dtype) == "datetime64[ns, UTC]":
                instants.add(str(name))
                arrays[str(name)] = column.dt.tz_convert(None).to_numpy()
            elif isinstance(column.dtype, np.dtype) and column.dtype.kind in "iufbM":
                arrays[str(name)] = column.to_numpy()
            else:
                return None
        directory.mkdir()
        for number, values in enumerate(arrays.values()):
            np.save(directory / f"{number}.npy", values)
        return KeptAside(directory, tuple(arrays), frozenset(instants), categories)

    def rows(self) -> pd.DataFrame:
        """The frame; its columns are mapped into memory as long as it is held. Nobody may write to it."""
        found: dict[str, Any] = {}
        for number, name in enumerate(self.columns):
            values = np.load(self.directory / f"{number}.npy", mmap_mode="r")
            if name in self.categories:
                found[name] = pd.Categorical.from_codes(values, self.categories[name])
            else:
                found[name] = pd.DatetimeIndex(values, tz="UTC") if name in self.instants else values
        return pd.DataFrame(found, copy=False)
