"""A forest of a year knows what had come before it, comes back from its text, and says what its trees say."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from cbi_dagster.catalog.columns.forecasts import FOREST_TEXTS, QUANTILES
from cbi_dagster.catalog.spans import MOST_TRADE_DATES
from cbi_dagster.training.forests import LEAF_ROWS, TREES, Forest, grown
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.training.test_baseline import Market, market

LEVELS = np.array(list(QUANTILES.values()))
NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def made() -> Market:
    return market()


def past(rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Rows of four features, some unknown, and the target that the first of them tells something of."""
    random = np.random.default_rng(1)
    learnt = random.normal(size=(rows, 4))
    learnt[::9, 2] = np.nan
    return learnt, learnt[:, 0] + random.normal(size=rows)


def test_a_forest_gives_the_quantiles_of_the_rows_that_share_its_leaves() -> None:
    learnt, target = past()
    asked = np.random.default_rng(2).normal(size=(40, 4))
    asked[::3, 2] = np.nan
    asked[::5, 0] = np.nan  # always known when it learned
    model = ExtraTreesRegressor(
        n_estimators=TREES, min_samples_leaf=LEAF_ROWS, max_features="sqrt", random_state=0
    ).fit(learnt, target)
    found = grown(learnt, target, NAMES).quantiles(asked, LEVELS)
    for row, given in zip(asked, found, strict=True):
        weights = np.zeros(300)
        for tree in model.estimators_:
            (leaf,) = tree.tree_.apply(row[None].astype(np.float32))
            beside = tree.tree_.apply(learnt.astype(np.float32)) == leaf
            weights[beside] += 1 / beside.sum() / TREES
        order = np.argsort(target)
        for level, value in zip(QUANTILES.values(), given, strict=True):
            assert value == target[order][np.searchsorted(np.cumsum(weights[order]), level - 1e-10)]


def test_a_threshold_is_compared_in_single_precision() -> None:
    learnt, target = past()
    learnt = learnt.astype(np.float32).astype(float)
    forest = grown(learnt, target, NAMES)
    # What rounds to a value that was learned falls where that fell.
    near = learnt * (1 + 1e-9)
    assert (near != learnt)[:, 0].all()
    np.testing.assert_array_equal(forest.quantiles(near, LEVELS), forest.quantiles(learnt, LEVELS))


@pytest.mark.parametrize("bytes_a_leaf", [1, 2])
@pytest.mark.parametrize("rows", [60, 300])
def test_a_forest_comes_back_from_its_text(rows: int, bytes_a_leaf: int) -> None:
    learnt, target = past(rows)
    forest = grown(learnt, target, NAMES)
    assert bool(len(forest.splits)) == (rows > 60), "trees of so few rows are nothing but a leaf"
    assert forest.leaves.dtype.itemsize == 1
    written = replace(forest, leaves=forest.leaves.astype(f"u{bytes_a_leaf}")).written()
    again = Forest.read(written)
    assert again.written() == written
    np.testing.assert_array_equal(again.quantiles(learnt, LEVELS), forest.quantiles(learnt, LEVELS))


def test_what_one_row_is_told_does_not_depend_on_the_others() -> None:
    learnt, target = past()
    forest = grown(learnt, target, NAMES)
    whole = forest.quantiles(learnt, LEVELS)
    alone = [forest.quantiles(row[None], LEVELS)[0] for row in learnt[:50]]
    np.testing.assert_array_equal(alone, whole[:50])


def test_a_feature_that_was_never_known_is_none_of_the_forest(made: Market) -> None:
    known = set(",".join(made.forests()["forest_features"]).split(","))
    assert known == {"signal", "noise", "is_up", "side"}


def test_each_year_has_its_forest_at_its_first_session_alone(made: Market) -> None:
    forests = made.forests()
    assert list(forests["date"].dt.strftime("%Y-%m-%d")) == ["2021-01-01", "2022-01-03"]
    assert list(forests["trained_to"].dt.strftime("%Y-%m-%d")) == ["2020-12-31", "2021-12-31"]
    since = made.rows["data_date"] >= "2020-08-01"  # 110 sessions before 2021
    few = Market(made.rows[since], made.continuous[since]).forests()
    assert list(few["date"].dt.year) == [2022]
    assert made.forests("2021-01-02", "2021-12-31").empty
    alone = made.landed_by("2022-01-03").forests("2022-01-01")
    pd.testing.assert_frame_equal(alone, forests.tail(1).reset_index(drop=True), check_exact=True)


def test_what_is_corrected_in_a_year_changes_the_forests_of_later_years_alone(made: Market) -> None:
    corrected = Market(made.rows.copy(), made.continuous.copy())
    corrected.rows.loc[corrected.rows["data_date"] == "2021-05-05", "signal"] += 0.5
    changed = (corrected.forests()["forest_splits"] != made.forests()["forest_splits"]).to_numpy()
    assert list(changed) == [False, True]


def test_a_first_session_that_is_landed_late_takes_the_forest_of_its_year_with_it(made: Market) -> None:
    def without(*days: str) -> Market:
        there = ~made.rows["data_date"].isin(pd.to_datetime(list(days)))
        return Market(made.rows[there], made.continuous[there])

    late = without("2022-01-03").forests()
    assert late["date"].iloc[-1] == pd.Timestamp("2022-01-04")
    texts = list(FOREST_TEXTS)
    pd.testing.assert_frame_equal(late[texts], made.forests()[texts], check_exact=True)
    assert without("2022-01-03").forests("2022-01-04", "2022-01-04")["date"].size == 1
    assert made.forests("2022-01-04", "2022-01-04").empty


def test_the_first_trade_date_of_a_year_is_in_the_window_of_its_last() -> None:
    for year in np.arange("2010", "2060", dtype="datetime64[Y]"):
        last = np.busday_offset((year + 1).astype("datetime64[D]"), -1, roll="forward")
        assert np.busday_offset(last, -MOST_TRADE_DATES[12], roll="forward") <= year.astype("datetime64[D]")


_BUILDS = """
import sys
import numpy as np
from pathlib import Path
from cbi_dagster.catalog import ASSET_TABLES, TABLES
from cbi_dagster.home import Home

builder = Home(Path(sys.argv[1])).open().builder

def build(day, tables):
    with builder.warehouse.shared_connection():
        for table in tables:
            asked = table.partitioning.keys_between(np.datetime64(day), np.datetime64(day))
            builder.build(table, asked, "test", only_stale=False)
    print(day, "sklearn" in sys.modules)

build("2023-08-30", ASSET_TABLES)
build("2023-01-03", [TABLES["predictions.zl_forests"]])
"""


def test_a_day_that_begins_no_year_imports_nothing_that_grows_trees(world: World) -> None:
    told = subprocess.run([sys.executable, "-c", _BUILDS, str(world.path)], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == ["2023-08-30 False", "2023-01-03 True"]
