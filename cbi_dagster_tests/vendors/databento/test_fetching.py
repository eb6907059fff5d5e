"""What is fetched ends in the right tables, or in a clear error with nothing changed and nothing paid twice."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.vendors.databento.client import BrokenStreamError, KeyRefusedError, VendorError
from cbi_dagster.vendors.databento.spending import OverCapError
from cbi_dagster.vendors.databento.survey import ClockError, UnknownSymbolError
from cbi_dagster.vendors.landing import DatasetMismatchError
from cbi_dagster.vendors.simulate import simulate_delivery
from cbi_dagster_tests.fakes.databento import Fault, Faults, LoopbackDatabento, Market
from cbi_dagster_tests.vendors.databento.live import KEY, LiveHome, nanoseconds, utc

STREAM = "timeseries.get_range"
BOTH = ("MES.v.0", "ZL.v.0")


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vendor") / "delivery"
    simulate_delivery(path, seed=3, start=dt.date(2023, 2, 20), end=dt.date(2023, 4, 5), minute_roots=())
    return path


@pytest.fixture
def server(delivery: Path) -> Iterator[LoopbackDatabento]:
    with LoopbackDatabento(Market.of(delivery.glob("*.dbn.zst"))) as server:
        yield server


@pytest.fixture
def live(tmp_path: Path, server: LoopbackDatabento) -> LiveHome:
    return LiveHome(tmp_path / "home", server)


def amended(server: LoopbackDatabento, day: str, modified: str, condition: str = "available") -> None:
    """The vendor changes a day: one price of it, and when it says that it did."""
    records = server.market.records["ohlcv-1h"].copy()
    times = records["ts_event"].astype(np.int64)
    inside = np.flatnonzero((times >= nanoseconds(day)) & (times < nanoseconds(day) + 86_400_000_000_000))
    ids = {int(number) for _, (_, _, number) in server.market.mapping["continuous"]["ZL.v.0"]}
    place = next(row for row in inside if int(records["instrument_id"][row]) in ids and records["volume"][row] > 1)
    records["volume"][place] -= 1
    server.market.records["ohlcv-1h"] = records
    server.market.days[dt.date.fromisoformat(day)] = (condition, dt.date.fromisoformat(modified))


# -- what arrives -----------------------------------------------------------------------------------------------------


def test_a_first_load_lands_month_by_month_and_the_books_say_what_the_vendor_charged(live: LiveHome) -> None:
    report = live.fetch("2023-02-20", symbols=BOTH)
    assert [(f"{one.start:%m-%d}", f"{one.end:%m-%d}") for one in report.landed] == [
        ("02-20", "03-01"), ("03-01", "04-01"), ("04-01", "04-05"),
    ]  # fmt: skip
    books = live.books()
    assert set(books["request_state"]) == {"landed"}
    assert books["spent"].sum() == pytest.approx(live.server.dollars) == report.dollars
    assert live.conditions()[dt.date(2023, 3, 6)] == "available"
    assert list((live.home.path / "fetched").iterdir()) == []


def test_what_is_here_is_not_asked_for_again(live: LiveHome) -> None:
    live.fetch("2023-03-01", "2023-03-20", symbols=BOTH)
    paid = live.server.dollars
    assert live.fetch("2023-03-01", "2023-03-20", symbols=BOTH).landed == []
    assert live.server.dollars == paid
    assert live.follow().landed != []  # what came since
    assert live.follow().landed == []


def test_the_next_days_are_asked_for_as_they_come_and_each_is_paid_once(live: LiveHome) -> None:
    live.until("2023-03-20")
    live.fetch("2023-03-13", symbols=BOTH)
    asked = []
    for end in ("2023-03-20T18:59", "2023-03-20T19:00", "2023-03-20T21:30", "2023-03-21T00:00", "2023-03-22T00:00"):
        live.until(end)
        asked.append([(f"{one.start:%d %H}", f"{one.end:%d %H}") for one in live.follow().landed])
    assert asked == [[], [("20 00", "20 19")], [("20 19", "20 21")], [("20 21", "21 00")], [("21 00", "22 00")]]
    whole = live.server.market.dollars
    query = live.server.query({
        "dataset": "SIM.DEMO", "schema": "ohlcv-1h", "symbols": ",".join(BOTH), "stype_in": "continuous",
        "start": "2023-03-13", "end": "2023-03-22",
    })  # fmt: skip
    assert live.server.dollars == pytest.approx(whole(query, live.server.market.selected(query)))


def test_a_correction_three_weeks_back_asks_for_that_day_alone_and_changes_what_it_changed(live: LiveHome) -> None:
    live.fetch("2023-03-01", symbols=BOTH)
    before = live.hashes()
    amended(live.server, "2023-03-14", "2023-04-05")
    report = live.follow()
    assert [(one.start, one.end) for one in report.landed] == [(utc("2023-03-14"), utc("2023-03-15"))]
    assert report.corrections == 1
    assert {key for key, found in live.hashes().items() if before[key] != found} == {"landing.ohlcv_1h2023-03-14"}
    assert live.follow().landed == []


def test_a_day_that_was_written_anew_with_the_same_content_changes_no_hash(live: LiveHome) -> None:
    live.fetch("2023-03-01", "2023-03-20", symbols=BOTH)
    before = live.hashes()
    live.server.market.days[dt.date(2023, 3, 14)] = ("available", dt.date(2023, 4, 5))
    report = live.fetch("2023-03-01", "2023-03-20", symbols=BOTH)
    assert len(report.landed) == 1
    assert report.corrections == 0
    assert live.hashes() == before
    assert live.fetch("2023-03-01", "2023-03-20", symbols=BOTH).landed == []


def test_a_degraded_day_lands_with_the_vendors_word_and_its_warning(live: LiveHome) -> None:
    live.server.market.days[dt.date(2023, 3, 14)] = ("degraded", dt.date(2023, 3, 15))
    live.server.faults = Faults.of(STREAM, ["warned"])
    report = live.fetch("2023-03-13", "2023-03-18", symbols=BOTH)
    assert live.conditions()[dt.date(2023, 3, 14)] == "degraded"
    assert report.warnings == ["The dataset is degraded on some of these days."]


def test_a_pending_day_is_left_out_until_it_is_there(live: LiveHome) -> None:
    live.until("2023-03-18")
    live.server.market.days[dt.date(2023, 3, 17)] = ("pending", None)
    assert live.fetch("2023-03-13", symbols=BOTH).landed[-1].end == utc("2023-03-17")
    assert live.follow().landed == []
    del live.server.market.days[dt.date(2023, 3, 17)]
    assert [(one.start, one.end) for one in live.follow().landed] == [(utc("2023-03-17"), utc("2023-03-18"))]


def test_a_missing_day_is_known_to_be_empty_and_asked_for_when_it_is_there(live: LiveHome) -> None:
    records = live.server.market.records["ohlcv-1h"]
    times = records["ts_event"].astype(np.int64)
    gone = (times >= nanoseconds("2023-03-14")) & (times < nanoseconds("2023-03-15"))
    live.server.market.records["ohlcv-1h"] = records[~gone]
    live.server.market.days[dt.date(2023, 3, 14)] = ("missing", None)
    live.fetch("2023-03-13", "2023-03-18", symbols=BOTH)
    assert live.fetch("2023-03-13", "2023-03-18", symbols=BOTH).landed == []
    live.server.market.records["ohlcv-1h"] = records
    live.server.market.days[dt.date(2023, 3, 14)] = ("available", dt.date(2023, 4, 1))
    live.fetch("2023-03-13", "2023-03-18", symbols=BOTH)
    other = LiveHome(live.home.path.parent / "other", live.server)
    other.fetch("2023-03-13", "2023-03-18", symbols=BOTH)
    assert live.hashes() == other.hashes()


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_storm_of_429_is_waited_out_as_long_as_the_vendor_says(live: LiveHome) -> None:
    live.server.faults = Faults.of(STREAM, [Fault("429", retry_after="7")] * 4)
    assert len(live.fetch("2023-03-13", "2023-03-18", symbols=BOTH).landed) == 1
    assert live.waited.count(7.0) == 4
    assert len(live.server.bill) == 1


def test_a_vendor_that_asks_for_more_patience_than_there_is_is_given_up_at_once(live: LiveHome) -> None:
    live.server.faults = Faults.of("metadata.get_dataset_range", [Fault("429", retry_after="3600")])
    with pytest.raises(VendorError, match=r"429 .*try again later"):
        live.followed()
    assert max(live.waited) < 1


def test_failing_servers_are_asked_again_later_each_time_and_given_up_with_nothing_spent(live: LiveHome) -> None:
    live.server.faults = Faults.of(STREAM, ["504", "500"])
    live.fetch("2023-03-13", "2023-03-18", symbols=BOTH)
    waits = [wait for wait in live.waited if wait > 0.5]
    assert len(waits) == 2
    assert waits[1] > waits[0]
    live.server.faults = Faults.of(STREAM, ["504"] * 20)
    before, paid = live.hashes(), live.server.dollars
    with pytest.raises(VendorError, match=r"504 .*try again later"):
        live.fetch("2023-03-20", "2023-03-25", symbols=BOTH)
    assert (live.hashes(), live.server.dollars) == (before, paid)
    assert live.states() == ["landed", "failed"]
    assert live.books()["spent"].iloc[-1] == 0


def test_a_stream_that_is_cut_is_asked_for_again_and_the_books_hold_what_it_may_have_cost(
    live: LiveHome, whole: dict[str, str]
) -> None:
    live.server.faults = Faults.of(STREAM, ["cut"])
    report = live.fetch(*DAYS, symbols=BOTH)
    assert len(report.landed) == 2
    assert live.states() == ["broken", "landed", "landed"]
    assert live.books()["spent"].sum() == pytest.approx(live.server.dollars) == report.dollars
    assert live.hashes() == whole


@pytest.mark.parametrize("fault", ["cut", "truncated"])
def test_data_that_never_comes_whole_is_an_error_and_nothing_lands(live: LiveHome, fault: str) -> None:
    live.server.faults = Faults.of(STREAM, [fault] * 9)
    with pytest.raises(BrokenStreamError, match=r"line to the vendor broke|records came, the vendor has"):
        live.fetch("2023-03-13", "2023-03-18", symbols=BOTH)
    assert live.hashes() == {}
    assert set(live.states()) == {"broken"}
    assert live.books()["spent"].sum() == pytest.approx(live.server.dollars)
    assert list((live.home.path / "fetched").iterdir()) == []


def test_a_truncated_file_that_http_calls_whole_is_not_taken(live: LiveHome) -> None:
    live.server.faults = Faults.of(STREAM, ["truncated"])
    assert len(live.fetch("2023-03-13", "2023-03-18", symbols=BOTH).landed) == 1
    assert live.states() == ["broken", "landed"]
    assert "records came, the vendor has" in live.books()["error_message"].iloc[0]


def test_what_had_come_before_a_failure_lands_and_is_not_paid_for_again(live: LiveHome) -> None:
    live.server.faults = Faults.of(STREAM, [None, *["504"] * 20])
    with pytest.raises(VendorError):
        live.fetch("2023-02-20", symbols=BOTH)
    assert live.states() == ["landed", "failed"]
    live.server.faults = Faults()
    live.fetch("2023-02-20", symbols=BOTH)
    assert live.states() == ["landed", "failed", "landed", "landed"]
    assert len(live.server.bill) == 3


def test_a_wrong_key_is_refused_and_shown_nowhere(tmp_path: Path, server: LoopbackDatabento) -> None:
    secret = uuid.uuid4().hex
    live = LiveHome(tmp_path / "home", server, key=f"db-{secret}")
    with pytest.raises(KeyRefusedError, match=r"does not accept the key in DATABENTO_API_KEY \(401") as caught:
        live.fetch("2023-03-13", symbols=BOTH)
    assert secret not in repr(caught.value) + str(caught.getrepr(showlocals=False))
    assert caught.value.__suppress_context__
    assert server.bill == []


@pytest.mark.parametrize("key", ["", " ", "a key", "schlüssel", "a\nb"])
def test_what_can_be_no_key_is_not_sent(tmp_path: Path, server: LoopbackDatabento, key: str) -> None:
    with pytest.raises(KeyRefusedError, match="DATABENTO_API_KEY is not set, or is no key") as caught:
        LiveHome(tmp_path / "home", server, key=key)
    assert not key.strip() or key not in str(caught.value)


def test_an_end_beyond_what_there_is_is_cut_to_it(live: LiveHome) -> None:
    assert live.fetch("2023-04-01", "2023-05-01", symbols=BOTH).landed[-1].end == utc("2023-04-05")


def test_an_end_that_the_vendor_takes_back_is_cut_to_what_its_refusal_says(live: LiveHome) -> None:
    outlook = live.wish("2023-03-13", "2023-03-18", symbols=BOTH)()
    live.until("2023-03-17")
    assert live.fetching.run(lambda: outlook, 0.0).landed[-1].end == utc("2023-03-17")


def test_an_unknown_symbol_is_named_before_anything_is_charged(live: LiveHome) -> None:
    with pytest.raises(UnknownSymbolError, match=r"SIM\.DEMO has no XX\.v\.0 in that time; nothing was charged"):
        live.fetch("2023-03-13", symbols=("ZL.v.0", "XX.v.0"))
    assert live.server.bill == []


def test_symbols_of_the_universe_that_did_not_exist_yet_are_left_out(live: LiveHome) -> None:
    del live.server.market.mapping["continuous"]["MES.v.0"]
    outlook = live.wish("2023-03-13", "2023-03-18")()
    assert outlook.unknown == ("MES.v.0",)
    assert all("MES.v.0" not in part.request.symbols for part in outlook.parts)


@pytest.mark.parametrize(
    ("cap", "named"),
    [("request_dollars", "request"), ("run_dollars", "run"), ("day_dollars", "day")],
)
def test_a_cost_over_a_cap_is_told_before_the_request_is_sent(
    tmp_path: Path, server: LoopbackDatabento, cap: str, named: str
) -> None:
    february = LiveHome(tmp_path / "priced", server).wish("2023-02-20", "2023-03-01", symbols=BOTH)()
    limit = f"{february.dollars * (0.9 if named == 'request' else 1.5):.6f}"
    live = LiveHome(tmp_path / "home", server, **{cap: limit})
    with pytest.raises(OverCapError, match=rf"more than the cap of \$.* a {named}: .*CBI_DATABENTO_{cap.upper()}"):
        live.fetch("2023-02-20", symbols=BOTH)
    assert live.states() == ([] if named == "request" else ["landed"])
    assert server.dollars <= float(limit)


def test_the_cap_of_a_day_counts_earlier_runs_and_the_clock_that_is_set_back_frees_nothing(
    tmp_path: Path, server: LoopbackDatabento, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveHome(tmp_path / "home", server)
    live.fetch("2023-03-13", "2023-03-18", symbols=BOTH)
    capped = LiveHome(tmp_path / "home", server, day_dollars=f"{server.dollars * 1.5:.6f}")
    yesterday = pd.Timestamp.now("UTC") - pd.Timedelta(days=2)
    monkeypatch.setattr("cbi_dagster.vendors.databento.spending.now_utc", lambda: yesterday)
    with pytest.raises(OverCapError, match="a day"):
        capped.fetch("2023-03-20", "2023-03-25", symbols=BOTH)


def test_a_clock_behind_the_vendors_data_stops_before_anything_is_charged(
    live: LiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cbi_dagster.vendors.databento.survey.now_utc", lambda: utc("2023-03-20"))
    with pytest.raises(ClockError, match="the clock of this machine says 2023-03-20"):
        live.fetch("2023-03-13", symbols=BOTH)
    assert live.server.bill == []


def test_a_full_disk_is_told_before_anything_is_charged(live: LiveHome, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(live.home.path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=1000))
    with pytest.raises(OSError, match="nothing was asked for"):
        live.fetch("2023-03-13", symbols=BOTH)
    assert live.server.bill == []


def test_a_disk_that_fills_up_under_way_is_no_broken_line_and_is_not_asked_again(live: LiveHome) -> None:
    (live.home.path / "fetched").mkdir()
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    part, stream = live.wish("2023-03-13", "2023-03-18", symbols=BOTH)().parts[0], live.fetching._vendor.stream

    def onto_a_full_disk(request: object, path: Path) -> list[str]:
        opened = full.open("wb", buffering=0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("databento.common.http.open", lambda *named: opened, raising=False)
            return stream(part.request, path)

    live.fetching._vendor.stream = onto_a_full_disk  # type: ignore[method-assign]
    with pytest.raises(OSError, match="could not be written"):
        live.fetch("2023-03-13", "2023-03-18", symbols=BOTH)
    assert len(live.server.bill) == 1
    assert live.states() == ["sent"]  # counts as spent until the next run knows better


def test_another_dataset_than_the_warehouse_holds_is_told_before_anything_is_charged(
    live: LiveHome, delivery: Path
) -> None:
    simulate_delivery(
        live.home.path / "other", seed=1, start=dt.date(2023, 3, 1), end=dt.date(2023, 3, 3), minute_roots=(),
        dataset="SIM.OTHER",
    )  # fmt: skip
    live.platform.landing.land([live.home.path / "other"])
    with pytest.raises(DatasetMismatchError, match=r"would mix the datasets SIM\.DEMO, SIM\.OTHER"):
        live.fetch("2023-03-13", symbols=BOTH)
    assert live.server.bill == []


def test_what_the_door_refuses_is_kept_named_and_not_asked_for_again(live: LiveHome) -> None:
    records = live.server.market.records["ohlcv-1h"]
    for name in ("open", "high", "low", "close"):
        records[name] *= 1000  # prices in another unit
    report = live.fetch("2023-03-13", "2023-03-18", symbols=BOTH)
    ((_, why),) = report.refused.items()
    kept = Path(re.search(r"kept in (\S+)", why).group(1))  # type: ignore[union-attr]
    assert next(kept.glob("*.dbn.zst"))
    assert live.hashes() == {}
    assert live.states() == ["refused"]
    assert live.fetch("2023-03-13", "2023-03-18", symbols=BOTH).landed == []
    assert len(live.server.bill) == 1


# -- batch jobs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path: Path, server: LoopbackDatabento) -> LiveHome:
    """Everything is a batch job."""
    return LiveHome(tmp_path / "home", server, batch_bytes=1)


def test_a_large_request_is_one_job_whose_months_equal_streams(large: LiveHome, tmp_path: Path) -> None:
    large.server.polls = 2
    large.fetch("2023-02-20", symbols=BOTH, wait_s=60.0)
    assert [(charge.mode, large.states()) for charge in large.server.bill] == [("batch", ["landed"])]
    streamed = LiveHome(tmp_path / "streamed", large.server)
    streamed.fetch("2023-02-20", symbols=BOTH)
    assert large.hashes() == streamed.hashes()
    assert large.conditions() == streamed.conditions()
    assert large.follow().landed == []


def test_a_job_that_is_not_done_waits_in_the_books_and_is_fetched_later_for_nothing(large: LiveHome) -> None:
    large.server.polls = 5
    report = large.fetch("2023-02-20", symbols=BOTH, wait_s=0.0)
    assert report.landed == []
    assert len(report.waiting) == 1
    assert large.states() == ["submitted"]
    large.server.jobs[next(iter(large.server.jobs))].polls = 0
    assert len(large.follow().landed) == 1
    assert len(large.server.bill) == 1


def test_a_job_whose_answer_was_lost_is_found_and_not_submitted_again(large: LiveHome) -> None:
    large.server.faults = Faults.of("batch.submit_job", ["lost"])
    large.fetch("2023-02-20", symbols=BOTH, wait_s=60.0)
    assert large.states() == ["landed"]
    assert len(large.server.bill) == 1


def test_a_job_that_was_never_received_costs_nothing(large: LiveHome) -> None:
    large.server.faults = Faults.of("batch.submit_job", ["dropped"])
    with pytest.raises(BrokenStreamError):
        large.fetch("2023-02-20", symbols=BOTH)
    assert large.states() == ["failed"]
    assert large.books()["spent"].sum() == large.server.dollars == 0


def test_a_download_that_is_cut_goes_on_where_it_ended(large: LiveHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("databento.historical.api.batch.HTTP_STREAMING_READ_SIZE", 1)
    large.server.faults = Faults.of("batch.download", ["cut", "cut"])
    large.fetch("2023-02-20", symbols=BOTH, wait_s=60.0)
    (job,) = large.server.jobs.values()
    assert large.server.sent == {name: len(content) for name, content in job.files.items()}


def test_a_file_whose_hash_is_not_the_manifests_is_refused_and_fetched_again_for_nothing(large: LiveHome) -> None:
    large.server.polls = 2
    large.fetch("2023-02-20", symbols=BOTH)
    (job,) = large.server.jobs.values()
    name = next(name for name in job.files if name.endswith(".dbn.zst"))
    listed, sound = large.server._listed(job), job.files[name]
    large.server._listed = lambda job: listed  # type: ignore[method-assign]
    job.files[name] = bytes([*sound[:-1], sound[-1] ^ 1])
    with pytest.raises(VendorError, match=r"checksum.*run the same again, it costs nothing"):
        large.follow()
    job.files[name] = sound
    assert len(large.follow().landed) == 1
    assert len(large.server.bill) == 1


# -- killed, and at once ----------------------------------------------------------------------------------------------

#: Steps of a fetch that a process can be killed after.
STEPS = (
    "stream",
    "submit",
    *(
        pytest.param(step, marks=pytest.mark.slow)
        for step in ("open", "received", "land", "landed", "submitted", "download")
    ),
)


class Killed(BaseException):
    """Nothing is cleaned up after it."""


#: Days of two months, so two requests.
DAYS = ("2023-02-27", "2023-03-04")


@pytest.fixture(scope="module")
def whole(delivery: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What DAYS hash to when nothing goes wrong."""
    with LoopbackDatabento(Market.of(delivery.glob("*.dbn.zst"))) as server:
        live = LiveHome(tmp_path_factory.mktemp("whole") / "home", server)
        live.fetch(*DAYS, symbols=BOTH)
        return live.hashes()


