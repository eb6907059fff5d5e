"""Writing bars as the vendor does: DBN files, which the vendor's own reader decodes, and the manifest of a batch."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import databento_dbn
import numpy as np
import pandas as pd
import zstandard
from databento_dbn.metadata import MappingInterval

from cbi_dagster.market.sessions import utc_instants
from cbi_dagster.vendors.databento.bar_files import MAPPING_COLUMNS, PRICES, RTYPES

_RECORD = np.dtype(databento_dbn.OHLCVMsg._dtypes)


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
    records = np.zeros(len(bars), _RECORD)
    records["length"] = _RECORD.itemsize // 4
    records["rtype"] = RTYPES.get(schema, 0)
    records["publisher_id"] = bars["publisher_id"].to_numpy() if "publisher_id" in bars.columns else 0
    records["instrument_id"] = bars["instrument_id"].to_numpy()
    records["ts_event"] = utc_instants(bars["ts_event"]).astype("datetime64[ns]").astype(np.int64)
    for name in PRICES:
        price = bars[name].to_numpy(np.float64)
        undefined = np.isnan(price)
        records[name] = np.rint(np.where(undefined, 0.0, price) * 1e9).astype(np.int64)
        records[name][undefined] = databento_dbn.UNDEF_PRICE
    records["volume"] = bars["volume"].to_numpy()
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
