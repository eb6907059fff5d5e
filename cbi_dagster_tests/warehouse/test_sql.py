"""Google's own analyzer accepts every text that the engine sends, and every declaration and view in sql/.

It does not know which columns a table may be partitioned or clustered by; test_bigquery.py looks at those.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cbi_dagster.catalog import ASSET_TABLES, TABLES, Column, Table, Type
from cbi_dagster.catalog.ddl import table_ddl
from cbi_dagster.catalog.partitioning import Unpartitioned
from cbi_dagster.catalog.tables.ops import HELD_BACK, LANDED_FILES, PARTITION_LEDGER
from cbi_dagster.catalog.views import View, views
from cbi_dagster.warehouse.bigquery.script import coverage_query, forget_script, restriction, script_of, source
from cbi_dagster.warehouse.changes import Change, Gone, Swap
from cbi_dagster.warehouse.contract import now_utc
from cbi_dagster.warehouse.sql import query_of, tables_of, written

from .test_queries import ANSWERS

pytestmark = pytest.mark.slow

STAGED = "p.staging.rows"
DAYS = np.array(["2024-01-02", "2024-01-03", "2024-02-05"], "datetime64[D]")


def named(table_id: str) -> str:
    return f"p.{table_id}"


@pytest.fixture(scope="session")
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The analyzer as machine code, which takes minutes to make and is kept for the next time."""
    from wasmtime import Config, Engine, Module
    from zetasql.wasi import get_wasm_path

    source = Path(get_wasm_path())
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    kept = request.config.pluginmanager.hasplugin("cacheprovider")
    directory = request.config.cache.mkdir("zetasql") if kept else tmp_path_factory.mktemp("zetasql")
    place = Path(directory) / f"{digest}-{version('wasmtime')}.cwasm"
    if not place.exists():
        config = Config()
        config.shared_memory = True
        config.cranelift_opt_level = "none"
        partial = place.with_suffix(f".{os.getpid()}")  # another process may be looking for it
        partial.write_bytes(Module.from_file(Engine(config), str(source)).serialize())
        partial.replace(place)
    return place


class Analyzer:
    """Analyzes statements over the tables that they name, as the service does; raises what it finds wrong."""

    def __init__(self) -> None:
        from zetasql import api, types

        self._api, self._types = api, types
        language = types.LanguageOptions.maximum_features()
        language.product_mode = types.ProductMode.PRODUCT_EXTERNAL
        language.supported_statement_kinds = []
        language.reserved_keywords = ["QUALIFY"]
        self._language = language
        self._options = types.AnalyzerOptions(language_options=language)

    def analyze(self, statement: str, tables: Sequence[Table], staged: Table | None = None) -> None:
        builtin = self._types.ZetaSQLBuiltinFunctionOptions(language_options=self._language)
        catalog = self._api.CatalogBuilder("catalog").with_builtin_functions(builtin)
        for name, table in [*((named(table.id), table) for table in tables), *([(STAGED, staged)] if staged else [])]:
            made = self._api.TableBuilder(name)
            for column in table.stored_columns:
                made.add_column(column.name, self._type(column))
            catalog.add_table(made.build())
        self._api.Analyzer.analyze_statement_static(statement, self._options, catalog.build())

    def parse(self, script: str) -> None:
        self._api.Parser.parse_script_static(script, self._language)

    def _type(self, column: Column) -> Any:
        factory = self._api.TypeFactory
        if column.type is Type.STRUCT:
            return factory.create_struct_type([(part.name, self._type(part)) for part in column.fields])
        kind = {Type.FLOAT64: "DOUBLE"}.get(column.type, column.type.value)
        return factory.create_simple_type(getattr(self._types.TypeKind, f"TYPE_{kind}"))


@pytest.fixture(scope="session")
def analyzer(compiled: Path) -> Iterator[Analyzer]:
    from wasmtime import Module
    from zetasql.core import wasm_client

    class Compiled:
        @staticmethod
        def from_file(engine: Any, path: str) -> Module:
            return Module.deserialize_file(engine, str(compiled))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wasm_client, "Module", Compiled)
        yield Analyzer()


