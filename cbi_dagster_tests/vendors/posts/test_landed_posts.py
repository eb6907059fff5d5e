"""Posts through the same door as bars: taken once, corrected by later files, withdrawn, and as stale as that makes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables import ops
from cbi_dagster.catalog.tables.features import POLICY_DAILY
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D, OHLCV_1D, OHLCV_1H, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.catalog.tables.raw_intelligence import POLICY_COVERAGE, POLICY_EVENTS, POLICY_POSTS
from cbi_dagster.vendors.arrivals import LandingReport
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import zl_file

#: The policy features and what they are made of.
BUILT = [
    OHLCV_1M, OHLCV_1H, OHLCV_UTC_1D, OHLCV_1D, FUTURES_CONTINUOUS_1D, POLICY_POSTS, POLICY_COVERAGE, POLICY_EVENTS,
    POLICY_DAILY,
]  # fmt: skip
POSTS, COVERAGE = "landing.posts", "landing.posts_coverage"
MONDAY = {"source": "x", "published_at": "2024-07-01T14:00:00Z", "text": "Tariffs", "url": "https://x/1"}
TUESDAY = {"source": "x", "published_at": "2024-07-02T14:00:00Z", "text": "A deal", "url": "https://x/2"}
SATURDAY = {"source": "x", "published_at": "2024-07-06T14:00:00Z", "text": "A war", "url": "https://x/6"}
ALWAYS = [(np.datetime64("2010-06-07", "D"), np.datetime64("2100-01-01", "D"))]


class Door:
    """A world, and files of posts for it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.world = World(directory / "home")

    def land(self, name: str, *rows: dict[str, object], again: bool = False) -> LandingReport:
        path = self.directory / f"{name}.posts.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        return self.world.platform.ready().landing.land([path], again=again)

    def cover(self, *spans: str, name: str = "all") -> LandingReport:
        path = self.directory / f"{name}.posts-coverage.csv"
        lines = "".join(f"x,{span}\n" for span in spans)
        path.write_text(f"source,span_start,span_end,content\n{lines}", encoding="utf-8")
        return self.world.land(path)

    def unland(self, name: str) -> pd.DataFrame:
        return self.world.platform.ready().landing.unland(f"{name}.posts.jsonl").returned

    def posts(self) -> pd.DataFrame:
        return self.world.platform.ready().landing.read(POSTS, ALWAYS)

    def texts(self) -> dict[str, str | None]:
        rows = self.posts()
        days = rows["trade_date_available"].dt.strftime("%m-%d")
        return dict(zip(days, rows["text"], strict=True))

    def refresh(self) -> dict[str, list[str]]:
        """Rebuild what is stale of the policy features and what they are made of; the partitions written, per table."""
        builder = self.world.builder
        with builder.warehouse.shared_connection():
            return {
                table.id: [*map(str, builder.build(table, None, "test", only_stale=True).result.written)]
                for table in BUILT
            }

    def stale(self) -> dict[str, list[str]]:
        return {item.table.id: item.partitions.astype(str).tolist() for item in self.world.builder.plan(BUILT).tables}


def said(corrections: pd.DataFrame) -> list[tuple[str | None, str | None]]:
    """What was said before and after each correction."""
    texts = corrections[["old_text", "new_text"]].astype(object)
    return list(texts.where(texts.notna(), None).itertuples(index=False, name=None))


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def test_posts_are_known_from_their_trade_date_on(door: Door) -> None:
    report = door.land("a", MONDAY, TUESDAY, SATURDAY)
    assert report.files[["outcome", "vendor_schema", "file_rows", "kept_rows"]].to_numpy().tolist() == [
        ["landed", "posts", 3, 3]
    ]
    assert door.texts() == {"07-01": "Tariffs", "07-02": "A deal", "07-08": "A war"}
    ledger = door.world.warehouse.ledger_rows({POSTS}).set_index("partition_key")["row_count"]
    assert ledger.to_dict() == {"2024-07-01": 1, "2024-07-02": 1, "2024-07-08": 1}


def test_every_row_of_a_file_is_a_post_or_in_the_quarantine(door: Door) -> None:
    report = door.land("a", MONDAY, {**MONDAY, "text": "Again"}, {**TUESDAY, "published_at": None})
    assert report.rejected["reason"].tolist() == ["duplicate_post", "null_published_at"]
    quarantine = to_frame(ops.QUARANTINE, door.world.warehouse.read(ops.QUARANTINE))
    assert quarantine[["table_name", "source_row", "reason"]].to_numpy().tolist() == [
        [POSTS, 1, "duplicate_post"], [POSTS, 2, "null_published_at"],
    ]  # fmt: skip


