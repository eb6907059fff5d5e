"""The picture on the page of an asset: that of the report, of the table as it is stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from cbi_dagster.catalog import ASSET_TABLES, Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.model import names
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX, PIVOT_MATH_DAILY
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.config.horizons import load_horizons
from cbi_dagster.reports.checks import in_parts
from cbi_dagster.reports.shares import null_shares, numeric
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.ledger import NOTHING

_TRAINING = tuple(item for item in ASSET_TABLES if "split" in names(item.columns))
_HORIZONS = {
    item.name for every in (load_horizons().daily_horizons, load_horizons().intraday_horizons) for item in every
}
#: The tables that have one.
PICTURED = (FUTURES_CONTINUOUS_1D, PIVOT_MATH_DAILY, DAILY_ML_MATRIX, *_TRAINING)
SYMBOL = "ZL"
"""Whose rows are drawn where a table holds several symbols."""
_CALENDAR_DAYS = 160


def thumbnail(warehouse: Warehouse, table: Table, last: np.datetime64) -> str:
    """The picture of one of PICTURED up to the date `last`, as Markdown; "" where there is nothing to draw.

    It takes a library that is long to import: ask for it where many partitions were written.
    """
    from cbi_dagster.reports import drawing, pictures

    if table in _TRAINING:
        (target,) = [name for name in names(table.columns) if name.startswith("target_") and name[7:] in _HORIZONS]
        rows = _returns(warehouse, table, target)
        return drawing.png(pictures.targets({target[7:]: rows})) if len(rows) else ""
    if table is DAILY_ML_MATRIX:
        shares = null_shares(numeric(flat)) if len(flat := _rows(warehouse, table, None)) else None
        if shares is None:
            return ""
        notes = [f"{share:.1%}" for share in shares.mean(axis=1)]
        return drawing.png(pictures.strips(shares, drawing.ORANGE, notes, f"NULL features of {SYMBOL}"))
    if table is FUTURES_CONTINUOUS_1D:
        sessions = _rows(warehouse, table, None)
        return drawing.png(pictures.history(sessions)) if len(sessions) else ""
    recent = (last - _CALENDAR_DAYS, last)
    sessions, pivots = (_rows(warehouse, item, recent) for item in (FUTURES_CONTINUOUS_1D, PIVOT_MATH_DAILY))
    sessions = sessions[sessions["date"].isin(pivots["date"])]
    return drawing.png(pictures.price(sessions, pivots.iloc[-1], None)) if len(sessions) else ""


def _returns(warehouse: Warehouse, table: Table, target: str) -> pd.DataFrame:
    """Returns that came (`target`) and the regimes of their rows, in order of date.

    Read a part at a time: a table of minutes has millions of rows.
    """
    ledger = warehouse.ledger_by_table({table.id}).get(table.id, NOTHING)
    returns, regimes = [np.empty(0)], [pd.Categorical([])]
    for part in in_parts(table, ledger, None):
        rows = _rows(warehouse, table, part, ("data_date", target, "regime"))
        returns.append(rows[target].to_numpy(np.float64))
        regimes.append(pd.Categorical(rows["regime"]))
    return pd.DataFrame({"target": np.concatenate(returns), "regime": union_categoricals(regimes)})


def _rows(warehouse: Warehouse, table: Table, span: Interval | None, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Rows in order of date; of SYMBOL where a table holds several."""
    symbols = () if table in _TRAINING else (SYMBOL,)
    rows = to_frame(table, warehouse.read(table, None if span is None else [span], columns, symbols))
    return rows.sort_values(str(table.partitioning.column), kind="stable", ignore_index=True)
