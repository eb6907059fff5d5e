"""What a watched directory holds, and how several files of it are landed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import fsspec
import pytest

from cbi_dagster.home import Home
from cbi_dagster.orchestration.landing import Watched, land_all
from cbi_dagster.vendors.landing import Landing
from cbi_dagster_tests.vendors.small_files import hourly, zl_file

pytestmark = pytest.mark.usefixtures("files_stay_open")


def test_an_object_store_is_listed_and_fetched_with_the_manifest_of_the_delivery(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    store.pipe(
        {"/bucket/in/x.ohlcv-1h.dbn.zst": b"bars", "/bucket/in/manifest.json": b"{}", "/bucket/in/notes.txt": b""}
    )
    watched = Watched("memory://bucket/in")
    (path,) = watched.listing()
    assert Path(path).name == "x.ohlcv-1h.dbn.zst"
    copy = watched.fetch(path, tmp_path / "copy")
    assert copy.read_bytes() == b"bars"
    assert (copy.parent / "manifest.json").exists()


def test_a_stamp_changes_with_the_file_and_a_missing_directory_holds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "in" / "x.ohlcv-1h.dbn.zst"
    watched = Watched(str(file.parent))
    assert watched.listing() == {}
    file.parent.mkdir()
    file.write_bytes(b"bars")
    before = watched.listing()
    assert watched.listing() == before
    file.write_bytes(b"Bars")
    assert watched.listing().keys() == before.keys()
    assert watched.listing() != before


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Home(tmp_path / "home").open().ready().landing


def test_a_zip_of_several_broken_files_is_refused_and_the_others_are_landed(landing: Landing, tmp_path: Path) -> None:
    good, job = zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"), tmp_path / "job.zip"
    with zipfile.ZipFile(job, "w") as archive:
        archive.writestr("a.ohlcv-1h.dbn.zst", good.read_bytes()[:-9])
        archive.writestr("b.ohlcv-1h.dbn.zst", b"")
    reports, refused = land_all(landing, [job, good])
    assert [report.files["source_file"].tolist() for report in reports] == [[good.name]]
    again = "Download or copy the file again and land it once more."
    assert refused == {
        job: f"a.ohlcv-1h.dbn.zst: its last compressed frame is incomplete. {again} "
        f"b.ohlcv-1h.dbn.zst: the file is empty (0 bytes). {again}"
    }


def test_a_file_of_another_dataset_is_refused_by_itself(landing: Landing, tmp_path: Path) -> None:
    real, simulated = (
        zl_file(tmp_path / f"{name}.ohlcv-1h.dbn.zst", dataset=name) for name in ("GLBX.MDP3", "SIM.DEMO")
    )
    reports, refused = land_all(landing, [real, simulated])
    assert [report.files["source_file"].tolist() for report in reports] == [[real.name]]
    assert "would mix the datasets" in refused[simulated]


def test_one_broken_file_among_several_leaves_the_order_of_the_others(landing: Landing, tmp_path: Path) -> None:
    files = [
        zl_file(tmp_path / f"{level:.0f}.ohlcv-1h.dbn.zst", bars=hourly("2024-07-01", 24, level=level))
        for level in (44.0, 45.0, 46.0, 47.0)
    ]
    files.insert(2, tmp_path / "broken.ohlcv-1h.dbn.zst")
    files[2].write_bytes(b"")
    reports, refused = land_all(landing, files)
    landed = [name for report in reports for name in report.files["source_file"]]
    assert landed == [file.name for file in files if file != files[2]]
    assert list(refused) == [files[2]]
    assert land_all(landing, []) == ([], {})
