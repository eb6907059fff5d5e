"""Small vendor files to test on, written by the package's own DBN writer, and the real ones where they are present."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import databento_dbn
import numpy as np
import pandas as pd

from cbi_dagster.vendors.databento.bar_files import BarFile
from cbi_dagster.vendors.databento.landed_bars import decode_bars
from cbi_dagster.vendors.databento.writing import write_dbn
from cbi_dagster.vendors.files import Content, DeliveredFile, content_of

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
REAL_DELIVERY = DATA / "databento" / "GLBX-20251216-WEJLAFALCV"
FIXTURES = DATA / "databento_fixtures"


def content(path: Path) -> Content:
    """The content of a file without any promise about it."""
    return content_of(DeliveredFile(path, path.name))


def bar_file(path: Path) -> BarFile:
    """What a file of bars says."""
    return decode_bars(content(path))


START, END = pd.Timestamp("2024-07-01", tz="UTC"), pd.Timestamp("2024-07-06", tz="UTC")


def mapping_of(*rows: tuple[str, str, str, int]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["symbol", "start_date", "end_date", "instrument_id"])
    return frame.astype({"start_date": "datetime64[ns]", "end_date": "datetime64[ns]"})


ZL_ROLL = mapping_of(("ZL.v.0", "2024-07-01", "2024-07-03", 11), ("ZL.v.0", "2024-07-03", "2024-07-06", 22))


def hourly(first: str, hours: int, instrument: int = 11, level: float = 45.0, seed: int = 0) -> pd.DataFrame:
    """Sound hourly bars of one contract on a tick of 0.01."""
    random = np.random.default_rng([seed, instrument])
    close = level + np.cumsum(random.integers(-20, 21, hours)) / 100
    opened = close + random.integers(-9, 10, hours) / 100
    return pd.DataFrame(
        {
            "ts_event": pd.date_range(first, periods=hours, freq="h", tz="UTC"),
            "instrument_id": instrument,
            "publisher_id": 1,
            "open": np.rint(opened * 100) / 100,
            "high": np.rint((np.maximum(opened, close) + 0.05) * 100) / 100,
            "low": np.rint((np.minimum(opened, close) - 0.05) * 100) / 100,
            "close": np.rint(close * 100) / 100,
            "volume": random.integers(1, 500, hours),
        }
    )


def zl_bars() -> pd.DataFrame:
    return pd.concat([hourly("2024-07-01", 48), hourly("2024-07-03", 36, 22, 44.0)], ignore_index=True)


def zl_file(path: Path, bars: pd.DataFrame | None = None, mappings: pd.DataFrame = ZL_ROLL, **header: object) -> Path:
    """A valid file of hourly ZL.v.0 bars with a roll, or the given variation of it."""
    stated: dict[str, object] = {
        "dataset": "GLBX.MDP3",
        "schema": "ohlcv-1h",
        "stype_in": "continuous",
        "start": START,
        "end": END,
        **header,
    }
    return write_dbn(path, bars=zl_bars() if bars is None else bars, mappings=mappings, **stated)  # type: ignore[arg-type]


def restating_file(path: Path, bar: pd.DataFrame, **changes: float) -> Path:
    """A file that states one hourly bar, a row of the landed bars, with changes."""
    start = bar["ts_event"].iloc[0]
    day = start.tz_convert(None).normalize()
    mapping = pd.DataFrame({"start_date": [day], "end_date": [day + pd.Timedelta(days=1)]}).assign(
        symbol=str(bar["symbol"].iloc[0]), instrument_id=int(bar["instrument_id"].iloc[0])
    )
    return write_dbn(
        path, dataset=str(bar["dataset"].iloc[0]), schema="ohlcv-1h", stype_in="continuous", start=start,
        end=start + pd.Timedelta(hours=1), mappings=mapping, bars=bar.assign(**changes),
    )  # fmt: skip


def restated_header(path: Path, **changes: object) -> Path:
    """An uncompressed DBN file whose header states something else than the writer wrote."""
    content = path.read_bytes()
    length = 8 + int.from_bytes(content[4:8], "little")
    header = databento_dbn.Metadata.decode(content[:length])
    stated = {
        "dataset": header.dataset, "start": header.start, "end": header.end, "stype_in": header.stype_in,
        "stype_out": header.stype_out, "schema": header.schema, "symbols": header.symbols, "mappings": [],
    }  # fmt: skip
    mappings = [
        _symbol_mapping(symbol, [(i["start_date"], i["end_date"], i["symbol"]) for i in intervals])
        for symbol, intervals in header.mappings.items()
    ]
    path.write_bytes(
        databento_dbn.Metadata(**{**stated, "mappings": mappings, **changes}).encode() + content[length:]  # type: ignore[arg-type]
    )
    return path


def _symbol_mapping(symbol: str, intervals: list[tuple[object, object, str]]) -> object:
    return SimpleNamespace(
        raw_symbol=symbol,
        intervals=[SimpleNamespace(start_date=a, end_date=b, symbol=c) for a, b, c in intervals],
    )
