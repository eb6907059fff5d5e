"""What was known at the decision time of a trade date: prices of markets and values of series.

The decision time is one wall-clock time for every family (`decision_time` of universe.yaml, 13:20 America/Chicago).
Whatever a row takes from another market or from a publication, it takes as it stood then.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.sessions import STALE_TRADE_DATES
from cbi_dagster.config.clock import clock_minutes
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.sessions import CHICAGO, chicago_instants, utc_instants

_Floats = npt.NDArray[np.float64]
_Ordinals = npt.NDArray[np.int64]


def decision_instants(dates: np.ndarray, universe: Universe) -> np.ndarray:
    """UTC instants (datetime64[ns]) up to which other markets and texts count for a row of each trade date."""
    return chicago_instants(dates, clock_minutes(universe.decision_time))


# -- prices -----------------------------------------------------------------------------------------------------------


def closes_at_decision(
    closes: _Floats, ends_at: np.ndarray, dates: np.ndarray, starts: np.ndarray, universe: Universe
) -> _Floats:
    """Close of each session's last bar that had ended by the decision time of its trade date; NaN when none had.

    `closes`, `ends_at` (UTC, exclusive bound of the trades in the bar) and `dates` are those of the bars, in order of
    time within each session; `starts` are the positions of the sessions' first bars.
    """
    days, inverse = np.unique(dates, return_inverse=True)
    completed = ends_at <= decision_instants(days, universe)[inverse]
    position = np.maximum.reduceat(np.where(completed, np.arange(len(closes)), -1), starts)
    return np.where(position >= 0, closes[position], np.nan)


def prices_at_decision(
    wanted: _Ordinals, *, sessions: _Ordinals, closes: _Floats, decided: _Floats, traded: npt.NDArray[np.bool_]
) -> _Floats:
    """One market's price as it stood at the decision time of each `wanted` trade date; NaN where it is unknown.

    Of the date's own session it is the price `decided`, if the market had `traded` by then; else the close of the last
    session before, if that lies at most `STALE_TRADE_DATES` back. `wanted` and `sessions`, the trade dates of the
    market's sessions in ascending order, are `trade_date_ordinals`.
    """
    if not len(sessions):
        return np.full(len(wanted), np.nan)
    before = np.searchsorted(sessions, wanted) - 1
    fresh = (before >= 0) & (wanted - sessions[before] <= STALE_TRADE_DATES)
    same = np.minimum(before + 1, len(sessions) - 1)
    today = (sessions[same] == wanted) & traded[same]
    return np.where(today, decided[same], np.where(fresh, closes[before], np.nan))


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
