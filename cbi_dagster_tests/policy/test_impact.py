"""Expected moves of soybean oil and the text for a buyer: the golden vector, and each fault of the legacy rules."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.columns.predictions import IMPACT_CALIBRATION_INPUTS, IMPACT_STUDY_INPUTS
from cbi_dagster.config.policy_actions import ACTIONS
from cbi_dagster.policy.impact import ImpactInputError, expected_over_actions, reliability, urgency, zl_impact_daily
from cbi_dagster_tests.policy.action_frames import SETTINGS

DAY = pd.Timestamp("2018-03-07")
CALM = {"volatility": 15.0, "harvest": 0.35, "inventory": 0.5, "argentina": -5.0}
RISES = [name for name in ACTIONS if (impact := SETTINGS.actions[name].impact) and impact.move > 0]
FALLS = [name for name in ACTIONS if (impact := SETTINGS.actions[name].impact) and impact.move < 0]


def known(**values: float | None) -> pd.DataFrame:
    """The modifiers' series on the day: calm unless said otherwise, None for an unknown one."""
    rows = [
        {"series_id": one.series_id, "date": DAY, "value": {**CALM, **values}[name], "unit": one.unit}
        for name, one in SETTINGS.modifiers.items()
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(unit=frame["unit"].where(frame["value"].notna(), None))


def study_of(date: str, support: str, subject: str = "tariff_announcement", horizon: int = 2) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "date": [pd.Timestamp(date)], "subject_kind": ["action"], "subject": [subject], "horizon": [horizon],
            "event_days": [40], "independent_windows": [33], "mean_move": [-0.004], "mean_move_low": [-0.009],
            "mean_move_high": [0.001], "base_move": [0.0], "move_support": [support],
        }
    )  # fmt: skip


