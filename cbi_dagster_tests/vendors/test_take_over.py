"""Files of another landing are taken as it had them at an instant, and a call that was cut short is made again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables import ops
from cbi_dagster.home import Home
from cbi_dagster.vendors.landing import Landing
from cbi_dagster.warehouse.contract import RegistryMovedError, now_utc
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import ZL_ROLL, zl_bars, zl_file


def door(world: World) -> Landing:
    return Home(world.path).open().ready().landing


def restating(path: Path, hour: int, close: float) -> Path:
    bar = zl_bars().iloc[[hour]].assign(open=close, high=close + 1, low=close - 1, close=close)
    start = bar["ts_event"].iloc[0]
    return zl_file(path, bar, ZL_ROLL, start=start, end=start + pd.Timedelta(hours=1))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [
        zl_file(tmp_path / "whole.ohlcv-1h.dbn.zst"),
        restating(tmp_path / "first.ohlcv-1h.dbn.zst", 38, 50.0),
        restating(tmp_path / "second.ohlcv-1h.dbn.zst", 38, 51.0),
        zl_file(tmp_path / "empty.ohlcv-1h.dbn.zst", zl_bars().iloc[:0], start=pd.Timestamp("2024-07-04", tz="UTC")),
    ]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "home")


def landed(world: World) -> pd.Series:
    return world.hashes()["landing.ohlcv_1h"]


def names(world: World) -> list[str]:
    rows = to_frame(ops.LANDED_FILES, world.warehouse.read(ops.LANDED_FILES)).sort_values("landing_sequence")
    assert rows["landing_sequence"].tolist() == [*range(len(rows))]
    return [str(name).partition(".")[0] for name in rows["source_file"]]


def test_files_are_those_that_held_at_the_instant_in_their_order(
    world: World, files: list[Path], tmp_path: Path
) -> None:
    whole, first, second, empty = files
    for file in (whole, second, first, empty):
        world.land(file)
    door(world).unland("empty.ohlcv-1h.dbn.zst")
    door(world).land([second], again=True)
    moment = now_utc()
    door(world).unland("first.ohlcv-1h.dbn.zst")
    world.land(empty)

    there = World(tmp_path / "there")
    source = door(world)
    door(there).take_over(source, source.landed_by(moment))
    assert names(there) == ["whole", "first", "second"]
    scratch = World(tmp_path / "scratch")
    scratch.land(whole, first, second)
    pd.testing.assert_series_equal(landed(there), landed(scratch))
    there.land(empty)
    scratch.land(empty)
    pd.testing.assert_series_equal(landed(there), landed(scratch))


def test_trade_dates_without_a_bar_are_taken_as_known(world: World, files: list[Path], tmp_path: Path) -> None:
    world.land(files[3])
    there = World(tmp_path / "there")
    door(there).take_over(door(world), door(world).landed_by(now_utc()))
    pd.testing.assert_series_equal(landed(there), landed(world))


def test_a_file_is_judged_as_of_the_time_when_it_was_landed(world: World, tmp_path: Path) -> None:
    spans = tmp_path / "x.posts-coverage.csv"
    spans.write_text(
        "source,span_start,span_end,content\n"
        "sim.demo,2024-07-01T00:00Z,2024-07-02T00:00Z,text\nsim.demo,2024-07-02T00:00Z,2024-07-05T00:00Z,text\n"
    )
    world.land(spans)
    there, (file,) = World(tmp_path / "there"), door(world).landed_by(now_utc())
    door(there).take_over(door(world), [file._replace(landed_at=pd.Timestamp("2024-07-03", tz="UTC"))])
    rejected = to_frame(ops.QUARANTINE, there.warehouse.read(ops.QUARANTINE))
    assert rejected["reason"].tolist() == ["ends_in_future"]


def test_what_was_cut_short_is_made_again(world: World, files: list[Path], tmp_path: Path) -> None:
    world.land(*files)
    source, there = door(world), World(tmp_path / "there")

    def killed(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        door(there).take_over(source, source.landed_by(now_utc()), killed)
    assert len([*Home(there.path).landing.rglob("*.coming")]) == 2
    assert names(there) == []
    door(there).take_over(source, source.landed_by(now_utc()))
    pd.testing.assert_series_equal(landed(there), landed(world))
    assert sorted(path.name for path in Home(there.path).landing.rglob("*.zst")) == sorted(
        path.name for path in Home(world.path).landing.rglob("*.zst")
    )


def test_nothing_is_taken_where_files_have_been_landed(world: World, files: list[Path], tmp_path: Path) -> None:
    world.land(files[0])
    there = World(tmp_path / "there")
    there.land(files[1])
    with pytest.raises(RegistryMovedError):
        door(there).take_over(door(world), door(world).landed_by(now_utc()))
    assert names(there) == ["first"]
