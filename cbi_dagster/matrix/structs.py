"""Consolidation: the feature families side by side, checked, and shaped into STRUCTs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from cbi_dagster.catalog.columns.matrix import INPUTS
from cbi_dagster.catalog.frames import require, to_array
from cbi_dagster.catalog.model import Table, Type, names
from cbi_dagster.config.universe import Universe
from cbi_dagster.matrix.quality import require_quality
from cbi_dagster.matrix.regimes import RegimeCache

FEATURE_VERSION = "1"

#: Declared STRUCT fields that come from the row's regime, not from a family.
_ENRICHED = ("regime_name", "regime_weight")


def consolidate(
    continuous: pd.DataFrame,
    families: Mapping[str, pd.DataFrame],
    regimes: RegimeCache,
    table: Table,
    universe: Universe,
) -> pa.Table:
    """The matrix: flatten, enrich with the regime, pass the quality gates, and shape into STRUCTs.

    `continuous` has one row per symbol and trade date and decides which rows there are. `families` maps STRUCT names to
    frames keyed by `symbol` and `date`. A session without a row in a family has NULLs there; a STRUCT that no family
    fills is NULL. Raises RegimeNotCoveredError, QualityError, InvalidFrameError or, for a family that the table has no
    STRUCT for, ValueError; never skips a row.
    """
    require(continuous, INPUTS, "sessions")
    flat = flatten(continuous, families, table)
    flat = enrich(flat, regimes)
    require_quality(flat, continuous, universe)
    return to_structs(flat, table)


def flatten(continuous: pd.DataFrame, families: Mapping[str, pd.DataFrame], table: Table) -> pd.DataFrame:
    """One flat row per session with `<struct>_<field>` columns, sorted by symbol and date.

    `timestamp`, the row's decision time, is when the session is known. Raises ValueError for a family that the table
    has no STRUCT for, InvalidFrameError for one that lacks a declared field (`enrich` adds those it derives itself) or
    that repeats a symbol and date.
    """
    if strangers := sorted(set(families) - set(names(table.columns))):
        raise ValueError(f"{table.id} declares no STRUCT for the families {', '.join(strangers)}")
    sessions = continuous.sort_values(["symbol", "date"], ignore_index=True)
    flat = sessions[["symbol", "date", "session_close_ts", "session_quality"]]
    flat = flat.set_axis(["symbol", "data_date", "timestamp", "session_quality"], axis=1)
    sources = {"market_data": sessions, **families}
    symbols = pd.Index(sessions["symbol"].unique())
    keys = _keys(sessions, symbols)
    parts = [flat]
    for column in table.columns:
        if column.name not in sources:
            continue
        rows = sources[column.name]
        fields = [part.name for part in column.fields if f"{column.name}_{part.name}" not in _ENRICHED]
        require(rows, ("symbol", "date", *fields), f"rows for STRUCT {column.name}", key=("symbol", "date"))
        known = rows["symbol"].isin(symbols).to_numpy()
        rows = rows if known.all() else rows[known]
        at = pd.Index(_keys(rows, symbols)).get_indexer(pd.Index(keys))
        part = rows[fields]
        part.index = pd.RangeIndex(len(part))
        if not np.array_equal(at, part.index):
            part = part.reindex(at)  # -1 is no row, hence all NULL
            part.index = flat.index
        part.columns = pd.Index([f"{column.name}_{field}" for field in fields])
        parts.append(part)
    return pd.concat(parts, axis=1)


def _keys(rows: pd.DataFrame, symbols: pd.Index) -> npt.NDArray[np.int64]:
    """One number for each of the `symbols` and date."""
    codes = symbols.get_indexer(pd.Index(rows["symbol"])).astype(np.int64)
    days: npt.NDArray[np.int64] = rows["date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    return (codes << 32) + days


def enrich(flat: pd.DataFrame, regimes: RegimeCache) -> pd.DataFrame:
    """Add the regime of each row's date and the feature version; a date without a regime is an error."""
    regime = regimes.lookup(flat["data_date"].to_numpy())
    rows = flat.copy(deep=False)
    rows["regime_name"] = regime["regime"].to_numpy()
    rows["regime_weight"] = regime["weight"].to_numpy(np.int64)
    rows["feature_version"] = FEATURE_VERSION
    return rows


def to_structs(flat: pd.DataFrame, table: Table) -> pa.Table:
    """Rows with `<struct>_<field>` columns as rows with STRUCTs, by the table's declaration.

    A field whose flat column is missing is NULL; a STRUCT whose fields are all NULL is NULL as a whole.
    """
    unknown = pd.Series(np.nan, index=flat.index)
    arrays = []
    for column in table.columns:
        if column.type is not Type.STRUCT:
            arrays.append(to_array(column, flat[column.name]))
            continue
        fields = [to_array(part, flat.get(f"{column.name}_{part.name}", unknown)) for part in column.fields]
        empty = np.logical_and.reduce([field.is_null().to_numpy(zero_copy_only=False) for field in fields])
        arrays.append(pa.StructArray.from_arrays(fields, fields=list(column.arrow_type), mask=pa.array(empty)))
    return pa.table(arrays, names=names(table.columns))
