"""Three lines to a model: importing the package and loading a training frame of all history, in a process of its own.

Timed in fresh processes, the shortest of some: `from cbi_dagster import load_training_frame`, and then the call for one
split of one horizon. The state directory is one that was built before, e.g. of a real delivery.

Example:
    python benchmarks/training_frame.py --home ~/history --symbol ZL --horizon 1w
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from recording import markdown, versions

_TIMED = """
import json, sys, time
started = time.perf_counter()
from cbi_dagster import load_training_frame
imported = time.perf_counter()
frame = load_training_frame(sys.argv[1], sys.argv[2], split="train")
loaded = time.perf_counter()
print(json.dumps([imported - started, loaded - imported, *frame.X.shape]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="a state directory with training tables")
    parser.add_argument("--symbol", default="ZL", help="whose table")
    parser.add_argument("--horizon", default="1w", help="of which horizon")
    parser.add_argument("--repeats", type=int, default=5, help="how many processes")
    options = parser.parse_args()
    environment = {**os.environ, "CBI_HOME": str(options.home.resolve())}
    command = [sys.executable, "-c", _TIMED, options.symbol, options.horizon]
    runs = [
        json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
        for _ in range(options.repeats)
    ]
    imported, loaded = min(run[0] for run in runs), min(run[1] for run in runs)
    print(versions("duckdb", "pandas"))
    shape = f"{runs[0][2]:,} rows x {runs[0][3]} features"
    print(markdown(["", "time"], [["import", f"{imported:.2f} s"], [f"train split, {shape}", f"{loaded:.2f} s"]]))


if __name__ == "__main__":
    main()
