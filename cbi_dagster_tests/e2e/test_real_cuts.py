"""The real delivery, cut at instants of real trade dates: every row that was complete then is the one that stays.

Needs the delivery beside the repository. Its posts and macro series are simulated.
"""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.catalog.tables.market_data import OHLCV_1D
from cbi_dagster.vendors.posts.simulated import simulate_posts
from cbi_dagster.vendors.simulate import simulate_macro
from cbi_dagster_tests.properties.cuts import KEPT, cut_file, posts_until, require_kept
from cbi_dagster_tests.properties.worlds import SEED, World
from cbi_dagster_tests.vendors.small_files import REAL_DELIVERY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not REAL_DELIVERY.is_dir(), reason="the real delivery is not here"),
]

START, TRUNK, END = dt.date(2023, 9, 1), dt.date(2024, 2, 1), dt.date(2025, 1, 1)
#: 14:00 in Chicago, five hours behind in summer and six in winter, on ten trade dates; then other times of day.
INSTANTS = (
    "2024-02-15 20:00",
    "2024-02-19 20:00",  # Presidents' Day
    "2024-03-11 19:00",  # the first session of daylight-saving time
    "2024-03-28 19:00",  # before Good Friday
    "2024-05-24 19:00",
    "2024-06-14 19:00",  # the front contract of the equity indices changes in this week
    "2024-06-20 19:00",  # after Juneteenth, on which grains rest and others are joined with this session
    "2024-07-05 19:00",
    "2024-11-04 20:00",  # the first session of standard time
    "2024-11-29 20:00",  # after Thanksgiving: two openings, and an early close
    "2024-03-12 12:00",  # 07:00
    "2024-06-21 19:30",  # 14:30
    "2024-09-02 19:30",  # 14:30 on Labor Day
    "2024-08-16 22:30",  # a Friday evening
)


def files(first: dt.date, last: dt.date) -> list[Path]:
    """The monthly files of the months from `first` to `last`."""
    months = pd.date_range(first.replace(day=1), last, freq="MS")
    return [path for month in months for path in REAL_DELIVERY.glob(f"*-{month:%Y%m}01-*.ohlcv-1h.dbn.zst")]


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Everything built of what there was when the first month ended in which the delivery is cut."""
    world, beside = World(tmp_path_factory.mktemp("trunk")), tmp_path_factory.mktemp("beside")
    world.land(*files(START, TRUNK - dt.timedelta(days=1)), *posts_until(beside, START, pd.Timestamp(TRUNK, tz="UTC")))
    world.refresh()
    return world


def grown(trunk: World, path: Path, *landings: Path) -> World:
    world = World(path)
    shutil.copytree(trunk.path, path)
    world.land(*landings)
    world.refresh()
    return world


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, trunk: World) -> World:
    directory = tmp_path_factory.mktemp("whole")
    simulate_macro(directory, seed=SEED, start=START, end=END)
    simulate_posts(directory, seed=SEED, start=START, end=END)
    return grown(trunk, directory / "world", *files(TRUNK, END - dt.timedelta(days=1)), directory)


@pytest.mark.parametrize("instant", INSTANTS)
def test_every_row_of_a_real_delivery_that_was_cut_at_an_instant_stays(
    trunk: World, whole: World, tmp_path: Path, instant: str
) -> None:
    now = pd.Timestamp(instant, tz="UTC")
    landings = [cut_file(path, tmp_path, now) for path in files(TRUNK, now.date())]
    macro = simulate_macro(tmp_path, seed=SEED, start=START, end=now.date())
    then = grown(trunk, tmp_path / "world", *landings, macro, *posts_until(tmp_path, START, now))
    sessions = whole.rows(OHLCV_1D)
    over = sessions.index[sessions["session_close_ts"].dt.ceil("h") <= now]
    assert over.isin(then.rows(OHLCV_1D).index).all(), "a session that was over is not there"
    assert len(then.rows(DAILY_ML_MATRIX)) == len(over)
    differing = []
    for table in KEPT:
        try:
            require_kept(then, whole, table)
        except AssertionError as error:
            differing.append(str(error))
    assert not differing, "\n".join(differing)
