"""Labels are forward returns over sessions of one symbol, and NULL wherever that return cannot be told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbi_dagster.catalog.frames import InvalidFrameError
from cbi_dagster.config.horizons import Horizon, load_horizons
from cbi_dagster.training.labels import labels
from cbi_dagster_tests.features.continuous_frames import continuous_frame, random_market, random_sessions

WEEKDAY = pd.offsets.BusinessDay()
ZL = {horizon.name: horizon for horizon in load_horizons().daily("ZL")}


def horizon(sessions: int) -> Horizon:
    return Horizon(symbol="ZL", name="h", sessions=sessions, model_family="tree")


def reference(continuous: pd.DataFrame, one: Horizon) -> pd.DataFrame:
    """The same labels, row by row as a person would look them up."""
    rows = []
    for symbol in sorted(continuous["symbol"].unique()):
        series = continuous[continuous["symbol"] == symbol].sort_values("date").to_dict("records")
        for position, today in enumerate(series):
            later = series[position + one.sessions] if position + one.sessions < len(series) else None
            row = {"symbol": symbol, "date": today["date"], "return": None, "price": None, "sign": None, "day": None}
            if later is not None:
                ahead = len(pd.bdate_range(today["date"], later["date"])) - 1
                known = today["adj_close"] > 0 and later["adj_close"] > 0
                if known and ahead <= one.forward_trade_dates:
                    price = later["close"] * (later["adj_factor"] / today["adj_factor"])
                    change = price / today["close"] - 1.0
                    row |= {"return": change, "price": price, "day": later["date"]}
                    row["sign"] = (change > 0) - (change < 0)
            rows.append(row)
    return pd.DataFrame(rows)


def assert_same(found: pd.DataFrame, expected: pd.DataFrame, name: str) -> None:
    assert found["symbol"].tolist() == expected["symbol"].tolist()
    assert found["date"].tolist() == expected["date"].tolist()
    np.testing.assert_array_equal(found[f"target_{name}"], expected["return"].astype(float))
    np.testing.assert_array_equal(found[f"target_price_{name}"], expected["price"].astype(float))
    assert found[f"target_direction_{name}"].tolist() == [
        pd.NA if sign is None or np.isnan(sign) else int(sign) for sign in expected["sign"]
    ]
    assert found["target_date"].tolist() == [pd.NaT if pd.isna(day) else day for day in expected["day"]]


def test_three_hundred_sessions_have_295_weekly_and_48_yearly_targets() -> None:
    continuous = random_sessions("ZL", 1, 300)
    assert labels(continuous, ZL["1w"])["target_1w"].notna().sum() == 295
    assert labels(continuous, ZL["12m"])["target_12m"].notna().sum() == 48


def test_no_target_crosses_from_one_symbol_to_the_next() -> None:
    continuous = pd.concat([random_sessions("ZL", 1, 300), random_sessions("MES", 2, 300)])
    found = labels(continuous, ZL["1w"])
    assert found.groupby("symbol")["target_1w"].count().to_dict() == {"MES": 295, "ZL": 295}
    alone = labels(continuous[continuous["symbol"] == "ZL"], ZL["1w"])
    pd.testing.assert_frame_equal(found[found["symbol"] == "ZL"].reset_index(drop=True), alone, check_exact=True)


@pytest.mark.parametrize("sessions", [1, 5, 21, 252])
def test_labels_agree_with_a_look_up_row_by_row(sessions: int) -> None:
    continuous = random_market(7, 330)
    assert_same(labels(continuous, horizon(sessions)), reference(continuous, horizon(sessions)), "h")


def test_a_target_is_the_return_of_the_adjusted_series_in_the_contract_of_the_day() -> None:
    # The contract rolls on the third day from 50 to 60; the holder gains 4 %, not 24.8 %.
    dates = pd.bdate_range("2024-01-08", periods=3)
    continuous = continuous_frame("ZL", dates, np.array([50.0, 51.0, 62.4]), factor=np.array([2.0, 2.0, 2.0 * 50 / 60]))
    row = labels(continuous, horizon(2)).iloc[0]
    assert row["target_h"] == pytest.approx(0.04)
    assert row["target_price_h"] == pytest.approx(52.0)
    assert row["target_price_h"] / 50.0 - 1.0 == pytest.approx(row["target_h"])
    assert row["target_direction_h"] == 1
    assert row["target_date"] == dates[2]


def test_directions_are_minus_one_zero_and_one() -> None:
    dates = pd.bdate_range("2024-01-08", periods=5)
    continuous = continuous_frame("ZL", dates, np.array([50.0, 49.0, 49.0, 50.0, 50.0]))
    assert labels(continuous, horizon(1))["target_direction_h"].tolist() == [-1, 0, 1, 0, pd.NA]


def test_columns_have_the_declared_types() -> None:
    for frame in (random_sessions("ZL", 1, 30), random_sessions("ZL", 1, 30).iloc[:0]):
        assert labels(frame, ZL["1w"]).dtypes.astype(str).drop("symbol").to_dict() == {
            "date": "datetime64[ns]",
            "target_1w": "float64",
            "target_price_1w": "float64",
            "target_direction_1w": "Int64",
            "target_date": "datetime64[ns]",
            "unlabelled": "object",
        }


def test_a_target_beyond_the_declared_window_is_unknown() -> None:
    one = horizon(1)
    first = pd.Timestamp("2024-01-08")
    for ahead, known in ((one.forward_trade_dates, True), (one.forward_trade_dates + 1, False)):
        dates = pd.DatetimeIndex([first, first + ahead * WEEKDAY])
        found = labels(continuous_frame("ZL", dates, np.array([50.0, 51.0])), one)
        assert found["target_h"].notna().tolist() == [known, False]
        assert found["target_date"].notna().tolist() == [known, False]


def test_no_label_starts_or_ends_in_a_session_that_is_there_in_part() -> None:
    whole = random_sessions("ZL", 1, 12)
    continuous = whole.assign(session_quality=whole["session_quality"].replace("complete", "thin"))
    continuous.loc[[4, 7], "session_quality"] = ["cut", "holed"]
    continuous.loc[5, "session_quality"] = None
    continuous.loc[6, "session_quality"] = "early_close"
    found = labels(continuous, horizon(2))
    reasons = {2: "target_session_cut", 4: "session_cut", 5: "target_session_holed", 7: "session_holed"}
    assert found["unlabelled"].dropna().to_dict() == reasons | {10: "not_matured", 11: "not_matured"}
    left = found["unlabelled"].notna()
    assert found.loc[left, ["target_h", "target_price_h", "target_direction_h", "target_date"]].isna().all(axis=None)
    kept = labels(whole, horizon(2))[~left].drop(columns="unlabelled")
    pd.testing.assert_frame_equal(found[~left].drop(columns="unlabelled"), kept)


@pytest.mark.parametrize(("column", "value"), [("adj_factor", np.nan), ("close", 0.0), ("close", -37.63)])
def test_a_return_from_or_to_no_price_is_unknown(column: str, value: float) -> None:
    continuous = random_sessions("ZL", 1, 10)
    continuous.loc[4, column] = value
    found = labels(continuous, horizon(2))
    unknown = [2, 4, 8, 9]
    assert np.flatnonzero(found["target_h"].isna()).tolist() == unknown
    for name in ("target_price_h", "target_direction_h", "target_date"):
        assert np.flatnonzero(found[name].isna()).tolist() == unknown


def test_two_rows_of_one_date_are_refused() -> None:
    continuous = random_sessions("ZL", 1, 10)
    with pytest.raises(InvalidFrameError, match=r"first \(ZL, 2015-01-06\)"):
        labels(pd.concat([continuous, continuous.iloc[[3]]]), horizon(1))


@settings(max_examples=25)
@given(seed=st.integers(0, 2**16), sessions=st.sampled_from([1, 5, 21, 63]), cut=st.floats(0.1, 1.0))
def test_deleting_the_future_changes_no_matured_label(seed: int, sessions: int, cut: float) -> None:
    continuous = random_market(seed, 200)
    day = continuous["date"].sort_values().iloc[int(cut * (len(continuous) - 1))]
    full = labels(continuous, horizon(sessions))
    then = labels(continuous[continuous["date"] <= day], horizon(sessions))
    full = full[full["date"] <= day].reset_index(drop=True)
    matured = full["target_date"] <= day
    pd.testing.assert_frame_equal(then[matured], full[matured], check_exact=True)
    # What had not matured was unknown, not something else.
    assert then.loc[~matured, ["target_h", "target_price_h", "target_direction_h", "target_date"]].isna().all(axis=None)


@pytest.mark.parametrize("sessions", [1, 5, 63])
def test_a_day_and_its_declared_window_suffice(sessions: int) -> None:
    one = horizon(sessions)
    continuous = random_market(5, 300)
    full = labels(continuous, one)
    for day in pd.DatetimeIndex(continuous["date"].sort_values().unique()[::9]):
        seen = continuous[(continuous["date"] >= day) & (continuous["date"] <= day + one.forward_trade_dates * WEEKDAY)]
        alone = labels(seen, one)
        pd.testing.assert_frame_equal(
            alone[alone["date"] == day].reset_index(drop=True),
            full[full["date"] == day].reset_index(drop=True),
            check_exact=True,
        )
