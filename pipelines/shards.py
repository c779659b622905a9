"""A shard: the ledger file of some merchants, its lock, and its copy for readers.

The kernel holds the lock, so that it is free the moment its process is gone, however it went. Only the holder opens
the ledger; everyone else reads the copy. What is in the ledger is not known here, only that its tables exist.
"""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl

from pipelines import clock, database, faults, grammar, stopping, views, wording
from pipelines.errors import ForPeopleError
from pipelines.journal import Journal, put_in_place
from pipelines.settings import Home, Merchant, currency_decimals
from schemas import facts, ledger
from schemas.table import MONEY_PRECISION, MONEY_SCALE, Table, create_statement, descriptions

Say = Callable[[str], None]

LEDGER_TABLES = {
    "ledger.entries": ledger.Entries,
    "ledger.members": ledger.Members,
    "ledger.students": ledger.Students,
    "ledger.enrollments": ledger.Enrollments,
    "ledger.charges": ledger.Charges,
    "ledger.batches": ledger.Batches,
    "ledger.balances": ledger.Balances,
    "ledger.files": ledger.Files,
    "ledger.rejected_rows": ledger.RejectedRows,
    "ledger.published": ledger.Published,
    "ledger.operations": ledger.Operations,
    "ledger.previews": ledger.Previews,
    "ledger.preview_recipients": ledger.PreviewRecipients,
    "ledger.landing": ledger.Landing,
    "ledger.readings": ledger.Readings,
    "facts.credits": facts.Credits,
    "facts.movements": facts.Movements,
    "facts.findings": facts.Findings,
    "facts.daily_totals": facts.DailyTotals,
    "facts.replayed": facts.Replayed,
}
NAME_AND_EMAIL = """
create or replace temp macro name_and_email(name, email) as
  if(name is null or email is null, coalesce(name, email), name || ' <' || email || '>')
"""
# The oldest rows of a ledger, where a former version made them: it told the same rows by other hashes and ids.
_TOLD_OTHERWISE = f"""
select 1 from (from ledger.entries limit 1) where content_hash <> content_hash_of({", ".join(grammar.HASHED)})
union all
select 1 from (from ledger.balances limit 1) where balance_id <> balance_id_of(member_id, as_of_day, balance_type)
"""  # noqa: S608 - names of ours
LOCK_POLL_S = 0.1
LONGER = "; --wait SECONDS waits longer"
MEMORY_SHARE, MEMORY_MOST_BYTES = 0.4, 9 * 2**28
COPY_BYTES = 8 * 2**20
# A quarter of the file's rows may be dead before it is cleaned up; DuckDB's own number of tasks for that.
DEAD_SHARE, VACUUM_TASKS = 0.25, 100


class LedgerUnavailableError(ForPeopleError):
    """The ledger cannot be opened, and what to do about it."""


class CheckpointError(LedgerUnavailableError):
    """What a run committed could not be moved from the ledger's WAL into its file. The WAL keeps it."""


@dataclass(frozen=True)
class Shard:
    """An open shard. `connection` is the only one to its ledger anywhere."""

    home: Home
    name: str
    merchants: Mapping[str, Merchant]
    connection: duckdb.DuckDBPyConnection

    @property
    def scratch(self) -> Path:
        """A folder for temporary files, emptied at every opening."""
        return self.home.ledgers / f"{self.name}.scratch"


def by_shard(merchants: Mapping[str, Merchant]) -> dict[str, dict[str, Merchant]]:
    """The merchants of each shard."""
    shards: dict[str, dict[str, Merchant]] = {}
    for merchant in merchants.values():
        shards.setdefault(merchant.shard, {})[merchant.id] = merchant
    return dict(sorted(shards.items()))


def known_events(ledger: str = "ledger") -> str:
    """The journal's events that a ledger has, as a query: merchant_id, event."""
    tables = ("files", "published", "operations")
    return " union all ".join(f"select merchant_id, event from {ledger}.{table}" for table in tables)  # noqa: S608 - names of ours


def ledger_path(home: Home, name: str) -> Path:
    """The ledger file of a shard."""
    return home.ledgers / f"{name}.duckdb"


def read_copy_path(home: Home, name: str) -> Path:
    """The copy of a shard's ledger that readers open."""
    return home.ledgers / f"{name}-read.duckdb"


