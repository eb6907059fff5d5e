"""The vendor's historical API through its official client: asked again where that helps, and no key in any word.

The client asks once and raises. Here a busy server (429), a failing one (5xx) and a line that breaks before anything
was sent are asked again, later each time and as late as `Retry-After` says; whatever else the vendor refuses is raised
at once. What may have been charged is never asked for again here: a broken stream is raised, and whoever keeps the
books decides. Errors are told without their frames and without what the client had in hand.
"""

from __future__ import annotations

import base64
import datetime as dt
import email.utils
import errno
import ipaddress
import random
import re
import time
import urllib.parse
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import requests

from cbi_dagster.vendors.databento.asking import Request, Span, Word
from cbi_dagster.vendors.files import shown

_ATTEMPTS = 6
_METADATA_PAUSE_S = 0.05  # the vendor answers twenty questions a second
_T = TypeVar("_T")

KEY_VARIABLE = "DATABENTO_API_KEY"

#: The vendor's schemas that something is made of.
SCHEMAS = ("ohlcv-1m", "ohlcv-1h", "ohlcv-1d", "statistics", "definition")


class VendorError(RuntimeError):
    """The vendor did not give what was asked for. `status`: that of HTTP, if there was an answer."""

    def __init__(self, what: str, status: int | None = None) -> None:
        super().__init__(what)
        self.status = status


class KeyRefusedError(VendorError):
    """There is no key, or the vendor does not accept it."""


class EndBeyondError(VendorError):
    """The vendor has data until `available_end` only."""

    def __init__(self, what: str, available_end: pd.Timestamp) -> None:
        super().__init__(what, 422)
        self.available_end = available_end


class BrokenStreamError(VendorError):
    """Data stopped coming, or is not what was asked for: what was sent may have been charged."""


@dataclass(frozen=True)
class Range:
    """Of which time the vendor has data, by schema; ends are exclusive."""

    spans: Mapping[str, Span]

    @property
    def end(self) -> pd.Timestamp:
        """The end of what is newest."""
        return max(end for _, end in self.spans.values())

    def __str__(self) -> str:
        return ", ".join(f"{schema} {end:%Y-%m-%d %H:%M}" for schema, (_, end) in sorted(self.spans.items()))


@dataclass(frozen=True)
class Job:
    """A batch job of the account: what was asked for, and how far it is (queued, processing, done, expired)."""

    id: str
    state: str
    asked: Request


