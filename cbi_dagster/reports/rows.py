"""Rows of tables as a person asks for them, and whole tables as files."""

from __future__ import annotations

import datetime as dt
import errno
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.warehouse.contract import Warehouse


def rows_of(warehouse: Warehouse, table: Table, date: dt.date, symbol: str | None = None) -> pd.DataFrame:
    """The rows of a trade date, of one symbol or of all; all rows of a table without dates."""
    day = np.datetime64(date, "D")
    symbols = [symbol] if symbol is not None and any(column.name == "symbol" for column in table.columns) else []
    intervals = [(day, day)] if table.partitioning.column else None
    return to_frame(table, warehouse.read(table, intervals, symbols=symbols))


def export(warehouse: Warehouse, table: Table, path: Path) -> int:
    """Write a whole table to a Parquet file, whole or not at all; the number of rows.

    Raises OSError for a path where something else than a regular file is.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "there is no regular file to replace; name a file", str(path))
    rows = warehouse.read(table)
    # A name that nobody else has: a file of another program is never written over.
    partial = path.with_name(f"{uuid.uuid4().hex}.part")
    try:
        pq.write_table(rows, partial, compression="zstd")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return len(rows)
