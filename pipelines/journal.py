"""The journal: what happened to each merchant's ledger, one JSON file an event, written before the ledger commits.

Archive and journal together are the source of truth: a ledger is what its merchants' events, applied in order of
their number, make of the archived files. What an event *does* is not here (see `pipelines.ingest`).
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pipelines import faults
from pipelines.errors import ForPeopleError
from pipelines.settings import Home

_PUT_BACK = "Put it back from a backup; until then nothing is written to the ledger."

Kind = Literal["file", "retry", "publication", "operation"]


class JournalError(ForPeopleError):
    """The journal lacks an event, or one cannot be read; and what to do about it."""


@dataclass(frozen=True)
class Event:
    """Something that changed a merchant's ledger: the merchant's `number`-th."""

    merchant_id: str
    number: int
    kind: Kind
    recorded_at: datetime
    content: Mapping[str, Any]


class Journal:
    """The events of a home. Whoever writes holds the lock of the merchant's shard."""

    def __init__(self, home: Home) -> None:
        self._folder = home.journal

    def numbers(self, merchant_id: str) -> list[int]:
        """The numbers of the merchant's events, ascending."""
        try:
            # Not glob, which finds nothing where this user may not look.
            paths = [*(self._folder / merchant_id).iterdir()]
        except FileNotFoundError:
            return []
        return sorted(int(path.stem) for path in paths if path.suffix == ".json" and path.stem.isdecimal())

    def read(self, merchant_id: str, number: int) -> Event:
        """One event. Raises FileNotFoundError if there is none of that number, JournalError if it cannot be read."""
        path = self._path(merchant_id, number)
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            return Event(**{**told, "recorded_at": datetime.fromisoformat(told["recorded_at"])})
        except (ValueError, TypeError, KeyError):
            raise JournalError(f"{path} is damaged: it is no event. {_PUT_BACK}") from None

    def missing(self, merchant_id: str, known: Iterable[int]) -> list[Event]:
        """The merchant's events that are not among the `known` numbers, in order.

        Raises JournalError where the journal itself lacks one: later ones build on it.
        """
        numbers = self.numbers(merchant_id)
        if lost := sorted({*range(1, len(numbers) + 1)} - {*numbers}):
            raise JournalError(
                f"{self._path(merchant_id, lost[0])} is missing, though there are later events. {_PUT_BACK}"
            )
        return [self.read(merchant_id, number) for number in sorted({*numbers} - {*known})]

    def next_instant(self, merchant_id: str) -> datetime:
        """The time that an event written now has.

        That is now, or just after the merchant's last event where the clock was set back: events stay in order.
        """
        numbers, now = self.numbers(merchant_id), datetime.now(UTC)
        if not numbers:
            return now
        return max(now, self.read(merchant_id, numbers[-1]).recorded_at + timedelta(microseconds=1))

    def write(
        self, merchant_id: str, kind: Kind, content: Mapping[str, Any], recorded_at: datetime | None = None
    ) -> Event:
        """A new event, on disk when this returns; of `recorded_at`, which `next_instant` gave, or of now."""
        event = self.next_event(merchant_id, kind, content, recorded_at or self.next_instant(merchant_id))
        self.keep(event)
        return event

    def next_event(self, merchant_id: str, kind: Kind, content: Mapping[str, Any], recorded_at: datetime) -> Event:
        """The event that would be written now; it has not happened until it is kept."""
        numbers = self.numbers(merchant_id)
        return Event(merchant_id, (numbers or [0])[-1] + 1, kind, recorded_at, dict(content))

    def keep(self, event: Event) -> None:
        """Put an event that `next_event` gave on disk. Raises JournalError where another has its number by now."""
        told = {**asdict(event), "recorded_at": event.recorded_at.isoformat()}
        path = self._path(event.merchant_id, event.number)
        if path.exists():
            # Of another shard: a merchant was given to one while a run still had it in the other.
            raise JournalError(f"{path} was written by another run meanwhile. Run the same command again.")
        make_folder(path.parent)
        write_whole(path, json.dumps(told, ensure_ascii=False, indent=1, sort_keys=True).encode())

    def _path(self, merchant_id: str, number: int) -> Path:
        return self._folder / merchant_id / f"{number:012d}.json"


def write_whole(path: Path, content: bytes) -> None:
    """Write `path` so that it is there whole or not at all, also after a power cut."""
    beside = path.with_name(f".{path.name}.tmp")
    try:
        with faults.naming(path), beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        # The next one may have another name, as alerts do: on a full disk each would leave one behind.
        with suppress(OSError):
            beside.unlink()
        raise
    put_in_place(beside, path)


def put_in_place(beside: Path, path: Path) -> None:
    """Rename `beside`, whole and on disk, to `path`, and see that the rename is on disk too."""
    beside.replace(path)
    _sync(path.parent)


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it that are missing; on disk when this returns."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)
