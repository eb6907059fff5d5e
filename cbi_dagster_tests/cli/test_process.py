"""`cbi` as a process of its own: exit codes, where it says what, and how soon it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog import Type
from cbi_dagster.catalog.tables.features import VOLATILITY_DAILY
from cbi_dagster.home import Home
from cbi_dagster.warehouse.changes import Provenance
from cbi_dagster.warehouse.contract import now_utc

MODULE = [sys.executable, "-m", "cbi_dagster.cli"]
SCRIPT = [str(Path(sys.executable).with_name("cbi"))]
DAY, SYMBOLS = "2024-07-01", [f"S{number}" for number in range(100, 200)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with one trade date of one table, made by the present code; nothing was landed."""
    home = Home(tmp_path_factory.mktemp("home"))
    home.prepare()
    platform = home.open().ready()
    warehouse = platform.warehouse
    platform.builder.code.record(warehouse)
    rows = pd.DataFrame({"date": pd.Timestamp(DAY), "symbol": SYMBOLS})
    for column in VOLATILITY_DAILY.columns:
        if column.type is Type.FLOAT64:
            rows[column.name] = 0.5
    keys = np.array([DAY], "datetime64[D]")
    warehouse.replace(VOLATILITY_DAILY, keys, rows, Provenance("test", "1", dict.fromkeys(keys, ""), now_utc(), 0))
    return home.path


def environment(home: Path) -> dict[str, str]:
    return {"CBI_HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])}


def started(home: Path, *command: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment(home))


def said(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a process."""
    output, errors = process.communicate(timeout=600)
    return process.returncode, output, errors


@pytest.mark.parametrize("command", [MODULE, SCRIPT], ids=["module", "script"])
def test_a_failure_is_told_on_stderr_with_its_exit_code_and_no_traceback(home: Path, command: list[str]) -> None:
    if not Path(command[0]).exists():
        pytest.skip("the package is not installed with its console script")
    failed = "cbi: no table 'qqq'; `cbi status` lists the tables\n"
    assert said(started(home, *command, "show", "qqq", "--date", DAY)) == (1, "", failed)


def test_all_that_a_process_says_arrives(home: Path) -> None:
    code, output, errors = said(started(home, *MODULE, "show", "volatility_daily", "--date", DAY))
    assert (code, errors) == (0, "")
    assert len(output) > 2**16, "it would fit into a pipe that nobody reads"
    rows = [line.split()[3] for line in output.splitlines() if line.startswith("│ symbol ")]
    assert rows == SYMBOLS


def test_whoever_has_read_enough_may_leave(home: Path) -> None:
    process = started(home, *MODULE, "show", "volatility_daily", "--date", DAY)
    assert process.stdout is not None
    assert process.stdout.readline() != ""
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(600) == 1


def test_a_plan_that_finds_something_exits_with_3_and_needs_nothing_that_builds(home: Path) -> None:
    code = (
        "import atexit, sys\nfrom cbi_dagster.cli import run\n"
        "atexit.register(lambda: print({'dagster', 'fsspec', 'ftfy', 'pandas', 'talib'} & {*sys.modules}))\n"
        "sys.argv = ['cbi', 'plan', '--json']\nrun()"
    )
    status, output, errors = said(started(home, sys.executable, "-c", code))
    assert (status, errors) == (3, "")
    assert output.splitlines()[-1] == "{'pandas'}"


def test_help_needs_no_library_of_data(home: Path) -> None:
    code = (
        "import sys\nfrom cbi_dagster.cli.main import cbi\nimport cbi_dagster.cli\n"
        "try:\n    cbi(['backfill', '--help'])\nexcept SystemExit:\n    pass\n"
        "print({'dagster', 'duckdb', 'numpy', 'pandas'} & {*sys.modules})"
    )
    assert said(started(home, sys.executable, "-c", code))[1].splitlines()[-1] == "set()"
