"""Realised volatility and the volatility regime of each market, per (symbol, trade date).

Everything is computed on roll-adjusted prices of sessions up to and including D, in windows that count
sessions.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cbi_dagster.catalog.spans import span_limit

from .windows import Floats, Sessions

SESSIONS_PER_YEAR = 252
RANK_SESSIONS = 252
"""Trailing sessions, D included, among which today's volatility is ranked."""
RANK_AT_LEAST = 126
"""Volatilities that must be known among them; NULL before."""
K_VOL_BOUNDS = (0.5, 3.0)

BACK_TRADE_DATES = span_limit(RANK_SESSIONS) + span_limit(21) + span_limit(2)
"""How far before D a row may look: the ranked sessions, the 21 returns behind each, the close before each
return."""


def volatility_daily(continuous: pd.DataFrame) -> pd.DataFrame:
    """Volatility of every session of `futures_continuous_1d`, sorted by (symbol, date).

    Columns, all float64 with NaN = NULL:
        realized_vol_1h: carried from the input: sqrt of the sum of squared 1h log returns within the session,
            not annualised.
        realized_vol_5d, _10d, _21d, _63d: sample st. dev. (ddof 1) of that many log returns of `adj_close`,
            x sqrt(252). A return across more than `span_limit(2)` trade dates is NULL, and so is every window
            it is part of.
        parkinson_vol_21d: sqrt(mean over 21 sessions of ln(high/low)^2 / (4 ln 2)) x sqrt(252).
        vol_percentile: share of the known `realized_vol_21d` of the last 252 sessions ending at D that are <=
            D's own, 0 exclusive to 1 inclusive; NULL with fewer than 126 known.
        k_vol: `realized_vol_21d` / its median over the same sessions, clamped to 0.5..3.0; NULL under the same
            condition, and if the median is 0.

    Returns and ranges involving a price <= 0 are NULL: their logarithm is not defined.

    Raises:
        InvalidSessionsError: the frame is not one row per (symbol, weekday), or lacks a column.
    """
    sessions = Sessions(continuous)
    close = _positive(sessions.column("adj_close"))
    high, low = _positive(sessions.column("adj_high")), _positive(sessions.column("adj_low"))
    annual = np.sqrt(SESSIONS_PER_YEAR)
    returns = np.log(close / sessions.previous(close))
    realized = {n: sessions.standard_deviation(returns, n) * annual for n in (5, 10, 21, 63)}
    parkinson = np.sqrt(sessions.mean(np.log(high / low) ** 2, 21) / (4 * np.log(2))) * annual
    median = sessions.median(realized[21], RANK_SESSIONS, RANK_AT_LEAST)
    # A median of 0 (a market that stood still) gives no unit to measure in.
    ratio = realized[21] / np.where(median > 0, median, np.nan)
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


def _positive(prices: Floats) -> Floats:
    return np.where(prices > 0, prices, np.nan)
