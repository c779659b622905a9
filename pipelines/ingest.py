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
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from pipelines import models, promises, readers
from pipelines.datasets import DATASETS, Dataset
from pipelines.journal import Event, Journal, put_in_place
from pipelines.settings import Home, Merchant
from pipelines.shards import Say, Shard
from schemas.ledger import Published
from schemas.table import duckdb_columns

KINDS = ("csv", "parquet", "jsonl", "xlsx")
UNFINISHED_ENDINGS = (".part", ".tmp")
COPY_BYTES = 8 * 2**20


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
class _Landed:
    dataset: Dataset
    path: Path
    name: str
    size_bytes: int
    modified_ns: int


def ingest(shard: Shard, *, retry: bool = False, say: Say = print) -> IngestResult:
    """Take every new file of the shard's merchants, in order of name; first whatever a former run left undone.

    With `retry`, or where a merchant's settings have changed, rows that were set aside are read again.
    """
    journal = Journal(shard.home)
    result = IngestResult(files=recover(shard))
    for merchant in shard.merchants.values():
        if retry or _reads_differently(shard, merchant):
            for content in _open_rejections(shard, merchant):
                event = journal.write(merchant.id, "retry", content)
                result.files.append(_said(apply(shard, event), say))
        _remember_settings(shard, merchant)
        for landed in _landed_files(shard, merchant, result):
            outcome = _take(shard, journal, merchant, landed, result)
            if outcome:
                result.files.append(_said(outcome, say))
    return result


def recover(shard: Shard) -> list[FileOutcome]:
    """Apply the journal's events that the ledger lacks, in order."""
    journal = Journal(shard.home)
    outcomes = []
    for merchant in shard.merchants.values():
        for event in journal.missing(merchant.id, _known_events(shard, merchant.id)):
            outcome = apply(shard, event)
            if outcome:
                outcomes.append(outcome)
    return outcomes


