"""Quality gates of the flat matrix: what must hold before a row is believed, and what a person should look at.

Blocking rules are statements about single rows and about the row set, so that a day checked alone and a full rebuild
agree on them; only the rule about missing sessions needs a stretch of days, and it runs only where the caller says
which sessions to expect. Warnings compare rows with their past, so they say more the more rows they see.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.sessions import IN_PART
from cbi_dagster.config.universe import Product, Universe
from cbi_dagster.market.sessions import is_weekend

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Severity = Literal["blocking", "warning"]

_EXAMPLES = 3
_KEY = ["symbol", "data_date"]
#: Missing sessions in a row that are still only a warning.
_GAP_SESSIONS = 3
#: A return is unusual beyond this many median absolute deviations of its symbol, once so many returns are known.
_UNUSUAL_MADS = 8.0
_UNUSUAL_MIN_RETURNS = 60
#: A high or low is unusual so many usual ranges of the sessions before beyond open and close.
_UNUSUAL_RANGES, _RANGE_SESSIONS = 2.0, 20
#: A roll is unusual so many usual rolls of its market before, once so many are known.
_UNUSUAL_ROLLS, _UNUSUAL_MIN_ROLLS = 12.0, 8
#: A feature is called constant when a symbol has so many values of it and all are equal.
_CONSTANT_MIN_VALUES = 252
#: Rounding room of the pivot rule, relative to the pivot: P of a bar with high = low may be off by an ulp.
_ROUNDING = 1e-9


class QualityError(ValueError):
    """Rows of the matrix break a blocking rule. The message lists every broken rule with counts and examples."""


@dataclass(frozen=True)
class Finding:
    """A rule that does not hold, how often, and where: `cases` name all rows or columns concerned."""

    rule: str
    severity: Severity
    cases: tuple[str, ...]

    def __str__(self) -> str:
        """One line for a log or an error, with the first cases."""
        where = ", ".join(self.cases[:_EXAMPLES]) + (", …" if len(self.cases) > _EXAMPLES else "")
        return f"{self.severity}: {self.rule}: broken {len(self.cases)} x ({where})"


@dataclass(frozen=True)
class QualityReport:
    """What was checked and what was found, blocking findings first; `null_rates` by flat column, 0 to 1."""

    rows: int
    findings: tuple[Finding, ...]
    null_rates: dict[str, float]

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """Findings that forbid the rows to be stored."""
        return tuple(finding for finding in self.findings if finding.severity == "blocking")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that a person should look at."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")


def check_quality(
    flat: pd.DataFrame,
    sessions: pd.DataFrame,
    universe: Universe,
    *,
    as_of: dt.date | None = None,
    expected: pd.DataFrame | None = None,
    since: dt.date | None = None,
) -> QualityReport:
    """Check the flat matrix (columns `<struct>_<field>`, in any order) against the `sessions` it was made from.

    `sessions` are rows of `futures_continuous_1d`; those before `since` are there to compare later ones with. `as_of`
    is the last trade date (inclusive) that may exist. `expected` has one row (`symbol`, `date`) per session that is
    due; it is compared between the first and the last session of each symbol. Rules whose argument is not given are
    left out.

    Blocking: symbol and date are known and unique; the rows are exactly the sessions; the symbol is in the universe;
    the date is a weekday and not after `as_of`; prices are known, ordered and, except where the product may go
    negative, positive; volume is known and not negative; every row has a regime with a weight of 1 to 1000; the pivot
    lies within the range of the bar it was made from (with S1 = 2P - high and R1 = 2P - low, S1 <= P <= R1 says the
    same as low <= P <= high of that bar, across rolls too); no more than 3 expected sessions in a row are missing.
    Warnings: fewer expected sessions missing; sessions nobody expected; prices outside the product's bounds; returns of
    adjusted closes beyond 8 median absolute deviations from the median; factors that compare prices across a gap;
    sessions that are there in part; highs and lows more than two usual ranges (median of the 20 sessions before) beyond
    open and close, but in thin sessions; factor steps beyond 12 usual rolls (median of the market's rolls before, at
    least 8); features, flags included, that never change over 252 or more rows of a symbol.
    """
    flat = flat.sort_values(_KEY, ignore_index=True)
    first = sessions["date"].min() if since is None else pd.Timestamp(since)
    findings = [*_row_rules(flat, universe, as_of), *_row_set(flat, sessions[sessions["date"] >= first])]
    if expected is not None:
        findings += _missing_sessions(flat, expected)
    findings += [*_unusual(flat, sessions, universe, first), *_constant_columns(flat)]
    rates = flat.isna().mean() if len(flat) else pd.Series(dtype=float)
    return QualityReport(len(flat), tuple(findings), {str(name): float(rate) for name, rate in rates.items()})


def raise_for_blocking(report: QualityReport) -> None:
    """Raise QualityError when the report has blocking findings; it lists all of them."""
    if report.blocking:
        raise QualityError(
            f"features.daily_ml_matrix: {report.rows} rows break {len(report.blocking)} blocking rules and none was "
            "stored. Correct the inputs named here and materialize them again:\n"
            + "\n".join(f"  {finding}" for finding in report.blocking)
        )


def require_quality(flat: pd.DataFrame, sessions: pd.DataFrame, universe: Universe) -> None:
    """Raise QualityError when any blocking rule of `check_quality` is broken."""
    findings = (*_row_rules(flat, universe, None), *_row_set(flat, sessions))
    raise_for_blocking(QualityReport(len(flat), findings, {}))


def _row_rules(flat: pd.DataFrame, universe: Universe, as_of: dt.date | None) -> Iterator[Finding]:
    """Blocking rules about one row; a NULL where a value is needed breaks them."""
    days = flat["data_date"].to_numpy().astype("datetime64[D]")
    opened, high, low, close = (_floats(flat, f"market_data_{name}") for name in ("open", "high", "low", "close"))
    weight = _floats(flat, "regime_weight")
    pivot, s1, r1 = (_floats(flat, f"pivots_{name}") for name in ("P", "S1", "R1"))
    negative_allowed = flat["symbol"].isin([p.root for p in universe.products if p.allows_negative_price]).to_numpy()
    room = _ROUNDING * np.abs(pivot)
    holds = {
        "symbol and data_date are known": flat[_KEY].notna().all(axis=1).to_numpy(),
        "symbol and data_date are a unique key": ~flat[_KEY].duplicated(keep=False).to_numpy(),
        "the symbol is in universe.yaml": flat["symbol"].isin(universe.roots).to_numpy(),
        "data_date is a weekday": ~is_weekend(days),
        "open, high, low and close are known": ~np.isnan(opened + high + low + close),
        "low <= open, close <= high": (low <= np.fmin(opened, close)) & (np.fmax(opened, close) <= high),
        "prices are positive": (low > 0) | negative_allowed,
        "volume is known and not negative": _floats(flat, "market_data_volume") >= 0,
        "every row has a regime": flat["regime_name"].notna().to_numpy(),
        "the regime's weight is 1 to 1000": (weight >= 1) & (weight <= 1000),
        "S1 <= P <= R1": ~((pivot < s1 - room) | (pivot > r1 + room)),
    }
    if as_of is not None:
        holds[f"data_date is not after {as_of}"] = days <= np.datetime64(as_of, "D")
    for rule, held in holds.items():
        yield from _finding(rule, "blocking", flat, ~held)


def _row_set(flat: pd.DataFrame, sessions: pd.DataFrame) -> Iterator[Finding]:
    """Every session is one row and every row is a session."""
    wanted = sessions[["symbol", "date"]].set_axis(_KEY, axis=1)
    has, wants = pd.MultiIndex.from_frame(flat[_KEY]), pd.MultiIndex.from_frame(wanted)
    yield from _finding("every session is a row", "blocking", wanted, ~wants.isin(has))
    yield from _finding("every row is a session", "blocking", flat, ~has.isin(wants))


def _missing_sessions(flat: pd.DataFrame, expected: pd.DataFrame) -> Iterator[Finding]:
    """Compare each symbol's rows with the sessions expected between its first and last row."""
    long_gaps: list[str] = []
    short_gaps: list[str] = []
    unexpected: list[str] = []
    for symbol, rows in flat.dropna(subset=_KEY).groupby("symbol", observed=True):
        have = rows["data_date"].to_numpy().astype("datetime64[D]")
        due = np.unique(expected.loc[expected["symbol"] == symbol, "date"].to_numpy().astype("datetime64[D]"))
        due = due[(due >= have.min()) & (due <= have.max())]
        unexpected += [f"{symbol} {day}" for day in have[~np.isin(have, due)]]
        missing = np.flatnonzero(~np.isin(due, have))
        for run in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1):
            if len(run):
                named = f"{symbol} {due[run[0]]}" + (f" to {due[run[-1]]} ({len(run)})" if len(run) > 1 else "")
                (long_gaps if len(run) > _GAP_SESSIONS else short_gaps).append(named)
    limit = f"{_GAP_SESSIONS} expected sessions in a row"
    yield from _named(f"no more than {limit} are missing", "blocking", long_gaps)
    yield from _named("no expected session is missing", "warning", short_gaps)
    yield from _named("every session is one that the exchange calendar expects", "warning", unexpected)


