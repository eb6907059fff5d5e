"""`cbi ui`: the Dagster UI over a state directory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import click

from cbi_dagster.cli.main import Failure, cbi, console, examples, opened
from cbi_dagster.home import Home

#: Seconds that web server and daemon have to end by themselves.
_PATIENCE_S = 10.0


@cbi.command(epilog=examples("cbi ui", "cbi ui --port 4000 --watch ~/databento", "cbi ui --live"))
@click.option("--port", default=3000, show_default=True, help="Port of the web server on 127.0.0.1.")
@click.option("--watch", help="Directory or fsspec URL that vendor files arrive in: land and refresh by themselves.")
@click.option("--live", is_flag=True, help="Ask Databento for what is new and was corrected, and refresh by itself.")
def ui(port: int, watch: str | None, live: bool) -> None:
    """Open the Dagster UI: web server and daemon, until Ctrl-C or SIGTERM.

    With --live what has landed is followed: `cbi fetch --from DATE` makes the first load, and DATABENTO_API_KEY holds
    the key.
    """
    from cbi_dagster.orchestration.runs import opened_instance

    home = Home.from_environment()
    opened(home)
    with opened_instance(home):
        pass  # web server and daemon find the databases ready, whatever else starts meanwhile
    environment = {**os.environ, "CBI_HOME": str(home.path), "DAGSTER_HOME": str(home.dagster)}
    if live:
        if not os.environ.get("DATABENTO_API_KEY"):
            raise Failure("--live needs DATABENTO_API_KEY, the key of Databento's API")
        environment["CBI_LIVE"] = "1"
    if watch is not None:
        environment["CBI_WATCH"] = watch if "://" in watch else str(Path(watch).resolve())
    console.print(f"Dagster UI on http://127.0.0.1:{port} (state in {home.path}); Ctrl-C ends it.")
    served = ["-w", str(home.workspace), "-h", "127.0.0.1", "-p", str(port)]
    # Dagster warns of any other dagster.yaml in the working directory.
    command = [sys.executable, "-m", "dagster", "dev", *served]
    # polars, which TA-Lib imports where it is installed, has the system resume a wait after Ctrl-C: the one below too.
    signal.siginterrupt(signal.SIGINT, True)
    # A session of its own: what ends it reaches all that it has started, and nobody else.
    server = subprocess.Popen(command, cwd=home.dagster, env=environment, start_new_session=True)
    try:
        raise SystemExit(server.wait())
    except KeyboardInterrupt:
        console.print("ending web server and daemon …")
    finally:
        _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End a process and its session: asked first, so that runs are not torn apart, then by force."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_PATIENCE_S)
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
