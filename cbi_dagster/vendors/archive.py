"""Where delivered files are kept as they came, by content hash."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from cbi_dagster.vendors.files import AGAIN, Content, DeliveredFile, UnreadableFileError, content_of
from cbi_dagster.vendors.scratch import locked

_COMING = ".coming"
_SYMBOLOGY = "symbology.json"


class Archive:
    """Files below a directory, each under its hash and the end of its name, which says its format.

    A file is put before its landing is committed and settles afterwards: what a process that failed or was killed has
    put is not the archive's, and the next landing clears it away.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def landing(self) -> Iterator[None]:
        """A block in which no other process puts files."""
        self._root.mkdir(parents=True, exist_ok=True)
        with locked(self._root):
            yield

    def put(self, path: Path, sha256: str, name: str, symbology: Path | None = None) -> None:
        """Take a copy of the file at `path`, whose content has this hash, and of the symbology that it needs.

        A copy that was damaged since it was kept is replaced: landing the file again is what the error about it asks
        for. Raises HashMismatchError when the file at `path` has changed since it was hashed.
        """
        target = self._place(sha256, name)
        if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == sha256:
            return
        self._write(target, content_of(DeliveredFile(path, name, sha256)).data)
        if symbology is not None:
            self._write(self._place(sha256, f".{_SYMBOLOGY}"), symbology.read_bytes())

    def settle(self, landed: Collection[str]) -> None:
        """Keep for good what was put of files with these hashes, and remove what was put of others."""
        if not self._root.exists():
            return
        for path in [*self._root.glob("*/*.part"), *self._root.glob(f"*/*{_COMING}")]:
            if path.name.endswith(_COMING) and path.name.partition(".")[0] in landed:
                path.replace(path.with_name(path.name.removesuffix(_COMING)))
                continue
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()

    def get(self, sha256: str, name: str) -> Content:
        """The content of a kept file: what was believed at landing must still be what is read.

        Raises UnreadableFileError, TruncatedFileError or HashMismatchError.
        """
        place = self._found(self._place(sha256, name))
        if place is None:
            raise UnreadableFileError(
                self._place(sha256, name), f"the landed file {name} is missing from the archive", AGAIN
            )
        symbology = self._found(self._place(sha256, f".{_SYMBOLOGY}"))
        return content_of(DeliveredFile(place, name, sha256, symbology=symbology))

    def _found(self, place: Path) -> Path | None:
        """A kept file, which may settle just now."""
        return next((at for at in (place, place.with_name(place.name + _COMING), place) if at.exists()), None)

    def _write(self, target: Path, data: bytes) -> None:
        """A copy that was cut short is never seen."""
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{uuid.uuid4().hex}.part")
        partial.write_bytes(data)
        partial.replace(target.with_name(target.name + _COMING))

    def _place(self, sha256: str, name: str) -> Path:
        ending = re.sub(r"[^A-Za-z0-9._-]", "_", name.partition(".")[2])[-100:]
        return self._root / sha256[:2] / f"{sha256}.{ending}"
