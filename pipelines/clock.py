"""Every conversion between the merchant's local time and UTC, over whole columns.

A local time that happens twice is the earlier one; one that never happens is shifted forward by the gap. That is
what zoneinfo does with fold=0, and what DuckDB's and Polars' own conversions do not. Time zone rules come from the
tzdata package alone, so that every machine converts alike. Nothing here knows what the times are for.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from importlib import resources
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from duckdb.func import ARROW, SPECIAL

from pipelines import stopping

SECOND_US = 1_000_000
DAY_S = 86_400
DAY_US = DAY_S * SECOND_US
FIRST_YEAR, LAST_YEAR = 1970, 2199
LAST_SECOND = time(23, 59, 59)

Micros = npt.NDArray[np.int64]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UnknownTimezoneError(ValueError):
    """The name is not one of the IANA time zone database."""


@cache
def zone(name: str) -> ZoneInfo:
    """The rules of the IANA timezone `name`.

    Raises UnknownTimezoneError if there is no such timezone.
    """
    if name not in known_timezones():
        raise UnknownTimezoneError(name)
    return ZoneInfo.from_file(BytesIO(_rules(name)), key=name)


@cache
def rules_hash(name: str) -> str:
    """What tells a timezone's rules from those that another release of tzdata has for it."""
    return hashlib.sha256(_rules(name)).hexdigest()[:12]


def _rules(name: str) -> bytes:
    return resources.files("tzdata.zoneinfo").joinpath(*name.split("/")).read_bytes()


@cache
def known_timezones() -> frozenset[str]:
    """All IANA names."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def utc_from_local(local: datetime, timezone: str) -> datetime:
    """The instant of the naive local time `local`."""
    return local.replace(tzinfo=zone(timezone), fold=0).astimezone(UTC)


def local_from_utc(instant: datetime, timezone: str) -> datetime:
    """The naive local time of `instant`."""
    return instant.astimezone(zone(timezone)).replace(tzinfo=None)


def start_of_day(day: date, timezone: str) -> datetime:
    """The first instant of the local day `day`."""
    return utc_from_local(datetime.combine(day, time()), timezone)


def end_of_day(day: date, timezone: str) -> datetime:
    """23:59:59 of the local day `day`: when credit that is good through that day expires."""
    return utc_from_local(datetime.combine(day, LAST_SECOND), timezone)


def utc_micros(local: Micros, timezone: str) -> Micros:
    """Microseconds since 1970 UTC of naive local times given as microseconds since 1970-01-01T00:00 local."""
    return _shift(local, timezone, local=True)


def local_micros(instant: Micros, timezone: str) -> Micros:
    """Naive local microseconds of instants given as microseconds since 1970 UTC."""
    return _shift(instant, timezone, local=False)


def days(instants: Micros, timezone: str) -> Micros:
    """The local day that each instant (microseconds UTC) belongs to, in days since 1970-01-01.

    A day begins at its first instant and never again: where the clock is set back over midnight, the evening that
    comes twice belongs, the second time, to the day that has begun.
    """
    shown = local_micros(instants, timezone) // DAY_US
    return shown + (utc_micros((shown + 1) * DAY_US, timezone) <= instants)


def day_of(instant: datetime, timezone: str) -> date:
    """The same of one instant, as a date."""
    micros = np.array([(instant - _EPOCH) // timedelta(microseconds=1)])
    return _EPOCH.date() + timedelta(days=int(days(micros, timezone)[0]))


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Give SQL the two conversions: `utc_micros(BIGINT, timezone)` and `local_micros(BIGINT, timezone)`.

    And, made of them, the macros that queries use: `as_utc(TIMESTAMP, timezone)`, `as_local(TIMESTAMPTZ, timezone)`.
    `months_back(DATE, last_day)` is in which of the twelve months to last_day, counted back from it, a day is: 0 is the
    one that ends with it, 11 the first.
    """
    for name, convert in (("utc_micros", utc_micros), ("local_micros", local_micros)):
        connection.create_function(
            name,
            _over_columns(convert),
            ["BIGINT", "VARCHAR"],
            "BIGINT",
            type=ARROW,
            null_handling=SPECIAL,
        )
    connection.execute(
        "create or replace temp macro as_utc(local, timezone) as"
        " make_timestamptz(utc_micros(epoch_us(local), timezone))"
    )
    connection.execute(
        "create or replace temp macro as_local(instant, timezone) as"
        " make_timestamp(local_micros(epoch_us(instant), timezone))"
    )
    connection.execute(
        "create or replace temp macro months_back(day, last_day) as"
        " least(11, date_sub('month', day, (last_day + 1)::date)"
        " - if(day + to_months(date_sub('month', day, (last_day + 1)::date)::integer) = (last_day + 1)::date, 1, 0))"
    )


