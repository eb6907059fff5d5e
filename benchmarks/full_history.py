"""A full history: `cbi land` and `cbi backfill` of a delivery, all tables, against another checkout of the platform.

The peer is an earlier commit (`git worktree add ../earlier COMMIT`), run with the same installed packages on the same
files, in turn with this one: the machine's other work meets both. Each lands and builds in a state directory of its
own; content hashes of all partitions that both have are compared. Processor time is that of the processes and their
children, which other work disturbs less than the clock. What of the backfill is computing (the tables' own
functions) is timed in a further run within this process. Without a peer only this checkout is timed.

Example:
    python benchmarks/full_history.py ~/databento --against ../earlier --rounds 2
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from recording import cbi, children_processor_seconds, markdown, versions

from cbi_dagster.catalog import ASSET_TABLES
from cbi_dagster.home import Home
from cbi_dagster.recipes import Recipe


def computing_share(home: Path) -> float:
    """The share of the tables' own functions in the time that building all of them again takes, runs left out."""
    spent = 0.0

    def timed(made: Recipe) -> Callable[..., Any]:
        def function(*inputs: Any) -> Any:
            nonlocal spent
            started = time.perf_counter()
            try:
                return made(*inputs)
            finally:
                spent += time.perf_counter() - started

        return function

    builder = Home(home).open().builder
    recipes = {name: replace(made, function=timed(made)) for name, made in builder.recipes.items()}
    builder = replace(builder, recipes=recipes)
    for table in ASSET_TABLES:
        builder.store.drop(table.id)
    started = time.perf_counter()
    for table in ASSET_TABLES:
        builder.build(table, None, "benchmark", only_stale=False)
    return spent / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("delivery", type=Path, nargs="+", help="files or directories to land")
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=1, help="how often both are timed, in turn")
    options = parser.parse_args()
    checkouts = {"here": Path(__file__).parents[1]} | ({"there": options.against.resolve()} if options.against else {})
    times: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        for number in range(options.rounds):
            homes = {name: Path(directory) / f"{name}{number}" for name in checkouts}
            for step, arguments in (("land", [str(path.resolve()) for path in options.delivery]), ("backfill", [])):
                for name, checkout in checkouts.items():
                    before = children_processor_seconds()
                    seconds = cbi(homes[name], step, *arguments, checkout=checkout)
                    times.setdefault((step, name), []).append((seconds, children_processor_seconds() - before))
        ledgers = {
            name: Home(home).open().warehouse.ledger_rows().set_index(["table_name", "partition_key"])["content_hash"]
            for name, home in homes.items()
        }
        share = computing_share(homes["here"])
    best = {key: tuple(map(min, zip(*found, strict=True))) for key, found in times.items()}
    for name in checkouts:
        best["both", name] = tuple(map(sum, zip(best["land", name], best["backfill", name], strict=True)))
    print(versions("duckdb", "dagster"))
    print(f"{len(ledgers['here']):,} partitions; {share:.0%} of building them is computing")
    if options.against:
        both = ledgers["here"].to_frame("here").join(ledgers["there"].rename("there"), how="inner")
        differ = both[both["here"] != both["there"]]
        print(f"{len(both):,} partitions that both have, {len(differ):,} of which differ")
        for name, count in differ.groupby(level=0).size().items():
            print(f"  {name}: {count:,}")
    rows = []
    for step in ("land", "backfill", "both"):
        for place, what in enumerate(("", ", processor time")):
            here = best[step, "here"][place]
            row = [step + what, f"{here:.1f} s"]
            if options.against:
                there = best[step, "there"][place]
                row += [f"{there:.1f} s", f"{here / there:.2f}"]
            rows.append(row)
    print(markdown(["", "here", "there", "here / there"][: len(rows[0])], rows))


if __name__ == "__main__":
    main()
