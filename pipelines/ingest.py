"""From landing files to the ledger: each file archived, journalled, read, judged row by row, and committed as one.

Killed at any point, a file has been ingested or it has not: its event stands in the journal before the ledger
changes, and an event that the ledger lacks is applied at the next start, before anything else. What a value may look
like is in `pipelines.grammar`, how files are read in `pipelines.readers`, what rows mean in sql/staging and
sql/ledger.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pipelines import clock, database, faults, models, promises, readers, stopping
from pipelines.datasets import DATASETS, Dataset
from pipelines.journal import Event, Journal, JournalError, make_folder, put_in_place
from pipelines.operations import posting
from pipelines.settings import Home, Merchant
from pipelines.shards import LedgerUnavailableError, Say, Shard
from schemas.ledger import Published
from schemas.table import duckdb_columns

KINDS = ("csv", "parquet", "jsonl", "xlsx")
UNFINISHED_ENDINGS = (".part", ".tmp")
# A file that somebody is still copying keeps changing. Runs that nobody watches let it come to rest.
SETTLED_S = 10.0
COPY_BYTES = 8 * 2**20
_STILL_OPEN = """
  select source_row
  from ledger.rejected_rows
  where merchant_id = $merchant_id and event = $file_event and closed_event is null
"""


@dataclass(frozen=True)
class FileOutcome:
    """What became of a file's rows. rows_read = accepted + duplicates + rejected, always."""

    merchant_id: str
    event: int
    dataset: str
    reading: str
    source_file: str
    rows_read: int
    accepted: int
    duplicates: int
    rejected: int

    def __str__(self) -> str:
        again = {"again": " (seen before)", "retry": " (rows set aside before)"}.get(self.reading, "")
        return (
            f"{self.source_file}{again}: {self.rows_read:,} read, {self.accepted:,} accepted, "
            f"{self.duplicates:,} duplicates, {self.rejected:,} rejected"
        )


@dataclass
class IngestResult:
    """The files that were taken, those that were known, and what in landing/ belongs to nobody."""

    files: list[FileOutcome] = field(default_factory=list)
    unchanged: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Landed:
    """A file in landing/."""

    dataset: Dataset
    path: Path
    name: str
    size_bytes: int
    # Of its inode, which no copying program sets to that of its source: a file put in the place of another may have
    # the same size and the same time of modification.
    changed_ns: int

    def rested_s(self) -> float:
        """How long ago the file last changed."""
        return abs(time.time() - self.changed_ns / 1e9)


def ingest(shard: Shard, *, retry: bool = False, settled_s: float = 0.0, say: Say = print) -> IngestResult:
    """Take every new file of the shard's merchants, in order of name; first whatever a former run left undone.

    With `retry`, or where a merchant's settings have changed, rows that were set aside are read again. A file that has
    changed within the last `settled_s` seconds is waited for that long, and left alone where it goes on changing.
    Raises LedgerUnavailableError as `recover` does, and BrokenPromiseError.
    """
    journal = Journal(shard.home)
    result = IngestResult(files=[_said(outcome, say) for outcome in recover(shard)])
    for merchant in shard.merchants.values():
        result.warnings += _of_another_timezone(shard, merchant)
        if retry or _reads_differently(shard, merchant):
            for content in _open_rejections(shard, merchant):
                # A run that was killed may have read some of them with these settings, and not come to the others.
                if retry or not _was_retried(shard, journal, merchant, content):
                    event = journal.write(merchant.id, "retry", content)
                    result.files.append(_said(apply(shard, event), say))
        _remember_settings(shard, merchant)
        for landed in _settled_files(shard.home, merchant.id, settled_s, result.warnings):
            outcome = _take(shard, journal, merchant, landed, result)
            if outcome:
                result.files.append(_said(outcome, say))
    return result


