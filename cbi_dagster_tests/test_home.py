"""The state directory and the instance configuration in it."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg
import pytest

from cbi_dagster.catalog.tables.ops import PARTITION_LEDGER
from cbi_dagster.home import DAGSTER_YAML, Home, SettingsError
from cbi_dagster.orchestration.event_log import BatchedSqliteEventLogStorage

pytestmark = pytest.mark.usefixtures("files_stay_open")


def test_a_bare_dagster_dev_in_the_repository_has_the_configuration_that_cbi_writes():
    assert (Path(__file__).parents[1] / "dagster.yaml").read_text(encoding="utf-8") == DAGSTER_YAML


def test_the_instance_keeps_its_events_in_the_batched_log_below_the_state_directory(tmp_path):
    home = Home(tmp_path / "state")
    home.prepare()
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        log = instance.event_log_storage
        assert isinstance(log, BatchedSqliteEventLogStorage)
        assert Path(log.get_db_path()).is_relative_to(home.dagster)
        assert instance.run_retries_enabled
        assert not instance.telemetry_enabled


def test_a_configuration_that_someone_edited_is_kept(tmp_path):
    home = Home(tmp_path)
    home.prepare()
    config = home.dagster / "dagster.yaml"
    config.write_text("telemetry:\n  enabled: true\n", encoding="utf-8")
    home.prepare()
    assert config.read_text(encoding="utf-8") == "telemetry:\n  enabled: true\n"


def test_a_home_of_an_earlier_version_finds_the_event_log_where_it_is_now(tmp_path):
    home = Home(tmp_path)
    home.prepare()
    config = home.dagster / "dagster.yaml"
    config.write_text(DAGSTER_YAML.replace("cbi_dagster.orchestration.event_log", "cbi_dagster.event_log") + "# mine\n")
    home.prepare()
    assert config.read_text(encoding="utf-8") == DAGSTER_YAML + "# mine\n"


def test_opening_a_platform_touches_nothing_until_it_is_asked_to_be_ready(tmp_path):
    home = Home(tmp_path / "state")
    platform = home.open()
    assert not home.path.exists()
    assert platform.ready().warehouse is platform.builder.warehouse is platform.warehouse
    assert home.warehouse_file.exists()
    assert len(platform.warehouse.read(PARTITION_LEDGER)) == 0


# -- settings ---------------------------------------------------------------------------------------------------------


def test_settings_come_from_the_environment_else_from_the_file(tmp_path, monkeypatch):
    lines = [
        "CBI_TARGET: bigquery",
        "CBI_BIGQUERY_PROJECT: filed",
        "CBI_BIGQUERY_PREFIX: x_",
        "CBI_ARCHIVE: memory://x",
    ]
    (tmp_path / "settings.yaml").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setenv("CBI_BIGQUERY_PROJECT", "named")
    home = Home(tmp_path)
    assert (home.target, home.place) == ("bigquery", "BigQuery named.x_*")
    assert home.stored_name("ops.quarantine") == "named.x_ops.quarantine"
    home.prepare()
    assert not home.landing.exists()


def test_without_settings_tables_and_files_are_in_the_state_directory(tmp_path):
    home = Home(tmp_path)
    assert (home.target, home.place) == ("duckdb", str(tmp_path))
    assert home.stored_name("ops.quarantine") == "ops.quarantine"
    assert home.warehouse().takes_simulated


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ("CBI_TARGET: oracle", "CBI_TARGET is oracle; it can be duckdb or bigquery"),
        ("CBI_TARGET: bigquery", "CBI_BIGQUERY_PROJECT is not set"),
        ("CBI_BIGQUERY_PROJEKT: x", "no setting CBI_BIGQUERY_PROJEKT; CBI_BIGQUERY_PROJECT is meant"),
        ("CBI_TARGET: bigquery\nCBI_BIGQUERY_PROJECT: x\nCBI_BIGQUERY_PREFIX: a-b", "letters, digits"),
        ("CBI_TARGET: bigquery\nCBI_BIGQUERY_PROJECT: x\nCBI_BIGQUERY_MAX_BYTES: 1T", "no number of bytes"),
        ("- CBI_TARGET", "settings.yaml is no list of"),
    ],
)
def test_a_setting_that_means_nothing_is_told(tmp_path, stated, said):
    (tmp_path / "settings.yaml").write_text(stated, encoding="utf-8")
    with pytest.raises(SettingsError, match=re.escape(said)):
        Home(tmp_path).open()


@pytest.mark.parametrize(
    ("endpoint", "takes"),
    [
        ("", False),
        ("https://bigquery.googleapis.com", False),
        ("http://127.0.0.1:9050", True),
        ("http://[::1]:1", True),
    ],
)
def test_only_a_server_on_this_machine_takes_simulated_data(tmp_path, monkeypatch, endpoint, takes):
    chosen = {"CBI_TARGET": "bigquery", "CBI_BIGQUERY_PROJECT": "x", "CBI_BIGQUERY_ENDPOINT": endpoint}
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    warehouse = Home(tmp_path).warehouse()
    assert warehouse.takes_simulated is warehouse.overlay().takes_simulated is takes
