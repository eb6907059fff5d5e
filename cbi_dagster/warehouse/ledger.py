"""The ledger: what each partition holds, and under which code and inputs that was last confirmed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import pyarrow as pa

from cbi_dagster.catalog.model import Table
from cbi_dagster.catalog.partitioning import Interval, parse_labels
from cbi_dagster.warehouse.hashing import mixed

#: Columns of `ops.partition_ledger` beside its key, by the field of `Ledger` that holds them.
_COLUMNS = {
    "hashes": "content_hash",
    "row_counts": "row_count",
    "written_at": "written_at",
    "written_runs": "written_run",
    "code_versions": "code_version",
    "fingerprints": "input_fingerprint",
    "verified_at": "verified_at",
    "verified_runs": "verified_run",
}


@dataclass(frozen=True)
class Ledger:
    """What the ledger says of one table: arrays in ascending order of partition keys (datetime64[D])."""

    keys: np.ndarray
    hashes: np.ndarray
    row_counts: np.ndarray
    written_at: np.ndarray
    written_runs: np.ndarray
    code_versions: np.ndarray
    fingerprints: np.ndarray
    verified_at: np.ndarray
    verified_runs: np.ndarray

    @staticmethod
    def by_table(rows: pa.Table) -> dict[str, Ledger]:
        """Rows of `ops.partition_ledger`, in any order, per table."""
        return {name: Ledger(*columns) for name, columns in _split(rows)}

    def rows(self, table: Table) -> pa.Table:
        """The ledger of `table` as rows of `ops.partition_ledger`."""
        labels = table.partitioning.labels(self.keys)
        columns = {name: getattr(self, part) for part, name in _COLUMNS.items()}
        return pa.table({"table_name": [table.id] * len(labels), "partition_key": labels, **columns})

    @cached_property
    def sums(self) -> np.ndarray:
        """Row n sums up key and content of the first n partitions: two lanes of uint64, modulo 2^64.

        The difference of two rows stands for the partitions between them, whichever there are. It is a sum of 128-bit
        hashes and tells any change but a deliberate one.
        """
        digests = np.frombuffer(bytes.fromhex("".join(self.hashes)), ">u8").reshape(-1, 2).astype(np.uint64)
        days = self.keys.astype(np.int64).astype(np.uint64)
        lanes = [mixed(digests[:, lane] ^ mixed(days + np.uint64(lane))) for lane in (0, 1)]
        return np.vstack([np.zeros((1, 2), np.uint64), np.cumsum(np.column_stack(lanes), axis=0, dtype=np.uint64)])

    @property
    def version(self) -> int:
        """When a partition was last verified, in microseconds since 1970: later after every write; 0 for none."""
        return int(self.verified_at.astype("datetime64[us]").astype(np.int64).max(initial=0))

    def digest(self, table: Table, intervals: Sequence[Interval]) -> str:
        """A digest of the contents of the partitions that dates of the intervals lie in: of the very same rows, or not.

        `table` is the one whose ledger this is. Partitions that are empty and that are not there are the same.
        """
        filled = self.row_counts > 0
        wanted = np.zeros(len(filled), bool)
        for interval in intervals:
            first, last = table.partitioning.keys_of(np.array(interval))
            wanted |= filled & (self.keys >= first) & (self.keys <= last)
        digest = hashlib.blake2b(table.id.encode(), digest_size=8)
        for key, content in zip(self.keys[wanted], self.hashes[wanted], strict=True):
            digest.update(f"\n{key}={content}".encode())
        return digest.hexdigest()

    def at(self, keys: np.ndarray) -> np.ndarray:
        """Index of each of `keys`, -1 for a partition without content."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        found = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[found] == keys, found, -1)

    def only(self, wanted: np.ndarray) -> Ledger:
        """The partitions where the boolean array `wanted` is true."""
        return Ledger(*(getattr(self, item.name)[wanted] for item in fields(self)))

    def without(self, keys: np.ndarray) -> Ledger:
        """The ledger without the partitions of these keys."""
        return self.only(~np.isin(self.keys, keys))

    def replaced(self, newer: Ledger) -> Ledger:
        """The ledger after the partitions of `newer` took the place of those with the same keys."""
        kept = ~np.isin(self.keys, newer.keys)
        order = np.argsort(np.concatenate([self.keys[kept], newer.keys]))
        pairs = [(getattr(self, item.name), getattr(newer, item.name)) for item in fields(self)]
        return Ledger(*(np.concatenate([old[kept], new])[order] for old, new in pairs))


def _split(rows: pa.Table) -> Iterator[tuple[str, list[np.ndarray]]]:
    names = rows["table_name"].combine_chunks().dictionary_encode()
    keys = parse_labels(rows["partition_key"])
    codes = names.indices.to_numpy()
    order = np.argsort((codes.astype(np.int64) << 32) + keys.astype(np.int64), kind="stable")
    columns = [keys[order], *(_values(rows[name])[order] for name in _COLUMNS.values())]
    bounds = np.append(0, np.cumsum(np.bincount(codes, minlength=len(names.dictionary))))
    for name, start, stop in zip(names.dictionary.to_pylist(), bounds[:-1], bounds[1:], strict=True):
        yield name, [column[start:stop] for column in columns]


def _values(column: pa.ChunkedArray) -> np.ndarray:
    if column.type == pa.string():
        # Runs and code versions repeat: their text is made once.
        column = column.combine_chunks().dictionary_encode()
        return np.asarray(column.dictionary.to_numpy(zero_copy_only=False)[column.indices.to_numpy()])
    return np.asarray(column.to_numpy())


_TEXTS = np.empty(0, object)
_INSTANTS = np.empty(0, "datetime64[us]")
#: The ledger of a table without content.
NOTHING = Ledger(
    keys=np.empty(0, "datetime64[D]"),
    hashes=_TEXTS,
    row_counts=np.empty(0, np.int64),
    written_at=_INSTANTS,
    written_runs=_TEXTS,
    code_versions=_TEXTS,
    fingerprints=_TEXTS,
    verified_at=_INSTANTS,
    verified_runs=_TEXTS,
)
