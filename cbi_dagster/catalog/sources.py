"""The package's own source as definitions, and which of them a function reaches.

A definition is a function, a method, a class without its methods, or an assignment, at the top of a module. Its digest
is that of its syntax tree without comments, docstrings, formatting, annotations and the names of local variables. What
it refers to is followed through imports to other definitions of the package; annotations are followed too, since they
say which class a parameter has. A method of a reached class is reached when its name is an attribute somewhere in what
is reached, when something else than the code may call it (a dunder or decorated method), and not otherwise.

A function that is looked up by text at run time (`getattr` with a method's name, a dictionary filled elsewhere) escapes
this; a test runs every recipe and compares what was called with what is said to be reached.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

DIGEST_BYTES = 8

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
#: Fields of the syntax tree that say nothing about what is computed, or differ between versions of Python.
_SILENT = frozenset({"ctx", "type_comment", "kind", "type_params", "simple"})


@dataclass(frozen=True)
class Definition:
    """One definition: digest of what it says, and the names and attributes that it refers to.

    `names`: what it reads of its module's global names, as dotted text as far as it is written (`windows.Sessions`).
    `attributes`: every attribute that is read in it. `implicit`: whether it may be called without being named.
    """

    digest: str
    names: frozenset[str]
    attributes: frozenset[str]
    implicit: bool


@dataclass
class _Scope:
    """The names bound in a function or comprehension: parameters keep their names, other locals are numbered."""

    parent: _Scope | None
    bound: dict[str, str] = field(default_factory=dict)

    def bind(self, name: str) -> None:
        self.bound.setdefault(name, f"local {len(self.bound)}")


class _Reading:
    """What one definition says, in order, and what it refers to.

    A name stands with its scope until everything is read: what is bound in a scope is known at its end only.
    """

    def __init__(self) -> None:
        self._said: list[str | tuple[_Scope | None, str]] = []
        self._annotated: list[tuple[_Scope | None, str]] = []
        self._attributes: set[str] = set()
        self._imported: set[str] = set()

    def read(self, node: object, scope: _Scope | None = None) -> None:
        if isinstance(node, list):
            for item in node:
                self.read(item, scope)
            self._said.append(";")
        elif isinstance(node, ast.AST):
            self._read_node(node, scope)
        elif node is not None:
            self._said.append(repr(node))

    def _read_node(self, node: ast.AST, scope: _Scope | None) -> None:
        if isinstance(node, ast.Name):
            self._name(node.id, scope, bound=not isinstance(node.ctx, ast.Load))
            return
        if isinstance(node, ast.Attribute):
            self._attributes.add(node.attr)
            self._said.append(node.attr)
            if path := _path(node):
                self._attributes.update(path.split(".")[1:])
                self._said.append((scope, path))
            else:
                self._read_node(node.value, scope)
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # a docstring
        if isinstance(node, ast.ImportFrom) and node.module:
            self._imported.update(f"{node.module}.{alias.name}" for alias in node.names)
        if isinstance(node, ast.AnnAssign) and scope is not None and node.value is None:
            self._annotation(node.annotation, scope)
            return
        self._said.append(type(node).__name__)
        if isinstance(node, _SCOPES):
            self._own_name(node, scope)
            scope = _Scope(scope)
        elif isinstance(node, ast.Global | ast.Nonlocal | ast.alias | ast.ExceptHandler | ast.MatchAs | ast.ClassDef):
            self._own_name(node, scope)
        for name in node._fields:
            value = getattr(node, name)
            if value is None or name in _SILENT:
                continue
            if name == "returns" or (name == "annotation" and scope is not None):
                self._annotation(value, scope)
            elif isinstance(node, ast.arg) and scope is not None:
                scope.bound[node.arg] = node.arg
                self._said.append(node.arg)
            elif not (name in ("name", "asname") and isinstance(value, str)):
                self.read(value, scope)

    def _own_name(self, node: ast.AST, scope: _Scope | None) -> None:
        """The name that a function, class, import, handler or pattern binds outside itself."""
        name = getattr(node, "asname", None) or getattr(node, "name", None)
        if isinstance(name, str):
            self._name(name.partition(".")[0], scope, bound=True)
            if isinstance(node, ast.alias):
                self._said.append(node.name)

    def _name(self, name: str, scope: _Scope | None, *, bound: bool) -> None:
        if bound and scope is not None:
            scope.bind(name)
        self._said.append((scope, name))

    def _annotation(self, node: ast.AST, scope: _Scope | None) -> None:
        """An annotation says nothing about what is computed, but names the classes whose methods are called."""
        for inner in ast.walk(node):
            path = _path(inner) if isinstance(inner, ast.Attribute) else getattr(inner, "id", None)
            if path:
                self._annotated.append((scope, path))

    def definition(self, *, implicit: bool = True) -> Definition:
        names, words = set(self._imported), []
        for word in self._said:
            if isinstance(word, tuple):
                said, is_global = _spelled(*word)
                words.append(said)
                if is_global:
                    names.add(word[1])
            else:
                words.append(word)
        names.update(path for scope, path in self._annotated if _spelled(scope, path)[1])
        digest = hashlib.blake2b("\0".join(words).encode(), digest_size=DIGEST_BYTES).hexdigest()
        return Definition(digest, frozenset(names), frozenset(self._attributes), implicit)

    def __bool__(self) -> bool:
        return bool(self._said)


def _spelled(scope: _Scope | None, path: str) -> tuple[str, bool]:
    """What a dotted path says with its first name looked up in the scopes, and whether that is a global name."""
    first, dot, rest = path.partition(".")
    depth = 0
    while scope is not None:
        if first in scope.bound:
            return f"{depth} {scope.bound[first]}{dot}{rest}", False
        scope, depth = scope.parent, depth + 1
    return path, True


def _path(node: ast.Attribute) -> str | None:
    """`a.b.c` as text; None for an attribute of anything but a name."""
    parts = [node.attr]
    inner: ast.expr = node.value
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    return ".".join([inner.id, *parts[::-1]]) if isinstance(inner, ast.Name) else None


#: Decorators of methods that are called by their name alone; any other may call its method by itself.
_BY_NAME = frozenset({"property", "cached_property", "staticmethod", "classmethod", "abstractmethod", "cache"})
#: The definition that stands for the statements of a module that bind no name.
_BODY = "<module>"


class Module:
    """The definitions and imports at the top of one module of the package."""

    def __init__(self, name: str, source: str, *, is_package: bool) -> None:
        self.definitions: dict[str, Definition] = {}
        self.imports: dict[str, str] = {}
        self.methods: dict[str, list[str]] = {}
        self._parents = name.split(".") if is_package else name.split(".")[:-1]
        body = _Reading()
        for statement in ast.parse(source).body:
            self._add(statement, body)
        if body:
            self.definitions[_BODY] = body.definition()

    def _add(self, node: ast.stmt, body: _Reading) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for inner in node.body:
                self._add(inner, body)
        elif isinstance(node, ast.ClassDef):
            self._class(node)
        elif isinstance(node, _FUNCTIONS):
            self.definitions[node.name] = _read(node)
        elif bound := {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}:
            self.definitions.update(dict.fromkeys(bound, _read(node)))
        else:
            body.read(node)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.imports[alias.asname or alias.name.partition(".")[0]] = alias.name
            return
        base = self._parents[: len(self._parents) - node.level + 1] if node.level else []
        for alias in node.names:
            self.imports[alias.asname or alias.name] = ".".join([*base, *filter(None, [node.module]), alias.name])

    def _class(self, node: ast.ClassDef) -> None:
        methods = [item for item in node.body if isinstance(item, _FUNCTIONS)]
        header = ast.ClassDef(
            name=node.name, bases=node.bases, keywords=node.keywords, decorator_list=node.decorator_list,
            body=[item for item in node.body if item not in methods],
        )  # fmt: skip
        self.definitions[node.name] = _read(header)
        self.methods[node.name] = []
        for method in methods:
            decorators = {_called(item) for item in method.decorator_list}
            implicit = method.name.startswith("__") or not decorators <= _BY_NAME
            name = f"{node.name}.{method.name}"
            self.definitions[name] = _read(method, implicit=implicit)
            self.methods[node.name].append(name)


def _called(decorator: ast.expr) -> str:
    """The last part of a decorator's name."""
    named = decorator.func if isinstance(decorator, ast.Call) else decorator
    return named.attr if isinstance(named, ast.Attribute) else getattr(named, "id", "")


