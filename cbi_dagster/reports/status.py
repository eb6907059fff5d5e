"""What a warehouse holds, what failed in it last, and which rows were left out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from cbi_dagster.catalog import ASSET_TABLES, TABLES, Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables import ops
from cbi_dagster.warehouse.contract import Warehouse


@dataclass(frozen=True)
class TableStatus:
    """Partitions of a table that the ledger knows, how many of them are `filled` (have rows), and their rows.

    `first` and `last` are the keys of the first and last filled partition, None without any, as is `written_at` (UTC).
    """

    table: Table
    partitions: int
    filled: int
    rows: int
    first: str | None
    last: str | None
    written_at: pd.Timestamp | None


@dataclass(frozen=True)
class Status:
    """`failed`: the source, `ended_at` (UTC) and `error_message` of every table or file whose last run failed.

    `rejected` and `held_back`: `rows` by `table_name` and `reason`, with their `first` and `last` trade date; of what
    was held back `trade_dates` too. `drifted`: how tables are stored otherwise than declared. `undeclared`: ids of
    stored tables that nothing declares. `refused`: as of `refused_files`.
    """

    files: int
    datasets: tuple[str, ...]
    tables: tuple[TableStatus, ...]
    failed: pd.DataFrame
    rejected: pd.DataFrame
    held_back: pd.DataFrame
    drifted: Mapping[str, Sequence[str]]
    undeclared: tuple[str, ...]
    refused: tuple[str, ...]


def status(warehouse: Warehouse) -> Status:
    """The state of every table that the platform builds."""
    with warehouse.shared_connection():
        ledger = warehouse.ledger_rows()
        files = _files(warehouse)
        runs = _rows(warehouse, ops.INGESTION_RUNS).sort_values("ended_at", kind="stable")
        last = runs.groupby("source").tail(1)
        rejected = _rows(warehouse, ops.QUARANTINE).groupby(["table_name", "reason"], observed=True)["date"]
        held_back = _rows(warehouse, ops.HELD_BACK).groupby(["table_name", "reason"], observed=True)
        return Status(
            files=len(files),
            datasets=tuple(files["dataset"].unique()),
            tables=tuple(_table_status(table, ledger[ledger["table_name"] == table.id]) for table in ASSET_TABLES),
            failed=last.loc[last["run_status"] == "failed", ["source", "ended_at", "error_message"]],
            rejected=rejected.agg(rows="size", first="min", last="max").reset_index(),
            held_back=held_back.agg(
                rows=("bar_rows", "sum"), trade_dates=("date", "nunique"), first=("date", "min"), last=("date", "max")
            ).reset_index(),
            drifted=warehouse.drifted,
            undeclared=tuple(warehouse.undeclared(TABLES.values())),
            refused=refused_files(warehouse),
        )


def landed_sources(warehouse: Warehouse) -> dict[str, dict[str, int | str]]:
    """What is landed of each landing source that has files: how many, their bytes and rows, and the days they are of.

    Days in UTC: `first_day` and `last_day`, both inclusive.
    """
    files = _files(warehouse)
    files = files.assign(source="landing." + files["vendor_schema"].astype(str).str.replace("-", "_"))
    found: dict[str, dict[str, int | str]] = {}
    for source, of_source in files.groupby("source"):
        found[str(source)] = {
            "files": len(of_source),
            "bytes": int(of_source["file_bytes"].sum()),
            "dagster/row_count": int(of_source["kept_rows"].sum()),
            "rows_rejected": int(of_source["rejected_rows"].sum()),
            "first_day": f"{of_source['span_start'].min():%Y-%m-%d}",
            "last_day": f"{of_source['span_end'].max() - pd.Timedelta(1, 'ns'):%Y-%m-%d}",
        }
    return found


def _files(warehouse: Warehouse) -> pd.DataFrame:
    """The rows of `ops.landed_files` that hold: of files that count."""
    rows = _rows(warehouse, ops.LANDED_FILES).sort_values("landing_sequence")
    last = rows.drop_duplicates("file_hash", keep="last")
    return last[last["withdrawn_at"].isna() & last["refused_because"].isna()]


def refused_files(warehouse: Warehouse) -> tuple[str, ...]:
    """What is said of landed files that later rules refuse: they are kept, and count for nothing."""
    columns = ["file_hash", "landing_sequence", "withdrawn_at", "refused_because"]
    rows = to_frame(ops.LANDED_FILES, warehouse.read(ops.LANDED_FILES, columns=columns))
    last = rows.sort_values("landing_sequence").drop_duplicates("file_hash", keep="last")
    return tuple(last.loc[last["withdrawn_at"].isna(), "refused_because"].dropna())


def failed_since(warehouse: Warehouse, moment: pd.Timestamp) -> pd.DataFrame:
    """`source` and `error_message` of what failed at the instant `moment` or later, in order of time."""
    runs = _rows(warehouse, ops.INGESTION_RUNS).sort_values("ended_at", kind="stable")
    return runs.loc[(runs["run_status"] == "failed") & (runs["ended_at"] >= moment), ["source", "error_message"]]


def _rows(warehouse: Warehouse, table: Table) -> pd.DataFrame:
    return to_frame(table, warehouse.read(table))


def _table_status(table: Table, ledger: pd.DataFrame) -> TableStatus:
    filled = ledger.loc[ledger["row_count"] > 0, "partition_key"]
    return TableStatus(
        table=table,
        partitions=len(ledger),
        filled=len(filled),
        rows=int(ledger["row_count"].sum()),
        first=filled.min() if len(filled) else None,
        last=filled.max() if len(filled) else None,
        written_at=ledger["written_at"].max() if len(ledger) else None,
    )
