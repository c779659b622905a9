"""From a journalled operation to the ledger: its entries, its batch, and the record of it, in one transaction.

The entries are archived before the event is journalled, and the event is journalled before the ledger commits: an
operation that was killed has happened or it has not, and a rebuild posts the same entries again. It is journalled last
of all: one that the ledger cannot take must not be in the journal, from which every later run would try it again.
"""

import hashlib
import io
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import duckdb
import polars as pl

from pipelines import models, promises
from pipelines.journal import Event, Journal, make_folder, write_whole
from pipelines.settings import Home
from pipelines.shards import Shard
from schemas import ledger
from schemas.table import MONEY_PRECISION, MONEY_SCALE, Table, duckdb_columns

_INSTANT = pl.Datetime("us", "UTC")
_MONEY = pl.Decimal(MONEY_PRECISION, MONEY_SCALE)
# Of credits that are issued here, and of what is taken: as ingest has it where a source says nothing.
NEW_PRIORITY = 50
# What a plan says of each entry it posts; what it leaves out is blank. Without occurred_at an entry occurs when the
# operation is recorded.
POSTED: dict[str, Any] = {
    "position": pl.Int64(),
    "entry_id": pl.String(),
    "entry_type": pl.String(),
    "occurred_at": _INSTANT,
    "member_id": pl.String(),
    "balance_type": pl.String(),
    "amount": _MONEY,
    **{
        name: pl.String()
        for name in (
            *("credit_id", "redemption_id", "transfer_id", "batch_id", "credit_type", "reason", "reason_details"),
            *("internal_note", "creator_name", "creator_email", "approved_by", "location"),
        )
    },
    "priority": pl.Int64(),
    "expires_at": _INSTANT,
    "issued_at": _INSTANT,
    "original_amount": _MONEY,
    "system": pl.String(),
}


def archive(home: Home, entries: pl.DataFrame) -> str:
    """Keep entries (columns POSTED) in the archive, on disk when this returns; their hash."""
    made = io.BytesIO()
    entries.write_parquet(made)
    content = made.getvalue()
    sha256 = hashlib.sha256(content).hexdigest()
    make_folder(home.archive)
    write_whole(home.archive / sha256, content)
    return sha256


def record(shard: Shard, merchant_id: str, content: Mapping[str, Any], recorded_at: datetime) -> None:
    """Journal an operation and do to the ledger what it says, or neither. Raises BrokenPromiseError."""
    journal = Journal(shard.home)
    event = journal.next_event(merchant_id, "operation", content, recorded_at)
    apply(shard, event, before_commit=lambda: journal.keep(event))


def apply(shard: Shard, event: Event, *, before_commit: Callable[[], None] = lambda: None) -> None:
    """Do to the ledger what the operation's event says; its entries are in the archive. Raises BrokenPromiseError."""
    content, sql = event.content, shard.connection
    if content["sha256"]:
        path = str(shard.home.archive / content["sha256"])
        sql.execute("create or replace table staging.posted as select * from read_parquet($path)", {"path": path})
    with promises.transaction(sql):
        if content["sha256"]:
            _post(shard, event)
        if content["batch"]:
            _record_batch(shard, event)
        told = {**content, "event": event.number, "merchant_id": event.merchant_id, "finished_at": event.recorded_at}
        insert(sql, "ledger.operations", ledger.Operations, told)
        before_commit()
    sql.execute("drop table if exists staging.posted")


def insert(connection: duckdb.DuckDBPyConnection, name: str, promise: type[Table], row: Mapping[str, Any]) -> None:
    """Put one row into the table `name`: of `row`, the columns that it has."""
    columns = duckdb_columns(promise)
    connection.execute(
        f"insert into {name} values ({', '.join('?' for _ in columns)})",  # noqa: S608 - names of ours, question marks
        [row[column] for column in columns],
    )


def _post(shard: Shard, event: Event) -> None:
    content, sql = event.content, shard.connection
    model = models.load("operations.entries")
    parameters = {
        "merchant_id": event.merchant_id,
        "recorded_at": event.recorded_at,
        "operation_id": content["operation_id"],
        "source_file": f"operations/{content['operation_id']}",
        "event": event.number,
    }
    sql.execute(f"insert into ledger.entries by name {model.sql}", model.bind(parameters))
    posted = promises.validate(
        sql,
        ledger.Entries,
        "select * from ledger.entries where merchant_id = $1 and event = $2",
        [event.merchant_id, event.number],
        "ledger.entries",
    )
    promises.hold(
        posted == content["entries"],
        f"Operation {content['operation_id']} recorded {content['entries']} entries, {posted} are in the ledger",
    )
    known = sql.execute(
        "select entry_id from ledger.entries where merchant_id = $1 and entry_id in"
        " (select entry_id from staging.posted) group by entry_id having count(*) > 1 limit 1",
        [event.merchant_id],
    ).fetchone()
    promises.hold(known is None, f"Entry {known and known[0]} of operation {content['operation_id']} is there already")


def _record_batch(shard: Shard, event: Event) -> None:
    """What a batches file would say of the batch that the operation issued."""
    row = {
        **event.content["batch"],
        "merchant_id": event.merchant_id,
        "recorded_at": event.recorded_at,
        "source_file": f"operations/{event.content['operation_id']}",
        "source_row": 1,
        "file_event": event.number,
        "event": event.number,
    }
    insert(shard.connection, "ledger.batches", ledger.Batches, row)
    promises.validate(
        shard.connection,
        ledger.Batches,
        "select * from ledger.batches where merchant_id = $1 and event = $2",
        [event.merchant_id, event.number],
        "ledger.batches",
    )
