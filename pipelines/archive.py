"""The archive: every file that was taken, under the hash of what it holds, for as long as the home lives."""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from pipelines import faults
from pipelines.journal import Event, make_folder, put_in_place
from pipelines.landing import Landed
from pipelines.shards import LedgerUnavailableError, Shard

COPY_BYTES = 8 * 2**20


def keep(shard: Shard, landed: Landed, source: BinaryIO) -> str | None:
    """Copy the file to archive/<sha256>; its hash, or None where it changed meanwhile."""
    archive = shard.home.archive
    make_folder(archive)
    # One name a shard, whose lock is held: what a killed run left behind is written over.
    beside = archive / f".{shard.name}.tmp"
    digest = hashlib.sha256()
    with faults.naming(beside), beside.open("wb") as copy:
        while True:
            with faults.naming(landed.path):
                chunk = source.read(COPY_BYTES)
            if not chunk:
                break
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    after = os.fstat(source.fileno())
    if (after.st_size, after.st_ctime_ns) != (landed.size_bytes, landed.changed_ns):
        beside.unlink()
        return None
    put_in_place(beside, archive / digest.hexdigest())
    return digest.hexdigest()


def path_of(shard: Shard, event: Event) -> Path:
    """The archived file that an event is about. Raises LedgerUnavailableError where it is missing."""
    archived = shard.home.archive / str(event.content["sha256"])
    if not archived.is_file():
        raise LedgerUnavailableError(f"{archived} is missing: {_what_it_held(event)}")
    return archived


def hold(shard: Shard, event: Event) -> None:
    """See that what is read again is what was put there. Raises LedgerUnavailableError where it is not."""
    if not event.content.get("sha256") or event.kind == "publication":
        return
    archived = path_of(shard, event)
    with archived.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != event.content["sha256"]:
        raise LedgerUnavailableError(
            f"{archived} is damaged (its name is the hash of what it held; now that is {found[:12]}…):"
            f" {_what_it_held(event)}"
        )


def _what_it_held(event: Event) -> str:
    if event.kind == "operation":
        return (
            f"it held the entries of operation {event.content['operation_id']}, event {event.number} of"
            f" {event.merchant_id}. Put it back from a backup; until then nothing is written to the ledger."
        )
    return (
        f"it held landing/{event.content['source_file']}, event {event.number} of {event.merchant_id}. Put it back from"
        " a backup, or the same file from its source under this name; until then nothing is written to the ledger."
    )
