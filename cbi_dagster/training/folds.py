"""Walk-forward folds: what a model may have learned from when it is tried on later rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_Positions = npt.NDArray[np.intp]


def purged_folds(
    dates: npt.NDArray[np.datetime64],
    target_dates: npt.NDArray[np.datetime64],
    *,
    folds: int,
    test_dates: int | None = None,
    train_dates: int | None = None,
    embargo: int = 0,
) -> Iterator[tuple[_Positions, _Positions]]:
    """Positions of the training and of the test rows of each fold, earliest first.

    The distinct `dates` end in `folds` test periods of `test_dates` dates each, one after the other; by default the
    later half of the dates is shared among them. The training rows of a fold are those dated before its test period
    whose `target_dates` lie before it too (purge: no label looks into the test period), without the `embargo` dates
    right before it, and at most `train_dates` dates back from there (None: all).

    `dates` and `target_dates` are datetime64, one per row, in any order, none of them NaT. Raises ValueError where the
    dates are too few, or where a fold would have nothing to learn from.
    """
    if folds < 1 or embargo < 0 or (test_dates is not None and test_dates < 1):
        raise ValueError("there must be at least one fold, one date to try it on, and no negative embargo")
    distinct = np.unique(dates)
    length = len(distinct) // 2 // folds if test_dates is None else test_dates
    first = len(distinct) - folds * length
    if not length or first < 1:
        raise ValueError(
            f"{len(distinct)} dates are too few for {folds} folds of {max(length, 1)} dates and training rows before "
            "them: ask for fewer or shorter folds"
        )
    for start in range(first, len(distinct), length):
        end = max(start - embargo, 0)
        earliest = 0 if train_dates is None else max(end - train_dates, 0)
        learnt = (dates >= distinct[earliest]) & (dates < distinct[end]) & (target_dates < distinct[start])
        if not learnt.any():
            raise ValueError(
                f"nothing is left to learn from before {distinct[start].astype('datetime64[D]')} once labels that "
                f"reach beyond it and {embargo} dates of embargo are left out: ask for fewer folds or a shorter embargo"
            )
        tried = (dates >= distinct[start]) & (dates <= distinct[start + length - 1])
        yield np.flatnonzero(learnt), np.flatnonzero(tried)
