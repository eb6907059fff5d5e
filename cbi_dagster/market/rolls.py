"""From session bars to one continuous series per product, adjusted forward so that history is never rewritten."""

from __future__ import annotations

import calendar
import datetime as dt
import re

import numpy as np
import pandas as pd

from cbi_dagster.catalog.columns import decisions as decision_columns
from cbi_dagster.catalog.columns.continuous import CONTINUOUS, INPUTS
from cbi_dagster.catalog.columns.sessions import IN_PART
from cbi_dagster.catalog.frames import require
from cbi_dagster.config.universe import Product, Universe
from cbi_dagster.market.factors import roll_columns

MONTH_CODES = "FGHJKMNQUVXZ"
_OUTRIGHT = re.compile(r"^(?P<root>[A-Z0-9]+?)(?P<month>[FGHJKMNQUVXZ])(?P<year>\d{1,2})$")
_ADJUSTED = ("open", "high", "low", "close")


def continuous(sessions: pd.DataFrame, universe: Universe) -> pd.DataFrame:
    """One row per product and trade date: the front contract's session with its roll and its adjustment factor.

    The front contract is the vendor's preferred continuous symbol where it was delivered, else an outright chosen
    from the volumes of earlier sessions (`select_outrights`). Every contract has one factor (`roll_columns`); where it
    has none, because a price was not positive, the adjusted series stops (NULL) rather than continue on an invented
    one. Raises InvalidFrameError for sessions that lack a column of INPUTS or repeat a symbol and date.
    """
    require(sessions, INPUTS, "session bars", key=("symbol", "date"))
    if sessions.empty:
        return pd.DataFrame(columns=list(CONTINUOUS))
    front, rolls = _front_contracts(sessions, universe)
    if not len(front):
        return pd.DataFrame(columns=list(CONTINUOUS))
    result = sessions.take(front).reset_index(drop=True)
    result["symbol"] = result["root"].astype(object)
    for name, values in rolls.items():
        result[name] = values
    result["roll_span_trade_dates"] = result["roll_span_trade_dates"].astype("Int64")
    for name in _ADJUSTED:
        result[f"adj_{name}"] = result[name] * result["adj_factor"]
    return result[list(CONTINUOUS)]


def front_at_decision(decisions: pd.DataFrame, sessions: pd.DataFrame, universe: Universe) -> pd.DataFrame:
    """The front contract of each product and trade date as it stood at the decision time, with its factor.

    `decisions`: rows of `bars_at_decision`; `sessions`: session bars of these trade dates and all before. Which
    contract is front and what its factor is was known when the session began, so a row needs earlier sessions and its
    own first bar: it is the same whether or not the session is complete. Columns are AT_DECISION of the dictionary,
    sorted by symbol and date. Raises InvalidFrameError for frames that lack a column or repeat a symbol and date.
    """
    require(decisions, decision_columns.INPUTS, "bars at the decision time", key=("symbol", "date"))
    require(sessions, decision_columns.SESSION_INPUTS, "session bars", key=("symbol", "date"))
    front, rolls = _front_contracts(sessions, universe)
    key = ["root", "date", "symbol", "instrument_id"]
    series = sessions[key].take(front).assign(adj_factor=rolls["adj_factor"], complete=True)
    series = series[series["date"].isin(decisions["date"])]
    known = decisions.merge(series, on=key, how="left", validate="one_to_one")
    # Where the preferred symbol had traded by then, it is front, whatever the session is made of in the end.
    preferred = (known["symbol"] == known["root"]).to_numpy()
    of_session = known.groupby(["root", "date"], observed=True).ngroup().to_numpy()
    complete = known.pop("complete").notna().to_numpy() & (preferred | ~_any_of(of_session, preferred))
    found = [known[complete]]
    for (root, date), own in decisions[~_any_of(of_session, complete)].groupby(["root", "date"], observed=True):
        earlier = sessions[(sessions["root"] == root) & (sessions["date"] < date)]
        so_far = pd.concat([earlier, own], ignore_index=True)
        begun, rolls = _front_contracts(so_far, universe)
        if len(begun) and so_far["date"].iat[begun[-1]] == date:
            found.append(so_far.iloc[begun[-1:]].assign(adj_factor=rolls["adj_factor"][-1:]))
    result: pd.DataFrame = pd.concat(found, ignore_index=True)
    result["symbol"] = result["root"].astype(object)
    result["adj_close_decision"] = result["close_decision"] * result["adj_factor"]
    return result.sort_values(["symbol", "date"], ignore_index=True)[list(decision_columns.AT_DECISION)]


