"""DDL derived from the declarations, in the dialect of `sql`: the text of `sql/schema`."""

from __future__ import annotations

from cbi_dagster.catalog.model import Column, Table, Type
from cbi_dagster.catalog.partitioning import Daily, Monthly


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _type_text(column: Column) -> str:
    if column.type is Type.STRUCT:
        parts = ",\n".join(
            f"    `{part.name}` {_type_text(part)} OPTIONS(description={_quoted(described(part))})"
            for part in column.fields
        )
        return f"STRUCT<\n{parts}\n  >"
    return str(column.type.value)


def described(column: Column) -> str:
    """What a column means, with its unit."""
    return f"{column.description} [{column.unit}]" if column.unit else column.description


def table_ddl(table: Table) -> str:
    """CREATE TABLE, partitioned and clustered as declared."""
    columns = ",\n".join(
        f"  `{column.name}` {_type_text(column)}{' NOT NULL' if column.name in table.required else ''}"
        f" OPTIONS(description={_quoted(described(column))})"
        for column in table.stored_columns
    )
    lines = [f"CREATE TABLE IF NOT EXISTS `{table.dataset}.{table.name}` (\n{columns}\n)"]
    match table.partitioning:
        case Daily(column):
            lines.append(f"PARTITION BY `{column}`")
        case Monthly(column):
            lines.append(f"PARTITION BY DATE_TRUNC(`{column}`, MONTH)")
    if table.cluster:
        lines.append("CLUSTER BY " + ", ".join(f"`{name}`" for name in table.cluster))
    lines.append(f"OPTIONS(description={_quoted(table.description)});")
    return "\n".join(lines)
