"""The services of deploy/compose.yaml as processes of this machine: the same commands, files and settings.

What differs is what a container would bring: paths inside it are directories of a test, names of services are
127.0.0.1, and ports that are taken here are others.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from cbi_dagster_tests.deployment.postgres import Postgres, free_port
from cbi_dagster_tests.orchestration.pages import Page

DEPLOY = Path(__file__).parents[2] / "deploy"
#: Where the containers keep their state, and what they serve at.
STATE, UI_PORT, CODE_PORT = "/var/lib/cbi", "3000", "4000"

_ASSET_JOB = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "cbi_dagster",
    "pipelineName": "__ASSET_JOB",
}
_LAUNCH = """mutation($wanted: ExecutionParams!) {
  launchPipelineExecution(executionParams: $wanted) {
    __typename ... on LaunchRunSuccess { run { id } } ... on PythonError { message }
  }
}"""
_RUN = """query($id: ID!) { runOrError(runId: $id) { ... on Run { status startTime endTime tags { key value } } } }"""
_RUNS = "{ runsOrError { ... on Runs { results { id status tags { key value } } } } }"
_HEALTH = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"


def composition(environment: Mapping[str, str]) -> dict[str, Any]:
    """deploy/compose.yaml with its variables filled in: `${NAME:-default}` and `${NAME:?message}`."""

    def filled(found: re.Match[str]) -> str:
        name, default = found["name"], found["default"]
        if name not in environment and default is None:
            raise KeyError(f"compose.yaml asks for {name}")
        return environment.get(name, default)

    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{(?P<name>\w+)(:-(?P<default>[^}]*)|:\?[^}]*)?\}", filled, text))
    return read


@dataclass
class Composed:
    """A deployment in the directory `path`: its database runs, its services are started by name.

    `settings` stand in for the file that compose.yaml takes as `env_file`.
    """

    path: Path
    database: Postgres
    settings: Mapping[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, str] = field(default_factory=lambda: {port: str(free_port()) for port in (UI_PORT, CODE_PORT)})

    @cached_property
    def services(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = composition(self.database.environment)["services"]
        return found

    @property
    def state(self) -> Path:
        return self.path / "state"

    def prepare(self) -> None:
        """What the volumes of the containers hold when they first start."""
        for mounted in self.services["code"]["volumes"]:
            source, inside, *_ = mounted.split(":")
            if source.startswith("."):
                place = self._here(inside)
                Path(place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(DEPLOY / source, place)

    def environment(self, service: str) -> dict[str, str]:
        """Variables of a service; nothing of this process's but where programs are."""
        named = {name: str(value) for name, value in self.services[service]["environment"].items()}
        image = {"CBI_HOME": str(self.state), "DAGSTER_HOME": str(self.state / "dagster")}
        here = {"CBI_CODE_HOST": "127.0.0.1", "CBI_CODE_PORT": self.ports[CODE_PORT]} | self.database.environment
        kept = {name: os.environ[name] for name in ("HOME", "PYTHONPATH", "LANG", "TZ") if name in os.environ}
        programs = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        return kept | programs | image | dict(self.settings) | named | here

    def command(self, service: str) -> list[str]:
        return [self._here(self.ports.get(word, word)) for word in self.services[service]["command"]]

    def _here(self, word: str) -> str:
        if word == "0.0.0.0":
            return "127.0.0.1"
        for inside, place in ((STATE, self.state), ("/etc/cbi", self.path / "etc")):
            if word.startswith(inside):
                return str(place) + word.removeprefix(inside)
        return word

    def start(self, *services: str) -> None:
        for service in services:
            with (self.path / f"{service}.log").open("ab") as log:
                self.running[service] = subprocess.Popen(
                    self.command(service), cwd=self.state, env=self.environment(service), stdout=log, stderr=log,
                    stdin=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
            if service == "code":
                self.until(lambda: self.healthy("code"), "the code is served")
            if service == "webserver":
                self.until(self._answers, "the web server answers")

    def initialize(self) -> None:
        """The service that ends before the others start."""
        done = subprocess.run(self.command("init"), env=self.environment("init"), cwd=self.state, capture_output=True)
        assert done.returncode == 0, done.stderr

    def healthy(self, service: str) -> bool:
        """What the container's health check says."""
        test = [self.ports.get(word, word) for word in self.services[service]["healthcheck"]["test"][1:]]
        return subprocess.run(test, env=self.environment(service), cwd=self.state, capture_output=True).returncode == 0

    def cbi(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """A command in the container of the code."""
        command = [sys.executable, "-m", "cbi_dagster.cli", *map(str, arguments)]
        return subprocess.run(
            command, env=self.environment("code"), cwd=self.state, capture_output=True, text=True, timeout=600
        )

    def tree(self, service: str) -> list[int]:
        """Ids of a service's process and of all below it."""
        return Page(self.path, 0, self.running[service]).processes

    def worker(self, run_id: str) -> int:
        """The process that executes a run: the one below the code that holds its claim."""
        claim = str(self.state / "claims" / f"{run_id}.lock")
        for process in self.tree("code"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if any(os.readlink(handle) == claim for handle in Path(f"/proc/{process}/fd").iterdir()):
                    return process
        raise AssertionError(f"no process executes run {run_id}")

    def kill(self, *services: str) -> None:
        """What happens to a container whose machine stops: all of it at once."""
        for service in services:
            processes = self.tree(service)
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            self.running.pop(service).wait()

    def stop(self) -> None:
        """Every service, asked first."""
        for service in reversed(list(self.running)):
            processes, first = self.tree(service), self.running.pop(service)
            first.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                first.wait(60)
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            first.wait()

    # -- through the web server's own interface ------------------------------------------------------------------------

    def ask(self, query: str, **variables: object) -> Any:
        """An answer; asked again for two minutes: connections that a database's restart broke fail once each."""
        page = Page(self.path, int(self.ports[UI_PORT]), self.running["webserver"])
        deadline = time.monotonic() + 120
        while True:
            try:
                return page.ask(query, **variables)
            except urllib.error.HTTPError:
                assert time.monotonic() < deadline, self.told("webserver")
                time.sleep(1)

    def _answers(self) -> bool:
        try:
            self.ask("{version}")
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def daemons(self) -> dict[str, bool]:
        """Which daemons are needed, and whether each is well."""
        found = self.ask(_HEALTH)["instance"]["daemonHealth"]["allDaemonStatuses"]
        return {item["daemonType"]: item["healthy"] for item in found if item["required"]}

    def launch(self, tables: tuple[str, ...], first: str, last: str) -> str:
        """Ask for a run of tables over a range of partitions; its id."""
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        wanted = {
            "selector": _ASSET_JOB | {"assetSelection": [{"path": name.split(".")} for name in tables]},
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        launched = self.ask(_LAUNCH, wanted=wanted)["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(_RUN, id=run_id)["runOrError"]
        return found | {"tags": {tag["key"]: tag["value"] for tag in found["tags"]}}

    def retries(self, run_id: str) -> list[str]:
        """Ids of runs that repeat a run."""
        runs = self.ask(_RUNS)["runsOrError"]["results"]
        return [run["id"] for run in runs if {"key": "dagster/root_run_id", "value": run_id} in run["tags"]]

    def ended(self, run_id: str) -> str:
        """The status that a run ends with."""
        over = ("SUCCESS", "FAILURE", "CANCELED")
        self.until(lambda: self.run(run_id)["status"] in over, f"run {run_id} is over")
        return str(self.run(run_id)["status"])

    def until(self, holds: Any, what: str, seconds: float = 900.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            for service, process in self.running.items():
                assert process.poll() is None, f"{service} has ended: {self.told(service)}"
            assert time.monotonic() < deadline, f"{what}? " + " ".join(self.told(name) for name in self.running)
            time.sleep(0.5)

    def told(self, service: str) -> str:
        """The end of what a service has printed."""
        return (self.path / f"{service}.log").read_text(encoding="utf-8", errors="replace")[-3000:]


@contextlib.contextmanager
def composed(path: Path, database: Postgres, settings: Mapping[str, str]) -> Iterator[Composed]:
    """Code, web server and daemon over a database, in the block."""
    made = Composed(path, database, settings)
    made.prepare()
    try:
        made.initialize()
        made.start("code", "webserver", "daemon")
        yield made
    finally:
        made.stop()