class Vendor:
    """The vendor's API with a key, at the vendor's or at a server on this machine (`gateway`).

    `pause` waits so many seconds; `backoff_s` is the first wait before asking again, `patience_s` what all waits for
    one answer come to at most. Raises KeyRefusedError for a key that cannot be one, ValueError for a gateway elsewhere.
    """

    def __init__(
        self,
        key: str,
        gateway: str = "",
        *,
        backoff_s: float = 1.0,
        patience_s: float = 600.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        if not re.fullmatch(r"[!-~]+", key):
            # Not shown: a key with a blank in it is one all the same.
            raise KeyRefusedError(f"{KEY_VARIABLE} is not set, or is no key: letters, digits and signs without blanks")
        self._secrets = (key, base64.b64encode(f"{key}:".encode()).decode())
        self._key, self._gateway, self._backoff_s, self._pause = key, loopback(gateway), backoff_s, pause
        self._patience_s = patience_s
        self._made: Any = None

    def __repr__(self) -> str:
        return f"Vendor({self._gateway or 'Databento'})"

    @property
    def _client(self) -> Any:
        if self._made is None:
            # It takes a quarter of a second to import.
            import databento

            client = databento.Historical(self._key)
            if self._gateway:
                # The client makes https of every gateway that it is given; its own paths are all that is replaced.
                for api in (client.batch, client.metadata, client.symbology, client.timeseries):
                    api._base_url = self._gateway + urllib.parse.urlsplit(api._base_url).path
            self._made = client
        return self._made

    # -- what costs nothing -------------------------------------------------------------------------------------------

    def range(self, dataset: str) -> Range:
        said = self._metadata(f"the range of {dataset}", lambda api: api.get_dataset_range(dataset))
        # An answer without schemas is about all of them.
        stated = said.get("schema") or dict.fromkeys(SCHEMAS, said)
        return Range({schema: (_instant(span["start"]), _instant(span["end"])) for schema, span in stated.items()})

    def words(self, dataset: str, first: dt.date, last: dt.date) -> dict[dt.date, Word]:
        """What the vendor says of its UTC days from `first` to `last` (both inclusive); days without trading lack."""
        said = self._metadata(
            f"the days of {dataset}", lambda api: api.get_dataset_condition(dataset, str(first), str(last))
        )
        return {dt.date.fromisoformat(day["date"]): Word(day["condition"], _date(day)) for day in said}

    def cost(self, request: Request) -> float:
        """What a request costs, in dollars."""
        return float(self._metadata(f"what {request} costs", lambda api: api.get_cost(**_fields(request))))

    def size(self, request: Request) -> int:
        """What a request is charged by, in bytes."""
        return int(self._metadata(f"how large {request} is", lambda api: api.get_billable_size(**_fields(request))))

    def count(self, request: Request) -> int:
        """How many records a request has."""
        return int(self._metadata(f"the records of {request}", lambda api: api.get_record_count(**_fields(request))))

    def known_spans(self, dataset: str, stype_in: str, symbols: Sequence[str], span: Span) -> dict[str, Span]:
        """From when to when the vendor knows each symbol within a period; symbols that it does not know lack."""
        first, last = span[0].date(), (span[1] - pd.Timedelta(1, "ns")).date()
        said = self._asked(
            f"which contracts {', '.join(symbols[:3])} stood for",
            lambda: self._client.symbology.resolve(
                dataset, list(symbols), stype_in, "instrument_id", str(first), str(last + dt.timedelta(days=1))
            ),
        )
        found = {}
        for symbol, intervals in said["result"].items():
            days = [(one["d0"], one["d1"]) for one in intervals if one["s"]]
            if days:
                start, end = min(day for day, _ in days), max(day for _, day in days)
                found[symbol] = pd.Timestamp(start, tz="UTC"), pd.Timestamp(end, tz="UTC")
        return found

    # -- what is paid for ---------------------------------------------------------------------------------------------

    def stream(self, request: Request, path: Path) -> list[str]:
        """Write the records of a request to a new file; the vendor's warnings.

        Raises BrokenStreamError when something may have been charged and is not there as a whole, OSError when it could
        not be written. What is left of the file is the caller's.
        """

        def streamed() -> None:
            store = self._client.timeseries.get_range(**_fields(request), path=path)
            store.reader.close()

        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            self._asked(str(request), streamed, paid=True)
        return [self._scrubbed(warning.message) for warning in told if "Bento" in warning.category.__name__]

    def submit(self, request: Request) -> str:
        """Submit a batch job of files by month; its id. It is charged now, and its files may be fetched for 30 days."""
        said = self._asked(
            f"a job of {request}",
            lambda: self._client.batch.submit_job(**_fields(request), split_duration="month"),
            paid=True,
            twice=False,
        )
        return str(said["id"])

    def job(self, job_id: str) -> Job:
        said = self._asked(f"job {job_id}", lambda: self._client.batch.get_job_details(job_id))
        symbols = said["symbols"].split(",") if isinstance(said["symbols"], str) else said["symbols"]
        start, end = _instant(said["start"]), _instant(said["end"])
        asked = Request(said["dataset"], said["schema"], said["stype_in"], tuple(sorted(symbols)), start, end)
        return Job(job_id, str(said["state"]), asked)

    def jobs_since(self, moment: pd.Timestamp) -> list[Job]:
        """The account's jobs that were received since then."""
        said = self._asked("the jobs of the account", lambda: self._client.batch.list_jobs(since=moment))
        return [self.job(str(one["id"])) for one in said]

    def download(self, job_id: str, directory: Path, progress: Callable[[int, int], None]) -> list[str]:
        """Fetch the files of a finished job into `directory`/<job>, with their manifest; what is there is kept.

        A file that was cut short goes on where it ended. Gives the names of the files. Raises VendorError for one
        whose hash is not the manifest's; it is removed, and can be fetched again for nothing.
        """
        listed = self._asked(f"the files of job {job_id}", lambda: self._client.batch.list_files(job_id))
        names = [str(file["filename"]) for file in listed]
        for number, name in enumerate(names):
            progress(number, len(names))
            if Path(name).name != name or "\\" in name:
                raise VendorError(f"job {job_id} has a file {shown(name)}, which would be written elsewhere")
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.filterwarnings("ignore", category=ResourceWarning)
                try:
                    self._asked(f"{name} of job {job_id}", partial(self._fetched, job_id, directory, name))
                except Warning as warning:
                    (directory / job_id / name).unlink(missing_ok=True)
                    told = f"{name} of job {job_id}: {self._scrubbed(warning)}; run the same again, it costs nothing"
                    raise VendorError(told) from None
        if "manifest.json" not in names:
            import json

            manifest = json.dumps({"job_id": job_id, "files": listed})
            (directory / job_id / "manifest.json").write_text(manifest, encoding="utf-8")
        return names

    def _fetched(self, job_id: str, directory: Path, name: str) -> None:
        self._client.batch.download(job_id=job_id, output_dir=directory, filename_to_download=name)

    # -- asking -------------------------------------------------------------------------------------------------------

    def _metadata(self, what: str, call: Callable[[Any], _T]) -> _T:
        self._pause(_METADATA_PAUSE_S)
        return self._asked(what, lambda: call(self._client.metadata))

    def _asked(self, what: str, call: Callable[[], _T], *, paid: bool = False, twice: bool = True) -> _T:
        """What a call of the client gives. Its errors are raised as ours, and where that may help it is made again.

        `paid`: it is charged for, so that a line that breaks is a BrokenStreamError. With `twice` False a failing
        server is one too: it may have done what it did not say.
        """
        from databento.common.error import BentoError, BentoHttpError

        waited_s = 0.0
        for attempt in range(_ATTEMPTS):
            try:
                return call()
            except BentoHttpError as error:
                trouble: VendorError = self._told(what, error)
                failing = error.http_status >= 500
                again = error.http_status == 429 or (failing and twice)
                if failing and not twice:
                    trouble = BrokenStreamError(str(trouble), error.http_status)
                stated = _seconds(error.headers.get("Retry-After"))
            except (BentoError, requests.RequestException) as error:
                cause = error.__context__
                if isinstance(cause, OSError) and not isinstance(cause, requests.RequestException):
                    told = f"{what} could not be written ({cause.strerror}); make room, and the same command goes on"
                    raise OSError(cause.errno or errno.EIO, told) from None
                reached = not isinstance(error, requests.ConnectTimeout) and "NewConnectionError" not in str(error)
                kind = BrokenStreamError if paid and reached else VendorError
                trouble = kind(f"{what}: the line to the vendor broke ({self._scrubbed(error)})")
                again, stated = kind is VendorError, None
            wait_s = self._backoff_s * 2**attempt * random.uniform(0.75, 1.25) if stated is None else stated
            waited_s += wait_s
            if not again or attempt == _ATTEMPTS - 1 or waited_s > self._patience_s:
                raise trouble from None
            self._pause(wait_s)
        raise AssertionError("unreachable")

    def _told(self, what: str, error: Any) -> VendorError:
        """An answer of the vendor that is an error, in words that say what to do."""
        status, said = int(error.http_status), self._scrubbed(error)
        if status in (401, 403):
            return KeyRefusedError(f"the vendor does not accept the key in {KEY_VARIABLE} ({said}): check it", status)
        detail = error.json_body.get("detail") if isinstance(error.json_body, dict) else None
        if isinstance(detail, dict) and detail.get("case") == "data_end_after_available_end":
            end = (detail.get("payload") or {}).get("available_end")
            if end:
                return EndBeyondError(f"{what}: there is data until {end} only", _instant(end))
        advice = "try again later" if status == 429 or status >= 500 else "the request is at fault, nothing was charged"
        return VendorError(f"{what}: the vendor answers {said}; {advice}", status)

    def _scrubbed(self, said: object) -> str:
        """Text without the key, whoever repeats it."""
        text = str(said)
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return shown(" ".join(text.split()), 600)


def loopback(gateway: str) -> str:
    """A gateway on this machine, "" for the vendor's. Raises ValueError for one that would get the key elsewhere."""
    if not gateway:
        return ""
    parts = urllib.parse.urlsplit(gateway)
    host = parts.hostname or ""
    try:
        here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = False
    if parts.scheme not in ("http", "https") or not here or parts.username:
        raise ValueError(f"the gateway {shown(gateway)} is not on this machine, e.g. http://127.0.0.1:9060")
    return f"{parts.scheme}://{parts.netloc}"


def _fields(request: Request) -> dict[str, Any]:
    """A request in the client's words."""
    return {
        "dataset": request.dataset,
        "schema": request.schema,
        "symbols": list(request.symbols),
        "stype_in": request.stype_in,
        "start": request.start,
        "end": request.end,
    }


def _instant(stated: str) -> pd.Timestamp:
    """An instant of the vendor's; it states them in UTC, with a zone or without."""
    return pd.to_datetime(stated, utc=True)


def _date(day: Mapping[str, Any]) -> dt.date | None:
    stated = day.get("last_modified_date")
    return None if not stated else dt.date.fromisoformat(stated)


def _seconds(stated: str | None) -> float | None:
    """How long `Retry-After` says to wait: seconds, or a date."""
    if stated is None:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", stated):
        return float(stated)
    try:
        moment = email.utils.parsedate_to_datetime(stated)
    except ValueError:
        return None
    return max((moment - dt.datetime.now(dt.UTC)).total_seconds(), 0.0)
