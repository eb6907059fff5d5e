"""Fetching: what the vendor has and we lack is asked for, verified and landed by the same door as files.

One request follows the other, each in a directory of its own below `CBI_HOME/fetched`, and its way stands in the books
(`ops.vendor_spend`) before and after every step that costs or changes something. Whoever is killed between any two
steps leaves what the next run goes on from: what was paid for and is here is landed, a batch job is fetched and not
submitted again, and of a stream whose end nobody saw the books say that it may have been charged.
"""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cbi_dagster.vendors.databento.asking import Request, Word
from cbi_dagster.vendors.databento.client import BrokenStreamError, EndBeyondError, Vendor, VendorError
from cbi_dagster.vendors.databento.receiving import records_of, require_whole
from cbi_dagster.vendors.databento.spending import OPEN, Books, Entry
from cbi_dagster.vendors.databento.survey import Outlook, Part, Survey, Told, silently
from cbi_dagster.vendors.files import DeliveryError, shown
from cbi_dagster.vendors.landing import DatasetMismatchError, Landing
from cbi_dagster.vendors.scratch import locked
from cbi_dagster.warehouse.contract import now_utc

_STREAMS_TRIED = 3
_POLL_S = 10.0
_ROOM_BYTES = 64 * 2**20
_REFUSALS = (DeliveryError, DatasetMismatchError, ExceptionGroup)


@dataclass
class FetchReport:
    """What a run did: requests that landed, what became of others, what the vendor warned of, and what was spent.

    `waiting`: batch jobs that are still at work; the same command fetches them when they are done.
    """

    landed: list[Request] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    dollars: float = 0.0
    new_files: int = 0
    corrections: int = 0


