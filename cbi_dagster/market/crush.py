"""The legs of the soybean crush in delivery months that go together.

A crush of July soybeans into December oil is no crush: in summer, when old crop ends and new crop begins, such a pair
is off by dollars a bushel. The exchange's board crush pairs equal months, and November soybeans with December products.
"""

from __future__ import annotations

import operator
from collections import Counter

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns.crush import CRUSH_LEGS, LEGS, ROOTS, SERIES_INPUTS, SESSION_INPUTS, SETTLED_SESSIONS
from cbi_dagster.catalog.frames import require
from cbi_dagster.market.rolls import delivery_month

OIL, MEAL, BEANS = ROOTS
_PRODUCTS_MONTH = {11: 12}
"""Delivery month of oil and meal for one of soybeans, where it is another."""


def crush_legs(continuous: pd.DataFrame, sessions: pd.DataFrame) -> pd.DataFrame:
    """The closes of the three legs on each trade date of soybean oil, sorted by date; `symbol` is ZL.

    `continuous`: rows of `futures_continuous_1d` since inception; `sessions`: session bars of the trade dates wanted,
    those of outrights and further ranks among them where there are any. Where the contract behind the soybean series is
    known by name, the legs are the contracts of its month and of the products' month that the exchange pairs with it.
    Where it is not, the legs are the series themselves, while they agree (`rolls_agree`) and no leg has changed its
    contract since the session before: a move from one row to the next is always one of the same three contracts. All
    prices are NULL otherwise, and where a leg has no session. Raises InvalidFrameError for a frame that lacks a column
    or repeats a symbol and date.
    """
    require(continuous, SERIES_INPUTS, "rows of futures_continuous_1d", key=("symbol", "date"))
    require(sessions, SESSION_INPUTS, "session bars", key=("symbol", "date"))
    series = {root: continuous[continuous["symbol"] == root].set_index("date").sort_index() for root in ROOTS}
    common = series[OIL].index.intersection(series[MEAL].index).intersection(series[BEANS].index)
    contracts = np.column_stack([series[root].loc[common, "instrument_id"].to_numpy(np.int64) for root in ROOTS])
    unchanged = (contracts == np.roll(contracts, 1, axis=0)).all(axis=1)
    unchanged[:1] = True
    known = common[rolls_agree(contracts) & unchanged]
    legs = pd.DataFrame(np.nan, index=series[OIL].index, columns=list(LEGS))
    for leg, root in zip(LEGS, ROOTS, strict=True):
        legs.loc[known, leg] = series[root].loc[known, "close"].to_numpy(np.float64)
    matched = _matched_contracts(series[BEANS].loc[series[BEANS].index.isin(legs.index)], sessions)
    legs.loc[matched.index, list(LEGS)] = matched[list(LEGS)]
    legs["crush_bean_month"] = matched["crush_bean_month"].reindex(legs.index)
    return legs.rename_axis("date").reset_index().assign(symbol=OIL)[list(CRUSH_LEGS)]


def rolls_agree(contracts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether the legs (columns) of each session (row) are in contracts that they reached together.

    They are in the contracts that they had when they last agreed, or all of them have left these and none for a moment
    only: each has been front in `SETTLED_SESSIONS` sessions so far. Between the roll of the first leg and that of the
    last they do not agree. The first session, before which nothing is known, is taken to agree.
    """
    agree = np.zeros(len(contracts), bool)
    seen: Counter[tuple[int, int]] = Counter()
    rows: list[list[int]] = contracts.tolist()
    agreed = rows[0] if rows else []
    for session, legs in enumerate(rows):
        seen.update(enumerate(legs))
        if legs != agreed and not any(map(operator.eq, legs, agreed)):
            settled = all(seen[leg] >= SETTLED_SESSIONS for leg in enumerate(legs))
            agreed = legs if settled else agreed
        agree[session] = legs == agreed
    return agree


def _matched_contracts(beans: pd.DataFrame, sessions: pd.DataFrame) -> pd.DataFrame:
    """The legs and the soybean month of each date on which the contract of the soybean series is known by name."""
    named = sessions[sessions["contract"].notna() & sessions["root"].isin(ROOTS)]
    months, contracts = {}, {}
    for date, root, contract, number, close in named[["date", "root", "contract", "instrument_id", "close"]].itertuples(
        index=False
    ):
        months[date, root, delivery_month(contract, date.date())] = close
        if root == BEANS:
            contracts[date, number] = contract
    dates, found = [], []
    for date, own, number in beans[["contract", "instrument_id"]].itertuples():
        contract = own if isinstance(own, str) else contracts.get((date, number))
        if contract is None:
            continue
        month = delivery_month(contract, date.date())
        paired = month.replace(month=_PRODUCTS_MONTH.get(month.month, month.month))
        wanted = ((OIL, paired), (MEAL, paired), (BEANS, month))
        prices = [months.get((date, *leg), np.nan) for leg in wanted]
        dates.append(date)
        found.append([*(prices if not np.isnan(prices).any() else [np.nan] * len(prices)), pd.Timestamp(month)])
    matched = pd.DataFrame(found, index=pd.DatetimeIndex(dates), columns=[*LEGS, "crush_bean_month"])
    return matched.astype(dict.fromkeys(LEGS, np.float64) | {"crush_bean_month": "datetime64[ns]"})
