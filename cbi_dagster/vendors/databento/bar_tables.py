"""Bars from CSV and Parquet files.

A file is named `<anything>.<schema>[.<part>].csv` or `….parquet`, e.g. `zl.ohlcv-1h.csv`; CSV may be compressed, as the
vendor does it (`.csv.zst`, `.csv.gz`), and the part is what the vendor splits by (`….ohlcv-1h.ESH4.csv`). A UTC period
in the name, as the vendor writes it (`glbx-mdp3-20240101-20240131`, both days inclusive, or one day), is covered as a
whole, otherwise what lies between the first and the last row.

It has one row per bar with the columns `ts_event` (start of the bar, UTC; ISO 8601 text or a timestamp, without a zone
it is read as UTC), `symbol` (not needed where the part of the name is one, or where the symbology.json of its delivery
says which symbol an `instrument_id` is), `open`, `high`, `low`, `close` (decimal prices), `volume`, and, optional:
`instrument_id` (the vendor's number of the contract; required for continuous symbols, where it must be one per symbol
and UTC day; without it a single contract gets a negative number made of its symbol, which no vendor number can equal),
`publisher_id` (unknown without it) and `dataset` (one value; GLBX.MDP3 without it). Other columns are not read.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from cbi_dagster.market.sessions import BAR_NS, utc_instants
from cbi_dagster.vendors.databento.bar_files import (
    BARS_COLUMNS,
    CONTINUOUS,
    MAPPING_COLUMNS,
    PRICES,
    BarFile,
)
from cbi_dagster.vendors.databento.symbology import mapping_frame, symbology_mapping, symbols_of
from cbi_dagster.vendors.files import Content, LayoutError, some
from cbi_dagster.vendors.tabular import TabularFile

DEFAULT_DATASET = "GLBX.MDP3"

_NAME = re.compile(r"\.(?P<schema>ohlcv-1[mhd])(\.(?P<part>.+))?\.(csv|csv\.zst|csv\.gz|parquet)$")
_SYMBOL = re.compile(r"[A-Z0-9]{2,}(\.[vnc]\.\d+)?")
_PERIOD = re.compile(r"^[a-z]+-[a-z0-9]+-(?P<first>\d{8})(-(?P<last>\d{8}))?\.ohlcv-")
_REQUIRED = ("ts_event", *PRICES, "volume")
_OPTIONAL = ("symbol", "instrument_id", "publisher_id", "dataset")


def schema_named(name: str) -> str | None:
    """The schema that the name of a CSV or Parquet file of bars states; None for any other name."""
    found = _NAME.search(name)
    return found["schema"] if found else None


def period_named(name: str) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """The UTC period, end exclusive, that the name of a vendor's file states; None if it states none."""
    found = _PERIOD.match(name)
    if not found:
        return None
    try:
        first, last = (pd.to_datetime(found[day] or found["first"], format="%Y%m%d") for day in ("first", "last"))
    except ValueError:  # eight digits that are no date
        return None
    return (first.tz_localize("UTC"), (last + pd.Timedelta(days=1)).tz_localize("UTC")) if first <= last else None


def decode_table(content: Content) -> BarFile:
    """The bars of a CSV or Parquet file that is named for its schema; raises a DeliveryError."""
    path, schema = content.path, schema_named(content.name)
    if schema is None:
        raise LayoutError(
            path, "its name does not say its schema", "Name it <anything>.ohlcv-1h.csv (or .parquet; 1m, 1h or 1d)"
        )
    file = TabularFile(content, _REQUIRED, _OPTIONAL)
    stamps = file.instants("ts_event")
    file.refuse("ts_event", stamps.isna(), "has no value")
    rows, names = _symbols(file, content, stamps)
    bars = pd.DataFrame(
        {
            "ts_event": stamps,
            **{name: file.numbers(name) for name in PRICES},
            "volume": file.whole_numbers("volume"),
            "source_row": np.arange(len(file)),
        }
    )
    if "publisher_id" in file:
        bars["publisher_id"] = file.whole_numbers("publisher_id")
    else:
        bars["publisher_id"] = pd.array([pd.NA] * len(file), dtype="Int64")
    if "instrument_id" in file:
        bars["instrument_id"] = file.whole_numbers("instrument_id")
    if len(rows) != len(bars):
        bars = bars.take(rows).reset_index(drop=True)
    bars["symbol"] = names
    if "instrument_id" not in file:
        bars["instrument_id"] = _numbers(path, bars["symbol"])
    symbols = tuple(bars["symbol"].cat.categories)
    datasets = file.texts("dataset").unique().tolist() if "dataset" in file else [DEFAULT_DATASET]
    if len(datasets) != 1 or datasets[0] is None:
        raise LayoutError(path, f"its rows are of the datasets {some(map(str, datasets))}", "Write one file for each")
    return BarFile(
        dataset=datasets[0],
        schema=schema,
        stype_in="continuous" if all(CONTINUOUS.fullmatch(symbol) for symbol in symbols) else "raw_symbol",
        start=bars["ts_event"].min(),
        end=bars["ts_event"].max() + pd.Timedelta(BAR_NS[schema], "ns"),
        symbols=symbols,
        bars=bars[list(BARS_COLUMNS)],
        mapping=mapping_frame([]),
        observed=True,
        by_symbology="symbol" not in file and _part(content.name) is None,
    )


