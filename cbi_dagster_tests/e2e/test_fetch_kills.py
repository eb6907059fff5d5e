"""`cbi fetch` is killed at any moment, again and again: it ends where one that was left alone ends, and the books hold
at least what the vendor charged."""

from __future__ import annotations

import datetime as dt
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cbi_dagster.vendors.simulate import SIMULATED_DATASET, simulate_delivery
from cbi_dagster_tests.fakes.databento import LoopbackDatabento, Market
from cbi_dagster_tests.fakes.databento.server import KEY
from cbi_dagster_tests.vendors.databento.live import LiveHome

BOTH = ("MES.v.0", "ZL.v.0")
FROM, TO = "2023-01-01", "2023-04-01"
KILLS = 8  # and one before


@pytest.mark.slow
@pytest.mark.waits
@pytest.mark.parametrize("batch_bytes", [2**28, 1], ids=["streams", "jobs"])
def test_kills_at_any_moment_leave_what_the_next_fetch_goes_on_from(tmp_path: Path, batch_bytes: int) -> None:
    simulate_delivery(tmp_path / "vendor", seed=3, start=dt.date(2023, 1, 1), end=dt.date(2023, 4, 1), minute_roots=())
    market = Market.of((tmp_path / "vendor").glob("*.dbn.zst"))
    chance = random.Random(batch_bytes)

    def started(server: LoopbackDatabento, home: str) -> subprocess.Popen[str]:
        environment = os.environ | {
            "CBI_HOME": str(tmp_path / home),
            "DATABENTO_API_KEY": KEY,
            "CBI_DATABENTO_GATEWAY": server.endpoint,
            "CBI_DATABENTO_DATASET": SIMULATED_DATASET,
            "CBI_DATABENTO_BATCH_BYTES": str(batch_bytes),
        }
        command = [sys.executable, "-m", "cbi_dagster.cli", "fetch", "--from", FROM, "--symbols", ",".join(BOTH)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    with LoopbackDatabento(market) as server:
        server.polls = 2
        began = time.monotonic()
        undisturbed = started(server, "undisturbed")
        told, _ = undisturbed.communicate()
        assert undisturbed.returncode == 0, told
        took_s = time.monotonic() - began
    with LoopbackDatabento(market) as server:
        server.polls = 2
        server.pause.clear()  # the first one waits for what it has asked for
        process = started(server, "home")
        while not server.bill:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.kill()
        process.communicate()
        server.pause.set()
        for _ in range(KILLS):
            process = started(server, "home")
            try:
                told, _ = process.communicate(timeout=chance.uniform(0.3, 1.0) * took_s)
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        else:
            process = started(server, "home")
            told, _ = process.communicate()
        assert process.returncode == 0, told
        live = LiveHome(tmp_path / "home", server, batch_bytes=batch_bytes)
        books = live.books()
        landed = books[books["request_state"] == "landed"]
        lost = books[books["request_state"] == "broken"]
        assert set(books["request_state"]) <= {"landed", "broken", "failed"}
        assert len(landed) <= len(server.bill) <= len(landed) + len(lost)
        assert books["spent"].sum() >= server.dollars - 1e-9
        if batch_bytes == 1:
            assert len(server.bill) == 1
        whole = LiveHome(tmp_path / "whole", server)
        whole.fetch(FROM, symbols=BOTH)
        assert live.hashes() == whole.hashes()
        assert live.followed().parts == ()
        assert list((live.home.path / "fetched").iterdir()) == []
