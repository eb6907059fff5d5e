"""From vendor bars to session bars: one row per symbol and trade date, made of one contract's bars only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.bars import OHLCV
from cbi_dagster.catalog.columns.conditions import AVAILABLE
from cbi_dagster.catalog.columns.conditions import INPUTS as CONDITION_INPUTS
from cbi_dagster.catalog.columns.sessions import BUILT, INPUTS
from cbi_dagster.catalog.frames import require
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.session_quality import DAY_HOURS, Counts, hours_of_bars, judge_sessions
from cbi_dagster.market.sessions import (
    BAR_NS,
    HOUR_NS,
    chicago_instants,
    early_close_minutes,
    same_hours,
    session_bounds,
    utc_instants,
)

_USED = ("date", "ts_event", "root", "symbol", "instrument_id", *OHLCV, "dataset")


@dataclass(frozen=True)
class SessionBars:
    """Session bars and the account of every bar that went in.

    `rejected`: bars with a `reason` that can never be part of their session (`roll_boundary`).
    `held_back`: bars with a `reason` whose session is not complete yet (`session_not_covered`, `contract_unknown`).
    `superseded_rows`: bars of sessions that a finer schema covers.
    `used_rows` + len(rejected) + len(held_back) + superseded_rows is the number of bars that went in.
    """

    sessions: pd.DataFrame
    rejected: pd.DataFrame
    held_back: pd.DataFrame
    used_rows: int
    superseded_rows: int


def session_bars(bars: dict[str, pd.DataFrame], conditions: pd.DataFrame, universe: Universe) -> SessionBars:
    """Session bars from the finest schema that covers each session.

    `bars` maps vendor schemas (`ohlcv-1m`, `ohlcv-1h`, `ohlcv-1d`) to landed bars with `session_instrument_id` and
    `session_covered`. A session belongs to the contract that the vendor's mapping names for the UTC date equal to the
    trade date, known before the session starts; bars of any other contract are rejected as `roll_boundary`. A
    session that landed data does not cover from open to close is held back whole. Raises InvalidFrameError for bars
    that lack a column of INPUTS, or conditions that lack one.

    `bars` also hold the bars of the trade dates before, from which `session_quality` learns what is usual, and
    `conditions` what the vendor says of the UTC days of the sessions (rows of `databento_conditions`).
    `vwap` and `realized_vol_1h` come from intraday bars only; a session built from vendor UTC-day
    bars says `utc_1d` (or `utc_1d_merged` when Sunday's bar was folded into Monday) and leaves them NULL.
    """
    require(conditions, CONDITION_INPUTS, "the vendor's word on its days", key=("utc_date",))
    doubted = conditions.loc[conditions["condition"] != AVAILABLE, "utc_date"].to_numpy().astype("datetime64[D]")
    sessions: list[pd.DataFrame] = []
    hours, rejected, held_back = [], [], []
    used = superseded = 0
    for schema in BAR_NS:
        frame = bars.get(schema)
        if frame is None or frame.empty:
            continue
        require(frame, INPUTS, f"landed bars of {schema}")
        kept, rejects, held = _split(frame, schema)
        rejected.append(rejects)
        held_back.append(held)
        starts = session_starts(kept)
        finer = _covered(kept.iloc[starts], sessions)
        if finer.any():
            of_bar = np.repeat(finer, np.diff(starts, append=len(kept)))
            superseded += int(of_bar.sum())
            kept = kept[~of_bar]
            starts = session_starts(kept)
        used += len(kept)
        if kept.empty:
            continue
        sessions.append(_aggregate(kept, starts, rejects, schema))
        hours.append(_by_hour(kept, starts, schema))
    return SessionBars(
        _finish(sessions, hours, doubted, universe), _concat(rejected), _concat(held_back), used, superseded
    )


def _covered(first: pd.DataFrame, finer: list[pd.DataFrame]) -> npt.NDArray[np.bool_]:
    """Which sessions, given by their first bars, were built from a finer schema."""
    found = np.zeros(len(first), bool)
    keys = pd.MultiIndex.from_arrays([first["symbol"].astype(object), first["date"]])
    for built in finer:
        found |= keys.isin(pd.MultiIndex.from_frame(built[["vendor_symbol", "date"]]))
    return found


def quarantine_rows(rejected: pd.DataFrame) -> pd.DataFrame:
    """Rejected bars as rows for `ops.quarantine`: where each came from, why it was rejected and what it said."""
    detail = [
        ", ".join(f"{name}={value:g}" for name, value in zip(OHLCV, row, strict=True))
        for row in rejected.reindex(columns=list(OHLCV)).to_numpy(np.float64)
    ]
    origin = ["date", "source_file", "source_row", "symbol", "ts_event", "reason"]
    found = rejected.reindex(columns=origin).astype({"symbol": object}).assign(detail=detail)
    # A table keeps microseconds, and what is off the grid may be finer.
    return found.assign(ts_event=found["ts_event"].dt.floor("us")) if len(found) else found


def held_back_counts(held_back: pd.DataFrame) -> pd.DataFrame:
    """Held-back bars counted per trade date, symbol, vendor schema and reason, as rows for `ops.held_back`."""
    by = ["date", "symbol", "schema", "reason"]
    counts = held_back.reindex(columns=by).astype({"symbol": object}).groupby(by).size()
    return counts.reset_index(name="bar_rows").rename(columns={"schema": "vendor_schema"})


def row_names(vendor_symbols: pd.Series, universe: Universe) -> tuple[np.ndarray, np.ndarray]:
    """What rows of vendor symbols are called, and their contract: the root stands for the preferred continuous symbol.

    The contract is the symbol of an outright, None for continuous symbols, which do not name theirs.
    """
    preferred = {universe.product(root).continuous_symbol: root for root in universe.roots}
    codes, names = pd.factorize(vendor_symbols)
    symbols = np.array([preferred.get(name, name) for name in names], object)
    contracts = np.array([None if "." in name else name for name in names], object)
    return symbols[codes], contracts[codes]


def _concat(frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled or frames[:1], ignore_index=True) if frames else pd.DataFrame(columns=["reason"])


def _split(frame: pd.DataFrame, schema: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Bars of their session's contract by symbol and time, as far as sessions are made of them; rejected bars and bars
    held back, whole."""
    frame = with_categories(frame)
    covered = frame["session_covered"].to_numpy(bool)
    contract = frame["session_instrument_id"].to_numpy("float64", na_value=np.nan)
    unknown = np.isnan(contract)
    held = frame[~covered | unknown].assign(
        schema=schema, reason=np.where(covered[~covered | unknown], "contract_unknown", "session_not_covered")
    )
    whole = covered & ~unknown
    own = contract == frame["instrument_id"].to_numpy("float64")
    rejects = frame[whole & ~own].assign(schema=schema, reason="roll_boundary")
    return in_order(frame[[*_USED]][whole & own]), rejects, held


def with_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """The same bars, whose symbols are categories, as those of stored bars are."""
    return frame if isinstance(frame["symbol"].dtype, pd.CategoricalDtype) else frame.astype({"symbol": "category"})


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Bars, whose symbols are categories, by symbol and time."""
    symbols, instants = _symbol_codes(frame), utc_instants(frame["ts_event"])
    later = (symbols[1:] > symbols[:-1]) | ((symbols[1:] == symbols[:-1]) & (instants[1:] >= instants[:-1]))
    # Stored bars are.
    return frame if later.all() else frame.take(np.lexsort((instants, symbols)))


def _symbol_codes(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """The number of each row's symbol among those of its vendor schema."""
    codes: npt.NDArray[np.int64] = frame["symbol"].cat.codes.to_numpy().astype(np.int64)
    return codes


def _aggregate(frame: pd.DataFrame, starts: np.ndarray, rejects: pd.DataFrame, schema: str) -> pd.DataFrame:
    ends = np.append(starts[1:], len(frame)) - 1
    first, last = frame.iloc[starts], frame.iloc[ends]
    volume = frame["volume"].to_numpy(np.int64)
    built = pd.DataFrame(
        {
            "date": first["date"].to_numpy(),
            "root": first["root"].astype(str).to_numpy(),
            "vendor_symbol": first["symbol"].astype(str).to_numpy(),
            "instrument_id": first["instrument_id"].to_numpy(np.int64),
            "open": first["open"].to_numpy(),
            "high": np.maximum.reduceat(frame["high"].to_numpy(), starts),
            "low": np.minimum.reduceat(frame["low"].to_numpy(), starts),
            "close": last["close"].to_numpy(),
            "volume": np.add.reduceat(volume, starts),
            "bars_seen": ends - starts + 1,
            "last_bar_start": utc_instants(last["ts_event"]),
            "last_bar_end": utc_instants(last["ts_event"]) + np.timedelta64(BAR_NS[schema], "ns"),
            "dataset": first["dataset"].astype(str).to_numpy(),
        }
    )
    if schema == "ohlcv-1d":
        built["bar_source"] = np.where(built["bars_seen"] > 1, "utc_1d_merged", "utc_1d")
        built[["vwap", "realized_vol_1h"]] = np.nan
    else:
        built["bar_source"] = schema
        typical = (frame["high"].to_numpy() + frame["low"].to_numpy() + frame["close"].to_numpy()) / 3.0
        built["vwap"] = np.add.reduceat(typical * volume, starts) / built["volume"].to_numpy()
        built["realized_vol_1h"] = _realized_vol_1h(frame, starts, ends)
    return built.assign(**boundaries(first, rejects))


def session_starts(frame: pd.DataFrame) -> np.ndarray:
    """Positions of the first bar of each session in bars sorted by symbol and time."""
    keys = _session_keys(frame)
    return np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])


