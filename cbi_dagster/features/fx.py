"""Currency futures: technicals of each market, and the currencies together as they stood at the decision time of ZL.

Every price is US dollars per unit of the foreign currency; markets quoted the other way round are inverted first,
so that a rising price is a rising foreign currency everywhere.

`fx_daily` uses whole sessions and is known at their close, 16:00 Chicago. `fx_cross_daily` describes the trade date
of a ZL session at the decision time, 13:20 Chicago, and reads nothing of a currency's session after that.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.decisions import PRICES
from cbi_dagster.catalog.columns.fx import (
    AVERAGE_SESSIONS,
    CORRELATION_SESSIONS,
    CROSSES,
    CURRENCIES,
    DISPERSION_CUTS,
    DISPERSION_SESSIONS,
    IMPACT_SESSIONS,
    IMPACTS,
    INPUTS,
    KNOWN_AT_LEAST,
    RETURN_SESSIONS,
    RSI_SESSIONS,
    TARGET_INPUTS,
    VOLATILITY_REGIMES,
    VOLATILITY_SESSIONS,
)
from cbi_dagster.catalog.frames import require

from . import technicals
from .pivots import average_true_range
from .windows import Floats, Sessions, positive, quotient

TARGET = "ZL"
_NO_VARIATION = 1e-12
"""A variance below this share of the mean square is rounding noise: no correlation is taken with it."""
#: Looking at a range the other way round exchanges its ends.
_OPPOSITE = {"adj_low": "adj_high", "adj_high": "adj_low"}

Labels: TypeAlias = npt.NDArray[np.object_]


class _Moments(NamedTuple):
    """Values and what is known of the windows that end at each: returns average so little that nothing cancels."""

    values: Floats
    mean: Floats
    deviation: Floats


class UnknownQuoteError(ValueError):
    """A currency's quote unit does not say how many dollars a unit of it costs, or the reverse."""


def fx_daily(continuous: pd.DataFrame, quote_units: Mapping[str, str]) -> pd.DataFrame:
    """Technicals of the currency markets, sorted by (symbol, date); other symbols are left out.

    Args:
        continuous: sessions as in `futures_continuous_1d`.
        quote_units: the unit of each root's prices, `USD/BRL` for dollars per real, `CNH/USD` for yuan per dollar.

    The columns are FX of the dictionary, float64 with NaN = NULL; prices are in USD per unit of the currency,
    roll-adjusted, then divided by the factor of D. Windows count sessions as in `technicals_daily`, with the same
    formulas.

    Raises:
        InvalidFrameError: the frame is not one row per (symbol, weekday), or lacks a column.
        UnknownQuoteError: a currency in the frame has no quote unit, or one that is not against the dollar.
    """
    sessions = Sessions(_in_dollars(continuous, quote_units, INPUTS), INPUTS)
    close, factor = sessions.column("adj_close"), sessions.column("adj_factor")
    columns = {
        "usd_per_unit": sessions.column("close"),
        **{f"log_return_{n}d": technicals.log_return(sessions, close, n) for n in RETURN_SESSIONS},
        **{
            name: average / factor
            for name, average in technicals.moving_averages(sessions, close, AVERAGE_SESSIONS).items()
        },
        **technicals.relative_strengths(sessions, close, RSI_SESSIONS),
        **technicals.macd_columns(sessions, close, factor),
        **technicals.band_columns(sessions, close, factor),
        **technicals.volatilities(sessions, close, VOLATILITY_SESSIONS),
        "atr_14": average_true_range(sessions) / factor,
    }
    return pd.DataFrame(
        {
            "date": sessions.dates,
            "symbol": sessions.frame["symbol"],
            **{f"fx_{name}": values for name, values in columns.items()},
        }
    )


