"""Why there is no row, on the simulated world and on small homes in which something is amiss."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import ASSET_TABLES, table
from cbi_dagster.home import Home
from cbi_dagster.reports.absence import ABSENCES, why_absent
from cbi_dagster.reports.rows import rows_of
from cbi_dagster.warehouse.changes import LeftOutRows, Provenance
from cbi_dagster.warehouse.contract import now_utc
from cbi_dagster.warehouse.ledger import NOTHING
from cbi_dagster_tests.cli.commands import BARS, build_bars
from cbi_dagster_tests.properties.worlds import World

pytestmark = pytest.mark.usefixtures("files_stay_open")


def kinds(world: World | Home, name: str, date: str, symbol: str | None = None) -> list[str]:
    platform = world.open() if isinstance(world, Home) else world.platform
    return [reason.kind for reason in why_absent(platform, table(name), dt.date.fromisoformat(date), symbol)]


@pytest.mark.parametrize(
    ("name", "date", "symbol", "kind"),
    [
        ("daily_ml_matrix", "2023-06-03", "ZL", "weekend"),
        ("daily_ml_matrix", "2023-07-04", "ZL", "holiday"),
        ("daily_ml_matrix", "2023-07-04", None, "holiday"),
        ("daily_ml_matrix", "2015-01-05", "ZL", "before_first"),
        ("daily_ml_matrix", "2023-10-02", "ZL", "after_last"),
        ("daily_ml_matrix", "2099-10-02", "ZL", "to_come"),
        ("daily_ml_matrix", "2023-06-05", "LE", "not_in_universe"),
        ("biofuel_daily", "2023-06-05", "MES", "not_of_table"),
        ("zl_training_prod_allhistory_1w", "2023-08-30", "ZL", "held_back"),
        ("mes_1min", "2022-07-05", "MES", "before_first"),
        ("futures_decision_1d", "2023-09-01", "6E", "held_back"),
        ("futures_decision_1d", "2023-09-01", "ZL", "no_bars"),
    ],
)
def test_the_root_of_a_missing_row_is_named(world: World, name: str, date: str, symbol: str | None, kind: str) -> None:
    assert kinds(world, name, date, symbol)[-1] == kind


def test_every_missing_row_of_every_table_has_a_reason_of_the_closed_set(world: World) -> None:
    ledgers = world.warehouse.ledger_by_table()
    told = {}
    with world.warehouse.shared_connection():
        for item in ASSET_TABLES:
            ledger = ledgers.get(item.id, NOTHING)
            empty = ledger.keys[ledger.row_counts == 0] if item.partitioning.column else ledger.keys[:0]
            anywhere = np.array(["2023-06-05"] * (not len(ledger.keys)), "datetime64[D]")
            for key in [*empty[:1], *empty[-1:], *anywhere]:
                day = np.busday_offset(key, 0, roll="forward").item()
                assert rows_of(world.warehouse, item, day).empty
                told[item.id, str(key)] = kinds(world, item.id, str(day))
    assert told
    assert {kind for found in told.values() for kind in found} <= ABSENCES.keys()
    # Studied or scored once a month, fitted or grown once a year; the currencies begin a day after the grains; no roll
    # on most dates, nothing settled on the first.
    monthly = {"predictions.policy_event_study", "monitoring.model_performance"}
    yearly = {"predictions.policy_action_calibration", "predictions.zl_forests"}
    seldom = {*monthly, *yearly, "features.fx_daily"}
    seldom |= {"market_data.roll_calendar", "market_data.settlements_1d"}
    unexplained = {name for (name, _), found in told.items() if found[-1] in ("not_made", "made_of")}
    assert unexplained <= seldom, unexplained - seldom


def test_what_was_not_built_says_how_to_build_it(world: World, tmp_path: Path) -> None:
    shutil.copy(Home(world.path).warehouse_file, tmp_path)
    platform = Home(tmp_path).open().ready()
    platform.warehouse.drop("features.technicals_daily")
    platform.warehouse.ensure([table("technicals_daily")])
    (reason,) = why_absent(platform, table("technicals_daily"), dt.date(2023, 6, 5), "ZL")
    assert reason.kind == "not_built"
    assert "`cbi refresh --select technicals_daily`" in reason.text


def test_files_without_a_bar_of_the_date_are_told_and_so_are_rejected_bars(tmp_path: Path) -> None:
    home = Home(build_bars(tmp_path / "home", tmp_path / "files", dt.date(2023, 6, 10)))
    warehouse, bars = home.open().ready().warehouse, table(BARS)
    key = np.array(["2023-06-07"], "datetime64[D]")
    known = warehouse.ledger_by_table()[bars.id]
    at = known.at(key)[0]
    provenance = Provenance("test", known.code_versions[at], {key[0]: known.fingerprints[at]}, now_utc(), 0)
    empty = bars.arrow_schema().empty_table()
    warehouse.replace(bars, key, empty, provenance)
    assert kinds(home, BARS, "2023-06-07", "ZL") == ["no_bars"]
    rejected = pd.DataFrame(
        {
            "date": pd.to_datetime(["2023-06-07"]), "file_hash": "", "source_file": "a.dbn", "source_row": 7,
            "symbol": "ZL.v.0", "ts_event": now_utc(), "reason": "roll_boundary", "detail": "open=1",
        }
    )  # fmt: skip
    held_back = pd.DataFrame(columns=["date", "symbol", "vendor_schema", "reason", "bar_rows"])
    warehouse.replace(bars, key, empty, provenance, LeftOutRows(rejected, held_back))
    (reason,) = why_absent(home.open(), bars, dt.date(2023, 6, 7), "ZL")
    assert reason.kind == "rejected"
    assert "a.dbn row 7" in reason.text
