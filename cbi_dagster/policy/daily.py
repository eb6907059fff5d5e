"""The sixteen policy features of each trade date, from scored events and what is covered of their sources.

A row knows what was published up to its decision time (13:20 Chicago), of every market alike. It differs from the
definitions of the platform that this one replaces in two points, each for a reason. "The last 24 hours" begin with the
decision time of the symbol's previous session: nothing that is said on a weekend or a holiday falls between two rows.
And Trump's own posts count as naming him: he seldom does, and what he says of China is said by Trump of China.

Only words of an author's own are counted: a repost says again what an event, or another office, has said already.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.policy import (
    COVERAGE_INPUTS,
    DAILY,
    DAILY_EVENT_INPUTS,
    DAY_HOURS,
    MEAN_DAYS,
    MIN_SPREAD_EVENTS,
    PREDICTED,
    SCORE_HOURS,
    SENTIMENT_DAYS,
    SESSION_INPUTS,
)
from cbi_dagster.catalog.columns.sessions import STALE_TRADE_DATES
from cbi_dagster.catalog.frames import require
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.decision import decision_instants
from cbi_dagster.market.sessions import trade_date_ordinals, utc_instants
from cbi_dagster.policy.windows import covered_share, hours_before, recency_decay, trailing

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


class _Window:
    """The events of each row's window: pairs of a row and an event, with how much the event counts at the row."""

    def __init__(self, events: _Events, starts: np.ndarray, decided: np.ndarray) -> None:
        self._events, self._decided, self._rows = events, decided, len(decided)
        self.row, self.event = trailing(events.published, starts, decided)

    def where(self, chosen: _Mask) -> _Window:
        """The same with those events alone for which `chosen` holds."""
        part = object.__new__(_Window)
        part._events, part._decided, part._rows = self._events, self._decided, self._rows
        keep = chosen[self.event]
        part.row, part.event = self.row[keep], self.event[keep]
        return part

    def decay(self) -> _Floats:
        return recency_decay(self._events.published[self.event], self._decided[self.row])

    def count(self) -> _Ints:
        return np.bincount(self.row, minlength=self._rows)

    def sum(self, values: _Floats) -> _Floats:
        """Per row, added up in order of time: no result depends on the rows around it."""
        total: _Floats = np.bincount(self.row, values, self._rows).astype(np.float64)
        return total

    def mean(self, values: _Floats) -> _Floats:
        """Per row; NaN without events."""
        return _ratio(self.sum(values), self.count())

    def highest(self, values: npt.NDArray[np.generic], without: float) -> np.ndarray:
        """Per row; `without` where there are no events."""
        found = np.full(self._rows, without, dtype=np.result_type(values.dtype, type(without)))
        np.maximum.at(found, self.row, values)
        return found


class _Events:
    """Events that count, in order of time, as arrays."""

    def __init__(self, events: pd.DataFrame) -> None:
        own = (events["post_kind"] == "original") & events["event_score"].notna()
        frame = events[own].sort_values("published_at", kind="stable")
        self.published = utc_instants(frame["published_at"])
        self._frame = frame

    def numbers(self, name: str) -> _Floats:
        return self._frame[name].to_numpy(dtype=np.float64, na_value=np.nan)

    def names(self, name: str) -> _Mask:
        """Whether each event names it."""
        return self._frame[f"mentions_{name}"].to_numpy(dtype=bool, na_value=False)


def policy_daily(
    sessions: pd.DataFrame, events: pd.DataFrame, coverage: pd.DataFrame, predicted: pd.DataFrame, universe: Universe
) -> pd.DataFrame:
    """The policy features of every session, sorted by symbol and date; columns DAILY of the dictionary.

    Args:
        sessions: `date` and `symbol` of sessions, one row each.
        events: scored events (DAILY_EVENT_INPUTS), in any order.
        coverage: of which times the posts of which sources are known (COVERAGE_INPUTS), in any order.
        predicted: PREDICTED of each trade date (`impact.expected_over_actions`); NULL on dates without a row.
        universe: says when the decision time is.

    A row reads the events and the coverage of the 36 calendar days before its date, and the sessions of 30 days. All of
    the sixteen are NULL where no source's text covers any part of the day.

    Raises InvalidFrameError for a frame that lacks a column, for sessions that repeat a symbol and date, and for
    predictions that repeat a date.
    """
    require(sessions, SESSION_INPUTS, "sessions", key=("symbol", "date"))
    require(events, DAILY_EVENT_INPUTS, "policy events")
    require(coverage, COVERAGE_INPUTS, "coverage of posts")
    require(predicted, ("date", *PREDICTED), "predictions", key=("date",))
    rows = sessions.sort_values(["symbol", "date"], ignore_index=True)
    decided = decision_instants(rows["date"].to_numpy().astype("datetime64[D]"), universe)
    day = _day_starts(rows, decided)
    with_text = coverage[coverage["covers_text"].to_numpy(bool)]
    share = covered_share(with_text, day, decided)
    features = _features(_Events(events), day, decided)
    covered = share > 0
    frame = pd.DataFrame({name: np.where(covered, values, np.nan) for name, values in features.items()})
    frame["trumpxi_volatility_30d_ma"] = np.where(
        covered, _trailing_mean(rows, frame["trumpxi_sentiment_volatility"].to_numpy()), np.nan
    )
    for name in ("trump_mentions", "trumpxi_china_mentions"):
        frame[name] = frame[name].astype("Int64")
    frame["date"], frame["symbol"] = rows["date"], rows["symbol"]
    expected = predicted.set_index("date").reindex(pd.DatetimeIndex(rows["date"])).reset_index(drop=True)
    for name in PREDICTED:
        frame[name] = expected[name].where(covered)
    frame["policy_coverage"], frame["policy_coverage_share"] = covered, share
    return frame[list(DAILY)]