def apply(shard: Shard, event: Event) -> FileOutcome | None:
    """Do to the ledger what `event` says, in one transaction."""
    if event.kind == "publication":
        _record_publication(shard, event)
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
        self.parameters = {
            **{key: event.content[key] for key in ("dataset", "source_file", "sha256")},
            "merchant_id": event.merchant_id,
            "event": event.number,
            "file_event": event.content.get("file_event", event.number),
            "recorded_at": event.recorded_at,
            "decimal_comma": self.merchant.decimal_comma,
            "id_column": dataset.id_column,
        }

    def run(self) -> FileOutcome:
        rows_read = self._read()
        if self.again:
            rows_read = self._keep_open_rows()
        self._model("staging", self.dataset.name, f"staging.{self.dataset.name}")
        self._model("ledger", f"{self.dataset.singular}_verdicts", "staging.verdicts")
        if not self.dataset.grows:
            self._model("ledger", self.dataset.name, "staging.newest")
        # All of staging is ready by now: a transaction writes to one database.
        with promises.transaction(self.sql):
            self._put_in()
            counts = dict(
                self.sql.execute("select verdict, count(*) from staging.verdicts group by verdict").fetchall()
            )
            accepted, duplicates = counts.get("accepted", 0), counts.get("duplicate", 0)
            if not self.again:
                self._insert("ledger.rejected_rows")
            self._close_rejections()
            outcome = _record_file(
                self.shard, self.event, "retry" if self.again else "first",
                rows_read, accepted, duplicates, rows_read - accepted - duplicates,
            )  # fmt: skip
            kept = self._rows_set_aside()
            promises.hold(
                self.again or outcome.rejected == kept,
                f"{outcome.source_file}: {outcome.rejected} rows were rejected, {kept} of them were kept",
            )
        for name in ("raw", "malformed", self.dataset.name, "verdicts", "newest"):
            _drop(self.sql, name)
        return outcome

    def _read(self) -> int:
        """Fill staging.raw and staging.malformed; rows read, a file that cannot be read being one itself."""
        content = self.event.content
        shape = readers.Shape(self.dataset.columns, self.dataset.required, frozenset(self.merchant.ignore_columns))
        try:
            return readers.read(
                self.sql,
                self.shard.home.archive / content["sha256"],
                content["kind"],
                shape,
                encoding=self.merchant.encoding,
                scratch=self.shard.scratch,
            ).rows_read
        except readers.UnreadableFileError as problem:
            self._stage_unreadable(problem)
            return 1

    def _stage_unreadable(self, problem: readers.UnreadableFileError) -> None:
        """A file that cannot be read is itself a row that is set aside: row 0."""
        self._replace_staged("raw", f"select 0::bigint as source_row, {self._no_cells()} where false", {})
        self._replace_staged(
            "malformed",
            "select 0::bigint as source_row, null::varchar as text, $reason as reason, $explanation as explanation",
            {"reason": problem.reason, "explanation": str(problem)},
        )

    def _no_cells(self) -> str:
        return ", ".join(f'null::varchar as "{name}"' for name in self.dataset.columns)

    def _keep_open_rows(self) -> int:
        """Of what was read, only rows that are still set aside count; where the whole file was, all of them."""
        still_open = (
            "select source_row from ledger.rejected_rows"
            " where merchant_id = $merchant_id and event = $file_event and closed_event is null"
        )
        asked = {key: self.parameters[key] for key in ("merchant_id", "file_event")}
        whole_file = self.sql.execute(f"from ({still_open}) where source_row = 0", asked).fetchone()
        for name in () if whole_file else ("raw", "malformed"):
            self._replace_staged(name, f"select * from staging.{name} where source_row in ({still_open})", asked)
        rows = self.sql.execute(
            "select (select count(*) from staging.raw) + (select count(*) from staging.malformed)"
        ).fetchone()
        assert rows is not None
        return int(rows[0])

    def _replace_staged(self, name: str, select: str, parameters: dict[str, Any]) -> None:
        self.sql.execute(f"create or replace table staging.replaced as {select}", parameters)
        _drop(self.sql, name)
        self.sql.execute(f"alter table staging.replaced rename to {name}")

    def _put_in(self) -> None:
        table = f"ledger.{self.dataset.name}"
        if not self.dataset.grows:
            self.sql.execute(
                f"delete from {table} where merchant_id = $1 and {self.dataset.id_column} in"
                f" (select {self.dataset.id_column} from staging.newest)",
                [self.event.merchant_id],
            )
            self.sql.execute(f"insert into {table} by name from staging.newest")
        else:
            self._insert(table)
        promises.validate(
            self.sql, self.dataset.table, f"select * from {table} where merchant_id = $1 and event = $2",
            [self.event.merchant_id, self.event.number], table,
        )  # fmt: skip

    def _close_rejections(self) -> None:
        """A row set aside is closed when its own reading, or another row with its id, has gone in."""
        if self.again:
            self.sql.execute(
                "update ledger.rejected_rows set closed_event = $event where merchant_id = $merchant_id"
                " and event = $file_event and closed_event is null and (source_row in"
                " (select source_row from staging.verdicts where verdict <> 'rejected')"
                " or (source_row = 0 and not exists (from staging.malformed where source_row = 0)))",
                {key: self.parameters[key] for key in ("event", "merchant_id", "file_event")},
            )
        self.sql.execute(
            f"update ledger.rejected_rows set closed_event = $event where merchant_id = $merchant_id"
            f" and dataset = $dataset and closed_event is null and event <> $event and row_id in"
            f" (select {self.dataset.id_column} from staging.{self.dataset.name} join staging.verdicts using (source_row)"
            f" where verdict = 'accepted')",
            {key: self.parameters[key] for key in ("event", "merchant_id", "dataset")},
        )

    def _rows_set_aside(self) -> int:
        counted = self.sql.execute(
            "select count(*) from ledger.rejected_rows where merchant_id = $1 and event = $2",
            [self.event.merchant_id, self.event.number],
        ).fetchone()
        assert counted is not None
        return int(counted[0])

    def _model(self, layer: str, name: str, into: str) -> None:
        model = models.load(f"{layer}.{name}")
        self.sql.execute(f"create or replace table {into} as {model.sql}", model.bind(self.parameters))

    def _insert(self, table: str) -> None:
        model = models.load(table)
        self.sql.execute(f"insert into {table} by name {model.sql}", model.bind(self.parameters))


def _drop(connection: duckdb.DuckDBPyConnection, staged: str) -> None:
    """Drop a table or view of staging, if it is there."""
    kind = connection.execute(
        "select table_type from information_schema.tables where table_catalog = 'staging' and table_name = $1", [staged]
    ).fetchone()
    if kind:
        connection.execute(f"drop {'view' if kind == ('VIEW',) else 'table'} staging.{staged}")


