"""Compressed files as plain bytes: whole or not at all, and never more than a bound."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard

from cbi_dagster.vendors.files import AGAIN, CorruptFileError, TruncatedFileError, UnreadableFileError

MAX_DECODED_BYTES = 2**30
"""The largest content of one file."""

ZSTD_MAGIC, _GZIP_MAGIC = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"
_FEED_BYTES = 2**16
_ZSTD_FEED = 2**12  # a zstd block takes four bytes at least and decodes to at most 128 KiB: 128 MiB beyond the bound
_GZIP_WINDOW = 31


def plain(path: Path, data: bytes) -> bytes:
    """The content of a file's zstd frames or gzip members, one after the other; data of neither as it is.

    Raises TruncatedFileError, CorruptFileError or, beyond MAX_DECODED_BYTES, UnreadableFileError.
    """
    if data[:4] == ZSTD_MAGIC:
        decompressor = zstandard.ZstdDecompressor()
        return _whole(path, data, decompressor.decompressobj, _ZSTD_FEED)
    if data[:2] == _GZIP_MAGIC:
        return _whole(path, data, lambda: zlib.decompressobj(_GZIP_WINDOW), _FEED_BYTES)
    return data


def _whole(path: Path, data: bytes, begin: Callable[[], Any], feed: int) -> bytes:
    """Walks from frame to frame: an unfinished one must not pass for a whole one."""
    rest = memoryview(data)
    whole = io.BytesIO()  # grows in place, and hands its content over without a copy
    try:
        while len(rest):
            frame = begin()
            while not frame.eof:
                if not len(rest):
                    raise TruncatedFileError(path, "its last compressed frame is incomplete", AGAIN)
                fed = rest[:feed]
                whole.write(frame.decompress(fed))
                if whole.tell() > MAX_DECODED_BYTES:
                    raise UnreadableFileError(
                        path,
                        f"it unpacks to more than {MAX_DECODED_BYTES // 2**20} MiB",
                        "Request the data split by month or by size",
                    )
                rest = rest[len(fed) - len(frame.unused_data) :]
    except (zstandard.ZstdError, zlib.error, MemoryError) as error:
        raise CorruptFileError(path, f"it cannot be decompressed ({error})", AGAIN) from error
    return whole.getvalue()