def _unusual(flat: pd.DataFrame, sessions: pd.DataFrame, universe: Universe, first: pd.Timestamp) -> Iterator[Finding]:
    """Sessions, prices, returns and rolls that may be right but should be looked at."""
    bounds = _by_symbol(flat, universe, lambda product: product.price_bounds)
    outside = (_floats(flat, "market_data_low") < bounds[:, 0]) | (_floats(flat, "market_data_high") > bounds[:, 1])
    yield from _finding("prices lie within the product's bounds", "warning", flat, outside)

    ordered = sessions.sort_values(["symbol", "date"], ignore_index=True)
    rows = ordered[["symbol", "date"]].set_axis(_KEY, axis=1)
    asked = (ordered["date"] >= first).to_numpy()
    in_part = ordered["session_quality"].isin(IN_PART).to_numpy()
    yield from _finding("sessions are there as a whole", "warning", rows, asked & in_part)
    symbols = ordered.groupby("symbol", observed=True)
    returns = ordered["adj_close"] / symbols["adj_close"].shift() - 1.0
    deviation = (returns - returns.groupby(ordered["symbol"], observed=True).transform("median")).abs()
    grouped = deviation.groupby(ordered["symbol"], observed=True)
    mad, known = grouped.transform("median").to_numpy(), grouped.transform("count").to_numpy()
    strange = (deviation.to_numpy() > _UNUSUAL_MADS * mad) & (mad > 0) & (known >= _UNUSUAL_MIN_RETURNS)
    yield from _finding(f"returns lie within {_UNUSUAL_MADS:g} MAD of the median", "warning", rows, asked & strange)

    body, close = ordered[["open", "close"]], ordered["close"].abs()
    reach = np.fmax(ordered["high"] - body.max(axis=1), body.min(axis=1) - ordered["low"]) / close
    ranges = ((ordered["high"] - ordered["low"]) / close).groupby(ordered["symbol"], observed=True)
    usual = ranges.transform(lambda values: values.rolling(_RANGE_SESSIONS).median().shift())
    rule = f"high and low lie within {_UNUSUAL_RANGES:g} usual ranges of open and close"
    beyond = ((reach > _UNUSUAL_RANGES * usual) & (usual > 0)).to_numpy()
    yield from _finding(rule, "warning", rows, asked & beyond & ~(ordered["session_quality"] == "thin").to_numpy())

    step = (ordered["adj_factor"] / symbols["adj_factor"].shift()).transform(np.log).abs()
    rolls = step[ordered["is_roll"].to_numpy(bool) & (step > 0)]
    past = rolls.groupby(ordered["symbol"], observed=True).transform(
        lambda values: values.expanding(_UNUSUAL_MIN_ROLLS).median().shift()
    )
    jumps = np.zeros(len(ordered), bool)
    jumps[rolls.index[(rolls > _UNUSUAL_ROLLS * past).to_numpy()]] = True
    rule = f"factor steps are within {_UNUSUAL_ROLLS:g} usual rolls of the market"
    yield from _finding(rule, "warning", rows, asked & jumps)

    after_gap = (ordered["roll_method"] == "after_gap").to_numpy()
    yield from _finding("no factor compares prices across a gap", "warning", rows, asked & after_gap)


