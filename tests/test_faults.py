"""What the machine does to a run, and people in the middle of one: what is said, and that the next run makes it good.

Each test is a line of docs/faults.md. The command runs in a process of its own; no traceback ever reaches the user.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import duckdb
import openpyxl
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from pipelines import faults, run_records, runs
from pipelines.errors import ForPeopleError
from pipelines.settings import find_home
from tests.acme import ENTRIES, HOLD, JUNE, MEMBERS, MORE, WORKBOOK, furnish, land
from tests.disks import fill, make_room, read_only, small_disk
from tests.homes import csv
from tests.processes import COMMAND, content, environment, rollforward, workbooks

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which June was reported and nothing went wrong. Tests take copies of it."""
    home = furnish(tmp_path_factory.mktemp("undisturbed") / "home")
    rollforward(home, *JUNE)
    return home


@pytest.fixture
def home(undisturbed: Path, tmp_path: Path) -> Path:
    """A home of one's own in which June has been reported."""
    shutil.copytree(undisturbed, tmp_path / "home")
    return tmp_path / "home"


def assert_as_undisturbed(home: Path, undisturbed: Path) -> None:
    assert content(home) == content(undisturbed)
    assert workbooks(home) == workbooks(undisturbed)


# ---- a full disk


def test_a_disk_that_fills_up_at_any_stage_is_told_and_the_same_command_goes_on_once_there_is_room(
    undisturbed: Path, tmp_path: Path
) -> None:
    home = furnish(tmp_path / "home")
    with ExitStack() as mounted:
        disks = {
            name: mounted.enter_context(small_disk(home / name, size_mb=32))
            for name in (".dagster", "ledgers", "archive", "journal", "reports")
        }
        for disk in disks.values():
            fill(disk)
        for name, disk in disks.items():
            said = rollforward(home, *JUNE, status=1).stderr
            assert "There is no room left on the disk" in said or "No space left on device" in said, name
            assert str(disk) in said, name
            assert "ake room" in said, name
            assert "again" in said, name
            assert workbooks(home) == {}
            make_room(disk)
        rollforward(home, *JUNE)
        assert_as_undisturbed(home, undisturbed)


def test_a_sample_that_a_full_disk_cut_off_is_told_and_the_same_command_goes_on_once_there_is_room(
    tmp_path: Path,
) -> None:
    asked = ("sample", "--entries", "2000", "--merchants", "2")
    undisturbed = tmp_path / "undisturbed"
    rollforward(undisturbed, *asked)
    names = [path.relative_to(undisturbed) for path in undisturbed.rglob("*.*")]
    with small_disk(tmp_path / "disk", size_mb=4) as disk:
        # In the midst of the settings, of a CSV, of Parquet, and of the XLSX.
        for room_kb in (0, 4, 8, 330, 400):
            home = disk / f"home-{room_kb}"
            fill(disk, but_bytes=room_kb * 1024)
            assert "There is no room left on the disk" in rollforward(home, *asked, status=1).stderr, room_kb
            make_room(disk)
            rollforward(home, *asked)
            assert [name for name in names if (home / name).read_bytes() != (undisturbed / name).read_bytes()] == []
            shutil.rmtree(home)


def test_a_disk_too_full_for_the_ledger_to_grow_keeps_what_was_committed_and_no_half_of_a_file(
    home: Path,
) -> None:
    ledgers = {path.name: path.read_bytes() for path in (home / "ledgers").glob("*.duckdb")}
    before = content(home)
    many = [
        {"entry_id": f"m{n}", "entry_type": "created", "occurred_at": "2026-06-02", "member_id": f"m{n}", "amount": "1"}
        for n in range(20_000)
    ]
    land(home, "entries/many.csv", csv(many))
    with small_disk(home / "ledgers", size_mb=48) as disk:
        for name, file in ledgers.items():
            (disk / name).write_bytes(file)
        for left_bytes in (0, 150_000, 1_500_000):
            fill(disk, but_bytes=left_bytes)
            said = rollforward(home, "ingest", status=1).stderr
            assert "There is no room left on the disk" in said
            assert "main.duckdb" in said
        make_room(disk)
        # Opening it for reading reads its WAL too.
        assert len(content(home)["ledger.entries"]) in {
            len(before["ledger.entries"]),
            len(before["ledger.entries"]) + 20_000,
        }
        rollforward(home, "ingest")
        after = content(home)
        assert len(after["ledger.entries"]) == len(before["ledger.entries"]) + 20_000
        assert len(after["ledger.files"]) == len(before["ledger.files"]) + 1