class Fetching:
    """The vendor's API on one side, the door and the books of a warehouse on the other.

    `directory` holds what is on its way.
    """

    def __init__(
        self,
        survey: Survey,
        landing: Landing,
        vendor: Vendor,
        books: Books,
        directory: Path,
        pause: Callable[[float], None],
    ) -> None:
        self.survey, self.books = survey, books
        self._landing, self._vendor, self._directory, self._pause = landing, vendor, directory, pause

    def run(self, outlook: Callable[[], Outlook], wait_s: float, told: Told = silently) -> FetchReport:
        """Finish what earlier runs left, and fetch what `outlook` finds then. No other run of this directory is at it.

        Batch jobs are waited for as long as `wait_s`. What was received is landed whatever happens to the rest. Raises
        OverCapError before a request that costs too much is sent, VendorError, OSError.
        """
        report = FetchReport()
        self._directory.mkdir(parents=True, exist_ok=True)
        with locked(self._directory):
            try:
                self._resume(report, told)
                found = outlook()
                for number, part in enumerate(found.parts):
                    told(str(part.request), number, len(found.parts))
                    self._fetch(part, found.words, report)
                self._await_jobs(report, wait_s, told)
            finally:
                self._land(report, told)
        return report

    def unfinished(self) -> list[Entry]:
        """Requests that an earlier run has left in the middle."""
        return [entry for entry in self.books.entries() if entry.request_state in OPEN]

    def job_is_done(self, entry: Entry) -> bool:
        """Whether the batch job of a request can be fetched, or never will be."""
        return entry.job_id is not None and self._vendor.job(entry.job_id).state in ("done", "expired")

    def _fetch(self, part: Part, words: Mapping[dt.date, Word], report: FetchReport) -> None:
        if part.batch:
            return self._submit(part.request, report)
        for attempt in range(_STREAMS_TRIED):
            request, dollars = self.survey.clamped(part.request, self._vendor.cost)
            records = self._vendor.count(request)
            self.books.require_room(request, dollars, report.dollars)
            self._require_disk(request, records)
            entry = self.books.open(request, "stream", dollars, records)
            report.dollars += dollars
            try:
                return self._receive(entry, words, report)
            except BrokenStreamError as error:
                self.books.broken(entry, str(error))
                if attempt == _STREAMS_TRIED - 1:
                    raise
            except VendorError as error:
                report.dollars -= dollars
                self.books.failed(entry, str(error))
                if not isinstance(error, EndBeyondError) or attempt == _STREAMS_TRIED - 1:
                    raise
        return None

    def _receive(self, entry: Entry, words: Mapping[dt.date, Word], report: FetchReport) -> None:
        """Stream a request into its directory: under its name only when it is whole."""
        request, place = entry.request, self._place(entry)
        part = place / f"{request.file_name}.part"
        place.mkdir()
        (place / "condition.json").write_text(_conditions(request, words, entry.asked_at), encoding="utf-8")
        try:
            report.warnings += self._vendor.stream(request, part)
            require_whole(part, request, entry.record_count)
        except (VendorError, OSError):
            shutil.rmtree(place, ignore_errors=True)
            raise
        self._keep(entry, part)

    def _keep(self, entry: Entry, part: Path) -> None:
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.rename(part.with_name(part.name.removesuffix(".part")))
        self.books.received(entry)

    def _place(self, entry: Entry) -> Path:
        return self._directory / entry.request_id

    def _require_disk(self, request: Request, records: int) -> None:
        """Before it is paid for: a record takes less than a hundred bytes, but definitions, which compress well."""
        needed, free = records * 100 + _ROOM_BYTES, shutil.disk_usage(self._directory).free
        if free < needed:
            told = f"{request} needs {needed >> 20} MiB and {free >> 20} MiB are free; nothing was asked for"
            raise OSError(errno.ENOSPC, told, str(self._directory))

    # -- batch jobs ---------------------------------------------------------------------------------------------------

    def _submit(self, request: Request, report: FetchReport) -> None:
        request, dollars = self.survey.clamped(request, self._vendor.cost)
        self.books.require_room(request, dollars, report.dollars)
        records = self._vendor.count(request)
        self._require_disk(request, records)
        entry = self.books.open(request, "batch", dollars, records)
        report.dollars += dollars
        try:
            self.books.submitted(entry, self._vendor.submit(request))
        except BrokenStreamError as error:
            if not self._adopt(entry):
                report.dollars -= dollars
                self.books.failed(entry, str(error))
                raise
        except VendorError as error:
            report.dollars -= dollars
            self.books.failed(entry, str(error))
            raise

    def _adopt(self, entry: Entry) -> bool:
        """Whether a job was submitted of which nobody has heard; it is known from then on."""
        taken = {other.job_id for other in self.books.entries()}
        # The vendor's clock is not ours.
        for job in self._vendor.jobs_since(entry.asked_at - pd.Timedelta(hours=1)):
            if job.id not in taken and job.asked == entry.request:
                self.books.submitted(entry, job.id)
                return True
        return False

    def _await_jobs(self, report: FetchReport, wait_s: float, told: Told) -> None:
        """Fetch the files of jobs that are done within `wait_s`."""
        while waiting := [entry for entry in self.unfinished() if entry.request_state == "submitted"]:
            for entry in waiting:
                state = self._vendor.job(str(entry.job_id)).state
                if state == "done":
                    self._download(entry, report, told)
                elif state == "expired":
                    self.books.broken(entry, f"job {entry.job_id} has expired before it was fetched")
            left = [entry for entry in self.unfinished() if entry.request_state == "submitted"]
            if left and wait_s <= 0:
                report.waiting = [f"job {entry.job_id}: {entry.request}" for entry in left]
                return
            if left:
                told(f"waiting for job {left[0].job_id}", 0, len(left))
                self._pause(min(_POLL_S, wait_s))
                wait_s -= _POLL_S

    def _download(self, entry: Entry, report: FetchReport, told: Told) -> None:
        place, request = self._place(entry), entry.request
        place.mkdir(exist_ok=True)

        def counted(done: int, total: int) -> None:
            told(f"fetching job {entry.job_id}", done, total)

        names = self._vendor.download(str(entry.job_id), place, counted)
        files = [place / str(entry.job_id) / name for name in names if name.endswith(".dbn.zst")]
        found = sum(records_of(file, request, whole=False) for file in files)
        if found != entry.record_count:
            why = f"{request}: {found:,} records came with job {entry.job_id}, the vendor has {entry.record_count:,}"
            self.books.broken(entry, why)
            shutil.rmtree(place, ignore_errors=True)
            raise BrokenStreamError(why)
        self.books.received(entry)

    # -- what earlier runs left, and the door -------------------------------------------------------------------------

    def _resume(self, report: FetchReport, told: Told) -> None:
        """Settle requests that a run which was killed had sent: what came of them is in their directories."""
        for entry in self.unfinished():
            if entry.request_state != "sent":
                continue
            told(f"finding out what became of {entry.request}", 0, 1)
            if entry.request_mode == "batch":
                if not self._adopt(entry):
                    self.books.failed(entry, "the run was ended before it was submitted")
                continue
            file = self._place(entry) / entry.request.file_name
            part = file.with_name(f"{file.name}.part")
            try:
                if file.exists():
                    self.books.received(entry)
                    continue
                require_whole(part, entry.request, entry.record_count)
                self._keep(entry, part)
            except BrokenStreamError:
                self.books.broken(entry, "the run was ended while it was under way: it may have been charged")
                shutil.rmtree(self._place(entry), ignore_errors=True)
        open_now = {entry.request_id for entry in self.books.entries() if entry.request_state in (*OPEN, "refused")}
        for left in self._directory.iterdir():
            if left.name not in open_now:
                shutil.rmtree(left, ignore_errors=True)

    def _land(self, report: FetchReport, told: Told) -> None:
        """Land what was received: all at once, or each by itself where the door refuses one."""
        received = [entry for entry in self.books.entries() if entry.request_state == "received"]
        received.sort(key=lambda entry: (entry.span_start, entry.asked_at))
        gone = [entry for entry in received if not self._place(entry).is_dir()]
        for entry in gone:
            self.books.broken(entry, f"what was received is no longer in {self._directory}")
        there = [entry for entry in received if entry not in gone]
        if not there:
            return
        try:
            self._through_the_door(there, report, told)
        except _REFUSALS:
            for entry in there:
                try:
                    self._through_the_door([entry], report, told)
                except _REFUSALS as error:
                    why = shown(" ".join(str(one) for one in getattr(error, "exceptions", [error])), 600)
                    self.books.refused(entry, f"{why} (kept in {self._place(entry)})")
                    report.refused[str(entry.request)] = f"{why} It is kept in {self._place(entry)}"

    def _through_the_door(self, entries: Sequence[Entry], report: FetchReport, told: Told) -> None:
        found = self._landing.land([self._place(entry) for entry in entries], told)
        new = found.files[found.files["outcome"] == "landed"]
        moment = new["landed_at"].iloc[0] if len(new) else now_utc()
        report.new_files += int((new["vendor_schema"] != "conditions").sum())
        report.corrections += len(found.corrections)
        self.books.landed(entries, moment)
        for entry in entries:
            report.landed.append(entry.request)
            shutil.rmtree(self._place(entry), ignore_errors=True)


def _conditions(request: Request, words: Mapping[dt.date, Word], asked_at: pd.Timestamp) -> str:
    """What the vendor had said of the days of a request, as the condition.json of a delivery.

    When it was asked stands beside it: each asking is a statement of its own, also where it repeats an earlier one.
    """
    last = (request.end - pd.Timedelta(1, "ns")).date()
    return json.dumps(
        [
            {
                "date": str(day),
                "condition": word.condition,
                "last_modified_date": None if word.modified is None else str(word.modified),
                "asked_at": asked_at.isoformat(),
            }
            for day, word in sorted(words.items())
            if request.start.date() <= day <= last
        ]
    )
