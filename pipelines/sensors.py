"""What runs because something happened: files have landed, a month was missed, a run has failed."""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime

import dagster as dg
import duckdb
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from pipelines import alerts, database, due, jobs, landing, liveness, runs, shards
from pipelines.resources import unwatched
from pipelines.settings import Home, SettingsError, find_home, read_each_merchant
from pipelines.tables import WORKBOOK

LANDING_INTERVAL_S, MISSED_INTERVAL_S, FAILED_INTERVAL_S = 30, 300, 30
# The cursor where nothing is new. Of a blank one Dagster keeps the former.
NOTHING_NEW = "nothing new"
WATCHED_JOBS = ("ingest", "monthly_report", "__ASSET_JOB")


@dg.sensor(
    name="files_have_landed",
    job=jobs.ingest,
    minimum_interval_seconds=LANDING_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks for files in landing/ that are new or have changed, and have come to rest (unchanged for 10 s,"
    " no .part or .tmp): one ingest takes all of them. Nothing new, no run.",
)
def files_have_landed(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """One run for what is new. The cursor tells what has been asked for already, today: what an ingest could not take
    (a file without the right to read it, or of a merchant whose settings are wrong) is tried again once a day.
    """
    home, now = find_home(), datetime.now(UTC)
    new = new_files(home)
    if not new:
        return dg.SensorResult(skip_reason="No file in landing/ is new.", cursor=NOTHING_NEW)
    cursor = hashlib.sha256(json.dumps([f"{now:%Y-%m-%d}", *new]).encode()).hexdigest()
    if cursor == context.cursor:
        # One whose process is gone says for ever that it has started, and nobody would be told before tomorrow's.
        liveness.reap(context.instance, home, context.log.warning)
        return dg.SkipReason(f"An ingest has been asked for already, for {len(new):,} new files.")
    request = dg.RunRequest(run_config=unwatched(), tags={"files": f"{len(new):,}"})
    return dg.SensorResult(run_requests=[request], cursor=cursor)


def new_files(home: Home) -> list[str]:
    """Files in landing/ that have come to rest and that their ledger, as its copy for readers has it, does not know.

    Of a copy, a folder or settings that cannot be read all is new: the ingest says what is wrong, of those whose it is.
    """
    try:
        merchants, wrong = read_each_merchant(home)
    except SettingsError as problem:
        # A sensor that only skips tells nobody that files lie there.
        return [str(problem)] if home.landing.is_dir() else []
    known: set[tuple[str, int, int]] = set()
    for name, its in shards.by_shard(merchants).items():
        path = shards.read_copy_path(home, name)
        with suppress(duckdb.Error, OSError):
            if path.is_file():
                with database.connect(path, read_only=True) as connection:
                    # Of a merchant that was given to another shard the former one still knows, which nobody reads.
                    asked = "select path, size_bytes, modified_ns from ledger.landing where merchant_id in $1"
                    known |= set(connection.execute(asked, [[*its]]).fetchall())
    new = [*wrong.values()]
    for merchant_id in merchants:
        try:
            for landed in landing.landed_files(home, merchant_id, []):
                told = (landed.name, landed.size_bytes, landed.changed_ns)
                if told not in known and landed.rested_s() >= landing.SETTLED_S:
                    new.append(" ".join(map(str, told)))
        except OSError as problem:
            new.append(str(problem))
    return new


@dg.sensor(
    name="months_without_workbook",
    job=jobs.monthly_report,
    minimum_interval_seconds=MISSED_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="From 14:00 UTC on the 1st: looks for months that have ended and have no published workbook, the"
    " latest and those after a merchant's first publication, and reports them; once a day while they are missing."
    " Schedules do not catch up after downtime: this does.",
)
def months_without_workbook(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """A run for each range of months that are missing for the same merchants, and the freshness check's result."""
    home, now = find_home(), datetime.now(UTC)
    try:
        merchants, wrong = read_each_merchant(home)
        missing = due.due(due.published_months(home, merchants, wrong), now)
    except SettingsError as problem:
        return dg.SkipReason(str(problem))
    state = json.dumps({f"{month:%Y-%m}": names for month, names in missing.items()})
    events = [] if state == context.cursor else [_freshness(missing)]
    if not missing:
        return dg.SensorResult(
            skip_reason="Every month that has ended is published.", asset_events=events, cursor=state
        )
    # A run whose process is gone says for ever that it has started.
    liveness.reap(context.instance, home, context.log.warning)
    if _is_running(context.instance):
        return dg.SensorResult(skip_reason="A monthly report is running.", asset_events=events, cursor=state)
    requests = []
    for first, last, whose in due.ranges(missing):
        everybody = set(whose) >= {*merchants, *wrong}
        chosen: Iterable[str] = () if everybody else whose
        requests.append(
            dg.RunRequest(
                run_key=f"{first:%Y-%m} {last:%Y-%m} {' '.join(whose)} {now:%Y-%m-%d}",
                run_config=unwatched(merchants=[*chosen]),
                tags={
                    ASSET_PARTITION_RANGE_START_TAG: first.isoformat(),
                    ASSET_PARTITION_RANGE_END_TAG: last.isoformat(),
                },
            )
        )
    return dg.SensorResult(run_requests=requests, asset_events=events, cursor=state)


def _freshness(missing: dict[date, list[str]]) -> dg.AssetCheckEvaluation:
    """The freshness check's result, without a run."""
    told = {"severity": dg.AssetCheckSeverity.WARN, **due.freshness(missing)}
    told["metadata"] = {
        name: dg.MetadataValue.int(v) if isinstance(v, int) else v for name, v in told["metadata"].items()
    }
    return dg.AssetCheckEvaluation(asset_key=WORKBOOK, check_name=due.FRESHNESS_CHECK, **told)


def _is_running(instance: dg.DagsterInstance) -> bool:
    running = dg.RunsFilter(job_name=jobs.monthly_report.name, statuses=list(IN_PROGRESS_RUN_STATUSES))
    return bool(instance.get_run_ids(running, limit=1))


@dg.run_failure_sensor(
    name="failed_runs",
    minimum_interval_seconds=FAILED_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes an alert into alerts/ for every monthly report or ingest that has failed, and sends it to"
    " ROLLFORWARD_ALERT_URL where that is set.",
)
def failed_runs(context: dg.RunFailureSensorContext) -> None:
    """An alert for a failed run, unless it has told already, or whoever started it knows: a mistake, a stop."""
    run = context.dagster_run
    events = _events(context)
    if run.job_name in WATCHED_JOBS and not runs.is_a_mistake(events):
        tags = (PARTITION_NAME_TAG, ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
        months = list(dict.fromkeys(run.tags[tag][:7] for tag in tags if tag in run.tags))
        message = alerts.of_failure(run.job_name, months, runs.what_failed(events), run.run_id)
        alerts.tell(find_home(), message, context.log.warning)


def _events(context: dg.RunFailureSensorContext) -> list[dg.DagsterEvent]:
    logs = context.instance.all_logs(context.dagster_run.run_id)
    return [entry.dagster_event for entry in logs if entry.dagster_event]
