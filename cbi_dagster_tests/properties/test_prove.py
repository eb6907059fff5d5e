"""What `cbi prove` says of a sound warehouse, and of one that a leak was planted in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import ASSET_TABLES, TABLES, Table, table
from cbi_dagster.catalog.tables.features import VOLATILITY_DAILY
from cbi_dagster.catalog.tables.market_data import OHLCV_1H
from cbi_dagster.home import Home, Platform
from cbi_dagster.prove import TableProof, cut_instants, is_landed, prove
from cbi_dagster.recipes import RECIPES, Recipe
from cbi_dagster.reports.checks import LEAKAGE
from cbi_dagster.vendors.landed import quietly
from cbi_dagster.warehouse.contract import now_utc
from cbi_dagster_tests.properties.cuts import cut_file, posts_until
from cbi_dagster_tests.properties.worlds import START, World

pytestmark = pytest.mark.usefixtures("files_stay_open")

#: 14:30 in Chicago: grains have closed, the others trade.
INSTANT = pd.Timestamp("2023-08-09 19:30", tz="UTC")
ONE_WEEK = table("zl_training_prod_allhistory_1w")
Change = Callable[[pd.DataFrame], pd.DataFrame]


def planted(world: World, declared: Table, change: Change) -> Platform:
    """The world in which a table's recipe does something more, and has built it."""
    over = world.platform.overlaid()

    def leaky(*inputs: pd.DataFrame) -> object:
        made = RECIPES[declared.id](*inputs)
        return replace(made, rows=change(made.rows)) if hasattr(made, "rows") else change(made)

    recipes = {**over.builder.recipes, declared.id: Recipe(declared, leaky)}
    platform = replace(over, builder=replace(over.builder, recipes=recipes))
    platform.builder.build(declared, None, "test", only_stale=False)
    return platform


def findings(platform: Platform, declared: Table) -> list[str]:
    (proof,) = prove(platform, [declared], [INSTANT], quietly)
    assert bool(proof.findings) == bool(proof.rows_differing or proof.alone_differing)
    return [*proof.findings]


def require_sound(world: World, tables: Sequence[Table]) -> list[TableProof]:
    proofs = prove(world.platform, tables, [INSTANT], quietly)
    assert [(proof.table.id, finding) for proof in proofs for finding in proof.findings] == []
    return proofs


def test_a_sound_table_stands(world: World) -> None:
    landed, made = require_sound(world, [OHLCV_1H, VOLATILITY_DAILY])
    assert (landed.cuts, landed.rows) == (0, 0), "a cut changes what was landed"
    # Rows of ten dates and those of the markets that had closed, 2023-08-08 and five dates in the middle.
    assert made.cuts == 1
    assert made.rows > 150
    assert made.alone == landed.alone == 6


@pytest.mark.slow
def test_every_table_of_a_sound_warehouse_stands(world: World) -> None:
    proofs = require_sound(world, ASSET_TABLES)
    filled = {name for name, ledger in world.warehouse.ledger_by_table().items() if ledger.row_counts.any()}
    assert {proof.table.id for proof in proofs if proof.alone} == filled & TABLES.keys()
    unseen = {proof.table.id for proof in proofs if proof.table.id in filled and not proof.rows}
    landed = {declared.id for declared in ASSET_TABLES if is_landed(declared)}
    # Labels of a year have not come in a world of fifteen months; some tables have rows at the turn of the year alone.
    rare = ("_12m", "_event_study", "_calibration", "_forests")
    assert unseen - landed <= {declared.id for declared in ASSET_TABLES if declared.name.endswith(rare)}


def shifted(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(k_vol=rows.groupby("symbol", observed=True)["k_vol"].shift(-1))


def centred(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(realized_vol_5d=rows["realized_vol_5d"] / len(rows))


def chosen(rows: pd.DataFrame) -> pd.DataFrame:
    known = rows["realized_vol_5d"].fillna(0.0)
    return rows[known <= known.iloc[-1]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (shifted, "cut at 2023-08-09 19:30Z: .* differ in k_vol"),
        (centred, "2023-08-08 alone: 2023-08-08 differ"),
        (chosen, "rows of the past came later|are not stored"),
    ],
)
def test_a_feature_that_knows_later_rows_is_found(world: World, change: Change, told: str) -> None:
    said = "\n".join(findings(planted(world, VOLATILITY_DAILY, change), VOLATILITY_DAILY))
    assert pd.Series([said]).str.contains(told).all(), said


def test_a_row_that_other_hands_changed_is_found(world: World) -> None:
    platform = planted(world, VOLATILITY_DAILY, lambda made: made.assign(k_vol=1.0))
    said = findings(replace(platform, builder=replace(platform.builder, recipes=RECIPES)), VOLATILITY_DAILY)
    assert any("differ in k_vol" in line for line in said)


def leaked(platform: Platform) -> dict[str, list[str]]:
    return {**LEAKAGE.function(platform.builder.warehouse, ONE_WEEK, None).problems}


@pytest.mark.parametrize("declared", LEAKAGE.tables, ids=lambda declared: declared.name)
def test_no_training_table_tells_its_target(world: World, declared: Table) -> None:
    assert not LEAKAGE.function(world.warehouse, declared, None).problems


def test_a_target_among_the_features_is_found(world: World) -> None:
    def copied(rows: pd.DataFrame) -> pd.DataFrame:
        said = {"regime_k_vol": 1.5 - rows["target_1w"], "technicals_rsi_14": rows["target_direction_1w"] * 10.0 + 50}
        return rows.assign(pivots_P=rows["target_price_1w"], **said)

    (told,) = leaked(planted(world, ONE_WEEK, copied)).values()
    assert [line.partition(":")[0].partition(" in ")[0] for line in told] == [
        "regime_k_vol and target_1w", "technicals_rsi_14 and target_direction_1w", "pivots_P is target_price_1w",
    ]  # fmt: skip


def test_an_unpurged_split_is_found(world: World) -> None:
    unpurged = planted(world, ONE_WEEK, lambda rows: rows.assign(split=rows["split"].replace("purged", "train")))
    (told,) = leaked(unpurged).values()
    assert told == ["labels of train reach to 2023-01-09, rows of val begin on 2023-01-03"]


def test_what_is_cut_in_memory_is_what_a_cut_delivery_lands(world: World, tmp_path: Path) -> None:
    of_august = [
        next(Home(world.path).landing.rglob(f"{file.file_hash}.*"))
        for file in world.platform.landing.landed_by(now_utc())
        if file.vendor_schema.startswith("ohlcv") and file.span_end > INSTANT
    ]
    then = World(tmp_path / "then")
    then.land(*(cut_file(path, tmp_path, INSTANT) for path in of_august), *posts_until(tmp_path, START, INSTANT))
    held = world.platform.landing.holdings().until(INSTANT)
    days = [(np.datetime64("2023-08-03"), np.datetime64("2023-08-11"))]
    for source in ("landing.ohlcv_1m", "landing.ohlcv_1h", "landing.posts", "landing.posts_coverage"):
        here, there = (
            frame.drop(columns=["source_file", "source_row"], errors="ignore").reset_index(drop=True)
            for frame in (held.read(source, days), then.platform.landing.read(source, days))
        )
        assert len(here)
        pd.testing.assert_frame_equal(here, there, check_categorical=False, obj=source)


def test_instants_are_spread_to_the_newest_date_and_lie_in_sessions_too(world: World) -> None:
    instants = cut_instants(world.warehouse, 5)
    assert len({instant.time() for instant in instants}) == 5
    assert instants[-1].date().isoformat() == "2023-08-31"
    assert instants[0].year == 2022
