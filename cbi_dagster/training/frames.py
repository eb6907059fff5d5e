"""The rows of a training table: features as known at the decision time beside the label that came true later."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cbi_dagster.config.horizons import Horizon, Splits
from cbi_dagster.training.labels import labels
from cbi_dagster.training.splits import split_of

VERSION = "1"


class UnlabelledRowsError(ValueError):
    """Matrix rows belong to no session of the series that labels are made from."""


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
    Raises UnlabelledRowsError when a matrix row is no session of `continuous`.
    """
    rows = matrix[matrix["symbol"] == horizon.symbol].sort_values("data_date", ignore_index=True)
    label = labels(continuous[continuous["symbol"] == horizon.symbol], horizon).rename(columns={"date": "data_date"})
    # Merged on plain strings: either side may have categories.
    keyed = rows.astype({"symbol": object}).merge(
        label.astype({"symbol": object}), on=["symbol", "data_date"], how="left", validate="one_to_one", indicator=True
    )
    if (strange := keyed["_merge"] == "left_only").any():
        first = ", ".join(f"{date:%Y-%m-%d}" for date in keyed.loc[strange, "data_date"].head(3))
        raise UnlabelledRowsError(
            f"{int(strange.sum())} {horizon.symbol} rows of features.daily_ml_matrix are no sessions of "
            f"market_data.futures_continuous_1d (first: {first}): materialize features.daily_ml_matrix for them first"
        )
    matured = keyed["target_date"].notna()
    rows = keyed[matured].drop(columns="_merge").reset_index(drop=True)
    rows["regime"] = rows.pop("regime_name")
    rows["training_weight"] = rows.pop("regime_weight")
    rows["as_of"] = rows.pop("timestamp")
    rows["source_run_id"] = rows.pop("run_id")
    rows["horizon_sessions"] = horizon.sessions
    rows["split"] = split_of(rows["data_date"], rows["target_date"], splits)
    unlabelled = keyed.loc[~matured, ["symbol", "data_date"]].assign(reason=NOT_MATURED).reset_index(drop=True)
    return TrainingFrame(rows.drop(columns=["feature_version", "ingestion_ts"]), unlabelled)
