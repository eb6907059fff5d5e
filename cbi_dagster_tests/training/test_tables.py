"""The seventeen training tables, each with the target it is named for and no other."""

from __future__ import annotations

from cbi_dagster.catalog import ASSET_TABLES, Monthly
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.catalog.tables.training import ZL_TRAINING
from cbi_dagster.config.horizons import load_horizons

TRAINING = {table.name: table for table in ASSET_TABLES if "_training_prod_" in table.name}
HORIZONS = {
    "zl": ("1w", "1m", "3m", "6m", "12m"),
    "mes": ("1min", "5min", "15min", "30min", "1hr", "4hr", "1d", "7d", "30d", "3m", "6m", "12m"),
}
NAMES = {f"{symbol}_training_prod_allhistory_{name}": name for symbol, names in HORIZONS.items() for name in names}


def test_there_are_exactly_seventeen_with_their_own_targets() -> None:
    assert len(NAMES) == 17
    assert set(TRAINING) == set(NAMES)
    for name, horizon in NAMES.items():
        targets = {column.name for column in TRAINING[name].columns if column.name.startswith("target_")}
        when = "target_ts" if TRAINING[name].key == ("symbol", "bar_close_ts") else "target_date"
        assert targets == {f"target_{horizon}", f"target_price_{horizon}", f"target_direction_{horizon}", when}
        assert {f"target_{horizon}", when, "regime", "training_weight", "split", "as_of"} <= TRAINING[name].required


def test_all_are_in_the_training_dataset_by_month_of_the_trade_date() -> None:
    for table in TRAINING.values():
        assert (table.dataset, table.partitioning, table.cluster) == ("training", Monthly("data_date"), ("regime",))


def test_mes_and_zl_share_no_features_of_each_other() -> None:
    def groups(symbol: str) -> set[str]:
        names = [column.name for name, table in TRAINING.items() if name.startswith(symbol) for column in table.columns]
        return {group for group in ("golden_zone", "fx", "biofuel") if any(n.startswith(f"{group}_") for n in names)}

    assert groups("zl") == {"fx", "biofuel"}
    assert groups("mes") == {"golden_zone"}


def test_neither_the_weight_nor_the_regimes_name_is_a_feature() -> None:
    # Names of regimes are given with hindsight.
    for table in ZL_TRAINING:
        assert {"regime_name", "regime_weight"}.isdisjoint(column.name for column in table.columns)


def test_a_table_reads_sessions_as_far_ahead_as_its_labels_look_and_features_not_ahead_at_all() -> None:
    for horizon in load_horizons().daily_horizons:
        table = TRAINING[f"{horizon.symbol.lower()}_training_prod_allhistory_{horizon.name}"]
        ahead = {read.source: read.forward for read in table.reads}
        assert ahead.pop(FUTURES_CONTINUOUS_1D.id) == horizon.forward_trade_dates
        assert set(ahead.values()) == {0}
