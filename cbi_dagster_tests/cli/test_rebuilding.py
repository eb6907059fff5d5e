"""The warehouse as earlier files made it: corrections undone, withdrawn files there, later ones not."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster import load_training_frame
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.market_data import OHLCV_1H
from cbi_dagster.cli import rebuilding
from cbi_dagster.cli.building import refreshed
from cbi_dagster.home import Home, UnfinishedRebuildError
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster.warehouse.contract import now_utc
from cbi_dagster_tests.cli.commands import cbi
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import restating_file

pytestmark = pytest.mark.usefixtures("files_stay_open")


def version(home: Path) -> str:
    return load_training_frame("ZL", "1w", home=home).version


@pytest.fixture(scope="module")
def then(tmp_path_factory: pytest.TempPathFactory) -> World:
    """What a model was trained on: three files, built."""
    delivery = tmp_path_factory.mktemp("delivery")
    simulate_delivery(delivery, seed=5, start=dt.date(2023, 4, 1), end=dt.date(2023, 6, 6), minute_roots=())
    world = World(tmp_path_factory.mktemp("then") / "home")
    world.land(delivery)
    world.refresh()
    return world


@pytest.fixture(scope="module")
def instant() -> pd.Timestamp:
    return now_utc()


@pytest.fixture(scope="module")
def now(then: World, instant: pd.Timestamp, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Files after the instant: a bar of April was corrected, the file of June was withdrawn."""
    directory = tmp_path_factory.mktemp("now")
    world = World(Path(shutil.copytree(then.path, directory / "home")))
    bars = to_frame(OHLCV_1H, world.warehouse.read(OHLCV_1H, symbols=["ZL.v.0"]))
    bar = bars[bars["date"] == "2023-04-20"].iloc[[10]].astype({"symbol": object})
    world.land(restating_file(directory / "fix.ohlcv-1h.dbn.zst", bar, close=float(bar["low"].iloc[0])))
    (june,) = [file for file in world.platform.landing.landed_by(now_utc()) if "20230601" in file.source_file]
    world.platform.landing.unland(june.file_hash)
    return world


def test_a_rebuild_is_what_the_files_of_then_make(
    then: World, now: World, instant: pd.Timestamp, tmp_path: Path
) -> None:
    assert not now.hashes()["landing.ohlcv_1h"].equals(then.hashes()["landing.ohlcv_1h"])
    done = cbi(now.path, "rebuild", "--as-landed-by", str(instant), "--out", tmp_path / "audit")
    assert done.exit_code == 0, done.output
    rebuilt = World(tmp_path / "audit")
    pd.testing.assert_series_equal(rebuilt.hashes(), then.hashes())
    assert version(rebuilt.path) == version(then.path)
    kept = list(Home(rebuilt.path).landing.rglob("*.dbn.zst"))
    assert len(kept) == 3
    assert all(path.stat().st_nlink > 1 for path in kept), "files were copied that could be shared"
    again = cbi(now.path, "rebuild", "--as-landed-by", str(instant), "--out", tmp_path / "audit")
    assert again.exit_code == 0
    assert "Nothing is stale" in again.output


def test_what_was_cut_short_passes_for_nothing_whole_and_goes_on(
    now: World, instant: pd.Timestamp, tmp_path: Path
) -> None:
    out = tmp_path / "audit"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebuilding, "refreshed", lambda home, tables: refreshed(home, [OHLCV_1H]) and stopped())
        assert cbi(now.path, "rebuild", "--as-landed-by", str(instant), "--out", out).exit_code != 0
    for words in (("status",), ("show", OHLCV_1H.name, "--date", "2023-04-20"), ("diff", str(now.path), str(out))):
        told = cbi(out, *words)
        assert (told.exit_code, "was cut short" in told.output) == (1, True), words
    with pytest.raises(UnfinishedRebuildError, match="cbi rebuild --as-landed-by"):
        load_training_frame("ZL", "1w", home=out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebuilding, "refreshed", lambda home, tables: refreshed(home, [OHLCV_1H]))
        assert cbi(now.path, "rebuild", "--as-landed-by", str(instant), "--out", out).exit_code == 0
    assert cbi(out, "show", OHLCV_1H.name, "--date", "2023-04-20").exit_code == 0
    assert {path.name for path in out.glob("*.json")} == {"rebuilt.json"}


def stopped() -> None:
    raise KeyboardInterrupt


def test_a_record_that_was_cut_short_is_written_anew(now: World, instant: pd.Timestamp, tmp_path: Path) -> None:
    (tmp_path / "rebuilding.part").write_text('{"as_lan')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebuilding, "refreshed", lambda home, tables: True)
        assert cbi(now.path, "rebuild", "--as-landed-by", str(instant), "--out", tmp_path).exit_code == 0
    assert not list(tmp_path.glob("*.part"))


def refused(now: World, instant: object, out: Path) -> str:
    done = cbi(now.path, "rebuild", "--as-landed-by", str(instant), "--out", out)
    assert done.exit_code in (1, 2)
    return done.stderr


def test_a_rebuild_needs_a_place_of_its_own(now: World, instant: pd.Timestamp, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert "is not empty" in refused(now, instant, tmp_path)
    assert "is not empty" in refused(now, instant, now.path)
    assert "is not empty" in refused(now, instant, tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_instant_of_which_nothing_is_known_is_refused(now: World, tmp_path: Path) -> None:
    out = tmp_path / "audit"
    assert "the first file was landed at" in refused(now, "2020-01-01T00:00Z", out)
    assert "is to come" in refused(now, "2999-01-01T00:00Z", out)
    assert "no instant with a zone" in refused(now, "2023-06-05", out)
    assert not out.exists()
