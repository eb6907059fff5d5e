"""A delivery may be cut at any instant: every row that was complete then is the same when all the rest is there."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.catalog import ASSET_TABLES, Table
from cbi_dagster.catalog.tables.market_data import OHLCV_1D
from cbi_dagster.vendors.simulate import simulate_delivery, simulate_macro
from cbi_dagster.vendors.simulated_statistics import simulate_statistics
from cbi_dagster_tests.properties.cuts import cut_delivery
from cbi_dagster_tests.properties.worlds import SEED, World, without_revisions

START, MINUTES, TRUNK, END = dt.date(2023, 2, 1), dt.date(2023, 6, 12), dt.date(2023, 6, 14), dt.date(2023, 7, 8)
#: Instants in UTC; Chicago is five hours behind. Juneteenth is a Monday, Independence Day a Tuesday.
CUTS = (
    "2023-06-14 19:00",  # 14:00: grains have closed, the others trade
    "2023-06-15 18:30",  # 13:30: grains have closed, in an hour that has not ended
    "2023-06-16 23:00",  # a Friday evening
    "2023-06-19 19:30",  # 14:30 on the holiday
    "2023-06-20 12:00",  # 07:00, in the session that the holiday was joined with
)
MORE_CUTS = (
    "2023-06-15 18:00", "2023-06-15 18:20", "2023-06-16 18:40", "2023-06-15 19:00", "2023-06-15 19:30",
    "2023-06-15 21:00", "2023-06-15 22:00", "2023-06-19 12:00", "2023-06-19 17:30", "2023-06-20 19:00",
    "2023-06-20 22:30", "2023-06-21 12:00", "2023-06-21 19:00", "2023-06-22 19:00", "2023-06-23 23:00",
    "2023-06-26 19:00", "2023-07-03 18:30", "2023-07-04 19:30", "2023-07-05 12:00", "2023-07-05 19:00",
)  # fmt: skip


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cut_delivery")
    simulate_delivery(directory, seed=SEED, start=START, end=END, minute_start=MINUTES)
    simulate_statistics(directory / "statistics", seed=SEED, start=START, end=END)
    simulate_macro(directory, seed=SEED, start=START, end=END)
    return directory


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory, delivery: Path) -> World:
    """Everything built of what was there at midnight UTC before the first cut."""
    world = World(tmp_path_factory.mktemp("trunk"))
    world.land(cut_delivery(delivery, tmp_path_factory.mktemp("before"), _utc(START), _utc(TRUNK)))
    world.land(delivery / "simulated.macro.csv")
    world.refresh()
    return world


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, delivery: Path, trunk: World) -> World:
    return grown(trunk, delivery, tmp_path_factory.mktemp("whole"), _utc(END))


def _utc(moment: dt.date | str) -> pd.Timestamp:
    return pd.Timestamp(moment, tz="UTC")


def grown(trunk: World, delivery: Path, directory: Path, until: pd.Timestamp) -> World:
    """The trunk with what came until an instant, built."""
    world = World(directory / "world")
    shutil.copytree(trunk.path, world.path)
    world.land(cut_delivery(delivery, directory / "rest", _utc(TRUNK), until))
    world.refresh()
    return world


def require_kept(then: World, whole: World, table: Table) -> None:
    before, after = then.rows(table).astype(object), whole.rows(table).astype(object)
    if "session_covered" in before:
        before = before[before["session_covered"].to_numpy(bool)]  # bars of other sessions are not complete
    assert before.index.isin(after.index).all(), f"{table.id}: rows vanished"
    before, after = without_revisions(before, after.loc[before.index])
    same = (before == after) | (before.isna() & after.isna())
    rows, columns = before.index[~same.all(axis=1)], before.columns[~same.all(axis=0)]
    assert rows.empty, f"{table.id}: {len(rows)} rows changed, first {rows[0]}, in {', '.join(columns[:12])}"


def require_complete(then: World, whole: World, until: pd.Timestamp) -> None:
    """Every session that had closed by the instant, with the hour in which it closed, is there."""
    sessions = whole.rows(OHLCV_1D)
    ended = sessions["session_close_ts"].dt.ceil("h") <= until
    assert sessions.index[ended].isin(then.rows(OHLCV_1D).index).all()


def require_cut(trunk: World, delivery: Path, whole: World, directory: Path, cut: str) -> None:
    then = grown(trunk, delivery, directory, _utc(cut))
    require_complete(then, whole, _utc(cut))
    differing = []
    for table in ASSET_TABLES:
        try:
            require_kept(then, whole, table)
        except AssertionError as error:
            differing.append(str(error))
    assert not differing, "\n".join(differing)


@pytest.mark.parametrize("cut", CUTS)
def test_a_delivery_cut_at_any_instant_makes_rows_that_stay(delivery, trunk, whole, tmp_path, cut) -> None:
    require_cut(trunk, delivery, whole, tmp_path, cut)


@pytest.mark.slow
@pytest.mark.parametrize("cut", MORE_CUTS)
def test_twenty_more_instants(delivery, trunk, whole, tmp_path, cut) -> None:
    require_cut(trunk, delivery, whole, tmp_path, cut)
