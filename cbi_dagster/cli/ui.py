"""`cbi ui`: the Dagster UI over a state directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from cbi_dagster.cli.main import cbi, console, examples, opened
from cbi_dagster.home import Home


@cbi.command(epilog=examples("cbi ui", "cbi ui --port 4000 --watch ~/databento"))
@click.option("--port", default=3000, show_default=True, help="Port of the web server on 127.0.0.1.")
@click.option("--watch", help="Directory or fsspec URL that vendor files arrive in: land and refresh by themselves.")
def ui(port: int, watch: str | None) -> None:
    """Open the Dagster UI: web server and daemon, until Ctrl-C."""
    from cbi_dagster.orchestration.runs import opened_instance

    home = Home.from_environment()
    opened(home)
    with opened_instance(home):
        pass  # web server and daemon find the databases ready, whatever else starts meanwhile
    environment = {**os.environ, "CBI_HOME": str(home.path), "DAGSTER_HOME": str(home.dagster)}
    if watch is not None:
        environment["CBI_WATCH"] = watch if "://" in watch else str(Path(watch).resolve())
    console.print(f"Dagster UI on http://127.0.0.1:{port} (state in {home.path}); Ctrl-C ends it.")
    served = ["-m", "cbi_dagster.definitions", "-h", "127.0.0.1", "-p", str(port)]
    # Dagster warns of any other dagster.yaml in the working directory.
    os.chdir(home.dagster)
    os.execve(sys.executable, [sys.executable, "-m", "dagster", "dev", *served], environment)
