"""How many trade dates a window reaches: what a table must read for a window that counts something else."""

from __future__ import annotations


def span_limit(sessions: int) -> int:
    """How many trade dates may lie between the first and the last of `sessions` consecutive sessions.

    An eighth of the sessions may be missing, at least four: holidays take about 12 in 252, and no more than
    four at once.
    """
    return sessions - 1 + max(4, sessions // 8)


def trade_dates_within(calendar_days: int) -> int:
    """How many trade dates before a trade date there are at most within so many calendar days before it."""
    return calendar_days // 7 * 5 + min(calendar_days % 7, 4)


MOST_TRADE_DATES = {1: 23, 2: 45, 3: 66, 12: 262}
"""Most trade dates that so many calendar months in a row have."""
