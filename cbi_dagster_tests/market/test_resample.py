"""Session-anchored bars of every horizon."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.columns.mes import RESAMPLED
from cbi_dagster.catalog.frames import InvalidFrameError
from cbi_dagster.config.horizons import load_horizons
from cbi_dagster.market.resample import HORIZON_MINUTES, resampled_bars

from .intraday_frames import intraday_market

CHICAGO = "America/Chicago"


def sessions_of(bars: pd.DataFrame, **columns: object) -> pd.DataFrame:
    rows = bars.drop_duplicates("date")[["date", "session_instrument_id"]]
    frame = rows.rename(columns={"session_instrument_id": "instrument_id"}).astype({"instrument_id": "int64"})
    return frame.assign(**{"symbol": "MES", "bar_source": "ohlcv-1m", "adj_factor": 1.0, **columns})


def reference(bars: pd.DataFrame, sessions: pd.DataFrame, minutes: int) -> pd.DataFrame:
    """Straight from the source bars, one block at a time, with wall-clock arithmetic only."""
    contract = sessions.set_index("date")["instrument_id"]
    factor = sessions.set_index("date")["adj_factor"]
    blocks: dict[tuple[pd.Timestamp, int], list] = {}
    for bar in bars.sort_values("ts_event").itertuples():
        if bar.session_covered and contract.get(bar.date) == bar.instrument_id:
            wall = bar.ts_event.tz_convert(CHICAGO).tz_localize(None)
            since_five = (wall - (bar.date - pd.Timedelta(hours=7))) // pd.Timedelta(minutes=1)
            blocks.setdefault((bar.date, since_five // minutes), []).append(bar)
    rows = []
    for (date, block), inside in blocks.items():
        close = date - pd.Timedelta(hours=7) + pd.Timedelta(minutes=(block + 1) * minutes)
        rows.append(
            (date, "MES", close.tz_localize(CHICAGO).tz_convert("UTC"), contract[date], inside[0].open,
             max(bar.high for bar in inside), min(bar.low for bar in inside), inside[-1].close,
             sum(bar.volume for bar in inside), factor[date])
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(RESAMPLED))


@pytest.fixture(scope="module")
def market() -> tuple[pd.DataFrame, pd.DataFrame]:
    # Across the end of daylight saving (2024-11-03) and a roll.
    return intraday_market(5, pd.bdate_range("2024-10-30", periods=6), roll_every=4, activity=0.6)


def test_the_horizons_are_those_of_the_training_tables() -> None:
    declared = {horizon.name: horizon.minutes for horizon in load_horizons().intraday_horizons}
    assert declared == HORIZON_MINUTES
    lengths = list(HORIZON_MINUTES.values())
    assert all(longer % shorter == 0 for shorter, longer in itertools.pairwise(lengths))


@pytest.mark.parametrize("horizon", HORIZON_MINUTES)
def test_every_horizon_equals_aggregation_straight_from_minutes(market, horizon: str) -> None:
    bars, sessions = market
    built = resampled_bars({"ohlcv-1m": bars.sample(frac=1, random_state=1)}, sessions)[horizon]
    expected = reference(bars, sessions, HORIZON_MINUTES[horizon])
    pd.testing.assert_frame_equal(
        built.astype({"symbol": object}), expected, check_exact=True, check_dtype=False, check_index_type="equiv"
    )
    assert built["bar_close_ts"].is_monotonic_increasing


@pytest.mark.parametrize("horizon", HORIZON_MINUTES)
def test_the_bars_of_a_holiday_are_blocks_of_the_session_that_they_belong_to(market, horizon: str) -> None:
    bars, sessions = market
    holiday, business_day = sessions["date"].iloc[1:3]
    joined = bars.assign(
        date=bars["date"].where(bars["date"] != holiday, business_day),
        session_instrument_id=bars["session_instrument_id"].where(bars["date"] != holiday, bars["instrument_id"]),
    )
    kept = sessions[sessions["date"] != holiday]
    apart = resampled_bars({"ohlcv-1m": bars}, sessions)[horizon]
    built = resampled_bars({"ohlcv-1m": joined.sample(frac=1, random_state=1)}, kept)[horizon]
    expected = apart.assign(date=apart["date"].where(apart["date"] != holiday, business_day))
    pd.testing.assert_frame_equal(built, expected, check_exact=True)
    made = resampled_bars({horizon: built.drop(columns="adj_factor")}, kept)
    assert made[horizon].equals(built)


@pytest.mark.parametrize(("shorter", "longer"), [*itertools.pairwise(HORIZON_MINUTES), ("1min", "4hr")])
def test_bars_made_of_shorter_bars_are_those_made_of_minutes(market, shorter: str, longer: str) -> None:
    bars, sessions = market
    straight = resampled_bars({"ohlcv-1m": bars}, sessions)
    shuffled = straight[shorter].drop(columns="adj_factor").sample(frac=1, random_state=2)
    (built,) = resampled_bars({shorter: shuffled}, sessions, [longer]).values()
    pd.testing.assert_frame_equal(built, straight[longer], check_exact=True)
    last = sessions["date"].max()
    (without,) = resampled_bars({shorter: shuffled}, sessions[sessions["date"] < last], [longer]).values()
    pd.testing.assert_frame_equal(without, straight[longer][straight[longer]["date"] < last], check_exact=True)


def test_four_hour_blocks_close_at_21_01_05_09_13_and_17_in_winter_and_summer(market) -> None:
    four = resampled_bars({"ohlcv-1m": market[0]}, market[1])["4hr"]
    hours = four["bar_close_ts"].dt.tz_convert(CHICAGO).dt.hour.to_numpy().reshape(-1, 6)
    assert (hours == [21, 1, 5, 9, 13, 17]).all()
    assert len(hours) == len(market[1])


def test_a_bar_is_named_by_the_end_of_its_block(landed) -> None:
    bars = landed([
        ("2024-06-17 17:00", "MES.v.0", 2, 2, 100.0, 101.0, 99.0, 100.5, 10),
        ("2024-06-17 17:04", "MES.v.0", 2, 2, 100.5, 102.0, 98.0, 101.0, 7),
        ("2024-06-17 17:05", "MES.v.0", 2, 2, 103.0, 103.0, 103.0, 103.0, 1),
    ])  # fmt: skip
    built = resampled_bars({"ohlcv-1m": bars}, sessions_of(bars))["5min"]
    closes = built["bar_close_ts"].dt.tz_convert(CHICAGO).dt.strftime("%H:%M").tolist()
    assert closes == ["17:05", "17:10"]
    assert built.loc[0, ["open", "high", "low", "close", "volume"]].tolist() == [100.0, 102.0, 98.0, 101.0, 17]


def test_the_session_close_completes_the_last_block_and_the_next_session_starts_its_own(landed) -> None:
    bars = landed([
        ("2024-06-18 15:59", "MES.v.0", 2, 2, 1.0, 1.0, 1.0, 1.0, 1),
        ("2024-06-18 17:00", "MES.v.0", 2, 2, 2.0, 2.0, 2.0, 2.0, 1),
    ])  # fmt: skip
    built = resampled_bars({"ohlcv-1m": bars}, sessions_of(bars))["4hr"]
    assert built["date"].dt.day.tolist() == [18, 19]
    assert built["close"].tolist() == [1.0, 2.0]


def test_bars_of_another_contract_and_of_uncovered_or_unknown_sessions_yield_nothing(landed) -> None:
    bars = landed([
        ("2024-06-17 17:00", "MES.v.0", 1, 2, 9.0, 9.0, 9.0, 9.0, 1),
        ("2024-06-17 19:00", "MES.v.0", 2, 2, 1.0, 1.0, 1.0, 1.0, 1),
        ("2024-06-19 10:00", "MES.v.0", 2, 2, 5.0, 5.0, 5.0, 5.0, 1),
        ("2024-06-20 10:00", "MES.v.0", 2, 2, 6.0, 6.0, 6.0, 6.0, 1),
    ])  # fmt: skip
    bars.loc[2, "session_covered"] = False
    sessions = sessions_of(bars)
    built = resampled_bars({"ohlcv-1m": bars}, sessions[sessions["date"] < "2024-06-20"])
    for frame in built.values():
        assert frame["close"].tolist() == [1.0]


def test_a_horizon_finer_than_the_stored_schema_is_empty() -> None:
    bars, sessions = intraday_market(5, pd.bdate_range("2024-06-03", periods=4), minutes=60)
    built = resampled_bars({"ohlcv-1h": bars}, sessions)
    assert {horizon: len(frame) > 0 for horizon, frame in built.items()} == {
        "1min": False, "5min": False, "15min": False, "30min": False, "1hr": True, "4hr": True,
    }  # fmt: skip
    assert (built["1min"].dtypes == built["1hr"].dtypes).all()


def test_each_session_comes_from_the_schema_that_built_it(market) -> None:
    bars, sessions = market
    mixed = sessions.assign(bar_source=["ohlcv-1h"] * 2 + ["utc_1d"] + ["ohlcv-1m"] * 3)
    hours = resampled_bars({"ohlcv-1m": bars}, sessions)["1hr"]
    landed_hours = hours.assign(ts_event=hours["bar_close_ts"] - pd.Timedelta(hours=1), session_covered=True)
    built = resampled_bars({"ohlcv-1m": bars, "ohlcv-1h": landed_hours}, mixed)
    days = sessions["date"]
    assert set(built["1min"]["date"]) == set(days[3:])
    expected = hours[hours["date"] != days[2]].reset_index(drop=True)
    pd.testing.assert_frame_equal(built["1hr"], expected)


def test_a_session_alone_gives_the_same_bars_as_all_together(market) -> None:
    bars, sessions = market
    full = resampled_bars({"ohlcv-1m": bars}, sessions)
    for date in sessions["date"]:
        alone = resampled_bars({"ohlcv-1m": bars[bars["date"] == date]}, sessions[sessions["date"] == date])
        for horizon, frame in full.items():
            expected = frame[frame["date"] == date].reset_index(drop=True)
            pd.testing.assert_frame_equal(alone[horizon], expected, check_exact=True)


def test_nothing_landed_gives_empty_frames(market) -> None:
    for bars in ({}, {"ohlcv-1m": market[0].iloc[:0]}):
        built = resampled_bars(bars, market[1])
        assert all(len(frame) == 0 and tuple(frame.columns) == RESAMPLED for frame in built.values())
    assert len(resampled_bars({"ohlcv-1m": market[0]}, market[1].iloc[:0])["1min"]) == 0


def test_what_cannot_be_resampled_is_refused_by_name(market) -> None:
    bars, sessions = market
    with pytest.raises(InvalidFrameError, match="two bars of one start in the session 2024-10-30"):
        resampled_bars({"ohlcv-1m": pd.concat([bars, bars.iloc[:1]])}, sessions)
    with pytest.raises(InvalidFrameError, match="session_covered"):
        resampled_bars({"ohlcv-1m": bars.drop(columns="session_covered")}, sessions)
    with pytest.raises(InvalidFrameError, match="sessions lack bar_source"):
        resampled_bars({"ohlcv-1m": bars}, sessions.drop(columns="bar_source"))
    with pytest.raises(InvalidFrameError, match="date 2024-10-31 00:00:00 is repeated"):
        resampled_bars({"ohlcv-1m": bars}, pd.concat([sessions, sessions.iloc[1:2]]))
    with pytest.raises(InvalidFrameError, match="sessions are of 2 symbols"):
        resampled_bars({"ohlcv-1m": bars}, sessions.assign(symbol=np.where(np.arange(6) > 2, "ES", "MES")))


def test_bars_of_a_horizon_that_lack_a_column_are_refused_by_name(market) -> None:
    bars, sessions = market
    minutes = resampled_bars({"ohlcv-1m": bars}, sessions)["1min"]
    with pytest.raises(InvalidFrameError, match="bars of a horizon lack volume"):
        resampled_bars({"1min": minutes.drop(columns="volume")}, sessions)


def test_a_repeated_bar_is_refused_also_where_the_bars_are_in_order(market) -> None:
    bars, sessions = market
    day = bars.loc[bars["session_instrument_id"] == bars["instrument_id"], "date"].iloc[-1]
    twice = pd.concat([bars, bars.iloc[-1:]])
    assert twice["ts_event"].is_monotonic_increasing
    with pytest.raises(InvalidFrameError, match=f"two bars of one start in the session {day:%Y-%m-%d}"):
        resampled_bars({"ohlcv-1m": twice}, sessions)
