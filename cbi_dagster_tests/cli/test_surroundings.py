"""Damage and odd surroundings: one sentence with the way out, and commands that only look leave nothing behind."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cbi_dagster.cli.main import STALE
from cbi_dagster_tests.cli.commands import BARS, build_bars, cbi
from cbi_dagster_tests.properties.worlds import World

LOOKING = (
    ("status",), ("plan",), ("plan", "--json"), ("features",), ("check",),
    ("show", "volatility_daily", "--date", "2023-06-14"), ("export", "volatility_daily", "--out", "x.parquet"),
)  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A week of hours, of which the bars are built; its path is one that quoting forgets."""
    home = tmp_path_factory.mktemp("a 100% 'odd' [bold]:eyes: home")
    return build_bars(home, tmp_path_factory.mktemp("delivery"), dt.date(2023, 6, 10))


@pytest.fixture
def home(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "home"))


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_who_only_looks_leaves_nothing_behind(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = cbi(tmp_path / "[red]:eyes:", *command)
    told = result.output + result.stderr
    assert f"nothing is landed in {tmp_path}/[red]:eyes:; " in told or command == ("plan", "--json")
    assert list(tmp_path.iterdir()) == []


def truncated(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 3)


def overwritten(file: Path) -> None:
    file.write_bytes(b"not a warehouse" * 1000)


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    for at in range(4096, len(content), 1000):
        content[at] ^= 0x10
    file.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [truncated, overwritten, flipped])
def test_a_damaged_warehouse_is_told_with_the_way_out(home: Path, damage: Callable[[Path], None]) -> None:
    damage(home / "warehouse.duckdb")
    result = cbi(home, "status")
    assert result.exit_code == 1
    assert "warehouse.duckdb is damaged, or no warehouse at all" in result.stderr
    assert "land the delivered files again" in result.stderr


def test_a_ledger_that_was_emptied_is_named_and_comes_back(home: Path) -> None:
    before = World(home).hashes()
    World(home).by_other_hands("DELETE FROM ops.partition_ledger")
    planned = cbi(home, "plan", "--select", BARS)
    assert planned.exit_code == STALE
    assert "landing.ohlcv_1h: the ledger has lost what was landed" in planned.output
    assert cbi(home, "refresh", "--select", BARS).exit_code == STALE
    assert World(home).hashes().equals(before)
    assert cbi(home, "check", "--select", BARS).exit_code == 0


def test_a_table_that_differs_from_its_declaration_stops_only_what_is_made_of_it(home: Path) -> None:
    world = World(home)
    world.by_other_hands("ALTER TABLE features.volatility_daily ADD COLUMN colour VARCHAR",
                         "CREATE TABLE features.forgotten (date DATE)")  # fmt: skip
    told = cbi(home, "status")
    assert told.exit_code == 0
    words = " ".join(told.output.split())
    assert "features.volatility_daily is stored otherwise than declared (stored and not declared: colour)" in words
    assert "features.forgotten is stored and no longer declared: `cbi reset features.forgotten` drops it" in words
    assert cbi(home, "plan", "--select", BARS).exit_code == 0
    assert cbi(home, "show", BARS, "--date", "2023-06-07").exit_code == 0
    planned = cbi(home, "plan", "--select", "volatility_daily", "--select", "daily_ml_matrix")
    assert planned.exit_code == STALE
    assert "features.volatility_daily cannot be built: stored and not declared: colour" in planned.output
    assert "features.daily_ml_matrix cannot be built: is made of features.volatility_daily" in planned.output
    refused = cbi(home, "refresh", "--select", "volatility_daily", "--select", BARS)
    assert refused.exit_code == 1
    assert "1 tables cannot be built" in refused.stderr
    assert cbi(home, "reset", "features.forgotten", "volatility_daily").exit_code == 0
    words = " ".join(cbi(home, "status").output.split())
    assert "otherwise than declared" not in words
    assert "no longer declared" not in words


def test_an_export_replaces_a_regular_file_and_nothing_else(home: Path, tmp_path: Path) -> None:
    pipe, foreign = tmp_path / "pipe", tmp_path / "bars.parquet.part"
    os.mkfifo(pipe)
    foreign.write_text("somebody else's")
    for out in (pipe, Path("/dev/null")):
        refused = cbi(home, "export", BARS, "--out", str(out), "--format", "parquet")
        assert refused.exit_code == 1
        assert "there is no regular file to replace" in refused.stderr
    assert cbi(home, "export", BARS, "--out", str(tmp_path / "bars.parquet")).exit_code == 0
    assert foreign.read_text() == "somebody else's"


def test_a_closed_standard_output_changes_nothing(home: Path) -> None:
    environment = {**os.environ, "CBI_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = ["sh", "-c", f'"{sys.executable}" -m cbi_dagster.cli status >&-']
    closed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (closed.returncode, closed.stderr) == (0, "")