def recover(shard: Shard) -> list[FileOutcome]:
    """Apply the journal's events that the ledger lacks, in order.

    Raises JournalError or LedgerUnavailableError where it is the journal or the archive that lacks something, or has
    something else than was put there.
    """
    journal = Journal(shard.home)
    outcomes = []
    for merchant in shard.merchants.values():
        # Of a ledger that is made again, these settings are those that its files are read with.
        if not shard.connection.execute("from ledger.readings where merchant_id = $1", [merchant.id]).fetchone():
            _remember_settings(shard, merchant)
        known = _known_events(shard, merchant.id)
        if lost := known - {*journal.numbers(merchant.id)}:
            # A new event would get the number of a lost one.
            raise JournalError(
                f'The ledger "{shard.name}" knows event {min(lost)} of {merchant.id}, which'
                f" {shard.home.journal / merchant.id} lacks (and {len(lost) - 1:,} others). Put the journal back from a"
                " backup."
            )
        for event in journal.missing(merchant.id, known):
            _hold_archived(shard, event)
            outcome = apply(shard, event)
            if outcome:
                outcomes.append(outcome)
    return outcomes


def apply(shard: Shard, event: Event) -> FileOutcome | None:
    """Do to the ledger what `event` says, in one transaction."""
    if event.kind == "publication":
        _record_publication(shard, event)
        return None
    if event.kind == "operation":
        posting.apply(shard, event)
        return None
    dataset = DATASETS[event.content["dataset"]]
    if event.kind == "file" and dataset.grows and (rows := _rows_of_known_content(shard, event)) is not None:
        with promises.transaction(shard.connection):
            return _record_file(shard, event, "again", rows, 0, rows, 0)
    return _Reading(shard, event, dataset).run()


