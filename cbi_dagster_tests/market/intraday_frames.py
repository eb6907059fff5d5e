"""Seeded intraday bars of one market as they are landed, with the continuous rows of their sessions."""

from __future__ import annotations

import numpy as np
import pandas as pd

SESSION_MINUTES = 23 * 60


def intraday_market(
    seed: int,
    dates: pd.DatetimeIndex,
    *,
    minutes: int = 1,
    activity: float = 0.97,
    roll_every: int = 40,
    volatility: float = 2e-4,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bars of `minutes` of sessions 17:00 to 16:00 Chicago, and their sessions; a share `activity` of blocks trades.

    Prices sit on quarter points. Every `roll_every` sessions the contract changes, with a few bars of the old contract
    at the start of the new session, as continuous symbols have them.
    """
    rng = np.random.default_rng(seed)
    slots = SESSION_MINUTES // minutes
    session, slot = np.divmod(np.flatnonzero(rng.random(len(dates) * slots) < activity), slots)
    count = len(session)
    scale = volatility * np.sqrt(minutes)
    price = 4000 * np.exp(np.cumsum(rng.normal(0, scale, count)))
    contract = session // roll_every
    premium = 1.01**contract
    opened, close = price * premium * np.exp(rng.normal(0, scale, count)), price * premium
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, scale, count)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, scale, count)))
    start = (dates[session] - pd.Timedelta(hours=7)).tz_localize("America/Chicago").tz_convert("UTC")
    own = 100 + contract
    late = (session % roll_every == 0) & (session > 0) & (slot < max(2, 120 // minutes))
    bars = pd.DataFrame(
        {
            "date": dates[session].astype("datetime64[ns]"),
            "ts_event": (start + pd.to_timedelta(slot * minutes, unit="min")).astype("datetime64[ns, UTC]"),
            "root": "MES",
            "symbol": "MES.v.0",
            "instrument_id": np.where(late, own - 1, own),
            **{
                name: np.round(values * 4) / 4
                for name, values in (("open", opened), ("high", high), ("low", low), ("close", close))
            },
            "volume": rng.integers(1, 400, count) * (1 + slot * minutes // 60 % 5),
            "session_instrument_id": own,
            "session_covered": True,
        }
    )
    sessions = pd.DataFrame(
        {
            "date": dates.astype("datetime64[ns]"),
            "symbol": "MES",
            "instrument_id": 100 + np.arange(len(dates)) // roll_every,
            "bar_source": {1: "ohlcv-1m", 60: "ohlcv-1h"}[minutes],
            "adj_factor": 1.01 ** -(np.arange(len(dates)) // roll_every).astype(float),
        }
    )
    return bars, sessions
