"""Training rows: the matrix as it stood at the decision time, and the label that came true later."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.frames import InvalidFrameError, to_frame
from cbi_dagster.catalog.model import Table
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.catalog.tables.training import MES_TRAINING, ONE_SYMBOL_STRUCTS, ZL_TRAINING
from cbi_dagster.config.horizons import Horizon, Splits, load_horizons
from cbi_dagster.config.universe import load_universe
from cbi_dagster.features.mes_horizons import mes_daily
from cbi_dagster.matrix.structs import consolidate
from cbi_dagster.training.frames import UnmatchedRowsError, split_by_maturity, with_resampled_bars
from cbi_dagster.training.labels import NOT_MATURED, labels
from cbi_dagster_tests.features.continuous_frames import random_sessions
from cbi_dagster_tests.matrix.matrix_frames import families, regimes, sessions

SPLITS = load_horizons().splits
ZL = {horizon.name: horizon for horizon in load_horizons().daily("ZL")}
BAR_PARTS = ("open", "high", "low", "close", "volume", "sessions", "ret", "range", "position")
DAILY = [*zip(ZL_TRAINING, ZL.values(), strict=True), *zip(MES_TRAINING, load_horizons().daily("MES"), strict=True)]
COLUMNS = {(horizon.symbol, horizon.name): [column.name for column in table.columns] for table, horizon in DAILY}


def training_frame(matrix: pd.DataFrame, continuous: pd.DataFrame, horizon: Horizon) -> pd.DataFrame:
    """The content of the horizon's table."""
    if horizon.symbol == "MES":
        matrix = with_resampled_bars(matrix, stored_bars(continuous), "MES")
    return split_by_maturity(matrix, continuous, horizon, SPLITS).rows[COLUMNS[horizon.symbol, horizon.name]]


def stored_bars(continuous: pd.DataFrame) -> pd.DataFrame:
    """`features.mes_horizons_daily` as it is read back."""
    return mes_daily(continuous[continuous["symbol"] == "MES"])


def stored_matrix(continuous: pd.DataFrame) -> pd.DataFrame:
    """The matrix as the platform computes it, read back with the run that wrote it."""
    table = consolidate(continuous, families(continuous), regimes(continuous["date"]), DAILY_ML_MATRIX, load_universe())
    return to_frame(DAILY_ML_MATRIX, table).assign(run_id="run-1")


@functools.cache
def _matrix() -> pd.DataFrame:
    return stored_matrix(sessions())


@pytest.fixture
def continuous() -> pd.DataFrame:
    return sessions()


@pytest.fixture
def matrix() -> pd.DataFrame:
    return _matrix().copy()


@pytest.mark.parametrize(("table", "horizon"), DAILY, ids=lambda value: value.name)
def test_a_frame_has_its_symbols_features_and_required_columns(
    table: Table, horizon: Horizon, matrix: pd.DataFrame, continuous: pd.DataFrame
) -> None:
    frame = training_frame(matrix, continuous, horizon)
    assert set(frame["symbol"]) == {horizon.symbol}
    assert len(frame) == 320 - horizon.sessions
    assert not frame[sorted(table.required)].isna().any(axis=None)
    # Every matrix feature but those of the other symbol, and what identifies and labels the row.
    others = tuple(f"{name}_" for name, symbol in ONE_SYMBOL_STRUCTS.items() if symbol != horizon.symbol)
    assert len(others) in (1, 2)
    features = {name for name in matrix.columns if "_" in name and not name.startswith(others)}
    features -= {"data_date", "session_quality", "regime_name", "regime_weight", "feature_version", "run_id"}
    if horizon.symbol == "MES":
        features |= {f"bar_{part}_{h}" for part in BAR_PARTS for h in ("1d", "7d", "30d", "3m", "6m", "12m")}
    labels_ = {f"target_{horizon.name}", f"target_price_{horizon.name}", f"target_direction_{horizon.name}"}
    rest = {
        "symbol",
        "data_date",
        "session_quality",
        "regime",
        "training_weight",
        "target_date",
        "horizon_sessions",
        "split",
        "as_of",
    }
    assert set(frame.columns) == features | labels_ | rest | {"horizon_sessions", "source_run_id"}


