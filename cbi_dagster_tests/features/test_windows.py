"""The window primitives against a reference that looks at one session at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.frames import InvalidFrameError
from cbi_dagster.catalog.spans import span_limit
from cbi_dagster.features.windows import Sessions, quotient, to_price_resolution

from .continuous_frames import random_market


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    return random_market(5, count=300)


def windows_one_at_a_time(sessions: Sessions, values: np.ndarray, count: int) -> list[list[float]]:
    """The values of the last `count` sessions of each session that exist within the limit, oldest first."""
    frame = sessions.frame.assign(value=values)
    windows = []
    for row in frame.itertuples():
        own = frame[(frame["symbol"] == row.symbol) & (frame["date"] <= row.date)].tail(count)
        age = [np.busday_count(day.date(), row.date.date()) for day in own["date"]]
        windows.append(list(own["value"][np.array(age) <= span_limit(count)]))
    return windows


@pytest.mark.parametrize("count", [1, 2, 5, 21, 60])
def test_windows_hold_what_a_walk_over_the_sessions_finds(market: pd.DataFrame, count: int) -> None:
    sessions = Sessions(market)
    values = sessions.column("adj_close")
    reference = windows_one_at_a_time(sessions, values, count)
    assert [len(window) for window in reference] == list(sessions.present(count))
    assert [len(window) == count for window in reference] == list(sessions.complete(count))
    oldest = [window[0] if len(window) == count else np.nan for window in reference]
    np.testing.assert_array_equal(sessions.previous(values, count - 1), oldest)
    means = [np.mean(window) if len(window) == count else np.nan for window in reference]
    np.testing.assert_allclose(sessions.mean(values, count), means, rtol=1e-13)
    enough = max(1, count // 2)
    medians = [np.median(window) if len(window) >= enough else np.nan for window in reference]
    np.testing.assert_array_equal(sessions.median(values, count, enough), medians)
    ranks = [np.mean(np.array(w) <= w[-1]) if len(w) >= enough else np.nan for w in reference]
    np.testing.assert_array_equal(sessions.percentile_rank(values, count, enough), ranks)
    if count > 1:
        deviations = [np.std(window, ddof=1) if len(window) == count else np.nan for window in reference]
        np.testing.assert_allclose(sessions.standard_deviation(values, count), deviations, rtol=1e-10)


def test_order_statistics_leave_unknown_values_out_and_sums_pass_them_on() -> None:
    dates = pd.bdate_range("2024-01-01", periods=5)
    sessions = Sessions(pd.DataFrame({"symbol": "ZL", "date": dates, "value": [3.0, np.nan, 1.0, 2.0, 2.0]}))
    values = sessions.column("value")
    np.testing.assert_array_equal(sessions.median(values, 3, 2), [np.nan, np.nan, 2.0, 1.5, 2.0])
    np.testing.assert_array_equal(sessions.percentile_rank(values, 3, 2), [np.nan, np.nan, 0.5, 1.0, 1.0])
    np.testing.assert_array_equal(sessions.mean(values, 2), [np.nan, np.nan, np.nan, 1.5, 2.0])


def test_sums_leave_unknown_values_out_where_fewer_are_enough() -> None:
    dates = pd.bdate_range("2024-01-01", periods=5)
    sessions = Sessions(pd.DataFrame({"symbol": "ZL", "date": dates, "value": [3.0, np.nan, 1.0, 2.0, 2.0]}))
    values = sessions.column("value")
    np.testing.assert_array_equal(sessions.mean(values, 3, 2), [np.nan, np.nan, 2.0, 1.5, 5 / 3])
    deviations = [np.nan, np.nan, np.sqrt(2.0), np.sqrt(0.5), np.sqrt(1 / 3)]
    np.testing.assert_allclose(sessions.standard_deviation(values, 3, 2), deviations, rtol=1e-15)


def test_nothing_crosses_from_one_symbol_to_the_next() -> None:
    dates = pd.bdate_range("2024-01-01", periods=3)
    frame = pd.concat([pd.DataFrame({"symbol": name, "date": dates, "value": 1.0}) for name in ("B", "A")])
    sessions = Sessions(frame)
    assert list(sessions.present(3)) == [1, 2, 3, 1, 2, 3]
    assert list(sessions.complete(2)) == [False, True, True, False, True, True]


def test_order_of_input_and_kind_of_symbol_do_not_matter(market: pd.DataFrame) -> None:
    # A categorical whose categories are not in alphabetical order must still come out by name.
    categorical = market["symbol"].astype(pd.CategoricalDtype(["ZL", "6L", "CL"]))
    shuffled = market.assign(symbol=categorical).sample(frac=1, random_state=1)
    plain, other = Sessions(market).frame, Sessions(shuffled).frame
    assert list(plain["symbol"]) == list(other["symbol"])
    pd.testing.assert_frame_equal(plain.drop(columns="symbol"), other.drop(columns="symbol"))


def test_a_quotient_by_nothing_positive_is_unknown() -> None:
    np.testing.assert_array_equal(
        quotient(np.array([3.0, 1.0, 1.0, -3.0]), np.array([2.0, 0.0, -1.0, 4.0])), [1.5, np.nan, np.nan, -0.75]
    )


def test_rounding_puts_a_computed_level_on_the_tick_it_means() -> None:
    assert 0.1 + 0.2 != 0.3
    assert to_price_resolution(np.array([0.1 + 0.2]))[0] == 0.3
    assert to_price_resolution(np.array([12000.25 * 1.1 / 1.1]))[0] == 12000.25


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"date": pd.to_datetime(["2024-01-05", "2024-01-06"])}, "ZL has a session on 2024-01-06, a weekend"),
        (
            {"date": pd.to_datetime(["2024-01-05", "2024-01-05"])},
            r"repeat .* in 1 rows, first \(ZL, 2024-01-05\)",
        ),
        ({"date": pd.to_datetime(["2024-01-05", None])}, "NULL"),
        ({"symbol": ["ZL", None]}, "NULL"),
    ],
)
def test_what_is_not_a_table_of_sessions_is_refused(changes: dict[str, object], complaint: str) -> None:
    frame = pd.DataFrame({"symbol": ["ZL", "ZL"], "date": pd.to_datetime(["2024-01-04", "2024-01-05"])})
    with pytest.raises(InvalidFrameError, match=complaint):
        Sessions(frame.assign(**changes))


def test_a_missing_column_is_named() -> None:
    frame = pd.DataFrame({"symbol": ["ZL"], "date": pd.to_datetime(["2024-01-04"])})
    with pytest.raises(InvalidFrameError, match="adj_close"):
        Sessions(frame, ("symbol", "date", "adj_close"))
    with pytest.raises(InvalidFrameError, match="date"):
        Sessions(frame.drop(columns="date"))


def test_windows_are_the_same_bit_for_bit_wherever_the_history_begins_and_whatever_else_the_frame_holds() -> None:
    dates = pd.bdate_range("1990-01-01", periods=7_000)
    market = pd.concat([pd.DataFrame({"symbol": name, "date": dates}) for name in ("CL", "RB", "ZL")])
    rng = np.random.default_rng(7)
    market["value"] = np.where(rng.random(len(market)) < 0.05, np.nan, rng.normal(size=len(market)).round(1))
    market = market[rng.random(len(market)) < 0.9]
    oil = market[market["symbol"] == "ZL"]

    def results(sessions: Sessions) -> np.ndarray:
        value = sessions.column("value")
        made = (
            sessions.mean(value, 63, 40),
            sessions.standard_deviation(value, 63, 40),
            sessions.median(value, 300, 100),
            sessions.percentile_rank(value, 300, 100),
        )
        return np.stack(made)[:, sessions.rows("ZL")]

    whole = results(Sessions(market))
    assert (~np.isnan(whole)).any(axis=1).all()
    for first in (0, 1, 90, 200):
        reach = 300 if first else 0
        cut = results(Sessions(oil.iloc[first:]))
        np.testing.assert_array_equal(cut[:, reach:], whole[:, first + reach :])
