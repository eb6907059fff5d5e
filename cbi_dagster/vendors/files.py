"""Delivered files: what is known of one before it is opened, its content, and why one is refused."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

AGAIN = "Download or copy the file again and land it once more"

MAX_FILE_BYTES = 4 * 2**30
"""The largest file that is read."""


def shown(text: object, limit: int = 300) -> str:
    """Text of a file, or its name, as it may be printed and stored: escaped and, beyond `limit` characters, cut."""
    found = str(text)
    if len(found) <= limit and found.isprintable():
        return found
    printable = (
        letter if letter.isprintable() else letter.encode("unicode_escape", "backslashreplace").decode()
        for letter in found[:limit]
    )
    return "".join(printable) + (f" … ({len(found)} characters)" if len(found) > limit else "")


class DeliveryError(Exception):
    """A delivery that cannot be taken: which file, what is wrong with it, what to do about it.

    Whatever the file says of itself is escaped and shortened: all three can be printed.
    """

    def __init__(self, file: Path, what: str, what_to_do: str) -> None:
        super().__init__(file, what, what_to_do)
        self.file, self.what, self.what_to_do = file, shown(what, 600), what_to_do

    def __str__(self) -> str:
        return f"{shown(self.file)}: {self.what}. {self.what_to_do}."


class UnreadableFileError(DeliveryError):
    """A path that is missing, of an unknown kind, unsafe to unpack, or not readable at all."""


def unforeseen(path: Path, error: Exception) -> DeliveryError:
    """A failure that nobody has a name for is one of the file that was being read."""
    return UnreadableFileError(
        path,
        f"reading it failed ({type(error).__name__}: {error})",
        "Leave it out, or download it again; if that does not help, report this with the file",
    )


class TruncatedFileError(DeliveryError):
    """A file that ends before its content does."""


class CorruptFileError(DeliveryError):
    """A file whose bytes cannot be decoded."""


class HashMismatchError(DeliveryError):
    """A file whose content is not what the manifest of its delivery, or the register of landed files, promises."""


class ConcatenatedFileError(DeliveryError):
    """Two files in one."""


class LiveRecordingError(DeliveryError):
    """A recording of a live feed, which does not say which period it states."""


class ImplausibleValuesError(DeliveryError):
    """A file whose values no market had: prices in another unit, or times of another zone."""


class HeaderMismatchError(DeliveryError):
    """A file whose rows contradict its own header."""


class UnresolvedSymbolsError(DeliveryError):
    """A file for which the vendor could not resolve some of the requested symbols."""


class UnsupportedSchemaError(DeliveryError):
    """A file of a schema, or of a symbology, that is not landed."""


class LaterFeatureError(UnsupportedSchemaError):
    """A sound file of a schema that nothing is made of yet; it is left where it lies."""


class LayoutError(DeliveryError):
    """A CSV or Parquet file that does not have the documented columns."""


@dataclass(frozen=True)
class DeliveredFile:
    """A data file: its name, which says its format, and what is promised of its content, if anything.

    `symbology` is the vendor's symbology.json of its delivery, for files that do not say whose bars they hold.
    """

    path: Path
    name: str
    sha256: str | None = None
    size: int | None = None
    symbology: DeliveredFile | None = None


@dataclass(frozen=True)
class Content:
    """The bytes of a delivered file and their hash, and the symbology.json of its delivery, not read yet."""

    path: Path
    name: str
    data: bytes
    sha256: str
    symbology: DeliveredFile | None = None


def content_of(file: DeliveredFile) -> Content:
    """The content of a file, which is not empty and what was promised.

    Raises UnreadableFileError, TruncatedFileError or HashMismatchError.
    """
    path = file.path
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a FIFO or a device might never end
            raise UnreadableFileError(path, "it is no regular file", "Leave it out of the delivery")
        if status.st_size > MAX_FILE_BYTES:
            raise UnreadableFileError(
                path,
                f"its {status.st_size} bytes are more than the {MAX_FILE_BYTES // 2**30} GiB that are read at once",
                "Request the data split by month or by size",
            )
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableFileError(path, "this file is listed, but it is not there", AGAIN) from error
    except OSError as error:
        raise UnreadableFileError(
            path, f"the file cannot be read ({error.strerror})", "Check its name and its permissions"
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if file.size is not None and len(data) < file.size:
        raise TruncatedFileError(path, f"{len(data)} of {file.size} bytes are there", AGAIN)
    if file.sha256 is not None and digest != file.sha256:
        raise HashMismatchError(path, f"its sha256 is {digest}, {file.sha256} was expected", AGAIN)
    if not data:
        raise TruncatedFileError(path, "the file is empty (0 bytes)", AGAIN)
    return Content(path, file.name, data, digest, file.symbology)


def some(names: Iterable[str]) -> str:
    """Names for a message: the first five in alphabetical order, and how many others there are."""
    listed = sorted(set(names))
    return ", ".join(shown(name, 60) for name in listed[:5]) + (
        f" and {len(listed) - 5} others" if len(listed) > 5 else ""
    )
