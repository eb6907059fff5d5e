"""The quality of the matrix: its rows against the sessions they were made of, the calendar and their own past."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.partitioning import BEGINNING, END, Interval
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.config.universe import Universe, load_universe
from cbi_dagster.market.session_quality import missing_sessions
from cbi_dagster.market.sessions import business_days
from cbi_dagster.matrix.quality import QualityReport, check_quality
from cbi_dagster.warehouse.contract import Warehouse

_HIGHEST_NULL_RATES = 12
_SESSION_COLUMNS = (
    "date", "symbol", "open", "high", "low", "close", "volume", "session_quality", "is_roll", "roll_method",
    "adj_factor", "adj_close",
)  # fmt: skip


def matrix_report(warehouse: Warehouse, span: Interval | None) -> QualityReport:
    """The findings in the stored matrix rows of the trade dates of `span` (both inclusive, None: all)."""
    intervals = [(BEGINNING, END) if span is None else span]
    flat = to_frame(DAILY_ML_MATRIX, warehouse.read(DAILY_ML_MATRIX, intervals))
    # What is usual is learnt from all sessions: they are few columns.
    sessions = to_frame(FUTURES_CONTINUOUS_1D, warehouse.read(FUTURES_CONTINUOUS_1D, None, _SESSION_COLUMNS))
    universe = load_universe()
    if sessions.empty:
        return check_quality(flat, sessions, universe)
    first = sessions["date"].min() if span is None else max(pd.Timestamp(span[0]), sessions["date"].min())
    sessions = sessions if span is None else sessions[sessions["date"] <= pd.Timestamp(span[1])]
    due = due_sessions(sessions, universe)
    return check_quality(flat, sessions, universe, expected=due[due["date"] >= first], since=first)


def due_sessions(sessions: pd.DataFrame, universe: Universe) -> pd.DataFrame:
    """The sessions (`symbol`, `date`) of the business days on which each symbol had one or is missing one."""
    parts = [pd.DataFrame({"symbol": [], "date": np.array([], "datetime64[ns]")})]
    for symbol, own in sessions.sort_values("date").groupby("symbol", observed=True):
        days = own["date"].to_numpy().astype("datetime64[D]")
        calendar = universe.calendar(str(symbol))
        missing, _ = missing_sessions(days, own["volume"].to_numpy(np.int64), days[0], days[-1], calendar)
        due = np.union1d(np.intersect1d(days, business_days(days[0], days[-1], calendar)), missing)
        parts.append(pd.DataFrame({"symbol": str(symbol), "date": due.astype("datetime64[ns]")}))
    return pd.concat(parts, ignore_index=True)


def null_rates_page(report: QualityReport) -> str:
    """The columns that are NULL most often, as a Markdown table."""
    highest = sorted(report.null_rates.items(), key=lambda item: -item[1])[:_HIGHEST_NULL_RATES]
    lines = ["| column | NULL | |", "|---|---:|---|"]
    return "\n".join([*lines, *(f"| {name} | {rate:.1%} | {'█' * round(20 * rate)} |" for name, rate in highest)])
