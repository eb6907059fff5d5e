"""Definitions of contracts at the door: which futures there were, under which numbers, and until when.

A CSV or Parquet file is named `<anything>.definition.csv` (`.csv.zst`, `.csv.gz`) or `….parquet` and has one row per
definition with the vendor's columns `ts_recv` (UTC), `raw_symbol`, `instrument_id`, `instrument_class`, `expiration`
and, optional, `activation`, `maturity_year`, `maturity_month`, `security_update_action`, `min_price_increment`,
`display_factor`, `unit_of_measure`, `unit_of_measure_qty`, `currency`, `exchange`, `group`, `publisher_id` and
`dataset` (GLBX.MDP3 without it). Other columns are not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import databento_dbn
import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.columns.instruments import INSTRUMENTS, KEY
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables.market_data import INSTRUMENTS as INSTRUMENTS_TABLE
from cbi_dagster.config.universe import Universe
from cbi_dagster.vendors.databento import records
from cbi_dagster.vendors.databento.dbn import is_dbn, price_of, read_dbn, require_period
from cbi_dagster.vendors.databento.plausibility import FUTURE_AFTER
from cbi_dagster.vendors.databento.record_tables import named_for, named_source
from cbi_dagster.vendors.databento.records import RecordFile, ScreenedRecords, dates_received, first_reason, kinds_of
from cbi_dagster.vendors.databento.stated import touched_dates
from cbi_dagster.vendors.databento.symbology import EARLIEST, LATEST
from cbi_dagster.vendors.files import Content
from cbi_dagster.vendors.kinds import Examined, Landed, LandedFile
from cbi_dagster.vendors.tabular import TabularFile

SCHEMA = "definition"
FUTURE = "F"
"""The vendor's letter for an outright future; spreads and options have others."""

REASONS = (
    "no_time_of_receipt",
    "future_timestamp",
    "no_expiration",
    "expired_before_activation",
    "repeated_at_once",
    "before_first_trade_date",
)
"""Why a definition is rejected, in the order in which the reasons are looked for: a row gets the first that holds."""

_TEXTS = {
    "security_update_action": "security_update_action", "unit_of_measure": "unit_of_measure",
    "currency": "trading_currency", "exchange": "exchange_mic", "group": "security_group",
}  # fmt: skip
_NUMBERS = ("min_price_increment", "display_factor", "unit_of_measure_qty")
_MOMENTS = ("activation", "expiration")
_TABLE = ("ts_recv", "raw_symbol", "instrument_id", "instrument_class", "expiration")
_OPTIONAL = ("activation", "maturity_year", "maturity_month", *_NUMBERS, *_TEXTS, "publisher_id", "dataset")
_VALUES = tuple(
    name for name in INSTRUMENTS if name not in (*KEY, "date", "root", "dataset", "source_file", "source_row")
)
_DETAILS = ("instrument_id", "instrument_class", *_MOMENTS)


def decode_definitions(content: Content) -> RecordFile:
    """The records of a file of definitions, whatever its format; raises a DeliveryError.

    `rows` of `RecordFile` with `instrument_class` and the columns of INSTRUMENTS that follow it.
    """
    return _decode_dbn(content) if is_dbn(content.name) else _decode_table(content)


def _decode_dbn(content: Content) -> RecordFile:
    file = read_dbn(content, {SCHEMA: 1}, "ts_recv")
    require_period(content.path, file)
    found = file.records
    rows = pd.DataFrame(
        {
            "symbol": _text(found["raw_symbol"]),
            "instrument_id": found["instrument_id"].astype(np.int64),
            "publisher_id": pd.array(found["publisher_id"].astype(np.int64), dtype="Int64"),
            "ts_recv": pd.DatetimeIndex(file.stamps.view("datetime64[ns]"), tz="UTC"),
            "instrument_class": _text(found["instrument_class"]),
            **{name: _text(found[field]) for field, name in _TEXTS.items()},
            **{name: price_of(found[name]) for name in _NUMBERS},
            **{name: _moments(found[name]) for name in _MOMENTS},
            "delivery_month": _months(found["maturity_year"].astype(float), found["maturity_month"].astype(float)),
            "source_row": np.arange(len(found)),
        }
    )
    return RecordFile(
        dataset=file.dataset,
        schema=SCHEMA,
        stype_in=file.stype_in,
        start=file.start,
        end=file.end,
        symbols=file.symbols,
        rows=rows,
        mapping=file.mapping,
        not_found=file.not_found,
        exhaustive=not file.limited,
        by_symbology=file.by_symbology,
    )


