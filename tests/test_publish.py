"""Publishing: which file a workbook goes to, when it is a new version, that nothing is half done or written over."""

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import openpyxl
import pytest

from pipelines import events, ingest, periods, promises, publish, replay, reports, shards, workbook
from pipelines.journal import Journal
from pipelines.periods import Period
from pipelines.publish import Publication, PublishError
from pipelines.settings import Home, Merchant, read_merchants
from pipelines.shards import Shard
from pipelines.workbook import contents_of

NOW = datetime(2024, 12, 1, 12, 30, 15, tzinfo=UTC)
MERCHANTS = """
[merchants.acme]
name = "Acme Farm"
timezone = "UTC"
currency = "USD"
[merchants.acme.balance_types]
winston = { unit = "TKN", decimals = 0 }
"""
ENTRIES = """
entry_id,entry_type,occurred_at,member_id,balance_type,amount
may,created,2024-05-20,ada,,10.00
june,created,2024-06-10,ada,,5.00
buy,redeemed,2024-06-20,ada,,12.00
tokens,created,2024-06-21,ada,winston,40
july,created,2024-07-02,ada,,1.00
"""

LATE = """
entry_id,entry_type,occurred_at,member_id,amount
late,created,2024-06-30,bo,2.50
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    home.merchants_file.write_text(MERCHANTS, encoding="utf-8")
    land(home, "entries", "2024.csv", ENTRIES)
    return home


def land(home: Home, dataset: str, name: str, text: str) -> None:
    folder = home.landing / "acme" / dataset
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text.lstrip(), encoding="utf-8")


@contextmanager
def ingested(home: Home) -> Iterator[Shard]:
    """The open shard, with all that has landed."""
    with shards.open_shard(home, "main", read_merchants(home), say=lambda _: None) as shard:
        ingest.ingest(shard, say=lambda _: None)
        replay.replay(shard.connection, shard.merchants)
        yield shard


def put(shard: Shard, period: Period) -> Publication:
    """Build the period's tables and publish its workbook, as a run does."""
    periods.tell(shard.connection, [period])
    with promises.transaction(shard.connection):
        for name in reports.names():
            reports.build(shard.connection, name)
    return publish.publish(shard, contents_of(shard.connection, period), "run-1")


def published(home: Home, month: str = "2024-06", as_of: str | None = None) -> Publication:
    """A whole run for one month."""
    with ingested(home) as shard:
        return put(shard, month_of(shard.merchants["acme"], month, as_of))


def month_of(merchant: Merchant, month: str = "2024-06", as_of: str | None = None) -> Period:
    return periods.month_of(merchant, periods.parse_month(month), now=NOW, as_of=as_of)


def rows_of_ledger(home: Home) -> list[dict[str, Any]]:
    with ingested(home) as shard:
        rows = shard.connection.execute("select * from ledger.published order by event").pl()
    return rows.to_dicts()


def publications(home: Home) -> list[dict[str, Any]]:
    """What the journal tells of publications."""
    events = [Journal(home).read("acme", number) for number in Journal(home).numbers("acme")]
    return [dict(event.content) for event in events if event.kind == "publication"]


def files(home: Home) -> list[str]:
    """Everything below reports/, hidden files too."""
    return sorted(str(path.relative_to(home.reports)) for path in home.reports.rglob("*") if path.is_file())


FIRST = "acme/2024-06/credits-acme-2024-06.xlsx"
SECOND = "acme/2024-06/credits-acme-2024-06-v2.xlsx"


# Versions


def test_the_first_workbook_is_version_1_in_its_place_in_the_journal_and_in_the_ledger(home: Home) -> None:
    publication = published(home)
    assert (publication.outcome, publication.version, publication.changes) == ("written", 1, ())
    assert publication.path == home.reports / FIRST
    assert files(home) == [FIRST]
    assert str(publication) == f"{publication.path} (written)"
    (event,) = publications(home)
    (row,) = rows_of_ledger(home)
    assert {name: event[name] for name in ("period", "version", "path", "is_final", "run_id")} == {
        "period": "2024-06", "version": 1, "path": FIRST, "is_final": True, "run_id": "run-1",
    }  # fmt: skip
    assert (row["sha256"], row["content_hash"]) == (event["sha256"], event["content_hash"])
    assert row["as_of"] == row["ends_at"] == datetime(2024, 7, 1, tzinfo=UTC)
    totals = json.loads(row["totals"])
    assert (totals["USD"]["total_credit_created"], totals["USD"]["total_credit_extant"]) == ("5.00", "3.00")
    assert totals["TKN"]["total_credit_created"] == "40"


