"""From landing files to the ledger: each file archived, journalled, and read.

Killed at any point, a file has been ingested or it has not: its event stands in the journal before the ledger changes
(see `pipelines.events`). What lies in landing/ is in `pipelines.landing`, what becomes of a file's rows in
`pipelines.reading`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipelines import archive, events, landing, promises, reading
from pipelines.journal import Journal
from pipelines.landing import Landed
from pipelines.reading import FileOutcome
from pipelines.settings import Merchant
from pipelines.shards import Say, Shard


@dataclass
class IngestResult:
    """The files that were taken, those that were known, and what in landing/ belongs to nobody."""

    files: list[FileOutcome] = field(default_factory=list)
    unchanged: int = 0
    warnings: list[str] = field(default_factory=list)


def ingest(shard: Shard, *, retry: bool = False, settled_s: float = 0.0, say: Say = print) -> IngestResult:
    """Take every new file of the shard's merchants, in order of name; first whatever a former run left undone.

    With `retry`, or where a merchant's settings have changed, rows that were set aside are read again; those whose time
    had not come, once it has. A file that has changed within the last `settled_s` seconds is waited for that long, and
    left alone where it goes on changing. Raises LedgerUnavailableError as `recover` does, and BrokenPromiseError.
    """
    journal = Journal(shard.home)
    result = IngestResult(files=[_said(outcome, say) for outcome in events.recover(shard)])
    for merchant in shard.merchants.values():
        result.warnings += reading.warn_of_timezone(shard, merchant)
        changed = reading.reads_differently(shard, merchant)
        for content in _open_rejections(
            shard, merchant, journal.next_instant(merchant.id), all_of_them=retry or changed
        ):
            # A run that was killed may have read some of them with these settings, and not come to the others.
            if retry or not changed or not _was_retried(shard, journal, merchant, content):
                event = journal.write(merchant.id, "retry", content)
                result.files.append(_said(events.apply(shard, event), say))
        reading.remember_settings(shard, merchant)
        for landed in landing.settled_files(shard.home, merchant.id, settled_s, result.warnings):
            outcome = _take(shard, journal, merchant, landed, result)
            if outcome:
                result.files.append(_said(outcome, say))
    return result


def _take(
    shard: Shard, journal: Journal, merchant: Merchant, landed: Landed, result: IngestResult
) -> FileOutcome | None:
    known = shard.connection.execute(
        "select size_bytes, modified_ns from ledger.landing where merchant_id = $1 and path = $2",
        [merchant.id, landed.name],
    ).fetchone()
    if known == (landed.size_bytes, landed.changed_ns):
        result.unchanged += 1
        return None
    try:
        source = landing.open_plain(landed.path)
    except OSError as problem:
        result.warnings.append(f"landing/{landed.name} cannot be opened ({problem.strerror}) and was left alone.")
        return None
    with source:
        sha256 = archive.keep(shard, landed, source)
    if sha256 is None:
        result.warnings.append(
            f"landing/{landed.name} changed while it was read; it is taken when it has come to rest."
        )
        return None
    outcome = None
    if _last_content(shard, merchant.id, landed.name) == sha256:
        result.unchanged += 1
    else:
        content = {
            "dataset": landed.dataset.name,
            "source_file": landed.name,
            "kind": landing.kind_of(landed.name),
            "sha256": sha256,
            "size_bytes": landed.size_bytes,
        }
        outcome = events.apply(shard, journal.write(merchant.id, "file", content))
    _remember_landed(shard, merchant, landed, sha256)
    return outcome


def _remember_landed(shard: Shard, merchant: Merchant, landed: Landed, sha256: str) -> None:
    with promises.transaction(shard.connection):
        shard.connection.execute(
            "delete from ledger.landing where merchant_id = $1 and path = $2", [merchant.id, landed.name]
        )
        shard.connection.execute(
            "insert into ledger.landing values ($1, $2, $3, $4, $5)",
            [merchant.id, landed.name, landed.size_bytes, landed.changed_ns, sha256],
        )


def _last_content(shard: Shard, merchant_id: str, source_file: str) -> str | None:
    last = shard.connection.execute(
        "select sha256 from ledger.files where merchant_id = $1 and source_file = $2 and reading <> 'retry'"
        " order by event desc limit 1",
        [merchant_id, source_file],
    ).fetchone()
    return None if last is None else str(last[0])


def _open_rejections(shard: Shard, merchant: Merchant, now: datetime, *, all_of_them: bool) -> list[dict[str, Any]]:
    """What to read again: each first reading that left rows open; or only where the time of one has come since."""
    columns = ("dataset", "source_file", "sha256", "size_bytes", "file_event")
    found = shard.connection.execute(
        "select distinct f.dataset, f.source_file, f.sha256, f.size_bytes, f.event"
        " from ledger.rejected_rows r join ledger.files f using (merchant_id, event)"
        " where r.merchant_id = $1 and r.closed_event is null"
        " and ($2 or (r.reason = 'in_the_future' and instant_of(r.value, $3) <= $4)) order by f.event",
        [merchant.id, all_of_them, merchant.timezone, now],
    ).fetchall()
    told = {"settings": reading.settings_of(merchant)}
    return [{**dict(zip(columns, row, strict=True)), "kind": landing.kind_of(row[1]), **told} for row in found]


def _was_retried(shard: Shard, journal: Journal, merchant: Merchant, content: Mapping[str, Any]) -> bool:
    """Whether the last reading of what is open of this file was a retry with the settings that hold now."""
    last = shard.connection.execute(
        "select max(event) from ledger.files where merchant_id = $1 and dataset = $2 and source_file = $3"
        " and sha256 = $4 and reading = 'retry'",
        [merchant.id, *(content[name] for name in ("dataset", "source_file", "sha256"))],
    ).fetchone()
    if last is None or last[0] is None:
        return False
    former = journal.read(merchant.id, last[0]).content
    return all(former.get(name) == content[name] for name in ("file_event", "settings"))


def _said(outcome: FileOutcome | None, say: Say) -> FileOutcome:
    assert outcome is not None
    say(str(outcome))
    return outcome
