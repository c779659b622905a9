"""Stopping when asked to: SIGTERM and Ctrl-C end a run between two steps of its work, never within one.

A signal only leaves word; whoever works looks for it where nothing is half done: `check`, and `pause` while waiting.
A second signal ends the process at once, which is safe too (see docs/faults.md), only less tidy. Runs that Dagster's
daemon or UI started are stopped by Dagster.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from types import FrameType
from typing import TypeVar

from pipelines.errors import ForPeopleError

Result = TypeVar("Result")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
_asked = threading.Event()
# What a signal has raised in a function of ours that a query called.
_raised: list[BaseException] = []


class StoppedError(ForPeopleError):
    """The run was asked to stop, and has."""


@contextmanager
def when_asked() -> Iterator[None]:
    """Inside, SIGTERM and Ctrl-C ask for a stop. Only the main thread hears signals; in others nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.signal(number, _ask) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        _asked.clear()


def _ask(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    _asked.set()
    # Not print: a signal may come in the middle of another one.
    os.write(2, f"Stopping at the next safe point ({signal.Signals(number).name}) …\n".encode())


def check() -> None:
    """A safe point. Raises StoppedError where a stop was asked for."""
    if _asked.is_set():
        raise StoppedError(
            "Stopped, as asked. What was finished is kept, and of what was not nothing has happened. Run the same"
            " command again: it goes on from here."
        )


def heard(problem: Exception) -> None:
    """Raise what a signal has raised in the midst of a query: DuckDB makes a RuntimeError of that, whose cause it is,
    and an error of its own where it was raised `within_a_query`.

    This is how Dagster stops the runs that it started. Taken for some merchant's problem it would stop nothing.
    """
    raised = _raised.pop() if _raised else problem.__cause__
    if raised is not None and not isinstance(raised, Exception):
        raise raised from None


@contextmanager
def within_a_query() -> Iterator[None]:
    """Around a function that queries call. Of what is raised in one, DuckDB's error has the text alone."""
    try:
        yield
    except Exception:
        raise
    except BaseException as problem:
        _raised[:] = [problem]
        raise


def pause(seconds: float) -> None:
    """Wait, unless a stop is asked for. Raises StoppedError."""
    _asked.wait(seconds)
    check()


def apart(work: Callable[[], Result]) -> Result:
    """Do the work in another thread, so that whatever it does with signals, ours keeps hearing them."""
    with ThreadPoolExecutor(max_workers=1) as threads:
        return threads.submit(copy_context().run, work).result()
