"""The register of landed files: which of them hold, and what was read of them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cbi_dagster.vendors.files import shown
from cbi_dagster.vendors.kept_aside import KeptAside
from cbi_dagster.vendors.kinds import Examined, LandedFile
from cbi_dagster.vendors.scratch import scratch_directory

#: Rows of files that are kept in memory, and merged at once.
ROWS_AT_ONCE = 500_000

#: Rows of files beyond those that wait in a scratch directory: about 90 bytes each, of bars.
ROWS_ASIDE = 20_000_000

#: A file is of many months beyond a quarter; one of few rows is as well in memory.
_MANY_MONTHS, _FEW_ROWS = pd.Timedelta(days=92), 10_000

_HASH_DIGITS = 6  # of which a hash is named


class NotLandedError(LookupError):
    """A file that is to be withdrawn is not among the landed ones, or not the only one of its name."""


@dataclass(frozen=True)
class Register:
    """All rows of `ops.landed_files` in order, and all of `ops.landed_symbols`."""

    log: list[LandedFile]
    symbols: pd.DataFrame

    @property
    def kept(self) -> list[LandedFile]:
        """The files that were not withdrawn, in landing order."""
        last = {row.file_hash: row for row in self.log}
        return sorted((row for row in last.values() if pd.isna(row.withdrawn_at)), key=lambda row: row.landing_sequence)

    @property
    def current(self) -> list[LandedFile]:
        """The files that hold, in landing order: those that were kept and that nothing is to be said against."""
        return [row for row in self.kept if pd.isna(row.refused_because)]

    def as_of(self, instant: pd.Timestamp) -> Register:
        """The register as it was at an instant (inclusive): what was landed or withdrawn later is not in it."""
        moments = (row.landed_at if pd.isna(row.withdrawn_at) else row.withdrawn_at for row in self.log)
        log = [row for row, moment in zip(self.log, moments, strict=True) if moment <= instant]
        return Register(log, self.symbols)


class Remembered:
    """What was read of files by their hash.

    What was asked for last is in memory, as far as ROWS_AT_ONCE reaches. What goes from there waits in a scratch
    directory, as far as ROWS_ASIDE reaches and the disk has room; what is not there either is read of its file again. A
    file of many months, of which each span of trade dates that is merged takes a part, is always kept aside.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # tables of one layer may be made at the same time
        self._files: dict[str, Examined] = {}
        self._rows = 0
        self._aside: dict[str, KeptAside[Examined]] = {}
        self._rows_aside = 0
        self._scratch: Path | None = None

    def add(self, file_hash: str, examined: Examined) -> None:
        rows = _rows(examined)
        with self._lock:
            if file_hash in self._files or file_hash in self._aside:
                return
            if rows > _FEW_ROWS and examined.end - examined.start > _MANY_MONTHS:
                self._put_aside(file_hash, examined)
                return
            self._files[file_hash] = examined
            self._rows += rows
            while self._rows > ROWS_AT_ONCE:
                first = next(iter(self._files))
                going = self._files.pop(first)
                self._rows -= _rows(going)
                if self._rows_aside < ROWS_ASIDE:
                    self._rows_aside += _rows(going)
                    self._put_aside(first, going)

    def get(self, file_hash: str) -> Examined | None:
        with self._lock:
            aside = self._aside.get(file_hash)
            if aside is not None:
                return aside.value()
            found = self._files.pop(file_hash, None)
            if found is not None:
                self._files[file_hash] = found
            return found

    def _put_aside(self, file_hash: str, examined: Examined) -> None:
        # Where there is no room, the file itself can be read again.
        with suppress(OSError):
            self._aside[file_hash] = KeptAside.of(examined, self._directory() / file_hash)

    def _directory(self) -> Path:
        """The scratch directory, which goes with this object."""
        if self._scratch is None:
            stack = ExitStack()
            self._scratch = stack.enter_context(scratch_directory())
            weakref.finalize(self, stack.close)
        return self._scratch


def _rows(examined: Examined) -> int:
    return len(examined.kept) + len(examined.rejected)


def the_one(files: Sequence[LandedFile], which: str) -> LandedFile:
    """The file of this name, or of a hash that begins so."""
    named = [file for file in files if file.source_file == shown(Path(which).name)]
    found = named or [file for file in files if len(which) >= _HASH_DIGITS and file.file_hash.startswith(which.lower())]
    if not found:
        raise NotLandedError(f"no landed file is called {shown(which)}, and no hash begins so: see ops.landed_files")
    if len(found) > 1:
        hashes = ", ".join(file.file_hash[:12] for file in found)
        raise NotLandedError(f"{len(found)} landed files are called {shown(which)}: say which, by its hash ({hashes})")
    return found[0]
