"""The list of sessions that are not what the exchange held."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from cbi_dagster.config.universe import load_universe
from cbi_dagster.reports.sessions import judged

UNIVERSE = load_universe()
REST = pd.to_datetime(["2024-06-19", "2024-07-04"])


def sessions(symbol: str = "MES", volume: int = 50_000) -> pd.DataFrame:
    """Sessions of every business day from June to August 2024."""
    days = pd.bdate_range("2024-06-03", "2024-08-30").difference(REST)
    return pd.DataFrame(
        {"date": days, "symbol": symbol, "volume": volume, "bars_seen": 23, "bars_usual": 23.0,
         "session_quality": "complete"}
    )  # fmt: skip


def listed(rows: pd.DataFrame, first: str | None = None, last: str | None = None) -> list[tuple[str, str, str]]:
    span = (day and dt.date.fromisoformat(day) for day in (first, last))
    found = judged(rows.sample(frac=1, random_state=1), UNIVERSE, *span).irregular
    return [(f"{case.date:%m-%d}", case.symbol, case._3) for case in found.itertuples()]


def test_sessions_of_every_business_day_are_as_expected() -> None:
    assert listed(sessions()) == []
    assert judged(sessions(), UNIVERSE, None, None).counts == {"complete": 63}


def test_missing_cut_holed_thin_and_unexpected_sessions_are_listed_by_date() -> None:
    rows = sessions().set_index("date")
    rows.loc["2024-07-10":"2024-07-12", "session_quality"] = ["thin", "cut", "holed"]
    rows.loc["2024-07-03", "session_quality"] = "early_close"
    rows = rows.drop(pd.to_datetime(["2024-08-06", "2024-08-07"])).reset_index()
    rows.loc[0, "session_quality"] = None
    stranger = rows.iloc[[0]].assign(date=REST[1])
    rows = pd.concat([rows, stranger])
    expected = [
        ("07-04", "MES", "unexpected"), ("07-10", "MES", "thin"), ("07-11", "MES", "cut"), ("07-12", "MES", "holed"),
        ("08-06", "MES", "missing"), ("08-07", "MES", "missing"),
    ]  # fmt: skip
    assert listed(rows) == expected
    assert listed(rows, "2024-07-11", "2024-08-06") == expected[2:5]
    counts = judged(rows, UNIVERSE, None, None).counts
    assert counts == {"complete": 56, "early_close": 1, "thin": 1, "holed": 1, "cut": 1, "unknown": 2}


def test_nothing_is_missing_before_the_first_session_after_the_last_or_of_a_market_that_hardly_trades() -> None:
    assert listed(sessions(), "2024-01-02", "2024-12-31") == []
    quiet = sessions("6L", 1_000)
    assert listed(quiet[quiet["date"] != "2024-08-06"]) == []


def test_a_long_hole_is_named_for_thirty_trade_dates() -> None:
    rows = sessions()
    hole = rows[(rows["date"] < "2024-07-08") | (rows["date"] > "2024-08-27")]
    missing = [day for day, _, verdict in listed(hole) if verdict == "missing"]
    assert (missing[0], missing[-1], len(missing)) == ("07-08", "08-16", 30)


def test_nothing_is_missing_before_five_sessions_made_a_habit() -> None:
    rows = sessions()
    assert [case[0] for case in listed(rows[rows["date"] != "2024-06-10"])] == ["06-10"]
    assert listed(rows[rows["date"] != "2024-06-07"]) == []


@pytest.mark.parametrize("symbol", ["MES", "ZLZ4"])
def test_contracts_come_and_go(symbol: str) -> None:
    rows = sessions(symbol)
    rows = rows[rows["date"] != "2024-08-06"]
    assert [case[0] for case in listed(rows)] == (["08-06"] if symbol == "MES" else [])