class _Reading:
    """One file, or what was set aside of it, from the archive into the ledger."""

    def __init__(self, shard: Shard, event: Event, dataset: Dataset) -> None:
        self.shard, self.event, self.dataset = shard, event, dataset
        self.merchant = shard.merchants[event.merchant_id]
        self.sql = shard.connection
        self.again = event.kind == "retry"
        self.is_unreadable = False
        self.parameters = {
            **{key: event.content[key] for key in ("dataset", "source_file", "sha256")},
            "merchant_id": event.merchant_id,
            "event": event.number,
            "file_event": event.content.get("file_event", event.number),
            "place": _place(shard, event),
            "recorded_at": event.recorded_at,
            "decimal_comma": self.merchant.decimal_comma,
            "id_columns": list(dataset.id_columns),
        }

    def run(self) -> FileOutcome:
        rows_read = self._read()
        if self.again:
            rows_read = self._keep_open_rows()
        self._model("staging", self.dataset.name, f"staging.{self.dataset.name}")
        self._model("ledger", f"{self.dataset.singular}_verdicts", "staging.verdicts")
        counts = dict(self.sql.execute("select verdict, count(*) from staging.verdicts group by verdict").fetchall())
        accepted, duplicates = counts.get("accepted", 0), counts.get("duplicate", 0)
        # In most files nothing is wrong, and to find words for it takes longer than to read a small one.
        is_anything_wrong = "rejected" in counts or rows_read > accepted + duplicates
        if is_anything_wrong:
            self._model("ledger", "rejected_rows", "staging.rejected_rows")
        self._keep_accepted()
        if not self.dataset.grows:
            self._model("ledger", self.dataset.name, "staging.newest")
        # All that is staged is typed and judged by now, and a large file's cells are many.
        database.drop(self.sql, "staging", "raw", "cells", "shifts")
        # A snapshot of which no row could go in, as of a file that could not be read, leaves the one before in place.
        takes_its_place = accepted > 0 or (rows_read == 0 and not self.again)
        # A transaction writes to one database.
        with promises.transaction(self.sql):
            self._put_in(takes_its_place=takes_its_place)
            kept = self._set_aside() if is_anything_wrong else 0
            self._close_rejections(takes_its_place=takes_its_place)
            outcome = _record_file(
                self.shard, self.event, "retry" if self.again else "first",
                rows_read, accepted, duplicates, rows_read - accepted - duplicates,
            )  # fmt: skip
            promises.hold(
                outcome.rejected == kept,
                f"{outcome.source_file}: {outcome.rejected} rows were rejected, {kept} of them were kept",
            )
        database.drop(self.sql, "staging")
        return outcome

    def _read(self) -> int:
        """Fill staging.raw and staging.malformed; rows read, a file that cannot be read being one itself."""
        content = self.event.content
        archived = _archived(self.shard, self.event)
        shape = readers.Shape(self.dataset.columns, self.dataset.required, frozenset(self.merchant.ignore_columns))
        try:
            if content["kind"] not in KINDS:
                raise _unknown_kind(content["kind"])
            return readers.read(
                self.sql,
                archived,
                content["kind"],
                shape,
                encoding=self.merchant.encoding,
                scratch=self.shard.scratch,
                decimal_mark="," if self.merchant.decimal_comma else ".",
            ).rows_read
        except readers.UnreadableFileError as problem:
            self.is_unreadable = True
            self._stage_unreadable(problem)
            return 1

    def _stage_unreadable(self, problem: readers.UnreadableFileError) -> None:
        """A file that cannot be read is itself a row that is set aside: row 0."""
        self._replace_staged("raw", f"select 0::bigint as source_row, {self._no_cells()} where false", {})
        self._replace_staged(
            "malformed",
            "select 0::bigint as source_row, null::varchar as text, $reason as reason, $explanation as explanation,"
            " null::varchar as cells",
            {"reason": problem.reason, "explanation": str(problem)},
        )

    def _no_cells(self) -> str:
        return ", ".join(f'null::varchar as "{name}"' for name in self.dataset.columns)

    def _keep_open_rows(self) -> int:
        """Of what was read, only rows that are still set aside count; where the whole file was, all of them."""
        asked = {key: self.parameters[key] for key in ("merchant_id", "file_event")}
        whole_file = self.sql.execute(f"from ({_STILL_OPEN}) where source_row = 0", asked).fetchone()
        for name in () if whole_file else ("raw", "malformed"):
            self._replace_staged(
                name,
                f"select * from staging.{name} where source_row in ({_STILL_OPEN})",  # noqa: S608 - names of ours
                asked,
            )
        rows = self.sql.execute(
            "select (select count(*) from staging.raw) + (select count(*) from staging.malformed)"
        ).fetchone()
        assert rows is not None
        return int(rows[0])

    def _replace_staged(self, name: str, select: str, parameters: dict[str, Any]) -> None:
        self.sql.execute(f"create or replace table staging.replaced as {select}", parameters)
        database.drop(self.sql, "staging", name)
        self.sql.execute(f"alter table staging.replaced rename to {name}")

    def _keep_accepted(self) -> None:
        """Leave only accepted rows staged, for sql/ledger to put in. Without a join DuckDB does so on all cores."""
        self.sql.execute(
            f"delete from staging.{self.dataset.name}"  # noqa: S608 - names of ours
            " where source_row in (select source_row from staging.verdicts where verdict <> 'accepted')"
        )

    def _put_in(self, *, takes_its_place: bool) -> None:
        table = f"ledger.{self.dataset.name}"
        if self.dataset.snapshot and not takes_its_place:
            return
        if not self.dataset.grows:
            replaced = f"{self.dataset.id_column} in (select {self.dataset.id_column} from staging.newest)"  # noqa: S608 - names of ours
            if self.dataset.snapshot:
                replaced = "true"  # all before it
            self.sql.execute(
                f"delete from {table} where merchant_id = $1 and {replaced}",  # noqa: S608 - names of ours
                [self.event.merchant_id],
            )
            self.sql.execute(f"insert into {table} by name from staging.newest")
        else:
            self._insert(table)
        promises.validate(
            self.sql,
            self.dataset.table,
            f"select * from {table} where merchant_id = $1 and event = $2",  # noqa: S608 - names of ours
            [self.event.merchant_id, self.event.number],
            table,
        )

    def _set_aside(self) -> int:
        """Keep the rejected rows; how many. One that was set aside before stays, with its present reason."""
        asked = {key: self.parameters[key] for key in ("merchant_id", "file_event")}
        kept = self.sql.execute(
            "update ledger.rejected_rows as kept set"
            " column_name = now.column_name, value = now.value, reason = now.reason, explanation = now.explanation"
            " from staging.rejected_rows as now where kept.merchant_id = $merchant_id and kept.event = $file_event"
            " and kept.closed_event is null and kept.source_row = now.source_row",
            asked,
        ).fetchone()
        new = self.sql.execute(
            "insert into ledger.rejected_rows by name"  # noqa: S608 - names of ours
            f" select * from staging.rejected_rows where source_row not in ({_STILL_OPEN}) order by source_row",
            asked,
        ).fetchone()
        assert kept is not None
        assert new is not None
        return int(kept[0]) + int(new[0])

    def _close_rejections(self, *, takes_its_place: bool) -> None:
        """Close what was set aside and has gone in: by its own reading, or as another row with its id that came later.

        A file that could not be read is closed when it can be, or when its path has come to hold one that can, or its
        bytes another name. What was set aside of a snapshot is closed by the next one, which has taken its place.
        """
        open_rows = "merchant_id = $merchant_id and dataset = $dataset and closed_event is null"
        asked = {key: self.parameters[key] for key in ("merchant_id", "dataset")}
        if not self.sql.execute(f"from ledger.rejected_rows where {open_rows} limit 1", asked).fetchone():
            return
        asked |= {key: self.parameters[key] for key in ("event", "file_event")}
        if self.again:
            self.sql.execute(
                f"update ledger.rejected_rows set closed_event = $event where {open_rows} and event = $file_event"  # noqa: S608 - names of ours
                " and source_row in (select source_row from staging.verdicts where verdict <> 'rejected')",
                asked,
            )
        self.sql.execute(
            "update ledger.rejected_rows as kept set closed_event = $event from ("  # noqa: S608 - names of ours
            f" select {self.dataset.id_column} as id, max(source_row) as source_row"
            f" from staging.{self.dataset.name}"
            f" where id in (select row_id from ledger.rejected_rows where {open_rows})"
            f" group by id) as accepted where {open_rows} and kept.row_id = accepted.id"
            " and row(kept.event, kept.source_row) < row($file_event::bigint, accepted.source_row)",
            asked,
        )
        # What is staged does not say that it could be read: of a retry that is the rows still open alone, and a rebuild
        # with settings that the file cannot be read with has none of those that a former reading left.
        if not self.is_unreadable:
            # Equal bytes that came later under another name are the newest word once more.
            among = "" if self.dataset.grows else "and event <= $file_event"
            self.sql.execute(
                f"update ledger.rejected_rows set closed_event = $event where {open_rows} and source_row = 0"  # noqa: S608 - names of ours
                f" and (sha256 = $sha256 {among} or (source_file = $source_file and event < $file_event))",
                {**asked, "source_file": self.event.content["source_file"], "sha256": self.event.content["sha256"]},
            )
        if self.dataset.snapshot and takes_its_place:
            self.sql.execute(
                f"update ledger.rejected_rows set closed_event = $event where {open_rows} and event < $place",  # noqa: S608 - names of ours
                {key: self.parameters[key] for key in ("merchant_id", "dataset", "event", "place")},
            )

    def _model(self, layer: str, name: str, into: str) -> None:
        model = models.load(f"{layer}.{name}")
        self.sql.execute(f"create or replace table {into} as {model.sql}", model.bind(self.parameters))

    def _insert(self, table: str) -> None:
        model = models.load(table)
        self.sql.execute(f"insert into {table} by name {model.sql}", model.bind(self.parameters))