def test_the_same_again_changes_nothing(home: Home) -> None:
    published(home)
    before = (home.reports / FIRST).stat()
    again = published(home)
    assert (again.outcome, again.version, again.changes) == ("unchanged", 1, ())
    assert str(again) == f"{again.path} (nothing has changed)"
    after = (home.reports / FIRST).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert len(publications(home)) == len(rows_of_ledger(home)) == 1


def test_a_deleted_workbook_is_restored_to_the_byte(home: Home) -> None:
    path = published(home).path
    before = path.read_bytes()
    path.unlink()
    again = published(home)
    assert (again.outcome, again.version) == ("restored", 1)
    assert str(again) == f"{path} (was gone or changed, and has been written again)"
    assert path.read_bytes() == before
    assert len(publications(home)) == 1


def test_a_workbook_that_someone_edited_is_restored_to_the_byte(home: Home) -> None:
    path = published(home).path
    before = path.read_bytes()
    book = openpyxl.load_workbook(path)
    book["Credits Created"]["G2"] = 500
    book.save(path)
    assert path.read_bytes() != before
    assert published(home).outcome == "restored"
    assert path.read_bytes() == before
    assert files(home) == [FIRST]


def test_a_late_entry_makes_version_2_beside_version_1_and_says_what_changed(home: Home) -> None:
    before = published(home).path.read_bytes()
    land(home, "entries", "late.csv", LATE)
    again = published(home)
    assert (again.outcome, again.version, again.path) == ("written", 2, home.reports / SECOND)
    assert (home.reports / FIRST).read_bytes() == before
    assert again.changes == (
        "total credit created: 5.00 is now 7.50 USD (+2.50)",
        "total credit change: -7.00 is now -4.50 USD (+2.50)",
        "total credit extant: 3.00 is now 5.50 USD (+2.50)",
        "total change including adjustments: -7.00 is now -4.50 USD (+2.50)",
        "closing balance: 3.00 is now 5.50 USD (+2.50)",
    )
    assert str(again).splitlines()[:2] == [f"{again.path} (version 2)", f"  {again.changes[0]}"]
    assert [event["version"] for event in publications(home)] == [1, 2]
    assert published(home).outcome == "unchanged"


def test_a_workbook_that_the_ledger_does_not_know_is_never_written_over(home: Home) -> None:
    # Of months and versions made after the backup that this home was restored from, put back by who still had them.
    (home.reports / FIRST).parent.mkdir(parents=True)
    (home.reports / FIRST).write_bytes(b"as sent to the accountants")
    first = published(home)
    assert (first.outcome, first.version, first.path, first.changes) == ("written", 2, home.reports / SECOND, ())
    assert str(first).splitlines()[1:] == [
        "  credits-acme-2024-06.xlsx was there, of which the ledger does not know; it stays as it is"
    ]
    third = (home.reports / SECOND).with_name("credits-acme-2024-06-v3.xlsx")
    third.write_bytes(b"sent too")
    land(home, "entries", "late.csv", LATE)
    later = published(home)
    assert (later.version, later.unknown, len(later.changes)) == (4, (third.name,), 5)
    assert ((home.reports / FIRST).read_bytes(), third.read_bytes()) == (b"as sent to the accountants", b"sent too")
    assert [event["version"] for event in publications(home)] == [2, 4]
    assert published(home).outcome == "unchanged"
    # July opens with what was published first.
    with ingested(home) as shard:
        put(shard, month_of(shard.merchants["acme"], "2024-07"))
        known = shard.connection.execute("select closing_balances from settings.published").fetchall()
    assert [json.loads(told)["default"] for (told,) in known] == ["3.0000"]


