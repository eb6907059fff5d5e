"""The rows of a training table: features as known at the decision time beside the label that came true later."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cbi_dagster.config.horizons import Horizon, Splits
from cbi_dagster.training.labels import labels
from cbi_dagster.training.splits import split_of

VERSION = "1"


class UnmatchedRowsError(ValueError):
    """Matrix rows have no counterpart in a table that has one row per session: labels or features would be lost."""


NOT_MATURED = "not_matured"
"""Why a row of a daily table has no label: its target session has not come, or the return is undefined (`labels`)."""


@dataclass(frozen=True)
class TrainingFrame:
    """The rows of one symbol, none lost: `rows` have a label, `unlabelled` have none and a `reason` instead.

    `unlabelled`: `symbol`, `data_date`, `reason`, and for bars `bar_close_ts`.
    """

    rows: pd.DataFrame
    unlabelled: pd.DataFrame

    def unlabelled_counts(self) -> pd.DataFrame:
        """Rows without a label per trade date and reason, as rows for `ops.held_back`."""
        rows = self.unlabelled.rename(columns={"data_date": "date"}).astype({"symbol": object})
        counts = rows.groupby(["date", "symbol", "reason"], observed=True).size().reset_index(name="bar_rows")
        return counts.assign(vendor_schema="")


def split_by_maturity(
    matrix: pd.DataFrame, continuous: pd.DataFrame, horizon: Horizon, splits: Splits
) -> TrainingFrame:
    """Matrix rows of the horizon's symbol, sorted by date, with their label, apart from those that have none.

    `matrix`: rows of `features.daily_ml_matrix` with flattened STRUCTs; `continuous`: rows of `futures_continuous_1d`
    that hold the matrix' dates and reach `horizon.forward_trade_dates` beyond them. The training weight is the
    regime's and is no feature; `as_of` is the row's decision time, never the time of the computation.
    Raises UnmatchedRowsError when a matrix row is no session of `continuous`.
    """
    rows = matrix[matrix["symbol"] == horizon.symbol].sort_values("data_date", ignore_index=True)
    label = labels(continuous[continuous["symbol"] == horizon.symbol], horizon)
    keyed = _beside(rows, label, "market_data.futures_continuous_1d")
    matured = keyed["target_date"].notna()
    rows = keyed[matured].reset_index(drop=True)
    rows["regime"] = rows.pop("regime_name")
    rows["training_weight"] = rows.pop("regime_weight")
    rows["as_of"] = rows.pop("timestamp")
    rows["source_run_id"] = rows.pop("run_id")
    rows["horizon_sessions"] = horizon.sessions
    rows["split"] = split_of(rows["data_date"], rows["target_date"], splits)
    unlabelled = keyed.loc[~matured, ["symbol", "data_date"]].assign(reason=NOT_MATURED).reset_index(drop=True)
    return TrainingFrame(rows.drop(columns=["feature_version", "ingestion_ts"]), unlabelled)


def with_resampled_bars(matrix: pd.DataFrame, bars: pd.DataFrame, symbol: str) -> pd.DataFrame:
    """Matrix rows of the symbol with the bars of longer periods that were complete at each date, as further features.

    `bars`: rows of `features.mes_horizons_daily`. A row stays a session: the bars add to what is known on it.
    Raises UnmatchedRowsError when a matrix row has no row of bars.
    """
    rows = matrix[matrix["symbol"] == symbol]
    return _beside(rows, bars.drop(columns=["ingestion_ts", "run_id"]), "features.mes_horizons_daily")


def _beside(rows: pd.DataFrame, others: pd.DataFrame, source: str) -> pd.DataFrame:
    """One symbol's matrix rows with the columns of `others` for the same date, of which each has exactly one row."""
    if (twice := rows.duplicated("data_date")).any():
        date = rows.loc[twice, "data_date"].iloc[0]
        raise pd.errors.MergeError(f"features.daily_ml_matrix has several rows for {date:%Y-%m-%d}: each may come once")
    others = others[others["symbol"].isin(rows["symbol"].unique())]
    at = pd.DatetimeIndex(others["date"]).get_indexer(pd.DatetimeIndex(rows["data_date"]))
    if (strange := at < 0).any():
        first = ", ".join(f"{date:%Y-%m-%d}" for date in rows.loc[strange, "data_date"].head(3))
        raise UnmatchedRowsError(
            f"{int(strange.sum())} {rows['symbol'].iloc[0]} rows of features.daily_ml_matrix have no row in {source} "
            f"(first: {first}): materialize features.daily_ml_matrix and {source} for these dates first"
        )
    beside = others.drop(columns=["symbol", "date"]).take(at)
    rows = rows.reset_index(drop=True).astype({"symbol": object})
    return pd.concat([rows, beside.reset_index(drop=True)], axis="columns")
