"""Records from files in Databento's own format, DBN, versions 1 to 3, and the bars of ohlcv-1m, ohlcv-1h, ohlcv-1d.

What a file alone can prove. A cut compressed file is noticed unless it was cut exactly between two compressed frames,
a cut uncompressed file unless it was cut exactly between two records. A flipped bit in a compressed file is noticed by
the checksum of its frame (the vendor writes one); in an uncompressed file only where it contradicts the header or makes
an impossible record. The hashes of a batch's manifest.json close all these gaps: keep that file beside the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

STYPES = ("continuous", "parent", "raw_symbol")
_WORD_BYTES = 4  # a record states its own length in words
#: Where the vendor's library has the layouts of records of earlier versions, and what it calls those of each schema.
_LAYOUTS = {1: databento_dbn.v1, 2: databento_dbn.v2}
_RECORDS = dict.fromkeys(BAR_NS, "OHLCVMsg") | {"statistics": "StatMsg", "definition": "InstrumentDefMsg"}
_LATEST_NS = pd.Timestamp(LATEST).value


def is_dbn(name: str) -> bool:
    """Whether a file of this name is in Databento's own format."""
    return name.endswith((".dbn", ".dbn.zst"))


@dataclass(frozen=True)
class DbnFile:
    """A DBN file that was decoded to its end and does not contradict its header.

    `records` are its records as the vendor lays them out in the file's version; `stamps` (nanoseconds since 1970, UTC)
    is the time of each that its period [start, end) is about. `limited`: the vendor stopped at a requested number of
    records, and `end` is what lies behind the last of them, `length` nanoseconds. `mapping` as in `BarFile`;
    `by_symbology` where it is that of the delivery's symbology.json.
    """

    dataset: str
    schema: str
    stype_in: str
    start: pd.Timestamp
    end: pd.Timestamp
    symbols: tuple[str, ...]
    mapping: pd.DataFrame
    not_found: tuple[str, ...]
    limited: bool
    by_symbology: bool
    records: np.ndarray
    stamps: np.ndarray


def decode_dbn(content: Content) -> BarFile:
    """The bars of a DBN file, which agrees with its header; raises a DeliveryError.

    A file without rows is valid: it says that nothing traded.
    """
    file = read_dbn(content, BAR_NS, "ts_event")
    require_period(content.path, file)
    return BarFile(
        dataset=file.dataset,
        schema=file.schema,
        stype_in=file.stype_in,
        start=file.start,
        end=file.end,
        symbols=file.symbols,
        bars=_bars(content.path, file),
        mapping=file.mapping,
        not_found=file.not_found,
        exhaustive=not file.limited,
        by_symbology=file.by_symbology,
    )


def read_dbn(content: Content, lengths: Mapping[str, int], stamp: str) -> DbnFile:
    """The records of a DBN file of one of the schemas in `lengths`, whose records are that many nanoseconds long.

    `stamp` is the field of a record that the header's period is about. Raises a DeliveryError: LaterFeatureError for a
    file of any other schema.
    """
    # Not with the vendor's client, which takes a quarter of a second to import and copies what it reads.
    path, decoded = content.path, plain(content.path, content.data)
    begins = _records_begin(decoded)
    try:
        header = databento_dbn.Metadata.decode(decoded[:begins], databento_dbn.VersionUpgradePolicy.AS_IS)
    except Exception as error:  # whatever the decoder raises on damaged bytes means that they are damaged
        raise CorruptFileError(path, f"its header cannot be decoded ({error})", AGAIN) from error
    schema = str(header.schema) if header.schema is not None else "none"
    if header.schema is None or (schema in lengths and header.end is None):
        raise LiveRecordingError(
            path,
            "it is a recording of the live feed: its header states no end, so nobody knows which records are missing",
            "Request the period as a historical download and land that",
        )
    if schema not in lengths:
        raise LaterFeatureError(
            path, f"its schema is {schema}, of which nothing is made", "It is left for a later feature"
        )
    _require_one_file(path, decoded)
    if str(header.stype_in) not in STYPES:
        raise UnsupportedSchemaError(
            path, f"its symbols are of type {header.stype_in}", f"Request the data by {', '.join(STYPES)}"
        )
    layout = np.dtype(getattr(_LAYOUTS.get(header.version, databento_dbn), _RECORDS[schema])._dtypes)
    if (len(decoded) - begins) % layout.itemsize:
        raise TruncatedFileError(path, "its last record is incomplete", AGAIN)
    records = np.frombuffer(decoded, layout, offset=begins)
    stamps = records[stamp].view(np.int64)
    start, end = header.start, header.end
    limited = bool(end is not None and header.limit and len(records) >= header.limit)
    if limited:
        # The vendor stopped at the requested number of records: nothing is known after the last of them.
        end = min(end, int(stamps[-1]) + lengths[schema])
    if not isinstance(end, int) or not start <= end < _LATEST_NS:
        raise HeaderMismatchError(path, f"its header states the period {start} to {end}", AGAIN)
    symbols = set() if str(header.stype_in) == "parent" else set(header.symbols)
    mapping = _stated_mapping(path, header) if header.mappings else symbology_mapping(content)
    _check_records(path, records, schema)
    return DbnFile(
        dataset=header.dataset,
        schema=schema,
        stype_in=str(header.stype_in),
        start=pd.Timestamp(start, tz="UTC"),
        end=pd.Timestamp(end, tz="UTC"),
        symbols=tuple(sorted({*mapping["symbol"], *symbols})),
        mapping=mapping,
        not_found=tuple(header.not_found),
        limited=limited,
        by_symbology=not header.mappings and bool(len(mapping)),
        records=records,
        stamps=stamps,
    )


