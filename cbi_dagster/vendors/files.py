"""Delivered files: what is known of one before it is opened, its content, and why one is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

AGAIN = "Download or copy the file again and land it once more"


class DeliveryError(Exception):
    """A delivery that cannot be taken: which file, what is wrong with it, what to do about it."""

    def __init__(self, file: Path, what: str, what_to_do: str) -> None:
        super().__init__(file, what, what_to_do)
        self.file, self.what, self.what_to_do = file, what, what_to_do

    def __str__(self) -> str:
        return f"{self.file}: {self.what}. {self.what_to_do}."


class UnreadableFileError(DeliveryError):
    """A path that is missing, of an unknown kind, unsafe to unpack, or not readable at all."""


class TruncatedFileError(DeliveryError):
    """A file that ends before its content does."""


class CorruptFileError(DeliveryError):
    """A file whose bytes cannot be decoded."""


class HashMismatchError(DeliveryError):
    """A file whose content is not what the manifest of its delivery, or the register of landed files, promises."""


class HeaderMismatchError(DeliveryError):
    """A file whose rows contradict its own header."""


class UnresolvedSymbolsError(DeliveryError):
    """A file for which the vendor could not resolve some of the requested symbols."""


class UnsupportedSchemaError(DeliveryError):
    """A file of a schema, or of a symbology, that is not landed."""


class LayoutError(DeliveryError):
    """A CSV or Parquet file that does not have the documented columns."""


@dataclass(frozen=True)
class DeliveredFile:
    """A data file: its name, which says its format, and what is promised of its content, if anything."""

    path: Path
    name: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Content:
    """The bytes of a delivered file and their hash."""

    path: Path
    name: str
    data: bytes
    sha256: str


def content_of(file: DeliveredFile) -> Content:
    """The content of a file, which is not empty and what was promised.

    Raises UnreadableFileError, TruncatedFileError or HashMismatchError.
    """
    path = file.path
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableFileError(path, "this file is listed, but it is not there", AGAIN) from error
    except OSError as error:
        raise UnreadableFileError(path, f"the file cannot be read ({error})", "Check its permissions") from error
    digest = hashlib.sha256(data).hexdigest()
    if file.size is not None and len(data) < file.size:
        raise TruncatedFileError(path, f"{len(data)} of {file.size} bytes are there", AGAIN)
    if file.sha256 is not None and digest != file.sha256:
        raise HashMismatchError(path, f"its sha256 is {digest}, {file.sha256} was expected", AGAIN)
    if not data:
        raise TruncatedFileError(path, "the file is empty (0 bytes)", AGAIN)
    return Content(path, file.name, data, digest)


def some(names: Iterable[str]) -> str:
    """Names for a message: the first five in alphabetical order, and how many others there are."""
    listed = sorted(set(names))
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} others" if len(listed) > 5 else "")
