"""Every trade date has exactly one regime, or a person is told which do not."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.config.regimes import load_regimes
from cbi_dagster.matrix.regimes import RegimeCache, RegimeNotCoveredError, regime_calendar, regime_weights


def days(*dates: str) -> np.ndarray:
    return np.array(dates, dtype="datetime64[D]")


def cache_of(*dates: str) -> RegimeCache:
    return RegimeCache(regime_calendar(days(*dates), load_regimes()), regime_weights(load_regimes()))


@pytest.mark.parametrize(
    ("date", "regime", "weight"),
    [
        ("1997-12-31", "baseline", 100),
        ("1998-01-01", "tech_bubble_1998_2000", 50),
        ("2015-06-15", "commodity_crash_2014_2016", 250),
        ("2023-10-31", "disinflation_2023", 250),
        ("2023-11-01", "trump_anticipation_2024", 400),
        ("2025-01-19", "trump_anticipation_2024", 400),
        ("2025-01-20", "trump_second_term", 600),
        ("2029-01-20", "trump_second_term", 600),
        ("2029-01-21", "baseline", 100),
    ],
)
def test_a_date_has_the_regime_of_the_registry(date: str, regime: str, weight: int) -> None:
    entry = cache_of(date)[np.datetime64(date)]
    assert (entry.name, entry.weight) == (regime, weight)
    if regime == "baseline":
        assert entry.valid_from is entry.valid_to is None
    else:
        assert entry.valid_from <= pd.Timestamp(date) <= entry.valid_to


def test_the_calendar_agrees_with_a_search_day_by_day() -> None:
    every = np.arange(np.datetime64("1997-12-01"), np.datetime64("2029-03-01"))
    calendar = regime_calendar(every, load_regimes())
    assert len(calendar) == len(every)
    for row in calendar.iloc[::17].itertuples():
        matches = [one for one in load_regimes().regimes if one.valid_from <= row.date.date() <= one.valid_to]
        assert len(matches) == (0 if row.is_fallback else 1)
        assert row.regime == (matches[0].name if matches else "baseline")
    sizes = calendar["regime"].value_counts()
    assert sizes["trump_anticipation_2024"] == 446
    assert sizes["trump_second_term"] == 1462


def test_the_fallback_is_flagged_and_has_no_bounds() -> None:
    calendar = regime_calendar(days("1997-12-31", "1998-01-01"), load_regimes())
    assert calendar["is_fallback"].tolist() == [True, False]
    assert calendar["valid_from"].isna().tolist() == [True, False]
    assert calendar.dtypes.astype(str).to_dict() == {
        "date": "datetime64[ns]",
        "regime": "object",
        "valid_from": "datetime64[ns]",
        "valid_to": "datetime64[ns]",
        "is_fallback": "bool",
    }


def test_a_calendar_of_no_dates_is_empty() -> None:
    assert regime_calendar(days(), load_regimes()).empty


def test_every_regime_and_the_baseline_have_a_weight() -> None:
    weights = regime_weights(load_regimes()).set_index("regime")
    assert len(weights) == 16
    assert weights.loc["trump_second_term", "weight"] == 600
    assert weights.loc["covid_shock_2020", "known_from"] == pd.Timestamp("2020-03-11")
    assert weights.loc["baseline", "weight"] == 100
    assert pd.isna(weights.loc["baseline", "known_from"])


def test_lookup_keeps_order_and_repeats() -> None:
    cache = cache_of("2023-10-31", "2023-11-01")
    asked = days("2023-11-01", "2023-10-31", "2023-11-01").astype("datetime64[ns]")
    found = cache.lookup(asked)
    assert found["weight"].tolist() == [400, 250, 400]
    assert found["regime"].tolist() == ["trump_anticipation_2024", "disinflation_2023", "trump_anticipation_2024"]
    assert found["valid_from"].dt.date.tolist()[0] == dt.date(2023, 11, 1)


def test_coverage_counts_rows_and_names_each_missing_date_once() -> None:
    coverage = cache_of("2023-10-31").coverage(days("2023-11-02", "2023-10-31", "2023-11-01", "2023-11-02"))
    assert (coverage.total, coverage.covered, coverage.fraction) == (4, 1, 0.25)
    assert coverage.missing == (np.datetime64("2023-11-01"), np.datetime64("2023-11-02"))
    assert cache_of("2023-10-31").coverage(days()).fraction == 1.0


def test_a_date_outside_the_calendar_is_an_error_that_names_it() -> None:
    cache = cache_of("2023-10-31")
    with pytest.raises(RegimeNotCoveredError, match="no regime for 2015-01-05: materialize it"):
        cache[np.datetime64("2015-01-05")]
    many = np.arange(np.datetime64("2015-01-05"), np.datetime64("2015-01-15"))
    with pytest.raises(RegimeNotCoveredError, match=r"2015-01-05, .*2015-01-09 and 5 more"):
        cache.lookup(many)
    with pytest.raises(RegimeNotCoveredError, match="NaT"):
        cache.lookup(np.array(["NaT"], dtype="datetime64[ns]"))


def test_a_calendar_that_contradicts_itself_is_refused() -> None:
    calendar = regime_calendar(days("2023-10-31", "2023-11-01"), load_regimes())
    weights = regime_weights(load_regimes())
    with pytest.raises(RegimeNotCoveredError, match="several rows for 2023-11-01"):
        RegimeCache(pd.concat([calendar, calendar.iloc[[1]]]), weights)
    with pytest.raises(RegimeNotCoveredError, match="names no regime for 2023-10-31"):
        RegimeCache(calendar.assign(regime=[None, "baseline"]), weights)


def test_a_regime_without_exactly_one_weight_is_refused() -> None:
    calendar = regime_calendar(days("2023-10-31", "2023-11-01"), load_regimes())
    weights = regime_weights(load_regimes())
    without = weights[weights["regime"] != "disinflation_2023"]
    unknown = weights.assign(weight=weights["weight"].where(weights["regime"] != "disinflation_2023").astype("Int64"))
    for incomplete in (without, unknown):
        with pytest.raises(RegimeNotCoveredError, match=r"disinflation_2023: add it to config/regimes\.yaml"):
            RegimeCache(calendar, incomplete)
    with pytest.raises(RegimeNotCoveredError, match="several rows for baseline"):
        RegimeCache(calendar, pd.concat([weights, weights.tail(1)]))
