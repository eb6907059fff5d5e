"""Taking over what another warehouse holds: rows and books as they are, partition by partition, proved by hash.

What is there already is left alone, so that a copy that was cut short goes on where it stopped, and one that is
repeated copies what has changed since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from cbi_dagster.catalog.model import Table
from cbi_dagster.catalog.registry import LANDING_SOURCES, OPS_TABLES
from cbi_dagster.catalog.tables.ops import LANDED_FILES, PARTITION_LEDGER
from cbi_dagster.warehouse.changes import Change, Gone, Swap
from cbi_dagster.warehouse.contract import SIMULATED, OvertakenError, Warehouse
from cbi_dagster.warehouse.hashing import content_hashes
from cbi_dagster.warehouse.ledger import NOTHING, Ledger
from cbi_dagster.warehouse.slices import check_slice, to_arrow

#: Rows that are copied at once.
SLICE_ROWS = 500_000


class CopyRefusedError(RuntimeError):
    """A warehouse cannot be copied as it is, or into this one; what was copied before is whole."""


@dataclass(frozen=True)
class Copied:
    """What was copied of a table: partitions and their rows, and how many partitions were there already."""

    table: Table
    partitions: int
    rows: int
    there: int


def copy_books(source: Warehouse, target: Warehouse) -> bool:
    """Make the books of `target` those of `source`, and what is known of landed dates; whether they differed.

    Raises CopyRefusedError when other files have been landed in the target.
    """
    source.require_sound(*OPS_TABLES)
    target.require_sound(*OPS_TABLES)
    swaps: list[Swap] = []
    here, there = (_rows(warehouse, LANDED_FILES) for warehouse in (source, target))
    if not target.takes_simulated and any(name.startswith(SIMULATED) for name in here["dataset"].to_pylist()):
        raise CopyRefusedError("what was landed is simulated, and the copy would go where only real data belongs")
    strangers = set(there["file_hash"].to_pylist()) - set(here["file_hash"].to_pylist())
    if strangers:
        raise CopyRefusedError(
            f"{len(strangers)} files have been landed where the copy would go and not where it comes from: "
            "copy into an empty warehouse"
        )
    for book in OPS_TABLES:
        if book is not PARTITION_LEDGER and not (rows := _rows(source, book)).equals(_rows(target, book)):
            swaps.append(Swap(book, to_arrow(book, rows), gone=Gone()))
    known, landed = (warehouse.ledger_rows(LANDING_SOURCES) for warehouse in (source, target))
    if not known.equals(landed):
        nothing = PARTITION_LEDGER.arrow_schema().empty_table()
        swaps += [Swap(PARTITION_LEDGER, nothing, gone=Gone(table_name=name)) for name in LANDING_SOURCES]
        swaps.append(Swap(PARTITION_LEDGER, to_arrow(PARTITION_LEDGER, known)))
    if swaps:
        _adopt(target, Change(tuple(swaps), registered=len(there)), LANDING_SOURCES)
    return bool(swaps)


def copy_tables(source: Warehouse, target: Warehouse, tables: Sequence[Table]) -> Iterator[Copied]:
    """What `copy_table` says of each table, in their order; as many are written at once as the target likes.

    The first error ends it when the tables that are being written are done.
    """
    with ThreadPoolExecutor(target.writers) as pool:
        yield from pool.map(lambda table: copy_table(source, target, table), tables)


def copy_table(source: Warehouse, target: Warehouse, table: Table) -> Copied:
    """Make the partitions of `target` those of `source`, with what the ledger says of them.

    Raises CopyRefusedError where stored rows are not what the ledger of either says.
    """
    source.require_sound(table)
    target.require_sound(table)
    known, there = (warehouse.ledger_by_table({table.id}).get(table.id, NOTHING) for warehouse in (source, target))
    new = ~_told_alike(known, there)
    gone = there.keys[known.at(there.keys) < 0]
    if len(gone):
        labels = tuple(table.partitioning.labels(gone))
        ledger = Gone(table_name=table.id, partition_keys=labels)
        empty = Swap(table, table.arrow_schema(stored=True).empty_table(), gone=_content_of(table, gone))
        nothing = Swap(PARTITION_LEDGER, PARTITION_LEDGER.arrow_schema().empty_table(), gone=ledger)
        _commit(target, table, (empty, nothing))
    rows = 0
    for part in _slices(known.only(new)):
        rows += _copy_slice(source, target, table, part)
    return Copied(table, int(new.sum()), rows, int((~new).sum()))


def _copy_slice(source: Warehouse, target: Warehouse, table: Table, part: Ledger) -> int:
    rows = source.read(table, table.partitioning.covering(part.keys))
    rows = rows.filter(pa.array(np.isin(table.partitioning.keys_in(rows), part.keys)))
    declared = [column.name for column in table.columns]
    hashes = content_hashes(check_slice(table, part.keys, rows.select(declared)))
    _require(table, part, np.array(hashes, object), "here")
    ledger = to_arrow(PARTITION_LEDGER, part.rows(table))
    content = Swap(table, rows, gone=_content_of(table, part.keys))
    _commit(target, table, (content, Swap(PARTITION_LEDGER, ledger, same_key=True)))
    _require(table, part, target.stored_hashes(table, part.keys), "there")
    return len(rows)


def _require(table: Table, part: Ledger, hashes: np.ndarray, where: str) -> None:
    if (wrong := part.keys[hashes != part.hashes]).size:
        raise CopyRefusedError(
            f"{table.id}: the rows of {len(wrong)} partitions {where} are not what the ledger says, first of "
            f"{table.partitioning.label(wrong[0])}. After an upgrade `cbi refresh` comes before a copy; what other "
            "hands changed is named by `cbi check` and written again by `cbi backfill`"
        )


def _told_alike(known: Ledger, there: Ledger) -> np.ndarray:
    """For which partitions of `known` another ledger says the same."""
    at = there.at(known.keys)
    both = np.flatnonzero(at >= 0)
    same = np.ones(len(both), bool)
    for item in fields(Ledger):
        same &= getattr(known, item.name)[both] == getattr(there, item.name)[at[both]]
    alike = np.zeros(len(known.keys), bool)
    alike[both] = same
    return alike


def _slices(ledger: Ledger) -> Iterator[Ledger]:
    """Neighbouring partitions, of about SLICE_ROWS rows together."""
    number = np.cumsum(ledger.row_counts) // SLICE_ROWS
    for each in np.unique(number):
        yield ledger.only(number == each)


def _content_of(table: Table, keys: np.ndarray) -> Gone:
    return Gone(table.partitioning.column, table.partitioning.spans(keys))


def _commit(target: Warehouse, table: Table, swaps: tuple[Swap, ...]) -> None:
    version = target.ledger_by_table({table.id}).get(table.id, NOTHING).version
    _adopt(target, Change(swaps, verified=(table.id, version)), [table.id])


def _adopt(target: Warehouse, change: Change, about: Collection[str]) -> None:
    try:
        target.adopt(change, about)
    except OvertakenError as error:
        raise CopyRefusedError(
            "somebody else writes where the copy goes; when that has ended, the same command goes on"
        ) from error


def _rows(warehouse: Warehouse, book: Table) -> pa.Table:
    return warehouse.read(book, columns=[column.name for column in book.columns])