def _unknown_kind(kind: str) -> readers.UnreadableFileError:
    named = f'ends in ".{kind}"' if kind else "has no ending"
    return readers.UnreadableFileError(
        "unknown_kind",
        f"The name of the file {named}, which says of no kind of file that is read here: .csv, .parquet, .jsonl, .xlsx."
        " Save it as one of these and send it again.",
    )


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
        source = _open(landed.path)
    except OSError as problem:
        result.warnings.append(f"landing/{landed.name} cannot be opened ({problem.strerror}) and was left alone.")
        return None
    with source:
        sha256 = _archive(shard, landed, source)
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
            "kind": _kind(landed.name),
            "sha256": sha256,
            "size_bytes": landed.size_bytes,
        }
        outcome = apply(shard, journal.write(merchant.id, "file", content))
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


def landed_files(home: Home, merchant_id: str, warnings: list[str]) -> Iterator[Landed]:
    """The merchant's complete files, by dataset and name. Only plain files: a link could lead anywhere."""
    folder = home.landing / merchant_id
    if not folder.is_dir():
        return
    warnings += [
        f"landing/{merchant_id}/{_shown(below.name)} is no dataset and was left alone; "
        f"datasets are {', '.join(DATASETS)}."
        for below in sorted(folder.iterdir())
        if below.name not in DATASETS and not below.name.startswith(".")
    ]
    for dataset in DATASETS.values():
        if (folder / dataset.name).is_symlink():
            warnings.append(f"landing/{merchant_id}/{dataset.name} is a link and was left alone.")
            continue
        if not (folder / dataset.name).is_dir():
            continue
        for path in sorted((folder / dataset.name).iterdir()):
            if path.name.startswith(".") or path.name.endswith(UNFINISHED_ENDINGS):
                continue
            name = f"{merchant_id}/{dataset.name}/{_shown(path.name)}"
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue  # taken away since the folder was listed
            if not stat.S_ISREG(status.st_mode):
                warnings.append(f"landing/{name} is no plain file and was left alone.")
                continue
            yield Landed(dataset, path, name, status.st_size, status.st_ctime_ns)


