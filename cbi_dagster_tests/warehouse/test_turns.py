"""No process looks at a warehouse's file while another has it: what it saw would be the file of before."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from cbi_dagster.warehouse.duckdb import DuckDBWarehouse
from cbi_dagster.warehouse.turns import OthersTurnError, connected

from .conftest import SAMPLE

_OTHER = """
import sys
from pathlib import Path
import duckdb
from cbi_dagster.warehouse import turns
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse
from cbi_dagster_tests.warehouse.conftest import SAMPLE

directory, connect, take, told = Path(sys.argv[1]), duckdb.connect, turns._Turn.take, []

def looking(*arguments, **options):
    print("looks", flush=True)
    return connect(*arguments, **options)

def asking(turn):
    try:
        take(turn)
    except turns.OthersTurnError:
        if not told:
            told.append(print("waits", flush=True))
        raise

duckdb.connect, turns._Turn.take = looking, asking
print(DuckDBWarehouse(directory / "warehouse.duckdb").read(SAMPLE).num_rows, flush=True)
"""


def test_nobody_looks_at_the_file_until_it_is_its_turn(file, provenance, rows):
    warehouse = DuckDBWarehouse(file)
    with warehouse.shared_connection():
        command = [sys.executable, "-c", _OTHER, str(file.parent)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert other.stdout is not None
        assert other.stdout.readline() == "waits\n"
        days = np.array(["2024-01-02"], "datetime64[D]")
        warehouse.replace(SAMPLE, days, rows("2024-01-02"), provenance(days))
    assert other.communicate()[0] == f"looks\n{len(rows('2024-01-02'))}\n"


def test_threads_share_their_process_turn_and_the_last_lets_go(tmp_path: Path) -> None:
    path, opened, done = tmp_path / "warehouse.duckdb", threading.Event(), threading.Event()
    # To another lock object of this process the turn is that of somebody else.
    other = FileLock(f"{path}.lock")

    def works() -> None:
        with connected(path, read_only=False):
            opened.set()
            assert done.wait(60)

    thread = threading.Thread(target=works)
    with connected(path, read_only=False) as connection:
        thread.start()
        assert opened.wait(60)
        connection.execute("CREATE TABLE sums AS SELECT 1 AS one")
    with pytest.raises(TimeoutError):
        other.acquire(blocking=False)
    done.set()
    thread.join()
    with other, pytest.raises(OthersTurnError), connected(path, read_only=False):
        pass
    with connected(path, read_only=False) as connection:
        assert connection.sql("FROM sums").fetchall() == [(1,)]


def test_a_file_that_cannot_be_opened_is_nobodys_turn(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(b"no warehouse" * 1000)
    with pytest.raises(Exception, match="not a valid DuckDB"), connected(path, read_only=False):
        pass
    with FileLock(f"{path}.lock").acquire(blocking=False):
        pass
