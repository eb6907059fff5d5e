"""From the recipes of the tables to Dagster assets, and the landed sources that they begin with.

Everything Dagster shows of a table comes from its declaration: partitions, code version, column schema, lineage,
group, owners and the window that each input is read in.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import dagster as dg
from dagster_pandas import create_dagster_pandas_dataframe_type

from cbi_dagster.catalog import LANDING_SOURCES, TABLES, Column, Table, Type
from cbi_dagster.home import Home, code_versions
from cbi_dagster.orchestration.io_manager import IO_MANAGER_KEY
from cbi_dagster.orchestration.partitions import MONTHS, TRADE_DATES, asset_key, partitions_of
from cbi_dagster.recipes import RECIPES, Recipe

_HOME = Home.from_environment()


def asset_of(recipe: Recipe) -> dg.AssetsDefinition:
    """The Dagster asset that makes the recipe's table."""
    with warnings.catch_warnings():
        # Single-run backfills and dagster-pandas types are marked beta; both are pinned with Dagster itself.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return _asset(recipe.table, recipe, partitions_of(recipe.table))


def _asset(table: Table, recipe: Recipe, partitions: dg.TimeWindowPartitionsDefinition | None) -> dg.AssetsDefinition:
    return dg.asset(
        key=asset_key(table.id),
        ins={
            name: dg.AssetIn(
                key=asset_key(read.source),
                metadata={"table": table.id, "history": read.history},
                input_manager_key=IO_MANAGER_KEY,
                partition_mapping=_partition_mapping(table, read.source),
            )
            for name, read in zip(recipe.parameters, table.reads, strict=True)
        },
        description=table.description,
        metadata=_definition_metadata(table),
        group_name=table.layer,
        owners=list(table.owners),
        kinds={"pandas", _HOME.target},
        code_version=code_versions()[table.id].digest,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run() if partitions else None,
        # Where an instance sets limits to pools, two runs of one table wait for each other and no others do.
        pool=table.id,
        io_manager_key=IO_MANAGER_KEY,
        dagster_type=_frame_type(table) if _returns_frame(recipe.function) else None,
    )(recipe.function)


def _partition_mapping(table: Table, source: str) -> dg.PartitionMapping | None:
    """A month reads the trade dates in it, of which the first month of the history lacks some."""
    if partitions_of(table) is not MONTHS or partitions_of(TABLES[source]) is None:
        return None
    return dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)


def _returns_frame(function: Callable[..., Any]) -> bool:
    return "DataFrame" in str(inspect.signature(function).return_annotation)


def _frame_type(table: Table) -> dg.DagsterType:
    frame_type: dg.DagsterType = create_dagster_pandas_dataframe_type(
        name="".join(part.capitalize() for part in f"{table.dataset}_{table.name}".split("_")),
        description=table.description,
        metadata_fn=lambda frame: {"rows_returned": len(frame), "columns_returned": len(frame.columns)},
    )
    return frame_type


def _definition_metadata(table: Table) -> dict[str, Any]:
    """Schema and lineage belong to the definition: a range run would copy output metadata into every event."""
    return {
        "dagster/table_name": _HOME.stored_name(table.id),
        "dagster/storage_kind": _HOME.target,
        "dagster/column_schema": dg.TableSchema(
            columns=[_table_column(column, table) for column in table.stored_columns]
        ),
        "dagster/column_lineage": _column_lineage(table),
        "key": ", ".join(table.key),
    }


def _table_column(column: Column, table: Table) -> dg.TableColumn:
    type_ = column.type.value
    if column.type is Type.STRUCT:
        type_ = "STRUCT<" + ", ".join(f"{part.name} {part.type.value}" for part in column.fields) + ">"
    unit = f" [{column.unit}]" if column.unit else ""
    return dg.TableColumn(
        name=column.name,
        type=type_,
        description=column.description + unit,
        constraints=dg.TableColumnConstraints(nullable=column.name not in table.required),
    )


def _column_lineage(table: Table) -> dg.TableColumnLineage:
    """Columns that a table carries over unchanged in meaning: one name means one thing everywhere."""
    dependencies: dict[str, list[dg.TableColumnDep]] = {}
    for column in table.columns:
        names = {column.name, *(part.name for part in column.fields)}
        for read in table.reads:
            source = TABLES.get(read.source)
            for carried in source.columns if source else ():
                if carried.name in names:
                    dependencies.setdefault(column.name, []).append(
                        dg.TableColumnDep(asset_key=asset_key(read.source), column_name=carried.name)
                    )
    return dg.TableColumnLineage(deps_by_column=dependencies)


LANDED = [
    dg.AssetSpec(
        key=asset_key(name),
        description=f"{source.files}, taken by `cbi land` and kept by content hash.",
        group_name="landing",
        owners=["team:market-data"],
        kinds={source.vendor} - {""},
        partitions_def=TRADE_DATES,
    )
    for name, source in LANDING_SOURCES.items()
]
ASSETS = [asset_of(recipe) for recipe in RECIPES.values()]
