"""The IO manager: between the assets that the UI materializes and the builder.

A step rebuilds all of the range that it was given; what is stale is rebuilt by the job `refresh`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.storage.tags import EXTERNALLY_MANAGED_ASSETS_TAG

from cbi_dagster.catalog import TABLES, Table
from cbi_dagster.orchestration.claims import claim
from cbi_dagster.orchestration.materializations import described, report
from cbi_dagster.orchestration.partitions import partitions_of
from cbi_dagster.recipes import TableOutput
from cbi_dagster.warehouse.builder import Builder, PreparedBuild

IO_MANAGER_KEY = "warehouse"


@dataclass(frozen=True)
class _Attempt:
    """What was prepared for an attempt of a step; `inputs` are those that it has not taken yet."""

    number: int
    build: PreparedBuild
    inputs: dict[str, pd.DataFrame]


class WarehouseIOManager(dg.IOManager):
    """Loads the declared windows of a step's inputs and replaces the partitions it rebuilt.

    Dagster loads a step's inputs once and stores one output: that is the first slice of what is asked for. The builder
    goes on with the others, if there are any.
    """

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self._attempts: dict[tuple[str, str], _Attempt] = {}

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        attempt = self._attempt(context, TABLES[context.definition_metadata["table"]])
        # Handed over, not kept: the step alone holds its inputs while it computes.
        return attempt.inputs.pop(".".join(context.asset_key.path))

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame | pa.Table | TableOutput) -> None:
        step, table = context.step_context, TABLES[".".join(context.asset_key.path)]
        build = self._attempt(context, table).build
        outcome = self.builder.finish(build, self.builder.write(build, obj))
        del self._attempts[step.run_id, table.id]
        result = outcome.result
        context.log.info(
            f"{table.id}: {len(result.written)} partitions written ({result.rows_written} rows), "
            f"{len(result.unchanged)} unchanged, {outcome.not_landed} without landed data"
        )
        # Dagster would log every partition of the range again, one by one, and it asks this tag of the run in memory.
        cast(dict[str, str], step.dagster_run.tags)[EXTERNALLY_MANAGED_ASSETS_TAG] = "true"
        asked = _asked(step, table)
        known = {*result.hashes, *result.removed}
        without = [] if asked is None else [label for label in table.partitioning.labels(asked) if label not in known]
        facts = described(self.builder.warehouse, table, outcome, context.log)
        report(step, self.builder, table, outcome, facts, without)

    def _attempt(self, context: dg.InputContext | dg.OutputContext, table: Table) -> _Attempt:
        """What is prepared for the step's present attempt; a retry begins anew, with what is stored by then."""
        step = context.step_context
        identity, number = (step.run_id, table.id), step.previous_attempt_count
        if identity not in self._attempts or self._attempts[identity].number != number:
            self._attempts.pop(identity, None)  # its inputs, if a failure left some, before others are read
            prepared = self.builder.prepare(table, _asked(step, table), step.run_id, only_stale=False)
            self._attempts[identity] = _Attempt(number, *prepared)
        return self._attempts[identity]


def _asked(step: StepExecutionContext, table: Table) -> np.ndarray | None:
    """The partitions that a step is to rebuild; None for a table in one piece."""
    if partitions_of(table) is None:
        return None
    keys = step.partition_key_range
    return table.partitioning.keys_between(np.datetime64(keys.start, "D"), np.datetime64(keys.end, "D"))


def claiming(manager: WarehouseIOManager, claims: Path) -> dg.IOManagerDefinition:
    """The IO manager of runs that a daemon starts: the process of a run claims it from the first moment that it can."""

    def held(context: dg.InitResourceContext) -> WarehouseIOManager:
        assert context.run is not None
        claim(claims, context.run.run_id)
        return manager

    return dg.IOManagerDefinition(held)
