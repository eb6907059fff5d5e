"""From posts to scored events: what a text is about, which way it points, and how much it counts before it ages.

An event's score looks at the event and at what came before it, never at a later one or at the present: it is the same
whenever it is computed. How old an event is at a decision time is for `windows.recency_decay`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.policy import DUPLICATE_DAYS, EVENTS, POSTS
from cbi_dagster.catalog.frames import require
from cbi_dagster.config.policy import Policy
from cbi_dagster.market.sessions import utc_instants
from cbi_dagster.policy.text import Words, distinct_terms, text_key
from cbi_dagster.policy.windows import hours_before

#: How far apart two statements of one post may lie when both say when it was published: two platforms, or two clocks.
_SAME_POST_MINUTES = 10
_DEFAULT_TOPIC = "other"

_Mask = npt.NDArray[np.bool_]
_Floats = npt.NDArray[np.float64]
_Counts = npt.NDArray[np.int64]


class ScoredEvents(NamedTuple):
    """Events (EVENTS, sorted by `published_at` and `post_id`), and the posts that repeat others.

    `duplicates`: rows of `ops.quarantine` without `table_name`.
    """

    events: pd.DataFrame
    duplicates: pd.DataFrame


def scored_events(posts: pd.DataFrame, policy: Policy) -> ScoredEvents:
    """The events of posts (rows of `raw_intelligence.policy_posts`, in any order) with their scores.

    A post is a duplicate, and no event, if an earlier one of the last 7 days (`DUPLICATE_DAYS`, inclusive) has its URL,
    or says the same: within 10 minutes where both say when they were published, since what is said again later is
    said again. A post of which only the time is known is an event whose scores are NULL.

    The event needs the posts of 7 days and of `policy.frequency.hours` before it.
    """
    require(posts, POSTS, "posts", key=("post_id",))
    ordered = posts.sort_values(["published_at", "post_id"], ignore_index=True)
    original = _originals(ordered)
    kept = original < 0
    duplicates = _quarantined(ordered[~kept], ordered["post_id"].to_numpy()[original[~kept]])
    events = ordered[kept].reset_index(drop=True)
    words = Words(events["text"])
    known = events["text"].notna().to_numpy()
    groups = distinct_terms(words, policy.terms) > 0
    scores = pd.DataFrame({"source_confidence": _confidence(events["post_source"], policy)})
    topic, multiplier = _topics(groups, policy)
    scores["topic"] = pd.Series(topic, dtype=object).where(pd.Series(known), None)
    scores["topic_multiplier"] = np.where(known, multiplier, np.nan)
    scores["entities"] = _entities(groups, policy)
    own = events["author"].fillna("").str.lower().str.lstrip("@").isin(policy.own_authors.names).to_numpy()
    for name in ("trump", "xi", "china", "soy", "tariff"):
        named = groups[name].to_numpy() | own if name == "trump" else groups[name].to_numpy()
        scores[f"mentions_{name}"] = _flags(named, known)
    bullish, bearish = sentiment_terms(words, policy)
    scores["bullish_terms"] = _counts(bullish, known)
    scores["bearish_terms"] = _counts(bearish, known)
    sentiment = np.where(known, (bullish - bearish) / (bullish + bearish + 1), np.nan)
    scores["sentiment_score"] = sentiment
    scores["tariff_intensity"] = np.where(known, tariff_intensity(words, policy), np.nan)
    scores["frequency_penalty"] = _frequency_penalty(events, topic, known, policy)
    scores["event_score"] = (
        scores["source_confidence"] * scores["topic_multiplier"] * np.abs(sentiment) * scores["frequency_penalty"]
    )
    scores["event_score_signed"] = scores["event_score"] * np.sign(sentiment)
    return ScoredEvents(pd.concat([events, scores], axis=1)[list(EVENTS)], duplicates)


def sentiment_terms(words: Words, policy: Policy) -> tuple[_Counts, _Counts]:
    """How many different terms of each text are bullish and bearish for soybean oil.

    A term up to `negation_words` words behind a negator of its sentence counts on the other side.
    """
    rules = policy.sentiment
    negators = np.unique(np.concatenate([words.positions(term) for term in rules.negators]))
    plain = {side: np.zeros(words.texts, np.int64) for side in ("bullish", "bearish")}
    for side, other, terms in (("bullish", "bearish", rules.bullish), ("bearish", "bullish", rules.bearish)):
        for term in terms:
            at = words.positions(term)
            negated = words.within(at, negators, rules.negation_words)
            plain[side] += np.bincount(words.text_of[at[~negated]], minlength=words.texts) > 0
            plain[other] += np.bincount(words.text_of[at[negated]], minlength=words.texts) > 0
    return plain["bullish"], plain["bearish"]


def tariff_intensity(words: Words, policy: Policy) -> _Floats:
    """100 tanh(share x sum of the weights of the tariff terms that a text names / scale), 0 to 100."""
    rules = policy.tariff_weights
    score = np.zeros(words.texts, np.float64)
    for weighted in rules.terms:
        score[words.text_of[words.positions(weighted.term)]] += weighted.weight
    return np.asarray(100 * np.tanh(rules.share * score / rules.scale), np.float64)


def _originals(posts: pd.DataFrame) -> _Counts:
    """Position of the earlier post that each one repeats, -1 for one that repeats none; the posts are in order."""
    published = utc_instants(posts["published_at"])
    known = posts["is_published_time_known"].to_numpy(bool)
    said = posts["text"].map(text_key, na_action="ignore")
    said = said.where(said != "", posts["text"])  # without a letter of ASCII, the text itself tells posts apart
    week, clocks = np.timedelta64(DUPLICATE_DAYS, "D"), np.timedelta64(_SAME_POST_MINUTES, "m")
    before, vague = _earlier(said, np.ones(len(posts), bool)), _earlier(said, ~known)
    found = [
        _recent(_earlier(posts["url"], np.ones(len(posts), bool)), published, week),
        _recent(before, published, clocks),
        np.where(known, -1, _recent(before, published, week)),
        _recent(vague, published, week),
    ]
    originals: _Counts = np.max(found, axis=0)
    return originals


def _earlier(keys: pd.Series, among: _Mask) -> _Counts:
    """Position of the last row before each one that has its key and is `among` them; -1 without one, or a key."""
    own = np.where(among, np.arange(len(keys)), -1)
    groups = pd.Series(own).groupby(keys.to_numpy(object), sort=False)
    last = groups.cummax().groupby(keys.to_numpy(object), sort=False).shift(fill_value=-1)
    return np.asarray(last.fillna(-1), np.int64)


def _recent(earlier: _Counts, published: np.ndarray, most: np.timedelta64) -> _Counts:
    """The earlier positions as far as they lie at most so long before their row, else -1."""
    recent = (earlier >= 0) & (published - published[np.maximum(earlier, 0)] <= most)
    return np.where(recent, earlier, -1)


def _confidence(sources: pd.Series, policy: Policy) -> _Floats:
    return np.asarray(sources.map(policy.confidences).fillna(policy.default_confidence), np.float64)


def _topics(groups: pd.DataFrame, policy: Policy) -> tuple[np.ndarray, _Floats]:
    """Of the topics whose groups a text names all, the one with the highest multiplier, of equal ones the first."""
    topic = np.full(len(groups), _DEFAULT_TOPIC, dtype=object)
    multiplier: _Floats = np.full(len(groups), policy.default_multiplier, np.float64)
    decided = np.zeros(len(groups), bool)
    named = {name: groups[name].to_numpy() for name in groups}
    for one in sorted(policy.topics, key=lambda one: -one.multiplier):
        own = np.logical_and.reduce([named[name] for name in one.needs]) & ~decided
        topic[own], multiplier[own] = one.name, one.multiplier
        decided |= own
    return topic, multiplier


def _entities(groups: pd.DataFrame, policy: Policy) -> np.ndarray:
    """Names of the entities of each text, in alphabetical order, separated by commas; None without any."""
    text = np.full(len(groups), "", dtype=object)
    for name in sorted(group.name for group in policy.groups if group.entity):
        text = text + np.where(groups[name], f"{name},", "").astype(object)
    return np.array([names[:-1] or None for names in text], dtype=object)


def _frequency_penalty(events: pd.DataFrame, topic: np.ndarray, known: _Mask, policy: Policy) -> _Floats:
    """The penalty where enough events of the same source and topic went before; NULL without text."""
    rules = policy.frequency
    penalty = np.where(known, 1.0, np.nan)
    rows = pd.DataFrame({"source": events["post_source"].to_numpy(object), "topic": topic})[known]
    for at in rows.groupby(["source", "topic"], sort=False).indices.values():
        own = np.flatnonzero(known)[at]
        published = utc_instants(events["published_at"].iloc[own])
        before = np.arange(len(own)) - np.searchsorted(published, hours_before(published, rules.hours))
        penalty[own[before >= rules.events]] = rules.penalty
    return penalty


def _flags(values: _Mask, known: _Mask) -> pd.Series:
    """NULL where nothing is known."""
    return pd.Series(pd.arrays.BooleanArray(values, ~known))


def _counts(values: _Counts, known: _Mask) -> pd.Series:
    """NULL where nothing is known."""
    return pd.Series(pd.arrays.IntegerArray(values, ~known))


def _quarantined(posts: pd.DataFrame, originals: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "date": posts["trade_date_available"],
            "file_hash": "",
            "source_file": posts["source_file"],
            "source_row": posts["source_row"],
            "symbol": posts["post_id"],
            "ts_event": posts["published_at"],
            "reason": "duplicate_post",
            "detail": [f"repeats {post_id}" for post_id in originals],
        }
    )
