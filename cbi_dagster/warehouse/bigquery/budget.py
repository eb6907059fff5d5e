"""How many bytes a query, a read and a run may have: asked before they are spent, counted afterwards."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from cbi_dagster.warehouse.contract import EngineError


class TooManyBytesError(EngineError):
    """A query or a read that would cost more than it may; it was not done."""


class Budget:
    """What may be read: `each` by one query or read, `together` by all those of one run."""

    def __init__(self, each: int, together: int) -> None:
        self._each, self._together = each, together
        self._spent: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._local = threading.local()

    @contextlib.contextmanager
    def for_run(self, run_id: str) -> Iterator[None]:
        """A block in which what this thread asks for counts towards a run."""
        outer = self._run
        self._local.run = run_id
        try:
            yield
        finally:
            self._local.run = outer

    @property
    def _run(self) -> str | None:
        return getattr(self._local, "run", None)

    @property
    def _spent_by_run(self) -> int:
        return self._spent[self._run] if self._run is not None else 0

    @property
    def next(self) -> int:
        """What the next query may have, in bytes; the service refuses more."""
        left = self._each if self._run is None else self._together - self._spent_by_run
        return max(min(self._each, left), 1)  # the service knows no cap of nothing

    def spend(self, count: int) -> None:
        """Count bytes that were had."""
        if self._run is not None:
            with self._lock:
                self._spent[self._run] += count

    def require(self, count: int, what: str) -> None:
        """Raise TooManyBytesError where `count` bytes are more than the next may have."""
        if count > self.next:
            raise self.refusal(f"{what} of {count:,} bytes")

    def refusal(self, what: str) -> TooManyBytesError:
        """The error that says which cap it is that `what` meets, and the way on."""
        if self.next == self._each:
            return TooManyBytesError(
                f"{what} is more than the {self._each:,} that one may have (CBI_BIGQUERY_MAX_BYTES); nothing was read"
            )
        return TooManyBytesError(
            f"{what} is more than what is left to this run: it has had {self._spent_by_run:,} of the "
            f"{self._together:,} bytes that a run may have (CBI_BIGQUERY_MAX_RUN_BYTES). Nothing of this was done, and "
            "what was written before is whole. Allow more, or do less at a time (`--select`, `--from` and `--to`): the "
            "same command goes on from there"
        )
