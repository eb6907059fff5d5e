"""Currency futures: technicals of each market, and the currencies together as they stood at the decision time of ZL.

Every price is US dollars per unit of the foreign currency; markets quoted the other way round are inverted first,
so that a rising price is a rising foreign currency everywhere.

`fx_daily` uses whole sessions and is known at their close, 16:00 Chicago. `fx_cross_daily` describes the trade date
of a ZL session at the decision time, 13:20 Chicago, and reads nothing of a currency's session after that.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.spans import span_limit
from cbi_dagster.market.decision import STALE_TRADE_DATES, prices_at_decision

from . import technicals
from .pivots import average_true_range
from .windows import Floats, Sessions

CURRENCIES = {"6A": "aud", "6B": "gbp", "6C": "cad", "6E": "eur", "6J": "jpy", "6L": "brl", "CNH": "cny"}
"""Roots of the currency futures and the currency of each. CNH, the offshore yuan, stands for CNY."""
TARGET = "ZL"

RSI_SESSIONS = (7, 14)
AVERAGE_SESSIONS = (5, 10, 20, 50, 100)
RETURN_SESSIONS = (1, 7, 30)
VOLATILITY_SESSIONS = (5, 10, 20, 30)
CORRELATION_SESSIONS = (30, 90)
DISPERSION_SESSIONS = 90
"""Returns before D that set the scale of each currency's return of D."""
DISPERSION_CUTS = (1.0, 2.0, 4.0)
REGIMES = ("low", "normal", "high", "crisis")
AT_LEAST = 4
"""Currencies whose return must be known for a statement about currencies as a whole: most of seven."""

CROSS_BACK_TRADE_DATES = span_limit(2) + span_limit(DISPERSION_SESSIONS) + span_limit(2) + STALE_TRADE_DATES
"""How far before D a row of `fx_cross_daily` may look: the session before D, the returns whose spread it knows, the
session before the first of them and a stale price there. The 90 correlated returns, ending at D, are nearer."""

