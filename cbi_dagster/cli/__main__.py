"""`python -m cbi_dagster.cli`."""

from cbi_dagster.cli import run

run()
