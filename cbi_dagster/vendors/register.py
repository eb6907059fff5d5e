"""The register of landed files: which of them hold, and what was read of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cbi_dagster.vendors.files import shown
from cbi_dagster.vendors.kinds import Examined, LandedFile

#: Rows of files that are kept in memory during a landing, and merged at once; files beyond them are read again.
ROWS_AT_ONCE = 2_000_000

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
    """What was read of files by their hash, as far as ROWS_AT_ONCE reaches."""

    def __init__(self) -> None:
        self._files: dict[str, Examined] = {}
        self._room = ROWS_AT_ONCE

    def add(self, file_hash: str, examined: Examined) -> None:
        rows = len(examined.kept) + len(examined.rejected)
        if rows <= self._room:
            self._files[file_hash] = examined
            self._room -= rows

    def get(self, file_hash: str) -> Examined | None:
        return self._files.get(file_hash)


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
