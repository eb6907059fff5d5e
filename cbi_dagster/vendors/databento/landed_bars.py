"""Bars at the door: what landing must know of files of vendor bars, and of the bars that have landed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables import ops
from cbi_dagster.catalog.tables.market_data import OHLCV_1H, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.bars import quarantine_rows
from cbi_dagster.market.sessions import session_bounds, trade_dates, utc_instants, weekdays
from cbi_dagster.vendors.databento.bar_files import BarFile
from cbi_dagster.vendors.databento.bar_tables import decode_table, schema_named
from cbi_dagster.vendors.databento.bars import (
    classify_symbols,
    corrections,
    covered,
    merge_bars,
    merge_mappings,
    screen_bars,
    session_instruments,
)
from cbi_dagster.vendors.databento.dbn import decode_dbn, is_dbn
from cbi_dagster.vendors.files import Content
from cbi_dagster.vendors.kinds import Examined, Landed, LandedFile, within


def decode_bars(content: Content) -> BarFile:
    """What a file of bars says, whatever its format; raises a DeliveryError."""
    return decode_dbn(content) if is_dbn(content.name) else decode_table(content)


class Bars:
    """Files of 1-minute, 1-hour and UTC-day bars: DBN, CSV or Parquet."""

    tables: ClassVar[Mapping[str, Table]] = {"ohlcv-1m": OHLCV_1M, "ohlcv-1h": OHLCV_1H, "ohlcv-1d": OHLCV_UTC_1D}
    naming = "<name>.dbn, <name>.dbn.zst, <name>.ohlcv-1h.csv or <name>.ohlcv-1h.parquet (1m, 1h or 1d)"
    one_dataset = True

    def __init__(self, universe: Universe) -> None:
        self._universe = universe

    @staticmethod
    def recognises(name: str) -> bool:
        return is_dbn(name) or schema_named(name) is not None

    def examine(self, content: Content, landed_at: pd.Timestamp) -> Examined:
        file = decode_bars(content)
        screened = screen_bars(file.bars, file.schema, self._universe, (file.start, file.end))
        return Examined(
            dataset=file.dataset,
            schema=file.schema,
            stype_in=file.stype_in,
            start=file.start,
            end=file.end,
            rows=len(file.bars),
            kept=screened.bars,
            rejected=quarantine_rows(screened.rejected),
            outside={str(symbol): int(count) for symbol, count in screened.outside_counts.items()},
            symbols=self._symbols(file),
        )

    def _symbols(self, file: BarFile) -> pd.DataFrame:
        """The file's symbology for the universe; a symbol it could not resolve keeps its span without a contract."""
        kinds = classify_symbols(file.symbols, self._universe)
        wanted = kinds[kinds["kind"].isin(["continuous", "outright"])]
        rows = wanted[["symbol", "root"]].merge(file.mapping, on="symbol", how="left")
        return pd.DataFrame(
            {
                "symbol": rows["symbol"],
                "root": rows["root"],
                "mapping_start": rows["start_date"].fillna(file.start.tz_convert(None).normalize()),
                "mapping_end": rows["end_date"].fillna(file.end.tz_convert(None).ceil("D")),
                "instrument_id": rows["instrument_id"].astype("Int64"),
            }
        )

    def corrections(self, file: LandedFile, before: Landed) -> pd.DataFrame:
        earlier = [
            other
            for other in before.of(file.vendor_schema)
            if other.span_start < file.span_end and other.span_end > file.span_start
        ]
        if not earlier:
            return pd.DataFrame(columns=[column.name for column in ops.CORRECTIONS.columns])
        return corrections(merge_bars([before.kept(other) for other in earlier]), before.kept(file))

    def trade_dates(self, files: Sequence[LandedFile], landed: Landed) -> np.ndarray:
        """Weekdays whose trade date any of the files' spans touches."""
        if not files:
            return np.empty(0, "datetime64[D]")
        spans = pd.DataFrame(files, columns=LandedFile._fields)
        first = trade_dates(utc_instants(spans["span_start"]))
        last = trade_dates(utc_instants(spans["span_end"] - pd.Timedelta(1, "ns")))
        touched = np.unique(np.column_stack([first, last]), axis=0)
        days = np.unique(np.concatenate([np.arange(start, stop + 1) for start, stop in touched]))
        return days[np.is_busday(days)]

    def read(self, schema: str, intervals: Sequence[Interval], landed: Landed) -> pd.DataFrame:
        """Each bar says which contract its session belongs to and whether landed data covers that session."""
        columns = [column.name for column in self.tables[schema].columns]
        files = [file for file in landed.of(schema) if _touches(file, intervals)]
        parts = []
        for number, file in enumerate(files):
            kept = landed.kept(file)
            inside = within(kept["date"].to_numpy(), intervals)
            parts.append(kept[inside].assign(file=np.int32(number)))
        if not any(len(part) for part in parts):
            return pd.DataFrame(columns=columns)
        bars = merge_bars(parts)
        of_file = bars["file"].to_numpy()
        bars["source_file"] = _named([file.source_file for file in files], of_file)
        bars["dataset"] = _named([file.dataset for file in files], of_file)
        return self._with_session_facts(bars, schema, landed)[columns]

    def _with_session_facts(self, bars: pd.DataFrame, schema: str, landed: Landed) -> pd.DataFrame:
        """Add each bar's session contract and whether landed data covers its session."""
        files = pd.DataFrame(landed.of(schema), columns=LandedFile._fields)
        symbols = files[["file_hash", "landing_sequence", "span_start", "span_end"]].merge(
            landed.symbols, on="file_hash"
        )
        symbols = symbols.sort_values("landing_sequence", kind="stable")
        mapping = merge_mappings([symbols.rename(columns={"mapping_start": "start_date", "mapping_end": "end_date"})])
        sessions = bars[["root", "symbol", "date"]].drop_duplicates().astype({"root": str, "symbol": str})
        dates = sessions["date"].to_numpy().astype("datetime64[D]")
        opens, closes = self._session_spans(sessions["root"].to_numpy(), dates, schema)
        spans = symbols[["symbol", "span_start", "span_end"]].drop_duplicates()
        spans = spans.rename(columns={"span_start": "start", "span_end": "end"})
        sessions["session_instrument_id"] = session_instruments(mapping, sessions["symbol"].to_numpy(), dates)
        sessions["session_covered"] = covered(spans, sessions["symbol"].to_numpy(), opens, closes)
        sessions["symbol"] = pd.Categorical(sessions["symbol"], categories=bars["symbol"].cat.categories)
        return bars.merge(sessions.drop(columns="root"), on=["symbol", "date"], how="left", validate="many_to_one")

    def _session_spans(self, roots: np.ndarray, dates: np.ndarray, schema: str) -> tuple[np.ndarray, np.ndarray]:
        """What must be landed for a session to be complete: its hours, or its UTC days for vendor day bars."""
        if schema == "ohlcv-1d":
            # Monday's session begins on Sunday, of which the vendor has a bar of its own.
            monday = weekdays(dates) == 0
            opens, closes = dates - monday.astype("timedelta64[D]"), dates + 1
            return opens.astype("datetime64[ns]"), closes.astype("datetime64[ns]")
        opens, closes = np.empty(len(dates), "datetime64[ns]"), np.empty(len(dates), "datetime64[ns]")
        for root in np.unique(roots):
            own = roots == root
            opens[own], closes[own] = session_bounds(str(root), dates[own], self._universe)
        return opens, closes


def _touches(file: LandedFile, intervals: Sequence[Interval]) -> bool:
    """Whether a file may have bars of trade dates in the intervals.

    A trade date begins on the evening before, for Monday on Sunday: three days leave room for both.
    """
    days = np.array([file.span_start.tz_convert(None), file.span_end.tz_convert(None)], "datetime64[D]")
    return any(first <= days[1] + 3 and last >= days[0] - 1 for first, last in intervals)


def _named(values: Sequence[str], codes: np.ndarray) -> pd.Series:
    """`values[code]` of every code (categorical: each value is in memory once)."""
    return pd.Series(values, dtype="category").take(codes).reset_index(drop=True)
