"""Sensors: files that arrive in a watched directory are landed, and what is stale is rebuilt.

`landing_sensor` watches and asks for runs of the landing job; `refresh_sensor` keeps everything current, whatever made
it stale; `failure_sensor` keeps what failed. Runs are named after what they are asked for, so that a tick that is
repeated launches nothing twice, and no refresh begins while files are being landed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from cbi_dagster.home import Home
from cbi_dagster.orchestration.building import BACKFILL_JOB, REFRESH_JOB, building_config
from cbi_dagster.orchestration.claims import end_orphans
from cbi_dagster.orchestration.failures import record_failures
from cbi_dagster.orchestration.landing import FETCHING_JOB, LANDING_JOB, Watched, landing_config
from cbi_dagster.warehouse.builder import Builder

SETTLE_S = 30.0
"""How long a file must stay as it is before it is taken: a copy under way grows or is touched."""

#: Names the request that a run of the landing job answers; repetitions of the run carry it too.
LANDING_TAG = "cbi/landing"

#: Names what a run of the landing job was asked to read anew.
ANEW_TAG = "cbi/read_anew"

#: Names the runs whose process was killed and that were ended before this one was asked for.
ORPHANS_TAG = "cbi/orphans_ended"

#: Names the plan that a run refreshes by.
PLAN_TAG = "cbi/plan"

#: What failed is asked for again after twice the time, up to this many times `SETTLE_S`.
_LONGEST_WAIT = 128

_FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_UNDER_WAY = [status for status in dg.DagsterRunStatus if status not in FINISHED_STATUSES]


@dataclass(frozen=True)
class Seen:
    """What the sensor knows of a file: its stamp (size and change mark), and since when it waits to be landed.

    `asked` names the request to land it, if one was made, `done` says that a run has dealt with it, and `failures`
    counts the runs that ended without.
    """

    stamp: str
    since: float
    asked: str = ""
    failures: int = 0
    done: bool = False


def look(
    listing: Mapping[str, str], seen: Mapping[str, Seen], now: float, settle_s: float
) -> tuple[dict[str, Seen], list[str]]:
    """What is known after looking at the present files, and which of them are ready to be landed.

    `listing` maps paths to stamps; `now` and `Seen.since` are seconds of one clock. A file is ready once its stamp has
    been the same for `settle_s` seconds, or twice as long for every landing of it that failed; a file that is dealt
    with is ready again when its stamp changes.
    """
    known: dict[str, Seen] = {}
    ready = []
    for path, stamp in sorted(listing.items()):
        before = seen.get(path)
        item = before if before is not None and before.stamp == stamp else Seen(stamp, now)
        known[path] = item
        if not item.done and now - item.since >= settle_s * min(2**item.failures, _LONGEST_WAIT):
            ready.append(path)
    return known, ready


def after_landing(seen: Mapping[str, Seen], instance: dg.DagsterInstance, now: float) -> dict[str, Seen] | None:
    """What is known of files once the runs that were asked to land them have ended; None while one is under way.

    A file counts as dealt with when a run succeeded, which names the files that it refused. When none did, or was never
    launched, the file waits anew.
    """
    ended: dict[str, bool] = {}
    for request in {item.asked for item in seen.values() if item.asked and not item.done}:
        runs = instance.get_runs(dg.RunsFilter(tags={LANDING_TAG: request}))
        if not all(run.is_finished for run in runs):
            return None
        ended[request] = any(run.is_success for run in runs)
    known = dict(seen)
    for path, item in seen.items():
        if item.asked in ended:
            again = replace(item, since=now, asked="", failures=item.failures + 1)
            known[path] = replace(item, done=True) if ended[item.asked] else again
    return known


def _request(known: Mapping[str, Seen], ready: list[str]) -> str:
    """Names a request for files as they are: the same files after the same failures have the same name."""
    asked = [(path, known[path].stamp, known[path].failures) for path in ready]
    return hashlib.blake2b(json.dumps(asked).encode(), digest_size=16).hexdigest()


def under_way(instance: dg.DagsterInstance, *jobs: str) -> bool:
    """Whether a run of any of the jobs is waiting or at work."""
    return any(instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=_UNDER_WAY)) > 0 for job in jobs)


@dataclass(frozen=True)
class Failed:
    """Runs with a tag's value that ended without success: how often, and until when (seconds since 1970) to wait."""

    times: int
    last_run: str
    wait_s: float
    until: float


def failed_runs(instance: dg.DagsterInstance, tag: str, value: str, settle_s: float) -> Failed:
    records = instance.get_run_records(dg.RunsFilter(tags={tag: value}, statuses=_FAILED))
    wait_s = settle_s * min(2 ** len(records), _LONGEST_WAIT)
    last = max((record.end_time or 0 for record in records), default=-wait_s)
    return Failed(len(records), records[0].dagster_run.run_id if records else "", wait_s, last + wait_s)


def told_orphans(orphans: Sequence[str]) -> str:
    """What a tick that asks for nothing adds about runs that it ended."""
    return "".join(f"; an orphan was ended: the process of run {run_id} was killed" for run_id in orphans)


def _tagged(orphans: Sequence[str]) -> dict[str, str]:
    return {ORPHANS_TAG: ", ".join(orphans)} if orphans else {}