def test_a_change_that_leaves_the_totals_is_a_new_version_too(home: Home) -> None:
    published(home)
    land(home, "members", "m.csv", "member_id,email\nada,ada@acme.example\n")
    again = published(home)
    assert (again.outcome, again.version, again.changes) == ("written", 2, ())
    assert str(again).splitlines()[1:] == ["  no total has changed; other cells have"]


def test_another_name_of_the_merchant_is_a_new_version_since_the_summary_shows_it(home: Home) -> None:
    published(home)
    for old, new in (("Acme Farm", "Acme & Sons"), ('currency = "USD"', 'currency = "USD"\nlabel = "Shop"')):
        settings = home.merchants_file.read_text(encoding="utf-8")
        home.merchants_file.write_text(settings.replace(old, new), encoding="utf-8")
        assert published(home).outcome == "written"
    assert [event["version"] for event in publications(home)] == [1, 2, 3]


def test_what_only_about_says_is_no_new_version(home: Home) -> None:
    published(home)
    # A row that is set aside, and an entry that changes nothing in June but the number of entries behind it.
    land(home, "entries", "odd.csv", """
entry_id,entry_type,occurred_at,member_id,amount,credit_id
bad,created,2024-06-11,ada,x,
quiet,expiry_changed,2024-04-01,ada,0,nowhere
""")  # fmt: skip
    with ingested(home) as shard:
        merchant = shard.merchants["acme"]
        again = put(shard, month_of(merchant))
        (behind,) = contents_of(shard.connection, month_of(merchant))["provenance"].iter_rows(named=True)
    assert (behind["rejected_rows"], behind["entries"]) == (1, 5)
    assert (again.outcome, again.version) == ("unchanged", 1)


def test_a_unit_that_is_gone_is_told_among_the_changes() -> None:
    before = {"USD": {"total_credit_created": "5.00"}, "TKN": {"total_credit_created": "40"}}
    after = {"USD": {"total_credit_created": "5.00"}, "PTS": {"total_credit_created": "1"}}
    assert publish._changes(before, after) == (
        "total credit created: 0 is now 1 PTS (+1)",
        "total credit created: 40 is now 0 TKN (-40)",
    )


# Names


def test_an_interim_workbook_has_its_as_of_in_its_name_and_versions_of_its_own(home: Home) -> None:
    interim = published(home, as_of="2024-06-15T00:00:00Z")
    assert interim.path == home.reports / "acme/2024-06@20240615T000000Z/credits-acme-2024-06@20240615T000000Z.xlsx"
    final = published(home)
    assert (final.version, final.path) == (1, home.reports / FIRST)
    later = published(home, as_of="2024-11-30T00:00:00Z")
    assert later.path.name == "credits-acme-2024-06@20241130T000000Z.xlsx"
    assert [row["is_final"] for row in rows_of_ledger(home)] == [False, True, False]
    assert [row["version"] for row in rows_of_ledger(home)] == [1, 1, 1]


def test_free_dates_have_their_dates_and_as_of_in_their_name(home: Home) -> None:
    with ingested(home) as shard:
        days = periods.parse_day("2024-05-12"), periods.parse_day("2024-06-11")
        free = put(shard, periods.range_of(shard.merchants["acme"], *days, now=NOW))
    assert str(free.path.relative_to(home.reports)) == (
        "acme/2024-05-12_2024-06-11@20241201T123015Z/credits-acme-2024-05-12_2024-06-11@20241201T123015Z.xlsx"
    )
    assert not free.period.is_final


def test_each_month_has_a_folder_and_versions_of_its_own(home: Home) -> None:
    june, july = published(home), published(home, "2024-07")
    assert (june.version, july.version) == (1, 1)
    assert files(home) == [FIRST, "acme/2024-07/credits-acme-2024-07.xlsx"]


# Nothing is half done


