"""The whole wiring on one screen: assets, checks, jobs and the warehouse they write to."""

from __future__ import annotations

import os

import dagster as dg

from cbi_dagster.home import Home, builder
from cbi_dagster.orchestration.assets import ASSETS, IO_MANAGER_KEY, LANDED
from cbi_dagster.orchestration.checks import CHECKS
from cbi_dagster.orchestration.io_manager import WarehouseIOManager
from cbi_dagster.orchestration.sensors import build_sensors, failure_sensor


def build_defs(*, io_manager: dg.IOManager | None = None) -> dg.Definitions:
    """All definitions over the state directory `CBI_HOME`, or over an IO manager of the caller's.

    `CBI_WATCH` names the directory or URL that vendor files arrive in.
    """
    home = Home.from_environment()
    current = builder(home.warehouse, home.landing)
    return dg.Definitions(
        assets=[*LANDED, *ASSETS],
        resources={IO_MANAGER_KEY: io_manager or WarehouseIOManager(current)},
        asset_checks=CHECKS,
        sensors=[*build_sensors(home, current, os.environ.get("CBI_WATCH")), failure_sensor(current)],
        executor=dg.in_process_executor,
    )


defs = build_defs()