def _symbols(file: TabularFile, content: Content, stamps: pd.Series) -> tuple[np.ndarray, pd.Series]:
    """Whose bars the rows are: positions of rows, ascending, and the symbol of each (categorical).

    A row of a contract that several symbols stand for is there once for each.
    """
    everything = np.arange(len(file))
    if "symbol" in file:
        names = file.texts("symbol")
        file.refuse("symbol", names.isna(), "has no value")
        return everything, names.astype("category")
    if (part := _part(content.name)) is not None:
        return everything, pd.Series(part, everything, dtype="category")
    if content.symbology is None or "instrument_id" not in file:
        raise LayoutError(
            content.path,
            "it has no column symbol, and neither its name nor a symbology.json beside it says whose bars these are",
            "Of the vendor, ask for map_symbols, or put the symbology.json of its download beside it",
        )
    contracts = file.whole_numbers("instrument_id")
    days = utc_instants(stamps).astype("datetime64[D]").astype(np.int64)
    rows, codes, symbols = symbols_of(contracts.to_numpy(), days, symbology_mapping(content))
    file.refuse("instrument_id", ~np.isin(everything, rows), "is no symbol on that day by the symbology.json beside it")
    return rows, pd.Series(pd.Categorical.from_codes(codes, symbols))


def _part(name: str) -> str | None:
    """The symbol that a vendor's file is named for, which was split by symbol; None for any other part of a name."""
    found = _NAME.search(name)
    return found["part"] if found and found["part"] and _SYMBOL.fullmatch(found["part"]) else None


def _numbers(path: Path, symbols: pd.Series) -> pd.Series:
    """Numbers of contracts of which the vendor's are not known."""
    continuous = [symbol for symbol in symbols.cat.categories if CONTINUOUS.fullmatch(symbol)]
    if continuous:
        raise LayoutError(
            path,
            f"it has no instrument_id, so the contracts behind {some(continuous)} are unknown",
            "Add the column instrument_id",
        )
    return symbols.map(lambda symbol: -1 - zlib.crc32(symbol.encode())).astype(np.int64)


def observed_mapping(path: Path, bars: pd.DataFrame) -> pd.DataFrame:
    """The contract of each symbol on each UTC day that has bars; days between two days of one contract are its own.

    Raises LayoutError where a symbol has two on one day.
    """
    days = bars[["symbol", "instrument_id"]].assign(day=bars["ts_event"].dt.tz_convert(None).dt.floor("D"))
    days = days.astype({"symbol": object}).drop_duplicates().sort_values(["symbol", "day"], ignore_index=True)
    twice = days.duplicated(["symbol", "day"])
    if twice.any():
        row = days[twice].iloc[0]
        raise LayoutError(
            path,
            f"{row['symbol']} has two instrument_ids on {row['day'].date()} (UTC)",
            "Switch contracts at 00:00 UTC, as the vendor's continuous symbols do",
        )
    keys = days[["symbol", "instrument_id"]]
    runs = days.groupby((keys != keys.shift()).any(axis=1).cumsum())
    observed = runs[["symbol", "instrument_id"]].first()
    observed["start_date"] = runs["day"].first()
    observed["end_date"] = runs["day"].last() + pd.Timedelta(days=1)
    return observed.reset_index(drop=True)[list(MAPPING_COLUMNS)]
