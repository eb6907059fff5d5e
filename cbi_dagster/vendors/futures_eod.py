"""End-of-day files of another vendor: settlement, open interest and volume of the nearest contracts of a product.

A file is named `<anything>.futures-eod.csv` (`.csv.zst`, `.csv.gz`) or `….parquet` and has one row per contract and day
with the columns `date`, `rank` (0 is the nearest delivery), `ticker` (the product's letters and the letter of the
delivery month: `BOF95 Comdty` is soybean oil of January), `settle`, `open_interest`, `volume` and `last_trade`, whose
year says which one. Other columns are not read.

They are a source of their own, in a table of their own: never mixed with what the exchange published through Databento,
and compared with it where both exist. They reach further back than the platform's first trade date, in whose partition
all that is older stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.columns.futures_eod import FUTURES_EOD, KEY
from cbi_dagster.catalog.model import FIRST_TRADE_DATE
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables.market_data import FUTURES_EOD as FUTURES_EOD_TABLE
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.rolls import MONTH_CODES
from cbi_dagster.market.sessions import is_weekend
from cbi_dagster.vendors.databento import records
from cbi_dagster.vendors.databento.plausibility import price_limits
from cbi_dagster.vendors.files import Content, shown
from cbi_dagster.vendors.kinds import Examined, Landed, LandedFile
from cbi_dagster.vendors.tabular import TabularFile

SCHEMA, DATASET = "futures-eod", "FUTURES.EOD"
ROOTS = {"BO": "ZL", "SM": "ZM"}
"""The other vendor's letters of products, and ours."""

REASONS = (
    "no_contract",
    "no_last_trade_date",
    "nothing_stated",
    "weekend_date",
    "after_last_trade_date",
    "future_date",
    "price_out_of_bounds",
    "negative_quantity",
    "repeated_row",
)
"""Why a row is rejected, in the order in which the reasons are looked for: a row gets the first that holds."""

_COLUMNS = ("date", "rank", "ticker", "settle", "open_interest", "volume", "last_trade")
_VALUES = ("ticker", "delivery_rank", "last_trade_date", "settle", "open_interest", "volume")
_NAMED = ("symbol", "ref_date")
#: A row is about a day, and its record stands at the beginning of it.
_KEY = (*KEY, "ts_recv")


def decode_futures_eod(content: Content) -> pd.DataFrame:
    """The rows of a file, in its order; anything but the date may be NULL. Raises a DeliveryError."""
    file = TabularFile(content, _COLUMNS)
    dates = file.instants("date")
    file.refuse("date", dates.isna() | (dates != dates.dt.floor("D")), "is no date")
    whole = {name: file.numbers(name) for name in ("rank", "open_interest", "volume")}
    for name, numbers in whole.items():
        file.refuse(name, numbers.notna() & (numbers != numbers.round()), "is no whole number")
    return pd.DataFrame(
        {
            "ref_date": dates.dt.tz_localize(None),
            "ts_recv": dates,
            "ticker": file.texts("ticker"),
            "delivery_rank": whole["rank"].astype("Int64"),
            "last_trade_date": file.instants("last_trade").dt.tz_localize(None).dt.floor("D"),
            "settle": file.numbers("settle"),
            "open_interest": whole["open_interest"].astype("Int64"),
            "volume": whole["volume"].astype("Int64"),
            "source_row": np.arange(len(file), dtype=np.int64),
        }
    )


