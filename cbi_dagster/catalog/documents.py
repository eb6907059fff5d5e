"""Generated files: `sql/schema/<dataset>.sql` (DDL), views that are derived, and `docs/data_dictionary.md`.

`python -m cbi_dagster.catalog.documents` writes them; a test keeps them in step with the declarations.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from cbi_dagster.catalog import TABLES, Column, Table, Type
from cbi_dagster.catalog.ddl import table_ddl
from cbi_dagster.catalog.generated_views import GENERATED, generated_views
from cbi_dagster.catalog.views import View, views

ROOT = Path(__file__).resolve().parents[2]


def generated_files() -> dict[str, str]:
    """Path below the repository root and content of every generated file."""
    tables = sorted(TABLES.values(), key=lambda table: table.dataset)
    files = {
        f"sql/schema/{dataset}.sql": f"{GENERATED}\n" + "\n\n".join(table_ddl(table) for table in members) + "\n"
        for dataset, members in groupby(tables, key=lambda table: table.dataset)
    }
    derived = dict(generated_views())
    files |= {f"sql/views/{name}.sql": text for name, text in derived.items()}
    everything = views() | {name: View(name, text) for name, text in derived.items()}
    files["docs/data_dictionary.md"] = _dictionary(tables) + _views(everything.values())
    return files


def _views(shown: Iterable[View]) -> str:
    about = 'Made beside the tables; `cbi sql "SELECT * FROM api.vw_regime_strip"` asks one.'
    lines = ["", "## Views", "", about, ""]
    lines += ["| view | what it shows |", "|---|---|"]
    lines += [f"| `{view.id}` | {view.description} |" for view in sorted(shown, key=lambda view: view.id)]
    return "\n".join(lines) + "\n"


def _dictionary(tables: list[Table]) -> str:
    lines = [
        "# Data dictionary",
        "",
        "Generated from `cbi_dagster/catalog` by `make generate`. Do not edit.",
        "",
        "NULL means unknown. A column name means the same in every table. Every table also has `ingestion_ts` and",
        "`run_id`, which are not part of a row's content.",
        "",
    ]
    lines += [f"- [{table.id}](#{table.id.replace('.', '')})" for table in tables]
    for table in tables:
        lines += ["", f"## {table.id}", "", table.description, ""]
        lines += [f"- Key: {', '.join(f'`{name}`' for name in table.key)}", f"- Partitions: {table.partitioning.words}"]
        if table.reads:
            lines += [f"- Reads: {'; '.join(f'`{read.source}` ({read.history})' for read in table.reads)}"]
        if table.row_checks:
            lines += [f"- Checks: {'; '.join(f'`{check.name}`' for check in table.row_checks)}"]
        lines += ["", "| column | type | unit | NULL | meaning |", "|---|---|---|---|---|"]
        for column in table.columns:
            lines.append(_row(column, column.name, column.name not in table.required))
            lines += [_row(part, f"{column.name}.{part.name}", True) for part in column.fields]
    return "\n".join(lines) + "\n"


def _row(column: Column, name: str, nullable: bool) -> str:
    bounds = [
        f"{sign} {bound:g}"
        for sign, bound in ((">=", column.ge), (">", column.gt), ("<=", column.le))
        if bound is not None
    ]
    meaning = column.description + (f" ({', '.join(bounds)})" if bounds else "")
    if column.isin:
        meaning += f" One of {', '.join(column.isin)}."
    type_ = column.type.value if column.type is not Type.STRUCT else f"STRUCT of {len(column.fields)}"
    return f"| `{name}` | {type_} | {column.unit} | {'yes' if nullable else 'no'} | {meaning} |"


def main() -> None:
    """Write every generated file."""
    for name, content in generated_files().items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
