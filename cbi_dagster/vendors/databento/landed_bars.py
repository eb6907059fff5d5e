"""Bars at the door: what landing must know of files of vendor bars, and of the bars that have landed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.model import FIRST_TRADE_DATE
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables import ops
from cbi_dagster.catalog.tables.market_data import OHLCV_1H, OHLCV_1M, OHLCV_UTC_1D
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.bars import quarantine_rows
from cbi_dagster.market.decision import decision_instants
from cbi_dagster.market.sessions import (
    BAR_NS,
    first_exchange_days,
    session_bounds,
    utc_instants,
    weekdays,
    with_closed_hours,
)
from cbi_dagster.vendors.databento.bar_files import BarFile
from cbi_dagster.vendors.databento.bar_tables import decode_table, observed_mapping, period_named, schema_named
from cbi_dagster.vendors.databento.bars import (
    arrivals,
    corrections,
    covered,
    keys_of,
    left_out,
    merge_bars,
    merge_mappings,
    removals,
    screen_bars,
    session_instruments,
)
from cbi_dagster.vendors.databento.dbn import decode_dbn, is_dbn
from cbi_dagster.vendors.databento.plausibility import FUTURE_AFTER, require_prices, require_utc
from cbi_dagster.vendors.databento.stated import (
    as_categories,
    covered_periods,
    landed_symbols,
    require_known,
    touched_dates,
    touches,
)
from cbi_dagster.vendors.files import Content, shown
from cbi_dagster.vendors.kinds import Examined, Landed, LandedFile, within
from cbi_dagster.vendors.register import ROWS_AT_ONCE


def decode_bars(content: Content) -> BarFile:
    """What a file of bars says, whatever its format; raises a DeliveryError."""
    return decode_dbn(content) if is_dbn(content.name) else decode_table(content)


class Bars:
    """Files of 1-minute, 1-hour and UTC-day bars: DBN, CSV or Parquet."""

    tables: ClassVar[Mapping[str, Table]] = {"ohlcv-1m": OHLCV_1M, "ohlcv-1h": OHLCV_1H, "ohlcv-1d": OHLCV_UTC_1D}
    naming = "<name>.dbn, <name>.dbn.zst, <name>.ohlcv-1h.csv (.zst, .gz) or <name>.ohlcv-1h.parquet (1m, 1h or 1d)"
    one_dataset = True
    read_whole = False

    def __init__(self, universe: Universe) -> None:
        self._universe = universe

    @staticmethod
    def recognises(name: str) -> bool:
        return is_dbn(name) or schema_named(name) is not None

    def examine(self, content: Content, landed_at: pd.Timestamp) -> Examined:
        file = decode_bars(content)
        require_known(content.path, file.dataset, file.not_found, self._universe)
        screened = screen_bars(file.bars, file.schema, self._universe, (file.start, file.end), landed_at)
        believed = [rows for rows in (screened.bars, _of(screened.rejected, "price_out_of_bounds")) if len(rows)]
        if believed:
            require_prices(content.path, _stacked(believed), self._universe)
        timed = [rows for rows in (screened.bars, _of(screened.rejected, "weekend_trade_date")) if len(rows)]
        if timed and file.observed:  # the vendor's own format knows no other zone
            require_utc(content.path, _stacked(timed), file.schema, self._universe)
        start, end, mapping = self._stated(content, file, screened.bars, landed_at)
        return Examined(
            dataset=file.dataset,
            schema=file.schema,
            stype_in=file.stype_in,
            start=start,
            end=end,
            rows=len(file.bars),
            kept=screened.bars,
            rejected=quarantine_rows(screened.rejected) if len(screened.rejected) else _NOTHING_REJECTED,
            outside={shown(symbol, 80): int(count) for symbol, count in screened.outside_counts.items()},
            symbols=landed_symbols(
                sorted(set(mapping["symbol"])) if file.observed else file.symbols, mapping, start, end, self._universe
            ),
            exhaustive=file.exhaustive,
            by_symbology=file.by_symbology,
        )

    def _stated(
        self, content: Content, file: BarFile, kept: pd.DataFrame, landed_at: pd.Timestamp
    ) -> tuple[pd.Timestamp, pd.Timestamp, pd.DataFrame]:
        """The period that a file covers, and its mapping: its header's or, without one, what its kept rows say.

        What is to come is not covered, whatever a header or a name says of it.
        """
        start, end, mapping = file.start, file.end, file.mapping
        if file.observed:
            if kept.empty:
                return start.floor("us"), start.floor("us"), mapping
            mapping = observed_mapping(content.path, kept)
            start = kept["ts_event"].min()
            end = kept["ts_event"].max() + pd.Timedelta(BAR_NS[file.schema], "ns")
            if (named := period_named(content.name)) is not None:
                earliest = pd.Timestamp(FIRST_TRADE_DATE, tz="UTC") - pd.Timedelta(days=1)
                start, end = min(start, max(named[0], earliest)), max(end, min(named[1], landed_at))
        end = max(min(end, landed_at + FUTURE_AFTER), start)
        return start.ceil("us"), end.floor("us"), mapping

    def corrections(self, file: LandedFile, before: Landed) -> pd.DataFrame:
        earlier = _meeting(file, before)
        if not earlier:
            return _NOTHING_CORRECTED
        new, changes, removed = before.examined(file), [], []
        for part in self._parts(file, earlier):
            old = self._merged(earlier, before, part)
            own = new.kept[within(new.kept["date"].to_numpy(), part)]
            changes.append(corrections(old, own))
            if new.exhaustive:
                missing = old[~keys_of(old).isin(keys_of(own))].reset_index(drop=True)
                gone = missing[left_out(missing, covered_periods([file], before), new.rejected)]
                removed.append(removals(gone))
        return _in_order(changes, removed)

    def returns(self, file: LandedFile, landed: Landed) -> pd.DataFrame:
        others = _meeting(file, landed)
        if not others:
            return pd.DataFrame()
        hashes = {file.file_hash, *(other.file_hash for other in others)}
        near = [other for other in landed.of(file.vendor_schema) if other.file_hash in hashes]
        changes, returned = [], []
        for part in self._parts(file, near):
            old, new = self._merged(near, landed, part), self._merged(others, landed, part)
            changes.append(corrections(old, new))
            returned.append(arrivals(new[~keys_of(new).isin(keys_of(old))].reset_index(drop=True)))
        return _in_order(changes, returned)

    def _parts(self, file: LandedFile, near: Sequence[LandedFile]) -> Iterator[list[Interval]]:
        """Neighbouring spans of the trade dates of a file, of which `near` have about ROWS_AT_ONCE rows each."""
        period, least = file.span_end - file.span_start, pd.Timedelta(1, "ns")
        rows = sum(o.kept_rows * min(1.0, period / max(o.span_end - o.span_start, least)) for o in near)
        for part in np.array_split(touched_dates([file], self._universe), int(rows) // ROWS_AT_ONCE + 1):
            if len(part):
                yield [(part[0], part[-1])]

    def _merged(
        self, files: Sequence[LandedFile], landed: Landed, intervals: Sequence[Interval] | None = None
    ) -> pd.DataFrame:
        """The bars of files in landing order, each with the number of its `file`; of trade dates in the intervals.

        A later file wins for its bars, and where it is exhaustive also for those that it does not have.
        """
        parts = []
        for number, file in enumerate(files):
            kept = landed.kept(file)
            if intervals is not None:
                inside = within(kept["date"].to_numpy(), intervals)
                kept = kept if inside.all() else kept[inside]
            part = kept.copy(deep=False)  # the rows themselves are copied once, when they are stacked
            part["file"] = np.int32(number)
            parts.append(part)
        bars = merge_bars(parts)
        starts, ends = (np.array([getattr(file, name).value for file in files]) for name in ("span_start", "span_end"))
        gone = np.zeros(len(bars), bool)
        for number, file in enumerate(files):
            before = slice(0, number)
            if ((starts[before] < ends[number]) & (ends[before] > starts[number])).any():
                earlier, stated = bars["file"].to_numpy() < number, covered_periods([file], landed)
                # Whose symbols are others, or whose bars took the place of all, need not be read again for this.
                if (earlier & left_out(bars, stated, _NOTHING_REJECTED)).any():
                    examined = landed.examined(file)
                    if examined.exhaustive:
                        gone |= earlier & left_out(bars, stated, examined.rejected)
        return bars[~gone].reset_index(drop=True) if gone.any() else bars

    def trade_dates(self, files: Sequence[LandedFile], landed: Landed) -> np.ndarray:
        """Weekdays whose session any of the files' spans touches."""
        return touched_dates(files, self._universe)

    def until(self, instant: pd.Timestamp, kept: pd.DataFrame, schema: str) -> pd.DataFrame:
        """The bar that is still open is that of its first trade."""
        begun = kept[kept["ts_event"] < instant]
        still_open = begun["ts_event"] + pd.Timedelta(BAR_NS[schema], "ns") > instant
        prices = {name: begun[name].where(~still_open, begun["open"]) for name in ("high", "low", "close")}
        return begun.assign(**prices, volume=begun["volume"].where(~still_open, 1))

    def read(self, schema: str, intervals: Sequence[Interval], landed: Landed) -> pd.DataFrame:
        """Each bar says which contract its session belongs to and whether landed data covers that session."""
        columns = [column.name for column in self.tables[schema].columns]
        files = [file for file in landed.of(schema) if touches(file, intervals)]
        if not files:
            return pd.DataFrame(columns=columns)
        bars = self._merged(files, landed, intervals)
        if bars.empty:
            return pd.DataFrame(columns=columns)
        of_file = bars["file"].to_numpy()
        bars["source_file"] = as_categories([file.source_file for file in files], of_file)
        bars["dataset"] = as_categories([file.dataset for file in files], of_file)
        return self._with_session_facts(bars, schema, landed)[columns]

    def _with_session_facts(self, bars: pd.DataFrame, schema: str, landed: Landed) -> pd.DataFrame:
        """Add each bar's session contract and whether landed data covers its session."""
        files = landed.of(schema)
        stated = [file for file in files if is_dbn(file.source_file)]
        spans = pd.concat([covered_periods(stated, landed), self._observed_periods(files, landed)])
        sequence = pd.DataFrame(files, columns=LandedFile._fields)[["file_hash", "landing_sequence"]]
        symbols = landed.symbols.merge(sequence, on="file_hash").sort_values("landing_sequence", kind="stable")
        mapping = merge_mappings([symbols.rename(columns={"mapping_start": "start_date", "mapping_end": "end_date"})])
        # Bars are in order of symbol and time, and so of sessions.
        codes, days = bars["symbol"].cat.codes.to_numpy(), bars["date"].to_numpy()
        begins = np.append(True, (codes[1:] != codes[:-1]) | (days[1:] != days[:-1]))
        session = np.cumsum(begins) - 1
        sessions = bars.loc[begins, ["root", "symbol", "date"]].astype({"root": str, "symbol": str})
        sessions = sessions.reset_index(drop=True)
        dates = sessions["date"].to_numpy().astype("datetime64[D]")
        opens, closes = self._session_spans(sessions["root"].to_numpy(), dates, schema)
        sessions["session_instrument_id"] = session_instruments(mapping, sessions["symbol"].to_numpy(), dates)
        listed = self._listed_within(sessions, opens, mapping, stated, landed)
        opens = np.where(listed, dates.astype("datetime64[ns]"), opens)
        sessions["session_covered"] = covered(spans, sessions["symbol"].to_numpy(), opens, closes)
        decided = np.minimum(closes, decision_instants(dates, self._universe))
        decision_covered = covered(spans, sessions["symbol"].to_numpy(), opens, decided)
        sessions["decision_covered"] = pd.NA if schema == "ohlcv-1d" else decision_covered
        for name in ("session_instrument_id", "session_covered", "decision_covered"):
            bars[name] = sessions[name].array.take(session)
        return bars

    @staticmethod
    def _listed_within(
        sessions: pd.DataFrame, opens: np.ndarray, mapping: pd.DataFrame, stated: Sequence[LandedFile], landed: Landed
    ) -> np.ndarray:
        """Which sessions are the first of a contract that is listed while they are open: nothing of it came before.

        The vendor's mappings begin at 00:00 UTC, when the session of that trade date may be open since the evening.
        Whether a contract really was not there before, files tell that were asked for it, or for all of its root, and
        that cover the hours from the session's open (`opens`) to 00:00 UTC.
        """
        before = mapping["end_date"].where(mapping["symbol"] == mapping["symbol"].shift(-1)).shift()
        begins = mapping.loc[mapping["start_date"] != before, ["symbol", "start_date"]]
        keys = pd.MultiIndex.from_arrays([sessions["symbol"], pd.DatetimeIndex(sessions["date"])])
        midnights = sessions["date"].to_numpy().astype("datetime64[ns]")
        first = keys.isin(pd.MultiIndex.from_frame(begins)) & (opens < midnights)
        if not first.any():
            return first
        columns = ["file_hash", "stype_in", "span_start", "span_end"]
        asked = landed.symbols.merge(pd.DataFrame(stated, columns=LandedFile._fields)[columns], on="file_hash")
        asked = asked.rename(columns={"span_start": "start", "span_end": "end"})
        parents = asked[asked["stype_in"] == "parent"].drop(columns="symbol").rename(columns={"root": "symbol"})
        known = np.zeros(len(sessions), bool)
        for of, spans in (("symbol", asked), ("root", parents.drop_duplicates(["file_hash", "symbol"]))):
            known[first] |= covered(spans, sessions[of].to_numpy()[first], opens[first], midnights[first])
        return first & known

    def _observed_periods(self, files: Sequence[LandedFile], landed: Landed) -> pd.DataFrame:
        """What files without a header cover: the trading hours around their rows, for each symbol that they have."""
        found = [file for file in files if not is_dbn(file.source_file)]
        if not found:
            return covered_periods([], landed)
        observed = pd.DataFrame(found, columns=LandedFile._fields)
        rows = landed.symbols.merge(observed[["file_hash", "span_start", "span_end"]], on="file_hash")
        rows = rows[["symbol", "root", "span_start", "span_end"]].drop_duplicates()
        parts = []
        for root, own in rows.groupby("root", observed=True):
            first, last = (utc_instants(own[name]).astype("datetime64[ns]") for name in ("span_start", "span_end"))
            start, end = with_closed_hours(str(root), first, last, self._universe)
            periods = {"start": pd.DatetimeIndex(start, tz="UTC"), "end": pd.DatetimeIndex(end, tz="UTC")}
            parts.append(pd.DataFrame({"symbol": own["symbol"].to_numpy(object), **periods}))
        return pd.concat(parts) if parts else covered_periods([], landed)

    def _session_spans(self, roots: np.ndarray, dates: np.ndarray, schema: str) -> tuple[np.ndarray, np.ndarray]:
        """What must be landed for a session to be complete: its hours to the end of the one in which it closes, or its
        UTC days for vendor day bars."""
        opens, closes = np.empty(len(dates), "datetime64[ns]"), np.empty(len(dates), "datetime64[ns]")
        for root in np.unique(roots):
            own = roots == root
            if schema == "ohlcv-1d":
                # Monday's session begins on Sunday, of which the vendor has a bar of its own.
                first = first_exchange_days(dates[own], self._universe.calendar(str(root)))
                opens[own] = first - (weekdays(first) == 0).astype("timedelta64[D]")
                closes[own] = dates[own] + 1
            else:
                opens[own], ends = session_bounds(str(root), dates[own], self._universe)
                # The bar in which a session closes is there when it has ended. Minutes wait for the hour as well: rows
                # read each other's close, and of other products there may be hours alone.
                closes[own] = ends + (-ends.astype(np.int64) % BAR_NS["ohlcv-1h"]).astype("timedelta64[ns]")
        return opens, closes