def screen_futures_eod(rows: pd.DataFrame, universe: Universe, now: pd.Timestamp) -> records.ScreenedRecords:
    """Sort rows into those of the universe, rejected ones and others; see REASONS. Of repeated rows the first counts.

    `date` of a row is the trade date after its own, when all of it is published, and the platform's first one for what
    is older.
    """
    parts = rows["ticker"].str.extract(rf"^(?P<letters>[A-Z]+)(?P<month>[{MONTH_CODES}])\d")
    roots = parts["letters"].map(ROOTS)
    inside = (rows["ticker"].isna() | roots.isin(universe.roots)).to_numpy()
    outside = {str(name): int(count) for name, count in rows.loc[~inside, "ticker"].value_counts().items()}
    month = parts["month"].map({code: number for number, code in enumerate(MONTH_CODES)})
    year = rows["last_trade_date"].dt.year
    months = ((year - 1970) * 12 + month).fillna(0).to_numpy(np.int64).astype("datetime64[M]")
    days = rows["ref_date"].to_numpy("datetime64[D]")
    known = np.maximum(np.busday_offset(days, 1, roll="backward"), np.datetime64(FIRST_TRADE_DATE, "D"))
    own = rows.assign(
        root=roots.astype(object),
        symbol=(roots + parts["month"] + (year % 10).astype("Int64").astype(str)).astype(object),
        delivery_month=months.astype("datetime64[ns]"),
        date=known.astype("datetime64[ns]"),
        trade_date_available=known.astype("datetime64[ns]"),
    )[inside].reset_index(drop=True)
    limits = price_limits(universe)
    lowest, highest = (own["root"].map({root: pair[side] for root, pair in limits.items()}) for side in (0, 1))
    quantities = own[["open_interest", "volume"]].fillna(0)
    reason = records.first_reason(
        {
            "no_contract": own["root"].isna().to_numpy(),
            "no_last_trade_date": own["last_trade_date"].isna().to_numpy(),
            "nothing_stated": own[["settle", "open_interest", "volume"]].isna().all(axis=1).to_numpy(),
            "weekend_date": is_weekend(own["ref_date"].to_numpy("datetime64[D]")),
            "after_last_trade_date": (own["ref_date"] > own["last_trade_date"]).to_numpy(),
            "future_date": (own["ts_recv"] > now).to_numpy(),
            "price_out_of_bounds": ((own["settle"] < lowest) | (own["settle"] > highest)).to_numpy(),
            "negative_quantity": (quantities < 0).any(axis=1).to_numpy(bool),
        },
        len(own),
    )
    repeated = own[reason == ""].duplicated(list(KEY))
    reason[repeated.index[repeated]] = "repeated_row"
    own["symbol"] = own["symbol"].fillna(own["ticker"]).fillna("(no ticker)")
    rejected = own[reason != ""].assign(reason=reason[reason != ""]).reset_index(drop=True)
    return records.ScreenedRecords(own[reason == ""].reset_index(drop=True), rejected, outside)


class FuturesEod:
    """End-of-day files; what `ops.landed_files` calls their dataset and schema stands for a vendor's."""

    tables: ClassVar[Mapping[str, Table]] = {SCHEMA: FUTURES_EOD_TABLE}
    naming = "<name>.futures-eod.csv or <name>.futures-eod.parquet"
    one_dataset = False
    read_whole = False

    def __init__(self, universe: Universe) -> None:
        self._universe = universe

    @staticmethod
    def recognises(name: str) -> bool:
        return name.endswith(tuple(f".{SCHEMA}.{ending}" for ending in ("csv", "csv.zst", "csv.gz", "parquet")))

    def examine(self, content: Content, landed_at: pd.Timestamp) -> Examined:
        rows = decode_futures_eod(content)
        screened = screen_futures_eod(rows, self._universe, landed_at)
        kept = screened.kept
        return Examined(
            dataset=DATASET,
            schema=SCHEMA,
            stype_in=None,
            start=kept["ts_recv"].min() if len(kept) else landed_at,
            end=kept["date"].max().tz_localize("UTC") if len(kept) else landed_at,
            rows=len(rows),
            kept=kept,
            rejected=records.quarantine_rows(screened.rejected, ("ref_date", *_VALUES)),
            outside={shown(name, 80): count for name, count in screened.outside.items()},
            symbols=pd.DataFrame(),
        )

    def corrections(self, file: LandedFile, before: Landed) -> pd.DataFrame:
        return records.corrections(file, before, _KEY, _VALUES, _NAMED)

    def returns(self, file: LandedFile, landed: Landed) -> pd.DataFrame:
        return records.returns(file, landed, _KEY, _VALUES, _NAMED)

    def trade_dates(self, files: Sequence[LandedFile], landed: Landed) -> np.ndarray:
        """The trade dates on which rows of the files are known first."""
        dates = [landed.kept(file)["date"].to_numpy() for file in files]
        return np.unique(np.concatenate([np.empty(0, "datetime64[ns]"), *dates]).astype("datetime64[D]"))

    def until(self, instant: pd.Timestamp, kept: pd.DataFrame, schema: str) -> pd.DataFrame:
        return kept[kept["date"] < instant.tz_convert(None)]

    def read(self, schema: str, intervals: Sequence[Interval], landed: Landed) -> pd.DataFrame:
        return records.read(landed.of(schema), landed, _KEY, FUTURES_EOD, intervals)
