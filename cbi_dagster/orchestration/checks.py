"""Asset checks: what is stored is what was declared and written, and what a person should look at.

Rows are validated before they are written, whoever writes them. The blocking check of each table looks again at what
the warehouse holds, so that a file that was changed by other hands is noticed before anything is built on it. The
domain check of the matrix compares sessions with the exchange calendar and values with their past.
"""

import dagster as dg
import numpy as np
import pandas as pd

from cbi_dagster.catalog import ASSET_TABLES, Table
from cbi_dagster.catalog.frames import to_frame
from cbi_dagster.catalog.partitioning import Interval
from cbi_dagster.catalog.tables.features import DAILY_ML_MATRIX
from cbi_dagster.catalog.tables.market_data import FUTURES_CONTINUOUS_1D
from cbi_dagster.config.universe import Universe, load_universe
from cbi_dagster.market.sessions import business_days
from cbi_dagster.matrix.quality import QualityReport, check_quality
from cbi_dagster.orchestration.assets import IO_MANAGER_KEY, asset_key
from cbi_dagster.orchestration.jobs import RANGE_END_TAG, RANGE_START_TAG
from cbi_dagster.reports import checks as reports
from cbi_dagster.warehouse.contract import Warehouse
from cbi_dagster.warehouse.ledger import NOTHING

PARTITION_TAG = "dagster/partition"
_HIGHEST_NULL_RATES = 12


def range_of_run(tags: dict[str, str]) -> Interval | None:
    """First and last date that a run with these tags is about: its range, its day, or None for all."""
    first = tags.get(RANGE_START_TAG) or tags.get(PARTITION_TAG)
    last = tags.get(RANGE_END_TAG) or tags.get(PARTITION_TAG)
    return None if first is None or last is None else (np.datetime64(first, "D"), np.datetime64(last, "D"))


def stored_as_written(table: Table, warehouse: Warehouse, tags: dict[str, str]) -> dg.AssetCheckResult:
    """Whether the stored partitions of a run have the declared form and the content that the ledger recorded."""
    result = reports.stored_as_written(warehouse, table, range_of_run(tags))
    looked_at = {"partitions": result.partitions, "rows": result.rows}
    return dg.AssetCheckResult(passed=result.passed, metadata={**looked_at, **result.problems})


def expected_sessions(universe: Universe, first: np.datetime64, last: np.datetime64) -> pd.DataFrame:
    """Sessions that the exchange calendars know from `first` to `last` (both inclusive): `symbol`, `date`."""
    return pd.concat(
        [
            pd.DataFrame({"symbol": root, "date": business_days(first, last, universe.calendar(root))})
            for root in universe.roots
        ],
        ignore_index=True,
    )


def matrix_quality(warehouse: Warehouse, tags: dict[str, str]) -> dg.AssetCheckResult:
    """The quality report of the matrix rows of a run, with the exchange calendar's sessions to compare with."""
    ledger = warehouse.ledger_by_table({DAILY_ML_MATRIX.id}).get(DAILY_ML_MATRIX.id, NOTHING)
    partitions = ledger.keys
    if (span := range_of_run(tags)) is not None:
        partitions = partitions[(partitions >= span[0]) & (partitions <= span[1])]
    intervals = DAILY_ML_MATRIX.partitioning.covering(partitions)
    flat = to_frame(DAILY_ML_MATRIX, warehouse.read(DAILY_ML_MATRIX, intervals))
    sessions = to_frame(FUTURES_CONTINUOUS_1D, warehouse.read(FUTURES_CONTINUOUS_1D, intervals))
    universe = load_universe()
    expected = expected_sessions(universe, *intervals[0]) if intervals else None
    report = check_quality(flat, sessions, universe, expected=expected)
    return dg.AssetCheckResult(
        passed=not report.findings,
        severity=dg.AssetCheckSeverity.ERROR if report.blocking else dg.AssetCheckSeverity.WARN,
        metadata={
            "rows": report.rows,
            "findings": dg.MetadataValue.md(_findings(report)),
            "null_rates": dg.MetadataValue.md(_null_rates(report)),
        },
    )


def _findings(report: QualityReport) -> str:
    if not report.findings:
        return "Every rule holds."
    lines = ["| severity | rule | broken | where |", "|---|---|---:|---|"]
    lines += [f"| {f.severity} | {f.rule} | {f.count:,} | {', '.join(f.examples)} |" for f in report.findings]
    return "\n".join(lines)


def _null_rates(report: QualityReport) -> str:
    highest = sorted(report.null_rates.items(), key=lambda item: -item[1])[:_HIGHEST_NULL_RATES]
    lines = ["| column | NULL | |", "|---|---:|---|"]
    return "\n".join([*lines, *(f"| {name} | {rate:.1%} | {'█' * round(20 * rate)} |" for name, rate in highest)])


def _stored_check(table: Table) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset_key(table.id),
        name="stored_as_written",
        description="Types, required columns, unique keys, partitions and content hashes of what is stored.",
        blocking=True,
        required_resource_keys={IO_MANAGER_KEY},
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return stored_as_written(table, context.resources.warehouse.builder.warehouse, dict(context.run.tags))

    return check


@dg.asset_check(
    asset=asset_key(DAILY_ML_MATRIX.id),
    name="quality",
    description="Sessions against the exchange calendar, prices against bounds, returns against the past, NULL rates.",
    required_resource_keys={IO_MANAGER_KEY},
)
def quality(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    return matrix_quality(context.resources.warehouse.builder.warehouse, dict(context.run.tags))


CHECKS = [*(_stored_check(table) for table in ASSET_TABLES), quality]
