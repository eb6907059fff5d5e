"""Policy actions, what they are expected to do to soybean oil, and how far that can be trusted."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cbi_dagster.catalog.tables.predictions import (
    POLICY_ACTION_CALIBRATION,
    POLICY_EVENT_STUDY,
    TRUMP_ACTION_DAILY,
    ZL_IMPACT_DAILY,
)
from cbi_dagster.config.policy_actions import load_policy_actions
from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.decision import series_at_decision
from cbi_dagster.policy import actions, calibration, event_study, impact
from cbi_dagster.recipes.recipe import recipe


@recipe(TRUMP_ACTION_DAILY)
def trump_action_daily(
    futures_continuous_1d: pd.DataFrame, policy_events: pd.DataFrame, policy_coverage: pd.DataFrame
) -> pd.DataFrame:
    return actions.trump_action_daily(
        futures_continuous_1d, policy_events, policy_coverage, load_policy_actions(), load_universe()
    )


@recipe(POLICY_EVENT_STUDY)
def policy_event_study(
    futures_continuous_1d: pd.DataFrame, trump_action_daily: pd.DataFrame, policy_events: pd.DataFrame
) -> pd.DataFrame:
    return event_study.policy_event_study(
        futures_continuous_1d, trump_action_daily, policy_events, load_policy_actions()
    )


@recipe(POLICY_ACTION_CALIBRATION)
def policy_action_calibration(trump_action_daily: pd.DataFrame, futures_continuous_1d: pd.DataFrame) -> pd.DataFrame:
    return calibration.policy_action_calibration(
        trump_action_daily, _dates(futures_continuous_1d), load_policy_actions()
    )


@recipe(ZL_IMPACT_DAILY)
def zl_impact_daily(
    trump_action_daily: pd.DataFrame,
    futures_continuous_1d: pd.DataFrame,
    macro_series: pd.DataFrame,
    policy_event_study: pd.DataFrame,
    policy_action_calibration: pd.DataFrame,
) -> pd.DataFrame:
    settings = load_policy_actions()
    known = series_at_decision(macro_series, _dates(trump_action_daily), settings.max_staleness_days, load_universe())
    return impact.zl_impact_daily(
        trump_action_daily, futures_continuous_1d, known, policy_event_study, policy_action_calibration, settings
    )


def _dates(rows: pd.DataFrame) -> np.ndarray:
    """The trade dates of rows, ascending."""
    return np.unique(rows["date"].to_numpy().astype("datetime64[D]"))