def _read(node: ast.stmt, *, implicit: bool = True) -> Definition:
    reading = _Reading()
    reading.read(node)
    return reading.definition(implicit=implicit)


class Reached(NamedTuple):
    """The definitions that are reached, by dotted name, and what they name beyond the modules that are looked into."""

    definitions: dict[str, Definition]
    beyond: set[str]


class Package:
    """The modules of a package, read on demand.

    `source(module)` gives the text of a module and whether it is a package, None where there is no such module.
    """

    def __init__(self, name: str, source: Callable[[str], tuple[str, bool] | None]) -> None:
        self.name = name
        self._source = source
        self._modules: dict[str, Module | None] = {}

    def module(self, name: str) -> Module | None:
        if name not in self._modules:
            found = self._source(name)
            self._modules[name] = Module(name, found[0], is_package=found[1]) if found else None
        return self._modules[name]

    def reached(self, roots: Iterable[str], beyond: Callable[[str], bool], called: Iterable[str] = ()) -> Reached:
        """What `roots` (dotted names) reach; modules where `beyond(module)` holds are not looked into.

        `called`: methods of classes among the roots that are called from outside.
        """
        found: dict[str, Definition] = {}
        named_beyond: set[str] = set()
        attributes = set(called)
        waiting: dict[str, list[tuple[str, str]]] = {}
        todo = [self._find(root, beyond) for root in roots]
        while todo:
            at = todo.pop()
            if at is None or f"{at[0]}.{at[1]}" in found:
                continue
            where, name = at
            if beyond(where):
                named_beyond.add(f"{where}.{name}")
                continue
            module = self.module(where)
            assert module is not None
            definition = found[f"{where}.{name}"] = module.definitions[name]
            for method in module.methods.get(name, ()):
                attribute = method.rpartition(".")[2]
                if module.definitions[method].implicit or attribute in attributes:
                    todo.append((where, method))
                else:
                    waiting.setdefault(attribute, []).append((where, method))
            for attribute in definition.attributes - attributes:
                todo += waiting.pop(attribute, [])
            attributes |= definition.attributes
            todo += [self._resolve(where, module, path, beyond) for path in definition.names]
            if _BODY in module.definitions:
                todo.append((where, _BODY))
        return Reached(found, named_beyond)

    def _resolve(self, where: str, module: Module, path: str, beyond: Callable[[str], bool]) -> tuple[str, str] | None:
        first, _, rest = path.partition(".")
        if first in module.definitions:
            return where, first
        if first in module.imports:
            return self._find(".".join(filter(None, [module.imports[first], rest])), beyond)
        return self._find(path, beyond)

    def _find(self, path: str, beyond: Callable[[str], bool]) -> tuple[str, str] | None:
        """Module and name of the definition that a dotted name stands for, through the imports on the way."""
        parts = path.split(".")
        if parts[0] != self.name:
            return None
        for length in range(len(parts) - 1, 0, -1):
            where = ".".join(parts[:length])
            if beyond(where) and self._source(where) is not None:
                return where, parts[length]
            if (module := self.module(where)) is not None:
                own = parts[length] in module.definitions or parts[length] in module.imports
                return self._resolve(where, module, ".".join(parts[length:]), beyond) if own else None
        return None


def _root(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{name} is no installed package")
    return Path(spec.submodule_search_locations[0])


def files_digest(name: str) -> str:
    """Digest of every source and configuration file of an installed package, as they are, and of the Python version.

    Equal digests mean equal code versions, which take twenty times as long to find.
    """
    digest = hashlib.blake2b(platform.python_version().encode(), digest_size=DIGEST_BYTES)
    root = _root(name)
    for path in sorted(item for item in root.rglob("*") if item.suffix in (".py", ".yaml")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)} ".encode() + content)
    return digest.hexdigest()


def installed(name: str) -> Package:
    """The package as it is installed."""
    root = _root(name)

    def source(module: str) -> tuple[str, bool] | None:
        path = root.joinpath(*module.split(".")[1:])
        for file, is_package in ((path / "__init__.py", True), (path.with_suffix(".py"), False)):
            if file.is_file():
                return file.read_text(encoding="utf-8"), is_package
        return None

    return Package(name, source)
