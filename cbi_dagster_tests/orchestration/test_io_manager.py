"""Runs through Dagster over ranges: what they write, what they leave alone, and what they say about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cbi_dagster.catalog import ASSET_TABLES, TABLES, table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.features import VOLATILITY_DAILY
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D, OHLCV_1D
from cbi_dagster.orchestration import materializations
from cbi_dagster.orchestration.assets import ASSETS, LANDED, asset_of
from cbi_dagster.orchestration.failures import record_failures
from cbi_dagster.orchestration.io_manager import IO_MANAGER_KEY
from cbi_dagster.orchestration.partitions import asset_key
from cbi_dagster.orchestration.runs import SILENT
from cbi_dagster.recipes import RECIPES, Recipe, recipe
from cbi_dagster_tests.orchestration.chains import CHAIN, FIRST, LANDED_DAYS, LAST, Chain, a_range, events, facts
from cbi_dagster_tests.properties.worlds import World

pytestmark = pytest.mark.usefixtures("files_stay_open")


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    assert error is not None
    return str(error.cause.message if error.cause else error.message)


# -- ranges -----------------------------------------------------------------------------------------------------------


def test_a_run_writes_what_the_builder_alone_writes(chain: Chain, template: Path, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    shutil.copytree(template / "landing", world.path / "landing")
    shutil.copy(template / "warehouse.duckdb", world.path)
    for item in CHAIN:
        world.warehouse.drop(item.id)
    for item in CHAIN:
        result = world.builder.build(item, None, "test", only_stale=True).result
        assert len(result.written) == LANDED_DAYS.get(item.id, 10)
    truth = World(template).hashes()
    pd.testing.assert_series_equal(world.hashes(), truth)
    assert len(truth[VOLATILITY_DAILY.id]) == 10


def test_running_a_range_again_writes_nothing(chain: Chain) -> None:
    before = chain.warehouse.ledger_rows()
    result = chain.over(CHAIN, "2023-06-05", "2023-06-16")
    assert result.success
    for item in CHAIN:
        told = facts(chain, result, item)
        assert (told["partitions_written"], told["partitions_unchanged"], told["rows_written"]) == (
            0, LANDED_DAYS.get(item.id, 10), 0,
        )  # fmt: skip
        assert told["dagster/row_count"] == len(chain.warehouse.read(item))
    pd.testing.assert_frame_equal(chain.warehouse.ledger_rows(), before)


def test_a_range_writes_its_own_partitions_alone_and_each_is_an_event(chain: Chain) -> None:
    chain.warehouse.drop(VOLATILITY_DAILY.id)
    result = chain.over([VOLATILITY_DAILY], "2023-06-12", "2023-06-16")
    assert result.success
    week = {f"2023-06-{day}" for day in range(12, 17)}
    assert set(chain.ledger(VOLATILITY_DAILY).index) == chain.dates(VOLATILITY_DAILY) == week
    assert {event.partition for event in events(chain, result, VOLATILITY_DAILY)} == week
    assert facts(chain, result, VOLATILITY_DAILY)["partitions_written"] == 5
    stored = chain.instance.get_materialized_partitions(asset_key(VOLATILITY_DAILY.id))
    assert week <= stored


def test_a_day_alone_is_the_day_of_the_range(chain: Chain) -> None:
    before = chain.ledger(VOLATILITY_DAILY)["content_hash"]
    World(chain.home.path).by_other_hands(
        f"DELETE FROM {VOLATILITY_DAILY.id} WHERE date = '2023-06-14'",
        f"DELETE FROM ops.partition_ledger WHERE table_name = '{VOLATILITY_DAILY.id}' AND partition_key = '2023-06-14'",
    )
    result = chain.run([VOLATILITY_DAILY], {"dagster/partition": "2023-06-14"})
    assert facts(chain, result, VOLATILITY_DAILY)["partitions_written"] == 1
    pd.testing.assert_series_equal(chain.ledger(VOLATILITY_DAILY)["content_hash"], before)


def test_dates_without_landed_data_are_counted_and_not_written(chain: Chain) -> None:
    result = chain.over([VOLATILITY_DAILY], "2023-06-15", "2023-06-22")
    assert facts(chain, result, VOLATILITY_DAILY)["partitions_not_landed"] == 4
    assert chain.ledger(VOLATILITY_DAILY).index.max() == "2023-06-16"


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_a_range_has_a_picture_and_numbers_and_a_day_numbers_alone(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(materializations, "PICTURED_PARTITIONS", 10)
    shown = facts(chain, chain.over([FUTURES_CONTINUOUS_1D], "2023-06-05", "2023-06-16"), FUTURES_CONTINUOUS_1D)
    assert str(shown["picture"]).startswith("![picture](data:image/png;base64,")
    rows = to_frame(FUTURES_CONTINUOUS_1D, chain.warehouse.read(FUTURES_CONTINUOUS_1D))
    last = rows[(rows["symbol"] == "ZL") & (rows["date"] == rows["date"].max())]
    assert shown["last_close_ZL"] == last["close"].iloc[0]
    assert isinstance(shown["null_share"], float)
    shown = facts(chain, chain.over([FUTURES_CONTINUOUS_1D], "2023-06-16", "2023-06-16"), FUTURES_CONTINUOUS_1D)
    assert ("picture" in shown, shown["last_close_ZL"]) == (False, last["close"].iloc[0])


def test_a_picture_that_cannot_be_drawn_fails_no_run(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*asked: object) -> str:
        raise ValueError("no ink")

    monkeypatch.setattr(materializations, "PICTURED_PARTITIONS", 10)
    monkeypatch.setattr(materializations, "thumbnail", broken)
    result = chain.over([FUTURES_CONTINUOUS_1D], "2023-06-05", "2023-06-16")
    assert result.success
    assert "picture" not in facts(chain, result, FUTURES_CONTINUOUS_1D)


# -- what goes wrong --------------------------------------------------------------------------------------------------


def raising(good: pd.DataFrame) -> pd.DataFrame:
    raise ZeroDivisionError("a fault in the function")


def repeating(good: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([good, good.iloc[[0]]], ignore_index=True)


def negative(good: pd.DataFrame) -> pd.DataFrame:
    return good.assign(**{_bounded(): -1.0})


def without_a_column(good: pd.DataFrame) -> pd.DataFrame:
    return good.drop(columns=[good.columns[-1]])


def with_another(chain: Chain, made: Recipe, jobs: Sequence[Any] = ()) -> dg.Definitions:
    """All assets, with one recipe in the place of its table's."""
    return dg.Definitions(
        assets=[*LANDED, *(item for item in ASSETS if item.key != asset_key(made.table.id)), asset_of(made)],
        resources={IO_MANAGER_KEY: chain.io_manager},
        jobs=jobs,
        executor=dg.in_process_executor,
    )


