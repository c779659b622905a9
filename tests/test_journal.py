"""The journal: every event on disk before the ledger changes, in order, and applied where the ledger lacks it."""

import errno
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pipelines import events, ingest, promises, reading
from pipelines.journal import Journal, JournalError, make_folder, write_whole
from pipelines.settings import Home, read_merchants
from pipelines.shards import ledger_path, open_file
from tests.homes import ENTRY, ORDERS, Installation, csv, entries_csv, make_home

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return make_home(tmp_path)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(Home(tmp_path))


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Set the journal's clock."""

    def set_clock(now: datetime) -> None:
        monkeypatch.setattr(
            "pipelines.journal.datetime", type("clock", (datetime,), {"now": staticmethod(lambda _: now)})
        )

    return set_clock


# ---- the journal alone


def test_events_are_numbered_from_1_for_each_merchant(journal: Journal) -> None:
    written = [journal.write(merchant, "file", {}) for merchant in ("acme", "acme", "bolt", "acme")]
    assert [(event.merchant_id, event.number) for event in written] == [
        ("acme", 1),
        ("acme", 2),
        ("bolt", 1),
        ("acme", 3),
    ]
    assert journal.numbers("acme") == [1, 2, 3]
    assert journal.numbers("nobody") == []


def test_an_event_reads_back_as_it_was_written(journal: Journal) -> None:
    content = {"source_file": 'acme/entries/Zoë "June".csv', "size_bytes": 7, "totals": {"USD": "1.00"}, "none": None}
    event = journal.write("acme", "publication", content)
    assert journal.read("acme", 1) == event
    assert event.content == content
    assert event.recorded_at.tzinfo is UTC


def test_an_event_is_a_file_that_a_person_can_read(journal: Journal, tmp_path: Path) -> None:
    journal.write("acme", "file", {"source_file": "acme/entries/Zoë.csv"})
    (file,) = (tmp_path / "journal" / "acme").iterdir()
    assert file.name == "000000000001.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    assert told["content"] == {"source_file": "acme/entries/Zoë.csv"}
    assert (told["merchant_id"], told["number"], told["kind"]) == ("acme", 1, "file")
    assert "Zoë" in file.read_text(encoding="utf-8")


def test_order_is_kept_when_the_clock_is_set_back(journal: Journal, at: Callable[[datetime], None]) -> None:
    at(NOON)
    first = journal.write("acme", "file", {})
    at(NOON - timedelta(days=1))
    second = journal.write("acme", "file", {})
    third = journal.write("acme", "file", {})
    other = journal.write("bolt", "file", {})
    at(NOON + timedelta(hours=1))
    fourth = journal.write("acme", "file", {})
    assert first.recorded_at == NOON
    assert second.recorded_at == NOON + timedelta(microseconds=1)
    assert third.recorded_at == NOON + timedelta(microseconds=2)
    assert fourth.recorded_at == NOON + timedelta(hours=1)
    assert other.recorded_at == NOON - timedelta(days=1)


def test_events_of_the_same_instant_follow_one_another(journal: Journal, at: Callable[[datetime], None]) -> None:
    at(NOON)
    times = [journal.write("acme", "file", {}).recorded_at for _ in range(3)]
    assert times == sorted(set(times))


def test_an_event_is_never_written_over(journal: Journal) -> None:
    """A merchant's shard was changed while an operation was posted: two runs, each with a lock, at one journal."""
    ours = journal.next_event("acme", "operation", {"of": "ours"}, NOON)
    journal.write("acme", "file", {"of": "theirs"})
    with pytest.raises(JournalError, match=r"000000000001\.json was written by another run meanwhile"):
        journal.keep(ours)
    assert journal.read("acme", 1).content == {"of": "theirs"}


def test_what_is_missing_comes_in_order(journal: Journal) -> None:
    for _ in range(12):
        journal.write("acme", "file", {})
    assert [event.number for event in journal.missing("acme", {1, 3, 11})] == [2, 4, 5, 6, 7, 8, 9, 10, 12]
    assert journal.missing("acme", range(1, 13)) == []
    assert journal.missing("nobody", ()) == []