def _any_of(groups: np.ndarray, holds: np.ndarray) -> np.ndarray:
    """Whether something holds of any row of the group that each row belongs to, groups being numbered from 0."""
    found: np.ndarray = (np.bincount(groups, holds) > 0)[groups]
    return found


def _front_contracts(sessions: pd.DataFrame, universe: Universe) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Positions of the sessions that the series of each product is made of, by product and date, and their rolls."""
    rows = sessions[list(decision_columns.SESSION_INPUTS)].reset_index(drop=True)
    front = _front_sessions(rows, universe)
    return front.index.to_numpy(), roll_columns(front, rows, ~rows["session_quality"].isin(IN_PART))


def _front_sessions(rows: pd.DataFrame, universe: Universe) -> pd.DataFrame:
    """The row of each product and trade date that the continuous series is made of, in this order, on their index."""
    preferred = rows[rows["symbol"] == rows["root"]]
    outrights = rows[rows["contract"] == rows["symbol"]]  # a continuous symbol may know its contract too
    found = [preferred]
    for root, own in outrights.groupby("root", observed=True):
        chosen = select_outrights(own, universe.product(str(root)))
        found.append(chosen[~chosen["date"].isin(preferred.loc[preferred["root"] == root, "date"])])
    return pd.concat(found).sort_values(["root", "date"]) if len(found) > 1 else preferred.sort_values(["root", "date"])


def select_outrights(outrights: pd.DataFrame, product: Product) -> pd.DataFrame:
    """The session rows of the contract that is front on each trade date, decided before the session starts.

    The first contract is the one with the largest volume of the session before. The series rolls to the later
    contract with the largest volume once that contract's volume exceeded the current one's in both of the last two
    sessions, or the current one no longer traded, or its forced roll date (`forced_roll_date`) has come; never back.
    The first session of a history has no session before it and so no front contract; a session in which the front
    contract did not trade has no row.
    """
    outrights = outrights.assign(
        month=[delivery_month(c, d) for c, d in zip(outrights["contract"], outrights["date"], strict=True)]
    )
    volume = outrights.pivot_table(index="date", columns="month", values="volume", aggfunc="sum")
    months = [pd.Timestamp(month).date() for month in volume.columns]
    days = pd.DatetimeIndex(volume.index)
    traded = volume.to_numpy(np.float64, na_value=0.0)
    traded = np.nan_to_num(traded)
    forced = np.array([forced_roll_date(month, product) for month in months], dtype="datetime64[D]")
    front: dict[pd.Timestamp, dt.date] = {}
    current = -1
    for day in range(1, len(days)):
        before = traded[day - 1]
        if current < 0:
            current = int(np.argmax(before))
        elif current + 1 < len(months):
            later = current + 1 + int(np.argmax(before[current + 1 :]))
            earlier = traded[day - 2] if day >= 2 else np.zeros(len(months))
            overtaken = before[later] > before[current] and earlier[later] > earlier[current]
            ended = before[current] == 0 or np.datetime64(days[day], "D") >= forced[current]
            if before[later] > 0 and (overtaken or ended):
                current = later
        front[days[day]] = months[current]
    return outrights[outrights["date"].map(front) == outrights["month"]].drop(columns="month")


def delivery_month(contract: str, trade_date: dt.date) -> dt.date:
    """First day of the delivery month of an outright such as `ZLZ5` that trades on `trade_date`.

    A one-digit year names the first year ending in it that is not before the trade date's: symbols repeat every ten
    years, and no contract of the universe trades after its delivery year. ValueError for other symbols.
    """
    match = _OUTRIGHT.match(contract)
    if match is None:
        raise ValueError(f"{contract!r} is no outright symbol (root, month code, year), e.g. ZLZ5")
    digits = match["year"]
    span = 10 ** len(digits)
    year = trade_date.year + (int(digits) - trade_date.year) % span
    return dt.date(year, MONTH_CODES.index(match["month"]) + 1, 1)


def forced_roll_date(month: dt.date, product: Product) -> np.datetime64:
    """First trade date on which the contract of a delivery month may no longer be front; NaT for no such rule.

    `first_notice`: two trade dates before the last weekday of the month before delivery. `third_friday_week` and
    `third_wednesday_week`: the Monday of the week in which contracts of the delivery month expire.
    """
    start = np.datetime64(month, "D")
    if product.force_roll == "first_notice":
        return np.busday_offset(start, -3, roll="forward")
    if product.force_roll == "none":
        return np.datetime64("NaT")
    weekday = calendar.FRIDAY if product.force_roll == "third_friday_week" else calendar.WEDNESDAY
    third = start + np.timedelta64((weekday - month.weekday()) % 7 + 14, "D")
    return third - np.timedelta64(weekday, "D")
