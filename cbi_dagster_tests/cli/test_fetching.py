"""`cbi fetch` as it is typed: against the vendor's API on the loopback interface."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from cbi_dagster.cli.main import STALE
from cbi_dagster.vendors.simulate import SIMULATED_DATASET, simulate_delivery
from cbi_dagster_tests.cli.commands import cbi
from cbi_dagster_tests.fakes.databento import Faults, LoopbackDatabento, Market
from cbi_dagster_tests.fakes.databento.server import KEY

pytestmark = pytest.mark.usefixtures("files_stay_open")

MARCH = ("--from", "2023-03-13", "--to", "2023-03-17", "--symbols", "ZL.v.0,MES.v.0")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    path = tmp_path_factory.mktemp("vendor") / "delivery"
    simulate_delivery(path, seed=3, start=dt.date(2023, 3, 6), end=dt.date(2023, 3, 20), minute_roots=())
    return Market.of(path.glob("*.dbn.zst"))


@pytest.fixture
def server(market: Market, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackDatabento]:
    with LoopbackDatabento(market) as server:
        monkeypatch.setenv("DATABENTO_API_KEY", KEY)
        monkeypatch.setenv("CBI_DATABENTO_GATEWAY", server.endpoint)
        monkeypatch.setenv("CBI_DATABENTO_DATASET", SIMULATED_DATASET)
        yield server


def fetch(home: Path, *arguments: str) -> Result:
    result = cbi(home, "fetch", *arguments)
    assert KEY not in result.output
    return result


def test_what_would_be_asked_for_is_shown_with_its_price_and_nothing_is_spent(
    tmp_path: Path, server: LoopbackDatabento
) -> None:
    shown = fetch(tmp_path, *MARCH, "--dry-run")
    assert shown.exit_code == STALE
    assert "1 requests, $0.0" in shown.output
    assert server.bill == []


def test_what_is_fetched_lands_and_the_next_fetch_continues_it(tmp_path: Path, server: LoopbackDatabento) -> None:
    first = fetch(tmp_path, *MARCH)
    assert first.exit_code == 0, first.output
    assert "1 requests landed for $0.0" in first.output
    again = fetch(tmp_path, *MARCH)
    assert again.exit_code == 0
    assert "Nothing to ask for. The vendor has data until (UTC): ohlcv-1h 2023-03-20 00:00" in again.output
    assert "2023-03-18 00:00" in fetch(tmp_path).output
    assert fetch(tmp_path, "--dry-run").exit_code == 0
    assert len(server.bill) == 2


def test_what_fails_is_told_in_a_sentence_and_changes_nothing(
    tmp_path: Path, server: LoopbackDatabento, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults = Faults.of("timeseries.get_range", ["401"])
    refused = fetch(tmp_path, *MARCH)
    assert refused.exit_code == 1
    assert "cbi: the vendor does not accept the key in DATABENTO_API_KEY" in refused.output
    monkeypatch.setenv("CBI_DATABENTO_REQUEST_DOLLARS", "0.0001")
    capped = fetch(tmp_path, *MARCH)
    assert capped.exit_code == 1
    assert "raise CBI_DATABENTO_REQUEST_DOLLARS" in capped.output
    monkeypatch.setenv("CBI_DATABENTO_GATEWAY", "http://gateway.example:80")
    elsewhere = fetch(tmp_path, *MARCH)
    assert elsewhere.exit_code == 1
    assert "is not on this machine" in elsewhere.output
    monkeypatch.setenv("DATABENTO_API_KEY", "")
    assert "DATABENTO_API_KEY is not set" in fetch(tmp_path, *MARCH).output
    assert server.bill == []


def test_a_call_that_cannot_be_meant_is_a_usage_error(tmp_path: Path) -> None:
    assert fetch(tmp_path, "--symbols", "ZL.v.0").exit_code == 2
    assert fetch(tmp_path, "--from", "yesterday").exit_code == 2


def test_the_ui_does_not_begin_to_follow_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABENTO_API_KEY", raising=False)
    refused = cbi(tmp_path, "ui", "--live")
    assert refused.exit_code == 1
    assert "--live needs DATABENTO_API_KEY" in refused.output
