"""What was known at the decision time of a trade date: prices of markets and values of series.

The decision time is one wall-clock time for every family (`decision_time` of universe.yaml, 13:20 America/Chicago).
Whatever a row takes from another market or from a publication, it takes as it stood then.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd

from cbi_dagster.catalog.columns.decisions import BAR_INPUTS, BARS_AT_DECISION
from cbi_dagster.catalog.frames import require
from cbi_dagster.config.clock import clock_minutes
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.bars import boundaries, in_order, row_names, session_starts, with_categories
from cbi_dagster.market.sessions import BAR_NS, CHICAGO, chicago_instants, utc_instants


def decision_instants(dates: np.ndarray, universe: Universe) -> np.ndarray:
    """UTC instants (datetime64[ns]) up to which other markets and texts count for a row of each trade date."""
    return chicago_instants(dates, clock_minutes(universe.decision_time))


# -- prices -----------------------------------------------------------------------------------------------------------


def bars_at_decision(bars: dict[str, pd.DataFrame], universe: Universe) -> pd.DataFrame:
    """The session of each symbol and trade date as it stood at the decision time, sorted by symbol and date.

    `bars` maps `ohlcv-1m` and `ohlcv-1h` to landed bars; the finest that covers a session up to the decision time
    counts. Only bars that had ended by then do, those of the contract that the vendor names for the trade date; of the
    other contract's, the last before the session's first is the boundary. A symbol without such a bar has no row. The
    columns are BARS_AT_DECISION of the dictionary. Raises InvalidFrameError for bars that lack a column of BAR_INPUTS.
    """
    parts: list[pd.DataFrame] = []
    keys = ["symbol", "date"]
    for schema in ("ohlcv-1m", "ohlcv-1h"):
        frame = bars.get(schema)
        if frame is None or frame.empty:
            continue
        require(frame, BAR_INPUTS, f"landed bars of {schema}")
        frame, ends_at = _ended_at_decision(with_categories(frame), schema, universe)
        own = (frame["session_instrument_id"] == frame["instrument_id"]).to_numpy(bool)
        others, frame, ends_at = frame[~own], frame[own], ends_at[own]
        starts = session_starts(frame)
        last = np.append(starts[1:], len(frame))[: len(starts)] - 1
        first = frame.take(starts)
        built = first[["date", "root", "symbol", "instrument_id", "open", "dataset"]].assign(
            close_decision=frame["close"].to_numpy()[last],
            decision_bar_end=pd.DatetimeIndex(ends_at[last], tz="UTC"),
            bar_source=schema,
            **boundaries(first, others),
        )
        built = built.astype({"root": object, "symbol": object})
        if parts:
            finer = pd.MultiIndex.from_frame(parts[0][keys])
            built = built[~pd.MultiIndex.from_frame(built[keys]).isin(finer)]
        if len(built):
            parts.append(built)
    if not parts:
        return pd.DataFrame(columns=list(BARS_AT_DECISION))
    result = pd.concat(parts, ignore_index=True)
    result["symbol"], result["contract"] = row_names(result["symbol"], universe)
    return result.sort_values(keys, ignore_index=True)[list(BARS_AT_DECISION)]


def _ended_at_decision(frame: pd.DataFrame, schema: str, universe: Universe) -> tuple[pd.DataFrame, np.ndarray]:
    """The bars of known contracts that had ended by the decision time of covered sessions, by symbol and time, and when
    each ended."""
    days = frame["date"].to_numpy().astype("datetime64[D]")
    decided = decision_instants(np.arange(days.min(), days.max() + 1), universe)[(days - days.min()).astype(np.int64)]
    length = np.timedelta64(BAR_NS[schema], "ns")
    counts = frame["decision_covered"].to_numpy(bool, na_value=False) & frame["session_instrument_id"].notna()
    frame = in_order(frame[counts & (utc_instants(frame["ts_event"]) + length <= decided)])
    return frame, utc_instants(frame["ts_event"]) + length


# -- series -----------------------------------------------------------------------------------------------------------


def trade_date_available(available_at: pd.Series, universe: Universe) -> np.ndarray:
    """The first trade date (datetime64[ns]) at whose decision time a value of that `available_at` is known.

    A value that becomes public at the decision time itself is known.
    """
    local = pd.DatetimeIndex(available_at).tz_convert(CHICAGO).tz_localize(None)
    too_late = local - local.normalize() > pd.Timedelta(minutes=clock_minutes(universe.decision_time))
    days = local.to_numpy().astype("datetime64[D]") + too_late.astype("timedelta64[D]")
    known_from: np.ndarray = np.busday_offset(days, 0, roll="forward").astype("datetime64[ns]")
    return known_from


def as_of(series: pd.DataFrame, instants: pd.DatetimeIndex) -> pd.DataFrame:
    """The value of each series as known at each instant (UTC), sorted by series, in the order of the instants.

    Known is what was `available_at` <= the instant; of that, the latest vintage of the latest reference date counts.
    `series` holds vintages (rows of `raw_intelligence.macro_series`), in any order. Columns: `series_id`, `instant`,
    `value`, `unit`, `reference_date`, `available_at`; all but the first two NULL where nothing was known.
    """
    wanted = instants.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[ns]")
    ordered = series.sort_values(["series_id", "available_at"], ignore_index=True)
    public = utc_instants(ordered["available_at"])
    reference = ordered["reference_date"].to_numpy(dtype="datetime64[ns]").astype(np.int64)
    codes, names = pd.factorize(ordered["series_id"], sort=True)
    bounds = np.searchsorted(codes, np.arange(len(names) + 1))
    found = np.full((len(names), len(wanted)), -1)
    for code, (start, stop) in enumerate(itertools.pairwise(bounds)):
        own = reference[start:stop]
        # A row is news if no later reference date is known yet; until the next news it is the answer.
        news = np.flatnonzero(own == np.maximum.accumulate(own)) + start
        at = np.searchsorted(public[news], wanted, side="right") - 1
        found[code] = np.where(at >= 0, news[at], -1)
    position = found.ravel()
    taken = ordered.reindex(position).reset_index(drop=True)  # -1 is no row, hence all NULL
    return pd.DataFrame(
        {
            "series_id": np.repeat(np.asarray(names, dtype=object), len(wanted)),
            "instant": pd.DatetimeIndex(np.tile(wanted, len(names))).tz_localize("UTC"),
            "value": taken["value"].astype("float64"),
            "unit": _or_none(taken["unit"]),
            "reference_date": taken["reference_date"].astype("datetime64[ns]"),
            "available_at": taken["available_at"].astype("datetime64[ns, UTC]"),
        }
    )


def series_at_decision(
    series: pd.DataFrame, dates: np.ndarray, max_staleness_days: Mapping[str, int], universe: Universe
) -> pd.DataFrame:
    """What a row of each trade date may use of each series, sorted by (series_id, date).

    Args:
        series: vintages (rows of `raw_intelligence.macro_series`), in any order.
        dates: trade dates (datetime64[D]), ascending and distinct.
        max_staleness_days: the series wanted, and how many calendar days the reference date of each may lie before the
            trade date; older values are not used. A value is never available before its reference date, so a day
            needs the vintages of the last `trade_dates_within` that many days.

    Returns:
        One row per wanted series and trade date, also where nothing is known: `series_id`, `date` (trade date), then
        `value`, `unit`, `reference_date` and `available_at`, NULL together.
    """
    instants = pd.DatetimeIndex(decision_instants(dates, universe)).tz_localize("UTC")
    dates = dates.astype("datetime64[ns]")
    names = sorted(max_staleness_days)
    known = as_of(series[series["series_id"].isin(names)], instants)
    known["date"] = np.tile(dates, len(known) // max(len(dates), 1))
    limit = pd.to_timedelta(known["series_id"].map(dict(max_staleness_days)).astype("int64"), unit="D")
    fresh = known[known["date"] - known["reference_date"] <= limit]  # false where nothing is known
    series_ids = np.repeat(np.array(names, dtype=object), len(dates))
    wanted = pd.DataFrame({"series_id": series_ids, "date": np.tile(dates, len(names))})
    frame = wanted.merge(fresh.drop(columns="instant"), on=["series_id", "date"], how="left", validate="one_to_one")
    frame["unit"] = _or_none(frame["unit"])
    return frame[["series_id", "date", "value", "unit", "reference_date", "available_at"]]


def _or_none(texts: pd.Series) -> pd.Series:
    nullable: pd.Series = texts.astype(object).where(texts.notna(), None)
    return nullable
