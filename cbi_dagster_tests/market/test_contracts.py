"""Names of contracts, the curve of a day, and the calendar of rolls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.columns.contracts import ROLL_INPUTS, SESSION_INPUTS
from cbi_dagster.catalog.columns.settlements import SESSION_INPUTS as SETTLEMENT_INPUTS
from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.contracts import contract_names, futures_curve, roll_calendar
from cbi_dagster.market.rolls import continuous, delivery_month

UNIVERSE = load_universe()
DAY = pd.Timestamp("2024-06-03")


def definitions(*rows: tuple[str, str, int, str]) -> pd.DataFrame:
    """Definitions: day, symbol, id and what they do, in the order in which they were received."""
    days, symbols, ids, actions = zip(*rows, strict=True) if rows else ((), (), (), ())
    frame = pd.DataFrame({"date": pd.to_datetime(list(days)), "symbol": symbols, "instrument_id": ids})
    frame["security_update_action"] = pd.Series(actions, dtype=object)
    frame["root"] = frame["symbol"].astype(str).str[:2]
    frame["ts_recv"] = pd.to_datetime(frame["date"]).dt.tz_localize("UTC") + pd.to_timedelta(range(len(frame)), "s")
    months = [delivery_month(symbol, day.date()) for symbol, day in zip(symbols, frame["date"], strict=True)]
    # The evening in Chicago of the 14th of the delivery month, which is the 15th in UTC.
    frame["expiration"] = pd.to_datetime(months).tz_localize("UTC") + pd.Timedelta(days=14, hours=3)
    return frame


def sessions(*rows: tuple[str, str, str | None, int, float, int]) -> pd.DataFrame:
    """Session bars: day, symbol, contract, id, close and volume."""
    frame = pd.DataFrame(rows, columns=["date", "symbol", "contract", "instrument_id", "close", "volume"])
    frame["root"] = frame["symbol"].str[:2]
    return frame.assign(date=pd.to_datetime(frame["date"]), session_quality="complete")[list(SESSION_INPUTS)]


def settlements(*rows: tuple[str, int, float, int, bool]) -> pd.DataFrame:
    """Settlements of 2024-06-03: contract, id, price, open interest and whether nothing more will be said."""
    columns = ["symbol", "instrument_id", "settle", "open_interest", "settlement_complete"]
    frame = pd.DataFrame([*rows], columns=columns).astype(
        {"symbol": object, "open_interest": "Int64", "settlement_complete": "boolean", "settle": float}
    )
    return frame.assign(
        date=DAY, root=frame["symbol"].str[:2], settle_is_final=pd.array([True] * len(frame), "boolean")
    )[list(SETTLEMENT_INPUTS)]


TWO_RANKS = (
    ("2024-06-03", "ZL", None, 7, 45.0, 900),
    ("2024-06-03", "ZL.v.1", None, 8, 45.5, 300),
    ("2024-06-04", "ZL", None, 7, 46.0, 800),
    ("2024-06-04", "ZL.v.1", None, 8, 46.6, 700),
)


NOT_SETTLED = settlements()


def test_a_continuous_symbol_has_the_contract_that_the_days_definition_names() -> None:
    said = definitions(("2024-06-03", "ZLN4", 7, "A"), ("2024-06-03", "ZLZ4", 8, "A"), ("2024-06-04", "ZLQ4", 7, "A"))
    named = contract_names(sessions(*TWO_RANKS), said)
    assert named.tolist() == ["ZLN4", "ZLZ4", "ZLQ4", None]  # an id is a contract's for one day


def test_the_last_definition_of_a_day_holds_and_a_deleted_contract_has_no_name() -> None:
    said = definitions(
        ("2024-06-03", "ZLN4", 7, "A"), ("2024-06-03", "ZLQ4", 7, "M"), ("2024-06-03", "ZLZ4", 8, "A"),
        ("2024-06-03", "ZLZ4", 8, "D"),
    )  # fmt: skip
    assert contract_names(sessions(*TWO_RANKS[:2]), said).tolist() == ["ZLQ4", None]


def test_an_outright_with_the_same_id_names_it_too_and_ids_are_of_a_root() -> None:
    rows = (*TWO_RANKS[:2], ("2024-06-03", "ZLN4", "ZLN4", 7, 45.0, 900), ("2024-06-03", "ZSN4", "ZSN4", 8, 1.0, 1))
    assert contract_names(sessions(*rows), definitions()).tolist() == ["ZLN4", None, "ZLN4", "ZSN4"]


def test_the_curve_has_each_contract_once_nearest_delivery_first() -> None:
    rows = sessions(
        ("2024-06-03", "ZL", "ZLZ4", 8, 45.4, 300),
        ("2024-06-03", "ZLZ4", "ZLZ4", 8, 45.5, 310),
        ("2024-06-03", "ZLN4", "ZLN4", 7, 45.0, 900),
        ("2024-06-03", "ZLF5", "ZLF5", 9, 45.9, 10),
        ("2024-06-03", "ZL.v.3", None, 10, 46.0, 5),
        ("2024-06-03", "ZSN4", "ZSN4", 7, 1200.0, 5),
    )
    curve = futures_curve(rows, NOT_SETTLED, definitions(("2024-06-03", "ZLZ4", 8, "A")))
    zl = curve[curve["root"] == "ZL"]
    assert zl["contract"].tolist() == ["ZLN4", "ZLZ4", "ZLF5"]
    assert zl["months_to_delivery"].tolist() == [1, 6, 7]
    assert zl["month_code"].tolist() == ["N", "Z", "F"]
    assert zl["close"].tolist() == [45.0, 45.5, 45.9]  # that of the outright itself
    assert zl["delivery_month"].dt.strftime("%Y-%m-%d").tolist() == ["2024-07-01", "2024-12-01", "2025-01-01"]
    last = zl["last_trade_date"]
    assert last.isna().tolist() == [True, False, True]
    assert last.iloc[1] == pd.Timestamp("2024-12-14")
    assert curve[["settle", "open_interest"]].isna().all(axis=None)


def test_a_settlement_joins_its_contract_and_stands_alone_where_the_contract_did_not_trade() -> None:
    rows = sessions(("2024-06-03", "ZL", "ZLN4", 7, 45.0, 900), ("2024-06-03", "ZLZ4", "ZLZ4", 8, 45.5, 310))
    settled = settlements(("ZLN4", 7, 45.1, 5000, False), ("ZLF5", 9, 46.0, 10, True), ("ZLH5", 10, 46.5, 10, False))
    curve = futures_curve(rows, settled, definitions())
    assert curve["contract"].tolist() == ["ZLN4", "ZLZ4", "ZLF5", "ZLH5"]
    assert curve["instrument_id"].tolist() == [7, 8, 9, 10]
    np.testing.assert_array_equal(curve["close"], [45.0, 45.5, np.nan, np.nan])
    np.testing.assert_array_equal(curve["settle"].astype(float), [45.1, np.nan, 46.0, 46.5])
    assert curve["open_interest"].tolist() == [5000, pd.NA, 10, 10]


def test_a_contract_leaves_the_curve_after_its_delivery_month() -> None:
    rows = sessions(("2024-06-03", "ZLM4", "ZLM4", 6, 44.0, 1), ("2024-06-03", "ZLK4", "ZLK4", 5, 44.0, 1))
    curve = futures_curve(rows, settlements(("ZLF4", 4, 43.0, 1, True)), definitions())
    assert curve[["contract", "months_to_delivery"]].to_numpy().tolist() == [["ZLM4", 0]]
    assert futures_curve(rows.iloc[1:], NOT_SETTLED, definitions()).empty


def test_before_the_session_of_a_product_is_there_none_of_its_contracts_is() -> None:
    settled = settlements(("ZLF5", 9, 46.0, 10, True), ("ZSN4", 9, 1200.0, 10, True))
    curve = futures_curve(sessions(*TWO_RANKS[:2]), settled, definitions())
    assert curve[["contract", "month_code"]].to_numpy().tolist() == [["ZLF5", "F"]]


def rolled(**columns: object) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"date": pd.to_datetime(["2024-06-13", "2024-06-14", "2024-06-17"]), "symbol": "ZL",
         "contract": ["ZLN4", "ZLN4", "ZLZ4"], "instrument_id": [7, 7, 8], "is_roll": [False, False, True],
         "roll_method": [None, None, "both_legs"], "roll_gap": [np.nan, np.nan, 0.5],
         "roll_span_trade_dates": pd.array([None, None, 0], "Int64"), "adj_factor": [1.0, 1.0, 0.98]}
    )  # fmt: skip
    return frame.assign(**columns)[list(ROLL_INPUTS)]


def test_a_roll_is_told_by_the_first_session_of_the_new_contract() -> None:
    (row,) = roll_calendar(rolled(), definitions(("2024-06-17", "ZLZ4", 8, "A")), UNIVERSE).to_dict("records")
    assert (row["date"], row["symbol"]) == (pd.Timestamp("2024-06-17"), "ZL")
    assert (row["from_contract"], row["contract"]) == ("ZLN4", "ZLZ4")
    assert (row["from_instrument_id"], row["instrument_id"]) == (7, 8)
    assert row["roll_ratio"] == pytest.approx(0.98)
    assert row["delivery_month"] == pd.Timestamp("2024-12-01")
    # 2024-11-29 is a Friday, the day after Thanksgiving, on which grains trade.
    assert row["first_notice_date"] == pd.Timestamp("2024-11-29")
    assert row["forced_roll_date"] == pd.Timestamp("2024-11-27")
    assert row["last_trade_date"] == pd.Timestamp("2024-12-14")


def test_of_a_contract_without_a_name_the_dates_are_unknown_and_the_roll_is_not() -> None:
    row = roll_calendar(rolled(contract=None), definitions(), UNIVERSE).iloc[0]
    assert row[["delivery_month", "first_notice_date", "forced_roll_date", "last_trade_date"]].isna().all()
    assert (row["from_instrument_id"], row["roll_method"], row["roll_gap"]) == (7, "both_legs", 0.5)


def test_equity_contracts_have_no_day_of_notice() -> None:
    frame = rolled(symbol="MES", contract=["MESM4", "MESM4", "MESU4"])
    row = roll_calendar(frame, definitions(), UNIVERSE).iloc[0]
    assert pd.isna(row["first_notice_date"])
    assert row["forced_roll_date"] == pd.Timestamp("2024-09-16")


def test_nothing_rolls_and_nothing_trades_where_nothing_is() -> None:
    assert roll_calendar(rolled().iloc[:2], definitions(), UNIVERSE).empty
    assert roll_calendar(rolled().iloc[:0], definitions(), UNIVERSE).empty
    assert futures_curve(sessions(*TWO_RANKS), NOT_SETTLED, definitions()).empty
    assert contract_names(sessions(*TWO_RANKS).iloc[:0], definitions()).empty


def test_a_continuous_symbol_that_knows_its_contract_is_no_outright() -> None:
    """Of a product whose preferred symbol is not delivered, a further rank is never chosen for front."""
    days = pd.bdate_range("2024-06-03", periods=4)
    rows = pd.DataFrame(
        {"date": np.tile(days, 2), "root": "ZL", "symbol": np.repeat(["ZL.v.1", "ZLN4"], 4),
         "contract": np.repeat(["ZLZ4", "ZLN4"], 4), "instrument_id": np.repeat([8, 7], 4),
         "volume": np.repeat([900, 100], 4), "session_quality": "complete", "bar_source": "ohlcv-1h"}
    )  # fmt: skip
    for name in ("open", "high", "low", "close", "settle", "vwap", "realized_vol_1h", "boundary_close"):
        rows[name] = 45.0
    for name in ("open_interest", "bars_seen", "bars_usual", "boundary_instrument_id"):
        rows[name] = 1
    for name in ("last_bar_end", "session_close_ts"):
        rows[name] = rows["date"].dt.tz_localize("UTC")
    found = continuous(rows.astype({"boundary_instrument_id": "Int64"}), UNIVERSE)
    assert found["contract"].unique().tolist() == ["ZLN4"]
