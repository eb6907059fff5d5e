"""`cbi prove` tells what stands and what does not, keeps it, and ends with it."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import dagster as dg
import pytest

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.catalog.tables.ops import PROOFS
from cbi_dagster.cli.main import STALE
from cbi_dagster.home import Home
from cbi_dagster.orchestration.partitions import asset_key
from cbi_dagster.orchestration.runs import opened_instance
from cbi_dagster.reports.checks import PROOF
from cbi_dagster_tests.cli.commands import BARS, build_bars, cbi
from cbi_dagster_tests.properties.worlds import World

pytestmark = pytest.mark.usefixtures("files_stay_open")

SERIES = FUTURES_CONTINUOUS_1D.name
SELECTED = ("--select", SERIES, "--cuts", "2")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = build_bars(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("delivery"), dt.date(2023, 6, 17))
    made = cbi(home, "refresh", "--select", "databento_futures_ohlcv_1d", "--select", SERIES, "--select", BARS)
    assert made.exit_code == STALE
    return home


@pytest.fixture
def home(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "home"))


def findings(home: Path) -> list[str | None]:
    warehouse = Home(home).open().ready().warehouse
    rows = to_frame(PROOFS, warehouse.read(PROOFS)).sort_values("proved_at")
    assert rows["table_name"].unique().tolist() == [FUTURES_CONTINUOUS_1D.id]
    assert (rows["rows_compared"] > 20).all()
    return [None if told is None else str(told) for told in rows["proof_finding"].astype(object)]


def shown_in_the_ui(home: Path) -> list[bool]:
    """How the records of the check ended, newest first."""
    with opened_instance(Home(home)) as instance:
        key = dg.AssetCheckKey(asset_key(FUTURES_CONTINUOUS_1D.id), PROOF.name)
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
        evaluations = [record.event.dagster_event.event_specific_data for record in records if record.event]
        return [evaluation.passed for evaluation in evaluations]


def test_a_proof_is_told_kept_and_shown_and_a_change_by_other_hands_is_a_failure(home: Path) -> None:
    warehouse = Home(home).open().ready().warehouse
    assert PROOF.function(warehouse, FUTURES_CONTINUOUS_1D, None).warnings.keys() == {"not proved"}
    done = cbi(home, "prove", *SELECTED)
    assert done.exit_code == 0, done.output
    assert "Every row made again is the stored one." in done.output
    assert PROOF.function(warehouse, FUTURES_CONTINUOUS_1D, None).passed

    World(home).by_other_hands(
        f"UPDATE {FUTURES_CONTINUOUS_1D.id} SET close = close + 0.01 WHERE symbol = 'ZL' AND date = '2023-06-13'"
    )
    done = cbi(home, "prove", *SELECTED)
    assert done.exit_code == 1
    assert "1 rows differ in close, first (ZL, 2023-06-13)" in done.output + done.stderr
    assert [told is None for told in findings(home)] == [True, False]
    assert PROOF.function(warehouse, FUTURES_CONTINUOUS_1D, None).problems
    assert shown_in_the_ui(home) == [False, True]


def test_what_is_stale_is_brought_up_to_date_first(home: Path) -> None:
    done = cbi(home, "prove")
    assert done.exit_code == 1
    assert "must be current to be proved; `cbi refresh` first" in done.stderr
