"""What holds of a trade date by what the exchange published: the last word, but for what comes too late."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.columns.settlements import LATER_TRADE_DATES, SESSION_COLUMNS
from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.settlements import far_settlements, quarantine_rows, settlements, with_settlements
from cbi_dagster.vendors.databento.records import dates_received

UNIVERSE = load_universe()
PRELIMINARY, FINAL, INTRADAY = 2, 3, 8
#: The real records of CLK0 around its expiry in April 2020: received, about, kind, value, flags.
CLK0 = (
    ("2020-04-17 18:32:07.662441", "2020-04-17", "settlement_price", 18.27, PRELIMINARY),
    ("2020-04-17 18:45:30.370692", "2020-04-17", "settlement_price", 18.27, PRELIMINARY),
    ("2020-04-17 21:38:03.636938", "2020-04-17", "settlement_price", 18.27, PRELIMINARY),
    ("2020-04-19 17:30:30.730854", "2020-04-17", "open_interest", 108593, None),
    ("2020-04-19 18:05:26.580813", "2020-04-17", "settlement_price", 18.27, FINAL),
    ("2020-04-20 18:33:01.094844", "2020-04-20", "settlement_price", -37.63, PRELIMINARY),
    ("2020-04-20 18:53:15.123714", "2020-04-20", "settlement_price", -37.63, PRELIMINARY),
    ("2020-04-20 21:43:42.035255", "2020-04-17", "settlement_price", -37.63, FINAL),
    ("2020-04-21 01:30:07.220817", "2020-04-20", "open_interest", 13044, None),
)
#: Five real settlements that came too late: contract, trade date, received, the right settlement, the late one.
LATE = (
    ("HEN2", "2012-06-19", "2012-07-18 20:31:46.354", 95.10, 0.00, 100),
    ("HEQ2", "2012-07-17", "2012-08-16 20:31:08.024", 89.95, 0.00, 100),
    ("CLK0", "2020-04-17", "2020-04-20 21:43:42.035255", 18.27, -37.63, 3),
    ("ZLV1", "2021-04-19", "2021-04-20 22:57:51.434392", 48.48, 49.22, 3),
    ("ZLU5", "2025-03-31", "2025-04-01 22:04:10.418041", 45.48, 47.74, 3),
)


def records(*rows: tuple, symbol: str = "CLK0", root: str = "CL", number: int = 22770, **said: str) -> pd.DataFrame:
    """Records of a contract: received, about, kind, value, flags."""
    frame = pd.DataFrame(rows, columns=["ts_recv", "ref_date", "stat_type", "value", "stat_flags"])
    priced = (frame["stat_type"] == "settlement_price").to_numpy()
    frame = frame.assign(
        ts_recv=pd.to_datetime(frame["ts_recv"], utc=True, format="ISO8601").astype("datetime64[ns, UTC]"),
        ref_date=pd.to_datetime(frame["ref_date"]).astype("datetime64[ns]"),
        price=frame["value"].where(priced).astype(float),
        quantity=frame["value"].where(~priced).astype("Int64"),
        stat_flags=frame["stat_flags"].astype("Int64"),
    )
    frame = frame.assign(symbol=symbol, root=root, instrument_id=number, update_action=said.get("action", "new"))
    frame["date"] = dates_received(frame, UNIVERSE) if root in UNIVERSE.roots else frame["ts_recv"].dt.tz_convert(None)
    frame["date"] = frame["date"].dt.floor("D")
    return frame.assign(dataset="GLBX.MDP3", source_file="file", source_row=np.arange(len(frame))).drop(columns="value")


def held(frame: pd.DataFrame) -> pd.DataFrame:
    return settlements(frame).rows.set_index(["symbol", "date"])


def test_the_real_contract_that_went_below_nought_settles_as_it_did() -> None:
    found = settlements(records(*CLK0))
    rows = found.rows.set_index("date")
    assert rows["settle"].to_dict() == {pd.Timestamp("2020-04-17"): 18.27, pd.Timestamp("2020-04-20"): -37.63}
    assert rows["open_interest"].tolist() == [108593, 13044]
    assert rows["settle_is_final"].tolist() == [True, False]
    assert rows["settle_published_at"].iloc[0] == pd.Timestamp("2020-04-19 18:05:26.580813", tz="UTC")
    assert rows["open_interest_published_at"].iloc[0] == pd.Timestamp("2020-04-19 17:30:30.730854", tz="UTC")
    (late,) = quarantine_rows(found.late).to_dict("records")
    assert (late["reason"], late["source_row"], late["date"]) == ("late_record", 7, pd.Timestamp("2020-04-17"))
    assert "price=-37.63" in late["detail"]


@pytest.mark.parametrize(("contract", "day", "received", "right", "late", "flags"), LATE)
def test_a_settlement_that_comes_after_a_later_days_counts_for_nothing(contract, day, received, right, late, flags):
    following = str(np.busday_offset(day, 1))
    frame = records(
        (f"{day} 18:32", day, "settlement_price", right, PRELIMINARY),
        (f"{following} 18:32", following, "settlement_price", right + 1, PRELIMINARY),
        (received, day, "settlement_price", late, flags),
        symbol=contract, root="CL" if contract.startswith("HE") else contract[:2],
    )  # fmt: skip
    assert held(frame).loc[(contract, day), "settle"] == right
    assert settlements(frame).late["price"].tolist() == [late]


def test_the_order_of_the_rows_says_nothing() -> None:
    frame = records(*CLK0)
    for seed in range(3):
        shuffled = frame.sample(frac=1, random_state=seed)
        pd.testing.assert_frame_equal(settlements(shuffled).rows, settlements(frame).rows)


@pytest.mark.parametrize(
    ("last", "settle"),
    [
        (("2020-04-17 22:00", "2020-04-17", "settlement_price", 18.30, FINAL), 18.30),
        (("2020-04-17 22:00", "2020-04-17", "settlement_price", None, 128), None),
        (("2020-04-17 22:00", "2020-04-17", "settlement_price", 18.30, 128), None),
        (("2020-04-17 22:00", "2020-04-17", "settlement_price", 0.0, FINAL), None),  # what nobody trades
        (("2020-04-17 22:00", "2020-04-17", "settlement_price", 18.30, INTRADAY), 18.27),
        (("2020-04-17 22:00", "2020-04-17", "settlement_price", 18.30, 255), 18.30),
    ],
)
def test_the_last_word_holds_if_it_is_a_settlement(last: tuple, settle: float | None) -> None:
    found = held(records(*CLK0[:3], last)).loc[("CLK0", "2020-04-17"), "settle"]
    assert found == settle or (settle is None and pd.isna(found))


def test_what_is_taken_back_is_unknown_until_it_is_said_again() -> None:
    said = ("2020-04-19 17:30", "2020-04-17", "open_interest", 108593, None)
    gone = records(("2020-04-19 17:31", *said[1:]), action="delete")
    again = records(("2020-04-19 17:32", *said[1:3], 108600, None))
    taken_back = pd.concat([records(said), gone])
    assert held(taken_back)["open_interest"].isna().all()
    assert held(pd.concat([taken_back, again]))["open_interest"].tolist() == [108600]


def test_a_row_is_complete_once_every_kind_was_said_of_a_later_day() -> None:
    def day(at: str, about: str, *kinds: str) -> list[tuple]:
        return [(at, about, kind, 20, None) for kind in kinds]

    every = ("settlement_price", "open_interest", "cleared_volume")
    rows = [*day("2020-03-02 20:00", "2020-03-02", *every), *day("2020-03-03 20:00", "2020-03-03", *every[:2])]
    assert held(records(*rows))["settlement_complete"].tolist() == [False, False]
    rows += day("2020-03-03 20:01", "2020-03-03", every[2])
    assert held(records(*rows))["settlement_complete"].tolist() == [True, False]


def test_a_contract_that_is_spoken_of_no_more_is_complete_when_its_market_has_moved_on() -> None:
    last = records(("2020-03-02 20:00", "2020-03-02", "settlement_price", 20, FINAL), symbol="CLH0")
    for days, complete in ((3, False), (4, True), (LATER_TRADE_DATES, True), (LATER_TRADE_DATES + 1, False)):
        at = f"{np.busday_offset('2020-03-02', days)} 20:00"
        other = records((at, at[:10], "settlement_price", 21, FINAL), symbol="CLJ0")
        assert held(pd.concat([last, other])).loc[("CLH0", "2020-03-02"), "settlement_complete"] == complete


def test_a_complete_row_stays_whatever_comes() -> None:
    """Records of random kinds, trade dates and times: what was complete at any instant is in the end as it was."""
    for seed in range(20):
        random = np.random.default_rng(seed)
        days = np.busday_offset("2020-03-02", np.arange(12))
        rows = []
        for _ in range(60):
            about = int(random.integers(0, 10))
            received = min(about + int(random.integers(0, 6)), 11)
            at = f"{days[received]} {random.integers(10, 20)}:{random.integers(10, 60)}:{random.integers(10, 60)}"
            kind = random.choice(["settlement_price", "open_interest", "cleared_volume"])
            rows.append((at, str(days[about]), kind, int(random.integers(1, 99)), None))
        both = [records(*rows[part::2], symbol=name) for part, name in enumerate(("CLJ0", "CLK0"))]
        frame = (
            pd.concat(both)
            .sort_values("ts_recv", kind="stable")
            .drop_duplicates(["symbol", "stat_type", "ref_date", "ts_recv"])
        )
        whole = held(frame)
        for count in range(5, len(frame), 5):
            then = held(frame.iloc[:count])
            complete = then[then["settlement_complete"]]
            pd.testing.assert_frame_equal(complete, whole.loc[complete.index], check_dtype=False)


def test_a_trade_dates_rows_and_late_records_need_nothing_beyond_its_window() -> None:
    rows = [*CLK0, ("2020-05-18 20:31", "2020-04-20", "settlement_price", 0.0, FINAL)]
    frame = records(*rows)
    whole = settlements(frame)
    for day in pd.unique(frame["date"]):
        last = np.busday_offset(day.astype("datetime64[D]"), LATER_TRADE_DATES)
        alone = settlements(frame[(frame["date"] >= day) & (frame["date"] <= pd.Timestamp(last))])
        for found, of in ((alone.rows, whole.rows), (alone.late, whole.late)):
            pd.testing.assert_frame_equal(
                found[found["date"] == day].reset_index(drop=True), of[of["date"] == day].reset_index(drop=True)
            )
    assert whole.late["date"].dt.strftime("%m-%d").tolist() == ["04-17", "05-18"]


# -- beside sessions --------------------------------------------------------------------------------------------------


def sessions_of(*rows: tuple) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["date", "root", "symbol", "contract", "instrument_id", "low", "high"])
    return frame.assign(date=pd.to_datetime(frame["date"]).astype("datetime64[ns]"))


def test_a_session_is_joined_by_its_contracts_name_or_by_the_number_of_its_day() -> None:
    heating_oil = ("2020-03-02 20:00", "2020-03-02", "settlement_price", 1.5, FINAL)
    stated = settlements(
        pd.concat(
            [
                records(("2020-03-02 20:00", "2020-03-02", "settlement_price", 20, FINAL), symbol="CLJ0", number=5),
                records(("2020-03-03 20:00", "2020-03-03", "settlement_price", 21, FINAL), symbol="CLK0", number=5),
                records(heating_oil, symbol="HOJ0", root="HO", number=5),
            ]
        )
    ).rows
    sessions = sessions_of(
        ("2020-03-02", "CL", "CL", None, 5, 19, 21),
        ("2020-03-03", "CL", "CL", None, 5, 19, 21),  # the number is another contract's now
        ("2020-03-04", "CL", "CL", None, 5, 19, 21),
        ("2020-03-03", "CL", "CLJ0", "CLJ0", 5, 19, 21),
        ("2020-03-02", "CL", "CLJ0", "CLJ0", -77, 19, 21),
    )
    found = with_settlements(sessions, stated)
    assert found["settle"].fillna(-1).tolist() == [20, 21, -1, -1, 20]
    assert found["settlement_complete"].isna().tolist() == [False, False, True, True, False]
    nothing = with_settlements(sessions, stated.iloc[:0])
    assert nothing[list(SESSION_COLUMNS)].isna().all(axis=None)
    assert found.dtypes[list(SESSION_COLUMNS)].equals(nothing.dtypes[list(SESSION_COLUMNS)])


def test_a_settlement_more_than_five_ticks_outside_the_range_is_far() -> None:
    sessions = sessions_of(*[("2020-03-02", "ZL", "ZL", None, 5, 30.0, 31.0)] * 5)
    sessions["settle"] = [31.05, 31.06, 29.95, 29.94, np.nan]
    assert far_settlements(sessions, UNIVERSE).tolist() == [False, True, False, True, False]
