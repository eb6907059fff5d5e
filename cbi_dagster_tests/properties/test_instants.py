"""A delivery that was cut at any instant: every row that could be built then is the one that stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.tables.features import BIOFUEL_DAILY, DAILY_ML_MATRIX, FX_CROSS_DAILY
from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.sessions import business_days, session_bounds
from cbi_dagster.vendors.simulate import simulate_macro
from cbi_dagster_tests.properties.conftest import CUT
from cbi_dagster_tests.properties.cuts import KEPT, cut_file, posts_until, require_kept
from cbi_dagster_tests.properties.worlds import SEED, START, World, simulated

pytestmark = pytest.mark.usefixtures("files_stay_open")

UNIVERSE = load_universe()
#: Chicago is five hours behind, and Juneteenth is a Monday: after the close of the grains and before that of all
#: others; on the holiday; in the hour in which grains close; on a Friday evening; in the session that the holiday was
#: joined with; in the middle of a minute; at midnight UTC.
INSTANTS = (
    "2023-06-15 19:00",
    "2023-06-19 19:30",
    *(
        pytest.param(instant, marks=pytest.mark.slow)
        for instant in (
            "2023-06-15 18:30", "2023-06-16 22:30", "2023-06-20 12:00", "2023-06-20 18:20:30", "2023-06-21 00:00",
            "2023-06-21 21:00", "2023-06-26 19:00",
        )
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def june(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The vendor files of the month in which the past ends."""
    return sorted(simulated(tmp_path_factory.mktemp("whole")).rglob(f"*-{CUT:%Y%m}01-*.dbn.zst"))


@pytest.fixture(scope="module", params=INSTANTS)
def stood(
    request: pytest.FixtureRequest, past: World, june: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[World, pd.Timestamp]:
    """The world as it stood at an instant."""
    instant = pd.Timestamp(request.param, tz="UTC")
    home, delivery = tmp_path_factory.mktemp("stood"), tmp_path_factory.mktemp("cut")
    shutil.copytree(past.path, home, dirs_exist_ok=True)
    then = World(home)
    macro = simulate_macro(delivery, seed=SEED, start=START, end=instant.date())
    then.land(*(cut_file(file, delivery, instant) for file in june), macro, *posts_until(delivery, START, instant))
    then.refresh()
    return then, instant


@pytest.mark.parametrize("table", KEPT, ids=lambda table: table.id)
def test_a_row_that_is_there_at_an_instant_is_the_one_that_stays(
    stood: tuple[World, pd.Timestamp], world: World, table: Table
) -> None:
    require_kept(stood[0], world, table)


def newest_over(root: str, instant: pd.Timestamp) -> pd.Timestamp:
    """The last trade date whose session was over, with the hour in which it closes."""
    day = np.datetime64(instant.date(), "D")
    days = business_days(day - 7, day, UNIVERSE.calendar(root))
    _, closes = session_bounds(root, days, UNIVERSE)
    over = pd.DatetimeIndex(closes, tz="UTC").ceil("h") <= instant
    return pd.Timestamp(days[over][-1])


def test_rows_are_there_once_their_own_session_is_over(stood: tuple[World, pd.Timestamp]) -> None:
    then, instant = stood
    matrix = then.rows(DAILY_ML_MATRIX).reset_index()
    newest = matrix.groupby("symbol")["data_date"].max()
    for root in ("ZL", "MES", "6E"):
        assert newest[root] == newest_over(root, instant), root
    # What the row of soybean oil takes from markets that are still open is known, not left out.
    currencies = then.rows(FX_CROSS_DAILY).xs(newest["ZL"], level="date")
    assert currencies[["fx_6e_log_return_1d", "fx_strength_index", "cross_corr_fx_eur_30d"]].notna().all(axis=None)
    assert then.rows(BIOFUEL_DAILY).xs(newest["ZL"], level="date")[["boho_spread", "crack_321"]].notna().all(axis=None)
