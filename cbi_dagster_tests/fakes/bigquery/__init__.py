"""BigQuery on the loopback interface: as much of it as the engine uses, each rule beside the documentation it is from.

`LoopbackBigQuery` serves in this process; `python -m cbi_dagster_tests.fakes.bigquery --port P` in one of its own.
"""

from cbi_dagster_tests.fakes.bigquery.faults import FAULTS, Faults
from cbi_dagster_tests.fakes.bigquery.server import LoopbackBigQuery

__all__ = ["FAULTS", "Faults", "LoopbackBigQuery"]
