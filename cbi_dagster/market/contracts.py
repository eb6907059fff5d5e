"""Which contract is behind an id, what contracts trade on a day, and when the front one changes.

A vendor's continuous symbol names its contract by an id that is unique within a day only. The day's definitions say the
contract's name, and so does an outright that was delivered beside it under the same id.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog.columns import contracts as columns
from cbi_dagster.catalog.columns.contracts import CURVE, DEFINITION_INPUTS, ROLL_CALENDAR
from cbi_dagster.catalog.columns.settlements import SESSION_INPUTS
from cbi_dagster.catalog.frames import require
from cbi_dagster.config.universe import Product, Universe
from cbi_dagster.market.rolls import MONTH_CODES, delivery_month, forced_roll_date
from cbi_dagster.market.sessions import business_days

_ID = ["date", "root", "instrument_id"]
_CONTRACT = ["date", "root", "contract"]
_DELETED = "D"


def contract_names(sessions: pd.DataFrame, instruments: pd.DataFrame) -> pd.Series:
    """The contract of each session by name, None where nothing says it, on the index of `sessions`.

    `sessions`: session bars of single contracts, which know their `contract`, and of continuous symbols;
    `instruments`: definitions of the same trade dates. Raises InvalidFrameError for a frame that lacks a column.
    """
    require(sessions, [*_ID, "contract"], "session bars")
    defined = _last_definitions(instruments)
    delivered = sessions.loc[sessions["contract"].notna(), [*_ID, "contract"]].drop_duplicates(_ID)
    known = pd.concat([defined.rename(columns={"symbol": "contract"})[[*_ID, "contract"]], delivered])
    known = known.astype({"root": object, "contract": object, "instrument_id": np.int64}).drop_duplicates(_ID)
    own = sessions["contract"].astype(object)
    if len(known):
        keys = sessions[_ID].astype({"root": object, "instrument_id": np.int64})
        found = keys.merge(known, on=_ID, how="left", validate="many_to_one")["contract"].set_axis(sessions.index)
        own = own.where(own.notna(), found).astype(object)
    return own.where(own.notna(), None)


def futures_curve(sessions: pd.DataFrame, settlements: pd.DataFrame, instruments: pd.DataFrame) -> pd.DataFrame:
    """Every contract that is known by name on each trade date, nearest delivery first: CURVE of the dictionary.

    `sessions`: session bars with their `contract` names; of several symbols that stand for one contract the outright
    itself counts. `settlements`: rows of `settlements_1d`; a contract that was settled and has no session bar is there
    once its product has one, so that no row comes before its session. After its delivery month a contract is not on
    the curve, whatever is still published of it: its bars and settlements stay in their own tables. `instruments`:
    definitions of the same trade dates, which say when trading ends. Raises InvalidFrameError for frames that lack a
    column or repeat a key.
    """
    require(sessions, columns.SESSION_INPUTS, "session bars", key=("symbol", "date"))
    require(settlements, SESSION_INPUTS, "settlements", key=("root", "symbol", "date"))
    traded = sessions[sessions["contract"].notna()]
    traded = traded.assign(itself=traded["symbol"] == traded["contract"]).sort_values("itself", kind="stable")
    traded = traded.drop_duplicates(_CONTRACT, keep="last").drop(columns=["symbol", "itself"])
    settled = settlements.rename(columns={"symbol": "contract", "instrument_id": "settled_id"})
    texts = {"root": object, "contract": object}
    rows = traded.astype(texts).merge(settled.astype(texts), on=_CONTRACT, how="outer", validate="one_to_one")
    held = pd.MultiIndex.from_frame(sessions[["date", "root"]].astype({"root": object}))
    rows = rows[pd.MultiIndex.from_frame(rows[["date", "root"]]).isin(held)]
    if rows.empty:
        return pd.DataFrame(columns=list(CURVE))
    rows["instrument_id"] = rows["instrument_id"].fillna(rows.pop("settled_id")).astype(np.int64)
    rows["volume"] = rows["volume"].astype("Int64")
    months = delivery_months(rows["contract"], rows["date"])
    rows["delivery_month"] = months.astype("datetime64[ns]")
    rows["month_code"] = [MONTH_CODES[month.month - 1] for month in months.tolist()]
    traded_in = rows["date"].to_numpy().astype("datetime64[M]")
    rows["months_to_delivery"] = (months.astype("datetime64[M]") - traded_in).astype(np.int64)
    rows = rows[rows["months_to_delivery"] >= 0]
    rows["last_trade_date"] = _last_trade_dates(rows, instruments)
    return rows.sort_values(["date", "root", "delivery_month"], kind="stable", ignore_index=True)[list(CURVE)]


def roll_calendar(continuous: pd.DataFrame, instruments: pd.DataFrame, universe: Universe) -> pd.DataFrame:
    """One row per roll of each continuous series, sorted by symbol and date: ROLL_CALENDAR of the dictionary.

    `continuous`: rows of `futures_continuous_1d` since inception; `instruments`: definitions of the trade dates wanted.
    Raises InvalidFrameError for frames that lack a column or repeat a key.
    """
    require(continuous, columns.ROLL_INPUTS, "rows of futures_continuous_1d", key=("symbol", "date"))
    rows = continuous.sort_values(["symbol", "date"], ignore_index=True)
    before = rows.groupby("symbol", observed=True)[["contract", "instrument_id", "adj_factor"]].shift()
    rows["from_contract"], rows["from_instrument_id"] = before["contract"], before["instrument_id"].astype("Int64")
    rows["roll_ratio"] = rows["adj_factor"] / before["adj_factor"]
    rows = rows[rows["is_roll"].astype(bool)].reset_index(drop=True)
    if rows.empty:
        return pd.DataFrame(columns=list(ROLL_CALENDAR))
    known = rows["contract"].notna().to_numpy()
    dates = {name: np.full(len(rows), np.datetime64("NaT", "ns")) for name in columns.RULE_DATES}
    for at in np.flatnonzero(known):
        product = universe.product(str(rows["symbol"][at]))
        month = delivery_month(rows["contract"][at], rows["date"][at].date())
        dates["delivery_month"][at] = month
        dates["first_notice_date"][at] = first_notice_date(month, product, universe)
        dates["forced_roll_date"][at] = forced_roll_date(month, product)
    rows = rows.assign(**dates, root=rows["symbol"])
    rows["last_trade_date"] = _last_trade_dates(rows, instruments)
    return rows[list(ROLL_CALENDAR)]


def delivery_months(contracts: pd.Series, dates: pd.Series) -> npt.NDArray[np.datetime64]:
    """First day (datetime64[D]) of the delivery month of each contract on its trade date."""
    found = [delivery_month(contract, date.date()) for contract, date in zip(contracts, dates, strict=True)]
    return np.array(found, "datetime64[D]")


def first_notice_date(month: dt.date, product: Product, universe: Universe) -> np.datetime64:
    """The last business day before the delivery month; NaT for products whose rule of rolling does not ask for it."""
    if product.force_roll != "first_notice":
        return np.datetime64("NaT")
    start = np.datetime64(month, "D")
    last: np.datetime64 = business_days(start - 7, start - 1, universe.calendar(product.root))[-1]
    return last


def _last_definitions(instruments: pd.DataFrame) -> pd.DataFrame:
    """The last definition of each id on each trade date; none of what was deleted."""
    require(instruments, DEFINITION_INPUTS, "definitions")
    last = instruments.sort_values("ts_recv", kind="stable").drop_duplicates(_ID, keep="last")
    return last[last["security_update_action"] != _DELETED]


def _last_trade_dates(rows: pd.DataFrame, instruments: pd.DataFrame) -> npt.NDArray[np.datetime64]:
    """The date in Chicago on which trading of the contract of each row ends; NaT where no definition says it."""
    ends = _last_definitions(instruments)[[*_ID, "expiration"]].astype({"root": object, "instrument_id": np.int64})
    keys = rows[_ID].astype({"root": object, "instrument_id": np.int64})
    found = keys.merge(ends, on=_ID, how="left", validate="many_to_one")["expiration"]
    local = pd.DatetimeIndex(found).tz_convert("America/Chicago").tz_localize(None)
    dates: npt.NDArray[np.datetime64] = local.normalize().to_numpy().astype("datetime64[ns]")
    return dates
