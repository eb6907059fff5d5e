"""A way back: a withdrawn file leaves what would be without it, and an overruled one can win again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.catalog import TABLES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.features import TECHNICALS_DAILY
from cbi_dagster.catalog.tables.market_data import OHLCV_1D, OHLCV_1H
from cbi_dagster.home import Home
from cbi_dagster.vendors.arrivals import LandingReport
from cbi_dagster.vendors.landing import Landing
from cbi_dagster.vendors.register import NotLandedError
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import ZL_ROLL, hourly, mapping_of, zl_bars, zl_file


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


def restating(path: Path, close: float, hour: int = 38) -> Path:
    """A bar of 2 July, that of 14:00 UTC unless another is named, with another close."""
    bar = zl_bars().iloc[[hour]].assign(open=close, high=close + 1, low=close - 1, close=close)
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


@pytest.mark.parametrize("withdrawn", [0, 1, 2])
def test_what_is_left_of_a_day_is_what_the_other_files_say(world: World, tmp_path: Path, withdrawn: int) -> None:
    files = [
        zl_file(tmp_path / "whole.ohlcv-1h.dbn.zst"),
        restating(tmp_path / "first.ohlcv-1h.dbn.zst", 50.0),
        restating(tmp_path / "second.ohlcv-1h.dbn.zst", 51.0, hour=39),
    ]
    others = World(tmp_path / "others")
    for file in files:
        world.land(file)
        if file != files[withdrawn]:
            others.land(file)
    door(world).unland(files[withdrawn].name)
    pd.testing.assert_series_equal(landed_hashes(world), landed_hashes(others))


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
    assert world.warehouse.ledger_rows(["landing.ohlcv_1h"]).empty
    assert door(world).stale() == {}
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


SERIES = "series_id,date,value,available_at,unit,source\n"


def vintage(path: Path, value: float) -> Path:
    path.write_text(f"{SERIES}SB,2024-07-01,{value},2024-07-02T12:00:00Z,USc/lb,ICE\n")
    return path


def test_a_macro_file_that_was_overruled_wins_again_too(world: World, tmp_path: Path) -> None:
    first, second = vintage(tmp_path / "a.macro.csv", 20.0), vintage(tmp_path / "b.macro.csv", 21.0)
    world.land(first)
    hashes = world.hashes()
    world.land(second)
    assert not world.hashes().equals(hashes)
    assert world.land(first).files["outcome"].tolist() == ["overruled"]
    assert world.land(second).files["outcome"].tolist() == ["already landed"]
    assert again(world, first).files["outcome"].tolist() == ["landed"]
    assert world.hashes().equals(hashes)


def august(path: Path) -> Path:
    """A day of another month, in a file of its own."""
    return zl_file(
        path, hourly("2024-08-06", 19, 22), mapping_of(("ZL.v.0", "2024-08-06", "2024-08-07", 22)),
        start=pd.Timestamp("2024-08-06", tz="UTC"), end=pd.Timestamp("2024-08-07", tz="UTC"),
    )  # fmt: skip


def test_what_only_a_withdrawn_file_was_about_is_in_no_table_any_more(world: World, tmp_path: Path) -> None:
    july, other = zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"), august(tmp_path / "august.ohlcv-1h.dbn.zst")
    fresh = World(tmp_path / "fresh")
    fresh.land(july)
    fresh.refresh()
    world.land(july, other)
    world.land(restating(tmp_path / "fix.ohlcv-1h.dbn.zst", 50.0))
    world.refresh()
    assert set(world.hashes().index) > set(fresh.hashes().index)
    for name in ("fix", "august"):
        door(world).unland(f"{name}.ohlcv-1h.dbn.zst")
    planned = {item.table.id: item for item in world.builder.plan().tables}
    for table in (OHLCV_1H, TECHNICALS_DAILY):
        reasons = {(part.first, part.last, part.reason) for part in planned[table.id].ranges}
        assert ("2024-08-06", "2024-08-07", "no longer landed") in reasons, table.id
    assert planned[OHLCV_1H.id].ranges[0].reason == "landing.ohlcv_1h 2024-07-02 changed"
    world.refresh()
    assert world.hashes().equals(fresh.hashes())
    assert world.builder.plan().tables == ()
    for table in (OHLCV_1H, OHLCV_1D, TECHNICALS_DAILY):
        pd.testing.assert_frame_equal(world.rows(table), fresh.rows(table))
    for book in ("ops.quarantine", "ops.held_back"):
        assert len(rows_of(world, book)) == len(rows_of(fresh, book)), book


def test_partitions_stay_while_nobody_knows_what_is_landed(world: World, tmp_path: Path) -> None:
    world.land(zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    world.builder.build(OHLCV_1H, None, "test", only_stale=True)
    before = world.hashes()[OHLCV_1H.id]
    world.by_other_hands("DELETE FROM ops.partition_ledger WHERE table_name = 'landing.ohlcv_1h'")
    result = world.builder.build(OHLCV_1H, None, "test", only_stale=True).result
    assert result.removed == ()
    assert world.builder.plan([OHLCV_1H]).tables == ()
    door(world).read_anew()
    assert world.hashes()[OHLCV_1H.id].equals(before)
