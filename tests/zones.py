"""Timezones for tests: a release of tzdata in which one of them has other rules."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from pipelines import clock


@contextmanager
def former_rules(timezone: str, *, those_of: str) -> Iterator[None]:
    """As if an earlier release of tzdata had given `timezone` the rules of another one."""
    read = clock._rules
    with mock.patch.object(clock, "_rules", lambda name: read(those_of if name == timezone else name)):
        _forget()
        yield
    _forget()


def _forget() -> None:
    for known in (clock.zone, clock.rules_hash, clock._offsets, clock._changes):
        known.cache_clear()
