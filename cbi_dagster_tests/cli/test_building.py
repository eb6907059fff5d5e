"""Commands that build: the range they were given to the day, and a failure that is told, recorded and an exit code."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from pathlib import Path

import duckdb
import pytest

from cbi_dagster.catalog.tables.market_data import OHLCV_1H
from cbi_dagster.cli.main import STALE, console
from cbi_dagster.home import Home
from cbi_dagster_tests.cli.commands import BARS, build_bars, cbi

pytestmark = pytest.mark.usefixtures("files_stay_open")

#: Of the landed trade dates, which are two weeks, the Monday that a last evening belongs to and, since that is
#: Juneteenth, the Tuesday whose session it joins.
LANDED = 12


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks of hours, of which the bars are built and nothing else."""
    return build_bars(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("delivery"), dt.date(2023, 6, 19))


def contents(home: Path) -> dict[str, str]:
    """The content hash of every partition of the bars."""
    ledger = Home(home).open().warehouse.ledger_rows({OHLCV_1H.id})
    return dict(zip(ledger["partition_key"], ledger["content_hash"], strict=True))


@pytest.fixture
def home(built: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(built, tmp_path / "home"))


@pytest.mark.parametrize(
    ("span", "confirmed"),
    [
        (("--from", "2023-06-07", "--to", "2023-06-09"), 3),
        (("--from", "2023-06-08", "--to", "2023-06-08"), 1),
        (("--to", "2023-06-06"), 2),
        (("--from", "2023-06-15"), 4),
        ((), LANDED),
    ],
)
def test_a_backfill_takes_the_trade_dates_from_the_first_to_the_last_given_both_included(
    built: Path, span: tuple[str, ...], confirmed: int
) -> None:
    result = cbi(built, "backfill", *span, "--select", BARS)
    assert result.exit_code == 0
    assert re.search(rf"{OHLCV_1H.id} .* 0 rows  0 written, {confirmed} unchanged", result.output)
    assert "done in" in result.output


def test_a_table_that_fails_is_an_exit_code_a_sentence_and_a_line_of_the_status(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (archived,) = (home / "landing").rglob("*.ohlcv-1h.dbn.zst")
    archived.rename(home / "elsewhere")
    assert cbi(home, "reset", BARS).exit_code == 0
    for command in ("backfill", "refresh"):
        result = cbi(home, command, "--select", BARS)
        assert result.exit_code == 1
        assert "a table failed" in result.stderr
        assert "done in" not in result.output
    monkeypatch.setattr(console, "width", 400)
    failed = cbi(home, "status").output.partition("failed last")[2].partition("rejected from")[0]
    assert re.search(rf"{OHLCV_1H.id} .* is missing from the archive", failed)


def test_a_table_that_is_reset_is_missing_and_rebuilt_by_the_next_refresh(home: Path) -> None:
    before = contents(home)
    assert cbi(home, "reset", BARS).output.splitlines()[0] == f"{OHLCV_1H.id} dropped"
    planned = cbi(home, "plan", "--select", BARS)
    assert planned.exit_code == STALE
    (line,) = (line.split() for line in planned.output.splitlines() if OHLCV_1H.id in line)
    assert [word for word in line if word != "│"][1:] == [str(LANDED), "unknown", "2023-06-05", "2023-06-20", "missing"]
    assert cbi(home, "refresh", "--select", BARS).exit_code == STALE
    assert contents(home) == before
    assert cbi(home, "plan", "--select", BARS).exit_code == 0


def test_nothing_can_be_reset_before_anything_is_built(tmp_path: Path) -> None:
    result = cbi(tmp_path, "reset", BARS)
    assert result.exit_code == 1
    assert "and nothing to drop" in result.stderr
    assert not Home(tmp_path).warehouse_file.exists()


def test_a_plan_says_how_much_is_certain_and_what_else_is_stale(built: Path) -> None:
    planned = cbi(built, "plan", "--select", "futures_continuous_1d")
    assert planned.exit_code == STALE
    assert f"{LANDED} partitions are stale; with what depends on them at most {LANDED} in 1 tables" in planned.output
    stale = "Stale themselves and not selected: market_data.databento_futures_ohlcv_1d."
    assert stale in " ".join(planned.output.split())


@pytest.mark.parametrize(("missing", "more"), [(4, None), (5, "… and 1 more ranges (--json)")])
def test_a_plan_shows_four_ranges_of_a_table_and_counts_the_others(home: Path, missing: int, more: str | None) -> None:
    days = [f"2023-06-{day:02}" for day in (5, 7, 9, 13, 15)][:missing]
    with duckdb.connect(Home(home).warehouse_file) as connection:
        gone = "DELETE FROM ops.partition_ledger WHERE table_name = ? AND list_contains(?, partition_key)"
        connection.execute(gone, [OHLCV_1H.id, days])
    planned = cbi(home, "plan", "--select", BARS)
    lines = [line.strip("│").split("│") for line in planned.output.splitlines() if line.startswith("│")]
    assert [line[3].strip() for line in lines][:4] == days[:4]
    assert [line[5].strip() for line in lines] == ["missing"] * 4 + ([more] if more else [])
