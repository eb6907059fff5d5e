"""What the pages of landing sources show: files, spans and rows, as far as they have changed."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from cbi_dagster.orchestration.partitions import asset_key
from cbi_dagster.reports.status import landed_sources
from cbi_dagster.warehouse.contract import Warehouse


def observations(instance: dg.DagsterInstance, warehouse: Warehouse) -> Iterator[dg.AssetObservation]:
    """What is landed of each source, where that is not what its page says already."""
    for source, facts in landed_sources(warehouse).items():
        key = asset_key(source)
        told = {name: dg.MetadataValue.int(value) if isinstance(value, int) else value for name, value in facts.items()}
        observation = dg.AssetObservation(key, metadata=told)
        last = instance.fetch_observations(key, limit=1).records
        shown = last[0].asset_observation if last else None
        if shown is None or shown.metadata != observation.metadata:
            yield observation
