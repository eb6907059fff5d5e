"""What checks found, as the pages of the assets show it."""

from __future__ import annotations

import dagster as dg

from cbi_dagster.orchestration.partitions import asset_key
from cbi_dagster.reports.checks import Check, CheckResult, in_short

#: Cases of a finding that a page shows; `cbi check --all` shows more.
_CASES_SHOWN = 1_000


def evaluation(check: Check, result: CheckResult) -> dg.AssetCheckEvaluation:
    """A result as the record of a check that ran outside a run."""
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(result.table.id),
        check_name=check.name,
        passed=result.passed,
        severity=severity(result),
        metadata=told(result),
    )


def severity(result: CheckResult) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if result.problems else dg.AssetCheckSeverity.WARN


def told(result: CheckResult) -> dict[str, dg.MetadataValue]:
    """What the page of the asset shows: every case of what was found in a table, and the pages of a result."""
    words = {"partitions": dg.MetadataValue.int(result.partitions), "rows": dg.MetadataValue.int(result.rows)}
    pages = {title: dg.MetadataValue.md(page) for title, page in result.pages.items()}
    cases = [
        dg.TableRecord({"severity": severity, "finding": name, "case": case})
        for severity, found in (("error", result.problems), ("warning", result.warnings))
        for name, of_name in found.items()
        for case in of_name[:_CASES_SHOWN]
    ]
    if not cases:
        return {**words, **pages}
    found = {**result.problems, **result.warnings}
    short = {name: dg.MetadataValue.text(in_short(of_name)) for name, of_name in found.items()}
    return {**words, **short, "findings": dg.MetadataValue.table(cases), **pages}
