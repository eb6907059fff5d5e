"""Realised volatility and the volatility regime of each market, per (symbol, trade date).

Everything is computed on roll-adjusted prices of sessions up to and including D, in windows that count
sessions.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cbi_dagster.catalog.columns.volatility import (
    DEVIATION_SESSIONS,
    INPUTS,
    K_VOL_BOUNDS,
    RANK_AT_LEAST,
    RANK_SESSIONS,
)

from .windows import Sessions, positive, quotient

SESSIONS_PER_YEAR = 252


def volatility_daily(continuous: pd.DataFrame) -> pd.DataFrame:
    """Volatility of every session of `futures_continuous_1d`, sorted by (symbol, date).

    The columns are VOLATILITY of the dictionary, all float64 with NaN = NULL; `realized_vol_1h` is carried from the
    input. Standard deviations have ddof 1. A return across more than `span_limit(2)` trade dates is NULL, and so is
    every window it is part of. Returns and ranges involving a price <= 0 are NULL: their logarithm is not defined.

    Raises:
        InvalidFrameError: the frame is not one row per (symbol, weekday), or lacks a column of INPUTS.
    """
    sessions = Sessions(continuous, INPUTS)
    close, high, low = (positive(sessions.column(f"adj_{price}")) for price in ("close", "high", "low"))
    annual = np.sqrt(SESSIONS_PER_YEAR)
    returns = np.log(close / sessions.previous(close))
    realized = {n: sessions.standard_deviation(returns, n) * annual for n in DEVIATION_SESSIONS}
    parkinson = np.sqrt(sessions.mean(np.log(high / low) ** 2, 21) / (4 * np.log(2))) * annual
    median = sessions.median(realized[21], RANK_SESSIONS, RANK_AT_LEAST)
    # A median of 0 (a market that stood still) gives no unit to measure in.
    ratio = quotient(realized[21], median)
    return pd.DataFrame(
        {
            "date": sessions.dates,
            "symbol": sessions.frame["symbol"],
            "realized_vol_1h": sessions.column("realized_vol_1h"),
            **{f"realized_vol_{n}d": vol for n, vol in realized.items()},
            "parkinson_vol_21d": parkinson,
            "vol_percentile": sessions.percentile_rank(realized[21], RANK_SESSIONS, RANK_AT_LEAST),
            "k_vol": np.clip(ratio, *K_VOL_BOUNDS),
        }
    )