def _take(
    shard: Shard, journal: Journal, merchant: Merchant, landed: _Landed, result: IngestResult
) -> FileOutcome | None:
    known = shard.connection.execute(
        "select size_bytes, modified_ns from ledger.landing where merchant_id = $1 and path = $2",
        [merchant.id, landed.name],
    ).fetchone()
    if known == (landed.size_bytes, landed.modified_ns):
        result.unchanged += 1
        return None
    sha256 = _archive(shard.home.archive, landed)
    if sha256 is None:
        result.warnings.append(f"{landed.name} changed while it was read; it is taken when it has come to rest.")
        return None
    outcome = None
    if _last_content(shard, merchant.id, landed.name) == sha256:
        result.unchanged += 1
    else:
        kind = landed.path.suffix.lower().removeprefix(".")
        content = {
            "dataset": landed.dataset.name,
            "source_file": landed.name,
            "kind": kind,
            "sha256": sha256,
            "size_bytes": landed.size_bytes,
        }
        outcome = apply(shard, journal.write(merchant.id, "file", content))
    _remember_landed(shard, merchant, landed, sha256)
    return outcome


def _remember_landed(shard: Shard, merchant: Merchant, landed: _Landed, sha256: str) -> None:
    with promises.transaction(shard.connection):
        shard.connection.execute(
            "delete from ledger.landing where merchant_id = $1 and path = $2", [merchant.id, landed.name]
        )
        shard.connection.execute(
            "insert into ledger.landing values ($1, $2, $3, $4, $5)",
            [merchant.id, landed.name, landed.size_bytes, landed.modified_ns, sha256],
        )


def _landed_files(shard: Shard, merchant: Merchant, result: IngestResult) -> Iterator[_Landed]:
    """The merchant's complete files, by dataset and name. Only plain files: a link could lead anywhere."""
    folder = shard.home.landing / merchant.id
    if not folder.is_dir():
        return
    for below in sorted(folder.iterdir()):
        if below.name not in DATASETS and not below.name.startswith("."):
            result.warnings.append(
                f"landing/{merchant.id}/{_shown(below.name)} is no dataset and was left alone; "
                f"datasets are {', '.join(DATASETS)}."
            )
    for dataset in DATASETS.values():
        if not (folder / dataset.name).is_dir():
            continue
        for path in sorted((folder / dataset.name).iterdir()):
            if path.name.startswith(".") or path.name.endswith(UNFINISHED_ENDINGS):
                continue
            name = f"{merchant.id}/{dataset.name}/{_shown(path.name)}"
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                result.warnings.append(f"landing/{name} is no plain file and was left alone.")
                continue
            yield _Landed(dataset, path, name, status.st_size, status.st_mtime_ns)


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
    """A file name as text that can be stored and printed, whatever bytes it has."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in file_name)


def _archive(archive: Path, landed: _Landed) -> str | None:
    """Copy the file to archive/<sha256>; its hash, or None where it changed meanwhile."""
    archive.mkdir(parents=True, exist_ok=True)
    beside = archive / f".{os.getpid()}.tmp"
    digest = hashlib.sha256()
    with landed.path.open("rb") as source, beside.open("wb") as copy:
        while chunk := source.read(COPY_BYTES):
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
        after = os.fstat(source.fileno())
    if (after.st_size, after.st_mtime_ns) != (landed.size_bytes, landed.modified_ns):
        beside.unlink()
        return None
    put_in_place(beside, archive / digest.hexdigest())
    return digest.hexdigest()


def _known_events(shard: Shard, merchant_id: str) -> set[int]:
    return {
        number
        for (number,) in shard.connection.execute(
            "select event from ledger.files where merchant_id = $1"
            " union all select event from ledger.published where merchant_id = $1",
            [merchant_id],
        ).fetchall()
    }


def _rows_of_known_content(shard: Shard, event: Event) -> int | None:
    known = shard.connection.execute(
        "select rows_read from ledger.files"
        " where merchant_id = $1 and dataset = $2 and sha256 = $3 and reading = 'first' order by event limit 1",
        [event.merchant_id, event.content["dataset"], event.content["sha256"]],
    ).fetchone()
    return None if known is None else int(known[0])


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
    return [
        {**dict(zip(columns, row, strict=True)), "kind": str(row[1]).rsplit(".", 1)[-1].lower()} for row in found
    ]


def _reading_settings(merchant: Merchant) -> str:
    return json.dumps(
        {
            "timezone": merchant.timezone,
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
    columns = list(duckdb_columns(Published))
    with promises.transaction(shard.connection):
        shard.connection.execute(
            f"insert into ledger.published values ({', '.join('?' for _ in columns)})", [told[name] for name in columns]
        )


def _said(outcome: FileOutcome | None, say: Say) -> FileOutcome:
    assert outcome is not None
    say(str(outcome))
    return outcome
