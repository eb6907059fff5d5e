"""Dagster assets, one per table, one module per layer. Each calls one pure function."""
