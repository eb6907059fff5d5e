"""`cbi init`: what is chosen is shown, and can be made."""

from __future__ import annotations

from cbi_dagster.catalog import TABLES
from cbi_dagster.home import SETTINGS, Home
from cbi_dagster_tests.cli.commands import cbi
from cbi_dagster_tests.fakes.bigquery import LoopbackBigQuery


def test_a_file_is_made_with_its_tables_once(tmp_path):
    home = tmp_path / "home"
    shown = cbi(home, "init", "--dry-run")
    assert (shown.exit_code, home.exists()) == (0, False)
    assert "would be made in ops: " in shown.output
    assert "partition_ledger" in shown.output
    made = cbi(home, "init")
    assert "made in ops: " in made.output
    assert Home(home).warehouse().exists()
    assert "every table is there" in cbi(home, "init").output


def test_datasets_of_a_project_are_shown_then_made(tmp_path, monkeypatch):
    with LoopbackBigQuery() as server:
        chosen = {
            "CBI_TARGET": "bigquery",
            "CBI_BIGQUERY_PROJECT": "mine",
            "CBI_BIGQUERY_PREFIX": "dev_",
            "CBI_BIGQUERY_LOCATION": "EU",
            "CBI_BIGQUERY_ENDPOINT": server.endpoint,
        }
        for name, value in chosen.items():
            monkeypatch.setenv(name, value)
        assert "nothing is landed in BigQuery mine.dev_*" in cbi(tmp_path, "status").output
        shown = cbi(tmp_path, "init", "--dry-run").output
        assert "would be made in mine.dev_ops: " in shown
        assert server.project.datasets == {}
        made = cbi(tmp_path, "init").output
        assert "made in mine.dev_ops: " in made
        assert all(f"{name}={value}" in made for name, value in chosen.items())
        assert set(server.project.tables) == {f"dev_{name}" for name in TABLES}
        assert {item["location"] for item in server.project.datasets.values()} == {"EU"}
        assert "0 files landed" in cbi(tmp_path, "status").output
        assert not (tmp_path / "warehouse.duckdb").exists()


def test_help_says_what_every_setting_means(tmp_path):
    said = cbi(tmp_path, "init", "--help").output
    assert all(name in said for name in SETTINGS)
