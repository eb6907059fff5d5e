"""Planted leaks are suspicious, honest features are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cbi_dagster.training.correlations import NOTABLE, chance_limit, rank_correlations, with_next_return, with_target

ROWS = 1500
RNG = np.random.default_rng(7)
RETURNS = RNG.normal(scale=0.01, size=ROWS)
CLOSE = pd.Series(100 * np.cumprod(1 + RETURNS))


def honest() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sma": CLOSE.rolling(10).mean(),
            "ret": CLOSE.pct_change(),
            "noise": RNG.normal(size=ROWS),
            "flag": (CLOSE.shift() < CLOSE).astype(float),
        }
    )


def test_no_honest_feature_changes_with_the_return_to_come():
    found = with_next_return(honest(), CLOSE)
    assert not found["suspicious"].any()
    assert found.loc["flag", "same_session"] > NOTABLE


@pytest.mark.parametrize("name", ["sma", "flag"])
def test_a_feature_shifted_by_a_day_does(name):
    features = honest()
    features[f"{name}_early"] = features[name].shift(-1)
    found = with_next_return(features, CLOSE)
    assert list(found.index[found["suspicious"]]) == [f"{name}_early"]
    assert found.index[0] == f"{name}_early"


def test_a_target_copied_into_a_feature_is_suspicious_and_a_slow_feature_is_not():
    target = CLOSE.shift(-21) / CLOSE - 1
    features = honest().assign(copied=target + RNG.normal(scale=0.02, size=ROWS), level=CLOSE)
    found = with_target(features, target, 21)
    assert list(found.index[found["suspicious"]]) == ["copied"]


def test_of_a_year_ahead_few_rows_say_nothing():
    assert chance_limit(3400, 252) > 1
    assert chance_limit(100_000) == NOTABLE


def test_it_is_spearmans_correlation_of_the_rows_where_both_are_known():
    x, y = RNG.normal(size=80), RNG.normal(size=80).round(1)
    y[:10] = np.nan
    found, rows = rank_correlations(pd.DataFrame({"x": x}), pd.Series(y))
    assert found[0] == pytest.approx(stats.spearmanr(x[10:], y[10:]).statistic)
    assert rows[0] == 70


def test_what_does_not_vary_or_is_not_known_has_no_correlation():
    features = pd.DataFrame({"constant": np.ones(9), "unknown": np.full(9, np.nan)})
    found, rows = rank_correlations(features, pd.Series(np.arange(9.0)))
    assert np.isnan(found).all()
    assert list(rows) == [9, 0]
