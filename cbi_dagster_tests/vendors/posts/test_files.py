"""Files of posts: every format, every row accounted for, and text that is nothing but data."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbi_dagster.catalog.columns.policy import POSTS
from cbi_dagster.catalog.tables.raw_intelligence import POLICY_POSTS
from cbi_dagster.config.universe import load_universe
from cbi_dagster.vendors.files import Content, DeliveryError, LayoutError, TruncatedFileError
from cbi_dagster.vendors.posts.files import STATEMENT, decode_posts, quarantine_rows, repaired, screen_posts
from cbi_dagster.warehouse.slices import check_slice
from cbi_dagster_tests.vendors.small_files import content

NOW = pd.Timestamp("2024-07-10", tz="UTC")
BASE = {"source": "twitter", "published_at": "2024-07-01T14:00:00Z", "text": "Tariffs"}
LINES = 'Line one\nline "two", é'


def json_lines(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def decoded(tmp_path: Path, *rows: dict[str, object]) -> pd.DataFrame:
    return decode_posts(content(json_lines(tmp_path / "a.posts.jsonl", *rows)))


def kept(tmp_path: Path, *rows: dict[str, object]) -> pd.DataFrame:
    return screen_posts(decoded(tmp_path, *rows), NOW, load_universe())[0]


def reasons(tmp_path: Path, *rows: dict[str, object]) -> list[str]:
    taken, rejected = screen_posts(decoded(tmp_path, *rows), NOW, load_universe())
    assert len(taken) + len(rejected) == len(rows)
    return rejected["reason"].tolist()


# -- formats ----------------------------------------------------------------------------------------------------------


def test_the_formats_say_the_same(tmp_path: Path) -> None:
    rows = [
        {
            **BASE,
            "url": "https://x/1",
            "author": "a",
            "likes": 3,
            "is_repost": False,
            "text": 'Line one\nline "two", é',
        },
        {**BASE, "published_at": "2024-07-02T14:00:00-05:00", "author": None, "likes": None, "is_repost": True},
    ]
    frame = pd.DataFrame(rows)
    frame.to_csv(tmp_path / "a.posts.csv", index=False)
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "a.posts.parquet")
    json_lines(tmp_path / "a.posts.jsonl", *rows)
    frames = [decode_posts(content(tmp_path / f"a.posts.{ending}")) for ending in ("csv", "parquet", "jsonl")]
    for other in frames[1:]:
        pd.testing.assert_frame_equal(other, frames[0], check_dtype=False)
    assert frames[0]["text"].tolist()[0] == LINES
    assert frames[0]["post_kind"].tolist() == ["original", "repost"]
    assert frames[0]["published_at"].astype(str).tolist() == ["2024-07-01 14:00:00+00:00", "2024-07-02 19:00:00+00:00"]


def test_a_compressed_file_is_read_like_a_plain_one(tmp_path: Path) -> None:
    import gzip

    import zstandard

    plain = json_lines(tmp_path / "a.posts.jsonl", BASE).read_bytes()
    (tmp_path / "a.posts.jsonl.gz").write_bytes(gzip.compress(plain))
    (tmp_path / "a.posts.jsonl.zst").write_bytes(zstandard.compress(plain))
    for name in ("a.posts.jsonl.gz", "a.posts.jsonl.zst"):
        assert decode_posts(content(tmp_path / name))["text"].tolist() == ["Tariffs"]


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ('{"source": "x", "published_at": "2024-07-01T14:00:00Z"}', TruncatedFileError, "line end"),
        ("{\n", LayoutError, "line 1 is no JSON"),
        ("[]\n", LayoutError, "no JSON object"),
        ('{"source": "x"}\n', LayoutError, "published_at is missing"),
        ('{"source": "x", "source": "y", "published_at": null}\n', LayoutError, "twice"),
        ('{"source": {"a": 1}, "published_at": null}\n', LayoutError, "nested"),
        ('{"source": "x", "published_at": 5}\n', LayoutError, "published_at"),
        ('{"source": 1, "published_at": null}\n{"source": "x", "published_at": null}\n', LayoutError, "several kinds"),
        ('{"source": "x", "published_at": "yesterday"}\n', LayoutError, "published_at of data row 0"),
        ('{"source": "x", "published_at": "2024-07-01T14:00:00"}\n', LayoutError, "names no time zone"),
        ('{"source": "x", "published_at": "2024-07-01 14:00"}\n', LayoutError, "names no time zone"),
        ('{"source": "x", "published_at": "2262-04-11"}\n', LayoutError, "later than any post"),
        ("[" * 100_000 + "\n", LayoutError, "no JSON"),
    ],
)
def test_a_file_that_is_no_list_of_posts_is_refused_by_name(
    tmp_path: Path, text: str, error: type[DeliveryError], says: str
) -> None:
    path = tmp_path / "a.posts.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=says):
        decode_posts(content(path))


BEGINNINGS = [b"", b"source,published_at,text\n", b'{"source": "x", "published_at": "2024-07-01", "text": ']
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.datetimes().map(lambda t: f"{t}Z"),
    st.dates().map(str), st.sampled_from(["2024-07-01T14:00:00Z", "9999-12-31", "0001-01-01T00:00:00Z", "true", "x"]),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["a.posts.jsonl", "a.posts.csv", "a.posts.parquet", "a.posts.csv.zst", "a.posts.jsonl.gz"]),
    data=st.builds(bytes.__add__, st.sampled_from(BEGINNINGS), st.binary(max_size=80)),
)
def test_any_bytes_are_posts_or_refused_by_name(name: str, data: bytes) -> None:
    require_posts_or_refusal(Content(Path(name), name, data, ""))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from([*BASE, "found_at", "url", "likes", "withdrawn"]), VALUES), max_size=4))
def test_any_values_are_posts_or_refused_by_name(rows: list[dict[str, object]]) -> None:
    data = "".join(f"{json.dumps({**BASE, **row})}\n" for row in rows).encode()
    require_posts_or_refusal(Content(Path("a.posts.jsonl"), "a.posts.jsonl", data, ""))


def require_posts_or_refusal(found: Content) -> None:
    """What is taken can be stored; what is not has a reason; and a refusal has a name."""
    try:
        rows = decode_posts(found)
    except DeliveryError:
        return
    taken, rejected = screen_posts(rows, NOW, load_universe())
    assert len(taken) + len(rejected) == len(rows)
    quarantine_rows(rejected, load_universe(), NOW)
    check_slice(POLICY_POSTS, None, taken.assign(source_file="a")[list(POSTS)])


# -- rows -------------------------------------------------------------------------------------------------------------


def test_every_row_is_taken_or_rejected_with_a_reason(tmp_path: Path) -> None:
    assert reasons(
        tmp_path,
        BASE,
        {**BASE, "source": None},
        {**BASE, "published_at": None},
        {**BASE, "published_at": "2024-07-10T02:00:00Z"},
        {**BASE, "published_at": "2010-06-01T00:00:00Z"},
        {**BASE, "published_at": None, "found_at": "2024-07-01T00:00:00Z", "text": " "},
        {**BASE, "likes": -1},
        {**BASE, "replies": 1e300},
        {**BASE, "reposts": 0.5},
        BASE,
    ) == [
        "null_source",
        "null_published_at",
        "published_in_future",
        "before_first_trade_date",
        "says_nothing",
        "impossible_count",
        "impossible_count",
        "impossible_count",
        "duplicate_post",
    ]


def test_rejected_rows_can_be_read_in_the_quarantine(tmp_path: Path) -> None:
    rows = decoded(tmp_path, BASE, {**BASE, "published_at": None}, BASE)
    quarantined = quarantine_rows(screen_posts(rows, NOW, load_universe())[1], load_universe(), NOW)
    assert quarantined["source_row"].tolist() == [1, 2]
    assert quarantined["ts_event"].tolist() == [NOW, pd.Timestamp("2024-07-01 14:00", tz="UTC")]
    assert "Tariffs" in quarantined["detail"].iloc[1]


def test_a_post_is_known_from_the_trade_date_on_whose_decision_time_follows(tmp_path: Path) -> None:
    moments = ["2024-07-05T18:20:00Z", "2024-07-05T18:20:01Z", "2024-07-06T12:00:00Z", "2024-07-05"]
    taken = kept(tmp_path, *({**BASE, "published_at": moment} for moment in moments))
    assert taken["trade_date_available"].astype(str).tolist() == [
        "2024-07-05", "2024-07-08", "2024-07-08", "2024-07-08",
    ]  # fmt: skip


def test_a_date_alone_and_the_time_of_finding_are_no_times_of_publication(tmp_path: Path) -> None:
    taken = kept(
        tmp_path,
        {**BASE, "published_at": "2024-07-05"},
        {**BASE, "published_at": None, "found_at": "2024-07-05T12:00:00Z", "text": "Found"},
    )
    assert taken["is_published_time_known"].tolist() == [False, False]
    assert taken["published_at"].astype(str).tolist() == ["2024-07-06 05:00:00+00:00", "2024-07-05 12:00:00+00:00"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("RT @somebody: tariffs", "repost"),
        ('"@somebody: tariffs are great"', "repost"),
        ("RTX is a company", "original"),
        ("My RT @somebody", "original"),
    ],
)
def test_a_repost_is_told_by_how_it_begins(tmp_path: Path, text: str, kind: str) -> None:
    assert kept(tmp_path, {**BASE, "text": text})["post_kind"].tolist() == [kind]


# -- identity ---------------------------------------------------------------------------------------------------------


def identity(tmp_path: Path, **changed: object) -> str:
    return str(decoded(tmp_path, {**BASE, **changed})["post_id"].iloc[0])


def test_a_post_is_the_same_wherever_it_is_copied_to(tmp_path: Path) -> None:
    url = {"url": "https://www.example.org:443/a/?utm_source=x#top"}
    assert identity(tmp_path, **url) == identity(tmp_path, url="http://example.org/a", text="edited", published_at=None)
    assert identity(tmp_path, url="https://example.org/a?id=1") != identity(tmp_path, url="https://example.org/a?id=2")
    assert identity(tmp_path, text="Don’t “tariff”") == identity(
        tmp_path, text="Don?t tariff", published_at="2024-07-01T14:00:00.4Z"
    )
    assert identity(tmp_path) != identity(tmp_path, published_at="2024-07-01T14:00:01Z")
    assert identity(tmp_path) != identity(tmp_path, source="truth_social")


# -- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ("donâ€™t â€œwinâ€\x9d", "don’t “win”"),
        ("CafÃ© and SÃ¶derlund", "Café and Söderlund"),
        ("Soll das “so” bleiben – ja, naïveté", "Soll das “so” bleiben – ja, naïveté"),
        ("<p>One</p><p>two<br/>three</p>", "One\ntwo\nthree"),
        ('See <a href="https://x" rel="y"><span class="a">x.com</span></a', "See x.com"),
        ('a href="https://x" rel="y"><span class="a">x.com</span></a', "x.com"),
        ("a href of tariffs > b", "a href of tariffs > b"),
        ("5 < 6 and 7 > 3 &amp; more", "5 < 6 and 7 > 3 & more"),
        ("a\x00b\x07c\r\nd", "abc\nd"),
        ("\u202eright to left\u202c", "\u202eright to left\u202c"),
        ("😀", "😀"),
        ("  ", None),
        ("<p></p>", None),
        (None, None),
    ],
)
def test_text_is_repaired_and_without_markup(found: str | None, kept: str | None) -> None:
    assert repaired(found) == kept


def test_a_text_with_nul_characters_and_half_characters_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.posts.jsonl"
    line = '{"source": "x", "published_at": "2024-07-01T14:00:00Z", "text": "a\\u0000b \\ud83d\\ude00 \\ud800 end"}\n'
    path.write_text(line, encoding="utf-8")
    assert decode_posts(content(path))["text"].tolist() == ["ab 😀 \ufffd end"]
    path = tmp_path / "a.posts.csv"
    path.write_bytes(b"source,published_at,text\nx,2024-07-01T14:00:00Z," + b'"' + b" a\0b\n" * 20 + b'"\n')
    assert decode_posts(content(path))["text"].str.startswith("ab\n ab").tolist() == [True]


def test_a_text_of_the_name_of_its_column_is_a_text(tmp_path: Path) -> None:
    assert kept(tmp_path, {**BASE, "text": "text"})["text"].tolist() == ["text"]


def test_very_long_text_is_taken_whole(tmp_path: Path) -> None:
    long = "<" * 30_000 + "&" * 30_000 + "é" * 100_000
    assert kept(tmp_path, {**BASE, "text": long})["text"].str.len().tolist() == [160_000]


@given(st.text())
def test_repaired_text_stays_as_it_is(text: str) -> None:
    once = repaired(text)
    assert once is None or (once.strip() == once and "\x00" not in once)


def test_kept_rows_have_the_columns_of_a_statement(tmp_path: Path) -> None:
    assert tuple(kept(tmp_path, BASE).columns) == STATEMENT
