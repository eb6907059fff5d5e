import datetime as dt

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.columns.sessions import SESSIONS
from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.rolls import continuous, delivery_month, forced_roll_date, front_at_decision, select_outrights

UNIVERSE = load_universe()


def sessions(rows):
    """Sessions: (date, symbol, contract, instrument, open, close, volume, boundary instrument, boundary close)."""
    frame = pd.DataFrame(
        rows,
        columns=[
            "date",
            "symbol",
            "contract",
            "instrument_id",
            "open",
            "close",
            "volume",
            "boundary_instrument_id",
            "boundary_close",
        ],
    )
    frame["date"] = pd.to_datetime(frame["date"])
    frame["root"] = frame["symbol"].str[:2]
    frame["boundary_instrument_id"] = frame["boundary_instrument_id"].astype("Int64")
    frame["boundary_close"] = frame["boundary_close"].astype(float)
    frame["high"] = frame[["open", "close"]].max(axis=1)
    frame["low"] = frame[["open", "close"]].min(axis=1)
    return frame.reindex(columns=list(SESSIONS))


def test_a_roll_between_sessions_compares_last_close_with_first_open():
    front = continuous(
        sessions(
            [
                ("2024-01-02", "ZL", None, 1, 50, 50.0, 9, None, None),
                ("2024-01-03", "ZL", None, 2, 55.0, 56.0, 9, None, None),
            ]
        ),
        UNIVERSE,
    )
    assert front["is_roll"].tolist() == [False, True]
    assert front["roll_gap"].tolist()[1] == 5.0
    assert front["adj_factor"].tolist() == [1.0, 50 / 55]
    assert front["roll_method"].tolist() == [None, "adjacent_bars"]
    assert front["roll_span_trade_dates"].tolist() == [pd.NA, 1]
    # The market did not move across the roll: the adjusted open continues from the adjusted close.
    assert front["adj_open"][1] == pytest.approx(front["adj_close"][0])


def test_a_roll_inside_a_session_uses_the_old_contracts_last_bar_of_that_session():
    front = continuous(
        sessions(
            [
                ("2024-01-02", "ES", None, 1, 50, 50.0, 9, None, None),
                ("2024-01-03", "ES", None, 2, 55.0, 56.0, 9, 1, 52.0),
            ]
        ),
        UNIVERSE,
    )
    assert front["adj_factor"][1] == 52 / 55
    assert front["roll_span_trade_dates"][1] == 0


def test_both_legs_of_the_session_before_make_the_factor_exact():
    front = continuous(
        sessions(
            [
                ("2024-01-02", "ZL", None, 1, 50, 50.0, 9, None, None),
                ("2024-01-02", "ZL.v.1", None, 2, 54, 54.5, 5, None, None),
                ("2024-01-03", "ZL", None, 2, 55.0, 56.0, 9, None, None),
            ]
        ),
        UNIVERSE,
    )
    assert front["roll_method"][1] == "both_legs"
    assert front["roll_span_trade_dates"].tolist() == [pd.NA, 0]
    assert front["adj_factor"][1] == 50 / 54.5
    assert front["symbol"].tolist() == ["ZL", "ZL"]


def test_a_price_that_is_not_positive_stops_the_adjusted_series():
    front = continuous(
        sessions(
            [
                ("2020-04-20", "CL", None, 1, 10, -37.63, 9, None, None),
                ("2020-04-21", "CL", None, 2, 20.0, 11.0, 9, None, None),
                ("2020-04-22", "CL", None, 3, 20.0, 11.0, 9, None, None),
            ]
        ),
        UNIVERSE,
    )
    assert front["roll_method"].tolist() == [None, "undefined", "adjacent_bars"]
    assert front["adj_close"].isna().tolist() == [False, True, True]
    assert front["close"].tolist() == [-37.63, 11.0, 11.0]


