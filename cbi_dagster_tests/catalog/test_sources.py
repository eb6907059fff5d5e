"""What a definition says, and what it reaches: on a small package whose modules are texts."""

from __future__ import annotations

import pytest

from cbi_dagster.catalog.sources import Package

MODULES = {
    "shop": "",
    "shop.counter": """
from shop import stock
from shop.tools import Scale, rounded as round_off

FACTOR = 2.0

def price(items: list[float], scale: Scale) -> float:
    total = 0.0
    for item in items:
        total += stock.value(item) * FACTOR
    return round_off(scale.weigh(total))

def unrelated() -> int:
    return 1
""",
    "shop.stock": """
RATE = 3

def value(item: float) -> float:
    def inner(factor: float) -> float:
        return factor * RATE
    return inner(item)

def other() -> None: ...
""",
    "shop.tools": """
from shop.parts import Base

class Scale(Base):
    unit: str = "kg"

    def __init__(self) -> None:
        self.zero = 0

    def weigh(self, x: float) -> float:
        return self.tare(x)

    def tare(self, x: float) -> float:
        return x - self.zero

    def clean(self) -> None:
        print("clean")

    @validated
    def checked(self) -> None: ...

def rounded(x: float) -> float:
    return round(x, 2)
""",
    "shop.parts": """
class Base:
    def weigh(self, x: float) -> float: ...
    def lost(self) -> None: ...
""",
}
ROOT = "shop.counter.price"


def package(**changed: tuple[str, str]) -> Package:
    """The package, with a piece of a module's text replaced: `module=(old, new)`."""
    texts = dict(MODULES)
    for name, (old, new) in changed.items():
        assert old in texts[f"shop.{name}"]
        texts[f"shop.{name}"] = texts[f"shop.{name}"].replace(old, new)
    return Package("shop", lambda name: (texts[name], name == "shop") if name in texts else None)


def digests(found: Package, *roots: str) -> dict[str, str]:
    reached = found.reached(roots or [ROOT], lambda module: False)
    return {name: definition.digest for name, definition in reached.definitions.items()}


def test_a_function_reaches_what_it_names_through_imports_annotations_and_attributes():
    assert set(digests(package())) == {
        "shop.counter.price", "shop.counter.FACTOR", "shop.stock.value", "shop.stock.RATE", "shop.tools.rounded",
        "shop.tools.Scale", "shop.tools.Scale.__init__", "shop.tools.Scale.weigh", "shop.tools.Scale.tare",
        "shop.tools.Scale.checked", "shop.parts.Base", "shop.parts.Base.weigh",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("counter", "total = 0.0", "total = 0.0  # a comment"),
        ("counter", "    total = 0.0\n", '    """What it costs."""\n    total = 0.0\n'),
        ("counter", "    total = 0.0\n", "\n    total   =   (0.0)\n"),
        ("counter", "total", "amount"),
        ("counter", "-> float", "-> int"),
        ("counter", "return 1", "return 2"),
        ("stock", "inner", "scaled"),
        ("stock", "def other() -> None: ...", "OTHER = 1"),
        ("tools", 'print("clean")', 'print("cleaner")'),
        ("parts", "def lost(self) -> None: ...", "def lost(self) -> None:\n        return 5"),
    ],
)  # fmt: skip
def test_what_says_nothing_about_the_result_changes_no_digest(module, old, new):
    assert digests(package(**{module: (old, new)})) == digests(package())


@pytest.mark.parametrize(
    ("module", "old", "new", "name"),
    [
        ("counter", "total = 0.0", "total = 1.0", "shop.counter.price"),
        ("counter", "total += ", "total -= ", "shop.counter.price"),
        ("counter", "* FACTOR", "* FACTOR * FACTOR", "shop.counter.price"),
        ("counter", "FACTOR = 2.0", "FACTOR = 2", "shop.counter.FACTOR"),
        ("stock", "RATE = 3", "RATE = 4", "shop.stock.RATE"),
        ("stock", "return factor * RATE", "return RATE * factor", "shop.stock.value"),
        ("stock", "def value(item: float)", "def value(item: float, least: float = 0.0)", "shop.stock.value"),
        ("tools", "x - self.zero", "x - self.one", "shop.tools.Scale.tare"),
        ("tools", '"kg"', '"lb"', "shop.tools.Scale"),
        ("tools", "self.zero = 0", "self.zero = 1", "shop.tools.Scale.__init__"),
        ("tools", "checked(self) -> None: ...", "checked(self, x: int = 0) -> None: ...", "shop.tools.Scale.checked"),
    ],
)  # fmt: skip
def test_what_says_something_changes_the_digest_of_its_definition_alone(module, old, new, name):
    before, after = digests(package()), digests(package(**{module: (old, new)}))
    assert {key for key in before | after if before.get(key) != after.get(key)} == {name}


def test_swapping_two_locals_is_no_renaming():
    before = package(counter=("return 1", "a, b = 1, 2\n    return a - b"))
    after = package(counter=("return 1", "a, b = 1, 2\n    return b - a"))
    root = "shop.counter.unrelated"
    assert digests(before, root) != digests(after, root)


def test_a_local_name_hides_a_global_one_only_where_it_is_bound():
    hidden = package(counter=("return 1", "stock = 1\n    return stock"))
    assert set(digests(hidden, "shop.counter.unrelated")) == {"shop.counter.unrelated"}
    beside = package(counter=("return 1", "return [stock for stock in ()], stock.value(1)"))
    assert "shop.stock.value" in digests(beside, "shop.counter.unrelated")


def test_statements_that_bind_no_name_count_with_every_definition_of_their_module():
    registering = package(stock=("RATE = 3", "RATE = 3\nimport_hook()"))
    assert set(digests(registering)) - set(digests(package())) == {"shop.stock.<module>"}


def test_what_lies_beyond_is_named_and_not_looked_into():
    reached = package().reached([ROOT], lambda module: module == "shop.tools")
    assert reached.beyond == {"shop.tools.Scale", "shop.tools.rounded"}
    assert "shop.parts.Base" not in reached.definitions


def test_of_what_lies_beyond_the_definition_is_named_and_not_its_attribute():
    used = package(counter=("return 1", "return round_off.cache_info()"))
    reached = used.reached(["shop.counter.unrelated"], lambda module: module.startswith("shop.tools"))
    assert reached.beyond == {"shop.tools.rounded"}
