"""What Dagster is told of a table beside how to compute it."""

from __future__ import annotations

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX, VOLATILITY_DAILY
from cbi_dagster.catalog.tables.market_data import OHLCV_1D
from cbi_dagster.catalog.tables.training import ZL_TRAINING
from cbi_dagster.definitions import defs
from cbi_dagster.orchestration.partitions import MONTHS, TRADE_DATES, asset_key
from cbi_dagster.recipes import TableOutput


def asset(table_id: str) -> dg.AssetsDefinition:
    return defs.resolve_assets_def(asset_key(table_id))


@pytest.mark.parametrize(
    ("month", "first", "last"), [("2010-06-01", "2010-06-07", "2010-06-30"), ("2010-07-01", "2010-07-01", "2010-07-30")]
)
def test_a_month_reads_the_trade_dates_in_it_that_the_history_has(month: str, first: str, last: str) -> None:
    mapping = asset(ZL_TRAINING[0].id).get_partition_mapping(asset_key(DAILY_ML_MATRIX.id))
    assert mapping is not None
    read = mapping.get_upstream_mapped_partitions_result_for_partitions(
        MONTHS.subset_with_partition_keys([month]), MONTHS, TRADE_DATES
    )
    assert not read.required_but_nonexistent_subset.get_partition_keys()
    dates = np.array(sorted(read.partitions_subset.get_partition_keys()), "datetime64[D]")
    assert (dates[0], dates[-1]) == (np.datetime64(first), np.datetime64(last))


def test_the_rows_that_a_recipe_returns_are_counted_in_the_ui() -> None:
    returned = asset(VOLATILITY_DAILY.id).op.output_defs[0].dagster_type
    checked = returned.type_check(None, pd.DataFrame({"a": [1, 2, 3], "b": [1, 2, 3]}))  # type: ignore[arg-type]
    assert checked.success
    assert {name: value.value for name, value in checked.metadata.items()} == {
        "rows_returned": 3,
        "columns_returned": 2,
    }
    assert not returned.type_check(None, "no frame").success  # type: ignore[arg-type]
    # A recipe that also says what it left out returns both.
    both = asset(OHLCV_1D.id).op.output_defs[0].dagster_type
    assert both.type_check(None, TableOutput(pd.DataFrame(), pd.DataFrame(), pd.DataFrame())).success  # type: ignore[arg-type]


def test_every_asset_has_an_owner_and_a_group() -> None:
    graph = defs.resolve_asset_graph()
    assert not [key for key in graph.get_all_asset_keys() if not graph.get(key).owners or not graph.get(key).group_name]
