"""Simulated posts of policy, in the files that real ones come in: for demonstrations and tests."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd

from cbi_dagster.vendors.simulated_markets import generator

SIMULATED_SOURCE = "sim.demo"
"""The source of simulated posts says what they are."""

_TEXTS = (
    "Trump: new tariffs of {n}% on Chinese goods will be announced very soon. Unfair trade has to end!",
    "A very good call of Trump with President Xi. China will buy {n} million bushels of soybeans from great farmers.",
    "Trump says that no deal with China is better than a bad deal. Talks number {n} fell flat.",
    "China retaliates: {n}% on soybeans and soybean oil. A trade war that they will not win.",
    "Executive order {n}: the biodiesel mandate grows, a strong demand for American soybean oil.",
    "The EPA proposes RFS volumes of {n} billion gallons. Growth for renewable diesel.",
    "Inflation is down, the dollar is strong, and {n} jobs reports in a row were the best ever.",
    "Harvest is under way in {n} counties; barges on the river move again.",
    "Trump lifts tariffs on {n} goods from China after the agreement of Geneva.",
    "The Federal Reserve should cut interest rates by {n} points. A recession would be a crisis of their making!",
    "Crude at {n} dollars, gasoline falls. Energy sanctions stay.",
    "Congratulations to the winners of game {n}, a great evening!",
)
_POSTS_A_DAY = 2.5
_FOUND_AGAIN = 0.4  # of the days, on which a collector finds a post of the days before without its time
_GAP_EVERY, _GAP_DAYS = 97, 6  # days from one time that no collector ran to the next, and its length
_EPOCH = dt.date(2000, 1, 1)


def simulate_posts(out_dir: Path, *, seed: int, start: dt.date, end: dt.date) -> list[Path]:
    """Write simulated posts of the UTC dates [start, end), and what is covered of them, into `out_dir`.

    A later end repeats the earlier posts.
    """
    days = [day.date() for day in pd.date_range(start, end, inclusive="left") if not _in_gap(day.date())]
    posts = [post for day in days for post in _of_day(seed, day)]
    for day in days:
        posts += _found_again(seed, day, start)
    posts.sort(key=lambda post: post.get("published_at", post.get("found_at", "")))
    out_dir.mkdir(parents=True, exist_ok=True)
    places = [out_dir / "simulated.posts.jsonl", out_dir / "simulated.posts-coverage.csv"]
    places[0].write_text("".join(f"{json.dumps(post)}\n" for post in posts), encoding="utf-8", newline="\n")
    covered = pd.DatetimeIndex(days, tz="UTC")
    first = np.flatnonzero(np.diff(covered.asi8, prepend=0) != pd.Timedelta(days=1).value)
    last = np.append(first[1:], len(covered)) - 1
    spans = pd.DataFrame({"source": SIMULATED_SOURCE, "span_start": covered[first], "content": "text"})
    spans["span_end"] = covered[last] + pd.Timedelta(days=1)
    for name in ("span_start", "span_end"):
        spans[name] = spans[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    spans.to_csv(places[1], index=False, lineterminator="\n")
    return places


def _in_gap(day: dt.date) -> bool:
    return (day - _EPOCH).days % _GAP_EVERY < _GAP_DAYS


def _of_day(seed: int, day: dt.date) -> list[dict[str, str]]:
    random = generator(seed, "posts", str(day))
    posts: list[dict[str, str]] = []
    for _ in range(random.poisson(_POSTS_A_DAY)):
        moment = pd.Timestamp(day, tz="UTC") + pd.Timedelta(seconds=int(random.integers(86_400)))
        text = _TEXTS[random.integers(len(_TEXTS))].format(n=int(random.integers(1, 10_000)))
        posts.append(
            {"source": SIMULATED_SOURCE, "published_at": f"{moment:%Y-%m-%dT%H:%M:%SZ}", "text": text, "language": "en"}
        )
    return posts


def _found_again(seed: int, day: dt.date, start: dt.date) -> list[dict[str, str]]:
    """A post of some days before, with the time at which it is found instead of its own."""
    random = generator(seed, "posts found again", str(day))
    earlier = day - dt.timedelta(days=int(random.integers(4, 7)))
    if random.random() > _FOUND_AGAIN or earlier < start or _in_gap(earlier):
        return []
    found: list[dict[str, str]] = []
    for post in _of_day(seed, earlier)[:1]:
        del post["published_at"]
        found.append({**post, "found_at": f"{day}T12:00:00Z"})
    return found