def _day_starts(rows: pd.DataFrame, decided: np.ndarray) -> np.ndarray:
    """When each row's day begins: at the previous session's decision time, at least 24 hours before its own.

    A session more than STALE_TRADE_DATES trade dates back is another time's: then the day is 24 hours.
    """
    starts = hours_before(decided, DAY_HOURS)
    ordinals = trade_date_ordinals(rows["date"].to_numpy())
    symbols = rows["symbol"].to_numpy(object)
    near = np.zeros(len(rows), bool)
    near[1:] = (symbols[1:] == symbols[:-1]) & (np.diff(ordinals) <= STALE_TRADE_DATES)
    return np.where(near, np.minimum(starts, np.roll(decided, 1)), starts)


def _features(events: _Events, day: np.ndarray, decided: np.ndarray) -> dict[str, np.ndarray]:
    """The features of single windows, as if everything were covered."""
    score, signed = events.numbers("event_score"), events.numbers("event_score_signed")
    sentiment = events.numbers("sentiment_score")
    names_trump = events.names("trump")
    names_both = events.names("china") & (names_trump | events.names("xi"))

    recent = _Window(events, hours_before(decided, SCORE_HOURS), decided)
    decay = recent.decay()
    aged = score[recent.event] * decay
    missed = np.ones(len(decided))
    np.multiply.at(missed, recent.row, 1 - aged)
    highest = recent.highest(aged, 0.0)
    top = np.full(len(decided), -1)
    at_top = (aged > 0) & (aged == highest[recent.row])
    np.maximum.at(top, recent.row[at_top], recent.event[at_top])

    week = _Window(events, hours_before(decided, 24 * SENTIMENT_DAYS), decided)
    scored = week.where(score > 0)
    both = week.where(names_both)
    soy = week.where(events.names("soy") & names_trump)

    today = _Window(events, day, decided)
    both_today = today.where(names_both)
    impact = both_today.mean(signed[both_today.event] * both_today.decay())
    return {
        "trump_score": 1 - missed,
        "trump_score_signed": np.clip(recent.sum(signed[recent.event] * decay), -1, 1),
        "trump_confidence": _ratio(
            recent.sum(events.numbers("source_confidence")[recent.event] * aged), recent.sum(aged)
        ),
        "trump_sentiment_7d": week.mean(sentiment[week.event]),
        "trump_tariff_intensity": today.highest(events.numbers("tariff_intensity")[today.event], 0.0),
        "trump_mentions": today.where(names_trump).count(),
        "trumpxi_china_mentions": both_today.count(),
        "trumpxi_sentiment_volatility": _spread(both, sentiment),
        "trumpxi_policy_impact": np.where(both_today.count() > 0, impact, 0.0),
        "trump_soybean_sentiment_7d": soy.mean(sentiment[soy.event]),
        "policy_trump_topic_multiplier": _taken(events.numbers("topic_multiplier"), top),
        "policy_trump_recency_decay": scored.highest(scored.decay(), 0.0),
    }


def _spread(window: _Window, values: _Floats) -> _Floats:
    """Sample standard deviation per row; NaN with fewer than MIN_SPREAD_EVENTS events."""
    own = values[window.event]
    deviations = own - window.mean(own)[window.row]
    count = window.count()
    variance = _ratio(window.sum(deviations**2), count - 1)
    spread: _Floats = np.where(count >= MIN_SPREAD_EVENTS, np.sqrt(variance), np.nan)
    return spread


def _trailing_mean(rows: pd.DataFrame, values: _Floats) -> _Floats:
    """Mean of the known values of the symbol's sessions within MEAN_DAYS calendar days up to each; NaN without any."""
    dates = rows["date"].to_numpy().astype("datetime64[D]").astype("datetime64[ns]")
    found = np.full(len(rows), np.nan)
    for at in rows.groupby("symbol", sort=False, observed=True).indices.values():
        row, session = trailing(dates[at], dates[at] - np.timedelta64(MEAN_DAYS, "D"), dates[at])
        known = ~np.isnan(values[at][session])
        row, own = row[known], values[at][session[known]]
        found[at] = _ratio(np.bincount(row, own, len(at)).astype(np.float64), np.bincount(row, minlength=len(at)))
    return found


def _taken(values: np.ndarray, at: _Ints) -> np.ndarray:
    """`values[at]`; NaN or NaT where `at` is negative."""
    padded = np.append(values, np.array([np.nan if values.dtype.kind == "f" else "NaT"], dtype=values.dtype))
    taken: np.ndarray = padded[at]
    return taken


def _ratio(dividend: _Floats, divisor: _Ints | _Floats) -> _Floats:
    """NaN where the divisor is not positive."""
    quotient: _Floats = np.divide(dividend, divisor, out=np.full(len(dividend), np.nan), where=divisor > 0)
    return quotient
