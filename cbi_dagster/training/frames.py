"""The rows of a training table: features as known at the decision time beside the label that came true later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cbi_dagster.catalog.frames import require
from cbi_dagster.config.horizons import Horizon, Splits
from cbi_dagster.training.labels import labels
from cbi_dagster.training.splits import split_of


class UnmatchedRowsError(ValueError):
    """Matrix rows have no counterpart in a table that has one row per session: labels or features would be lost."""


_MATRIX = "rows of features.daily_ml_matrix"
#: What the matrix calls otherwise.
_RENAMED = {
    "regime_name": "regime", "regime_weight": "training_weight", "timestamp": "as_of", "run_id": "source_run_id",
}  # fmt: skip


@dataclass(frozen=True)
class TrainingFrame:
    """The rows of one symbol, none lost: `rows` have a label, `unlabelled` have none and a `reason` instead.

    `unlabelled`: `symbol`, `data_date`, `reason`, and for bars `bar_close_ts`.
    """

    rows: pd.DataFrame
    unlabelled: pd.DataFrame

    def unlabelled_counts(self) -> pd.DataFrame:
        """Rows without a label per trade date and reason, as rows for `ops.held_back`."""
        days = self.unlabelled["data_date"].to_numpy("datetime64[ns]").astype("datetime64[D]")
        reasons, of_reason = np.unique(self.unlabelled["reason"].to_numpy(str), return_inverse=True)
        groups, counts = np.unique(days.astype(np.int64) * len(reasons) + of_reason, return_counts=True)
        return pd.DataFrame(
            {
                "date": (groups // max(len(reasons), 1)).astype("datetime64[D]").astype("datetime64[ns]"),
                "symbol": self.unlabelled["symbol"].to_numpy(object)[: len(groups)],
                "reason": reasons.astype(object)[groups % max(len(reasons), 1)],
                "bar_rows": counts,
                "vendor_schema": "",
            }
        )


def split_by_maturity(
    matrix: pd.DataFrame, continuous: pd.DataFrame, horizon: Horizon, splits: Splits
) -> TrainingFrame:
    """Matrix rows of the horizon's symbol, sorted by date, with their label, apart from those that have none.

    `matrix`: rows of `features.daily_ml_matrix` with flattened STRUCTs; `continuous`: rows of `futures_continuous_1d`
    that hold the matrix' dates and reach `horizon.forward_trade_dates` beyond them. The training weight is the
    regime's and is no feature; `as_of` is the row's decision time, never the time of the computation.
    Raises UnmatchedRowsError when a matrix row is no session of `continuous`, InvalidFrameError when it comes twice.
    """
    require(matrix, ("symbol", "data_date", *_RENAMED), _MATRIX, key=("symbol", "data_date"))
    own = np.flatnonzero((matrix["symbol"] == horizon.symbol).to_numpy(bool))
    dates = matrix["data_date"].to_numpy()[own]
    order = np.argsort(dates, kind="stable")
    own, dates = own[order], dates[order]
    label = labels(continuous[continuous["symbol"] == horizon.symbol], horizon)
    label = of_dates(label, dates, f"{horizon.symbol} {_MATRIX}", "market_data.futures_continuous_1d")
    unlabelled = label.pop("unlabelled")
    known = unlabelled.isna().to_numpy()
    # What is added is narrow: a column more costs a wide frame the index of all its columns.
    label = label[known].reset_index(drop=True)
    split = split_of(pd.Series(dates[known]), label["target_date"], splits)
    label = label.assign(horizon_sessions=horizon.sessions, split=split)
    rows = pd.concat([matrix.take(own[known]).rename(columns=_RENAMED).reset_index(drop=True), label], axis="columns")
    rows["symbol"] = rows["symbol"].astype(object)
    left_out = pd.DataFrame({"symbol": horizon.symbol, "data_date": dates[~known], "reason": unlabelled[~known]})
    return TrainingFrame(rows, left_out)


def with_resampled_bars(matrix: pd.DataFrame, bars: pd.DataFrame, symbol: str) -> pd.DataFrame:
    """Matrix rows of the symbol with the bars of longer periods that were complete at each date, as further features.

    `bars`: rows of `features.mes_horizons_daily`. A row stays a session: the bars add to what is known on it.
    Raises UnmatchedRowsError when a matrix row has no row of bars, InvalidFrameError when either comes twice.
    """
    require(matrix, ("symbol", "data_date"), _MATRIX, key=("symbol", "data_date"))
    require(bars, ("symbol", "date"), "rows of features.mes_horizons_daily", key=("symbol", "date"))
    rows = matrix[matrix["symbol"] == symbol].reset_index(drop=True)
    own = bars[bars["symbol"] == symbol]
    beside = of_dates(own, rows["data_date"].to_numpy(), f"{symbol} {_MATRIX}", "features.mes_horizons_daily")
    return pd.concat([rows, beside], axis="columns")


def of_dates(others: pd.DataFrame, dates: np.ndarray, rows: str, source: str) -> pd.DataFrame:
    """The rows of `others`, without symbol and date, for the dates of one symbol's `rows`: each has exactly one."""
    index = pd.DatetimeIndex(dates)
    at = pd.DatetimeIndex(others["date"]).get_indexer(index)
    if (strange := at < 0).any():
        first = ", ".join(f"{date:%Y-%m-%d}" for date in index[strange][:3])
        table = rows.rpartition(" ")[2]
        raise UnmatchedRowsError(
            f"{int(strange.sum())} {rows} have no row in {source} "
            f"(first: {first}): materialize {table} and {source} for these dates first"
        )
    return others.drop(columns=["symbol", "date"]).take(at).reset_index(drop=True)
