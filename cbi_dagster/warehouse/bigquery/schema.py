"""Declarations as the service's resources, and what is stored in their words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from cbi_dagster.catalog.ddl import described
from cbi_dagster.catalog.model import Column, Table, Type
from cbi_dagster.catalog.partitioning import Daily, Monthly
from cbi_dagster.catalog.views import View
from cbi_dagster.warehouse.bigquery.client import BigQuerySettings

#: The REST API tells types by their older names.
_STANDARD = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}

#: The label of views of ours.
VIEW_LABEL = "cbi_view"

Resource = dict[str, Any]


def field_of(column: Column, *, required: bool) -> Resource:
    """A column with its description; the fields of a STRUCT are nullable."""
    made: Resource = {
        "name": column.name,
        "type": column.type.value,
        "mode": "REQUIRED" if required else "NULLABLE",
        "description": described(column),
    }
    if column.type is Type.STRUCT:
        made["fields"] = [field_of(part, required=False) for part in column.fields]
    return made


def fields_of(table: Table, names: Iterable[str] | None = None) -> list[Resource]:
    """Stored columns, all or those called `names`."""
    columns = table.stored_columns if names is None else [table.column(name) for name in names]
    return [field_of(column, required=column.name in table.required) for column in columns]


def table_resource(settings: BigQuerySettings, table: Table) -> Resource:
    """A table as it is created: described, partitioned, clustered and labelled as declared."""
    made: Resource = {
        "tableReference": {
            "projectId": settings.project,
            "datasetId": f"{settings.prefix}{table.dataset}",
            "tableId": table.name,
        },
        "description": table.description,
        "schema": {"fields": fields_of(table)},
        "labels": {"cbi_layer": table.layer},
    }
    match table.partitioning:
        case Daily(column):
            made["timePartitioning"] = {"type": "DAY", "field": column}
        case Monthly(column):
            made["timePartitioning"] = {"type": "MONTH", "field": column}
    if "timePartitioning" in made and settings.require_partition_filter:
        made["requirePartitionFilter"] = True
    if table.cluster:
        made["clustering"] = {"fields": list(table.cluster)}
    if settings.kms_key:
        made["encryptionConfiguration"] = {"kmsKeyName": settings.kms_key}
    return made


def view_resource(settings: BigQuerySettings, view: View, text: str) -> Resource:
    """A view as it is created: `text` in the words of the service, and the digest of what it was made of."""
    return {
        "tableReference": {
            "projectId": settings.project,
            "datasetId": f"{settings.prefix}{view.dataset}",
            "tableId": view.name,
        },
        "description": view.description,
        "view": {"query": text, "useLegacySql": False},
        "labels": {VIEW_LABEL: view.digest},
    }


def type_of(column: Column) -> str:
    """The type in the words of SQL: `STRUCT<P FLOAT64, kind STRING>`."""
    return stored_type(field_of(column, required=False))


def stored_type(field: Mapping[str, Any]) -> str:
    """The same of a column of the service."""
    name = _STANDARD.get(field["type"], field["type"])
    if field.get("mode") == "REPEATED":
        return f"ARRAY<{name}>"
    if name != "STRUCT":
        return str(name)
    return "STRUCT<" + ", ".join(f"{part['name']} {stored_type(part)}" for part in field["fields"]) + ">"


def parquet_schema(table: Table, names: Iterable[str]) -> pa.Schema:
    """Arrow types of columns, those that are REQUIRED not nullable."""
    return pa.schema(
        [pa.field(name, table.column(name).arrow_type, nullable=name not in table.required) for name in names]
    )
