"""Local time and UTC: over whole columns it is what zoneinfo says with fold=0, one time after another."""

from datetime import UTC, date, datetime, timedelta

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import clock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local times have no zone
ZONES = sorted(clock.known_timezones())
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect(config={"threads": 1})
    opened.execute("set TimeZone = 'UTC'")
    clock.register(opened)
    return opened


def naive(text: str) -> datetime:
    return datetime.fromisoformat(text)


def utc(text: str) -> datetime:
    return naive(text).replace(tzinfo=UTC)


def micros(moment: datetime) -> int:
    return (moment - (EPOCH if moment.tzinfo else NAIVE_EPOCH)) // MICROSECOND


# What is special about each: a time that happens twice, one that never does, midnight among them, a day left out.
CASES = [
    ("America/New_York", "2025-06-01T12:00", "2025-06-01T16:00"),
    ("America/New_York", "2025-11-02T01:30", "2025-11-02T05:30"),  # twice: the earlier
    ("America/New_York", "2025-11-02T02:00", "2025-11-02T07:00"),
    ("America/New_York", "2025-03-09T01:59:59", "2025-03-09T06:59:59"),
    ("America/New_York", "2025-03-09T02:00", "2025-03-09T07:00"),  # never: 03:00
    ("America/New_York", "2025-03-09T02:30", "2025-03-09T07:30"),
    ("America/Havana", "2025-11-02T00:00", "2025-11-02T04:00"),  # midnight, twice
    ("America/Havana", "2025-11-02T00:59:59", "2025-11-02T04:59:59"),
    ("America/Havana", "2025-11-02T01:00", "2025-11-02T06:00"),
    ("America/Havana", "2025-03-09T00:00", "2025-03-09T05:00"),  # midnight, never
    ("America/Santiago", "2024-09-08T00:00", "2024-09-08T04:00"),  # midnight, never
    ("America/Santiago", "2025-04-05T23:30", "2025-04-06T02:30"),  # the hour before midnight, twice
    ("America/Santiago", "2025-04-06T00:00", "2025-04-06T04:00"),
    ("Pacific/Auckland", "2025-04-06T02:30", "2025-04-05T13:30"),
    ("Pacific/Auckland", "2025-09-28T02:30", "2025-09-27T14:30"),
    ("Pacific/Apia", "2011-12-29T23:59:59", "2011-12-30T09:59:59"),
    ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T22:00"),  # a day that never was
    ("Pacific/Apia", "2011-12-31T00:00", "2011-12-30T10:00"),
    ("Australia/Lord_Howe", "2025-04-06T01:45", "2025-04-05T14:45"),  # half an hour, twice
    ("Africa/Casablanca", "2025-03-15T12:00", "2025-03-15T12:00"),  # an hour back for Ramadan
    ("Africa/Casablanca", "2025-05-15T12:00", "2025-05-15T11:00"),
    ("Europe/Dublin", "2025-07-01T12:00", "2025-07-01T11:00"),
    ("Asia/Kathmandu", "2025-07-01T12:00", "2025-07-01T06:15"),
    ("Asia/Kathmandu", "1986-01-01T00:00", "1985-12-31T18:30"),  # never: a quarter past, by the year before's offset
    ("Pacific/Kiritimati", "2025-07-01T12:00", "2025-06-30T22:00"),
    ("America/New_York", "2024-02-29T00:00", "2024-02-29T05:00"),  # a leap day
    ("America/New_York", "1970-01-01T00:00", "1970-01-01T05:00"),
    ("America/New_York", "2199-12-31T23:59:59.999999", "2200-01-01T04:59:59.999999"),
    ("America/New_York", "2199-07-01T12:00", "2199-07-01T16:00"),  # rules go on for ever
    ("UTC", "2025-07-01T12:00", "2025-07-01T12:00"),
]


@pytest.mark.parametrize(("timezone", "local", "instant"), CASES)
def test_a_local_time_is_this_instant(timezone: str, local: str, instant: str) -> None:
    assert clock.utc_from_local(naive(local), timezone) == utc(instant)
    assert clock.utc_micros(np.array([micros(naive(local))]), timezone).tolist() == [micros(utc(instant))]


