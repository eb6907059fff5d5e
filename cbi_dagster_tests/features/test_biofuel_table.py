"""The biofuel table on the spine: what it takes from landed macro series, and what goes into the matrix."""

from __future__ import annotations

import pandas as pd
import pytest

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.features import BIOFUEL_DAILY, DAILY_ML_MATRIX, FX_CROSS_DAILY, FX_DAILY
from cbi_dagster.catalog.tables.raw_intelligence import MACRO_SERIES
from cbi_dagster.recipes import RECIPES

from .test_biofuel import DAY, constant_market, crush_of

NO_SERIES = to_frame(MACRO_SERIES, MACRO_SERIES.arrow_schema(stored=True).empty_table())


def sugar_published(instant: str) -> pd.DataFrame:
    row = {
        "series_id": "SB",
        "reference_date": pd.Timestamp("2025-02-28"),
        "value": 20.0,
        "available_at": pd.Timestamp(instant, tz="UTC"),
        "unit": "USc/lb",
        "series_source": "ICE",
        "trade_date_available": DAY[0],
    }
    return pd.DataFrame([row])


def built(series: pd.DataFrame) -> pd.Series:
    market = constant_market(DAY)
    decisions = market.assign(adj_close_decision=market["close_decision"])
    return RECIPES[BIOFUEL_DAILY.id](market, decisions, crush_of(market), series).iloc[0]


def test_without_any_macro_file_only_the_columns_that_need_one_are_null() -> None:
    row = built(NO_SERIES)
    assert pd.isna(row["sugar_ethanol_spread"])
    assert row["board_crush"] == pytest.approx(1.70)
    assert row["boho_spread"] == pytest.approx(1.35)


@pytest.mark.parametrize(
    ("instant", "known"), [("2025-03-03T19:20:00", True), ("2025-03-03T19:20:01", False), ("2025-03-01T00:00", True)]
)
def test_a_value_counts_from_the_decision_time_on_at_which_it_is_public(instant: str, known: bool) -> None:
    assert pd.notna(built(sugar_published(instant))["sugar_ethanol_spread"]) == known  # 13:20 in Chicago is 19:20 UTC


def test_a_value_that_is_too_old_is_unknown() -> None:
    stale = sugar_published("2025-02-21T00:00").assign(reference_date=pd.Timestamp("2025-02-20"))
    assert pd.isna(built(stale)["sugar_ethanol_spread"])


def test_the_matrix_takes_currencies_as_of_the_decision_time_of_zl() -> None:
    sources = {read.source for read in DAILY_ML_MATRIX.reads}
    assert {BIOFUEL_DAILY.id, FX_CROSS_DAILY.id} <= sources
    # `fx_daily` is known at the currencies' own close, after ZL's decision time.
    assert FX_DAILY.id not in sources
