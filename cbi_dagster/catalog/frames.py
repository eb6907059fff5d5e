"""Frames that cross borders: between frames and Arrow by declaration, and what a function may demand of a frame.

The one place that knows how a column type looks in pandas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cbi_dagster.catalog.model import Column, Table, Type

#: What NULLs turn into NaN or None otherwise.
_NULLABLE: dict[Type, Any] = {Type.INT64: pd.Int64Dtype(), Type.BOOL: pd.BooleanDtype()}

#: The NumPy kinds of dtypes that may hold a column of the type; whether any other one does shows in its values.
_ANY = ""
_KINDS: dict[Type, str] = {
    Type.FLOAT64: "fiu",
    Type.INT64: "iu",
    Type.BOOL: "b",
    Type.DATE: "M",
    Type.TIMESTAMP: "M",
    Type.STRING: _ANY,
    Type.STRUCT: _ANY,
}


def to_array(column: Column, values: pd.Series | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Values of a column as Arrow of its declared type.

    Series follow the project's conventions: naive midnight timestamps for DATE, UTC timestamps, NaN for a NULL FLOAT64.
    Raises TypeError, ValueError or an Arrow error when the type cannot hold them without loss.
    """
    if isinstance(values, pa.ChunkedArray):
        return values if values.type == column.arrow_type else values.cast(column.arrow_type)
    series, dtype = values, values.dtype
    if dtype.kind not in _KINDS[column.type] or (column.type is Type.TIMESTAMP and not hasattr(dtype, "tz")):
        if series.isna().all():
            # Nothing is known, so the frame's dtype says nothing either.
            return pa.nulls(len(series), column.arrow_type)
        if column.type is Type.TIMESTAMP and dtype.kind == "M":
            raise TypeError("it has no time zone (UTC wanted)")
        if _KINDS[column.type] != _ANY:
            raise TypeError(f"its dtype is {dtype}")
    if column.type is Type.FLOAT64:
        return pa.array(series.to_numpy(np.float64, na_value=np.nan), from_pandas=True)
    if column.type in (Type.INT64, Type.BOOL):
        return pa.array(series).cast(column.arrow_type)
    if column.type is Type.DATE:
        instants = series.to_numpy("datetime64[ns]")
        days = instants.astype("datetime64[D]")
        if (np.isnat(days) != (days == instants)).all():
            return pa.array(days)
        raise TypeError("it has times of day")
    if column.type is Type.TIMESTAMP:
        # safe=True: a nanosecond that microseconds cannot hold is an error, not a rounding.
        return (
            pa.array(series.dt.tz_convert(None).to_numpy(), from_pandas=True)
            .cast(pa.timestamp("us"))
            .cast(column.arrow_type)
        )
    if column.type is Type.STRUCT:
        return pa.array(series, column.arrow_type, from_pandas=True)
    array = pa.array(series, from_pandas=True)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_large_string(array.type):
        array = array.cast(pa.string())
    if array.type != pa.string():
        raise TypeError(f"its type is {array.type}")
    return array


def to_frame(table: Table, data: pa.Table) -> pd.DataFrame:
    """Stored rows as a frame of the project's conventions; STRUCTs are flattened to `<struct>_<field>` columns.

    Strings of intraday tables become categoricals (millions of rows repeat a few names).
    """
    columns: dict[str, Any] = {}
    for name in data.column_names:
        column = table.column(name)
        if column.type is Type.STRUCT:
            for part in column.fields:
                columns[f"{name}_{part.name}"] = _series(part, pc.struct_field(data[name], part.name), False, table)
        else:
            columns[name] = _series(column, data[name], name in table.required, table)
    return pd.DataFrame(columns)


def _series(column: Column, array: pa.ChunkedArray, required: bool, table: Table) -> Any:
    if column.type is Type.STRING:
        if table.intraday:
            return array.dictionary_encode().unify_dictionaries().to_pandas()
        return array.to_pandas().to_numpy()  # equal strings are one object, which to_numpy alone would make of each
    if column.type is Type.DATE:
        return array.cast(pa.timestamp("ns")).to_numpy()
    if column.type is Type.TIMESTAMP:
        return pd.DatetimeIndex(array.cast(pa.timestamp("ns")).to_numpy()).tz_localize("UTC")
    if column.type is Type.FLOAT64 or required:
        return array.to_numpy()
    return _NULLABLE[column.type].__from_arrow__(array)


class InvalidFrameError(ValueError):
    """A frame is not what the function it is given to needs. The message says which frame, what is wrong and where."""


def require(frame: pd.DataFrame, columns: Sequence[str], what: str, *, key: Sequence[str] = ()) -> None:
    """Raise InvalidFrameError unless the frame has the `columns`, and the `key` is known and different in every row.

    `what` names the rows in the message, e.g. "rows of futures_continuous_1d".
    """
    if missing := [name for name in columns if name not in frame.columns]:
        raise InvalidFrameError(f"{what} lack {', '.join(missing)}; give the columns {', '.join(columns)}")
    for name in key:
        if nulls := int(frame[name].isna().sum()):
            raise InvalidFrameError(f"{what} have {nulls} rows whose {name} is NULL; give every row its key")
    # Of the key alone: pandas looks at every column of a frame to find some.
    if key and (repeated := frame[list(key)].duplicated()).any():
        first = ", ".join(str(value).removesuffix(" 00:00:00") for value in frame.loc[repeated, list(key)].iloc[0])
        raise InvalidFrameError(
            f"{what} repeat ({', '.join(key)}) in {int(repeated.sum())} rows, first ({first}); keep one row of each"
        )


def require_order(frame: pd.DataFrame, column: str, what: str) -> None:
    """Raise InvalidFrameError unless the rows are of one symbol and strictly ascending in the instants of `column`."""
    if (symbols := frame["symbol"].nunique()) > 1:
        raise InvalidFrameError(f"{what} are of {symbols} symbols; give those of one")
    instants = frame[column].astype("int64").to_numpy()
    if (backwards := instants[1:] <= instants[:-1]).any():
        at = frame[column].iloc[int(np.argmax(backwards)) + 1]
        raise InvalidFrameError(f"{what}: {column} {at} is repeated or out of order; sort, keep each once")
