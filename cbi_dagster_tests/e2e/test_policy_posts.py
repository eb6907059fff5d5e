"""The real archives of posts, where they are present: every row accounted for, and the known days stand out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.columns.policy import PREDICTED
from cbi_dagster.config.policy import load_policy
from cbi_dagster.config.universe import load_universe
from cbi_dagster.policy.daily import policy_daily
from cbi_dagster.policy.scoring import ScoredEvents, scored_events
from cbi_dagster.vendors.arrivals import LandingReport
from cbi_dagster.vendors.posts.archives import convert_archive
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import DATA

POSTS = DATA / "posts"
ALWAYS = [(np.datetime64("2010-06-07", "D"), np.datetime64("2100-01-01", "D"))]
#: Days on which tariffs on Chinese goods were announced, raised or put off: the trade date that knew it first.
ANNOUNCED = pd.to_datetime(
    ["2018-04-04", "2018-04-09", "2018-09-18", "2018-12-03", "2019-05-06", "2019-05-10", "2019-05-13", "2019-07-01",
     "2019-08-01", "2019-08-23", "2019-08-26", "2019-09-11", "2019-09-12", "2019-10-11", "2019-12-13"]
)  # fmt: skip

pytestmark = pytest.mark.skipif(not POSTS.is_dir(), reason="the real archives are not here")


@dataclass(frozen=True)
class Archives:
    """The landed archives: what landing said, the posts, their events, and the features of every weekday."""

    report: LandingReport
    posts: pd.DataFrame
    scored: ScoredEvents
    daily: pd.DataFrame


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    out = tmp_path_factory.mktemp("converted")
    inputs = [DATA / "inputs" / f"{name}.parquet" for name in ("policy_posts_2025", "news_gdelt")]
    for path in [*sorted(POSTS.glob("*")), *inputs]:
        convert_archive(path, out)
    world = World(tmp_path_factory.mktemp("home"))
    report = world.land(out)
    posts, coverage = (world.platform.landing.read(f"landing.{name}", ALWAYS) for name in ("posts", "posts_coverage"))
    scored = scored_events(posts, load_policy())
    weekdays = pd.DataFrame({"date": pd.bdate_range("2010-06-07", "2025-12-31"), "symbol": "ZL"})
    nothing = pd.DataFrame({"date": weekdays["date"], **dict.fromkeys(PREDICTED)})
    daily = policy_daily(weekdays, scored.events, coverage, nothing, load_universe())
    return Archives(report, posts, scored, daily)


def test_every_row_of_the_archives_is_a_post_or_has_a_reason(archives: Archives) -> None:
    files = archives.report.files.set_index("source_file")
    files = files[files["vendor_schema"] == "posts"]
    rejected = archives.report.rejected.groupby(["source_file", "reason"]).size()
    assert {name: (row.file_rows, row.kept_rows) for name, row in files.iterrows()} == {
        "tweets_2009_2017.posts.jsonl": (20_761, 20_663),
        "tweets_2016_2020_as_found.posts.jsonl": (17_151, 17_147),
        "truth_2025_market_hours.posts.jsonl": (1_255, 1_255),
        "truth_2022_2026_without_text.posts.jsonl": (32_433, 32_433),
        "policy_posts_2025.posts.jsonl": (450, 229),
        "news_gdelt.posts.jsonl": (2_830, 511),
    }
    assert rejected.to_dict() == {
        ("tweets_2009_2017.posts.jsonl", "before_first_trade_date"): 98,
        ("tweets_2016_2020_as_found.posts.jsonl", "null_published_at"): 3,
        ("tweets_2016_2020_as_found.posts.jsonl", "duplicate_post"): 1,
        ("policy_posts_2025.posts.jsonl", "duplicate_post"): 221,
        ("news_gdelt.posts.jsonl", "duplicate_post"): 2_319,
    }
    assert (files["kept_rows"] + files["rejected_rows"] == files["file_rows"]).all()
    # The 1,255 with text are among those without: one post each.
    assert len(archives.posts) == files["kept_rows"].sum() - 1_255
    assert len(archives.scored.events) + len(archives.scored.duplicates) == len(archives.posts)


def test_the_months_in_which_two_archives_overlap_are_counted_once(archives: Archives) -> None:
    events = archives.scored.events
    tweets = events[(events["post_source"] == "twitter") & (events["post_kind"] == "original")]
    by_month = tweets.groupby(tweets["published_at"].dt.strftime("%Y-%m")).size()
    assert by_month["2017-02":"2017-12"].max() < 2 * by_month["2018-01":"2018-12"].median()


def test_features_are_known_where_texts_are_and_vary_there(archives: Archives) -> None:
    daily = archives.daily.set_index("date")
    known = daily["policy_coverage"]
    assert known["2016":"2020-03"].all()  # type: ignore[misc]
    assert not known["2020-05":"2024"].any()  # type: ignore[misc]
    assert 0 < daily.loc["2025-02":"2025-09", "policy_coverage_share"].mean() < 0.5
    for years in (slice("2016", "2020-03"), slice("2025-02", "2025-10-10")):
        values = daily.loc[years, ["trump_score", "trump_score_signed", "trump_sentiment_7d", "trump_tariff_intensity"]]
        assert (values.std() > 0.01).all()
    assert daily.loc["2020-05":"2024", "trump_score"].isna().all()


def test_the_known_tariff_announcements_of_2018_and_2019_stand_out(archives: Archives) -> None:
    ranks = archives.daily.set_index("date").loc["2018":"2019"].rank(pct=True, numeric_only=True)
    assert ranks.loc[ANNOUNCED, "trumpxi_china_mentions"].mean() > 0.85
    assert ranks.loc[ANNOUNCED, "trump_tariff_intensity"].mean() > 0.8
    assert archives.daily.nlargest(10, "trumpxi_china_mentions")["date"].isin(ANNOUNCED).sum() >= 3
