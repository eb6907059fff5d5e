"""Asset checks: what is stored is what was declared and written, and what a person should look at.

Rows are validated before they are written, whoever writes them. The blocking check of each table looks again at what
the warehouse holds, so that a file that was changed by other hands is noticed before anything is built on it.
"""

import dagster as dg
import numpy as np

from cbi_dagster.catalog import Table
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.market.sessions import CHICAGO
from cbi_dagster.orchestration.findings import severity, told
from cbi_dagster.orchestration.io_manager import IO_MANAGER_KEY
from cbi_dagster.orchestration.partitions import asset_key
from cbi_dagster.reports.checks import CHECKS as LOOKED_AT
from cbi_dagster.reports.checks import DATA_AGE, PROOF, Check
from cbi_dagster.warehouse.contract import Warehouse

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
PARTITION_TAG = "dagster/partition"


def range_of_run(tags: dict[str, str]) -> Interval | None:
    """First and last date that a run with these tags is about: its range, its day, or None for all."""
    first = tags.get(RANGE_START_TAG) or tags.get(PARTITION_TAG)
    last = tags.get(RANGE_END_TAG) or tags.get(PARTITION_TAG)
    return None if first is None or last is None else (np.datetime64(first, "D"), np.datetime64(last, "D"))


def checked(check: Check, table: Table, warehouse: Warehouse, tags: dict[str, str]) -> dg.AssetCheckResult:
    """What a check finds in the partitions of a run with these tags."""
    result = check.function(warehouse, table, range_of_run(tags))
    return dg.AssetCheckResult(passed=result.passed, severity=severity(result), metadata=told(result))


def _asset_check(item: Check, table: Table) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset_key(table.id),
        name=item.name,
        description=item.description,
        blocking=item.blocking,
        required_resource_keys={IO_MANAGER_KEY},
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return checked(item, table, context.resources.warehouse.builder.warehouse, dict(context.run.tags))

    return check


CHECKS = [_asset_check(item, table) for item in (*LOOKED_AT, PROOF) for table in item.tables]
#: Data grows old without a run: its age is asked for every weekday, when the session of the day before is due.
DATA_AGE_SCHEDULE = dg.ScheduleDefinition(
    name="data_age",
    job=dg.define_asset_job(
        "data_age",
        selection=dg.AssetSelection.checks(
            *(dg.AssetCheckKey(asset_key(table.id), DATA_AGE.name) for table in DATA_AGE.tables)
        ),
    ),
    cron_schedule="5 12 * * 1-5",
    execution_timezone=CHICAGO,
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
