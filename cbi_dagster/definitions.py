"""The whole wiring on one screen: assets, checks, jobs and the warehouse they write to."""

from __future__ import annotations

import logging
import os

import dagster as dg

from cbi_dagster.home import Home
from cbi_dagster.orchestration.assets import ASSETS, LANDED
from cbi_dagster.orchestration.building import building_jobs
from cbi_dagster.orchestration.checks import CHECKS, DATA_AGE_SCHEDULE
from cbi_dagster.orchestration.fetching import DATABENTO_KEY, DatabentoResource, databento_sensor, fetching_job
from cbi_dagster.orchestration.io_manager import IO_MANAGER_KEY, WarehouseIOManager, claiming
from cbi_dagster.orchestration.landing import landing_job
from cbi_dagster.orchestration.sensors import build_sensors, failure_sensor


def build_defs(home: Home, watched: str | None = None, *, live: bool = False) -> dg.Definitions:
    """All definitions over a state directory; `watched` is the directory or URL that vendor files arrive in.

    `live`: Databento is asked for what is new as soon as the daemon runs.
    """
    platform = home.open()
    current = platform.builder
    return dg.Definitions(
        assets=[*LANDED, *ASSETS],
        resources={
            IO_MANAGER_KEY: claiming(WarehouseIOManager(current), home.claims),
            DATABENTO_KEY: DatabentoResource(api_key=dg.EnvVar("DATABENTO_API_KEY")),
            **home.resources(),
        },
        asset_checks=CHECKS,
        jobs=[landing_job(home, platform), fetching_job(home, platform), *building_jobs(current, home.claims)],
        schedules=[DATA_AGE_SCHEDULE],
        sensors=[
            *build_sensors(home, current, watched, live=live),
            databento_sensor(home, platform, running=live),
            failure_sensor(current),
        ],
        executor=dg.in_process_executor,
    )


_HOME = Home.from_environment()
if os.environ.get("DAGSTER_HOME") is None:
    logging.getLogger(__name__).warning(
        "DAGSTER_HOME is not set: what Dagster records here is gone when it ends, and `cbi` keeps its runs elsewhere. "
        "`cbi ui` opens both as one; so does `export DAGSTER_HOME=%s`. The tables are those of %s",
        _HOME.dagster,
        _HOME.path,
    )
defs = build_defs(_HOME, os.environ.get("CBI_WATCH"), live=os.environ.get("CBI_LIVE") == "1")
