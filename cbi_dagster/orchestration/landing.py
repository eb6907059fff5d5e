"""Landing in the daemon: a watched directory, and the job that takes what arrived in it.

A sensor's tick has sixty seconds and a delivery may take minutes: the sensor only asks for a run of this job.
"""

# No postponed annotations: Dagster reads those of an op when it is declared.
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import fsspec
import pandas as pd
from fsspec.implementations.local import LocalFileSystem

from cbi_dagster.catalog.tables.ops import INGESTION_RUNS
from cbi_dagster.home import Home, Platform
from cbi_dagster.orchestration.io_manager import IO_MANAGER_KEY
from cbi_dagster.orchestration.landed import observations
from cbi_dagster.vendors.arrivals import LandingReport
from cbi_dagster.vendors.files import DeliveryError, shown
from cbi_dagster.vendors.landing import DatasetMismatchError, Landing, is_delivered_name
from cbi_dagster.vendors.scratch import scratch_directory
from cbi_dagster.warehouse.contract import now_utc

LANDING_JOB = "landing"
#: The job that asks the vendor for data and lands it.
FETCHING_JOB = "fetching"
_LAND = "land_files"
_BESIDE = ("manifest.json", "symbology.json")
_OF_THE_FILES = (DeliveryError, DatasetMismatchError, ExceptionGroup)


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

    def fetch(self, path: str, directory: Path) -> Path:
        """A copy of a file in a new directory, beside what its delivery says of it."""
        directory.mkdir()
        parent, _, name = path.rpartition("/")
        # A pipe or a device might never end, and a link to nothing is not gone: it stays where it is.
        if isinstance(self._files, LocalFileSystem) and Path(path).exists() != Path(path).is_file():
            raise OSError("it is no regular file")
        if isinstance(self._files, LocalFileSystem) and Path(path).is_symlink() and not Path(path).exists():
            raise OSError("it is a link to nothing")
        self._files.get_file(path, str(directory / name))
        for beside in _BESIDE:
            if self._files.isfile(f"{parent}/{beside}"):
                self._files.get_file(f"{parent}/{beside}", str(directory / beside))
        return directory / name


def _stamp(entry: Mapping[str, Any]) -> str:
    mark = next((entry[name] for name in ("ETag", "etag", "md5Hash", "LastModified", "mtime") if name in entry), "")
    return f"{entry['size']}:{mark}"


def land_all(landing: Landing, files: Sequence[Path]) -> tuple[list[LandingReport], dict[Path, str]]:
    """Land files in their order: together, or halves by themselves where one is broken.

    Gives the reports, and why which files were refused.
    """
    if not files:
        return [], {}
    try:
        return [landing.land(files)], {}
    except _OF_THE_FILES as error:
        if len(files) == 1:
            found = error.exceptions if isinstance(error, ExceptionGroup) else [error]
            return [], {files[0]: shown(" ".join(_reason(one, files[0]) for one in found), 2000)}
    half = len(files) // 2
    (first, refused_first), (second, refused_second) = (land_all(landing, p) for p in (files[:half], files[half:]))
    return first + second, refused_first | refused_second


def _reason(error: Exception, file: Path) -> str:
    """What is wrong with a delivered file, or with which file in it."""
    if not isinstance(error, DeliveryError):
        return str(error)
    part = "" if error.file.name == file.name else f"{shown(error.file.name)}: "
    return f"{part}{error.what}. {error.what_to_do}."


def landing_config(watched: str, paths: Sequence[str]) -> dict[str, Any]:
    """The run config of a run of the landing job: files to land, by their `paths` in the `watched` directory or URL."""
    return {"ops": {_LAND: {"config": {"watched": watched, "paths": list(paths)}}}}


def landing_job(home: Home, platform: Platform) -> dg.JobDefinition:
    """The job that lands files of a watched directory in a state directory.

    Files that were landed under other settings are read anew first. A broken file is refused by name and stops no
    other; `ops.ingestion_runs` has every file with what became of it.
    """

    @dg.op(
        name=_LAND,
        config_schema={"watched": str, "paths": [str]},
        required_resource_keys={IO_MANAGER_KEY},
        pool=LANDING_JOB,
    )
    def land_files(context: dg.OpExecutionContext) -> None:
        started_at = now_utc()
        watched, copies = Watched(context.op_config["watched"]), {}
        unread: dict[Path, str] = {}
        with scratch_directory(home.path) as scratch:
            for number, path in enumerate(context.op_config["paths"]):
                try:
                    copies[watched.fetch(path, scratch / str(number))] = path
                except FileNotFoundError:
                    context.log.warning(f"{shown(path)} is gone")
                except Exception as error:  # whatever a store raises stops no other file
                    copy = scratch / str(number) / Path(path).name
                    copies[copy], unread[copy] = path, shown(f"it cannot be fetched ({error})")
            there = [copy for copy in copies if copy not in unread]
            landing = platform.ready().landing
            for source, result in landing.read_anew().items():
                context.log.info(f"{source}: {result.files} files read anew, {result.changed} trade dates changed")
                for said in result.refused:
                    context.log.warning(f"landed once and refused now: {said}")
            reports, refused = land_all(landing, there) if there else ([], {})
        refused |= unread
        for copy, reason in refused.items():
            context.log.error(f"refused {shown(copy.name)}: {reason}")
        rows = sum(int(report.files["kept_rows"].sum()) for report in reports)
        context.log.info(f"landed {len(copies) - len(refused)} files with {rows} rows, refused {len(refused)}")
        outcomes = pd.DataFrame(
            # The run itself comes last: where it failed before, it did not now.
            {
                "event_id": [f"{context.run_id}:{shown(name)}" for name in (*copies.values(), _LAND)],
                "source": [*(shown(copy.name) for copy in copies), _LAND],
                "run_status": [*("failed" if copy in refused else "success" for copy in copies), "success"],
                "started_at": started_at,
                "ended_at": now_utc(),
                "error_message": [*(refused.get(copy) for copy in copies), None],
            }
        )
        outcomes = outcomes.reindex(columns=[column.name for column in INGESTION_RUNS.columns])
        platform.warehouse.record(INGESTION_RUNS, outcomes)
        for observation in observations(context.instance, platform.warehouse):
            context.log_event(observation)

    @dg.job(name=LANDING_JOB, description="Lands files that arrived in the watched directory.")
    def job() -> None:
        land_files()

    return job
