"""What goes wrong between a client and the vendor, on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    `kind`: a status of HTTP ("429", "500", "504", "401"); `cut` (the answer ends in its middle); `truncated` (the data
    of a stream are cut, and HTTP calls the answer whole); `dropped` (the connection ends before anything is done);
    `lost` (it is done, and the answer does not arrive); `warned` (the answer carries a warning of the vendor).
    `retry_after`: what the header says with a 429.
    """

    kind: str
    retry_after: str = "0"


class Faults:
    """Decides for each request which fault it meets, and keeps what was asked.

    `plan(method, number)`: the fault of the request of this number (from 0) to a method of the API such as
    `timeseries.get_range`, None for none. `asked`: the methods of all requests, in order.
    """

    def __init__(self, plan: Callable[[str, int], Fault | None] = lambda method, number: None) -> None:
        self.plan = plan
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def next(self, method: str) -> Fault | None:
        with self._lock:
            number = self.asked.count(method)
            self.asked.append(method)
            return self.plan(method, number)

    @staticmethod
    def of(method: str, kinds: Iterable[Fault | str | None]) -> Faults:
        """The first requests to a method meet these faults, one after the other."""
        faults = [Fault(kind) if isinstance(kind, str) else kind for kind in kinds]
        return Faults(lambda asked, number: faults[number] if asked == method and number < len(faults) else None)
