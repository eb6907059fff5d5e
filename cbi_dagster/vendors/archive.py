"""Where delivered files are kept as they came, by content hash."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import tempfile
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cbi_dagster.vendors.files import AGAIN, Content, DeliveredFile, UnreadableFileError, content_of
from cbi_dagster.vendors.scratch import locked

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_COMING = ".coming"
_PART = ".part"
_SYMBOLOGY = "symbology.json"
#: How long a landing on another machine may take until what it has put counts as left behind.
_OTHERS_TAKE = dt.timedelta(hours=6)


class Archive:
    """Files below a directory or an fsspec URL, each under its hash and the end of its name, which says its format.

    A file is put before its landing is committed and settles afterwards: what a process that failed or was killed has
    put is not the archive's, and a later landing clears it away. `lock`: a directory of this machine that landings into
    a URL exclude each other by; those of other machines are left some hours.
    """

    def __init__(self, place: Path | str, lock: Path | None = None) -> None:
        self._stated, self._stated_lock = str(place), lock
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    @cached_property
    def _opened(self) -> tuple[AbstractFileSystem, str]:
        """The file system and the place in it; opened when a file is asked for, since a plan asks for none."""
        from fsspec.core import url_to_fs

        files, root = url_to_fs(self._stated)
        return files, str(root)

    @property
    def _files(self) -> AbstractFileSystem:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1]

    @property
    def _local(self) -> bool:
        from fsspec.implementations.local import LocalFileSystem

        return isinstance(self._files, LocalFileSystem)

    @property
    def _lock(self) -> Path:
        return Path(self._root) if self._local or self._stated_lock is None else self._stated_lock

    @contextmanager
    def landing(self) -> Iterator[None]:
        """A block in which no other process of this machine puts files."""
        self._lock.mkdir(parents=True, exist_ok=True)
        with locked(self._lock):
            yield

    def put(self, path: Path, sha256: str, name: str, symbology: DeliveredFile | None = None) -> None:
        """Take a copy of the file at `path`, whose content has this hash, and of the symbology that it needs.

        A copy that was damaged since it was kept is replaced: landing the file again is what the error about it asks
        for. Raises HashMismatchError when the file at `path` has changed since it was hashed.
        """
        target = self._place(sha256, name)
        if self._files.exists(target) and hashlib.sha256(self._files.cat_file(target)).hexdigest() == sha256:
            return
        self._write(target, content_of(DeliveredFile(path, name, sha256)).data)
        if symbology is not None:
            self._write(self._place(sha256, f".{_SYMBOLOGY}"), content_of(symbology).data)

    def take_over(self, other: Archive, sha256: str, name: str, *, shared: bool = False) -> bool:
        """Take a copy of a file that another archive keeps; whether it was not here. Raises what `get` raises.

        `shared`: a second name for the same bytes is enough, where the file system has such. No archive writes into a
        file that it keeps.
        """
        target = self._place(sha256, name)
        if self._found(target) is not None:
            return False
        content = other.get(sha256, name)
        if content.symbology is not None:
            self._write(self._place(sha256, f".{_SYMBOLOGY}"), content_of(content.symbology).data)
        if not (shared and self._linked(content.path, target)):
            self._write(target, content.data)
        return True

    def _linked(self, path: Path, target: str) -> bool:
        """Whether the file at `path` could be given a second name."""
        if not self._local or not path.exists():
            return False
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target + _COMING)
        except OSError:  # another file system, or one without second names
            return False
        return True

    def settle(self, landed: Collection[str]) -> None:
        """Keep for good what was put of files with these hashes, and remove what was put of others."""
        self._files.invalidate_cache()
        for place in self._files.find(self._root):
            directory, _, name = place.rpartition("/")
            if name.endswith(_COMING) and name.partition(".")[0] in landed:
                self._files.mv(place, place.removesuffix(_COMING))
            elif name.endswith((_COMING, _PART)) and not self._may_be_coming(place):
                self._files.rm_file(place)
                if self._local and not any(Path(directory).iterdir()):
                    Path(directory).rmdir()

    def get(self, sha256: str, name: str) -> Content:
        """The content of a kept file: what was believed at landing must still be what is read.

        Raises UnreadableFileError, TruncatedFileError or HashMismatchError.
        """
        wanted = self._place(sha256, name)
        place = self._found(wanted)
        if place is None:
            raise UnreadableFileError(Path(wanted), f"the landed file {name} is missing from the archive", AGAIN)
        beside = self._found(self._place(sha256, f".{_SYMBOLOGY}"))
        symbology = None if beside is None else DeliveredFile(self._here(beside), _SYMBOLOGY)
        here = self._here(place)
        try:
            return content_of(DeliveredFile(here, name, sha256, symbology=symbology))
        finally:
            if not self._local:
                here.unlink(missing_ok=True)

    def _here(self, place: str) -> Path:
        """Where a kept file can be read: a copy of what lies elsewhere."""
        if self._local:
            return Path(place)
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory()
        copy = Path(self._scratch.name) / place.rpartition("/")[2]
        self._files.get_file(place, str(copy))
        return copy

    def _may_be_coming(self, place: str) -> bool:
        """Whether a landing on another machine may be putting this file now; of this one there is none."""
        if self._local:
            return False
        modified: dt.datetime = self._files.modified(place)
        return dt.datetime.now(dt.UTC) - modified.astimezone(dt.UTC) < _OTHERS_TAKE

    def _found(self, place: str) -> str | None:
        """A kept file, which may settle just now."""
        return next((at for at in (place, place + _COMING, place) if self._files.exists(at)), None)

    def _write(self, target: str, data: bytes) -> None:
        """A copy that was cut short is never seen."""
        directory = target.rpartition("/")[0]
        if self._local:
            Path(directory).mkdir(parents=True, exist_ok=True)
        partial = f"{directory}/{uuid.uuid4().hex}{_PART}"
        self._files.pipe_file(partial, data)
        self._files.mv(partial, target + _COMING)

    def _place(self, sha256: str, name: str) -> str:
        ending = re.sub(r"[^A-Za-z0-9._-]", "_", name.partition(".")[2])[-100:]
        return f"{self._root}/{sha256[:2]}/{sha256}.{ending}"
