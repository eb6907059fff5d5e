"""Whether training rows tell their own answer: features that are the target, splits whose labels reach into others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.training import role
from cbi_dagster.catalog.model import Table, Type
from cbi_dagster.training.splits import SPLITS

#: A feature is held to tell the target beyond this correlation, once so many rows know both.
MOST_CORRELATION, _LEAST_ROWS = 0.95, 60
_NUMBERS = (Type.FLOAT64, Type.INT64, Type.BOOL)


def features_of(table: Table) -> list[str]:
    """The features of a training table that are numbers or flags."""
    return [column.name for column in table.columns if role(column.name) == "feature" and column.type in _NUMBERS]


def _labels(table: Table) -> tuple[str, str, str]:
    """The names of the return that is the target, of its sign and of its price."""
    (direction,) = (column.name for column in table.columns if column.name.startswith("target_direction_"))
    horizon = direction.removeprefix("target_direction_")
    return f"target_{horizon}", direction, f"target_price_{horizon}"


def _times(table: Table) -> tuple[str, str]:
    """The columns that say when a row is known, and when its target."""
    return ("bar_close_ts", "target_ts") if table.intraday else ("data_date", "target_date")


def columns_read(table: Table) -> list[str]:
    """The columns that `leaks` looks at."""
    return [*features_of(table), *_labels(table), *_times(table), "split"]


def leaks(table: Table, parts: Iterable[pd.DataFrame]) -> Mapping[str, list[str]]:
    """What gives the target of a training table away, by kind of leak; none for a sound one.

    `parts`: its rows with `columns_read`, in any order and in pieces of any size. A feature whose correlation with the
    target or its sign is beyond MOST_CORRELATION in size, or that is the target's price in more than that share of the
    rows, is one; so is a split with a label that ends where rows of a later split have begun. Prices of one series are
    highly correlated by nature: that of the target is only looked for itself.
    """
    names = features_of(table)
    target, direction, price = _labels(table)
    against = {label: _Correlation(len(names)) for label in (target, direction)}
    equal, known = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
    spans = _Spans()
    for part in parts:
        features = np.column_stack([_numbers(part[name]) for name in names]) if names else np.empty((len(part), 0))
        for label, correlation in against.items():
            correlation.add(features, _numbers(part[label]))
        equal += (features == _numbers(part[price])[:, None]).sum(axis=0)
        known += (~np.isnan(features)).sum(axis=0)
        spans.add(part["split"], *(part[name] for name in _times(table)))
    told = []
    for label, correlation in against.items():
        found = correlation.value()
        told += [
            f"{names[i]} and {label}: correlation {found[i]:.3f}"
            for i in np.flatnonzero(np.abs(found) > MOST_CORRELATION)
        ]
    copied = (known >= _LEAST_ROWS) & (equal > MOST_CORRELATION * known)
    told += [f"{names[i]} is {price} in {equal[i]:,} of {known[i]:,} rows" for i in np.flatnonzero(copied)]
    found_of = {"feature tells the target": told, "label reaches into a later split": list(spans.overlaps())}
    return {kind: cases for kind, cases in found_of.items() if cases}


def _numbers(values: pd.Series) -> npt.NDArray[np.float64]:
    return values.to_numpy(np.float64, na_value=np.nan)


class _Correlation:
    """Pearson's correlation of several columns with one, of the rows that know both, over rows that come in parts."""

    def __init__(self, columns: int) -> None:
        self._count = np.zeros(columns)
        self._means = np.zeros((2, columns))
        self._moments = np.zeros((3, columns))  # of the column, of the other, of both

    def add(self, columns: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> None:
        both = ~np.isnan(columns) & ~np.isnan(other)[:, None]
        count = both.sum(axis=0)
        safe = np.maximum(count, 1)
        values = np.where(both, columns, 0.0), np.where(both, other[:, None], 0.0)
        means = np.array([part.sum(axis=0) / safe for part in values])
        x, y = (np.where(both, part - mean, 0.0) for part, mean in zip(values, means, strict=True))
        moments = np.array([(x * x).sum(axis=0), (y * y).sum(axis=0), (x * y).sum(axis=0)])
        # Moments about the mean of both parts together (Chan, Golub and LeVeque).
        total = np.maximum(self._count + count, 1)
        step = means - self._means
        self._moments += moments + np.array([step[0] ** 2, step[1] ** 2, step[0] * step[1]]) * (
            self._count * count / total
        )
        self._means += step * count / total
        self._count += count

    def value(self) -> npt.NDArray[np.float64]:
        """0 where too little is known, or nothing varies."""
        scale = np.sqrt(self._moments[0] * self._moments[1])
        sound = (self._count >= _LEAST_ROWS) & (scale > 0)
        result: npt.NDArray[np.float64] = np.where(sound, self._moments[2] / np.where(sound, scale, 1.0), 0.0)
        return result


class _Spans:
    """When the rows of each split begin and end, and how far their labels reach."""

    def __init__(self) -> None:
        self._first: dict[str, pd.Timestamp] = {}
        self._reach: dict[str, pd.Timestamp] = {}

    def add(self, splits: pd.Series, begins: pd.Series, ends: pd.Series) -> None:
        for split in SPLITS:
            own = (splits == split).to_numpy(bool)
            if own.any():
                first, reach = begins[own].min(), ends[own].max()
                self._first[split] = min(first, self._first.get(split, first))
                self._reach[split] = max(reach, self._reach.get(split, reach))

    def overlaps(self) -> Iterator[str]:
        there = [split for split in SPLITS if split in self._first]
        for number, split in enumerate(there):
            for later in there[number + 1 :]:
                if self._reach[split] >= self._first[later]:
                    yield (
                        f"labels of {split} reach to {_shown(self._reach[split])}, "
                        f"rows of {later} begin on {_shown(self._first[later])}"
                    )


def _shown(moment: pd.Timestamp) -> str:
    return f"{moment:%Y-%m-%d}" if moment == moment.normalize() else f"{moment:%Y-%m-%d %H:%M}Z"
