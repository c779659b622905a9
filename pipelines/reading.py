"""One file, or what was set aside of it, from the archive into the ledger: read, typed, judged, and committed as one.

What a value may look like is in `pipelines.grammar`, how files are read in `pipelines.readers`, what rows mean in
sql/staging and sql/ledger. With which settings a merchant's files were read, the ledger knows.
"""

import json
from dataclasses import dataclass
from typing import Any

from pipelines import archive, clock, database, models, promises, readers
from pipelines.counts import counted
from pipelines.datasets import DATASETS, Dataset
from pipelines.journal import Event, Journal
from pipelines.landing import kind_of
from pipelines.settings import Merchant
from pipelines.shards import Shard

KINDS = ("csv", "parquet", "jsonl", "xlsx")
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
            f"{counted(self.duplicates, 'duplicate', 'duplicates')}, {self.rejected:,} rejected"
        )


def read(shard: Shard, event: Event) -> FileOutcome:
    """Do to the ledger what the event of a file, or of its retry, says."""
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
        archived = archive.path_of(self.shard, self.event)
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


def _rows_of_known_content(shard: Shard, event: Event) -> int | None:
    """How many rows these bytes have, where they were read before as the same kind of file."""
    readings = shard.connection.execute(
        "select source_file, rows_read from ledger.files"
        " where merchant_id = $1 and dataset = $2 and sha256 = $3 and reading <> 'again'",
        [event.merchant_id, event.content["dataset"], event.content["sha256"]],
    ).fetchall()
    # A retry reads fewer rows than there are, unless the file could not be read before: then it counted as one.
    return max((rows for name, rows in readings if kind_of(name) == event.content["kind"]), default=None)


def _place(shard: Shard, event: Event) -> int:
    """The event with which the file came, whose place its rows keep: a retry may read what another retry set aside."""
    journal = Journal(shard.home)
    while event.kind == "retry":
        event = journal.read(event.merchant_id, event.content["file_event"])
    return event.number


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


def settings_of(merchant: Merchant) -> str:
    """The settings that decide how a file is read, as JSON."""
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


def reads_differently(shard: Shard, merchant: Merchant) -> bool:
    """Whether these settings are others than those that the merchant's files were last read with."""
    last = shard.connection.execute(
        "select settings from ledger.readings where merchant_id = $1", [merchant.id]
    ).fetchone()
    return last is not None and last[0] != settings_of(merchant)


def warn_of_timezone(shard: Shard, merchant: Merchant) -> list[str]:
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


def remember_settings(shard: Shard, merchant: Merchant) -> None:
    """Have the ledger know with which settings the merchant's files are read from now on."""
    settings = settings_of(merchant)
    if shard.connection.execute(
        "from ledger.readings where merchant_id = $1 and settings = $2", [merchant.id, settings]
    ).fetchone():
        return
    with promises.transaction(shard.connection):
        shard.connection.execute("delete from ledger.readings where merchant_id = $1", [merchant.id])
        shard.connection.execute("insert into ledger.readings values ($1, $2)", [merchant.id, settings])
