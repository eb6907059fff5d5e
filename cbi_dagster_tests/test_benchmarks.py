"""The benchmarks run: each explains itself, and those without a peer end well in miniature."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "name",
    [
        "bigquery_costs.py",
        "d4_rins.py",
        "event_log.py",
        "features.py",
        "history_size.py",
        "full_history.py",
        "incremental_day.py",
        "landing.py",
        "policy.py",
        "restatement.py",
        "training_frame.py",
    ],
)
def test_every_benchmark_explains_itself_with_an_example(name: str) -> None:
    told = run(name, "--help")
    assert f"python benchmarks/{name}" in told


def test_the_event_log_the_features_and_posts_are_measured_in_miniature() -> None:
    assert "posts to scored events" in run("policy.py", "--small")
    table = run("event_log.py", "--partitions", "20", "--stock-partitions", "10", "--tables", "2")
    assert "batched, measured" in table
    told = run("features.py", "--small")
    assert "| loop, extrapolated |" in told
    assert "minutes to 6 horizons x technicals" in told


@pytest.mark.slow
def test_whole_builds_are_measured_in_miniature() -> None:
    assert "| one new day |" in run("incremental_day.py", "--small")
    assert "| one more file of a day |" in run("landing.py", "--small")
    (row,) = (line for line in run("restatement.py", "--small").splitlines() if line.startswith("| cbi |"))
    affected, wrong = (int(cell.replace(",", "")) for cell in row.split("|")[4:6])
    assert affected > 0
    assert wrong == 0
