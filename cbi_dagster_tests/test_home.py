"""The state directory and the instance configuration in it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from cbi_dagster.catalog.tables.ops import PARTITION_LEDGER
from cbi_dagster.home import DAGSTER_YAML, Home
from cbi_dagster.orchestration.event_log import BatchedSqliteEventLogStorage


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
