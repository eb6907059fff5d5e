"""Deliveries of every kind of symbol and schema, from the vendor's file to the continuous series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import TABLES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.market_data import (
    BARS_AT_DECISION,
    FUTURES_CONTINUOUS_1D,
    OHLCV_1D,
    OHLCV_1H,
    OHLCV_1M,
    OHLCV_UTC_1D,
)
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import hourly, mapping_of, zl_file

pytestmark = pytest.mark.usefixtures("files_stay_open")

WEEK = [f"2024-07-0{day}" for day in range(1, 6)]
AUGUST, SEPTEMBER, SPREAD = 11, 22, 33
#: From open to close of the grains: 00:00 to 18:20 UTC in summer.
HOURS = 19


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "home")


def built(world: World, *files: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sessions and continuous series, by date, after landing the files together."""
    world.land(*files)
    tables = []
    for table in (OHLCV_1M, OHLCV_1H, OHLCV_UTC_1D, OHLCV_1D, FUTURES_CONTINUOUS_1D):
        world.builder.build(table, None, "test", only_stale=True)
        frame = to_frame(TABLES[table.id], world.warehouse.read(TABLES[table.id]))
        tables.append(frame.set_index(frame["date"].dt.strftime("%Y-%m-%d")))
    return tables[-2], tables[-1]


def contract(instrument: int, level: float, volumes: list[int]) -> pd.DataFrame:
    """Hours of the week's five sessions of a contract with the same volume in each hour of a session."""
    days = [
        hourly(day, HOURS, instrument, level, seed=number).assign(volume=volume)
        for number, (day, volume) in enumerate(zip(WEEK, volumes, strict=True))
    ]
    return pd.concat(days, ignore_index=True)


def two_contracts() -> pd.DataFrame:
    # September overtakes August on Wednesday and is the larger one in two sessions on Thursday's close.
    return pd.concat(
        [contract(AUGUST, 45.0, [100, 100, 10, 10, 10]), contract(SEPTEMBER, 44.0, [10, 10, 100, 100, 100])],
        ignore_index=True,
    )


def require_roll_on_friday(sessions: pd.DataFrame, series: pd.DataFrame) -> None:
    assert sorted(sessions["symbol"].unique()) == ["ZLQ4", "ZLU4"]
    # Monday has no session before it to choose a contract from.
    assert series["contract"].to_dict() == {
        "2024-07-02": "ZLQ4", "2024-07-03": "ZLQ4", "2024-07-04": "ZLQ4", "2024-07-05": "ZLU4",
    }  # fmt: skip
    thursday = sessions.loc["2024-07-04"].set_index("symbol")["close"]
    roll = series.loc["2024-07-05"]
    assert (roll["is_roll"], roll["roll_method"]) == (True, "both_legs")
    assert roll["roll_gap"] == thursday["ZLU4"] - thursday["ZLQ4"]
    assert roll["adj_factor"] == thursday["ZLQ4"] / thursday["ZLU4"]
    assert series["adj_factor"].iloc[:3].tolist() == [1.0] * 3


def test_a_parent_delivery_rolls_to_the_contract_that_has_become_the_larger(world: World, tmp_path: Path) -> None:
    mapping = mapping_of(
        ("ZLQ4", "2024-07-01", "2024-07-06", AUGUST),
        ("ZLU4", "2024-07-01", "2024-07-06", SEPTEMBER),
        ("ZLQ4-ZLU4", "2024-07-01", "2024-07-06", SPREAD),
    )
    bars = pd.concat([two_contracts(), hourly("2024-07-02", 4, SPREAD, 1.0)], ignore_index=True)
    file = zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst", bars, mapping, stype_in="parent", symbols=["ZL.FUT"])
    sessions, series = built(world, file)
    require_roll_on_friday(sessions, series)
    assert to_frame(TABLES["ops.landed_files"], world.warehouse.read(TABLES["ops.landed_files"]))[
        ["kept_rows", "outside_rows", "rejected_rows"]
    ].to_numpy().tolist() == [[2 * 5 * HOURS, 4, 0]]


def test_raw_contracts_in_a_csv_without_vendor_numbers_make_the_same_series(world: World, tmp_path: Path) -> None:
    bars = two_contracts()
    bars["symbol"] = bars["instrument_id"].map({AUGUST: "ZLQ4", SEPTEMBER: "ZLU4"})
    path = tmp_path / "zl.ohlcv-1h.csv"
    bars.drop(columns=["instrument_id", "publisher_id"]).to_csv(path, index=False)
    require_roll_on_friday(*built(world, path))


def test_a_session_is_made_of_the_finest_schema_that_covers_it(world: World, tmp_path: Path) -> None:
    mapping = mapping_of(("ZL.v.0", "2024-06-30", "2024-07-06", AUGUST))
    hours = contract(AUGUST, 45.0, [100] * 5)
    monday = hours[hours["ts_event"] < "2024-07-02"]
    # Two minutes an hour: the first at the hour's open, high and low, the second at its close.
    first = monday.assign(volume=60)
    second = monday.assign(
        ts_event=monday["ts_event"] + pd.Timedelta(minutes=1), open=monday["close"], high=monday["close"],
        low=monday["close"], volume=40,
    )  # fmt: skip
    minutes = pd.concat([first, second]).sort_values("ts_event", ignore_index=True)
    days = hours.groupby(hours["ts_event"].dt.floor("D"), as_index=False).agg(
        ts_event=("ts_event", "min"), instrument_id=("instrument_id", "first"), publisher_id=("publisher_id", "first"),
        open=("open", "first"), high=("high", "max"), low=("low", "min"), close=("close", "last"),
        volume=("volume", "sum"),
    )  # fmt: skip
    sunday, tuesday, thursday = (pd.Timestamp(day, tz="UTC") for day in ("2024-06-30", "2024-07-02", "2024-07-04"))
    files = [
        zl_file(tmp_path / "zl.ohlcv-1m.dbn.zst", minutes, mapping, schema="ohlcv-1m", start=sunday, end=tuesday),
        zl_file(
            tmp_path / "zl.ohlcv-1h.dbn.zst", hours[hours["ts_event"] < thursday], mapping, start=sunday, end=thursday
        ),
        zl_file(tmp_path / "zl.ohlcv-1d.dbn.zst", days, mapping, schema="ohlcv-1d", start=sunday),
    ]
    sessions, series = built(world, *files)
    assert sessions["bar_source"].tolist() == ["ohlcv-1m", "ohlcv-1h", "ohlcv-1h", "utc_1d", "utc_1d"]
    expected = days.set_index(days["ts_event"].dt.strftime("%Y-%m-%d"))
    for name in ("open", "high", "low", "close", "volume"):
        assert sessions[name].tolist() == expected[name].tolist(), name
    # A day bar does not say what was known at the decision time.
    world.builder.build(BARS_AT_DECISION, None, "test", only_stale=True)
    decided = to_frame(BARS_AT_DECISION, world.warehouse.read(BARS_AT_DECISION))
    assert decided.sort_values("date")["bar_source"].tolist() == ["ohlcv-1m", "ohlcv-1h", "ohlcv-1h"]
    assert series["symbol"].unique().tolist() == ["ZL"]
    assert not series["is_roll"].any()
    assert np.array_equal(series["adj_close"], series["close"])