def killed_after(live: LiveHome, step: str) -> None:
    """Have the process die when it has done a step, one of those of every request for the second time."""
    owner = {
        "open": live.fetching.books, "received": live.fetching.books, "landed": live.fetching.books,
        "submitted": live.fetching.books, "land": live.fetching._landing,
    }.get(step, live.fetching._vendor)  # fmt: skip
    done = getattr(owner, step)
    times = iter(range(10))

    def last(*named: object, **others: object) -> object:
        result = done(*named, **others)
        if next(times) == (1 if step in ("open", "stream", "received") else 0):
            raise Killed
        return result

    setattr(owner, step, last)
    if step not in ("land", "landed"):
        # A process that is killed lands nothing any more.
        live.fetching._land = lambda *named: None  # type: ignore[method-assign]


@pytest.mark.parametrize("step", STEPS)
def test_a_run_that_is_killed_between_any_two_steps_is_gone_on_with_and_paid_for_once(
    tmp_path: Path, server: LoopbackDatabento, whole: dict[str, str], step: str
) -> None:
    batch = step in ("submit", "submitted", "download")
    live = LiveHome(tmp_path / "home", server, batch_bytes=1 if batch else 2**28)
    killed_after(live, step)
    with pytest.raises(Killed):
        live.fetch(*DAYS, symbols=BOTH, wait_s=60.0)
    again = LiveHome(tmp_path / "home", server, batch_bytes=1 if batch else 2**28)
    again.fetch(*DAYS, symbols=BOTH, wait_s=60.0)
    assert len(server.bill) == (1 if batch else 2)
    # Of a request that was never sent nobody can know that: it counts as spent.
    assert again.states().count("broken") == (step == "open")
    assert again.states().count("landed") == len(server.bill)
    assert list((again.home.path / "fetched").iterdir()) == []
    assert again.hashes() == whole
    assert again.wish(*DAYS, symbols=BOTH)().parts == ()