#: Rejected rows of a file that has none, and corrections by one that meets no other.
_NOTHING_REJECTED = quarantine_rows(pd.DataFrame(columns=["symbol", "ts_event", "reason"]))
_NOTHING_CORRECTED = pd.DataFrame(columns=[column.name for column in ops.CORRECTIONS.columns])


def _meeting(file: LandedFile, landed: Landed) -> list[LandedFile]:
    """The other files that state a period of the same symbols, in part at least."""
    near = [
        other
        for other in landed.of(file.vendor_schema)
        if other.span_start < file.span_end and other.span_end > file.span_start and other.file_hash != file.file_hash
    ]
    if not near:
        return []
    of_file = landed.symbols["file_hash"]
    own = landed.symbols.loc[of_file == file.file_hash, "symbol"]
    sharing = set(of_file[landed.symbols["symbol"].isin(own)])
    return [other for other in near if other.file_hash in sharing]


def _in_order(*kinds: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Corrections of each kind that were found part by part, kind after kind, each by symbol and time."""
    found = []
    for parts in kinds:
        if filled := [part for part in parts if len(part)]:
            found.append(pd.concat(filled).sort_values(["symbol", "ts_event"], kind="stable"))
    return pd.concat(found, ignore_index=True) if found else kinds[0][0]


def _stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames below each other, without a copy of one alone."""
    return frames[0] if len(frames) == 1 else pd.concat(frames)


def _of(rejected: pd.DataFrame, reason: str) -> pd.DataFrame:
    return rejected[rejected["reason"] == reason].drop(columns="reason") if len(rejected) else rejected
