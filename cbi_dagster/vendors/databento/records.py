"""What files of statistics and of definitions have in common: records that a contract was stated in at an instant.

Every record has the `symbol` that its contract was called when it was received (`ts_recv`), and a later file that
states the same period of the same contracts takes the place of an earlier one, record by record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cbi_dagster.catalog.model import FIRST_TRADE_DATE
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.sessions import exchange_days, trade_dates, utc_instants
from cbi_dagster.vendors.databento.bars import classify_symbols, left_out
from cbi_dagster.vendors.databento.plausibility import FUTURE_AFTER
from cbi_dagster.vendors.databento.stated import (
    as_categories,
    covered_periods,
    landed_symbols,
    require_known,
    touches,
)
from cbi_dagster.vendors.files import Content, shown
from cbi_dagster.vendors.kinds import Examined, Landed, LandedFile, within

#: How long after a contract has left the vendor's mapping it is still known by its number: what is said of its last
#: day is published after it.
_AFTERGLOW_DAYS = 10


@dataclass(frozen=True)
class RecordFile:
    """A file of records that was decoded to its end and does not contradict itself; the other fields as in `BarFile`.

    `rows` have `symbol` (object, None where the vendor names none), `instrument_id`, `publisher_id` (Int64),
    `ts_recv` (datetime64[ns, UTC]), `source_row` and what the schema says.
    """

    dataset: str
    schema: str
    stype_in: str
    start: pd.Timestamp
    end: pd.Timestamp
    symbols: tuple[str, ...]
    rows: pd.DataFrame
    mapping: pd.DataFrame
    not_found: tuple[str, ...] = ()
    exhaustive: bool = False
    observed: bool = False
    by_symbology: bool = False


@dataclass(frozen=True)
class ScreenedRecords:
    """The records of one file in three places, in the file's order: kept, rejected with a `reason`, or counted.

    `kept` and `rejected` have `root` and `date`, the trade date on which the record was received. `outside` has the
    number of rows per name that nothing is kept of.
    """

    kept: pd.DataFrame
    rejected: pd.DataFrame
    outside: Mapping[str, int]


def kinds_of(symbols: pd.Series, universe: Universe) -> tuple[np.ndarray, np.ndarray]:
    """What each symbol is (`kind` of `classify_symbols`) and its root; None for a missing symbol."""
    codes, names = pd.factorize(symbols)
    found = classify_symbols([*names, ""], universe)
    kinds, roots = found["kind"].to_numpy(object), found["root"].to_numpy(object)
    kinds[-1] = None
    return kinds[codes], roots[codes]


def dates_received(rows: pd.DataFrame, universe: Universe) -> np.ndarray:
    """The trade date (datetime64[ns]) of its `root` on which each record was received; NaT where that is not known.

    What comes at a weekend belongs to the business day after it.
    """
    received = utc_instants(rows["ts_recv"])
    known = rows["root"].notna().to_numpy() & ~np.isnat(received)
    dates = np.full(len(rows), np.datetime64("NaT", "D"))
    dates[known] = np.busday_offset(exchange_days(received[known]), 0, roll="forward")
    for root, own in rows[known].groupby("root", observed=True).indices.items():
        at = np.flatnonzero(known)[own]
        dates[at] = trade_dates(dates[at], universe.calendar(str(root)))
    return dates.astype("datetime64[ns]")


def with_lasting_contracts(mapping: pd.DataFrame) -> pd.DataFrame:
    """The mapping in which a contract keeps its number for some days after its end, until the number has another."""
    ordered = mapping.sort_values(["instrument_id", "start_date"], ignore_index=True)
    following = ordered["start_date"].where(ordered["instrument_id"] == ordered["instrument_id"].shift()).shift(-1)
    longer = ordered["end_date"] + pd.Timedelta(days=_AFTERGLOW_DAYS)
    free = longer.where(following.isna() | (longer < following), following)
    return ordered.assign(end_date=np.maximum(free, ordered["end_date"]))


def first_reason(faults: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
    """The first of the named faults that each row has; empty for none."""
    reasons = np.full(rows, "", dtype=object)
    for name, fault in reversed([*faults.items()]):
        reasons[fault] = name
    return reasons


def sorted_out(
    own: pd.DataFrame, reason: np.ndarray, key: Sequence[str], outside: Mapping[str, int]
) -> ScreenedRecords:
    """Records of the universe by the `reason` that each has to be rejected ("" for none).

    Of several sound ones of one key the last is kept.
    """
    sound = own[reason == ""]
    repeated = sound.duplicated(list(key), keep="last")
    early = sound["date"] < pd.Timestamp(FIRST_TRADE_DATE)
    reason[sound.index[early]] = "before_first_trade_date"
    reason[sound.index[repeated]] = "repeated_at_once"
    kept = reason == ""
    rejected = own[~kept].assign(reason=reason[~kept]).reset_index(drop=True)
    return ScreenedRecords(own[kept].reset_index(drop=True), rejected, outside)


def examined(
    content: Content, file: RecordFile, screened: ScreenedRecords, details: Sequence[str], landed_at: pd.Timestamp,
    universe: Universe,
) -> Examined:  # fmt: skip
    """A file of records as the door wants it; `details` are the columns that a rejected row is remembered by."""
    require_known(content.path, file.dataset, file.not_found, universe)
    kept, start, end, mapping = screened.kept, file.start, file.end, file.mapping
    if file.observed:
        received = kept["ts_recv"] if len(kept) else pd.Series([landed_at])
        start, end, mapping = received.min(), received.max() + pd.Timedelta(1, "us"), _observed_mapping(kept)
    start, end = start.floor("us"), max(min(end, landed_at + FUTURE_AFTER), start).ceil("us")
    symbols = sorted(set(mapping["symbol"])) if file.observed else file.symbols
    return Examined(
        dataset=file.dataset,
        schema=file.schema,
        stype_in=file.stype_in,
        start=start,
        end=end,
        rows=len(file.rows),
        kept=kept,
        rejected=quarantine_rows(screened.rejected, details),
        outside={shown(name, 80): count for name, count in screened.outside.items()},
        symbols=landed_symbols(symbols, mapping, start, end, universe),
        exhaustive=file.exhaustive,
        by_symbology=file.by_symbology,
    )


def _observed_mapping(kept: pd.DataFrame) -> pd.DataFrame:
    """The number of each contract from its first to its last record; where it changes, on the day of the change."""
    days = kept[["symbol", "instrument_id"]].assign(start_date=kept["ts_recv"].dt.tz_convert(None).dt.floor("D"))
    days = days.astype({"symbol": object}).sort_values(["symbol", "start_date"], kind="stable")
    days = days.drop_duplicates(["symbol", "start_date"], keep="last")
    keys = days[["symbol", "instrument_id"]]
    runs = days.groupby((keys != keys.shift()).any(axis=1).cumsum())
    found = runs.first()
    found["end_date"] = runs["start_date"].last() + pd.Timedelta(days=1)
    return found.reset_index(drop=True)[["symbol", "start_date", "end_date", "instrument_id"]]


def quarantine_rows(rejected: pd.DataFrame, details: Sequence[str]) -> pd.DataFrame:
    """Rejected records as rows for `ops.quarantine`; `details` are the columns that each is remembered by."""
    said = rejected[list(details)].astype(object)
    return pd.DataFrame(
        {
            "date": rejected["date"],
            "source_row": rejected["source_row"],
            "symbol": rejected["symbol"].astype(object),
            "ts_event": rejected["ts_recv"].dt.floor("us"),
            "reason": rejected["reason"],
            "detail": [
                ", ".join(f"{name}={value}" for name, value in zip(details, row, strict=True) if not pd.isna(value))
                for row in said.itertuples(index=False, name=None)
            ],
        }
    )


def merged(
    files: Sequence[LandedFile], landed: Landed, key: Sequence[str], intervals: Sequence[Interval] | None = None
) -> pd.DataFrame:
    """The records of files in landing order, sorted by `key`, each with the number of its `file`.

    A later file wins for its records, and where it is exhaustive also for those that it does not have. Only records
    of trade dates in the intervals.
    """
    parts = []
    for number, file in enumerate(files):
        kept = landed.kept(file)
        if intervals is not None:
            kept = kept[within(kept["date"].to_numpy(), intervals)]
        parts.append(kept.assign(file=np.int32(number)))
    filled = [part for part in parts if len(part)] or parts[:1]
    rows = pd.concat([part.astype({"symbol": object, "root": object}) for part in filled], ignore_index=True)
    rows = rows.sort_values([*key, "file"], kind="stable", ignore_index=True)
    rows = rows[~rows.duplicated(list(key), keep="last")].reset_index(drop=True)
    gone = np.zeros(len(rows), bool)
    for number, file in enumerate(files):
        others = files[:number]
        if not any(other.span_start < file.span_end and other.span_end > file.span_start for other in others):
            continue
        found = landed.examined(file)
        if found.exhaustive:
            gone |= (rows["file"].to_numpy() < number) & _left_out(rows, file, found.rejected, landed)
    return rows[~gone].reset_index(drop=True)


def _left_out(rows: pd.DataFrame, file: LandedFile, rejected: pd.DataFrame, landed: Landed) -> np.ndarray:
    """Which records (sorted by symbol) an exhaustive file does not have, although it states their contract and time."""
    order = np.lexsort((utc_instants(rows["ts_recv"]), pd.factorize(rows["symbol"], sort=True)[0]))
    timed = rows[["symbol", "ts_recv"]].rename(columns={"ts_recv": "ts_event"}).iloc[order]
    timed["symbol"] = timed["symbol"].astype("category")
    gone = np.empty(len(rows), bool)
    gone[order] = left_out(timed, covered_periods([file], landed), rejected)
    return gone


def read(
    files: Sequence[LandedFile], landed: Landed, key: Sequence[str], columns: Sequence[str],
    intervals: Sequence[Interval],
) -> pd.DataFrame:  # fmt: skip
    """The records of trade dates in the intervals, as rows of their table."""
    near = [file for file in files if touches(file, intervals)]
    if not near:
        return pd.DataFrame(columns=list(columns))
    rows = merged(near, landed, key, intervals)
    of_file = rows["file"].to_numpy()
    rows["source_file"] = as_categories([file.source_file for file in near], of_file)
    rows["dataset"] = as_categories([file.dataset for file in near], of_file)
    return rows[list(columns)]


def corrections(
    file: LandedFile, before: Landed, key: Sequence[str], values: Sequence[str], named: Sequence[str]
) -> pd.DataFrame:
    """What a file changes of the records before it, as `Kind.corrections`; `named` say in words which record it is."""
    earlier = _overlapping(file, before)
    if not earlier:
        return pd.DataFrame()
    return _differences(
        merged(earlier, before, key), merged([*earlier, file], before, key), key, values, named, arriving=False
    )


def returns(
    file: LandedFile, landed: Landed, key: Sequence[str], values: Sequence[str], named: Sequence[str]
) -> pd.DataFrame:
    """What is changed back when a file is withdrawn, as `Kind.returns`."""
    near = _overlapping(file, landed)
    others = [other for other in near if other.file_hash != file.file_hash]
    if not others:
        return pd.DataFrame()
    return _differences(merged(near, landed, key), merged(others, landed, key), key, values, named, arriving=True)


def _overlapping(file: LandedFile, landed: Landed) -> list[LandedFile]:
    return [
        other
        for other in landed.of(file.vendor_schema)
        if other.span_start < file.span_end and other.span_end > file.span_start
    ]


def _differences(
    old: pd.DataFrame, new: pd.DataFrame, key: Sequence[str], values: Sequence[str], named: Sequence[str], *,
    arriving: bool,
) -> pd.DataFrame:  # fmt: skip
    """Records that say something else, or are gone; those that are `arriving` only where that is asked for."""
    columns = [*dict.fromkeys([*key, "date", *values])]
    both = old[columns].merge(
        new[columns], on=list(key), how="outer" if arriving else "left", suffixes=("_old", "_new"), indicator="side"
    )
    differs = (both["side"] != "both").to_numpy()
    for name in values:
        one, other = both[f"{name}_old"], both[f"{name}_new"]
        differs |= ~((one == other).fillna(False) | (one.isna() & other.isna())).to_numpy(bool)
    found = both[differs].reset_index(drop=True)
    if found.empty:
        return pd.DataFrame()
    return pd.DataFrame(
        {
            "symbol": [" ".join(_words(row)) for row in found[list(named)].itertuples(index=False, name=None)],
            "ts_event": found["ts_recv"],
            "date": found["date_new"].fillna(found["date_old"]),
            "old_text": _said(found, values, "old", found["side"] != "right_only"),
            "new_text": _said(found, values, "new", found["side"] != "left_only"),
        }
    )


def _words(row: tuple[object, ...]) -> list[str]:
    return [f"{value:%Y-%m-%d}" if isinstance(value, pd.Timestamp) else str(value) for value in row]


def _said(found: pd.DataFrame, values: Sequence[str], age: str, there: pd.Series) -> list[str | None]:
    rows = found[[f"{name}_{age}" for name in values]].astype(object).itertuples(index=False, name=None)
    return [
        ", ".join(f"{name}={value}" for name, value in zip(values, row, strict=True) if not pd.isna(value))
        if stated
        else None
        for row, stated in zip(rows, there, strict=True)
    ]
