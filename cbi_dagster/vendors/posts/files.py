"""Files of posts: their layout, and which of their rows are taken.

A file is named `<anything>.posts.jsonl`, `.posts.csv` (both also with `.zst` or `.gz`) or `.posts.parquet` and has one
row per statement of a post, with the columns (others are not read):

* `source`: the platform or office that publishes, e.g. `truth_social`, `white_house`; config/policy.yaml knows how far
  it is believed.
* `published_at`: when it was published, ISO 8601 with a zone. A bare date says no time: it means the end of that day in
  Chicago, since before nobody can be sure to have known.
* `text`: what it says; NULL or empty where only its time is known.
* `found_at`, optional: when a collector saw it first (with a zone), for posts that do not say when they were published.
* `url`, `author`, `language`, optional: where it is, who wrote it, and its language (BCP 47).
* `likes`, `reposts`, `replies`, optional: counts when the row was made.
* `is_repost`, optional: whether the words are another's. A text that begins like a repost is one without it.
* `withdrawn`, optional: whether the post is taken back as if it had never been, e.g. since it is a forgery. A post that
  its author deleted later was public all the same and is not withdrawn.

A post is known by its source and URL or, without one, by its source, the second of its publication (if that is known)
and the beginning of what it says. Text is kept without markup and control characters; mojibake is repaired by ftfy.
"""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from cbi_dagster.catalog.model import FIRST_TRADE_DATE
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.decision import trade_date_available
from cbi_dagster.market.sessions import CHICAGO
from cbi_dagster.policy.text import text_key
from cbi_dagster.vendors.files import Content, LayoutError, shown
from cbi_dagster.vendors.tabular import TabularFile

REASONS = (
    "null_source",
    "null_published_at",
    "published_in_future",
    "before_first_trade_date",
    "says_nothing",
    "impossible_count",
    "duplicate_post",
)
"""Why a row is rejected, in the order in which the reasons are looked for: a row gets the first that holds."""

STATEMENT = (
    "trade_date_available", "post_source", "post_id", "published_at", "is_published_time_known", "author", "text",
    "url", "language", "post_kind", "likes", "reposts", "replies", "withdrawn", "source_row",
)  # fmt: skip
"""Columns of a row of a file that is taken."""

#: How far the clocks of a source and of this machine may differ.
_CLOCKS = pd.Timedelta(hours=1)
_KEY_LETTERS = 40  # of a text by which its post is known: copies are cut at different lengths
_DIGEST_BYTES = 8
_MOST = 2**53
_LAST = pd.Timestamp("2200-01-01", tz="UTC")
_COUNTS = ("likes", "reposts", "replies")
#: Tags, one that is cut off at the end, and one at the beginning that has lost its bracket.
_MARKUP = re.compile(
    r"</?[a-zA-Z][^<>]*>|</?(?:a|b|br|div|em|i|p|span|strong)\b[^<>]*$|^(?:a|p|span)(?: [a-z]+=\"[^\"<>]*\")+>"
)
_LINE_ENDS = re.compile(r"<(?:br|/p|/div)\b[^<>]*>")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
#: A host in lower case and a path: what nearly all are, and several times faster than splitting a URL by all its rules.
_PLAIN_URL = re.compile(r"https?://(?:www\.)?((?!www\.)[a-z0-9.-]+)((?:/[!-\"$->@-~]*)?)")
_REPOST = re.compile(r'(?:RT\b[ :@]|ReTruth\b|"@\w+:)')


def repaired(text: str | None) -> str | None:
    """Text without markup and control characters, its mojibake repaired; None for text that is empty then."""
    if text is None:
        return None
    if not text.isascii():
        import ftfy  # takes a while, and a plan looks at no text

        # What was decoded wrongly is decoded anew; quotes and dashes stay what their author wrote.
        text = unicodedata.normalize("NFC", ftfy.fix_encoding(text))
    if "<" in text:
        text = _MARKUP.sub("", _LINE_ENDS.sub("\n", text))
    if "&" in text:
        text = html.unescape(text)
    text = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    return text or None


