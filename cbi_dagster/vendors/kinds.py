"""What the door must know of a kind of file. A new kind is one module with a class like this and one entry in KINDS.

A kind judges the files that its names say are its own: it reads one to its end and sorts the rows (`examine`), says
what a file changes of earlier ones (`corrections`), which trade dates a file is about (`trade_dates`), and merges what
has landed into the rows of its tables (`read`). It stores nothing; the door (`landing`) does, for all kinds alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.vendors.files import Content


class LandedFile(NamedTuple):
    """A row of `ops.landed_files`: a file was landed, or withdrawn again if `withdrawn_at` says when.

    It covers the period from `span_start` to `span_end` (exclusive). `refused_because`: what rules that came later have
    against it.
    """

    file_hash: str
    landing_sequence: int
    source_file: str
    file_bytes: int
    dataset: str
    vendor_schema: str
    stype_in: str | None
    span_start: pd.Timestamp
    span_end: pd.Timestamp
    file_rows: int
    kept_rows: int
    rejected_rows: int
    outside_rows: int
    landed_at: pd.Timestamp
    withdrawn_at: pd.Timestamp | None = None
    refused_because: str | None = None


@dataclass(frozen=True)
class Examined:
    """A file that was read to its end, each of its `rows` rows in exactly one of three places.

    `kept`: sound rows, in columns of the kind's own. `rejected`: rows of `ops.quarantine` without `table_name`,
    `file_hash` and `source_file`. `outside`: counts of rows that are not of the universe, by symbol. `symbols`: rows of
    `ops.landed_symbols` without `file_hash`. `end` is exclusive. An `exhaustive` file states all that there is of its
    symbols in its period: what it leaves out does not exist. `by_symbology`: it cannot be read without the
    symbology.json that lay beside it.
    """

    dataset: str
    schema: str
    stype_in: str | None
    start: pd.Timestamp
    end: pd.Timestamp
    rows: int
    kept: pd.DataFrame
    rejected: pd.DataFrame
    outside: Mapping[str, int]
    symbols: pd.DataFrame
    exhaustive: bool = False
    by_symbology: bool = False


@dataclass(frozen=True)
class Landed:
    """What has landed: the files in landing order, their rows of `ops.landed_symbols`, and how to read a file."""

    files: Sequence[LandedFile]
    symbols: pd.DataFrame
    examined: Callable[[LandedFile], Examined]

    def kept(self, file: LandedFile) -> pd.DataFrame:
        return self.examined(file).kept

    def of(self, schema: str) -> list[LandedFile]:
        return [file for file in self.files if file.vendor_schema == schema]

    def until(self, instant: pd.Timestamp, kinds: Mapping[str, Kind]) -> Landed:
        """What would have landed if every delivery had ended before an instant; `kinds` by vendor schema.

        Who states a period states it up to there, and which contracts symbols stand for on the UTC days until then.
        """
        day = instant.tz_convert(None)
        symbols = self.symbols[self.symbols["mapping_start"] < day]
        ends = symbols["mapping_end"].where(symbols["mapping_end"] < day, day.ceil("D"))
        files = [
            file._replace(span_end=min(file.span_end, instant)) for file in self.files if file.span_start < instant
        ]

        def examined(file: LandedFile) -> Examined:
            found = self.examined(file)
            kept = kinds[file.vendor_schema].until(instant, found.kept, file.vendor_schema)
            return replace(found, end=min(found.end, instant), kept=kept)

        return Landed(files, symbols.assign(mapping_end=ends), examined)


class Kind(Protocol):
    """A kind of file; made of the universe, which says what is kept."""

    @property
    def tables(self) -> Mapping[str, Table]:
        """The table that its landed rows become, by vendor schema; the table's one input is the landing source."""

    @property
    def naming(self) -> str:
        """How its files are named, in words for a user."""

    @property
    def one_dataset(self) -> bool:
        """Whether `dataset` names a vendor's dataset, of which a warehouse holds only one."""

    @property
    def read_whole(self) -> bool:
        """Whether any span of its tables is read of all its files, whatever periods they cover."""

    @staticmethod
    def recognises(name: str) -> bool:
        """Whether a file of this name is of this kind."""

    def examine(self, content: Content, landed_at: pd.Timestamp) -> Examined:
        """Read a file to its end and judge its rows; `landed_at` stands where the file does not say when.

        Raises a DeliveryError whose class says what is wrong with the file: LaterFeatureError where it is of another
        kind that has names like this one.
        """

    def corrections(self, file: LandedFile, before: Landed) -> pd.DataFrame:
        """What a file changes of the files landed before it: rows of `ops.corrections` without what names the file.

        Raises a DeliveryError where it contradicts them.
        """

    def returns(self, file: LandedFile, landed: Landed) -> pd.DataFrame:
        """What is changed back when `file`, one of the landed ones, is withdrawn; rows as of `corrections`."""

    def trade_dates(self, files: Sequence[LandedFile], landed: Landed) -> np.ndarray:
        """The trade dates (datetime64[D], ascending) that files of one schema are about.

        These are the partitions that the table should have, those in which nothing happened included.
        """

    def until(self, instant: pd.Timestamp, kept: pd.DataFrame, schema: str) -> pd.DataFrame:
        """What was there of the kept rows of a file before an instant: what had ended, was published, was received."""

    def read(self, schema: str, intervals: Sequence[Interval], landed: Landed) -> pd.DataFrame:
        """The rows of the table of a schema whose trade dates lie in `intervals`, merged over all landed files."""


def within(dates: np.ndarray, intervals: Sequence[Interval]) -> np.ndarray:
    """Whether each date (datetime64) lies in any of the intervals."""
    days = dates.astype("datetime64[D]")
    inside = np.zeros(len(days), bool)
    for first, last in intervals:
        inside |= (days >= first) & (days <= last)
    return inside
