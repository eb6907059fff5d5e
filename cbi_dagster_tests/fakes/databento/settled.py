"""Settlements and open interest of a simulated market, published when the exchange publishes them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.sessions import exchange_days
from cbi_dagster.vendors.databento.writing import statistics_records
from cbi_dagster_tests.fakes.databento.market import Interval, Market

SETTLEMENT, CLEARED_VOLUME, OPEN_INTEREST = 3, 6, 9
_PRELIMINARY, _FINAL = 2, 3


def publish_statistics(market: Market, roots: Sequence[str]) -> None:
    """Add what the exchange states of the contracts that the bars of `roots` are of.

    A settlement at 18:53 UTC of its trade date; what is final of it at 23:30, on Fridays a cent higher; the open
    interest and the cleared volume at 01:30 of the next day, Friday's on Sunday at 17:30.
    """
    bars = market.records["ohlcv-1h"]
    times = bars["ts_event"].astype("datetime64[ns]")
    frame = pd.DataFrame(
        {
            "instrument_id": bars["instrument_id"].astype(np.int64),
            "date": exchange_days(times),
            "close": bars["close"] / 1e9,
            "volume": bars["volume"].astype(np.int64),
        }
    )
    frame = frame[np.is_busday(frame["date"].to_numpy().astype("datetime64[D]"))]
    sessions = frame.groupby(["instrument_id", "date"]).agg(close=("close", "last"), volume=("volume", "sum"))
    parents: dict[str, list[tuple[str, Interval]]] = {}
    parts = []
    for root in roots:
        months = load_universe().product(root).months
        for number, (_, interval) in enumerate(market.mapping["continuous"][f"{root}.v.0"]):
            name = f"{root}{months[number % len(months)]}{3 + number // len(months)}"
            lasting = interval[0], interval[1] + dt.timedelta(days=5), interval[2]
            parents.setdefault(f"{root}.FUT", []).append((name, lasting))
            if int(interval[2]) in sessions.index.get_level_values(0):
                parts.append(_stated(sessions.loc[int(interval[2])], int(interval[2])))
    rows = pd.concat(parts).sort_values("ts_recv", kind="stable", ignore_index=True)
    market.records["statistics"] = statistics_records(rows)
    market.mapping["parent"] = parents
    market.ends["statistics"] = max(market.ends.values())


def _stated(sessions: pd.DataFrame, instrument_id: int) -> pd.DataFrame:
    date = pd.DatetimeIndex(sessions.index).as_unit("ns")
    friday = (date.dayofweek == 4).astype(float)
    evening = pd.to_timedelta(np.where(friday, 48 + 17.5, 24 + 1.5), unit="h")
    kinds = (
        (SETTLEMENT, date + pd.Timedelta("18:53:00"), sessions["close"], None, _PRELIMINARY),
        (SETTLEMENT, date + pd.Timedelta("23:30:00"), sessions["close"] + 0.25 * friday, None, _FINAL),
        (CLEARED_VOLUME, date + evening, None, sessions["volume"], 255),
        (OPEN_INTEREST, date + evening, None, sessions["volume"] * 3, 255),
    )
    return pd.concat(
        pd.DataFrame(
            {
                "instrument_id": instrument_id,
                "ts_recv": received.tz_localize("UTC"),
                "ref_date": date,
                "stat_type": kind,
                "price": np.nan if price is None else price.to_numpy(),
                "quantity": pd.array([pd.NA] * len(date) if quantity is None else quantity, "Int64"),
                "stat_flags": flags,
            }
        )
        for kind, received, price, quantity, flags in kinds
    )
