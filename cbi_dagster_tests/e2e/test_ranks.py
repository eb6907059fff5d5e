"""Ranks 0 and 1 and the day's definitions through the door: exact factors, names of contracts, a crush without gaps."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.catalog.tables.market_data import (
    CRUSH_LEGS_1D,
    FUTURES_CONTINUOUS_1D,
    FUTURES_CURVE_1D,
    INSTRUMENTS,
    OHLCV_1D,
    OHLCV_1H,
    ROLL_CALENDAR,
    SETTLEMENTS_1D,
)
from cbi_dagster.vendors.databento.writing import definition_records, write_dbn, write_records
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import mapping_of

pytestmark = pytest.mark.usefixtures("files_stay_open")

START, END = pd.Timestamp("2024-06-03", tz="UTC"), pd.Timestamp("2024-06-08", tz="UTC")
#: Oil and meal roll on Wednesday, soybeans on Thursday.
ROLLS = {"ZL": "2024-06-05", "ZM": "2024-06-05", "ZS": "2024-06-06"}
CONTRACTS = {
    "ZL": {"ZLN4": (11, 45.0), "ZLX4": (12, 46.0)},
    "ZM": {"ZMN4": (21, 350.0), "ZMX4": (22, 340.0)},
    "ZS": {"ZSN4": (31, 1180.0), "ZSU4": (32, 1160.0)},
}


def bars() -> pd.DataFrame:
    """The hour from 09:00 in Chicago of every day of both contracts of each product; each price rises day by day."""
    rows = []
    for day, start in enumerate(pd.date_range("2024-06-03 14:00", periods=5, freq="D", tz="UTC")):
        for contracts in CONTRACTS.values():
            for number, level in contracts.values():
                price = level * (1 + 0.01 * day)
                rows.append((start, number, 1, price, price, price, round(price, 2), 100))
    columns = ["ts_event", "instrument_id", "publisher_id", "open", "high", "low", "close", "volume"]
    return pd.DataFrame(rows, columns=columns).assign(
        high=lambda f: f["close"] + 0.5, low=lambda f: f["close"] - 0.5, open=lambda f: f["close"]
    )


def landed(world: World, directory: Path) -> None:
    spans = []
    for root, roll in ROLLS.items():
        (old, _), (new, _) = CONTRACTS[root].values()
        for rank, (before, after) in enumerate([(old, new), (new, old)]):
            spans += [(f"{root}.v.{rank}", "2024-06-03", roll, before), (f"{root}.v.{rank}", roll, "2024-06-08", after)]
    write_dbn(
        directory / "soy.ohlcv-1h.dbn.zst", dataset="GLBX.MDP3", schema="ohlcv-1h", stype_in="continuous",
        start=START, end=END, mappings=mapping_of(*spans), bars=bars(),
    )  # fmt: skip
    defined = [
        {"raw_symbol": symbol, "instrument_id": number, "ts_recv": day, "instrument_class": "F", "asset": root,
         "activation": pd.Timestamp("2023-01-17", tz="UTC"), "expiration": pd.Timestamp("2024-07-12 17:00", tz="UTC"),
         "currency": "USD", "exchange": "XCBT", "unit_of_measure": "LBS", "min_price_increment": 0.01,
         "unit_of_measure_qty": 60000.0, "maturity_year": 2024, "maturity_month": "FGHJKMNQUVXZ".index(symbol[2]) + 1}
        for day in pd.date_range(START, periods=5, freq="D")
        for root, contracts in CONTRACTS.items()
        for symbol, (number, _) in contracts.items()
    ]  # fmt: skip
    ids = [
        (symbol, "2024-06-03", "2024-06-08", number) for of in CONTRACTS.values() for symbol, (number, _) in of.items()
    ]
    write_records(
        directory / "soy.definition.dbn.zst", definition_records(pd.DataFrame(defined)), dataset="GLBX.MDP3",
        schema="definition", stype_in="parent", start=START, end=END, mappings=mapping_of(*ids),
        symbols=[f"{root}.FUT" for root in CONTRACTS],
    )  # fmt: skip
    world.land(directory)
    made = (OHLCV_1H, INSTRUMENTS, SETTLEMENTS_1D, OHLCV_1D, FUTURES_CONTINUOUS_1D, CRUSH_LEGS_1D, ROLL_CALENDAR)
    for table in (*made, FUTURES_CURVE_1D):
        world.builder.build(table, None, "test", only_stale=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    built = World(tmp_path_factory.mktemp("world"))
    landed(built, tmp_path_factory.mktemp("delivery"))
    return built


def test_the_factor_compares_both_contracts_in_the_session_before_the_roll(world: World) -> None:
    zl = world.rows(FUTURES_CONTINUOUS_1D).xs("ZL", level="symbol").sort_index()
    assert zl["contract"].tolist() == ["ZLN4", "ZLN4", "ZLX4", "ZLX4", "ZLX4"]
    assert zl["roll_method"].tolist() == [None, None, "both_legs", None, None]
    old, new = round(45.0 * 1.01, 2), round(46.0 * 1.01, 2)
    assert zl["adj_factor"].tolist() == [1.0, 1.0, *[old / new] * 3]


def test_the_calendar_names_the_contracts_of_each_roll(world: World) -> None:
    rolls = world.rows(ROLL_CALENDAR).reset_index()
    told = rolls[["symbol", "from_contract", "contract"]].to_numpy().tolist()
    assert told == [["ZL", "ZLN4", "ZLX4"], ["ZM", "ZMN4", "ZMX4"], ["ZS", "ZSN4", "ZSU4"]]
    assert rolls["date"].dt.strftime("%Y-%m-%d").tolist() == list(ROLLS.values())
    assert rolls["first_notice_date"].dt.strftime("%m-%d").tolist() == ["10-31", "10-31", "08-30"]
    assert set(rolls["last_trade_date"].dt.strftime("%Y-%m-%d")) == {"2024-07-12"}


def test_the_crush_is_of_the_month_of_the_soybeans_whichever_rank_has_it(world: World) -> None:
    legs = world.rows(CRUSH_LEGS_1D).droplevel("symbol").sort_index()
    assert legs["crush_bean_month"].dt.month.tolist() == [7, 7, 7, 9, 9]
    oil = [round(45.0 * (1 + 0.01 * day), 2) for day in range(3)]
    # On Wednesday oil of July is rank 1; of September there is none.
    assert legs["crush_oil_price"].iloc[:3].tolist() == oil
    assert legs["crush_oil_price"].iloc[3:].isna().all()


def test_the_curve_has_both_contracts_of_each_day(world: World) -> None:
    curve = world.rows(FUTURES_CURVE_1D)
    counts = curve.groupby(level=["root", "date"]).size()
    assert (len(counts), set(counts)) == (15, {2})
    assert curve.xs("ZLX4", level="contract")["months_to_delivery"].tolist() == [5] * 5
