"""Which run comes next of a plan, and the tags that tell it what to do."""

from __future__ import annotations

import numpy as np
import pytest
from cbi_dagster.orchestration.jobs import RANGE_END_TAG, RANGE_START_TAG, next_run

from cbi_dagster.catalog.tables.features import TECHNICALS_DAILY, VOLATILITY_DAILY
from cbi_dagster.catalog.tables.regimes import REGIME_WEIGHTS
from cbi_dagster.catalog.tables.training import MES_TRAINING, ZL_TRAINING
from cbi_dagster.orchestration.partitions import MONTHS, TRADE_DATES, last_key
from cbi_dagster.warehouse.plan import Plan, TablePlan

MONTH, OTHER = ZL_TRAINING[0], MES_TRAINING[0]


def stale(table: object, *days: str) -> TablePlan:
    return TablePlan(table, np.array(days, "datetime64[D]"), ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("plans", "tables", "span"),
    [
        (
            [stale(VOLATILITY_DAILY, "2023-06-07", "2023-06-13"), stale(TECHNICALS_DAILY, "2023-06-05", "2023-06-09")],
            [VOLATILITY_DAILY, TECHNICALS_DAILY],
            ("2023-06-05", "2023-06-13"),
        ),
        (
            [stale(VOLATILITY_DAILY, "2023-06-07"), stale(MONTH, "2023-01-01", "2023-09-01")],
            [VOLATILITY_DAILY],
            ("2023-06-07", "2023-06-07"),
        ),
        (
            [stale(REGIME_WEIGHTS, "1970-01-01"), stale(VOLATILITY_DAILY, "2023-06-07"), stale(MONTH, "2023-06-01")],
            [REGIME_WEIGHTS, VOLATILITY_DAILY],
            ("2023-06-07", "2023-06-07"),
        ),
        (
            [stale(MONTH, "2023-05-01"), stale(OTHER, "2023-03-01", "2023-06-01")],
            [MONTH, OTHER],
            ("2023-03-01", "2023-06-01"),
        ),
        ([stale(REGIME_WEIGHTS, "1970-01-01"), stale(MONTH, "2023-06-01")], [REGIME_WEIGHTS], None),
    ],
    ids=["the covering range", "trade dates before months", "unpartitioned tables go along", "months", "whole alone"],
)
def test_a_run_covers_what_is_stale_of_one_partition_definition(
    plans: list[TablePlan], tables: list[object], span: tuple[str, str] | None
) -> None:
    run = next_run(Plan(tuple(plans), "digest"))
    assert list(run.tables) == tables
    assert run.partitions is (MONTHS if tables[0] is MONTH else TRADE_DATES)
    assert run.tags["cbi/only_stale"] == "true"
    assert (run.tags.get(RANGE_START_TAG), run.tags.get(RANGE_END_TAG)) == (span or (None, None))
    if span is None:
        assert run.first == run.last == last_key(TRADE_DATES)
