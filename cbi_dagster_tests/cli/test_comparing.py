"""`cbi diff`: two state directories, and one before and after a refresh."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import duckdb
import pytest

from cbi_dagster.catalog import table
from cbi_dagster.cli.main import DIFFERENT
from cbi_dagster.home import Home
from cbi_dagster.reports.differences import differences
from cbi_dagster_tests.cli.commands import BARS, build_bars, cbi

pytestmark = pytest.mark.usefixtures("files_stay_open")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("diff")
    return build_bars(path / "home", path / "files", dt.date(2023, 6, 9))


@pytest.fixture
def other(home: Path, tmp_path: Path) -> Path:
    """A copy in which ZL closed higher once, one bar is missing and one has no mapping; its books say so."""
    shutil.copytree(home, tmp_path / "other")
    day = "date = '2023-06-07' and symbol = 'ZL.v.0'"
    first = f"(select min(ts_event) from market_data.{BARS} where {day})"
    last = f"(select max(ts_event) from market_data.{BARS} where {day})"
    with duckdb.connect(Home(tmp_path / "other").warehouse_file) as connection:
        connection.execute(f"update market_data.{BARS} set high = 2 * high where {day} and ts_event = {first}")
        connection.execute(f"delete from market_data.{BARS} where {day} and ts_event = {last}")
        connection.execute(
            f"update market_data.{BARS} set session_instrument_id = null where {day} and ts_event = {first}"
        )
        connection.execute(
            "update ops.partition_ledger set content_hash = repeat('0', 32)"
            f" where table_name = 'market_data.{BARS}' and partition_key = '2023-06-07'"
        )
    return tmp_path / "other"


def test_rows_and_columns_that_differ_are_counted(home: Path, other: Path) -> None:
    sides = [Home(path).open().ready().warehouse for path in (home, other)]
    (found,) = differences(*sides, [table(BARS)])
    assert (found.partitions, found.added, found.removed, found.changed) == (("2023-06-07",), 0, 1, 1)
    columns = {column.path: column for column in found.columns}
    assert columns.keys() == {"high", "session_instrument_id"}
    assert columns["high"].relative == pytest.approx(1.0)
    assert (columns["high"].rows, columns["high"].first) == (1, "2023-06-07")
    assert (columns["session_instrument_id"].known, columns["session_instrument_id"].unknown) == (0, 1)
    (back,) = differences(*sides[::-1], [table(BARS)])
    assert (back.added, back.removed) == (1, 0)


def test_the_command_tells_two_homes_apart_by_its_exit_code(home: Path, other: Path) -> None:
    told = cbi(home, "diff", home, other)
    assert told.exit_code == DIFFERENT
    assert "1 partitions (2023-06-07), 0 rows added, 1 removed, 1 changed" in told.output
    same = cbi(home, "diff", home, home)
    assert (same.exit_code, "Nothing differs" in same.output) == (0, True)
    assert cbi(home, "diff", home).exit_code == 1
    missing = cbi(home, "diff", home, home / "nowhere")
    assert (missing.exit_code, "nothing is landed in" in missing.output) == (1, True)
    assert not (home / "nowhere").exists()


def test_a_refresh_that_is_due_is_told_by_column_and_nothing_is_written(other: Path) -> None:
    ledger = Home(other).open().ready().warehouse.ledger_rows
    with duckdb.connect(Home(other).warehouse_file) as connection:
        connection.execute("update ops.partition_ledger set code_version = 'x' where table_name like 'market%'")
    before = ledger()
    told = cbi(other, "diff", "--select", BARS)
    assert told.exit_code == DIFFERENT
    assert "1 rows added, 0 removed, 1 changed" in told.output
    assert "high" in told.output
    assert ledger().equals(before)
