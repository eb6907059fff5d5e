"""What is stored against what is declared: what is missing, what can be added, and what nobody can mend."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cbi_dagster.catalog.model import Column, Table
from cbi_dagster.catalog.views import View


class SchemaDriftError(RuntimeError):
    """Stored tables differ from their declarations in ways that adding nullable columns cannot mend.

    `tables`: what differs, by table id.
    """

    def __init__(self, tables: Mapping[str, Sequence[str]]) -> None:
        self.tables = dict(tables)
        lines = [f"  {name}: {'; '.join(differences)}" for name, differences in self.tables.items()]
        super().__init__(
            "the warehouse was made by another version of the declarations:\n"
            + "\n".join(lines)
            + (
                "\nThey keep the books: use the version of cbi that made this warehouse, or another CBI_HOME."
                if any(name.startswith("ops.") for name in self.tables)
                else f"\n`cbi reset {' '.join(self.tables)}` drops these tables; `cbi refresh` then rebuilds them."
            )
        )


@dataclass(frozen=True)
class Stored:
    """The engine's type of each stored column, by table id and column, and the digests of views of ours, by id."""

    tables: Mapping[str, Mapping[str, str]]
    views: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Lacking:
    """Tables that are not stored, declared columns that stored tables lack and that can be added, and views.

    `views` are not stored or of another version; `left_over` are ids of views that nothing declares.
    """

    tables: tuple[Table, ...] = ()
    columns: tuple[tuple[Table, Column], ...] = ()
    views: tuple[View, ...] = ()
    left_over: tuple[str, ...] = ()

    @property
    def datasets(self) -> tuple[str, ...]:
        """Those of tables and views that are to be made."""
        return tuple(dict.fromkeys(name.partition(".")[0] for name in self.ids))

    @property
    def ids(self) -> tuple[str, ...]:
        """The tables and views that are to be made."""
        return (*(table.id for table in self.tables), *(view.id for view in self.views))

    def __bool__(self) -> bool:
        return bool(self.tables or self.columns or self.views or self.left_over)


def compared(
    stored: Stored, tables: Iterable[Table], views: Collection[View], type_of: Callable[[Column], str]
) -> tuple[Lacking, dict[str, tuple[str, ...]]]:
    """What is lacking of `tables` and `views`, and by table id how tables are stored otherwise than declared.

    A view waits until all tables that it reads are there as declared. For no `views` none is left over.
    """
    new: list[Table] = []
    added: list[tuple[Table, Column]] = []
    drift: dict[str, tuple[str, ...]] = {}
    for table in tables:
        if table.id not in stored.tables:
            new.append(table)
            continue
        there, declared = stored.tables[table.id], {column.name: column for column in table.stored_columns}
        extra = [name for name in there if name not in declared]
        differences = [f"stored and not declared: {', '.join(extra)}"] if extra else []
        for name, column in declared.items():
            if name not in there and name in table.required:
                differences.append(f"{name} is required and not stored")
            elif name not in there:
                added.append((table, column))
            elif there[name] != (wanted := type_of(column)):
                differences.append(f"{name} is stored as {there[name]}, declared as {wanted}")
        if differences:
            drift[table.id] = tuple(differences)
    columns = tuple((table, column) for table, column in added if table.id not in drift)
    sound = ({*stored.tables} | {table.id for table in new}) - {*drift}
    other = [view for view in views if stored.views.get(view.id) != view.digest]
    ready = tuple(view for view in other if _sources(view) <= sound)
    left_over = set(stored.views) - {view.id for view in views} if views else ()
    return Lacking(tuple(new), columns, ready, tuple(sorted(left_over))), drift


@functools.cache
def _sources(view: View) -> frozenset[str]:
    from cbi_dagster.warehouse.sql import query_of, tables_of  # takes long to import, and views seldom change

    return frozenset(table.id for table in tables_of(query_of(view.text)))
