"""Scoring a year of posts, and the policy features of a history, against a loop over every post and term.

10,000 simulated posts become scored events, and events the features of 3,800 sessions of two markets. The loop is what
one writes first: for every post, one compiled regular expression a term, with word boundaries. It only says which
groups of terms each post names, which must agree before it is timed; sentiment with negation, duplicates, frequency and
scores are the work here on top of that.

Example:
    python benchmarks/policy.py
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from recording import best_seconds, markdown, versions

from cbi_dagster.catalog.columns.policy import PREDICTED
from cbi_dagster.config.policy import load_policy
from cbi_dagster.config.universe import load_universe
from cbi_dagster.policy.daily import policy_daily
from cbi_dagster.policy.scoring import scored_events
from cbi_dagster.policy.text import Words, distinct_terms
from cbi_dagster.vendors.files import DeliveredFile, content_of
from cbi_dagster.vendors.posts.files import decode_posts, screen_posts
from cbi_dagster.vendors.posts.simulated import simulate_posts


def posts_to_score(count: int) -> pd.DataFrame:
    """So many simulated posts, of the years that it takes."""
    with tempfile.TemporaryDirectory() as directory:
        end = dt.date(2011, 1, 1) + dt.timedelta(days=count // 2)
        path, _ = simulate_posts(Path(directory), seed=1, start=dt.date(2011, 1, 1), end=end)
        rows = decode_posts(content_of(DeliveredFile(path, path.name)))
    kept, _ = screen_posts(rows, pd.Timestamp.now("UTC"), load_universe())
    return kept.head(count).assign(source_file="simulated")


def named_in_a_loop(texts: list[str]) -> np.ndarray:
    """Whether each text names each group, term by term."""
    groups = [
        [re.compile(rf"\b{re.escape(form)}\b") for term in group.terms for form in term.split("/")]
        for group in load_policy().groups
    ]
    return np.array([[any(term.search(text.lower()) for term in terms) for terms in groups] for text in texts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a miniature run, to see that it works")
    options = parser.parse_args()
    policy, universe = load_policy(), load_universe()
    posts = posts_to_score(200 if options.small else 10_000)
    texts = posts["text"].tolist()
    here = distinct_terms(Words(texts), policy.terms).to_numpy() > 0
    assert (here == named_in_a_loop(texts)).all(), "the loop names other groups"
    days = pd.bdate_range("2011-01-03", periods=30 if options.small else 3_800)
    sessions = pd.concat([pd.DataFrame({"date": days, "symbol": symbol}) for symbol in ("ZL", "MES")])
    moments = pd.DatetimeIndex(["2011-01-01", "2030-01-01"], tz="UTC")
    coverage = pd.DataFrame({"covers_text": [True], "covered_from": moments[:1], "covered_to": moments[1:]})
    predicted = pd.DataFrame({"date": days, **dict.fromkeys(PREDICTED)})
    events = scored_events(posts, policy).events
    works: list[tuple[str, int, Callable[[], object]]] = [
        ("posts to scored events", len(posts), lambda: scored_events(posts, policy)),
        ("groups that posts name, in a loop", len(posts), lambda: named_in_a_loop(texts)),
        (
            "events to features of sessions",
            len(sessions),
            lambda: policy_daily(sessions, events, coverage, predicted, universe),
        ),
    ]
    rows = [[what, f"{count:,}", f"{best_seconds(work, 3):.2f} s"] for what, count, work in works]
    print(versions("pandas", "numpy"))
    print(markdown(["", "rows", "time"], rows))


if __name__ == "__main__":
    main()
