"""Running a job from the command line, on the home's own Dagster instance, so that the run shows in its UI."""

import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from pipelines import alerts, faults, liveness, stopping
from pipelines.errors import ForPeopleError
from pipelines.journal import write_whole
from pipelines.resources import Voice, voice
from pipelines.settings import Home
from pipelines.shards import Say, held

INSTANCE_SETTINGS = """\
telemetry:
  enabled: false
# No dialogue that asks for an e-mail address.
nux:
  enabled: false
storage:
  custom:
    module: pipelines.run_records
    class: RunRecords
    config:
      base_dir:
        env: DAGSTER_HOME
"""
# Dagster's folder is made in a second or two. Whoever holds it for longer was halted, or waits for the disk.
PATIENCE_S = 60.0


class RunFailedError(Exception):
    """The run's failure, as its reader should see it; `told` is what it did all the same, for merchants that were not
    held back.
    """

    def __init__(self, why: str, told: dict[str, dict[str, Any]]) -> None:
        super().__init__(why)
        self.told = told


@contextmanager
def instance_of(home: Home, say: Say = print) -> Iterator[dg.DagsterInstance]:
    """The home's Dagster instance, made where there is none yet. Raises LedgerUnavailableError, as prepare_instance."""
    prepare_instance(home, say)
    with _alone(home, say):
        made = dg.DagsterInstance.get()
    with made as instance:
        yield instance


def prepare_instance(home: Home, say: Say) -> None:
    """Make the home's Dagster folder, and this process use it.

    Raises LedgerUnavailableError where another command has begun to make it and does not come to an end.
    """
    with _alone(home, say):
        settings = home.dagster / "dagster.yaml"
        if not settings.exists():
            write_whole(settings, INSTANCE_SETTINGS.encode())
    os.environ["DAGSTER_HOME"] = str(home.dagster)


@contextmanager
def _alone(home: Home, say: Say) -> Iterator[None]:
    """While Dagster's folder is made: two at once would leave a table of versions that no later run can read."""
    home.dagster.mkdir(parents=True, exist_ok=True)
    with held(home.dagster / ".making", f"the folder {home.dagster}", wait_s=PATIENCE_S, say=say):
        yield


def run(
    home: Home,
    job: str,
    *,
    speaks: Voice,
    resource: Mapping[str, Any],
    months: Sequence[str] = (),
    ops: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """Run `job` in this process; the metadata of what it materialised or observed, by asset key.

    `resource` is the configuration of the rollforward resource, `months` the first and last partition key.
    Raises RunFailedError with what is meant for people.
    """
    from pipelines.definitions import defs

    # The console is for people: what a run did is in its events, and those are kept by the instance.
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    config: dict[str, Any] = {
        "resources": {"rollforward": {"config": {"home": str(home.path), **resource}}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    if ops:
        config["ops"] = ops
    tags = {ASSET_PARTITION_RANGE_START_TAG: months[0], ASSET_PARTITION_RANGE_END_TAG: months[-1]} if months else {}
    run_id = str(uuid.uuid4())

    def execute() -> dg.ExecuteInProcessResult:
        with instance_of(home, speaks.say) as instance, liveness.held(home, run_id):
            return defs.resolve_job_def(job).execute_in_process(
                instance=instance, run_config=config, tags=tags, run_id=run_id, raise_on_error=False
            )

    token = voice.set(_stoppable(speaks))
    try:
        with stopping.when_asked():
            # Dagster hears signals in the main thread and raises there, in the middle of whatever is being done.
            result = stopping.apart(execute)
    except ForPeopleError as problem:
        raise RunFailedError(str(problem), {}) from None
    except Exception as problem:
        # What went wrong inside the run is in its events: here it is Dagster that could not keep its records.
        if (text := faults.told(problem)) is None:
            raise
        raise RunFailedError(text, {}) from None
    finally:
        voice.reset(token)
    told: dict[str, dict[str, Any]] = {}
    for event in result.all_events:
        for kind in ("materialization", "asset_observation"):
            if (said := getattr(event.event_specific_data, kind, None)) is not None:
                told[said.asset_key.to_user_string()] = {name: value.value for name, value in said.metadata.items()}
    if not result.success:
        why = what_failed(result.all_events)
        if job == "monthly_report" and not is_a_mistake(result.all_events):
            message = alerts.of_failure(job, [month[:7] for month in dict.fromkeys(months)], why, result.run_id)
            alerts.tell(home, message, speaks.say)
        raise RunFailedError(why, told)
    return told


def _stoppable(speaks: Voice) -> Voice:
    """The same voice: a run speaks between two steps, never within one, so that is where it can be stopped."""

    def say(message: str) -> None:
        speaks.say(message)
        stopping.check()

    def doing(what: str) -> None:
        stopping.check()
        speaks.doing(what)

    return Voice(say, doing)


def what_failed(events: Sequence[dg.DagsterEvent]) -> str:
    """Why a run with these events has failed, in words for people."""
    for event in events:
        if event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data and failure.user_failure_data.description:
                return str(failure.user_failure_data.description)
            if failure.error:
                cause = failure.error.cause or failure.error
                return f"{event.step_key}: {cause.message.strip()} (a defect: please report it)"
    for event in events:
        error = getattr(event.event_specific_data, "error", None)
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            return str(error.message).removeprefix("dagster._core.definitions.events.Failure: ").strip()
    # Of a run that others ended, whoever ended it has said why.
    said = [event.message for event in events if event.event_type is dg.DagsterEventType.RUN_FAILURE and event.message]
    return said[-1] if said else "The run failed; open it in the UI: rollforward ui."


def is_a_mistake(events: Sequence[dg.DagsterEvent]) -> bool:
    """Whether a run with these events was asked for what there cannot be, or was stopped by whoever started it."""
    for event in events:
        if event.is_step_failure and (failure := event.step_failure_data.user_failure_data):
            return "mistake" in failure.metadata
    return False