def _by_hour(frame: pd.DataFrame, starts: np.ndarray, schema: str) -> tuple[Counts, Counts]:
    """Number of bars and volume of each session in each hour of its exchange day; nothing is known of day bars."""
    if schema == "ohlcv-1d":
        return np.zeros((len(starts), DAY_HOURS), np.int64), np.zeros((len(starts), DAY_HOURS), np.int64)
    dates = frame["date"].to_numpy()[starts].astype("datetime64[D]")
    session = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(frame)))
    hour = hours_of_bars(utc_instants(frame["ts_event"]), session, dates)
    cell, volume = session * DAY_HOURS + hour, frame["volume"].to_numpy(np.float64)
    if (joined := hour < 0).any():
        cell, volume = cell[~joined], volume[~joined]
    size = len(starts) * DAY_HOURS
    counts = np.bincount(cell, minlength=size)
    volumes = np.bincount(cell, weights=volume, minlength=size)  # exact below 2**53
    return counts.reshape(-1, DAY_HOURS), volumes.astype(np.int64).reshape(-1, DAY_HOURS)


def _realized_vol_1h(frame: pd.DataFrame, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Root of the summed squared hourly log returns of each session; the first return starts at the session's open."""
    hour = utc_instants(frame["ts_event"]).astype(np.int64) // HOUR_NS
    last_of_hour = np.ones(len(frame), bool)
    last_of_hour[:-1] = hour[1:] != hour[:-1]
    last_of_hour[ends] = True
    with np.errstate(invalid="ignore", divide="ignore"):
        log_close = np.log(frame["close"].to_numpy()[last_of_hour])
        log_open = np.log(frame["open"].to_numpy()[starts])
    # Position of each session's first hour among the hours.
    hour_starts = np.append(0, np.cumsum(last_of_hour)[ends][:-1])
    previous = np.empty_like(log_close)
    previous[1:] = log_close[:-1]
    previous[hour_starts] = log_open
    result = np.sqrt(np.add.reduceat((log_close - previous) ** 2, hour_starts))
    return np.where(np.isfinite(result), result, np.nan)


def boundaries(first: pd.DataFrame, others: pd.DataFrame) -> dict[str, Any]:
    """The old contract's last bar, of `others`, before the first bar of each session's own contract, by session.

    The symbols of both are of the same categories.
    """
    own, asked = _session_keys(first), _session_keys(others)
    order = np.argsort(own, kind="stable")
    at = np.append(order, -1)[np.searchsorted(own, asked, sorter=order)]
    same = np.append(own, -1)[at] == asked
    others, at = others[same], at[same]
    instants = utc_instants(others["ts_event"])
    before = np.flatnonzero(instants < utc_instants(first["ts_event"])[at])
    before = before[np.argsort(instants[before], kind="stable")]
    contract, close = np.full(len(first), -1), np.full(len(first), np.nan)
    contract[at[before]] = others["instrument_id"].to_numpy(np.int64)[before]  # the last one stays
    close[at[before]] = others["close"].to_numpy(np.float64)[before]
    return {
        "boundary_instrument_id": pd.arrays.IntegerArray(contract, contract < 0),
        "boundary_close": close,
    }


def _session_keys(bars: pd.DataFrame) -> npt.NDArray[np.int64]:
    """One number for each symbol and trade date."""
    days: npt.NDArray[np.int64] = bars["date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    return (_symbol_codes(bars) << 32) + days


def _finish(
    parts: list[pd.DataFrame], hours: list[tuple[Counts, Counts]], doubted: np.ndarray, universe: Universe
) -> pd.DataFrame:
    """Name the rows, judge them and add the product's facts: the root stands for the preferred continuous symbol."""
    if not parts:
        return pd.DataFrame(columns=list(BUILT))
    built = pd.concat(parts, ignore_index=True)
    bars, volumes = (np.concatenate(of_schema) for of_schema in zip(*hours, strict=True))
    judged = judge_sessions(built, bars, volumes, doubted, universe)
    built[judged.columns] = judged
    product = {root: universe.product(root) for root in built["root"].unique()}
    built["symbol"], built["contract"] = row_names(built["vendor_symbol"], universe)
    built["exchange"] = built["root"].map({root: product[root].venue for root in product})
    built["currency"] = built["root"].map({root: product[root].currency for root in product})
    last_ends = built["last_bar_end"].to_numpy("datetime64[ns]")
    known_at = np.full(len(built), np.datetime64("NaT", "ns"))
    for root, rows in same_hours(built["root"], universe):
        days, of_day = np.unique(built["date"].to_numpy()[rows].astype("datetime64[D]"), return_inverse=True)
        _, closes = session_bounds(root, days, universe)
        early = early_close_minutes(days, universe.calendar(root))
        ends = np.where(early >= 0, np.minimum(chicago_instants(days, early), closes), closes)
        closes, ends = closes[of_day], ends[of_day]
        # Trading ended with the close, not with the bar in which it lies; a bar that starts later is of trades later.
        over = (last_ends[rows] > ends) & (built["last_bar_start"].to_numpy("datetime64[ns]")[rows] < ends)
        last_ends[rows] = np.where(over, ends, last_ends[rows])
        known_at[rows] = np.maximum(closes, last_ends[rows])
    built["last_bar_end"] = pd.DatetimeIndex(last_ends, tz="UTC")
    built["session_close_ts"] = pd.DatetimeIndex(known_at, tz="UTC")
    return built.sort_values(["symbol", "date"], ignore_index=True)[list(BUILT)]
