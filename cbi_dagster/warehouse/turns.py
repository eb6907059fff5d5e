"""Processes take turns at a DuckDB file.

DuckDB locks the file that it opens, but reads its header before: a process that opens it while another closes it has
the lock and the header of before, and what the other has committed meanwhile is gone, without an error (seen in 2.0.0).
So a process asks for its turn first, by a lock on a file beside that one, and looks at it only then. Threads of a
process share its turn, as they share DuckDB's one instance of the file, and none opens it while another is closing it.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout


class OthersTurnError(Exception):
    """Another process has the file."""


class _Turn:
    """This process's turn at a file: `lock` counts how often it is held here, and ends with the process in any case."""

    def __init__(self, path: Path) -> None:
        self.lock = FileLock(f"{path}.lock", thread_local=False)
        self.mutex = threading.Lock()

    def take(self) -> None:
        try:
            self.lock.acquire(blocking=False)
        except Timeout as error:
            raise OthersTurnError from error


#: One of each file, which the threads of this process share.
_turn_at = functools.cache(_Turn)


@contextlib.contextmanager
def connected(path: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the file for the block, in which no other process opens it.

    `read_only`: where nothing may be written, not even the lock beside the file, DuckDB's own lock is all there is.
    Raises OthersTurnError at once, and what DuckDB raises.
    """
    turn = _turn_at(path.resolve())
    with turn.mutex, contextlib.ExitStack() as opening:
        if not read_only:
            turn.take()
            opening.callback(turn.lock.release)
        connection = duckdb.connect(str(path), read_only=read_only)
        opening.callback(connection.close)
        held = opening.pop_all()
    try:
        yield connection
    finally:
        with turn.mutex:
            held.close()
