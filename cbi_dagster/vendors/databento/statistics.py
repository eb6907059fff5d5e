"""Statistics of the exchange at the door: settlements, cleared volumes and open interest, as they were published.

A CSV or Parquet file is named `<anything>.statistics[.<symbol>].csv` (`.csv.zst`, `.csv.gz`) or `….parquet` and has one
row per record with the vendor's columns `ts_recv` (when it was received, UTC), `ts_ref` (trade date that it is about),
`instrument_id`, `stat_type`, `price`, `quantity`, `update_action`, and, optional, `symbol` (not needed where the name
of the file or the symbology.json beside it says it), `stat_flags`, `sequence`, `publisher_id` and `dataset`
(GLBX.MDP3 without it). Other columns are not read. Open interest of a day is published on the next one, when a
continuous symbol may stand for another contract: ask for the statistics of outrights, by parent or raw symbol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import databento_dbn
import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.columns.statistics import KEY, STAT_TYPES, STATISTICS
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables.market_data import FUTURES_STATISTICS
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.sessions import DAY_NS
from cbi_dagster.vendors.databento import records
from cbi_dagster.vendors.databento.dbn import is_dbn, price_of, read_dbn, require_period
from cbi_dagster.vendors.databento.plausibility import FUTURE_AFTER, price_limits, require_prices
from cbi_dagster.vendors.databento.record_tables import named_for, named_source
from cbi_dagster.vendors.databento.records import RecordFile, ScreenedRecords, dates_received, first_reason, kinds_of
from cbi_dagster.vendors.databento.stated import touched_dates
from cbi_dagster.vendors.databento.symbology import symbols_of
from cbi_dagster.vendors.files import Content, UnresolvedSymbolsError, UnsupportedSchemaError
from cbi_dagster.vendors.kinds import Examined, Landed, LandedFile
from cbi_dagster.vendors.tabular import TabularFile

SCHEMA = "statistics"
MAX_QUANTITY = 1_000_000_000
"""Contracts: several times what was ever open or traded in any future."""

REASONS = (
    "unknown_contract",
    "no_time_of_receipt",
    "unknown_update_action",
    "no_trade_date_of_reference",
    "reference_after_receipt",
    "future_timestamp",
    "price_out_of_bounds",
    "negative_price",
    "quantity_out_of_bounds",
    "repeated_at_once",
    "before_first_trade_date",
)
"""Why a record is rejected, in the order in which the reasons are looked for: a row gets the first that holds."""

_ACTIONS = {1: "new", 2: "delete"}
_NAMES = {kind: int(getattr(databento_dbn.StatType, kind.upper())) for kind in STAT_TYPES}
_NO_QUANTITIES = (np.iinfo(np.int64).max, np.iinfo(np.int32).max)
_VALUES = ("instrument_id", "update_action", "price", "quantity", "stat_flags")
_DETAILS = ("stat_type", "ref_date", "price", "quantity", "stat_flags", "update_action")
_TABLE = ("ts_recv", "ts_ref", "instrument_id", "stat_type", "price", "quantity", "update_action")
_OPTIONAL = ("symbol", "stat_flags", "sequence", "publisher_id", "dataset")


def decode_statistics(content: Content) -> RecordFile:
    """The records of a file of statistics, whatever its format; raises a DeliveryError.

    `rows` of `RecordFile` with `ref_date` (datetime64[ns], NaT for none), `stat_type` and `update_action` (the
    vendor's numbers), `price` (NaN for none), `quantity`, `sequence` and `stat_flags` (Int64).
    """
    return _decode_dbn(content) if is_dbn(content.name) else _decode_table(content)


def _decode_dbn(content: Content) -> RecordFile:
    file = read_dbn(content, {SCHEMA: 1}, "ts_recv")
    require_period(content.path, file)
    if file.stype_in == "continuous":
        raise UnsupportedSchemaError(
            content.path,
            "its statistics are of continuous symbols, which may have left a contract before its open interest is out",
            "Request them by parent (ZL.FUT) or raw symbol",
        )
    if len(file.records) and file.mapping.empty:
        raise UnresolvedSymbolsError(
            content.path,
            "its header does not say which symbols its contracts belong to",
            "Put the symbology.json of its download beside it and land both",
        )
    found = file.records
    lasting = records.with_lasting_contracts(file.mapping)
    at, codes, names = symbols_of(found["instrument_id"].astype(np.int64), file.stamps // DAY_NS, lasting)
    symbols = np.full(len(found), None, dtype=object)
    symbols[at] = names.to_numpy(object)[codes]
    reference = found["ts_ref"]
    days = np.where(reference == databento_dbn.UNDEF_TIMESTAMP, 0, reference).astype("datetime64[ns]")
    days = days.astype("datetime64[D]").astype("datetime64[ns]")
    days[reference == databento_dbn.UNDEF_TIMESTAMP] = np.datetime64("NaT")
    rows = pd.DataFrame(
        {
            "symbol": symbols,
            "instrument_id": found["instrument_id"].astype(np.int64),
            "publisher_id": found["publisher_id"].astype(np.int64),
            "ts_recv": pd.DatetimeIndex(file.stamps.view("datetime64[ns]"), tz="UTC"),
            "ref_date": days,
            "stat_type": found["stat_type"].astype(np.int64),
            "price": price_of(found["price"]),
            "quantity": _quantity(found["quantity"].astype(np.int64)),
            "sequence": found["sequence"].astype(np.int64),
            "stat_flags": found["stat_flags"].astype(np.int64),
            "update_action": found["update_action"].astype(np.int64),
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
        rows=rows.astype(dict.fromkeys(("publisher_id", "sequence", "stat_flags"), "Int64")),
        mapping=file.mapping,
        not_found=file.not_found,
        exhaustive=not file.limited,
        by_symbology=file.by_symbology,
    )


def _decode_table(content: Content) -> RecordFile:
    file = TabularFile(content, _TABLE, _OPTIONAL)
    references = file.instants("ts_ref").dt.tz_localize(None).dt.floor("D")
    quantities = file.numbers("quantity")
    file.refuse("quantity", (quantities.abs() > 2**53) & (quantities < 2.0**62), "is no whole number")
    quantities = quantities.where(quantities <= 2**53)
    file.refuse("quantity", quantities.notna() & (quantities != quantities.round()), "is no whole number")
    return named_source(
        file,
        content,
        SCHEMA,
        pd.DataFrame(
            {
                "ts_recv": file.instants("ts_recv"),
                "ref_date": references,
                "instrument_id": file.whole_numbers("instrument_id"),
                "stat_type": file.whole_numbers("stat_type"),
                # The vendor writes "none" as its largest number.
                "price": file.numbers("price").where(lambda price: price < databento_dbn.UNDEF_PRICE / 1e9 - 1),
                "quantity": _quantity(quantities.fillna(_NO_QUANTITIES[1]).to_numpy(np.int64)),
                "update_action": file.whole_numbers("update_action"),
                **{name: file.numbers(name).astype("Int64") for name in ("stat_flags", "sequence", "publisher_id")},
            }
        ),
    )


def _quantity(numbers: np.ndarray) -> pd.arrays.IntegerArray:
    """Quantities, NULL where the vendor states none: the largest number of the file's version."""
    return pd.arrays.IntegerArray(numbers, np.isin(numbers, _NO_QUANTITIES))


def screen_statistics(rows: pd.DataFrame, universe: Universe, now: pd.Timestamp) -> ScreenedRecords:
    """Sort the records of a file into those of outrights of the universe, rejected ones and others; see REASONS.

    Kept are settlements, cleared volumes and open interest. Of several records of one contract, kind and trade date at
    one instant the last counts: the vendor's order is that of the exchange. 0 is a price: contracts that nobody trades
    are settled so.
    """
    kinds, roots = kinds_of(rows["symbol"], universe)
    wanted = rows["stat_type"].isin(list(_NAMES.values())).to_numpy()
    inside = (kinds == "outright") | rows["symbol"].isna().to_numpy()
    own = rows[inside & wanted].assign(root=roots[inside & wanted])
    left = rows.loc[~(inside & wanted), ["symbol", "stat_type"]]
    labels = left["symbol"].where(~inside[left.index], left["stat_type"].map(lambda kind: f"statistics of type {kind}"))
    outside = labels.value_counts().to_dict()

    own = own.reset_index(drop=True)
    own["date"] = dates_received(own, universe)
    reason = first_reason(_faults(own, universe, now), len(own))
    own = own.assign(
        symbol=own["symbol"].fillna("instrument " + own["instrument_id"].astype(str)),
        stat_type=own["stat_type"].map({number: name for name, number in _NAMES.items()}),
        update_action=own["update_action"].map(_ACTIONS).astype(object).fillna(own["update_action"].astype(str)),
        ts_recv=own["ts_recv"].dt.floor("us"),
    )
    return records.sorted_out(own, reason, KEY, outside)


def _faults(own: pd.DataFrame, universe: Universe, now: pd.Timestamp) -> Mapping[str, np.ndarray]:
    limits = price_limits(universe)
    negative = {product.root for product in universe.products if product.allows_negative_price}
    low, high = (
        own["root"].map({root: pair[side] for root, pair in limits.items()}).to_numpy(float) for side in (0, 1)
    )
    price = own["price"].to_numpy(float)
    settled = (own["stat_type"] == _NAMES["settlement_price"]).to_numpy() & (price != 0)
    below = settled & (price < 0) & ~own["root"].isin(negative).to_numpy()
    quantity = own["quantity"].to_numpy(float, na_value=0.0)
    counted = (own["stat_type"] != _NAMES["settlement_price"]).to_numpy()
    received = own["ts_recv"]
    return {
        "unknown_contract": own["symbol"].isna().to_numpy(),
        "no_time_of_receipt": received.isna().to_numpy(),
        "unknown_update_action": ~own["update_action"].isin(list(_ACTIONS)).to_numpy(),
        "no_trade_date_of_reference": own["ref_date"].isna().to_numpy(),
        "reference_after_receipt": (own["ref_date"] > own["date"]).to_numpy(),
        "future_timestamp": (received > now + FUTURE_AFTER).to_numpy(),
        "price_out_of_bounds": settled & ((price < low) | (price > high)) & ~below,
        "negative_price": below,
        "quantity_out_of_bounds": counted & ((quantity < 0) | (quantity > MAX_QUANTITY)),
    }


class Statistics:
    """Files of the vendor's statistics: DBN, CSV or Parquet."""

    tables: ClassVar[Mapping[str, Table]] = {SCHEMA: FUTURES_STATISTICS}
    naming = "<name>.dbn (.zst), <name>.statistics.csv (.zst, .gz) or <name>.statistics.parquet"
    one_dataset = True
    read_whole = False

    def __init__(self, universe: Universe) -> None:
        self._universe = universe

    @staticmethod
    def recognises(name: str) -> bool:
        return is_dbn(name) or named_for(SCHEMA, name)

    def examine(self, content: Content, landed_at: pd.Timestamp) -> Examined:
        file = decode_statistics(content)
        screened = screen_statistics(file.rows, self._universe, landed_at)
        believed = pd.concat([screened.kept, screened.rejected[screened.rejected["reason"] == "price_out_of_bounds"]])
        believed = believed[(believed["stat_type"] == "settlement_price") & (believed["price"] != 0)]
        require_prices(content.path, believed.rename(columns={"price": "close"}), self._universe)
        return records.examined(content, file, screened, _DETAILS, landed_at, self._universe)

    def corrections(self, file: LandedFile, before: Landed) -> pd.DataFrame:
        return records.corrections(file, before, KEY, _VALUES, ("symbol", "stat_type", "ref_date"))

    def returns(self, file: LandedFile, landed: Landed) -> pd.DataFrame:
        return records.returns(file, landed, KEY, _VALUES, ("symbol", "stat_type", "ref_date"))

    def trade_dates(self, files: Sequence[LandedFile], landed: Landed) -> np.ndarray:
        """Weekdays on which any of the files' spans lets a record be received."""
        return touched_dates(files, self._universe)

    def until(self, instant: pd.Timestamp, kept: pd.DataFrame, schema: str) -> pd.DataFrame:
        return kept[kept["ts_recv"] < instant]

    def read(self, schema: str, intervals: Sequence[Interval], landed: Landed) -> pd.DataFrame:
        return records.read(landed.of(schema), landed, KEY, STATISTICS, intervals)
