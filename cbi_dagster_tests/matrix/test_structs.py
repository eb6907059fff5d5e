"""Consolidation keeps every value of every family in its place, as STRUCTs, and refuses what does not fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX, MATRIX_STRUCTS
from cbi_dagster.config.universe import load_universe
from cbi_dagster.matrix.quality import QualityError
from cbi_dagster.matrix.regimes import RegimeNotCoveredError
from cbi_dagster.matrix.structs import consolidate, enrich, flatten, to_structs
from cbi_dagster_tests.matrix.matrix_frames import families, regimes, sessions

UNIVERSE = load_universe()


def matrix(continuous: pd.DataFrame, parts: dict[str, pd.DataFrame] | None = None) -> list[dict]:
    parts = families(continuous) if parts is None else parts
    return consolidate(continuous, parts, regimes(continuous["date"]), DAILY_ML_MATRIX, UNIVERSE).to_pylist()


def test_a_row_holds_its_session_its_features_and_its_regime() -> None:
    continuous = sessions()
    parts = families(continuous)
    shuffled = {name: part.sample(frac=1, random_state=2) for name, part in parts.items()}
    rows = matrix(continuous.sample(frac=1, random_state=1), shuffled)
    assert [(row["symbol"], row["data_date"]) for row in rows] == [
        (symbol, date.date()) for symbol, date in continuous[["symbol", "date"]].itertuples(index=False)
    ]
    for number in (0, 200, 319, 320, 639):
        row, session = rows[number], continuous.iloc[number]
        assert row["timestamp"] == session["session_close_ts"]
        assert row["market_data"] == {
            name: None if pd.isna(session[name]) else session[name]
            for name in ("open", "high", "low", "close", "volume", "vwap", "realized_vol_1h")
        }
        for struct, family in (("pivots", "pivots"), ("fibs", "fibs")):
            source = parts[family]
            source = source[(source["symbol"] == session["symbol"]) & (source["date"] == session["date"])].iloc[0]
            if row[struct] is None:
                fields = [part.name for part in DAILY_ML_MATRIX.column(struct).fields]
                assert source[fields].isna().all()
            else:
                for name, value in row[struct].items():
                    assert (value is None and pd.isna(source[name])) or value == source[name]
        assert row["regime_name"] == row["regime"]["name"]
        assert row["policy"] is None
        assert row["golden_zone"] is None
    last_of_mes = rows[319]["regime"]
    assert (last_of_mes["name"], last_of_mes["weight"]) == ("covid_shock_2020", 350)
    assert 0 < last_of_mes["vol_percentile"] <= 1


def test_a_session_of_2015_is_loaded_not_skipped() -> None:
    continuous = sessions()
    rows = [row for row in matrix(continuous) if row["data_date"].year == 2015]
    assert len(rows) == (continuous["date"].dt.year == 2015).sum() > 200
    assert {row["regime"]["weight"] for row in rows} == {250}


def test_structs_flatten_back_to_the_same_frame() -> None:
    continuous = sessions()
    flat = enrich(flatten(continuous, families(continuous), DAILY_ML_MATRIX), regimes(continuous["date"]))
    stored = to_structs(flat, DAILY_ML_MATRIX)
    assert stored.schema.names == [column.name for column in DAILY_ML_MATRIX.columns]
    assert [field.type for field in stored.schema] == [column.arrow_type for column in DAILY_ML_MATRIX.columns]
    back = to_frame(DAILY_ML_MATRIX, stored)
    for name in flat.columns:
        expected, found = flat[name], back[name]
        assert (found.isna() == expected.isna()).all(), name
        known = expected.notna()
        assert (found[known].to_numpy() == expected[known].to_numpy()).all(), name
    only_back = set(back.columns) - set(flat.columns)
    unfilled = [column.name for column in MATRIX_STRUCTS if column.name not in {"market_data", *families(continuous)}]
    assert all(name.startswith(tuple(f"{struct}_" for struct in unfilled)) for name in only_back)
    assert back[sorted(only_back)].isna().all(axis=None)


def test_a_struct_is_null_only_when_all_of_its_fields_are() -> None:
    continuous = sessions()
    parts = families(continuous)
    rows = matrix(continuous, parts)
    assert rows[0]["pivots"] is None  # the first session has no prior bar
    partly = parts["pivots"].assign(R2=np.nan)
    row = matrix(continuous, {**parts, "pivots": partly})[1]
    assert row["pivots"]["R2"] is None
    assert row["pivots"]["P"] is not None
    assert all(row["market_data"] is not None and row["regime"] is not None for row in rows)


def test_later_families_fill_their_struct() -> None:
    continuous = sessions()
    zone = continuous.loc[continuous["symbol"] == "MES", ["symbol", "date"]].assign(
        state=pd.array([1] * 320, dtype="Int64"),
        swing_high=1.0,
        swing_low=2.0,
        fib_50=3.0,
        fib_618=4.0,
        vol_decay_slope=np.nan,
        qualified_trigger=pd.array([True] * 320, dtype="boolean"),
    )
    rows = matrix(continuous, {**families(continuous), "golden_zone": zone.iloc[:-1]})
    assert rows[319]["golden_zone"] is None  # the family does not reach the last session
    del rows[319]
    for row in rows:
        if row["symbol"] == "ZL":
            assert row["golden_zone"] is None
        else:
            assert row["golden_zone"] == {
                "state": 1, "swing_high": 1.0, "swing_low": 2.0, "fib_50": 3.0, "fib_618": 4.0,
                "vol_decay_slope": None, "qualified_trigger": True,
            }  # fmt: skip


def test_rows_do_not_depend_on_what_else_is_consolidated() -> None:
    continuous = sessions()
    parts = families(continuous)
    every = {(row["symbol"], row["data_date"]): row for row in matrix(continuous, parts)}
    for day in continuous["date"].iloc[[3, 150, 500]]:
        alone = matrix(
            continuous[continuous["date"] == day], {name: part[part["date"] == day] for name, part in parts.items()}
        )
        assert alone == [every[row["symbol"], row["data_date"]] for row in alone]


def test_features_of_symbols_that_have_no_session_belong_to_no_row() -> None:
    continuous = sessions()
    parts = families(continuous)
    every = matrix(continuous, parts)
    more = {name: pd.concat([part, part[part["symbol"] == "ZL"].assign(symbol="ZM")]) for name, part in parts.items()}
    assert matrix(continuous[continuous["symbol"] == "MES"], more) == [row for row in every if row["symbol"] == "MES"]


def test_no_sessions_give_an_empty_matrix() -> None:
    continuous = sessions()
    empty = {name: part.iloc[:0] for name, part in families(continuous).items()}
    table = consolidate(continuous.iloc[:0], empty, regimes(continuous["date"]), DAILY_ML_MATRIX, UNIVERSE)
    assert table.num_rows == 0


def test_a_date_without_a_regime_is_an_error() -> None:
    continuous = sessions()
    covered = continuous["date"][continuous["date"].dt.year > 2015]
    with pytest.raises(RegimeNotCoveredError, match="2015-01-0"):
        consolidate(continuous, families(continuous), regimes(covered), DAILY_ML_MATRIX, UNIVERSE)


def test_a_bad_session_stops_the_matrix() -> None:
    continuous = sessions()
    parts = families(continuous)
    continuous.loc[5, "high"] = continuous.loc[5, "low"] - 1.0
    with pytest.raises(QualityError, match="low <= open, close <= high"):
        consolidate(continuous, parts, regimes(continuous["date"]), DAILY_ML_MATRIX, UNIVERSE)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda parts: {**parts, "pivots": parts["pivots"].drop(columns=["R2"])}, "pivots lack R2"),
        (lambda parts: {**parts, "pivots": pd.concat([parts["pivots"]] * 2)}, r"pivots repeat \(symbol, date\)"),
        (lambda parts: {**parts, "moon": parts["pivots"]}, "no STRUCT for the families moon"),
    ],
)
def test_a_family_that_does_not_fit_is_refused(change, complaint: str) -> None:
    continuous = sessions()
    with pytest.raises(ValueError, match=complaint):
        flatten(continuous, change(families(continuous)), DAILY_ML_MATRIX)