def _decode_table(content: Content) -> RecordFile:
    file = TabularFile(content, _TABLE, _OPTIONAL)
    rows = pd.DataFrame(
        {
            "ts_recv": file.instants("ts_recv"),
            "instrument_id": file.whole_numbers("instrument_id"),
            "publisher_id": file.numbers("publisher_id").astype("Int64"),
            "instrument_class": file.texts("instrument_class"),
            **{name: file.texts(field) for field, name in _TEXTS.items()},
            **{name: file.numbers(name).where(lambda number: number < 2**33) for name in _NUMBERS},
            **{name: file.instants(name).dt.floor("us") for name in _MOMENTS},
            "delivery_month": _months(
                file.numbers("maturity_year").to_numpy(), file.numbers("maturity_month").to_numpy()
            ),
        }
    )
    symbols = file.texts("raw_symbol")
    file.refuse("raw_symbol", symbols.isna(), "has no value")
    return named_source(file, content, SCHEMA, rows, symbols.to_numpy(object))


def _text(field: np.ndarray) -> pd.Series:
    return pd.Series(np.char.decode(field, "ascii", "replace"), dtype=object).replace("", None)


def _moments(field: np.ndarray) -> pd.DatetimeIndex:
    stated = field != databento_dbn.UNDEF_TIMESTAMP
    sound = stated & (field < np.uint64(pd.Timestamp(LATEST).value)) & (field > np.uint64(pd.Timestamp(EARLIEST).value))
    moments = np.where(sound, field, 0).astype("datetime64[ns]")
    moments[~sound] = np.datetime64("NaT")
    return pd.DatetimeIndex(moments, tz="UTC").floor("us")


def _months(year: np.ndarray, month: np.ndarray) -> np.ndarray:
    """First days of delivery months (datetime64[ns]), NaT where year or month is none."""
    known = (year >= EARLIEST.year) & (year < LATEST.year) & (month >= 1) & (month <= 12)
    count = np.where(known, (year - 1970) * 12 + month - 1, 0).astype(np.int64)
    first = count.astype("datetime64[M]").astype("datetime64[ns]")
    first[~known] = np.datetime64("NaT")
    return first


def screen_definitions(rows: pd.DataFrame, universe: Universe, now: pd.Timestamp) -> ScreenedRecords:
    """Sort the definitions of a file into those of futures of the universe, rejected ones and others; see REASONS.

    Of several definitions of one contract at one instant the last counts.
    """
    kinds, roots = kinds_of(rows["symbol"], universe)
    inside = (kinds == "outright") & (rows["instrument_class"] == FUTURE).to_numpy()
    outside = rows.loc[~inside, "symbol"].fillna("(no symbol)").value_counts().to_dict()

    own = rows[inside].assign(root=roots[inside]).reset_index(drop=True)
    own["date"] = dates_received(own, universe)
    received = own["ts_recv"]
    reason = first_reason(
        {
            "no_time_of_receipt": received.isna().to_numpy(),
            "future_timestamp": (received > now + FUTURE_AFTER).to_numpy(),
            "no_expiration": own["expiration"].isna().to_numpy(),
            "expired_before_activation": (own["expiration"] < own["activation"]).to_numpy(),
        },
        len(own),
    )
    own["ts_recv"] = received.dt.floor("us")
    return records.sorted_out(own, reason, KEY, outside)


class Definitions:
    """Files of the vendor's definitions of instruments: DBN, CSV or Parquet."""

    tables: ClassVar[Mapping[str, Table]] = {SCHEMA: INSTRUMENTS_TABLE}
    naming = "<name>.dbn (.zst), <name>.definition.csv (.zst, .gz) or <name>.definition.parquet"
    one_dataset = True
    read_whole = False

    def __init__(self, universe: Universe) -> None:
        self._universe = universe

    @staticmethod
    def recognises(name: str) -> bool:
        return is_dbn(name) or named_for(SCHEMA, name)

    def examine(self, content: Content, landed_at: pd.Timestamp) -> Examined:
        file = decode_definitions(content)
        screened = screen_definitions(file.rows, self._universe, landed_at)
        return records.examined(content, file, screened, _DETAILS, landed_at, self._universe)

    def corrections(self, file: LandedFile, before: Landed) -> pd.DataFrame:
        return records.corrections(file, before, KEY, _VALUES, ("symbol",))

    def returns(self, file: LandedFile, landed: Landed) -> pd.DataFrame:
        return records.returns(file, landed, KEY, _VALUES, ("symbol",))

    def trade_dates(self, files: Sequence[LandedFile], landed: Landed) -> np.ndarray:
        """Weekdays on which any of the files' spans lets a definition be received."""
        return touched_dates(files, self._universe)

    def until(self, instant: pd.Timestamp, kept: pd.DataFrame, schema: str) -> pd.DataFrame:
        return kept[kept["ts_recv"] < instant]

    def read(self, schema: str, intervals: Sequence[Interval], landed: Landed) -> pd.DataFrame:
        return records.read(landed.of(schema), landed, KEY, INSTRUMENTS, intervals)
