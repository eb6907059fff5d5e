"""Delivered files on their way in, and what is told of a landing afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from cbi_dagster.catalog.tables import ops
from cbi_dagster.vendors.delivery import Delivery
from cbi_dagster.vendors.files import DeliveredFile, shown
from cbi_dagster.vendors.kinds import Examined, Landed, LandedFile
from cbi_dagster.vendors.register import Remembered
from cbi_dagster.warehouse.contract import LandingFacts


@dataclass(frozen=True)
class Arrival:
    """A delivered file; `landed` is None for content known already, `examined` also for what is landed again.

    The kept rows of `examined` are elsewhere.
    """

    file: DeliveredFile
    sha256: str
    landed: LandedFile | None = None
    examined: Examined | None = None
    outcome: str = "landed"

    @property
    def order(self) -> tuple[str, pd.Timestamp, str]:
        """In time within a schema."""
        if self.landed is None:
            return "", pd.Timestamp(0, tz="UTC"), self.file.name
        return self.landed.vendor_schema, self.landed.span_start, self.file.name


@dataclass(frozen=True)
class Gathered:
    """The delivered files, what has landed with them, what there is to take, and what was said of files left.

    `remembered`: what was read of files, as far as it is at hand.
    """

    arrivals: list[Arrival]
    landed: Landed
    facts: LandingFacts
    remembered: Remembered
    left: tuple[str, ...]


@dataclass(frozen=True)
class LandingReport:
    """What a landing did.

    `files`: one row per delivered file (`source_file`, `outcome` in landed / already landed / overruled, `promised`
    whether a manifest had its hash, and the columns of `ops.landed_files` for landed ones). An overruled file was
    landed before, and later ones changed what it says. `rejected`, `corrections`: rows of `ops.quarantine` and
    `ops.corrections`. `outside`: rows per symbol outside the universe. `ignored`: names of files that hold no data.
    `left`: what was said of files that nothing is made of yet.
    """

    files: pd.DataFrame
    rejected: pd.DataFrame
    corrections: pd.DataFrame
    outside: dict[str, int]
    ignored: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True)
class Withdrawal:
    """What the withdrawal of a file did: the file, and the rows of `ops.corrections` that say what came back."""

    file: LandedFile
    returned: pd.DataFrame


def landing_report(deliveries: Sequence[Delivery], gathered: Gathered) -> LandingReport:
    rows = gathered.facts.rows
    files = pd.DataFrame(
        [(shown(a.file.name), a.sha256, a.outcome, a.file.sha256 is not None) for a in gathered.arrivals],
        columns=["source_file", "file_hash", "outcome", "promised"],
    )
    new = rows[ops.LANDED_FILES].drop(columns="source_file").assign(outcome="landed")
    files = files.merge(new, on=["file_hash", "outcome"], how="left")
    outside: Counter[str] = Counter()
    for arrival in gathered.arrivals:
        outside.update(arrival.examined.outside if arrival.examined else {})
    return LandingReport(
        files=files,
        rejected=rows[ops.QUARANTINE],
        corrections=rows[ops.CORRECTIONS],
        outside=dict(outside),
        ignored=tuple(name for delivery in deliveries for name in delivery.ignored),
        left=gathered.left,
    )
