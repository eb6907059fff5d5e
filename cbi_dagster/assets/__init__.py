"""Dagster assets, one per table, one module per layer. Each calls one pure function."""

# Whoever asks for one asset's function finds those of all: they are known once their modules are imported.
from cbi_dagster.assets import features, market_data, mes, raw_intelligence, training

__all__ = ["features", "market_data", "mes", "raw_intelligence", "training"]
