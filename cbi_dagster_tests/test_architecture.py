"""What may import what, what the asset graph looks like, and that looking at it touches nothing.

The graph is kept in asset_graph.txt. After a wanted change: `python -m cbi_dagster_tests.test_architecture`.
"""

from __future__ import annotations

import ast
import difflib
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import dagster as dg
import pytest

import cbi_dagster
from cbi_dagster.catalog import ASSET_TABLES, LANDING_SOURCES
from cbi_dagster.definitions import defs
from cbi_dagster.orchestration.partitions import MONTHS, TRADE_DATES

PACKAGE = Path(cbi_dagster.__file__).parent
SNAPSHOT = Path(__file__).with_name("asset_graph.txt")

#: Imports run one way: a part may use those of its own stage and of earlier ones.
STAGES = (
    ("config", "catalog"),
    ("market", "features", "matrix", "policy", "training"),
    ("recipes",),
    ("warehouse",),
    ("vendors",),
    ("home",),
    ("orchestration", "reports", "api", "prove"),
    ("definitions",),
    ("cli",),
)
#: Frames in, frames out: all that these parts may import besides the package itself.
PURE = {
    "__future__", "abc", "base64", "bisect", "calendar", "collections", "dataclasses", "datetime", "enum", "functools",
    "itertools", "math", "numpy", "operator", "pandas", "pyarrow", "re", "scipy", "sklearn", "talib", "types", "typing",
}  # fmt: skip
#: Declarations are read from files and made into schemas; nothing else.
DECLARED = PURE | {
    "ast",
    "difflib",
    "inspect",
    "pkgutil",
    "platform",
    "hashlib",
    "importlib",
    "json",
    "pandera",
    "pathlib",
    "pydantic",
    "yaml",
}
ALLOWED = dict.fromkeys(STAGES[1], PURE) | dict.fromkeys(STAGES[0], DECLARED)
#: Recipes are pure too, and look at their functions.
ALLOWED["recipes"] = PURE | {"inspect"}
#: What would make a result depend on more than its inputs.
IMPURE = {"now", "today", "utcnow", "random", "default_rng", "environ", "getenv", "open", "read_parquet", "read_csv"}
#: Where a library may be used at all.
HOMES = {
    "dagster": {"orchestration", "definitions"},
    "dagster_pandas": {"orchestration"},
    "duckdb": {"warehouse"},
    "google": {"warehouse"},
    "dagster_gcp": {"warehouse"},
    "grpc": {"warehouse"},
    "matplotlib": {"reports"},
    "sqlglot": {"warehouse"},
    "databento": {"vendors"},
    "databento_dbn": {"vendors"},
    "click": {"cli"},
    "rich": {"cli"},
    "scipy": {"policy"},
    "sklearn": {"policy", "training"},
}


def part_of(module: str) -> str:
    """`cbi_dagster.market.bars` belongs to `market`."""
    return module.split(".")[1] if "." in module else ""


def imported(module: str, source: str, *, is_package: bool = False) -> Iterator[tuple[str, int]]:
    """Absolute names of the modules that a source imports anywhere, with the line; of `from a import b` both."""
    parents = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name, node.lineno
            if name.split(".")[0] == "cbi_dagster":
                yield from ((f"{name}.{alias.name}", node.lineno) for alias in node.names)


def violations(module: str, source: str, *, is_package: bool = False) -> Iterator[str]:
    """What a module of the package does that its part may not."""
    part = part_of(module)
    stage = {name: number for number, names in enumerate(STAGES) for name in names}
    if part and part not in stage:
        yield f"{module}: say in STAGES where {part} belongs"
        return
    for name, line in imported(module, source, is_package=is_package):
        top = name.split(".")[0]
        if top == "cbi_dagster":
            other = part_of(name)
            if other in stage and part in stage and stage[other] > stage[part]:
                yield f"{module}:{line} imports {name}, which comes after {part}"
        elif top == "cbi_dagster_tests":
            yield f"{module}:{line} imports the tests"
        elif part in ALLOWED and top not in ALLOWED[part]:
            yield f"{module}:{line} imports {top}, which {part} may not"
        elif top in HOMES and part not in HOMES[top]:
            yield f"{module}:{line} imports {top}, which belongs to {', '.join(sorted(HOMES[top]))}"
    if part in STAGES[1]:
        for node in ast.walk(ast.parse(source)):
            called = node.func if isinstance(node, ast.Call) else None
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
            if name in IMPURE:
                yield f"{module}:{node.lineno} calls {name}()"


