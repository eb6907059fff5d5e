"""The whole wiring on one screen: assets, checks, jobs and the warehouse they write to."""

from __future__ import annotations

import os

import dagster as dg

from cbi_dagster.assets import features, market_data, mes, raw_intelligence, training
from cbi_dagster.assets.table_asset import IO_MANAGER_KEY
from cbi_dagster.checks import CHECKS
from cbi_dagster.home import Home, builder
from cbi_dagster.sensors import build_sensors, failure_sensor
from cbi_dagster.warehouse.io_manager import WarehouseIOManager


def build_defs(*, io_manager: dg.IOManager | None = None, checks: bool = True) -> dg.Definitions:
    """All definitions over the state directory `CBI_HOME`, or over an IO manager of the caller's.

    `CBI_WATCH` names the directory or URL that vendor files arrive in.
    """
    home = Home.from_environment()
    current = builder(home.warehouse, home.landing)
    return dg.Definitions(
        assets=[
            *market_data.LANDED,
            *raw_intelligence.LANDED,
            *dg.load_assets_from_modules([market_data, raw_intelligence, mes, features, training]),
        ],
        resources={IO_MANAGER_KEY: io_manager or WarehouseIOManager(current)},
        asset_checks=CHECKS if checks else [],
        sensors=[*build_sensors(home, current, os.environ.get("CBI_WATCH")), failure_sensor(current)],
        executor=dg.in_process_executor,
    )


defs = build_defs()
