"""Archives as other people keep them, brought into the layout: every row a row, and what they cover."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.vendors.files import DeliveryError
from cbi_dagster.vendors.posts.archives import convert_archive
from cbi_dagster.vendors.posts.files import decode_posts
from cbi_dagster_tests.cli.commands import cbi
from cbi_dagster_tests.vendors.small_files import content


def converted(path: Path) -> tuple[list[dict[str, object]], str]:
    """The rows that an archive became, and its coverage."""
    done = convert_archive(path, path.parent / "out")
    rows = [json.loads(line) for line in done.files[0].read_text(encoding="utf-8").splitlines()]
    assert len(rows) == done.rows == len(decode_posts(content(done.files[0])))
    return rows, done.files[1].read_text(encoding="utf-8") if len(done.files) > 1 else ""


def test_a_spreadsheet_of_tweets_with_two_kinds_of_dates_lost_quotes_and_dos_letters(tmp_path: Path) -> None:
    path = tmp_path / "tweets.csv"
    path.write_bytes(
        "Text;created_at;retweet_count;favorite_count;is_retweet;id_str\r\n"
        '"It?s a deal; isn?t it? Löfven";03-31-2020 21:30:54;9147;5;false;1.25E+18\r\n'
        "RT @x: Tariffs;03-30-2020 21:30;1;0;true;1.25E+18\r\n"
        "Torn off;;;;;\r\n".encode("cp437")
    )
    rows, coverage = converted(path)
    assert [row["text"] for row in rows] == ["It's a deal; isn't it? Löfven", "RT @x: Tariffs", "Torn off"]
    assert [row.get("published_at", "")[:19] for row in rows] == ["2020-03-31T21:30:54", "2020-03-30T21:30:59", ""]
    assert [row["is_repost"] for row in rows] == [False, True, False]
    assert coverage.splitlines() == [
        "source,content,span_start,span_end",
        "twitter,text,2020-03-30T21:30:58.000000Z,2020-03-31T21:30:54.000000Z",
    ]


def test_tweets_with_ids(tmp_path: Path) -> None:
    path = tmp_path / "tweets.parquet"
    pd.DataFrame(
        {
            "id_str": ["7"], "created_at": pd.to_datetime(["2016-11-09 11:36:58"]), "text": ["A beautiful evening"],
            "retweet_count": [3], "favorite_count": [4], "is_retweet": [False], "source": ["Twitter for iPhone"],
        }
    ).to_parquet(path)  # fmt: skip
    rows, coverage = converted(path)
    assert rows == [
        {
            "source": "twitter", "published_at": "2016-11-09T11:36:58.000000Z", "text": "A beautiful evening",
            "author": "realDonaldTrump", "url": "https://twitter.com/realDonaldTrump/status/7", "likes": 4,
            "reposts": 3, "is_repost": False,
        }
    ]  # fmt: skip
    assert "twitter,text" in coverage


def test_posts_of_market_hours_cover_market_hours(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(
        "Tweet_ID,Created,Text,Created_ET,Session\n"
        "11,2025-10-14 17:42:22.246000+00:00,Hello,2025-10-14 13:42:22.246000-04:00,Regular\n",
        encoding="utf-8",
    )
    rows, coverage = converted(path)
    assert rows[0]["url"] == "https://truthsocial.com/@realDonaldTrump/11"
    assert coverage.splitlines()[1].endswith("09:30,16:00,America/New_York")


def test_posts_without_text_cover_the_rate_and_are_the_same_posts(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.write_text(
        "id,created_at,content_text,url,replies_count,reblogs_count,favourites_count\n"
        "11,2025-10-14T17:42:22.246Z,,https://truthsocial.com/@realDonaldTrump/11,1,2,3\n",
        encoding="utf-8",
    )
    rows, coverage = converted(path)
    assert "text" not in rows[0]
    assert (rows[0]["likes"], rows[0]["url"]) == (3, "https://truthsocial.com/@realDonaldTrump/11")
    assert "truth_social,rate," in coverage


def test_collectors_times_of_work_and_bare_dates_are_no_times_of_publication(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    times = pd.to_datetime(
        ["2025-10-06 16:44:16.839", "2025-04-03", "2025-11-12 17:55:28.51"], utc=True, format="ISO8601"
    )
    pd.DataFrame(
        {
            "source": ["DTN_Policy", "federal_register_api", "truth_social_monitor"], "category": "x",
            "text": ["Harvest", "EO", "Post"], "timestamp": times,
            "ingest_timestamp_utc": [times[0], times[1], times[2] + pd.Timedelta(hours=1)],
        }
    ).to_parquet(path)  # fmt: skip
    rows, coverage = converted(path)
    assert [row["source"] for row in rows] == ["dtn", "federal_register", "truth_social"]
    assert [row.get("published_at", "")[:13] for row in rows] == ["", "2025-04-03", "2025-11-12T17"]
    assert [row.get("found_at", "")[:10] for row in rows] == ["2025-10-06", "", ""]
    assert coverage == "", "what collectors of many sources cover does not follow from their items"


@pytest.mark.parametrize(("name", "text"), [("a.csv", "a,b\n1,2\n"), ("a.csv", "\xff\n"), ("a.parquet", "no")])
def test_a_file_that_is_no_known_archive_is_refused_by_name(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(DeliveryError, match=name):
        convert_archive(tmp_path / name, tmp_path / "out")


def test_the_command_writes_what_the_door_takes_and_says_what_is_not_covered(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text(
        "Tweet_ID,Created,Text,Created_ET,Session\n11,2025-10-14 17:42:22.246+00:00,Hello,,Regular\n", encoding="utf-8"
    )
    found = pd.Timestamp("2025-10-27 23:00:07", tz="UTC")
    news = {"title": "China", "source": "GDELT", "url": "https://x/1", "content": "Trade"}
    pd.DataFrame([{**news, "published": found, "ingest_timestamp_utc": found}]).to_parquet(tmp_path / "news.parquet")
    out = tmp_path / "out"
    told = cbi(tmp_path / "home", "posts", "convert", tmp_path / "truth.csv", tmp_path / "news.parquet", "--out", out)
    assert told.exit_code == 0, told.output
    assert "Truth Social posts of market hours" in told.output
    assert told.output.count("what it covers does not follow from it") == 1
    landed = cbi(tmp_path / "home", "land", out)
    assert (landed.exit_code, "3 files landed" in landed.output) == (0, True), landed.output
    (tmp_path / "other.csv").write_text("a\n1\n", encoding="utf-8")
    refused = cbi(tmp_path / "home", "posts", "convert", tmp_path / "other.csv", "--out", out)
    assert (refused.exit_code, "no known archive" in refused.output) == (1, True)