def fx_cross_daily(continuous: pd.DataFrame, decisions: pd.DataFrame, quote_units: Mapping[str, str]) -> pd.DataFrame:
    """The currencies together at the decision time, one row per session of ZL, sorted by date, `symbol` = ZL.

    A currency's price at D is its price at the decision time of D; NULL where it had not traded since its last session.
    Returns are log returns between consecutive sessions of ZL, of roll-adjusted prices in USD per unit; NULL where
    either price is, and across more than `span_limit(2)` trade dates. Returns of ZL run from close to close. Nothing
    beyond the window that the table declares is read.

    Args:
        continuous: sessions of ZL as in `futures_continuous_1d`.
        decisions: the currencies as in `futures_decision_1d`.
        quote_units: as for `fx_daily`.

    The columns are FX_CROSS of the dictionary, float64 with NaN = NULL; a currency without prices leaves its columns
    NULL. What is said of the currencies as a whole is NULL with fewer than `KNOWN_AT_LEAST` known, a correlation unless
    all its returns are known on both sides, and where one does not vary.

    Raises:
        InvalidFrameError: a frame is not one row per (symbol, weekday), or lacks a column.
        UnknownQuoteError: a currency in the frame has no quote unit, or one that is not against the dollar.
    """
    markets = Sessions(_in_dollars(decisions, quote_units, PRICES), PRICES)
    require(continuous, TARGET_INPUTS, "sessions")
    target = Sessions(continuous[continuous["symbol"] == TARGET], TARGET_INPUTS)
    returns, prices = {}, {}
    for root, currency in CURRENCIES.items():
        adjusted, prices[currency] = (
            markets.of_dates(root, target.ordinals, name) for name in ("adj_close_decision", "close_decision")
        )
        returns[root] = technicals.log_return(target, adjusted)
    together = np.stack(list(returns.values()))
    strength = _mean_of_known(together)
    dispersion = _dispersion(target, together)
    by_currency = {CURRENCIES[root]: values for root, values in returns.items()} | {"usd_index": -strength}
    own = technicals.log_return(target, target.column("adj_close"))
    moments = {
        (name, n): _moments(target, values, n)
        for name, values in {**by_currency, TARGET: own}.items()
        for n in CORRELATION_SESSIONS
    }
    crosses = {
        f"cross_corr_fx_{name}_{n}d": _correlation(target, moments[name, n], moments[TARGET, n], n)
        for name in CROSSES
        for n in CORRELATION_SESSIONS
    }
    pairs = {
        f"fx_corr_{a.lower()}_{b.lower()}_{n}d": _correlation(
            target, moments[CURRENCIES[a], n], moments[CURRENCIES[b], n], n
        )
        for a, b in itertools.combinations(CURRENCIES, 2)
        for n in CORRELATION_SESSIONS
    }
    return pd.DataFrame(
        {
            "date": target.dates,
            "symbol": target.frame["symbol"],
            **{f"fx_{root.lower()}_log_return_1d": values for root, values in returns.items()},
            "fx_strength_index": strength,
            "fx_usd_index": -strength,
            "fx_dispersion": dispersion,
            "fx_volatility_regime": _regimes(dispersion),
            "fx_brl_cny_log_ratio": np.log(prices["brl"] / prices["cny"]),
            **pairs,
            **crosses,
            **{
                f"fx_{name}_impact_score": by_currency[name] * crosses[f"cross_corr_fx_{name}_{IMPACT_SESSIONS}d"]
                for name in IMPACTS
            },
        }
    )


def _in_dollars(continuous: pd.DataFrame, quote_units: Mapping[str, str], columns: Sequence[str]) -> pd.DataFrame:
    """The currencies' sessions, of the `columns`, with every price in USD per unit of the currency.

    A price that is not positive becomes NaN.
    """
    require(continuous, columns, "sessions")
    own = continuous[continuous["symbol"].isin(list(CURRENCIES))]
    symbols = own["symbol"].astype(object)
    inverted = {root: _is_inverted(root, quote_units) for root in symbols.unique()}
    invert = symbols.map(inverted).to_numpy(dtype=np.bool_)
    quoted = {
        name: positive(own[name].to_numpy(dtype=np.float64, na_value=np.nan))
        for name in columns
        if name not in ("date", "symbol")
    }
    converted = {
        name: np.where(invert, 1 / quoted[_OPPOSITE.get(name, name)], values) for name, values in quoted.items()
    }
    return own[["date", "symbol"]].assign(**converted)


def _is_inverted(root: str, quote_units: Mapping[str, str]) -> bool:
    unit = quote_units.get(root)
    numerator, _, denominator = (unit or "").partition("/")
    if (numerator == "USD") == (denominator == "USD"):
        raise UnknownQuoteError(
            f"{root} is quoted in {unit!r}; give its quote unit as USD/<currency> or <currency>/USD in universe.yaml"
        )
    return denominator == "USD"


def _mean_of_known(values: Floats) -> Floats:
    """Mean down the columns, leaving NaN out; NaN with fewer than `KNOWN_AT_LEAST` known."""
    known = (~np.isnan(values)).sum(axis=0)
    total = np.zeros(values.shape[1])
    for row in np.nan_to_num(values):
        total += row
    return np.where(known >= KNOWN_AT_LEAST, total / np.maximum(known, 1), np.nan)


def _dispersion(target: Sessions, returns: Floats) -> Floats:
    usual = np.stack([target.previous(target.standard_deviation(row, DISPERSION_SESSIONS)) for row in returns])
    scaled = quotient(returns, usual)
    known = (~np.isnan(scaled)).sum(axis=0)
    variance = _mean_of_known((scaled - _mean_of_known(scaled)) ** 2) * known / np.maximum(known - 1, 1)
    spread: Floats = np.sqrt(variance)
    return spread


def _regimes(dispersion: Floats) -> Labels:
    cut = np.searchsorted(DISPERSION_CUTS, dispersion, side="right")
    labels: Labels = np.array(VOLATILITY_REGIMES, dtype=object)[cut]
    labels[np.isnan(dispersion)] = None
    return labels


def _moments(target: Sessions, values: Floats, count: int) -> _Moments:
    mean, square = target.mean(values, count), target.mean(values * values, count)
    variance = square - mean * mean
    return _Moments(values, mean, np.sqrt(np.where(variance > _NO_VARIATION * square, variance, np.nan)))


def _correlation(target: Sessions, first: _Moments, second: _Moments, count: int) -> Floats:
    """Pearson correlation of the last `count` pairs; NaN unless all are known and both sides vary."""
    covariance = target.mean(first.values * second.values, count) - first.mean * second.mean
    return np.clip(covariance / first.deviation / second.deviation, -1.0, 1.0)
