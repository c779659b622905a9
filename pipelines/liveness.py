"""Which runs are alive: each holds a lock on a file of its own, which the kernel frees when its process is gone.

A process that is killed cannot tell Dagster so, and its run would stay "started" for ever. Every run therefore begins
by marking the runs of dead processes as failed. That what they left undone is done later is not decided here.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from pipelines.settings import Home
from pipelines.shards import Say

UNFINISHED = (
    *(dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING),
    *(dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING),
)
# A run that Dagster's daemon starts has no file until its process has loaded the code.
LOADING = timedelta(minutes=10)

_held: dict[str, int] = {}


def hold(home: Home, run_id: str) -> None:
    """Say that this process does the run, until the process ends."""
    if run_id and run_id not in _held:
        _folder(home).mkdir(parents=True, exist_ok=True)
        path = _folder(home) / run_id
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(file, fcntl.LOCK_EX)
            # Another process may have taken it for a dead one's, and away, before it was locked.
            if path.exists() and path.stat().st_ino == os.fstat(file).st_ino:
                break
            os.close(file)
        _held[run_id] = file


@contextmanager
def held(home: Home, run_id: str) -> Iterator[None]:
    """The same for as long as the context lasts."""
    hold(home, run_id)
    try:
        yield
    finally:
        (_folder(home) / run_id).unlink(missing_ok=True)
        os.close(_held.pop(run_id))


def reap(instance: dg.DagsterInstance, home: Home, say: Say) -> None:
    """Mark the runs of dead processes as failed, and forget the files of runs that have ended."""
    if not instance.is_persistent or Path(instance.root_directory) != home.dagster:
        return  # not the home's own instance: other people's runs may be in it
    unfinished = instance.get_run_records(dg.RunsFilter(statuses=[*UNFINISHED]))
    for record in unfinished:
        run = record.dagster_run
        if _is_dead(home, run, record.update_timestamp):
            said = f"Run {run.run_id[:8]} ({run.job_name}) was not finished: its process is gone."
            is_stopping = run.status == dg.DagsterRunStatus.CANCELING
            marked = "canceled" if is_stopping else "failed"
            say(f"{said} It is marked as {marked}; this run does what it left undone.")
            if is_stopping:
                instance.report_run_canceled(run, said)
            else:
                instance.report_run_failed(run, f"{said} What it left undone is done by the next run.")
            (_folder(home) / run.run_id).unlink(missing_ok=True)
    going_on = {record.dagster_run.run_id for record in unfinished}
    for path in _folder(home).iterdir() if _folder(home).is_dir() else ():
        if path.name not in going_on and path.name not in _held and is_free(path):
            path.unlink(missing_ok=True)


def _is_dead(home: Home, run: dg.DagsterRun, updated_at: datetime) -> bool:
    if run.run_id in _held:
        return False
    if (path := _folder(home) / run.run_id).exists():
        return is_free(path)
    if updated_at.tzinfo is None:
        updated_at = updated_at.replace(tzinfo=UTC)
    return run.status != dg.DagsterRunStatus.NOT_STARTED and datetime.now(UTC) - updated_at > LOADING


def is_free(path: Path) -> bool:
    """Whether nobody holds the file's lock."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(file)


def _folder(home: Home) -> Path:
    return home.dagster / "running"
