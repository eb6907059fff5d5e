"""Everything that knows Dagster: assets, partitions, runs, checks, sensors, and the event log."""