def impacts(
    probability: float | dict[str, float] = 0.5,
    macro: pd.DataFrame | None = None,
    price: float = 50.0,
    study: pd.DataFrame | None = None,
    calibration: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The rows of the day, by action."""
    stated = probability if isinstance(probability, dict) else dict.fromkeys(ACTIONS, probability)
    rows = zl_impact_daily(
        pd.DataFrame({"date": DAY, "action": list(ACTIONS), "probability": [stated.get(n, 0.0) for n in ACTIONS]}),
        pd.DataFrame({"date": [DAY] * 2, "symbol": ["ZL", "ZS"], "close": [price, 1000.0]}),
        known() if macro is None else macro,
        pd.DataFrame(columns=list(IMPACT_STUDY_INPUTS)) if study is None else study,
        pd.DataFrame(columns=list(IMPACT_CALIBRATION_INPUTS)) if calibration is None else calibration,
        SETTINGS,
    )
    return rows.set_index("action")


# -- the golden vectors -----------------------------------------------------------------------------------------------


def test_a_tariff_with_a_vix_of_35_and_a_competitive_argentina_is_the_golden_vector() -> None:
    row = impacts(macro=known(volatility=35.0, argentina=10.0)).loc["tariff_announcement"]
    assert row["modifier"] == pytest.approx(1.8)
    assert row["expected_move"] == pytest.approx(-0.045)
    assert row["expected_price"] == pytest.approx(47.75)
    assert row["best_price"] == pytest.approx(45.95)
    assert row["worst_price"] == pytest.approx(48.65)
    assert row["expected_change_cwt"] == pytest.approx(-2.25)
    assert (row["urgency"], row["move_confidence"], row["reliability"]) == ("URGENT", 0.85, "HIGH")
    assert row["impact_status"] == "ok"
    assert row["missing_inputs"] is None


def test_an_unmodified_china_threat_is_high_and_not_urgent() -> None:
    row = impacts().loc["china_threat"]
    assert row["expected_move"] == pytest.approx(-0.030)
    assert row["urgency"] == "HIGH"


def test_urgency_needs_the_move_and_the_confidence() -> None:
    assert urgency(np.array([0.031, 0.03, 0.02, 0.01, np.nan]), 0.76).tolist() == [
        "URGENT", "HIGH", "MODERATE", "LOW", None,
    ]  # fmt: skip
    assert urgency(np.array([0.031, 0.021]), 0.75).tolist() == ["HIGH", "HIGH"]
    assert urgency(np.array([0.031]), 0.70).tolist() == ["MODERATE"]
    assert [reliability(c) for c in (0.76, 0.75, 0.60)] == ["HIGH", "MEDIUM", "LOW"]


# -- modifiers --------------------------------------------------------------------------------------------------------


def test_low_stocks_strengthen_rises_only_and_cheap_argentine_oil_falls_only() -> None:
    tight, cheap = impacts(macro=known(inventory=0.1)), impacts(macro=known(argentina=1.0))
    assert set(tight.loc[RISES, "modifier"]) == {1.3}
    assert set(tight.loc[FALLS, "modifier"]) == {1.0}
    assert set(cheap.loc[RISES, "modifier"]) == {1.0}
    assert set(cheap.loc[FALLS, "modifier"]) == {1.2}


def test_ample_stocks_weaken_rises_and_a_late_harvest_both() -> None:
    assert set(impacts(macro=known(inventory=0.9)).loc[RISES, "modifier"]) == {0.8}
    assert set(impacts(macro=known(harvest=0.71)).loc[[*RISES, *FALLS], "modifier"]) == {0.7}
    assert set(impacts(macro=known(harvest=0.70)).loc[[*RISES, *FALLS], "modifier"]) == {1.0}


# -- nothing is made up -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(CALM))
def test_an_unknown_input_leaves_the_move_unknown_and_says_which(name: str) -> None:
    modifier = SETTINGS.modifiers[name]
    concerned = [action for action in (*RISES, *FALLS) if modifier.concerns(SETTINGS.actions[action].impact.move)]
    rows = impacts(macro=known(**{name: None}))
    hurt, others = rows.loc[concerned], rows.drop(index=[*concerned, "market_intervention"])
    assert hurt[["modifier", "expected_move", "expected_price", "expected_change_cwt"]].isna().all(axis=None)
    assert set(hurt["impact_status"]) == {"inputs_missing"}
    assert set(hurt["missing_inputs"]) == {name}
    assert (hurt["modifier_low"] < hurt["modifier_high"]).all()
    assert set(others["impact_status"]) <= {"ok"}


def test_what_is_unknown_widens_the_range_to_all_that_it_can_be() -> None:
    row = impacts(macro=known(volatility=None, argentina=10.0)).loc["tariff_announcement"]
    assert (row["modifier_low"], row["modifier_high"]) == pytest.approx((1.2, 1.8))
    assert row["best_price"] == pytest.approx(45.95), "as if volatility were high"
    assert row["worst_price"] == pytest.approx(50 * (1 - 0.015 * 1.2)), "as if it were not"


def test_without_any_series_nothing_is_assumed() -> None:
    nothing = pd.DataFrame(columns=["series_id", "date", "value", "unit"])
    rows = impacts(macro=nothing)
    assert rows["expected_move"].isna().all()
    assert rows[["vix", "harvest_progress", "inventory_rank", "argentina_discount"]].isna().all(axis=None)
    assert rows.loc["tariff_announcement", "missing_inputs"] == "volatility,harvest,argentina"
    assert rows.loc["deal_making", "missing_inputs"] == "volatility,harvest,inventory"


def test_a_day_without_a_price_has_moves_and_no_prices() -> None:
    rows = impacts(price=np.nan)
    row = rows.loc["tariff_announcement"]
    assert row["impact_status"] == "no_price"
    assert row["expected_move"] == pytest.approx(-0.025)
    assert rows[["expected_price", "best_price", "worst_price", "expected_change_cwt"]].isna().all(axis=None)
    assert "nan" not in " ".join(rows["buyer_text"])


def test_an_unknown_probability_has_no_text_and_no_alert() -> None:
    rows = impacts(np.nan)
    assert set(rows["impact_status"]) == {"no_coverage"}
    assert rows["alert"].isna().all()
    assert set(rows["buyer_text"]) == {None}


def test_a_series_in_another_unit_is_refused() -> None:
    with pytest.raises(ImpactInputError, match="VIX has values in percent, its rules are in index points"):
        impacts(macro=known().assign(unit="percent"))


def test_market_intervention_has_no_impact_and_breaks_nothing() -> None:
    row = impacts(0.9).loc["market_intervention"]
    assert row["impact_status"] == "no_prior"
    assert row["urgency"] is None
    assert row["alert"] is pd.NA, "nobody knows how urgent it is"
    assert not impacts(0.2).loc["market_intervention", "alert"], "nor does it matter where it is improbable"
    assert "not known" in row["buyer_text"]


# -- alerts -----------------------------------------------------------------------------------------------------------


def test_every_action_can_alert_not_the_most_probable_alone() -> None:
    rows = impacts({"social_media_storm": 0.9, "tariff_announcement": 0.31, "china_threat": 0.30})
    assert rows.index[rows["alert"].fillna(False).astype(bool)].tolist() == ["tariff_announcement"]


def test_an_alert_is_known_where_no_missing_input_could_change_it() -> None:
    rows = impacts(0.5, macro=known(argentina=None))
    assert rows.loc["china_threat", "alert"], "3.0 % and 3.6 % are both high"
    assert rows.loc["china_threat", "urgency"] is None, "one is HIGH, the other URGENT"
    assert not rows.loc["social_media_storm", "alert"]
    assert impacts(0.5, macro=known(harvest=None)).loc["tariff_announcement", "alert"] is pd.NA


# -- the text ---------------------------------------------------------------------------------------------------------

COMMANDS = re.compile(r"\b(lock|wait|buy|sell|hedge|must|should|now|act)\b", re.IGNORECASE)


@pytest.mark.parametrize("action", RISES)
def test_before_an_expected_rise_a_buyer_may_consider_to_cover_sooner(action: str) -> None:
    text = impacts().loc[action, "buyer_text"]
    assert "considering to cover sooner" in text
    assert "stagger" not in text


@pytest.mark.parametrize("action", ["tariff_announcement", "china_threat"])
def test_before_an_expected_fall_a_buyer_may_consider_to_stagger(action: str) -> None:
    text = impacts().loc[action, "buyer_text"]
    assert "considering to stagger purchases" in text
    assert "cover sooner" not in text


def test_texts_speak_of_probability_by_when_and_of_the_other_side_and_command_nothing() -> None:
    for rows in (impacts(0.34), impacts(0.001), impacts(0.9, macro=known(harvest=None))):
        for action, text in rows["buyer_text"].items():
            assert re.search(r"probability (\d+|below 1) % within \d+ h", text), text
            assert not COMMANDS.search(text), text
            assert "no advice" in text
            if action in RISES or action in ("tariff_announcement", "china_threat"):
                assert "; if " in text, "the other side is missing"


def test_a_text_says_what_is_unknown_and_the_range_it_leaves() -> None:
    text = impacts(macro=known(harvest=None)).loc["tariff_announcement", "buyer_text"]
    assert "-1.7 % to -2.5 % (unknown: harvest)" in text


# -- how far it is supported ------------------------------------------------------------------------------------------


def test_a_row_carries_the_study_and_the_calibration_that_were_known_on_its_day() -> None:
    study = pd.concat([study_of("2018-02-01", "supported"), study_of("2018-03-01", "none"),
                       study_of("2018-03-08", "contradicted")])  # fmt: skip
    verdicts = pd.DataFrame(
        {"date": pd.to_datetime(["2017-01-03", "2018-01-02"]), "action": "tariff_announcement",
         "probability_support": ["supported", "contradicted"]}
    )  # fmt: skip
    row = impacts(study=study, calibration=verdicts).loc["tariff_announcement"]
    assert row["study_date"] == pd.Timestamp("2018-03-01")
    assert (row["move_support"], row["probability_support"]) == ("none", "contradicted")
    assert row["event_days"] == 40
    assert "After 33 such events soybean oil moved -0.4 % on average over 2 sessions" in row["buyer_text"]
    assert "no support for this" in row["buyer_text"]
    assert "worse than the base rate" in row["buyer_text"]


def test_a_study_that_is_too_old_is_not_known() -> None:
    rows = impacts(study=study_of("2018-01-02", "supported"))
    assert rows["study_date"].isna().all()
    assert rows.loc["tariff_announcement", "move_support"] is None


def test_an_action_without_an_event_so_far_is_untested() -> None:
    row = impacts(study=study_of("2018-03-01", "none")).loc["deal_making"]
    assert (row["event_days"], row["move_support"]) == (0, "untested")


# -- what the matrix takes --------------------------------------------------------------------------------------------


def over_actions(**arguments: object) -> pd.Series:
    return expected_over_actions(impacts(**arguments).reset_index()).iloc[0]


def test_the_expected_move_is_the_sum_over_actions_of_probability_and_move() -> None:
    found = over_actions(probability={"tariff_announcement": 0.5, "deal_making": 0.2, "market_intervention": 0.9})
    assert found["trump_expected_zl_move"] == pytest.approx(0.5 * -0.025 + 0.2 * 0.022)
    assert found["trump_action_prob"] == 0.9
    assert found["trump_procurement_alert"]


def test_an_alert_stays_unknown_where_the_effect_of_a_probable_action_is() -> None:
    assert over_actions(probability={"market_intervention": 0.9})["trump_procurement_alert"] is pd.NA


def test_the_expected_move_stays_within_a_tenth() -> None:
    found = over_actions(probability=dict.fromkeys(FALLS, 1.0), macro=known(volatility=40.0, argentina=9.0))
    assert found["trump_expected_zl_move"] == -0.1


def test_an_action_that_is_ruled_out_needs_no_inputs() -> None:
    found = over_actions(probability=0.0, macro=known(volatility=None))
    assert found["trump_expected_zl_move"] == 0
    assert not found["trump_procurement_alert"]
    assert np.isnan(over_actions(probability=0.1, macro=known(volatility=None))["trump_expected_zl_move"])


def test_an_unknown_probability_leaves_the_highest_unknown() -> None:
    found = over_actions(probability={**dict.fromkeys(ACTIONS, 0.1), "china_threat": np.nan})
    assert np.isnan(found["trump_action_prob"])
    assert np.isnan(found["trump_expected_zl_move"])
