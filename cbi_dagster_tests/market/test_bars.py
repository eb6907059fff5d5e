import numpy as np
import pandas as pd
import pytest

from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.bars import held_back_counts, quarantine_rows, session_bars

UNIVERSE = load_universe()
NOTHING_SAID = pd.DataFrame({"utc_date": [], "condition": [], "date": []})

# The MES session of Tuesday 2024-06-18: contract 2 from 00:00 UTC (19:00 Chicago) on, contract 1 before.
ROLL_SESSION = [
    ("2024-06-17 17:00", "MES.v.0", 1, 2, 100.0, 101.0, 99.0, 100.5, 10),
    ("2024-06-17 18:00", "MES.v.0", 1, 2, 100.5, 120.0, 80.0, 101.0, 10),
    ("2024-06-17 19:00", "MES.v.0", 2, 2, 111.0, 112.0, 110.0, 111.5, 4),
    ("2024-06-18 12:00", "MES.v.0", 2, 2, 111.5, 114.0, 111.0, 113.0, 1),
    ("2024-06-18 15:00", "MES.v.0", 2, 2, 113.0, 113.5, 112.0, 112.5, 5),
]


def test_a_session_has_one_contract_and_the_others_bars_are_rejected(landed):
    built = session_bars({"ohlcv-1h": landed(ROLL_SESSION)}, NOTHING_SAID, UNIVERSE)
    row = built.sessions.iloc[0]
    assert len(built.sessions) == 1
    assert (row["symbol"], row["instrument_id"], row["volume"], row["bars_seen"]) == ("MES", 2, 10, 3)
    assert (row["open"], row["high"], row["low"], row["close"]) == (111.0, 114.0, 110.0, 112.5)
    assert built.rejected["reason"].tolist() == ["roll_boundary"] * 2
    assert (row["boundary_instrument_id"], row["boundary_close"]) == (1, 101.0)


def test_every_bar_that_goes_in_is_accounted_for(landed):
    hours = landed(ROLL_SESSION)
    hours.loc[4, "session_covered"] = False
    minutes = landed([("2024-06-18 12:00", "ES.v.0", 5, 5, 1.0, 1.0, 1.0, 1.0, 3)])
    coarse = landed([("2024-06-18 12:00", "ES.v.0", 5, 5, 1.0, 1.0, 1.0, 1.0, 3)])
    built = session_bars(
        {"ohlcv-1m": minutes, "ohlcv-1h": pd.concat([hours, coarse], ignore_index=True)}, NOTHING_SAID, UNIVERSE
    )
    assert built.used_rows + built.superseded_rows + len(built.rejected) + len(built.held_back) == 7
    assert built.superseded_rows == 1


def test_vwap_weights_typical_prices_by_volume(landed):
    row = session_bars({"ohlcv-1h": landed(ROLL_SESSION)}, NOTHING_SAID, UNIVERSE).sessions.iloc[0]
    typical = [(112 + 110 + 111.5) / 3, (114 + 111 + 113) / 3, (113.5 + 112 + 112.5) / 3]
    assert row["vwap"] == pytest.approx(np.average(typical, weights=[4, 1, 5]))


def test_realized_vol_sums_squared_hourly_log_returns_from_the_open(landed):
    row = session_bars({"ohlcv-1h": landed(ROLL_SESSION)}, NOTHING_SAID, UNIVERSE).sessions.iloc[0]
    returns = np.diff(np.log([111.0, 111.5, 113.0, 112.5]))
    assert row["realized_vol_1h"] == pytest.approx(np.sqrt((returns**2).sum()))