def sources() -> Iterator[tuple[str, str, bool]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        yield ".".join(parts[:-1] if is_package else parts), path.read_text(encoding="utf-8"), is_package


def test_imports_run_one_way_and_pure_parts_stay_pure() -> None:
    found = [line for module, source, package in sources() for line in violations(module, source, is_package=package)]
    assert found == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("cbi_dagster.market.x", "import duckdb"),
        ("cbi_dagster.market.x", "def f():\n    from dagster import asset"),
        ("cbi_dagster.features.x", "from cbi_dagster.warehouse.slices import to_arrow"),
        ("cbi_dagster.features.x", "from cbi_dagster import warehouse"),
        ("cbi_dagster.features.x", "from ..vendors import macro"),
        ("cbi_dagster.matrix.x", "import os"),
        ("cbi_dagster.training.x", "import pandas as pd\npd.Timestamp.now()"),
        ("cbi_dagster.training.x", "import numpy as np\nnp.random.default_rng()"),
        ("cbi_dagster.catalog.x", "from cbi_dagster.market import bars"),
        ("cbi_dagster.warehouse.x", "import cbi_dagster.orchestration.assets"),
        ("cbi_dagster.vendors.x", "import duckdb"),
        ("cbi_dagster.reports.x", "from google.cloud import bigquery"),
        ("cbi_dagster.orchestration.x", "from cbi_dagster.definitions import defs"),
        ("cbi_dagster.cli", "from cbi_dagster_tests.vendors import small_files"),
        ("cbi_dagster.recipes.x", "from cbi_dagster.warehouse.builder import Builder"),
        ("cbi_dagster.recipes.x", "import dagster as dg"),
        ("cbi_dagster.warehouse.x", "from cbi_dagster.vendors import landing"),
        ("cbi_dagster.warehouse.x", "import dagster"),
        ("cbi_dagster.home", "from cbi_dagster.orchestration import runs"),
        ("cbi_dagster.reports.x", "from dagster import DagsterInstance"),
        ("cbi_dagster.orchestration.x", "from cbi_dagster.cli import main"),
        ("cbi_dagster.newcomer", "import numpy"),
    ],
)
def test_a_wrong_import_is_noticed(module: str, source: str) -> None:
    assert list(violations(module, source))


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = {module for module, _, _ in sources()}
    graph = {
        module: {name for name, _ in imported(module, source) if name in known}
        for module, source, package in sources()
        if not package
    }
    TopologicalSorter(graph).prepare()  # raises CycleError with the circle


def test_only_home_and_the_warehouse_know_an_engine() -> None:
    files = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".yaml", ".toml", ".sql", ".md"}]
    for engine in ("duckdb", "bigquery"):
        naming = {path.relative_to(PACKAGE).parts[0] for path in files if engine in path.read_text("utf-8").lower()}
        assert naming == {"home.py", "warehouse"}


def test_only_home_puts_the_platform_together() -> None:
    parts = {"DuckDBWarehouse", "BigQueryWarehouse", "Landing", "Builder", "Platform"}
    making = {
        module
        for module, source, _ in sources()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in parts
    }
    assert making == {"cbi_dagster.home"}


# -- the asset graph --------------------------------------------------------------------------------------------------


def described(definitions: dg.Definitions) -> str:
    """One paragraph per asset: group, partitions and checks, then what it reads."""
    graph = definitions.resolve_asset_graph()
    kinds = {TRADE_DATES: "trade dates", MONTHS: "months", None: "not partitioned"}
    lines = []
    for key in sorted(graph.get_all_asset_keys(), key=lambda key: key.path):
        node = graph.get(key)
        checks = ", ".join(sorted(check.name for check in node.check_keys)) or "-"
        lines.append(f"{'.'.join(key.path)} | {node.group_name} | {kinds[node.partitions_def]} | checks: {checks}")
        lines += [f"    {'.'.join(parent.path)}" for parent in sorted(node.parent_keys, key=lambda key: key.path)]
    return "\n".join(lines) + "\n"


def test_the_asset_graph_is_the_one_that_was_looked_at() -> None:
    stored, present = SNAPSHOT.read_text(encoding="utf-8"), described(defs)
    difference = "\n".join(
        difflib.unified_diff(stored.splitlines(), present.splitlines(), "stored", "now", lineterm="")
    )
    assert not difference, (
        "the asset graph changed; if that is wanted: `python -m cbi_dagster_tests.test_architecture`, "
        f"and commit {SNAPSHOT.name}\n{difference}"
    )


def test_every_table_is_an_asset_that_reads_what_it_declares() -> None:
    graph = defs.resolve_asset_graph()
    found = {
        ".".join(key.path): {".".join(parent.path) for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    sources_only = {name: set[str]() for name in LANDING_SOURCES}
    assert found == sources_only | {table.id: {read.source for read in table.reads} for table in ASSET_TABLES}
    executable = {".".join(key.path) for key in graph.executable_asset_keys}
    assert executable == {table.id for table in ASSET_TABLES}


# -- loading ----------------------------------------------------------------------------------------------------------

_LOAD = """
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        raise RuntimeError(f"loading definitions used the network: {event} {arguments}")

sys.addaudithook(watch)
from cbi_dagster.definitions import defs
graph = defs.resolve_asset_graph()
print(len(list(graph.get_all_asset_keys())))
nodes = [graph.get(key) for key in graph.executable_asset_keys]
print(*{node.metadata["dagster/storage_kind"] for node in nodes})
print(*sorted(node.metadata["dagster/table_name"] for node in nodes if node.key.path[-1] == "daily_ml_matrix"))
print(*({kind for key in graph.executable_asset_keys for kind in graph.get(key).kinds} - {"pandas"}))
"""


@pytest.mark.parametrize("settings", [{}, {"CBI_TARGET": "bigquery", "CBI_BIGQUERY_PROJECT": "p"}], ids=str)
def test_loading_the_definitions_opens_no_warehouse_and_no_network(tmp_path: Path, settings: dict[str, str]) -> None:
    home = tmp_path / "home"
    result = subprocess.run(
        [sys.executable, "-c", _LOAD], capture_output=True, text=True, timeout=600, cwd=tmp_path, check=False,
        env={**os.environ, "CBI_HOME": str(home), "PYTHONPATH": str(PACKAGE.parent), **settings},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    count, storage, named, kinds = result.stdout.split()
    assert int(count) > len(ASSET_TABLES)
    assert kinds == storage == settings.get("CBI_TARGET", "duckdb")
    assert named == ("p.features.daily_ml_matrix" if settings else "features.daily_ml_matrix")
    assert list(tmp_path.iterdir()) == [], "loading left something behind"


if __name__ == "__main__":
    SNAPSHOT.write_text(described(defs), encoding="utf-8")
    print(SNAPSHOT)
