"""Where the platform keeps its state and what it is made of: all choice of directory, engine and archive is here.

Settings are read from the environment, else from `settings.yaml` in the state directory, under the same names.
"""

from __future__ import annotations

import functools
import json
import os
import re
import uuid
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbi_dagster.catalog.versions import CodeVersion
    from cbi_dagster.vendors.databento.fetching import Fetching
    from cbi_dagster.vendors.landing import Landing
    from cbi_dagster.warehouse.bigquery.client import BigQuerySettings
    from cbi_dagster.warehouse.builder import Builder
    from cbi_dagster.warehouse.contract import Warehouse

#: Settings and what they mean; `cbi init` shows them.
SETTINGS = {
    "CBI_TARGET": "Where tables are kept: duckdb (a file in the state directory) or bigquery.",
    "CBI_ARCHIVE": "Where delivered files are kept: a directory or an fsspec URL; `landing` in the state directory.",
    "CBI_BIGQUERY_PROJECT": "The Google Cloud project.",
    "CBI_BIGQUERY_LOCATION": "Where its datasets are, e.g. US (the default), EU, us-central1.",
    "CBI_BIGQUERY_PREFIX": "What the names of all datasets begin with.",
    "CBI_BIGQUERY_ENDPOINT": "A server in place of Google's, e.g. http://127.0.0.1:9050.",
    "CBI_BIGQUERY_KEY_FILE": "A service account's key; the account that the machine is set up with without it.",
    "CBI_BIGQUERY_MAX_BYTES": "What one query may read at most, in bytes; 1 TiB by default.",
    "CBI_BIGQUERY_MAX_RUN_BYTES": "What all queries and reads of one run may read at most together; 4 TiB by default.",
    "CBI_BIGQUERY_KMS_KEY": "The key that new tables are encrypted with.",
    "CBI_BIGQUERY_REQUIRE_FILTER": "1: queries over tables of partitions must name partitions.",
    "CBI_DATABENTO_DATASET": "What `cbi fetch` asks Databento for; GLBX.MDP3 by default.",
    "CBI_DATABENTO_REQUEST_DOLLARS": "What one request to Databento may cost; 10 by default.",
    "CBI_DATABENTO_RUN_DOLLARS": "What one `cbi fetch` or run of the daemon may cost; 25 by default.",
    "CBI_DATABENTO_DAY_DOLLARS": "What may be spent within 24 hours; 25 by default.",
    "CBI_DATABENTO_BATCH_BYTES": "Requests beyond so many bytes are batch jobs; 268435456 by default.",
    "CBI_DATABENTO_GATEWAY": "A server on this machine in place of Databento's, e.g. http://127.0.0.1:9060.",
}
_PREFIXES = ("CBI_BIGQUERY_", "CBI_DATABENTO_")
_TARGETS = ("duckdb", "bigquery")

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


#: What Dagster calls this package's code, however it is started.
CODE_LOCATION = "cbi_dagster"

_WORKSPACE = f"""\
load_from:
  - python_module:
      module_name: cbi_dagster.definitions
      location_name: {CODE_LOCATION}
"""


class SettingsError(ValueError):
    """A setting that is missing, unknown, or means nothing."""


