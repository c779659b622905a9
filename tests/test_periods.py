"""Periods: when a month or a range of dates begins and ends where the merchant is, and as of when it is reported."""

from datetime import UTC, date, datetime

import pytest

from pipelines import periods
from pipelines.periods import Period, PeriodError
from tests.ledgers import merchant

NOW = "2026-11-22T13:15:00.999999"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def month(text: str, timezone: str = "UTC", *, now: str = NOW, as_of: str | None = None) -> Period:
    return periods.month_of(merchant(timezone=timezone), periods.parse_month(text), now=utc(now), as_of=as_of)


def dates(first: str, last: str, timezone: str = "UTC", *, now: str = NOW, as_of: str | None = None) -> Period:
    days = periods.parse_day(first), periods.parse_day(last)
    return periods.range_of(merchant(timezone=timezone), *days, now=utc(now), as_of=as_of)


# Where a period begins and ends


@pytest.mark.parametrize(
    ("timezone", "name", "starts_at", "ends_at"),
    [
        ("Pacific/Tongatapu", "2026-06", "2026-05-31T11:00", "2026-06-30T11:00"),  # UTC+13
        ("Pacific/Pitcairn", "2026-06", "2026-06-01T08:00", "2026-07-01T08:00"),  # UTC-8
        ("Pacific/Kiritimati", "2026-06", "2026-05-31T10:00", "2026-06-30T10:00"),  # UTC+14, the first anywhere
        ("America/New_York", "2026-03", "2026-03-01T05:00", "2026-04-01T04:00"),  # an hour less
        ("America/New_York", "2026-11", "2026-11-01T04:00", "2026-12-01T05:00"),  # an hour more, on its first day
        ("Pacific/Auckland", "2026-04", "2026-03-31T11:00", "2026-04-30T12:00"),
        ("UTC", "2024-02", "2024-02-01T00:00", "2024-03-01T00:00"),  # 29 days
        ("Asia/Kolkata", "2024-02", "2024-01-31T18:30", "2024-02-29T18:30"),
        ("UTC", "2026-12", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("Pacific/Apia", "2011-12", "2011-12-01T10:00", "2011-12-31T10:00"),  # without a 30th
        ("America/Havana", "2020-11", "2020-11-01T04:00", "2020-12-01T05:00"),  # from the first of two midnights
    ],
)
def test_a_month_is_from_its_first_local_midnight_to_the_next_months(
    timezone: str, name: str, starts_at: str, ends_at: str
) -> None:
    period = month(name, timezone, now="2030-01-01T00:00")
    assert (period.starts_at, period.ends_at) == (utc(starts_at), utc(ends_at))
    assert (period.name, period.as_of, period.is_final) == (name, utc(ends_at), True)


@pytest.mark.parametrize(
    ("timezone", "day", "starts_at", "ends_at"),
    [
        ("America/Santiago", "2026-09-06", "2026-09-06T04:00", "2026-09-07T03:00"),  # its midnight does not exist
        ("America/Santiago", "2026-04-04", "2026-04-04T03:00", "2026-04-05T04:00"),  # 23:00 happens twice
        ("America/Havana", "2025-11-02", "2025-11-02T04:00", "2025-11-03T05:00"),  # its midnight happens twice
        ("America/Havana", "2026-03-08", "2026-03-08T05:00", "2026-03-09T04:00"),  # its midnight does not exist
        ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00", "2011-12-30T10:00"),  # there was none
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00", "2011-12-31T10:00"),
        ("UTC", "2024-02-29", "2024-02-29T00:00", "2024-03-01T00:00"),
    ],
)
def test_a_day_is_from_its_first_instant_to_the_next_days(
    timezone: str, day: str, starts_at: str, ends_at: str
) -> None:
    period = dates(day, day, timezone)
    assert (period.starts_at, period.ends_at) == (utc(starts_at), utc(ends_at))


def test_dates_are_both_included() -> None:
    period = dates("2026-05-12", "2026-06-11", "America/New_York")
    assert (period.starts_at, period.ends_at) == (utc("2026-05-12T04:00"), utc("2026-06-12T04:00"))
    assert (period.first_day, period.last_day) == (date(2026, 5, 12), date(2026, 6, 11))


def test_months_follow_one_another_without_a_gap() -> None:
    for timezone in ("Pacific/Apia", "America/Havana", "Pacific/Auckland", "Pacific/Kiritimati"):
        firsts = periods.months_between(date(2011, 6, 1), date(2012, 6, 1))
        year = [periods.month_of(merchant(timezone=timezone), first, now=utc(NOW)) for first in firsts]
        assert [one.ends_at for one in year[:-1]] == [other.starts_at for other in year[1:]]


def test_months_between_two_are_both_of_them_and_those_between() -> None:
    assert periods.months_between(date(2026, 11, 1), date(2027, 1, 1)) == [
        date(2026, 11, 1),
        date(2026, 12, 1),
        date(2027, 1, 1),
    ]


# As of when


def test_a_month_that_has_not_ended_is_as_of_now_to_the_second() -> None:
    period = month("2026-11", "America/New_York")
    assert period.as_of == utc("2026-11-22T13:15:00")
    assert (period.name, period.is_final) == ("2026-11@20261122T131500Z", False)
    # A day can be asked for from its first instant on.
    begun = month("2026-11", "America/New_York", now="2026-11-22T05:00", as_of="2026-11-22")
    assert begun.as_of == utc("2026-11-22T05:00")


def test_a_month_has_ended_at_the_instant_at_which_the_next_begins() -> None:
    assert month("2026-06", "Pacific/Tongatapu", now="2026-06-30T11:00:00").is_final
    assert not month("2026-06", "Pacific/Tongatapu", now="2026-06-30T10:59:59.999999").is_final


def test_free_dates_are_as_of_now() -> None:
    period = dates("2026-05-12", "2026-06-11")
    assert period.as_of == utc("2026-11-22T13:15:00")
    assert (period.name, period.is_final) == ("2026-05-12_2026-06-11@20261122T131500Z", False)


def test_a_month_asked_for_by_dates_has_the_name_of_its_dates_and_is_never_final() -> None:
    period = dates("2026-06-01", "2026-06-30", as_of="2026-06-30")
    assert (period.name, period.is_final) == ("2026-06-01_2026-06-30@20260701T000000Z", False)


@pytest.mark.parametrize(
    ("as_of", "instant"),
    [
        ("2026-06-30T13:45", "2026-06-30T17:45:00"),  # without an offset it is the merchant's local time
        ("2026-06-30 13:45:10.9", "2026-06-30T17:45:10"),
        ("2026-06-30T13:45:00Z", "2026-06-30T13:45:00"),
        ("2026-06-30T13:45:00+13", "2026-06-30T00:45:00"),
        ("2026-06-30T13:45:00-0330", "2026-06-30T17:15:00"),
        ("2026-06-30T13:45:00+05:30", "2026-06-30T08:15:00"),
        ("2026-06-30", "2026-07-01T04:00:00"),  # a date is its end
        ("2026-11-22", "2026-11-22T13:15:00"),  # which has not come yet: now
        ("2026-11-01T01:30", "2026-11-01T05:30:00"),  # happens twice: the earlier
        ("2026-03-08T02:30", "2026-03-08T07:30:00"),  # does not exist: shifted forward by the gap
        ("2026-11-22T13:15:00.5Z", "2026-11-22T13:15:00"),
    ],
)
def test_as_of_can_be_given(as_of: str, instant: str) -> None:
    assert dates("2026-03-01", "2026-03-05", "America/New_York", as_of=as_of).as_of == utc(instant)


def test_as_of_without_an_offset_is_each_merchants_own() -> None:
    told = {zone: month("2026-06", zone, as_of="2026-07-15T09:00").name for zone in ("Asia/Tokyo", "America/New_York")}
    assert told == {"Asia/Tokyo": "2026-06@20260715T000000Z", "America/New_York": "2026-06@20260715T130000Z"}


def test_a_month_as_of_its_own_end_is_final_however_that_is_said() -> None:
    for as_of in ("2026-06-30", "2026-07-01T00:00", "2026-07-01T04:00:00Z"):
        period = month("2026-06", "America/New_York", as_of=as_of)
        assert (period.name, period.is_final) == ("2026-06", True)


def test_a_month_as_of_any_other_instant_is_interim_and_says_so_in_its_name() -> None:
    assert month("2026-06", as_of="2026-06-15T00:00:00Z").name == "2026-06@20260615T000000Z"
    assert month("2026-06", as_of="2026-06-30T23:59:59Z").name == "2026-06@20260630T235959Z"
    assert month("2026-06", as_of="2026-07-01T00:00:01Z").name == "2026-06@20260701T000001Z"
    assert not month("2026-06", as_of="2026-07-01T00:00:01Z").is_final


def test_an_as_of_of_a_microsecond_before_the_end_is_not_the_end() -> None:
    assert month("2026-06", as_of="2026-06-30T23:59:59.999999Z").name == "2026-06@20260630T235959Z"


@pytest.mark.parametrize("as_of", ["2026-11-22T13:15:01Z", "2026-11-23", "2027-01-01T00:00", "2199-12-31"])
def test_a_future_as_of_is_refused(as_of: str) -> None:
    with pytest.raises(PeriodError, match="has not come yet at acme; it is now 2026-11-22 13:15:00 UTC"):
        month("2026-06", as_of=as_of)


@pytest.mark.parametrize("as_of", ["2026-06-01T00:00", "2026-05-31", "2026-05-31T23:00", "2026-06-01T00:00:00.9"])
def test_an_as_of_that_is_not_after_the_start_is_refused(as_of: str) -> None:
    with pytest.raises(
        PeriodError, match=r"acme: 2026-06 starts at 2026-06-01 04:00:00 UTC, and as_of .* is not after"
    ):
        month("2026-06", "America/New_York", as_of=as_of)


def test_a_month_that_has_not_begun_is_refused() -> None:
    with pytest.raises(PeriodError, match="is not after that"):
        month("2026-12")


def test_a_month_begins_earlier_in_the_east() -> None:
    assert month("2026-12", "Pacific/Kiritimati", now="2026-11-30T10:00:01").name == "2026-12@20261130T100001Z"
    with pytest.raises(PeriodError, match="Choose an earlier period"):
        month("2026-12", "Asia/Tokyo", now="2026-11-30T10:00:01")


@pytest.mark.parametrize(
    "as_of",
    ["", "now", "20260630", "2026-W26-2", "2026-06-31", "2026-06-30T25:00", "2026-06-30T24:00:00", "2026-06-30T13",
     "30.06.2026", "2026-06-30T13:45 UTC", "２０２６-06-30"],
)  # fmt: skip
def test_an_as_of_that_is_no_time_is_refused(as_of: str) -> None:
    with pytest.raises(PeriodError, match="is not a time; write it like 2026-06-30 or 2026-06-30T13:45:00Z"):
        month("2026-06", as_of=as_of)


@pytest.mark.parametrize("as_of", ["1969-12-31", "0001-01-01T00:00+14:00", "9999-12-31", "2200-01-01T00:00Z"])
def test_an_as_of_in_a_year_that_no_ledger_has_is_refused(as_of: str) -> None:
    with pytest.raises(PeriodError, match="1970 to 2199"):
        month("2026-06", as_of=as_of)


# What belongs to the period, and from which day ages are counted


def test_movements_count_until_the_end_or_as_of_whichever_comes_first() -> None:
    assert month("2026-06", as_of="2026-06-15T12:00:00Z").cutoff == utc("2026-06-15T12:00")
    assert month("2026-06", as_of="2026-07-15T12:00:00Z").cutoff == utc("2026-07-01T00:00")


@pytest.mark.parametrize(
    ("timezone", "as_of", "day"),
    [
        ("America/New_York", "2026-06-30", date(2026, 6, 30)),  # the last instant before as_of, not as_of itself
        ("America/New_York", "2026-07-01T00:00:01", date(2026, 7, 1)),
        ("Pacific/Tongatapu", "2026-06-30", date(2026, 6, 30)),
        ("Pacific/Pitcairn", "2026-06-30", date(2026, 6, 30)),
    ],
)
def test_ages_are_counted_from_the_local_day_of_the_last_instant_before_as_of(
    timezone: str, as_of: str, day: date
) -> None:
    assert month("2026-06", timezone, as_of=as_of).as_of_day == day


def test_a_day_has_begun_also_where_the_clock_is_set_back_over_its_midnight() -> None:
    # St John's, at 00:01 on 7 November 2010: until midnight comes again, clocks show the 6th.
    period = dates("2010-11-06", "2010-11-06", "America/St_Johns", as_of="2010-11-07T02:45:00Z")
    assert (period.ends_at, period.as_of_day) == (utc("2010-11-07T02:30"), date(2010, 11, 7))


# What a person may write


@pytest.mark.parametrize("text", ["2026-6", "2026-13", "2026-00", "june", "2026-06-01", "0000-01", "２０２６-06", ""])
def test_a_month_is_written_as_year_and_month(text: str) -> None:
    with pytest.raises(PeriodError, match="is not a month; write it like 2026-06"):
        periods.parse_month(text)


@pytest.mark.parametrize("text", ["2026-06-31", "2025-02-29", "20260630", "2026-W26-2", "2026-06-3", "30/06/2026", ""])
def test_a_day_is_written_as_year_month_and_day(text: str) -> None:
    with pytest.raises(PeriodError, match="is not a date; write it like 2026-06-30"):
        periods.parse_day(text)


def test_years_are_those_of_the_ledger() -> None:
    assert periods.parse_month("1970-01") == date(1970, 1, 1)
    assert periods.parse_day("2199-12-31") == date(2199, 12, 31)
    for parse, text in ((periods.parse_month, "1969-12"), (periods.parse_month, "2200-01"),
                        (periods.parse_day, "1969-12-31"), (periods.parse_day, "9999-12-31")):  # fmt: skip
        with pytest.raises(PeriodError, match="outside the years that the ledger has, 1970 to 2199"):
            parse(text)


def test_the_first_and_the_last_days_of_those_years_are_days_like_any_other() -> None:
    assert dates("1970-01-01", "1970-01-01", "Asia/Tokyo").starts_at == utc("1969-12-31T15:00")
    with pytest.raises(PeriodError, match="is not after that"):
        dates("2199-12-31", "2199-12-31", "Asia/Tokyo")


def test_dates_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(PeriodError, match="ends on 2026-06-11, before it starts on 2026-06-12"):
        dates("2026-06-12", "2026-06-11")
