"""Every table of the platform, by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import NamedTuple

from cbi_dagster.catalog.model import Table
from cbi_dagster.catalog.partitioning import Daily, Partitioning
from cbi_dagster.catalog.tables import (
    features,
    forecasts,
    market_data,
    mes,
    ops,
    predictions,
    raw_intelligence,
    regimes,
    training,
)


def _declared(module: ModuleType) -> Iterator[Table]:
    for value in vars(module).values():
        if isinstance(value, Table):
            yield value
        elif isinstance(value, tuple) and value and all(isinstance(item, Table) for item in value):
            yield from value


class LandingSource(NamedTuple):
    """Delivered files, kept as they came: what they are, and the vendor that they are of ("" for any)."""

    files: str
    vendor: str


#: What tables are made of in the end; the ledger holds one content hash for each trade date that files are about.
LANDING_SOURCES: dict[str, LandingSource] = {
    "landing.ohlcv_1m": LandingSource("Vendor files of schema ohlcv-1m", "databento"),
    "landing.ohlcv_1h": LandingSource("Vendor files of schema ohlcv-1h", "databento"),
    "landing.ohlcv_1d": LandingSource("Vendor files of schema ohlcv-1d", "databento"),
    "landing.statistics": LandingSource("Vendor files of schema statistics", "databento"),
    "landing.definition": LandingSource("Vendor files of schema definition", "databento"),
    "landing.conditions": LandingSource("The vendor's word on its days (`condition.json`)", "databento"),
    "landing.futures_eod": LandingSource("End-of-day files (`*.futures-eod.csv`, `*.futures-eod.parquet`)", ""),
    "landing.macro": LandingSource("Macro files (`*.macro.csv`, `*.macro.parquet`)", ""),
    "landing.posts": LandingSource("Posts (`*.posts.jsonl`, `*.posts.csv`, `*.posts.parquet`)", ""),
    "landing.posts_coverage": LandingSource("What is known of sources of posts (`*.posts-coverage.csv`)", ""),
}

OPS_TABLES: tuple[Table, ...] = tuple(_declared(ops))
#: Tables made by assets, inputs before the tables that read them.
ASSET_TABLES: tuple[Table, ...] = tuple(
    dict.fromkeys(
        item
        for module in (market_data, raw_intelligence, regimes, mes, predictions, features, training, forecasts)
        for item in _declared(module)
    )
)
TABLES: dict[str, Table] = {item.id: item for item in (*OPS_TABLES, *ASSET_TABLES)}
_LANDED = Daily("date")


def partitioning_of(source: str) -> Partitioning:
    """How an input is cut; what was landed is known by trade date."""
    return TABLES[source].partitioning if source in TABLES else _LANDED


def table(name: str) -> Table:
    """The table called `dataset.name`, or `name` alone where that is unambiguous; KeyError with near names."""
    if name in TABLES:
        return TABLES[name]
    matches = [item for item in TABLES.values() if item.name == name]
    if len(matches) == 1:
        return matches[0]
    import difflib

    near = difflib.get_close_matches(name, [*TABLES, *(item.name for item in TABLES.values())], n=3)
    raise KeyError(f"no table {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))


def asset_tables(names: Sequence[str]) -> list[Table]:
    """The tables called `names` in dependency order, all for none; KeyError for a name that no asset makes."""
    wanted = {table(name).id for name in names}
    if strangers := wanted - {item.id for item in ASSET_TABLES}:
        raise KeyError(f"{', '.join(sorted(strangers))} keeps the books and is not built by itself")
    return [item for item in ASSET_TABLES if not wanted or item.id in wanted]
