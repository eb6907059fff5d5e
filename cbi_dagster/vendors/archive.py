"""Where delivered files are kept as they came, by content hash."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

from cbi_dagster.vendors.files import AGAIN, Content, DeliveredFile, UnreadableFileError, content_of


class Archive:
    """Files below a directory, each under its hash and the end of its name, which says its format."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, path: Path, sha256: str, name: str) -> None:
        """Keep a copy of the file at `path`, whose content has this hash; a copy that was cut short is never seen.

        A copy that was damaged since is replaced: landing the file again is what the error about it asks for. Raises
        HashMismatchError when the file at `path` has changed since it was hashed.
        """
        target = self._place(sha256, name)
        if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == sha256:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{uuid.uuid4().hex}.part")
        partial.write_bytes(content_of(DeliveredFile(path, name, sha256)).data)
        partial.replace(target)

    def get(self, sha256: str, name: str) -> Content:
        """The content of a kept file: what was believed at landing must still be what is read.

        Raises UnreadableFileError, TruncatedFileError or HashMismatchError.
        """
        place = self._place(sha256, name)
        if not place.exists():
            raise UnreadableFileError(place, f"the landed file {name} is missing from the archive", AGAIN)
        return content_of(DeliveredFile(place, name, sha256))

    def _place(self, sha256: str, name: str) -> Path:
        return self._root / sha256[:2] / f"{sha256}.{name.partition('.')[2]}"
