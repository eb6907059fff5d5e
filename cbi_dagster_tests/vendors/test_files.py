"""The content of a delivered file is what was promised, and an archive gives back what it was given."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import fsspec
import pytest

from cbi_dagster.vendors.archive import Archive
from cbi_dagster.vendors.files import (
    DeliveredFile,
    DeliveryError,
    HashMismatchError,
    TruncatedFileError,
    UnreadableFileError,
    content_of,
    shown,
    some,
)

DATA = b"some bars"
HASH = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "zl.ohlcv-1h.csv"
    file.write_bytes(DATA)
    return file


@pytest.mark.parametrize("promised", [{}, {"sha256": HASH}, {"size": len(DATA)}, {"sha256": HASH, "size": len(DATA)}])
def test_content_that_is_what_was_promised_is_given_with_its_hash(path: Path, promised: dict[str, object]) -> None:
    content = content_of(DeliveredFile(path, "name.csv", **promised))  # type: ignore[arg-type]
    assert (content.path, content.name, content.data, content.sha256) == (path, "name.csv", DATA, HASH)


@pytest.mark.parametrize(
    ("promised", "error", "said"),
    [
        ({"size": len(DATA) + 1}, TruncatedFileError, "9 of 10 bytes are there"),
        ({"sha256": "0" * 64}, HashMismatchError, f"its sha256 is {HASH}, 0000"),
    ],
)
def test_content_that_is_not_what_was_promised_is_refused(
    path: Path, promised: dict[str, object], error: type[DeliveryError], said: str
) -> None:
    with pytest.raises(error, match=said):
        content_of(DeliveredFile(path, path.name, **promised))  # type: ignore[arg-type]


def test_an_empty_file_a_directory_and_nothing_are_refused(path: Path) -> None:
    path.write_bytes(b"")
    with pytest.raises(TruncatedFileError, match="0 bytes"):
        content_of(DeliveredFile(path, path.name))
    with pytest.raises(UnreadableFileError, match="no regular file"):
        content_of(DeliveredFile(path.parent, path.name))
    path.unlink()
    with pytest.raises(UnreadableFileError, match="not there"):
        content_of(DeliveredFile(path, path.name))


def test_five_names_are_told_and_how_many_others_there_are() -> None:
    assert some(["b", "a", "b"]) == "a, b"
    assert some("edcba") == "a, b, c, d, e"
    assert some("gfedcba") == "a, b, c, d, e and 2 others"


# -- the archive ------------------------------------------------------------------------------------------------------


def kept(archive: Path) -> list[str]:
    return [file.name for file in archive.rglob("*") if file.is_file()]


def test_an_archive_keeps_content_once_under_its_hash_and_what_its_name_says_of_its_format(path: Path) -> None:
    archive = Archive(path.parent / "archive")
    for _ in range(2):
        archive.put(path, HASH, "zl.ohlcv-1h.csv")
        archive.settle({HASH})
    assert kept(path.parent / "archive") == [f"{HASH}.ohlcv-1h.csv"]
    content = archive.get(HASH, "zl.ohlcv-1h.csv")
    assert (content.name, content.data, content.sha256) == ("zl.ohlcv-1h.csv", DATA, HASH)


def test_a_file_that_changed_since_it_was_hashed_is_not_kept(path: Path) -> None:
    path.write_bytes(b"other bars")
    with pytest.raises(HashMismatchError):
        Archive(path.parent / "archive").put(path, HASH, path.name)
    assert kept(path.parent / "archive") == []


def test_damage_in_the_archive_is_told_and_mended_by_the_file_itself(path: Path) -> None:
    archive = Archive(path.parent / "archive")
    archive.put(path, HASH, path.name)
    archive.settle({HASH})
    (stored,) = (path.parent / "archive").rglob("*.csv")
    stored.write_bytes(DATA[:-1])
    with pytest.raises(HashMismatchError):
        archive.get(HASH, path.name)
    archive.put(path, HASH, path.name)
    archive.settle({HASH})
    assert archive.get(HASH, path.name).data == DATA
    stored.unlink()
    with pytest.raises(UnreadableFileError, match=r"zl\.ohlcv-1h\.csv is missing from the archive"):
        archive.get(HASH, path.name)


def test_what_was_put_for_a_landing_that_failed_is_cleared_away_by_the_next(path: Path) -> None:
    root = path.parent / "archive"
    archive = Archive(root)
    archive.put(path, HASH, path.name)
    (root / HASH[:2] / "cut.part").write_bytes(b"")
    archive.settle(set())
    assert list(root.iterdir()) == []


def test_an_archive_in_a_store_keeps_the_same_and_leaves_what_others_may_be_putting(path: Path) -> None:
    url = f"memory://bucket-{path.parent.name}/landing"
    archive, store = Archive(url, path.parent / "lock"), fsspec.filesystem("memory")
    symbology = path.with_name("symbology.json")
    symbology.write_text("{}", encoding="utf-8")
    with archive.landing():
        archive.put(path, HASH, "zl.ohlcv-1h.csv", DeliveredFile(symbology, symbology.name))
        assert archive.get(HASH, "zl.ohlcv-1h.csv").data == DATA
        archive.settle({HASH})
    other = Archive(url, path.parent / "lock")
    content = other.get(HASH, "zl.ohlcv-1h.csv")
    assert (content.data, content_of(content.symbology).data) == (DATA, b"{}")
    coming = f"{url}/ab/{'ab' * 32}.csv.coming"
    store.pipe_file(coming, DATA)
    archive.settle({HASH})
    assert store.exists(coming)
    store.store[store._strip_protocol(coming)].modified -= dt.timedelta(hours=7)
    archive.settle({HASH})
    assert [name.rpartition("/")[2] for name in store.find(url)] == [f"{HASH}.ohlcv-1h.csv", f"{HASH}.symbology.json"]


def test_a_name_of_any_length_and_of_any_letters_is_kept(path: Path) -> None:
    archive = Archive(path.parent / "archive")
    for name in ("x." + "y" * 250, "a.\udcff\n/..", "noending"):
        archive.put(path, HASH, name)
        archive.settle({HASH})
        assert archive.get(HASH, name).data == DATA


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("zl.csv", "zl.csv"),
        ("ü", "ü"),
        ("a\x1b[31m\n", r"a\x1b[31m\n"),
        ("\udcff", r"\udcff"),
        ("x" * 400, "x" * 300 + " … (400 characters)"),
    ],
)
def test_foreign_text_is_printed_without_its_controls(text: str, printed: str) -> None:
    assert shown(text) == printed
