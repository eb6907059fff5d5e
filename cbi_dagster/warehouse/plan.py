"""Which partitions are stale, and why: pure functions over the ledger, the catalog and the code versions.

A partition is stale when it has no content, when it was last confirmed under another code version, or when the
fingerprint of its inputs in the declared window differs from the confirmed one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cbi_dagster.catalog.model import INCEPTION, Daily, Monthly, Read, Table, Unpartitioned
from cbi_dagster.catalog.registry import LANDING_SOURCES, TABLES
from cbi_dagster.warehouse.contract import WHOLE, key_label

_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Contents:
    """The ledger's content facts of one table: partition keys (datetime64[D], ascending) and their hashes (hex)."""

    keys: np.ndarray
    hashes: np.ndarray

    @staticmethod
    def by_table(ledger: pd.DataFrame) -> dict[str, Contents]:
        """Contents of every table in a ledger frame."""
        result = {}
        for name, rows in ledger.groupby("table_name", sort=False):
            labels = rows["partition_key"].to_numpy()
            keys = np.array([WHOLE if label == "all" else np.datetime64(label, "D") for label in labels])
            order = np.argsort(keys, kind="stable")
            result[str(name)] = Contents(keys[order], rows["content_hash"].to_numpy()[order])
        return result


NOTHING = Contents(np.empty(0, "datetime64[D]"), np.empty(0, object))


def landed_trade_dates(contents: Mapping[str, Contents]) -> np.ndarray:
    """Trade dates (datetime64[D], ascending) that landed vendor data touches: what every table should cover."""
    dates = [contents.get(source, NOTHING).keys for source in LANDING_SOURCES]
    return np.unique(np.concatenate(dates)) if dates else NOTHING.keys


def expected_partitions(table: Table, trade_dates: np.ndarray) -> np.ndarray:
    """Partitions that a table should have when vendor data for `trade_dates` is landed."""
    if isinstance(table.partitioning, Unpartitioned):
        return np.array([WHOLE])
    return np.unique(table.partitioning.keys_of(trade_dates))


def window(table: Table, read: Read, partitions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last trade date (both inclusive) that each partition reads of an input; NaT for "since inception"."""
    if isinstance(table.partitioning, Unpartitioned):
        return np.full(len(partitions), np.datetime64("NaT", "D")), np.full(
            len(partitions), np.datetime64("9999-12-31")
        )
    first, last = partitions, partitions
    if isinstance(table.partitioning, Monthly):
        months = partitions.astype("datetime64[M]")
        last = (months + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
    if read.forward:
        last = np.busday_offset(last, read.forward, roll="backward")
    if read.back is INCEPTION:
        return np.full(len(partitions), np.datetime64("NaT", "D")), last
    assert not isinstance(read.back, type(INCEPTION))
    return (np.busday_offset(first, -read.back, roll="forward") if read.back else first), last


def read_intervals(table: Table, read: Read, partitions: np.ndarray) -> list[tuple[np.datetime64, np.datetime64]]:
    """The inclusive date intervals that together cover the windows of `partitions`, merged where they touch."""
    if not len(partitions):
        return []
    first, last = window(table, read, np.sort(partitions))
    if np.isnat(first).any():
        return [(np.datetime64("0001-01-01"), last.max())]
    merged: list[tuple[np.datetime64, np.datetime64]] = []
    for start, stop in zip(first, last, strict=True):
        # A gap of a week or less costs less to read than to skip.
        if merged and start <= merged[-1][1] + np.timedelta64(7, "D"):
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


def fingerprints(table: Table, partitions: np.ndarray, contents: Mapping[str, Contents]) -> dict[np.datetime64, str]:
    """Digest, per partition, of the content hashes of all inputs in the partition's declared windows.

    An input partition that does not exist and one that is empty are different facts and give different digests.
    """
    digests = [hashlib.blake2b(table.id.encode(), digest_size=_DIGEST_BYTES) for _ in partitions]
    for read in table.reads:
        source = contents.get(read.source, NOTHING)
        records = _records(source)
        first, last = window(table, read, partitions)
        if isinstance(getattr(TABLES.get(read.source), "partitioning", None), Unpartitioned):
            for digest in digests:
                digest.update(records)
            continue
        stops = np.searchsorted(source.keys, last, side="right")
        if np.isnat(first).any():
            chain = _prefix_chain(records, len(source.keys))
            for digest, stop in zip(digests, stops, strict=True):
                digest.update(chain[stop])
            continue
        starts = np.searchsorted(source.keys, first, side="left")
        for digest, start, stop in zip(digests, starts, stops, strict=True):
            digest.update(records[start * _RECORD : stop * _RECORD])
            digest.update(int(stop - start).to_bytes(4, "big"))
    return {key: digest.hexdigest() for key, digest in zip(partitions, digests, strict=True)}


_RECORD = 8 + _DIGEST_BYTES


def _records(source: Contents) -> bytes:
    days = source.keys.astype("datetime64[D]").astype(np.int64)
    return b"".join(
        int(day).to_bytes(8, "big", signed=True) + bytes.fromhex(h) for day, h in zip(days, source.hashes, strict=True)
    )


def _prefix_chain(records: bytes, count: int) -> list[bytes]:
    """Digest of the first n records, for n = 0 … count."""
    chain = [b"\0" * _DIGEST_BYTES]
    for i in range(count):
        link = chain[-1] + records[i * _RECORD : (i + 1) * _RECORD]
        chain.append(hashlib.blake2b(link, digest_size=_DIGEST_BYTES).digest())
    return chain


def stale_partitions(
    table: Table, contents: Mapping[str, Contents], ledger: pd.DataFrame, code_version: str
) -> dict[np.datetime64, str]:
    """The partitions of one table that are stale now, with the reason: `missing`, `code` or `inputs`.

    Looks at what the inputs hold now; that an input is itself stale is the caller's business.
    """
    expected = expected_partitions(table, landed_trade_dates(contents))
    rows = ledger[ledger["table_name"] == table.id].set_index("partition_key")
    prints = fingerprints(table, expected, contents)
    rows = rows.reindex([key_label(table, key) for key in expected])
    reasons = {}
    for key, code, inputs in zip(expected, rows["code_version"], rows["input_fingerprint"], strict=True):
        if not isinstance(code, str):
            reasons[key] = "missing"
        elif code != code_version:
            reasons[key] = "code"
        elif inputs != prints[key]:
            reasons[key] = "inputs"
    return reasons


__all__ = [
    "Contents", "Daily", "expected_partitions", "fingerprints", "landed_trade_dates", "read_intervals",
    "stale_partitions", "window",
]  # fmt: skip