def test_the_same_file_twice_changes_nothing(door: Door) -> None:
    door.land("a", MONDAY)
    before = door.world.hashes()
    assert door.land("a", MONDAY).files["outcome"].tolist() == ["already landed"]
    pd.testing.assert_series_equal(door.world.hashes(), before)


def test_an_edited_post_is_a_correction_and_its_withdrawal_brings_the_earlier_words_back(door: Door) -> None:
    door.land("a", MONDAY, TUESDAY)
    report = door.land("b", {**MONDAY, "text": "No tariffs", "likes": 5})
    (row,) = report.corrections.to_dict("records")
    assert (row["old_text"], row["new_text"], row["vendor_schema"]) == ("Tariffs", "No tariffs", "posts")
    assert row["ts_event"] == pd.Timestamp(MONDAY["published_at"])
    assert door.texts() == {"07-01": "No tariffs", "07-02": "A deal"}
    returned = door.unland("b")
    assert said(returned) == [("No tariffs", "Tariffs")]
    assert door.texts() == {"07-01": "Tariffs", "07-02": "A deal"}


def test_a_post_that_was_published_at_another_time_moves(door: Door) -> None:
    door.land("a", MONDAY)
    report = door.land("b", {**MONDAY, "published_at": "2024-07-02T10:00:00Z"})
    assert report.corrections["new_published_at"].tolist() == [pd.Timestamp("2024-07-02 10:00", tz="UTC")]
    assert door.texts() == {"07-02": "Tariffs"}
    ledger = door.world.warehouse.ledger_rows({POSTS}).set_index("partition_key")["row_count"]
    assert ledger.to_dict() == {"2024-07-01": 0, "2024-07-02": 1}


def test_a_post_that_is_taken_back_is_gone_until_it_is_stated_again(door: Door) -> None:
    door.land("a", MONDAY, TUESDAY)
    report = door.land("b", {**MONDAY, "withdrawn": True})
    assert said(report.corrections) == [("Tariffs", None)]
    assert door.texts() == {"07-02": "A deal"}
    assert said(door.unland("b")) == [(None, "Tariffs")]
    assert door.texts() == {"07-01": "Tariffs", "07-02": "A deal"}


def test_a_statement_without_text_leaves_the_text_that_is_known(door: Door) -> None:
    door.land("a", {**MONDAY, "text": None})
    assert door.texts() == {"07-01": None}
    assert door.land("b", MONDAY).corrections.empty, "a text that becomes known corrects nothing"
    assert door.land("c", {**MONDAY, "text": None, "likes": 9}).corrections.empty
    assert (door.texts(), door.posts()["likes"].tolist()) == ({"07-01": "Tariffs"}, [9])


def test_what_is_found_again_was_not_published_again_and_a_known_time_counts(door: Door) -> None:
    found = {**MONDAY, "published_at": None}
    door.land("a", {**found, "found_at": "2024-07-02T12:00:00Z"})
    door.land("b", {**found, "found_at": "2024-07-05T12:00:00Z"})
    assert door.texts() == {"07-02": "Tariffs"}
    door.land("c", MONDAY)
    door.land("d", {**found, "found_at": "2024-06-28T12:00:00Z"})
    assert (door.texts(), door.posts()["is_published_time_known"].tolist()) == ({"07-01": "Tariffs"}, [True])


def test_a_file_that_was_overruled_says_so_and_wins_again_if_it_shall(door: Door) -> None:
    door.land("a", MONDAY)
    door.land("b", {**MONDAY, "text": "No tariffs"})
    assert door.land("a", MONDAY).files["outcome"].tolist() == ["overruled"]
    assert door.land("a", MONDAY, again=True).files["outcome"].tolist() == ["landed"]
    assert door.texts() == {"07-01": "Tariffs"}


