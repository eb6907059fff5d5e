"""The sixteen features of a trade date: by hand, without coverage, over weekends, and never of what comes later."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.columns.policy import DAILY, FEATURES, PREDICTED
from cbi_dagster.catalog.frames import InvalidFrameError
from cbi_dagster.catalog.model import names
from cbi_dagster.config.universe import load_universe
from cbi_dagster.policy.daily import policy_daily
from cbi_dagster_tests.policy.posts import DECISION, covered, post, scored, sessions

WEEK = ("2019-06-10", "2019-06-11", "2019-06-12")
ALL_OF_IT = covered("2019-01-01", "2019-12-31")
NOTHING_PREDICTED = pd.DataFrame({"date": pd.to_datetime([]), **dict.fromkeys(PREDICTED, pd.Series(dtype="float64"))})
OWN = {"author": "realDonaldTrump"}


def daily(
    *stated: dict[str, object],
    days: pd.DataFrame | None = None,
    coverage: pd.DataFrame = ALL_OF_IT,
    predicted: pd.DataFrame = NOTHING_PREDICTED,
) -> pd.DataFrame:
    events = scored(*stated).events
    rows = sessions(*WEEK) if days is None else days
    return policy_daily(rows, events, coverage, predicted, load_universe())


def row(*stated: dict[str, object], **given: pd.DataFrame) -> pd.Series:
    """The features of Wednesday, 2019-06-12."""
    return daily(*stated, **given).set_index("date").loc["2019-06-12"]


def at(hours_before: float) -> pd.Timestamp:
    return DECISION - pd.Timedelta(hours=hours_before)


def test_the_columns_are_those_that_are_declared() -> None:
    assert tuple(daily().columns) == DAILY
    assert len(FEATURES) == 16


def test_without_coverage_everything_is_unknown_and_with_it_nothing_said_is_zero() -> None:
    uncovered = row(post("Tariffs on China", at(2), **OWN), coverage=covered("2018-01-01", "2018-02-01"))
    assert uncovered[[*names(FEATURES)]].isna().all()
    assert (uncovered["policy_coverage"], uncovered["policy_coverage_share"]) == (False, 0)
    silent = row()
    assert (silent["policy_coverage"], silent["policy_coverage_share"]) == (True, 1)
    zero = ["trump_score", "trump_score_signed", "trump_tariff_intensity", "trump_mentions", "trumpxi_china_mentions",
            "trumpxi_policy_impact", "policy_trump_recency_decay"]  # fmt: skip
    assert (silent[zero] == 0).all()
    assert silent[[name for name in names(FEATURES) if name not in zero]].isna().all()


def test_predictions_are_those_of_the_date_where_the_day_is_covered() -> None:
    predicted = pd.DataFrame(
        {
            "date": pd.to_datetime(["2019-06-11", "2019-06-12"]),
            "trump_action_prob": [0.2, 0.7],
            "trump_expected_zl_move": [np.nan, -0.01],
            "trump_procurement_alert": pd.array([None, True], "boolean"),
        }
    )
    assert row(predicted=predicted)[list(PREDICTED)].tolist() == [0.7, -0.01, True]
    uncovered = row(predicted=predicted, coverage=covered("2018-01-01", "2018-02-01"))
    assert uncovered[list(PREDICTED)].isna().all()
    assert daily(predicted=predicted).set_index("date").loc["2019-06-10", list(PREDICTED)].isna().all()


def test_times_of_which_only_the_rate_is_known_do_not_count_as_covered() -> None:
    rate = row(post(None, at(2), **OWN), coverage=covered("2019-01-01", "2019-12-31", text=False))  # type: ignore[arg-type]
    assert rate[[*names(FEATURES)]].isna().all()


def test_a_day_that_is_covered_in_part_says_how_much() -> None:
    part = row(coverage=covered("2019-06-12 12:20", "2019-06-12 18:20"))
    assert (part["policy_coverage"], part["policy_coverage_share"]) == (True, 0.25)


def test_scores_are_a_noisy_or_of_aged_events() -> None:
    score, half_day, day = 0.5 * 0.92 * 0.5, math.exp(-0.5), math.exp(-1)
    found = row(post("Tariffs", at(12), **OWN), post("Ban and war on tariffs", at(24), **OWN), post("A deal", at(73)))
    second = 0.5 * 0.92 * 0.75
    assert found["trump_score"] == pytest.approx(1 - (1 - score * half_day) * (1 - second * day))
    assert found["trump_score_signed"] == pytest.approx(-score * half_day - second * day)
    assert found["policy_trump_recency_decay"] == pytest.approx(0.6065, abs=5e-5)
    assert pytest.approx(0.685) == 1 - (1 - 0.65) * (1 - 0.10)


def test_the_signed_score_is_clamped() -> None:
    war = [post(f"War, tariffs, ban, crisis {n}", at(1 + n / 60), post_source="white_house") for n in range(3)]
    assert row(*war)["trump_score_signed"] == -1
    assert row(*war)["trump_score"] < 1


def test_confidence_and_topic_are_those_of_what_weighs_most() -> None:
    found = row(
        post("Tariffs", at(1), post_source="white_house"),
        post("A deal with China on trade", at(1), post_source="twitter"),
        post("A great evening", at(1), post_source="reuters"),
    )
    official, other = 1.0 * 0.92 * 0.5, 0.5 * 0.95 * 0.5
    assert found["trump_confidence"] == pytest.approx((official + 0.5 * other) / (official + other))
    assert found["policy_trump_topic_multiplier"] == 0.92
    assert math.isnan(row(post("A great evening", at(1)))["trump_confidence"])


def test_of_equal_scores_the_later_event_gives_the_topic() -> None:
    found = row(post("A deal", at(1), post_id="b"), post("A growth", at(1), post_id="a"))
    assert found["policy_trump_topic_multiplier"] == 0.75


def test_sentiment_is_the_mean_of_seven_calendar_days() -> None:
    found = row(post("A deal", at(24 * 7 - 1)), post("Tariffs", at(1)), post("tariffs and war", at(24 * 7)))
    assert found["trump_sentiment_7d"] == 0
    soy = row(post("Trump: a deal on soybeans", at(100)), post("A war on soybeans", at(1)), post("Trump: war", at(1)))
    assert soy["trump_soybean_sentiment_7d"] == 0.5


def test_mentions_and_tariffs_are_those_of_the_day() -> None:
    found = row(
        post("Trump on tariffs", at(23)),
        post("China", at(2), **OWN),
        post("Xi of China", at(3)),
        post("China", at(4)),
        post("Trump and tariffs and China and Xi in a trade war", at(25)),
    )
    assert (found["trump_mentions"], found["trumpxi_china_mentions"]) == (2, 2)
    assert found["trump_tariff_intensity"] == pytest.approx(100 * math.tanh(0.8 * 16 / 50)), "Xi and China"


def test_what_trump_and_xi_say_of_china_varies_and_weighs() -> None:
    said = [("A deal with China", 2), ("War with China", 50), ("China", 90)]
    found = row(*(post(text, at(hours), **OWN) for text, hours in said))
    assert found["trumpxi_sentiment_volatility"] == pytest.approx(np.std([0.5, -0.5, 0.0], ddof=1))
    assert found["trumpxi_policy_impact"] == pytest.approx(0.5 * 0.88 * 0.5 * math.exp(-2 / 24))
    two = row(*(post(text, at(hours), **OWN) for text, hours in said[:2]))
    assert math.isnan(two["trumpxi_sentiment_volatility"])


def test_the_mean_volatility_is_that_of_the_sessions_of_thirty_calendar_days() -> None:
    days = sessions("2019-05-13", "2019-05-14", "2019-05-17", "2019-06-12")
    said = [post(text, moment, **OWN) for text, moment in (
        ("A deal with China", "2019-05-12 12:00"), ("War with China", "2019-05-12 18:00"),
        ("China", "2019-05-11 18:00"), ("War with China, again", "2019-05-16 18:00"),
    )]  # fmt: skip
    found = daily(*said, days=days).set_index("date")
    volatility = found["trumpxi_sentiment_volatility"]
    assert volatility.notna().tolist() == [True, True, True, False]
    assert found["trumpxi_volatility_30d_ma"].iloc[3] == pytest.approx(volatility.iloc[1:3].mean()), "13 May is too old"


def test_a_weekend_and_a_holiday_belong_to_the_next_session() -> None:
    days = sessions("2019-05-24", "2019-05-28")  # Monday the 27th is Memorial Day
    said = [post(f"Trump {n}", moment) for n, moment in enumerate(
        ["2019-05-24 18:20", "2019-05-24 18:21", "2019-05-26 12:00", "2019-05-27 23:00", "2019-05-28 18:20"]
    )]  # fmt: skip
    assert daily(*said, days=days)["trump_mentions"].tolist() == [1, 4]


def test_sessions_that_are_missing_for_long_do_not_make_a_day_longer() -> None:
    days = sessions("2019-05-01", "2019-06-12")
    assert daily(post("Trump", at(20)), post("Trump, again", at(30)), days=days)["trump_mentions"].tolist() == [0, 1]


def test_the_decision_time_is_the_same_in_summer_and_winter_and_for_every_market() -> None:
    for day, moment in (("2019-01-16", "2019-01-16 19:20"), ("2019-07-17", "2019-07-17 18:20")):
        days = pd.concat([sessions(day), sessions(day, symbol="MES")])
        late = pd.Timestamp(moment, tz="UTC") + pd.Timedelta(seconds=1)
        found = daily(post("Trump", moment), post("Trump, again", late), days=days)
        assert found["trump_mentions"].tolist() == [1, 1]


def test_reposts_are_not_counted() -> None:
    assert row(post("Trump on tariffs", at(1), post_kind="repost"))["trump_mentions"] == 0


def test_later_posts_and_sessions_change_no_row() -> None:
    random = np.random.default_rng(3)
    said = ["A deal with China", "Tariffs on China", "Trump and soybeans: no deal", "Ethanol", "Soy in demand"]
    moments = pd.Timestamp("2019-03-01", tz="UTC") + pd.to_timedelta(
        np.sort(random.integers(0, 100 * 86_400, 300)), "s"
    )
    stated = [
        post(f"{said[random.integers(5)]} {n}", moment, post_source=("twitter", "white_house")[n % 2], **OWN)
        for n, moment in enumerate(moments)
    ]
    weekdays = pd.bdate_range("2019-03-04", "2019-06-07").strftime("%Y-%m-%d")
    days = pd.concat([sessions(*weekdays), sessions(*weekdays, symbol="MES")])
    whole = daily(*stated, days=days)
    for day in ("2019-05-01", "2019-06-07"):
        cut = pd.Timestamp(f"{day} 13:21", tz="America/Chicago")
        known = [one for one in stated if one["published_at"] <= cut]
        early = daily(*known, days=days[days["date"] <= day], coverage=covered("2019-01-01", f"{cut.tz_convert(None)}"))
        pd.testing.assert_frame_equal(early, whole[whole["date"] <= day].reset_index(drop=True), check_exact=True)
    varying = [name for name in names(FEATURES) if name not in PREDICTED]
    assert (whole[varying].nunique() > 1).all()


def test_no_session_is_no_row() -> None:
    assert daily(days=sessions()).empty


def test_sessions_that_repeat_are_refused() -> None:
    with pytest.raises(InvalidFrameError, match="repeat"):
        daily(days=sessions("2019-06-12", "2019-06-12"))
