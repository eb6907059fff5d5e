"""Serves until it is interrupted: `python -m cbi_dagster_tests.fakes.bigquery --port 9050`."""

import argparse
import threading

from cbi_dagster_tests.fakes.bigquery import Faults, LoopbackBigQuery


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9050, help="of REST; the port above it serves reads of rows")
    parser.add_argument("--fault-every", type=int, default=0, help="every so many requests meet a fault (0: none)")
    options = parser.parse_args()
    with LoopbackBigQuery(options.port) as server:
        if options.fault_every:
            server.faults = Faults.every(options.fault_every)
        print(f"CBI_TARGET=bigquery CBI_BIGQUERY_PROJECT=loopback CBI_BIGQUERY_ENDPOINT={server.endpoint}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
