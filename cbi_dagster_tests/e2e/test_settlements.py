"""Settlements as they come: before and after bars, file by file, restated, taken back, withdrawn."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.catalog import asset_tables
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.market_data import OHLCV_1D, SETTLEMENTS_1D
from cbi_dagster.vendors.databento.dbn import read_dbn
from cbi_dagster.vendors.databento.writing import write_records
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster.vendors.simulated_statistics import simulate_statistics
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import content

pytestmark = pytest.mark.usefixtures("files_stay_open")

SEED, START, END = 3, dt.date(2023, 3, 1), dt.date(2023, 3, 18)
TABLES = asset_tables(
    [
        f"market_data.{name}"
        for name in (
            "databento_futures_ohlcv_1m", "databento_futures_ohlcv_1h", "databento_futures_ohlcv_utc_1d",
            "databento_futures_statistics", "instruments", "databento_conditions", "settlements_1d",
            "databento_futures_ohlcv_1d", "futures_continuous_1d",
        )
    ]
    + ["features.open_interest_daily"]
)  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """Bars, and statistics with definitions."""
    bars, others = tmp_path_factory.mktemp("bars"), tmp_path_factory.mktemp("statistics")
    return (
        simulate_delivery(bars, seed=SEED, start=START, end=END, minute_start=dt.date(2023, 3, 15)),
        simulate_statistics(others, seed=SEED, start=START, end=END),
    )


def cut(source: Path, target: Path, since: str, until: str) -> Path:
    """What a file of statistics or definitions has of a period."""
    schema = source.name.split(".")[1]
    file = read_dbn(content(source), {schema: 1}, "ts_recv")
    start, end = max(file.start, pd.Timestamp(since, tz="UTC")), min(file.end, pd.Timestamp(until, tz="UTC"))
    own = (file.stamps >= start.value) & (file.stamps < end.value)
    mapping = file.mapping.assign(start_date=start.tz_convert(None).floor("D"), end_date=end.tz_convert(None).ceil("D"))
    return write_records(
        target, file.records[own], dataset=file.dataset, schema=schema, stype_in="parent", start=start, end=end,
        mappings=mapping, symbols=["ZL.FUT"],
    )  # fmt: skip


def refreshed(world: World, *paths: Path) -> dict[str, list[str]]:
    if paths:
        world.land(*paths)
    built = {table.id: world.builder.build(table, None, "test", only_stale=True).result for table in TABLES}
    return {name: list(result.written) for name, result in built.items() if result.written}


@pytest.fixture(scope="module")
def bulk(files: tuple[list[Path], list[Path]], tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("bulk"))
    refreshed(world, *files[0], *files[1])
    return world


def settled(world: World, symbol: str = "ZL") -> pd.DataFrame:
    rows = to_frame(OHLCV_1D, world.warehouse.read(OHLCV_1D)).astype({"symbol": object})
    return rows[rows["symbol"] == symbol].set_index("date")


def made(world: World) -> pd.Series:
    """Content hashes of what was built."""
    hashes = world.hashes()
    return hashes[hashes.index.get_level_values("table_name").isin([table.id for table in TABLES])]


def test_file_by_file_in_any_order_is_one_bulk_load(files, bulk: World, tmp_path: Path) -> None:
    """Statistics first, by weeks and the later week before the earlier one, then bars: bit for bit the same tables."""
    world = World(tmp_path / "world")
    days = ("2023-03-01", "2023-03-07", "2023-03-10 23:30", "2023-03-18")
    parts = [
        cut(path, tmp_path / f"{number}-{path.name}", *days[number : number + 2])
        for number in (1, 0, 2)
        for path in files[1]
    ]
    for part in parts:
        refreshed(world, part)
    refreshed(world, *files[0])
    pd.testing.assert_series_equal(made(world), made(bulk))


def test_a_settlement_that_arrives_rebuilds_session_bars_and_nothing_that_is_made_of_them(
    files, bulk: World, tmp_path: Path
) -> None:
    world = World(tmp_path / "world")
    statistics, definitions = sorted(files[1], key=lambda path: ".definition." in path.name)
    refreshed(world, *files[0], definitions, cut(statistics, tmp_path / statistics.name, "2023-03-01", "2023-03-15"))
    before = settled(world)
    assert before["settle"].notna().sum() < settled(bulk)["settle"].notna().sum()
    written = refreshed(world, cut(statistics, tmp_path / f"evening-{statistics.name}", "2023-03-15", "2023-03-16"))
    assert "market_data.futures_continuous_1d" not in written
    assert set(written[OHLCV_1D.id]) <= {f"2023-03-{day}" for day in ("13", "14", "15")}
    assert settled(world).loc["2023-03-15", "settle"] == settled(bulk).loc["2023-03-15", "settle"]
    assert not settled(world).loc["2023-03-15", "settlement_complete"]


@pytest.mark.slow
def test_a_restated_file_corrects_and_its_withdrawal_brings_the_earlier_values_back(
    files, bulk: World, tmp_path: Path
) -> None:
    world = World(tmp_path / "world")
    (statistics,) = (path for path in files[1] if ".statistics." in path.name)
    refreshed(world, *files[0], statistics)
    first, hashes = settled(world), made(world)
    day = cut(statistics, tmp_path / "restated.statistics.dbn", "2023-03-08", "2023-03-09")
    file = read_dbn(content(day), {"statistics": 1}, "ts_recv")
    records = file.records.copy()
    records["price"] += (records["stat_type"] == 3) * 10_000_000 * (records["price"] < 2**62)  # a hundredth more
    write_records(
        day, records[records["stat_type"] != 9], dataset=file.dataset, schema="statistics", stype_in="parent",
        start=file.start, end=file.end, mappings=file.mapping, symbols=["ZL.FUT"],
    )  # fmt: skip
    report = world.land(day)
    assert (report.corrections["new_text"].isna() == report.corrections["symbol"].str.contains("open_interest")).all()
    refreshed(world)
    after = settled(world)
    change = (after["settle"] - first["settle"]).round(6)
    assert change[change != 0].index.strftime("%m-%d").tolist() == ["03-08"]
    assert change["2023-03-08"] == 0.01
    assert first.loc["2023-03-07", "open_interest"] > 0
    assert pd.isna(after.loc["2023-03-07", "open_interest"])  # stated in the night to the 8th, and no longer
    assert not refreshed(world, day), "landing it again changes something"
    world.platform.landing.unland("restated.statistics.dbn")
    refreshed(world)
    pd.testing.assert_series_equal(made(world), hashes)


def test_contracts_have_their_real_months_and_settlements_of_their_own(bulk: World) -> None:
    rows = to_frame(SETTLEMENTS_1D, bulk.warehouse.read(SETTLEMENTS_1D)).astype({"symbol": object})
    soy = rows[rows["root"] == "ZL"]
    assert set(soy["symbol"]) == {"ZLH3", "ZLK3", "ZLN3"}
    near = soy[soy["symbol"] == "ZLH3"].set_index("date")["settle"]
    front = settled(bulk)
    of_front = soy.set_index(["date", "instrument_id"])["settle"]
    keys = pd.MultiIndex.from_arrays([front.index, front["instrument_id"]])
    assert of_front.reindex(keys).fillna(-1).tolist() == front["settle"].fillna(-1).tolist()
    assert near.notna().any()
