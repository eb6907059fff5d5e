"""Landing: verified files become the platform's bars and macro series, by content hash and in landing order.

Files are kept as delivered, under their hash, and decoded on demand. A file is taken once; where files state the same,
the later one wins and the change is recorded. All facts of a landing, the content hash of every trade date it touches
included, are committed at once: a broken file changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cbi_dagster.catalog.tables import ops
from cbi_dagster.vendors.arrivals import Arrival, Gathered, LandingReport, Withdrawal, landing_report
from cbi_dagster.vendors.delivery import Delivery, open_delivery
from cbi_dagster.vendors.files import (
    Content,
    DeliveredFile,
    DeliveryError,
    LaterFeatureError,
    content_of,
    shown,
    unforeseen,
)
from cbi_dagster.vendors.kinds import Examined, Landed, LandedFile
from cbi_dagster.vendors.landed import KINDS, Progress, correction_rows, landed_file, quietly, rows_of
from cbi_dagster.vendors.reading_anew import ReadingAnew
from cbi_dagster.vendors.register import Register, Remembered, the_one
from cbi_dagster.warehouse.contract import SIMULATED, LandingFacts, RegistryMovedError, now_utc


class DatasetMismatchError(ValueError):
    """Files of another vendor dataset than the warehouse holds or takes: simulated and real data never mix."""


def is_delivered_name(name: str) -> bool:
    """Whether a file of this name can be landed, alone or as a batch zip."""
    return name.endswith(".zip") or any(kind.recognises(name) for kind in KINDS)


class Landing(ReadingAnew):
    """The door of one warehouse: taking files and withdrawing them, beside reading what they hold."""

    def land(self, paths: Sequence[Path], progress: Progress = quietly, again: bool = False) -> LandingReport:
        """Verify deliveries and take their new files: all of them, or none. Later `paths` win over earlier ones.

        With `again`, a file that was landed before and overruled since wins as if it were new. `progress(stage, done,
        total)` is called as files are worked on. Raises DeliveryError for a broken file, an ExceptionGroup of them for
        several, or DatasetMismatchError; no table has changed then.
        """
        with ExitStack() as stack:
            deliveries = [self._opened(path, stack) for path in paths]
            while True:
                gathered = self._gather(deliveries, progress, again)
                try:
                    self._commit(gathered)
                except RegistryMovedError:
                    continue  # another process has landed files meanwhile: what is new is asked again
                return landing_report(deliveries, gathered)

    def unland(self, which: str) -> Withdrawal:
        """Withdraw the landed file of this name, or of a hash that begins so: what it had changed comes back.

        Trade dates that no other file is about are known no longer.
        The file stays in the archive and in the records; landing it once more takes it anew. Raises NotLandedError.
        """
        while True:
            register, moment = self._register(), now_utc()
            file = the_one(register.kept, which)
            kind, source = self._kind_of[file.vendor_schema], self._source_of[file.vendor_schema]
            before = self._together(register.current, register.symbols, [], Remembered())
            held = file in before.files
            returned = kind.returns(file, before) if held else pd.DataFrame()
            after = replace(before, files=[other for other in before.files if other.file_hash != file.file_hash])
            record = file._replace(landing_sequence=len(register.log), withdrawn_at=moment)
            rows = {
                ops.LANDED_FILES: rows_of(ops.LANDED_FILES, [pd.DataFrame([record], columns=LandedFile._fields)]),
                ops.CORRECTIONS: rows_of(ops.CORRECTIONS, [correction_rows(returned, file, moment)]),
            }
            dates = kind.trade_dates([file] if held else [], before)
            every = kind.trade_dates(after.of(file.vendor_schema), after)
            hashed = self._hashed(file.vendor_schema, np.intersect1d(dates, every), after, moment)
            ledger = rows_of(ops.PARTITION_LEDGER, list(hashed))
            gone = {source: np.setdiff1d(dates, every).astype(str).tolist()}
            self._code.record(self._warehouse)
            try:
                self._warehouse.take(LandingFacts(len(register.log), rows, ledger, gone))
            except RegistryMovedError:
                continue
            return Withdrawal(record, rows[ops.CORRECTIONS])

    def _opened(self, path: Path, stack: ExitStack) -> Delivery:
        try:
            return stack.enter_context(open_delivery(path, self._kinds))
        except DeliveryError:
            raise
        except Exception as error:
            raise unforeseen(path, error) from error

    def _gather(self, deliveries: Sequence[Delivery], progress: Progress, again: bool) -> Gathered:
        """All that there is to know of the delivered files; nothing has changed yet."""
        landed_at, remembered = now_utc(), Remembered()
        register = self._register()
        current = register.current
        arrivals, left = self._examine(
            deliveries, {file.file_hash for file in current}, landed_at, remembered, progress
        )
        arrivals = self._overruled(arrivals, register, landed_at, remembered, again)
        found = [arrival for arrival in arrivals if arrival.landed]
        new = [
            arrival.landed._replace(landing_sequence=len(register.log) + number)
            for number, arrival in enumerate(found)
            if arrival.landed
        ]
        taken = {file.file_hash for file in new}
        files = [*(file for file in current if file.file_hash not in taken), *new]
        self._require_one_dataset(files)
        # What is known of content that was landed before and withdrawn is known still.
        recorded = {file.file_hash for file in register.log}
        first = [
            (arrival.landed, arrival.examined)
            for arrival in found
            if arrival.landed and arrival.examined and arrival.sha256 not in recorded
        ]
        added = [examined.symbols.assign(file_hash=file.file_hash) for file, examined in first]
        symbols = rows_of(ops.LANDED_SYMBOLS, [register.symbols, *added])
        landed = self._together(files, symbols, arrivals, remembered)
        rejected = [self._rejected(file, examined) for file, examined in first]
        rows = {
            ops.LANDED_FILES: rows_of(ops.LANDED_FILES, [pd.DataFrame(new, columns=LandedFile._fields)]),
            ops.LANDED_SYMBOLS: rows_of(ops.LANDED_SYMBOLS, added),
            ops.QUARANTINE: rows_of(ops.QUARANTINE, rejected),
            ops.CORRECTIONS: rows_of(ops.CORRECTIONS, [self._corrections(file, landed) for file in new]),
            ops.INGESTION_RUNS: _run_rows(new),
        }
        ledger = list(self._ledger_rows(new, landed, landed_at, progress))
        facts = LandingFacts(len(register.log), rows, rows_of(ops.PARTITION_LEDGER, ledger))
        return Gathered(arrivals, landed, facts, remembered, left)

    def _overruled(
        self,
        arrivals: Sequence[Arrival],
        register: Register,
        landed_at: pd.Timestamp,
        remembered: Remembered,
        again: bool,
    ) -> list[Arrival]:
        """The arrivals, those known already told apart by whether later files changed what they say."""
        current = {file.file_hash: file for file in register.current}
        landed = self._together(register.current, register.symbols, [], remembered)
        judged = []
        for arrival in arrivals:
            file = current.get(arrival.sha256)
            if file is not None and arrival.landed is None and self._changed_since(file, landed):
                winning = file._replace(landed_at=landed_at) if again else None
                arrival = replace(arrival, landed=winning, outcome="landed" if again else "overruled")
            judged.append(arrival)
        return judged

    def _changed_since(self, file: LandedFile, landed: Landed) -> bool:
        """Whether a file would change something if it were landed now, after files that came later."""
        others = [other for other in landed.files if other.file_hash != file.file_hash]
        later = [
            other
            for other in others
            if other.landing_sequence > file.landing_sequence
            and other.vendor_schema == file.vendor_schema
            and other.span_start < file.span_end
            and other.span_end > file.span_start
        ]
        if not later:
            return False
        dates = self._kind_of[file.vendor_schema].trade_dates([file], landed)
        now, then = (
            rows_of(ops.PARTITION_LEDGER, [*self._hashed(file.vendor_schema, dates, files, file.landed_at)])
            for files in (landed, replace(landed, files=[*others, file._replace(landing_sequence=len(landed.files))]))
        )
        return not now["content_hash"].equals(then["content_hash"])

    def _commit(self, gathered: Gathered) -> None:
        """Keep the delivered files, and take what is known of the new ones.

        What was put in vain, by this process or by one that was killed, does not stay.
        """
        names = {file.file_hash: file.source_file for file in gathered.landed.files}
        with self._archive.landing():
            try:
                self._archive.settle({file.file_hash for file in self._register().log})
                for arrival in gathered.arrivals:
                    needed = arrival.file.symbology if arrival.examined and arrival.examined.by_symbology else None
                    self._archive.put(arrival.file.path, arrival.sha256, names[arrival.sha256], needed)
                if any(len(rows) for rows in gathered.facts.rows.values()):
                    self._code.record(self._warehouse)
                    self._warehouse.take(gathered.facts)
            finally:
                self._archive.settle({file.file_hash for file in self._register().log})
        for arrival in gathered.arrivals:
            file = arrival.landed if arrival.examined else None
            if (
                file
                and self._kind_of[file.vendor_schema].read_whole
                and (found := gathered.remembered.get(file.file_hash))
            ):
                self._decoded.put(file, self._code_version(file), found)

    def _examine(
        self,
        deliveries: Sequence[Delivery],
        known: set[str],
        landed_at: pd.Timestamp,
        remembered: Remembered,
        progress: Progress,
    ) -> tuple[list[Arrival], tuple[str, ...]]:
        """Every delivered file, those that are new read to their end; in order of time within each delivery.

        And what is said of those that nothing is made of yet, as long as there are others.
        """
        total, done = sum(len(delivery.files) for delivery in deliveries), itertools.count()
        arrivals: list[Arrival] = []
        broken: list[DeliveryError] = []
        later: list[LaterFeatureError] = []
        for delivery in deliveries:
            own = []
            for file in delivery.files:
                progress("reading files", next(done), total)
                try:
                    arrival, examined = self._read(file, known, landed_at)
                except LaterFeatureError as error:
                    later.append(error)
                except DeliveryError as error:
                    broken.append(error)
                except Exception as error:
                    broken.append(unforeseen(file.path, error))
                else:
                    own.append(arrival)
                    known.add(arrival.sha256)
                    if examined is not None:
                        remembered.add(arrival.sha256, examined)
            arrivals += sorted(own, key=lambda arrival: arrival.order)
        refused = broken if broken or arrivals else [*later]
        if len(refused) == 1:
            raise refused[0]
        if refused:
            raise ExceptionGroup(f"{len(refused)} of {total} files are refused", refused)
        return arrivals, tuple(f"{shown(error.file.name)}: {error.what}" for error in later)

    def _read(self, file: DeliveredFile, known: set[str], landed_at: pd.Timestamp) -> tuple[Arrival, Examined | None]:
        """A delivered file, and what it holds unless it is known already."""
        content = content_of(file)
        if content.sha256 in known:
            return Arrival(file, content.sha256, outcome="already landed"), None
        examined = self._examined(content, landed_at)
        # A copy, since a slice would keep all rows in memory.
        alone = replace(examined, kept=examined.kept.iloc[:0].copy())
        return Arrival(file, content.sha256, landed_file(content, examined, landed_at), alone), examined

    def _examined(self, content: Content, landed_at: pd.Timestamp) -> Examined:
        """What a file holds, by the kind whose it is: where its name leaves that open, the file itself says it."""
        *others, last = (kind for kind in self._kinds if kind.recognises(content.name))
        for kind in others:
            with suppress(LaterFeatureError):
                return kind.examine(content, landed_at)
        return last.examine(content, landed_at)

    def require_takes(self, dataset: str) -> None:
        """Raise DatasetMismatchError where files of a vendor's dataset would not be landed."""
        self._require_one_dataset(self._register().current, dataset)

    def _require_one_dataset(self, files: Sequence[LandedFile], *coming: str) -> None:
        datasets = {*coming, *(file.dataset for file in files if self._kind_of[file.vendor_schema].one_dataset)}
        simulated = sorted(name for name in datasets if name.startswith(SIMULATED))
        if simulated and not self._warehouse.takes_simulated:
            raise DatasetMismatchError(
                f"{', '.join(simulated)} is simulated, and this warehouse takes real data alone: "
                "land it in one of its own, a file or a server on this machine"
            )
        if len(datasets) > 1:
            raise DatasetMismatchError(
                f"the warehouse would mix the datasets {', '.join(sorted(datasets))}: "
                "land each dataset under a CBI_HOME of its own"
            )


def _run_rows(files: Sequence[LandedFile]) -> pd.DataFrame:
    """A row of `ops.ingestion_runs` for each file."""
    ended_at = now_utc()
    rows = [
        {
            "event_id": f"landing:{file.landing_sequence}:{file.file_hash}",
            "source": file.source_file,
            "run_status": "success",
            "started_at": file.landed_at,
            "ended_at": ended_at,
            "rows_in": file.file_rows,
            "rows_out": file.kept_rows,
            "rows_rejected": file.rejected_rows,
            "rows_held_back": 0,
        }
        for file in files
    ]
    return pd.DataFrame(rows).reindex(columns=[column.name for column in ops.INGESTION_RUNS.columns])
