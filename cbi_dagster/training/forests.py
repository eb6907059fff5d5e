"""Quantile regression forests: grown once a year, written down as text, and asked on every day of that year.

After N. Meinshausen (Journal of Machine Learning Research 7, 2006), grown of extremely randomized trees (P. Geurts et
al., Machine Learning 63, 2006): the leaves in which a row falls say which rows of the past resemble it, and the
quantiles of their returns are the forecast. Nothing is tuned: the settings are those that one would begin with. No tree
extrapolates, so that a price level that was never seen gives no wild forecast.

What is written down holds all that a forecast needs, so that none reads the past or imports what grows the trees.
"""

from __future__ import annotations

import base64
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.forecasts import FOREST_TEXTS, FORESTS, WANTED_INPUTS
from cbi_dagster.catalog.columns.training import LABEL_INPUTS
from cbi_dagster.catalog.frames import require
from cbi_dagster.catalog.model import Column, names
from cbi_dagster.config.horizons import Horizon
from cbi_dagster.training.labels import labels

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

MIN_ROWS = 120
"""Rows without which nothing is learned: about half a year of sessions."""
TREES = 50
LEAF_ROWS = 50
_SEED = 0
#: A node of a tree that is no leaf. Rows go left whose feature is at most the threshold, and where it is unknown as
#: `unknown_left` says. What `left` and `right` lead to is a split by its place among those of all trees, or a leaf of
#: the tree by -1 - its number.
_SPLIT = np.dtype([("feature", "<i2"), ("threshold", "<f8"), ("left", "<i4"), ("right", "<i4"), ("unknown_left", "?")])


def yearly_forests(
    rows: pd.DataFrame,
    continuous: pd.DataFrame,
    wanted: pd.DataFrame,
    horizons: Sequence[Horizon],
    features: Sequence[Column],
) -> pd.DataFrame:
    """The forests of one symbol at the first session of each year, where that is among the `wanted` dates.

    Args:
        rows: rows of `features.daily_ml_matrix` since inception, with flattened STRUCTs.
        continuous: rows of `futures_continuous_1d` since inception, which hold the dates of `rows`.
        wanted: `date` and `symbol` of the rows wanted; dates that begin no year have none.
        horizons: the symbol's; what is learned is the simple return that `labels` defines.
        features: the columns of `rows` to learn from: numbers, booleans, or strings of declared values (`isin`).

    A forest of a year learns from the rows whose targets had come before its first of January. With fewer than MIN_ROWS
    such rows there is none. Raises InvalidFrameError for a frame that lacks a column or repeats a date.
    """
    require(rows, ("symbol", "data_date", *names(features)), "rows of the matrix", key=("symbol", "data_date"))
    require(continuous, LABEL_INPUTS, "rows of futures_continuous_1d", key=("symbol", "date"))
    require(wanted, WANTED_INPUTS, "wanted rows", key=("symbol", "date"))
    rows = rows.sort_values("data_date", ignore_index=True)
    dates = rows["data_date"].to_numpy().astype("datetime64[D]")
    _, firsts = np.unique(dates.astype("datetime64[Y]"), return_index=True)
    firsts = firsts[np.isin(dates[firsts], wanted["date"].to_numpy().astype("datetime64[D]"))]
    values, made = numbers(rows, features), []
    for horizon in horizons if len(firsts) else ():
        known = labels(continuous, horizon).set_index("date").reindex(rows["data_date"])
        target = known[f"target_{horizon.name}"].to_numpy(np.float64)
        came = known["target_date"].to_numpy().astype("datetime64[D]")
        for first in firsts:
            year = dates[first].astype("datetime64[Y]").astype("datetime64[D]")
            learnt = np.flatnonzero(~np.isnan(target) & (came < year))
            if len(learnt) >= MIN_ROWS:
                row = {"date": dates[first], "symbol": rows["symbol"][first], "target_horizon": horizon.name}
                row |= {"trained_rows": len(learnt), "trained_to": came[learnt].max()}
                made.append(row | grown(values[learnt], target[learnt], names(features)).written())
    if not made:
        return pd.DataFrame(columns=list(FORESTS))
    return pd.DataFrame(made).astype(dict.fromkeys(("date", "trained_to"), "datetime64[ns]"))[list(FORESTS)]


def numbers(rows: pd.DataFrame, features: Sequence[Column]) -> Floats:
    """Features (columns) as numbers, NaN where unknown; a string by its place among the declared ones."""
    return np.column_stack([_numbers(rows[feature.name], feature) for feature in features])


def _numbers(values: pd.Series, column: Column) -> Floats:
    if column.isin is not None:
        codes = pd.Categorical(values, categories=column.isin).codes
        return np.where(codes < 0, np.nan, codes)
    return values.to_numpy(np.float64, na_value=np.nan)


