"""What files that are read whole hold is decoded once: copies are exact, and count only where nothing has changed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.model import FIRST_TRADE_DATE
from cbi_dagster.config.universe import load_universe
from cbi_dagster.home import Home
from cbi_dagster.vendors.databento import conditions
from cbi_dagster.vendors.decoded import Decoded
from cbi_dagster.vendors.files import HashMismatchError
from cbi_dagster.vendors.kinds import Examined, LandedFile
from cbi_dagster.vendors.landed import KINDS, Holdings, LandedFiles, landed_file
from cbi_dagster.vendors.posts import landed_posts
from cbi_dagster.vendors.posts.simulated import simulate_posts
from cbi_dagster.vendors.simulate import simulate_conditions, simulate_macro
from cbi_dagster_tests.vendors.small_files import content

START, END = dt.date(2024, 6, 3), dt.date(2024, 6, 14)
NOW = pd.Timestamp("2024-06-20 12:00", tz="UTC")
SOURCES = ("landing.posts", "landing.posts_coverage", "landing.macro", "landing.conditions")
EVER = (np.datetime64(FIRST_TRADE_DATE, "D"), np.datetime64("2030-01-01", "D"))
DAYS = [(day, day) for day in np.arange(np.datetime64("2024-05-30"), np.datetime64("2024-06-21"))]
CODE = "version 1"


def deliver(directory: Path) -> Path:
    directory.mkdir()
    for simulate in (simulate_posts, simulate_macro, simulate_conditions):
        simulate(directory, seed=1, start=START, end=END)
    with (directory / "faulty.posts.csv").open("w", encoding="utf-8") as file:
        file.write("source,published_at,text,likes,url\n")
        file.write("truth_social,2024-06-05T12:00:00Z,Tariffs on oil — “soon”,,https://a.b/1\n")
        file.write("truth_social,2044-06-05T12:00:00Z,tomorrow,3,\n,2024-06-05T12:00:00Z,nobody,3,\n")
    return directory


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[LandedFile, Examined]]:
    """Files of all kinds that are read whole, and what each holds."""
    kinds, found = [kind(load_universe()) for kind in KINDS], {}
    for path in sorted(deliver(tmp_path_factory.mktemp("files") / "delivery").iterdir()):
        for kind in kinds:
            if kind.read_whole and kind.recognises(path.name):
                given = content(path)
                examined = kind.examine(given, NOW)
                found[path.name] = landed_file(given, examined, NOW), examined
    assert {file.vendor_schema for file, _ in found.values()} == {"posts", "posts-coverage", "macro", "conditions"}
    return found


def require_same(found: Examined | None, given: Examined) -> None:
    assert found is not None
    for name in ("kept", "rejected", "symbols"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(given, name))
    names = ("dataset", "schema", "stype_in", "start", "end", "rows", "outside", "exhaustive", "by_symbology")
    assert [getattr(found, name) for name in names] == [getattr(given, name) for name in names]


def copies(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def test_a_copy_is_exact_for_every_kind(known: dict[str, tuple[LandedFile, Examined]], tmp_path: Path) -> None:
    decoded = Decoded(tmp_path)
    for file, examined in known.values():
        assert decoded.get(file, CODE) is None
        decoded.put(file, CODE, examined)
        require_same(decoded.get(file, CODE), examined)
    assert len(known["faulty.posts.csv"][1].rejected) == 2


def test_a_copy_of_other_code_name_or_time_of_landing_counts_for_nothing(
    known: dict[str, tuple[LandedFile, Examined]], tmp_path: Path
) -> None:
    decoded, (file, examined) = Decoded(tmp_path), known["faulty.posts.csv"]
    decoded.put(file, CODE, examined)
    later = file._replace(landed_at=NOW + pd.Timedelta(1, "us"))
    assert decoded.get(file, "version 2") is None
    assert decoded.get(later, CODE) is None
    assert decoded.get(file._replace(source_file="faulty.posts.jsonl"), CODE) is None
    decoded.put(file, "version 2", examined)
    assert decoded.get(file, CODE) is None
    require_same(decoded.get(file, "version 2"), examined)
    assert len(copies(tmp_path)) == 1


@pytest.mark.parametrize("length", [0, 10, 1000])
def test_a_damaged_copy_counts_for_nothing_and_is_replaced(
    known: dict[str, tuple[LandedFile, Examined]], tmp_path: Path, length: int
) -> None:
    decoded, (file, examined) = Decoded(tmp_path), known["faulty.posts.csv"]
    decoded.put(file, CODE, examined)
    (copy,) = copies(tmp_path)
    whole = copy.read_bytes()
    copy.with_name(f"{file.file_hash}.0.part").write_bytes(whole[:length])  # of a process that was killed
    for damaged in (whole[:length], whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:], whole + b"0"):
        copy.write_bytes(damaged)
        assert decoded.get(file, CODE) is None
        decoded.put(file, CODE, examined)
        require_same(decoded.get(file, CODE), examined)
        assert copies(tmp_path) == [copy]


def test_without_room_there_is_no_copy(known: dict[str, tuple[LandedFile, Examined]], tmp_path: Path) -> None:
    (tmp_path / "decoded").write_text("a file where the directory would be")
    decoded, (file, examined) = Decoded(tmp_path / "decoded"), known["faulty.posts.csv"]
    decoded.put(file, CODE, examined)
    assert decoded.get(file, CODE) is None


def read(landing: LandedFiles | Holdings, *intervals: tuple[np.datetime64, np.datetime64]) -> dict[str, pd.DataFrame]:
    return {source: landing.read(source, list(intervals)) for source in SOURCES}


def test_what_landed_is_not_decoded_again_and_every_span_of_it_reads_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    first = home.open().ready().landing
    first.land([deliver(tmp_path / "delivery")])
    other = "source,published_at,text,url\ntruth_social,2024-06-11T12:00:00Z,Tariffs,https://a.b/1\n"
    (tmp_path / "other.posts.csv").write_text(other, encoding="utf-8")
    assert len(first.land([tmp_path / "other.posts.csv"]).corrections) == 1
    for copy in copies(tmp_path / "home" / "decoded"):
        if copy.name.startswith(first.files_of("macro")[0].file_hash):
            copy.unlink()
    whole = read(home.open().landing, EVER)  # decodes the macro file again
    assert all(len(rows) for rows in whole.values())

    def refused(*_: object) -> object:
        raise AssertionError("it is decoded again")

    with monkeypatch.context() as patched:
        for module, name in ((landed_posts, "decode_posts"), (conditions, "decode_conditions")):
            patched.setattr(module, name, refused)
        patched.setattr("cbi_dagster.vendors.tabular.TabularFile.__init__", refused)
        landing = home.open().landing
        for source, rows in read(landing, EVER).items():
            pd.testing.assert_frame_equal(rows, whole[source])
        by_day = [read(landing, day) for day in DAYS]
    for source, rows in whole.items():
        parts = pd.concat([day[source] for day in by_day])
        assert len(parts) == len(rows)
        names = [name for name in rows.columns if rows[name].notna().any()]
        parts, rows = (
            frame[names].astype({"source_row": float} if "source_row" in names else {}) for frame in (parts, rows)
        )
        pd.testing.assert_frame_equal(
            parts.sort_values(names, ignore_index=True), rows.sort_values(names, ignore_index=True)
        )

    (archived,) = (tmp_path / "home" / "landing").rglob("*.macro.*")
    archived.write_bytes(archived.read_bytes() + b"\n")
    with pytest.raises(HashMismatchError, match="sha256"):
        home.open().landing.read("landing.macro", [EVER])
