"""Bars from files in Databento's own format, DBN, versions 1 to 3, schemas ohlcv-1m, ohlcv-1h and ohlcv-1d.

What a file alone can prove. A cut compressed file is noticed unless it was cut exactly between two compressed frames,
a cut uncompressed file unless it was cut exactly between two records. A flipped bit in a compressed file is noticed by
the checksum of its frame (the vendor writes one); in an uncompressed file only where it contradicts the header or makes
an impossible bar. The hashes of a batch's manifest.json close all these gaps: keep that file beside the data.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import databento_dbn
import numpy as np
import pandas as pd

from cbi_dagster.market.sessions import BAR_NS, DAY_NS
from cbi_dagster.vendors.compression import plain
from cbi_dagster.vendors.databento.bar_files import PRICES, RTYPES, BarFile
from cbi_dagster.vendors.databento.symbology import EARLIEST, LATEST, mapping_frame, symbology_mapping, symbols_of
from cbi_dagster.vendors.files import (
    AGAIN,
    ConcatenatedFileError,
    Content,
    CorruptFileError,
    HeaderMismatchError,
    LaterFeatureError,
    LiveRecordingError,
    TruncatedFileError,
    UnresolvedSymbolsError,
    UnsupportedSchemaError,
    some,
)

_STYPES = ("continuous", "parent", "raw_symbol")
_OHLCV_WORDS = 14  # a record states its own length in units of four bytes
_OHLCV_BYTES = 4 * _OHLCV_WORDS
_LATEST_NS = pd.Timestamp(LATEST).value


def is_dbn(name: str) -> bool:
    """Whether a file of this name is in Databento's own format."""
    return name.endswith((".dbn", ".dbn.zst"))


def decode_dbn(content: Content) -> BarFile:
    """The bars of a DBN file, which agrees with its header; raises a DeliveryError.

    A file without rows is valid: it says that nothing traded.
    """
    # The vendor's client takes a quarter of a second to import, and every command loads this module.
    import databento
    from databento.common.error import BentoWarning

    path, decoded = content.path, plain(content.path, content.data)
    try:
        store = databento.DBNStore.from_bytes(io.BytesIO(decoded))
        header = store.metadata
    except Exception as error:  # whatever the decoder raises on damaged bytes means that they are damaged
        raise CorruptFileError(path, f"its header cannot be decoded ({error})", AGAIN) from error
    schema = str(header.schema) if header.schema is not None else "none"
    if header.schema is None or (schema in BAR_NS and header.end is None):
        raise LiveRecordingError(
            path,
            "it is a recording of the live feed: its header states no end, so nobody knows which bars are missing",
            "Request the period as a historical download and land that",
        )
    if schema not in BAR_NS:
        raise LaterFeatureError(
            path,
            f"its schema is {schema}, bars are landed from {', '.join(BAR_NS)}",
            "It is left for a later feature",
        )
    _require_one_file(path, decoded)
    if str(header.stype_in) not in _STYPES:
        raise UnsupportedSchemaError(
            path, f"its symbols are of type {header.stype_in}", f"Request the data by {', '.join(_STYPES)}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", BentoWarning)
            records = store.to_ndarray().reshape(-1)  # an empty file decodes to shape (0, 1)
    except BentoWarning as error:
        raise TruncatedFileError(path, "its last record is incomplete", AGAIN) from error
    except Exception as error:
        raise CorruptFileError(path, f"its records cannot be decoded ({error})", AGAIN) from error
    # What is decoded is large: each stage of it goes as soon as the next one is there.
    del store, decoded
    stamps = records["ts_event"].view(np.int64)
    start, end = header.start, header.end
    limited = bool(end is not None and header.limit and len(records) >= header.limit)
    if limited:
        # The vendor stopped at the requested number of records: nothing is known after the last of them.
        end = min(end, int(stamps[-1]) + BAR_NS[schema])
    if not isinstance(end, int) or not start <= end < _LATEST_NS:
        raise HeaderMismatchError(path, f"its header states the period {start} to {end}", AGAIN)
    symbols = set() if str(header.stype_in) == "parent" else set(header.symbols)
    mapping = _stated_mapping(path, header) if header.mappings else symbology_mapping(content)
    _check_records(path, records, stamps, schema, start, end)
    return BarFile(
        dataset=header.dataset,
        schema=schema,
        stype_in=str(header.stype_in),
        start=pd.Timestamp(start, tz="UTC"),
        end=pd.Timestamp(end, tz="UTC"),
        symbols=tuple(sorted({*mapping["symbol"], *symbols})),
        bars=_bars(path, records, stamps, mapping),
        mapping=mapping,
        not_found=tuple(header.not_found),
        exhaustive=not limited,
        by_symbology=not header.mappings and bool(len(mapping)),
    )


