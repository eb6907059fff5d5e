"""Temporary directories that no killed process leaves behind for long."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "cbi-delivery-"


@contextmanager
def scratch_directory(parent: Path | None = None) -> Iterator[Path]:
    """A directory below `parent` (the system's one for temporary files without it) that is gone after the block.

    A process holds the lock of its directory; those of processes that were killed are removed here, since their locks
    went with them.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    with locked(place):  # so that no directory is seen between being made and being locked
        for left in place.glob(f"{_PREFIX}*"):
            if left.is_dir() and not left.is_symlink() and left.stat().st_uid == os.getuid():
                _remove_if_left(left)
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        held = os.open(directory, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(held)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """A block in which no other process holds this directory's lock; it leaves no file."""
    held = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _remove_if_left(directory: Path) -> None:
    try:
        held = os.open(directory, os.O_RDONLY)
    except FileNotFoundError:  # its process has just ended
        return
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(held)
