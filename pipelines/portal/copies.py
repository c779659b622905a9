"""What pages read: one merchant's rows of a shard's copy for readers, with personal details masked where they must be.

A reader sees its merchant through views that hold no other's rows, so that a forgotten filter shows nobody else's. A
run puts a new copy in place by renaming it: a reader keeps the file that it opened, and the next one opens the new.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import BoundedSemaphore, Lock
from typing import Any

import duckdb
import polars as pl

from pipelines import batches, clock, database, listings, models, periods, reports, shards, wording
from pipelines.settings import Home, Merchant
from schemas.table import create_statement

MOST_IDLE, MOST_AT_ONCE = 8, 16
MEMORY = "1GB"
# How old the state of batches may be, which is worked out as of a moment: credits expire while nobody writes.
BATCHES_FRESH = timedelta(minutes=1)
HIDDEN = "(hidden)"
EMAIL = r"""[^\s<>"();,:]+@[^\s<>"();,:]+"""
# What names a thing of ours: in that of an interim workbook and its period there is an @ before its as_of.
_NAMES = frozenset({"id", "unit", "balance_type", "sha256", "rule", "period", "path", "entry_ids"})
# What a row of a file says in full is only for those who may see everything in it.
_WITHHELD = frozenset({"internal_note", "row", "value", "request"})
_LAYERS = ("ledger", "facts", "reports", "audits")

Identity = tuple[int, int, int]
Row = dict[str, Any]


class NothingReportedError(Exception):
    """The table that a page reads is not there yet: no run has made it."""


@dataclass
class Rows:
    """Some rows of a listing, how many there are in all, and what those come to by unit."""

    rows: list[Row]
    matched: int
    sums: Mapping[str, Any]


class Reader:
    """One merchant's rows as one copy has them. For one request at a time."""

    def __init__(self, home: Home, merchant: Merchant, *, masked: bool) -> None:
        path = shards.read_copy_path(home, merchant.shard)
        # Before opening: should a run replace the copy in between, this reader counts as of the former and is not
        # used again.
        self.identity = _identity(home, merchant)
        self.merchant, self.masked = merchant, masked
        self._connection = database.connect(memory_limit=MEMORY, temp_directory="")
        self._batches_as_of: datetime | None = None
        try:
            self._prepare(str(path))
        except BaseException as problem:
            self._connection.close()
            if isinstance(problem, duckdb.IOException):
                raise listings.ListingError(
                    "The ledger's copy for readers cannot be read. Whoever runs Rollforward deletes it and runs"
                    " `rollforward ingest`, which makes it again."
                ) from None
            raise

    def _prepare(self, path: str) -> None:
        connection = self._connection
        connection.execute("set TimeZone = 'UTC'")
        clock.register(connection)
        wording.register(connection)
        connection.execute(shards.NAME_AND_EMAIL)
        shards.attach(connection, path, "ledger_copy", read_only=True)
        shards.tell_settings(connection, {self.merchant.id: self.merchant})
        connection.execute("attach ':memory:' as today")
        # Nothing of what follows, whatever it says, can reach another file.
        connection.execute("set enable_external_access = false")
        tables: dict[tuple[str, str], dict[str, str]] = {}
        for schema, table, column, kind in connection.execute(
            "select schema_name, table_name, column_name, data_type from duckdb_columns()"
            " where database_name = 'ledger_copy' order by table_oid, column_index"
        ).fetchall():
            if schema in _LAYERS:
                tables.setdefault((schema, table), {})[column] = kind
        # Pages take a table that is not there for one that no run has made yet, and would show that nobody has credit.
        listings.see_version({f"{schema}.{table}": columns for (schema, table), columns in tables.items()})
        self._views = {
            (schema, table): _own_rows(schema, table, columns, self.merchant.id, masked=self.masked)
            for (schema, table), columns in tables.items()
        }
        self._create_views("memory", _LAYERS)
        connection.execute("use memory")
        # A ledger that was made again has none of these before its next report, and all that was published before.
        for name in reports.names():
            if tuple(name.split(".")) not in tables:
                connection.execute(create_statement(name, reports.promise_of(name)))

    def _create_views(self, database: str, layers: Sequence[str]) -> None:
        for schema in _LAYERS:
            self._connection.execute(f"create schema {database}.{schema}")
        for (schema, table), rows in self._views.items():
            if schema in layers:
                self._connection.execute(f'create view {database}.{schema}."{table}" as {rows}')

    def close(self) -> None:
        """Let go of the copy."""
        self._connection.close()

    def rows(self, name: str, **values: Any) -> list[Row]:
        """The rows of the model `name`. Raises NothingReportedError."""
        model = models.load(name)
        with _told():
            return _rows_of(self._connection.execute(model.sql, model.bind(self._with_own(values))))

    def page(
        self,
        name: str,
        values: Mapping[str, Any],
        *,
        size: int | None,
        offset: int,
        amount: str | None,
        order: str,
    ) -> Rows:
        """Rows of the listing `name` from `offset` on, `size` at most; `amount` is the column to be summed by unit.

        `order` is theirs, of columns of the query or its rowid.

        A listing that takes $limit counts and sums by itself, in columns `matched` and `sums`, without making all of
        its rows. Raises NothingReportedError.
        """
        model = models.load(name)
        if "limit" in model.parameters:
            rows = self.rows(name, **values, limit=size, offset=offset)
            if not rows:
                return Rows([], 0, {})
            sums = {each["unit"]: each["amount"] for each in rows[0]["sums"] or ()}
            return Rows(rows, rows[0]["matched"], sums)
        self._list(name, values)
        matched = self._connection.table("listed").shape[0]
        rows = _rows_of(self._connection.execute(f"from listed order by {order} limit $1 offset $2", [size, offset]))
        return Rows(rows, matched, self._sums(amount) if amount else {})

    def _sums(self, column: str) -> dict[str, Any]:
        summed = self._connection.execute(
            f"select unit, sum({column})::decimal(38, 4) from listed group by unit order by unit"  # noqa: S608 - a name of ours
        )
        return dict(summed.fetchall())

    def frame(self, name: str, values: Mapping[str, Any]) -> pl.DataFrame:
        """All rows of the listing `name`. Raises NothingReportedError."""
        model = models.load(name)
        with _told():
            bound = model.bind({**self._with_own(values), "limit": None, "offset": 0})
            return self._connection.execute(model.sql, bound).pl()

    @contextmanager
    def batches(self, now: datetime) -> Iterator[datetime]:
        """Within it, audits.credits_batches and audits.batch_recipients are of all batches; as of the moment given."""
        connection = self._connection
        if self._batches_as_of is None:
            self._create_views("today", ("ledger", "facts"))
        connection.execute("use today")
        try:
            # Not "older than": clocks are set back.
            if self._batches_as_of is None or abs(now - self._batches_as_of) > BATCHES_FRESH:
                periods.tell(connection, [batches.all_until(self.merchant, now)])
                for table in batches.TABLES:
                    connection.execute(f"create or replace table {table} as {models.load(table).sql}")
                self._batches_as_of = now
            yield self._batches_as_of
        finally:
            connection.execute("use memory")

    def _list(self, name: str, values: Mapping[str, Any]) -> None:
        model = models.load(name)
        with _told():
            self._connection.execute(
                f"create or replace temp table listed as {model.sql}", model.bind(self._with_own(values))
            )

    def _with_own(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {"merchants": [self.merchant.id], **values}


class Copies:
    """Readers of the shards' copies, kept open between requests for as long as their copy is the newest."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._idle: list[Reader] = []
        self._lock = Lock()
        # Who comes when so many pages are being read waits: each may take memory.
        self._turns = BoundedSemaphore(MOST_AT_ONCE)

    @contextmanager
    def of(self, merchant: Merchant, *, masked: bool) -> Iterator[Reader]:
        """A reader of the merchant's rows, for this request alone.

        Raises ListingError where nothing has been ingested yet.
        """
        with self._turns:
            reader = self._take(merchant, masked=masked) or Reader(self.home, merchant, masked=masked)
            try:
                yield reader
            except BaseException:
                reader.close()
                raise
            self._put_back(reader)

    def _take(self, merchant: Merchant, *, masked: bool) -> Reader | None:
        newest = _identity(self.home, merchant)
        with self._lock:
            for at, reader in enumerate(self._idle):
                if (reader.merchant, reader.masked, reader.identity) == (merchant, masked, newest):
                    return self._idle.pop(at)
        return None

    def _put_back(self, reader: Reader) -> None:
        with self._lock:
            self._idle.append(reader)
            # Former copies first, then whoever has waited longest.
            former = [one for one in self._idle if one.merchant == reader.merchant and one.identity != reader.identity]
            leaving = former or self._idle[:-MOST_IDLE]
            self._idle = [one for one in self._idle if one not in leaving]
        for one in leaving:
            one.close()


def _rows_of(found: duckdb.DuckDBPyConnection) -> list[Row]:
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def local(frame: pl.DataFrame, timezone: str) -> pl.DataFrame:
    """`frame` with its instants as local times."""
    instants = [name for name, kind in frame.schema.items() if kind == pl.Datetime("us", "UTC")]
    return frame.with_columns(
        pl.Series(name, clock.local_micros(frame[name].dt.epoch("us").fill_null(0).to_numpy(), timezone))
        .cast(pl.Datetime("us"))
        .set(frame[name].is_null(), None)
        for name in instants
    )


def _own_rows(schema: str, table: str, columns: Mapping[str, str], merchant_id: str, *, masked: bool) -> str:
    """A SELECT of the merchant's rows. The id is of merchants.toml, and has only a-z, 0-9 and -."""
    replaced = [f'{shown} as "{name}"' for name, kind in columns.items() if (shown := _masked(name, kind))]
    replace = f" replace ({', '.join(replaced)})" if masked and replaced else ""
    return f"select *{replace} from ledger_copy.{schema}.\"{table}\" where merchant_id = '{merchant_id}'"  # noqa: S608


def _masked(name: str, kind: str) -> str | None:
    if kind != "VARCHAR" or name.endswith("_id") or name in _NAMES:
        return None
    if name in _WITHHELD:
        return "null::varchar"
    if name == "email":
        return f"if(email is null, null, '{HIDDEN}')"
    return f"""if(contains("{name}", '@'), regexp_replace("{name}", '{EMAIL}', '{HIDDEN}', 'g'), "{name}")"""


def _identity(home: Home, merchant: Merchant) -> Identity:
    try:
        told = shards.read_copy_path(home, merchant.shard).stat()
    except FileNotFoundError:
        raise listings.ListingError(
            "Nothing has been loaded yet. Put files into landing/ and run `rollforward report`."
        ) from None
    return told.st_ino, told.st_mtime_ns, told.st_size


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except duckdb.CatalogException as problem:
        raise NothingReportedError from problem
