"""Databento's API in the daemon: the client as a resource, the job that fetches, and the sensor that asks for it.

The sensor asks what there is and what it costs; the job asks for it once more, spends and lands. A tick that would
cost more than the caps allow asks for nothing and says so.
"""

# No postponed annotations: Dagster reads those of an op when it is declared.
import hashlib
import json
import os
import time
from typing import Any

import dagster as dg
import pandas as pd

from cbi_dagster.home import Home, Platform, SettingsError
from cbi_dagster.orchestration.claims import end_orphans
from cbi_dagster.orchestration.io_manager import IO_MANAGER_KEY
from cbi_dagster.orchestration.landing import FETCHING_JOB, LANDING_JOB
from cbi_dagster.orchestration.sensors import failed_runs, told_orphans, under_way
from cbi_dagster.vendors.databento.client import KEY_VARIABLE, VendorError
from cbi_dagster.vendors.databento.fetching import Fetching
from cbi_dagster.vendors.databento.spending import OverCapError
from cbi_dagster.vendors.databento.survey import ClockError, Outlook
from cbi_dagster.vendors.landing import DatasetMismatchError
from cbi_dagster.warehouse.contract import now_utc

_FETCH = "fetch"
#: The key of the resource.
DATABENTO_KEY = "databento"
#: Names what a run of the fetching job was asked for.
FETCH_TAG = "cbi/fetch"

_FORESEEN = (VendorError, OverCapError, ClockError, DatasetMismatchError)

#: Days whose word is asked for at every tick; of all that are here it is asked once a week.
_TRAILING_DAYS = 14
_SWEEP_DAYS = 7
_MINUTES_BETWEEN = 5
_SETTLE_S = 60.0
#: The runs of the daemon take turns: a batch job at work is looked at again at a later tick.
_JOB_WAIT_S = 60.0
#: A tick has sixty seconds: a busy vendor is asked again at the next one.
_TICK_PATIENCE_S = 10.0


class DatabentoResource(dg.ConfigurableResource[Any]):
    """The official client over a state directory, with its caps and books; the key is read from the environment."""

    api_key: str

    def fetching(self, home: Home, platform: Platform) -> Fetching:
        """What fetches into a platform. Raises SettingsError, KeyRefusedError."""
        return home.fetching(platform, self.api_key)


def _instant(day: str) -> pd.Timestamp | None:
    """Midnight UTC of a day, None for none."""
    return pd.Timestamp(day, tz="UTC") if day else None


def fetching_job(home: Home, platform: Platform) -> dg.JobDefinition:
    """The job that asks Databento for what is lacking or was corrected, and lands it."""

    @dg.op(
        name=_FETCH,
        config_schema={"since": dg.Field(str, default_value="")},
        required_resource_keys={IO_MANAGER_KEY, DATABENTO_KEY},
    )
    def fetch(context: dg.OpExecutionContext) -> None:
        fetching: Fetching = context.resources.databento.fetching(home, platform.ready())
        since = _instant(context.op_config["since"])

        def outlook() -> Outlook:
            found = fetching.survey.outlook(fetching.survey.followed, since)
            for part in found.parts:
                context.log.info(f"to ask for: {part.request}, ${part.dollars:.4f}")
            context.log.info(f"{len(found.parts)} requests, ${found.dollars:.4f} by the vendor's price")
            return found

        try:
            report = fetching.run(outlook, _JOB_WAIT_S)
        except _FORESEEN as error:
            raise dg.Failure(f"{error}. What had come before is landed.", allow_retries=False) from None
        for said in dict.fromkeys(report.warnings):
            context.log.warning(f"the vendor warns: {said}")
        for request in report.landed:
            context.log.info(f"landed {request}")
        for said in report.waiting:
            context.log.info(f"still at work: {said}")
        context.log.info(f"{report.new_files} new files, {report.corrections} bars corrected, ${report.dollars:.4f}")
        if report.refused:
            told = " ".join(f"{request}: {why}" for request, why in report.refused.items())
            raise dg.Failure(f"the door refused what came, and it is not asked for again: {told}", allow_retries=False)

    @dg.job(name=FETCHING_JOB, description="Asks Databento for what is lacking or was corrected, and lands it.")
    def job() -> None:
        fetch()

    return job


