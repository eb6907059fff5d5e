"""Times before a decision: which events lie in them, how much each counts, and how much of a time is covered."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.policy import DECAY_HOURS
from cbi_dagster.market.sessions import HOUR_NS, utc_instants

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def trailing(published: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[Ints, Ints]:
    """The pairs (time, event) with starts[time] < published[event] <= ends[time], in ascending order of both.

    All instants are UTC datetime64[ns]; `published` ascends.
    """
    first = np.searchsorted(published, starts, side="right")
    stop = np.maximum(np.searchsorted(published, ends, side="right"), first)
    counts = stop - first
    times = np.repeat(np.arange(len(starts)), counts)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return times, np.repeat(first, counts) + offsets


def hours_before(instants: np.ndarray, hours: float) -> np.ndarray:
    """Instants so many hours earlier."""
    earlier: np.ndarray = instants - np.timedelta64(round(hours * HOUR_NS), "ns")
    return earlier


def recency_decay(published: np.ndarray, instants: np.ndarray) -> Floats:
    """exp(-hours from publication to the instant / 24), element by element."""
    hours = (instants - published).astype("timedelta64[ns]").astype(np.int64) / HOUR_NS
    decay: Floats = np.exp(-hours / DECAY_HOURS)
    return decay


def covered_share(coverage: pd.DataFrame, starts: np.ndarray, ends: np.ndarray) -> Floats:
    """Share of each time (start, end] that the spans of `coverage` cover; where they overlap it counts once.

    `coverage` has `covered_from` and `covered_to` (rows of `raw_intelligence.policy_coverage`), in any order; `starts`
    and `ends` are UTC datetime64[ns]. An empty time is not covered.
    """
    first, last = _disjoint(utc_instants(coverage["covered_from"]), utc_instants(coverage["covered_to"]))
    before = np.concatenate([[0], np.cumsum(last - first)])  # whole nanoseconds: no rounding, wherever it begins

    def covered_until(instants: np.ndarray) -> Ints:
        moments = instants.astype("datetime64[ns]").astype(np.int64)
        span = np.searchsorted(first, moments, side="right") - 1
        if not len(first):
            return np.zeros(len(moments), np.int64)
        inside = np.clip(moments, first[span], last[span]) - first[span]
        until: Ints = np.where(span >= 0, before[span] + inside, 0)
        return until

    lengths = (ends - starts).astype("timedelta64[ns]").astype(np.int64)
    covered = covered_until(ends) - covered_until(starts)
    share: Floats = np.divide(covered, lengths, out=np.zeros(len(lengths)), where=lengths > 0)
    return share


def _disjoint(starts: np.ndarray, ends: np.ndarray) -> tuple[Ints, Ints]:
    """The same spans in nanoseconds, ascending, those that touch joined."""
    order = np.argsort(starts, kind="stable")
    first = starts[order].astype("datetime64[ns]").astype(np.int64)
    last = np.maximum.accumulate(ends[order].astype("datetime64[ns]").astype(np.int64))
    opens = np.ones(len(first), bool)
    opens[1:] = first[1:] > last[:-1]
    closes = np.append(opens[1:], True)[: len(first)]
    return first[opens], last[closes]
