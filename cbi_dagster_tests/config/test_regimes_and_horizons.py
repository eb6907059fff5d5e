"""The regime registry and the horizons: what is declared, and which mistakes are refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from cbi_dagster.config.horizons import Horizon, Horizons, Splits, load_horizons
from cbi_dagster.config.regimes import RegimeRegistry, load_regimes
from cbi_dagster.config.universe import load_universe


def regime(name: str, first: str, last: str, **changes: Any) -> dict[str, Any]:
    facts = {"weight": 100, "known_from": first, "description": "d", "research_rationale": "r"}
    return {"name": name, "from": first, "to": last, **facts, **changes}


def registry(*regimes: dict[str, Any]) -> RegimeRegistry:
    baseline = {"name": "baseline", "weight": 100, "description": "d", "research_rationale": "r"}
    return RegimeRegistry.model_validate({"baseline": baseline, "regimes": regimes})


def test_fifteen_regimes_cover_1998_to_the_end_of_the_term_without_a_gap() -> None:
    regimes = load_regimes().regimes
    assert len(regimes) == 15
    assert (regimes[0].valid_from, regimes[-1].valid_to) == (dt.date(1998, 1, 1), dt.date(2029, 1, 20))
    days = sum((one.valid_to - one.valid_from).days + 1 for one in regimes)
    assert days == (dt.date(2029, 1, 20) - dt.date(1998, 1, 1)).days + 1
    assert [one.weight for one in regimes] == [50, 75, 100, 200, 150, 100, 250, 125, 300, 350, 200, 400, 250, 400, 600]
    assert all(one.description and one.research_rationale for one in regimes)


def test_no_regime_is_known_before_it_starts() -> None:
    assert all(one.known_from >= one.valid_from for one in load_regimes().regimes)


@pytest.mark.parametrize(
    ("second", "complaint"),
    [
        (regime("b", "2020-01-03", "2020-02-01"), "b must start on the day after a ends"),
        (regime("b", "2020-01-01", "2020-02-01"), "b must start on the day after a ends"),
        (regime("b", "2020-01-02", "2020-01-01"), "b ends before it starts"),
        (regime("a", "2020-01-02", "2020-02-01"), "named twice"),
        (regime("baseline", "2020-01-02", "2020-02-01"), "named twice"),
        (regime("b", "2020-01-02", "2020-02-01", weight=1001), "less than or equal to 1000"),
        (regime("b", "2020-01-02", "2020-02-01", weight=0), "greater than or equal to 1"),
        (regime("b", "2020-01-02", "2020-02-01", color="red"), "Extra inputs"),
        (regime("b", "2020-01-02", "2020-02-01", known_from=None), "known_from"),
    ],
)
def test_a_registry_with_a_mistake_is_refused(second: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        registry(regime("a", "2019-01-01", "2020-01-01"), second)


def test_adjoining_regimes_are_accepted() -> None:
    accepted = registry(regime("a", "2019-01-01", "2020-01-01"), regime("b", "2020-01-02", "2020-01-02"))
    assert [one.name for one in accepted.regimes] == ["a", "b"]


def test_there_are_seventeen_training_tables() -> None:
    horizons = load_horizons()
    assert [(one.name, one.sessions) for one in horizons.daily("ZL")] == [
        ("1w", 5), ("1m", 21), ("3m", 63), ("6m", 126), ("12m", 252),
    ]  # fmt: skip
    assert [(one.name, one.sessions) for one in horizons.daily("MES")] == [
        ("1d", 1), ("7d", 5), ("30d", 21), ("3m", 63), ("6m", 126), ("12m", 252),
    ]  # fmt: skip
    assert [(one.name, one.minutes) for one in horizons.intraday_horizons] == [
        ("1min", 1), ("5min", 5), ("15min", 15), ("30min", 30), ("1hr", 60), ("4hr", 240),
    ]  # fmt: skip
    assert {one.model_family for one in horizons.daily_horizons} == {"tree"}
    assert {one.model_family for one in horizons.intraday_horizons} == {"neural"}
    assert {one.symbol for one in (*horizons.daily_horizons, *horizons.intraday_horizons)} <= set(load_universe().roots)


def test_a_target_session_is_looked_for_past_the_holidays_of_its_horizon() -> None:
    # A year of 261 weekdays has about 251 sessions; the rest is room for a hole in the data.
    for horizon in load_horizons().daily_horizons:
        assert horizon.forward_trade_dates - 10 >= horizon.sessions * 261 / 251


def horizons(*daily: tuple[str, str, int], train_to: str = "2022-12-31") -> Horizons:
    return Horizons.model_validate(
        {
            "splits": {"train_to": train_to, "val_to": "2023-12-31", "intraday_embargo_trade_dates": 1},
            "daily": [Horizon(symbol=s, name=n, sessions=k, model_family="tree").model_dump() for s, n, k in daily],
            "intraday": [],
        }
    )


def test_a_label_of_a_year_leaves_a_year_of_validation_beside_the_purged_one() -> None:
    horizons = load_horizons()
    common = (dt.date(2022, 12, 31), dt.date(2023, 12, 31))
    own = {
        ("ZL", "12m"): (dt.date(2020, 12, 31), dt.date(2022, 12, 31)),
        ("MES", "12m"): (dt.date(2022, 12, 31), dt.date(2024, 12, 31)),
    }
    for horizon in horizons.daily_horizons:
        splits = horizons.splits_of(horizon)
        assert (splits.train_to, splits.val_to) == own.get((horizon.symbol, horizon.name), common)
        assert np.busday_count(splits.train_to, splits.val_to) - horizon.sessions * 261 / 251 >= 60


def test_horizons_with_a_mistake_are_refused() -> None:
    with pytest.raises(ValidationError, match="named twice"):
        horizons(("ZL", "1w", 5), ("ZL", "1w", 6))
    with pytest.raises(ValidationError, match="ZL 1w must come before 1m"):
        horizons(("ZL", "1m", 21), ("ZL", "1w", 5))
    with pytest.raises(ValidationError, match="train_to must lie before val_to"):
        horizons(("ZL", "1w", 5), train_to="2023-12-31")
    with pytest.raises(ValidationError, match="train_to must lie before val_to"):
        Splits(train_to=dt.date(2024, 1, 1), val_to=dt.date(2024, 1, 1))
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        horizons(("ZL", "now", 0))
