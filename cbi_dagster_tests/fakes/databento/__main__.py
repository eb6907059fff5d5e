"""Serves DBN files until it is interrupted: `python -m cbi_dagster_tests.fakes.databento --port 9060 --data DIR`."""

import argparse
import itertools
import threading
from pathlib import Path

import pandas as pd

from cbi_dagster_tests.fakes.databento import Fault, Faults, LoopbackDatabento, Market
from cbi_dagster_tests.fakes.databento.server import KEY


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9060)
    parser.add_argument("--data", type=Path, required=True, help="directory of .dbn and .dbn.zst files of one dataset")
    parser.add_argument("--end", help="until when there is data, e.g. 2024-03-05T20:00 (UTC); default: all there is")
    parser.add_argument("--polls", type=int, default=1, help="how often a batch job is told to be at work")
    parser.add_argument("--fault-every", type=int, default=0, help="every so many requests meet a fault (0: none)")
    options = parser.parse_args()
    market = Market.of(path for path in options.data.rglob("*") if path.name.endswith((".dbn", ".dbn.zst")))
    if options.end:
        end = int(pd.Timestamp(options.end, tz="UTC").value)
        market.ends = {schema: min(there, end) for schema, there in market.ends.items()}
    with LoopbackDatabento(market, options.port) as server:
        server.polls = options.polls
        if options.fault_every:
            kinds, numbers = itertools.cycle(["429", "504", "dropped"]), itertools.count(1)
            server.faults = Faults(
                lambda method, number: Fault(next(kinds)) if next(numbers) % options.fault_every == 0 else None
            )
        print(
            f"DATABENTO_API_KEY={KEY} CBI_DATABENTO_GATEWAY={server.endpoint} CBI_DATABENTO_DATASET={market.dataset}",
            flush=True,
        )
        threading.Event().wait()


if __name__ == "__main__":
    main()
