"""Posts and coverage to score."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cbi_dagster.catalog.columns.policy import POSTS
from cbi_dagster.config.policy import load_policy
from cbi_dagster.config.universe import load_universe
from cbi_dagster.market.decision import trade_date_available
from cbi_dagster.policy.scoring import ScoredEvents, scored_events

#: A Wednesday, 13:20 in Chicago.
DECISION = pd.Timestamp("2019-06-12 18:20", tz="UTC")


def post(text: str | None, published: str | pd.Timestamp = "2019-06-12 12:00", **stated: object) -> dict[str, object]:
    moment = pd.Timestamp(published)
    return {
        "text": text,
        "published_at": moment.tz_localize("UTC") if moment.tz is None else moment,
        "post_source": "twitter",
        "is_published_time_known": True,
        "author": None,
        "url": None,
        "language": None,
        "post_kind": "original",
        "source_file": "a.posts.csv",
        **stated,
    }


def posts(*stated: dict[str, object]) -> pd.DataFrame:
    """Rows of `raw_intelligence.policy_posts`, numbered in the order given."""
    frame = pd.DataFrame(list(stated), columns=[*post(None), *({key for row in stated for key in row} - {*post(None)})])
    frame["published_at"] = pd.to_datetime(frame["published_at"], utc=True).astype("datetime64[ns, UTC]")
    frame["trade_date_available"] = trade_date_available(frame["published_at"], load_universe())
    frame["source_row"] = range(len(frame))
    frame["is_published_time_known"] = frame["is_published_time_known"].astype(bool)
    for name in ("likes", "reposts", "replies"):
        frame[name] = pd.array([pd.NA] * len(frame), "Int64")
    if "post_id" not in frame:
        frame["post_id"] = [f"{source}:{number}" for number, source in enumerate(frame["post_source"])]
    return frame[list(POSTS)]


def scored(*stated: dict[str, object]) -> ScoredEvents:
    return scored_events(posts(*stated), load_policy())


def event(text: str, **stated: object) -> pd.Series:
    """The one event that a post becomes."""
    (row,) = [row for _, row in scored(post(text, **stated)).events.iterrows()]
    return row


def sessions(*days: str, symbol: str = "ZL") -> pd.DataFrame:
    return pd.DataFrame({"date": pd.to_datetime(list(days)), "symbol": symbol})


def covered(first: str, last: str, *, text: bool = True) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "covers_text": [text],
            "covered_from": [pd.Timestamp(first, tz="UTC")],
            "covered_to": [pd.Timestamp(last, tz="UTC")],
        }
    )


def texts(*found: str | None) -> Sequence[str | None]:
    return found
