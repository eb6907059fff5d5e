"""Settings, code and stored rows are inputs: a plan names what was edited, and then all is as in a fresh build."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import pytest

import cbi_dagster
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables import ops
from cbi_dagster.cli.main import STALE
from cbi_dagster.home import Home
from cbi_dagster.vendors.simulate import simulate_delivery

HOURS, UNIVERSE = "landing.ohlcv_1h", "config/universe.yaml"
TABLES = ("volatility_daily", "databento_futures_ohlcv_1h", "databento_futures_ohlcv_1d", "futures_continuous_1d")
SELECTED = [word for name in TABLES for word in ("--select", name)]


@dataclass(frozen=True)
class Installed:
    """A copy of the package that may be edited, and the state directory it works on."""

    package: Path
    home: Path

    def cbi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(self.package), "CBI_HOME": str(self.home)}
        command = [sys.executable, "-m", "cbi_dagster.cli", *arguments]
        return subprocess.run(command, env=environment, cwd=self.home.parent, capture_output=True, text=True)

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.package / "cbi_dagster" / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{file} does not say {old!r} once"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def planned(self) -> tuple[Mapping[str, str], dict[str, set[str]]]:
        """Why landing sources are read anew, and the reasons of every stale table."""
        found = json.loads(self.cbi("plan", "--json", *SELECTED).stdout)
        return found["landed"], {
            item["table"].partition(".")[2]: {part["reason"] for part in item["ranges"]}
            for item in found["upper_bound"]
        }

    def contents(self) -> dict[str, pd.DataFrame]:
        """Content of all partitions, and what is known of the landed files."""
        warehouse = Home(self.home).open().warehouse
        ledger = warehouse.ledger_rows()[["table_name", "partition_key", "content_hash", "row_count", "code_version"]]
        books = {
            table.id: to_frame(table, warehouse.read(table)).drop(columns="landed_at", errors="ignore")
            for table in (ops.LANDED_FILES, ops.LANDED_SYMBOLS, ops.QUARANTINE)
        }
        return {"ledger": ledger} | books


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("delivery")
    simulate_delivery(directory, seed=3, start=dt.date(2023, 6, 5), end=dt.date(2023, 6, 24), minute_roots=())
    return directory


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, delivery: Path) -> Installed:
    """Two weeks of hours, built by a package that does not know natural gas."""
    root = tmp_path_factory.mktemp("installed")
    source = Path(cbi_dagster.__file__).parent
    shutil.copytree(source, root / "package" / "cbi_dagster", ignore=shutil.ignore_patterns("__pycache__"))
    made = Installed(root / "package", root / "home")
    made.edit(UNIVERSE, "  - {root: NG,", "  # {root: NG,")
    assert made.cbi("land", str(delivery)).returncode == 0
    assert made.cbi("refresh", *SELECTED).returncode == STALE
    return made


def test_what_is_edited_is_named_and_ends_as_a_fresh_build_does(installed: Installed, delivery: Path) -> None:
    # A comment is nothing.
    installed.edit("features/volatility.py", "from __future__", "# Nothing to see here.\nfrom __future__")
    assert installed.planned() == ({}, {})

    # A market is added: its bars are in the files that were landed before anybody asked for them.
    installed.edit(UNIVERSE, "  # {root: NG,", "  - {root: NG,")
    landed, stale = installed.planned()
    assert landed[HOURS].startswith("setting changed: universe.products")
    assert "universe.products.NG" in landed[HOURS]
    assert set(stale) == set(TABLES)
    refreshed = installed.cbi("refresh", *SELECTED)
    assert refreshed.returncode == STALE, refreshed.stderr
    assert f"{HOURS}: 1 files read anew" in refreshed.stdout
    assert installed.planned() == ({}, {})

    # A formula is edited.
    installed.edit("features/volatility.py", "(4 * np.log(2))", "(8 * np.log(2))")
    assert installed.planned() == (
        {},
        {"volatility_daily": {"code changed: features.volatility.volatility_daily"}},
    )
    assert installed.cbi("refresh", *SELECTED).returncode == STALE
    assert installed.planned() == ({}, {})

    # Rows are edited and deleted by other hands.
    with duckdb.connect(installed.home / "warehouse.duckdb") as connection:
        connection.execute(
            "UPDATE features.volatility_daily SET symbol = 'XX' WHERE date = '2023-06-14' AND symbol = 'ZL'"
        )
        connection.execute("DELETE FROM features.volatility_daily WHERE date = '2023-06-15' AND symbol = 'NG'")
    assert installed.planned() == ({}, {}), "a plan asks the ledger"
    checked = installed.cbi("check", *SELECTED)
    assert checked.returncode == 1
    told = "volatility_daily: stored_as_written: stored differs from ledger: 2 x (2023-06-14, 2023-06-15)"
    assert told in checked.stderr
    assert installed.cbi("check", *SELECTED, "--to", "2023-06-13").returncode == 0
    restored = installed.cbi("backfill", *SELECTED)
    assert "  2 written, 13 unchanged" in restored.stdout, restored.stdout
    assert installed.cbi("check", *SELECTED).returncode == 0

    fresh = Installed(installed.package, installed.home.with_name("fresh"))
    assert fresh.cbi("land", str(delivery)).returncode == 0
    assert fresh.cbi("refresh", *SELECTED).returncode == STALE
    expected = fresh.contents()
    for name, rows in installed.contents().items():
        pd.testing.assert_frame_equal(rows, expected[name], obj=name)
    assert "NG.v.0" in set(expected["ops.landed_symbols"]["symbol"])


def test_a_setting_is_named_by_the_plan(installed: Installed) -> None:
    training = "zl_training_prod_allhistory_1w"
    assert installed.cbi("refresh", "--select", training).returncode == STALE
    installed.edit("config/horizons.yaml", "splits:\n  train_to: 2022-12-31", "splits:\n  train_to: 2021-12-31")
    planned = installed.cbi("plan", "--select", training, "--json")
    installed.edit("config/horizons.yaml", "splits:\n  train_to: 2021-12-31", "splits:\n  train_to: 2022-12-31")
    assert planned.returncode == STALE
    (item,) = json.loads(planned.stdout)["upper_bound"]
    assert {part["reason"] for part in item["ranges"]} == {"setting changed: horizons.splits.train_to"}