def _settled_files(home: Home, merchant_id: str, settled_s: float, warnings: list[str]) -> Iterator[Landed]:
    """Those of the merchant's files that are at rest, or come to it while this waits for the one that changed last."""
    if settled_s:
        youngest_s = min((landed.rested_s() for landed in landed_files(home, merchant_id, [])), default=settled_s)
        stopping.pause(max(settled_s - youngest_s, 0.0))
    for landed in landed_files(home, merchant_id, warnings):
        if landed.rested_s() >= settled_s:
            yield landed
        else:
            warnings.append(f"landing/{landed.name} is still changing; it is taken when it has come to rest.")


def undeclared_merchants(home: Home, declared: Collection[str]) -> list[str]:
    """A warning for each folder of landing/ that no merchant in merchants.toml has."""
    if not home.landing.is_dir():
        return []
    return [
        f"landing/{_shown(folder.name)} belongs to no merchant of merchants.toml and was left alone."
        for folder in sorted(home.landing.iterdir())
        if folder.name not in declared and not folder.name.startswith(".")
    ]


def _shown(file_name: str) -> str:
    """A file name as text that can be stored and printed, whatever bytes it has; no two names give the same text."""
    return "".join(c if c.isprintable() and c != "\\" else ascii(c)[1:-1] for c in file_name)


def _kind(name: str) -> str:
    """What the ending of a file's name says it is."""
    return name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name.rpartition("/")[2] else ""