def test_minutes_and_hours_of_one_session_give_one_answer(landed):
    rng = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, 300)))
    start = pd.Timestamp("2024-06-18 08:30")
    minutes = landed(
        [
            (start + pd.Timedelta(minutes=i), "MES.v.0", 2, 2, c, c + 0.25, c - 0.25, c, int(v))
            for i, (c, v) in enumerate(zip(close, rng.integers(1, 50, 300), strict=True))
        ]
    )
    hour = minutes["ts_event"].dt.floor("h")
    hours = minutes.groupby(hour).agg(
        {"symbol": "first", "instrument_id": "first", "session_instrument_id": "first", "open": "first", "high": "max",
         "low": "min", "close": "last", "volume": "sum", "date": "first", "root": "first", "session_covered": "first",
         "dataset": "first", "source_file": "first", "source_row": "first"}
    )  # fmt: skip
    hours = hours.reset_index()
    fine = session_bars({"ohlcv-1m": minutes}, NOTHING_SAID, UNIVERSE).sessions.iloc[0]
    coarse = session_bars({"ohlcv-1h": hours}, NOTHING_SAID, UNIVERSE).sessions.iloc[0]
    for name in ("open", "high", "low", "close", "volume"):
        assert fine[name] == coarse[name]
    assert fine["realized_vol_1h"] == pytest.approx(coarse["realized_vol_1h"])
    assert (fine["bar_source"], coarse["bar_source"]) == ("ohlcv-1m", "ohlcv-1h")


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"session_covered": False}, "session_not_covered"), ({"session_instrument_id": pd.NA}, "contract_unknown")],
)
def test_an_incomplete_session_is_held_back_whole(landed, change, reason):
    bars = landed(ROLL_SESSION).assign(**change)
    bars["session_instrument_id"] = bars["session_instrument_id"].astype("Int64")
    built = session_bars({"ohlcv-1h": bars}, NOTHING_SAID, UNIVERSE)
    assert built.sessions.empty
    assert built.held_back["reason"].tolist() == [reason] * 5


def test_sunday_utc_day_bars_fold_into_monday_and_know_no_intraday_values(landed):
    days = landed(
        [
            ("2024-06-16 19:00", "ES.v.0", 5, 5, 10.0, 12.0, 9.0, 11.0, 3),
            ("2024-06-16 19:01", "ES.v.0", 5, 5, 11.0, 15.0, 10.0, 14.0, 7),
        ]
    )
    row = session_bars({"ohlcv-1d": days}, NOTHING_SAID, UNIVERSE).sessions.iloc[0]
    assert (row["open"], row["high"], row["low"], row["close"], row["volume"]) == (10.0, 15.0, 9.0, 14.0, 10)
    assert row["bar_source"] == "utc_1d_merged"
    assert np.isnan([row["vwap"], row["realized_vol_1h"]]).all()


def test_other_series_keep_their_own_symbol(landed):
    bars = landed(
        [
            ("2024-06-18 09:00", "ZL.v.1", 8, 8, 1.0, 1.0, 1.0, 1.0, 1),
            ("2024-06-18 09:00", "ZLZ4", 9, 9, 1.0, 1.0, 1.0, 1.0, 1),
        ]
    )
    sessions = session_bars({"ohlcv-1h": bars}, NOTHING_SAID, UNIVERSE).sessions
    assert sessions["symbol"].tolist() == ["ZL.v.1", "ZLZ4"]
    assert sessions["contract"].tolist() == [None, "ZLZ4"]


def test_nothing_landed_gives_no_sessions():
    built = session_bars({}, NOTHING_SAID, UNIVERSE)
    assert built.sessions.empty
    assert "date" in built.sessions


def test_the_order_of_the_landed_bars_does_not_matter(landed):
    bars = landed(
        [
            *ROLL_SESSION,
            ("2024-06-18 17:00", "MES.v.0", 2, 2, 112.0, 113.0, 110.0, 110.5, 7),
            ("2024-06-19 09:00", "MES.v.0", 2, 2, 110.5, 111.0, 105.0, 106.0, 9),
            ("2024-06-17 17:00", "ES.v.0", 5, 5, 10.0, 12.0, 9.0, 11.0, 3),
            ("2024-06-19 09:00", "ES.v.0", 5, 5, 11.0, 12.0, 10.5, 10.0, 4),
        ]
    )
    in_order = session_bars({"ohlcv-1h": bars}, NOTHING_SAID, UNIVERSE).sessions
    assert in_order["symbol"].tolist() == ["ES", "ES", "MES", "MES"]
    assert in_order["date"].dt.day.tolist() == [18, 19, 18, 19]
    assert in_order["volume"].tolist() == [3, 4, 10, 16]
    assert in_order["boundary_close"].tolist()[2] == 101.0
    for shuffled in (bars[::-1], bars.sample(frac=1.0, random_state=3)):
        found = session_bars({"ohlcv-1h": shuffled.reset_index(drop=True)}, NOTHING_SAID, UNIVERSE).sessions
        pd.testing.assert_frame_equal(found, in_order, check_exact=True)


