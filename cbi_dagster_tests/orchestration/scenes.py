"""A state directory, a watched directory and both sensors over them; the daemon's part is to call them and launch."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
from dagster._core.definitions.sensor_definition import SensorExecutionData

from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.tables.ops import INGESTION_RUNS, LANDED_FILES
from cbi_dagster.definitions import build_defs
from cbi_dagster.home import Home
from cbi_dagster.orchestration.sensors import build_sensors


@dg.job
def empty_job() -> None:
    pass


class Scene:
    """A state directory, a watched directory and both sensors, ticking at once (settle time 0)."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path / "home")
        self.home.prepare()
        self.watched = path / "watched"
        self.watched.mkdir()
        platform = self.home.open()
        self.warehouse, self.builder = platform.warehouse, platform.builder
        self.landing, self.refresh = build_sensors(self.home, self.builder, str(self.watched), settle_s=0.0)
        self.defs = build_defs(self.home, str(self.watched))
        self.instance = dg.DagsterInstance.from_config(str(self.home.dagster))
        self._cursor: str | None = None

    def tick(self, sensor: dg.SensorDefinition) -> SensorExecutionData:
        """A tick; what the landing sensor knows is kept as the daemon keeps it."""
        cursor = self._cursor if sensor is self.landing else None
        context = dg.build_sensor_context(instance=self.instance, cursor=cursor, definitions=self.defs)
        evaluated = sensor.evaluate_tick(context)
        if sensor is self.landing and evaluated.cursor is not None:
            self._cursor = evaluated.cursor
        return evaluated

    def forget(self) -> None:
        """The landing sensor's cursor is reset."""
        self._cursor = None

    def request(self, sensor: dg.SensorDefinition) -> dg.RunRequest:
        """The one run that a tick asks for."""
        (request,) = self.tick(sensor).run_requests or []
        return request

    def launch(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """What the daemon does with a run request."""
        return self._job(request).execute_in_process(
            instance=self.instance, tags=request.tags, run_config=request.run_config, raise_on_error=False
        )

    def _job(self, request: dg.RunRequest) -> dg.JobDefinition:
        """The job of a request: a landing's says what to land."""
        landing = self.landing.job_name if "land_files" in (request.run_config or {}).get("ops", {}) else None
        return self.defs.resolve_job_def(landing or self.refresh.job_name)

    def begin(
        self,
        request: dg.RunRequest,
        status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
        tags: dict[str, str] | None = None,
    ) -> str:
        """A run of a request that somebody else has under way, with its tags or others; its id."""
        return self.instance.create_run_for_job(
            self._job(request),
            run_config=request.run_config,
            tags=request.tags if tags is None else tags,
            status=status,
        ).run_id

    def end(self, run_id: str) -> None:
        """A run that was begun is canceled."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        self.instance.report_run_canceled(run)

    def by_other_hands(self, statement: str) -> None:
        """Change the warehouse's file as another program would."""
        with duckdb.connect(self.home.warehouse_file) as connection:
            connection.execute(statement)

    def tell_of_failure(self, run: dg.ExecuteInProcessResult) -> None:
        """What the daemon does when a run has failed."""
        failed = run.get_run_failure_event()
        context = dg.build_run_status_sensor_context(
            sensor_name="failure_sensor", dagster_event=failed, dagster_instance=self.instance,
            dagster_run=run.dagster_run,
        )  # fmt: skip
        self.defs.resolve_sensor_def("failure_sensor")(context.for_run_failure())

    def landed(self) -> list[str]:
        """Names of the files that are registered, in landing order."""
        files = to_frame(LANDED_FILES, self.warehouse.read(LANDED_FILES))
        return files.sort_values("landing_sequence")["source_file"].to_list()

    def told(self, run_id: str) -> pd.DataFrame:
        """What `ops.ingestion_runs` says of a run, by source."""
        rows = to_frame(INGESTION_RUNS, self.warehouse.read(INGESTION_RUNS))
        return rows[rows["event_id"].str.startswith(f"{run_id}:")].set_index("source")
