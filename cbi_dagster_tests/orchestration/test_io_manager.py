"""Runs through Dagster over ranges: what they write, what they leave alone, and what they say about it."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cbi_dagster.orchestration.jobs import QUIET, next_run, record_failures, run_tags

from cbi_dagster.catalog import ASSET_TABLES, TABLES, Table, table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.features import VOLATILITY_DAILY
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D, OHLCV_1D, OHLCV_1H, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.catalog.tables.ops import INGESTION_RUNS
from cbi_dagster.catalog.tables.training import ZL_TRAINING
from cbi_dagster.definitions import build_defs
from cbi_dagster.home import Home
from cbi_dagster.orchestration import io_manager
from cbi_dagster.orchestration.assets import ASSETS, IO_MANAGER_KEY, LANDED, asset_key, asset_of
from cbi_dagster.orchestration.io_manager import WarehouseIOManager
from cbi_dagster.orchestration.partitions import MONTHS, TRADE_DATES
from cbi_dagster.recipes import RECIPES, Recipe, recipe
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import restating_file

CHAIN = (OHLCV_1M, OHLCV_1H, OHLCV_UTC_1D, OHLCV_1D, FUTURES_CONTINUOUS_1D, VOLATILITY_DAILY)
START, END = dt.date(2023, 6, 5), dt.date(2023, 6, 17)
LANDED_DAYS = {OHLCV_1M.id: 3, OHLCV_UTC_1D.id: 0}
"""How many of the ten trade dates the delivery has files for, where not for all."""
FIRST, LAST = np.datetime64("2023-06-05"), np.datetime64("2023-06-16")


class Scene:
    """A state directory with landed files, and runs over it."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path)
        self.home.prepare()
        self.warehouse = self.home.open().warehouse
        self.instance = dg.DagsterInstance.from_config(str(self.home.dagster))

    @property
    def io_manager(self) -> WarehouseIOManager:
        return WarehouseIOManager(self.home.open().builder)

    def accounts(self, run_id: str) -> pd.DataFrame:
        """What `ops.ingestion_runs` says of a run."""
        rows = to_frame(INGESTION_RUNS, self.warehouse.read(INGESTION_RUNS))
        return rows[rows["event_id"].str.startswith(f"{run_id}:")]

    def run(
        self, tables: Sequence[Table], tags: dict[str, str], defs: dg.Definitions | None = None
    ) -> dg.ExecuteInProcessResult:
        defs = defs or build_defs(self.home)
        job = defs.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance, asset_selection=[asset_key(item.id) for item in tables], tags=tags,
            run_config=QUIET, raise_on_error=False,
        )  # fmt: skip

    def over(self, tables: Sequence[Table], first: str, last: str) -> dg.ExecuteInProcessResult:
        daily = run_tags(tables, TRADE_DATES, np.datetime64(first), np.datetime64(last), only_stale=False)
        return self.run(tables, daily)

    def ledger(self, item: Table) -> pd.DataFrame:
        return self.warehouse.ledger_rows({item.id}).set_index("partition_key")

    def dates(self, item: Table) -> set[str]:
        column = item.partitioning.column
        return set(to_frame(item, self.warehouse.read(item))[column].dt.strftime("%Y-%m-%d"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks of the chain, built through Dagster."""
    delivery = tmp_path_factory.mktemp("delivery")
    simulate_delivery(delivery, seed=5, start=START, end=END, minute_start=dt.date(2023, 6, 14))
    world = World(tmp_path_factory.mktemp("template"))
    world.land(delivery)
    scene = Scene(world.path)
    assert scene.over(CHAIN, "2023-06-05", "2023-06-16").success
    scene.instance.dispose()
    return world.path


@pytest.fixture
def scene(template: Path, tmp_path: Path) -> Iterator[Scene]:
    shutil.copytree(template, tmp_path / "home")
    made = Scene(tmp_path / "home")
    yield made
    made.instance.dispose()


def facts(result: dg.ExecuteInProcessResult, item: Table) -> dict[str, object]:
    """The run statistics that the materialization of a table's last partition carries."""
    events = result.asset_materializations_for_node("__".join(asset_key(item.id).path))
    (metadata,) = [event.metadata for event in events if "partitions_written" in event.metadata]
    return {name: value.value for name, value in metadata.items()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    assert error is not None
    return str(error.cause.message if error.cause else error.message)


# -- ranges -----------------------------------------------------------------------------------------------------------


def test_a_run_writes_what_the_builder_alone_writes(scene: Scene, template: Path, tmp_path: Path) -> None:
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


def test_running_a_range_again_writes_nothing(scene: Scene) -> None:
    before = scene.warehouse.ledger_rows()
    result = scene.over(CHAIN, "2023-06-05", "2023-06-16")
    assert result.success
    for item in CHAIN:
        told = facts(result, item)
        assert (told["partitions_written"], told["partitions_unchanged"], told["rows_written"]) == (
            0, LANDED_DAYS.get(item.id, 10), 0,
        )  # fmt: skip
        assert told["dagster/row_count"] == len(scene.warehouse.read(item))
    pd.testing.assert_frame_equal(scene.warehouse.ledger_rows(), before)


def test_a_range_writes_its_own_partitions_alone_and_each_is_an_event(scene: Scene) -> None:
    scene.warehouse.drop(VOLATILITY_DAILY.id)
    # A Saturday to a Sunday: the range is the trade dates in between.
    result = scene.over([VOLATILITY_DAILY], "2023-06-10", "2023-06-18")
    assert result.success
    week = {f"2023-06-{day}" for day in range(12, 17)}
    assert set(scene.ledger(VOLATILITY_DAILY).index) == scene.dates(VOLATILITY_DAILY) == week
    events = result.asset_materializations_for_node("features__volatility_daily")
    assert {event.partition for event in events} == week
    assert facts(result, VOLATILITY_DAILY)["partitions_written"] == 5
    stored = scene.instance.get_materialized_partitions(asset_key(VOLATILITY_DAILY.id))
    assert week <= stored


def test_a_day_alone_is_the_day_of_the_range(scene: Scene) -> None:
    before = scene.ledger(VOLATILITY_DAILY)["content_hash"]
    World(scene.home.path).by_other_hands(
        f"DELETE FROM {VOLATILITY_DAILY.id} WHERE date = '2023-06-14'",
        f"DELETE FROM ops.partition_ledger WHERE table_name = '{VOLATILITY_DAILY.id}' AND partition_key = '2023-06-14'",
    )
    result = scene.run([VOLATILITY_DAILY], {"dagster/partition": "2023-06-14"})
    assert facts(result, VOLATILITY_DAILY)["partitions_written"] == 1
    pd.testing.assert_series_equal(scene.ledger(VOLATILITY_DAILY)["content_hash"], before)


def test_dates_without_landed_data_are_counted_and_not_written(scene: Scene) -> None:
    result = scene.over([VOLATILITY_DAILY], "2023-06-15", "2023-06-22")
    assert facts(result, VOLATILITY_DAILY)["partitions_not_landed"] == 4
    assert scene.ledger(VOLATILITY_DAILY).index.max() == "2023-06-16"


def test_two_partition_definitions_never_share_a_run_and_a_range_has_partitions() -> None:
    with pytest.raises(ValueError, match="two partition definitions"):
        run_tags([VOLATILITY_DAILY, ZL_TRAINING[0]], TRADE_DATES, FIRST, LAST, only_stale=False)
    with pytest.raises(ValueError, match="two partition definitions"):
        run_tags([VOLATILITY_DAILY], MONTHS, FIRST, LAST, only_stale=False)
    weekend = np.datetime64("2023-06-10"), np.datetime64("2023-06-11")
    with pytest.raises(ValueError, match="no partitions from 2023-06-10 to 2023-06-11"):
        run_tags([VOLATILITY_DAILY], TRADE_DATES, *weekend, only_stale=False)
    with pytest.raises(ValueError, match="no partitions"):
        run_tags([VOLATILITY_DAILY], TRADE_DATES, LAST, FIRST, only_stale=False)
    tags = run_tags([ZL_TRAINING[0]], MONTHS, FIRST, LAST, only_stale=False)
    assert set(tags.values()) == {"2023-06-01"}


# -- only what is stale -----------------------------------------------------------------------------------------------


def test_only_stale_partitions_are_rebuilt_and_every_changed_one_says_why(scene: Scene, tmp_path: Path) -> None:
    before = {item.id: scene.ledger(item)["content_hash"] for item in CHAIN}
    bars = to_frame(OHLCV_1H, scene.warehouse.read(OHLCV_1H))
    bar = bars[(bars["symbol"] == "HO.v.0") & (bars["date"] == "2023-06-08")].iloc[[9]]
    file = restating_file(tmp_path / "fix.ohlcv-1h.dbn.zst", bar, high=bar["high"].iloc[0] + 0.02)
    World(scene.home.path).land(file)
    current = scene.home.open().builder
    needed = next_run(current.plan(CHAIN))
    assert [item.id for item in needed.tables] == [item.id for item in CHAIN if item not in (OHLCV_1M, OHLCV_UTC_1D)]
    result = scene.run(needed.tables, needed.tags)
    assert result.success
    for item in CHAIN:
        after = scene.ledger(item)["content_hash"]
        changed = set(after.index[after != before[item.id]])
        events = (
            result.asset_materializations_for_node("__".join(asset_key(item.id).path)) if item in needed.tables else []
        )
        assert {event.partition for event in events} == changed
        assert all(event.metadata["rebuilt_because"].value for event in events)
    # Later sessions are judged by it, so they are computed too; one is written.
    assert facts(result, OHLCV_1D)["partitions_written"] == 1
    why = {
        event.asset_key.to_user_string(): event.metadata["rebuilt_because"].value
        for event in result.asset_materializations_for_node("market_data__databento_futures_ohlcv_1d")
    }
    assert why == {"market_data/databento_futures_ohlcv_1d": f"{OHLCV_1H.id} 2023-06-08 changed"}
    # Volatility is made of highs and lows of later days, too.
    assert scene.ledger(VOLATILITY_DAILY).loc["2023-06-07", "content_hash"] == before[VOLATILITY_DAILY.id]["2023-06-07"]
    assert not current.plan(CHAIN).tables


def test_a_run_over_what_is_not_stale_logs_nothing(scene: Scene) -> None:
    before = scene.warehouse.ledger_rows()
    result = scene.run(CHAIN, run_tags(CHAIN, TRADE_DATES, FIRST, LAST, only_stale=True))
    assert result.success
    assert [event for event in result.all_events if event.is_step_materialization] == []
    pd.testing.assert_frame_equal(scene.warehouse.ledger_rows(), before)


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_a_range_has_a_picture_and_numbers_and_a_day_numbers_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(io_manager, "PICTURED_PARTITIONS", 10)
    shown = facts(scene.over([FUTURES_CONTINUOUS_1D], "2023-06-05", "2023-06-16"), FUTURES_CONTINUOUS_1D)
    assert str(shown["picture"]).startswith("![picture](data:image/png;base64,")
    rows = to_frame(FUTURES_CONTINUOUS_1D, scene.warehouse.read(FUTURES_CONTINUOUS_1D))
    last = rows[(rows["symbol"] == "ZL") & (rows["date"] == rows["date"].max())]
    assert shown["last_close_ZL"] == last["close"].iloc[0]
    assert isinstance(shown["null_share"], float)
    shown = facts(scene.over([FUTURES_CONTINUOUS_1D], "2023-06-16", "2023-06-16"), FUTURES_CONTINUOUS_1D)
    assert ("picture" in shown, shown["last_close_ZL"]) == (False, last["close"].iloc[0])


def test_a_picture_that_cannot_be_drawn_fails_no_run(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*asked: object) -> str:
        raise ValueError("no ink")

    monkeypatch.setattr(io_manager, "PICTURED_PARTITIONS", 10)
    monkeypatch.setattr(io_manager, "thumbnail", broken)
    result = scene.over([FUTURES_CONTINUOUS_1D], "2023-06-05", "2023-06-16")
    assert result.success
    assert "picture" not in facts(result, FUTURES_CONTINUOUS_1D)


# -- what goes wrong --------------------------------------------------------------------------------------------------


def raising(good: pd.DataFrame) -> pd.DataFrame:
    raise ZeroDivisionError("a fault in the function")


def repeating(good: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([good, good.iloc[[0]]], ignore_index=True)


def negative(good: pd.DataFrame) -> pd.DataFrame:
    return good.assign(**{_bounded(): -1.0})


def without_a_column(good: pd.DataFrame) -> pd.DataFrame:
    return good.drop(columns=[good.columns[-1]])


def with_another(scene: Scene, made: Recipe, jobs: Sequence[Any] = ()) -> dg.Definitions:
    """All assets, with one recipe in the place of its table's."""
    return dg.Definitions(
        assets=[*LANDED, *(item for item in ASSETS if item.key != asset_key(made.table.id)), asset_of(made)],
        resources={IO_MANAGER_KEY: scene.io_manager},
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
    scene: Scene,
    fault: Callable[[pd.DataFrame], pd.DataFrame],
    said: str,
) -> None:
    good = RECIPES[VOLATILITY_DAILY.id]

    @recipe(VOLATILITY_DAILY)
    def volatility_daily(futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
        return fault(good(futures_continuous_1d))

    defs = with_another(scene, volatility_daily)
    rows: pa.Table = scene.warehouse.read(VOLATILITY_DAILY)
    ledger = scene.warehouse.ledger_rows()
    tags = run_tags([VOLATILITY_DAILY], TRADE_DATES, FIRST, LAST, only_stale=False)
    result = scene.run([VOLATILITY_DAILY], tags, defs)
    assert not result.success
    assert said in failure(result)
    assert scene.warehouse.read(VOLATILITY_DAILY) == rows
    assert len(rows) > 0
    pd.testing.assert_frame_equal(scene.warehouse.ledger_rows(), ledger)

    for _ in range(2):  # the daemon's sensor may tell of it as well
        record_failures(scene.warehouse, scene.instance, result.run_id)
    (kept,) = scene.accounts(result.run_id).itertuples()
    assert (kept.source, kept.run_status) == (VOLATILITY_DAILY.id, "failed")
    assert said in kept.error_message


@pytest.mark.parametrize("where", ["computing", "writing"])
def test_a_step_that_fails_once_and_is_retried_reads_its_inputs_anew_and_succeeds(scene: Scene, where: str) -> None:
    good, seen = RECIPES[VOLATILITY_DAILY.id], []

    @recipe(VOLATILITY_DAILY)
    def volatility_daily(futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
        seen.append(len(futures_continuous_1d))
        rows = good(futures_continuous_1d)
        if len(seen) == 1:
            return negative(rows) if where == "writing" else raising(rows)
        return rows

    before = scene.ledger(VOLATILITY_DAILY)["content_hash"]
    scene.warehouse.drop(VOLATILITY_DAILY.id)
    job = dg.define_asset_job(
        "retried",
        selection=dg.AssetSelection.assets(asset_key(VOLATILITY_DAILY.id)),
        op_retry_policy=dg.RetryPolicy(max_retries=1),
    )
    result = (
        with_another(scene, volatility_daily, [job])
        .resolve_job_def("retried")
        .execute_in_process(
            instance=scene.instance,
            tags=run_tags([VOLATILITY_DAILY], TRADE_DATES, FIRST, LAST, only_stale=False),
            run_config=QUIET,
            raise_on_error=False,
        )
    )
    assert result.success
    assert any(event.is_step_up_for_retry for event in result.all_events)
    assert seen[0] == seen[1] > 0
    pd.testing.assert_series_equal(scene.ledger(VOLATILITY_DAILY)["content_hash"], before)


def test_every_write_of_a_run_is_accounted_for(scene: Scene) -> None:
    tables = [OHLCV_1D, FUTURES_CONTINUOUS_1D]
    result = scene.run(tables, run_tags(tables, TRADE_DATES, FIRST, LAST, only_stale=False))
    kept = scene.accounts(result.run_id).set_index("source")
    assert set(kept.index) == {item.id for item in tables}
    sessions = kept.loc[OHLCV_1D.id]
    assert (sessions["run_status"], sessions["error_message"]) == ("success", None)
    stored = len(scene.warehouse.read(OHLCV_1D, [(FIRST, LAST)]))
    assert sessions["rows_out"] == stored
    inputs = [len(scene.warehouse.read(TABLES[read.source], [(FIRST, LAST)])) for read in OHLCV_1D.reads]
    assert sessions["rows_in"] == sum(inputs)
    assert sessions["rows_rejected"] == facts(result, OHLCV_1D)["rows_rejected"]
    assert (sessions["partitions_written"], sessions["partitions_unchanged"] > 0) == (0, True)
    assert kept["started_at"].le(kept["ended_at"]).all()


def test_what_a_failed_table_would_have_fed_is_not_touched(scene: Scene) -> None:
    # Two rows of one key, behind the ledger's back: the continuous series refuses to be made of them.
    World(scene.home.path).by_other_hands(
        f"INSERT INTO {OHLCV_1D.id} SELECT * FROM {OHLCV_1D.id} WHERE date = '2023-06-13'"
    )
    before = {item.id: scene.ledger(item) for item in (FUTURES_CONTINUOUS_1D, VOLATILITY_DAILY)}
    result = scene.over([FUTURES_CONTINUOUS_1D, VOLATILITY_DAILY], "2023-06-05", "2023-06-16")
    assert not result.success
    for name, ledger in before.items():
        pd.testing.assert_frame_equal(scene.ledger(TABLES[name]), ledger)
    assert "volatility" not in failure(result)


def test_a_month_is_written_whole(scene: Scene) -> None:
    one_week = table("zl_training_prod_allhistory_1w")
    world = World(scene.home.path)
    for item in (*(item for item in ASSET_TABLES if "training_prod" not in item.name), one_week):
        world.builder.build(item, None, "test", only_stale=True)
    before = scene.ledger(one_week)
    assert list(before.index) == ["2023-06-01"]
    result = scene.run([one_week], run_tags([one_week], MONTHS, LAST, LAST, only_stale=False))
    assert facts(result, one_week)["partitions_unchanged"] == 1
    assert scene.dates(one_week) <= {str(day) for day in np.arange(FIRST, LAST + 1)}
    assert scene.ledger(one_week)["row_count"].tolist() == [len(scene.warehouse.read(one_week))] != [0]