def test_sessions_of_several_schemas_are_put_in_order(landed):
    hours = landed([(f"2024-06-{day} 09:00", "ZL.v.0", 8, 8, 1.0, 1.0, 1.0, 1.0, 1) for day in (17, 18, 19)])
    minutes = landed([("2024-06-18 09:00", symbol, 8, 8, 2.0, 2.0, 2.0, 2.0, 1) for symbol in ("ZL.v.0", "MES.v.0")])
    built = session_bars({"ohlcv-1h": hours, "ohlcv-1m": minutes}, NOTHING_SAID, UNIVERSE)
    assert built.sessions["symbol"].tolist() == ["MES", "ZL", "ZL", "ZL"]
    assert built.sessions["bar_source"].tolist() == ["ohlcv-1m", "ohlcv-1h", "ohlcv-1m", "ohlcv-1h"]
    assert built.sessions.index.equals(pd.RangeIndex(4))
    assert (built.used_rows, built.superseded_rows) == (4, 1)


def test_a_session_says_what_its_product_and_its_exchange_say(landed):
    rows = [("2024-06-18 09:00", "ZL.v.0", 8, 8, 1.0, 1.0, 1.0, 1.0, 1), *ROLL_SESSION]
    sessions = session_bars({"ohlcv-1h": landed(rows)}, NOTHING_SAID, UNIVERSE).sessions.set_index("symbol")
    # Grains settle early in the afternoon; MES closes at 16:00 Chicago.
    closes = sessions["session_close_ts"].dt.tz_convert("America/Chicago").dt.strftime("%Y-%m-%d %H:%M")
    assert closes.to_dict() == {"MES": "2024-06-18 16:00", "ZL": "2024-06-18 13:20"}
    for symbol in ("MES", "ZL"):
        product = UNIVERSE.product(symbol)
        assert (sessions.loc[symbol, "exchange"], sessions.loc[symbol, "currency"]) == (product.venue, product.currency)
    assert sessions["boundary_instrument_id"].dtype == "Int64"


def test_rejected_and_held_back_bars_are_told_row_by_row_and_counted(landed):
    bars = landed(ROLL_SESSION)
    told = quarantine_rows(session_bars({"ohlcv-1h": bars}, NOTHING_SAID, UNIVERSE).rejected)
    assert told["source_row"].tolist() == [0, 1]
    assert told["detail"].tolist()[1] == "open=100.5, high=120, low=80, close=101, volume=10"
    assert told["reason"].tolist() == ["roll_boundary"] * 2
    unknown = bars.assign(session_instrument_id=pd.array([pd.NA] * 5, dtype="Int64"))
    unknown.loc[4, "session_covered"] = False
    counts = held_back_counts(session_bars({"ohlcv-1h": unknown}, NOTHING_SAID, UNIVERSE).held_back)
    assert counts.drop(columns="date").to_dict("records") == [
        {"symbol": "MES.v.0", "vendor_schema": "ohlcv-1h", "reason": "contract_unknown", "bar_rows": 4},
        {"symbol": "MES.v.0", "vendor_schema": "ohlcv-1h", "reason": "session_not_covered", "bar_rows": 1},
    ]
    nothing = session_bars({}, NOTHING_SAID, UNIVERSE)
    assert len(quarantine_rows(nothing.rejected)) == len(held_back_counts(nothing.held_back)) == 0
