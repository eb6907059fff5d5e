"""Sessions that are not what the exchange held."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cbi_dagster.catalog.columns.conditions import AVAILABLE
from cbi_dagster.catalog.columns.sessions import QUALITIES, WITHOUT_LABELS
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.market_data import DATABENTO_CONDITIONS, OHLCV_1D
from cbi_dagster.config.universe import Universe
from cbi_dagster.market.session_quality import missing_sessions
from cbi_dagster.warehouse.contract import Warehouse

MISSING, UNEXPECTED = "missing", "unexpected"
_LISTED = (*WITHOUT_LABELS, "thin")
_COLUMNS = ("date", "symbol", "volume", "bars_seen", "bars_usual", "session_quality")


@dataclass(frozen=True)
class Sessions:
    """`counts`: sessions by `session_quality` (`unknown` for NULL), none if there are no sessions.

    `irregular`: those that are not what the exchange held, sorted by date and symbol: `date`, `symbol`, `is` (missing,
    unexpected, cut, holed, doubtful, thin) and `bars` (`seen/usual`, empty where there are none to compare). Those that
    `sessions` lists have `vendor` too: what the vendor says of the UTC day of the trade date, empty where it is
    `available` or nothing was said.
    """

    counts: Mapping[str, int]
    irregular: pd.DataFrame


def sessions(
    warehouse: Warehouse, universe: Universe, first: dt.date | None, last: dt.date | None, symbol: str | None = None
) -> Sessions:
    """The sessions from `first` to `last` (both inclusive, None: unbounded), of one symbol or of all.

    Missing and unexpected sessions are told for the preferred continuous symbols: single contracts come and go.
    """
    rows = to_frame(OHLCV_1D, warehouse.read(OHLCV_1D, columns=_COLUMNS))
    rows = rows if symbol is None else rows[rows["symbol"] == symbol]
    found = judged(rows, universe, first, last)
    said = to_frame(DATABENTO_CONDITIONS, warehouse.read(DATABENTO_CONDITIONS))
    word = said[said["condition"] != AVAILABLE].set_index("utc_date")["condition"]
    return replace(found, irregular=found.irregular.assign(vendor=found.irregular["date"].map(word).fillna("")))


def judged(rows: pd.DataFrame, universe: Universe, first: dt.date | None, last: dt.date | None) -> Sessions:
    """The same of session bars in a frame, which holds the sessions before `first` too."""
    dates = rows["date"].to_numpy().astype("datetime64[D]")
    if rows.empty:
        return Sessions({}, pd.DataFrame(columns=["date", "symbol", "is", "bars"]))
    begin = dates.min() if first is None else np.datetime64(first, "D")
    end = dates.max() if last is None else min(np.datetime64(last, "D"), dates.max())
    inside = rows[(dates >= begin) & (dates <= end)]
    found = inside["session_quality"].astype(object)
    counted = found.where(found.notna(), "unknown").value_counts()
    counts = {name: int(counted[name]) for name in (*QUALITIES, "unknown") if name in counted}
    listed = inside[found.isin(_LISTED)]
    parts = [
        pd.DataFrame(
            {
                "date": listed["date"],
                "symbol": listed["symbol"],
                "is": listed["session_quality"],
                "bars": [
                    f"{seen}/{usual:.0f}" if usual == usual else ""
                    for seen, usual in zip(listed["bars_seen"], listed["bars_usual"], strict=True)
                ],
            }
        )
    ]
    for root in sorted(set(rows["symbol"]) & set(universe.roots)):
        own = rows[rows["symbol"] == root].sort_values("date")
        days = own["date"].to_numpy().astype("datetime64[D]")
        volumes = own["volume"].to_numpy(np.int64)
        missing, strange = missing_sessions(days, volumes, begin, min(end, days[-1]), universe.calendar(root))
        for verdict, days in ((MISSING, missing), (UNEXPECTED, strange)):
            told = {"date": days.astype("datetime64[ns]"), "symbol": root, "is": verdict, "bars": ""}
            parts.append(pd.DataFrame(told))
    irregular = pd.concat([part for part in parts if len(part)] or parts[:1])
    return Sessions(counts, irregular.sort_values(["date", "symbol"], ignore_index=True))
