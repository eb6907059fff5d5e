"""Sensors: files that arrive in a watched directory are landed, and what they make stale is rebuilt.

`landing_sensor` watches; `refresh_sensor` keeps everything current, whatever made it stale. Both ask the plan which run
comes next and name it after the stale set, so that a tick that is repeated launches nothing twice. `failure_sensor`
keeps what failed.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import fsspec

from cbi_dagster.catalog import TABLES
from cbi_dagster.config.universe import load_universe
from cbi_dagster.home import Home
from cbi_dagster.orchestration.assets import asset_key
from cbi_dagster.orchestration.io_manager import ONLY_STALE_TAG
from cbi_dagster.orchestration.jobs import QUIET, end_orphans, next_run, record_failures
from cbi_dagster.vendors.archive import Archive
from cbi_dagster.vendors.files import DeliveryError
from cbi_dagster.vendors.landing import DatasetMismatchError, Landing, LandingReport, is_delivered_name
from cbi_dagster.warehouse.builder import Builder
from cbi_dagster.warehouse.duckdb import DuckDBWarehouse

SETTLE_S = 30.0
"""How long a file must stay as it is before it is taken: a copy under way grows or is touched."""

_MANIFEST = "manifest.json"
_IN_PROGRESS = dg.RunsFilter(
    tags={ONLY_STALE_TAG: "true"},
    statuses=[
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ],
)


@dataclass(frozen=True)
class Seen:
    """What the sensor knows of a file: its stamp (size and change mark), since when, and whether it is dealt with."""

    stamp: str
    since: float
    done: bool = False


def look(
    listing: Mapping[str, str], seen: Mapping[str, Seen], now: float, settle_s: float
) -> tuple[dict[str, Seen], list[str]]:
    """What is known after looking at the present files, and which of them are ready to be landed.

    `listing` maps paths to stamps; `now` and `Seen.since` are seconds of one clock. A file is ready once its stamp has
    been the same for `settle_s` seconds; a file that is dealt with is ready again when its stamp changes.
    """
    known: dict[str, Seen] = {}
    ready = []
    for path, stamp in sorted(listing.items()):
        before = seen.get(path)
        known[path] = before if before is not None and before.stamp == stamp else Seen(stamp, now)
        if not known[path].done and now - known[path].since >= settle_s:
            ready.append(path)
    return known, ready


class Watched:
    """A directory that vendor files arrive in: local, or an object store that fsspec has a driver for."""

    def __init__(self, url: str) -> None:
        self._files, self._root = fsspec.core.url_to_fs(url)

    def listing(self) -> dict[str, str]:
        """Paths of vendor files below the directory with a stamp that changes when the file does."""
        if not self._files.exists(self._root):
            return {}
        self._files.invalidate_cache()
        entries = self._files.find(self._root, detail=True)
        return {path: _stamp(entry) for path, entry in entries.items() if is_delivered_name(Path(path).name)}

    def fetch(self, paths: Iterable[str], directory: Path) -> list[Path]:
        """Copies of files, each beside the manifest of its delivery, if that has one."""
        copies = []
        for number, path in enumerate(paths):
            target = directory / str(number)
            target.mkdir()
            parent, _, name = path.rpartition("/")
            self._files.get_file(path, str(target / name))
            if self._files.exists(f"{parent}/{_MANIFEST}"):
                self._files.get_file(f"{parent}/{_MANIFEST}", str(target / _MANIFEST))
            copies.append(target / name)
        return copies


def _stamp(entry: Mapping[str, Any]) -> str:
    mark = next((entry[name] for name in ("ETag", "etag", "md5Hash", "LastModified", "mtime") if name in entry), "")
    return f"{entry['size']}:{mark}"


def land_all(landing: Landing, files: Sequence[Path]) -> tuple[list[LandingReport], list[str]]:
    """Land files together, or one by one when some are broken; the reports, and why files were refused."""
    try:
        return [landing.land(files)], []
    except (DeliveryError, DatasetMismatchError, ExceptionGroup):
        reports, refused = [], []
        for file in files:
            try:
                reports.append(landing.land([file]))
            except ExceptionGroup as group:
                refused += [f"{file.name}: {error}" for error in group.exceptions]
            except (DeliveryError, DatasetMismatchError) as error:
                refused.append(str(error).replace(str(file), file.name))
        return reports, refused


def needed_runs(context: dg.SensorEvaluationContext, home: Home, builder: Builder) -> Iterator[dg.RunRequest]:
    """The next run of the plan, unless one is under way: what is stale then is known when it has ended."""
    end_orphans(home.claims, context.instance)
    if context.instance.get_runs_count(_IN_PROGRESS):
        return
    plan = builder.plan()
    if plan.tables:
        run = next_run(plan)
        yield dg.RunRequest(
            run_key=plan.digest,
            asset_selection=[asset_key(table.id) for table in run.tables],
            tags=run.tags,
            run_config=QUIET,
        )


def build_sensors(
    home: Home, builder: Builder, watched: str | None, settle_s: float = SETTLE_S
) -> list[dg.SensorDefinition]:
    """`landing_sensor` over the directory or URL `watched` (None: it only says that none is), and `refresh_sensor`.

    With a directory to watch both run as soon as the daemon does; else they wait to be switched on in the UI.
    """
    status = dg.DefaultSensorStatus.RUNNING if watched else dg.DefaultSensorStatus.STOPPED
    options: dict[str, Any] = {
        "asset_selection": dg.AssetSelection.all(),
        "minimum_interval_seconds": 30,
        "default_status": status,
    }

    def landing_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if watched is None:
            return dg.SkipReason("no directory is watched: start with `cbi ui --watch DIRECTORY` or set CBI_WATCH")
        directory = Watched(watched)
        seen = {path: Seen(*fields) for path, fields in json.loads(context.cursor or "{}").items()}
        known, ready = look(directory.listing(), seen, time.time(), settle_s)
        waiting = sum(not item.done for item in known.values()) - len(ready)
        if ready:
            home.prepare()
            warehouse = DuckDBWarehouse(home.warehouse)
            warehouse.ensure(TABLES.values())
            landing = Landing(warehouse, Archive(home.landing), load_universe())
            with tempfile.TemporaryDirectory(dir=home.path) as scratch:
                reports, refused = land_all(landing, directory.fetch(ready, Path(scratch)))
            for reason in refused:
                context.log.error(f"refused {reason}")
            rows = sum(int(report.files["kept_rows"].sum()) for report in reports)
            context.log.info(f"landed {len(ready) - len(refused)} files with {rows} rows, refused {len(refused)}")
        done = {path: Seen(known[path].stamp, known[path].since, done=True) for path in ready}
        cursor = json.dumps({path: (s.stamp, s.since, s.done) for path, s in (known | done).items()})
        requests = list(needed_runs(context, home, builder)) if ready else []
        skip = None if requests else f"{len(ready)} files ready, {waiting} still settling in {watched}"
        return dg.SensorResult(run_requests=requests, cursor=cursor, skip_reason=dg.SkipReason(skip) if skip else None)

    def refresh_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        requests = list(needed_runs(context, home, builder))
        reason = None if requests else dg.SkipReason("nothing is stale, or a refresh is under way")
        return dg.SensorResult(run_requests=requests, skip_reason=reason)

    def sensor(function: Callable[..., Any], description: str) -> dg.SensorDefinition:
        return dg.sensor(name=function.__name__, description=description, **options)(function)

    return [
        sensor(landing_sensor, "Lands files that arrive in the watched directory and rebuilds what they make stale."),
        sensor(refresh_sensor, "Rebuilds what is stale, training tables included, one run at a time."),
    ]


def failure_sensor(builder: Builder) -> dg.SensorDefinition:
    """`failure_sensor`, which keeps what failed in `ops.ingestion_runs`; `cbi` does that itself for its own runs."""

    @dg.run_failure_sensor(
        name="failure_sensor",
        description="Keeps which tables failed, and why, in ops.ingestion_runs.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.RunFailureSensorContext) -> None:
        record_failures(builder.warehouse, context.instance, context.dagster_run.run_id)

    return sensor
