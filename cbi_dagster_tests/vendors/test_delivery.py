"""Directories, batch zips and single files: which files they hand over, and with what promise."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.config.universe import load_universe
from cbi_dagster.vendors import delivery
from cbi_dagster.vendors.databento.writing import write_manifest
from cbi_dagster.vendors.delivery import Delivery
from cbi_dagster.vendors.files import HashMismatchError, TruncatedFileError, UnreadableFileError, content_of
from cbi_dagster.vendors.landed import KINDS
from cbi_dagster.vendors.scratch import scratch_directory
from cbi_dagster_tests.vendors.small_files import START, hourly, zl_file


def open_delivery(path: Path) -> AbstractContextManager[Delivery]:
    return delivery.open_delivery(path, [kind(load_universe()) for kind in KINDS])


def batch(directory: Path) -> list[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    files = [
        zl_file(directory / f"glbx-mdp3-{day}.ohlcv-1h.dbn.zst", hourly(f"2024-07-{day}", 24), start=begin, end=end)
        for day, begin, end in (
            ("01", START, pd.Timestamp("2024-07-02", tz="UTC")),
            ("02", pd.Timestamp("2024-07-02", tz="UTC"), pd.Timestamp("2024-07-03", tz="UTC")),
        )
    ]
    write_manifest(directory, files)
    for name in ("metadata.json", "symbology.json"):
        (directory / name).write_text("{}")
    return files


def test_a_directory_is_searched_for_data_files_and_the_rest_is_named(tmp_path: Path) -> None:
    files = batch(tmp_path / "GLBX-1")
    (tmp_path / "notes.txt").write_text("?")
    (tmp_path / "GLBX-1" / "prices.csv").write_text("a,b\n")
    with open_delivery(tmp_path) as opened:
        assert [file.path for file in opened.files] == files
        assert [file.sha256 for file in opened.files] == [hashlib.sha256(f.read_bytes()).hexdigest() for f in files]
        assert opened.ignored == ("GLBX-1/prices.csv", "notes.txt")


def test_a_file_that_is_not_what_the_manifest_promises_is_refused(tmp_path: Path) -> None:
    first, second = batch(tmp_path)
    second.write_bytes(first.read_bytes())
    for path in (tmp_path, second):  # given alone it is still held against the manifest beside it
        with open_delivery(path) as opened, pytest.raises((HashMismatchError, TruncatedFileError)):
            content_of(opened.files[-1])


def test_a_cut_between_two_records_is_noticed_by_the_manifest(tmp_path: Path) -> None:
    path = zl_file(tmp_path / "zl.dbn")
    write_manifest(tmp_path, [path])
    path.write_bytes(path.read_bytes()[:-56])
    with open_delivery(tmp_path) as opened, pytest.raises(TruncatedFileError, match="bytes are there"):
        content_of(opened.files[0])


def test_a_file_that_only_the_manifest_knows_is_missed(tmp_path: Path) -> None:
    batch(tmp_path)[1].unlink()
    with open_delivery(tmp_path) as opened, pytest.raises(UnreadableFileError, match="listed, but it is not there"):
        [content_of(file) for file in opened.files]


@pytest.mark.parametrize("text", ["{", "[]", '{"files": [{"filename": "../x.dbn", "size": 1, "hash": "sha256:0"}]}'])
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    zl_file(tmp_path / "zl.dbn")
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UnreadableFileError, match="manifest"), open_delivery(tmp_path):
        pass


def test_a_single_path_that_is_no_data_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("?")
    for name in ("notes.txt", "absent.dbn"):
        with pytest.raises(UnreadableFileError, match=name), open_delivery(tmp_path / name):
            pass


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_batch_zip_is_read_like_the_directory_it_was_made_of(tmp_path: Path) -> None:
    files = batch(tmp_path / "job")
    members = {f"GLBX-1/{path.name}": path.read_bytes() for path in sorted((tmp_path / "job").iterdir())}
    for path in (zipped(tmp_path / "job.zip", members), zipped_directory(tmp_path / "zips", members)):
        with open_delivery(path) as opened:
            assert [file.name for file in opened.files] == [file.name for file in files]
            assert all(file.sha256 for file in opened.files)
            assert [content_of(file).data for file in opened.files] == [file.read_bytes() for file in files]
            unpacked = opened.files[0].path
        assert not unpacked.exists()


def zipped_directory(directory: Path, members: dict[str, bytes]) -> Path:
    directory.mkdir()
    return zipped(directory / "job.zip", members).parent


@pytest.mark.parametrize("name", ["../evil.dbn", "/evil.dbn", "a/../../evil.dbn", "..\\evil.dbn", "C:/evil.dbn"])
def test_an_archive_cannot_write_outside_its_directory(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "job.zip", {name: b"x"})
    with pytest.raises(UnreadableFileError, match="outside"), open_delivery(path):
        pass
    assert [file.name for file in tmp_path.rglob("*")] == ["job.zip"]


def test_an_archive_cannot_hold_links(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("zl.dbn")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "job.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UnreadableFileError, match="outside"), open_delivery(tmp_path / "job.zip"):
        pass


def test_an_archive_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "job.zip", {"zl.dbn": b"0" * 5000})
    monkeypatch.setattr(delivery, "MAX_ZIP_BYTES", 4999)
    with pytest.raises(UnreadableFileError, match="more than"), open_delivery(path):
        pass


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    batch(tmp_path / "job")
    members = {path.name: path.read_bytes() for path in sorted((tmp_path / "job").iterdir())}
    path = zipped(tmp_path / "job.zip", members)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", content[:200] + b"\0\0\0\0" + content[204:]):
        path.write_bytes(damaged)
        with pytest.raises(UnreadableFileError, match="cannot be unpacked"), open_delivery(path):
            pass


def test_a_manifest_lists_what_it_was_written_for(tmp_path: Path) -> None:
    files = batch(tmp_path)
    entries = json.loads((tmp_path / "manifest.json").read_text())["files"]
    assert [(entry["filename"], entry["size"]) for entry in entries] == [(f.name, f.stat().st_size) for f in files]


def test_a_member_that_is_twice_in_an_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "job.zip", "w") as archive:
        archive.writestr("zl.dbn", b"one")
        archive.writestr("./zl.dbn", b"two")  # which is the same place
    with pytest.raises(UnreadableFileError, match=r"two members '\./zl\.dbn'"), open_delivery(tmp_path / "job.zip"):
        pass


def test_archives_in_archives_are_opened_so_many_deep(tmp_path: Path) -> None:
    inner = zl_file(tmp_path / "zl.dbn").read_bytes()
    name = "zl.dbn"
    for depth in range(1, 5):
        inner = zipped(tmp_path / "job.zip", {name: inner}).read_bytes()
        name = "job.zip"
        if depth < 4:
            with open_delivery(tmp_path / "job.zip") as opened:
                assert [file.name for file in opened.files] == ["zl.dbn"]
    with pytest.raises(UnreadableFileError, match="an archive in 3 others"), open_delivery(tmp_path / "job.zip"):
        pass


def test_what_is_no_regular_file_is_refused_if_it_says_that_it_is_data_and_named_otherwise(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dbn")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.dbn").symlink_to(tmp_path / "nothing")
    (tmp_path / "zero.macro.csv").symlink_to("/dev/zero")
    with open_delivery(tmp_path) as opened:
        assert opened.ignored == ("pipe",)
        for file in opened.files:
            with pytest.raises(UnreadableFileError, match=r"no regular file|not there"):
                content_of(file)
        assert [file.name for file in opened.files] == ["link.dbn", "pipe.dbn", "zero.macro.csv"]
    with open_delivery(tmp_path / "pipe.dbn") as opened, pytest.raises(UnreadableFileError, match="no regular file"):
        content_of(opened.files[0])


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    (tmp_path / "cbi-delivery-left").mkdir()
    (tmp_path / "cbi-delivery-left" / "zl.dbn").write_bytes(b"x")
    with scratch_directory(tmp_path) as one, scratch_directory(tmp_path) as other:
        assert sorted(tmp_path.iterdir()) == sorted([one, other])
    assert not list(tmp_path.iterdir())