def test_what_an_interrupted_write_leaves_behind_is_no_event(journal: Journal, tmp_path: Path) -> None:
    journal.write("acme", "file", {})
    folder = tmp_path / "journal" / "acme"
    (folder / ".000000000002.json.tmp").write_text('{"merchant')
    (folder / "1 copy.json").write_text("{}")
    (folder / "README").write_text("hello")
    assert journal.numbers("acme") == [1]
    assert journal.write("acme", "file", {}).number == 2


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "told.json"
    write_whole(path, b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    # Where each has a name of its own, as alerts have, one would stay behind of each.
    assert [*tmp_path.iterdir()] == [path]


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b" / "c")
    make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()


# ---- what the ledger lacks


def contents(home: Installation) -> dict[str, list[dict[str, Any]]]:
    """The ledger as it stands, without an ingest."""
    with home.opened() as shard:
        return {
            name: shard.connection.execute(f"select * from ledger.{name} order by {order}").pl().to_dicts()
            for name, order in ORDERS.items()
        }


class KilledError(Exception):
    """Stands for the end of the process."""


def killed(*_: object, **__: object) -> None:
    raise KilledError


FILE = entries_csv("""
    entry_id  amount
    e1        1.00
    e1        1.00
    e2        two
    e3        3.00
""")


@pytest.mark.parametrize("step", ["_put_in", "_set_aside", "_close_rejections"])
def test_an_ingest_killed_inside_a_file_has_not_happened_and_happens_at_the_next_start(
    home: Installation, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    home.land("acme/entries/a.csv", FILE)
    with monkeypatch.context() as patched:
        patched.setattr(reading._Reading, step, killed)
        with pytest.raises(KilledError):
            home.ingest()
    before = contents(home)
    assert not any(before.values())
    assert Journal(home.home).numbers("acme") == [1]

    taken = home.ingest()
    assert taken.counts == [(4, 2, 1, 1)]
    assert [row["entry_id"] for row in taken.entries] == ["e1", "e3"]
    assert [row["event"] for row in taken.tables["files"]] == [1]
    # As it was recorded then, not now.
    assert {row["recorded_at"] for row in taken.entries} == {Journal(home.home).read("acme", 1).recorded_at}
    assert home.ingest().counts == []


def test_an_ingest_killed_between_the_ledger_and_what_it_remembers_of_landing_counts_nothing_twice(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.land("acme/entries/a.csv", FILE)
    home.land("acme/members/a.csv", "member_id,first_name\nada,Ada\n")
    with monkeypatch.context() as patched:
        patched.setattr(ingest, "_remember_landed", killed)
        with pytest.raises(KilledError):
            home.ingest()
    taken = home.ingest()
    assert taken.counts == [(4, 2, 1, 1)]
    assert taken.result.unchanged == 1
    assert [row["event"] for row in taken.tables["files"]] == [1, 2]


def test_a_journal_that_this_user_may_not_look_into_is_not_taken_for_an_empty_one(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def may_not(folder: Path) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", may_not)
    with pytest.raises(PermissionError):
        Journal(home.home).numbers("acme")


def test_an_ingest_killed_before_its_event_is_on_disk_starts_over(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.land("acme/entries/a.csv", FILE)
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", killed)
        with pytest.raises(KilledError):
            home.ingest()
    assert len([*home.home.archive.iterdir()]) == 1
    assert home.ingest().counts == [(4, 2, 1, 1)]


def test_a_retry_that_was_killed_is_finished_before_anything_else(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1", "balance_type": "loyalty"}]))
    home.ingest()
    text = home.home.merchants_file.read_text() + 'loyalty = { unit = "PTS", decimals = 0 }\n'
    home.configure(text)
    with monkeypatch.context() as patched:
        patched.setattr(reading._Reading, "_close_rejections", killed)
        with pytest.raises(KilledError):
            home.ingest()
    home.land("acme/entries/b.csv", csv([{**ENTRY, "entry_id": "e1", "balance_type": "loyalty"}]))
    taken = home.ingest()
    assert [(row["event"], row["reading"]) for row in taken.tables["files"]] == [
        (1, "first"),
        (2, "retry"),
        (3, "again"),
    ]
    assert taken.open == []
    assert len(taken.entries) == 1


def test_what_the_ledger_lacks_is_applied_before_new_files_and_said(home: Installation) -> None:
    home.land("acme/entries/b.csv", csv([{**ENTRY, "entry_id": "e1", "reason": "older"}]))
    home.ingest()
    # The ledger as it was before, from a backup; the journal is newer.
    ledger_path(home.home, "main").unlink()
    home.land("acme/entries/a.csv", csv([{**ENTRY, "entry_id": "e1", "reason": "newer"}]))
    home.said.clear()
    taken = home.ingest()
    assert [outcome.source_file for outcome in taken.result.files] == ["acme/entries/b.csv", "acme/entries/a.csv"]
    assert [row["reason"] for row in taken.entries] == ["older"]
    assert taken.reasons == [(2, "entry_id", "entry_changed")]
    assert "is made again from the archive and the journal" in home.said[0]
    assert len(home.said) == 3


def test_a_ledger_made_again_from_the_journal_is_the_same(home: Installation, tmp_path: Path) -> None:
    home.land("acme/entries/a.csv", FILE)
    home.land("acme/entries/b.txt", FILE)
    home.land("acme/members/a.csv", "member_id,first_name,updated_at\nada,Ada,2026-01-01\nbob,Bob,soon\n")
    home.ingest()
    home.land("acme/entries/c.csv", FILE)
    home.land("acme/entries/d.csv", FILE.replace("two", "2.00"))
    home.land("acme/members/a.csv", "member_id,first_name\nada,Countess\n")
    home.ingest(retry=True)
    before = contents(home)
    with open_file(home.home, "again", tmp_path / "again.duckdb", read_merchants(home.home)) as shard:
        events.recover(shard)
        for name in ("entries", "members", "files", "rejected_rows"):
            order = ORDERS[name]
            again = shard.connection.execute(f"select * from ledger.{name} order by {order}").pl().to_dicts()
            assert again == before[name], name
    assert len(before["files"]) > 6


def test_a_ledger_that_knows_more_than_the_journal_is_not_written_to(home: Installation) -> None:
    home.land("acme/entries/a.csv", FILE)
    home.ingest()
    shutil.rmtree(home.home.journal)
    home.land("acme/entries/b.csv", csv([{**ENTRY, "entry_id": "e9"}]))
    with pytest.raises(JournalError, match=r"knows event 1 of acme, which .* lacks"):
        home.ingest()
    assert not Journal(home.home).numbers("acme")


def test_a_broken_promise_leaves_nothing_of_its_file(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    home.land("acme/entries/a.csv", FILE)
    with monkeypatch.context() as patched:
        patched.setattr(reading._Reading, "_set_aside", lambda _: 0)
        with pytest.raises(promises.BrokenPromiseError, match="1 rows were rejected, 0 of them were kept"):
            home.ingest()
    assert not any(contents(home).values())


def test_a_publication_is_an_event_and_is_recorded_again_where_the_ledger_lacks_it(home: Installation) -> None:
    content = {
        "period": "2026-06",
        "starts_at": "2026-06-01T04:00:00+00:00",
        "ends_at": "2026-07-01T04:00:00+00:00",
        "as_of": "2026-07-01T04:00:00+00:00",
        "is_final": True,
        "version": 1,
        "path": "acme/2026-06.xlsx",
        "sha256": "0" * 64,
        "content_hash": "1" * 64,
        "totals": "{}",
        "newest_recorded_at": None,
        "run_id": "run",
        "software_version": "0.1.0",
    }
    event = Journal(home.home).write("acme", "publication", content)
    with home.opened() as shard:
        assert events.recover(shard) == []
        assert events.recover(shard) == []
        asked = "select event, period, starts_at, version, recorded_at from ledger.published"
        assert shard.connection.execute(asked).fetchall() == [
            (1, "2026-06", datetime(2026, 6, 1, 4, tzinfo=UTC), 1, event.recorded_at)
        ]
    # The next file is the next event.
    home.land("acme/entries/a.csv", FILE)
    assert [row["event"] for row in home.ingest().tables["files"]] == [2]
