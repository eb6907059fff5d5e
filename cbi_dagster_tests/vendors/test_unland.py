"""A way back: a withdrawn file leaves what would be without it, and an overruled one can win again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.catalog import TABLES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.market_data import OHLCV_1H
from cbi_dagster.home import Home
from cbi_dagster.vendors.arrivals import LandingReport
from cbi_dagster.vendors.landing import Landing
from cbi_dagster.vendors.register import NotLandedError
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import ZL_ROLL, zl_bars, zl_file


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "home")


def door(world: World) -> Landing:
    return Home(world.path).open().ready().landing


def again(world: World, path: Path) -> LandingReport:
    return door(world).land([path], again=True)


def rows_of(world: World, table_id: str) -> pd.DataFrame:
    return to_frame(TABLES[table_id], world.warehouse.read(TABLES[table_id]))


def landed_hashes(world: World) -> pd.Series:
    return world.hashes()["landing.ohlcv_1h"]


def restating(path: Path, close: float) -> Path:
    """The bar of 2 July 14:00 UTC with another close."""
    bar = zl_bars().iloc[[38]].assign(open=close, high=close + 1, low=close - 1, close=close)
    start = bar["ts_event"].iloc[0]
    return zl_file(path, bar, ZL_ROLL, start=start, end=start + pd.Timedelta(hours=1))


def test_what_a_withdrawn_file_had_corrected_returns_and_the_plan_follows(world: World, tmp_path: Path) -> None:
    world.land(zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    before = landed_hashes(world)
    world.land(restating(tmp_path / "fix.ohlcv-1h.dbn.zst", 50.0))
    world.builder.build(OHLCV_1H, None, "test", only_stale=True)
    done = door(world).unland("fix.ohlcv-1h.dbn.zst")
    assert done.returned[["old_close", "new_close"]].to_numpy().tolist() == [[50.0, zl_bars()["close"][38]]]
    assert landed_hashes(world).equals(before)
    (stale,) = world.builder.plan([OHLCV_1H]).tables
    assert stale.partitions.astype(str).tolist() == ["2024-07-02"]
    world.builder.build(OHLCV_1H, None, "test", only_stale=True)
    assert rows_of(world, OHLCV_1H.id)["close"].tolist() == zl_bars()["close"].tolist()
    assert len(rows_of(world, "ops.corrections")) == 2
    assert rows_of(world, "ops.landed_files")["withdrawn_at"].notna().tolist() == [False, False, True]


def test_bars_that_a_withdrawn_file_had_taken_back_return(world: World, tmp_path: Path) -> None:
    world.land(zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    before = landed_hashes(world)
    assert len(world.land(zl_file(tmp_path / "less.ohlcv-1h.dbn.zst", zl_bars().drop(index=38))).corrections) == 1
    done = door(world).unland("less.ohlcv-1h.dbn.zst")
    assert done.returned["old_close"].isna().tolist() == [True]
    assert done.returned["new_close"].tolist() == [zl_bars()["close"][38]]
    assert landed_hashes(world).equals(before)


def test_a_withdrawn_file_is_taken_anew(world: World, tmp_path: Path) -> None:
    file = zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst")
    world.land(file)
    hashes = landed_hashes(world)
    done = door(world).unland(rows_of(world, "ops.landed_files")["file_hash"][0][:8])
    assert done.returned.empty
    empty = world.warehouse.ledger_rows(["landing.ohlcv_1h"])
    assert empty["row_count"].sum() == 0
    with pytest.raises(NotLandedError):
        door(world).unland("zl.ohlcv-1h.dbn.zst")
    assert world.land(file).files["outcome"].tolist() == ["landed"]
    assert landed_hashes(world).equals(hashes)
    assert len(rows_of(world, "ops.landed_symbols")) == 2


def test_of_files_of_one_name_the_hash_says_which(world: World, tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        world.land(restating(tmp_path / str(number) / "fix.ohlcv-1h.dbn.zst", 45.0 + number))
    with pytest.raises(NotLandedError, match="2 landed files are called fix"):
        door(world).unland("fix.ohlcv-1h.dbn.zst")


def test_an_overruled_file_says_so_and_wins_when_it_is_told_to(world: World, tmp_path: Path) -> None:
    first = restating(tmp_path / "one.ohlcv-1h.dbn.zst", 50.0)
    second = restating(tmp_path / "two.ohlcv-1h.dbn.zst", 51.0)
    world.land(first)
    hashes = landed_hashes(world)
    world.land(second)
    assert world.land(first).files["outcome"].tolist() == ["overruled"]
    assert world.land(second).files["outcome"].tolist() == ["already landed"]
    report = again(world, first)
    assert report.corrections[["old_close", "new_close"]].to_numpy().tolist() == [[51.0, 50.0]]
    assert landed_hashes(world).equals(hashes)
    assert again(world, first).files["outcome"].tolist() == ["already landed"]
    assert world.land(second).files["outcome"].tolist() == ["overruled"]
