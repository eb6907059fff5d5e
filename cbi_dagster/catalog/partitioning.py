"""How a table is cut into partitions. Each kind knows its keys, their names, and the dates that they stand for.

A partition key is a datetime64[D]: the first date of the partition, and one fixed date for a table in one piece, which
is nobody else's business. A label is how a key is written in Dagster, the ledger and messages. Dates and spans are
datetime64[D], their bounds inclusive.
"""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Interval = tuple[np.datetime64, np.datetime64]

#: The first and the last date there is: what DATE columns of every engine can hold.
BEGINNING, END = np.datetime64("0001-01-01", "D"), np.datetime64("9999-12-31", "D")

_WHOLE = np.datetime64("1970-01-01", "D")
_WHOLE_LABEL = "all"


class Inception(enum.Enum):
    INCEPTION = "since inception"


INCEPTION = Inception.INCEPTION


@dataclass(frozen=True)
class Partitioning(abc.ABC):
    """`column` is the DATE column that says which partition a row belongs to; empty for a table in one piece."""

    column: str

    @property
    @abc.abstractmethod
    def words(self) -> str:
        """What a partition is, for people."""

    @abc.abstractmethod
    def keys_of(self, dates: np.ndarray) -> np.ndarray:
        """The key of the partition that each date belongs to."""

    @abc.abstractmethod
    def spans(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and last date of each partition."""

    @abc.abstractmethod
    def keys_between(self, first: np.datetime64, last: np.datetime64) -> np.ndarray:
        """Every key from the date `first` to `last`, ascending; a date inside a partition names that partition."""

    def keys_in(self, rows: pa.Table) -> np.ndarray:
        """The key of the partition that each row belongs to."""
        dates: np.ndarray = rows[self.column].cast(pa.int32()).to_numpy()
        return self.keys_of(dates.astype("datetime64[D]"))

    def expected(self, dates: np.ndarray) -> np.ndarray:
        """The keys that a table has whose inputs have data for `dates`, ascending."""
        return np.unique(self.keys_of(dates))

    def label(self, key: np.datetime64) -> str:
        return str(key)

    def labels(self, keys: np.ndarray) -> list[str]:
        """`label` of each key."""
        return [self.label(key) for key in keys]

    def range_label(self, first: np.datetime64, last: np.datetime64) -> str:
        """How the partitions from `first` to `last` are written; empty for all there is of a table in one piece."""
        return self.label(first) if first == last else f"{self.label(first)} … {self.label(last)}"

    def parse(self, label: str) -> np.datetime64:
        """The key that is written as `label`."""
        return np.datetime64(label, "D")

    def span(self, key: np.datetime64) -> Interval:
        """First and last date of a partition."""
        first, last = self.spans(np.array([key]))
        return first[0], last[0]

    def covering(self, keys: np.ndarray) -> list[Interval]:
        """The covering range of ascending keys, from their first date to their last; [] for none."""
        return [(self.span(keys[0])[0], self.span(keys[-1])[1])] if len(keys) else []

    def window(self, keys: np.ndarray, back: int | Inception, forward: int) -> tuple[np.ndarray, np.ndarray]:
        """First and last date that each partition reads of an input, from `back` trade dates before it to `forward`
        trade dates (Mon-Fri) after it."""
        first, last = self.spans(keys)
        if forward:
            last = np.busday_offset(last, forward, roll="backward")
        if back is INCEPTION:
            return np.full(len(keys), BEGINNING), last
        assert isinstance(back, int)
        return (np.busday_offset(first, -back, roll="forward") if back else first), last

    def reached(self, keys: np.ndarray, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`keys[starts[i]:stops[i]]` of ascending keys are the partitions with dates from `first[i]` to `last[i]`."""
        starts = np.searchsorted(keys, self.keys_of(first), side="left")
        return starts, np.searchsorted(keys, self.keys_of(last), side="right")


@dataclass(frozen=True)
class Daily(Partitioning):
    """One partition per trade date: label `YYYY-MM-DD`, the value of `column`."""

    @property
    def words(self) -> str:
        return f"one per trade date (`{self.column}`)"

    def keys_of(self, dates: np.ndarray) -> np.ndarray:
        return dates.astype("datetime64[D]")

    def spans(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return keys, keys

    def keys_between(self, first: np.datetime64, last: np.datetime64) -> np.ndarray:
        days = np.arange(first, last + 1, dtype="datetime64[D]")
        return days[np.is_busday(days)]


@dataclass(frozen=True)
class Monthly(Partitioning):
    """One partition per calendar month: label `YYYY-MM-01`, the month of `column`."""

    @property
    def words(self) -> str:
        return f"one per month of `{self.column}`"

    def keys_of(self, dates: np.ndarray) -> np.ndarray:
        return dates.astype("datetime64[M]").astype("datetime64[D]")

    def spans(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return keys, (keys.astype("datetime64[M]") + 1).astype("datetime64[D]") - np.timedelta64(1, "D")

    def keys_between(self, first: np.datetime64, last: np.datetime64) -> np.ndarray:
        return np.arange(first.astype("datetime64[M]"), last.astype("datetime64[M]") + 1).astype("datetime64[D]")


@dataclass(frozen=True)
class Unpartitioned(Partitioning):
    """The whole table is one partition, label `all`. It is there whatever its inputs hold, and reads all of them."""

    column: str = ""

    @property
    def words(self) -> str:
        return "none"

    def keys_of(self, dates: np.ndarray) -> np.ndarray:
        return np.full(len(dates), _WHOLE)

    def spans(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(len(keys), BEGINNING), np.full(len(keys), END)

    def keys_between(self, first: np.datetime64, last: np.datetime64) -> np.ndarray:
        return np.array([_WHOLE])

    def keys_in(self, rows: pa.Table) -> np.ndarray:
        return np.full(len(rows), _WHOLE)

    def expected(self, dates: np.ndarray) -> np.ndarray:
        return np.array([_WHOLE])

    def label(self, key: np.datetime64) -> str:
        return _WHOLE_LABEL

    def range_label(self, first: np.datetime64, last: np.datetime64) -> str:
        return ""

    def parse(self, label: str) -> np.datetime64:
        return _WHOLE

    def window(self, keys: np.ndarray, back: int | Inception, forward: int) -> tuple[np.ndarray, np.ndarray]:
        return self.spans(keys)


def parse_labels(labels: pa.ChunkedArray) -> np.ndarray:
    """The keys behind labels of tables of any kind."""
    dates = pc.if_else(pc.equal(labels, _WHOLE_LABEL), str(_WHOLE), labels).cast(pa.date32())
    keys: np.ndarray = dates.cast(pa.int32()).to_numpy()
    return keys.astype("datetime64[D]")


def merged(firsts: np.ndarray, lasts: np.ndarray, gap_days: int) -> list[Interval]:
    """Intervals in ascending order of their beginning, joined where not more than `gap_days` days lie between.

    `firsts`, `lasts`: where each begins and ends (datetime64[D], inclusive).
    """
    if not len(firsts):
        return []
    reach = np.maximum.accumulate(lasts)
    alone = np.flatnonzero(firsts[1:] > reach[:-1] + np.timedelta64(gap_days, "D"))
    return list(zip(firsts[np.append(0, alone + 1)], reach[np.append(alone, len(reach) - 1)], strict=True))