def build_sensors(
    home: Home, builder: Builder, watched: str | None, settle_s: float = SETTLE_S, *, live: bool = False
) -> list[dg.SensorDefinition]:
    """`landing_sensor` over the directory or URL `watched` (None: it only says that none is), and `refresh_sensor`.

    With a directory to watch, or data that is fetched by itself (`live`), both run as soon as the daemon does; else
    they wait to be switched on in the UI.
    """
    status = dg.DefaultSensorStatus.RUNNING if watched or live else dg.DefaultSensorStatus.STOPPED
    options: dict[str, Any] = {"minimum_interval_seconds": 30, "default_status": status}

    def landing_sensor(
        context: dg.SensorEvaluationContext,
    ) -> dg.SensorResult | dg.RunRequest | dg.SkipReason:
        ended = end_orphans(home.claims, context.instance)
        if under_way(context.instance, LANDING_JOB, FETCHING_JOB):
            return dg.SkipReason(f"files are being landed{told_orphans(ended)}")
        stale = builder.stale_sources()
        if stale:
            digest = builder.plan().digest
            failed = failed_runs(context.instance, ANEW_TAG, digest, settle_s)
            if failed.times and not ended and time.time() < failed.until:
                return dg.SkipReason(
                    f"reading {', '.join(stale)} anew has failed {failed.times} times, last in run {failed.last_run}: "
                    f"it is asked for again {failed.wait_s:.0f} s after that"
                )
            # Not in a refresh: what it rebuilds is known only when this has ended.
            return dg.RunRequest(
                run_key=f"{digest} {failed.times}",
                run_config=landing_config(watched or "", []),
                tags={ANEW_TAG: digest, "dagster/max_retries": "0", **_tagged(ended)},
            )
        if watched is None:
            return dg.SkipReason(
                "no directory is watched: start with `cbi ui --watch DIRECTORY` or set CBI_WATCH" + told_orphans(ended)
            )
        now = time.time()
        cursor = json.loads(context.cursor or "{}")
        # Cursors of earlier versions hold lists: their files are asked for again, which lands nothing twice.
        seen = {path: Seen(**fields) for path, fields in cursor.items() if isinstance(fields, dict)}
        settled = after_landing(seen, context.instance, now)
        if settled is None:
            return dg.SkipReason(f"files are being landed{told_orphans(ended)}")
        known, ready = look(Watched(watched).listing(), settled, now, settle_s)
        request = _request(known, ready)
        known |= {path: replace(known[path], asked=request) for path in ready}
        waiting = sum(not item.done for item in known.values()) - len(ready)
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=request,
                    run_config=landing_config(watched, ready),
                    # The sensor asks again by itself, for what is there by then.
                    tags={LANDING_TAG: request, "dagster/max_retries": "0", **_tagged(ended)},
                )
            ]
            if ready
            else [],
            cursor=json.dumps({path: asdict(item) for path, item in known.items()}),
            skip_reason=None if ready else f"0 files ready, {waiting} still settling in {watched}{told_orphans(ended)}",
        )

    def refresh_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        ended = end_orphans(home.claims, context.instance)
        if under_way(context.instance, LANDING_JOB, FETCHING_JOB):
            return dg.SkipReason(f"files are being landed{told_orphans(ended)}")
        if under_way(context.instance, REFRESH_JOB, BACKFILL_JOB):
            return dg.SkipReason(
                f"tables are being built: what is stale then is known when that has ended{told_orphans(ended)}"
            )
        plan = builder.plan()
        if plan.landed:
            return dg.SkipReason(
                f"{', '.join(plan.landed)} must be read anew first: landing_sensor asks for that{told_orphans(ended)}"
            )
        if not plan.tables:
            blocked = "".join(f"; {name} cannot be built: {why}" for name, why in plan.blocked.items())
            return dg.SkipReason(f"nothing is stale{blocked}{told_orphans(ended)}")
        failed = failed_runs(context.instance, PLAN_TAG, plan.digest, settle_s)
        if failed.times and not ended and time.time() < failed.until:
            return dg.SkipReason(
                f"a refresh of what is stale has failed {failed.times} times, last in run {failed.last_run}: "
                f"it is asked for again {failed.wait_s:.0f} s after that"
            )
        return dg.RunRequest(
            # What failed is asked for again, by another name: the disk may have room by now.
            run_key=f"{plan.digest} {failed.times}",
            run_config=building_config([item.table for item in plan.tables]),
            tags={PLAN_TAG: plan.digest, "dagster/max_retries": "0", **_tagged(ended)},
        )

    def sensor(function: Callable[..., Any], description: str, **target: Any) -> dg.SensorDefinition:
        return dg.sensor(name=function.__name__, description=description, **options, **target)(function)

    return [
        sensor(landing_sensor, "Has files landed that arrive in the watched directory.", job_name=LANDING_JOB),
        sensor(
            refresh_sensor,
            "Rebuilds what is stale, training tables included, one run at a time.",
            job_name=REFRESH_JOB,
        ),
    ]


def failure_sensor(builder: Builder) -> dg.SensorDefinition:
    """`failure_sensor`, which keeps what failed in `ops.ingestion_runs`; `cbi` does that itself for its own runs."""

    @dg.run_failure_sensor(
        name="failure_sensor",
        description="Keeps which tables failed, and why, in ops.ingestion_runs.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.RunFailureSensorContext) -> None:
        record_failures(builder.warehouse, context.instance, context.dagster_run.run_id)

    return sensor
