"""How each table is made of the tables it reads: one function of frames per table, one module per layer.

Recipes know no Dagster, so that a plan or a rebuild needs none: `orchestration/assets.py` makes the Dagster asset of
every recipe, and `warehouse/builder.py` calls the same functions.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from types import ModuleType

from cbi_dagster.catalog import ASSET_TABLES
from cbi_dagster.recipes.recipe import Recipe, TableOutput, recipe

__all__ = ["RECIPES", "Recipe", "TableOutput", "recipe"]


class _Recipes(Mapping[str, Recipe]):
    """The recipes by table id; what they compute with is imported when one is asked for, since a plan needs none."""

    def __getitem__(self, table_id: str) -> Recipe:
        return _by_table()[table_id]

    def __iter__(self) -> Iterator[str]:
        return (table.id for table in ASSET_TABLES)

    def __len__(self) -> int:
        return len(ASSET_TABLES)


@functools.cache
def _by_table() -> Mapping[str, Recipe]:
    from cbi_dagster.recipes import features, forecasts, market_data, mes, predictions, raw_intelligence, training

    modules = (market_data, raw_intelligence, mes, predictions, features, training, forecasts)
    return {item.table.id: item for module in modules for item in _stated(module)}


def _stated(module: ModuleType) -> Iterator[Recipe]:
    for value in vars(module).values():
        yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Recipe))


#: The recipe of every table that an asset makes, by table id, inputs before the tables that read them.
RECIPES: Mapping[str, Recipe] = _Recipes()
