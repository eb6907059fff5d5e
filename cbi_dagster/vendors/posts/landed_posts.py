"""Posts at the door: what landing must know of files of posts, and of the posts that have landed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.columns.policy import COVERAGE, POSTS
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables.raw_intelligence import POLICY_COVERAGE, POLICY_POSTS
from cbi_dagster.config.universe import Universe
from cbi_dagster.vendors.files import Content
from cbi_dagster.vendors.kinds import Examined, Landed, LandedFile, within
from cbi_dagster.vendors.posts import coverage
from cbi_dagster.vendors.posts.files import STATEMENT, decode_posts, quarantine_rows, screen_posts

_ENDINGS = (".posts.jsonl", ".posts.csv", ".posts.parquet", ".posts-coverage.csv")
_PACKED = (".zst", ".gz")
_STATED = ("text", "published_at")
"""What of a post a later statement corrects; the counts only grow."""


def _unpacked(name: str) -> str:
    for ending in _PACKED:
        name = name.removesuffix(ending)
    return name


class Posts:
    """Files of posts, and files that say of which times the posts of a source are known."""

    tables: ClassVar[Mapping[str, Table]] = {"posts": POLICY_POSTS, "posts-coverage": POLICY_COVERAGE}
    naming = "<name>.posts.jsonl, <name>.posts.csv (.zst, .gz), <name>.posts.parquet or <name>.posts-coverage.csv"
    one_dataset = False
    read_whole = True

    def __init__(self, universe: Universe) -> None:
        self._universe = universe

    @staticmethod
    def recognises(name: str) -> bool:
        return _unpacked(name).endswith(_ENDINGS) and not name.endswith((".parquet.zst", ".parquet.gz"))

    def examine(self, content: Content, landed_at: pd.Timestamp) -> Examined:
        if _unpacked(content.name).endswith(".posts-coverage.csv"):
            rows = coverage.decode_coverage(content)
            kept, rejected = coverage.screen_coverage(rows, landed_at)
            schema, quarantined = "posts-coverage", coverage.quarantine_rows(rejected, self._universe, landed_at)
            starts, ends = kept["span_start"], kept["span_end"]
        else:
            rows = decode_posts(content)
            kept, rejected = screen_posts(rows, landed_at, self._universe)
            schema, quarantined = "posts", quarantine_rows(rejected, self._universe, landed_at)
            starts, ends = kept["published_at"], kept["published_at"] + pd.Timedelta(1, "us")
        return Examined(
            dataset="POSTS",
            schema=schema,
            stype_in=None,
            start=starts.min() if len(kept) else landed_at,
            end=ends.max() if len(kept) else landed_at,
            rows=len(rows),
            kept=kept,
            rejected=quarantined,
            outside={},
            symbols=pd.DataFrame(),
        )

    def corrections(self, file: LandedFile, before: Landed) -> pd.DataFrame:
        """Posts whose text or time the file states otherwise, and those that it takes back; none of coverage."""
        if file.vendor_schema != "posts":
            return pd.DataFrame()
        own = before.kept(file)["post_id"]
        return _changes(_merged(before.of("posts"), before, own), _merged([*before.of("posts"), file], before, own))

    def returns(self, file: LandedFile, landed: Landed) -> pd.DataFrame:
        if file.vendor_schema != "posts":
            return pd.DataFrame()
        own = landed.kept(file)["post_id"]
        others = [other for other in landed.of("posts") if other.file_hash != file.file_hash]
        return _changes(_merged(landed.of("posts"), landed, own), _merged(others, landed, own), come_back=True)

    def trade_dates(self, files: Sequence[LandedFile], landed: Landed) -> np.ndarray:
        """The trade dates on which posts of the files are known first, by whatever file; those that spans reach."""
        none = [np.empty(0, "datetime64[D]")]
        posts = [file for file in files if file.vendor_schema == "posts"]
        spans = [landed.kept(file) for file in files if file.vendor_schema == "posts-coverage"]
        if posts:
            own = np.concatenate([landed.kept(file)["post_id"].to_numpy(object) for file in posts])
            every = [landed.kept(file) for file in {*posts, *landed.of("posts")}]
            none += [rows.loc[rows["post_id"].isin(own), "trade_date_available"].to_numpy() for rows in every]
        if spans:
            covered = coverage.covered_spans(pd.concat(spans), self._universe)
            none.append(covered["trade_date_available"].to_numpy())
        return np.unique(np.concatenate([dates.astype("datetime64[D]") for dates in none]))

    def until(self, instant: pd.Timestamp, kept: pd.DataFrame, schema: str) -> pd.DataFrame:
        if schema == "posts":
            return kept[kept["published_at"] < instant]
        begun = kept[kept["span_start"] < instant]
        return begun.assign(span_end=begun["span_end"].where(begun["span_end"] < instant, instant))

    def read(self, schema: str, intervals: Sequence[Interval], landed: Landed) -> pd.DataFrame:
        files = landed.of(schema)
        table, columns = self.tables[schema], POSTS if schema == "posts" else COVERAGE
        if not any(file.kept_rows for file in files):
            return to_frame(table, table.arrow_schema().empty_table())[list(columns)]
        if schema == "posts":
            # A post is known when one of its statements says, whatever else the others say of it.
            stated = [landed.kept(file) for file in files]
            near = [part.loc[within(part["trade_date_available"].to_numpy(), intervals), "post_id"] for part in stated]
            rows = _merged(files, landed, pd.concat(near))
        else:
            rows = coverage.covered_spans(pd.concat([landed.kept(file) for file in files]), self._universe)
        inside = within(rows["trade_date_available"].to_numpy(), intervals)
        return rows.loc[inside, list(columns)].reset_index(drop=True)


def _merged(files: Sequence[LandedFile], landed: Landed, only: pd.Series | None = None) -> pd.DataFrame:
    """The posts of files in landing order: what the last of them states of each, and what only earlier ones know.

    `only`: the posts asked for, by their identities (None: all).

    A time of publication that is known counts before one that is not; of several of these the first counts, since a
    post that is found again is not published again. Posts that are taken back last are left out.
    """
    parts = [landed.kept(file).assign(source_file=file.source_file) for file in files]
    if only is not None:
        parts = [part[part["post_id"].isin(only)] for part in parts]
    filled = [part for part in parts if len(part)] or parts[:1]
    if not filled:
        return pd.DataFrame(columns=[*STATEMENT, "source_file"])
    stated = pd.concat(filled, ignore_index=True)
    if not stated["post_id"].duplicated().any():
        return stated[~stated["withdrawn"]].reset_index(drop=True)
    posts = stated.groupby("post_id", sort=False)
    merged = posts.last()  # the last value that is not NULL, column by column
    known = stated[stated["is_published_time_known"]].groupby("post_id", sort=False).last()
    vague = stated.sort_values("published_at", kind="stable").groupby("post_id", sort=False).first()
    time = ["published_at", "trade_date_available", "is_published_time_known"]
    merged[time] = vague.reindex(merged.index)[time]
    merged.loc[known.index, time] = known[time]
    merged = merged.astype({name: stated[name].dtype for name in merged.columns})
    return merged[~merged["withdrawn"]].reset_index()


def _changes(old: pd.DataFrame, new: pd.DataFrame, *, come_back: bool = False) -> pd.DataFrame:
    """Posts of `old` that differ in `new` or are not in it, and with `come_back` those that only `new` has.

    Columns of `ops.corrections` that are a post's. A text that was not known before corrects nothing, nor do, without
    `come_back`, posts that only `new` has.
    """
    columns = ["post_id", "trade_date_available", *_STATED]
    pairs = old[columns].merge(new[columns], on="post_id", how="outer", suffixes=("_old", "_new"), indicator=True)
    same = pd.Series(True, index=pairs.index)
    for name in _STATED:
        before, after = pairs[f"{name}_old"], pairs[f"{name}_new"]
        same &= (before == after) | (before.isna() & after.isna())
    same |= pairs["text_old"].isna() & (pairs["published_at_old"] == pairs["published_at_new"])
    only_new, only_old = (pairs["_merge"] == side for side in ("right_only", "left_only"))
    changed = pairs[~same & (~only_new | come_back) & ~(only_old & come_back)]
    return pd.DataFrame(
        {
            "symbol": changed["post_id"],
            "ts_event": changed["published_at_old"].fillna(changed["published_at_new"]),
            "date": changed["trade_date_available_old"].fillna(changed["trade_date_available_new"]),
            "old_text": changed["text_old"],
            "new_text": changed["text_new"],
            "old_published_at": changed["published_at_old"],
            "new_published_at": changed["published_at_new"],
        }
    ).reset_index(drop=True)
