"""Mutations that Cosmic Ray does not bring: a statement, a keyword argument or a step of a method chain left out.

They are the mistakes that changing one operator or number cannot make: a failure not recorded, a lock not taken, an
option not passed on, an order taken for granted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cosmic_ray.plugins
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator

#: Methods that give back what they were called on in another order, number or form.
_STEPS = {
    "abs", "clip", "combine_first", "drop_duplicates", "dropna", "fillna", "intersection", "lower", "mask", "reindex",
    "reset_index", "resolve", "shift", "sort", "sort_by", "sort_index", "sort_values", "strip", "unique", "where",
}  # fmt: skip


class RemoveStatement(Operator):
    """A call whose result is not used, an assignment to an attribute or item, a `raise` or a `del` becomes `pass`."""

    def mutation_positions(self, node: Any) -> list[tuple[Any, Any]]:
        acts = node.type == "simple_stmt" and self._acts(node.children[0])
        return [(node.children[0].start_pos, node.children[0].end_pos)] if acts else []

    def mutate(self, node: Any, index: int) -> Any:
        indent, statement = node.children[0].get_first_leaf().prefix, node.children[0]
        node.children[0] = type(node.get_last_leaf())("pass", statement.start_pos, indent)
        return node

    @staticmethod
    def _acts(statement: Any) -> bool:
        if statement.type == "expr_stmt":
            return str(statement.children[0].type) in ("atom_expr", "power")
        if statement.type == "atom_expr":
            return str(statement.children[-1].type) == "trailer" and statement.children[-1].children[0] == "("
        return statement.type in ("raise_stmt", "del_stmt") or (statement.type == "keyword" and statement == "raise")

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (Example("f(1)\n", "pass\n"), Example("a[1] = 2\n", "pass\n"), Example("raise E\n", "pass\n"))


class RemoveKeywordArgument(Operator):
    """A keyword argument of a call is left out, so that its default holds."""

    def mutation_positions(self, node: Any) -> list[tuple[Any, Any]]:
        return [(node.children[at].start_pos, node.children[at].end_pos) for at in self._keywords(node)]

    def mutate(self, node: Any, index: int) -> Any:
        at = self._keywords(node)[index]
        comma = at + 1 if at + 1 < len(node.children) and node.children[at + 1] == "," else at - 1
        removed = {at, comma} if node.type == "arglist" else {at}
        node.children = [child for place, child in enumerate(node.children) if place not in removed]
        return node

    @staticmethod
    def _keywords(node: Any) -> list[int]:
        if node.type != "arglist" and not (node.type == "trailer" and node.children[0] == "("):
            return []
        return [at for at, c in enumerate(node.children) if c.type == "argument" and c.children[1] == "="]

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (
            Example("f(a=1)", "f()"),
            Example("f(x, a=1)", "f(x)"),
            Example("f(a=1, b=2)", "f( b=2)"),
        )


class RemoveStep(Operator):
    """`frame.sort_values("date")` becomes `frame`: one step of a method chain, of those in `_STEPS`, is left out."""

    def mutation_positions(self, node: Any) -> list[tuple[Any, Any]]:
        names = [node.children[at].children[1] for at in self._steps(node)]
        return [(name.start_pos, name.end_pos) for name in names]

    def mutate(self, node: Any, index: int) -> Any:
        at = self._steps(node)[index]
        node.children = node.children[:at] + node.children[at + 2 :]
        return node

    @staticmethod
    def _steps(node: Any) -> list[int]:
        if node.type != "atom_expr":
            return []
        pairs = enumerate(zip(node.children[1:-1], node.children[2:], strict=True), start=1)
        return [
            at
            for at, (name, call) in pairs
            if name.children[0] == "." and call.children[0] == "(" and name.children[1].value in _STEPS
        ]

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (Example("a.sort_values(b).c", "a.c"), Example("a.b().dropna()", "a.b()"))


def register() -> None:
    """Make the operators of this module known to Cosmic Ray under `cbi/`; each makes of its examples what they say."""
    own = (RemoveStatement, RemoveKeywordArgument, RemoveStep)
    for operator in own:
        for example in operator.examples():
            made = mutate_code(example.pre_mutation_code, operator(), 0)
            assert made == example.post_mutation_code, f"{operator.__name__}: {example} became {made!r}"
    cosmic_ray.plugins.OPERATOR_PROVIDERS["cbi"] = {operator.__name__: operator for operator in own}
