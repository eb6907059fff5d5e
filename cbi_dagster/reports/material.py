"""What a report on one symbol and trade date is made of: rows that were known by then, read at one moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cbi_dagster.catalog import Table, table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.partitioning import BEGINNING, Interval
from cbi_dagster.catalog.tables.features import (
    BIOFUEL_DAILY,
    DAILY_ML_MATRIX,
    FIB_LEVELS_DAILY,
    PIVOT_MATH_DAILY,
    POLICY_DAILY,
)
from cbi_dagster.catalog.tables.forecasts import MODEL_PERFORMANCE, ZL_FORECASTS
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D, OHLCV_1D
from cbi_dagster.catalog.tables.predictions import ZL_IMPACT_DAILY
from cbi_dagster.config.horizons import load_horizons
from cbi_dagster.reports.shares import numeric
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.ledger import NOTHING, Ledger


class NoSessionError(LookupError):
    """There is no session of the symbol on the date; the message names the nearest, or the symbols that there are."""


@dataclass(frozen=True)
class Material:
    """Rows of `symbol` up to `date`, both as asked for, in order of date; `date` is None where no session is built.

    `sessions`: the continuous series. `matrix`: numeric features, by flat name, with `data_date`. `targets`: by
    horizon, `date`, `target` and `regime` of the rows whose targets had come by `date`. `pivots`, `fibs`, `impact`,
    `forecasts`: rows of `date` alone. `ledgers`: of all tables and landing sources, whatever the date.
    """

    symbol: str
    date: np.datetime64 | None
    dataset: str
    sessions: pd.DataFrame
    pivots: pd.DataFrame
    fibs: pd.DataFrame
    matrix: pd.DataFrame
    targets: Mapping[str, pd.DataFrame]
    policy: pd.DataFrame
    impact: pd.DataFrame
    biofuel: pd.DataFrame
    forecasts: pd.DataFrame
    performance: pd.DataFrame
    ledgers: Mapping[str, Ledger]


def gather(warehouse: Warehouse, symbol: str, asked: np.datetime64 | None) -> Material:
    """What is known of a symbol by the end of a session: the one of the date asked for, or the last one (None).

    Raises NoSessionError.
    """
    with warehouse.snapshot():
        ledgers = warehouse.ledger_by_table()
        date = _date(warehouse, ledgers.get(FUTURES_CONTINUOUS_1D.id, NOTHING), symbol, asked)
        # Nothing is read where no session is: frames without rows have their columns all the same.
        past: list[Interval] = [] if date is None else [(BEGINNING, date)]
        day: list[Interval] = [] if date is None else [(date, date)]

        def rows(
            of: Table, intervals: Sequence[Interval], columns: tuple[str, ...] = (), *, own: bool = True
        ) -> pd.DataFrame:
            frame = to_frame(of, warehouse.read(of, intervals, columns, (symbol,) if own else ()))
            dated = of.partitioning.column
            return frame.sort_values(dated, kind="stable", ignore_index=True)

        targets = {
            horizon.name: _came(rows, symbol, horizon.name, past, date) for horizon in load_horizons().daily(symbol)
        }
        read = rows(OHLCV_1D, day, ("symbol", "date", "dataset"))
        return Material(
            symbol=symbol,
            date=date,
            dataset=str(read["dataset"].iloc[0]) if len(read) else "",
            sessions=rows(FUTURES_CONTINUOUS_1D, past),
            pivots=rows(PIVOT_MATH_DAILY, day),
            fibs=rows(FIB_LEVELS_DAILY, day),
            matrix=numeric(rows(DAILY_ML_MATRIX, past)),
            targets=targets,
            policy=rows(POLICY_DAILY, past),
            impact=rows(ZL_IMPACT_DAILY, day if symbol == "ZL" else [], own=False),
            biofuel=rows(BIOFUEL_DAILY, past if symbol == "ZL" else []),
            forecasts=rows(ZL_FORECASTS, day),
            performance=rows(MODEL_PERFORMANCE, past),
            ledgers=ledgers,
        )


def _date(warehouse: Warehouse, ledger: Ledger, symbol: str, asked: np.datetime64 | None) -> np.datetime64 | None:
    """The session that is meant; None where no session of any symbol is built. Raises NoSessionError."""
    if not ledger.row_counts.any():
        return None
    known = to_frame(FUTURES_CONTINUOUS_1D, warehouse.read(FUTURES_CONTINUOUS_1D, None, ("symbol", "date")))
    dates = known.loc[known["symbol"] == symbol, "date"].to_numpy().astype("datetime64[D]")
    if not len(dates):
        there = ", ".join(sorted(known["symbol"].astype(str).unique()))
        raise NoSessionError(f"there are no sessions of {symbol}; there are of {there}")
    dates = np.sort(dates)
    if asked is None:
        return np.datetime64(dates[-1], "D")
    if asked not in dates:
        at = int(np.searchsorted(dates, asked))
        nearest = " and ".join(str(day) for day in dates[max(at - 1, 0) : at + 1])
        raise NoSessionError(
            f"{symbol} has no session on {asked}: its nearest are of {nearest}; "
            f"`cbi show {FUTURES_CONTINUOUS_1D.name} --date {asked} --symbol {symbol}` says why"
        )
    return asked


def _came(
    rows: Callable[..., pd.DataFrame], symbol: str, horizon: str, past: Sequence[Interval], date: np.datetime64 | None
) -> pd.DataFrame:
    name = f"target_{horizon}"
    found = rows(
        table(f"{symbol.lower()}_training_prod_allhistory_{horizon}"),
        past,
        ("symbol", "data_date", "target_date", name, "regime"),
    )
    if date is not None:
        found = found[found["target_date"] <= pd.Timestamp(date)]
    return found.rename(columns={"data_date": "date", name: "target"})[["date", "target", "regime"]]
