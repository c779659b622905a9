"""Backup and restore: what is in a backup, that a home made of it is the same, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.backup import MANIFEST, BackupError, backup, restore
from pipelines.journal import JournalError
from pipelines.settings import Home
from tests.acme import HOLD, JUNE, MORE, WORKBOOK, furnish, land
from tests.processes import content, environment, rollforward, workbooks


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which June was reported."""
    home = furnish(tmp_path_factory.mktemp("reported") / "home")
    rollforward(home, *JUNE)
    return home


@pytest.fixture(scope="module")
def saved(reported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it. Tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("saved") / "2026-07-01"
    backup(Home(reported), folder, wait_s=0, say=print)
    return folder


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copied"))


@pytest.mark.service
def test_a_restored_home_has_the_same_ledger_and_workbooks_and_goes_on_where_it_was(tmp_path: Path) -> None:
    home, folder, restored = furnish(tmp_path / "home"), tmp_path / "backups/2026-07-01", tmp_path / "restored"
    rollforward(home, *JUNE)
    told = rollforward(home, "backup", str(folder))
    assert told.stdout.startswith(f"{folder}: ")
    assert "Traceback" not in told.stderr
    ledger, books = content(home), workbooks(home)
    shutil.rmtree(home)
    done = rollforward(restored, "restore", str(folder))
    assert "ledger: the same as when it was backed up" in done.stdout
    assert content(restored) == ledger
    assert workbooks(restored) == books
    land(restored, "entries/more.csv", MORE)
    last = rollforward(restored, *JUNE).stdout.strip()
    assert last == str(restored / "reports" / WORKBOOK.replace(".xlsx", "-v2.xlsx"))
    assert workbooks(restored)[WORKBOOK] == books[WORKBOOK]
    published = content(restored)["ledger.published"]
    assert len(published) == 2


def test_a_backup_holds_settings_archive_journal_and_workbooks_each_with_its_hash(saved: Path, reported: Path) -> None:
    told = json.loads((saved / MANIFEST).read_text())
    names = set(told["files"])
    assert {"merchants.toml", f"reports/{WORKBOOK}", "journal/acme/000000000001.json"} <= names
    assert {name.partition("/")[0] for name in names} == {"merchants.toml", "archive", "journal", "reports"}
    assert {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()} == names | {MANIFEST}
    assert (saved / "reports" / WORKBOOK).read_bytes() == (reported / "reports" / WORKBOOK).read_bytes()
    assert told["ledgers"]["main"]["ledger.entries"][0] == 5


def test_a_backup_waits_for_the_run_that_holds_the_ledger(reported: Path, tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(reported)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        said = rollforward(reported, "backup", str(tmp_path / "backup"), "--wait", "0", status=1).stderr
        assert "still in use by a long run" in said
        assert not (tmp_path / "backup" / MANIFEST).exists()
        holder.kill()


def test_a_backup_without_a_readable_ledger_says_so_and_can_be_restored(reported: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(reported, tmp_path / "home"))
    (home / "ledgers/main.duckdb").write_bytes(b"not a ledger" * 1000)
    said: list[str] = []
    backup(Home(home), tmp_path / "backup", wait_s=0, say=said.append)
    assert "What the ledger held is not noted in the backup" in said[0]
    made = restore(Home(tmp_path / "restored"), tmp_path / "backup", say=said.append)
    assert not made.compared
    assert content(tmp_path / "restored") == content(reported)


def test_settings_that_would_restate_what_was_published_keep_nobody_from_a_backup(
    reported: Path, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(reported, tmp_path / "home"))
    settings = home / "merchants.toml"
    settings.write_text(settings.read_text("utf-8").replace("America/New_York", "Pacific/Kiritimati"), "utf-8")
    said: list[str] = []
    backup(Home(home), tmp_path / "backup", wait_s=0, say=said.append)
    assert "the settings have changed since its months were published" in said[0]
    assert "What the ledger held is not noted in the backup" in said[0]
    restore(Home(tmp_path / "restored"), tmp_path / "backup", say=said.append)
    assert workbooks(tmp_path / "restored") == workbooks(home)


def test_a_merchant_that_was_taken_out_of_the_settings_does_not_make_a_restored_home_another_one(
    reported: Path, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(reported, tmp_path / "home"))
    settings = (home / "merchants.toml").read_text("utf-8")
    (home / "merchants.toml").write_text(f"{settings}{settings.replace('acme', 'gone')}", "utf-8")
    shutil.copytree(home / "landing/acme", home / "landing/gone")
    rollforward(home, "ingest")
    (home / "merchants.toml").write_text(settings, "utf-8")
    backup(Home(home), tmp_path / "backup", wait_s=0, say=print)
    made = restore(Home(tmp_path / "restored"), tmp_path / "backup", say=print)
    assert (made.compared, made.differences) == (True, ())


def test_a_backup_of_a_damaged_archive_is_refused(reported: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(reported, tmp_path / "home"))
    path = next((home / "archive").iterdir())
    kept = path.read_bytes()
    path.write_bytes(kept + b"\n")
    with pytest.raises(BackupError, match=f"{path} is damaged"):
        backup(Home(home), tmp_path / "backup", wait_s=0, say=print)
    path.unlink()
    with pytest.raises(BackupError, match=f"{path} is missing: it held landing/acme/"):
        backup(Home(home), tmp_path / "backup", wait_s=0, say=print)
    assert not (tmp_path / "backup" / MANIFEST).exists()
    path.write_bytes(kept)
    # What is there of the unfinished one is done again.
    assert backup(Home(home), tmp_path / "backup", wait_s=0, say=print).files == 7
    (home / "journal/acme/000000000001.json").unlink()
    with pytest.raises(JournalError, match=r"000000000001\.json is missing, though there are later events"):
        backup(Home(home), tmp_path / "another", wait_s=0, say=print)


def test_a_journal_that_lacks_what_the_ledger_knows_is_not_backed_up(reported: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(reported, tmp_path / "home"))
    max((home / "journal/acme").iterdir()).unlink()
    with pytest.raises(JournalError, match=r"knows event 3 of acme, which .*/journal/acme lacks"):
        backup(Home(home), tmp_path / "backup", wait_s=0, say=print)
    shutil.rmtree(home / "journal")
    with pytest.raises(JournalError, match=r"knows event 1 of acme, which .* lacks \(and 2 others\)"):
        backup(Home(home), tmp_path / "backup", wait_s=0, say=print)
    assert not (tmp_path / "backup" / MANIFEST).exists()


def test_a_backup_is_never_written_over_anything(saved: Path, reported: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="holds a backup already"):
        backup(Home(reported), saved, wait_s=0, say=print)
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(BackupError, match="is no unfinished backup"):
        backup(Home(reported), tmp_path, wait_s=0, say=print)
    (tmp_path / "link").symlink_to(reported)
    for folder in (reported / "backups", tmp_path / "link", tmp_path / ".." / tmp_path.name / "link"):
        with pytest.raises(BackupError, match="in the home itself"):
            backup(Home(reported), folder / "first", wait_s=0, say=print)


def test_a_backup_has_the_workbooks_of_a_merchant_whose_reports_are_a_link_to_another_disk(
    reported: Path, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(reported, tmp_path / "home"))
    (home / "reports/acme").rename(tmp_path / "share")
    (home / "reports/acme").symlink_to(tmp_path / "share")
    (tmp_path / "share/again").symlink_to(tmp_path / "share")
    backup(Home(home), tmp_path / "backup", wait_s=0, say=print)
    assert workbooks(tmp_path / "backup") == workbooks(reported)


def test_what_people_left_in_archive_and_journal_keeps_nobody_from_a_backup(reported: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(reported, tmp_path / "home"))
    for name in ("journal/.DS_Store", "journal/notes.txt", "archive/desktop.ini", "journal/Old copies/1.txt"):
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text("not ours", encoding="utf-8")
    backup(Home(home), tmp_path / "backup", wait_s=0, say=print)
    made = restore(Home(tmp_path / "restored"), tmp_path / "backup", say=print)
    assert (made.compared, made.differences) == (True, ())
    assert (tmp_path / "restored/archive/desktop.ini").read_text("utf-8") == "not ours"


def test_a_backup_is_refused_where_a_folder_of_workbooks_cannot_be_read(
    reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(shutil.copytree(reported, tmp_path / "home"))
    look = os.scandir

    # The superuser, whom tests may be run by, may look everywhere.
    def look_where_allowed(path: Any) -> Any:
        if str(path) == str(home / "reports/acme"):
            raise PermissionError(13, "Permission denied", path)
        return look(path)

    monkeypatch.setattr(os, "scandir", look_where_allowed)
    with pytest.raises(PermissionError, match="reports/acme"):
        backup(Home(home), tmp_path / "backup", wait_s=0, say=print)
    assert not (tmp_path / "backup" / MANIFEST).exists()


def test_a_home_that_is_not_empty_is_not_restored_into(saved: Path, reported: Path) -> None:
    before = content(reported)
    with pytest.raises(BackupError, match="is not empty"):
        restore(Home(reported), saved, say=print)
    assert content(reported) == before


@pytest.mark.parametrize("name", ["merchants.toml", f"reports/{WORKBOOK}", "journal/acme/000000000002.json"])
def test_a_damaged_backup_is_not_restored_at_all(copied: Path, tmp_path: Path, name: str) -> None:
    (copied / name).write_bytes((copied / name).read_bytes() + b" ")
    with pytest.raises(BackupError, match=f"{name} is damaged: it is not what was backed up"):
        restore(Home(tmp_path / "restored"), copied, say=print)
    (copied / name).unlink()
    with pytest.raises(BackupError, match=f"{name} is missing: the backup is not whole"):
        restore(Home(tmp_path / "restored"), copied, say=print)
    assert not (tmp_path / "restored").exists()


def test_what_is_no_backup_is_not_restored(copied: Path, tmp_path: Path) -> None:
    manifest = copied / MANIFEST
    told = json.loads(manifest.read_text())
    for content_of, said in (
        (json.dumps({**told, "format": 2}), "another version of this software"),
        (json.dumps({**told, "files": {"../x": {"sha256": "0", "size_bytes": 1}}}), 'names "../x"'),
        ("{", "is damaged"),
    ):
        manifest.write_text(content_of)
        with pytest.raises(BackupError, match=said):
            restore(Home(tmp_path / "restored"), copied, say=print)
    manifest.unlink()
    with pytest.raises(BackupError, match=r"is no backup: it has no backup\.json"):
        restore(Home(tmp_path / "restored"), copied, say=print)


def test_a_restore_that_was_killed_is_done_again(
    saved: Path, reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    home = Home(tmp_path / "restored")
    with monkeypatch.context() as patched:
        patched.setattr("pipelines.backup.rebuild.rebuild", killed)
        with pytest.raises(KeyboardInterrupt):
            restore(home, saved, say=print)
    assert restore(home, saved, say=print).compared
    assert content(home.path) == content(reported)
    assert not (home.path / ".restoring").exists()


def test_a_restore_that_was_killed_is_not_gone_on_with_from_another_backup(
    saved: Path, reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = Path(shutil.copytree(reported, tmp_path / "later"))
    land(later, "entries/more.csv", MORE)
    rollforward(later, "ingest")
    backup(Home(later), tmp_path / "2026-07-02", wait_s=0, say=print)
    home = Home(tmp_path / "restored")
    with monkeypatch.context() as patched:
        patched.setattr("pipelines.backup.rebuild.rebuild", lambda *_, **__: sys.exit(1))
        with pytest.raises(SystemExit):
            restore(home, tmp_path / "2026-07-02", say=print)
    with pytest.raises(BackupError, match=r"holds archive/.*, which is not of .*: the restore of another backup was"):
        restore(home, saved, say=print)
    assert restore(home, tmp_path / "2026-07-02", say=print).differences == ()
