"""Archives of posts as other people keep them, brought into the layout that the door takes.

Every row of an archive becomes one row, sound or not: what is wrong with it, the door says and keeps. An archive is
known by the columns that it has. Its coverage is stated as far as it follows from what the archive is: that of a
complete one from its first post to its last. Whoever converts an archive with gaps corrects the file before landing it.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from cbi_dagster.vendors.files import LayoutError, UnreadableFileError

_MINUTE = len("2020-03-31 21:30")
_CONTRACTIONS = re.compile(r"(?<=[a-zA-Z])\?(?=(?:s|t|re|ve|ll|d|m)\b)")
_NEAR = pd.Timedelta(minutes=2)
"""A collector that writes the time of its work as that of the post is off by less."""


@dataclass(frozen=True)
class Archive:
    """A kind of archive: the columns that it has, how its rows become those of the layout, and what it covers.

    `content` is what is known of the posts between the first and the last (`text`, `rate`), "" if nothing follows from
    the archive; `hours` are the daily hours of the collector (from, to, zone). `encoding` is that of its text file.
    """

    what: str
    columns: frozenset[str]
    posts: Callable[[pd.DataFrame], pd.DataFrame]
    content: str = ""
    hours: tuple[str, str, str] | None = None
    encoding: str = "utf-8-sig"


@dataclass(frozen=True)
class Converted:
    """An archive in the layout: what it was, how many rows it has, and the files that were written."""

    what: str
    rows: int
    files: tuple[Path, ...]


def convert_archive(path: Path, out_dir: Path) -> Converted:
    """Write the posts of an archive, and what it covers, into `out_dir` under its name.

    Raises UnreadableFileError or LayoutError for a file that is no known archive.
    """
    archive, rows = _read(path)
    posts = archive.posts(rows)
    out_dir.mkdir(parents=True, exist_ok=True)
    written = [out_dir / f"{path.stem}.posts.jsonl"]
    stated = posts.astype(object).where(posts.notna(), None).to_dict("records")
    lines = (json.dumps({str(k): v for k, v in row.items() if v is not None}, ensure_ascii=False) for row in stated)
    written[0].write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    if archive.content:
        written.append(out_dir / f"{path.stem}.posts-coverage.csv")
        _coverage(posts, archive).to_csv(written[1], index=False, lineterminator="\n")
    return Converted(archive.what, len(posts), tuple(written))


def _coverage(posts: pd.DataFrame, archive: Archive) -> pd.DataFrame:
    """One span per source from its first post to its last."""
    times = pd.to_datetime(posts["published_at"], utc=True, format="ISO8601")
    spans = times.groupby(posts["source"]).agg(["min", "max"])
    rows = pd.DataFrame({"source": spans.index, "content": archive.content})
    # Exclusive at its start: a post at the beginning of its second is inside.
    rows["span_start"] = [*_iso(spans["min"].dt.floor("s") - pd.Timedelta(seconds=1))]
    rows["span_end"] = [*_iso(spans["max"].dt.ceil("s"))]
    if archive.hours:
        rows["daily_from"], rows["daily_to"], rows["timezone"] = archive.hours
    return rows


def _read(path: Path) -> tuple[Archive, pd.DataFrame]:
    """Which archive a file is, and its rows: all columns as the file types them, or as text."""
    try:
        if path.suffix == ".parquet":
            # The pandas metadata of other writers may name indexes and types that this reader should not restore.
            table = pa.parquet.read_table(path)
            return _known(path, table.column_names), table.to_pandas(ignore_metadata=True)
        data = path.read_bytes()
        header = data.partition(b"\n")[0].decode("utf-8-sig").strip()
        separator = ";" if header.count(";") > header.count(",") else ","
        archive = _known(path, header.split(separator))
        text = io.StringIO(data.decode(archive.encoding), newline="")
        return archive, pd.read_csv(text, sep=separator, dtype=str)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UnreadableFileError(path, f"it cannot be read ({error})", "Give a CSV or Parquet file") from error


def _known(path: Path, columns: Sequence[str]) -> Archive:
    for archive in ARCHIVES:
        if archive.columns <= set(columns):
            return archive
    known = "; ".join(f"{archive.what} ({', '.join(sorted(archive.columns))})" for archive in ARCHIVES)
    raise LayoutError(path, "its columns are those of no known archive", f"Known are: {known}")


def _iso(instants: pd.Series) -> pd.Series:
    """UTC instants as ISO 8601 with a zone; None for NaT."""
    stated: pd.Series = instants.dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return stated.where(instants.notna(), None)


def _count(values: pd.Series) -> pd.Series:
    return pd.to_numeric(values, errors="coerce").astype("Int64")


def _tweets(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "source": "twitter",
            "published_at": _iso(rows["created_at"].dt.tz_localize("UTC")),
            "text": rows["text"],
            "author": "realDonaldTrump",
            "url": "https://twitter.com/realDonaldTrump/status/" + rows["id_str"],
            "likes": rows["favorite_count"],
            "reposts": rows["retweet_count"],
            "is_repost": rows["is_retweet"],
        }
    )


def _tweets_of_spreadsheet(rows: pd.DataFrame) -> pd.DataFrame:
    """Ids were rounded, quotes became question marks, and some times lost their seconds.

    A time without seconds means the end of its minute, since before nobody can be sure to have known. A question mark
    inside a contraction was an apostrophe.
    """
    stated = rows["created_at"]
    times = pd.to_datetime(stated, format="mixed", utc=True)
    whole = stated.str.len() == _MINUTE
    return pd.DataFrame(
        {
            "source": "twitter",
            "published_at": _iso(times.where(~whole, times + pd.Timedelta(seconds=59))),
            "text": rows["Text"].str.replace(_CONTRACTIONS, "'", regex=True),
            "author": "realDonaldTrump",
            "likes": _count(rows["favorite_count"]),
            "reposts": _count(rows["retweet_count"]),
            "is_repost": rows["is_retweet"].str.lower() == "true",
        }
    )


def _truths_of_market_hours(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "source": "truth_social",
            "published_at": _iso(pd.to_datetime(rows["Created"], format="ISO8601", utc=True)),
            "text": rows["Text"],
            "author": "realDonaldTrump",
            "url": "https://truthsocial.com/@realDonaldTrump/" + rows["Tweet_ID"],
        }
    )


def _truths_without_text(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "source": "truth_social",
            "published_at": _iso(pd.to_datetime(rows["created_at"], format="ISO8601", utc=True)),
            "text": rows["content_text"],
            "author": "realDonaldTrump",
            "url": rows["url"],
            "likes": _count(rows["favourites_count"]),
            "reposts": _count(rows["reblogs_count"]),
            "replies": _count(rows["replies_count"]),
        }
    )


#: Collectors' names of sources.
_SOURCES: Mapping[str, str] = {
    "truth_social_api": "truth_social",
    "truth_social_monitor": "truth_social",
    "truthsocial": "truth_social",
    "federal_register_api": "federal_register",
    "federalregister": "federal_register",
    "dtn_policy": "dtn",
}


def _collected(rows: pd.DataFrame, published: str, texts: pd.Series) -> pd.DataFrame:
    """Items of collectors, some of which wrote the time of their work as that of the publication.

    Such a time says when the item was found; midnight says no more than the day.
    """
    times, worked = (rows[name].dt.tz_convert("UTC") for name in (published, "ingest_timestamp_utc"))
    bare = times == times.dt.normalize()
    # Without a word on the work, a time to the microsecond is a machine's.
    own = ~bare & (((worked - times).abs() < _NEAR) | (worked.isna() & (times.dt.microsecond % 1000 != 0)))
    names = rows["source"].str.lower()
    stated = _iso(times).where(~bare, times.dt.strftime("%Y-%m-%d"))
    return pd.DataFrame(
        {
            "source": names.map(_SOURCES).fillna(names),
            "published_at": stated.where(~own, None),
            "found_at": _iso(times).where(own, None),
            "text": texts,
        }
    )


def _policy_items(rows: pd.DataFrame) -> pd.DataFrame:
    posts = _collected(rows, "timestamp", rows["text"])
    posts["author"] = posts["source"].map({"truth_social": "realDonaldTrump"})
    return posts


def _news_items(rows: pd.DataFrame) -> pd.DataFrame:
    posts = _collected(rows, "published", rows["title"] + "\n" + rows["content"])
    return posts.assign(url=rows["url"])


def _columns(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: cp437: what a spreadsheet of another decade writes for "DOS text"; the accents of the names in it say so.
ARCHIVES: tuple[Archive, ...] = (
    Archive(
        "tweets with ids",
        _columns("id_str created_at text retweet_count favorite_count is_retweet source"),
        _tweets,
        "text",
    ),
    Archive(
        "tweets out of a spreadsheet",
        _columns("Text created_at retweet_count favorite_count is_retweet id_str"),
        _tweets_of_spreadsheet,
        "text",
        encoding="cp437",
    ),
    Archive(
        "Truth Social posts of market hours",
        _columns("Tweet_ID Created Text Created_ET Session"),
        _truths_of_market_hours,
        "text",
        ("09:30", "16:00", "America/New_York"),
    ),
    Archive(
        "Truth Social posts without text",
        _columns("id created_at content_text url replies_count reblogs_count favourites_count"),
        _truths_without_text,
        "rate",
    ),
    Archive(
        "items of policy collectors", _columns("source category text timestamp ingest_timestamp_utc"), _policy_items
    ),
    Archive(
        "items of news collectors", _columns("title source url published content ingest_timestamp_utc"), _news_items
    ),
)
