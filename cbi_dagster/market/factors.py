"""One factor per contract: what makes prices of different contracts comparable, without rewriting history.

A contract is an instrument within its life: vendors use the number of an expired one again. It gets its factor when it
first becomes front and keeps it. Volume wanders between two contracts for days, so the front contract does too, and
whoever holds one of them through that time earns what this contract earns, whatever the front did in between.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.spans import span_limit
from cbi_dagster.market.sessions import trade_date_ordinals

_Ordinals = npt.NDArray[np.int64]

SAME_CONTRACT_TRADE_DATES = 130
"""An instrument that was last front longer ago is another contract under the same number. Volume has come back to a
contract after 46 trade dates at most, and no contract that was front half a year ago is traded any more."""
LEGS_TRADE_DATES = span_limit(1)
"""How many trade dates before a roll the session may lie in which the closes of both contracts are compared."""
_HOLIDAY_SPAN = 2
"""Trade dates between neighbouring sessions with a holiday between them."""


class _Comparison(NamedTuple):
    """A price of the old and of the new contract, how they were found, and the trade dates between the two."""

    method: str
    old: float
    new: float
    span: int


class _Closes(NamedTuple):
    """The closes of a contract that are comparable with those of others, by ascending trade date (ordinals)."""

    ordinals: list[int]
    closes: list[float]


def roll_columns(front: pd.DataFrame, rows: pd.DataFrame, usable: pd.Series) -> dict[str, np.ndarray]:
    """The roll columns and the factor of front sessions, in their order.

    Args:
        front: the front session of each product and trade date, ascending in both: `root`, `date`, `instrument_id`,
            `open`, `close`, `boundary_instrument_id`, `boundary_close`.
        rows: all sessions of the products, those of other contracts included: `root`, `date`, `instrument_id`, `close`.
        usable: whether the last price of a session is its closing price, on the index of `rows`, which has that of
            `front` in it. False for a session that was delivered in part.

    The first contract of a product has factor 1. A later one gets, when it first becomes front, the old contract's
    times `old price / new price`, the prices being the first of these that are there:
        both_legs: the closes of both contracts in the session before;
        adjacent_bars: the old contract's last bar before the switch and the new one's first after it, where both lie in
            the session of the roll;
        both_legs: the closes of both contracts in the last session in which both are known, `LEGS_TRADE_DATES` back;
        adjacent_bars: the close of the session before and the first price of the new contract;
        after_gap: the same, although the session before was delivered in part or more than a holiday lies between.
    Closes that are not `usable` serve after_gap only. A contract that was front before has `kept` its factor. Where
    either price is not positive the method is `undefined` and the factor NaN, as are those that are made from it.
    A row depends on its own `open`, contract and boundary, and on earlier sessions.
    """
    # An instrument is a contract of one product.
    products = pd.factorize(rows["root"])[0].astype(np.int64)
    contracts = (products << 32) + rows["instrument_id"].to_numpy(np.int64)
    at = rows.index.get_indexer(front.index)
    product, contract = products[at], contracts[at]
    count = len(front)
    starts = np.flatnonzero(np.diff(contract, prepend=-1))
    begins = np.diff(product, prepend=-1) != 0
    dates = trade_date_ordinals(front["date"].to_numpy())
    opening, close = front["open"].to_numpy(np.float64), front["close"].to_numpy(np.float64)
    settled = usable.to_numpy(bool)[at]
    number = front["instrument_id"].to_numpy(np.int64)
    boundary = front["boundary_instrument_id"].to_numpy("float64", na_value=np.nan)
    boundary_close = front["boundary_close"].to_numpy(np.float64)
    legs = _closes_by_contract(rows, contracts, usable.to_numpy(bool), np.unique(contract))

    def compared(roll: int) -> _Comparison:
        old, new = contract[roll - 1], contract[roll]
        together = _last_together(legs, old, new, dates[roll - 1], dates[roll] - LEGS_TRADE_DATES)
        if together is not None and together.ordinal == dates[roll - 1]:
            return _Comparison("both_legs", together.old, together.new, 0)
        if boundary[roll] == number[roll - 1]:
            return _Comparison("adjacent_bars", boundary_close[roll], opening[roll], 0)
        if together is not None:
            return _Comparison("both_legs", together.old, together.new, 0)
        span = int(dates[roll] - dates[roll - 1])
        near = settled[roll - 1] and span <= _HOLIDAY_SPAN
        return _Comparison("adjacent_bars" if near else "after_gap", close[roll - 1], opening[roll], span)

    is_roll = np.zeros(count, bool)
    is_roll[starts] = ~begins[starts]
    gap, span = np.full(count, np.nan), np.full(count, np.nan)
    method = np.full(count, None, object)
    factor = np.ones(count)
    last_front: dict[int, tuple[float, int]] = {}
    for start, stop in itertools.pairwise([*starts, count]):
        own = int(contract[start])
        if is_roll[start]:
            found = compared(start)
            gap[start], span[start], method[start] = found.new - found.old, found.span, found.method
            kept, until = last_front.get(own, (np.nan, -SAME_CONTRACT_TRADE_DATES))
            if own in last_front and dates[start] - until <= SAME_CONTRACT_TRADE_DATES:
                factor[start:stop], method[start] = kept, "kept"
            elif found.old > 0 and found.new > 0:
                factor[start:stop] = factor[start - 1] * (found.old / found.new)
            else:
                factor[start:stop], method[start] = np.nan, "undefined"
        last_front[own] = (float(factor[start]), int(dates[stop - 1]))
    return {
        "is_roll": is_roll,
        "roll_gap": gap,
        "roll_method": method,
        "roll_span_trade_dates": span,
        "adj_factor": factor,
    }


class _Together(NamedTuple):
    ordinal: int
    old: float
    new: float


def _last_together(legs: Mapping[int, _Closes], old: int, new: int, latest: int, earliest: int) -> _Together | None:
    """The closes of two contracts in the last session, from `earliest` to `latest`, in which both have one."""
    one, other = legs[old], legs[new]
    at, beside = (bisect.bisect_right(leg.ordinals, latest) - 1 for leg in (one, other))
    while at >= 0 and beside >= 0 and min(one.ordinals[at], other.ordinals[beside]) >= earliest:
        if one.ordinals[at] == other.ordinals[beside]:
            return _Together(one.ordinals[at], one.closes[at], other.closes[beside])
        if one.ordinals[at] > other.ordinals[beside]:
            at -= 1
        else:
            beside -= 1
    return None


def _closes_by_contract(
    rows: pd.DataFrame, numbers: _Ordinals, usable: npt.NDArray[np.bool_], wanted: _Ordinals
) -> dict[int, _Closes]:
    """The usable closes of each contract wanted; where several symbols stand for it, those of the first of them."""
    closes = rows["close"].to_numpy(np.float64)
    counts = np.flatnonzero(usable & ~np.isnan(closes) & np.isin(numbers, wanted))
    ordinals = trade_date_ordinals(rows["date"].to_numpy())
    order = counts[np.lexsort((ordinals[counts], numbers[counts]))]
    numbers, ordinals, closes = numbers[order], ordinals[order], closes[order]
    first = np.append(True, (np.diff(numbers) != 0) | (np.diff(ordinals) != 0))[: len(order)]
    numbers, ordinals, closes = numbers[first], ordinals[first], closes[first]
    bounds = np.searchsorted(numbers, wanted), np.searchsorted(numbers, wanted, side="right")
    return {
        contract: _Closes(ordinals[start:stop].tolist(), closes[start:stop].tolist())
        for contract, start, stop in zip(wanted.tolist(), *bounds, strict=True)
    }
