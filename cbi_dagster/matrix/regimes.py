"""The regime of each trade date, from the registry to a look-up table that refuses to guess."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.regimes import CALENDAR_INPUTS, WEIGHT_INPUTS
from cbi_dagster.catalog.frames import require
from cbi_dagster.config.regimes import RegimeRegistry

_NAMED = 5


class RegimeNotCoveredError(ValueError):
    """A trade date has no regime, or not exactly one, or a regime has no weight. Rows are never skipped for it."""


def regime_calendar(trade_dates: npt.NDArray[np.datetime64], registry: RegimeRegistry) -> pd.DataFrame:
    """The regime of each trade date (datetime64[D]): `date`, `regime`, `valid_from`, `valid_to`, `is_fallback`.

    Dates outside the registry get the baseline, flagged and without bounds.
    """
    starts = np.array([regime.valid_from for regime in registry.regimes], dtype="datetime64[D]")
    ends = np.array([regime.valid_to for regime in registry.regimes], dtype="datetime64[D]")
    names = np.array([regime.name for regime in registry.regimes], dtype=object)
    at = np.searchsorted(starts, trade_dates, side="right") - 1
    known = (at >= 0) & (trade_dates <= ends[at])
    nat = np.datetime64("NaT", "D")
    return pd.DataFrame(
        {
            "date": trade_dates.astype("datetime64[ns]"),
            "regime": np.where(known, names[at], registry.baseline.name),
            "valid_from": np.where(known, starts[at], nat).astype("datetime64[ns]"),
            "valid_to": np.where(known, ends[at], nat).astype("datetime64[ns]"),
            "is_fallback": ~known,
        }
    )


def regime_weights(registry: RegimeRegistry) -> pd.DataFrame:
    """One row per regime and for the baseline, in order: weight, description, rationale and `known_from`.

    The baseline has no `known_from`: it names nothing that had to be found out.
    """
    rows = [
        {
            "regime": regime.name,
            "weight": regime.weight,
            "description": regime.description,
            "research_rationale": regime.research_rationale,
            "known_from": getattr(regime, "known_from", None),
        }
        for regime in (*registry.regimes, registry.baseline)
    ]
    return pd.DataFrame(rows).astype({"known_from": "datetime64[ns]"})


@dataclass(frozen=True)
class RegimeEntry:
    """The regime of one trade date; bounds are inclusive and None for the baseline."""

    name: str
    weight: int
    valid_from: pd.Timestamp | None
    valid_to: pd.Timestamp | None


@dataclass(frozen=True)
class Coverage:
    """How many of some dates have a regime, and which do not (each once, ascending)."""

    total: int
    covered: int
    missing: tuple[np.datetime64, ...]

    @property
    def fraction(self) -> float:
        """Covered share, 0 to 1; 1 for no dates at all."""
        return self.covered / self.total if self.total else 1.0


class RegimeCache:
    """Look-up of a trade date's regime in constant time, over `training.regime_calendar` and its weights."""

    def __init__(self, calendar: pd.DataFrame, weights: pd.DataFrame) -> None:
        """Rows of both tables (CALENDAR_INPUTS, WEIGHT_INPUTS), in any order.

        Raises RegimeNotCoveredError for a date with two regimes or none, and for a regime without exactly one weight;
        InvalidFrameError for a missing column.
        """
        require(calendar, CALENDAR_INPUTS, "rows of training.regime_calendar")
        require(weights, WEIGHT_INPUTS, "rows of training.regime_weights")
        self._dates = pd.DatetimeIndex(calendar["date"])
        if (twice := self._dates.duplicated()).any():
            raise RegimeNotCoveredError(
                f"training.regime_calendar has several rows for {_listed(self._dates[twice])}: rebuild it"
            )
        if (nameless := calendar["regime"].isna().to_numpy()).any():
            raise RegimeNotCoveredError(
                f"training.regime_calendar names no regime for {_listed(self._dates[nameless])}: rebuild it"
            )
        known = weights.dropna(subset=["weight"]).set_index("regime")["weight"]
        if known.index.has_duplicates:
            doubled = ", ".join(sorted(known.index[known.index.duplicated()]))
            raise RegimeNotCoveredError(f"training.regime_weights has several rows for {doubled}: rebuild it")
        if unweighted := sorted(set(calendar["regime"]) - set(known.index)):
            raise RegimeNotCoveredError(
                f"training.regime_weights has no weight for {', '.join(unweighted)}: add it to config/regimes.yaml and "
                "materialize training.regime_weights"
            )
        rows = calendar[["regime", "valid_from", "valid_to"]].reset_index(drop=True)
        rows.insert(1, "weight", rows["regime"].map(known).astype(np.int64))
        self._rows = rows

    def __getitem__(self, date: np.datetime64) -> RegimeEntry:
        """The regime of one trade date; RegimeNotCoveredError when the calendar does not have it."""
        regime, weight, *bounds = self.lookup(np.array([date])).iloc[0]
        valid_from, valid_to = (None if pd.isna(bound) else bound for bound in bounds)
        return RegimeEntry(regime, int(weight), valid_from, valid_to)

    def coverage(self, dates: npt.NDArray[np.datetime64]) -> Coverage:
        """Which of the dates (datetime64, repeats allowed) the calendar covers."""
        missing = self._positions(dates) < 0
        return Coverage(len(dates), int((~missing).sum()), tuple(np.unique(dates[missing].astype("datetime64[D]"))))

    def lookup(self, dates: npt.NDArray[np.datetime64]) -> pd.DataFrame:
        """`regime`, `weight`, `valid_from` and `valid_to` of each date (datetime64), in the order given.

        Raises RegimeNotCoveredError naming dates without a regime: a row is never skipped for want of one.
        """
        positions = self._positions(dates)
        if (positions < 0).any():
            missing = _listed(self.coverage(dates).missing)
            raise RegimeNotCoveredError(
                f"training.regime_calendar has no regime for {missing}: materialize it for these trade dates first"
            )
        return self._rows.take(positions).reset_index(drop=True)

    def _positions(self, dates: npt.NDArray[np.datetime64]) -> npt.NDArray[np.intp]:
        # get_indexer reads a hash table that is built once, at the first look-up.
        return self._dates.get_indexer(pd.DatetimeIndex(dates.astype("datetime64[D]").astype("datetime64[ns]")))


def _listed(dates: pd.DatetimeIndex | tuple[np.datetime64, ...]) -> str:
    """The first few of some dates and how many follow."""
    named = ", ".join(str(date)[:10] for date in dates[:_NAMED])
    return named + (f" and {len(dates) - _NAMED} more" if len(dates) > _NAMED else "")
