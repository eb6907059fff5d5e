"""SQL of people and views: one dialect, that of `sql/`, on every engine.

A text is one query over tables by their ids (`features.daily_ml_matrix`, or `daily_ml_matrix` alone where that is
unambiguous) and over views, which are put in place of their names. Nothing but a query is taken, so that nothing is
changed by one. Constructs that the embedded engine would silently answer otherwise are refused there (`BANNED`); those
that it does not know fail by themselves.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import traverse_scope

from cbi_dagster.catalog.model import Table
from cbi_dagster.catalog.registry import TABLES
from cbi_dagster.catalog.views import View, views

_DIALECT = "bigquery"

#: What a parameter of a query can be.
Value: TypeAlias = str | int | float | bool | dt.date | dt.datetime | None
Parameter: TypeAlias = Value | Sequence[Value]

#: What an engine calls a table, in its own words.
Named: TypeAlias = Callable[[Table], str]


class QueryError(ValueError):
    """A text that is no query, or one that an engine would answer wrongly or not at all."""


def query_of(text: str, parameters: Mapping[str, Parameter] | None = None) -> exp.Query:
    """The one query that a text is, views and `parameters` (`@name`) put in; raises QueryError."""
    try:
        statements = [statement for statement in sqlglot.parse(text, read=_DIALECT) if statement is not None]
    except SqlglotError as error:
        raise QueryError(f"this is no SQL of the dialect: {_said(error)}") from error
    if len(statements) != 1 or not isinstance(query := statements[0], exp.Query):
        raise QueryError("one query is asked for, SELECT … or WITH … SELECT …; nothing is changed this way")
    if query.find(exp.DML, exp.DDL, exp.Into, exp.Lock):
        raise QueryError("a query that also changes something is refused")
    given = dict(parameters or {})
    for node in list(query.find_all(exp.Parameter)):
        if node.name not in given:
            raise QueryError(f"@{node.name} has no value")
        node.replace(exp.convert(given[node.name]))
    for named in list(named_tables(query)):
        if (view := _view(named)) is not None:
            _replace(named, query_of(view.text).subquery())
    return query


def tables_of(query: exp.Query) -> list[Table]:
    """The tables that a query reads, each once; raises QueryError for a name that is none."""
    return list(dict.fromkeys(_table(node) for node in named_tables(query)))


def named_tables(query: exp.Query) -> Iterator[exp.Table]:
    """Where a query names something that it does not define itself."""
    seen: set[int] = set()
    for scope in traverse_scope(query):
        for source in scope.sources.values():
            if isinstance(source, exp.Table) and id(source) not in seen:
                seen.add(id(source))
                yield source


def written(query: exp.Query, dialect: str, named: Named) -> str:
    """The text of a query for an engine; what it calls a table may be a query in brackets."""
    query = query.copy()
    for node in list(named_tables(query)):
        source = sqlglot.parse_one(f"SELECT * FROM {named(_table(node))}", read=dialect).find(exp.From)
        assert source is not None
        _replace(node, source.this)
    try:
        return query.sql(dialect, unsupported_level=sqlglot.ErrorLevel.RAISE, comments=False)
    except SqlglotError as error:
        raise QueryError(f"this engine cannot say it: {_said(error)}") from error


# -- on the embedded engine -------------------------------------------------------------------------------------------


def translated(query: exp.Query, named: Named) -> str:
    """The text of a query for DuckDB; raises QueryError for one that it would silently answer otherwise."""
    for node in query.walk():
        for name, banned, instead in BANNED:
            if banned(node):
                raise QueryError(f"{name} is answered differently by this engine: {instead}")
    return written(query, "duckdb", named)


def answered(connection: duckdb.DuckDBPyConnection, query: exp.Query, named: Named) -> pa.Table:
    """The answer to a query over the tables of a connection."""
    text = translated(query, named)
    connection.execute("SET TimeZone = 'UTC'")  # dates of instants are those of this zone
    try:
        return normalised(connection.sql(text).to_arrow_table())
    except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
        raise QueryError(str(error).strip()) from error


def answered_over(query: exp.Query, rows: Mapping[str, pa.Table]) -> pa.Table:
    """The answer to a query over rows in memory, by table id."""
    with duckdb.connect() as connection:
        for name, held in rows.items():
            connection.register(name, held)
        return answered(connection, query, lambda table: f'"{table.id}"')


# -- what is silently answered otherwise ------------------------------------------------------------------------------


def _divides_by_what_may_be_zero(node: exp.Expr) -> bool:
    if not isinstance(node, exp.Div):
        return False
    by = node.expression.unnest()
    return not (isinstance(by, exp.Literal) and not by.is_string and float(by.name) != 0)


def _counts_weeks_or_their_days(node: exp.Expr) -> bool:
    return isinstance(node, exp.Extract) and node.name.upper() in ("DAYOFWEEK", "WEEK")


def _is_numeric(node: exp.Expr) -> bool:
    return isinstance(node, exp.DataType) and node.this in (exp.DType.DECIMAL, exp.DType.BIGDECIMAL)


def _is(*kinds: type[exp.Expr]) -> Callable[[exp.Expr], bool]:
    return lambda node: isinstance(node, kinds)


#: Found against the dialect's documentation (cbi_dagster_tests/warehouse/test_queries.py): what, and what to say
#: instead.
BANNED: tuple[tuple[str, Callable[[exp.Expr], bool], str], ...] = (
    ("/ by what may be zero", _divides_by_what_may_be_zero, "SAFE_DIVIDE(a, b) is NULL there on every engine"),
    ("DATE_TRUNC", _is(exp.DateTrunc), "join training.regime_calendar, or group by EXTRACT(YEAR FROM …) and MONTH"),
    ("DATE_ADD, DATE_SUB", _is(exp.DateAdd, exp.DateSub), "days are added with +: date + 7"),
    ("TIMESTAMP_DIFF", _is(exp.TimestampDiff, exp.DatetimeDiff), "subtract UNIX_MICROS(…) of both"),
    ("DATE_FROM_UNIX_DATE", _is(exp.DateFromUnixDate), "days are added with +: DATE '1970-01-01' + n"),
    ("EXTRACT(DAYOFWEEK or WEEK)", _counts_weeks_or_their_days, "MOD(UNIX_DATE(date) + 3, 7) is 0 on Mondays"),
    ("FORMAT", _is(exp.Format), "FORMAT_DATE, CAST and LPAD say the same"),
    ("NUMERIC", _is_numeric, "FLOAT64 is exact to the tick"),
    ("WITH OFFSET", lambda node: isinstance(node, exp.Unnest) and bool(node.args.get("offset")), "ROW_NUMBER() counts"),
    ("APPROX_QUANTILES", _is(exp.ApproxQuantiles), "PERCENTILE_CONT(x, 0.5) OVER () is exact"),
)


def normalised(rows: pa.Table) -> pa.Table:
    """A result in the types of the dialect: every whole number INT64, every other one FLOAT64, instants in UTC.

    Raises QueryError for an infinite value or one that is no number, where the dialect has an error.
    """
    if len(set(rows.column_names)) < len(rows.column_names):
        raise QueryError("two columns of the answer have the same name: say what each is called, with AS")
    made = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if pa.types.is_decimal(column.type):
            column = column.cast(pa.int64() if column.type.scale == 0 else pa.float64())
        elif pa.types.is_integer(column.type):
            column = column.cast(pa.int64())
        elif pa.types.is_floating(column.type):
            column = column.cast(pa.float64())
            if pc.any(pc.invert(pc.is_finite(column))).as_py():
                raise QueryError(f"{name} has values that are no numbers, such as a logarithm of zero")
        elif pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", tz="UTC"))
        made[name] = column
    return pa.table(made)


# -- names ------------------------------------------------------------------------------------------------------------


def _replace(node: exp.Table, put: exp.Expr) -> None:
    """Put something in the place of a table's name, under the name that the query calls it."""
    called = node.alias or node.name
    if version := node.args.get("version"):
        raise QueryError(f"{version.sql(_DIALECT)}: a query reads one moment, the present")
    made = put if isinstance(put, exp.Subquery | exp.Table) else exp.Subquery(this=put)
    made.set("alias", exp.TableAlias(this=exp.to_identifier(called, quoted=True)))
    for argument in ("joins", "pivots", "sample"):
        if value := node.args.get(argument):
            made.set(argument, value)
    node.replace(made)


def _id(node: exp.Table) -> str:
    if not isinstance(node.this, exp.Identifier):
        raise QueryError(f"{node.sql(_DIALECT)} is no table")
    return ".".join(part.name for part in node.parts)


def _view(node: exp.Table) -> View | None:
    name = _id(node)
    found = [view for view in views().values() if name in (view.id, view.name)]
    return found[0] if len(found) == 1 else None


def _table(node: exp.Table) -> Table:
    name = _id(node)
    found = [table for table in TABLES.values() if name in (table.id, table.name)]
    if len(found) == 1:
        return found[0]
    names = [part for known in (*TABLES, *views()) for part in (known, known.partition(".")[2])]
    near = difflib.get_close_matches(name, names, n=3)
    raise QueryError(f"there is no table {name}" + (f"; did you mean {', '.join(near)}?" if near else ""))


def _said(error: Exception) -> str:
    return str(error).replace("\x1b[4m", "").replace("\x1b[0m", "").strip()