def test_later_sessions_never_change_earlier_rows():
    rng = np.random.default_rng(3)
    days = pd.bdate_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
    rows = [(d, "ZL", None, 1 + i // 7, *rng.uniform(40, 60, 2), 9, None, None) for i, d in enumerate(days)]
    whole = continuous(sessions(rows), UNIVERSE)
    for cut in (5, 20, 41):
        pd.testing.assert_frame_equal(
            continuous(sessions(rows[:cut]), UNIVERSE), whole.iloc[:cut].reset_index(drop=True)
        )


def outright(day, contract, volume, price=50.0):
    return (day, contract, contract, hash(contract) % 1000, price, price, volume, None, None)


def test_an_outright_series_rolls_after_two_sessions_of_larger_volume_and_never_back():
    days = pd.bdate_range("2024-05-01", periods=7).strftime("%Y-%m-%d")
    july = [90, 80, 40, 30, 90, 95, 99]
    august = [10, 60, 60, 70, 10, 5, 1]
    rows = [
        outright(d, c, v)
        for d, *vs in zip(days, july, august, strict=True)
        for c, v in zip(("ZLN4", "ZLQ4"), vs, strict=True)
    ]
    chosen = select_outrights(sessions(rows), UNIVERSE.product("ZL"))
    # No front contract on the first day; August overtook on days 2 and 3, so it is front from day 4 (index 4) on.
    assert chosen["contract"].tolist() == ["ZLN4", "ZLN4", "ZLN4", "ZLQ4", "ZLQ4", "ZLQ4"]
    assert chosen["date"].dt.strftime("%Y-%m-%d").tolist() == list(days[1:])


@pytest.mark.parametrize(
    ("july", "august", "front"),
    [
        # The first front contract is the one that traded more in the session before.
        ([10, 10, 10], [90, 90, 90], "QQ"),
        # One session of larger volume is not enough, whichever it is; neither is one of equal volume.
        ([90, 20, 90, 90, 90], [10, 80, 10, 10, 10], "NNNN"),
        ([90, 50, 20, 90, 90], [10, 50, 80, 10, 10], "NNNN"),
        ([90, 20, 50, 90, 90], [10, 80, 50, 10, 10], "NNNN"),
        ([90, 20, 20, 90, 90], [10, 80, 80, 10, 10], "NNQQ"),
        # A contract that no longer trades is left at once, but not for one that does not trade either.
        ([90, 0, 5, 5], [10, 8, 8, 8], "NQQ"),
        ([90, 0, 5, 5], [10, 0, 1, 1], "NNN"),
    ],
)
def test_an_outright_series_follows_the_volume_of_the_two_sessions_before(july, august, front):
    days = pd.bdate_range("2024-05-01", periods=len(july)).strftime("%Y-%m-%d")
    rows = [outright(day, "ZLN4", volume) for day, volume in zip(days, july, strict=True)]
    rows += [outright(day, "ZLQ4", volume) for day, volume in zip(days, august, strict=True)]
    chosen = select_outrights(sessions(rows[::-1]), UNIVERSE.product("ZL")).sort_values("date")
    assert "".join(contract[2] for contract in chosen["contract"]) == front


def test_an_outright_roll_is_forced_before_first_notice():
    assert forced_roll_date(dt.date(2024, 7, 1), UNIVERSE.product("ZL")) == np.datetime64("2024-06-26")
    assert forced_roll_date(dt.date(2024, 6, 1), UNIVERSE.product("MES")) == np.datetime64("2024-06-17")
    assert forced_roll_date(dt.date(2024, 6, 1), UNIVERSE.product("6E")) == np.datetime64("2024-06-17")
    assert np.isnat(forced_roll_date(dt.date(2024, 6, 1), UNIVERSE.product("CL")))
    days = pd.bdate_range("2024-06-24", "2024-06-28").strftime("%Y-%m-%d")
    rows = [outright(d, c, v) for d in days for c, v in (("ZLN4", 90), ("ZLQ4", 10))]
    chosen = select_outrights(sessions(rows), UNIVERSE.product("ZL"))
    assert chosen["contract"].tolist() == ["ZLN4", "ZLQ4", "ZLQ4", "ZLQ4"]


@pytest.mark.parametrize(
    ("contract", "traded", "month"),
    [
        ("ZLZ5", "2025-11-17", "2025-12-01"),
        ("CLF6", "2015-12-01", "2016-01-01"),
        ("ESH21", "2020-12-28", "2021-03-01"),
        ("MESM0", "2019-05-06", "2020-06-01"),
        ("ZLF8", "2013-02-01", "2018-01-01"),
        ("ZLF13", "2012-02-01", "2013-01-01"),
    ],
)
def test_delivery_months_resolve_the_repeating_year_digit(contract, traded, month):
    assert delivery_month(contract, dt.date.fromisoformat(traded)) == dt.date.fromisoformat(month)


def test_a_spread_is_no_outright():
    with pytest.raises(ValueError, match="ZLN4-ZLQ4"):
        delivery_month("ZLN4-ZLQ4", dt.date(2024, 1, 1))


def test_outrights_fill_the_dates_that_the_preferred_series_lacks_and_no_others():
    days = pd.bdate_range("2024-05-01", periods=4).strftime("%Y-%m-%d")
    rows = [outright(d, "ZLN4", 90) for d in days]
    rows += [(days[2], "ZL", None, 7, 60.0, 61.0, 9, None, None)]
    front = continuous(sessions(rows), UNIVERSE)
    # The first day has no session before it to choose an outright by.
    assert front["date"].dt.strftime("%Y-%m-%d").tolist() == list(days[1:])
    assert front["close"].tolist() == [50.0, 61.0, 50.0]


def test_a_new_contract_that_opens_at_zero_leaves_no_ratio():
    rows = [
        ("2020-04-20", "CL", None, 1, 10, 11.0, 9, None, None),
        ("2020-04-21", "CL", None, 2, 0.0, 11.0, 9, None, None),
    ]
    front = continuous(sessions(rows), UNIVERSE)
    assert front["roll_method"].tolist() == [None, "undefined"]
    assert front["adj_factor"].isna().tolist() == [False, True]
    assert front["roll_gap"].tolist()[1] == -11.0


def test_products_are_joined_into_series_of_their_own():
    rows = [
        (day, symbol, None, instrument + late, price + late, price + late, 9, None, None)
        for late, day in enumerate(("2024-01-02", "2024-01-03"))
        for symbol, instrument, price in (("ZS", 10, 1000.0), ("ZL", 1, 50.0))
    ]
    both = continuous(sessions(rows), UNIVERSE)
    assert both["symbol"].tolist() == ["ZL", "ZL", "ZS", "ZS"]
    assert both["adj_factor"].tolist() == [1.0, 50 / 51, 1.0, 1000 / 1001]
    for symbol in ("ZL", "ZS"):
        alone = continuous(sessions([row for row in rows if row[1] == symbol]), UNIVERSE)
        pd.testing.assert_frame_equal(both[both["symbol"] == symbol].reset_index(drop=True), alone)


# -- at the decision time ----------------------------------------------------------------------------------------------


def so_far(rows):
    """Each session as it stood at the decision time: the price then is one above its open."""
    names = ["date", "root", "symbol", "contract", "instrument_id", "open", "boundary_instrument_id", "boundary_close"]
    ends = rows["date"] + pd.Timedelta(hours=18)
    return rows[names].assign(close_decision=rows["open"] + 1.0, decision_bar_end=ends.dt.tz_localize("UTC"))


def wandering(seed, count=40):
    """A preferred series that flips among contracts, and outrights beside it, with sessions missing here and there."""
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2024-01-01", periods=count).strftime("%Y-%m-%d")
    rows, front = [], 1
    for day in days:
        before, front = front, max(1, front + int(rng.choice([-1, 0, 0, 0, 1])))
        boundary = (before, rng.uniform(40, 60)) if rng.random() < 0.5 else (None, None)
        if rng.random() < 0.8:
            rows.append((day, "ZL", None, front, *rng.uniform(40, 60, 2), 9, *boundary))
        for number, contract in enumerate(("ZLH4", "ZLK4", "ZLN4")):
            if rng.random() < 0.9:
                volume = int(rng.integers(1, 50))
                rows.append((day, contract, contract, 100 + number, *rng.uniform(40, 60, 2), volume, None, None))
    return sessions(rows)


@pytest.mark.parametrize("seed", range(3))
def test_how_a_contract_stood_is_the_same_before_and_after_its_session_is_complete(seed):
    rows = wandering(seed)
    whole = front_at_decision(so_far(rows), rows, UNIVERSE)
    series = continuous(rows, UNIVERSE).set_index("date")
    assert len(whole) > 30
    for _, row in whole.iterrows():
        known = rows[rows["date"] < row["date"]]
        then = front_at_decision(so_far(rows[rows["date"] == row["date"]]), known, UNIVERSE)
        pd.testing.assert_frame_equal(then, whole[whole["date"] == row["date"]].reset_index(drop=True))
        # A second way: of the complete series, which has the same contract and factor on that date.
        in_series = series.loc[row["date"]]
        assert (row["instrument_id"], row["adj_factor"]) == (in_series["instrument_id"], in_series["adj_factor"])
        assert row["adj_close_decision"] == (in_series["open"] + 1.0) * in_series["adj_factor"]


def test_a_contract_that_is_new_on_a_date_has_its_factor_before_the_session_is_over():
    earlier = sessions([("2024-01-02", "ZL", None, 1, 50, 50.0, 9, None, None)])
    today = sessions([("2024-01-03", "ZL", None, 2, 55.0, 56.0, 9, None, None)])
    (row,) = front_at_decision(so_far(today), earlier, UNIVERSE).to_dict("records")
    assert (row["close_decision"], row["adj_factor"], row["adj_close_decision"]) == (56.0, 50 / 55, 56.0 * (50 / 55))


def test_a_preferred_symbol_that_had_not_traded_leaves_the_outright_that_had():
    rows = sessions([outright(d, "ZLN4", 90) for d in ("2024-05-01", "2024-05-02")])
    late = sessions([("2024-05-02", "ZL", None, 7, 60.0, 61.0, 9, None, None)])
    complete = pd.concat([rows, late], ignore_index=True)
    for known in (complete, rows):
        found = front_at_decision(so_far(rows), known, UNIVERSE)
        assert found["contract"].tolist() == ["ZLN4"]
