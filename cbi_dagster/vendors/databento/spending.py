"""The books of what the vendor's API cost: written before a request is sent and when it has ended, and caps on them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.ops import VENDOR_SPEND
from cbi_dagster.vendors.databento.asking import Request
from cbi_dagster.warehouse.contract import Warehouse, now_utc

#: Requests whose end is not known yet, or whose data is not landed yet.
OPEN = ("sent", "submitted", "received")
#: Requests whose data is here, on its way, or was refused: it is not asked for again.
DELIVERED = ("submitted", "received", "landed", "refused")

_DAY = pd.Timedelta(days=1)


class OverCapError(RuntimeError):
    """A request would cost more than the caps allow; it was not sent."""


@dataclass(frozen=True)
class Caps:
    """What may be spent at most, in dollars: on one request, in one run, and within 24 hours."""

    request: float
    run: float
    day: float


#: The settings that the caps are.
CAP_SETTINGS: Mapping[str, str] = {
    "request": "CBI_DATABENTO_REQUEST_DOLLARS",
    "run": "CBI_DATABENTO_RUN_DOLLARS",
    "day": "CBI_DATABENTO_DAY_DOLLARS",
}


class Entry(NamedTuple):
    """A row of `ops.vendor_spend`."""

    request_id: str
    dataset: str
    vendor_schema: str
    stype_in: str
    request_symbols: str
    span_start: pd.Timestamp
    span_end: pd.Timestamp
    request_mode: str
    request_state: str
    spent: float
    record_count: int
    asked_at: pd.Timestamp
    ended_at: pd.Timestamp | None = None
    job_id: str | None = None
    error_message: str | None = None

    @property
    def request(self) -> Request:
        symbols = tuple(self.request_symbols.split(","))
        span = self.span_start, self.span_end
        return Request(self.dataset, self.vendor_schema, self.stype_in, symbols, *span)


class Books:
    """`ops.vendor_spend` of one warehouse."""

    def __init__(self, warehouse: Warehouse, caps: Caps) -> None:
        self._warehouse, self.caps = warehouse, caps

    def entries(self) -> list[Entry]:
        """All requests that were ever sent, in that order."""
        rows = to_frame(VENDOR_SPEND, self._warehouse.read(VENDOR_SPEND, columns=Entry._fields))
        rows = rows.sort_values(["asked_at", "request_id"]).astype(object)
        return [Entry(*row) for row in rows.where(rows.notna(), None).itertuples(index=False, name=None)]

    def open(self, request: Request, mode: str, dollars: float, records: int) -> Entry:
        """Write that a request is about to be sent."""
        return self._kept(
            Entry(
                request_id=uuid.uuid4().hex,
                dataset=request.dataset,
                vendor_schema=request.schema,
                stype_in=request.stype_in,
                request_symbols=",".join(request.symbols),
                span_start=request.start,
                span_end=request.end,
                request_mode=mode,
                request_state="sent",
                spent=dollars,
                record_count=records,
                asked_at=now_utc(),
            )
        )

    def submitted(self, entry: Entry, job_id: str) -> Entry:
        return self._kept(entry._replace(request_state="submitted", job_id=job_id))

    def received(self, entry: Entry) -> Entry:
        return self._kept(entry._replace(request_state="received"))

    def landed(self, entries: Sequence[Entry], landed_at: pd.Timestamp) -> None:
        """The data of requests has landed, at the moment at which the vendor's word on its days did."""
        self._keep([entry._replace(request_state="landed", ended_at=landed_at) for entry in entries])

    def refused(self, entry: Entry, why: str) -> Entry:
        return self._kept(entry._replace(request_state="refused", ended_at=now_utc(), error_message=why))

    def broken(self, entry: Entry, why: str) -> Entry:
        return self._kept(entry._replace(request_state="broken", ended_at=now_utc(), error_message=why))

    def failed(self, entry: Entry, why: str) -> Entry:
        """The vendor answered with an error before any data: nothing was charged."""
        return self._kept(entry._replace(request_state="failed", spent=0.0, ended_at=now_utc(), error_message=why))

    def require_room(self, request: Request, dollars: float, run_dollars: float, planned: float = 0.0) -> None:
        """Raise OverCapError where a request of so many dollars goes beyond a cap, after `run_dollars` of this run.

        `planned`: dollars of today that are not in the books yet.
        """
        for of, spent in (("request", 0.0), ("run", run_dollars), ("day", self.spent_within_a_day() + planned)):
            cap = getattr(self.caps, of)
            if spent + dollars > cap:
                before = f" after {_dollars(spent)} of this {of}" if spent else ""
                raise OverCapError(
                    f"{request} costs {_dollars(dollars)}{before}, more than the cap of {_dollars(cap)} a {of}: "
                    f"ask for less, or raise {CAP_SETTINGS[of]}"
                )

    def require_room_for(self, requests: Sequence[tuple[Request, float]]) -> None:
        """Raise OverCapError where any of the requests, priced in dollars, or all of them go beyond a cap."""
        before = 0.0
        for request, dollars in requests:
            self.require_room(request, dollars, before, before)
            before += dollars

    def spent_within_a_day(self) -> float:
        """Dollars of the last 24 hours; what stands in the future, since a clock was set back, counts too."""
        since = now_utc() - _DAY
        return sum(entry.spent for entry in self.entries() if entry.asked_at > since)

    def _kept(self, entry: Entry) -> Entry:
        self._keep([entry])
        return entry

    def _keep(self, entries: Sequence[Entry]) -> None:
        self._warehouse.record(VENDOR_SPEND, pd.DataFrame(entries, columns=Entry._fields))


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 0.01 or not amount else f"${amount:.4f}"