def _bounded() -> str:
    return next(column.name for column in VOLATILITY_DAILY.columns if column.ge == 0 or column.gt == 0)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (raising, "a fault in the function"),
        (repeating, "rows repeat the key"),
        (negative, "rows break the table's checks"),
        (without_a_column, "are declared but missing"),
    ],
)
def test_a_failing_table_keeps_its_rows_and_its_ledger(
    chain: Chain,
    fault: Callable[[pd.DataFrame], pd.DataFrame],
    said: str,
) -> None:
    good = RECIPES[VOLATILITY_DAILY.id]

    @recipe(VOLATILITY_DAILY)
    def volatility_daily(futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
        return fault(good(futures_continuous_1d))

    defs = with_another(chain, volatility_daily)
    rows: pa.Table = chain.warehouse.read(VOLATILITY_DAILY)
    ledger = chain.warehouse.ledger_rows()
    result = chain.run([VOLATILITY_DAILY], a_range(), defs)
    assert not result.success
    assert said in failure(result)
    assert chain.warehouse.read(VOLATILITY_DAILY) == rows
    assert len(rows) > 0
    pd.testing.assert_frame_equal(chain.warehouse.ledger_rows(), ledger)

    for _ in range(2):  # the daemon's sensor may tell of it as well
        record_failures(chain.warehouse, chain.instance, result.run_id)
    (kept,) = chain.accounts(result.run_id).itertuples()
    assert (kept.source, kept.run_status) == (VOLATILITY_DAILY.id, "failed")
    assert said in kept.error_message


@pytest.mark.parametrize("where", ["computing", "writing"])
def test_a_step_that_fails_once_and_is_retried_reads_its_inputs_anew_and_succeeds(chain: Chain, where: str) -> None:
    good, seen = RECIPES[VOLATILITY_DAILY.id], []

    @recipe(VOLATILITY_DAILY)
    def volatility_daily(futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
        seen.append(len(futures_continuous_1d))
        rows = good(futures_continuous_1d)
        if len(seen) == 1:
            return negative(rows) if where == "writing" else raising(rows)
        return rows

    before = chain.ledger(VOLATILITY_DAILY)["content_hash"]
    chain.warehouse.drop(VOLATILITY_DAILY.id)
    job = dg.define_asset_job(
        "retried",
        selection=dg.AssetSelection.assets(asset_key(VOLATILITY_DAILY.id)),
        op_retry_policy=dg.RetryPolicy(max_retries=1),
    )
    result = (
        with_another(chain, volatility_daily, [job])
        .resolve_job_def("retried")
        .execute_in_process(
            instance=chain.instance,
            tags=a_range(),
            run_config=SILENT,
            raise_on_error=False,
        )
    )
    assert result.success
    assert any(event.is_step_up_for_retry for event in result.all_events)
    assert seen[0] == seen[1] > 0
    pd.testing.assert_series_equal(chain.ledger(VOLATILITY_DAILY)["content_hash"], before)


def test_every_write_of_a_run_is_accounted_for(chain: Chain) -> None:
    tables = [OHLCV_1D, FUTURES_CONTINUOUS_1D]
    result = chain.run(tables, a_range())
    kept = chain.accounts(result.run_id).set_index("source")
    assert set(kept.index) == {item.id for item in tables}
    sessions = kept.loc[OHLCV_1D.id]
    assert (sessions["run_status"], sessions["error_message"]) == ("success", None)
    stored = len(chain.warehouse.read(OHLCV_1D, [(FIRST, LAST)]))
    assert sessions["rows_out"] == stored
    inputs = [len(chain.warehouse.read(TABLES[read.source], [(FIRST, LAST)])) for read in OHLCV_1D.reads]
    assert sessions["rows_in"] == sum(inputs)
    assert sessions["rows_rejected"] == facts(chain, result, OHLCV_1D)["rows_rejected"]
    assert (sessions["partitions_written"], sessions["partitions_unchanged"] > 0) == (0, True)
    assert kept["started_at"].le(kept["ended_at"]).all()


def test_what_a_failed_table_would_have_fed_is_not_touched(chain: Chain) -> None:
    # Two rows of one key, behind the ledger's back: the continuous series refuses to be made of them.
    World(chain.home.path).by_other_hands(
        f"INSERT INTO {OHLCV_1D.id} SELECT * FROM {OHLCV_1D.id} WHERE date = '2023-06-13'"
    )
    before = {item.id: chain.ledger(item) for item in (FUTURES_CONTINUOUS_1D, VOLATILITY_DAILY)}
    result = chain.over([FUTURES_CONTINUOUS_1D, VOLATILITY_DAILY], "2023-06-05", "2023-06-16")
    assert not result.success
    for name, ledger in before.items():
        pd.testing.assert_frame_equal(chain.ledger(TABLES[name]), ledger)
    assert "volatility" not in failure(result)


def test_a_month_is_written_whole(chain: Chain) -> None:
    one_week = table("zl_training_prod_allhistory_1w")
    world = World(chain.home.path)
    for item in (*(item for item in ASSET_TABLES if "training_prod" not in item.name), one_week):
        world.builder.build(item, None, "test", only_stale=True)
    before = chain.ledger(one_week)
    assert list(before.index) == ["2023-06-01"]
    result = chain.run([one_week], a_range("2023-06-01", "2023-06-01"))
    assert facts(chain, result, one_week)["partitions_unchanged"] == 1
    assert chain.dates(one_week) <= {str(day) for day in np.arange(FIRST, LAST + 1)}
    assert chain.ledger(one_week)["row_count"].tolist() == [len(chain.warehouse.read(one_week))] != [0]
