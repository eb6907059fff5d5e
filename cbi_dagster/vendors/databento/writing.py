"""Writing records as the vendor does: DBN files, which the vendor's own reader decodes, and the manifest of a batch."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import databento_dbn
import numpy as np
import pandas as pd
import zstandard
from databento_dbn.metadata import MappingInterval

from cbi_dagster.market.sessions import utc_instants
from cbi_dagster.vendors.databento.bar_files import MAPPING_COLUMNS, PRICES, RTYPES


@dataclass
class _Interval:
    start_date: dt.date
    end_date: dt.date
    symbol: str


@dataclass
class _Symbol:
    raw_symbol: str
    intervals: Sequence[MappingInterval]


def write_dbn(
    path: Path,
    *,
    dataset: str,
    schema: str,
    stype_in: str,
    start: pd.Timestamp,
    end: pd.Timestamp,
    mappings: pd.DataFrame,
    bars: pd.DataFrame,
    symbols: Sequence[str] | None = None,
) -> Path:
    """Write bars as one DBN file, zstd-compressed with checksums if its name ends in `.zst`; returns `path`.

    The header states the UTC period [start, end), the requested `symbols` (those of `mappings` without it) and the
    `mappings` (`symbol`, `start_date`, `end_date` (exclusive), `instrument_id`). Records are the rows of `bars` in the
    given order: `ts_event` (UTC), `instrument_id`, `open`, `high`, `low`, `close` (NaN for none), `volume` and,
    optional, `publisher_id` (0 without it). Nothing is checked, so that faulty files can be written for tests.
    """
    records = _of_contracts(bars, databento_dbn.OHLCVMsg, schema)
    records["ts_event"] = utc_instants(bars["ts_event"]).astype("datetime64[ns]").astype(np.int64)
    for name in PRICES:
        records[name] = _fixed(bars[name])
    records["volume"] = bars["volume"].to_numpy()
    return write_records(
        path, records, dataset=dataset, schema=schema, stype_in=stype_in, start=start, end=end, mappings=mappings,
        symbols=symbols,
    )  # fmt: skip


def statistics_records(rows: pd.DataFrame) -> np.ndarray:
    """Records of schema statistics, for `write_records`.

    Columns: `instrument_id`, `ts_recv` (UTC), `ref_date` (NaT for none), `stat_type` (the vendor's number), `price`
    (NaN for none), `quantity` (Int64) and, optional, `stat_flags` (255), `update_action` (1) and `publisher_id` (0).
    """
    records = _of_contracts(rows, databento_dbn.StatMsg, "statistics")
    received = utc_instants(rows["ts_recv"]).astype("datetime64[ns]").astype(np.int64)
    records["ts_recv"] = records["ts_event"] = received
    reference = rows["ref_date"].to_numpy("datetime64[ns]")
    undated = np.isnat(reference)
    records["ts_ref"] = np.where(undated, np.datetime64(0, "ns"), reference).astype(np.int64).astype(np.uint64)
    records["ts_ref"][undated] = databento_dbn.UNDEF_TIMESTAMP
    records["price"] = _fixed(rows["price"])
    records["quantity"] = rows["quantity"].astype("Int64").fillna(databento_dbn.UNDEF_STAT_QUANTITY).to_numpy(np.int64)
    records["stat_type"] = rows["stat_type"].to_numpy()
    records["stat_flags"] = rows["stat_flags"].to_numpy() if "stat_flags" in rows.columns else 255
    records["update_action"] = rows["update_action"].to_numpy() if "update_action" in rows.columns else 1
    records["sequence"] = np.arange(len(rows))
    return records


def definition_records(rows: pd.DataFrame) -> np.ndarray:
    """Records of schema definition, for `write_records`.

    Columns: `instrument_id`, `ts_recv`, `activation`, `expiration` (UTC), `raw_symbol`, `instrument_class`, `asset`,
    `currency`, `exchange`, `unit_of_measure` (text), `min_price_increment`, `unit_of_measure_qty` (NaN for none),
    `maturity_year`, `maturity_month` and, optional, `publisher_id` (0).
    """
    records = _of_contracts(rows, databento_dbn.InstrumentDefMsg, "definition")
    for name in ("ts_recv", "activation", "expiration"):
        records[name] = utc_instants(rows[name]).astype("datetime64[ns]").astype(np.int64).astype(np.uint64)
    records["ts_event"] = records["ts_recv"]
    for name in ("raw_symbol", "instrument_class", "asset", "currency", "exchange", "unit_of_measure"):
        records[name] = rows[name].astype(str).str.encode("ascii").to_numpy()
    records["group"] = records["asset"]
    records["security_update_action"], records["security_type"] = b"A", b"FUT"
    records["display_factor"] = int(1e9)
    for name in ("min_price_increment", "unit_of_measure_qty"):
        records[name] = _fixed(rows[name])
    for name in ("maturity_year", "maturity_month"):
        records[name] = rows[name].to_numpy()
    return records


def _of_contracts(rows: pd.DataFrame, layout: Any, schema: str) -> np.ndarray:
    """Empty records of the schema, one for each row."""
    fields = np.dtype(layout._dtypes)
    records = np.zeros(len(rows), fields)
    records["length"] = fields.itemsize // 4
    records["rtype"] = RTYPES.get(schema, 0)
    records["publisher_id"] = rows["publisher_id"].to_numpy() if "publisher_id" in rows.columns else 0
    records["instrument_id"] = rows["instrument_id"].to_numpy()
    return records


def _fixed(prices: pd.Series) -> np.ndarray:
    """Prices in billionths, as the vendor states them."""
    price = prices.to_numpy(np.float64)
    undefined = np.isnan(price)
    fixed = np.rint(np.where(undefined, 0.0, price) * 1e9).astype(np.int64)
    fixed[undefined] = databento_dbn.UNDEF_PRICE
    return fixed


def write_records(
    path: Path,
    records: np.ndarray,
    *,
    dataset: str,
    schema: str,
    stype_in: str,
    start: pd.Timestamp,
    end: pd.Timestamp,
    mappings: pd.DataFrame,
    symbols: Sequence[str] | None = None,
) -> Path:
    """Write records of the vendor's layout as one DBN file; the rest as in `write_dbn`."""
    header = databento_dbn.Metadata(
        dataset=dataset,
        start=start.as_unit("ns").value,
        end=end.as_unit("ns").value,
        stype_in=databento_dbn.SType.from_str(stype_in),
        stype_out=databento_dbn.SType.from_str("instrument_id"),
        schema=databento_dbn.Schema.from_str(schema),
        symbols=sorted(mappings["symbol"].unique()) if symbols is None else list(symbols),
        mappings=[
            _Symbol(
                str(symbol),
                [
                    _Interval(pd.Timestamp(first).date(), pd.Timestamp(last).date(), str(number))
                    for first, last, number in rows.sort_values("start_date")[list(MAPPING_COLUMNS[1:])].to_numpy()
                ],
            )
            for symbol, rows in mappings.groupby("symbol", sort=True, observed=True)
        ],
    )
    content = bytes(header.encode()) + records.tobytes()
    if path.suffix == ".zst":
        content = zstandard.ZstdCompressor(write_checksum=True).compress(content)
    path.write_bytes(content)
    return path


def write_manifest(directory: Path, files: Sequence[Path]) -> Path:
    """Write the manifest.json of a batch download: name, size and sha256 of each file."""
    entries = [
        {
            "filename": file.name,
            "size": file.stat().st_size,
            "hash": f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}",
            "urls": {},
        }
        for file in files
    ]
    path = directory / "manifest.json"
    path.write_text(json.dumps({"job_id": "SIMULATED", "files": entries}, indent=2) + "\n", encoding="utf-8")
    return path
