"""Rebuilding: what it is held against, with which settings, and what goes on afterwards as if there had been none."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pipelines import shards
from pipelines.rebuild import Rebuilt, rebuild
from pipelines.settings import SettingsError
from pipelines.shards import LedgerUnavailableError, ledger_path
from tests.homes import ACME, ENTRY, Installation, csv, make_home
from tests.processes import environment, rollforward
from tests.zones import former_rules

GIFT = csv([{**ENTRY, "entry_id": "one", "balance_type": "gift"}, {**ENTRY, "entry_id": "two"}])
WITHOUT_GIFT = ACME.replace('gift = { unit = "USD" }\n', "")


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    made = make_home(tmp_path)
    made.land("acme/entries/a.csv", GIFT)
    made.ingest()
    return made


def rebuilt(home: Installation) -> Rebuilt:
    (outcome,) = rebuild(home.home, wait_s=0, say=home.said.append)
    return outcome


def test_a_ledger_of_a_former_version_is_held_against_the_new_one_in_the_columns_that_it_had(
    home: Installation,
) -> None:
    rebuilt(home)
    with duckdb.connect(str(ledger_path(home.home, "main"))) as ledger:
        ledger.execute("alter table ledger.published drop column closing_balances")
        ledger.execute("drop table facts.daily_totals")
        ledger.execute("delete from ledger.entries where entry_id = 'two'")
    outcome = rebuilt(home)
    assert outcome.compared
    assert set(outcome.differences) >= {
        "ledger.published: column closing_balances was not there before",
        "facts.daily_totals: was not there before",
        "ledger.entries: 0 rows of before are gone or changed, 1 are new or changed",
    }
    assert rebuilt(home).differences == ()


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("ledger.entries", "drop column location"),
        ("reports.credits_created", "add column color varchar"),
    ],
)
def test_a_ledger_that_another_version_made_asks_for_a_rebuild_and_not_for_a_report_of_a_defect(
    home: Installation, table: str, change: str
) -> None:
    def report(status: int = 0) -> str:
        return rollforward(home.home.path, "report", "--month", "2026-06", status=status).stderr

    report()
    with duckdb.connect(str(ledger_path(home.home, "main"))) as ledger:
        ledger.execute(f"alter table {table} {change}")
    said = report(status=1)
    assert f"its table {table} has other columns. Run `rollforward rebuild`" in said
    assert "defect" not in said
    rebuilt(home)
    report()


@pytest.mark.parametrize(
    ("table", "change"),
    [("entries", "content_hash = md5(content_hash)"), ("balances", "balance_id = 'ada default 2026-06-02'")],
)
def test_a_ledger_whose_rows_another_version_told_apart_otherwise_takes_none_until_it_is_rebuilt(
    home: Installation, table: str, change: str
) -> None:
    home.land("acme/balances/a.csv", "member_id,as_of,balance\nada,2026-06-02,20.00\n")
    home.ingest()
    with duckdb.connect(str(ledger_path(home.home, "main"))) as ledger:
        ledger.execute(f"update ledger.{table} set {change}")
    home.land("acme/entries/b.csv", GIFT + "\n")
    home.land("acme/balances/b.csv", "member_id,as_of,balance\nada,2026-06-02,20.00\n\n")
    with pytest.raises(LedgerUnavailableError, match=r"made by another version .* Run `rollforward rebuild`"):
        home.ingest()
    rebuilt(home)
    assert sorted(home.ingest().counts) == [(1, 0, 1, 0), (2, 0, 2, 0)]


OPEN_IT = "import duckdb, sys; ledger = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


def test_a_ledger_that_another_program_has_open_is_said_to_be_and_not_to_be_damaged(home: Installation) -> None:
    rebuilt(home)
    path = ledger_path(home.home, "main")
    analyst = subprocess.Popen(
        [sys.executable, "-c", OPEN_IT, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    with analyst:
        assert analyst.stdout is not None
        assert analyst.stdout.readline() == "open\n"
        said = rf"{path} is open in .*PID {analyst.pid}.*Close it there"
        with pytest.raises(LedgerUnavailableError, match=said):
            home.ingest()
        # Nor is it rebuilt: whoever has it open would go on in a file that is not the ledger any more.
        with pytest.raises(LedgerUnavailableError, match=said):
            rebuilt(home)
        analyst.kill()
    assert str(rebuilt(home)).endswith("the same as before.")


EAST = '[merchants.east]\nname = "East"\ntimezone = "UTC"\ncurrency = "EUR"\nshard = "west"\n'


def test_of_shards_that_were_rebuilt_before_one_that_could_not_be_it_is_said_how_they_came_out(
    home: Installation,
) -> None:
    home.configure(WITHOUT_GIFT + EAST)
    with (
        shards.lock(home.home, "west", wait_s=0, say=print),
        pytest.raises(LedgerUnavailableError, match='"west" is still in use'),
    ):
        rebuild(home.home, wait_s=0, say=home.said.append)
    (said,) = (line for line in home.said if line.startswith("main: "))
    assert said.startswith("main: 1 entries, 1 movements; ledger.entries: 1 rows of before are gone or changed")


def test_a_rebuild_whose_copy_for_readers_cannot_be_made_says_so_and_how_the_ledger_came_out(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.configure(WITHOUT_GIFT)

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(shards, "_copy", full)
    outcome = rebuilt(home)
    assert "ledger.entries: 1 rows of before are gone or changed, 0 are new or changed" in outcome.differences
    assert "There is no room left" in home.said[-1]
    assert home.said[-1].endswith('The ledger "main" is made again; readers see it as it was before.')
    monkeypatch.undo()
    # The next run makes the copy.
    assert home.ingest().result.files == []
    assert shards.read_copy_is_current(home.home, "main")


def test_settings_edited_while_a_rebuild_waits_are_those_it_uses(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = iter([WITHOUT_GIFT, ACME.replace("[merchants.acme]", '[merchants.acme]\nshard = "west"')])
    lock = shards.lock

    def editing(*asked: object, **how: object) -> object:
        home.configure(next(waited))
        return lock(*asked, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(shards, "lock", editing)
    assert rebuilt(home).entries == 1
    with pytest.raises(SettingsError, match='no merchant has shard "main"'):
        rebuilt(home)


def test_rows_that_a_rebuild_sets_aside_are_read_again_when_the_settings_change(home: Installation) -> None:
    home.configure(WITHOUT_GIFT)
    assert rebuilt(home).entries == 1
    home.configure(ACME)
    taken = home.ingest()
    assert taken.counts == [(1, 1, 0, 0)]
    assert [entry["entry_id"] for entry in taken.entries] == ["two", "one"]
    assert taken.open == []


def test_entries_that_settings_of_now_cannot_read_are_told_and_come_back_with_the_former_ones(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    comma = ACME.replace('currency = "USD"', 'currency = "USD"\ndecimal_comma = true')
    home.land("acme/entries/old.csv", csv([{**ENTRY, "entry_id": "old", "amount": "1,050.25"}]))
    home.ingest()
    home.configure(comma)
    home.land("acme/entries/new.csv", csv([{**ENTRY, "entry_id": "new", "amount": "1.050,25"}]))
    home.ingest()
    (told,) = rebuilt(home).warnings
    assert told.startswith("acme: 1 entry of before cannot be read with the settings of now")
    for settings in (ACME, comma):
        home.configure(settings)
        taken = home.ingest()
        assert {entry["entry_id"]: str(entry["amount"]) for entry in taken.entries} == dict.fromkeys(
            ("old", "new"), "1050.2500"
        )
        assert taken.open == []


def test_a_file_that_a_rebuild_cannot_read_stays_set_aside_though_rows_of_it_were_read_again_one_by_one(
    home: Installation,
) -> None:
    in_cp1252 = ACME.replace('currency = "USD"', 'currency = "USD"\nencoding = "cp1252"')
    latin = [
        {**ENTRY, "entry_id": "three", "reason": "Käse"},
        {**ENTRY, "entry_id": "two", "amount": "11.00", "reason": "Käse"},
    ]
    home.land("acme/entries/b.csv", csv(latin).encode("cp1252"))
    assert home.ingest().counts == [(1, 0, 0, 1)]
    home.configure(in_cp1252)
    assert home.ingest().counts == [(2, 1, 0, 1)]
    # The row that has changed is open from the second reading on, and read again by itself.
    assert home.ingest(retry=True).counts == [(1, 0, 0, 1)]
    home.configure(ACME)
    assert rebuilt(home).entries == 2
    assert [reason for _, _, reason in home.ingest().reasons] == ["wrong_encoding"]
    home.configure(in_cp1252)
    assert [entry["entry_id"] for entry in home.ingest().entries] == ["one", "two", "three"]


def test_flags_are_listed_of_the_shards_that_have_been_reported_since_their_ledger_was_made(home: Installation) -> None:
    home.configure(f'{ACME}[merchants.east]\nname = "East"\ntimezone = "UTC"\ncurrency = "EUR"\nshard = "east"\n')
    path = home.home.path
    rollforward(path, "ingest")
    rollforward(path, "report", "--month", "2026-06", "--merchant", "acme")
    assert "missing_reason" in rollforward(path, "flags").stdout
    rollforward(path, "rebuild")
    said = rollforward(path, "flags", status=1).stderr
    assert "Nothing has been reported yet, or not since the ledger was made again" in said
    assert "(nothing has changed)" in rollforward(path, "report", "--month", "2026-06", "--merchant", "acme").stderr
    assert "missing_reason" in rollforward(path, "flags").stdout


def test_a_changed_timezone_asks_for_a_rebuild_which_reads_times_in_files_again(home: Installation) -> None:
    noon = csv([{**ENTRY, "entry_id": "three", "occurred_at": "2026-06-01T12:00"}])
    home.land("acme/entries/b.csv", noon)
    assert home.ingest().result.warnings == []
    home.configure(ACME.replace("America/New_York", "Asia/Tokyo"))
    (asked,) = home.ingest().result.warnings
    assert 'acme: the timezone was "America/New_York" and is "Asia/Tokyo".' in asked
    assert "Run `rollforward rebuild`" in asked
    rebuilt(home)
    taken = home.ingest()
    assert [entry["occurred_at"].hour for entry in taken.entries if entry["entry_id"] == "three"] == [3]
    assert taken.result.warnings == []


def test_a_timezone_that_has_other_rules_than_when_its_files_were_read_asks_for_a_rebuild(home: Installation) -> None:
    noon = csv([{**ENTRY, "entry_id": "three", "occurred_at": "2026-06-01T12:00"}])
    home.land("acme/entries/b.csv", noon)
    with former_rules("America/New_York", those_of="Asia/Tokyo"):
        home.ingest()
    (asked,) = home.ingest().result.warnings
    assert "acme: America/New_York has other rules in this release of tzdata." in asked
    assert "Run `rollforward rebuild`" in asked
    rebuilt(home)
    taken = home.ingest()
    assert [entry["occurred_at"].hour for entry in taken.entries if entry["entry_id"] == "three"] == [16]
    assert taken.result.warnings == []
