"""Realised volatilities."""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Type, names, per_window

_F = Type.FLOAT64

DEVIATION_SESSIONS = (5, 10, 21, 63)
RANK_SESSIONS = 252
"""Trailing sessions, D included, among which today's volatility is ranked."""
RANK_AT_LEAST = 126
"""Volatilities that must be known among them; NULL before."""
K_VOL_BOUNDS = (0.5, 3.0)

INPUTS = ("date", "symbol", "realized_vol_1h", "adj_high", "adj_low", "adj_close")

_PER_YEAR = "fraction per year"
COLUMNS = (
    *per_window(
        DEVIATION_SESSIONS,
        Column(
            "realized_vol_{n}d",
            _F,
            "Sample standard deviation of the last {n} daily log returns of adj_close x sqrt(252).",
            _PER_YEAR,
            ge=0,
        ),
    ),
    Column(
        "parkinson_vol_21d",
        _F,
        "sqrt(mean ln(high / low)^2 / (4 ln 2)) of the last 21 sessions x sqrt(252).",
        _PER_YEAR,
        ge=0,
    ),
    Column(
        "vol_percentile",
        _F,
        f"Share of the realized_vol_21d of the last {RANK_SESSIONS} sessions ending at the row that are <= the "
        f"row's, 0 exclusive; NULL before {RANK_AT_LEAST} are known.",
        "fraction",
        ge=0,
        le=1,
    ),
    Column(
        "k_vol",
        _F,
        f"realized_vol_21d over its median of the last {RANK_SESSIONS} sessions ending at the row, clamped to "
        f"{K_VOL_BOUNDS[0]:g}..{K_VOL_BOUNDS[1]:g}; NULL before {RANK_AT_LEAST} are known, and for a median of 0.",
        "ratio",
        ge=K_VOL_BOUNDS[0],
        le=K_VOL_BOUNDS[1],
    ),
)

VOLATILITY = ("date", "symbol", "realized_vol_1h", *names(COLUMNS))
