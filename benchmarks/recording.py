"""What the benchmarks share: versions, timings, whole `cbi` processes, sizes, and Markdown tables."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def versions(*packages: str) -> str:
    """One line that names Python and the installed version of each package."""
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{p} {importlib.metadata.version(p)}" for p in packages)]
    )


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers aligned to the right of the first column."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def best_seconds(work: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Shortest of `repeats` timings: the machine's other work only ever adds to one.

    `clock`: `time.process_time` for work of this process alone, which waits for no other.
    """
    times = []
    for _ in range(repeats):
        started = clock()
        work()
        times.append(clock() - started)
    return min(times)


def cbi(home: Path, *arguments: str, checkout: Path = Path(__file__).parents[1]) -> float:
    """Run the command line of a checkout on a state directory; the seconds it took.

    Exit code 3 says that something was stale. Another checkout runs with the same installed packages.
    """
    started = time.perf_counter()
    # Without the directory that one is in, which would come first and may be another checkout.
    path = {"PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"}
    environment = {**os.environ, "CBI_HOME": str(home), **path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # where users install, compiled modules are kept
    command = [sys.executable, "-m", "cbi_dagster.cli", *arguments]
    code = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL).returncode
    if code not in (0, 3):
        raise RuntimeError(f"cbi {' '.join(arguments)} ended with exit code {code}")
    return time.perf_counter() - started


def children_processor_seconds() -> float:
    """What child processes that have ended took of the processors: what else the machine does disturbs it less."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def megabytes(directory: Path) -> float:
    """Size of all files below a directory, in units of 1e6 bytes."""
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file()) / 1e6