def _open(path: Path) -> BinaryIO:
    """Open what was a plain file a moment ago. By now it may be a link, which is not followed, or a pipe."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def _archive(shard: Shard, landed: Landed, source: BinaryIO) -> str | None:
    """Copy the file to archive/<sha256>; its hash, or None where it changed meanwhile."""
    archive = shard.home.archive
    make_folder(archive)
    # One name a shard, whose lock is held: what a killed run left behind is written over.
    beside = archive / f".{shard.name}.tmp"
    digest = hashlib.sha256()
    with faults.naming(beside), beside.open("wb") as copy:
        while chunk := source.read(COPY_BYTES):
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


def _archived(shard: Shard, event: Event) -> Path:
    """The archived file that an event is about. Raises LedgerUnavailableError where it is missing."""
    archived = shard.home.archive / str(event.content["sha256"])
    if not archived.is_file():
        raise LedgerUnavailableError(f"{archived} is missing: {_what_it_held(event)}")
    return archived


def _hold_archived(shard: Shard, event: Event) -> None:
    """See that what is read again is what was put there. Raises LedgerUnavailableError where it is not."""
    if not event.content.get("sha256") or event.kind == "publication":
        return
    archived = _archived(shard, event)
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


def _known_events(shard: Shard, merchant_id: str) -> set[int]:
    return {
        number
        for (number,) in shard.connection.execute(
            "select event from ledger.files where merchant_id = $1"
            " union all select event from ledger.published where merchant_id = $1"
            " union all select event from ledger.operations where merchant_id = $1",
            [merchant_id],
        ).fetchall()
    }


def _rows_of_known_content(shard: Shard, event: Event) -> int | None:
    """How many rows these bytes have, where they were read before as the same kind of file."""
    readings = shard.connection.execute(
        "select source_file, rows_read from ledger.files"
        " where merchant_id = $1 and dataset = $2 and sha256 = $3 and reading <> 'again'",
        [event.merchant_id, event.content["dataset"], event.content["sha256"]],
    ).fetchall()
    # A retry reads fewer rows than there are, unless the file could not be read before: then it counted as one.
    return max((rows for name, rows in readings if _kind(name) == event.content["kind"]), default=None)


def _last_content(shard: Shard, merchant_id: str, source_file: str) -> str | None:
    last = shard.connection.execute(
        "select sha256 from ledger.files where merchant_id = $1 and source_file = $2 and reading <> 'retry'"
        " order by event desc limit 1",
        [merchant_id, source_file],
    ).fetchone()
    return None if last is None else str(last[0])


def _open_rejections(shard: Shard, merchant: Merchant) -> list[dict[str, Any]]:
    """What to read again: each first reading that left rows open."""
    columns = ("dataset", "source_file", "sha256", "size_bytes", "file_event")
    found = shard.connection.execute(
        "select distinct f.dataset, f.source_file, f.sha256, f.size_bytes, f.event"
        " from ledger.rejected_rows r join ledger.files f using (merchant_id, event)"
        " where r.merchant_id = $1 and r.closed_event is null order by f.event",
        [merchant.id],
    ).fetchall()
    told = {"settings": _reading_settings(merchant)}
    return [{**dict(zip(columns, row, strict=True)), "kind": _kind(row[1]), **told} for row in found]


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


def _place(shard: Shard, event: Event) -> int:
    """The event with which the file came, whose place its rows keep: a retry may read what another retry set aside."""
    journal = Journal(shard.home)
    while event.kind == "retry":
        event = journal.read(event.merchant_id, event.content["file_event"])
    return event.number


def _reading_settings(merchant: Merchant) -> str:
    return json.dumps(
        {
            "timezone": merchant.timezone,
            "timezone_rules": clock.rules_hash(merchant.timezone),
            "units": merchant.units,
            "decimal_comma": merchant.decimal_comma,
            "ignore_columns": sorted(merchant.ignore_columns),
            "encoding": merchant.encoding,
        },
        sort_keys=True,
    )


def _reads_differently(shard: Shard, merchant: Merchant) -> bool:
    last = shard.connection.execute(
        "select settings from ledger.readings where merchant_id = $1", [merchant.id]
    ).fetchone()
    return last is not None and last[0] != _reading_settings(merchant)


def _of_another_timezone(shard: Shard, merchant: Merchant) -> list[str]:
    """A warning where files were read in another timezone, or by other rules of it: they are not read again."""
    last = shard.connection.execute(
        "select settings from ledger.readings semi join ledger.files using (merchant_id) where merchant_id = $1",
        [merchant.id],
    ).fetchone()
    was, rules = json.loads(last[0]) if last else {}, clock.rules_hash(merchant.timezone)
    if was.get("timezone", merchant.timezone) != merchant.timezone:
        changed = f'the timezone was "{was["timezone"]}" and is "{merchant.timezone}"'
    elif was.get("timezone_rules", rules) != rules:
        changed = f"{merchant.timezone} has other rules in this release of tzdata"
    else:
        return []
    said = (
        f"{merchant.id}: {changed}. Times without offset in the files that were taken before are still as they were"
        " read then. Run `rollforward rebuild`, which reads them again."
    )
    return [said]


def _remember_settings(shard: Shard, merchant: Merchant) -> None:
    settings = _reading_settings(merchant)
    if shard.connection.execute(
        "from ledger.readings where merchant_id = $1 and settings = $2", [merchant.id, settings]
    ).fetchone():
        return
    with promises.transaction(shard.connection):
        shard.connection.execute("delete from ledger.readings where merchant_id = $1", [merchant.id])
        shard.connection.execute("insert into ledger.readings values ($1, $2)", [merchant.id, settings])


def _record_file(
    shard: Shard, event: Event, reading: str, rows_read: int, accepted: int, duplicates: int, rejected: int
) -> FileOutcome:
    content = event.content
    shard.connection.execute(
        "insert into ledger.files values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        [
            *(event.merchant_id, event.number, content["dataset"], reading, content["source_file"]),
            *(content["sha256"], content["size_bytes"], event.recorded_at, rows_read, accepted, duplicates, rejected),
        ],
    )
    return FileOutcome(
        event.merchant_id, event.number, content["dataset"], reading, content["source_file"],
        rows_read, accepted, duplicates, rejected,
    )  # fmt: skip


def _record_publication(shard: Shard, event: Event) -> None:
    told = {
        **event.content,
        "event": event.number,
        "merchant_id": event.merchant_id,
        "recorded_at": event.recorded_at,
    }
    # What an event of a former version does not say is blank.
    row = dict.fromkeys(duckdb_columns(Published)) | told
    with promises.transaction(shard.connection):
        posting.insert(shard.connection, "ledger.published", Published, row)


def _said(outcome: FileOutcome | None, say: Say) -> FileOutcome:
    assert outcome is not None
    say(str(outcome))
    return outcome
