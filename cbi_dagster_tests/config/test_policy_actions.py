"""What policy_actions.yaml may say."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from cbi_dagster.config.policy_actions import ACTIONS, PolicyActions, load_policy_actions
from cbi_dagster.config.strict import read_yaml


def stated() -> Any:
    return copy.deepcopy(read_yaml("policy_actions.yaml"))


def test_every_number_of_a_judgement_says_that_it_is_one() -> None:
    settings = load_policy_actions()
    assert tuple(settings.actions) == ACTIONS
    for named in (settings.actions, settings.modifiers):
        assert all(one.provenance.startswith("Expert prior of") for one in named.values())


def test_no_two_rules_of_a_modifier_hold_at_once() -> None:
    for modifier in load_policy_actions().modifiers.values():
        values = np.linspace(-100, 100, 20001)
        assert (sum(rule.holds(values).astype(int) for rule in modifier.rules) <= 1).all()


def test_terms_are_words_in_lower_case_and_of_their_group_once() -> None:
    for group in load_policy_actions().terms.values():
        assert len(set(group)) == len(group)
        assert all(term == term.lower().strip() and "-" not in term for term in group)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("actions", "tariff_announcement", "points"), {"tarif": 1}, "groups of terms that are not there"),
        (("actions", "tariff_announcement", "curve", "linear_to"), 0.95, "below the ceiling"),
        (("actions", "deal_making", "impact", "low"), 0.03, "lies from low to high"),
        (("modifiers", "harvest", "rules"), [{"factor": 2}], "above a value or below one"),
        (("modifiers", "harvest", "strength"), 1, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(path: tuple[str, ...], value: object, message: str) -> None:
    content = stated()
    place = content
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(ValidationError, match=message):
        PolicyActions.model_validate(content)


def test_an_action_that_is_missing_is_noticed() -> None:
    content = stated()
    del content["actions"]["market_intervention"]
    with pytest.raises(ValidationError, match="the actions must be"):
        PolicyActions.model_validate(content)
