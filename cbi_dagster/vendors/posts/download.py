"""Posts of an account over HTTP, as a file that the door takes and a statement of what it covers.

The service answers `GET <url>?handle=<account>&next_max_id=<cursor>`, with the key in the header `x-api-key`, by a page
of posts, newest first: `{"posts": [...], "next_max_id": "..."}`, without a cursor at the end. A post has `id`,
`created_at` (ISO 8601 with a zone), `content` (HTML) or `text`, and may have `url`, `language`, `replies_count`,
`reblogs_count`, `favourites_count` and `reblog` (the post that it repeats), as Mastodon has them. Truth Social speaks
so through the service whose address is the default.

A page is asked for again after an error of the service or the line, later each time, and as late as `Retry-After` says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from cbi_dagster.vendors.files import shown

TRUTH_SOCIAL = "https://api.scrapecreators.com/v1/truthsocial/user/posts"

_RETRIED = (408, 429, 500, 502, 503, 504)
_ATTEMPTS = 6
_TIMEOUT_SECONDS = (10, 60)  # to connect, to answer
_MAX_PAGES = 10_000
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")


class DownloadError(RuntimeError):
    """The service did not give what was asked for; nothing was written."""


@dataclass(frozen=True)
class Service:
    """Where posts are asked for, and the key; `backoff_seconds` is the first pause before asking again."""

    url: str
    key: str
    backoff_seconds: float = 1.0

    def __repr__(self) -> str:
        return f"Service({self.url!r})"  # a key is nobody's business


@dataclass(frozen=True)
class Downloaded:
    """What was written: the files, and how many posts they hold of which time (exclusive, inclusive)."""

    files: tuple[Path, ...]
    posts: int
    span: tuple[pd.Timestamp, pd.Timestamp]


def download_posts(
    service: Service, *, source: str, account: str, since: pd.Timestamp, now: pd.Timestamp, out_dir: Path
) -> Downloaded:
    """Write the posts of an account after `since` into `out_dir`, with what that covers: all times from then to `now`.

    `now` is when the first page is asked for, so that no post of the time that is called covered can be missing. Both
    are instants with a zone. Where the service ends before it reaches `since`, the time from its oldest post on is
    covered. Raises DownloadError; nothing is written then, half of a time being no answer.
    """
    posts, oldest = [], now
    with _session(service) as session:
        for page in _pages(session, service, account):
            stated = [_row(post, source, account) for post in page]
            posts += [row for row in stated if since < pd.Timestamp(row["published_at"]) <= now]
            # A post that is pinned stands first, however old it is.
            oldest = min([oldest, *(pd.Timestamp(row["published_at"]) for row in stated[-1:])])
            if oldest <= since:
                break
    since = max(since, oldest - pd.Timedelta(seconds=1))
    out_dir.mkdir(parents=True, exist_ok=True)
    name = f"{source}-{_NO_NAME.sub('_', account)}-{since:%Y%m%dT%H%M%S}-{now:%Y%m%dT%H%M%S}"
    files = out_dir / f"{name}.posts.jsonl", out_dir / f"{name}.posts-coverage.csv"
    bounds = ",".join(f"{moment.tz_convert('UTC'):%Y-%m-%dT%H:%M:%SZ}" for moment in (since.ceil("s"), now.floor("s")))
    if posts:
        lines = (json.dumps(row, ensure_ascii=False) for row in posts)
        files[0].write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    # Last: a time that is called covered without its posts would be one in which nothing was said.
    files[1].write_text(f"source,span_start,span_end,content\n{source},{bounds},text\n", encoding="utf-8")
    return Downloaded(files if posts else files[1:], len(posts), (since, now))


def _session(service: Service) -> requests.Session:
    session = requests.Session()
    session.headers.update({"x-api-key": service.key, "Accept": "application/json"})
    retry = Retry(
        total=_ATTEMPTS - 1,
        backoff_factor=service.backoff_seconds,
        status_forcelist=_RETRIED,
        allowed_methods=["GET"],
        respect_retry_after_header=True,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _pages(session: requests.Session, service: Service, account: str) -> Iterator[list[Mapping[str, Any]]]:
    """The pages of an account's posts, newest first, until there is no cursor to a next one."""
    cursor, seen = None, set[str]()
    for _ in range(_MAX_PAGES):
        asked = {"handle": account} | ({"next_max_id": cursor} if cursor else {})
        try:
            answer = session.get(service.url, params=asked, timeout=_TIMEOUT_SECONDS)
            answer.raise_for_status()
            page = answer.json()
        except requests.RequestException as error:
            status = error.response.status_code if error.response is not None else None
            advice = "check the key" if status in (401, 403) else "try again later"
            raise DownloadError(
                f"{service.url} did not answer for {shown(account)} ({shown(error)}): {advice}"
            ) from error
        posts = page.get("posts") if isinstance(page, dict) else None
        if not isinstance(posts, list) or not all(isinstance(post, dict) for post in posts):
            raise DownloadError(f"{service.url} answered {shown(page, 80)}, which is no page of posts")
        yield posts
        cursor = str(page.get("next_max_id") or "")
        if not cursor or not posts:
            return
        if cursor in seen:
            raise DownloadError(f"{service.url} names the page {shown(cursor, 40)} twice and would never end")
        seen.add(cursor)
    raise DownloadError(f"{service.url} has more than {_MAX_PAGES} pages: ask for less at once")


def _row(post: Mapping[str, Any], source: str, account: str) -> dict[str, Any]:
    """A post in the layout of files; raises DownloadError for one that does not say when it was published."""
    try:
        published = pd.Timestamp(post["created_at"])
    except (KeyError, ValueError, TypeError) as error:
        raise DownloadError(
            f"a post of {shown(account)} does not say when it was published: {shown(post, 80)}"
        ) from error
    if published.tz is None:
        raise DownloadError(f"a post of {shown(account)} names no time zone: {shown(post['created_at'], 40)}")
    repeated = post.get("reblog")
    told = repeated if isinstance(repeated, dict) else post
    row = {
        "source": source,
        "published_at": published.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "text": told.get("content") or told.get("text"),
        "author": account,
        "url": post.get("url"),
        "language": post.get("language"),
        "likes": post.get("favourites_count"),
        "reposts": post.get("reblogs_count"),
        "replies": post.get("replies_count"),
        "is_repost": isinstance(repeated, dict),
    }
    return {name: value for name, value in row.items() if value is not None}
