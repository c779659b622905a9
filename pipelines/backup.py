"""Backup and restore: what a home cannot make again, copied under its locks; and a home made of such a copy.

A backup is a folder with the settings, the archive, the journal, the workbooks, and `backup.json`, written last: every
file's hash, and what the ledgers held. The ledgers themselves are not in it: a restore makes them again from archive
and journal, which proves on the way that they could be, and holds them against what `backup.json` says.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb

from pipelines import events, faults, promises, rebuild, replay, shards, stopping
from pipelines.errors import ForPeopleError
from pipelines.journal import Journal, make_folder, put_in_place, write_whole
from pipelines.settings import MERCHANT_ID, Home, Merchant, read_merchants
from pipelines.shards import Say

MANIFEST = "backup.json"
FORMAT = 1
# Without merchants.toml no command touches a home, so a restore puts it there last.
SETTINGS = ("access.toml", "merchants.toml")
FOLDERS = ("archive", "journal", "reports")
UNFINISHED = ".restoring"
# What a new file system has in it.
_NOTHING = {"lost+found", UNFINISHED}
# What a backup that was killed may have left.
_UNFINISHED_BACKUP = {*SETTINGS, *FOLDERS, *(f".{name}.tmp" for name in (*SETTINGS, MANIFEST))}
_COPY_BYTES = 8 * 2**20
_HASH = re.compile(r"[0-9a-f]{64}")
# What stops a replay stops no backup: archive, journal and settings are there all the same.
_NOT_COUNTED = (
    *(shards.LedgerUnavailableError, promises.BrokenPromiseError),
    *(replay.UndeclaredBalanceTypeError, replay.RestatementError),
)


class BackupError(ForPeopleError):
    """Why there is no backup, or none can be restored, and what to do."""


@dataclass(frozen=True)
class Backup:
    """What a backup holds: how much of what, and how many rows each ledger had of it."""

    folder: Path
    files: int
    size_bytes: int
    ledgers: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.folder}: {self.files:,} files, {self.size_bytes / 2**20:,.1f} MB"


@dataclass(frozen=True)
class Restored:
    """A home made of a backup. `differences` tells what its ledgers hold otherwise than when it was made."""

    home: Path
    files: int
    made_at: str
    differences: tuple[str, ...]
    compared: bool

    def __str__(self) -> str:
        held = "the same as when it was backed up" if self.compared else "not compared: the backup does not say"
        if self.differences:
            held = "; ".join(self.differences)
        return f"{self.home}: {self.files:,} files of {self.made_at}, each as its hash says; ledger: {held}."


def backup(home: Home, folder: Path, *, wait_s: float, say: Say) -> Backup:
    """Copy the home into the new folder, holding every shard so that nothing changes meanwhile.

    Raises BackupError, SettingsError, JournalError, LedgerUnavailableError, StoppedError; then there is no backup.json
    in the folder, and it is no backup.
    """
    merchants = read_merchants(home)
    if (folder / MANIFEST).exists():
        raise BackupError(f"{folder} holds a backup already. Name a new folder, such as one with today's date.")
    if folder.exists() and (not folder.is_dir() or _content(folder) - _UNFINISHED_BACKUP):
        raise BackupError(f"{folder} is there and is no unfinished backup. Name a new folder.")
    if folder.resolve().is_relative_to(home.path.resolve()):
        raise BackupError(f"{folder} is in the home itself, and would be lost with it. Name a folder elsewhere.")
    with ExitStack() as locks:
        by_shard = shards.by_shard(merchants)
        for name in by_shard:
            locks.enter_context(shards.lock(home, name, wait_s=wait_s, say=say, who="rollforward backup"))
        _hold_journal(home)
        ledgers = {name: _ledger_now(home, name, of_shard, say) for name, of_shard in by_shard.items()}
        files = {name: _copied(home.path, folder, name) for name in _files(home)}
        if read_merchants(Home(folder)) != merchants:
            raise BackupError(f"{home.merchants_file} changed while it was backed up. Make the backup again.")
        told = {
            "format": FORMAT,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "software_version": installed_version("rollforward"),
            "duckdb_version": duckdb.__version__,
            "files": files,
            "ledgers": ledgers,
        }
        write_whole(folder / MANIFEST, json.dumps(told, indent=1, sort_keys=True).encode())
    return Backup(folder, len(files), sum(file["size_bytes"] for file in files.values()), ledgers)


def restore(home: Home, folder: Path, *, say: Say) -> Restored:
    """Make a home of the backup in the folder. One that did not finish is done again from its start.

    Raises BackupError where the home is not empty or the backup is not whole; JournalError, LedgerUnavailableError.
    """
    told = _manifest(folder)
    is_begun = (home.path / UNFINISHED).exists()
    if home.path.exists() and not is_begun and (not home.path.is_dir() or _content(home.path) - _NOTHING):
        raise BackupError(f"{home.path} is not empty. A backup is restored into a new or an empty home only.")
    # Begun with another backup: what only that one has would be taken for a part of this.
    if is_begun and (others := sorted({*_files(home)} - told["files"].keys())):
        raise BackupError(
            f"{home.path} holds {others[0]}, which is not of {folder}: the restore of another backup was begun there,"
            " or the home is in use. Restore that backup again, or this one into an empty home."
        )
    # All of it before any of it is copied: a home that is there in part helps nobody.
    for name, file in told["files"].items():
        _hold(folder, name, file)
    make_folder(home.path)
    (home.path / UNFINISHED).touch()
    for name in sorted(told["files"], key=lambda name: (name in SETTINGS, name)):
        if _copied(folder, home.path, name)["sha256"] != told["files"][name]["sha256"]:
            raise BackupError(f"{folder / name} changed while it was restored. Restore again, or from another backup.")
    say(f"{len(told['files']):,} files restored, each as its hash says. Making the ledger again from them.")
    rebuild.rebuild(home, wait_s=0, say=lambda _: stopping.check())
    now = {}
    for name, merchants in shards.by_shard(read_merchants(home)).items():
        with shards.lock(home, name, wait_s=0, say=say, who="rollforward restore"):
            now[name] = _ledger_now(home, name, merchants, say)
    (home.path / UNFINISHED).unlink()
    # The hash of a row is DuckDB's, and another version may have another.
    before = told["ledgers"] if told["duckdb_version"] == duckdb.__version__ else {}
    differences = tuple(
        f"{table}: {(before[name] or {}).get(table, [0])[0]:,} rows then, {rows[0]:,} now, not the same"
        for name, tables in now.items()
        if before.get(name)
        for table, rows in (tables or {}).items()
        if before[name].get(table) != rows
    )
    return Restored(home.path, len(told["files"]), told["made_at"], differences, any(before.values()))


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        files = {str(name): (str(file["sha256"]), int(file["size_bytes"])) for name, file in told["files"].items()}
        understood = told["format"] == FORMAT and {"ledgers", "made_at", "duckdb_version"} <= told.keys()
    except FileNotFoundError:
        raise BackupError(
            f"{folder} is no backup: it has no {MANIFEST}, which is written last. Take another one."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BackupError(f"{path} is damaged. Take another backup.") from None
    if not understood:
        raise BackupError(f"{path} was written by another version of this software. Restore with that version.")
    for name in files:
        parts = PurePosixPath(name).parts
        if ".." in parts or not (name in SETTINGS or parts[0] in FOLDERS):
            raise BackupError(f'{path} names "{name}", which no backup holds. Take another backup.')
    return dict(told)


def _hold(folder: Path, name: str, file: Mapping[str, Any]) -> None:
    stopping.check()
    path = folder / name
    if not path.is_file():
        raise BackupError(f"{path} is missing: the backup is not whole. Take another one.")
    with path.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != file["sha256"]:
            raise BackupError(f"{path} is damaged: it is not what was backed up. Take another backup.")


def _hold_journal(home: Home) -> None:
    """See that the journal is whole, and that the archive has every file it names: a restore needs both.

    Raises JournalError, BackupError.
    """
    journal = Journal(home)
    for folder in sorted(home.journal.iterdir()) if home.journal.is_dir() else ():
        # What else lies there, as a file manager's own files, is no merchant's journal.
        if not (MERCHANT_ID.fullmatch(folder.name) and folder.is_dir()):
            continue
        for event in journal.missing(folder.name, ()):
            kept = event.kind != "publication" and event.content.get("sha256")
            if kept and not (home.archive / kept).is_file():
                held = (
                    f"landing/{event.content['source_file']}"
                    if "source_file" in event.content
                    else f"the entries of operation {event.content['operation_id']}"
                )
                raise BackupError(
                    f"{home.archive / kept} is missing: it held {held}. Put it back from an earlier backup, or the same"
                    " file from its source under this name."
                )


def _content(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _files(home: Home) -> Iterator[str]:
    """The files of a backup, below the home; what a killed run left half written begins with a dot, and is none."""
    for name in SETTINGS:
        if (home.path / name).exists():
            yield name
    for folder in FOLDERS:
        for path in sorted(_below(home.path / folder)):
            if path.is_file() and not path.name.startswith("."):
                yield str(path.relative_to(home.path))


def _below(folder: Path) -> Iterator[Path]:
    """The files in a folder and the folders below it; also in those that are links: reports may be on another disk."""
    seen: set[str] = set()
    for above, folders, names in os.walk(folder, followlinks=True, onerror=_not_there_or_raise):
        seen.add(os.path.realpath(above))
        folders[:] = [name for name in folders if os.path.realpath(Path(above, name)) not in seen]
        yield from (Path(above, name) for name in names)


def _not_there_or_raise(problem: OSError) -> None:
    """A folder that this user may not look into would be left out without a word."""
    if not isinstance(problem, FileNotFoundError):
        raise problem


def _copied(source: Path, target: Path, name: str) -> dict[str, Any]:
    """Copy one file, whole or not at all, on disk when this returns; its hash and size.

    Raises BackupError for an archived file that is not what it was: its name says what that is.
    """
    stopping.check()
    path = target / name
    with faults.naming(path):
        make_folder(path.parent)
    beside = path.with_name(f".{path.name}.tmp")
    digest, size_bytes = hashlib.sha256(), 0
    with (source / name).open("rb") as file, faults.naming(path), beside.open("wb") as copy:
        while chunk := file.read(_COPY_BYTES):
            digest.update(chunk)
            size_bytes += copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    sha256 = digest.hexdigest()
    kept = PurePosixPath(name)
    if kept.parts[0] == "archive" and _HASH.fullmatch(kept.name) and kept.name != sha256:
        beside.unlink()
        raise BackupError(
            f"{source / name} is damaged: its bytes are not those that its name is the hash of. Put it back from an"
            " earlier backup, or the same file from its source under this name."
        )
    shutil.copystat(source / name, beside)
    put_in_place(beside, path)
    return {"sha256": sha256, "size_bytes": size_bytes}


def _ledger_now(home: Home, name: str, merchants: Mapping[str, Merchant], say: Say) -> dict[str, list[int]] | None:
    """Rows, and a hash over them, of each table that a rebuild makes again; None where the ledger cannot be read.

    What a killed run left undone is done first.
    """
    try:
        with shards.open_file(home, name, shards.ledger_path(home, name), merchants) as shard:
            events.recover(shard)
            replay.replay(shard.connection, merchants)
            rows = {table: _rows(shard.connection, table) for table in rebuild.CONTENT}
        shards.refresh_read_copy(home, name)
        return rows
    except (*_NOT_COUNTED, duckdb.Error) as problem:
        text = (faults.told(problem) or str(problem)).rstrip(".")
        say(f"{text}. What the ledger held is not noted in the backup; a restore makes it from archive and journal.")
        return None


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> list[int]:
    # Of a merchant that was taken out of merchants.toml, or given to another shard, a restore makes none here.
    found = connection.execute(
        f"select count(*), coalesce(sum(hash(row)::hugeint), 0) from {table} as row"  # noqa: S608 - our own tables
        " where merchant_id in (select merchant_id from settings.merchants)"
    ).fetchone()
    assert found is not None
    return [int(value) for value in found]
