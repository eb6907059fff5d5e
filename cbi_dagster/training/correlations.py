"""Features that know more of the future than features can: correlations that no honest one has.

Both measures are Spearman's rank correlation, so that neither a roll nor an outlier decides.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

NOTABLE = 0.20
"""Below this no correlation is suspicious: what markets are honestly known to give lies well under it."""
_CHANCE = 4.5
"""Standard errors that none of a few hundred independent features reaches by chance (about one in 150,000 each)."""


def chance_limit(rows: int, overlap: int = 1) -> float:
    """The correlation from which on it is suspicious, over so many rows whose outcomes overlap `overlap` sessions long.

    Overlapping outcomes repeat each other: of `rows` only rows / overlap count. 1 or more: nothing can be said.
    """
    return max(NOTABLE, _CHANCE / math.sqrt(max(rows / overlap, 1.0)))


def with_next_return(features: pd.DataFrame, adj_close: pd.Series) -> pd.DataFrame:
    """How the change of each feature goes with the return of its own session, and with that of the session after.

    Args:
        features: numeric columns, one row per session of one symbol in order of date.
        adj_close: adjusted closes of the same rows.

    Returns:
        `same_session`, `next_session`, `rows` (with both known, for the latter) and `suspicious`, by feature, the
        largest |next_session| first. A feature that was shifted by a day, or was made of a window that reaches ahead,
        changes with the return to come.
    """
    returns = adj_close.pct_change(fill_method=None)
    changes = features.astype(np.float64).diff()
    same, _ = rank_correlations(changes, returns)
    after, rows = rank_correlations(changes, returns.shift(-1))
    limits = np.array([chance_limit(int(count)) for count in rows])
    found = pd.DataFrame(
        {"same_session": same, "next_session": after, "rows": rows, "suspicious": np.abs(after) >= limits},
        index=features.columns,
    )
    return found.sort_values("next_session", key=lambda values: -values.abs(), kind="stable")


def with_target(features: pd.DataFrame, target: pd.Series, sessions_ahead: int) -> pd.DataFrame:
    """How each feature goes with a target so many sessions ahead, of the same rows.

    Returns `correlation`, `rows` and `suspicious`, by feature, the largest |correlation| first. A target that was
    copied into a feature shows; features that move slowly reach high values against targets of months by chance, which
    `chance_limit` allows for.
    """
    found, rows = rank_correlations(features.astype(np.float64), target)
    limits = np.array([chance_limit(int(count), sessions_ahead) for count in rows])
    frame = pd.DataFrame(
        {"correlation": found, "rows": rows, "suspicious": np.abs(found) >= limits}, index=features.columns
    )
    return frame.sort_values("correlation", key=lambda values: -values.abs(), kind="stable")


def rank_correlations(features: pd.DataFrame, other: pd.Series) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Pearson's correlation of the ranks of each column and of `other` where both are known, and how many rows those
    are.

    NaN where fewer than three are, or one side does not vary. Ranks are those among the rows where `other` is known.
    """
    known = other.notna().to_numpy()
    x = features[known].rank().to_numpy(np.float64)
    y = np.where(np.isnan(x), np.nan, other[known].rank().to_numpy(np.float64)[:, None])
    rows = (~np.isnan(x)).sum(axis=0)
    enough = rows >= 3
    found = np.full(x.shape[1], np.nan)
    if enough.any():
        a, b = x[:, enough], y[:, enough]
        a, b = a - np.nanmean(a, axis=0), b - np.nanmean(b, axis=0)
        spread = np.sqrt(np.nansum(a * a, axis=0) * np.nansum(b * b, axis=0))
        with np.errstate(invalid="ignore", divide="ignore"):
            found[enough] = np.where(spread > 0, np.nansum(a * b, axis=0) / spread, np.nan)
    return found, rows.astype(np.int64)
