"""Sessions, feature families and a regime cache to make matrices of."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from cbi_dagster.config.regimes import load_regimes
from cbi_dagster.config.universe import load_universe
from cbi_dagster.features import fibs, pivots, volatility
from cbi_dagster.matrix.regimes import RegimeCache, regime_calendar, regime_weights
from cbi_dagster_tests.features.continuous_frames import random_sessions


@functools.cache
def _sessions(count: int) -> pd.DataFrame:
    frame = pd.concat(
        [
            random_sessions("ZL", 11, count, price=60.0),
            random_sessions("MES", 12, count, price=5000.0, tick=0.25, start="2019-05-06"),
        ],
        ignore_index=True,
    )
    rng = np.random.default_rng(13)
    frame["volume"] = rng.integers(1, 1000, len(frame))
    frame["vwap"] = np.where(rng.random(len(frame)) < 0.1, np.nan, frame["close"])
    frame["roll_method"] = None
    frame["is_roll"] = False
    frame["realized_vol_1h"] = rng.uniform(0.005, 0.02, len(frame))
    close = frame["date"] + pd.Timedelta("13h20min")
    frame["session_close_ts"] = close.dt.tz_localize("America/Chicago").dt.tz_convert("UTC")
    return frame


def sessions(count: int = 320) -> pd.DataFrame:
    """`count` random sessions of ZL (from 2015) and of MES (from 2019), sorted by symbol and date."""
    return _sessions(count).sort_values(["symbol", "date"], ignore_index=True)


def families(continuous: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The feature families as the platform computes them, by the name of their STRUCT."""
    products = load_universe().products
    near = {product.root: fibs.NearTolerance(product.near_618, product.near_1618) for product in products}
    return {
        "pivots": pivots.pivot_math_daily(continuous, {}),
        "fibs": fibs.fib_levels_daily(continuous, near),
        "regime": volatility.volatility_daily(continuous),
    }


def regimes(dates: pd.Series) -> RegimeCache:
    """A cache that covers the dates."""
    days = np.unique(dates.to_numpy().astype("datetime64[D]"))
    return RegimeCache(regime_calendar(days, load_regimes()), regime_weights(load_regimes()))
