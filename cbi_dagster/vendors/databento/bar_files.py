"""What a file of vendor bars says once it was read to its end."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

RTYPES = {"ohlcv-1m": 0x21, "ohlcv-1h": 0x22, "ohlcv-1d": 0x23, "statistics": 0x18, "definition": 0x13}
"""What a DBN record of each schema calls itself."""

PRICES = ("open", "high", "low", "close")
BARS_COLUMNS = ("ts_event", "symbol", "instrument_id", "publisher_id", *PRICES, "volume", "source_row")
MAPPING_COLUMNS = ("symbol", "start_date", "end_date", "instrument_id")
CONTINUOUS = re.compile(r"(?P<root>[A-Z0-9]+)\.[vnc]\.\d+")


@dataclass(frozen=True)
class BarFile:
    """A file that was decoded to its end and does not contradict itself.

    An `exhaustive` file states every bar of its `symbols` in [start, end), as far as `mapping` names a contract: a bar
    that it leaves out does not exist. A file is `observed` if it has no header: then [start, end) are its rows, and its
    mapping, which is empty, is what its sound rows say. `not_found` are requested symbols that the vendor does not
    know. `by_symbology`: the mapping is that of the delivery's symbology.json.

    `bars` has BARS_COLUMNS in the file's order: `ts_event` (datetime64[ns, UTC], start of the bar), `symbol`
    (categorical, the vendor's), `instrument_id`, `publisher_id` (NULL where unknown), prices (float64, the double
    nearest to the decimal; NaN where the vendor states none), `volume`, `source_row` (0-based record in the file; a
    record of a contract that several of the symbols stand for appears once for each). `mapping` has the contracts that
    each symbol stood for: MAPPING_COLUMNS, UTC dates as datetime64[ns], `end_date` exclusive.
    """

    dataset: str
    schema: str
    stype_in: str
    start: pd.Timestamp
    end: pd.Timestamp
    symbols: tuple[str, ...]
    bars: pd.DataFrame
    mapping: pd.DataFrame
    not_found: tuple[str, ...] = ()
    exhaustive: bool = False
    observed: bool = False
    by_symbology: bool = False
