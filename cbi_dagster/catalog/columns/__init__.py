"""The global column dictionary: one name, one type, one unit, one meaning.

A column name that appears in two tables means the same in both. Each family of columns has a module here; it declares
its columns (`COLUMNS`), and names, in order, those that its tables have and those that its functions need. Prices are
in the quote unit of the row's product (`universe.yaml`); columns starting with `adj_` are on the forward-ratio-adjusted
scale, on which the first contract of the history has factor 1.
"""

from __future__ import annotations

import importlib
import pkgutil

from cbi_dagster.catalog.model import Column

#: Every module beside this one is a family.
_FAMILIES = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]

_ALL = tuple(column for family in _FAMILIES for column in family.COLUMNS)
DICTIONARY: dict[str, Column] = {column.name: column for column in _ALL}
if len(DICTIONARY) != len(_ALL):
    raise ValueError("the column dictionary declares a name twice")


def pick(*names: str) -> tuple[Column, ...]:
    """Columns of the dictionary by name; KeyError for a name it does not have. White space separates names too."""
    return tuple(DICTIONARY[name] for several in names for name in several.split())