_NO_VARIATION = 1e-12
"""A variance below this share of the mean square is rounding noise: no correlation is taken with it."""
_CROSSES = ("brl", "cny", "eur", "usd_index")
_IMPACT_SESSIONS = 30

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

    Columns, float64 with NaN = NULL; prices in USD per unit of the currency, roll-adjusted, then divided by the
    factor of D; windows count sessions as in `technicals_daily`, with the same formulas:
        fx_usd_per_unit: close of D, unadjusted.
        fx_log_return_1d, _7d, _30d: ln(close / close that many sessions ago).
        fx_sma_n, fx_ema_n for n = 5, 10, 20, 50, 100; fx_rsi_7, _14 (Wilder); fx_macd_line, _signal, _hist (12, 26,
            9); fx_bb_upper, _lower, _width, _position (20 sessions, 2 sample standard deviations).
        fx_vol_5d, _10d, _20d, _30d: sample standard deviation of that many log returns, per session.
        fx_atr_14: simple mean of the last 14 true ranges.

    Raises:
        InvalidSessionsError: the frame is not one row per (symbol, weekday), or lacks a column.
        UnknownQuoteError: a currency in the frame has no quote unit, or one that is not against the dollar.
    """
    sessions = Sessions(_in_dollars(_currencies(continuous), quote_units))
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


def fx_cross_daily(continuous: pd.DataFrame, quote_units: Mapping[str, str]) -> pd.DataFrame:
    """The currencies together at the decision time, one row per session of ZL, sorted by date, `symbol` = ZL.

    A currency's price at D is its `close_decision` of D or, where D has none, the close of its last session before
    D, unless that is more than `STALE_TRADE_DATES` trade dates old. Returns are log returns between consecutive
    sessions of ZL, of roll-adjusted prices in USD per unit; NULL across more than `span_limit(2)` trade dates.
    Returns of ZL run from close to close. Nothing of a currency's session of D but `close_decision` is read, and
    nothing beyond `CROSS_BACK_TRADE_DATES` before D.

    Args:
        continuous: sessions of ZL and the currencies as in `futures_continuous_1d`.
        quote_units: as for `fx_daily`.

    Columns, float64 with NaN = NULL; a currency without sessions leaves its columns NULL:
        fx_{root}_log_return_1d: for each of 6a, 6b, 6c, 6e, 6j, 6l, cnh.
        fx_strength_index: mean of the known of these returns, NULL with fewer than 4. fx_usd_index: its negative.
        fx_dispersion: sample standard deviation across currencies of their returns of D, each divided by its
            standard deviation (ddof 1) over the 90 returns before D; NULL with fewer than 4.
        fx_volatility_regime (string): low, normal from a dispersion of 1, high from 2, crisis from 4.
        fx_brl_cny_log_ratio: ln(USD per BRL / USD per CNY) of unadjusted prices: the logarithm of CNY per BRL.
        fx_corr_{a}_{b}_{n}d: correlation of the last n returns of two roots, n = 30, 90. NULL unless all n are known
            on both sides, and where one does not vary.
        cross_corr_fx_{brl,cny,eur,usd_index}_{n}d: the same, with the returns of ZL.
        fx_brl_impact_score, fx_cny_impact_score: return of D x cross_corr_fx_{brl,cny}_30d.

    Raises:
        InvalidSessionsError: the frame is not one row per (symbol, weekday), or lacks a column.
        UnknownQuoteError: a currency in the frame has no quote unit, or one that is not against the dollar.
    """
    target = Sessions(continuous[continuous["symbol"] == TARGET])
    markets = Sessions(_in_dollars(_currencies(continuous), quote_units))
    returns, prices = {}, {}
    for root, currency in CURRENCIES.items():
        adjusted, prices[currency] = (_at_decision(markets, root, prefix, target) for prefix in ("adj_", ""))
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
        for name in _CROSSES
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
                f"fx_{name}_impact_score": by_currency[name] * crosses[f"cross_corr_fx_{name}_{_IMPACT_SESSIONS}d"]
                for name in ("brl", "cny")
            },
        }
    )


def _currencies(continuous: pd.DataFrame) -> pd.DataFrame:
    return continuous[continuous["symbol"].isin(list(CURRENCIES))]


def _in_dollars(continuous: pd.DataFrame, quote_units: Mapping[str, str]) -> pd.DataFrame:
    """The sessions with every price in USD per unit of the currency; prices that are not positive become NaN."""
    symbols = continuous["symbol"].astype(object)
    inverted = {root: _is_inverted(root, quote_units) for root in symbols.unique()}
    invert = symbols.map(inverted).to_numpy(dtype=np.bool_)
    columns: dict[str, Floats] = {}
    for prefix, low, high in (("", "low", "high"), ("adj_", "adj_low", "adj_high")):
        for name in (f"{prefix}close", f"{prefix}close_decision", low, high):
            values = continuous[name].to_numpy(dtype=np.float64, na_value=np.nan)
            columns[name] = np.where(values > 0, values, np.nan)
        # The highest price one way is the lowest the other way.
        columns[low], columns[high] = (
            np.where(invert, columns[other], columns[same]) for same, other in ((low, high), (high, low))
        )
    columns["adj_factor"] = continuous["adj_factor"].to_numpy(dtype=np.float64, na_value=np.nan)
    converted = {name: np.where(invert, 1 / values, values) for name, values in columns.items()}
    return continuous[["date", "symbol"]].assign(**converted)


def _is_inverted(root: str, quote_units: Mapping[str, str]) -> bool:
    unit = quote_units.get(root)
    numerator, _, denominator = (unit or "").partition("/")
    if (numerator == "USD") == (denominator == "USD"):
        raise UnknownQuoteError(
            f"{root} is quoted in {unit!r}; give its quote unit as USD/<currency> or <currency>/USD in universe.yaml"
        )
    return denominator == "USD"


def _at_decision(markets: Sessions, root: str, prefix: str, target: Sessions) -> Floats:
    """The root's price at the decision time of each of the target's trade dates."""
    own = markets.rows(root)
    decided, closes = (markets.column(f"{prefix}{name}")[own] for name in ("close_decision", "close"))
    traded = ~np.isnan(markets.column("close_decision")[own])
    return prices_at_decision(
        target.ordinals, sessions=markets.ordinals[own], closes=closes, decided=decided, traded=traded
    )


def _mean_of_known(values: Floats) -> Floats:
    """Mean down the columns, leaving NaN out; NaN with fewer than `AT_LEAST` known."""
    known = (~np.isnan(values)).sum(axis=0)
    total = np.zeros(values.shape[1])
    for row in np.nan_to_num(values):
        total += row
    return np.where(known >= AT_LEAST, total / np.maximum(known, 1), np.nan)


def _dispersion(target: Sessions, returns: Floats) -> Floats:
    usual = np.stack([target.previous(target.standard_deviation(row, DISPERSION_SESSIONS)) for row in returns])
    scaled = returns / np.where(usual > 0, usual, np.nan)
    known = (~np.isnan(scaled)).sum(axis=0)
    variance = _mean_of_known((scaled - _mean_of_known(scaled)) ** 2) * known / np.maximum(known - 1, 1)
    spread: Floats = np.sqrt(variance)
    return spread


def _regimes(dispersion: Floats) -> Labels:
    labels: Labels = np.array(REGIMES, dtype=object)[np.searchsorted(DISPERSION_CUTS, dispersion, side="right") % 4]
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
