"""What a function may demand of a frame, and how a frame that is something else is refused."""

from __future__ import annotations

import pandas as pd
import pytest

from cbi_dagster.catalog.frames import InvalidFrameError, require, require_order

ROWS = pd.DataFrame(
    {
        "symbol": ["MES", "MES", "MES"],
        "date": pd.to_datetime(["2024-01-02", "2024-01-03", "2024-01-04"]),
        "close": [1.0, 2.0, 3.0],
    }
)
KEY = ("symbol", "date")


def test_a_frame_that_has_what_is_needed_passes() -> None:
    require(ROWS, (*KEY, "close"), "sessions", key=KEY)
    require_order(ROWS, "date", "sessions")
    require(ROWS.iloc[:0], KEY, "sessions", key=KEY)
    require_order(ROWS.iloc[:0], "date", "sessions")


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (ROWS.drop(columns=["close", "date"]), "sessions lack date, close; give the columns symbol, date, close"),
        (ROWS.assign(date=pd.NaT), "sessions have 3 rows whose date is NULL"),
        (ROWS.assign(symbol=["MES", None, "MES"]), "sessions have 1 rows whose symbol is NULL"),
        (pd.concat([ROWS, ROWS.tail(2)]), r"repeat \(symbol, date\) in 2 rows, first \(MES, 2024-01-03\)"),
    ],
)
def test_a_missing_column_a_null_and_a_repeated_key_are_named(rows: pd.DataFrame, complaint: str) -> None:
    with pytest.raises(InvalidFrameError, match=complaint):
        require(rows, (*KEY, "close"), "sessions", key=KEY)


@pytest.mark.parametrize("position", [1, 2])
def test_rows_that_repeat_or_go_back_are_named(position: int) -> None:
    rows = ROWS.copy()
    rows.loc[position, "date"] = rows.loc[position - 1, "date"]
    with pytest.raises(InvalidFrameError, match=f"bars: date 2024-01-0{position + 1} 00:00:00 is repeated or out of"):
        require_order(rows, "date", "bars")


def test_rows_of_two_symbols_have_no_order() -> None:
    with pytest.raises(InvalidFrameError, match="bars are of 2 symbols"):
        require_order(ROWS.assign(symbol=["MES", "MES", "ES"]), "date", "bars")
