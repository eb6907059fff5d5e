"""Questions about what is stale: what a refresh would really change, and what it would be made from."""

from __future__ import annotations

from collections.abc import Sequence

from cbi_dagster.catalog import ASSET_TABLES, TABLES, Table
from cbi_dagster.home import Platform
from cbi_dagster.warehouse.builder import Builder


def exact_plan(platform: Platform, tables: Sequence[Table]) -> dict[str, list[str]]:
    """Partitions (Dagster keys) whose content a refresh of `tables` would change, per table id.

    Reads landed files anew where that is due, and rebuilds everything stale, over the warehouse, which is only read.
    """
    over = platform.overlaid()
    results = _rebuilt(over, tables)
    return {name: changed for name, changed in results.items() if changed}


def refreshed(platform: Platform, tables: Sequence[Table]) -> Platform:
    """The platform as a refresh of `tables` would leave it, over the warehouse, which is only read."""
    over = platform.overlaid()
    _rebuilt(over, tables)
    return over


def _rebuilt(over: Platform, tables: Sequence[Table]) -> dict[str, list[str]]:
    """Read anew and rebuild what is stale; the partitions that have changed, by table id."""
    over.landing.read_anew()
    # A build reads the ledger before it finds nothing to do: the plan, an upper bound, says where that would be so.
    plan = over.builder.plan(tables)
    stale = {item.table.id for item in plan.tables} | plan.blocked.keys()
    results: dict[str, list[str]] = {item.id: [] for item in tables}
    for item in tables:
        if item.id in stale:
            result = over.builder.build(item, None, "exact plan", only_stale=True).result
            results[item.id] = sorted([*result.written, *result.removed])
    return results


def stale_inputs(current: Builder, wanted: Sequence[Table]) -> list[str]:
    """Ids of the stale tables that the `wanted` ones are made of, directly or not, and that are not among them."""
    if len(wanted) == len(ASSET_TABLES):
        return []
    behind = {table.id for table in wanted}
    queue = list(wanted)
    while queue:
        sources = {read.source for read in queue.pop().reads if read.source in TABLES} - behind
        behind |= sources
        queue += [TABLES[name] for name in sources]
    return [item.table.id for item in current.plan().tables if item.table.id in behind and item.table not in wanted]
