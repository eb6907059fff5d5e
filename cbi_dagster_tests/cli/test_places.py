"""A home that cannot be written and a disk that is full, in mount namespaces of their own; and interrupted work."""

from __future__ import annotations

import datetime as dt
import functools
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from cbi_dagster.cli.main import is_no_interruption
from cbi_dagster_tests.cli.commands import BARS, build_bars, cbi
from cbi_dagster_tests.vendors.small_files import zl_file

#: Runs commands in one process, each with its exit code, what it said, and what it said of failures.
_RUN_ALL = """
import json, sys
from pathlib import Path
from cbi_dagster_tests.cli.commands import cbi
told = []
for words in json.load(sys.stdin):
    result = cbi(Path(sys.argv[1]), *words)
    told.append((result.exit_code, result.stdout, result.stderr))
json.dump(told, open(sys.argv[2], "w"))
"""


def in_own_namespace(
    mount: str, home: Path, out: Path, commands: Sequence[Sequence[str]]
) -> list[tuple[int, str, str]]:
    """What commands say after the shell command `mount`, which only they see; the test is skipped where none may."""
    permitted = shutil.which("unshare") and not subprocess.run(["unshare", "-m", "sh", "-c", mount]).returncode
    if not permitted:
        pytest.skip("mount namespaces are not permitted here")
    python = f'{mount} && exec "$0" -c "$1" "$2" "$3"'
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", python, sys.executable, _RUN_ALL, str(home), str(out)],
        input=json.dumps([*map(list, commands)]), env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [(code, said, failed) for code, said, failed in json.loads(out.read_text())]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bars(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("delivery"), dt.date(2023, 6, 10))


@pytest.fixture
def home(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "home"))


def test_a_home_that_cannot_be_written_can_be_looked_at_and_whatever_writes_says_so(home: Path, tmp_path: Path) -> None:
    file, out = zl_file(tmp_path / "zl.ohlcv-1h.dbn.zst", dataset="SIM.DEMO"), tmp_path / "bars.parquet"
    select = ("--select", BARS)
    looking = [
        ("status",), ("plan", *select), ("plan", "--exact", *select), ("check", *select), ("features",),
        ("show", BARS, "--date", "2023-06-07"), ("export", BARS, "--out", str(out)),
    ]  # fmt: skip
    writing = [("land", str(file)), ("backfill", *select), ("reset", BARS), ("demo",)]
    mount = f"mount --bind '{home}' '{home}' && mount -o remount,ro,bind '{home}'"
    told = in_own_namespace(mount, home, tmp_path / "told", [*looking, *writing])
    assert [(code, failed) for code, _, failed in told[: len(looking)]] == [(0, "")] * len(looking)
    assert out.exists()
    for (code, _, failed), words in zip(told[len(looking) :], writing, strict=True):
        assert (code, failed.count("\n"), failed[:4]) == (1, 1, "cbi:"), (words, failed)
        assert str(home) in failed
    assert cbi(home, "check", *select).exit_code == 0


def test_a_disk_that_is_full_under_dagsters_records_is_a_sentence_and_the_same_command_goes_on(
    home: Path, tmp_path: Path
) -> None:
    backfill = ("backfill", "--select", BARS)
    mount = f"mount -t tmpfs -o size=200k tmpfs '{home / 'dagster'}'"
    ((code, _, failed),) = in_own_namespace(mount, home, tmp_path / "told", [backfill])
    assert (code, failed.count("\n")) == (1, 1), failed
    assert "Dagster's records of runs cannot be written (database or disk is full); make room there" in failed
    assert cbi(home, *backfill).exit_code == 0


def test_a_library_that_logs_an_interruption_adds_nothing_to_it() -> None:
    for error, told in ((KeyboardInterrupt(), False), (OSError("no room"), True)):
        record = logging.LogRecord("sqlalchemy.pool", logging.ERROR, "", 1, "closing", (), (type(error), error, None))
        assert is_no_interruption(record) is told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted_in_a_run_says_so_and_not_that_a_table_failed(
    home: Path, number: signal.Signals
) -> None:
    environment = {**os.environ, "CBI_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "cbi_dagster.cli", "backfill", "--select", BARS]
    claims = home / "claims"
    for _ in range(4):
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Whoever started the tests in the background had them ignore Ctrl-C, and what they start with them.
            preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        while process.poll() is None and not any(claims.glob("*.lock")):
            time.sleep(0.02)
        process.send_signal(number)
        told, failed = process.communicate(timeout=600)
        if process.returncode != 0:
            break
        assert "done in" in told, "it may be that the signal came when all was done, but not every time"
    said = "cbi: interrupted; what was finished before is kept, and the same command goes on from there\n"
    assert failed == said, process.returncode
    # A shell calls both 130; Python ends by the signal where it came while a text was executed, as imports do.
    assert process.returncode in (130, -signal.SIGINT)
    assert list(claims.iterdir()) == []
    status = cbi(home, "status")
    assert "failed last" not in status.output
    assert cbi(home, "backfill", "--select", BARS).exit_code == 0
