"""A week arrives through the sensor as the vendor publishes it: bars at the closes, settlements in the evening, open
interest on the next morning. It ends where one bulk load ends, bit for bit; only what the plan named was rebuilt."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from cbi_dagster.catalog import ASSET_TABLES
from cbi_dagster.catalog.tables.market_data import OHLCV_1D
from cbi_dagster.orchestration.runs import opened_instance
from cbi_dagster.vendors.simulate import SIMULATED_DATASET, simulate_delivery
from cbi_dagster_tests.fakes.databento import LoopbackDatabento, Market
from cbi_dagster_tests.fakes.databento.server import KEY
from cbi_dagster_tests.fakes.databento.settled import publish_statistics
from cbi_dagster_tests.orchestration.test_fetching import Daemon
from cbi_dagster_tests.vendors.databento.live import LiveHome

pytestmark = pytest.mark.usefixtures("files_stay_open")

ROOTS = ("MES", "ZL")
TABLES = [table for table in ASSET_TABLES if table.dataset == "market_data"]
HOURS, STATED = (
    ("ohlcv-1h", tuple(f"{root}.v.0" for root in ROOTS)),
    ("statistics", tuple(f"{root}.FUT" for root in ROOTS)),
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackDatabento]:
    path = tmp_path / "vendor"
    simulate_delivery(path, seed=3, start=dt.date(2023, 2, 20), end=dt.date(2023, 4, 1), minute_roots=())
    market = Market.of(path.glob("*.dbn.zst"))
    publish_statistics(market, ROOTS)
    with LoopbackDatabento(market) as server:
        monkeypatch.setenv("DATABENTO_API_KEY", KEY)
        monkeypatch.setenv("CBI_DATABENTO_GATEWAY", server.endpoint)
        monkeypatch.setenv("CBI_DATABENTO_DATASET", SIMULATED_DATASET)
        yield server


def load(live: LiveHome) -> None:
    """The first load of both schemas, as far as there is data."""
    for schema, symbols in (HOURS, STATED):
        live.fetch("2023-02-20", schemas=(schema,), symbols=symbols)


def rebuilt(live: LiveHome) -> list[tuple[str, str]]:
    """Rebuild what is stale: the partitions that were written, by table."""
    builder = live.platform.builder
    results = [(table, builder.build(table, None, "test", only_stale=True).result) for table in TABLES]
    return [(table.id, label) for table, result in results for label in result.written]


def planned(live: LiveHome) -> set[tuple[str, str]]:
    plan = live.platform.builder.plan(TABLES)
    return {
        (item.table.id, str(label)) for item in plan.tables for label in item.table.partitioning.labels(item.partitions)
    }


def everything(live: LiveHome) -> dict[tuple[str, str], str]:
    rows = live.platform.warehouse.ledger_rows()
    return dict(zip(zip(rows["table_name"], rows["partition_key"], strict=True), rows["content_hash"], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("first", ["2023-03-30", "2023-03-24"], ids=["two days", "a week"])
def test_what_is_published_day_by_day_equals_one_bulk_load(
    tmp_path: Path, server: LoopbackDatabento, first: str
) -> None:
    daemon = Daemon(tmp_path, server)
    live = daemon.live
    live.until(first)
    load(live)
    rebuilt(live)
    days = []
    with opened_instance(daemon.home) as instance:
        for day in pd.date_range(first, "2023-03-31", freq="D"):
            asked, paid, before = len(server.faults.asked), server.dollars, len(server.bill)
            # Bars are there soon; statistics of the vendor's day come later.
            for hours, stated in (("19:30", "00:00"), ("22:30", "20:00"), ("24:00", "24:00")):
                live.until(str(day + pd.Timedelta(f"{hours}:00")), "ohlcv-1h")
                live.until(str(day + pd.Timedelta(f"{stated}:00")), "statistics")
                request = daemon.tick(instance)
                if request is not None:
                    assert daemon.launch(instance, request).success
                    named = planned(live)
                    assert set(rebuilt(live)) <= named
            days.append((day, len(server.bill) - before, len(server.faults.asked) - asked, server.dollars - paid))
    told = pd.DataFrame(days, columns=["day", "charged", "questions", "dollars"]).set_index("day")
    print(told.to_string())
    bulk = LiveHome(tmp_path / "bulk", server)
    paid = server.dollars
    load(bulk)
    rebuilt(bulk)
    assert everything(live) == everything(bulk)
    settled = live.platform.warehouse.read(OHLCV_1D, columns=["settle", "open_interest"]).to_pandas()
    assert settled.notna().mean().min() > 0.8
    assert paid == pytest.approx(server.dollars - paid)
    assert told["questions"].max() < 60