def _constant_columns(flat: pd.DataFrame) -> Iterator[Finding]:
    """Features (the regime's weight is none) with one value in all of at least 252 rows of a symbol."""
    names = [name for name in flat.select_dtypes(["number", "bool"]).columns if "_" in name and name != "regime_weight"]
    values = np.column_stack([_floats(flat, name) for name in names]) if names else np.empty((len(flat), 0))
    starts = np.flatnonzero((flat["symbol"] != flat["symbol"].shift()).to_numpy())
    if not len(starts):
        return
    known = np.add.reduceat(~np.isnan(values), starts, axis=0, dtype=np.int64)
    flat_line = np.fmax.reduceat(values, starts, axis=0) == np.fmin.reduceat(values, starts, axis=0)
    found = np.argwhere(flat_line & (known >= _CONSTANT_MIN_VALUES))
    symbols = flat["symbol"].to_numpy()[starts]
    rule = f"features change over {_CONSTANT_MIN_VALUES} or more rows"
    yield from _named(rule, "warning", [f"{symbols[group]} {names[column]}" for group, column in found])


def _floats(frame: pd.DataFrame, name: str) -> Floats:
    return frame[name].to_numpy(np.float64, na_value=np.nan)


def _by_symbol(frame: pd.DataFrame, universe: Universe, facts: Callable[[Product], tuple[float, ...]]) -> Floats:
    """Facts of each row's product, one column each; NaN, which breaks no comparison, for unknown symbols."""
    table = {product.root: facts(product) for product in universe.products}
    codes, symbols = pd.factorize(frame["symbol"])
    unknown = (np.nan,) * len(next(iter(table.values())))
    return np.array([*(table.get(symbol, unknown) for symbol in symbols), unknown], dtype=np.float64)[codes]


def _finding(rule: str, severity: Severity, rows: pd.DataFrame, broken: Mask) -> Iterator[Finding]:
    if broken.any():
        keys = rows.loc[broken, _KEY].itertuples(index=False)
        yield from _named(rule, severity, [f"{symbol} {str(day)[:10]}" for symbol, day in keys])


def _named(rule: str, severity: Severity, found: list[str]) -> Iterator[Finding]:
    if found:
        yield Finding(rule, severity, tuple(found))
