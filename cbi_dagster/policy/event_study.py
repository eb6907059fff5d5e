"""What soybean oil really did after posts that state an action, or that are about a topic.

A move begins at the decision price after the posts, the first that somebody who reads them could have traded at, and
ends so many sessions later. Posts of neighbouring days share most of their windows: only windows that begin at or after
the end of the one counted before are counted, so that they do not overlap and their mean has an honest error. All
subjects and horizons of a date are tested together (Holm), since one in twenty of them would stand out by chance.

Every month is studied anew at its first session of soybean oil, from moves that had ended by then. What the study of a
date says was known on it: a row may use the last one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.predictions import (
    HORIZONS,
    POLICY_EVENT_STUDY,
    STUDY_ACTION_INPUTS,
    STUDY_EVENT_INPUTS,
    STUDY_PRICE_INPUTS,
)
from cbi_dagster.catalog.frames import require
from cbi_dagster.catalog.spans import span_limit
from cbi_dagster.config.policy_actions import PolicyActions
from cbi_dagster.market.sessions import trade_date_ordinals

Floats: TypeAlias = npt.NDArray[np.float64]
Positions: TypeAlias = npt.NDArray[np.int64]

SYMBOL = "ZL"
MIN_WINDOWS = 20
"""Windows without which nothing is tested."""
SIGNIFICANCE = 0.05
_CONFIDENCE = 0.95
_BY_TEXT = "tariff_announcement"
"""An action whose probability is known where what posts say is."""

_Subject: TypeAlias = tuple[str, str]  # its kind, its name


@dataclass(frozen=True)
class _Market:
    """Sessions of soybean oil: dates (datetime64[D], ascending), and adjusted closes, NaN if not the last price."""

    dates: np.ndarray
    closes: Floats

    def moves(self, horizon: int) -> Floats:
        """The move from each session over `horizon` sessions; NaN where it has not ended, or a hole lies in it."""
        moves = np.full(len(self.dates), np.nan)
        moves[:-horizon] = self.closes[horizon:] / self.closes[:-horizon] - 1
        ordinals = trade_date_ordinals(self.dates)
        moves[:-horizon][ordinals[horizon:] - ordinals[:-horizon] > span_limit(horizon + 1)] = np.nan
        return moves

    def months(self) -> Positions:
        """The first session of every month but that in which the sessions begin."""
        month = self.dates.astype("datetime64[M]")
        return np.flatnonzero(month[1:] != month[:-1]) + 1


def policy_event_study(
    prices: pd.DataFrame, actions: pd.DataFrame, events: pd.DataFrame, settings: PolicyActions
) -> pd.DataFrame:
    """The study of each month, dated with its first session: a row per subject and horizon that has had an event.

    Args:
        prices: `adj_close` of soybean oil since inception (rows of `futures_continuous_1d`; other symbols are left
            out). No move begins or ends in a session that was cut or has holes.
        actions: rows of `predictions.trump_action_daily` since inception. A date with `stated_posts` is an event of the
            action; dates with a probability are covered by posts.
        events: rows of `raw_intelligence.policy_events` since inception; an original post with a `topic` is an event of
            it.
        settings: the expert priors that are held against the moves.

    Raises:
        InvalidFrameError: a frame lacks a column, or a session or an action comes twice.
    """
    require(prices, STUDY_PRICE_INPUTS, "sessions", key=("symbol", "date"))
    require(actions, STUDY_ACTION_INPUTS, "action probabilities", key=("date", "action"))
    require(events, STUDY_EVENT_INPUTS, "policy events")
    market = _market(prices)
    months = market.months()
    parts = []
    for subject, sessions in _event_days(market, actions, events):
        covered, prior = _covered(market, actions, subject), _prior(settings, subject)
        parts += [_study(market, months, horizon, subject, sessions, covered, prior) for horizon in HORIZONS]
    if not parts:
        return pd.DataFrame(columns=list(POLICY_EVENT_STUDY))
    rows = pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    rows = rows[rows["event_days"] > 0].sort_values(["date", "subject_kind", "subject", "horizon"], ignore_index=True)
    rows["p_value_adjusted"] = _holm(rows)
    rows["move_support"] = _support(rows)
    return rows[list(POLICY_EVENT_STUDY)]


def _market(prices: pd.DataFrame) -> _Market:
    own = prices[(prices["symbol"] == SYMBOL).to_numpy() & prices["adj_close"].notna().to_numpy()].sort_values("date")
    sound = ~own["session_quality"].isin(["cut", "holed"]).to_numpy()
    closes = np.where(sound, own["adj_close"].to_numpy(dtype=np.float64), np.nan)
    return _Market(own["date"].to_numpy().astype("datetime64[D]"), closes)


def _covered(market: _Market, actions: pd.DataFrame, subject: _Subject) -> npt.NDArray[np.bool_]:
    """The sessions on which posts about a subject would have been known: of a topic, where what posts say is."""
    kind, name = subject
    own = (actions["action"] == (name if kind == "action" else _BY_TEXT)).to_numpy() & actions["probability"].notna()
    return np.isin(market.dates, actions.loc[own, "date"].to_numpy().astype("datetime64[D]"))


def _event_days(market: _Market, actions: pd.DataFrame, events: pd.DataFrame) -> list[tuple[_Subject, Positions]]:
    """For each subject the sessions at whose decision time its posts were new; on a closed day the next session."""
    stated = actions[(actions["stated_posts"].fillna(0) > 0).to_numpy(dtype=bool)]
    named = events[(events["post_kind"] == "original").to_numpy() & events["topic"].notna().to_numpy()]
    dated = {("action", str(name)): rows["date"] for name, rows in stated.groupby("action", sort=True)}
    dated |= {("topic", str(name)): rows["trade_date_available"] for name, rows in named.groupby("topic", sort=True)}
    found = []
    for subject, dates in dated.items():
        sessions = np.searchsorted(market.dates, np.unique(dates.to_numpy().astype("datetime64[D]")))
        found.append((subject, np.unique(sessions[sessions < len(market.dates)])))
    return found


def _prior(settings: PolicyActions, subject: _Subject) -> float:
    impact = settings.actions[subject[1]].impact if subject[0] == "action" else None
    return np.nan if impact is None else impact.move


def _study(
    market: _Market,
    months: Positions,
    horizon: int,
    subject: _Subject,
    sessions: Positions,
    covered: npt.NDArray[np.bool_],
    prior: float,
) -> dict[str, np.ndarray]:
    """One subject and horizon at every month, by column: sums over the windows that had ended by then."""
    from scipy.special import stdtr, stdtrit  # only a build of this table needs it

    moves = market.moves(horizon)
    ended = sessions[~np.isnan(moves[sessions])]
    counted = np.array(list(_apart(ended, horizon)), dtype=np.int64)
    count = np.searchsorted(counted + horizon, months, side="right")
    base = np.flatnonzero(covered & ~np.isnan(moves))
    base_count = np.searchsorted(base + horizon, months, side="right")

    n = np.where(count > 0, count, np.nan)
    mean = _sums(moves[counted], count) / n
    base_mean = _sums(moves[base], base_count) / np.where(base_count > 0, base_count, np.nan)
    squares = _sums(moves[counted] ** 2, count)
    spread = np.where(count > 1, np.maximum(squares - n * mean**2, 0) / np.maximum(n - 1, 1), np.nan)
    error = np.sqrt(spread / n)
    reach = stdtrit(np.maximum(n - 1, 1), (1 + _CONFIDENCE) / 2) * error
    tested = (count >= MIN_WINDOWS) & (error > 0)
    distance = np.divide(np.abs(mean - base_mean), error, out=np.full(len(months), np.nan), where=tested)
    return {
        "date": market.dates[months].astype("datetime64[ns]"),
        "subject_kind": np.full(len(months), subject[0], object),
        "subject": np.full(len(months), subject[1], object),
        "horizon": np.full(len(months), horizon),
        "event_days": np.searchsorted(ended + horizon, months, side="right"),
        "independent_windows": count,
        "mean_move": mean,
        "mean_move_low": mean - reach,
        "mean_move_high": mean + reach,
        "base_move": base_mean,
        "rising_share": _sums((moves[counted] > 0).astype(np.float64), count) / n,
        "base_rising_share": _sums((moves[base] > 0).astype(np.float64), base_count)
        / np.where(base_count > 0, base_count, np.nan),
        "p_value": np.where(tested, np.minimum(2 * stdtr(np.maximum(n - 1, 1), -distance), 1), np.nan),
        "prior_move": np.full(len(months), prior),
    }


def _apart(sessions: Positions, horizon: int) -> Iterator[int]:
    """The sessions, ascending, without those in whose window before they lie."""
    free = -1
    for session in sessions.tolist():
        if session >= free:
            yield session
            free = session + horizon


def _sums(values: Floats, counts: Positions) -> Floats:
    """Sums of the first `counts` values."""
    summed: Floats = np.append(0.0, np.cumsum(values))[counts]
    return summed


def _holm(rows: pd.DataFrame) -> Floats:
    """p values by Holm's step-down method over all tests of a date; NaN stays NaN."""
    p = rows["p_value"].to_numpy(dtype=np.float64)
    adjusted = np.full(len(p), np.nan)
    dates = rows["date"].to_numpy()
    tested = np.flatnonzero(~np.isnan(p))
    tested = tested[np.lexsort((p[tested], dates[tested]))]
    _, starts = np.unique(dates[tested], return_index=True)
    for start, stop in itertools.pairwise([*starts, len(tested)]):
        own = tested[start:stop]
        scaled = p[own] * np.arange(len(own), 0, -1)
        adjusted[own] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted


def _support(rows: pd.DataFrame) -> npt.NDArray[np.object_]:
    adjusted = rows["p_value_adjusted"].to_numpy(dtype=np.float64)
    prior = rows["prior_move"].to_numpy(dtype=np.float64)
    excess = (rows["mean_move"] - rows["base_move"]).to_numpy(dtype=np.float64)
    agrees = np.sign(excess) == np.sign(prior)
    found = np.where(adjusted > SIGNIFICANCE, "none", np.where(agrees, "supported", "contradicted")).astype(object)
    found[np.isnan(adjusted) | np.isnan(prior)] = "untested"
    return found
