"""Drift: the population stability index, by hand and at its edges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.matrix.drift import LARGE, population_stability


def frame(*values: float | None) -> pd.DataFrame:
    return pd.DataFrame({"x": np.array(values, float)})


def test_it_is_the_sum_over_bins_of_share_differences_times_their_log_ratio():
    # Ten values, each in a decile of its own, against ten times the lowest; half a row more in each bin, NULL's too.
    lowest = (10.5 - 1.5) / 15.5 * np.log(10.5 / 1.5)
    others = 9 * (0.5 - 1.5) / 15.5 * np.log(0.5 / 1.5)
    assert population_stability(frame(*range(10)), frame(*[0] * 10))["x"] == pytest.approx(lowest + others)


def test_the_same_distribution_does_not_drift_and_a_shifted_one_does():
    values = np.random.default_rng(1).normal(size=4000)
    same = population_stability(frame(*values[:2000]), frame(*values[2000:]))["x"]
    moved = population_stability(frame(*values[:2000]), frame(*values[2000:] + 1))["x"]
    assert same < 0.03
    assert moved > LARGE


def test_null_is_a_bin_of_its_own():
    known, half = np.arange(100.0), np.where(np.arange(100) % 2, np.nan, np.arange(100.0))
    assert population_stability(frame(*known), frame(*half))["x"] > LARGE


@pytest.mark.parametrize(("before", "after"), [((), (1.0,)), ((np.nan, np.nan), (1.0,)), ((1.0,), ())])
def test_nothing_is_said_of_what_is_not_known(before, after):
    assert np.isnan(population_stability(frame(*before), frame(*after))["x"])
