"""Open interest of the session before, by what had been published at 13:20 Chicago."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.config.universe import load_universe
from cbi_dagster.features.open_interest import open_interest_daily

UNIVERSE = load_universe()
#: A Thursday to the Wednesday after; Chicago is five hours behind.
DAYS = pd.bdate_range("2024-07-11", periods=5)
SESSIONS = pd.DataFrame({"date": DAYS.astype("datetime64[ns]"), "symbol": "ZL", "contract": None, "instrument_id": 11})


def record(received: str, about: str, quantity: int, number: int = 11, symbol: str = "ZLZ4", **said: str) -> dict:
    return {
        "ts_recv": pd.Timestamp(received, tz="UTC"), "ref_date": pd.Timestamp(about), "root": "ZL", "symbol": symbol,
        "instrument_id": number, "stat_type": "open_interest", "update_action": "new", "quantity": quantity, **said,
    }  # fmt: skip


def features(*rows: dict, sessions: pd.DataFrame = SESSIONS) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=record("2024-01-01", "2024-01-01", 0)).astype({"quantity": "Int64"})
    frame["ts_recv"] = pd.DatetimeIndex(frame["ts_recv"], tz="UTC").as_unit("ns")
    frame["ref_date"] = pd.DatetimeIndex(frame["ref_date"]).as_unit("ns")
    return open_interest_daily(sessions, frame, UNIVERSE).set_index("date")


def known(found: pd.DataFrame, name: str) -> dict[str, float]:
    return {f"{day:%m-%d}": value for day, value in found[name].dropna().items()}


def test_a_row_has_the_open_interest_of_the_session_before() -> None:
    found = features(
        record("2024-07-12 01:10", "2024-07-11", 100),
        record("2024-07-14 17:30", "2024-07-12", 110),  # Friday's is published on Sunday
        record("2024-07-12 01:10", "2024-07-11", 60, 12, "ZLH5"),
        record("2024-07-14 17:30", "2024-07-12", 70, 12, "ZLH5"),
    )
    assert known(found, "oi_front_lag1") == {"07-12": 100, "07-15": 110}
    assert known(found, "oi_market_lag1") == {"07-12": 160, "07-15": 180}
    assert known(found, "oi_front_share_lag1") == pytest.approx({"07-12": 100 / 160, "07-15": 110 / 180})
    assert known(found, "oi_change_1d") == pytest.approx({"07-15": 180 / 160 - 1})
    assert known(found, "oi_change_5d") == {}


@pytest.mark.parametrize(("received", "counts"), [("18:20:00", True), ("18:20:00.000001", False)])
def test_what_is_published_after_the_decision_time_is_not_known(received: str, counts: bool) -> None:
    found = features(record("2024-07-12 01:10", "2024-07-11", 100), record(f"2024-07-12 {received}", "2024-07-11", 105))
    assert known(found, "oi_front_lag1") == {"07-12": 105 if counts else 100}
    alone = features(record(f"2024-07-12 {received}", "2024-07-11", 105))
    assert known(alone, "oi_front_lag1") == ({"07-12": 105} if counts else {})


def test_what_came_too_late_or_was_taken_back_does_not_count() -> None:
    first, second = record("2024-07-12 01:10", "2024-07-11", 100), record("2024-07-14 17:30", "2024-07-12", 110)
    late = record("2024-07-14 17:31", "2024-07-11", 999)
    found = features(first, second, late, record("2024-07-16 01:10", "2024-07-15", 120))
    assert known(found, "oi_change_1d") == pytest.approx({"07-15": 0.1, "07-16": 120 / 110 - 1})
    gone = record("2024-07-12 01:11", "2024-07-11", 100, update_action="delete")
    assert known(features(first, gone), "oi_front_lag1") == {}


def test_the_rows_contract_is_known_by_its_name_where_it_has_one() -> None:
    said = (
        record("2024-07-12 01:10", "2024-07-11", 100, 12, "ZLZ4"),
        record("2024-07-12 01:10", "2024-07-11", 60, 11, "ZLH5"),
    )
    assert known(features(*said), "oi_front_lag1") == {"07-12": 60}
    assert known(features(*said, sessions=SESSIONS.assign(contract="ZLZ4")), "oi_front_lag1") == {"07-12": 100}


def test_a_new_contract_has_its_own_open_interest_and_other_kinds_say_nothing() -> None:
    rolled = SESSIONS.assign(instrument_id=[11, 12, 12, 12, 12])
    volume = record("2024-07-12 01:10", "2024-07-11", 5, 12, "ZLH5", stat_type="cleared_volume")
    found = features(
        record("2024-07-12 01:10", "2024-07-11", 100), record("2024-07-12 01:10", "2024-07-11", 60, 12, "ZLH5"), volume,
        sessions=rolled,
    )  # fmt: skip
    assert (known(found, "oi_front_lag1"), known(found, "oi_market_lag1")) == ({"07-12": 60}, {"07-12": 160})


def test_without_statistics_everything_is_unknown() -> None:
    found = features()
    assert len(found) == len(SESSIONS)
    assert found.drop(columns="symbol").isna().all(axis=None)
    assert str(found["oi_front_lag1"].dtype) == "Int64"
    assert np.isnan(found["oi_change_5d"]).all()
