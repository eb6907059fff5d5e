"""Sessions, posts and coverage as `trump_action_daily` takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cbi_dagster.config.policy_actions import load_policy_actions
from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.decision import trade_date_available
from cbi_dagster.policy.actions import trump_action_daily

CHICAGO = "America/Chicago"
SETTINGS, UNIVERSE = load_policy_actions(), load_universe()


def chicago(moment: str) -> pd.Timestamp:
    """A moment of Chicago's wall clock."""
    return pd.Timestamp(moment, tz=CHICAGO).tz_convert("UTC")


def events(*posts: tuple[str, str | None], source: str = "twitter", kind: str = "original") -> pd.DataFrame:
    """Posts (Chicago time, text); their ids are p0, p1 …"""
    published = pd.Series([chicago(moment) for moment, _ in posts], dtype="datetime64[ns, UTC]")
    return pd.DataFrame(
        {
            "trade_date_available": trade_date_available(published, UNIVERSE),
            "post_source": pd.Series([source] * len(posts), dtype=object),
            "post_id": pd.Series([f"p{number}" for number in range(len(posts))], dtype=object),
            "published_at": published,
            "text": pd.Series([text for _, text in posts], dtype=object),
            "post_kind": pd.Series([kind] * len(posts), dtype=object),
        }
    )


def coverage(first: str, last: str, *, text: bool = True, source: str = "twitter") -> pd.DataFrame:
    """One span of Chicago time that a source covers."""
    return pd.DataFrame(
        {
            "post_source": [source],
            "covers_text": [text],
            "covered_from": [chicago(first)],
            "covered_to": [chicago(last)],
        }
    )


def sessions(*dates: str) -> pd.DataFrame:
    return pd.DataFrame({"date": pd.to_datetime(list(dates)), "symbol": "ZL"})


def weekdays(first: str, last: str) -> list[str]:
    return [f"{day:%Y-%m-%d}" for day in pd.bdate_range(first, last)]


def actions(
    posts: pd.DataFrame,
    dates: Sequence[str] = ("2018-03-06", "2018-03-07"),
    covered: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Rows of `trump_action_daily` by date and action; March 2018 is covered unless said otherwise."""
    spans = coverage("2018-02-01", "2018-04-30") if covered is None else covered
    return trump_action_daily(sessions(*dates), posts, spans, SETTINGS, UNIVERSE).set_index(["date", "action"])


def row(rows: pd.DataFrame, action: str, date: str = "2018-03-07") -> pd.Series:
    return rows.loc[(np.datetime64(date), action)]
