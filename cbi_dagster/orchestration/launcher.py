"""Runs as processes beside the code, watched: one that is gone with its server is not under way for ever.

Dagster's launcher starts runs in the code server and hears from it when the process of a run dies. Of runs that ended
with the server itself (its container was replaced, its machine stopped) nobody hears. Here run monitoring asks the
server whether it knows the run; one that it does not know is reported as failed, and what retries runs does so.

Named in dagster.yaml (deploy/dagster.yaml):

    run_launcher:
      module: cbi_dagster.orchestration.launcher
      class: WatchedRunLauncher
"""

from __future__ import annotations

from dagster import DagsterRun
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's default launcher, whose runs are asked after."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the code server that a run was started in still has it.

        A run of a `cbi` command has no server: its claim tells when it is orphaned (`claims`). While the server cannot
        be reached nothing is known.
        """
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        try:
            told = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id))
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if deserialize_value(told, CanCancelExecutionResult).can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the code server does not know this run: it has restarted")
