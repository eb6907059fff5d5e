"""The n-th smallest value of a window against sorting each window by itself."""

from __future__ import annotations

import numpy as np
import pytest

from cbi_dagster.features.order_statistics import nth_smallest


def known(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.normal(size=count)


def ties(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(0, 4, count).astype(np.float64)


def unknown_and_infinite(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.choice([1.0, 2.0, np.nan, np.inf, -np.inf], count)


@pytest.mark.parametrize("values_of", [known, ties, unknown_and_infinite])
@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 500])
def test_windows_of_every_length_find_what_sorting_finds(values_of, count: int) -> None:
    rng = np.random.default_rng(count)
    values = values_of(rng, count)
    starts = rng.integers(0, count, 300)
    stops = rng.integers(starts, count) + 1
    places = rng.integers(0, stops - starts)
    expected = [np.sort(values[a:b])[n] for a, b, n in zip(starts, stops, places, strict=True)]
    np.testing.assert_array_equal(nth_smallest(values, starts, stops, places), expected)
    nothing = np.empty(0, np.int64)
    assert not len(nth_smallest(values, nothing, nothing, nothing))
