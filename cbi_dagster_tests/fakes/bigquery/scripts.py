"""Queries and scripts, of the forms that the engine sends: DuckDB evaluates the expressions, the rules are here."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from sqlglot.errors import SqlglotError

from cbi_dagster.warehouse.sql import normalised
from cbi_dagster_tests.fakes.bigquery.storage import Project, ServiceError, StoredTable, Transaction

_TABLE = re.compile(r"`([\w-]+)\.(\w+)\.(\w+)`(?:\s+FOR SYSTEM_TIME AS OF TIMESTAMP_MICROS\((\d+)\))?")
_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|`[^`]*`|;|\bIF\b(?!\s*\()|\bIF\s*\((?=SELECT)|\bEND IF\b", re.DOTALL)
_RAISE = re.compile(r"IF\s*(?P<condition>.*)\s+THEN\s+RAISE USING MESSAGE = '(?P<message>[^']*)';\s*END IF$", re.DOTALL)
_DELETE = re.compile(r"DELETE FROM (?P<table>`[^`]+`) WHERE (?P<condition>.*)$", re.DOTALL)
_INSERT = re.compile(r"INSERT INTO (?P<table>`[^`]+`) \((?P<names>[^)]*)\)\s+(?P<select>SELECT .*)$", re.DOTALL)

MIN_BYTES_BILLED = 10 << 20


def statements(text: str) -> Iterator[str]:
    """The statements of a script; an IF with what is in it is one."""
    start, depth = 0, 0
    for token in _TOKEN.finditer(text):
        word = token.group()
        if word == "END IF":
            depth -= 1
        elif word.startswith("IF"):
            depth += 1
        elif word == ";" and not depth:
            yield text[start : token.start()].strip()
            start = token.end()
    if rest := text[start:].strip():
        yield rest


class Query:
    """One query job's text. `rows` is the result of its last SELECT, `bytes` what it would read."""

    def __init__(self, project: Project, text: str) -> None:
        self._project = project
        self._statements = list(statements(self._with_views(text)))
        self.rows = pa.table({})
        self.changed = 0
        self.bytes = sum(self._bytes_of(part) for part in self._statements)

    @property
    def is_script(self) -> bool:
        return len(self._statements) > 1

    def run(self) -> None:
        transaction: Transaction | None = None
        # Without an EXCEPTION handler an error rolls the transaction back: here it is simply never committed.
        # https://cloud.google.com/bigquery/docs/transactions#transaction_scope
        for part in self._statements:
            if part == "BEGIN TRANSACTION":
                transaction = Transaction(self._project)
            elif part == "COMMIT TRANSACTION":
                assert transaction is not None
                transaction.commit()
                transaction = None
            else:
                own = transaction or Transaction(self._project)
                self._one(part, own)
                if transaction is None:
                    own.commit()

    def _one(self, part: str, transaction: Transaction) -> None:
        if part.startswith(("SELECT", "WITH", "(")):
            self.rows = normalised(self._evaluated(part, transaction, translated=True))
        elif found := _RAISE.match(part):
            # https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language#raise
            (holds,) = self._evaluated(f"SELECT {found['condition']} AS holds", transaction)["holds"].to_pylist()
            if holds:
                raise ServiceError("invalidQuery", f"Query error: {found['message']}")
        elif found := _DELETE.match(part):
            name = self._named(found["table"])
            self._require_filter(self._project.table(name), found["condition"])
            gone = self._project.holding(found["condition"], transaction.rows(name))
            self.changed += transaction.delete(name, gone)
        elif found := _INSERT.match(part):
            name = self._named(found["table"])
            names = [word.strip().strip("`") for word in found["names"].split(",")]
            rows = self._evaluated(found["select"], transaction).rename_columns(names)
            self.changed += transaction.insert(name, _typed(rows, self._project.table(name)))
        else:
            raise ServiceError("invalidQuery", f"Syntax error: this server does not know the statement {part[:200]!r}")

    def _with_views(self, text: str) -> str:
        """https://cloud.google.com/bigquery/docs/views-intro: a view is its query."""

        def put(found: re.Match) -> str:
            view = self._project.views.get(f"{found[2]}.{found[3]}")
            return found[0] if view is None else f"({self._with_views(view['view']['query'])})"

        return _TABLE.sub(put, text)

    def _evaluated(self, select: str, transaction: Transaction, *, translated: bool = False) -> pa.Table:
        """`translated`: a query of any form; those of the engine's scripts mean the same in DuckDB as they are."""
        with self._project.evaluator() as connection:

            def reference(found: re.Match) -> str:
                name = f"{found[2]}.{found[3]}"
                rows = self._project.rows_at(name, int(found[4])) if found[4] else transaction.rows(name)
                alias = f"{found[2]} {found[3]} {found[4] or ''}"
                connection.register(alias, rows)
                return f"`{alias}`"

            text = _TABLE.sub(reference, select)
            # In a transaction it is the instant of its beginning:
            # https://cloud.google.com/bigquery/docs/transactions#date_and_time_functions_in_transactions
            began = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=transaction.began)
            text = text.replace("CURRENT_TIMESTAMP()", f"TIMESTAMP '{began}+00'")
            try:
                if translated:
                    (text,) = sqlglot.transpile(text, read="bigquery", write="duckdb")
                else:
                    text = text.replace("`", '"').replace(" TIMESTAMP '", " TIMESTAMPTZ '")
                return connection.sql(text).to_arrow_table()
            except SqlglotError as error:
                raise ServiceError("invalidQuery", f"Syntax error: {error}") from error
            except duckdb.Error as error:
                raise ServiceError("invalidQuery", f"{error} in {text[:2000]}") from error

    def _named(self, quoted: str) -> str:
        found = _TABLE.match(quoted)
        if not found:
            raise ServiceError("invalidQuery", f"Syntax error: {quoted} is no table of a project")
        return f"{found[2]}.{found[3]}"

    def _require_filter(self, table: StoredTable, condition: str) -> None:
        """https://cloud.google.com/bigquery/docs/managing-partitioned-tables#require-filter."""
        if table.resource.get("requirePartitionFilter") and f"`{table.partition_column}`" not in condition:
            raise ServiceError(
                "invalidQuery", "Cannot query over table without a filter that can be used for partition elimination"
            )

    def _bytes_of(self, part: str) -> int:
        """Columns that are named, over whole tables; whole partitions are deleted without reading them.

        https://cloud.google.com/bigquery/docs/using-dml-with-partitioned-tables#using_dml_delete_to_delete_partitions
        """
        total = 0
        deleted = _DELETE.match(part)
        for found in _TABLE.finditer(part):
            table = self._project.table(f"{found[2]}.{found[3]}")
            if (
                deleted
                and table.partition_column
                and set(re.findall(r"`(\w+)`", deleted["condition"])) <= {table.partition_column}
            ):
                continue
            named = [name for name in table.schema.names if re.search(rf"\b{name}\b", part)]
            total += sum(bytes_stored(table.rows[name]) for name in named)
        return total


def bytes_stored(column: pa.ChunkedArray) -> int:
    """https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#data_type_sizes."""
    known = len(column) - column.null_count
    if pa.types.is_struct(column.type):
        return sum(bytes_stored(pc.struct_field(column, [part])) for part in range(column.type.num_fields))
    if pa.types.is_string(column.type):
        return 2 * known + (pc.sum(pc.binary_length(column)).as_py() or 0)
    return known if pa.types.is_boolean(column.type) else 8 * known


def _typed(rows: pa.Table, table: StoredTable) -> pa.Table:
    """DuckDB's result in the types of BigQuery's; a value of another kind is an error."""
    try:
        return rows.cast(pa.schema([table.schema.field(name) for name in rows.column_names]))
    except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ServiceError("invalidQuery", f"Query column has another type, or no column: {error}") from error
