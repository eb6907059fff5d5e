"""Three years of real posts: probabilities vary from day to day, and the days of the tariff announcements stand out.

Needs the archive beside the repository; the package's own tests make what they need and pass without it.
"""

from __future__ import annotations

import pandas as pd
import pytest

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.raw_intelligence import POLICY_COVERAGE, POLICY_EVENTS, POLICY_POSTS
from cbi_dagster.config.policy_actions import load_policy_actions
from cbi_dagster.config.universe import load_universe
from cbi_dagster.policy.actions import trump_action_daily
from cbi_dagster.vendors.posts.archives import convert_archive
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import DATA

ARCHIVE = DATA / "posts" / "tweets_2016_2020_as_found.csv"

pytestmark = pytest.mark.skipif(not ARCHIVE.is_file(), reason="the archive of posts is not here")


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The scored events of the archive, and what it covers."""
    world = World(tmp_path_factory.mktemp("posts"))
    world.land(*convert_archive(ARCHIVE, tmp_path_factory.mktemp("converted")).files)
    for table in (POLICY_POSTS, POLICY_COVERAGE, POLICY_EVENTS):
        world.builder.build(table, None, "test", only_stale=True)
    events, coverage = (to_frame(table, world.warehouse.read(table)) for table in (POLICY_EVENTS, POLICY_COVERAGE))
    return events, coverage


def computed(events: pd.DataFrame, coverage: pd.DataFrame, last: str = "2020-02-28") -> pd.DataFrame:
    """Rows of every weekday from 2017 on."""
    sessions = pd.DataFrame({"date": pd.bdate_range("2017-01-02", last), "symbol": "ZL"})
    return trump_action_daily(sessions, events, coverage, load_policy_actions(), load_universe())


@pytest.fixture(scope="module")
def actions(landed: tuple[pd.DataFrame, pd.DataFrame]) -> pd.DataFrame:
    return computed(*landed)


def tariffs(actions: pd.DataFrame) -> pd.Series:
    return actions[actions["action"] == "tariff_announcement"].set_index("date")["probability"]


def test_the_days_of_known_tariff_announcements_are_among_the_top_twenty(actions: pd.DataFrame) -> None:
    top = {f"{date:%Y-%m-%d}" for date in tariffs(actions).nlargest(20).index}
    # 25 % on 200 bn in force and the answer to it; 10 % on the rest announced; the answer to that; "I am a Tariff Man".
    assert {"2019-05-10", "2019-05-13", "2019-08-01", "2019-08-23", "2018-12-04"} <= top
    assert all(date >= "2018" for date in top)


def test_probabilities_vary_without_saturating(actions: pd.DataFrame) -> None:
    known = tariffs(actions)
    assert known.notna().all()
    assert known.nunique() > 0.5 * len(known)
    assert (known > 0.85).mean() < 0.01
    by_year = known.groupby(known.index.year).mean()
    assert by_year[2017] < by_year[2018] < by_year[2019]


def test_all_seven_actions_are_reached_and_say_by_which_posts(actions: pd.DataFrame) -> None:
    highest = actions.loc[actions.groupby("action")["probability"].idxmax()]
    assert len(highest) == 7
    assert (highest["probability"] > 0.1).all()
    assert highest["trigger_post_ids"].notna().all()


def test_a_row_is_the_same_without_what_was_posted_after_its_decision_time(
    landed: tuple[pd.DataFrame, pd.DataFrame], actions: pd.DataFrame
) -> None:
    events, coverage = landed
    decision = pd.Timestamp("2019-05-10 13:20", tz="America/Chicago")
    past = computed(events[events["published_at"] <= decision], coverage, "2019-05-10")
    same = actions[actions["date"] <= "2019-05-10"].reset_index(drop=True)
    pd.testing.assert_frame_equal(past, same, check_exact=True)
