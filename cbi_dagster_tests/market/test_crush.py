"""The crush is made of legs in delivery months that go together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.columns.crush import LEGS, SERIES_INPUTS, SESSION_INPUTS, SETTLED_SESSIONS
from cbi_dagster.market.crush import crush_legs, rolls_agree

OIL, MEAL, BEANS = "ZL", "ZM", "ZS"
NO_SESSIONS = pd.DataFrame(columns=list(SESSION_INPUTS))


def agree(*legs: str) -> str:
    """`x` for the sessions in which contracts agree; each leg is told as the letter of its contract, by session."""
    contracts = np.array([[ord(letter) for letter in leg] for leg in legs]).T
    return "".join("x" if known else "-" for known in rolls_agree(contracts))


def test_between_the_roll_of_the_first_leg_and_that_of_the_last_they_do_not_agree() -> None:
    found = agree(
        "NNNNNNZZZZZZ",
        "NNNNNZZZZZZZ",
        "NNNXXXXXXXXX",
    )
    #             the third session of the last to roll
    assert found == "xxx-----xxxx"


def test_a_leg_that_returns_agrees_again() -> None:
    assert agree("NNNNNNNN", "NNNNNNNN", "NNXNXXNN") == "xx-x--xx"


def test_a_contract_that_is_front_for_a_moment_is_nothing_to_agree_on() -> None:
    # All three flash, then a leg strays while the others have rolled.
    assert agree("NQNNNN", "NQNNNN", "NQNNNN") == "x-xxxx"
    assert agree("NNZZQZZZ", "NNZZZZZZ", "NNXXXXXX") == "xx---xxx"
    assert SETTLED_SESSIONS == 3


def test_a_leg_that_rolls_more_often_agrees_again_when_all_have_left() -> None:
    assert agree("NNZZZZZFFFFF", "NNZZZZZFFFFF", "NNQQQXXXXFFF") == "xx--x------x"


def test_no_sessions_agree_on_nothing() -> None:
    assert rolls_agree(np.empty((0, 3), np.int64)).tolist() == []


def series(days: pd.DatetimeIndex, contracts: dict[str, str], closes: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        (day, root, None, ord(contracts[root][number]), closes[root][number])
        for root in (OIL, MEAL, BEANS)
        for number, day in enumerate(days)
    ]
    return pd.DataFrame(rows, columns=list(SERIES_INPUTS))


def test_while_rolls_disagree_the_legs_are_unknown_and_a_move_is_of_the_same_contracts() -> None:
    days = pd.bdate_range("2024-06-03", periods=12)
    contracts = {OIL: "NNNNNZZZZZZZ", MEAL: "NNNNNZZZZZZZ", BEANS: "NNNXXXXXXNXX"}
    closes = {root: list(np.linspace(10, 21, 12)) for root in contracts}
    found = crush_legs(series(days, contracts, closes), NO_SESSIONS)
    assert found["date"].tolist() == list(days)
    # Known to the third session; from the third of oil and meal on; not where beans left for a day, nor right after.
    known = [number for number, price in enumerate(found["crush_oil_price"]) if not np.isnan(price)]
    assert known == [0, 1, 2, 7, 8, 11]
    assert found.loc[known, "crush_bean_price"].tolist() == [closes[BEANS][number] for number in known]
    assert found["crush_bean_month"].isna().all()
    assert (found[list(LEGS)].isna().sum(axis=1).isin([0, 3])).all()


def test_a_day_without_one_of_the_legs_is_unknown_and_breaks_nothing() -> None:
    days = pd.bdate_range("2024-06-03", periods=4)
    frame = series(days, dict.fromkeys((OIL, MEAL, BEANS), "NNNN"), dict.fromkeys((OIL, MEAL, BEANS), [1.0] * 4))
    gone = (frame["symbol"] == MEAL) & (frame["date"] == days[1])
    found = crush_legs(frame[~gone], NO_SESSIONS)
    assert found["crush_bean_price"].isna().tolist() == [False, True, False, False]


def outrights(day: pd.Timestamp, *contracts: str) -> pd.DataFrame:
    rows = [(day, name[:2], name, name, 1000 + number, 10.0 * (number + 1)) for number, name in enumerate(contracts)]
    return pd.DataFrame(rows, columns=list(SESSION_INPUTS))


@pytest.mark.parametrize(
    ("beans", "contracts", "legs"),
    [
        ("ZSN4", ("ZSN4", "ZLN4", "ZMN4", "ZLZ4"), [20.0, 30.0, 10.0]),
        ("ZSX4", ("ZSX4", "ZLX4", "ZLZ4", "ZMZ4"), [30.0, 40.0, 10.0]),
        ("ZSF5", ("ZSF5", "ZLF5", "ZMZ4"), [np.nan] * 3),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_known_months_are_paired_as_the_exchange_does(
    beans: str, contracts: tuple[str, ...], legs: list[float], named: bool
) -> None:
    (day,) = pd.DatetimeIndex(["2024-06-03"])
    sessions = outrights(day, *contracts)
    # The series says its contract, or the outright with its number does.
    front = {OIL: (None, 5), MEAL: (None, 6), BEANS: (beans, 7) if named else (None, 1000)}
    rows = [(day, root, contract, number, 99.0) for root, (contract, number) in front.items()]
    found = crush_legs(pd.DataFrame(rows, columns=list(SERIES_INPUTS)), sessions).iloc[0]
    np.testing.assert_array_equal(found[list(LEGS)].to_numpy(np.float64), legs)
    months = {"ZSN4": "2024-07-01", "ZSX4": "2024-11-01", "ZSF5": "2025-01-01"}
    assert found["crush_bean_month"] == pd.Timestamp(months[beans])


def test_later_sessions_change_nothing() -> None:
    rng = np.random.default_rng(2)
    days = pd.bdate_range("2024-01-01", periods=80)
    letters = {root: "".join(sorted(rng.choice(list("HKN"), 80))) for root in (OIL, MEAL, BEANS)}
    closes = {root: list(rng.uniform(10, 20, 80)) for root in letters}
    frame = series(days, letters, closes)
    whole = crush_legs(frame, NO_SESSIONS)
    for day in days[::9]:
        then = crush_legs(frame[frame["date"] <= day], NO_SESSIONS)
        pd.testing.assert_frame_equal(then, whole[whole["date"] <= day].reset_index(drop=True))