def test_a_disk_too_full_for_the_copy_for_readers_leaves_the_former_one_and_the_report_is_done(home: Path) -> None:
    ledger = (home / "ledgers/main.duckdb").read_bytes()
    land(home, "entries/more.csv", MORE)
    with small_disk(home / "ledgers", size_mb=48) as disk:
        for name in ("main.duckdb", "main-read.duckdb"):
            (disk / name).write_bytes(ledger)
        os.utime(disk / "main-read.duckdb", ns=((disk / "main.duckdb").stat().st_mtime_ns,) * 2)
        fill(disk, but_bytes=len(ledger) - 100_000)
        done = rollforward(home, "ingest")
        assert "more.csv: 1 read, 1 accepted" in done.stdout
        assert "readers see the ledger as it was before" in done.stderr
        listed = rollforward(home, "--json", "balances", "--member", "bo")
        assert "its last run did not end well: this is how it was at" in listed.stderr
        assert [row["balance"] for row in json.loads(listed.stdout)] == ["-0.50"]
        assert "this is how it was at" in rollforward(home, "batches").stderr
        make_room(disk)
        rollforward(home, "ingest")
        listed = rollforward(home, "--json", "balances", "--member", "bo")
        assert listed.stderr == ""
        assert [row["balance"] for row in json.loads(listed.stdout)] == ["1.50"]


@pytest.mark.slow
def test_a_rebuild_on_a_full_disk_leaves_the_ledger_as_it_was(home: Path) -> None:
    before = content(home)
    files = {path.name: path.read_bytes() for path in (home / "ledgers").glob("*.duckdb")}
    with small_disk(home / "ledgers", size_mb=32) as disk:
        for name, file in files.items():
            (disk / name).write_bytes(file)
        fill(disk, but_bytes=300_000)
        assert "There is no room left on the disk" in rollforward(home, "rebuild", status=1).stderr
        assert (disk / "main.duckdb").read_bytes() == files["main.duckdb"]
        make_room(disk)
        assert content(home) == before


# ---- folders that may not be written


def test_a_reports_folder_that_is_read_only_is_told_and_the_ledger_is_complete(
    undisturbed: Path, tmp_path: Path
) -> None:
    home = furnish(tmp_path / "home")
    (home / "reports").mkdir()
    with read_only(home / "reports"):
        said = rollforward(home, *JUNE, status=1).stderr
    assert f"{home / 'reports' / WORKBOOK} cannot be written: Read-only file system. The ledger is complete" in said
    ledger = content(home)
    assert ledger["ledger.entries"] == content(undisturbed)["ledger.entries"]
    assert ledger["ledger.published"] == []
    rollforward(home, *JUNE)
    assert_as_undisturbed(home, undisturbed)


def test_a_folder_of_the_home_that_is_read_only_is_told(home: Path) -> None:
    land(home, "entries/more.csv", MORE)
    for folder in ("ledgers", "archive", "journal", ".dagster"):
        with read_only(home / folder):
            said = rollforward(home, "ingest", status=1).stderr
        assert folder in said
        assert "Give this user the right to read and write there" in said
    assert "more.csv: 1 read, 1 accepted" in rollforward(home, "ingest").stdout


# ---- a ledger that is damaged or gone


def overwritten(ledger: Path) -> None:
    ledger.write_bytes(b"not a ledger" * 1000)


