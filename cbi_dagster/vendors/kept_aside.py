"""What waits in a file, of which only what is looked at comes into memory."""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

_ALIGNED = 64  # bytes, as arrays want to begin


@dataclass(frozen=True)
class KeptAside(Generic[T]):
    """A value in a file of a directory that is this user's alone, with its arrays (those of frames too) as they are.

    `spans`: where its pickle and then each of its arrays lie in the file, from byte to byte (exclusive).
    """

    file: Path
    spans: Sequence[tuple[int, int]]

    @staticmethod
    def of(value: T, file: Path) -> KeptAside[T]:
        """A copy of a value in a new file. Raises OSError, and leaves no file, where there is no room for it."""
        arrays: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(value, protocol=5, buffer_callback=arrays.append)
        spans = []
        try:
            with file.open("xb") as out:
                for part in (memoryview(pickled), *(array.raw() for array in arrays)):
                    out.seek(-out.tell() % _ALIGNED, 1)
                    begins = out.tell()
                    out.write(part)
                    spans.append((begins, out.tell()))
        except OSError:
            file.unlink(missing_ok=True)
            raise
        return KeptAside(file, spans)

    def value(self) -> T:
        """The value; its arrays are mapped into memory as long as they are held. Nobody can write to them."""
        with self.file.open("rb") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        pickled, *arrays = (whole[first:end] for first, end in self.spans)
        value: T = pickle.loads(pickled, buffers=arrays)
        return value