@contextmanager
def open_shard(
    home: Home, name: str, merchants: Mapping[str, Merchant], *, wait_s: float = 600.0, say: Say = print, who: str = ""
) -> Iterator[Shard]:
    """The shard, locked for as long as the context lasts; leaves a fresh copy for readers behind.

    Raises LedgerUnavailableError where another run still holds it after `wait_s` seconds, or where its file cannot
    be opened.
    """
    with lock(home, name, wait_s=wait_s, say=say, who=who):
        if not ledger_path(home, name).exists() and any(Journal(home).numbers(merchant) for merchant in merchants):
            say(f'The ledger "{name}" is not there. It is made again from the archive and the journal.')
        try:
            with open_file(home, name, ledger_path(home, name), merchants) as shard:
                yield shard
            refresh_read_copy(home, name)
        except CheckpointError as problem:
            say(f"{problem} What this run did is kept; readers see the ledger as it was before.")
        except OSError as problem:
            # Of what the run did, this alone is not done, and it can be done at any time: the run has not failed.
            if problem.filename is None or f"{name}-read" not in str(problem.filename):
                raise
            say(
                f"{faults.told(problem) or problem} What this run did is kept; readers see the ledger as it was before."
            )


@contextmanager
def open_file(home: Home, name: str, path: Path, merchants: Mapping[str, Merchant]) -> Iterator[Shard]:
    """A ledger file of the shard `name`, whose lock the caller holds; whole in its file when the context ends well."""
    scratch = home.ledgers / f"{name}.scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    connection = _connect(path, scratch)
    try:
        prepare(connection, merchants)
        for table, promise in LEDGER_TABLES.items():
            see_columns(connection, table, promise)
        see_how_rows_are_told(connection)
        yield Shard(home, name, merchants, connection)
        _checkpoint(connection)
    finally:
        connection.close()
        shutil.rmtree(scratch, ignore_errors=True)


def see_columns(connection: duckdb.DuckDBPyConnection, table: str, promise: type[Table]) -> None:
    """See that a table that was there before has the columns that schemas/ promises of it today.

    Raises LedgerUnavailableError where another version of the software made it.
    """
    if {*connection.table(table).columns} != {*descriptions(promise)}:
        raise LedgerUnavailableError(
            f"The ledger was made by another version of Rollforward: its table {table} has other columns. Run"
            " `rollforward rebuild`, which makes it again, then the same command."
        )


def see_how_rows_are_told(connection: duckdb.DuckDBPyConnection) -> None:
    """See that the rows that were there before have the hashes and ids that the same rows would be given today.

    Raises LedgerUnavailableError where another version of the software made them: of a row that comes once more, this
    one would say that it has changed, or count it again.
    """
    if connection.execute(_TOLD_OTHERWISE).fetchone():
        raise LedgerUnavailableError(
            "The ledger was made by another version of Rollforward, which told rows that came before in another way."
            " Run `rollforward rebuild`, which makes it again, then the same command."
        )


def _checkpoint(connection: duckdb.DuckDBPyConnection) -> None:
    """Write what was committed into the file, and write anew what lies between dead rows where these are many.

    DuckDB would do the latter each time, for any dead row: of ten million movements most, for a day's few thousand.
    """
    try:
        connection.execute(f"set max_vacuum_tasks = {VACUUM_TASKS if _is_mostly_dead(connection) else 0}")
        connection.execute("checkpoint")
    except duckdb.Error as problem:
        raise CheckpointError(faults.told(problem) or str(problem)) from None


