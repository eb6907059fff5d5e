"""A PostgreSQL server of its own, from the machine's packages, on a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

USER, PASSWORD, DATABASE = "dagster", "of-no-use-elsewhere", "dagster"


def binaries() -> Path | None:
    """Where initdb and pg_ctl of the newest version on this machine are; None where there are none."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(re.sub(r"\D", "", path.parts[4]) or 0)
    )
    if found:
        return found[-1].parent
    known = shutil.which("pg_ctl")
    return Path(known).resolve().parent if known else None


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass(frozen=True)
class Postgres:
    """A server that runs: what DAGSTER_PG_* say of it, and how to stop and start it."""

    programs: Path
    directory: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(self.port),
            "DAGSTER_PG_USER": USER,
            "DAGSTER_PG_PASSWORD": PASSWORD,
            "DAGSTER_PG_DB": DATABASE,
        }

    def start(self) -> None:
        listen = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self.directory}"
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-l", str(self.directory / "log"), "-w", "start",
                  "-o", listen)  # fmt: skip

    def stop(self, how: str = "fast") -> None:
        """`fast` breaks connections; `immediate` is a crash."""
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-w", "-m", how, "stop")

    def create(self) -> None:
        (self.directory / "password").write_text(PASSWORD, encoding="utf-8")
        self._run("initdb", "-D", str(self.directory / "data"), "-U", USER, "-A", "scram-sha-256", "-E", "UTF8",
                  "--pwfile", str(self.directory / "password"), "--no-sync")  # fmt: skip
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, DATABASE)

    def _run(self, program: str, *arguments: str) -> None:
        who: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        done = subprocess.run(
            [str(self.programs / program), *arguments], cwd=self.directory, env={"PGPASSWORD": PASSWORD, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=600, **who,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stderr}"


@contextlib.contextmanager
def served() -> Iterator[Postgres]:
    """A new server with an empty database, for the block; it must be there (`binaries`)."""
    programs = binaries()
    assert programs is not None
    # Its owner must reach it: a server does not run as root, and a test's own directory belongs to whoever tests.
    directory = Path(tempfile.mkdtemp(prefix="cbi-postgres-"))
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(directory, account.pw_uid, account.pw_gid)
    server = Postgres(programs, directory, free_port())
    try:
        server.create()
        yield server
    finally:
        with contextlib.suppress(AssertionError):  # a test may have stopped it
            server.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)
