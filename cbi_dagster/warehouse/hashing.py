"""Content hashes: what a partition says, independent of engine, library version, row order and run.

Rows are taken in key order, columns in declared order without audit columns, values as 64-bit words of their declared
type with −0.0 folded to 0.0 and NULL a bit of its own; strings enter as digests of their bytes; STRUCTs are flattened
with a NULL bit for the STRUCT itself. A header of column names and types goes in front, so that a renamed or retyped
column is other content. pandas' and DuckDB's own hashes change between versions and fold distinct values together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbi_dagster.catalog.model import Column, Type
from cbi_dagster.warehouse.slices import Slice

DIGEST_BYTES = 16


def mixed(words: np.ndarray) -> np.ndarray:
    """Each uint64 word as another one, in which every bit of it has a say: the output function of splitmix64.

    A bijection, so that different words stay different; it makes sums of words, modulo 2^64, tell which words they are
    sums of. Stored fingerprints rest on it: it must never change.
    """
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: np.ndarray = words ^ (words >> np.uint64(31))
    return result


def content_hashes(rows: Slice) -> list[str]:
    """Hex digest of each partition of the slice, in the order of `rows.partitions`."""
    table = rows.table
    content = {column.name for column in table.content_columns}
    header = "|".join(
        f"{path}:{leaf.type.value}" for path, leaf in table.leaves() if path.partition(".")[0] in content
    ).encode()
    leaves = [leaf for path, leaf in table.leaves() if path.partition(".")[0] in content]
    structs = sum(column.type is Type.STRUCT for column in table.content_columns)
    width = sum(2 if leaf.type is Type.STRING else 1 for leaf in leaves)
    matrix = np.zeros((len(rows.data), width + -(-(len(leaves) + structs) // 64)), np.uint64)
    words = iter(matrix.T)
    nulls: list[np.ndarray | None] = []
    for column in table.content_columns:
        array = rows.data[column.name]
        if column.type is Type.STRUCT:
            nulls.append(_null_bits(array))
            for part in column.fields:
                _add(part, pc.struct_field(array, part.name), words, nulls)
        else:
            _add(column, array, words, nulls)
    for bit, null in enumerate(nulls):
        if null is not None:
            matrix[:, width + bit // 64] |= null.astype(np.uint64) << np.uint64(bit % 64)
    begun = hashlib.blake2b(header, digest_size=DIGEST_BYTES)
    digests = [begun.hexdigest()] * len(rows.partitions)
    for place in np.flatnonzero(rows.row_counts).tolist():
        digest = begun.copy()
        digest.update(matrix[rows.starts[place] : rows.starts[place + 1]].data)
        digests[place] = digest.hexdigest()
    return digests


def _null_bits(array: pa.ChunkedArray) -> np.ndarray | None:
    """Where the column is NULL; None for nowhere."""
    return np.asarray(array.is_null().to_numpy()) if array.null_count else None


def _add(column: Column, array: pa.ChunkedArray, words: Iterator[np.ndarray], nulls: list[np.ndarray | None]) -> None:
    """Write a column to the next of `words`: two for strings, else one."""
    null = _null_bits(array)
    nulls.append(null)
    if column.type is Type.STRING:
        encoded = array.combine_chunks().dictionary_encode()
        digests = b"".join(
            hashlib.blake2b(value.encode(), digest_size=DIGEST_BYTES).digest()
            for value in encoded.dictionary.to_pylist()
        )
        table = np.vstack([np.frombuffer(digests, np.uint64).reshape(-1, 2), np.zeros((1, 2), np.uint64)])
        codes = pc.fill_null(encoded.indices, len(encoded.dictionary)).to_numpy()
        for lane in (0, 1):
            next(words)[:] = table[codes, lane]
        return
    if column.type is Type.FLOAT64:
        values = array.to_numpy() + 0.0
        if null is not None:
            values[null] = 0.0
    else:
        if column.type is not Type.INT64:
            array = array.cast(pa.int32() if column.type is Type.DATE else pa.int64())
        values = (array if null is None else pc.fill_null(array, 0)).to_numpy().astype(np.int64, copy=False)
    next(words)[:] = np.ascontiguousarray(values).view(np.uint64)
