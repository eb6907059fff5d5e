"""How far the distribution of each feature has moved from one period to another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

BINS = 10
"""Deciles of the earlier period; NULL is a further bin."""
MODERATE, LARGE = 0.10, 0.25
"""What scorecards call a moderate and a large shift."""


def population_stability(before: pd.DataFrame, after: pd.DataFrame) -> pd.Series:
    """The population stability index of each numeric column of `before` between both frames, by column.

    The sum over bins of (a - b) ln(a / b), with b and a the shares of the rows of `before` and `after` in each bin
    (Siddiqi, Credit Risk Scorecards, 2006). Every bin counts half a row more, so that an empty one is no infinity.
    NaN where one of the frames is empty or `before` knows no value. It says that something moved, not that this is
    wrong: the level of a price does so by its nature.
    """
    found = {}
    for name in before.columns:
        b, a = (frame[name].to_numpy(np.float64, na_value=np.nan) for frame in (before, after))
        known = b[~np.isnan(b)]
        if not len(known) or not len(a):
            found[name] = np.nan
            continue
        edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS))
        shares = [_shares(values, edges) for values in (b, a)]
        found[name] = float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
    return pd.Series(found, dtype=np.float64)


def _shares(values: Floats, edges: Floats) -> Floats:
    bins = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))
    counts = np.bincount(bins, minlength=len(edges) + 2) + 0.5
    shares: Floats = counts / counts.sum()
    return shares