def test_two_fetches_at_once_pay_once(tmp_path: Path, server: LoopbackDatabento) -> None:
    both = [LiveHome(tmp_path / "home", server) for _ in range(2)]
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda one=one: found.append(len(one.fetch("2023-02-20", symbols=BOTH).landed)))
        for one in both
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(found) == [0, 3]
    assert len(server.bill) == 3


def test_a_withdrawn_file_is_not_bought_again_by_itself(live: LiveHome) -> None:
    live.fetch("2023-03-13", "2023-03-18", symbols=BOTH)
    (name,) = {file.source_file for file in live.platform.landing.files_of("ohlcv-1h")}
    live.platform.landing.unland(name)
    assert live.fetch("2023-03-13", "2023-03-18", symbols=BOTH).landed == []
    assert len(live.fetch("2023-03-13", "2023-03-18", symbols=BOTH, again=True).landed) == 1
    assert len(live.server.bill) == 2


def test_the_key_is_in_no_file_of_the_home(live: LiveHome) -> None:
    live.server.faults = Faults.of(STREAM, ["504", "cut", "401"])
    with pytest.raises(KeyRefusedError):
        live.fetch("2023-02-20", symbols=BOTH)
    live.fetch("2023-02-20", symbols=BOTH)
    files = [path for path in live.home.path.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
