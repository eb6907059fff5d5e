"""Volatility per (symbol, trade date)."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.tables.features import VOLATILITY_DAILY
from cbi_dagster.features.volatility import volatility_daily

from .continuous_frames import (
    assert_the_past_stands,
    assert_windows_suffice,
    continuous_frame,
    declared_back,
    random_market,
    random_sessions,
)

DAYS = pd.bdate_range("2015-01-20", "2017-01-10", freq="11B")


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    return random_market(11, count=480)


def test_every_session_has_one_row_in_order(market: pd.DataFrame) -> None:
    volatility = volatility_daily(market)
    expected = market[["symbol", "date"]].sort_values(["symbol", "date"], ignore_index=True)
    pd.testing.assert_frame_equal(volatility[["symbol", "date"]], expected)


def test_an_empty_frame_gives_an_empty_frame_of_the_same_columns(market: pd.DataFrame) -> None:
    empty = volatility_daily(market.iloc[:0])
    assert len(empty) == 0
    assert (empty.dtypes == volatility_daily(market).dtypes).all()


def test_values_are_what_the_formulas_say() -> None:
    frame = random_sessions("ZL", 3, 420, holiday_rate=0.0)
    row = volatility_daily(frame).set_index("date").loc[frame["date"].iloc[-1]]
    returns = [math.log(now / before) for before, now in itertools.pairwise(frame["adj_close"])]
    year = math.sqrt(252)
    for count in (5, 10, 21, 63):
        expected = statistics.stdev(returns[-count:]) * year
        assert row[f"realized_vol_{count}d"] == pytest.approx(expected, rel=1e-12)
    ranges = [math.log(high / low) ** 2 for high, low in zip(frame["adj_high"], frame["adj_low"], strict=True)]
    parkinson = math.sqrt(statistics.fmean(ranges[-21:]) / (4 * math.log(2))) * year
    assert row["parkinson_vol_21d"] == pytest.approx(parkinson, rel=1e-12)
    monthly = [statistics.stdev(returns[end - 21 : end]) * year for end in range(len(returns) - 251, len(returns) + 1)]
    assert len(monthly) == 252
    assert row["vol_percentile"] == sum(vol <= monthly[-1] for vol in monthly) / 252
    assert row["k_vol"] == pytest.approx(monthly[-1] / statistics.median(monthly), rel=1e-12)
    assert row["realized_vol_1h"] == 0.01


def test_warm_up_is_null_to_the_session() -> None:
    volatility = volatility_daily(random_sessions("ZL", 3, 200, holiday_rate=0.0))
    first = {column: int(volatility[column].first_valid_index()) for column in volatility.columns[3:]}
    assert first == {
        "realized_vol_5d": 5,
        "realized_vol_10d": 10,
        "realized_vol_21d": 21,
        "realized_vol_63d": 63,
        "parkinson_vol_21d": 20,
        "vol_percentile": 21 + 125,
        "k_vol": 21 + 125,
    }


def test_a_roll_alone_is_no_volatility() -> None:
    dates = pd.bdate_range("2020-01-01", periods=60)
    rolled = np.arange(60) >= 40
    frame = continuous_frame("ZL", dates, np.where(rolled, 44.0, 40.0), factor=np.where(rolled, 40 / 44, 1.0))
    assert volatility_daily(frame)["realized_vol_21d"].dropna().max() == pytest.approx(0, abs=1e-12)


def test_a_market_that_stands_still_has_rank_one_and_no_ratio() -> None:
    frame = continuous_frame("ZL", pd.bdate_range("2020-01-01", periods=160), np.full(160, 50.0))
    last = volatility_daily(frame).iloc[-1]
    assert last["realized_vol_21d"] == 0
    assert last["vol_percentile"] == 1
    assert np.isnan(last["k_vol"])


def test_a_market_that_has_just_begun_to_move_has_no_ratio_either() -> None:
    close = np.where(np.arange(160) < 150, 50.0, 50.0 + np.arange(160) % 2)
    last = volatility_daily(continuous_frame("ZL", pd.bdate_range("2020-01-01", periods=160), close)).iloc[-1]
    assert last["realized_vol_21d"] > 0
    assert np.isnan(last["k_vol"])


def test_the_ratio_is_clamped_on_both_sides() -> None:
    dates = pd.bdate_range("2020-01-01", periods=300)
    for calm_until, expected in ((270, 3.0), (1, 0.5)):
        step = np.where(np.arange(300) < calm_until, 0.001, 0.05)
        step = np.where((calm_until == 1) & (np.arange(300) >= 270), 0.001, step)
        close = 50 * np.exp(np.cumsum(step * np.where(np.arange(300) % 2, 1, -1)))
        assert volatility_daily(continuous_frame("ZL", dates, close)).iloc[-1]["k_vol"] == expected


def test_a_price_that_is_not_positive_makes_its_windows_null() -> None:
    frame = random_sessions("CL", 3, 60, holiday_rate=0.0)
    frame.loc[30, ["low", "close", "adj_low", "adj_close"]] = -37.63
    volatility = volatility_daily(frame)
    assert volatility["realized_vol_5d"].isna().to_numpy().nonzero()[0].tolist() == [*range(5), *range(30, 36)]
    assert volatility["parkinson_vol_21d"][30:51].isna().all()
    assert not np.isinf(volatility.select_dtypes("number")).any().any()


def test_an_unknown_factor_makes_everything_but_the_carried_column_null() -> None:
    frame = random_sessions("ZL", 3, 60)
    frame.loc[30:, [column for column in frame if column.startswith("adj_")]] = np.nan
    after = volatility_daily(frame).iloc[30:]
    assert after["realized_vol_1h"].notna().all()
    assert after.drop(columns=["date", "symbol", "realized_vol_1h"]).isna().all().all()


def test_no_return_is_taken_across_a_hole() -> None:
    frame = random_sessions("ZL", 3, 80, holiday_rate=0.0)
    just_within, too_long = (frame.drop(index=range(40, 40 + missing)) for missing in (4, 5))
    assert volatility_daily(just_within)["realized_vol_5d"][5:].notna().all()
    assert volatility_daily(too_long)["realized_vol_5d"][40:45].isna().all()
    assert volatility_daily(too_long)["realized_vol_5d"][45:].notna().all()


def test_deleting_the_future_changes_nothing(market: pd.DataFrame) -> None:
    assert_the_past_stands(volatility_daily, market, DAYS[::8])


def test_a_planted_look_ahead_is_noticed(market: pd.DataFrame) -> None:
    def looks_ahead(frame: pd.DataFrame) -> pd.DataFrame:
        ahead = frame.sort_values("date").groupby("symbol")["adj_close"].shift(-1)
        return volatility_daily(frame.assign(adj_close=ahead))

    with pytest.raises(AssertionError):
        assert_the_past_stands(looks_ahead, market, DAYS[::8])


def test_a_day_alone_equals_the_full_rebuild(market: pd.DataFrame) -> None:
    assert_windows_suffice(volatility_daily, market, DAYS, declared_back(VOLATILITY_DAILY))


@pytest.mark.parametrize("back", [252, 252 + 21])
def test_sessions_counted_as_trade_dates_would_not_do(market: pd.DataFrame, back: int) -> None:
    with pytest.raises(AssertionError):
        assert_windows_suffice(volatility_daily, market, DAYS, back)
