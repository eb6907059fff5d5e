"""How each table is made of the tables it reads: one function of frames per table, one module per layer.

Recipes know no Dagster, so that a plan or a rebuild needs none: `orchestration/assets.py` makes the Dagster asset of
every recipe, and `warehouse/builder.py` calls the same functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from cbi_dagster.catalog import ASSET_TABLES
from cbi_dagster.recipes import features, forecasts, market_data, mes, predictions, raw_intelligence, training
from cbi_dagster.recipes.recipe import Recipe, TableOutput, recipe

__all__ = ["RECIPES", "Recipe", "TableOutput", "recipe"]


def _stated(module: ModuleType) -> Iterator[Recipe]:
    for value in vars(module).values():
        yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Recipe))


_MODULES = (market_data, raw_intelligence, mes, predictions, features, training, forecasts)
_BY_TABLE = {item.table.id: item for module in _MODULES for item in _stated(module)}

#: The recipe of every table that an asset makes, by table id, inputs before the tables that read them.
RECIPES: dict[str, Recipe] = {table.id: _BY_TABLE[table.id] for table in ASSET_TABLES}