def cut(ledger: Path) -> None:
    os.truncate(ledger, ledger.stat().st_size // 2)


def with_flipped_bytes(ledger: Path) -> None:
    file = bytearray(ledger.read_bytes())
    for at in range(12_288 + 100, len(file), 4096):  # behind the header, which is read when the file is opened
        file[at] ^= 255
    ledger.write_bytes(file)


@pytest.mark.parametrize(
    "damage", [overwritten, *(pytest.param(how, marks=pytest.mark.slow) for how in (cut, with_flipped_bytes))]
)
def test_a_damaged_ledger_is_told_and_a_rebuild_makes_the_same_again(
    undisturbed: Path, home: Path, damage: Callable[[Path], None]
) -> None:
    damage(home / "ledgers/main.duckdb")
    said = rollforward(home, *JUNE, status=1).stderr
    assert "Nothing is lost: the archive and the journal hold all of it" in said
    assert "Run `rollforward rebuild`" in said
    assert "there was no readable ledger to compare with" in rollforward(home, "rebuild").stdout
    if damage is cut:
        rollforward(home, *JUNE)
    assert_as_undisturbed(home, undisturbed)


def test_damage_that_only_shows_in_the_middle_of_a_run_is_told(home: Path) -> None:
    ledger = home / "ledgers/main.duckdb"
    good = ledger.read_bytes()
    for block in range(12_288, len(good) - 262_144, 262_144):
        file = bytearray(good)
        file[block + 5000] ^= 255
        ledger.write_bytes(file)
        with suppress(duckdb.Error), duckdb.connect(str(ledger), read_only=True):
            break  # opens, so the damage is further down
    else:
        pytest.fail("no block is read later than when the ledger is opened")
    land(home, "members/all.csv", MEMBERS.replace("Ada", "Countess"))
    said = rollforward(home, *JUNE, status=1).stderr
    assert "A ledger is damaged" in said
    assert "Run `rollforward rebuild`" in said
    rollforward(home, "rebuild")


def test_a_ledger_that_is_gone_is_made_again_from_archive_and_journal(undisturbed: Path, home: Path) -> None:
    (home / "ledgers/main.duckdb").unlink()
    assert 'The ledger "main" is not there. It is made again' in rollforward(home, *JUNE).stderr
    assert_as_undisturbed(home, undisturbed)


def test_a_copy_for_readers_that_is_damaged_is_told_and_made_again(home: Path) -> None:
    copy = home / "ledgers/main-read.duckdb"
    copy.chmod(0o644)
    overwritten(copy)
    said = rollforward(home, "balances", status=1).stderr
    assert f"{copy} cannot be read. It is a copy of the ledger for readers: delete it" in said
    copy.unlink()
    rollforward(home, "ingest")
    rollforward(home, "balances")


DIE_WITH_A_WAL = """
import os, sys
from pipelines import ingest, replay, settings, shards
home = settings.find_home(sys.argv[1])
with shards.open_shard(home, "main", settings.read_merchants(home)) as shard:
    ingest.ingest(shard)
    replay.replay(shard.connection, shard.merchants)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("damage", ["cut", pytest.param("flipped", marks=pytest.mark.slow)])
def test_a_wal_that_is_cut_or_flipped_loses_nothing(undisturbed: Path, tmp_path: Path, damage: str) -> None:
    home = furnish(tmp_path / "home")
    died = subprocess.run([sys.executable, "-c", DIE_WITH_A_WAL, str(home)], check=False, env=environment())
    assert died.returncode == -signal.SIGKILL
    wal = home / "ledgers/main.duckdb.wal"
    file = bytearray(wal.read_bytes())
    assert len(file) > 1000
    if damage == "cut":
        wal.write_bytes(file[: len(file) // 2])
    if damage == "flipped":
        file[len(file) // 2] ^= 255
        wal.write_bytes(file)
        said = rollforward(home, "ingest", status=1).stderr
        assert "Nothing is lost" in said
        assert "Run `rollforward rebuild`" in said
        rollforward(home, "rebuild")
    rollforward(home, *JUNE)
    assert_as_undisturbed(home, undisturbed)


# ---- an archive or a journal that is damaged


def archived(home: Path) -> Path:
    """The archived entries file."""
    return next(path for path in (home / "archive").iterdir() if path.read_text() == ENTRIES)


def test_an_archived_file_that_has_changed_is_not_rebuilt_from(home: Path) -> None:
    before = content(home)
    path = archived(home)
    path.write_text(ENTRIES.replace("10.00", "90.00"))
    said = rollforward(home, "rebuild", status=1).stderr
    assert f"{path} is damaged" in said
    assert "it held landing/acme/entries/june.csv, event 2 of acme. Put it back from a backup" in said
    assert content(home) == before
    path.write_text(ENTRIES)
    assert "the same as before" in rollforward(home, "rebuild").stdout


def test_a_damaged_or_lost_event_of_the_journal_is_told_and_nothing_is_built_without_it(home: Path) -> None:
    before = content(home)
    for number, left in ((2, 20), (2, 0), (3, 0)):
        path = home / f"journal/acme/{number:012}.json"
        event = path.read_bytes()
        path.unlink()
        if left:
            path.write_bytes(event[:left])
        said = rollforward(home, "rebuild", status=1).stderr
        assert "back from a backup" in said
        assert (str(path) if number == 2 else "ends with event 2") in said
        assert content(home) == before
        path.write_bytes(event)
    assert "the same as before" in rollforward(home, "rebuild").stdout


# ---- clocks


def test_a_clock_that_was_ahead_and_is_set_back_keeps_the_order_of_events_and_readers_up_to_date(home: Path) -> None:
    # A day ahead when June was reported.
    ahead_ns = time.time_ns() + 86_400 * 10**9
    for path in (home / "journal/acme").iterdir():
        event = json.loads(path.read_text())
        event["recorded_at"] = event["recorded_at"].replace("2026", "2027", 1)
        path.write_text(json.dumps(event))
    for name in ("main.duckdb", "main-read.duckdb"):
        os.utime(home / "ledgers" / name, ns=(ahead_ns, ahead_ns))
    land(home, "entries/more.csv", MORE)
    done = rollforward(home, *JUNE)
    assert done.stdout.strip().endswith("-v2.xlsx")
    recorded = [json.loads(path.read_text())["recorded_at"] for path in sorted((home / "journal/acme").iterdir())]
    assert recorded == sorted(recorded)
    assert recorded[-1].startswith("2027")
    balances = json.loads(rollforward(home, "--json", "balances", "--email", "bo@").stdout)
    assert [row["balance"] for row in balances] == ["1.50"]


# ---- people in the middle of a run


def test_a_file_that_is_still_being_copied_is_taken_when_it_is_whole(home: Path) -> None:
    for name in (".more.csv", "more.csv.part", "more.csv.tmp"):
        land(home, f"entries/{name}", MORE[:-20])
    growing = land(home, "entries/growing.csv", "entry_id,entry_type,occurred_at,member_id,amount\n")
    ended = threading.Event()

    def copy_on() -> None:
        with growing.open("a", encoding="utf-8") as file:
            number = 0
            while not ended.is_set():
                number += 1
                file.write(f"g{number},created,2026-06-05T12:00,ada,1.00\n")
                file.flush()
                time.sleep(0.0005)

    copying = threading.Thread(target=copy_on)
    copying.start()
    try:
        done = rollforward(home, "ingest")
    finally:
        ended.set()
        copying.join()
    assert (
        "landing/acme/entries/growing.csv changed while it was read; it is taken when it has come to rest"
        in done.stderr
    )
    assert done.stdout.startswith("Nothing new")
    (home / "landing/acme/entries/more.csv.part").rename(home / "landing/acme/entries/more.csv")
    land(home, "entries/more.csv", MORE)
    taken = rollforward(home, "ingest").stdout
    rows = len(growing.read_text().splitlines()) - 1
    assert f"growing.csv: {rows:,} read, {rows:,} accepted" in taken
    assert "more.csv: 1 read, 1 accepted" in taken


def test_a_workbook_that_was_cut_off_on_its_way_is_set_aside_until_it_is_whole(home: Path, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for line in MORE.splitlines():
        book.active.append(line.split(","))
    book.save(tmp_path / "more.xlsx")
    whole = (tmp_path / "more.xlsx").read_bytes()
    path = home / "landing/acme/entries/more.xlsx"
    path.write_bytes(whole[: len(whole) // 2])
    assert "1 read, 0 accepted, 0 duplicates, 1 rejected" in rollforward(home, "ingest").stdout
    assert "was cut off or damaged on its way here" in rollforward(home, "rejects").stdout
    path.write_bytes(whole)
    assert "more.xlsx: 1 read, 1 accepted" in rollforward(home, "ingest").stdout
    assert "more.xlsx" not in rollforward(home, "rejects").stdout


@pytest.fixture
def holder(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the ledger of `home` until it is given a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def started(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command, whose messages can be read as they come."""
    return subprocess.Popen(
        [*COMMAND, "--home", str(home), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip


def read_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stderr is not None
    said = ""
    while words not in said:
        line = process.stderr.readline()
        assert line, f'ended without "{words}": {said}'
        said += line
    return said


@pytest.mark.slow
def test_settings_edited_while_a_run_waits_are_those_it_uses(home: Path, holder: subprocess.Popen[str]) -> None:
    waiting = started(home, *JUNE)
    said = read_until(waiting, "Waiting for the ledger")
    assert f"in use by a long run (process {holder.pid}, since " in said
    settings = (home / "merchants.toml").read_text()
    (home / "merchants.toml").write_text(settings.replace('"Acme"', '"Acme & Daughters"'))
    holder.communicate("let go\n")
    told, said = waiting.communicate()
    assert waiting.returncode == 0, said
    assert "merchants.toml has changed while this run waited" in said
    book = openpyxl.load_workbook(told.strip())
    assert book["Summary Statistics"]["B2"].value == "Acme & Daughters"


def test_settings_broken_while_a_run_works_are_told_and_the_run_ends_with_those_it_began_with(
    undisturbed: Path, tmp_path: Path
) -> None:
    home = furnish(tmp_path / "home")
    process = started(home, *JUNE)
    read_until(process, "june.csv")
    (home / "merchants.toml").write_text("[merchants.acme\n")
    told, said = process.communicate()
    assert process.returncode == 0, said
    assert told.strip().endswith(WORKBOOK)
    assert "merchants.toml cannot be read as TOML" in said
    assert "Traceback" not in said
    assert_as_undisturbed(home, undisturbed)
    assert "merchants.toml cannot be read as TOML" in rollforward(home, *JUNE, status=1).stderr


def test_a_run_that_is_asked_to_stop_stops_at_the_next_safe_point_and_says_so(
    undisturbed: Path, tmp_path: Path
) -> None:
    home = furnish(tmp_path / "home")
    process = started(home, *JUNE)
    read_until(process, "all.csv")
    process.send_signal(signal.SIGTERM)
    told, said = process.communicate()
    assert process.returncode == 1, said
    assert told == ""
    assert "Stopping at the next safe point (SIGTERM)" in said
    assert "Stopped, as asked. What was finished is kept" in said
    assert "Traceback" not in said
    assert workbooks(home) == {}
    assert len(content(home)["ledger.members"]) == 2
    assert statuses(home) == ["FAILURE"]
    rollforward(home, *JUNE)
    assert_as_undisturbed(home, undisturbed)


@pytest.mark.parametrize("command", [JUNE, pytest.param(("rebuild",), marks=pytest.mark.slow)])
def test_a_run_that_waits_stops_at_once_when_it_is_asked_to(
    home: Path, holder: subprocess.Popen[str], command: tuple[str, ...]
) -> None:
    before = content(home)
    waiting = started(home, *command)
    read_until(waiting, "Waiting for the ledger")
    asked_at = time.monotonic()
    waiting.send_signal(signal.SIGTERM)
    _, said = waiting.communicate(timeout=60)
    assert waiting.returncode == 1
    assert "Stopped, as asked" in said
    assert "Traceback" not in said
    assert time.monotonic() - asked_at < 30
    assert content(home) == before


def statuses(home: Path) -> list[str]:
    """How Dagster says that the home's runs ended, the oldest first."""
    with runs.instance_of(find_home(home)) as instance:
        return [run.status.value for run in reversed(instance.get_runs())]


def test_the_run_of_a_process_that_was_killed_is_marked_as_failed_at_the_next_start(home: Path) -> None:
    process = started(home, *JUNE)
    while "STARTED" not in statuses(home):
        assert process.poll() is None
        time.sleep(0.2)
    process.kill()
    process.communicate()
    assert statuses(home) == ["SUCCESS", "STARTED"]
    assert "It is marked as failed" in rollforward(home, "ingest").stderr
    assert statuses(home) == ["SUCCESS", "FAILURE", "SUCCESS"]


def test_dagsters_pages_on_a_home_where_its_folder_cannot_be_made_say_so(home: Path) -> None:
    shutil.rmtree(home / ".dagster")
    (home / ".dagster").write_text("")
    said = rollforward(home, "ui", "--port", "39113", status=1).stderr
    assert f"{home / '.dagster'}: File exists, so nothing can be written there. Move it out of the way" in said


HALTS = """
import os, signal, sys
from dagster import DagsterInstance
from pipelines import runs
from pipelines.settings import find_home
def halt(make=DagsterInstance.get):
    print("halted", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    return make()
DagsterInstance.get = halt
with runs.instance_of(find_home(sys.argv[1])):
    pass
"""


def test_a_command_that_was_halted_as_it_opened_the_records_of_runs_is_named_by_those_that_wait_for_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    halted = subprocess.Popen(
        [sys.executable, "-c", HALTS, str(home)], stdout=subprocess.PIPE, text=True, env=environment()
    )
    with halted:
        try:
            assert halted.stdout is not None
            assert halted.stdout.readline() == "halted\n"
            waiting = started(home, "ingest")
            assert f"in use by -c (process {halted.pid}, since " in read_until(waiting, "Waiting for the folder")
            waiting.send_signal(signal.SIGTERM)
            said = waiting.communicate(timeout=60)[1]
            assert waiting.returncode == 1
            assert "Stopped, as asked" in said
            assert "Traceback" not in said
            monkeypatch.setattr(runs, "PATIENCE_S", 0.2)
            with pytest.raises(ForPeopleError, match=f"in use by -c .process {halted.pid}.* Wait for that run to end"):
                statuses(home)
        finally:
            halted.send_signal(signal.SIGCONT)
        halted.communicate()
        assert halted.returncode == 0
    rollforward(home, "ingest")


def test_records_of_runs_that_another_process_does_not_let_go_of_are_said_to_be_in_use_and_not_to_be_moved_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_records, "SQLITE_BUSY_TIMEOUT_SECONDS", 0.1)
    with closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        ours = run_records.engine(f"sqlite:///{tmp_path / 'runs.db'}")
        with pytest.raises(OperationalError) as failed, ours.begin() as connection:
            connection.execute(text("create table runs (id integer)"))
        ours.dispose()
    said = faults.told(failed.value) or ""
    assert "are in use by another process" in said
    assert "move .dagster" not in said


OPENS = """
import sys
from pathlib import Path
from pipelines import runs
from pipelines.settings import Home
print("ready", flush=True)
sys.stdin.read(1)
with runs.instance_of(Home(Path(sys.argv[1]))) as instance:
    instance.get_runs_count()
"""


def test_commands_that_are_the_first_of_a_home_at_the_same_time_all_find_its_records_of_runs(tmp_path: Path) -> None:
    opened = [
        subprocess.Popen(
            [sys.executable, "-c", OPENS, str(tmp_path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
        )
        for _ in range(6)
    ]  # fmt: skip
    for process in opened:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in opened:
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.flush()
    said = [process.communicate()[1].decode() for process in opened]
    assert [process.returncode for process in opened] == [0] * 6, said
