"""Fixtures of the tests of orchestration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cbi_dagster.orchestration.event_log import BatchedSqliteEventLogStorage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[BatchedSqliteEventLogStorage]:
    storage = BatchedSqliteEventLogStorage(str(tmp_path / "events"))
    yield storage
    storage.dispose()
