"""`cbi sql`: a question of one's own, answered or refused in words."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cbi_dagster.cli.main import cbi as group
from cbi_dagster_tests.cli.commands import BARS, build_bars, cbi

pytestmark = pytest.mark.usefixtures("files_stay_open")

COUNTED = f"SELECT root, COUNT(*) AS bars, MAX(date) AS last FROM {BARS} GROUP BY root ORDER BY root"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bars(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("delivery"), dt.date(2023, 6, 9))


def test_an_answer_is_a_table_or_lines_for_programs(home):
    shown = cbi(home, "sql", COUNTED)
    assert shown.exit_code == 0
    assert [word in shown.output for word in ("root", "bars", "ZL", "2023-06-08")] == [True] * 4
    rows = list(csv.DictReader(io.StringIO(cbi(home, "sql", COUNTED, "--format", "csv").output)))
    lines = [json.loads(line) for line in cbi(home, "sql", COUNTED, "--format", "jsonl").output.splitlines()]
    assert [{**line, "bars": str(line["bars"])} for line in lines] == rows
    assert next(row["last"] for row in rows if row["root"] == "ZL") == "2023-06-08"


def test_one_row_is_shown_as_a_column_and_of_many_rows_the_first(home):
    one = cbi(home, "sql", f"SELECT COUNT(*) AS bars, MIN(volume) AS least FROM {BARS}").output
    assert [line.split()[1] for line in one.splitlines() if "bars" in line or "least" in line] == ["bars", "least"]
    many = cbi(home, "sql", f"SELECT ts_event, close FROM {BARS}").output
    assert "more rows (`--format csv` has all)" in many


def test_a_question_comes_from_the_standard_input(home):
    asked = CliRunner(env={"CBI_HOME": str(home)}).invoke(group, ["sql", "-", "--format", "csv"], input="SELECT 1 AS n")
    assert asked.output == "n\n1\n"


def test_a_view_is_there_when_its_tables_are(home):
    shown = cbi(home, "sql", "SELECT table_rows FROM monitoring.vw_pipeline_health WHERE table_name LIKE '%ohlcv_1h'")
    assert shown.exit_code == 0
    assert "NULL" not in shown.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("DROP TABLE x", "one query is asked for"),
        ("SELECT nothing FROM daily_ml_matrix", "nothing"),
        ("SELECT 1 FROM daily_ml_matrx", "did you mean daily_ml_matrix"),
        ("SELECT close / open AS q FROM daily_ml_matrix", "SAFE_DIVIDE"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_words(home, text, said):
    refused = cbi(home, "sql", text)
    assert (refused.exit_code, said in refused.output) == (1, True)


def test_where_nothing_is_landed_there_is_nothing_to_ask(tmp_path):
    refused = cbi(tmp_path / "none", "sql", "SELECT 1 AS n")
    assert (refused.exit_code, "nothing is landed" in refused.output) == (1, True)
    assert not (tmp_path / "none").exists()
