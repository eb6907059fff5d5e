"""`cbi ui` as a process on a free loopback port, asked through the web server's own interface."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Page:
    """The running UI over the state directory `path`."""

    path: Path
    port: int
    server: subprocess.Popen[bytes]

    def ask(self, query: str, **variables: object) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/graphql", body, headers)
        with urllib.request.urlopen(request, timeout=300) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    @property
    def processes(self) -> list[int]:
        """Ids of the process and of all that it and its children have started, the first first."""
        children: dict[int, list[int]] = {}
        for place in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parent = int(place.read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(place.parent.name))
        found = [self.server.pid]
        for process in found:
            found += children.get(process, [])
        return found

    def kill(self) -> None:
        """All of it at once, with no chance to say a word."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.server.wait()


@contextlib.contextmanager
def served(path: Path, *options: str) -> Iterator[Page]:
    """The UI over a state directory, in the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (path.parent / f"{path.name}.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "cbi_dagster.cli", "ui", "--port", str(port), *options],
            env={**os.environ, "CBI_HOME": str(path)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    page = Page(path, port, server)
    try:
        deadline = time.monotonic() + 900
        while True:
            try:
                page.ask("{version}")
                break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None, Path(log.name).read_text()
                assert time.monotonic() < deadline, Path(log.name).read_text()
                time.sleep(0.5)
        yield page
    finally:
        if server.poll() is None:
            server.terminate()
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                page.kill()