def test_columns_may_mix_timezones_and_have_blanks(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("create or replace table times (number integer, zone varchar, local timestamp)")
    connection.executemany(
        "insert into times values ($1, $2, $3)",
        [(number, zone, local) for number, (zone, local, _) in enumerate(CASES)] + [(-1, "UTC", None)],
    )
    converted = connection.execute("select as_utc(local, zone) from times order by number").fetchall()
    assert converted == [(None,), *((utc(instant),) for _, _, instant in CASES)]
    back = connection.execute("select as_local(as_utc(local, zone), zone) from times order by number").fetchall()
    assert back == [(None,), *((clock.local_from_utc(utc(instant), zone),) for zone, _, instant in CASES)]


def test_a_column_of_blanks_or_of_nothing_is_converted(connection: duckdb.DuckDBPyConnection) -> None:
    nothing = "select as_utc(null::timestamp, 'Asia/Tokyo'), as_local(null::timestamptz, 'Asia/Tokyo')"
    assert connection.execute(nothing).fetchall() == [(None, None)]
    assert connection.execute(f"{nothing} from range(0)").fetchall() == []
    assert clock.utc_micros(np.array([], dtype=np.int64), "Asia/Tokyo").size == 0


def test_every_time_of_a_long_column_is_converted(connection: duckdb.DuckDBPyConnection) -> None:
    # More than DuckDB hands over at once, with every hour of two years.
    asked = """
        select local, as_utc(local, 'America/Havana')
        from (select timestamp '2024-01-01' + to_hours(range::bigint) as local from range(17544)) order by local
    """
    converted = connection.execute(asked).fetchall()
    assert len(converted) == 17544
    assert converted == [(local, clock.utc_from_local(local, "America/Havana")) for local, _ in converted]


@st.composite
def _near_a_transition(draw: st.DrawFn) -> tuple[str, datetime]:
    """A timezone and a UTC time within hours of one of its changes, or any time where it has none in that year."""
    zone = draw(st.sampled_from(ZONES))
    year = draw(st.integers(1970, 2199))
    around = clock._changes(zone, year)
    start_s = draw(st.sampled_from([at for at, _ in around])) if around else draw(st.integers(0, 31_535_999))
    base = (
        EPOCH + timedelta(seconds=start_s) if around else datetime(year, 1, 1, tzinfo=UTC) + timedelta(seconds=start_s)
    )
    near = draw(st.sampled_from([timedelta(), timedelta(hours=1), timedelta(hours=-1), timedelta(hours=24)]))
    return zone, base + near + timedelta(microseconds=draw(st.integers(-7_200_000_000, 7_200_000_000)))


@settings(max_examples=25, deadline=None)
@given(st.lists(_near_a_transition(), min_size=1, max_size=60))
def test_columns_convert_as_zoneinfo_does_near_the_changes_of_any_zone(moments: list[tuple[str, datetime]]) -> None:
    for zone, moment in moments:
        rules = clock.zone(zone)
        wall = moment.astimezone(rules).replace(tzinfo=None)
        assert clock.local_micros(np.array([micros(moment)]), zone).tolist() == [micros(wall)]
        for local in (wall, moment.replace(tzinfo=None)):
            expected = local.replace(tzinfo=rules, fold=0).astimezone(UTC)
            assert clock.utc_micros(np.array([micros(local)]), zone).tolist() == [micros(expected)]


@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from(ZONES), st.lists(st.datetimes(naive("1970-01-01"), naive("2199-12-31")), min_size=1, max_size=80)
)
def test_a_column_over_two_centuries_converts_as_zoneinfo_does(zone: str, locals_: list[datetime]) -> None:
    expected = [micros(local.replace(tzinfo=clock.zone(zone), fold=0).astimezone(UTC)) for local in locals_]
    assert clock.utc_micros(np.array([micros(local) for local in locals_]), zone).tolist() == expected
    instants = [local.replace(tzinfo=UTC) for local in locals_]
    walls = [micros(instant.astimezone(clock.zone(zone)).replace(tzinfo=None)) for instant in instants]
    assert clock.local_micros(np.array([micros(instant) for instant in instants]), zone).tolist() == walls


def test_times_outside_the_years_that_are_taken_convert_without_harm() -> None:
    far = np.array([micros(naive("0001-01-01")), micros(naive("9999-12-31"))])
    assert (np.abs(clock.utc_micros(far, "America/New_York") - far) <= 24 * 3600 * clock.SECOND_US).all()


@pytest.mark.parametrize(
    ("timezone", "day", "first", "last"),
    [
        ("America/New_York", "2026-06-30", "2026-06-30T04:00", "2026-07-01T03:59:59"),
        ("America/Havana", "2025-11-02", "2025-11-02T04:00", "2025-11-03T04:59:59"),
        ("America/Havana", "2025-03-09", "2025-03-09T05:00", "2025-03-10T03:59:59"),
        ("America/Santiago", "2024-09-08", "2024-09-08T04:00", "2024-09-09T02:59:59"),
        # 23:59:59 happens twice on the day before: credit expires at the first, as any local time is the earlier one.
        ("America/Santiago", "2025-04-05", "2025-04-05T03:00", "2025-04-06T02:59:59"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00", "2011-12-31T09:59:59"),
        ("America/New_York", "2024-02-29", "2024-02-29T05:00", "2024-03-01T04:59:59"),
    ],
)
def test_a_local_day_begins_at_its_first_instant_and_credit_good_through_it_expires_in_its_last_second(
    timezone: str, day: str, first: str, last: str
) -> None:
    assert clock.start_of_day(date.fromisoformat(day), timezone) == utc(first)
    assert clock.end_of_day(date.fromisoformat(day), timezone) == utc(last)


@pytest.mark.parametrize("name", ["Mars/Olympus", "america/new_york", "", "../etc/passwd", "EST5"])
def test_what_is_no_timezone_is_an_error_of_its_own(name: str) -> None:
    with pytest.raises(clock.UnknownTimezoneError):
        clock.zone(name)


def test_rules_come_from_the_tzdata_package_and_not_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneinfo.TZPATH", ())
    clock.zone.cache_clear()
    assert clock.utc_from_local(naive("2026-06-01"), "America/New_York") == utc("2026-06-01T04:00")
    assert "America/New_York" in clock.known_timezones()
    assert len(clock.known_timezones()) > 500
