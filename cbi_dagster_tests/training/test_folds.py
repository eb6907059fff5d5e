from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi_dagster.training.folds import purged_folds

DAYS = np.arange("2024-01-01", "2024-06-01", dtype="datetime64[D]")


def dated(horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Dates, and the dates `horizon` later on which their targets come true."""
    return DAYS[:-horizon], DAYS[horizon:]


@given(
    horizon=st.integers(1, 20),
    folds=st.integers(1, 5),
    test_dates=st.one_of(st.none(), st.integers(1, 10)),
    train_dates=st.one_of(st.none(), st.integers(25, 60)),
    embargo=st.integers(0, 4),
    data=st.data(),
)
def test_no_fold_learns_from_what_it_is_tried_on(
    horizon: int, folds: int, test_dates: int | None, train_dates: int | None, embargo: int, data: st.DataObject
) -> None:
    dates, targets = dated(horizon)
    order = np.array(data.draw(st.permutations(range(len(dates)))))
    dates, targets = dates[order], targets[order]
    made = list(
        purged_folds(dates, targets, folds=folds, test_dates=test_dates, train_dates=train_dates, embargo=embargo)
    )
    assert len(made) == folds
    tried_before = np.empty(0, "datetime64[D]")
    for learnt, tried in made:
        first = dates[tried].min()
        assert targets[learnt].max() < first
        assert dates[learnt].max() < first - embargo
        earliest = DAYS[0] if train_dates is None else first - embargo - train_dates
        # All rows that may be learned from are.
        may = (dates >= earliest) & (dates < first - embargo) & (targets < first)
        assert sorted(learnt) == sorted(np.flatnonzero(may))
        assert not np.isin(dates[tried], tried_before).any()
        tried_before = np.append(tried_before, dates[tried])
    assert tried_before.max() == dates.max()
    assert len(tried_before) == len(np.arange(tried_before.min(), tried_before.max() + 1))


def test_rows_of_one_date_are_tried_together() -> None:
    dates, targets = (np.repeat(days, 3) for days in dated(2))
    for learnt, tried in purged_folds(dates, targets, folds=2, test_dates=5):
        assert len(tried) == 15
        assert not np.isin(dates[learnt], dates[tried]).any()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"folds": 0}, "at least one fold"),
        ({"folds": 200}, "too few for 200 folds"),
        ({"folds": 3, "test_dates": 60}, "too few for 3 folds of 60 dates"),
        ({"folds": 1, "embargo": 150}, "nothing is left to learn from before 2024-03-17"),
    ],
)
def test_what_cannot_be_cut_is_refused(asked: dict[str, int], said: str) -> None:
    dates, targets = dated(1)
    with pytest.raises(ValueError, match=said):
        list(purged_folds(dates, targets, **asked))  # type: ignore[arg-type]
