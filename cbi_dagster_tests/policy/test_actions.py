"""Probabilities of policy actions: the golden vector of the legacy rules, and each of their faults."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi_dagster.config.policy_actions import ACTIONS, Curve
from cbi_dagster.policy.actions import risk_level, risk_score, top_actions
from cbi_dagster_tests.policy.action_frames import SETTINGS, actions, coverage, events, row, weekdays

#: At the decision time itself: nothing of it has decayed.
NOW = "2018-03-07 13:20"


def probability(action: str, rate: float) -> float:
    return float(SETTINGS.actions[action].curve.probability(np.array([rate]))[0])


# -- the golden vector ------------------------------------------------------------------------------------------------


def test_threat_15_with_12_posts_and_4_signals_has_the_golden_probabilities_and_is_high_risk() -> None:
    assert probability("tariff_announcement", 15) == pytest.approx(0.75)
    assert probability("social_media_storm", 12) == pytest.approx(0.80)
    assert probability("trade_negotiation", 4) == pytest.approx(0.40)
    score = risk_score(np.array([12.0]), np.array([15.0]), np.array([4.0]))
    assert score == pytest.approx(72)
    assert risk_level(score).tolist() == ["HIGH"]


def test_risk_levels_begin_at_25_50_and_75() -> None:
    levels = risk_level(np.array([24.9, 25, 49.9, 50, 74.9, 75, np.nan]))
    assert levels.tolist() == ["LOW", "MODERATE", "MODERATE", "HIGH", "HIGH", "EXTREME", None]


# -- smooth, no jumps, no saturation ----------------------------------------------------------------------------------

CURVES = st.sampled_from([SETTINGS.actions[name].curve for name in ACTIONS])
RATES = st.floats(0, 60)


@given(CURVES, RATES, RATES)
def test_more_is_never_less_probable_and_a_small_step_is_a_small_change(curve: Curve, a: float, b: float) -> None:
    low, high = curve.probability(np.array(sorted((a, b))))
    assert 0 <= low <= high <= curve.ceiling
    assert high - low <= curve.per_unit * abs(b - a) + 1e-12


def test_a_rate_beyond_the_legacy_cap_still_tells_more_from_less() -> None:
    rates = np.array([18.0, 20, 24, 30])
    assert (np.diff(SETTINGS.actions["tariff_announcement"].curve.probability(rates)) > 1e-4).all()


def test_below_the_legacy_threshold_probability_falls_to_zero_without_a_jump() -> None:
    assert probability("tariff_announcement", 10.01) - probability("tariff_announcement", 9.99) < 0.01
    assert probability("tariff_announcement", 0) == 0


def test_a_rate_does_not_grow_with_how_long_somebody_has_been_talking() -> None:
    hourly = [(f"2018-03-{day:02d} {hour:02d}:20", "Tariffs") for day in range(12, 29) for hour in range(24)]
    early, late = (row(actions(events(*hourly), weekdays("2018-03-20", "2018-03-28")), "tariff_announcement", day)
                   for day in ("2018-03-20", "2018-03-28"))  # fmt: skip
    assert late["driver_rate"] == pytest.approx(early["driver_rate"], rel=0.01)
    assert late["driver_rate"] == pytest.approx(24 * 3, rel=0.03), "three points an hour are 72 a day"


def test_rates_fade_with_the_recency_decay_of_scores() -> None:
    rows = actions(events(("2018-03-06 13:20", "Tariffs")))
    before, after = row(rows, "tariff_announcement", "2018-03-06"), row(rows, "tariff_announcement")
    assert before["driver_rate"] == pytest.approx(3)
    assert after["driver_rate"] == pytest.approx(3 * 0.3679, abs=1e-3)


# -- every action is reachable ----------------------------------------------------------------------------------------

TOP = {
    "tariff_announcement": ["A tariff!"],
    "trade_negotiation": ["Stay tuned"],
    "social_media_storm": [f"Number {n}" for n in range(12)],
    "policy_reversal": ["I have postponed the duties"],
    "market_intervention": ["The Fed must act"],
    "china_threat": ["China!"],
    "deal_making": ["A great trade deal"],
}


@pytest.mark.parametrize("action", ACTIONS)
def test_each_of_the_seven_can_be_the_most_probable(action: str) -> None:
    found = row(actions(events(*((NOW, text) for text in TOP[action]))), action)
    assert found["top_action"] == action
    assert found["probability"] > 0
    assert found["trigger_post_ids"].split(",")[-1].startswith("p")


def test_a_china_threat_needs_china() -> None:
    rows = actions(events((NOW, "Unfair tariffs, we will retaliate")))
    assert row(rows, "china_threat")["probability"] == 0
    assert row(rows, "tariff_announcement")["probability"] > 0.3


def test_where_all_are_zero_none_is_on_top() -> None:
    rows = actions(events(("2018-02-01 12:00", "Tariffs")))
    assert set(rows["top_action"]) == {"none"}
    assert set(rows["probability"]) == {0.0}
    assert top_actions(np.zeros((1, len(ACTIONS)))).tolist() == ["none"]


# -- whole words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Taxi to the warehouse", "chinaware", "Syntax", "untariffed", "unfairground"])
def test_parts_of_other_words_are_no_threat(text: str) -> None:
    assert row(actions(events((NOW, text))), "tariff_announcement")["driver_rate"] == 0


@pytest.mark.parametrize("text", ["TARIFFS", "china", "China's", "Tax."])
def test_words_count_in_any_case(text: str) -> None:
    assert row(actions(events((NOW, text))), "tariff_announcement")["driver_rate"] >= 2


def test_a_post_counts_a_group_once_however_often_it_repeats_it() -> None:
    once, often = (
        row(actions(events((NOW, text))), "tariff_announcement") for text in ("tariff", "tariff tariffs " * 7000)
    )
    assert often["driver_rate"] == once["driver_rate"] == 3


@pytest.mark.parametrize(
    "text", ["\x00\x00", "😀" * 5000, "<script>alert(1)</script>", "'; DROP TABLE posts; --", "\u202etxet", "", " "]
)
def test_hostile_text_is_a_post_and_nothing_else(text: str) -> None:
    found = actions(events((NOW, text)))
    assert row(found, "social_media_storm")["posts_24h"] == 1
    assert row(found, "tariff_announcement")["probability"] == 0


# -- what was known ---------------------------------------------------------------------------------------------------


def test_a_post_at_the_decision_time_counts_and_one_after_it_does_not() -> None:
    for moment, rate in ((NOW, 3.0), ("2018-03-07 13:20:00.000001", 0.0)):
        assert row(actions(events((moment, "Tariffs"))), "tariff_announcement")["driver_rate"] == rate


def test_later_posts_change_no_earlier_row() -> None:
    early = events(("2018-03-06 09:00", "Tariffs on China"), ("2018-03-05 20:00", "Great deal on trade!!"))
    later = events(("2018-03-06 13:21", "CHINA RETALIATES")).assign(post_id="later")
    day = ["2018-03-06"]
    pd.testing.assert_frame_equal(actions(early, day), actions(pd.concat([early, later]), day))


def test_a_date_alone_equals_the_date_among_others() -> None:
    posts = events(
        *((f"2018-03-{day:02d} {day % 24:02d}:07", "China will be unfair, tariffs!") for day in range(1, 29))
    )
    every = actions(posts, weekdays("2018-03-08", "2018-03-28"))
    alone = actions(posts, weekdays("2018-03-20", "2018-03-21")).xs(np.datetime64("2018-03-21"), drop_level=False)
    pd.testing.assert_frame_equal(alone, every.loc[alone.index], check_exact=True)


def test_without_coverage_nothing_is_known() -> None:
    rows = actions(events((NOW, "Tariffs")), covered=coverage("2018-02-01", "2018-03-06 13:20"))
    day = rows.xs(np.datetime64("2018-03-07"))
    assert set(day["action_status"]) == {"no_coverage"}
    assert day[["probability", "driver_rate", "risk_score", "stated_posts", "posts_24h"]].isna().all(axis=None)
    assert set(day["top_action"]) == set(day["risk_level"]) == set(day["trigger_terms"]) == {None}


def test_where_only_the_times_of_posts_are_known_a_storm_is_and_the_rest_is_not() -> None:
    posts = events(*((f"2018-03-07 {hour:02d}:00", None) for hour in range(12)))
    rows = actions(posts, covered=coverage("2018-02-01", "2018-04-30", text=False))
    storm = row(rows, "social_media_storm")
    assert storm["action_status"] == "ok"
    assert storm["probability"] > 0.5
    assert storm["trigger_excerpt"] is None
    others = rows.drop(index="social_media_storm", level="action").xs(np.datetime64("2018-03-07"))
    assert set(others["action_status"]) == {"rate_only"}
    assert others["probability"].isna().all()
    assert storm["top_action"] is None, "one that is not known may be more probable"


def test_notices_of_an_office_make_no_storm_and_reposts_count_nowhere() -> None:
    notices = events(*((NOW, "Tariffs") for _ in range(12)), source="white_house")
    covered = pd.concat([coverage("2018-02-01", "2018-04-30", source=one) for one in ("white_house", "twitter")])
    assert row(actions(notices, covered=covered), "social_media_storm")["probability"] == 0
    assert row(actions(notices, covered=covered), "tariff_announcement")["driver_rate"] == 36
    reposts = events((NOW, "Tariffs"), kind="repost")
    assert row(actions(reposts), "tariff_announcement")["driver_rate"] == 0


# -- what is behind a probability -------------------------------------------------------------------------------------


def test_triggers_name_the_terms_and_the_posts_that_add_most() -> None:
    posts = events(
        ("2018-03-06 14:00", "Tariffs on China, we will retaliate"),
        ("2018-03-07 13:00", "Nothing of the kind"),
        ("2018-03-07 13:10", "Tariffs on China"),
        ("2018-03-07 13:15", "China"),
        ("2018-03-07 13:20", "tariff"),
    )
    found = row(actions(posts), "tariff_announcement")
    assert found["trigger_post_ids"] == "p2,p0,p4"
    assert found["trigger_excerpt"] == "Tariffs on China"
    assert found["trigger_terms"].startswith("tariff 7.1, china 4.")
    assert found["timing"] == "24-48 h"
    assert found["horizon_hours"] == 48


def test_a_post_that_states_an_action_is_told_from_one_that_only_threatens() -> None:
    rows = actions(events(("2018-03-07 09:00", "Tariffs!"), ("2018-03-07 10:00", "Today I imposed tariffs on steel")))
    assert row(rows, "tariff_announcement")["stated_posts"] == 1
    assert row(rows, "tariff_announcement", "2018-03-06")["stated_posts"] == 0


def test_what_is_stated_on_a_holiday_belongs_to_the_next_session() -> None:
    good_friday = events(("2018-03-30 10:00", "Signed: a trade deal"), ("2018-03-29 18:00", "A trade agreement, done"))
    rows = actions(good_friday, ["2018-03-29", "2018-04-02"])
    assert row(rows, "deal_making", "2018-04-02")["stated_posts"] == 2
    assert row(rows, "deal_making", "2018-03-29")["stated_posts"] == 0


def test_fifteen_posts_in_a_day_are_a_storm() -> None:
    for count, stated in ((14, 0), (15, 1)):
        found = row(actions(events(*((NOW, f"{n}") for n in range(count)))), "social_media_storm")
        assert found["stated_posts"] == stated


# -- raw features -----------------------------------------------------------------------------------------------------


def test_raw_features_are_counts_and_shares_of_the_week_in_new_york_time() -> None:
    posts = events(
        ("2018-03-01 12:00", "OLD"),  # 13:00 in New York; six days old
        ("2018-03-06 23:30", "SHOUT! now!"),  # 00:30
        ("2018-03-07 04:00", "calm"),  # 05:00, which is early and nothing besides
        ("2018-03-07 09:00", "calm"),  # 10:00
    )
    found = row(actions(posts), "deal_making")
    assert found["posts_24h"] == 3
    assert found["posts_per_day_7d"] == pytest.approx(4 / 7)
    assert found["posts_acceleration"] == pytest.approx(3 - 4 / 7)
    shares = found[["night_share_7d", "early_share_7d", "hours_share_7d"]]
    assert shares.tolist() == [0.25, 0.25, 0.5]
    assert found["exclamations_per_1000"] == pytest.approx(1000 * 2 / 22)
    assert found["caps_share"] == pytest.approx(8 / 19)


def test_rows_of_a_date_share_its_raw_features_and_every_date_has_seven() -> None:
    rows = actions(events((NOW, "Tariffs")))
    assert rows.groupby(level="date").size().tolist() == [7, 7]
    assert rows.groupby(level="date")[["threat_rate", "post_rate", "risk_score"]].nunique().max(axis=None) == 1
