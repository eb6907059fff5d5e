"""Code versions: what has to change for a table's partitions to be stale by code.

A table's version is a digest of its parts: every definition of this package that its function reaches
(`catalog/sources.py`), its declaration, and every setting of each config that is read on the way. A comment, a
docstring, a description or the name of a local variable is no part. Parts have names, so that a plan can say which of
them changed.

What counts is what says how a row is computed: storage, Dagster and the command line do not. Declarations of columns
and tables count by what they say, not by how they are written.
"""

from __future__ import annotations

import datetime as dt
import enum
import functools
import hashlib
import importlib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from pydantic import BaseModel

from cbi_dagster.catalog.model import Column, Read, RowCheck, Table
from cbi_dagster.catalog.sources import DIGEST_BYTES, Package, installed

PACKAGE = __name__.partition(".")[0]

#: The rooms of the package whose code says how rows are computed.
_ROOMS = frozenset({"catalog", "config", "market", "features", "matrix", "training", "policy", "recipes", "vendors"})
#: Modules of these rooms that declare tables and columns, or bind a function to its table: they count by value.
_DECLARING = ("catalog.columns", "catalog.tables", "recipes.recipe")


@dataclass(frozen=True)
class CodeVersion:
    """The version of a table's code: its `digest`, and the digests of its named parts."""

    digest: str
    parts: Mapping[str, str]

    def changes_since(self, earlier: Mapping[str, str]) -> tuple[str, ...]:
        """The parts that differ from those of an earlier version, settings and declarations first."""
        changed = {name for name, digest in self.parts.items() if earlier.get(name) != digest}
        changed |= earlier.keys() - self.parts.keys()
        kinds = ("setting", "declaration", "code")
        return tuple(sorted(changed, key=lambda name: (kinds.index(name.partition(" ")[0]), name)))


@functools.cache
def _this_package() -> Package:
    return installed(PACKAGE)


def code_version(table: Table, functions: Iterable[Callable[..., Any]], package: Package | None = None) -> CodeVersion:
    """The version of the code of `table`, whose rows are made by `functions` of this package.

    `package`: the source to look at (default: the installed one).
    """
    functions = [*functions, *(check.holds for check in table.row_checks)]
    roots, methods = zip(*(_root(function) for function in functions), strict=True)
    found = (package or _this_package()).reached(roots, _counts_otherwise, methods)
    parts = {f"code {_short(name)}": definition.digest for name, definition in found.definitions.items()}
    parts |= {f"declaration {name}": _digest(value) for name, value in _declared(table)}
    for name in found.beyond:
        module, _, attribute = name.rpartition(".")
        if _is_declaring(module) and not isinstance(value := getattr(importlib.import_module(module), attribute), type):
            parts |= {} if isinstance(value, FunctionType) else {f"declaration {_short(name)}": _digest(_plain(value))}
    for name in found.definitions:
        module, _, loader = _short(name).rpartition(".")
        if module.startswith("config.") and loader == f"load_{module.partition('.')[2]}":
            parts |= _settings(module.partition(".")[2])
    for function in functions:
        for variable, value in _bound(function):
            parts[f"declaration {variable} of the function"] = _digest(value)
    return CodeVersion(_digest(sorted(parts.items())), parts)


def formula_modules(function: Callable[..., Any]) -> list[str]:
    """Paths (`cbi_dagster/features/fibs.py`) of the modules that a recipe's function calls by itself."""
    package = _this_package()
    own = package.reached([_root(function)[0]], lambda module: not module.startswith(f"{PACKAGE}.recipes"))
    modules = {name.rpartition(".")[0] for name in own.beyond}
    rooms = ("market", "features", "matrix", "training", "policy", "vendors")
    return sorted(f"{name.replace('.', '/')}.py" for name in modules if _room(name) in rooms)


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def _short(name: str) -> str:
    return name.removeprefix(f"{PACKAGE}.")


def _is_declaring(module: str) -> bool:
    return any(_short(module) == name or _short(module).startswith(f"{name}.") for name in _DECLARING)


def _counts_otherwise(module: str) -> bool:
    """Whether the source of a module is no part of a version; the package's own __init__ is looked into."""
    return module != PACKAGE and (_room(module) not in _ROOMS or _is_declaring(module))


def _root(function: Callable[..., Any]) -> tuple[str, str]:
    """The definition at the top of its module that a function is made in, and what it is called there if a method."""
    definition, _, method = function.__qualname__.partition(".<locals>")[0].partition(".")
    return f"{function.__module__}.{definition}", method


def _bound(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """What a function made in another one was given by it, as far as that is no function."""
    bound = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
    for name, value in bound.items():
        if not callable(value) or isinstance(value, BaseModel):
            yield name, _plain(value)


def _declared(table: Table) -> Iterator[tuple[str, Any]]:
    """What a declaration says about the content of its table."""
    for column in table.columns:
        yield f"column {column.name} of {table.id}", [_plain(column), column.name in table.required]
    yield f"columns of {table.id}", [column.name for column in table.columns]
    yield f"key and partitions of {table.id}", [table.key, type(table.partitioning).__name__, table.partitioning.column]
    for read in table.reads:
        yield f"read of {read.source} by {table.id}", _plain(read)
    for check in table.row_checks:
        yield f"check {check.name} of {table.id}", _plain(check)


@functools.cache
def _settings(config: str) -> dict[str, str]:
    """The settings of config/<config>.yaml as parts of a version."""
    loaded = getattr(importlib.import_module(f"{PACKAGE}.config.{config}"), f"load_{config}")()
    return {f"setting {name}": _digest(value) for name, value in _leaves(config, loaded.model_dump(mode="json"))}


#: Fields that tell the items of a list in a config apart.
_NAMING = ("symbol", "root", "name", "first_trade_date", "valid_from")


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every single value with its dotted path; an item of a list is named by its root, name or start, else counted."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}", inner)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for number, item in enumerate(value):
            names = [str(item[name]) for name in _NAMING if item.get(name)]
            yield from _leaves(f"{path}.{'.'.join(names) or number}", item)
        yield path, len(value)
    else:
        yield path, value


def _plain(value: Any) -> Any:
    """A declared value as what JSON can say; descriptions and units of columns are left out."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Column):
        bounds = [value.ge, value.gt, value.le, value.isin]
        return [value.name, value.type.value, _plain(bounds), [_plain(part) for part in value.fields]]
    if isinstance(value, Read):
        return [value.source, _plain(value.back), value.forward, value.columns, value.symbols]
    if isinstance(value, RowCheck):
        return [value.name, value.columns]
    if isinstance(value, Table):
        return value.id
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return [[_plain(name), _plain(inner)] for name, inner in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    raise TypeError(f"a declaration holds {value!r}: say in catalog/versions.py what of it counts")


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=DIGEST_BYTES).hexdigest()
