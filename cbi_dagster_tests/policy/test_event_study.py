"""What prices did after events: windows, intervals, tests, and that a study knows its past only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cbi_dagster.policy.event_study import MIN_WINDOWS, policy_event_study
from cbi_dagster_tests.policy.action_frames import SETTINGS

DATES = pd.bdate_range("2016-01-01", "2018-12-31")
#: Adjusted closes of a market without drift.
CLOSES = 30 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.012, len(DATES))))
NO_EVENTS = pd.DataFrame({"trade_date_available": pd.to_datetime([]), "post_kind": [], "topic": []})


def prices(closes: np.ndarray = CLOSES, dates: pd.DatetimeIndex = DATES) -> pd.DataFrame:
    return pd.DataFrame({"date": dates, "symbol": "ZL", "adj_close": closes, "session_quality": "complete"})


def stating(days: np.ndarray, action: str = "tariff_announcement", dates: pd.DatetimeIndex = DATES) -> pd.DataFrame:
    """Every date is covered; the action is stated on the sessions numbered `days`."""
    stated = np.zeros(len(dates), dtype=np.int64)
    stated[days] = 2
    own = pd.DataFrame({"date": dates, "action": action, "probability": 0.1, "stated_posts": stated})
    if action == "tariff_announcement":
        return own
    return pd.concat([own, own.assign(action="tariff_announcement", stated_posts=0)], ignore_index=True)


def studied(
    days: np.ndarray, closes: np.ndarray = CLOSES, action: str = "tariff_announcement", events: pd.DataFrame = NO_EVENTS
) -> pd.DataFrame:
    return policy_event_study(prices(closes), stating(days, action), events, SETTINGS)


def last(rows: pd.DataFrame, horizon: int, subject: str = "tariff_announcement") -> pd.Series:
    found = rows[(rows["horizon"] == horizon) & (rows["subject"] == subject)]
    return found.loc[found["date"].idxmax()]


EVERY_TENTH = np.arange(3, len(DATES) - 40, 10)


def moved_after(days: np.ndarray, move: float) -> np.ndarray:
    """Closes that jump by `move` in the session after each of the days."""
    jumps = np.ones(len(DATES))
    jumps[days + 1] += move
    return CLOSES * np.cumprod(jumps)


def test_a_move_begins_at_the_close_after_the_posts_and_ends_so_many_sessions_later() -> None:
    row = last(studied(np.array([100])), 5)
    assert row["mean_move"] == pytest.approx(CLOSES[105] / CLOSES[100] - 1)
    assert (row["event_days"], row["independent_windows"]) == (1, 1)
    assert np.isnan(row["mean_move_low"]), "one window has no spread"


def test_the_interval_and_the_p_value_are_those_of_student() -> None:
    row = last(studied(EVERY_TENTH), 2)
    moves = CLOSES[EVERY_TENTH + 2] / CLOSES[EVERY_TENTH] - 1
    start = int(np.searchsorted(DATES, np.datetime64("2018-12-03")))
    base = (CLOSES[2:] / CLOSES[:-2] - 1)[: start - 1].mean()
    reference = stats.ttest_1samp(moves, base)
    assert row["mean_move"] == pytest.approx(moves.mean())
    assert row["base_move"] == pytest.approx(base)
    assert row["p_value"] == pytest.approx(reference.pvalue)
    interval = stats.ttest_1samp(moves, 0).confidence_interval(0.95)
    assert (row["mean_move_low"], row["mean_move_high"]) == pytest.approx((interval.low, interval.high))
    assert row["rising_share"] == pytest.approx((moves > 0).mean())


def test_windows_that_overlap_are_counted_once() -> None:
    days = np.array([10, 11, 12, 15, 16, 20, 60])
    row = last(studied(days), 5)
    assert row["event_days"] == 7
    assert row["independent_windows"] == 4, "10 to 15, 15 to 20, 20 to 25 and 60 to 65"
    starts = np.array([10, 15, 20, 60])
    assert row["mean_move"] == pytest.approx((CLOSES[starts + 5] / CLOSES[starts] - 1).mean())


def test_a_planted_fall_supports_the_prior_and_a_planted_rise_contradicts_it() -> None:
    for move, verdict in ((-0.02, "supported"), (0.02, "contradicted")):
        row = last(studied(EVERY_TENTH, moved_after(EVERY_TENTH, move)), 2)
        assert row["move_support"] == verdict
        assert row["p_value_adjusted"] < 0.001
        assert row["prior_move"] == -0.025


def test_where_nothing_happens_the_prior_has_no_support() -> None:
    rows = studied(EVERY_TENTH)
    assert set(rows.loc[rows["independent_windows"] >= MIN_WINDOWS, "move_support"]) == {"none"}


def test_few_windows_are_not_tested_and_an_action_without_a_prior_never() -> None:
    row = last(studied(EVERY_TENTH[: MIN_WINDOWS - 1]), 1)
    assert np.isnan(row["p_value"])
    assert row["move_support"] == "untested"
    intervention = last(
        studied(EVERY_TENTH, moved_after(EVERY_TENTH, -0.03), "market_intervention"), 1, "market_intervention"
    )
    assert intervention["p_value"] < 0.001
    assert intervention["move_support"] == "untested"


def test_among_many_subjects_one_that_stands_out_by_chance_is_not_believed() -> None:
    random = np.random.default_rng(2)
    topics = pd.concat(
        [
            pd.DataFrame(
                {
                    "trade_date_available": DATES[np.sort(random.choice(len(DATES) - 40, 60, replace=False))],
                    "post_kind": "original",
                    "topic": f"topic_{number}",
                }
            )
            for number in range(30)
        ]
    )
    rows = studied(np.array([5]), events=topics)
    final = rows[rows["date"] == rows["date"].max()]
    assert final["p_value"].min() < 0.05, "the test needs one that stands out"
    assert final["p_value_adjusted"].min() > 0.05
    smallest = final["p_value"].min() * final["p_value"].notna().sum()
    assert final["p_value_adjusted"].min() == pytest.approx(min(smallest, 1))


def test_posts_of_a_closed_day_are_events_of_the_next_session() -> None:
    without = DATES.delete(100)
    closes = np.delete(CLOSES, 100)
    events = pd.DataFrame({"trade_date_available": [DATES[100]], "post_kind": "original", "topic": "trade_china"})
    rows = policy_event_study(prices(closes, without), stating(np.array([5]), dates=without), events, SETTINGS)
    assert last(rows, 1, "trade_china")["mean_move"] == pytest.approx(closes[101] / closes[100] - 1)


def test_reposts_and_posts_without_a_topic_are_no_events() -> None:
    events = pd.DataFrame(
        {"trade_date_available": [DATES[10]] * 2, "post_kind": ["repost", "original"], "topic": ["trade_china", None]}
    )
    assert set(studied(np.array([5]), events=events)["subject_kind"]) == {"action"}


def test_a_study_is_made_at_the_first_session_of_each_month_of_moves_that_had_ended() -> None:
    row_dates = np.sort(studied(EVERY_TENTH)["date"].unique())
    months = pd.Series(DATES, index=DATES).groupby(DATES.to_period("M")).first()
    assert set(row_dates) == set(months.iloc[1:].to_numpy())
    eve = int(np.searchsorted(DATES, np.datetime64("2017-03-01"))) - 4
    rows = studied(np.array([5, eve]))
    march = rows[rows["date"] == "2017-03-01"].set_index("horizon")
    for column in ("event_days", "independent_windows"):
        assert march[column].to_dict() == {1: 2, 2: 2, 5: 1}, "five sessions after the event March had already begun"


def test_what_comes_later_changes_no_earlier_study() -> None:
    whole = studied(EVERY_TENTH, moved_after(EVERY_TENTH, -0.02))
    cut = int(np.searchsorted(DATES, np.datetime64("2017-06-15")))
    closes = moved_after(EVERY_TENTH, -0.02)[:cut]
    days = EVERY_TENTH[: np.searchsorted(EVERY_TENTH, cut)]
    past = policy_event_study(prices(closes, DATES[:cut]), stating(days, dates=DATES[:cut]), NO_EVENTS, SETTINGS)
    assert len(past) > 40
    same = whole[whole["date"] < DATES[cut]].reset_index(drop=True)
    pd.testing.assert_frame_equal(past, same, check_exact=True)


def test_the_base_rate_is_of_the_days_that_posts_cover() -> None:
    actions = stating(np.array([5, 300]))
    actions.loc[actions.index >= 200, ["probability", "stated_posts"]] = np.nan
    row = last(policy_event_study(prices(), actions, NO_EVENTS, SETTINGS), 1)
    assert row["base_move"] == pytest.approx((CLOSES[1:201] / CLOSES[:200] - 1).mean())
    assert row["event_days"] == 1


def test_without_events_or_prices_there_is_no_study() -> None:
    assert policy_event_study(prices().iloc[:0], stating(np.array([5])), NO_EVENTS, SETTINGS).empty
    assert studied(np.array([], dtype=np.int64)).empty


def test_a_storm_is_held_against_days_whose_posts_are_counted_and_a_topic_against_those_whose_texts_are_known() -> None:
    storms = stating(np.array([5, 300]), "social_media_storm")
    by_text = storms["action"] == "tariff_announcement"
    storms.loc[by_text & (storms["date"] >= DATES[200]), "probability"] = np.nan
    topics = pd.DataFrame({"trade_date_available": [DATES[9]], "post_kind": "original", "topic": "trade_china"})
    rows = policy_event_study(prices(), storms, topics, SETTINGS)
    ended = int(np.searchsorted(DATES, np.datetime64("2018-12-03")))
    every = CLOSES[1:] / CLOSES[:-1] - 1
    assert last(rows, 1, "social_media_storm")["base_move"] == pytest.approx(every[:ended].mean())
    assert last(rows, 1, "trade_china")["base_move"] == pytest.approx(every[:200].mean())


@pytest.mark.parametrize("quality", ["cut", "holed"])
def test_no_move_begins_or_ends_in_a_session_that_was_not_delivered_whole(quality: str) -> None:
    market = prices()
    market.loc[[100, 202], "session_quality"] = quality
    rows = policy_event_study(market, stating(np.array([100, 200, 300])), NO_EVENTS, SETTINGS)
    assert [last(rows, horizon)["event_days"] for horizon in (1, 2, 5)] == [2, 1, 2]


def test_no_move_spans_a_hole_in_the_history() -> None:
    kept = np.delete(np.arange(len(DATES)), np.arange(101, 121))
    days = np.searchsorted(kept, [100, 300])
    rows = policy_event_study(prices(CLOSES[kept], DATES[kept]), stating(days, dates=DATES[kept]), NO_EVENTS, SETTINGS)
    assert last(rows, 1)["event_days"] == 1