def _records_begin(data: bytes) -> int:
    """Where the first record lies in an uncompressed file, whose header states its own length."""
    return 8 + int.from_bytes(data[4:8], "little")


def _require_one_file(path: Path, data: bytes) -> None:
    """Raise ConcatenatedFileError where a second file begins after whole records."""
    at = _records_begin(data)
    size = _WORD_BYTES * data[at] if len(data) > at else 0
    count = (len(data) - at) // size if size else 0
    if count <= 0:
        return
    lengths = np.frombuffer(data, np.uint8, count=count * size, offset=at)[::size]
    strange = np.flatnonzero(lengths != lengths[0])
    end = at + int(strange[0] if len(strange) else count) * size
    if data[end : end + 3] == b"DBN":
        raise ConcatenatedFileError(
            path,
            "it is two DBN files, one after the other: the second begins after record "
            f"{(end - at) // size - 1}, and the header of the first says nothing of it",
            "Land the files that it was made of, each by itself",
        )


def _check_records(path: Path, records: np.ndarray, schema: str) -> None:
    strange = (records["rtype"] != RTYPES[schema]) | (records["length"] != records.dtype.itemsize // _WORD_BYTES)
    if strange.any():
        raise HeaderMismatchError(path, f"record {strange.argmax()} is no {schema} record", AGAIN)


def require_period(path: Path, file: DbnFile) -> None:
    """Raise HeaderMismatchError for a record outside the period that the header states."""
    start, end = file.start.value, file.end.value
    outside = (file.stamps < start) | (file.stamps >= end)
    if outside.any():
        row = int(outside.argmax())
        raise HeaderMismatchError(
            path,
            f"record {row} of {np.datetime64(int(file.stamps[row]), 'ns')} lies outside the header's period "
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


def symbols_of_records(path: Path, file: DbnFile) -> tuple[np.ndarray, np.ndarray, pd.Index]:
    """Whose records they are by the file's mapping: positions of records (ascending), symbol codes, the symbols.

    A record of a contract that several symbols stand for is there once for each. Raises UnresolvedSymbolsError or
    HeaderMismatchError where no symbol stands for a record.
    """
    instruments = file.records["instrument_id"].astype(np.int64)
    rows, codes, symbols = symbols_of(instruments, file.stamps // DAY_NS, file.mapping)
    unmapped = np.ones(len(instruments), bool)
    unmapped[rows] = False
    if unmapped.any():
        row = int(unmapped.argmax())
        if file.mapping.empty:
            raise UnresolvedSymbolsError(
                path,
                "its header does not say which symbols its contracts belong to",
                "Put the symbology.json of its download beside it and land both",
            )
        raise HeaderMismatchError(
            path,
            f"record {row} is of instrument {instruments[row]}, which the header maps to no symbol on "
            f"{np.datetime64(int(file.stamps[row]), 'ns').astype('datetime64[D]')}",
            AGAIN,
        )
    return rows, codes, symbols


def _bars(path: Path, file: DbnFile) -> pd.DataFrame:
    rows, codes, symbols = symbols_of_records(path, file)
    records, stamps = file.records, file.stamps
    if len(rows) != len(records):
        records, stamps = records[rows], stamps[rows]
    return pd.DataFrame(
        {
            "ts_event": pd.DatetimeIndex(stamps.view("datetime64[ns]"), tz="UTC"),
            "symbol": pd.Categorical.from_codes(codes, symbols),
            "instrument_id": records["instrument_id"].astype(np.int64),
            "publisher_id": records["publisher_id"].astype(np.int64),
            **{name: price_of(records[name]) for name in PRICES},
            "volume": records["volume"].astype(np.int64),
            "source_row": rows,
        },
        copy=False,
    )


def price_of(fixed: np.ndarray) -> np.ndarray:
    """Prices from billionths: one rounded division, so the double nearest to the decimal below nine million."""
    price = fixed / 1e9
    price[fixed == databento_dbn.UNDEF_PRICE] = np.nan
    return price