def _over_columns(convert: Callable[[Micros, str], Micros]) -> Callable[[Any, Any], Any]:
    @stopping.within_a_query()
    def over_columns(micros: pa.ChunkedArray, timezones: pa.ChunkedArray) -> pa.Array:
        values = micros.to_numpy()
        present = micros.is_valid().to_numpy()
        filled = np.where(present, values, 0).astype(np.int64)
        names = timezones.unique().to_pylist()
        if len(names) == 1:
            out = convert(filled, names[0])
        else:
            out = np.zeros_like(filled)
            zones = timezones.to_numpy()
            for name in names:
                rows = zones == name
                out[rows] = convert(filled[rows], name)
        return pa.array(out, mask=~present)

    return over_columns


def _shift(micros: Micros, timezone: str, *, local: bool) -> Micros:
    if micros.size == 0:
        return micros
    ends = np.array([np.min(micros), np.max(micros)], dtype="datetime64[us]")
    years = ends.astype("datetime64[Y]").astype(int) + 1970
    # Outside the years that the ledger takes, the offset at their edge will do: such times are refused elsewhere.
    first, last = (int(year) for year in np.clip((years[0] - 1, years[1] + 1), FIRST_YEAR - 1, LAST_YEAR + 1))
    starts, offsets = _offsets(timezone, first, last, local)
    offset = offsets[np.searchsorted(starts, micros, side="right") - 1]
    return micros - offset if local else micros + offset


@lru_cache(maxsize=1024)
def _offsets(timezone: str, first_year: int, last_year: int, local: bool) -> tuple[Micros, Micros]:
    """From when (local or UTC microseconds) which offset from UTC (microseconds) holds, for a range of years.

    With fold=0 the offset before a change holds until the local time at which the later of both readings is reached:
    in a gap that shifts forward, in an overlap that takes the earlier.
    """
    before = _offset_at(timezone, _epoch_s(first_year))
    starts, offsets = [-(2**62)], [before * SECOND_US]
    for year in range(first_year, last_year + 1):
        for change_s, offset in _changes(timezone, year):
            reached_s = change_s + max(before, offset) if local else change_s
            starts.append(reached_s * SECOND_US)
            offsets.append(offset * SECOND_US)
            before = offset
    return np.array(starts, dtype=np.int64), np.array(offsets, dtype=np.int64)


@lru_cache(maxsize=65536)
def _changes(timezone: str, year: int) -> tuple[tuple[int, int], ...]:
    """The changes of offset in a UTC year: when (seconds since 1970) and to which offset (seconds)."""
    days = range(_epoch_s(year), _epoch_s(year + 1), DAY_S)
    changes = []
    before = _offset_at(timezone, days[0])
    for start in days:
        after = _offset_at(timezone, start + DAY_S)
        if after != before:
            seconds = range(start, start + DAY_S + 1)
            at = seconds[bisect_right(seconds, 0, key=lambda s, b=before: int(_offset_at(timezone, s) != b))]  # type: ignore[misc]
            changes.append((at, after))
            before = after
    return tuple(changes)


def _offset_at(timezone: str, epoch_s: int) -> int:
    offset = (_EPOCH + timedelta(seconds=epoch_s)).astimezone(zone(timezone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _epoch_s(year: int) -> int:
    return int((datetime(year, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())