def decode_posts(content: Content) -> pd.DataFrame:
    """The rows of a file of posts, in its order, with STATEMENT; anything may be NULL, `screen_posts` judges them.

    Raises a DeliveryError whose class says what is wrong.
    """
    optional = ["published_at", "found_at", "url", "author", "language", *_COUNTS, "is_repost", "withdrawn"]
    file = TabularFile(content, ["source"], optional, prose=["text"])
    if "published_at" not in file and "found_at" not in file:
        raise LayoutError(content.path, "the column published_at is missing", "Say when each post was published")
    for name in ("published_at", "found_at"):
        file.refuse(name, file.without_zone(name), "names no time zone")
    published = file.instants("published_at").copy()
    file.refuse("published_at", published > _LAST, "is later than any post can be")
    bare = file.bare_dates("published_at")
    next_days = published[bare].dt.tz_localize(None) + pd.Timedelta(days=1)
    published[bare] = next_days.dt.tz_localize(CHICAGO).dt.tz_convert("UTC")
    known = published.notna() & ~bare
    published = published.fillna(file.instants("found_at")).dt.ceil("us")
    texts = pd.Series([repaired(text) for text in file.texts("text")], dtype=object)
    begins_so = pd.Series([text is not None and bool(_REPOST.match(text)) for text in texts], dtype=bool)
    repost = file.flags("is_repost") | begins_so
    sources = file.texts("source").str.strip().str.lower()
    rows = pd.DataFrame(
        {
            "post_source": sources,
            "published_at": published,
            "is_published_time_known": known,
            "author": file.texts("author"),
            "text": texts,
            "url": file.texts("url"),
            "language": file.texts("language"),
            "post_kind": np.where(repost, "repost", "original"),
            "withdrawn": file.flags("withdrawn"),
            "source_row": np.arange(len(file), dtype=np.int64),
        }
    )
    for name in _COUNTS:
        rows[name] = file.numbers(name)
    rows["post_id"] = [*_identities(rows)]
    return rows


def _identities(rows: pd.DataFrame) -> Iterable[str | None]:
    seconds = rows["published_at"].dt.floor("s").astype("int64")
    for source, url, known, second, author, text in zip(
        rows["post_source"], rows["url"], rows["is_published_time_known"], seconds, rows["author"], rows["text"],
        strict=True,
    ):  # fmt: skip
        if source is None:
            yield None
            continue
        if url:
            post = _place(url)
        else:
            said = text_key(text or "") or text or ""
            post = f"{second} {(author or '').lower()} {said[:_KEY_LETTERS]}" if known else said
        yield f"{source}:{hashlib.blake2b(post.encode(), digest_size=_DIGEST_BYTES).hexdigest()}"


def _place(url: str) -> str:
    """A URL without what does not tell places apart: scheme, default port, fragment, trailing slash, campaign."""
    if plain := _PLAIN_URL.fullmatch(url):
        return f"{plain[1]}{plain[2].rstrip('/')}?"
    try:
        parts = urlsplit(url.strip())
        port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
        host = parts.hostname or ""
    except ValueError:  # no URL that anybody could follow, but still what the file says
        return url.strip()
    query = "&".join(part for part in parts.query.split("&") if not part.startswith("utm_"))
    return f"{host.removeprefix('www.')}{port}{parts.path.rstrip('/')}?{query}"


def screen_posts(rows: pd.DataFrame, landed_at: pd.Timestamp, universe: Universe) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows that are taken (STATEMENT), and those that are not, with their `reason`; both in the file's order.

    A row says nothing if neither its text nor the time of its publication is known. A count is a whole number from 0 on
    that a double holds exactly, or not known. Of several rows of one post the
    first that is sound counts, and every later one is rejected as `duplicate_post`, equal or not: nothing in a file
    says which of two is right.
    """
    faults = [
        rows["post_source"].isna(),
        rows["published_at"].isna(),
        rows["published_at"] > landed_at + _CLOCKS,
    ]
    stated = ~np.logical_or.reduce(faults)
    dates = pd.Series(pd.NaT, index=rows.index, dtype="datetime64[ns]")
    dates[stated] = trade_date_available(rows.loc[stated, "published_at"], universe)
    rows = rows.assign(trade_date_available=dates)
    faults.append(dates < pd.Timestamp(FIRST_TRADE_DATE))
    faults.append(rows["text"].isna() & ~rows["is_published_time_known"] & ~rows["withdrawn"])
    counts = rows[list(_COUNTS)]
    possible = counts.isna() | ((counts >= 0) & (counts <= _MOST) & (counts == counts.round()))
    faults.append(~possible.all(axis=1))
    sound = ~np.logical_or.reduce(faults)
    faults.append(rows[sound].duplicated("post_id").reindex(rows.index, fill_value=False))
    reason = np.select(faults, np.array(REASONS, dtype=object).tolist(), default="")
    bad = reason != ""
    kept = rows.loc[~bad, list(STATEMENT)].reset_index(drop=True).astype(dict.fromkeys(_COUNTS, "Int64"))
    return kept, rows[bad].assign(reason=reason[bad].astype(object)).reset_index(drop=True)


def quarantine_rows(rejected: pd.DataFrame, universe: Universe, landed_at: pd.Timestamp) -> pd.DataFrame:
    """Rejected rows as rows for `ops.quarantine`: `symbol` is the post, `ts_event` when it was published.

    A row that does not say when, or says a time to come, stands at `landed_at`.
    """
    published = rejected["published_at"].where(rejected["published_at"] <= landed_at, landed_at)
    return pd.DataFrame(
        {
            "date": trade_date_available(published, universe),
            "source_row": rejected["source_row"],
            "symbol": rejected["post_id"].fillna("(no source)").astype(object),
            "ts_event": published,
            "reason": rejected["reason"],
            "detail": [
                f"published_at={published_at}, text={shown(text)}"
                for published_at, text in zip(rejected["published_at"], rejected["text"], strict=True)
            ],
        }
    )
