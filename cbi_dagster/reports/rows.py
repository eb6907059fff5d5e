"""Rows of tables as a person asks for them, and whole tables as files."""

from __future__ import annotations

import datetime as dt
import errno
import json
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, feather
from pyarrow import parquet as pq

from cbi_dagster.catalog import Column, Table
from cbi_dagster.catalog.columns.training import role
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.partitioning import BEGINNING, END, Interval
from cbi_dagster.config.universe import Universe, load_universe
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.ledger import NOTHING

#: What tables can be written as, and how such files are named.
FORMATS = {"parquet": (".parquet", ".pq"), "arrow": (".arrow", ".feather"), "csv": (".csv",)}


def rows_of(warehouse: Warehouse, table: Table, date: dt.date, symbol: str | None = None) -> pd.DataFrame:
    """The rows of a trade date, of one symbol or of all; all rows of a table without dates.

    A root also stands for the vendor's continuous symbol of it, which bars are landed under.
    """
    day = np.datetime64(date, "D")
    has_symbols = any(column.name == "symbol" for column in table.columns)
    symbols = symbols_of(symbol, load_universe()) if symbol is not None and has_symbols else []
    intervals = [(day, day)] if table.partitioning.column else None
    return to_frame(table, warehouse.read(table, intervals, symbols=symbols))


def symbols_of(symbol: str, universe: Universe) -> list[str]:
    """What rows of a symbol are called: a root is called `ZL` from sessions on, and `ZL.v.0` before."""
    return [symbol, universe.product(symbol).continuous_symbol] if symbol in universe.roots else [symbol]


def format_of(path: Path, stated: str | None = None) -> str:
    """The format that a file of this name is written in; ValueError where it is called otherwise than `stated`."""
    named = next((name for name, suffixes in FORMATS.items() if path.suffix.lower() in suffixes), None)
    if stated is None and named is None:
        known = ", ".join(suffix for suffixes in FORMATS.values() for suffix in suffixes)
        raise ValueError(f"{path.name} does not say what it is: let its name end in one of {known}")
    if stated is not None and named is not None and stated != named:
        raise ValueError(f"{path.name} would be {stated} under a name that says {named}")
    return stated or named or ""


def export(
    warehouse: Warehouse,
    table: Table,
    path: Path,
    *,
    stated: str | None = None,
    interval: Interval | None = None,
    symbols: Sequence[str] = (),
) -> int:
    """Write rows of a table to a file, whole or not at all; their number.

    The format is `stated`, one of `FORMATS`, or what the name says; `interval`: only these dates, both inclusive. In
    CSV, STRUCTs are columns `<struct>_<field>`. Parquet and Arrow files say in their schema's metadata, under
    `cbi_dagster`, as JSON: the table, the version of its content, and what each column means, its unit and, in training
    tables, its role.
    Raises ValueError for a format that the name contradicts, LookupError for symbols of which there is nothing, OSError
    for a path where something else than a regular file is.
    """
    written_as = format_of(path, stated)
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "there is no regular file to replace; name a file", str(path))
    with warehouse.snapshot():
        rows = warehouse.read(table, None if interval is None else [interval], symbols=symbols)
        ledger = warehouse.ledger_by_table({table.id}).get(table.id, NOTHING)
        if symbols and not len(rows):
            there = ", ".join(sorted(pc.unique(warehouse.read(table, columns=["symbol"])["symbol"]).to_pylist()))
            raise LookupError(f"{table.id} has no rows of these symbols and dates; its symbols are {there or 'none'}")
    about = {
        "table": table.id,
        "version": ledger.digest(table, [interval or (BEGINNING, END)]),
        "columns": {path: _meaning(table, path, column) for path, column in table.leaves()},
    }
    # A name that nobody else has: a file of another program is never written over.
    partial = path.with_name(f"{uuid.uuid4().hex}.part")
    try:
        if written_as == "csv":
            csv.write_csv(_flat(rows), partial)
        else:
            metadata = {**(rows.schema.metadata or {}), "cbi_dagster": json.dumps(about)}
            rows = rows.replace_schema_metadata(metadata)
            if written_as == "parquet":
                pq.write_table(rows, partial, compression="zstd")
            else:
                feather.write_feather(rows, str(partial))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return len(rows)


def _meaning(table: Table, path: str, column: Column) -> dict[str, str]:
    said = {"meaning": column.description, "unit": column.unit}
    return said | {"role": role(path)} if table.layer == "training" and table.partitioning.column else said


def _flat(rows: pa.Table) -> pa.Table:
    """STRUCTs as columns of their own."""
    columns: dict[str, pa.ChunkedArray] = {}
    for name in rows.column_names:
        if pa.types.is_struct(rows[name].type):
            for part in rows[name].type:
                columns[f"{name}_{part.name}"] = pc.struct_field(rows[name], part.name)
        else:
            columns[name] = rows[name]
    return pa.table(columns)
