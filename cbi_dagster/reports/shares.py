"""How much there is, over time: what the heat strips of the report are drawn of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from cbi_dagster.catalog import Monthly, partitioning_of
from cbi_dagster.catalog.tables.features import MATRIX_STRUCTS
from cbi_dagster.warehouse.ledger import NOTHING, Ledger

_SHORT_DAYS = 900
_LEAST_SEEN = 0.3
"""What has any rows can be seen, also where a table has one date a month."""


def periods(first: np.datetime64, last: np.datetime64) -> np.ndarray:
    """Begins of months, in a short history of weeks, that together cover the dates, and the end of the last one."""
    if (last - first).astype(int) < _SHORT_DAYS:
        monday = first - (first.astype(int) + 3) % 7
        return np.arange(monday, last + 8, 7)
    return np.arange(first.astype("datetime64[M]"), last.astype("datetime64[M]") + 2).astype("datetime64[D]")


def filled_shares(ledgers: Mapping[str, Ledger], names: Sequence[str]) -> pd.DataFrame:
    """The share of trade dates with rows of each table or landing source, by its name and the begin of each period.

    Of tables by month whether the month has rows. No columns where nothing has a partition.
    """
    known = [ledgers[name].keys for name in names if len(ledgers.get(name, NOTHING).keys)]
    if not known:
        return pd.DataFrame(index=pd.Index(names))
    first, last = min(keys[0] for keys in known), max(keys[-1] for keys in known)
    ends = periods(first, last)
    rows = [_filled(ledgers.get(name, NOTHING), name, ends, first, last) for name in names]
    return pd.DataFrame(rows, index=pd.Index(names), columns=pd.Index(ends[:-1]))


def _filled(
    ledger: Ledger, name: str, ends: np.ndarray, first: np.datetime64, last: np.datetime64
) -> npt.NDArray[np.float64]:
    filled = ledger.keys[ledger.row_counts > 0]
    if isinstance(partitioning_of(name), Monthly):
        return np.isin(ends[:-1].astype("datetime64[M]"), filled.astype("datetime64[M]")).astype(np.float64)
    days = np.busday_count(np.maximum(ends[:-1], first), np.minimum(ends[1:], last + 1))
    counts = np.histogram(filled.astype(int), ends.astype(int))[0]
    return np.where(counts > 0, np.clip(counts / np.maximum(days, 1), _LEAST_SEEN, 1.0), 0.0)


def numeric(flat: pd.DataFrame) -> pd.DataFrame:
    """The features in rows of the matrix as floats, flags as 0 and 1, with `data_date`: text is left out."""
    features = {
        str(name): values.to_numpy(np.float64, na_value=np.nan)
        for name, values in flat.items()
        if _struct_of(str(name)) and values.dtype.kind in "fiub" and name != "regime_weight"
    }
    return pd.DataFrame({"data_date": flat["data_date"], **features})


def null_shares(features: pd.DataFrame) -> pd.DataFrame:
    """The share of NULLs in `numeric` rows of one symbol, in order of date, by STRUCT and begin of each period."""
    dates = features["data_date"].to_numpy().astype("datetime64[D]")
    ends = periods(dates[0], dates[-1])
    null = features.drop(columns="data_date").isna()
    at = np.searchsorted(ends, dates, side="right") - 1
    by_struct = null.T.groupby([_struct_of(name) for name in null.columns], sort=False).mean().T
    shares = by_struct.groupby(at).mean().reindex(range(len(ends) - 1)).T
    shares.columns = pd.Index(ends[:-1])
    return shares


def _struct_of(name: str) -> str:
    """The STRUCT that a flat column of the matrix is of; "" for others."""
    return next((struct.name for struct in MATRIX_STRUCTS if name.startswith(f"{struct.name}_")), "")
