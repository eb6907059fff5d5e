"""A correction rebuilds exactly the partitions it changes: against brute force, over random corrections."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.market_data import OHLCV_1D, OHLCV_1H
from cbi_dagster.catalog.tables.ops import HELD_BACK
from cbi_dagster.catalog.tables.training import MES_BAR_TRAINING, MES_TRAINING, ZL_TRAINING
from cbi_dagster.catalog.versions import CodeVersion
from cbi_dagster.home import code_versions
from cbi_dagster.reports.plans import exact_plan
from cbi_dagster.vendors.databento.writing import write_dbn
from cbi_dagster.vendors.simulate import SIMULATED_DATASET
from cbi_dagster.warehouse.code import CodeAccount
from cbi_dagster.warehouse.plan import TablePlan
from cbi_dagster_tests.properties.worlds import World, simulated

pytestmark = pytest.mark.usefixtures("files_stay_open")

END = dt.date(2022, 12, 1)


@pytest.fixture(scope="module")
def half_year(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    delivery = simulated(tmp_path_factory.mktemp("half_year_delivery"), END)
    built = World(tmp_path_factory.mktemp("half_year"))
    built.land(delivery)
    built.refresh()
    return built, delivery


def corrected_bar(world: World, path: Path, random: np.random.Generator) -> tuple[Path, str]:
    """A one-bar vendor file that restates a random landed hourly bar; its path and trade date."""
    bars = to_frame(OHLCV_1H, world.warehouse.read(OHLCV_1H))
    bar = bars.iloc[[random.integers(len(bars))]].copy()
    tick = float(random.integers(1, 4)) * 0.01 * bar["close"].iloc[0]
    field = random.choice(["close", "high", "low", "volume"])
    if field == "volume":
        bar["volume"] += int(random.integers(1, 1000))
    elif field == "close":
        bar["close"] = bar["low"] + (bar["high"] - bar["low"]) * random.random()
    else:
        bar[field] += tick if field == "high" else -min(tick, 0.5 * bar["low"].iloc[0])
    start = bar["ts_event"].iloc[0]
    day = start.tz_convert(None).normalize()
    mapping = pd.DataFrame(
        {"symbol": str(bar["symbol"].iloc[0]), "start_date": day, "end_date": day + pd.Timedelta(days=1)}, index=[0]
    ).assign(instrument_id=int(bar["instrument_id"].iloc[0]))
    columns = ["ts_event", "instrument_id", "publisher_id", "open", "high", "low", "close", "volume"]
    write_dbn(
        path, dataset=SIMULATED_DATASET, schema="ohlcv-1h", stype_in="continuous", start=start,
        end=start + pd.Timedelta(hours=1), mappings=mapping, bars=bar[columns],
    )  # fmt: skip
    return path, f"{bar['date'].iloc[0]:%Y-%m-%d}"


def built_hashes(world: World) -> pd.Series:
    """Content hashes of tables, without those of landed files."""
    hashes = world.hashes()
    return hashes[~hashes.index.get_level_values(0).isin(LANDING_SOURCES)]


def require_exact(half_year: tuple[World, Path], tmp_path: Path, seed: int) -> None:
    built, delivery = half_year
    world = World(tmp_path / "world")
    shutil.copytree(built.path, world.path)
    file, day = corrected_bar(world, tmp_path / "correction.ohlcv-1h.dbn.zst", np.random.default_rng(seed))
    first, _ = require_exact_after(world, [delivery, file], tmp_path)
    if first is not None:
        assert (first.table.id, first.ranges[0].first) == (OHLCV_1H.id, day)
        assert first.ranges[0].reason == f"landing.ohlcv_1h {day} changed"


def require_exact_after(
    world: World, landings: list[Path], tmp_path: Path
) -> tuple[TablePlan | None, dict[str, list[str]]]:
    """Land the last of `landings`, those before it have been: the first of the plan, and what a refresh has written."""
    before, stored = world.hashes(), built_hashes(world)
    world.land(landings[-1])

    planned = world.builder.plan()
    first = planned.tables[0] if planned.tables else None
    exact = exact_plan(world.platform, ASSET_TABLES)
    assert built_hashes(world).equals(stored), "a plan has written"
    written = world.refresh()

    scratch = World(tmp_path / "scratch")
    for landing in landings:
        scratch.land(landing)
    scratch.refresh()
    truth = scratch.hashes()
    pd.testing.assert_series_equal(world.hashes(), truth)

    changed = before.index[(before != truth.reindex(before.index)).to_numpy()]
    changed = {(name, key) for name, key in changed if name not in LANDING_SOURCES}
    assert {(name, key) for name, keys in written.items() for key in keys} == changed
    assert {(name, key) for name, keys in exact.items() for key in keys} == changed
    upper = {(item.table.id, str(key)) for item in planned.tables for key in item.partitions}
    assert changed <= upper
    assert not world.builder.plan().tables, "something is still stale after the refresh"
    return first, written


@pytest.mark.parametrize("seed", range(2))
def test_a_refresh_after_a_correction_is_bit_identical_to_a_rebuild_and_writes_no_more(half_year, tmp_path, seed):
    require_exact(half_year, tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_six_more_corrections(half_year, tmp_path, seed):
    require_exact(half_year, tmp_path, seed)


def test_a_day_that_the_vendor_doubts_afterwards_takes_labels_away_and_changes_no_feature(half_year, tmp_path):
    built, delivery = half_year
    world = World(tmp_path / "world")
    shutil.copytree(built.path, world.path)
    day, hour = "2022-09-14", pd.Timestamp("2022-09-14 09:00", tz="UTC")
    taken_back, doubted = tmp_path / "less.ohlcv-1h.dbn.zst", tmp_path / "doubted.condition.json"
    bars = to_frame(OHLCV_1H, world.warehouse.read(OHLCV_1H))
    day_start = hour.tz_convert(None).normalize()
    span = {"start_date": day_start, "end_date": day_start + pd.Timedelta(days=1)}
    own = bars[(bars["ts_event"] == hour) & bars["root"].isin(["ZL", "MES", "RB"])]
    write_dbn(
        taken_back, dataset=SIMULATED_DATASET, schema="ohlcv-1h", stype_in="continuous", start=hour,
        end=hour + pd.Timedelta(hours=1), mappings=own[["symbol", "instrument_id"]].assign(**span), bars=own.iloc[:0],
    )  # fmt: skip
    world.land(taken_back)
    world.refresh()
    assert set(qualities(world, day)) == {"complete"}  # one hour is no hole
    doubted.write_text(json.dumps([{"date": day, "condition": "degraded", "last_modified_date": "2023-01-02"}]))
    _, written = require_exact_after(world, [delivery, taken_back, doubted], tmp_path)
    found = qualities(world, day)
    assert found[found == "doubtful"].index.tolist() == ["MES", "RB", "ZL"]
    assert set(found.drop(["MES", "RB", "ZL"])) == {"complete"}
    assert set(written) - {table.id for table in (*ZL_TRAINING, *MES_TRAINING, *MES_BAR_TRAINING)} == {
        "market_data.databento_conditions", "market_data.databento_futures_ohlcv_1d", "market_data.futures_curve_1d",
        "market_data.futures_continuous_1d", "features.daily_ml_matrix",
    }  # fmt: skip
    held = to_frame(HELD_BACK, world.warehouse.read(HELD_BACK))
    held = held[held["table_name"] == "training.zl_training_prod_allhistory_1w"]
    dates = held.groupby("reason")["date"].agg(lambda those: those.dt.strftime("%m-%d").tolist())
    assert dates["session_doubtful"] == ["09-14"]
    assert dates["target_session_doubtful"] == ["09-07"]


def qualities(world: World, day: str) -> pd.Series:
    sessions = world.rows(OHLCV_1D).xs(pd.Timestamp(day), level="date")["session_quality"]
    return sessions.sort_index()


def test_landing_the_same_correction_again_makes_nothing_stale(half_year, tmp_path):
    world = World(tmp_path / "world")
    shutil.copytree(half_year[0].path, world.path)
    file, _ = corrected_bar(world, tmp_path / "correction.ohlcv-1h.dbn.zst", np.random.default_rng(0))
    world.land(file)
    world.refresh()
    world.land(file)
    assert not world.builder.plan().tables
    assert world.refresh() == {}


def test_a_code_version_makes_its_own_table_stale_and_what_may_follow(half_year, tmp_path):
    world = World(tmp_path / "world")
    shutil.copytree(half_year[0].path, world.path)
    table = "features.volatility_daily"
    parts = {"code features.volatility.volatility_daily": "edited"}
    code = CodeAccount(lambda: {**code_versions(), table: CodeVersion("next", parts)}, "edited files")
    builder = replace(world.builder, code=code)
    plan = {item.table.id: item for item in builder.plan().tables}
    assert plan[table].ranges[0].reason.startswith("declaration changed: ")
    assert plan[table].ranges[0].certain
    follow = [item for name, item in plan.items() if name != table]
    assert follow, "nothing is said to depend on the table"
    assert not any(part.certain for item in follow for part in item.ranges)
    result = builder.build(plan[table].table, None, "next", only_stale=True).result
    assert result.written == ()
    assert not builder.plan().tables, "equal content under a new code version makes nothing else stale"


def test_what_is_selected_settles_although_other_inputs_of_it_stay_stale(half_year, tmp_path):
    world = World(tmp_path / "world")
    shutil.copytree(half_year[0].path, world.path)
    file, _ = corrected_bar(world, tmp_path / "correction.ohlcv-1h.dbn.zst", np.random.default_rng(1))
    world.land(file)
    left_out = {"features.volatility_daily", "features.technicals_daily"}
    selected = [table for table in ASSET_TABLES if table.id not in left_out]
    assert "features.daily_ml_matrix" in {item.table.id for item in world.builder.plan(selected).tables}
    for table in selected:
        world.builder.build(table, None, "test", only_stale=True)
    assert not world.builder.plan(selected).tables
    assert {item.table.id for item in world.builder.plan().tables} >= left_out
