"""What goes wrong between a client and the service, on demand."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence

#: dropped: the connection ends before anything is done. lost: it is done, and the answer does not arrive.
#: cut: the connection ends in the middle of what is uploaded. missing: the service does not find, for once, the job
#: that it has just called a duplicate. The others are answers of the service.
FAULTS = ("dropped", "lost", "cut", "missing", "429", "500", "503", "403")


class Faults:
    """Decides for each request which fault it meets, and keeps what was asked.

    `plan(number, method, path)`: the fault of the request of this number, None for none. `asked`: method and path of
    every request; `met`: the faults that happened.
    """

    def __init__(self, plan: Callable[[int, str, str], str | None] = lambda number, method, path: None) -> None:
        self.plan = plan
        self.asked: list[tuple[str, str]] = []
        self.met: list[str] = []
        self._number = itertools.count()
        self._lock = threading.Lock()

    def next(self, method: str, path: str) -> str | None:
        with self._lock:
            self.asked.append((method, path))
            fault = self.plan(next(self._number), method, path)
            if fault:
                self.met.append(fault)
            return fault

    @staticmethod
    def every(count: int, kinds: Sequence[str] = FAULTS) -> Faults:
        """Every `count`th request meets a fault, one kind after the other."""
        kind: Iterator[str] = itertools.cycle(kinds)
        return Faults(lambda number, method, path: next(kind) if number % count == count - 1 else None)

    @staticmethod
    def at(number: int, kind: str) -> Faults:
        """The request of this number meets a fault."""
        return Faults(lambda at, method, path: kind if at == number else None)
