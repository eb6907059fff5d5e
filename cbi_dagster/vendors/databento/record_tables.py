"""Records of contracts from CSV and Parquet files, in the vendor's columns."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from cbi_dagster.market.sessions import utc_instants
from cbi_dagster.vendors.databento.bar_tables import DEFAULT_DATASET
from cbi_dagster.vendors.databento.records import RecordFile
from cbi_dagster.vendors.databento.symbology import mapping_frame, symbology_mapping, symbols_of
from cbi_dagster.vendors.files import Content, LayoutError, some
from cbi_dagster.vendors.tabular import TabularFile

_NAME = re.compile(
    r"\.(?P<schema>statistics|definition)(\.(?P<part>[A-Z0-9]{2,}))?(\..+)?\.(csv|csv\.zst|csv\.gz|parquet)$"
)


def named_for(schema: str, name: str) -> bool:
    """Whether a CSV or Parquet file of this name says that it holds records of the schema."""
    found = _NAME.search(name)
    return found is not None and found["schema"] == schema


def named_source(
    file: TabularFile, content: Content, schema: str, rows: pd.DataFrame, symbols: np.ndarray | None = None
) -> RecordFile:
    """The rows of a file (`ts_recv`, `instrument_id` and others) as a RecordFile.

    The symbol of each is that in `symbols`; else its column `symbol`, the name of the file or the symbology.json beside
    it says whose it is.
    """
    found = _NAME.search(content.name)
    part, by_symbology = found["part"] if found else None, False
    if symbols is not None:
        pass
    elif "symbol" in file:
        symbols = file.texts("symbol").to_numpy(object)
    elif part is not None:
        symbols = np.full(len(file), part, dtype=object)
    elif content.symbology is not None:
        symbols, by_symbology = np.full(len(file), None, dtype=object), True
        days = utc_instants(rows["ts_recv"]).astype("datetime64[D]").astype(np.int64)
        at, codes, names = symbols_of(rows["instrument_id"].to_numpy(), days, symbology_mapping(content))
        symbols[at] = names.to_numpy(object)[codes]
    else:
        raise LayoutError(
            content.path,
            "it has no column symbol, and neither its name nor a symbology.json beside it says whose records these are",
            "Of the vendor, ask for map_symbols, or put the symbology.json of its download beside it",
        )
    datasets = file.texts("dataset").unique().tolist() if "dataset" in file else [DEFAULT_DATASET]
    if len(datasets) != 1 or datasets[0] is None:
        raise LayoutError(
            content.path, f"its rows are of the datasets {some(map(str, datasets))}", "Write one file for each"
        )
    received = rows["ts_recv"].dropna()
    start = received.min() if len(received) else pd.Timestamp(0, tz="UTC")
    return RecordFile(
        dataset=datasets[0],
        schema=schema,
        stype_in="raw_symbol",
        start=start,
        end=received.max() + pd.Timedelta(1, "us") if len(received) else start,
        symbols=tuple(sorted({symbol for symbol in symbols if symbol is not None})),
        rows=rows.assign(symbol=symbols, source_row=np.arange(len(file))),
        mapping=mapping_frame([]),
        observed=True,
        by_symbology=by_symbology,
    )