def test_what_a_killed_run_left_beside_is_gone_with_the_next_workbook_whatever_its_period(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ingested(home) as shard:
        acme = shard.merchants["acme"]
        monkeypatch.setattr(publish, "put_in_place", killed)
        with pytest.raises(KeyboardInterrupt):
            put(shard, month_of(acme, as_of="2024-06-21T12:00:00Z"))
        monkeypatch.undo()
        assert len(files(home)) == 1
        path = put(shard, month_of(acme, as_of="2024-06-22T12:00:00Z")).path
    assert openpyxl.load_workbook(path).sheetnames[0] == "Credits Created"
    assert files(home) == [str(path.relative_to(home.reports))]


def test_a_workbook_that_the_journal_knows_nothing_of_is_written_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ingested(home) as shard:
        monkeypatch.setattr(Journal, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            put(shard, month_of(shard.merchants["acme"]))
    monkeypatch.undo()
    assert (files(home), publications(home)) == ([FIRST], [])
    assert (published(home).outcome, published(home).outcome) == ("written", "unchanged")
    assert (files(home), len(publications(home))) == ([FIRST], 1)


def test_a_publication_that_only_the_journal_knows_is_in_the_ledger_after_the_next_start(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ingested(home) as shard:
        monkeypatch.setattr(events, "apply", killed)
        with pytest.raises(KeyboardInterrupt):
            put(shard, month_of(shard.merchants["acme"]))
    monkeypatch.undo()
    assert [row["path"] for row in rows_of_ledger(home)] == [FIRST]
    assert published(home).outcome == "unchanged"
    assert len(publications(home)) == 1


def killed(*_: object) -> NoReturn:
    """What a signal does in the middle of a run."""
    raise KeyboardInterrupt


def test_a_report_of_free_dates_that_cannot_be_written_leaves_no_folder_of_its_time(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(workbook, "write", full)
    with ingested(home) as shard, pytest.raises(PublishError, match="No space left on device"):
        put(shard, month_of(shard.merchants["acme"], as_of="2024-06-21T12:00:00Z"))
    assert [*(home.reports / "acme").iterdir()] == []


def test_a_failure_while_writing_leaves_the_version_that_was_there_and_nothing_else(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = published(home).path.read_bytes()
    land(home, "entries", "late.csv", LATE)

    def fill_the_disk(_: object, path: Path) -> NoReturn:
        path.write_bytes(b"half a workbook")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(workbook, "write", fill_the_disk)
    with pytest.raises(PublishError, match=r"v2\.xlsx cannot be written: No space left on device\. The ledger"):
        published(home)
    assert (files(home), len(publications(home))) == ([FIRST], 1)
    assert (home.reports / FIRST).read_bytes() == before


@pytest.mark.parametrize("blocked", ["", "acme", "acme/2024-06"])
def test_a_reports_folder_that_cannot_be_written_is_told_in_a_sentence(home: Home, blocked: str) -> None:
    # Whoever runs the tests may be allowed to write everywhere: a file stands where a folder should be.
    path = home.reports / blocked
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("not a folder", encoding="utf-8")
    with pytest.raises(PublishError) as refused:
        published(home)
    assert str(refused.value).startswith(f"{home.reports / FIRST} cannot be written: ")
    assert str(refused.value).endswith(
        "The ledger is complete; make room or give this user the right to write there, and run the report again."
    )
    assert publications(home) == []
    path.unlink()
    assert published(home).outcome == "written"


def test_a_folder_in_the_workbooks_place_is_told_in_a_sentence(home: Home) -> None:
    (home.reports / FIRST).mkdir(parents=True)
    with pytest.raises(PublishError, match="cannot be written: Is a directory"):
        published(home)


def test_several_merchants_have_a_journal_and_a_folder_each(home: Home) -> None:
    other = MERCHANTS.replace("acme", "bakery").replace("Acme Farm", "Bakery")
    home.merchants_file.write_text(MERCHANTS + other, encoding="utf-8")
    with ingested(home) as shard:
        put(shard, month_of(shard.merchants["acme"]))
        put(shard, month_of(shard.merchants["bakery"]))
    assert files(home) == [FIRST, FIRST.replace("acme", "bakery")]
    assert len(publications(home)) == 1
