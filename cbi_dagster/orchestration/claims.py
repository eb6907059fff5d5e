"""Which process executes a run: a lock file per run, so that a run whose process died is not under way for ever."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import dagster as dg

#: Seconds that nobody takes from making a lock file to locking it: what is older was left by a process that was killed.
_CLAIMING_S = 60.0

#: Claims that this process holds until it ends, by their lock file.
_held: dict[Path, sqlite3.Connection] = {}


@contextmanager
def claimed(claims: Path, run_id: str) -> Iterator[None]:
    """Hold the lock file of a run in the directory `claims` while this process executes it."""
    path, lock = _locked(claims, run_id)
    with closing(lock):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def claim(claims: Path, run_id: str) -> None:
    """Hold the lock file of a run from now on until this process ends, which is when nothing more can come of the run.

    For code inside the run, whose last events come when that code has ended. The file that is left is cleared away by
    whoever looks for orphans next.
    """
    if claims / f"{run_id}.lock" not in _held:
        path, lock = _locked(claims, run_id)
        _held[path] = lock


def _locked(claims: Path, run_id: str) -> tuple[Path, sqlite3.Connection]:
    """The lock file of a run, and what locks it: a lock of SQLite's own, which ends with its process in any case."""
    claims.mkdir(parents=True, exist_ok=True)
    path, fresh = claims / f"{run_id}.lock", claims / f"{run_id}.new"
    lock = None
    try:
        lock = sqlite3.connect(fresh, isolation_level=None, check_same_thread=False)
        lock.execute("PRAGMA journal_mode=OFF")  # nothing is written, so no other file need be there
        lock.execute("BEGIN EXCLUSIVE")
        # Under its name it is locked from the first moment: one that nobody holds is a dead process's.
        fresh.rename(path)
    except BaseException:
        if lock is not None:
            lock.close()
        for made in (fresh, path):
            made.unlink(missing_ok=True)
        raise
    return path, lock


def end_orphans(claims: Path, instance: dg.DagsterInstance) -> list[str]:
    """Report claimed runs as failed whose process died without a word; they would count as under way for ever.

    Returns the ids of these runs.
    """
    for path in [path for path in _held if path.parent == claims]:
        run = instance.get_run_by_id(path.stem)
        if run is None or run.is_finished:
            _held.pop(path).close()
    for path in claims.glob("*.new"):
        with suppress(FileNotFoundError):  # renamed just now
            if time.time() - path.stat().st_mtime > _CLAIMING_S:
                path.unlink()
    ended = []
    for path in claims.glob("*.lock"):
        there = f"{path.resolve().as_uri()}?mode=rw"
        try:
            with closing(sqlite3.connect(there, uri=True, timeout=0, isolation_level=None)) as lock:
                lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            continue  # its process lives, or has ended meanwhile and taken the file away
        if not path.exists():
            continue
        run = instance.get_run_by_id(path.stem)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, "the process that executed this run was killed")
            ended.append(run.run_id)
        path.unlink(missing_ok=True)
    return ended