def databento_sensor(
    home: Home, platform: Platform, *, running: bool, settle_s: float = _SETTLE_S
) -> dg.SensorDefinition:
    """`databento_sensor`: follows what has landed, as far as the vendor has data. `running`: from the start."""

    def databento_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        ended = told_orphans(end_orphans(home.claims, context.instance))
        if under_way(context.instance, FETCHING_JOB, LANDING_JOB):
            return dg.SkipReason(f"data is being fetched or landed{ended}")
        key = os.environ.get(KEY_VARIABLE, "")
        if not key:
            return dg.SkipReason(f"{KEY_VARIABLE} is not set: it holds the key of Databento's API{ended}")
        now = now_utc()
        cursor: dict[str, Any] = json.loads(context.cursor or "{}")
        sweep = str(cursor.get("swept", "")) <= str((now - pd.Timedelta(days=_SWEEP_DAYS)).date())
        since = "" if sweep else str((now - pd.Timedelta(days=_TRAILING_DAYS)).date())
        try:
            fetching = home.fetching(platform.ready(), key, _TICK_PATIENCE_S)
            left = fetching.unfinished()
            waiting = [entry for entry in left if entry.request_state == "submitted"]
            ready = len(left) > len(waiting) or any(fetching.job_is_done(entry) for entry in waiting)
            found = fetching.survey.outlook(fetching.survey.followed, _instant(since))
            digest = _digest(found, [entry.request_id for entry in left] if ready else [])
            known = {
                "ends": {schema: end.isoformat() for schema, (_, end) in sorted(found.range.spans.items())},
                "days": {str(day): list(map(str, word)) for day, word in sorted(found.words.items())[-_TRAILING_DAYS:]},
                "swept": str(now.date()) if sweep and not found.parts else cursor.get("swept", ""),
            }
            if not found.parts and not ready:
                at_work = "".join(f"; job {entry.job_id} is at work" for entry in waiting)
                until = f"{found.range.end:%Y-%m-%d %H:%M} UTC"
                told = f"nothing to ask for: the vendor has data until {until}{at_work}{ended}"
                return _skipped(told, known)
            fetching.books.require_room_for([(part.request, part.dollars) for part in found.parts])
        except (*_FORESEEN, SettingsError) as error:
            return dg.SkipReason(f"{error}{ended}")
        failed = failed_runs(context.instance, FETCH_TAG, digest, settle_s)
        if failed.times and time.time() < failed.until:
            told = f"fetching it has failed {failed.times} times, last in run {failed.last_run}"
            return _skipped(f"{told}: it is asked for again {failed.wait_s:.0f} s after that{ended}", known)
        context.log.info(f"{len(found.parts)} requests for ${found.dollars:.4f}")
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=f"{digest} {failed.times}",
                    run_config={"ops": {_FETCH: {"config": {"since": since}}}},
                    tags={
                        FETCH_TAG: digest,
                        "cbi/requests": str(len(found.parts)),
                        "cbi/dollars": f"{found.dollars:.4f}",
                        "dagster/max_retries": "0",
                    },
                )
            ],
            cursor=json.dumps(known),
        )

    return dg.sensor(
        name="databento_sensor",
        description="Asks Databento for what is new or was corrected of what has landed.",
        job_name=FETCHING_JOB,
        minimum_interval_seconds=60 * _MINUTES_BETWEEN,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
    )(databento_sensor)


def _skipped(told: str, known: dict[str, Any]) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=told, cursor=json.dumps(known))


def _digest(found: Outlook, left: list[str]) -> str:
    """Names what is asked for, and what the vendor said of its days: another word is another request."""
    asked = [str((part.request, part.request.symbols)) for part in found.parts]
    spans = [(part.request.start.date(), part.request.end.date()) for part in found.parts]
    words = sorted(
        (str(day), *map(str, word)) for day, word in found.words.items()
        if any(first <= day <= last for first, last in spans)
    )  # fmt: skip
    return hashlib.blake2b(json.dumps([asked, words, sorted(left)]).encode(), digest_size=16).hexdigest()
