"""CBI Dagster: a point-in-time feature platform for futures, built from partitioned Dagster assets."""

__version__ = "0.1.0"
