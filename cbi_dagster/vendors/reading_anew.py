"""Landed files are read anew when the code or the settings under which they were read are others now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables import ops
from cbi_dagster.vendors.files import DeliveryError, shown, unforeseen
from cbi_dagster.vendors.kinds import LandedFile
from cbi_dagster.vendors.landed import LandedFiles, Progress, landed_file, quietly, rows_of
from cbi_dagster.vendors.register import Register, Remembered
from cbi_dagster.warehouse.contract import LandingFacts, RegistryMovedError, now_utc
from cbi_dagster.warehouse.ledger import NOTHING
from cbi_dagster.warehouse.plan import stale_sources


@dataclass(frozen=True)
class ReadAnew:
    """What reading a landing source anew found: trade dates whose content `changed`, and others that were `confirmed`.

    A trade date that is no longer among those of the files counts as changed. `refused`: what is said of files that the
    present rules take no longer: they count for nothing from then on.
    """

    files: int
    changed: int
    confirmed: int
    refused: tuple[str, ...] = ()


class ReadingAnew(LandedFiles):
    """Landed files that are read anew where they are stale."""

    def stale(self) -> dict[str, str]:
        """Landing sources that must be read anew, with the reason: other code or settings read them last."""
        ledgers = self._warehouse.ledger_by_table(self._source_of.values())
        digests = self._code.digests(self._warehouse)

        def changes(source: str, earlier: str) -> tuple[str, ...] | None:
            return self._code.changes_since(self._warehouse, source, earlier)

        found = stale_sources(ledgers, digests, changes)
        with_rows = {file.vendor_schema for file in Register(self._log(), pd.DataFrame()).current if file.kept_rows}
        for schema in with_rows & self._source_of.keys():
            if self._source_of[schema] not in ledgers:
                found[self._source_of[schema]] = "the ledger has lost what was landed"
        return found

    def read_anew(self, progress: Progress = quietly) -> dict[str, ReadAnew]:
        """Judge and read the kept files of every stale source again, by source, as if they were landed now.

        All that is known of them changes at once. Trade dates whose content comes out equal are confirmed, and nothing
        that is made of them is stale. A kept file that the present rules refuse counts for nothing, as if it were not
        landed. Raises a DeliveryError for one that is missing from the archive or damaged there.
        """
        while sources := self.stale():
            register = self._register()
            facts, found = self._read_again(register, sources, progress)
            self._code.record(self._warehouse)
            try:
                self._warehouse.retake(facts, sources)
            except RegistryMovedError:
                continue  # another process has landed files meanwhile: they are read as well
            return found
        return {}

    def landed_by(self, instant: pd.Timestamp) -> list[LandedFile]:
        """The files that were landed and not withdrawn at an instant (inclusive), in landing order."""
        return Register(self._log(), pd.DataFrame()).as_of(instant).kept

    def take_over(
        self, other: LandedFiles, files: Sequence[LandedFile], progress: Progress = quietly
    ) -> dict[str, ReadAnew]:
        """Take `files` of another landing, in this order and as of the times at which it took them, where none are.

        They are judged as `read_anew` does. What the archive has already, of a call that was cut short, it keeps.
        Raises RegistryMovedError where files have been landed here, and what `read_anew` raises.
        """
        log = [file._replace(landing_sequence=at, refused_because=None) for at, file in enumerate(files)]
        sources = {self._source_of[file.vendor_schema] for file in log}
        with self._archive.landing():
            for number, file in enumerate(log):
                progress("taking landed files", number, len(log))
                self._archive.take_over(other._archive, file.file_hash, file.source_file, shared=True)
            symbols = rows_of(ops.LANDED_SYMBOLS, [])
            facts, found = self._read_again(Register(log, symbols), sources, progress)
            self._code.record(self._warehouse)
            self._warehouse.retake(replace(facts, registered=0), sources)
            self._archive.settle({file.file_hash for file in log})
        return found

    def _read_again(
        self, register: Register, sources: Collection[str], progress: Progress
    ) -> tuple[LandingFacts, dict[str, ReadAnew]]:
        """All that there is to know of landed files once those of `sources` are judged and read by the present code."""
        moment, remembered = now_utc(), Remembered()
        again, rejected = self._judged_again(register, sources, remembered, progress)
        again, corrections = self._agreeing(again, remembered)
        files = again.current
        landed = self._together(files, again.symbols, [], remembered)
        entries, found = [rows_of(ops.PARTITION_LEDGER, [])], {}
        for source in sources:
            (schema,) = (schema for schema, own in self._source_of.items() if own == source)
            before = self._warehouse.ledger_by_table([source]).get(source, NOTHING)
            every = self._kind_of[schema].trade_dates(landed.of(schema), landed)
            own = rows_of(ops.PARTITION_LEDGER, [*self._hashed(schema, every, landed, moment, progress)])
            entries.append(own)
            changed = int((own["written_at"] == moment).sum()) + len(np.setdiff1d(before.keys, every))
            confirmed = int((own["written_at"] != moment).sum())
            refused = tuple(
                str(file.refused_because)
                for file in again.kept
                if file.vendor_schema == schema and not pd.isna(file.refused_because)
            )
            found[source] = ReadAnew(len(landed.of(schema)), changed, confirmed, refused)
        rows = {
            ops.LANDED_FILES: pd.DataFrame(again.log, columns=LandedFile._fields),
            ops.LANDED_SYMBOLS: again.symbols,
            ops.QUARANTINE: rows_of(ops.QUARANTINE, rejected),
            ops.CORRECTIONS: rows_of(ops.CORRECTIONS, [self._earlier_corrections(files), *corrections]),
        }
        return LandingFacts(len(register.log), rows, rows_of(ops.PARTITION_LEDGER, entries)), found

    def _judged_again(
        self, register: Register, sources: Collection[str], remembered: Remembered, progress: Progress
    ) -> tuple[Register, list[pd.DataFrame]]:
        """The register with what the present code says of the files of `sources`, and these files' rejects.

        A file that is no longer taken stays as it was recorded, and says why.
        """
        kept = {file.file_hash for file in register.kept}
        judged: dict[str, LandedFile] = {}
        kept_symbols, rejected = [], []
        hashes = {file.file_hash: file for file in register.log}
        for number, (file_hash, file) in enumerate(hashes.items()):
            progress("reading landed files anew", number, len(hashes))
            known = register.symbols[register.symbols["file_hash"] == file_hash]
            if self._source_of[file.vendor_schema] not in sources:
                kept_symbols.append(known)
                continue
            try:
                content = self._archive.get(file_hash, file.source_file)
            except DeliveryError:
                if file_hash in kept:
                    raise
                kept_symbols.append(known)
                continue
            try:
                examined = self._kind_of[file.vendor_schema].examine(content, file.landed_at)
            except DeliveryError as error:
                judged[file_hash] = file._replace(refused_because=_said(file, error))
                kept_symbols.append(known)
                continue
            except Exception as error:
                raise unforeseen(content.path, error) from error
            remembered.add(file_hash, examined)
            judged[file_hash] = landed_file(content, examined, file.landed_at)
            kept_symbols.append(examined.symbols.assign(file_hash=file_hash))
            rejected.append(self._rejected(file, examined))
        log = [
            judged[row.file_hash]._replace(
                source_file=row.source_file,
                landing_sequence=row.landing_sequence,
                landed_at=row.landed_at,
                withdrawn_at=row.withdrawn_at,
                refused_because=judged[row.file_hash].refused_because if row.file_hash in kept else None,
            )
            if row.file_hash in judged
            else row
            for row in register.log
        ]
        return Register(log, rows_of(ops.LANDED_SYMBOLS, kept_symbols)), rejected

    def _agreeing(self, register: Register, remembered: Remembered) -> tuple[Register, list[pd.DataFrame]]:
        """The register in which a file that contradicts those before it is refused, and what the others correct."""
        found, said = [], dict[str, str]()
        landed = self._together(register.current, register.symbols, [], remembered)
        for file in register.current:
            before = replace(landed, files=[other for other in landed.files if other.file_hash not in said])
            try:
                found.append(self._corrections(file, before))
            except DeliveryError as error:
                said[file.file_hash] = _said(file, error)
        log = [
            row._replace(refused_because=said[row.file_hash]) if row.file_hash in said else row for row in register.log
        ]
        return Register(log, register.symbols), found

    def _earlier_corrections(self, current: Sequence[LandedFile]) -> pd.DataFrame:
        """Recorded corrections of files that no longer hold, or not as they were landed then, and of withdrawals."""
        recorded = to_frame(ops.CORRECTIONS, self._warehouse.read(ops.CORRECTIONS))
        holding = pd.MultiIndex.from_tuples(
            [(file.file_hash, file.landed_at) for file in current], names=["file_hash", "landed_at"]
        )
        return recorded[~pd.MultiIndex.from_frame(recorded[["file_hash", "landed_at"]]).isin(holding)]


def _said(file: LandedFile, error: DeliveryError) -> str:
    """What is said of a kept file that is refused: it is known by the name that it was delivered under."""
    return f"{shown(file.source_file)}: {error.what}. {error.what_to_do}, or `cbi unland {file.file_hash[:12]}`"
