"""No row of features is lost on its way into a training table."""

from __future__ import annotations

import pytest

from cbi_dagster.catalog import ASSET_TABLES, TABLES, Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster_tests.properties.worlds import World

TRAINING = [table for table in ASSET_TABLES if "_training_prod_" in table.name]


@pytest.mark.parametrize("table", TRAINING, ids=lambda table: table.name)
def test_every_row_of_features_has_a_label_or_is_held_back_for_a_reason(world: World, table: Table) -> None:
    symbol = table.name.partition("_")[0].upper()
    source = TABLES[table.reads[0].source]
    features = to_frame(source, world.warehouse.read(source, columns=["symbol", source.partitioning.column]))
    dates = features.loc[(features["symbol"] == symbol).to_numpy(bool), source.partitioning.column]
    held = to_frame(TABLES["ops.held_back"], world.warehouse.read(TABLES["ops.held_back"]))
    held = held[held["table_name"] == table.id].set_index("date")["bar_rows"].groupby("date").sum()
    kept = to_frame(table, world.warehouse.read(table, columns=["data_date"]))["data_date"].value_counts()
    assert len(dates) > 250
    assert kept.add(held, fill_value=0).astype(int).sort_index().tolist() == dates.value_counts().sort_index().tolist()