def test_a_row_carries_features_of_its_date_and_the_later_close(matrix: pd.DataFrame, continuous: pd.DataFrame) -> None:
    shuffled, sessions_ = matrix.sample(frac=1, random_state=1), continuous.sample(frac=1, random_state=2)
    frame = training_frame(shuffled, sessions_, ZL["1w"])
    zl = continuous[continuous["symbol"] == "ZL"].reset_index(drop=True)
    features = matrix[matrix["symbol"] == "ZL"].reset_index(drop=True)
    assert len(frame) == 315
    for number in (0, 100, 314):
        row = frame.iloc[number]
        assert row["data_date"] == zl["date"][number]
        assert row["target_date"] == zl["date"][number + 5]
        later = zl["close"][number + 5] * (zl["adj_factor"][number + 5] / zl["adj_factor"][number])
        assert row["target_1w"] == later / zl["close"][number] - 1.0
        assert row["target_price_1w"] == later
        assert row["target_direction_1w"] == np.sign(row["target_1w"])
        assert row["market_data_close"] == zl["close"][number]
        assert row["regime"] == features["regime_name"][number]
        assert row["training_weight"] == features["regime_weight"][number]
        assert row["as_of"] == zl["session_close_ts"][number]
        assert row["source_run_id"] == "run-1"
        assert row["horizon_sessions"] == 5
        assert row["split"] == "train"
    assert frame["training_weight"].dtype.kind in "iu" or str(frame["training_weight"].dtype) == "Int64"


def test_rows_in_are_rows_out_and_rows_without_a_label(matrix: pd.DataFrame, continuous: pd.DataFrame) -> None:
    for horizon in ZL.values():
        result = split_by_maturity(matrix, continuous, horizon, SPLITS)
        assert len(result.rows) == 320 - horizon.sessions
        assert len(result.unlabelled) == horizon.sessions
        both = pd.concat([result.rows["data_date"], result.unlabelled["data_date"]])
        assert both.tolist() == matrix.loc[matrix["symbol"] == "ZL", "data_date"].tolist()
        assert set(result.unlabelled["symbol"]) == {"ZL"}


def test_rows_whose_label_reaches_over_a_boundary_are_purged(matrix: pd.DataFrame, continuous: pd.DataFrame) -> None:
    dates = matrix.loc[matrix["symbol"] == "ZL", "data_date"].dt.date.tolist()
    splits = Splits(train_to=dates[99], val_to=dates[199])
    split = split_by_maturity(matrix, continuous, ZL["1m"], splits).rows["split"].tolist()
    assert split == ["train"] * 79 + ["purged"] * 21 + ["val"] * 79 + ["purged"] * 21 + ["test"] * 99


def test_rows_without_a_label_are_counted_per_date(matrix: pd.DataFrame, continuous: pd.DataFrame) -> None:
    counts = split_by_maturity(matrix, continuous, ZL["1w"], SPLITS).unlabelled_counts()
    last = matrix.loc[matrix["symbol"] == "ZL", "data_date"].tail(5)
    assert counts["date"].tolist() == last.tolist()
    assert counts[["symbol", "reason", "bar_rows"]].drop_duplicates().to_numpy().tolist() == [["ZL", NOT_MATURED, 1]]


def test_other_symbols_neither_appear_nor_matter(matrix: pd.DataFrame, continuous: pd.DataFrame) -> None:
    alone = training_frame(matrix[matrix["symbol"] == "ZL"], continuous[continuous["symbol"] == "ZL"], ZL["1w"])
    pd.testing.assert_frame_equal(training_frame(matrix, continuous, ZL["1w"]), alone, check_exact=True)


def test_categorical_symbols_give_the_same_rows(matrix: pd.DataFrame, continuous: pd.DataFrame) -> None:
    plain = training_frame(matrix, continuous, ZL["1w"])
    categorical = training_frame(
        matrix.astype({"symbol": "category"}), continuous.astype({"symbol": "category"}), ZL["1w"]
    )
    pd.testing.assert_frame_equal(categorical, plain)


def test_a_month_and_its_declared_window_give_the_rows_of_a_full_rebuild(
    matrix: pd.DataFrame, continuous: pd.DataFrame
) -> None:
    horizon = ZL["1m"]
    full = training_frame(matrix, continuous, horizon)
    for month in full["data_date"].dt.to_period("M").unique()[::3]:
        first, last = month.start_time, month.end_time.normalize()
        reach = last + horizon.forward_trade_dates * pd.offsets.BusinessDay()
        alone = training_frame(
            matrix[matrix["data_date"].between(first, last)], continuous[continuous["date"].between(first, reach)],
            horizon,
        )  # fmt: skip
        expected = full[full["data_date"].between(first, last)].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, expected, check_exact=True)


def test_a_matrix_row_without_its_session_is_an_error(matrix: pd.DataFrame, continuous: pd.DataFrame) -> None:
    gone = continuous[(continuous["symbol"] == "ZL")].index[7]
    with pytest.raises(UnmatchedRowsError, match=r"1 ZL rows .*first: 2015-01-.*materialize features.daily_ml_matrix"):
        training_frame(matrix, continuous.drop(index=gone), ZL["1w"])


