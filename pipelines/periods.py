"""Periods: a merchant and a range of its local days, and the instant as of which they are reported.

A month and a free range of dates are the same thing to every query: a row of settings.periods.
"""

import calendar
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import duckdb
import polars as pl

from pipelines import clock
from pipelines.errors import ForPeopleError
from pipelines.settings import Merchant

ONE_DAY, ONE_MICROSECOND = timedelta(days=1), timedelta(microseconds=1)
# fromisoformat also takes 20260630, 2026-W26-2 and other things that a person rather mistypes than means.
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(_DAY.pattern + r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?")


class PeriodError(ForPeopleError):
    """A period or as_of that cannot be reported, and why."""


@dataclass(frozen=True)
class Period:
    """`[starts_at, ends_at)` of one merchant, as of `as_of`. Days are local and inclusive."""

    merchant: Merchant
    name: str
    first_day: date
    last_day: date
    starts_at: datetime
    ends_at: datetime
    as_of: datetime
    is_final: bool

    @property
    def cutoff(self) -> datetime:
        """Before this instant movements belong to the period's sheets."""
        return min(self.ends_at, self.as_of)

    @property
    def as_of_day(self) -> date:
        """The local day of the last instant before as_of: from it ages are counted."""
        return clock.day_of(self.as_of - ONE_MICROSECOND, self.merchant.timezone)


def parse_day(text: str) -> date:
    """A date written YYYY-MM-DD. Raises PeriodError."""
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise PeriodError(f'"{text}" is not a date; write it like 2026-06-30.')
    return _within_the_years(day)


def parse_month(text: str) -> date:
    """The first day of a month written YYYY-MM. Raises PeriodError."""
    found = _MONTH.fullmatch(text)
    if not found or not 1 <= int(found[2]) <= 12 or int(found[1]) == 0:
        raise PeriodError(f'"{text}" is not a month; write it like 2026-06.')
    return _within_the_years(date(int(found[1]), int(found[2]), 1))


def months_between(first: date, last: date) -> list[date]:
    """The first days of the months from `first` to `last`, both included."""
    months = []
    while first <= last:
        months.append(first)
        first = (first + timedelta(days=31)).replace(day=1)
    return months


def month_of(merchant: Merchant, month: date, *, now: datetime, as_of: str | None = None) -> Period:
    """The month that begins on `month`; as of its end, or of now if it has not ended. Raises PeriodError."""
    last_day = month.replace(day=calendar.monthrange(month.year, month.month)[1])
    return _period(merchant, f"{month:%Y-%m}", month, last_day, now, as_of, is_month=True)


def range_of(merchant: Merchant, first_day: date, last_day: date, *, now: datetime, as_of: str | None = None) -> Period:
    """Free dates, both included; as of now. Raises PeriodError."""
    if last_day < first_day:
        raise PeriodError(f"The period ends on {last_day}, before it starts on {first_day}.")
    return _period(merchant, f"{first_day}_{last_day}", first_day, last_day, now, as_of, is_month=False)


def _period(
    merchant: Merchant, name: str, first_day: date, last_day: date, now: datetime, stated: str | None, *, is_month: bool
) -> Period:
    starts_at = clock.start_of_day(first_day, merchant.timezone)
    ends_at = clock.start_of_day(last_day + ONE_DAY, merchant.timezone)
    by_default = min(ends_at, now) if is_month else now
    as_of = by_default if stated is None else _as_of(stated, merchant, now)
    # A file name tells the second, so that is how fine an as_of is.
    as_of = as_of.replace(microsecond=0)
    if as_of <= starts_at:
        raise PeriodError(
            f"{merchant.id}: {name} starts at {starts_at:%Y-%m-%d %H:%M:%S} UTC, and as_of {as_of:%Y-%m-%d %H:%M:%S}"
            " UTC is not after that. Choose an earlier period or a later as_of."
        )
    is_final = is_month and as_of == ends_at
    if not is_final:
        name = f"{name}@{as_of:%Y%m%dT%H%M%SZ}"
    return Period(merchant, name, first_day, last_day, starts_at, ends_at, as_of, is_final)


def parse_moment(text: str, merchant: Merchant) -> datetime:
    """An instant: with an offset as it is, without one in the merchant's timezone, a date as its end.

    Raises PeriodError.
    """
    is_day, is_time = bool(_DAY.fullmatch(text)), bool(_TIME.fullmatch(text))
    try:
        moment = datetime.fromisoformat(text) if is_day or is_time else None
    except ValueError:
        moment = None
    if moment is None:
        raise PeriodError(f'"{text}" is not a time; write it like 2026-06-30 or 2026-06-30T13:45:00Z.')
    _within_the_years(moment.date())
    if is_day:
        return clock.start_of_day(moment.date() + ONE_DAY, merchant.timezone)
    if moment.tzinfo is None:
        return clock.utc_from_local(moment, merchant.timezone)
    return moment.astimezone(UTC)


def _as_of(stated: str, merchant: Merchant, now: datetime) -> datetime:
    text = stated.strip()
    try:
        instant = parse_moment(text, merchant)
    except PeriodError as problem:
        raise PeriodError(f"as_of {problem}") from None
    # A day that has not ended is reported as far as it has come.
    if _DAY.fullmatch(text) and clock.start_of_day(parse_day(text), merchant.timezone) <= now:
        instant = min(instant, now)
    if instant > now:
        raise PeriodError(f'as_of "{stated}" has not come yet at {merchant.id}; it is now {now:%Y-%m-%d %H:%M:%S} UTC.')
    return instant


def _within_the_years(day: date) -> date:
    if not clock.FIRST_YEAR <= day.year <= clock.LAST_YEAR:
        raise PeriodError(f"{day} is outside the years that the ledger has, {clock.FIRST_YEAR} to {clock.LAST_YEAR}.")
    return day


def tell(connection: duckdb.DuckDBPyConnection, periods: Iterable[Period]) -> None:
    """Make `periods` the rows of settings.periods: what every query of sql/reports is about.

    And settings.published what was first published of each month, since reports follow upon it: as a setting, because
    the ledger's own table is written by what comes after the reports.
    """
    rows = [
        {
            "merchant_id": period.merchant.id,
            "period": period.name,
            "timezone": period.merchant.timezone,
            "first_day": period.first_day,
            "last_day": period.last_day,
            "starts_at": period.starts_at,
            "ends_at": period.ends_at,
            "as_of": period.as_of,
            "as_of_day": period.as_of_day,
            "cutoff": period.cutoff,
            "cutoff_day": (cutoff_day := clock.day_of(period.cutoff, period.merchant.timezone)),
            "cutoff_day_starts_at": clock.start_of_day(cutoff_day, period.merchant.timezone),
            "is_final": period.is_final,
        }
        for period in periods
    ]
    instant = pl.Datetime("us", "UTC")
    schema: dict[str, pl.DataType] = {
        "merchant_id": pl.String(),
        "period": pl.String(),
        "timezone": pl.String(),
        "first_day": pl.Date(),
        "last_day": pl.Date(),
        "starts_at": instant,
        "ends_at": instant,
        "as_of": instant,
        "as_of_day": pl.Date(),
        "cutoff": instant,
        "cutoff_day": pl.Date(),
        "cutoff_day_starts_at": instant,
        "is_final": pl.Boolean(),
    }
    connection.register("_told", pl.DataFrame(rows, schema=schema).to_arrow())
    connection.execute("create or replace table settings.periods as from _told")
    connection.unregister("_told")
    connection.execute(
        "create or replace table settings.published as"
        " select merchant_id, ((period || '-01')::date + interval 1 month)::date as next_day, closing_balances"
        " from (from ledger.published where is_final"
        "  qualify row_number() over (partition by merchant_id, period order by version) = 1)"
        " where closing_balances is not null"
    )
