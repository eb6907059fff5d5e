"""`cbi land` and `cbi unland`: what was taken, what was not and why, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result

from cbi_dagster.cli.main import STALE
from cbi_dagster_tests.cli.commands import BARS, cbi
from cbi_dagster_tests.vendors.small_files import ZL_ROLL, restating_file, zl_bars, zl_file

pytestmark = pytest.mark.usefixtures("files_stay_open")

SELECTED = ("--select", BARS)


def words(result: Result) -> str:
    return " ".join((result.output + result.stderr).split())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def correction(directory: Path, close: float) -> Path:
    """A file of the bar of 2 July 14:00 UTC alone, with another close."""
    bar = zl_bars().iloc[[38]].assign(open=close, high=close + 1, low=close - 1, close=close)
    start = bar["ts_event"].iloc[0]
    path = directory / f"fix-{close:.0f}.ohlcv-1h.dbn.zst"
    return zl_file(path, bar, ZL_ROLL, start=start, end=start + (zl_bars()["ts_event"][1] - zl_bars()["ts_event"][0]))


def test_a_withdrawn_file_is_told_with_what_comes_back_and_the_plan_names_it(home: Path, tmp_path: Path) -> None:
    cbi(home, "land", zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    assert "1 bars corrected" in words(cbi(home, "land", correction(tmp_path, 50.0)))
    assert cbi(home, "refresh", *SELECTED).exit_code == STALE
    done = cbi(home, "unland", "fix-50.ohlcv-1h.dbn.zst")
    assert done.exit_code == 0
    assert (
        "fix-50.ohlcv-1h.dbn.zst is withdrawn with its 1 rows; 1 bars are what they were before it (see "
        "ops.corrections)." in words(done)
    )
    planned = cbi(home, "plan", *SELECTED)
    assert planned.exit_code == STALE
    assert "landing.ohlcv_1h 2024-07-02 changed" in words(planned)
    assert cbi(home, "refresh", *SELECTED).exit_code == STALE
    assert cbi(home, "plan", *SELECTED).exit_code == 0
    assert "1 files landed" in words(cbi(home, "status"))


def test_trade_dates_of_a_withdrawn_file_go_and_the_plan_and_the_refresh_say_so(home: Path, tmp_path: Path) -> None:
    cbi(home, "land", zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    cbi(home, "refresh", *SELECTED)
    cbi(home, "unland", "zl.ohlcv-1h.dbn.zst")
    planned = cbi(home, "plan", *SELECTED)
    assert planned.exit_code == STALE
    assert "no longer landed" in words(planned)
    exact = cbi(home, "plan", "--exact", "--json", *SELECTED)
    assert '"2024-07-02"' in exact.output
    assert "0 written, 0 unchanged, 5 removed done" in words(cbi(home, "refresh", *SELECTED))
    assert words(cbi(home, "plan", *SELECTED)) == "Nothing is stale."


def test_what_is_not_landed_cannot_be_withdrawn(home: Path, tmp_path: Path) -> None:
    cbi(home, "land", zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    refused = cbi(home, "unland", "other.ohlcv-1h.dbn.zst")
    assert refused.exit_code == 1
    assert "no landed file is called other.ohlcv-1h.dbn.zst, and no hash begins so" in words(refused)


def test_an_overruled_file_says_so_and_wins_with_again(home: Path, tmp_path: Path) -> None:
    first, second = correction(tmp_path, 50.0), correction(tmp_path, 51.0)
    cbi(home, "land", first)
    cbi(home, "land", second)
    told = cbi(home, "land", first)
    assert told.exit_code == 0
    assert "fix-50.ohlcv-1h.dbn.zst was overruled by later files since it was landed; --again lets it win" in words(
        told
    )
    again = cbi(home, "land", "--again", first)
    assert again.exit_code == 0
    assert "1 files landed, 0 were here already." in words(again)
    assert "1 bars corrected" in words(again)
    assert "0 files landed, 1 were here already." in words(cbi(home, "land", "--again", first))


def test_a_landing_that_takes_nothing_fails_and_says_why(home: Path, tmp_path: Path) -> None:
    delivery = tmp_path / "delivery"
    delivery.mkdir()
    (delivery / "notes.txt").write_text("nothing to see")
    (delivery / "zl.csv").write_text("date,close\n")
    result = cbi(home, "land", delivery)
    assert result.exit_code == 1
    assert "ignored notes.txt" in words(result)
    assert "ignored zl.csv" in words(result)
    assert "nothing was landed: no file of this delivery says by its name that it holds data" in words(result)
    assert cbi(home, "status").exit_code == 0


def test_hashes_of_a_manifest_and_their_lack_are_told(home: Path, tmp_path: Path) -> None:
    assert "No manifest has a hash for 1 files" in words(cbi(home, "land", zl_file(tmp_path / "a.ohlcv-1h.dbn.zst")))


def test_a_file_that_restates_what_is_known_is_landed_without_a_correction(home: Path, tmp_path: Path) -> None:
    cbi(home, "land", zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst"))
    bar = zl_bars().iloc[[5]].assign(symbol="ZL.v.0", dataset="GLBX.MDP3")
    said = words(cbi(home, "land", restating_file(tmp_path / "same.ohlcv-1h.dbn.zst", bar)))
    assert "1 files landed" in said
    assert "corrected" not in said
