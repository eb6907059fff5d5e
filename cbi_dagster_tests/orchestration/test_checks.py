"""The asset checks look at what is stored: rows that other hands changed, and rows that cannot be, are found."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from cbi_dagster.catalog import ASSET_TABLES, Table, table
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX, VOLATILITY_DAILY
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D, OHLCV_1D
from cbi_dagster.catalog.tables.regimes import REGIME_WEIGHTS
from cbi_dagster.definitions import build_defs
from cbi_dagster.home import Home
from cbi_dagster.orchestration.building import REFRESH_JOB, building_config
from cbi_dagster.orchestration.checks import CHECKS, RANGE_END_TAG, RANGE_START_TAG, checked
from cbi_dagster.orchestration.partitions import asset_key
from cbi_dagster.orchestration.runs import SILENT
from cbi_dagster.reports import checks
from cbi_dagster.vendors.simulate import simulate_delivery, simulate_macro
from cbi_dagster_tests.properties.worlds import World

pytestmark = pytest.mark.usefixtures("files_stay_open")

START, END = dt.date(2023, 6, 5), dt.date(2023, 6, 24)
ONE_WEEK = table("zl_training_prod_allhistory_1w")
CHECKED = (FUTURES_CONTINUOUS_1D, VOLATILITY_DAILY, DAILY_ML_MATRIX, REGIME_WEIGHTS, ONE_WEEK)
WHOLE: dict[str, str] = {}
SECOND_WEEK = {RANGE_START_TAG: "2023-06-12", RANGE_END_TAG: "2023-06-16"}
#: The Juneteenth holiday is one of the weekdays.
SESSIONS = "symbol = 'ZL' AND date BETWEEN '2023-06-12' AND '2023-06-15'"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    delivery = tmp_path_factory.mktemp("delivery")
    simulate_delivery(delivery, seed=5, start=START, end=END, minute_start=dt.date(2023, 6, 21))
    simulate_macro(delivery, seed=5, start=START, end=END)
    world = World(tmp_path_factory.mktemp("template"))
    world.land(delivery)
    for item in (*(item for item in ASSET_TABLES if "training_prod" not in item.name), ONE_WEEK):
        world.builder.build(item, None, "test", only_stale=True)
    return world.path


@pytest.fixture
def world(template: Path, tmp_path: Path) -> World:
    shutil.copytree(template, tmp_path / "home")
    return World(tmp_path / "home")


@contextmanager
def other_hands(world: World, *statements: str) -> Iterator[World]:
    """The world after someone changed the file without telling the ledger."""
    world.by_other_hands(*statements)
    yield world


def stored(world: World, item: Table, tags: dict[str, str] = WHOLE) -> dg.AssetCheckResult:
    return checked(checks.STORED_AS_WRITTEN, item, world.warehouse, tags)


def matrix_quality(world: World, tags: dict[str, str] = WHOLE) -> dg.AssetCheckResult:
    (quality,) = (check for check in checks.FINDINGS if check.name == "quality")
    return checked(quality, DAILY_ML_MATRIX, world.warehouse, tags)


def said(result: dg.AssetCheckResult, name: str) -> str:
    return str(result.metadata[name].value)


def cases(result: dg.AssetCheckResult, severity: str) -> dict[str, list[str]]:
    """What was found, by rule, of one severity."""
    found: dict[str, list[str]] = {}
    for record in getattr(result.metadata.get("findings"), "records", ()):
        if record.data["severity"] == severity:
            found.setdefault(str(record.data["finding"]), []).append(str(record.data["case"]))
    return found


# -- stored_as_written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("item", CHECKED, ids=lambda item: item.name)
def test_what_was_written_passes(world: World, item: Table) -> None:
    result = stored(world, item)
    assert result.passed, result.metadata
    assert said(result, "rows") == str(len(world.warehouse.read(item)))
    assert said(result, "partitions") == str(len(world.warehouse.ledger_rows({item.id})))


@pytest.mark.parametrize(
    ("item", "change", "partition"),
    [
        (FUTURES_CONTINUOUS_1D, "UPDATE {t} SET close = close + 1e-9 WHERE {zl}", "2023-06-14"),
        (FUTURES_CONTINUOUS_1D, "UPDATE {t} SET vwap = NULL WHERE {zl}", "2023-06-14"),
        (FUTURES_CONTINUOUS_1D, "DELETE FROM {t} WHERE {zl}", "2023-06-14"),
        (VOLATILITY_DAILY, "DELETE FROM {t} WHERE date = '2023-06-14'", "2023-06-14"),
        (
            DAILY_ML_MATRIX,
            "UPDATE {t} SET market_data = struct_update(market_data, volume := 1) WHERE symbol = 'ZL' "
            "AND data_date = '2023-06-14'",
            "2023-06-14",
        ),
        (ONE_WEEK, "DELETE FROM {t} WHERE data_date = '2023-06-14'", "2023-06-01"),
        (REGIME_WEIGHTS, "UPDATE {t} SET weight = weight + 1", "all"),
    ],
)
def test_rows_that_were_changed_behind_the_ledgers_back_are_found(
    world: World, item: Table, change: str, partition: str
) -> None:
    statement = change.format(t=item.id, zl="symbol = 'ZL' AND date = '2023-06-14'")
    with other_hands(world, statement):
        result = stored(world, item)
    assert not result.passed
    assert said(result, "stored_differs_from_ledger") == partition


def test_rows_on_a_date_that_nobody_wrote_are_found(world: World) -> None:
    copy = f"INSERT INTO {VOLATILITY_DAILY.id} SELECT * REPLACE (DATE '2023-06-19' AS date) FROM {VOLATILITY_DAILY.id}"
    forget = "DELETE FROM ops.partition_ledger WHERE partition_key = '2023-06-19'"
    clear = f"DELETE FROM {VOLATILITY_DAILY.id} WHERE date = '2023-06-19'"
    with other_hands(world, forget, clear, f"{copy} WHERE date = '2023-06-14'"):
        result = stored(world, VOLATILITY_DAILY)
    assert not result.passed
    assert said(result, "stored_without_ledger") == "2023-06-19"


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("INSERT INTO {t} SELECT * FROM {t} WHERE date = '2023-06-14'", "rows repeat the key"),
        (
            "INSERT INTO {t} SELECT * REPLACE (DATE '2023-06-17' AS date) FROM {t} WHERE date = '2023-06-14'",
            "belong to",
        ),
        ("UPDATE {t} SET close = 'nan' WHERE date = '2023-06-14'", "NaN or infinite"),
    ],
    ids=["a repeated key", "a Saturday", "a NaN"],
)
def test_rows_that_the_contract_forbids_are_found(world: World, change: str, broken: str) -> None:
    with other_hands(world, change.format(t=FUTURES_CONTINUOUS_1D.id)):
        result = stored(world, FUTURES_CONTINUOUS_1D)
    assert not result.passed
    assert broken in said(result, "broken")


@pytest.mark.parametrize("item", [FUTURES_CONTINUOUS_1D, ONE_WEEK, REGIME_WEIGHTS], ids=lambda item: item.name)
def test_however_few_rows_are_looked_at_together_the_same_is_found(
    world: World, item: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "ROWS_AT_ONCE", 1)
    whole = stored(world, item)
    assert whole.passed, whole.metadata
    assert said(whole, "rows") == str(len(world.warehouse.read(item)))
    assert said(whole, "partitions") == str(len(world.warehouse.ledger_rows({item.id})))
    if item is FUTURES_CONTINUOUS_1D:
        copies = [
            f"INSERT INTO {item.id} SELECT * REPLACE (DATE '{day}' AS date) FROM {item.id} WHERE date = '2023-06-14'"
            for day in ("2024-01-03", "2020-01-03")
        ]
        changes = [*copies, f"UPDATE {item.id} SET close = close + 1 WHERE date IN ('2023-06-07', '2023-06-14')"]
        with other_hands(world, *changes):
            result = stored(world, item)
        assert said(result, "stored_differs_from_ledger") == "2 x (2023-06-07, 2023-06-14)"
        assert said(result, "stored_without_ledger") == "2 x (2020-01-03, 2024-01-03)"


def test_when_a_row_was_written_and_by_whom_is_no_content(world: World) -> None:
    with other_hands(world, f"UPDATE {VOLATILITY_DAILY.id} SET run_id = 'another', ingestion_ts = now()"):
        assert stored(world, VOLATILITY_DAILY).passed


def test_a_run_answers_for_its_own_range(world: World) -> None:
    with other_hands(world, f"DELETE FROM {VOLATILITY_DAILY.id} WHERE date = '2023-06-07'"):
        result = stored(world, VOLATILITY_DAILY, SECOND_WEEK)
        assert result.passed
        assert said(result, "partitions") == "5"
        assert stored(world, VOLATILITY_DAILY, {"dagster/partition": "2023-06-08"}).passed
        assert not stored(world, VOLATILITY_DAILY, {"dagster/partition": "2023-06-07"}).passed
        assert not stored(world, VOLATILITY_DAILY).passed


def test_every_table_has_a_blocking_check() -> None:
    blocking = {
        ".".join(spec.asset_key.path) for check in CHECKS for spec in check.check_specs if spec.blocking
    }  # fmt: skip
    assert blocking == {item.id for item in ASSET_TABLES}


def test_in_a_run_a_failing_check_stops_what_is_built_on_the_table(world: World) -> None:
    home = Home(world.path)
    home.prepare()
    tables = (FUTURES_CONTINUOUS_1D, VOLATILITY_DAILY)
    config = building_config(tables) | SILENT
    job = build_defs(home).resolve_job_def(REFRESH_JOB)
    # Two dates are stale. A stored row between them is wrong, and the ledger says it is current.
    stale = (
        f"UPDATE ops.partition_ledger SET input_fingerprint = '' WHERE table_name = '{FUTURES_CONTINUOUS_1D.id}' "
        "AND partition_key IN ('2023-06-12', '2023-06-16')"
    )
    tamper = f"UPDATE {FUTURES_CONTINUOUS_1D.id} SET close = close + 1 WHERE date = '2023-06-14'"
    ledger = world.warehouse.ledger_rows({VOLATILITY_DAILY.id})
    with (
        other_hands(world, stale),
        other_hands(world, tamper),
        dg.DagsterInstance.from_config(str(home.dagster)) as instance,
    ):
        result = job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)
        check = dg.AssetCheckKey(asset_key(FUTURES_CONTINUOUS_1D.id), "stored_as_written")
        (found,) = instance.event_log_storage.get_asset_check_execution_history(check, limit=5)
    assert not result.success
    assert found.event is not None
    assert found.event.asset_check_evaluation is not None
    assert not found.event.asset_check_evaluation.passed
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    told = failed.step_failure_data.user_failure_data
    assert told is not None
    assert f"{FUTURES_CONTINUOUS_1D.id} failed: " in str(told.description)
    assert f"{VOLATILITY_DAILY.id} was not built: it is made of {FUTURES_CONTINUOUS_1D.id}" in str(told.description)
    assert world.warehouse.ledger_rows({VOLATILITY_DAILY.id}).equals(ledger)


def test_the_age_of_data_is_asked_for_by_a_job_of_checks_alone(world: World) -> None:
    home = Home(world.path)
    home.prepare()
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        result = build_defs(home).resolve_job_def("data_age").execute_in_process(instance=instance, run_config=SILENT)
    found = {".".join(e.asset_key.path): e for e in result.get_asset_check_evaluations()}
    assert set(found) == {OHLCV_1D.id, DAILY_ML_MATRIX.id}
    for evaluation in found.values():
        assert (evaluation.check_name, evaluation.passed) == ("data_age", False)
        assert evaluation.severity is dg.AssetCheckSeverity.WARN
        assert "2023-06-2" in str(evaluation.metadata["newest session"].value)


# -- the quality of the matrix ----------------------------------------------------------------------------------------


def test_the_simulated_matrix_breaks_no_blocking_rule(world: World) -> None:
    result = matrix_quality(world)
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert said(result, "rows") == str(len(world.warehouse.read(DAILY_ML_MATRIX)))
    assert cases(result, "error") == {}


def test_the_quality_of_a_run_is_that_of_its_range(world: World) -> None:
    days = world.warehouse.read(DAILY_ML_MATRIX, [(np.datetime64("2023-06-12"), np.datetime64("2023-06-16"))])
    result = matrix_quality(world, SECOND_WEEK)
    assert said(result, "rows") == str(len(days))
    assert 0 < len(days) < len(world.warehouse.read(DAILY_ML_MATRIX))
    assert said(result, "partitions") == str(len(set(days["data_date"].to_pylist())))


ZL = "symbol = 'ZL' AND data_date = '2023-06-14'"


@pytest.mark.parametrize(
    ("changes", "rule", "count", "case"),
    [
        (
            ["INSERT INTO {m} SELECT * REPLACE (DATE '2023-06-17' AS data_date) FROM {m} WHERE {zl}"],
            "data_date is a weekday",
            1,
            "ZL 2023-06-17",
        ),
        (["DELETE FROM {m} WHERE {zl}"], "every session is a row", 1, "ZL 2023-06-14"),
        ([f"DELETE FROM {{c}} WHERE {SESSIONS}"], "every row is a session", 4, "ZL 2023-06-12"),
        (
            [
                f"DELETE FROM {{c}} WHERE {SESSIONS}",
                f"DELETE FROM {{m}} WHERE {SESSIONS.replace('date', 'data_date')}",
            ],
            "no more than 3 expected sessions in a row are missing",
            1,
            "ZL 2023-06-12 to 2023-06-15 (4)",
        ),
        (["INSERT INTO {m} SELECT * FROM {m} WHERE {zl}"], "symbol and data_date are a unique key", 2, "ZL 2023-06-14"),
        (["UPDATE {m} SET symbol = 'XX' WHERE {zl}"], "the symbol is in universe.yaml", 1, "XX 2023-06-14"),
        (
            ["UPDATE {m} SET market_data = struct_update(market_data, low := -5.0) WHERE {zl}"],
            "prices are positive",
            1,
            "ZL 2023-06-14",
        ),
        (
            ["UPDATE {m} SET market_data = struct_update(market_data, high := 1.0) WHERE {zl}"],
            "low <= open, close <= high",
            1,
            "ZL 2023-06-14",
        ),
        (
            ["UPDATE {m} SET regime = struct_update(regime, weight := 0) WHERE {zl}"],
            "the regime's weight is 1 to 1000",
            1,
            "ZL 2023-06-14",
        ),
    ],
)
def test_a_row_that_cannot_be_is_an_error_that_names_it(
    world: World, changes: list[str], rule: str, count: int, case: str
) -> None:
    statements = [change.format(m=DAILY_ML_MATRIX.id, c=FUTURES_CONTINUOUS_1D.id, zl=ZL) for change in changes]
    with other_hands(world, *statements):
        result = matrix_quality(world)
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.ERROR
    found = cases(result, "error")[rule]
    assert len(found) == count
    assert found[0] == case
