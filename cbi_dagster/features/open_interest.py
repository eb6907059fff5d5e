"""Open interest of each market, lagged one session: that of a trade date is published in the night after it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cbi_dagster.catalog.columns.open_interest import CHANGE_SESSIONS, INPUTS, OPEN_INTEREST, STATISTICS_INPUTS
from cbi_dagster.catalog.frames import require
from cbi_dagster.config.universe import Universe
from cbi_dagster.features.windows import Floats, Sessions, quotient
from cbi_dagster.market.decision import decision_instants
from cbi_dagster.market.sessions import trade_date_ordinals, utc_instants
from cbi_dagster.market.settlements import in_time


def open_interest_daily(continuous: pd.DataFrame, statistics: pd.DataFrame, universe: Universe) -> pd.DataFrame:
    """Open interest of every session of `futures_continuous_1d`, sorted by (symbol, date); OPEN_INTEREST.

    `statistics` are records as they were received (STATISTICS_INPUTS); only those received by the decision time of the
    row's date count, and of each contract's trade date the last one that did not come too late. NULL where nothing was
    published, and across more than `span_limit` trade dates. The row's contract is known by its name, or by its number
    where the vendor gives none.

    Raises:
        InvalidFrameError: a frame lacks a column.
    """
    sessions = Sessions(continuous, INPUTS)
    require(statistics, STATISTICS_INPUTS, "statistics")
    stated = _open_interest(statistics)
    decided = decision_instants(sessions.dates.astype("datetime64[D]"), universe)
    front, market = _at_lag(sessions, stated, decided, 1)
    earlier = {n: _at_lag(sessions, stated, decided, 1 + n)[1] for n in CHANGE_SESSIONS}
    return pd.DataFrame(
        {
            "date": sessions.dates,
            "symbol": sessions.frame["symbol"],
            "oi_front_lag1": pd.Series(front).astype("Int64"),
            "oi_market_lag1": pd.Series(market).astype("Int64"),
            "oi_front_share_lag1": quotient(front, market),
            **{f"oi_change_{n}d": quotient(market, before) - 1 for n, before in earlier.items()},
        }
    )[list(OPEN_INTEREST)]


def _open_interest(statistics: pd.DataFrame) -> pd.DataFrame:
    """The records of open interest that came in time, in the order in which they were received.

    `about`: ordinal of the trade date; `quantity` is NaN where it was taken back.
    """
    own = statistics[(statistics["stat_type"] == "open_interest").to_numpy(bool)]
    own = own.astype({"symbol": object, "root": object, "stat_type": object, "update_action": object})
    own = in_time(own)
    quantity = own["quantity"].to_numpy(np.float64, na_value=np.nan)
    return pd.DataFrame(
        {
            "root": own["root"],
            "contract": own["symbol"],
            "number": own["instrument_id"],
            "received": utc_instants(own["ts_recv"]),
            "about": trade_date_ordinals(own["ref_date"].to_numpy("datetime64[D]")),
            "quantity": np.where(own["update_action"] == "new", quantity, np.nan),
        }
    )


def _at_lag(sessions: Sessions, stated: pd.DataFrame, decided: np.ndarray, lag: int) -> tuple[Floats, Floats]:
    """Open interest of the row's contract and of its market at the end of the session `lag` sessions ago."""
    about = sessions.previous(sessions.ordinals.astype(np.float64), lag)
    rows = pd.DataFrame(
        {
            "row": np.arange(len(sessions)),
            "root": sessions.frame["symbol"].astype(object),
            "about": about,
            "decided": decided,
            "own_contract": sessions.frame["contract"].astype(object),
            "own_number": sessions.frame["instrument_id"],
        }
    )
    found = rows.merge(stated.astype({"about": np.float64}), on=["root", "about"])
    found = found[found["received"] <= found["decided"]].sort_values(["row", "contract", "received"], kind="stable")
    found = found.drop_duplicates(["row", "contract"], keep="last")
    found = found[found["quantity"].notna()]
    own = np.where(
        found["own_contract"].notna(),
        found["own_contract"] == found["contract"],
        found["own_number"].to_numpy(np.float64, na_value=np.nan) == found["number"].to_numpy(np.float64),
    ).astype(bool)
    front, market = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    market[found["row"].unique()] = found.groupby("row")["quantity"].sum()
    front[found["row"][own]] = found["quantity"][own]
    return front, market