def test_resampled_bars_are_further_features_of_the_same_rows(matrix: pd.DataFrame, continuous: pd.DataFrame) -> None:
    bars = stored_bars(continuous)
    shuffled = bars.sample(frac=1, random_state=4).astype({"symbol": "category"})
    rows = with_resampled_bars(matrix, shuffled, "MES")
    own = matrix[matrix["symbol"] == "MES"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows[matrix.columns], own, check_exact=True)
    features = bars.columns[bars.columns.str.startswith("bar_")]
    pd.testing.assert_frame_equal(rows[features], bars[features], check_exact=True)
    with pytest.raises(UnmatchedRowsError, match=r"1 MES rows .*mes_horizons_daily \(first: 2019-"):
        with_resampled_bars(matrix, bars.drop(index=7), "MES")


def test_a_matrix_that_repeats_a_date_is_an_error(matrix: pd.DataFrame, continuous: pd.DataFrame) -> None:
    with pytest.raises(InvalidFrameError, match=r"rows of features\.daily_ml_matrix repeat"):
        training_frame(pd.concat([matrix, matrix.tail(1)]), continuous, ZL["1w"])


def test_no_matrix_rows_give_no_training_rows(matrix: pd.DataFrame, continuous: pd.DataFrame) -> None:
    empty = training_frame(matrix.iloc[:0], continuous.iloc[:0], ZL["1w"])
    assert empty.empty
    assert set(empty.columns) == {column.name for column in ZL_TRAINING[0].columns}


def look_ahead_survives(consolidated: Callable[[pd.DataFrame], pd.DataFrame], cut: pd.Timestamp) -> bool:
    """Whether anything known at the cut differs once everything after the cut is deleted.

    Known are the labels that had matured and the features of every row up to the cut: a feature that looks ahead less
    far than the label would not show on labelled rows.
    """
    continuous = sessions()
    past = continuous[continuous["date"] <= cut]
    matrix, matrix_then = consolidated(continuous), consolidated(past)
    full = training_frame(matrix, continuous, ZL["1m"])
    then = training_frame(matrix_then, past, ZL["1m"])
    matured = full[full["target_date"] <= cut].reset_index(drop=True)
    assert len(then) == len(matured) > 50
    known = matrix[matrix["data_date"] <= cut].reset_index(drop=True)
    return not (then.equals(matured) and matrix_then.equals(known))


CUTS = [sessions()["date"][sessions()["symbol"] == "ZL"].iloc[position] for position in (80, 200, 290)]


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_training_rows_do_not_change_when_the_future_is_deleted(cut: pd.Timestamp) -> None:
    assert not look_ahead_survives(stored_matrix, cut)


def planted_centred_mean(continuous: pd.DataFrame) -> pd.DataFrame:
    matrix = stored_matrix(continuous)
    closes = matrix.groupby("symbol")["market_data_close"]
    return matrix.assign(pivots_P=closes.transform(lambda close: close.rolling(41, center=True, min_periods=1).mean()))


def planted_full_sample_rank(continuous: pd.DataFrame) -> pd.DataFrame:
    matrix = stored_matrix(continuous)
    return matrix.assign(regime_vol_percentile=matrix.groupby("symbol")["market_data_close"].rank(pct=True))


def planted_next_close(continuous: pd.DataFrame) -> pd.DataFrame:
    matrix = stored_matrix(continuous)
    return matrix.assign(fibs_ext_100=matrix.groupby("symbol")["market_data_close"].shift(-25))


@pytest.mark.parametrize("planted", [planted_centred_mean, planted_full_sample_rank, planted_next_close])
def test_a_planted_look_ahead_is_found(planted: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    assert all(look_ahead_survives(planted, cut) for cut in CUTS)


def test_a_hole_in_the_data_leaves_rows_unlabelled_and_counts_them() -> None:
    horizon = Horizon(symbol="ZL", name="1w", sessions=5, model_family="tree")
    whole = random_sessions("ZL", 3, 120)
    holed = whole.drop(index=range(60, 90)).reset_index(drop=True)
    label = labels(holed, horizon)
    matrix = pd.DataFrame(
        {
            "symbol": "ZL", "data_date": holed["date"], "timestamp": holed["date"].dt.tz_localize("UTC"),
            "regime_name": "baseline", "regime_weight": 100, "run_id": None,
        }
    )  # fmt: skip
    result = split_by_maturity(matrix, holed, horizon, SPLITS)
    # The 5 sessions before the hole look past it, the last 5 look past the end.
    assert result.unlabelled["data_date"].tolist() == [*holed["date"][55:60], *holed["date"][-5:]]
    assert len(result.rows) == label["target_1w"].notna().sum() == 80