def statements(script: str) -> Iterator[str]:
    """What can be analyzed by itself: of a fence the condition."""
    for part in script.split(";\n"):
        fence = re.match(r"IF (?P<condition>.*) THEN RAISE", part, re.DOTALL)
        yield f"SELECT {fence['condition']}" if fence else part


def change_of(table: Table) -> Change:
    """A write with everything in it that a write can have."""
    daily = not isinstance(table.partitioning, Unpartitioned)
    gone = Gone(table.partitioning.column, table.partitioning.spans(DAYS)) if daily else Gone()
    about = Gone("date", (DAYS, DAYS), table.id)
    empty = PARTITION_LEDGER.arrow_schema().empty_table()
    swaps = (
        Swap(table, table.arrow_schema(stored=True).empty_table(), gone=gone),
        Swap(PARTITION_LEDGER, empty, gone=Gone(table_name=table.id, partition_keys=("it's", "all"))),
        Swap(HELD_BACK, HELD_BACK.arrow_schema().empty_table(), gone=about),
    )
    return Change(swaps, registered=3, verified=(table.id, 17))


def text_of(table: Table) -> str:
    return script_of(change_of(table), [STAGED] * 3, named)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_declarations_are_sound(analyzer: Analyzer, table: Table) -> None:
    analyzer.analyze(table_ddl(table), [])


@pytest.mark.parametrize("table", ASSET_TABLES, ids=[table.id for table in ASSET_TABLES])
def test_a_write_is_sound(analyzer: Analyzer, table: Table) -> None:
    text = text_of(table)
    analyzer.parse(text)
    first, *_ = (part for part in statements(text) if part.startswith("INSERT"))
    deleting, *_ = (part for part in statements(text) if part.startswith("DELETE"))
    analyzer.analyze(deleting, [table])
    analyzer.analyze(first, [table], staged=table)


def test_fences_and_books_are_sound(analyzer: Analyzer) -> None:
    table = ASSET_TABLES[0]
    books = [PARTITION_LEDGER, HELD_BACK, LANDED_FILES]
    for part in statements(text_of(table)):
        into = re.match(r"INSERT INTO `p\.(ops\.\w+)`", part)
        if into:
            analyzer.analyze(part, books, staged=TABLES[into[1]])
        elif part and table.id not in part.partition(" WHERE ")[0]:
            analyzer.analyze(part, books)
    analyzer.analyze(forget_script(table.id, named), books)
    analyzer.analyze("SELECT CURRENT_TIMESTAMP() AS moment", [])


def test_reads_are_sound(analyzer: Analyzer) -> None:
    chosen = {"symbol": ["ZL", "it's"]}
    for table in (table for table in ASSET_TABLES if any(column.name == "symbol" for column in table.columns)):
        only = restriction(table, [(DAYS[0], DAYS[1]), (DAYS[2], DAYS[2])], chosen)
        analyzer.analyze(f"SELECT * FROM `{named(table.id)}` WHERE {only}", [table])
        if table.partitioning.column and len(table.columns) < 40:  # the larger ones have the same text, more often
            analyzer.analyze(coverage_query(table, named, now_utc().to_pydatetime()), [table])


@pytest.mark.parametrize("view", views().values(), ids=views().keys())
def test_a_view_is_sound(analyzer: Analyzer, view: View) -> None:
    query = query_of(view.text)
    for filtered, moment in ((True, None), (False, now_utc().to_pydatetime())):
        text = written(query, "bigquery", partial(source, named=named, moment=moment, filtered=filtered))
        analyzer.analyze(text, tables_of(query))


def test_questions_are_sound(analyzer: Analyzer) -> None:
    for text, _ in ANSWERS:
        query = query_of(text)
        analyzer.analyze(written(query, "bigquery", partial(source, named=named)), tables_of(query))


@pytest.mark.parametrize(
    "wrong",
    [
        "SELECT nothing FROM `p.ops.held_back`",
        "SELECT date::STRING FROM `p.ops.held_back`",
        "SELECT date FROM `p.ops.held_back` WHERE date = 3",
        "DELETE FROM `p.ops.held_back`",
        "INSERT INTO `p.ops.held_back` (`date`) SELECT reason FROM `p.ops.held_back`",
    ],
)
def test_what_is_wrong_is_found(analyzer: Analyzer, wrong: str) -> None:
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        analyzer.analyze(wrong, [HELD_BACK])
