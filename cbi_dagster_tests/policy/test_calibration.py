"""Held-out years: what is predicted, by what was known before, and what is said of the rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.columns.predictions import RAW_FEATURES
from cbi_dagster.config.policy_actions import ACTIONS
from cbi_dagster.policy.calibration import policy_action_calibration, stated_within
from cbi_dagster_tests.policy.action_frames import SETTINGS

DATES = pd.bdate_range("2011-01-03", "2016-01-29")
DAYS = DATES.to_numpy().astype("datetime64[D]")
STORM = "social_media_storm"  # its horizon is one trade date


def history(signal: float = 3.0, rule: str = "good", dates: pd.DatetimeIndex = DATES) -> pd.DataFrame:
    """A storm follows on the next session with a probability that grows with its rate; other actions never come."""
    random = np.random.default_rng(3)
    rate = random.normal(0, 1, len(DATES))
    chance = 1 / (1 + np.exp(1.0 - signal * rate))
    stated = np.zeros(len(DATES))
    stated[1:] = random.random(len(DATES) - 1) < chance[:-1]
    probability = {"good": chance, "bad": 1 - chance, "flat": np.full(len(DATES), 0.5)}[rule]
    rows = pd.DataFrame(
        {"date": DATES, "action": STORM, "probability": probability, "driver_rate": rate, "stated_posts": stated}
    )
    quiet = [rows.assign(action=name, stated_posts=0.0) for name in ACTIONS if name != STORM]
    frame = pd.concat([rows, *quiet], ignore_index=True).assign(**dict.fromkeys(RAW_FEATURES, 0.0))
    frame["stated_posts"] = frame["stated_posts"].astype("Int64")
    return frame[frame["date"].isin(dates)].reset_index(drop=True)


def calibrated(actions: pd.DataFrame, wanted: np.ndarray = DAYS) -> pd.DataFrame:
    return policy_action_calibration(actions, wanted, SETTINGS)


def of(rows: pd.DataFrame, action: str = STORM) -> pd.DataFrame:
    return rows[rows["action"] == action].set_index("held_out_year")


def test_what_is_predicted_is_that_posts_state_the_action_on_one_of_the_next_sessions() -> None:
    stated = np.array([1.0, 0, 0, 2, 0, 0, np.nan, 0, 0])
    assert stated_within(stated, 2).tolist() == pytest.approx(
        [0, 1, 1, 0, np.nan, np.nan, 0, np.nan, np.nan], nan_ok=True
    )


def test_each_year_is_judged_at_the_first_session_of_the_next() -> None:
    rows = of(calibrated(history()))
    assert rows.index.tolist() == [2011, 2012, 2013, 2014, 2015]
    assert rows["date"].dt.strftime("%Y-%m-%d").tolist()[:2] == ["2012-01-02", "2013-01-01"]
    assert rows.loc[2012, "held_out_days"] == (DATES.year == 2012).sum()


def test_the_first_year_has_nothing_before_it_and_is_not_tested() -> None:
    first = of(calibrated(history())).loc[2011]
    assert first[["prior_rate", "brier_base_rate", "brier_rule", "brier_logistic"]].isna().all()
    assert (first["tested_years"], first["probability_support"]) == (0, "untested")


def test_scores_are_mean_squared_errors_and_the_base_rate_is_that_of_the_years_before() -> None:
    actions = history()
    own = actions[actions["action"] == STORM]
    outcome = stated_within(own["stated_posts"].to_numpy(dtype=np.float64), 1)
    year = own["date"].dt.year.to_numpy()
    # The outcome of the last session of 2012 was known in 2013 only.
    before = (year < 2013) & (np.arange(len(own)) < np.flatnonzero(year == 2013)[0] - 1)
    row = of(calibrated(actions)).loc[2013]
    rate = outcome[before].mean()
    assert row["prior_rate"] == pytest.approx(rate, abs=1e-9)
    assert row["brier_base_rate"] == pytest.approx(((rate - outcome[year == 2013]) ** 2).mean(), abs=1e-9)
    predicted = own["probability"].to_numpy()[year == 2013]
    assert row["brier_rule"] == pytest.approx(((predicted - outcome[year == 2013]) ** 2).mean(), abs=1e-9)
    assert row["stated_days"] == outcome[year == 2013].sum()


def test_a_regression_finds_what_the_features_hold() -> None:
    rows = of(calibrated(history(rule="flat"))).loc[2012:]
    assert (rows["brier_logistic"] < 0.8 * rows["brier_base_rate"]).all()
    nothing = of(calibrated(history(signal=0.0, rule="flat"))).loc[2012:]
    assert (nothing["brier_logistic"] > 0.97 * nothing["brier_base_rate"]).all()


@pytest.mark.parametrize(("rule", "verdict"), [("good", "supported"), ("bad", "contradicted")])
def test_a_rule_that_knows_is_supported_and_one_that_errs_is_contradicted(rule: str, verdict: str) -> None:
    rows = of(calibrated(history(rule=rule)))
    assert rows["probability_support"].tolist() == ["untested"] * 3 + [verdict] * 2
    assert rows["tested_years"].tolist() == [0, 1, 2, 3, 4]


def test_an_action_that_never_came_is_not_tested() -> None:
    rows = of(calibrated(history()), "china_threat")
    assert rows["brier_rule"].isna().all()
    assert set(rows["probability_support"]) == {"untested"}


def test_days_without_coverage_are_neither_learnt_from_nor_judged() -> None:
    actions = history()
    hidden = (actions["date"] >= "2013-03-01") & (actions["date"] < "2013-09-01")
    actions.loc[hidden, ["probability", "stated_posts"]] = pd.NA
    rows = of(calibrated(actions))
    days = DATES[DATES.year == 2013]
    covered = days[(days < "2013-03-01") | (days >= "2013-09-01")]
    assert rows.loc[2013, "held_out_days"] == len(covered) - 1, "the last day before is followed by the unknown"


def test_later_years_change_nothing_said_of_earlier_ones() -> None:
    whole, past = calibrated(history()), calibrated(history(dates=DATES[DATES < "2014-06-01"]))
    assert len(past) == 3 * len(ACTIONS)
    pd.testing.assert_frame_equal(past, whole[whole["date"] < "2014-06-01"].reset_index(drop=True), check_exact=True)


def test_only_wanted_dates_that_begin_a_year_have_rows() -> None:
    whole = calibrated(history())
    alone = calibrated(history(), np.array(["2014-01-01", "2014-01-02"], "datetime64[D]"))
    pd.testing.assert_frame_equal(alone, whole[whole["date"] == "2014-01-01"].reset_index(drop=True), check_exact=True)
    assert calibrated(history(), np.array(["2014-01-02"], "datetime64[D]")).empty


def test_a_rule_that_is_hardly_better_or_worse_is_neither_supported_nor_contradicted() -> None:
    actions = history()
    own = actions["action"] == STORM
    for lean in (-0.01, 0.01):
        outcome = stated_within(actions.loc[own, "stated_posts"].to_numpy(dtype=np.float64), 1)
        actions.loc[own, "probability"] = np.nanmean(outcome) + lean
        assert of(calibrated(actions))["probability_support"].tolist()[3:] == ["none", "none"]
