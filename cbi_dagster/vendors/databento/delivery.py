"""From what a vendor hands over to verified files: nothing is stored here, and no row is judged.

A delivery is a directory (a Databento batch download, or any folder of data files), a batch .zip, or one file:

* `.dbn` and `.dbn.zst`: Databento's own format, versions 1 to 3, schemas ohlcv-1m, ohlcv-1h and ohlcv-1d.
* `<anything>.<schema>.csv` and `<anything>.<schema>.parquet`, e.g. `zl.ohlcv-1h.csv`: one row per bar with the columns
  `ts_event` (start of the bar, UTC; ISO 8601 text or a timestamp, without a zone it is read as UTC), `symbol`, `open`,
  `high`, `low`, `close` (decimal prices), `volume`, and, optional:
  `instrument_id` (the vendor's number of the contract; required for continuous symbols, where it must be one per
  symbol and UTC day; without it a single contract gets a negative number made of its symbol, which no vendor number
  can equal), `publisher_id` (unknown without it) and `dataset` (one value; GLBX.MDP3 without it). Other columns are
  not read.

What a file alone can prove. A cut compressed file is noticed unless it was cut exactly between two compressed frames,
a cut uncompressed file unless it was cut exactly between two records, a CSV unless it was cut between two lines. A
flipped bit in a compressed file is noticed by the checksum of its frame (the vendor writes one); in an uncompressed
file only where it contradicts the header or makes an impossible bar. The hashes of a batch's manifest.json close all
these gaps: keep that file beside the data.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import re
import stat
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import databento_dbn
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from cbi_dagster.market.sessions import BAR_NS, DAY_NS

BARS_COLUMNS = (
    "ts_event", "symbol", "instrument_id", "publisher_id", "open", "high", "low", "close", "volume", "source_row",
)  # fmt: skip
PRICES = ("open", "high", "low", "close")
MAPPING_COLUMNS = ("symbol", "start_date", "end_date", "instrument_id")
CONTINUOUS = re.compile(r"(?P<root>[A-Z0-9]+)\.[vnc]\.\d+")
DEFAULT_DATASET = "GLBX.MDP3"

MAX_ZIP_BYTES = 64 * 2**30
MAX_ZIP_MEMBERS = 100_000

_RTYPES = {"ohlcv-1m": 0x21, "ohlcv-1h": 0x22, "ohlcv-1d": 0x23}
_STYPES = ("continuous", "parent", "raw_symbol")
_OHLCV_WORDS = 14  # a record states its own length in units of four bytes
_EARLIEST, _LATEST = dt.date(1970, 1, 1), dt.date(2200, 1, 1)  # nanoseconds count to 2262
_LATEST_NS = pd.Timestamp(_LATEST).value
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_FEED_BYTES = 2**16
_TABULAR = re.compile(r"\.(?P<schema>ohlcv-1[mhd])\.(csv|parquet)$")
_MACRO_FILE = re.compile(r"\.macro\.(csv|parquet)$")
_MANIFEST = "manifest.json"
_VENDOR_NOTES = {_MANIFEST, "metadata.json", "symbology.json", "condition.json"}
_REQUIRED = ("ts_event", "symbol", *PRICES, "volume")
_AGAIN = "Download or copy the file again and land it once more"


class DeliveryError(Exception):
    """A delivery that cannot be taken: which file, what is wrong with it, what to do about it."""

    def __init__(self, file: Path, what: str, what_to_do: str) -> None:
        super().__init__(file, what, what_to_do)
        self.file, self.what, self.what_to_do = file, what, what_to_do

    def __str__(self) -> str:
        return f"{self.file}: {self.what}. {self.what_to_do}."


class UnreadableFileError(DeliveryError):
    """A path that is missing, of an unknown kind, unsafe to unpack, or not readable at all."""


class TruncatedFileError(DeliveryError):
    """A file that ends before its content does."""


class CorruptFileError(DeliveryError):
    """A file whose bytes cannot be decoded."""


class HashMismatchError(DeliveryError):
    """A file whose content is not what the manifest of its delivery promises."""


class HeaderMismatchError(DeliveryError):
    """A file whose rows contradict its own header."""


class UnresolvedSymbolsError(DeliveryError):
    """A file for which the vendor could not resolve some of the requested symbols."""


class UnsupportedSchemaError(DeliveryError):
    """A file of a schema, or of a symbology, that is not landed as bars."""


class LayoutError(DeliveryError):
    """A CSV or Parquet file that does not have the documented columns."""


@dataclass(frozen=True)
class DeliveredFile:
    """A data file: its name, which says its format, and what the manifest of its delivery says about it, if any."""

    path: Path
    name: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Delivery:
    """Data files in order of their path, and the names of the files that were left alone."""

    files: tuple[DeliveredFile, ...]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class VerifiedFile:
    """A file that was decoded to its end and agrees with its header and manifest.

    The file states every bar of its `symbols` in [start, end). `bars` has BARS_COLUMNS in the file's order: `ts_event`
    (datetime64[ns, UTC], start of the bar), `symbol` (categorical, the vendor's), `instrument_id`, `publisher_id`
    (NULL where unknown), prices (float64, the double nearest to the decimal; NaN where the vendor states none),
    `volume`, `source_row` (0-based record in the file; a record of a contract that several of the symbols stand for
    appears once for each). `mapping` has the contracts that each symbol stood for: MAPPING_COLUMNS, UTC dates as
    datetime64[ns], `end_date` exclusive.
    """

    path: Path
    name: str
    sha256: str
    size: int
    dataset: str
    schema: str
    stype_in: str
    start: pd.Timestamp
    end: pd.Timestamp
    symbols: tuple[str, ...]
    bars: pd.DataFrame
    mapping: pd.DataFrame


# -- opening ----------------------------------------------------------------------------------------------------------


@contextmanager
def open_delivery(path: Path) -> Iterator[Delivery]:
    """The data files of a directory (recursively), a batch .zip or a single file, usable inside the `with` block.

    A zip is unpacked into a temporary directory that is gone afterwards. In directories and zips, files that are no
    data files are listed as ignored; a data file that a manifest lists and that is not there is listed as delivered, so
    that `verify` names it. Raises UnreadableFileError.
    """
    with ExitStack() as stack:
        if path.is_dir():
            yield _directory(path, stack)
        elif not path.exists():
            raise UnreadableFileError(path, "there is no such file or directory", "Check the path")
        elif path.suffix == ".zip":
            yield _directory(_unpack(path, stack), stack)
        elif _is_dbn(path.name) or path.suffix in (".csv", ".parquet"):
            listed = _manifest(path.parent / _MANIFEST)
            yield Delivery((listed.get(path.name, DeliveredFile(path, path.name)),))
        else:
            raise UnreadableFileError(
                path,
                "this is no data file",
                "Give a directory, a batch .zip, or a .dbn, .dbn.zst, .csv or .parquet file",
            )


def _is_dbn(name: str) -> bool:
    return name.endswith((".dbn", ".dbn.zst"))


def _is_data(name: str) -> bool:
    return _is_dbn(name) or _TABULAR.search(name) is not None or is_macro_file(name)


def is_macro_file(name: str) -> bool:
    """Whether a file of this name holds macro series, which `vendors.macro` reads."""
    return _MACRO_FILE.search(name) is not None


def is_delivered_name(name: str) -> bool:
    """Whether a file of this name is vendor data, or a batch zip of it."""
    return _is_data(name) or name.endswith(".zip")


def _directory(root: Path, stack: ExitStack) -> Delivery:
    files: dict[Path, DeliveredFile] = {}
    ignored: list[str] = []
    present = sorted(path for path in root.rglob("*") if path.is_file())
    for path in present:
        if path.name == _MANIFEST:
            files.update((file.path, file) for file in _manifest(path).values())
    for path in present:
        if _is_data(path.name):
            files.setdefault(path, DeliveredFile(path, path.name))
        elif path.suffix == ".zip":
            inner = _directory(_unpack(path, stack), stack)
            files.update((file.path, file) for file in inner.files)
            ignored += inner.ignored
        elif path.name not in _VENDOR_NOTES:
            ignored.append(path.relative_to(root).as_posix())
    return Delivery(tuple(sorted(files.values(), key=lambda file: (file.name, file.path))), tuple(ignored))


def _manifest(path: Path) -> dict[str, DeliveredFile]:
    """The data files that a Databento manifest lists, by name; none if there is no manifest."""
    if not path.is_file():
        return {}
    try:
        listed = {}
        for entry in json.loads(path.read_bytes())["files"]:
            name = str(entry["filename"])
            algorithm, _, digest = str(entry["hash"]).partition(":")
            if algorithm != "sha256" or PurePosixPath(name).name != name or "\\" in name:
                raise ValueError(f"unexpected entry {name!r}")
            if _is_data(name):
                listed[name] = DeliveredFile(path.parent / name, name, digest.lower(), int(entry["size"]))
        return listed
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableFileError(
            path,
            f"it is no readable Databento manifest, which lists files with filename, size and sha256 hash ({error})",
            "Download the manifest again, or move it away to land the files without their hashes",
        ) from error


def _unpack(path: Path, stack: ExitStack) -> Path:
    """Unpack a zip into a temporary directory that lives as long as `stack`; no member can leave it."""
    target = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cbi-delivery-")))
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            # Reading stops at a member's stated size, so the stated sizes are a true bound.
            if len(members) > MAX_ZIP_MEMBERS or sum(member.file_size for member in members) > MAX_ZIP_BYTES:
                raise UnreadableFileError(
                    path,
                    f"the archive holds more than {MAX_ZIP_MEMBERS} files or {MAX_ZIP_BYTES // 2**30} GiB",
                    "Unpack it by hand and land the directory",
                )
            for member in members:
                name = PurePosixPath(member.filename)
                unsafe = name.is_absolute() or ".." in name.parts or any(c in member.filename for c in "\\:\0")
                if unsafe or stat.S_ISLNK(member.external_attr >> 16):
                    raise UnreadableFileError(
                        path,
                        f"the archive member {member.filename!r} would be written outside the target directory",
                        "Do not unpack this archive; ask where it comes from",
                    )
                file = target.joinpath(*name.parts)
                file.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, file.open("wb") as sink:
                    while block := source.read(2**20):
                        sink.write(block)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        raise UnreadableFileError(path, f"the archive cannot be unpacked ({error})", _AGAIN) from error
    return target


# -- verifying --------------------------------------------------------------------------------------------------------


def verify(file: DeliveredFile) -> VerifiedFile:
    """Hash and decode a delivered file to its end and check it against its manifest and its header.

    Raises a DeliveryError whose class says what is wrong. A file without rows is valid: it says that nothing traded.
    """
    path = file.path
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableFileError(path, f"{_MANIFEST} lists this file, but it is not there", _AGAIN) from error
    except OSError as error:
        raise UnreadableFileError(path, f"the file cannot be read ({error})", "Check its permissions") from error
    digest = hashlib.sha256(data).hexdigest()
    if file.size is not None and len(data) < file.size:
        raise TruncatedFileError(path, f"{len(data)} of {file.size} bytes are there", _AGAIN)
    if file.sha256 is not None and digest != file.sha256:
        raise HashMismatchError(path, f"its sha256 is {digest}, {file.sha256} was expected", _AGAIN)
    if not data:
        raise TruncatedFileError(path, "the file is empty (0 bytes)", _AGAIN)
    return _decode_dbn(file, data, digest) if _is_dbn(file.name) else _decode_table(file, data, digest)


def _decode_dbn(file: DeliveredFile, data: bytes, digest: str) -> VerifiedFile:
    # The vendor's client takes a quarter of a second to import, and every command loads this module.
    import databento
    from databento.common.error import BentoWarning

    path = file.path
    plain = _decompress(path, data) if data[:4] == _ZSTD_MAGIC else data
    try:
        store = databento.DBNStore.from_bytes(io.BytesIO(plain))
        header = store.metadata
    except Exception as error:  # whatever the decoder raises on damaged bytes means that they are damaged
        raise CorruptFileError(path, f"its header cannot be decoded ({error})", _AGAIN) from error
    schema = str(header.schema) if header.schema is not None else "none"
    if schema not in BAR_NS:
        raise UnsupportedSchemaError(
            path, f"its schema is {schema}, bars are landed from {', '.join(BAR_NS)}", "Leave it out of the delivery"
        )
    if str(header.stype_in) not in _STYPES:
        raise UnsupportedSchemaError(
            path, f"its symbols are of type {header.stype_in}", f"Request the data by {', '.join(_STYPES)}"
        )
    unresolved = [*header.not_found, *header.partial]
    if unresolved:
        raise UnresolvedSymbolsError(
            path,
            f"the vendor could not resolve {_some(unresolved)} in the whole period",
            "Request the file again without these symbols, or for the period in which they exist",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", BentoWarning)
            records = store.to_ndarray().reshape(-1)  # an empty file decodes to shape (0, 1)
    except BentoWarning as error:
        raise TruncatedFileError(path, "its last record is incomplete", _AGAIN) from error
    except Exception as error:
        raise CorruptFileError(path, f"its records cannot be decoded ({error})", _AGAIN) from error
    stamps = records["ts_event"].view(np.int64)
    start, end = header.start, header.end
    if end is not None and header.limit and len(records) >= header.limit:
        # The vendor stopped at the requested number of records: nothing is known after the last of them.
        end = min(end, int(stamps[-1]) + BAR_NS[schema])
    if not isinstance(end, int) or not start <= end < _LATEST_NS:
        raise HeaderMismatchError(path, f"its header states the period {start} to {end}", _AGAIN)
    mapping = _stated_mapping(path, header)
    _check_records(path, records, stamps, schema, start, end)
    return VerifiedFile(
        path=path,
        name=file.name,
        sha256=digest,
        size=len(data),
        dataset=header.dataset,
        schema=schema,
        stype_in=str(header.stype_in),
        start=pd.Timestamp(start, tz="UTC"),
        end=pd.Timestamp(end, tz="UTC"),
        symbols=tuple(sorted({*mapping["symbol"], *(header.symbols if str(header.stype_in) != "parent" else ())})),
        bars=_bars(path, records, stamps, mapping),
        mapping=mapping,
    )


def _decompress(path: Path, data: bytes) -> bytes:
    """All zstd frames of a file.

    The vendor's reader returns what it got of an unfinished frame without a word, hence the walk from frame to frame.
    """
    decompressor = zstandard.ZstdDecompressor()
    rest = memoryview(data)
    parts: list[bytes] = []
    try:
        while len(rest):
            frame = decompressor.decompressobj()
            while not frame.eof:
                if not len(rest):
                    raise TruncatedFileError(path, "its last compressed frame is incomplete", _AGAIN)
                fed = rest[:_FEED_BYTES]
                parts.append(frame.decompress(fed))
                rest = rest[len(fed) - len(frame.unused_data) :]
    except (zstandard.ZstdError, MemoryError) as error:
        raise CorruptFileError(path, f"it cannot be decompressed ({error})", _AGAIN) from error
    return b"".join(parts)


def _check_records(path: Path, records: np.ndarray, stamps: np.ndarray, schema: str, start: int, end: int) -> None:
    if not len(records):
        return
    strange = (records["rtype"] != _RTYPES[schema]) | (records["length"] != _OHLCV_WORDS)
    if strange.any():
        raise HeaderMismatchError(path, f"record {strange.argmax()} is no {schema} record", _AGAIN)
    outside = (stamps < start) | (stamps >= end)
    if outside.any():
        row = int(outside.argmax())
        raise HeaderMismatchError(
            path,
            f"record {row} of {np.datetime64(int(stamps[row]), 'ns')} lies outside the header's period "
            f"{np.datetime64(start, 'ns')} to {np.datetime64(end, 'ns')}",
            _AGAIN,
        )


def _stated_mapping(path: Path, header: databento_dbn.Metadata) -> pd.DataFrame:
    rows = sorted(  # the decoder lists symbols in no certain order
        (symbol, interval["start_date"], interval["end_date"], interval["symbol"])
        for symbol, intervals in header.mappings.items()
        for interval in intervals
        if interval["symbol"]
    )
    unknown = set() if str(header.stype_in) == "parent" else set(header.mappings) - set(header.symbols)
    wrong = [row for row in rows if not (row[3].isdecimal() and _EARLIEST <= row[1] < row[2] <= _LATEST)]
    if unknown or wrong:
        named = _some(unknown or {row[0] for row in wrong})
        raise HeaderMismatchError(path, f"its header maps {named} in a way that makes no sense", _AGAIN)
    columns = list(zip(*rows, strict=True)) or [()] * 4
    return pd.DataFrame(
        {
            "symbol": pd.Series(columns[0], dtype=object),
            "start_date": np.array(columns[1], dtype="datetime64[D]").astype("datetime64[ns]"),
            "end_date": np.array(columns[2], dtype="datetime64[D]").astype("datetime64[ns]"),
            "instrument_id": np.array([int(number) for number in columns[3]], dtype=np.int64),
        }
    )


def _bars(path: Path, records: np.ndarray, stamps: np.ndarray, mapping: pd.DataFrame) -> pd.DataFrame:
    rows, codes, symbols = _symbols_of(records["instrument_id"].astype(np.int64), stamps // DAY_NS, mapping)
    unmapped = np.ones(len(records), bool)
    unmapped[rows] = False
    if unmapped.any():
        row = int(unmapped.argmax())
        raise HeaderMismatchError(
            path,
            f"record {row} is of instrument {records['instrument_id'][row]}, which the header maps to no symbol on "
            f"{np.datetime64(int(stamps[row]), 'ns').astype('datetime64[D]')}",
            _AGAIN,
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


def _symbols_of(
    instruments: np.ndarray, days: np.ndarray, mapping: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, pd.Index]:
    """The symbols that each record stands for: record positions (ascending), symbol codes, the symbols.

    A record carries only its contract. Where several symbols stood for it on the record's UTC day, the record belongs
    to each: the intervals are dealt into layers in which no two of one contract overlap, each looked up once.
    """
    codes, symbols = pd.factorize(mapping["symbol"], sort=True)
    contract = mapping["instrument_id"].to_numpy()
    first = mapping["start_date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    end = mapping["end_date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    order = np.lexsort((codes, first, contract))
    layer_ends: dict[int, list[int]] = {}
    layer = np.zeros(len(order), np.int64)
    for at, number, since, until in zip(
        order.tolist(), contract[order].tolist(), first[order].tolist(), end[order].tolist(), strict=True
    ):
        ends = layer_ends.setdefault(number, [])
        free = next((index for index, busy_until in enumerate(ends) if busy_until <= since), len(ends))
        ends[free:] = [until, *ends[free + 1 :]]
        layer[at] = free
    # One sortable number per (contract, day); a day fits 20 bits and a contract 32.
    wanted = (instruments << 20) + days
    found_rows, found_codes = [], []
    for index in range(int(layer.max(initial=-1)) + 1):
        chosen = order[layer[order] == index]
        starts = (contract[chosen] << 20) + first[chosen]
        position = np.searchsorted(starts, wanted, side="right") - 1
        at = chosen[position]
        hit = (position >= 0) & (contract[at] == instruments) & (days < end[at])
        found_rows.append(np.flatnonzero(hit))
        found_codes.append(codes[at[hit]])
    if not found_rows:
        return np.empty(0, np.int64), np.empty(0, np.int64), symbols
    rows, found = np.concatenate(found_rows), np.concatenate(found_codes)
    if len(found_rows) > 1:
        order = np.lexsort((found, rows))
        rows, found = rows[order], found[order]
    return rows, found, symbols


# -- CSV and Parquet --------------------------------------------------------------------------------------------------


def _decode_table(file: DeliveredFile, data: bytes, digest: str) -> VerifiedFile:
    path = file.path
    named = _TABULAR.search(file.name)
    if named is None:
        raise LayoutError(
            path, "its name does not say its schema", "Name it <anything>.ohlcv-1h.csv (or .parquet; 1m, 1h or 1d)"
        )
    schema = named["schema"]
    raw = _read_csv(path, data) if file.name.endswith(".csv") else _read_parquet(path, data)
    missing = [name for name in _REQUIRED if name not in raw.columns]
    if missing:
        raise LayoutError(
            path, f"the columns {', '.join(missing)} are missing", f"Give it the columns {', '.join(_REQUIRED)}"
        )
    if raw.empty:
        raise LayoutError(path, "it has no rows, so the period it covers is unknown", "Leave it out")
    bars = pd.DataFrame(
        {
            "ts_event": _stamps(path, raw["ts_event"]),
            "symbol": _symbols(path, raw["symbol"]),
            **{name: _floats(path, raw[name]) for name in PRICES},
            "volume": _integers(path, raw["volume"]),
            "source_row": np.arange(len(raw)),
        }
    )
    bars["instrument_id"] = _instruments(path, raw, bars["symbol"])
    if "publisher_id" in raw.columns:
        bars["publisher_id"] = _integers(path, raw["publisher_id"])
    else:
        bars["publisher_id"] = pd.array([pd.NA] * len(raw), dtype="Int64")
    datasets = raw["dataset"].unique().tolist() if "dataset" in raw.columns else [DEFAULT_DATASET]
    if len(datasets) != 1 or not isinstance(datasets[0], str):
        raise LayoutError(path, f"its rows are of the datasets {_some(map(str, datasets))}", "Write one file for each")
    symbols = tuple(bars["symbol"].cat.categories)
    return VerifiedFile(
        path=path,
        name=file.name,
        sha256=digest,
        size=len(data),
        dataset=datasets[0],
        schema=schema,
        stype_in="continuous" if all(CONTINUOUS.fullmatch(symbol) for symbol in symbols) else "raw_symbol",
        start=bars["ts_event"].min(),
        end=bars["ts_event"].max() + pd.Timedelta(BAR_NS[schema], "ns"),
        symbols=symbols,
        bars=bars[list(BARS_COLUMNS)],
        mapping=_observed_mapping(path, bars),
    )


def _read_csv(path: Path, data: bytes) -> pd.DataFrame:
    if not data.endswith((b"\n", b"\r")):
        raise TruncatedFileError(path, "its last line has no line end", f"If it is whole, add one. {_AGAIN} otherwise")
    try:
        return pd.read_csv(
            io.BytesIO(data),
            dtype={"symbol": str, "ts_event": str, "dataset": str},
            float_precision="round_trip",
            keep_default_na=False,  # a symbol may read NA
            na_values={name: ["", "nan", "NaN"] for name in PRICES},
        )
    except (ValueError, pd.errors.ParserError) as error:
        raise LayoutError(path, f"it cannot be read as CSV ({error})", "Write it as comma-separated UTF-8") from error


def _read_parquet(path: Path, data: bytes) -> pd.DataFrame:
    try:
        # The pandas metadata of other writers may name indexes and types that this reader should not restore.
        frame: pd.DataFrame = pq.read_table(io.BytesIO(data)).to_pandas(ignore_metadata=True)
        return frame
    except (pa.lib.ArrowException, OSError, ValueError) as error:
        raise CorruptFileError(path, f"it cannot be read as Parquet ({error})", _AGAIN) from error


def _stamps(path: Path, column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        raise LayoutError(path, "ts_event holds numbers", "Write it as ISO 8601 text or as a timestamp, in UTC")
    try:
        stamps = pd.to_datetime(column, utc=True, format="ISO8601").astype("datetime64[ns, UTC]")
    except (ValueError, TypeError) as error:
        raise LayoutError(path, f"ts_event: {error}", "Write ISO 8601, e.g. 2024-07-01T14:00:00Z") from error
    _refuse(path, "ts_event", stamps.isna(), "has no value")
    return stamps


def _symbols(path: Path, column: pd.Series) -> pd.Series:
    text = column.astype(object)
    _refuse(path, "symbol", ~text.map(lambda value: isinstance(value, str) and value != "").astype(bool), "is no text")
    return text.astype("category")


def _floats(path: Path, column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    _refuse(path, str(column.name), numbers.isna() & column.notna(), "is no number")
    return numbers


def _integers(path: Path, column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    whole = numbers.notna() & (numbers == np.floor(numbers.astype("float64"))) & (numbers.abs() < 2**53)
    _refuse(path, str(column.name), ~whole, "is no whole number")
    return numbers.astype(np.int64)


def _refuse(path: Path, name: str, bad: pd.Series, what: str) -> None:
    if bad.any():
        rows = np.flatnonzero(bad)
        raise LayoutError(path, f"{name} of data row {rows[0]} {what} ({len(rows)} such rows)", "Correct the column")


def _instruments(path: Path, raw: pd.DataFrame, symbols: pd.Series) -> pd.Series:
    if "instrument_id" in raw.columns:
        return _integers(path, raw["instrument_id"])
    continuous = [symbol for symbol in symbols.cat.categories if CONTINUOUS.fullmatch(symbol)]
    if continuous:
        raise LayoutError(
            path,
            f"it has no instrument_id, so the contracts behind {_some(continuous)} are unknown",
            "Add the column instrument_id",
        )
    return symbols.map(lambda symbol: -1 - zlib.crc32(symbol.encode())).astype(np.int64)


def _observed_mapping(path: Path, bars: pd.DataFrame) -> pd.DataFrame:
    """The contract of each symbol on each UTC day that has bars; days between two days of one contract are its own."""
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


def _some(names: Iterable[str]) -> str:
    listed = sorted(set(names))
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} others" if len(listed) > 5 else "")
