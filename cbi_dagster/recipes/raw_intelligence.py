"""Landed sources other than futures bars."""

from __future__ import annotations

import pandas as pd

from cbi_dagster.catalog.tables.raw_intelligence import MACRO_SERIES, POLICY_COVERAGE, POLICY_EVENTS, POLICY_POSTS
from cbi_dagster.config.policy import load_policy
from cbi_dagster.policy.scoring import scored_events
from cbi_dagster.recipes.recipe import TableOutput, recipe


@recipe(MACRO_SERIES)
def macro_series(macro: pd.DataFrame) -> pd.DataFrame:
    return macro


@recipe(POLICY_POSTS)
def policy_posts(posts: pd.DataFrame) -> pd.DataFrame:
    return posts


@recipe(POLICY_COVERAGE)
def policy_coverage(posts_coverage: pd.DataFrame) -> pd.DataFrame:
    return posts_coverage


@recipe(POLICY_EVENTS)
def policy_events(policy_posts: pd.DataFrame) -> TableOutput:
    scored = scored_events(policy_posts, load_policy())
    nothing = pd.DataFrame(columns=["date", "symbol", "vendor_schema", "reason", "bar_rows"])
    return TableOutput(scored.events, scored.duplicates, nothing)
