"""One factor per contract, against a second implementation and over what really happens at rolls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cbi_dagster.market.factors import LEGS_TRADE_DATES, SAME_CONTRACT_TRADE_DATES, roll_columns

DAYS = pd.bdate_range("2024-01-02", periods=400)
_COLUMNS = ["date", "instrument_id", "open", "close", "usable", "boundary_instrument_id", "boundary_close"]


def session(day: int, contract: int, opened: float, close: float, usable: bool = True, boundary: object = (None, None)):
    return (DAYS[day], contract, opened, close, usable, *boundary)


def factors(front: list[tuple], others: list[tuple] = ()) -> pd.DataFrame:
    """The roll columns of front sessions; `others` are sessions of other contracts."""
    rows = pd.DataFrame([*front, *others], columns=_COLUMNS)
    rows = rows.astype({"boundary_instrument_id": "Int64", "boundary_close": float})
    rows["root"] = "ZL"
    return pd.DataFrame(roll_columns(rows.iloc[: len(front)], rows, rows["usable"]))


def reference(front: list[tuple], others: list[tuple] = ()) -> tuple[list[float], list[str | None]]:
    """Factors and methods found contract by contract, as a person would look the prices up."""
    closes = {}
    for date, contract, _, close, usable, *_ in reversed([*front, *others]):
        if usable:
            closes[date, contract] = close
    known: dict[int, float] = {}
    seen: dict[int, pd.Timestamp] = {}
    found, methods = [], []
    for number, (date, contract, opened, _, _, boundary, boundary_close) in enumerate(front):
        method = None
        before = front[number - 1] if number else None
        if before is None:
            known[contract] = 1.0
        elif before[1] != contract:
            old = before[1]
            again = contract in seen and len(pd.bdate_range(seen[contract], date)) - 1 <= SAME_CONTRACT_TRADE_DATES
            method = "kept"
            if not again:
                together = [
                    day
                    for day in pd.bdate_range(end=before[0], periods=LEGS_TRADE_DATES + 1)[::-1]
                    if (day, old) in closes and (day, contract) in closes
                    and len(pd.bdate_range(day, date)) - 1 <= LEGS_TRADE_DATES
                ]  # fmt: skip
                apart = len(pd.bdate_range(before[0], date)) - 1
                if together[:1] == [before[0]] or (together and boundary != old):
                    method, prices = "both_legs", (closes[together[0], old], closes[together[0], contract])
                elif boundary == old:
                    method, prices = "adjacent_bars", (boundary_close, opened)
                else:
                    method = "adjacent_bars" if before[4] and apart <= 2 else "after_gap"
                    prices = (before[3], opened)
                if min(prices) > 0:
                    known[contract] = known[old] * (prices[0] / prices[1])
                else:
                    method, known[contract] = "undefined", np.nan
        seen[contract] = date
        found.append(known[contract])
        methods.append(method)
    return found, methods


def test_a_contract_that_becomes_front_again_has_the_factor_it_had() -> None:
    opened, close = (50, 55, 52, 60, 54), (50, 56, 53, 61, 55)
    found = factors([session(day, 1 + day % 2, opened[day], close[day]) for day in range(5)])
    assert found["adj_factor"].tolist() == [1.0, 50 / 55, 1.0, 50 / 55, 1.0]
    assert found["roll_method"].tolist() == [None, "adjacent_bars", "kept", "kept", "kept"]
    # What was paid for the other contract at each switch is told all the same.
    assert found["roll_gap"].tolist()[1:] == [5.0, 52.0 - 56.0, 60.0 - 53.0, 54.0 - 61.0]


@pytest.mark.parametrize(("apart", "kept"), [(SAME_CONTRACT_TRADE_DATES, True), (SAME_CONTRACT_TRADE_DATES + 1, False)])
def test_a_number_that_comes_back_after_half_a_year_is_another_contract(apart: int, kept: bool) -> None:
    later = [session(day, 2, 100, 100) for day in range(1, apart)]
    found = factors([session(0, 1, 50, 50), *later, session(apart, 1, 80, 80)])
    assert found["adj_factor"].iloc[-1] == (1.0 if kept else 0.5 * (100 / 80))
    assert found["roll_method"].iloc[-1] == ("kept" if kept else "adjacent_bars")


@pytest.mark.parametrize(
    ("others", "boundary", "method", "factor"),
    [
        # Both contracts closed in the session before: of whichever symbols.
        ([session(1, 2, 54, 54.5)], (1, 52.0), "both_legs", 51 / 54.5),
        # The bars before the switch come next, then an earlier session that both closed.
        ([session(0, 2, 54, 54.5)], (1, 52.0), "adjacent_bars", 52 / 55),
        ([session(0, 2, 54, 54.5)], (None, None), "both_legs", 50 / 54.5),
        ([], (7, 52.0), "adjacent_bars", 51 / 55),
        # A close of a session that was delivered in part is compared with nothing.
        ([session(1, 2, 54, 54.5, False)], (None, None), "adjacent_bars", 51 / 55),
    ],
)
def test_a_factor_comes_from_the_prices_that_are_nearest_in_time(
    others: list[tuple], boundary: tuple, method: str, factor: float
) -> None:
    found = factors([session(0, 1, 50, 50), session(1, 1, 50, 51), session(2, 2, 55, 56, True, boundary)], others)
    assert (found["roll_method"][2], found["adj_factor"][2]) == (method, factor)


@pytest.mark.parametrize(
    ("others", "boundary", "method", "factor"),
    [
        ([], (None, None), "after_gap", 51 / 55),
        ([], (1, 52.0), "adjacent_bars", 52 / 55),
        ([session(1, 2, 54, 54.5)], (None, None), "after_gap", 51 / 55),
        ([session(0, 2, 54, 54.5)], (None, None), "both_legs", 50 / 54.5),
        # Another symbol may have the whole session of the contract.
        ([session(1, 2, 54, 54.5), session(1, 1, 50, 51.5)], (None, None), "both_legs", 51.5 / 54.5),
    ],
)
def test_after_a_session_delivered_in_part_a_factor_comes_from_other_prices_where_there_are_any(
    others: list[tuple], boundary: tuple, method: str, factor: float
) -> None:
    cut = session(1, 1, 50, 51, False)
    found = factors([session(0, 1, 50, 50), cut, session(2, 2, 55, 56, True, boundary)], others)
    assert (found["roll_method"][2], found["adj_factor"][2]) == (method, factor)


@pytest.mark.parametrize(("day", "method"), [(2, "adjacent_bars"), (3, "after_gap")])
def test_across_more_than_a_holiday_prices_are_said_to_be_of_before_a_gap(day: int, method: str) -> None:
    assert factors([session(0, 1, 50, 50), session(day, 2, 55, 56)])["roll_method"][1] == method


def test_an_undefined_factor_ends_what_is_made_of_it_and_no_contract_that_had_one() -> None:
    found = factors([session(0, 1, 50, 50), session(1, 2, -1, 3), session(2, 3, 4, 4), session(3, 1, 51, 51)])
    assert found["roll_method"].tolist() == [None, "undefined", "adjacent_bars", "kept"]
    assert found["adj_factor"].isna().tolist() == [False, True, True, False]
    assert found["adj_factor"][3] == 1.0


def wandering(seed: int) -> tuple[list[tuple], list[tuple]]:
    """Front sessions of a year that flips among neighbouring contracts, with holes, cuts and some other legs."""
    rng = np.random.default_rng(seed)
    front, others = [], []
    current = 0
    for day in range(260):
        if rng.random() < 0.1:
            continue
        current = max(0, current + int(rng.choice([-1, 0, 0, 0, 0, 1, 1])) * int(rng.random() < 0.3))
        price = rng.uniform(40, 60, 4).round(2)
        old = front[-1][1] if front else None
        boundary = (old, price[2]) if old != current and rng.random() < 0.3 else (None, None)
        front.append(session(day, current, price[0], price[1], bool(rng.random() < 0.9), boundary))
        if rng.random() < 0.3:
            others.append(session(day, current + 1, price[3], price[3], bool(rng.random() < 0.9)))
    return front, others


@pytest.mark.parametrize("seed", range(20))
def test_factors_agree_with_a_look_up_contract_by_contract(seed: int) -> None:
    front, others = wandering(seed)
    found = factors(front, others)
    expected, methods = reference(front, others)
    np.testing.assert_array_equal(found["adj_factor"], expected)
    assert found["roll_method"].tolist() == methods


def test_the_wandering_series_meet_every_way_to_find_a_factor() -> None:
    met = {method for seed in range(20) for method in factors(*wandering(seed))["roll_method"] if method}
    assert met == {"both_legs", "adjacent_bars", "after_gap", "kept"}


@pytest.mark.parametrize("cut", [1, 30, 99, 180])
def test_later_sessions_change_no_factor(cut: int) -> None:
    front, others = wandering(3)
    until = front[cut - 1][0]
    past = factors(front[:cut], [row for row in others if row[0] <= until])
    pd.testing.assert_frame_equal(past, factors(front, others).iloc[:cut])


def test_products_are_told_apart_even_where_their_contracts_have_the_same_numbers():
    one = [session(0, 1, 50.0, 51.0), session(1, 2, 60.0, 61.0), session(2, 1, 52.0, 53.0)]
    other = [session(0, 1, 70.0, 71.0), session(1, 2, 90.0, 91.0), session(2, 3, 95.0, 96.0)]
    rows = pd.DataFrame([*one, *other], columns=_COLUMNS)
    rows = rows.astype({"boundary_instrument_id": "Int64", "boundary_close": float})
    rows["root"] = ["ZL"] * len(one) + ["ZS"] * len(other)
    together = pd.DataFrame(roll_columns(rows, rows, rows["usable"]))
    apart = pd.concat([factors(one), factors(other)], ignore_index=True)
    pd.testing.assert_frame_equal(together, apart)
