"""Rows of inputs that never were, made up of those that were: NULLs filled in, dates put in, a longer history.

They are only ever asked whether a value comes of them (`experiments`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cbi_dagster.catalog import Column, Table, Type
from cbi_dagster.market.sessions import CHICAGO

#: Rows that may come of making a history longer at most.
_MOST_ROWS = 200_000


def source_path(table: Table, column: str) -> str:
    """The path of a column of a frame: fields of STRUCTs have one name there."""
    return next((path for path, _ in table.leaves() if path.replace(".", "_") == column), column)


def days_of(table: Table, frame: pd.DataFrame) -> np.ndarray:
    days: np.ndarray = frame[table.partitioning.column].to_numpy().astype("datetime64[D]")
    return days


def nearest(days: np.ndarray, day: np.datetime64) -> np.datetime64:
    found: np.datetime64 = days[np.argmin(np.abs(days - day))]
    return found


def stacked(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _shifted(rows: pd.DataFrame, table: Table, shifts: np.ndarray, times: np.ndarray | None = None) -> pd.DataFrame:
    """Rows with all dates and instants moved by days, and quantities `times` as large."""
    columns: dict[str, Any] = {}
    for name in rows.columns:
        column = _declared(table, name)
        if column.type is Type.DATE:
            columns[name] = rows[name] + pd.to_timedelta(shifts)
        elif column.type is Type.TIMESTAMP:  # by the exchange's clock, which a session keeps
            clock = rows[name].dt.tz_convert(CHICAGO).dt.tz_localize(None) + pd.to_timedelta(shifts)
            clock = clock.dt.tz_localize(CHICAGO, ambiguous=np.ones(len(clock), bool), nonexistent="shift_forward")
            columns[name] = clock.dt.tz_convert("UTC")
        elif times is not None and column.type is Type.FLOAT64 and column.unit not in ("", "ratio"):
            columns[name] = rows[name] * times
    shifted: pd.DataFrame = rows.assign(**columns)
    return shifted


def as_of_another_date(frame: pd.DataFrame, table: Table, of: np.datetime64, to: np.datetime64) -> pd.DataFrame:
    """The rows of one date as if they were of another, with nothing unknown in them."""
    rows = with_all_known(frame, table)[days_of(table, frame) == of]
    return _shifted(rows, table, np.full(len(rows), to - of))


def _apart(rows: np.ndarray, codes: np.ndarray) -> list[np.ndarray]:
    """The rows of each code, from 0 on, in their order."""
    return np.split(rows[np.argsort(codes, kind="stable")], np.cumsum(np.bincount(codes))[:-1])


def put_in(own: pd.DataFrame, table: Table, gaps: np.ndarray) -> pd.DataFrame:
    """Rows of one symbol for dates that it lacks, each date's as those of the nearest that it has."""
    days = days_of(table, own)
    there, codes = np.unique(days, return_inverse=True)
    rows_of = dict(zip(there, _apart(np.arange(len(own)), codes), strict=True))
    like = [rows_of[nearest(there, day)] for day in gaps]
    at, to = np.concatenate(like), np.repeat(gaps, [len(rows) for rows in like])
    return _shifted(own.take(at), table, to - days[at])


def with_all_known(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The frame with its NULLs filled in."""
    nulls = list(frame.columns[frame.isna().any()])
    known: pd.DataFrame = frame.assign(**{column: filled(frame, column, table) for column in nulls})
    return known


def all_of_a_kind(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The frame with all rows of a kind: what is text and no key says what the last row of the symbol says."""
    texts = [name for name in frame.columns if _declared(table, name).type is Type.STRING and name not in table.key]
    if "symbol" not in frame or not texts:
        return frame
    of = frame["symbol"].astype(object)
    alike: pd.DataFrame = frame.assign(**{n: frame[n].astype(object).groupby(of).transform("last") for n in texts})
    return alike


def with_more_before(frame: pd.DataFrame, table: Table, trade_dates: int) -> pd.DataFrame:
    """The frame with made-up trade dates before its first: its own ones mirrored, in quantities that vary."""
    every = days_of(table, frame)
    groups = frame.groupby(frame["symbol"].astype(object)).indices if "symbol" in frame else {"": np.arange(len(frame))}
    taken: list[np.ndarray] = []
    numbers: list[np.ndarray] = []
    for found in groups.values():
        rows = np.asarray(found)
        days, codes = np.unique(every[rows], return_inverse=True)
        # The first may be there in part, like the first hours of a delivery.
        of_day = _apart(rows, codes)[min(1, len(days) - 1) :]
        count = min(trade_dates, max(1, _MOST_ROWS * len(of_day) // len(frame)))
        for number, own in enumerate(itertools.islice(itertools.cycle([*of_day, *of_day[::-1]]), count), 1):
            taken.append(own)
            numbers.append(np.full(len(own), number))
    at, ago = np.concatenate(taken), np.concatenate(numbers)
    to = np.busday_offset(every.min(), -ago, roll="backward")
    wave = 1 + 0.02 * np.sin(ago * 0.9) + 0.01 * np.sin(ago * 0.13)
    made = _shifted(frame.take(at), table, (to - every[at]).astype("timedelta64[D]"), wave)
    order = np.argsort(to, kind="stable")
    return stacked([made.take(order), frame])


def _declared(table: Table, name: str) -> Column:
    return dict(table.leaves()).get(source_path(table, name)) or table.column(name)


def is_free_text(table: Table, name: str) -> bool:
    """Whether a column is text that may say anything."""
    column = _declared(table, name)
    return column.type is Type.STRING and column.isin is None


def filled(frame: pd.DataFrame, name: str, table: Table) -> pd.Series:
    """A column without NULLs: what is known nearest of the symbol, of others, or what its declaration allows."""
    values = frame[name]
    if "symbol" in frame:
        values = values.groupby(frame["symbol"].astype(object)).transform(lambda own: own.ffill().bfill())
    values = values.ffill().bfill()
    column = _declared(table, name)
    if values.notna().all():
        return values
    if column.type is Type.STRING:
        return pd.Series((column.isin or ("x",))[0], index=frame.index, dtype=object)
    if column.type in (Type.DATE, Type.TIMESTAMP):
        at = frame[table.partitioning.column] if table.partitioning.column else pd.Timestamp(0)
        zoned = column.type is Type.TIMESTAMP
        return pd.to_datetime(pd.Series(at, index=frame.index), utc=zoned)
    number = 1.0 if column.le is None or column.le >= 1 else column.le
    kinds: dict[Type, Any] = {Type.BOOL: pd.Series(False, dtype="boolean", index=frame.index)}
    if column.type is Type.INT64:
        return pd.Series(int(number), dtype="Int64", index=frame.index)
    found: pd.Series = kinds.get(column.type, pd.Series(number, index=frame.index))
    return found


def disturbed(values: pd.Series) -> pd.Series | None:
    """Other values in place of a column's, all a little and none alike; None where there is nothing to disturb."""
    steps = np.arange(len(values)) * 7919 % 13 + 1
    kind = values.dtype.kind if hasattr(values.dtype, "kind") else "O"
    if kind == "f":
        return values * (1 + steps / 1000)
    if kind in "iu":
        return values + steps
    return ~values if kind == "b" else None
