"""Where the platform keeps its state and what it is made of: all choice of directory, engine and archive is here."""

from __future__ import annotations

import functools
import os
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbi_dagster.catalog.versions import CodeVersion
    from cbi_dagster.vendors.landing import Landing
    from cbi_dagster.warehouse.builder import Builder
    from cbi_dagster.warehouse.contract import Warehouse

#: What the Dagster UI calls the engine that `Home.open` chooses.
STORAGE_KIND = "duckdb"

#: The Dagster instance's configuration; the repository's dagster.yaml, which a bare `dagster dev` reads, is the same.
DAGSTER_YAML = """\
# `cbi` writes this file into its state directory when it is missing there. What you change in it stays.
event_log_storage:
  module: cbi_dagster.orchestration.event_log
  class: BatchedSqliteEventLogStorage
telemetry:
  enabled: false
nux:
  enabled: false
run_retries:
  enabled: true
  max_retries: 2
freshness:
  enabled: true
run_monitoring:
  enabled: true
  # The full history takes minutes. A run that is longer under way lost its process, e.g. when the machine stopped.
  max_runtime_seconds: 7200
concurrency:
  runs:
    # One writer: two runs over the same tables would only wait for each other's locks.
    max_concurrent_runs: 1
"""


@dataclass(frozen=True)
class Platform:
    """All that works on one state directory: the warehouse, what is landed in it, and what builds its tables."""

    warehouse: Warehouse
    landing: Landing
    builder: Builder

    def ready(self) -> Platform:
        """The same, with all tables of the catalog in the warehouse."""
        return replace(self, warehouse=self.builder.warehouse)

    def overlaid(self) -> Platform:
        """The same over the warehouse, which is only read from then on: what is written is kept for a question."""
        warehouse = self.builder.warehouse.overlay()
        landing = self.landing.over(warehouse)
        builder = replace(self.builder, store=warehouse, read_landed=landing.read, stale_landed=landing.stale)
        return Platform(warehouse, landing, builder)


@dataclass(frozen=True)
class Home:
    """Paths below one state directory (`CBI_HOME`, default `./.cbi`)."""

    path: Path

    @staticmethod
    def from_environment() -> Home:
        return Home(Path(os.environ.get("CBI_HOME", ".cbi")).expanduser().resolve())

    @property
    def warehouse_file(self) -> Path:
        return self.path / "warehouse.duckdb"

    @property
    def landing(self) -> Path:
        """Delivered files, by content hash."""
        return self.path / "landing"

    @property
    def dagster(self) -> Path:
        """The Dagster instance (`DAGSTER_HOME`)."""
        return self.path / "dagster"

    @property
    def claims(self) -> Path:
        """Lock files of the runs that `cbi` processes execute."""
        return self.path / "claims"

    def prepare(self) -> None:
        """Create the directories and the instance's dagster.yaml where they are missing."""
        self.dagster.mkdir(parents=True, exist_ok=True)
        self.landing.mkdir(parents=True, exist_ok=True)
        config = self.dagster / "dagster.yaml"
        wanted = config.read_text(encoding="utf-8") if config.exists() else DAGSTER_YAML
        # Homes of earlier versions name the event log's module as it was called then.
        wanted = wanted.replace("module: cbi_dagster.event_log\n", "module: cbi_dagster.orchestration.event_log\n")
        if not config.exists() or config.read_text(encoding="utf-8") != wanted:
            # Whole or not there at all: another process may be reading it.
            partial = config.with_name(f"{uuid.uuid4().hex}.part")
            partial.write_text(wanted, encoding="utf-8")
            partial.replace(config)

    def open(self) -> Platform:
        """The platform on this directory. Nothing is read or written yet, and Dagster is not imported."""
        from cbi_dagster.catalog.sources import files_digest
        from cbi_dagster.config.universe import load_universe
        from cbi_dagster.recipes import RECIPES
        from cbi_dagster.vendors.archive import Archive
        from cbi_dagster.vendors.landing import Landing
        from cbi_dagster.warehouse.builder import Builder
        from cbi_dagster.warehouse.code import CodeAccount
        from cbi_dagster.warehouse.duckdb import DuckDBWarehouse

        warehouse = DuckDBWarehouse(self.warehouse_file)
        code = CodeAccount(code_versions, files_digest(__name__.partition(".")[0]))
        landing = Landing(warehouse, Archive(self.landing), load_universe(), code)
        return Platform(warehouse, landing, Builder(warehouse, landing.read, RECIPES, code, landing.stale))


@functools.cache
def code_versions() -> Mapping[str, CodeVersion]:
    """The present version of every table's code, by table id: of its recipe, and of how landed files are read.

    A landing source has one too: of how its files are judged and read.
    """
    from cbi_dagster.catalog.versions import code_version
    from cbi_dagster.config.universe import load_universe
    from cbi_dagster.recipes import RECIPES
    from cbi_dagster.vendors.landed import landed_code, readers

    universe = load_universe()
    landed = {source: code_version(table, functions) for source, (table, functions) in landed_code(universe).items()}
    return landed | {
        name: code_version(made.table, [made.function, *readers(made.table, universe)])
        for name, made in RECIPES.items()
    }
