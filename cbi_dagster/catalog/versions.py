"""Code versions: what has to change for a table's partitions to be stale by code."""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
from collections.abc import Callable

from pydantic import BaseModel

from cbi_dagster.catalog.model import Table
from cbi_dagster.config.biofuel import load_biofuel
from cbi_dagster.config.horizons import load_horizons
from cbi_dagster.config.regimes import load_regimes
from cbi_dagster.config.universe import load_universe

_CONFIGS: dict[str, Callable[[], BaseModel]] = {
    "biofuel": load_biofuel,
    "horizons": load_horizons,
    "regimes": load_regimes,
    "universe": load_universe,
}


@functools.cache
def code_version(table: Table) -> str:
    """The table's own version, the `VERSION` of each pure module behind it and a digest of each config it uses.

    A change of any of them makes the table's partitions stale.
    """
    parts = [table.version]
    for name in table.code:
        if name in _CONFIGS:
            content = json.dumps(_CONFIGS[name]().model_dump(mode="json"), sort_keys=True)
            parts.append(f"{name}-{hashlib.blake2b(content.encode(), digest_size=4).hexdigest()}")
        else:
            parts.append(f"{name.rpartition('.')[2]}-{importlib.import_module(name).VERSION}")
    return ".".join(parts)