class UnfinishedRebuildError(RuntimeError):
    """A state directory that `cbi rebuild` was making when it was cut short: nobody shall take it for a whole one."""


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
    #: What settings are taken from before the file; None for the variables of this process.
    environment: Mapping[str, str] | None = None

    @staticmethod
    def from_environment() -> Home:
        return Home(Path(os.environ.get("CBI_HOME", ".cbi")).expanduser().resolve())

    @cached_property
    def settings(self) -> Mapping[str, str]:
        """Those of SETTINGS that are set. Raises SettingsError for what looks like one and is none."""
        import difflib

        import yaml

        place = self.path / "settings.yaml"
        stated = yaml.safe_load(place.read_text(encoding="utf-8")) if place.exists() else {}
        if not isinstance(stated, dict):
            raise SettingsError(f"{place} is no list of `NAME: value`")
        named = {str(name): str(value) for name, value in (stated or {}).items()}
        environment = os.environ if self.environment is None else self.environment
        for name, value in environment.items():
            if value and (name in SETTINGS or name.startswith(_PREFIXES)):
                named[name] = value
        for name in named:
            if name not in SETTINGS:
                near = difflib.get_close_matches(name, SETTINGS, n=1)
                raise SettingsError(f"there is no setting {name}" + (f"; {near[0]} is meant?" if near else ""))
        if named.get("CBI_TARGET", "duckdb") not in _TARGETS:
            raise SettingsError(f"CBI_TARGET is {named['CBI_TARGET']}; it can be {' or '.join(_TARGETS)}")
        return named

    @property
    def target(self) -> str:
        """The engine, as the Dagster UI calls it."""
        return self.settings.get("CBI_TARGET", "duckdb")

    @property
    def place(self) -> str:
        """Where the tables are, for people."""
        if self.target == "duckdb":
            return str(self.path)
        stated = self._bigquery
        return f"BigQuery {stated.name('*')}" + (f" at {stated.endpoint}" if stated.endpoint else "")

    def stored_name(self, table_id: str) -> str:
        """What the engine calls a table."""
        return table_id if self.target == "duckdb" else self._bigquery.name(table_id)

    @property
    def warehouse_file(self) -> Path:
        return self.path / "warehouse.duckdb"

    @property
    def landing(self) -> Path:
        """Delivered files, by content hash, where no other archive is chosen."""
        return self.path / "landing"

    @property
    def dagster(self) -> Path:
        """The Dagster instance (`DAGSTER_HOME`)."""
        return self.path / "dagster"

    @property
    def workspace(self) -> Path:
        """What tells Dagster which code to serve."""
        return self.dagster / "workspace.yaml"

    @property
    def claims(self) -> Path:
        """Lock files of the runs that `cbi` processes execute."""
        return self.path / "claims"

    @property
    def rebuilding(self) -> Path:
        """What `cbi rebuild` is making of the directory, as long as it is not done."""
        return self.path / "rebuilding.json"

    def require_whole(self) -> None:
        """Raises UnfinishedRebuildError for what `cbi rebuild` has not ended."""
        if self.rebuilding.exists():
            instant = json.loads(self.rebuilding.read_text(encoding="utf-8"))["as_landed_by"]
            raise UnfinishedRebuildError(
                f"{self.path} is a rebuild that was cut short, or is still under way. With CBI_HOME as it was then, "
                f"`cbi rebuild --as-landed-by {instant} --out {self.path}` goes on"
            )

    def prepare(self) -> None:
        """Create the directories and the instance's dagster.yaml where they are missing."""
        self.dagster.mkdir(parents=True, exist_ok=True)
        if "CBI_ARCHIVE" not in self.settings:
            self.landing.mkdir(parents=True, exist_ok=True)
        config = self.dagster / "dagster.yaml"
        wanted = config.read_text(encoding="utf-8") if config.exists() else DAGSTER_YAML
        # Homes of earlier versions name the event log's module as it was called then.
        wanted = wanted.replace("module: cbi_dagster.event_log\n", "module: cbi_dagster.orchestration.event_log\n")
        if not config.exists() or config.read_text(encoding="utf-8") != wanted:
            _write_whole(config, wanted)
        if not self.workspace.exists():
            _write_whole(self.workspace, _WORKSPACE)

    def warehouse(self) -> Warehouse:
        """The warehouse alone. Nothing is read or written yet."""
        if self.target == "bigquery":
            from cbi_dagster.warehouse.bigquery import BigQueryWarehouse

            return BigQueryWarehouse(self._bigquery)
        from cbi_dagster.warehouse.duckdb import DuckDBWarehouse

        return DuckDBWarehouse(self.warehouse_file)

    def resources(self) -> dict[str, Any]:
        """Dagster resources that belong to the engine, for assets of one's own."""
        if self.target != "bigquery":
            return {}
        from cbi_dagster.warehouse.bigquery.resource import ProjectResource

        return {"bigquery": ProjectResource.of(self._bigquery)}

    @cached_property
    def _bigquery(self) -> BigQuerySettings:
        from cbi_dagster.warehouse.bigquery.client import BigQuerySettings

        found = {name.removeprefix("CBI_BIGQUERY_"): value for name, value in self.settings.items()}
        if not found.get("PROJECT"):
            raise SettingsError(f"CBI_BIGQUERY_PROJECT is not set. {SETTINGS['CBI_BIGQUERY_PROJECT']}")
        prefix = found.get("PREFIX", "")
        if not re.fullmatch(r"\w*", prefix, re.ASCII):
            raise SettingsError(f"CBI_BIGQUERY_PREFIX is {prefix}; it can have letters, digits and underscores")
        limits = {"MAX_BYTES": str(1 << 40), "MAX_RUN_BYTES": str(1 << 42)}
        limits |= {name: found[name] for name in limits if name in found}
        for name, limit in limits.items():
            if not limit.isdecimal() or int(limit) == 0:
                raise SettingsError(f"CBI_BIGQUERY_{name} is {limit}, which is no number of bytes")
        return BigQuerySettings(
            project=found["PROJECT"],
            location=found.get("LOCATION", "US"),
            prefix=prefix,
            endpoint=found.get("ENDPOINT", ""),
            key_file=found.get("KEY_FILE", ""),
            max_bytes_billed=int(limits["MAX_BYTES"]),
            max_run_bytes=int(limits["MAX_RUN_BYTES"]),
            kms_key=found.get("KMS_KEY", ""),
            require_partition_filter=found.get("REQUIRE_FILTER", "0") not in ("0", "false"),
        )

    def fetching(self, platform: Platform, key: str, patience_s: float = 600.0) -> Fetching:
        """The vendor's API with a key, and what it may cost, for a platform on this directory.

        `patience_s`: how long a busy or failing vendor is waited for. The key is nowhere but in the environment, and
        is kept nowhere. Raises SettingsError, KeyRefusedError.
        """
        import time

        from cbi_dagster.config.universe import load_universe
        from cbi_dagster.vendors.databento.client import Vendor
        from cbi_dagster.vendors.databento.fetching import Fetching
        from cbi_dagster.vendors.databento.spending import Books, Caps
        from cbi_dagster.vendors.databento.survey import Survey

        try:
            vendor = Vendor(key, self.settings.get("CBI_DATABENTO_GATEWAY", ""), patience_s=patience_s)
        except ValueError as error:
            raise SettingsError(f"CBI_DATABENTO_GATEWAY: {error}") from None
        caps = Caps(
            self._amount("REQUEST_DOLLARS", 10), self._amount("RUN_DOLLARS", 25), self._amount("DAY_DOLLARS", 25)
        )
        books, universe = Books(platform.warehouse, caps), load_universe()
        survey = Survey(
            platform.warehouse,
            platform.landing,
            vendor,
            books,
            universe,
            dataset=self.settings.get("CBI_DATABENTO_DATASET", "GLBX.MDP3"),
            batch_bytes=int(self._amount("BATCH_BYTES", 2**28)),
        )
        return Fetching(survey, platform.landing, vendor, books, self.path / "fetched", time.sleep)

    def _amount(self, name: str, default: float) -> float:
        """A setting of Databento's that is a number, not below 0."""
        stated = self.settings.get(f"CBI_DATABENTO_{name}", str(default))
        if not re.fullmatch(r"\d+(\.\d+)?", stated):
            raise SettingsError(f"CBI_DATABENTO_{name} is {stated}, which is no number")
        return float(stated)

    def open(self) -> Platform:
        """The platform on this directory. Nothing is read or written yet, and Dagster is not imported."""
        from cbi_dagster.catalog.sources import files_digest
        from cbi_dagster.config.universe import load_universe
        from cbi_dagster.recipes import RECIPES
        from cbi_dagster.vendors.archive import Archive
        from cbi_dagster.vendors.decoded import Decoded
        from cbi_dagster.vendors.landing import Landing
        from cbi_dagster.warehouse.builder import Builder
        from cbi_dagster.warehouse.code import CodeAccount

        warehouse = self.warehouse()
        code = CodeAccount(code_versions, files_digest(__name__.partition(".")[0]))
        archive = Archive(self.settings.get("CBI_ARCHIVE", self.landing), lock=self.path)
        landing = Landing(warehouse, archive, Decoded(self.path / "decoded"), load_universe(), code)
        return Platform(warehouse, landing, Builder(warehouse, landing.read, RECIPES, code, landing.stale))


def _write_whole(file: Path, text: str) -> None:
    """Write a file that is whole or not there at all: another process may be reading it."""
    partial = file.with_name(f"{uuid.uuid4().hex}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)


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
