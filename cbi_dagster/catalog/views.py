"""Views: one query per file of `sql/views`, over tables alone; the file's name is the view's id."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

#: A link to `sql/` at the top level; in an installed package a copy.
_DIRECTORY = files(__package__.partition(".")[0]).joinpath("sql", "views")


@dataclass(frozen=True)
class View:
    """`text`: the query, after comments whose first lines say what the view shows."""

    id: str
    text: str

    @property
    def dataset(self) -> str:
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        return self.id.partition(".")[2]

    @cached_property
    def description(self) -> str:
        """The comment that the file begins with, but for the line of those that are generated."""
        lines = []
        for line in self.text.splitlines():
            if not line.startswith("--"):
                break
            if not line.startswith("-- Generated "):
                lines.append(line.removeprefix("--").strip())
        return " ".join(lines)

    @cached_property
    def digest(self) -> str:
        """By which a view that is stored is told from one of another version."""
        return hashlib.blake2b(self.text.encode(), digest_size=16).hexdigest()


@cache
def views() -> dict[str, View]:
    """Every view, by id."""
    paths = {path.name.removesuffix(".sql"): path for path in _DIRECTORY.iterdir()}
    return {name: View(name, paths[name].read_text(encoding="utf-8")) for name in sorted(paths)}