@dataclass(frozen=True)
class Forest:
    """The trees, and the rows they learned from, which are in ascending order of their returns.

    `features`: names of the columns that splits look at, by place. `roots`: what each tree begins with, written as what
    a split leads to. `splits`: of all trees. `leaves`: by tree (rows) and row (columns), the number of the leaf in
    which the row fell. `returns`: of each row.
    """

    features: tuple[str, ...]
    roots: npt.NDArray[np.int32]
    splits: npt.NDArray[Any]
    leaves: npt.NDArray[np.unsignedinteger[Any]]
    returns: Floats

    def written(self) -> dict[str, str]:
        """The forest as the columns FOREST_TEXTS, the same on every machine."""
        texts = (
            ",".join(self.features),
            _text(self.roots.astype("<i4").tobytes() + self.splits.tobytes()),
            _text(self.leaves.astype(self.leaves.dtype.newbyteorder("<")).tobytes()),
            _text(self.returns.astype("<f8").tobytes()),
        )
        return dict(zip(FOREST_TEXTS, texts, strict=True))

    @staticmethod
    def read(texts: Mapping[Hashable, Any]) -> Forest:
        """The forest that `written` wrote."""
        features, *encoded = (texts[name] for name in FOREST_TEXTS)
        splits, leaves, returns = (base64.b64decode(text) for text in encoded)
        roots = np.dtype("<i4").itemsize * TREES
        known = np.frombuffer(returns, "<f8")
        width = len(leaves) // (TREES * len(known))
        return Forest(
            tuple(features.split(",")),
            np.frombuffer(splits[:roots], "<i4"),
            np.frombuffer(splits[roots:], _SPLIT),
            np.frombuffer(leaves, f"<u{width}").reshape(TREES, -1),
            known,
        )

    def quantiles(self, asked: Floats, levels: Floats) -> Floats:
        """The quantiles (columns, as `levels`) of the return of each row of `asked`, whose columns are `features`."""
        weights = self._weights(self._fallen(asked))
        # Weights of whole trees: rounded up a little, or a level that they hit exactly may be missed by a bit.
        reached = np.cumsum(weights, axis=1) / TREES + 1e-12
        places = np.column_stack([(reached < level).sum(axis=1) for level in levels])
        found: Floats = self.returns[np.minimum(places, len(self.returns) - 1)]
        return found

    def _fallen(self, asked: Floats) -> Places:
        """The number of the leaf of each tree (columns) in which the rows of `asked` fall."""
        # The trees were grown of single precision.
        single = asked.astype(np.float32)
        at = np.tile(self.roots.astype(np.int64), (len(asked), 1))
        while len(inside := np.flatnonzero(at.ravel() >= 0)):
            split = self.splits[at.ravel()[inside]]
            value = single[inside // TREES, split["feature"]]
            left = np.where(np.isnan(value), split["unknown_left"], value <= split["threshold"])
            at.ravel()[inside] = np.where(left, split["left"], split["right"])
        return -1 - at

    def _weights(self, fallen: Places) -> Floats:
        """What each learned row (columns) counts for rows that fell into the leaves `fallen`; a tree's are 1 together.

        Summed tree by tree: another order would give other last bits.
        """
        count, most = len(self.returns), int(self.leaves.max()) + 1
        tree = np.arange(TREES)
        sizes = np.bincount((self.leaves + most * tree[:, None]).ravel(), minlength=most * TREES)
        members = np.argsort(self.leaves, axis=1, kind="stable").ravel()
        leaf = (fallen + most * tree).ravel()
        own = sizes[leaf]
        # The members of every leaf, one leaf after the other.
        starts = np.cumsum(sizes)[leaf] - own
        places = np.repeat(starts - (np.cumsum(own) - own), own) + np.arange(own.sum())
        row = np.repeat(np.arange(len(fallen)), own.reshape(fallen.shape).sum(axis=1))
        counted = np.bincount(row * count + members[places], np.repeat(1 / own, own), len(fallen) * count)
        return np.asarray(counted, np.float64).reshape(len(fallen), count)


def grown(learnt: Floats, target: Floats, features: Sequence[str]) -> Forest:
    """The forest that learned the `target` of each row of `learnt`, whose columns are the `features`."""
    # Takes long to import, and few builds need it.
    from sklearn.ensemble import ExtraTreesRegressor

    # A feature that was never known says nothing, and the library refuses it.
    some = np.flatnonzero(~np.isnan(learnt).all(axis=0))
    model = ExtraTreesRegressor(
        n_estimators=TREES, min_samples_leaf=LEAF_ROWS, max_features="sqrt", random_state=_SEED, n_jobs=1
    ).fit(learnt[:, some], target)
    order = np.argsort(target, kind="stable")
    fallen = model.apply(learnt[order][:, some])
    roots, splits, leaves = np.empty(TREES, np.int32), [], []
    before = 0
    for number, estimator in enumerate(model.estimators_):
        tree = estimator.tree_
        inside = tree.children_left >= 0
        # What leads to each node.
        code = np.where(inside, before + np.cumsum(inside) - 1, -np.cumsum(~inside))
        own = np.empty(inside.sum(), _SPLIT)
        own["feature"], own["threshold"] = tree.feature[inside], tree.threshold[inside]
        own["left"], own["right"] = code[tree.children_left[inside]], code[tree.children_right[inside]]
        own["unknown_left"] = tree.missing_go_to_left[inside]
        roots[number] = code[0]
        splits.append(own)
        leaves.append(-1 - code[fallen[:, number]])
        before += len(own)
    by_tree = np.array(leaves)
    return Forest(
        tuple(features[place] for place in some.tolist()),
        roots,
        np.concatenate(splits),
        by_tree.astype(np.min_scalar_type(by_tree.max())),
        target[order],
    )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
