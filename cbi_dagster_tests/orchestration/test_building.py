"""The jobs `refresh` and `backfill`: what they rebuild, what stops, and what the UI is told of every partition."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.features import VOLATILITY_DAILY
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D, OHLCV_1D, OHLCV_1H, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.definitions import build_defs
from cbi_dagster.orchestration.building import BACKFILL_JOB, REFRESH_JOB, building_config
from cbi_dagster.orchestration.partitions import asset_key
from cbi_dagster.orchestration.runs import SILENT
from cbi_dagster_tests.orchestration.chains import CHAIN, Chain, events, facts
from cbi_dagster_tests.properties.worlds import World
from cbi_dagster_tests.vendors.small_files import restating_file

pytestmark = pytest.mark.usefixtures("files_stay_open")


def started(
    chain: Chain, name: str, tables: tuple[Table, ...] = CHAIN, span: tuple[str, str] | None = None
) -> dg.ExecuteInProcessResult:
    """A run of a job, as the UI and the daemon start it."""
    dates = None if span is None else (np.datetime64(span[0]), np.datetime64(span[1]))
    job = build_defs(chain.home).resolve_job_def(name)
    config = building_config(tables, dates) | SILENT
    return job.execute_in_process(instance=chain.instance, run_config=config, raise_on_error=False)


def corrected(chain: Chain, tmp_path: Path) -> None:
    """A bar of June 8th is delivered again, with another high."""
    bars = to_frame(OHLCV_1H, chain.warehouse.read(OHLCV_1H))
    bar = bars[(bars["symbol"] == "HO.v.0") & (bars["date"] == "2023-06-08")].iloc[[9]]
    file = restating_file(tmp_path / "fix.ohlcv-1h.dbn.zst", bar, high=bar["high"].iloc[0] + 0.02)
    World(chain.home.path).land(file)


def out_of_date(chain: Chain, *tables: Table) -> dict[str, list[str]]:
    """Which partitions of some tables Dagster calls out of date, or missing, of those that the ledger has."""
    graph = build_defs(chain.home).resolve_asset_graph()
    found = CachingStaleStatusResolver(chain.instance, graph, LoadingContextForTest(chain.instance))
    stale = {
        table.id: [
            label
            for label in chain.ledger(table).index
            if found.get_status(asset_key(table.id), label) is not StaleStatus.FRESH
        ]
        for table in tables
    }
    return {name: labels for name, labels in stale.items() if labels}


def test_what_is_stale_is_rebuilt_and_every_partition_says_why(chain: Chain, tmp_path: Path) -> None:
    before = {item.id: chain.ledger(item)["content_hash"] for item in CHAIN}
    corrected(chain, tmp_path)
    current = chain.home.open().builder
    planned = {item.table.id for item in current.plan(CHAIN).tables}
    assert planned == {item.id for item in CHAIN if item not in (OHLCV_1M, OHLCV_UTC_1D)}
    result = started(chain, REFRESH_JOB)
    assert result.success
    for item in CHAIN:
        after = chain.ledger(item)["content_hash"]
        told = {event.partition: event for event in events(chain, result, item)}
        assert set(after.index[after != before[item.id]]) <= set(told), "what changed, and what was confirmed"
        assert bool(told) == (item.id in planned)
        assert all(event.metadata["rebuilt_because"].value for event in told.values())
        for label, event in told.items():
            assert (event.tags or {})["dagster/data_version"] == after[label]
            assert event.metadata["dagster/partition_row_count"].value == chain.ledger(item).loc[label, "row_count"]
    # Later sessions are judged by it, so they are computed too; one is written.
    assert facts(chain, result, OHLCV_1D)["partitions_written"] == 1
    why = {event.partition: event.metadata["rebuilt_because"].value for event in events(chain, result, OHLCV_1D)}
    assert why["2023-06-08"] == f"{OHLCV_1H.id} 2023-06-08 changed"
    # Volatility is made of highs and lows of later days, too.
    assert chain.ledger(VOLATILITY_DAILY).loc["2023-06-07", "content_hash"] == before[VOLATILITY_DAILY.id]["2023-06-07"]
    assert not current.plan(CHAIN).tables


def test_the_page_of_a_landing_source_says_what_is_landed_once(chain: Chain, tmp_path: Path) -> None:
    def told() -> list[dict[str, object]]:
        records = chain.instance.fetch_observations(asset_key("landing.ohlcv_1h"), limit=10).records
        events = [record.asset_observation for record in records]
        return [{name: value.value for name, value in event.metadata.items()} for event in events if event]

    for _ in range(2):
        assert started(chain, REFRESH_JOB).success
    (before,) = told()
    assert (before["files"], before["first_day"], before["last_day"]) == (1, "2023-06-05", "2023-06-16")
    assert before["dagster/row_count"] == len(chain.warehouse.read(OHLCV_1H))
    corrected(chain, tmp_path)
    assert started(chain, REFRESH_JOB).success
    assert [item["files"] for item in told()] == [2, 1]
    assert out_of_date(chain, *CHAIN) == {}, "what was seen of a source makes nothing out of date"


def test_a_refresh_of_what_is_not_stale_tells_nothing_and_writes_nothing(chain: Chain) -> None:
    before = chain.warehouse.ledger_rows()
    result = started(chain, REFRESH_JOB)
    assert result.success
    assert [events(chain, result, item) for item in CHAIN] == [[]] * len(CHAIN)
    pd.testing.assert_frame_equal(chain.warehouse.ledger_rows(), before)


def test_dagster_calls_out_of_date_what_the_ledger_does(chain: Chain, tmp_path: Path) -> None:
    assert out_of_date(chain, *CHAIN) == {}
    corrected(chain, tmp_path)
    assert started(chain, REFRESH_JOB, (OHLCV_1H,)).success
    # Dagster looks one table far, at the same date.
    assert out_of_date(chain, *CHAIN) == {OHLCV_1D.id: ["2023-06-08"]}
    assert started(chain, REFRESH_JOB).success
    assert out_of_date(chain, *CHAIN) == {}
    assert started(chain, BACKFILL_JOB, (OHLCV_1H, OHLCV_1D), ("2023-06-07", "2023-06-09")).success
    assert out_of_date(chain, *CHAIN) == {}, "what was rebuilt and confirmed makes nothing out of date"


def test_a_backfill_rebuilds_its_range_and_what_other_hands_changed_in_it(chain: Chain) -> None:
    before = World(chain.home.path).rows(FUTURES_CONTINUOUS_1D)
    World(chain.home.path).by_other_hands(f"UPDATE {FUTURES_CONTINUOUS_1D.id} SET close = 1 WHERE date = '2023-06-08'")
    result = started(chain, BACKFILL_JOB, (FUTURES_CONTINUOUS_1D,), ("2023-06-07", "2023-06-11"))
    assert result.success
    told = events(chain, result, FUTURES_CONTINUOUS_1D)
    assert {event.partition for event in told} == {"2023-06-07", "2023-06-08", "2023-06-09"}
    assert facts(chain, result, FUTURES_CONTINUOUS_1D)["partitions_written"] == 1
    pd.testing.assert_frame_equal(World(chain.home.path).rows(FUTURES_CONTINUOUS_1D), before)


def test_a_run_without_names_and_dates_is_about_all_that_there_is(chain: Chain) -> None:
    for item in (OHLCV_1D, VOLATILITY_DAILY):
        chain.warehouse.drop(item.id)
    job = build_defs(chain.home).resolve_job_def(BACKFILL_JOB)
    assert job.execute_in_process(instance=chain.instance, run_config=SILENT).success
    assert len(chain.ledger(VOLATILITY_DAILY)) == 10
    assert not chain.home.open().builder.plan().tables


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"tables": ["features.volatilty_daily"]}, "there is no table features.volatilty_daily to build"),
        ({"tables": ["ops.quarantine"]}, "there is no table ops.quarantine to build"),
        ({"first": "2030-01-01"}, "no landed trade date in the range asked for"),
        ({"first": "June"}, "June"),
    ],
)
def test_what_cannot_be_meant_fails_with_a_sentence(chain: Chain, config: dict[str, object], said: str) -> None:
    job = build_defs(chain.home).resolve_job_def(BACKFILL_JOB)
    ops = {"ops": {"backfill_tables": {"config": config}}}
    result = job.execute_in_process(instance=chain.instance, run_config=ops | SILENT, raise_on_error=False)
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert said in str(failed.step_failure_data.error_display_string)


def test_a_table_that_fails_stops_those_made_of_it_and_no_other(chain: Chain) -> None:
    # Two rows of one key, behind the ledger's back: the continuous series refuses to be made of them.
    World(chain.home.path).by_other_hands(
        f"INSERT INTO {OHLCV_1D.id} SELECT * FROM {OHLCV_1D.id} WHERE date = '2023-06-13'"
    )
    before = {item.id: chain.ledger(item) for item in (FUTURES_CONTINUOUS_1D, VOLATILITY_DAILY)}
    tables = (OHLCV_1H, FUTURES_CONTINUOUS_1D, VOLATILITY_DAILY)
    result = started(chain, BACKFILL_JOB, tables, ("2023-06-05", "2023-06-16"))
    assert not result.success
    for item in (FUTURES_CONTINUOUS_1D, VOLATILITY_DAILY):
        pd.testing.assert_frame_equal(chain.ledger(item), before[item.id])
        assert events(chain, result, item) == []
    assert len(events(chain, result, OHLCV_1H)) == 10
    kept = chain.accounts(result.run_id).set_index("source")["run_status"]
    assert kept.to_dict() == {OHLCV_1H.id: "success", FUTURES_CONTINUOUS_1D.id: "failed"}


def test_an_instance_of_one_s_own_is_told_the_same(chain: Chain) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        chain.instance = instance
        result = started(chain, BACKFILL_JOB, (OHLCV_1D,), ("2023-06-05", "2023-06-16"))
        told = {
            event.partition: (event.tags or {})["dagster/data_version"] for event in events(chain, result, OHLCV_1D)
        }
        assert told == chain.ledger(OHLCV_1D)["content_hash"].to_dict()