def test_posts_and_bars_can_be_corrected_in_one_landing(door: Door, tmp_path: Path) -> None:
    from cbi_dagster_tests.vendors.small_files import zl_bars

    door.world.land(zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    door.land("a", MONDAY)
    both = tmp_path / "both"
    both.mkdir()
    bars = zl_bars()
    bars.loc[3, "volume"] += 1
    zl_file(both / "zl.ohlcv-1h.dbn.zst", bars)
    (both / "b.posts.jsonl").write_text(json.dumps({**MONDAY, "text": "No tariffs"}) + "\n", encoding="utf-8")
    report = door.world.land(both)
    assert sorted(report.corrections["vendor_schema"]) == ["ohlcv-1h", "posts"]
    assert len(door.world.warehouse.read(ops.CORRECTIONS)) == 2


# -- coverage ---------------------------------------------------------------------------------------------------------


def test_coverage_lands_and_is_taken_back_like_posts(door: Door) -> None:
    report = door.cover("2024-07-01T00:00:00Z,2024-07-02T18:20:00Z,text")
    assert report.files[["vendor_schema", "kept_rows"]].to_numpy().tolist() == [["posts-coverage", 1]]
    rows = door.world.platform.landing.read(COVERAGE, ALWAYS)
    assert rows["trade_date_available"].dt.strftime("%m-%d").tolist() == ["07-01", "07-02"]
    door.world.platform.ready().landing.unland("all.posts-coverage.csv")
    assert door.world.platform.landing.read(COVERAGE, ALWAYS).empty


# -- what becomes stale -----------------------------------------------------------------------------------------------


@pytest.fixture
def built(door: Door, tmp_path: Path) -> Door:
    """The week of 2024-07-01 with ZL bars, posts and coverage, built."""
    door.world.land(zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    door.land("a", MONDAY, TUESDAY)
    door.cover("2024-06-30T00:00:00Z,2024-07-06T00:00:00Z,text")
    door.refresh()
    assert door.stale() == {}
    return door


def features(door: Door) -> pd.DataFrame:
    rows = to_frame(POLICY_DAILY, door.world.warehouse.read(POLICY_DAILY))
    return rows[rows["symbol"] == "ZL"].set_index("date").sort_index()


def test_a_late_post_makes_its_day_and_those_that_look_back_on_it_stale(built: Door) -> None:
    before = features(built)
    assert len(before) >= 3
    built.land("late", {**TUESDAY, "url": "https://x/3", "published_at": "2024-07-03T17:00:00Z", "text": "A war"})
    stale = built.stale()
    assert stale[POLICY_POSTS.id] == ["2024-07-03"]
    assert POLICY_COVERAGE.id not in stale
    assert [day for day in stale[POLICY_EVENTS.id] if day < "2024-07-03"] == []
    assert [day for day in stale[POLICY_DAILY.id] if day < "2024-07-03"] == []
    written = built.refresh()
    assert written[POLICY_POSTS.id] == ["2024-07-03"]
    assert written[POLICY_EVENTS.id] == ["2024-07-03"]
    assert min(written[POLICY_DAILY.id]) == "2024-07-03"
    after = features(built)
    pd.testing.assert_frame_equal(after[after.index < "2024-07-03"], before[before.index < "2024-07-03"])
    assert after["trump_score"].iloc[2] > before["trump_score"].iloc[2]


def test_a_post_in_the_days_last_minute_counts_and_one_a_minute_later_does_not(built: Door) -> None:
    before = features(built)
    built.land("late", {**MONDAY, "url": "https://x/3", "published_at": "2024-07-02T18:20:01Z", "text": "A war"})
    built.refresh()
    after = features(built)
    pd.testing.assert_frame_equal(after[after.index <= "2024-07-02"], before[before.index <= "2024-07-02"])
    built.land(
        "later", {**MONDAY, "url": "https://x/4", "published_at": "2024-07-02T18:20:00Z", "text": "A war, again"}
    )
    built.refresh()
    assert features(built)["trump_score"].iloc[1] > before["trump_score"].iloc[1]


def test_without_coverage_posts_alone_make_nothing_known(built: Door) -> None:
    built.world.platform.ready().landing.unland("all.posts-coverage.csv")
    built.refresh()
    assert features(built)["trump_score"].isna().all()
    assert not features(built)["policy_coverage"].any()


def test_after_corrections_the_warehouse_is_that_of_one_built_anew(built: Door, tmp_path: Path) -> None:
    built.land("b", {**MONDAY, "text": "No tariffs, a deal"}, {**TUESDAY, "withdrawn": True}, SATURDAY)
    built.refresh()
    anew = Door(tmp_path / "anew")
    anew.world.land(tmp_path / "zl.ohlcv-1h.dbn.zst", *(tmp_path / f"{name}.posts.jsonl" for name in ("a", "b")),
                    tmp_path / "all.posts-coverage.csv")  # fmt: skip
    anew.refresh()
    pd.testing.assert_series_equal(built.world.hashes(), anew.world.hashes())
