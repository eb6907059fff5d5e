"""The register of landed files: which of them hold, and what was read of them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cbi_dagster.vendors.files import shown
from cbi_dagster.vendors.kept_aside import KeptAside
from cbi_dagster.vendors.kinds import Examined, LandedFile
from cbi_dagster.vendors.scratch import scratch_directory

#: Rows of files that are kept in memory, and merged at once; files beyond them are read again.
ROWS_AT_ONCE = 500_000

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

    What was asked for last is in memory, as far as ROWS_AT_ONCE reaches. Of a file of many months, which is read again
    for each span of trade dates that is merged, the kept rows go to a scratch directory and are read from there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # tables of one layer may be made at the same time
        self._files: dict[str, Examined] = {}
        self._rows = 0
        self._long: dict[str, tuple[Examined, KeptAside]] = {}
        self._scratch: Path | None = None

    def add(self, file_hash: str, examined: Examined) -> None:
        rows = _rows(examined)
        with self._lock:
            if file_hash in self._files or file_hash in self._long:
                return
            long = rows > _FEW_ROWS and examined.end - examined.start > _MANY_MONTHS
            if long and (aside := KeptAside.of(examined.kept, self._directory() / file_hash)):
                self._long[file_hash] = replace(examined, kept=examined.kept.iloc[:0].copy()), aside
                return
            if rows <= ROWS_AT_ONCE:
                self._files[file_hash] = examined
                self._rows += rows
            while self._rows > ROWS_AT_ONCE:
                self._rows -= _rows(self._files.pop(next(iter(self._files))))

    def get(self, file_hash: str) -> Examined | None:
        with self._lock:
            if file_hash in self._long:
                examined, aside = self._long[file_hash]
                return replace(examined, kept=aside.rows())
            found = self._files.pop(file_hash, None)
            if found is not None:
                self._files[file_hash] = found
            return found

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
