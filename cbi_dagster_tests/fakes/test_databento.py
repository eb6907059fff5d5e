"""The loopback server answers the official client as the vendor does, and charges as the vendor does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import databento
import pytest
from databento.common.error import BentoClientError, BentoError, BentoServerError, BentoWarning

from cbi_dagster.vendors.databento.client import Vendor, loopback
from cbi_dagster.vendors.simulate import SIMULATED_DATASET, simulate_delivery
from cbi_dagster_tests.fakes.databento import Faults, LoopbackDatabento, Market
from cbi_dagster_tests.fakes.databento.server import KEY

ASKED: dict[str, Any] = {
    "dataset": SIMULATED_DATASET, "symbols": ["ZL.v.0"], "schema": "ohlcv-1h", "stype_in": "continuous",
    "start": "2023-03-06", "end": "2023-03-10",
}  # fmt: skip


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    path = tmp_path_factory.mktemp("vendor") / "delivery"
    simulate_delivery(path, seed=3, start=dt.date(2023, 3, 6), end=dt.date(2023, 3, 20), minute_roots=())
    return Market.of(path.glob("*.dbn.zst"))


@pytest.fixture
def server(market: Market) -> Iterator[LoopbackDatabento]:
    with LoopbackDatabento(market) as server:
        yield server


@pytest.fixture
def client(server: LoopbackDatabento) -> Any:
    return Vendor(KEY, server.endpoint)._client


def test_a_stream_has_the_records_that_were_counted_and_priced(client: Any, server: LoopbackDatabento) -> None:
    store = client.timeseries.get_range(**ASKED)
    records = store.to_ndarray()
    assert client.metadata.get_record_count(**ASKED) == len(records) > 50
    assert client.metadata.get_billable_size(**ASKED) == records.nbytes == 56 * len(records)
    assert client.metadata.get_cost(**ASKED) == pytest.approx(server.dollars) == records.nbytes / 2**30 * 600
    assert (store.metadata.not_found, list(store.metadata.symbols)) == ([], ["ZL.v.0"])
    assert set(store.to_df()["symbol"]) == {"ZL.v.0"}


def test_every_stream_is_charged_and_a_job_once(client: Any, server: LoopbackDatabento, tmp_path: Path) -> None:
    client.timeseries.get_range(**ASKED)
    client.timeseries.get_range(**ASKED)
    job = client.batch.submit_job(**ASKED, split_duration="month")
    for name in ("once", "twice"):
        files = client.batch.download(job["id"], tmp_path / name, next(iter(server.jobs[job["id"]].files)))
        assert len(databento.DBNStore.from_file(files[0]).to_ndarray()) > 50
    assert [charge.mode for charge in server.bill] == ["stream", "stream", "batch"]
    assert client.batch.list_jobs()[0].keys() == {"id", "state", "ts_received"}
    assert client.batch.get_job_details(job["id"])["symbols"] == "ZL.v.0"


def test_what_the_vendor_says_of_itself(client: Any) -> None:
    said = client.metadata.get_dataset_range(SIMULATED_DATASET)
    assert said["schema"]["ohlcv-1h"]["end"] == "2023-03-20T00:00:00.000000000Z"
    days = client.metadata.get_dataset_condition(SIMULATED_DATASET, "2023-03-10", "2023-03-12")
    assert days == [
        {"date": "2023-03-10", "condition": "available", "last_modified_date": "2023-03-11"},
        {"date": "2023-03-12", "condition": "available", "last_modified_date": "2023-03-13"},
    ]
    assert client.metadata.list_schemas(SIMULATED_DATASET) == ["ohlcv-1h"]
    named = ["ZL.v.0", "XX.v.0"]
    found = client.symbology.resolve(
        SIMULATED_DATASET, named, "continuous", "instrument_id", "2023-03-06", "2023-03-10"
    )
    assert list(found["result"]) == ["ZL.v.0"]
    assert found["not_found"] == ["XX.v.0"]


@pytest.mark.parametrize(
    ("changed", "case"),
    [
        ({"end": "2023-04-01"}, "data_end_after_available_end"),
        ({"start": "2022-04-01"}, "data_start_before_available_start"),
        ({"symbols": ["XX.v.0"]}, "symbology_invalid_request"),
        ({"schema": "trades"}, "data_schema_not_supported"),
        ({"dataset": "NONE.SUCH"}, "dataset_unavailable"),
    ],
)
def test_what_the_vendor_refuses_is_refused_with_the_case(client: Any, changed: dict[str, Any], case: str) -> None:
    with pytest.raises(BentoClientError, match=case) as caught:
        client.timeseries.get_range(**(ASKED | changed))
    assert caught.value.http_status == 422
    if case == "data_end_after_available_end":
        assert caught.value.json_body["detail"]["payload"]["available_end"] == "2023-03-20T00:00:00.000000000Z"


def test_scripted_faults_reach_the_client_as_what_they_are(client: Any, server: LoopbackDatabento) -> None:
    server.faults = Faults.of("timeseries.get_range", ["429", "504", "cut", "warned", "truncated"])
    for expected in (BentoClientError, BentoServerError, BentoError):
        with pytest.raises(expected):
            client.timeseries.get_range(**ASKED)
    with pytest.warns(BentoWarning, match="degraded"):
        whole = len(client.timeseries.get_range(**ASKED).to_ndarray())
    assert 0 < len(client.timeseries.get_range(**ASKED).to_ndarray()) < whole
    assert server.faults.asked.count("timeseries.get_range") == 5


@pytest.mark.parametrize(
    "gateway",
    ["http://hist.databento.com", "https://127.0.0.1.example.com", "http://10.0.0.1:80", "127.0.0.1:80", "http://a@127.0.0.1"],
)  # fmt: skip
def test_a_gateway_elsewhere_never_gets_the_key(gateway: str) -> None:
    with pytest.raises(ValueError, match="is not on this machine"):
        loopback(gateway)
    assert [loopback(here) for here in ("", "http://127.0.0.1:1/x", "http://[::1]:2", "http://localhost:3")] == [
        "", "http://127.0.0.1:1", "http://[::1]:2", "http://localhost:3",
    ]  # fmt: skip