def _require_one_file(path: Path, data: bytes) -> None:
    """Raise ConcatenatedFileError where a second file begins after whole records."""
    at = 8 + int.from_bytes(data[4:8], "little")
    count = (len(data) - at) // _OHLCV_BYTES
    if count <= 0:
        return
    lengths = np.frombuffer(data, np.uint8, count=count * _OHLCV_BYTES, offset=at)[::_OHLCV_BYTES]
    strange = np.flatnonzero(lengths != _OHLCV_WORDS)
    end = at + int(strange[0] if len(strange) else count) * _OHLCV_BYTES
    if data[end : end + 3] == b"DBN":
        raise ConcatenatedFileError(
            path,
            "it is two DBN files, one after the other: the second begins after record "
            f"{(end - at) // _OHLCV_BYTES - 1}, and the header of the first says nothing of it",
            "Land the files that it was made of, each by itself",
        )


def _check_records(path: Path, records: np.ndarray, stamps: np.ndarray, schema: str, start: int, end: int) -> None:
    if not len(records):
        return
    strange = (records["rtype"] != RTYPES[schema]) | (records["length"] != _OHLCV_WORDS)
    if strange.any():
        raise HeaderMismatchError(path, f"record {strange.argmax()} is no {schema} record", AGAIN)
    outside = (stamps < start) | (stamps >= end)
    if outside.any():
        row = int(outside.argmax())
        raise HeaderMismatchError(
            path,
            f"record {row} of {np.datetime64(int(stamps[row]), 'ns')} lies outside the header's period "
            f"{np.datetime64(start, 'ns')} to {np.datetime64(end, 'ns')}",
            AGAIN,
        )


def _stated_mapping(path: Path, header: databento_dbn.Metadata) -> pd.DataFrame:
    rows = [
        (symbol, interval["start_date"], interval["end_date"], interval["symbol"])
        for symbol, intervals in header.mappings.items()
        for interval in intervals
        if interval["symbol"]
    ]
    unknown = set() if str(header.stype_in) == "parent" else set(header.mappings) - set(header.symbols)
    wrong = [row for row in rows if not (row[3].isdecimal() and EARLIEST <= row[1] < row[2] <= LATEST)]
    if unknown or wrong:
        named = some(unknown or {row[0] for row in wrong})
        raise HeaderMismatchError(path, f"its header maps {named} in a way that makes no sense", AGAIN)
    return mapping_frame([(symbol, first, end, int(number)) for symbol, first, end, number in rows])


def _bars(path: Path, records: np.ndarray, stamps: np.ndarray, mapping: pd.DataFrame) -> pd.DataFrame:
    rows, codes, symbols = symbols_of(records["instrument_id"].astype(np.int64), stamps // DAY_NS, mapping)
    unmapped = np.ones(len(records), bool)
    unmapped[rows] = False
    if unmapped.any():
        row = int(unmapped.argmax())
        if mapping.empty:
            raise UnresolvedSymbolsError(
                path,
                "its header does not say which symbols its contracts belong to",
                "Put the symbology.json of its download beside it and land both",
            )
        raise HeaderMismatchError(
            path,
            f"record {row} is of instrument {records['instrument_id'][row]}, which the header maps to no symbol on "
            f"{np.datetime64(int(stamps[row]), 'ns').astype('datetime64[D]')}",
            AGAIN,
        )
    if len(rows) != len(records):
        records, stamps = records[rows], stamps[rows]
    return pd.DataFrame(
        {
            "ts_event": pd.DatetimeIndex(stamps.view("datetime64[ns]"), tz="UTC"),
            "symbol": pd.Categorical.from_codes(codes, symbols),
            "instrument_id": records["instrument_id"].astype(np.int64),
            "publisher_id": records["publisher_id"].astype(np.int64),
            **{name: _price(records[name]) for name in PRICES},
            "volume": records["volume"].astype(np.int64),
            "source_row": rows,
        },
        copy=False,
    )


def _price(fixed: np.ndarray) -> np.ndarray:
    """Prices from billionths: one rounded division, so the double nearest to the decimal below nine million."""
    price = fixed / 1e9
    price[fixed == databento_dbn.UNDEF_PRICE] = np.nan
    return price
