"""What a notebook takes from the platform: features apart from labels, the same bits for training and for scoring."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import subprocess
import sys
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import polars
import pytest
import xgboost
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import cross_val_score

import cbi_dagster
from cbi_dagster import load_features, load_training_frame, open_warehouse, walk_forward
from cbi_dagster.api import ModelFrame, NoRowsError
from cbi_dagster.catalog import ASSET_TABLES, Table, Type
from cbi_dagster.catalog.columns import training
from cbi_dagster.catalog.columns.training import role
from cbi_dagster.catalog.tables.training import MES_BAR_TRAINING, ZL_TRAINING
from cbi_dagster.home import Home
from cbi_dagster_tests.properties.worlds import World

TRAINING = [table for table in ASSET_TABLES if table.dataset == "training" and "prod_allhistory" in table.name]
README = Path(cbi_dagster.__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def frame(world: World) -> ModelFrame:
    return load_training_frame("ZL", "1w", split="train", home=world.path)


# -- what is a feature ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TRAINING, ids=lambda table: table.name)
def test_no_label_is_a_feature(table: Table) -> None:
    features = {column.name for column in table.columns if role(column.name) == "feature"}
    assert features
    assert not features & {column.name for column in training.COLUMNS}
    assert not features & {*table.key, "data_date", "session_quality", "regime"}
    assert all(column.isin for column in table.columns if column.name in features and column.type is Type.STRING)


def test_a_frame_is_the_tables_rows_taken_apart(world: World, frame: ModelFrame) -> None:
    (table,) = (item for item in ZL_TRAINING if item.name.endswith("_1w"))
    rows = world.rows(table).reset_index()
    rows = rows[rows["split"] == "train"].set_index("data_date")
    assert list(frame.dates) == list(rows.index) == list(frame.X.index) == list(frame.y.index)
    assert frame.y.tolist() == rows["target_1w"].tolist()
    assert frame.weight.tolist() == rows["training_weight"].tolist()
    assert list(frame.target_dates) == list(rows["target_date"])
    assert {*frame.X, *frame.left_out} == {name for name in frame.roles if frame.roles[name] == "feature"}
    for name in frame.X:
        given, stored = (
            list(values[name].astype(object).where(values[name].notna(), None)) for values in (frame.X, rows)
        )
        assert given == stored, name
    assert "target_price_1w" in frame.rest
    assert not {"target_1w", "regime", "split"} & {*frame.X}


def test_what_teaches_nothing_is_left_out_and_named(frame: ModelFrame) -> None:
    for name in frame.X:
        assert frame.X[name].notna().any()
        assert frame.X[name].isna().any() or frame.X[name].nunique() > 1
    assert set(frame.left_out.values()) >= {"NULL throughout"}
    assert all(reason == "NULL throughout" or reason.startswith("always ") for reason in frame.left_out.values())


def test_all_splits_have_the_same_columns_of_the_same_types(world: World, frame: ModelFrame) -> None:
    later = load_training_frame("ZL", "1w", split="val", home=world.path)
    assert list(later.X) == list(frame.X)
    assert later.dates.min() > frame.dates.max()
    assert later.dates.min() > frame.target_dates.max()
    categories = later.X.select_dtypes("category")
    assert len(categories.columns)
    assert all(categories[name].dtype == frame.X[name].dtype for name in categories)


def test_bars_within_a_session_are_frames_too(world: World) -> None:
    bars = load_training_frame("MES", "1hr", home=world.path)
    assert bars.X.index.name == "bar_close_ts"
    assert bars.X.index.is_monotonic_increasing
    assert set(bars.dates) == set(bars.target_dates)
    assert bars.table == MES_BAR_TRAINING[4].id


def test_models_take_a_frame_as_it_is(frame: ModelFrame) -> None:
    assert {"boolean", "category"} <= {str(dtype) for dtype in frame.X.dtypes}
    for model in (
        HistGradientBoostingRegressor(max_iter=5),
        lightgbm.LGBMRegressor(n_estimators=5, verbose=-1),
        xgboost.XGBRegressor(n_estimators=5, enable_categorical=True),
    ):
        predicted = model.fit(frame.X, frame.y, sample_weight=frame.weight).predict(frame.X)
        assert np.corrcoef(predicted, frame.y)[0, 1] > 0.3


def test_folds_are_what_scikit_learn_takes(world: World) -> None:
    frame = load_training_frame("ZL", "1w", home=world.path)
    folds = list(walk_forward(frame, folds=3, test_dates=20))
    for learnt, tried in folds:
        assert frame.target_dates[learnt].max() < frame.dates[tried].min()
        assert frame.dates[learnt].max() < frame.dates[tried].min()
    scores = cross_val_score(HistGradientBoostingRegressor(max_iter=5), frame.X, frame.y, cv=folds)
    assert len(scores) == 3


# -- what was read ----------------------------------------------------------------------------------------------------


def test_a_version_changes_when_a_row_that_was_read_does(tmp_path: Path, world: World) -> None:
    copied = World(tmp_path)
    shutil.copy(world.path / "warehouse.duckdb", tmp_path)

    def versions() -> list[str]:
        return [load_training_frame("ZL", "1w", split=split, home=tmp_path).version for split in ("train", "val")]

    train, val = before = versions()
    assert versions() == before
    assert train != val
    assert load_training_frame("ZL", "1m", split="train", home=tmp_path).version != train
    copied.by_other_hands(
        "UPDATE ops.partition_ledger SET content_hash = md5(content_hash) WHERE partition_key = '2023-05-01'"
    )
    # A month of val: the frame of train did not read it.
    assert [new == old for new, old in zip(versions(), before, strict=True)] == [True, False]


def test_whoever_writes_does_not_wait_for_a_frame_that_is_kept(world: World, frame: ModelFrame) -> None:
    import_and_write = (
        "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('CREATE OR REPLACE TEMP TABLE t (i int)')"
    )
    place = world.path / "warehouse.duckdb"
    subprocess.run([sys.executable, "-c", import_and_write, str(place)], check=True, timeout=600)
    assert len(frame.X)


@pytest.mark.parametrize("symbol", ["ZL", "MES"])
def test_features_of_a_moment_are_the_bits_of_the_training_row(world: World, symbol: str) -> None:
    horizon = {"ZL": "1m", "MES": "1d"}[symbol]
    trained = load_training_frame(symbol, horizon, home=world.path)
    day = trained.dates[-7]
    now = load_features(symbol, as_of=day.date(), home=world.path)
    assert list(now.index) == [day]
    assert {*trained.X, *trained.left_out} == {*now}
    row = trained.X.loc[[day]]
    for name in row:
        pd.testing.assert_series_equal(
            now[name], row[name], check_index_type=False, check_freq=False, check_dtype=False, check_exact=True
        )


def test_the_last_row_known_at_an_instant_is_given(world: World) -> None:
    # ZL is decided at 13:20 Chicago, 18:20 UTC in summer.
    for instant, day in {
        "2023-06-14T18:19:59Z": "2023-06-13",
        "2023-06-14T18:20:00Z": "2023-06-14",
        "2023-06-14T13:20:00-05:00": "2023-06-14",
        "2023-06-18T12:00:00Z": "2023-06-16",
    }.items():
        found = load_features("ZL", as_of=instant, home=world.path)
        assert f"{found.index[0]:%Y-%m-%d}" == day, instant
    assert load_features("ZL", home=world.path).index[0] == pd.Timestamp("2023-08-31")


@pytest.mark.parametrize(
    ("as_of", "said"),
    [
        ("2023-06-19", "no features of 2023-06-19.* the last before are of 2023-06-16"),
        ("2022-05-01", "no features up to 2022-05-01"),
        ("14.6.", "a date like 2024-06-03"),
        (pd.Timestamp("2023-06-14 13:20"), "needs a time zone"),
    ],
)
def test_a_moment_without_features_is_told(world: World, as_of: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_features("ZL", as_of=as_of, home=world.path)


# -- what there is not ------------------------------------------------------------------------------------------------


def test_an_empty_split_says_why(world: World) -> None:
    with pytest.raises(NoRowsError, match=r"no rows in the split test \(from 2024-01-01\): it has rows of 2022-0"):
        load_training_frame("ZL", "1w", split="test", home=world.path)
    with pytest.raises(
        NoRowsError, match=r"in the split val \(2021-01-01 … 2022-12-31\): .* \d+ of the split are purged"
    ):
        load_training_frame("ZL", "12m", split="val", home=world.path)


def test_a_table_that_is_not_built_says_so(tmp_path: Path) -> None:
    Home(tmp_path).open().ready()
    with pytest.raises(NoRowsError, match="is not built: `cbi refresh` builds it"):
        load_training_frame("ZL", "12m", home=tmp_path)
    with pytest.raises(NoRowsError, match="there are no features up to"):
        load_features("ZL", home=tmp_path)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("ZL", "2w", "train"), "ZL has no horizon '2w': 1w, 1m, 3m, 6m, 12m"),
        (("CL", "1w", "train"), "no training tables of 'CL': they are of MES, ZL"),
        (("ZL", "1w", "training"), "no split 'training': train, val, test"),
    ],
)
def test_what_there_is_not_is_named_with_what_there_is(world: World, asked: tuple[str, str, str], said: str) -> None:
    symbol, horizon, split = asked
    with pytest.raises(ValueError, match=said):
        load_training_frame(symbol, horizon, split=split, home=world.path)


def test_a_home_without_anything_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(NoRowsError, match="nothing is landed in"):
        open_warehouse(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


# -- tables -----------------------------------------------------------------------------------------------------------


def test_tables_come_out_as_arrow_pandas_and_polars(world: World) -> None:
    tables = open_warehouse(world.path)
    asked = {"start": "2023-06-01", "end": dt.date(2023, 6, 30), "symbols": ["ZL", "CL"]}
    arrow = tables.arrow("futures_continuous_1d", **asked, columns=["symbol", "date", "close"])
    assert arrow.column_names == ["symbol", "date", "close"]
    assert set(arrow["symbol"].to_pylist()) == {"ZL", "CL"}
    assert (min(arrow["date"].to_pylist()), max(arrow["date"].to_pylist())) == (
        dt.date(2023, 6, 1),
        dt.date(2023, 6, 30),
    )
    pandas = tables.pandas("futures_continuous_1d", **asked, columns=["symbol", "date", "close"])
    polar = tables.polars("market_data.futures_continuous_1d", **asked, columns=["symbol", "date", "close"])
    assert isinstance(polar, polars.DataFrame)
    assert pandas["close"].tolist() == polar["close"].to_list() == arrow["close"].to_pylist()
    assert "market_data_close" in tables.pandas("daily_ml_matrix", **asked)
    assert "features.daily_ml_matrix" in tables.names()
    found = tables.sql(
        "SELECT symbol, date, close FROM futures_continuous_1d WHERE date BETWEEN @first AND @last "
        "AND symbol IN UNNEST(@symbols) ORDER BY symbol, date",
        first=dt.date(2023, 6, 1), last=asked["end"], symbols=asked["symbols"],
    )  # fmt: skip
    assert found.equals(arrow)


def test_a_table_is_asked_for_what_it_has(world: World) -> None:
    tables = open_warehouse(world.path)
    with pytest.raises(KeyError, match="did you mean"):
        tables.arrow("daily_ml_matrices")
    with pytest.raises(ValueError, match="dates are written like 2024-06-03"):
        tables.arrow("daily_ml_matrix", start="June")
    with pytest.raises(ValueError, match="has no dates"):
        tables.arrow("regime_weights", start="2023-06-01")
    assert tables.version("daily_ml_matrix", end="2023-01-31") != tables.version("daily_ml_matrix")


# -- a newcomer -------------------------------------------------------------------------------------------------------


def test_the_package_imports_nothing_until_it_is_used() -> None:
    heavy = "import sys, cbi_dagster; assert not {'pandas', 'dagster', 'numpy'} & set(sys.modules), 'imported'"
    subprocess.run([sys.executable, "-c", heavy], check=True)
    used = "import sys; from cbi_dagster import load_training_frame; assert 'dagster' not in sys.modules, 'imported'"
    subprocess.run([sys.executable, "-c", used], check=True)
    with pytest.raises(AttributeError, match="no attribute 'load_frame'"):
        cbi_dagster.load_frame  # noqa: B018


def test_what_the_readme_shows_runs(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CBI_HOME", str(world.path))
    (shown,) = re.findall(r"```python\n(from cbi_dagster import .*?)```", README.read_text("utf-8"), re.DOTALL)
    exec(shown, {})
    assert re.search(r"\d", capsys.readouterr().out)
