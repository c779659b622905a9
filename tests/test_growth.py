"""What a run touches grows with what changed, not with what there is: counted in rows, of every table of the ledger."""

import dataclasses
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pipelines import ingest, periods, promises, replay, reports
from tests.homes import ENTRY, csv, make_home
from tests.reported import build_tables
from tests.touched import Touched, written

NOW = datetime(2026, 7, 2, tzinfo=UTC)
MEMBERS = 300


def entries(number: int, member: str, day: str) -> list[dict[str, str]]:
    """Ten credits of a member, nine of them used up that day."""
    base = {**ENTRY, "member_id": member}
    created = [
        {**base, "entry_id": f"c{number}-{n}", "occurred_at": f"{day}T12:00Z", "amount": "10.00"} for n in range(10)
    ]
    used = {**base, "entry_id": f"r{number}", "entry_type": "redeemed", "occurred_at": f"{day}T13:00Z"}
    return [*created, {**used, "amount": "90.00"}]


def test_a_day_of_one_member_writes_the_rows_of_that_member_and_the_months_of_no_other(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    history = [
        row
        for number in range(MEMBERS)
        for row in entries(number, f"m{number}", "2026-05-03" if number % 2 else "2026-06-03")
    ]
    home.land("acme/entries/history.csv", csv(history))
    with home.opened() as shard:
        (acme,) = shard.merchants.values()
        may, june = (periods.month_of(acme, date(2026, month, 1), now=NOW) for month in (5, 6))
        ingest.ingest(shard, say=home.said.append)
        replay.replay(shard.connection, shard.merchants)
        build_tables(shard.connection, [may, june])
        before = written(shard.connection)

        home.land("acme/entries/day.csv", csv(entries(MEMBERS, "m0", "2026-06-04")))
        ingest.ingest(shard, say=home.said.append)
        result = replay.replay(shard.connection, shard.merchants)
        build_tables(shard.connection, [june])
        now = written(shard.connection)
        of_june = {
            name: shard.connection.execute(f"select count(*) from {name} where period = '2026-06'").fetchone()
            for name in reports.names()
        }

    grown = {name: now[name] - before[name] for name in now if now[name] != before[name]}
    assert (result.members, result.entries, result.movements) == (1, 22, 38)
    assert grown.pop("ledger.entries") == 11
    assert grown.pop("facts.credits") == 10
    assert grown.pop("facts.movements") == 38
    # Of that day alone: what was created, and what was redeemed. The day before is as it was.
    assert grown.pop("facts.daily_totals") == 2
    assert {name for name in grown if name.startswith("facts.")} == {"facts.replayed"}
    assert {name for name in grown if name.startswith("ledger.")} == {"ledger.files", "ledger.landing"}
    assert {name: (rows,) for name, rows in grown.items() if name in of_june} == {
        name: rows for name, rows in of_june.items() if rows != (0,)
    }


def test_a_days_ingest_reads_none_of_the_entries_that_were_there(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    home.land(
        "acme/entries/history.csv",
        csv([row for number in range(MEMBERS) for row in entries(number, f"m{number}", "2026-06-03")]),
    )
    home.land("acme/entries/later.csv", csv(entries(MEMBERS, "m0", "2026-06-04")))
    with home.opened() as shard:
        touched: Any = Touched(shard.connection)
        ingest.ingest(dataclasses.replace(shard, connection=touched), say=home.said.append)
        once = dict(touched.read)
        home.land("acme/entries/day.csv", csv(entries(MEMBERS + 1, "m0", "2026-06-05")))
        ingest.ingest(dataclasses.replace(shard, connection=touched), say=home.said.append)

    # Their ids are looked through, to see whether the day's are new; then its own rows are read, to be checked.
    assert touched.looked_through["ledger.entries"] > MEMBERS * 11
    assert touched.read["ledger.entries"] - once["ledger.entries"] == 11


def test_a_days_replay_reads_what_was_there_a_few_times_however_much_it_asks_of_its_own(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    history = [row for number in range(MEMBERS) for row in entries(number, f"m{number}", "2026-06-03")]
    home.land("acme/entries/history.csv", csv(history))
    with home.opened() as shard:
        ingest.ingest(shard, say=home.said.append)
        replay.replay(shard.connection, shard.merchants)
        home.land("acme/entries/day.csv", csv(entries(MEMBERS, "m0", "2026-06-04")))
        ingest.ingest(shard, say=home.said.append)
        touched: Any = Touched(shard.connection)
        replay.replay(touched, shard.merchants)

    # The rows of the member and what a Bloom filter takes for such, in each question; and a scan that turns out to be
    # for nothing has begun with some two thousand rows.
    for_nothing = 2_048
    assert touched.read["ledger.entries"] <= 100 + for_nothing
    assert touched.read["facts.credits"] <= 100 + 2 * for_nothing
    assert touched.read["facts.movements"] <= 5 * 38 + for_nothing


# How many movements and credits a sheet may read: of the month's 19 movements and 10 credits those that it is about,
# the later movements of what was created, and what is still out.
OF_THE_MONTH = {
    "credits_created": (28, 10),
    "credit_redemptions": (9, 9),
    "credit_redemption_refunds": (0, 0),
    "credit_expirations": (0, 0),
    "credit_adjustments": (19, 0),
    "flows": (19, 10),
    "extant_credits": (MEMBERS + 1, MEMBERS + 1),
}


def test_a_months_sheets_read_the_rows_of_their_month_and_what_is_still_out(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    history = [row for number in range(MEMBERS) for row in entries(number, f"m{number}", "2026-05-03")]
    home.land("acme/entries/history.csv", csv([*history, *entries(MEMBERS, "m0", "2026-06-04")]))
    read = {}
    with home.opened() as shard:
        ingest.ingest(shard, say=home.said.append)
        replay.replay(shard.connection, shard.merchants)
        periods.tell(shard.connection, [periods.month_of(shard.merchants["acme"], date(2026, 6, 1), now=NOW)])
        for sheet in OF_THE_MONTH:
            touched: Any = Touched(shard.connection)
            with promises.transaction(touched):
                reports.build(touched, f"reports.{sheet}")
            read[sheet] = touched.read["facts.movements"], touched.read["facts.credits"]

    for sheet, (movements, credits) in OF_THE_MONTH.items():
        assert read[sheet][0] <= movements, sheet
        # What a Bloom filter takes for one of them; and a scan for nothing begins with some two thousand rows.
        assert read[sheet][1] <= (credits + 50 if credits else 2_048), sheet
