"""Posts over HTTP, from a real server on this machine: pages, retries, and nothing that is half."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from cbi_dagster.vendors.posts.coverage import decode_coverage
from cbi_dagster.vendors.posts.download import Downloaded, DownloadError, Service, download_posts
from cbi_dagster.vendors.posts.files import decode_posts
from cbi_dagster_tests.cli.commands import cbi
from cbi_dagster_tests.vendors.small_files import content

KEY = "a key"
NOW = pd.Timestamp("2025-11-10 12:00:00.5", tz="UTC")


def status(number: int, published: str, **stated: Any) -> dict[str, Any]:
    return {
        "id": str(number), "created_at": published, "content": f"<p>Post {number} &amp; tariffs</p>",
        "url": f"https://truthsocial.com/@a/{number}", "language": "en", "replies_count": 1, "reblogs_count": 2,
        "favourites_count": 3, **stated,
    }  # fmt: skip


class Social:
    """A service of pages; `troubles` are answered before the next good answer: a status, its headers and a body."""

    def __init__(self, *pages: list[dict[str, Any]]) -> None:
        self.pages = pages
        self.troubles: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[dict[str, list[str]]] = []
        social = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                social.asked.append(query)
                if social.troubles:
                    self.answer(*social.troubles.pop(0))
                elif self.headers["x-api-key"] != KEY:
                    self.answer(401, {}, b"who are you?")
                else:
                    number = int(query.get("next_max_id", ["0"])[0])
                    following = {"next_max_id": str(number + 1)} if number + 1 < len(social.pages) else {}
                    self.answer(200, {}, json.dumps({"posts": social.pages[number], **following}).encode())

            def answer(self, code: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/posts"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


PAGES = (
    [status(1, "2025-01-01T00:00:00Z", content="pinned"), status(9, "2025-11-09T15:00:00.123Z"),
     status(8, "2025-11-08T15:00:00Z", content="", reblog={"content": "<p>of another</p>"})],
    [status(7, "2025-11-07T15:00:00Z"), status(6, "2025-11-06T15:00:00Z", content=None, text="plain")],
    [status(5, "2025-11-05T15:00:00Z"), status(4, "2025-11-04T15:00:00Z")],
)  # fmt: skip


@pytest.fixture
def social() -> Iterator[Social]:
    running = Social(*PAGES)
    yield running
    running.close()


def fetched(social: Social, out: Path, since: str = "2025-11-06", key: str = KEY) -> Downloaded:
    return download_posts(
        Service(social.url, key, backoff_seconds=0.001),
        source="truth_social", account="a", since=pd.Timestamp(since, tz="UTC"), now=NOW, out_dir=out,
    )  # fmt: skip


def test_posts_are_asked_for_page_by_page_until_the_first_date(social: Social, tmp_path: Path) -> None:
    done = fetched(social, tmp_path)
    rows = decode_posts(content(done.files[0]))
    assert rows["text"].tolist() == ["Post 9 & tariffs", "of another", "Post 7 & tariffs", "plain"]
    assert rows["post_kind"].tolist() == ["original", "repost", "original", "original"]
    assert rows["published_at"].iloc[0] == pd.Timestamp("2025-11-09 15:00:00.123", tz="UTC")
    assert rows[["likes", "reposts", "replies", "language"]].iloc[0].tolist() == [3, 2, 1, "en"]
    assert [query.get("next_max_id") for query in social.asked] == [None, ["1"], ["2"]]
    assert {tuple(query["handle"]) for query in social.asked} == {("a",)}


def test_all_times_from_the_first_date_to_the_asking_are_covered(social: Social, tmp_path: Path) -> None:
    (row,) = decode_coverage(content(fetched(social, tmp_path).files[1])).to_dict("records")
    assert (row["post_source"], row["covers_text"]) == ("truth_social", True)
    assert (row["span_start"], row["span_end"]) == (pd.Timestamp("2025-11-06", tz="UTC"), NOW.floor("s"))


def test_where_the_service_ends_early_its_oldest_post_is_where_coverage_begins(social: Social, tmp_path: Path) -> None:
    (row,) = decode_coverage(content(fetched(social, tmp_path, "2025-10-01").files[1])).to_dict("records")
    assert row["span_start"] == pd.Timestamp("2025-11-04 14:59:59", tz="UTC")


def test_a_time_in_which_nothing_was_said_is_covered_all_the_same(social: Social, tmp_path: Path) -> None:
    done = fetched(social, tmp_path, "2025-11-10")
    assert (done.posts, [file.suffix for file in done.files]) == (0, [".csv"])


def test_nothing_is_called_covered_where_the_posts_could_not_be_written(social: Social, tmp_path: Path) -> None:
    posts, coverage = fetched(social, tmp_path).files
    for file in (posts, coverage):
        file.unlink()
    posts.mkdir()
    with pytest.raises(IsADirectoryError):
        fetched(social, tmp_path)
    assert not coverage.exists()


def test_an_overloaded_service_is_asked_again(social: Social, tmp_path: Path) -> None:
    social.troubles = [(429, {"Retry-After": "0"}, b""), (503, {}, b""), (500, {}, b"")]
    assert fetched(social, tmp_path).posts == 4
    assert len(social.asked) == 6


def test_retry_after_is_waited_for(social: Social, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    social.troubles = [(429, {"Retry-After": "7"}, b"")]
    assert fetched(social, tmp_path).posts == 4
    assert slept == [7]


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        ((404, {}, b""), "404"),
        ((200, {}, b"<html>"), "did not answer"),
        ((200, {}, b"[]"), "no page of posts"),
        ((200, {}, b'{"posts": [1]}'), "no page of posts"),
        ((200, {}, b'{"posts": [{"id": "1"}]}'), "does not say when"),
        ((200, {}, b'{"posts": [{"created_at": "2025-11-09T15:00:00"}]}'), "no time zone"),
    ],
)
def test_an_answer_that_is_no_page_writes_nothing(
    social: Social, tmp_path: Path, trouble: tuple[int, dict[str, str], bytes], says: str
) -> None:
    social.troubles = [trouble]
    with pytest.raises(DownloadError, match=says):
        fetched(social, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_service_that_stays_away_is_named(social: Social, tmp_path: Path) -> None:
    social.troubles = [(503, {}, b"")] * 10
    with pytest.raises(DownloadError, match="try again later"):
        fetched(social, tmp_path)
    assert len(social.asked) == 6


def test_pages_that_go_in_a_circle_end(social: Social, tmp_path: Path) -> None:
    page = json.dumps({"posts": [status(9, "2025-11-09T15:00:00Z")], "next_max_id": "1"}).encode()
    social.troubles = [(200, {}, page)] * 5
    with pytest.raises(DownloadError, match="twice"):
        fetched(social, tmp_path)


def test_the_key_is_asked_for_and_never_told(social: Social, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="check the key") as failed:
        fetched(social, tmp_path, key="another secret")
    assert "secret" not in str(failed.value)
    assert "secret" not in repr(Service("http://x", "another secret"))


def test_the_command_reads_the_key_from_the_environment_and_writes_what_the_door_takes(
    social: Social, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        "posts",
        "fetch",
        "--account",
        "a",
        "--since",
        "2025-11-06",
        "--out",
        tmp_path / "out",
        "--url",
        social.url,
    ]
    out = tmp_path / "out"
    monkeypatch.delenv("CBI_POSTS_KEY", raising=False)
    refused = cbi(tmp_path / "home", *asked)
    assert (refused.exit_code, "CBI_POSTS_KEY" in refused.output) == (1, True)
    monkeypatch.setenv("CBI_POSTS_KEY", KEY)
    told = cbi(tmp_path / "home", *asked)
    assert (told.exit_code, "4 posts" in told.output) == (0, True), told.output
    landed = cbi(tmp_path / "home", "land", out)
    assert (landed.exit_code, "2 files landed" in landed.output) == (0, True), landed.output
