"""The promises every table keeps, tested for every table of the catalog: a new one is covered when it is declared."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import ASSET_TABLES, TABLES, Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.features import volatility
from cbi_dagster.recipes import RECIPES
from cbi_dagster_tests.properties.conftest import CUT
from cbi_dagster_tests.properties.worlds import World, computed, with_windows_halved, without_revisions

pytestmark = pytest.mark.usefixtures("files_stay_open")

by_table = pytest.mark.parametrize("table", ASSET_TABLES, ids=lambda table: table.id)
VOLATILITY = TABLES["features.volatility_daily"]


def stored(world: World, table: Table) -> dict[str, str]:
    hashes = world.hashes()
    return hashes[hashes.index.get_level_values("table_name") == table.id].droplevel("table_name").to_dict()


def samples(world: World, table: Table) -> list[np.ndarray]:
    """Ranges of partitions to compute alone: single ones from start to end, and a few neighbours together."""
    ledger = world.warehouse.ledger_rows({table.id})
    keys = np.array([table.partitioning.parse(label) for label in ledger["partition_key"]], "datetime64[D]")
    filled = keys[ledger["row_count"] > 0]
    singles = filled[np.unique(np.linspace(0, len(filled) - 1, 5).astype(int))] if len(filled) else filled
    middle = len(keys) // 2
    return [*(singles[:, None]), keys[-1:], keys[middle : middle + 5]]


def require_split_invariance(world: World, table: Table, whole: dict[str, str], function=None) -> None:
    for asked in samples(world, table):
        for key, content in computed(world, table, asked, function).items():
            assert content == whole[key], f"{table.id} {key} alone differs from the full range"


@by_table
def test_a_day_a_range_and_the_full_history_give_bit_identical_partitions(world, table):
    whole = computed(world, table, None)
    assert whole == stored(world, table)
    require_split_invariance(world, table, whole)


def test_a_planted_start_dependence_goes_red(world):
    def running(continuous: pd.DataFrame) -> pd.DataFrame:
        frame = volatility.volatility_daily(continuous)
        frame["k_vol"] = frame.groupby("symbol")["realized_vol_5d"].transform(lambda v: v.fillna(0).cumsum() % 1 + 1)
        return frame

    with pytest.raises(AssertionError, match="differs from the full range"):
        require_split_invariance(world, VOLATILITY, computed(world, VOLATILITY, None, running), running)


#: Windows that the world is too short for, and where they are tested instead.
TESTED_ELSEWHERE = {"features.mes_horizons_daily": "two calendar years: features/test_mes_horizons.py"}


def _bounded(table: Table) -> bool:
    return any(isinstance(read.back, int) and read.back > 0 for read in table.reads)


@pytest.mark.parametrize("table", [table for table in ASSET_TABLES if _bounded(table)], ids=lambda table: table.id)
def test_half_the_declared_window_is_too_short(world, table):
    if table.id in TESTED_ELSEWHERE:
        pytest.skip(TESTED_ELSEWHERE[table.id])
    halved = with_windows_halved(table)
    whole = stored(world, table)
    keys = np.array(sorted(whole), "datetime64[D]")
    later = keys[len(keys) // 2 :][:: -max(1, len(keys) // 60)]
    alone = (computed(world, halved, day[None]).items() for day in later)
    assert any(content != whole[key] for day in alone for key, content in day), (
        f"{table.id} reads further back than it needs"
    )


def require_no_look_ahead(past: World, world: World, table: Table, cut: dt.date = CUT) -> None:
    """Rows that existed before the cut are the same after it, and none of them has vanished."""
    before, after = past.rows(table), world.rows(table)
    if column := table.partitioning.column:
        # Sessions of the last trade date before the cut may be incomplete then and complete now.
        last = np.busday_offset(np.datetime64(cut), -1, roll="backward")
        dates = before.reset_index()[column].to_numpy().astype("datetime64[D]")
        before = before[dates < last]
    assert before.index.isin(after.index).all(), f"{table.id}: rows vanished"
    pd.testing.assert_frame_equal(
        *without_revisions(before, after.loc[before.index]),
        check_exact=True,
        check_dtype=False,
        check_categorical=False,
        check_index_type=len(before) > 0,  # no rows have an index of no type
    )
    if column and table.layer != "training":  # a training row is there once its label has matured
        dates = after.reset_index()[column].to_numpy().astype("datetime64[D]")
        assert len(before) == int((dates < last).sum()), f"{table.id}: the past has gained rows"


@by_table
def test_deleting_the_future_changes_no_row_of_the_past(past, world, table):
    require_no_look_ahead(past, world, table)


class LookingAhead(World):
    """A world whose k_vol is that of thirty sessions later."""

    def rows(self, table: Table) -> pd.DataFrame:
        frame = super().rows(table).sort_index()
        return frame.assign(k_vol=frame.groupby(level="symbol")["k_vol"].shift(-30))


class KnowingTheEnd(World):
    """A world in which only those rows were ever there that the last session's volatility does not exceed."""

    def rows(self, table: Table) -> pd.DataFrame:
        frame = super().rows(table).sort_index()
        known = frame["k_vol"].fillna(0.0)
        return frame[known <= known.iloc[-1]]


@pytest.mark.parametrize(
    ("planted", "told"), [(LookingAhead, '"k_vol"'), (KnowingTheEnd, "rows vanished|the past has gained rows")]
)
def test_a_planted_look_ahead_goes_red(past, world, planted, told):
    with pytest.raises(AssertionError, match=told):
        require_no_look_ahead(planted(past.path), planted(world.path), VOLATILITY)


@by_table
def test_empty_inputs_give_an_empty_table(table):
    inputs = []
    for read in table.reads:
        source = TABLES.get(read.source)
        if source is None:
            pytest.skip("reads landed vendor data, which its reader returns as declared")
        inputs.append(to_frame(source, source.arrow_schema(stored=True).empty_table().select(read.columns)))
    if not inputs:
        pytest.skip("made from configuration, reads nothing")
    rows = RECIPES[table.id](*inputs)
    assert len(getattr(rows, "rows", rows)) == 0
