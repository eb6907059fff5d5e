"""How probable the posts of the last days make each policy action, by the rules of policy_actions.yaml.

A rate is a sum of points over the posts of seven days, each decayed by exp(-hours/24), the recency decay of scores: it
is in points a day, moves with every hour and every post a little, and does not grow with how long somebody has been
talking. What a post adds depends on which groups of terms it names, not on how often, so that a single text cannot
drive a probability by repetition. Probabilities are smooth in the rates and never reach their ceilings: the thresholds
of the legacy rules (0 up to a threat level of 10, then 0.55) and their caps (0.9 from 18 on) are gone.

Likes and reposts are no features here: posts carry the counts of their collection, which nobody knew at the decision
time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.predictions import (
    COVERAGE_INPUTS,
    EVENT_INPUTS,
    SESSION_INPUTS,
    TRIGGER_POSTS,
    TRUMP_ACTION,
    WINDOW_DAYS,
)
from cbi_dagster.catalog.frames import require
from cbi_dagster.catalog.spans import span_limit
from cbi_dagster.config.policy_actions import ACTIONS, POST, Action, PolicyActions
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.decision import decision_instants
from cbi_dagster.market.sessions import trade_date_ordinals, utc_instants
from cbi_dagster.policy.text import Words, term_counts
from cbi_dagster.policy.windows import covered_share, hours_before, recency_decay, trailing

Floats: TypeAlias = npt.NDArray[np.float64]
Booleans: TypeAlias = npt.NDArray[np.bool_]

_THREAT, _SIGNAL, _STORM = "tariff_announcement", "trade_negotiation", "social_media_storm"
_DAY_HOURS = 24
_NEW_YORK = "America/New_York"
_EXCERPT = 140
_NO_LETTERS = bytes(byte for byte in range(128) if not chr(byte).isalpha())
_NO_CAPITALS = bytes(byte for byte in range(128) if not chr(byte).isupper())
_RISK_LEVELS = np.array(["LOW", "MODERATE", "HIGH", "EXTREME"], dtype=object)


def risk_score(post_rate: Floats, threat_rate: Floats, signal_rate: Floats) -> Floats:
    """0..100 of three rates (posts or points a day); NaN where one is NaN."""
    posts, threats, signals = np.minimum(post_rate / 10, 1), np.minimum(threat_rate / 20, 1), signal_rate / 10
    score: Floats = 30 * posts + 40 * threats + 30 * np.minimum(signals, 1)
    return score


def risk_level(score: Floats) -> npt.NDArray[np.object_]:
    """LOW below 25, MODERATE below 50, HIGH below 75, else EXTREME; None for NaN."""
    known = ~np.isnan(score)
    levels = np.full(len(score), None, dtype=object)
    levels[known] = _RISK_LEVELS[np.searchsorted([25, 50, 75], score[known], side="right")]
    return levels


def top_actions(probabilities: Floats) -> npt.NDArray[np.object_]:
    """The most probable action of each row of (rows, ACTIONS): `none` where all are 0, None where one is unknown."""
    names = np.array([*ACTIONS, "none"], dtype=object)
    best = np.where((probabilities > 0).any(axis=1), probabilities.argmax(axis=1), len(ACTIONS))
    top = names[best]
    top[np.isnan(probabilities).any(axis=1)] = None
    return top


def trump_action_daily(
    sessions: pd.DataFrame, events: pd.DataFrame, coverage: pd.DataFrame, settings: PolicyActions, universe: Universe
) -> pd.DataFrame:
    """A row per trade date and action: its probability as of 13:20 Chicago, what drives it, and the posts behind it.

    Args:
        sessions: `date` and `symbol` of the sessions for whose dates rows are wanted, and the session before each.
        events: rows of `raw_intelligence.policy_events` of the trade dates of `WINDOW_DAYS` calendar days before.
            Reposts are not counted. `text` is NULL where only the time of a post is known.
        coverage: rows of `raw_intelligence.policy_coverage` of the wanted dates.
        settings: groups of terms, points, curves.

    Where no source's text covers any of the 24 hours to the decision time, what posts say is unknown, and so is every
    probability but that of a storm, which needs their times only. Sorted by date, actions in the order of ACTIONS.

    Raises:
        InvalidFrameError: a frame lacks a column, or an event comes twice.
    """
    require(sessions, SESSION_INPUTS, "sessions")
    require(events, EVENT_INPUTS, "policy events", key=("post_source", "post_id"))
    require(coverage, COVERAGE_INPUTS, "coverage of policy sources")
    dates = np.unique(sessions["date"].to_numpy().astype("datetime64[D]"))
    instants = decision_instants(dates, universe)
    posts = _Posts(events, settings)
    window = _Window(posts, instants, WINDOW_DAYS * 24)

    social = coverage["post_source"].isin(settings.social_sources)
    day_before = hours_before(instants, _DAY_HOURS)
    text_share = covered_share(coverage[coverage["covers_text"].astype(bool)], day_before, instants)
    text_known = text_share > 0
    rate_known = covered_share(coverage[social], day_before, instants) > 0

    known = {name: rate_known if name == _STORM else text_known for name in ACTIONS}
    rates = {name: np.where(known[name], window.rate(posts.points[name]), np.nan) for name in ACTIONS}
    probabilities = {name: settings.actions[name].curve.probability(rates[name]) for name in ACTIONS}
    raw = _raw_features(posts, window, text_known, rate_known)
    raw |= {"threat_rate": rates[_THREAT], "signal_rate": rates[_SIGNAL], "post_rate": rates[_STORM]}
    risk = risk_score(raw["post_rate"], raw["threat_rate"], raw["signal_rate"])
    shared = {
        "date": dates.astype("datetime64[ns]"),
        "top_action": top_actions(np.column_stack([probabilities[name] for name in ACTIONS])),
        "risk_score": risk,
        "risk_level": risk_level(risk),
        "text_coverage_24h": text_share,
        **raw,
    }
    stated = _stated(posts, dates, settings) | {_STORM: raw["posts_24h"] >= settings.storm_posts}
    parts = []
    for name in ACTIONS:
        action = settings.actions[name]
        status = np.where(known[name], "ok", np.where(rate_known, "rate_only", "no_coverage"))
        part = pd.DataFrame(
            {
                **shared,
                "action": name,
                "action_status": status.astype(object),
                "probability": probabilities[name],
                "driver_rate": rates[name],
                "timing": action.timing,
                "horizon_hours": action.horizon_hours,
                "stated_posts": np.where(known[name], stated[name].astype(np.float64), np.nan),
                "trigger_terms": _terms(posts, window, name, action, known[name]),
                **_trigger_posts(posts, window, posts.points[name], known[name]),
            }
        )
        parts.append(part)
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.astype({"stated_posts": "Int64", "posts_24h": "Int64"})
    order = np.argsort(rows["date"].to_numpy(), kind="stable")
    return rows.take(order).reset_index(drop=True)[list(TRUMP_ACTION)]


class _Posts:
    """The original posts in order of time, and what each adds to every action.

    Attributes:
        frame: the posts.
        published: when, UTC datetime64[ns].
        named: whether a post names each group of terms (posts, by group).
        points: what a post adds to the rate of each action.
        social: whether a post is a social one.
    """

    def __init__(self, events: pd.DataFrame, settings: PolicyActions) -> None:
        original = events[(events["post_kind"] == "original").to_numpy(dtype=bool)]
        self.frame = original.sort_values(["published_at", "post_source", "post_id"], ignore_index=True)
        self.published = utc_instants(self.frame["published_at"])
        self.social: Booleans = self.frame["post_source"].isin(settings.social_sources).to_numpy()
        counts = term_counts(Words(self.frame["text"]), settings.terms)
        self.named: dict[str, Booleans] = {group: counts[group].to_numpy() > 0 for group in settings.terms}
        self.named[POST] = self.social
        self.points: dict[str, Floats] = {name: self._points(settings.actions[name]) for name in ACTIONS}

    def __len__(self) -> int:
        return len(self.published)

    def all_of(self, groups: tuple[str, ...]) -> Booleans:
        """Whether a post names every one of the groups."""
        found = np.ones(len(self), dtype=bool)
        for group in groups:
            found &= self.named[group]
        return found

    def _points(self, action: Action) -> Floats:
        total = np.zeros(len(self), dtype=np.float64)
        for group, points in action.points.items():
            total += points * self.named[group]
        return total * self.all_of(action.requires)


class _Window:
    """The posts of the hours before each instant, as pairs of an instant and a post: `rows[i]` sees `posts[i]`."""

    def __init__(self, posts: _Posts, instants: np.ndarray, hours: int) -> None:
        self.instants = len(instants)
        self.rows, self.posts = trailing(posts.published, hours_before(instants, hours), instants)
        self.last_day = posts.published[self.posts] > hours_before(instants, _DAY_HOURS)[self.rows]
        self.decay = recency_decay(posts.published[self.posts], instants[self.rows])

    def total(self, values: Floats) -> Floats:
        """Sum over the posts of each instant, in order of time; `values` has one element per pair."""
        return np.bincount(self.rows, weights=values, minlength=self.instants).astype(np.float64)

    def rate(self, points: Floats) -> Floats:
        """Decayed sum of what each post adds: points a day."""
        return self.total(points[self.posts] * self.decay)


def _count_without(others: bytes, text: str) -> int:
    """How many characters of a text are of ASCII and none of the `others`."""
    return len(text.encode("ascii", "ignore").translate(None, others))


def _raw_features(posts: _Posts, window: _Window, text_known: Booleans, rate_known: Booleans) -> dict[str, Floats]:
    social = posts.social[window.posts]
    count = window.total(social.astype(np.float64))
    last_day = window.total((social & window.last_day).astype(np.float64))
    hour = pd.DatetimeIndex(posts.published).tz_localize("UTC").tz_convert(_NEW_YORK).hour.to_numpy()[window.posts]
    texts = posts.frame["text"].fillna("").astype(str).tolist()

    def within(first: int, last: int) -> Floats:
        """Share of the social posts of the hours `first` to `last` (inclusive)."""
        return window.total((social & (hour >= first) & (hour <= last)).astype(np.float64)) / np.where(
            count > 0, count, np.nan
        )

    def of_texts(counted: list[int]) -> Floats:
        return window.total(np.array(counted, np.float64)[window.posts])

    characters, exclamations = of_texts([len(text) for text in texts]), of_texts([text.count("!") for text in texts])
    capitals = of_texts([_count_without(_NO_CAPITALS, text) for text in texts])
    letters = of_texts([_count_without(_NO_LETTERS, text) for text in texts])
    by_rate = {
        "posts_24h": last_day,
        "posts_per_day_7d": count / WINDOW_DAYS,
        "posts_acceleration": last_day - count / WINDOW_DAYS,
        "night_share_7d": within(0, 4),
        "early_share_7d": within(5, 8),
        "hours_share_7d": within(9, 15),
    }
    by_text = {
        "exclamations_per_1000": 1000 * exclamations / np.where(characters > 0, characters, np.nan),
        "caps_share": capitals / np.where(letters > 0, letters, np.nan),
    }
    return {name: np.where(rate_known, values, np.nan) for name, values in by_rate.items()} | {
        name: np.where(text_known, values, np.nan) for name, values in by_text.items()
    }


def _stated(posts: _Posts, dates: np.ndarray, settings: PolicyActions) -> dict[str, npt.NDArray[np.int64]]:
    """How many posts since the session before state each action.

    A post counts on the first of `dates` that is not before its trade date, unless that session came so late that the
    one before is none (`span_limit(2)`): then it counts on its own trade date only.
    """
    available = posts.frame["trade_date_available"].to_numpy().astype("datetime64[D]")
    at = np.searchsorted(dates, available)
    inside = at < len(dates)
    waited = np.zeros(len(posts), dtype=np.int64)
    if inside.any():
        waited[inside] = trade_date_ordinals(dates[at[inside]]) - trade_date_ordinals(available[inside])
    counted = inside & (waited < span_limit(2))
    counts = {}
    for name in ACTIONS:
        stating = counted & posts.all_of(settings.actions[name].stated_by)
        counts[name] = np.bincount(at[stating], minlength=len(dates)).astype(np.int64)
    return counts


def _terms(posts: _Posts, window: _Window, name: str, action: Action, known: Booleans) -> npt.NDArray[np.object_]:
    """The groups behind each rate, largest first, e.g. `tariff 6.1, china 2.0`; None without any or where unknown."""
    required = posts.all_of(action.requires)
    rates = {
        group: window.rate(points * (posts.named[group] & required).astype(np.float64))
        for group, points in action.points.items()
    }
    groups = list(rates)
    values = np.column_stack([rates[group] for group in groups])
    texts = np.full(len(values), None, dtype=object)
    rows = np.flatnonzero(known & (values > 0).any(axis=1))
    order = np.argsort(-values[rows], axis=1, kind="stable")
    largest = np.take_along_axis(values[rows], order, axis=1)
    for row, places, rated in zip(rows.tolist(), order.tolist(), largest.tolist(), strict=True):
        named = (f"{groups[i]} {rate:.1f}" for i, rate in zip(places, rated, strict=True) if rate >= 0.05)
        texts[row] = ", ".join(named) or None
    return texts


def _trigger_posts(
    posts: _Posts, window: _Window, points: Floats, known: Booleans
) -> Mapping[str, npt.NDArray[np.object_]]:
    """The posts that add most to each rate, of equal ones the latest first."""
    added = points[window.posts] * window.decay
    pairs = np.flatnonzero(added > 0)
    pairs = pairs[np.lexsort((-window.posts[pairs], -added[pairs], window.rows[pairs]))]
    rows = window.rows[pairs]
    first = np.searchsorted(rows, np.arange(window.instants))
    last = np.minimum(np.searchsorted(rows, np.arange(window.instants), side="right"), first + TRIGGER_POSTS)
    ids, texts = posts.frame["post_id"].to_numpy(), posts.frame["text"].to_numpy()
    chosen = np.full(window.instants, None, dtype=object)
    excerpts = np.full(window.instants, None, dtype=object)
    for row in np.flatnonzero(known & (last > first)):
        strongest = window.posts[pairs[first[row] : last[row]]]
        chosen[row] = ",".join(ids[strongest])
        text = texts[strongest[0]]
        if isinstance(text, str):
            excerpts[row] = text[:_EXCERPT]
    return {"trigger_post_ids": chosen, "trigger_excerpt": excerpts}