def _is_mostly_dead(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether more than DEAD_SHARE of the rows in the file were deleted: their numbers are still there."""
    counted = (
        f"select count(*) as live, coalesce(max(rowid) + 1, 0) as written from {name}"  # noqa: S608 - names of ours
        for name in database.tables(connection)
    )
    row = connection.execute(
        f"select sum(written - live) > $1 * sum(written) from ({' union all '.join(counted)})",  # noqa: S608 - the same
        [DEAD_SHARE],
    ).fetchone()
    return bool(row and row[0])


def prepare(connection: duckdb.DuckDBPyConnection, merchants: Mapping[str, Merchant]) -> None:
    """Everything that queries count on: tables, functions, the merchants' settings, an empty staging database."""
    connection.execute("set TimeZone = 'UTC'")
    clock.register(connection)
    grammar.register(connection)
    connection.execute(NAME_AND_EMAIL)
    wording.register(connection)
    # In memory, which takes half the time of a file; what does not fit spills into scratch.
    attach(connection, ":memory:", "staging")
    for schema in ("ledger", "facts", "reports", "audits"):
        connection.execute(f"create schema if not exists {schema}")
    for table, promise in LEDGER_TABLES.items():
        connection.execute(create_statement(table, promise))
    # A ledger of before this column was there gets it; months that it published then have no balances to compare.
    connection.execute("alter table ledger.published add column if not exists closing_balances varchar")
    views.create(connection)
    tell_settings(connection, merchants)


def attach(connection: duckdb.DuckDBPyConnection, path: str, name: str, *, read_only: bool = False) -> None:
    """Attach a database file, whatever characters its path has: ATTACH takes no parameters, so it is quoted."""
    quoted = path.replace("'", "''")
    connection.execute(f"attach '{quoted}' as {name}{' (read_only)' if read_only else ''}")


def tell_settings(connection: duckdb.DuckDBPyConnection, merchants: Mapping[str, Merchant]) -> None:
    """Fill the settings database with what queries need to know of the merchants."""
    connection.execute("attach if not exists ':memory:' as settings")
    told = pl.DataFrame(
        [
            {
                "merchant_id": merchant.id,
                "name": merchant.name,
                "label": merchant.label,
                "timezone": merchant.timezone,
                "timezone_rules": clock.rules_hash(merchant.timezone),
                "currency": merchant.currency,
                "currency_decimals": currency_decimals(merchant.currency),
                "draw_order": merchant.draw_order,
                "refund_grace_days": merchant.refund_grace_days,
                "complete_through": merchant.complete_through,
                "reversal_window_days": merchant.reversal_window_days,
                "approval_limit": merchant.approval_limit,
            }
            for merchant in merchants.values()
        ],
        schema_overrides={"approval_limit": pl.Decimal(MONEY_PRECISION, MONEY_SCALE)},
    )
    thresholds = pl.DataFrame(
        [
            {
                "merchant_id": merchant.id,
                **merchant.anomalies.model_dump(exclude={"business_hours"}),
                "opens_minute": merchant.anomalies.opens_minute,
                "closes_minute": merchant.anomalies.closes_minute,
            }
            for merchant in merchants.values()
        ],
        # By itself Polars looks at a hundred rows for how many decimals a column has, and rounds the others to these.
        infer_schema_length=None,
    )
    units = pl.DataFrame(
        [
            {"merchant_id": merchant.id, "balance_type": name, "unit": unit, "decimals": decimals}
            for merchant in merchants.values()
            for name, (unit, decimals) in merchant.units.items()
        ]
    )
    for name, frame in (("merchants", told), ("balance_types", units), ("thresholds", thresholds)):
        connection.register("_told", frame.to_arrow())
        connection.execute(f"create or replace table settings.{name} as from _told")
        connection.unregister("_told")


def _connect(path: Path, scratch: Path) -> duckdb.DuckDBPyConnection:
    if not path.exists():
        _create(path)
    try:
        connection = database.connect(
            path,
            threads=str(len(os.sched_getaffinity(0))),
            memory_limit=f"{_memory_limit_bytes() // 2**20}MiB",
            temp_directory=str(scratch / "spill"),
            preserve_insertion_order="true",
            # Every run ends with a checkpoint; one after each file would write the same blocks again and again.
            checkpoint_threshold="4GB",
        )
        connection.execute("select count(*) from duckdb_tables()").fetchone()
        return connection
    except duckdb.Error as problem:
        if text := faults.refused(problem):
            raise LedgerUnavailableError(text) from None
        raise LedgerUnavailableError(
            f"The ledger {path} cannot be opened ({faults.first_line(str(problem))}). Nothing is lost: the archive and"
            " the journal hold all of it. Run `rollforward rebuild` to make the ledger again from them."
        ) from None


def _create(path: Path) -> None:
    """An empty ledger, there whole or not at all: DuckDB cannot open one that it could only begin to write."""
    beside = path.with_name(f".{path.name}.tmp")
    try:
        beside.unlink(missing_ok=True)
        # Today's way of storing text takes two thirds of the time. Who reads the file has today's DuckDB: it is pinned.
        database.connect(beside, storage_compatibility_version="latest").close()
        put_in_place(beside, path)
    except duckdb.Error as problem:
        beside.unlink(missing_ok=True)
        raise LedgerUnavailableError(
            faults.refused(problem) or f"The ledger {path} cannot be created: {faults.first_line(str(problem))}."
        ) from None


def _memory_limit_bytes() -> int:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    container = Path("/sys/fs/cgroup/memory.max")
    if container.is_file() and (told := container.read_text().strip()).isdigit():
        machine = min(machine, int(told))
    return min(int(machine * MEMORY_SHARE), MEMORY_MOST_BYTES)


@contextmanager
def lock(home: Home, name: str, *, wait_s: float, say: Say, who: str = "") -> Iterator[None]:
    """The shard's lock, which is gone the moment this process is. `who` is what others are told who wait for it.

    Raises LedgerUnavailableError after `wait_s` seconds of waiting for whoever holds it.
    """
    home.ledgers.mkdir(parents=True, exist_ok=True)
    with held(home.ledgers / f"{name}.lock", f'the ledger "{name}"', wait_s=wait_s, say=say, who=who, longer=LONGER):
        yield


@contextmanager
def held(path: Path, what: str, *, wait_s: float, say: Say, who: str = "", longer: str = "") -> Iterator[None]:
    """The lock that is the file `path`, of `what`; `longer` is how to wait longer.

    Raises LedgerUnavailableError after `wait_s` seconds of waiting for whoever holds it.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _wait_for(file, path, what, wait_s, say, longer)
        holder = who or Path(sys.argv[0]).name or "python"
        told = f"{holder} (process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC)"
        # Who holds it is said for people only: on a full disk it is not said, and the lock holds all the same.
        with suppress(OSError):
            os.ftruncate(file, 0)
            os.pwrite(file, told.encode(), 0)
        yield
    finally:
        os.close(file)


def _wait_for(file: int, path: Path, what: str, wait_s: float, say: Say, longer: str) -> None:
    until = time.monotonic() + wait_s
    told = False
    while True:
        stopping.check()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            holder = path.read_text(errors="replace").strip() or "another run"
        if time.monotonic() >= until:
            raise LedgerUnavailableError(
                f"{what[0].upper()}{what[1:]} is still in use by {holder}, after waiting {wait_s:.0f} s. Wait for that"
                f" run to end, or stop it, and start again{longer}."
            )
        if not told:
            say(f"Waiting for {what}: in use by {holder}.")
            told = True
        stopping.pause(LOCK_POLL_S)


def read_copy_is_current(home: Home, name: str) -> bool:
    """Whether readers see all that the ledger holds."""
    source, copy = ledger_path(home, name), read_copy_path(home, name)
    if not copy.exists() or not source.exists() or source.with_name(f"{source.name}.wal").exists():
        return False
    # The copy has the time of what it was copied from. Not "as new as": clocks are set back.
    ours, theirs = source.stat(), copy.stat()
    return (ours.st_mtime_ns, ours.st_size) == (theirs.st_mtime_ns, theirs.st_size)


def refresh_read_copy(home: Home, name: str) -> None:
    """Put a copy of the ledger, as it now is, where readers open it. Who has the former one open keeps it as it is."""
    if read_copy_is_current(home, name):
        return
    source, copy = ledger_path(home, name), read_copy_path(home, name)
    beside = copy.with_name(f".{copy.name}.tmp")
    with faults.naming(beside):
        beside.unlink(missing_ok=True)
        try:
            _copy(source, beside)
            status = source.stat()
            os.utime(beside, ns=(status.st_atime_ns, status.st_mtime_ns))
            # Whoever opens it without saying "read only" is refused, rather than left with changes that go nowhere.
            beside.chmod(status.st_mode & 0o444)
            # Someone allowed to write everywhere may have changed the former one; that is not for this one.
            copy.with_name(f"{copy.name}.wal").unlink(missing_ok=True)
            put_in_place(beside, copy)
        except OSError:
            beside.unlink(missing_ok=True)
            raise


def _copy(source: Path, target: Path) -> None:
    """Copy a file: within the kernel, sharing its blocks where the file system can. On disk when this returns."""
    with source.open("rb", buffering=0) as whence, target.open("wb", buffering=0) as whither:
        try:
            while os.copy_file_range(whence.fileno(), whither.fileno(), COPY_BYTES):
                pass
        except (AttributeError, OSError):
            # Not on this system, or not between these two.
            whence.seek(0)
            whither.seek(0)
            shutil.copyfileobj(whence, whither, COPY_BYTES)
        os.fsync(whither.fileno())
