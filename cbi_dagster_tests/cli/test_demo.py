"""`cbi demo`: from nothing to tables that can be looked at, in a state directory of its own."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.market_data import OHLCV_1H, OHLCV_1M
from cbi_dagster.catalog.tables.raw_intelligence import MACRO_SERIES
from cbi_dagster.home import Home
from cbi_dagster_tests.cli.commands import cbi


def test_a_demo_builds_every_table_from_the_first_to_the_last_date_and_says_what_to_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = cbi(tmp_path / "home", "demo", "--from", "2023-06-05", "--to", "2023-06-09", "--seed", "3")
    assert told.exit_code == 0, told.output
    assert "8 files landed, 0 were here already" in told.output
    assert "Building every table for 2023-06-05 … 2023-06-12:" in told.output, "macro values count from Monday on"
    assert re.search(r"features\.daily_ml_matrix .* written", told.output)
    assert not (tmp_path / "home" / "warehouse.duckdb").exists(), "the user's own state is left alone"
    warehouse = Home(tmp_path / "home" / "demo").open().warehouse
    for table in (OHLCV_1H, OHLCV_1M):
        starts = to_frame(table, warehouse.read(table))["ts_event"].dt.date
        assert (starts.min(), starts.max()) == (dt.date(2023, 6, 5), dt.date(2023, 6, 9)), table.id
    assert len(warehouse.read(MACRO_SERIES)) > 0
    # What it proposes works as it stands.
    (proposed,) = re.findall(r"CBI_HOME=(\S+) \.venv/bin/cbi show (\S+) --date (\S+) --symbol (\S+)", told.output)
    home, table, date, symbol = proposed
    shown = cbi(Path(home), "show", table, "--date", date, "--symbol", symbol)
    assert (shown.exit_code, symbol in shown.output) == (0, True), shown.output
