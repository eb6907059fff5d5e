"""Dagster event log in PostgreSQL, for several machines: its own storage, which batches what a range run wrote.

Dagster's storage inserts the materializations of a range in one statement as soon as events come in batches, but plans
a run over 3,800 partitions in as many events an asset and rows a check: minutes and half a gigabyte before the first
table. Here a range is planned once, as in the file of `event_log`, whose settings are taken over with the import.

Named in dagster.yaml (deploy/dagster.yaml); needs the extra `production`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import EventLogEntry
from dagster._core.storage.config import pg_config
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config

from cbi_dagster.orchestration.event_log import PlatformEventLog


class BatchedPostgresEventLogStorage(PlatformEventLog, PostgresEventLogStorage):
    """Event log storage with the configuration of `dagster_postgres.event_log.PostgresEventLogStorage`."""

    @classmethod
    def config_type(cls) -> Any:
        return pg_config()

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> BatchedPostgresEventLogStorage:
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(config_value),
        )

    def store_event(self, event: EventLogEntry) -> None:
        self._fail_first(event)
        super().store_event(event)
