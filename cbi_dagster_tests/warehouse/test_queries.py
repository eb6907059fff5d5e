"""One dialect for people and views: the answers are those that its documentation states, on every engine."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import duckdb
import pyarrow as pa
import pytest

from cbi_dagster.catalog.tables.ops import INGESTION_RUNS
from cbi_dagster.catalog.views import views
from cbi_dagster.warehouse import sql
from cbi_dagster.warehouse.contract import EngineError
from cbi_dagster.warehouse.sql import QueryError, query_of, tables_of, translated

RUNS = [
    ("a", "features.x", "success", "2024-01-02 03:00", 10, 4),
    ("b", "features.x", "failed", "2024-01-03 04:00", 20, 0),
    ("c", "it's", "success", "2024-01-08 23:30", 5, None),
]


def runs(rows_in: int | None = None) -> pa.Table:
    names = ("event_id", "source", "run_status", "started_at", "rows_in", "rows_out")
    made = [dict(zip(names, run, strict=True)) for run in RUNS]
    for row in made:
        row["started_at"] = row["ended_at"] = utc(row["started_at"])
        row["rows_in"] = row["rows_in"] if rows_in is None else rows_in
    return pa.Table.from_pylist(made, INGESTION_RUNS.arrow_schema())


@pytest.fixture
def asked(warehouse):
    """A warehouse with three runs in its books, each of which was recorded twice."""
    warehouse.record(INGESTION_RUNS, runs(rows_in=1))
    warehouse.record(INGESTION_RUNS, runs())
    return warehouse


def answer(warehouse, text: str, **parameters) -> list[tuple]:
    return [tuple(row.values()) for row in warehouse.query(text, **parameters).to_pylist()]


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


#: What the documentation of the dialect says of them:
#: https://cloud.google.com/bigquery/docs/reference/standard-sql/functions-all
ANSWERS = [
    ("SELECT event_id, rows_in FROM ops.ingestion_runs ORDER BY event_id", [("a", 10), ("b", 20), ("c", 5)]),
    ("SELECT SUM(rows_in) AS n, AVG(rows_in) AS mean FROM ingestion_runs", [(35, 35 / 3)]),
    ("SELECT r.event_id FROM `ops.ingestion_runs` AS r WHERE r.source = 'it\\'s'", [("c",)]),
    ("WITH ops AS (SELECT 1 AS x) SELECT x FROM ops", [(1,)]),
    (
        "SELECT SAFE_DIVIDE(rows_in, rows_out) AS q FROM ops.ingestion_runs ORDER BY event_id",
        [(2.5,), (None,), (None,)],
    ),
    ("SELECT COUNTIF(rows_in > 5) AS n, COUNT(*) AS every FROM ops.ingestion_runs", [(2, 3)]),
    ("SELECT event_id FROM ops.ingestion_runs ORDER BY rows_out", [("c",), ("b",), ("a",)]),
    ("SELECT event_id FROM ops.ingestion_runs ORDER BY rows_out DESC", [("a",), ("b",), ("c",)]),
    ("SELECT DATE(started_at) AS d FROM ops.ingestion_runs WHERE event_id = 'c'", [(dt.date(2024, 1, 8),)]),
    (
        "SELECT DATE(started_at, 'America/Chicago') AS d FROM ops.ingestion_runs WHERE event_id = 'a'",
        [(dt.date(2024, 1, 1),)],
    ),
    ("SELECT DATE '2024-02-28' + 2 AS d", [(dt.date(2024, 3, 1),)]),
    ("SELECT DATE_DIFF(DATE '2024-01-10', DATE '2024-01-01', DAY) AS n", [(9,)]),
    ("SELECT MOD(UNIX_DATE(DATE '2024-01-08') + 3, 7) AS monday", [(0,)]),
    ("SELECT 7 / 2 AS q, DIV(7, 2) AS n, MOD(-7, 3) AS m", [(3.5, 3, -1)]),
    ("SELECT GREATEST(1, NULL) AS g, LEAST(2, 1) AS l, IF(TRUE, 1, 2) AS i", [(None, 1, 1)]),
    ("SELECT CONCAT('a', NULL) AS c, STRPOS('hello', 'l') AS p, LENGTH('héllo') AS n", [(None, 3, 5)]),
    ("SELECT REGEXP_EXTRACT('zl_1w', r'_(.*)') AS h, SPLIT('a,b', ',')[OFFSET(1)] AS b", [("1w", "b")]),
    (
        "SELECT source, ROW_NUMBER() OVER (PARTITION BY source ORDER BY started_at DESC) AS n FROM ops.ingestion_runs "
        "QUALIFY n = 1 ORDER BY source",
        [("features.x", 1), ("it's", 1)],
    ),
    ("SELECT x FROM UNNEST([3, 1]) AS x ORDER BY x", [(1,), (3,)]),
    ("SELECT ARRAY_AGG(x IGNORE NULLS ORDER BY x) AS xs FROM UNNEST([3, NULL, 1]) AS x", [([1, 3],)]),
    ("SELECT STDDEV(x) AS s, CORR(x, x) AS c FROM UNNEST([1.0, 3.0]) AS x", [(pytest.approx(2**0.5), 1.0)]),
    ("SELECT MAX(started_at) AS t FROM ops.ingestion_runs", [(utc("2024-01-08 23:30"),)]),
    ("SELECT EXTRACT(YEAR FROM d) AS y, EXTRACT(DAY FROM d) AS d FROM (SELECT DATE '2024-01-07' AS d)", [(2024, 7)]),
    ("SELECT ROUND(2.5) AS up, ROUND(-2.5) AS down, TRUNC(-2.5) AS cut", [(3.0, -3.0, -2.0)]),
    ("SELECT FORMAT_DATE('%Y-%m', DATE '2024-01-10') AS m", [("2024-01",)]),
    ("SELECT SAFE_CAST('x' AS INT64) AS n, CAST(2.5 AS INT64) AS up", [(None, 3)]),
]


def test_an_answer_is_the_one_that_the_dialect_states(asked):
    assert {text: answer(asked, text) for text, _ in ANSWERS} == dict(ANSWERS)


def test_a_question_has_parameters(asked):
    text = "SELECT event_id FROM ops.ingestion_runs WHERE {} ORDER BY event_id"
    assert answer(asked, text.format("source = @source"), source="it's") == [("c",)]
    assert answer(asked, text.format("rows_in IN UNNEST(@counts)"), counts=[20, 5]) == [("b",), ("c",)]
    assert answer(asked, text.format("DATE(started_at) = @day"), day=dt.date(2024, 1, 3)) == [("b",)]
    assert answer(asked, text.format("started_at > @at"), at=utc("2024-01-03 03:59")) == [("b",), ("c",)]
    with pytest.raises(QueryError, match="@counts has no value"):
        asked.query(text.format("rows_in IN UNNEST(@counts)"))


def test_whole_numbers_others_instants_and_structs_have_the_types_of_the_dialect(warehouse):
    found = warehouse.query(
        "SELECT COUNT(*) AS n, SUM(row_count) AS total, 0.5 AS half, MAX(verified_at) AS at, STRUCT(1 AS a).a AS a "
        "FROM ops.partition_ledger"
    )
    kinds = {field.name: str(field.type) for field in found.schema}
    assert kinds == {"n": "int64", "total": "int64", "half": "double", "at": "timestamp[us, tz=UTC]", "a": "int64"}


def test_a_question_in_a_snapshot_is_of_its_moment(asked, store):
    with asked.snapshot():
        before = answer(asked, "SELECT COUNT(*) AS n FROM ops.ingestion_runs")
        assert before == [(3,)]
        assert answer(asked, "SELECT COUNT(*) AS n FROM monitoring.vw_pipeline_health") == [(1,)]


def test_a_view_is_asked_like_a_table_and_need_not_be_stored(asked):
    found = asked.query("SELECT h.table_name, h.last_run_status FROM vw_pipeline_health AS h ORDER BY 1").to_pylist()
    assert [tuple(row.values()) for row in found] == [("features.x", "failed")]


REFUSED = [
    ("DROP TABLE ops.ingestion_runs", "one query is asked for"),
    ("DELETE FROM ops.ingestion_runs WHERE TRUE", "one query is asked for"),
    ("INSERT INTO ops.ingestion_runs (event_id) SELECT 'x'", "one query is asked for"),
    ("CREATE TABLE x AS SELECT 1 AS a", "one query is asked for"),
    ("SELECT 1 AS a; DROP TABLE ops.ingestion_runs", "one query is asked for"),
    ("SET x = 1", "one query is asked for"),
    ("", "one query is asked for"),
    ("SELECT FROM WHERE", "no SQL of the dialect"),
    ("SELECT * FROM ops.ingestion_run", r"no table ops\.ingestion_run; did you mean ops\.ingestion_runs"),
    ("SELECT * FROM read_csv('/etc/passwd')", "is no table"),
    ("SELECT * FROM '/etc/passwd'", "no table|no SQL"),
    ("SELECT * FROM information_schema.tables", "no table information_schema.tables"),
    ("SELECT * FROM ops.ingestion_runs FOR SYSTEM_TIME AS OF TIMESTAMP '2024-01-01'", "reads one moment"),
]


def test_what_is_no_question_is_refused(asked):
    for text, said in REFUSED:
        with pytest.raises(QueryError, match=said):
            asked.query(text)
    assert len(asked.read(INGESTION_RUNS)) == 3


def test_a_wrong_column_is_named(asked):
    with pytest.raises((QueryError, EngineError), match="nothing"):
        asked.query("SELECT nothing FROM ops.ingestion_runs")


# -- what the embedded engine would answer otherwise ------------------------------------------------------------------

#: Each was found to be answered silently otherwise there.
OTHERWISE = [
    "SELECT rows_in / rows_out AS q FROM ops.ingestion_runs",
    "SELECT 1 / 0 AS q",
    "SELECT DATE_TRUNC(DATE '2024-01-10', MONTH) AS d",
    "SELECT DATE_ADD(DATE '2024-01-31', INTERVAL 1 MONTH) AS d",
    "SELECT DATE_SUB(DATE '2024-01-31', INTERVAL 1 DAY) AS d",
    "SELECT TIMESTAMP_DIFF(started_at, ended_at, MINUTE) AS n FROM ops.ingestion_runs",
    "SELECT DATE_FROM_UNIX_DATE(3) AS d",
    "SELECT EXTRACT(DAYOFWEEK FROM DATE '2024-01-07') AS d",
    "SELECT EXTRACT(WEEK FROM DATE '2024-01-07') AS d",
    "SELECT FORMAT('%05d', 3) AS f",
    "SELECT CAST('1.123456789' AS NUMERIC) AS n",
    "SELECT x, o FROM UNNEST([5, 6]) AS x WITH OFFSET AS o",
    "SELECT APPROX_QUANTILES(x, 4) AS q FROM UNNEST([1, 2]) AS x",
    "SELECT LN(rows_out) AS l FROM ops.ingestion_runs",
    "SELECT 1 AS a, 2 AS a",
]


@pytest.mark.parametrize("store", ["duckdb"], indirect=True)
def test_what_this_engine_would_answer_otherwise_is_refused(asked):
    for text in OTHERWISE:
        with pytest.raises(QueryError):
            asked.query(text)


# -- views ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", views().values(), ids=views().keys())
def test_a_view_says_what_it_shows_and_means_the_same_on_every_engine(view):
    assert view.description.endswith(".")
    asked = query_of(view.text)
    assert tables_of(asked)
    translated(asked, lambda table: f'"{table.dataset}"."{table.name}"')
    names = {node.sql() for node in sql.named_tables(sql.sqlglot.parse_one(view.text, read="bigquery"))}
    assert not {name.split(" ")[0] for name in names} & views().keys(), "views read tables alone"
    # The same rows give the same view, whenever it is asked.
    assert not list(asked.find_all(sql.exp.CurrentDate, sql.exp.CurrentTimestamp, sql.exp.Rand))
    assert not any(isinstance(part, sql.exp.Star) for part in asked.selects)


@pytest.mark.parametrize("store", ["duckdb", "bigquery"], indirect=True)
def test_views_are_made_once_and_again_when_they_change(store, warehouse):
    one = views()["monitoring.vw_pipeline_health"]
    tables = tables_of(query_of(one.text))
    warehouse.ensure(tables, [one])
    assert not warehouse.lacking(tables, [one])
    changed = replace(one, text=one.text + "ORDER BY 1\n")
    assert warehouse.lacking(tables, [changed]).views == (changed,)
    warehouse.ensure(tables, [changed])
    assert not store.open().lacking(tables, [changed])
    renamed = replace(one, id="monitoring.vw_health")
    warehouse.ensure(tables, [renamed])
    assert store.open()._stored().views.keys() == {renamed.id}
    warehouse.ensure(tables)
    assert store.open()._stored().views.keys() == {renamed.id}, "for no views none is left over"


@pytest.mark.parametrize("store", ["duckdb"], indirect=True)
def test_a_view_of_somebody_else_is_left_alone_and_one_of_ours_is_made_again(file, warehouse):
    one = views()["monitoring.vw_pipeline_health"]
    tables = tables_of(query_of(one.text))
    warehouse.ensure(tables, [one])
    with duckdb.connect(file) as connection:
        connection.execute("CREATE VIEW monitoring.mine AS SELECT 1 AS a")
        connection.execute("CREATE OR REPLACE VIEW monitoring.vw_pipeline_health AS SELECT 2 AS b")
    assert warehouse.lacking(tables, [one]).views == (one,)
    warehouse.ensure(tables, [one])
    assert not warehouse.lacking(tables, [one])
    with duckdb.connect(file) as connection:
        assert connection.sql("FROM monitoring.mine").fetchall() == [(1,)]


def test_a_view_waits_for_its_tables(warehouse):
    one = views()["monitoring.vw_pipeline_health"]
    flat = views()["features.vw_daily_ml_flat"]
    lacking = warehouse.lacking([INGESTION_RUNS], [one, flat])
    stored = warehouse._stored().tables
    assert set(lacking.views) == {
        view for view in (one, flat) if {t.id for t in tables_of(query_of(view.text))} <= {*stored}
    }
