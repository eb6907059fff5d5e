"""What a report says of the features of a table."""

from __future__ import annotations

import datetime as dt

from cbi_dagster.catalog import TABLES
from cbi_dagster.catalog.tables.features import VOLATILITY_DAILY
from cbi_dagster.reports.features import FEATURE_TABLES, features, formula_files
from cbi_dagster.warehouse.contract import Warehouse


def test_the_tables_of_features_are_those_of_their_layer() -> None:
    assert {table.id for table in FEATURE_TABLES} == {t.id for t in TABLES.values() if t.dataset == "features"}


def test_a_feature_counts_its_nulls_among_the_symbols_that_have_it(warehouse: Warehouse) -> None:
    found = {feature.path: feature for feature in features(warehouse, VOLATILITY_DAILY)}
    first, last = dt.date(2024, 7, 1), dt.date(2024, 7, 3)
    whole, half, never = (found[name] for name in ("realized_vol_5d", "k_vol", "parkinson_vol_21d"))
    assert (whole.symbols, whole.first, whole.null_share) == (("ES", "ZL"), first, 0.0)
    assert (half.symbols, half.first, half.null_share) == (("ZL",), last, 0.5)
    assert (never.symbols, never.first, never.null_share) == ((), None, 1.0)
    assert half.column is VOLATILITY_DAILY.column("k_vol")


def test_keys_are_no_features(warehouse: Warehouse) -> None:
    paths = [feature.path for feature in features(warehouse, VOLATILITY_DAILY)]
    assert paths == [path for path, _ in VOLATILITY_DAILY.leaves() if path not in ("date", "symbol")]


def test_formulas_are_in_the_pure_modules() -> None:
    assert formula_files(VOLATILITY_DAILY) == ["cbi_dagster/features/volatility.py"]
