"""Rebuilding: each ledger made again from archive and journal, held against the old one, then put in its place.

That the ledger is a function of archive, journal and settings is proved here, by doing it. The old ledger is kept
beside the new one until the next rebuild.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipelines import database, events, faults, replay, shards
from pipelines.counts import counted
from pipelines.journal import Journal
from pipelines.settings import Home, SettingsError, read_merchants
from pipelines.shards import LedgerUnavailableError, Say

# All must be the same, but for what was read when and from where on this machine, how far the replay has come, and
# operations that nobody went through with. What is made anew for each report (reports, audits) is not among these.
_NO_CONTENT = {"ledger.landing", "ledger.readings", "ledger.previews", "ledger.preview_recipients", "facts.replayed"}
CONTENT = tuple(table for table in shards.LEDGER_TABLES if table not in _NO_CONTENT)
_ENTRIES, _MOVEMENTS = "ledger.entries", "facts.movements"


@dataclass(frozen=True)
class Rebuilt:
    """A shard's ledger after a rebuild. `differences` tells each table that came out otherwise than it was, `warnings`
    whose entries are gone, and whose published months come out otherwise.
    """

    shard: str
    entries: int
    movements: int
    differences: tuple[str, ...]
    warnings: tuple[str, ...]
    compared: bool
    swapped: bool

    def __str__(self) -> str:
        held = "the same as before" if self.compared else "there was no readable ledger to compare with"
        if self.differences:
            held = "; ".join(self.differences)
        said = f"{self.shard}: {self.entries:,} entries, {self.movements:,} movements; {held}."
        return "\n".join((said, *self.warnings))


def rebuild(home: Home, *, wait_s: float, say: Say) -> list[Rebuilt]:
    """Rebuild every shard of the home. What is archived is held against its hash on the way.

    Raises SettingsError, JournalError, LedgerUnavailableError; then that shard's ledger is as it was. Of the shards
    before it, whose ledgers are in their places, it has been said how they came out.
    """
    done: list[Rebuilt] = []
    try:
        for name in shards.by_shard(read_merchants(home)):
            done.append(_rebuild_shard(home, name, wait_s, say))  # noqa: PERF401 - those before a failure are told
    except BaseException:
        # Nobody else would: the next rebuild compares with these.
        for rebuilt in done:
            say(str(rebuilt))
        raise
    return done


def _rebuild_shard(home: Home, name: str, wait_s: float, say: Say) -> Rebuilt:
    path = shards.ledger_path(home, name)
    beside = path.with_name(f"{name}.rebuild.duckdb")
    with shards.lock(home, name, wait_s=wait_s, say=say, who="rollforward rebuild"):
        # Not those of before: someone may have edited the settings while this waited for another.
        merchants = shards.by_shard(read_merchants(home)).get(name)
        if merchants is None:
            raise SettingsError(f'{home.merchants_file} has changed: no merchant has shard "{name}". Rebuild again.')
        _remove(beside)
        try:
            with shards.open_file(home, name, beside, merchants) as shard:
                for outcome in events.recover(shard):
                    say(str(outcome))
                replay.replay(shard.connection, merchants)
                counts = shard.connection.execute(
                    "select (select count(*) from ledger.entries), (select count(*) from facts.movements)"
                ).fetchone()
                assert counts is not None
            compared, differences, warnings = _compare(home, beside, path)
        except BaseException:
            _remove(beside)
            raise
        _keep(path)
        beside.replace(path)
        try:
            shards.refresh_read_copy(home, name)
        except OSError as problem:
            # As at the end of a run: the ledger is in its place, and how it came out is still to be told.
            say(
                f'{faults.told(problem) or problem} The ledger "{name}" is made again; readers see it as it was before.'
            )
    return Rebuilt(name, int(counts[0]), int(counts[1]), differences, warnings, compared, swapped=True)


def _compare(home: Home, new: Path, former: Path) -> tuple[bool, tuple[str, ...], tuple[str, ...]]:
    """Whether the former ledger could be read, what is otherwise in the new one, and what is to be looked at.

    In a database of its own: one that is damaged takes what it is attached to with it.
    Raises LedgerUnavailableError where the machine refuses to have it read: that says nothing of what it holds.
    """
    if not former.exists():
        return False, (), ()
    try:
        with database.connect(temp_directory=str(former.with_suffix(".scratch"))) as connection:
            # What is in the former's WAL counts too; only a writer may read that, so it may not be read-only.
            shards.attach(connection, str(former), "former")
            shards.attach(connection, str(new), "new", read_only=True)
            _hold_journal(home, connection)
            differences = {table: said for table in CONTENT if (said := _difference(connection, table))}
            warnings = [
                *(_gone(connection) if _ENTRIES in differences else ()),
                *(_restated(connection) if _MOVEMENTS in differences else ()),
            ]
            return True, tuple(differences.values()), tuple(warnings)
    except duckdb.Error as problem:
        if text := faults.refused(problem):
            raise LedgerUnavailableError(text) from None
        return False, (), ()


def _hold_journal(home: Home, connection: duckdb.DuckDBPyConnection) -> None:
    """A journal that lost its last events would make a smaller ledger, and nobody would know."""
    journal = Journal(home)
    for merchant_id, last in connection.execute(
        f"select merchant_id, max(event) from ({shards.known_events('former.ledger')}) group by 1 order by 1"  # noqa: S608 - the same
    ).fetchall():
        known = max(journal.numbers(merchant_id), default=0)
        if last > known:
            raise LedgerUnavailableError(
                f"The ledger knows event {last} of {merchant_id}, and {home.journal / merchant_id} ends with event"
                f" {known}. The ledger was left as it is: put the journal back from a backup, then rebuild. If the"
                f" journal is right, move {shards.ledger_path(home, '*').name} away first."
            )


def _difference(connection: duckdb.DuckDBPyConnection, table: str) -> str | None:
    """What is otherwise in a table; of a ledger of a former version, in the columns that it had."""
    before, now = (_columns(connection, one, table) for one in ("former", "new"))
    if not before:
        return f"{table}: was not there before"
    shared = [name for name in now if name in before]
    lost, new = (
        _count(connection, f"select count(*) from ({_only_in(one, table, shared)})")  # noqa: S608 - our own tables
        for one in ("former", "new")
    )
    said = [
        *([f"{lost:,} rows of before are gone or changed, {new:,} are new or changed"] if lost or new else []),
        *(f"column {name} was not there before" for name in now if name not in before),
        *(f"column {name} is gone" for name in before if name not in now),
    ]
    return f"{table}: {', '.join(said)}" if said else None


def _only_in(ledger: str, table: str, columns: Sequence[str]) -> str:
    """The rows of a table that one of the two ledgers has and the other has not, as a query."""
    other, named = "new" if ledger == "former" else "former", ", ".join(f'"{name}"' for name in columns)
    return f"(select {named} from {ledger}.{table} except all select {named} from {other}.{table})"  # noqa: S608 - the same


def _gone(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Of each merchant who has fewer entries than before, how many, and how they come back."""
    for merchant_id, entries in connection.execute(
        f"select merchant_id, count(*) from former.{_ENTRIES} anti join new.{_ENTRIES} using (merchant_id, entry_id)"  # noqa: S608 - the same
        " group by merchant_id order by merchant_id"
    ).fetchall():
        yield (
            f"{merchant_id}: {counted(entries, 'entry', 'entries')} of before cannot be read with the settings of now,"
            " and would be missing in every report: `rollforward rejects` says why. Where older files need other"
            " settings (decimal_comma, encoding, ignore_columns, balance types), put those back and run `rollforward"
            " ingest`, which takes these rows; then set the new ones again."
        )


def _restated(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Of each merchant whose published months rest on other movements now, since when and what to do.

    Both ledgers have the same events: settings are others, or the software is.
    """
    before = _columns(connection, "former", _MOVEMENTS)
    # These two change with what comes after a month, too.
    shared = [name for name in _columns(connection, "new", _MOVEMENTS) if name in before]
    told = [name for name in shared if name not in ("sequence", "valid_until")]
    if not {"merchant_id", "occurred_at", "day"} <= {*told}:
        return
    found = connection.execute(
        "select merchant_id, min(day), list(distinct period order by period) from"  # noqa: S608 - the same
        f" (from {_only_in('former', _MOVEMENTS, told)} union all from {_only_in('new', _MOVEMENTS, told)})"
        " join (from new.ledger.published where is_final) using (merchant_id)"
        " where occurred_at < as_of group by merchant_id order by merchant_id"
    ).fetchall()
    for merchant_id, first_day, periods in found:
        months = f"{periods[0]} and all since" if len(periods) > 1 else periods[0]
        yield (
            f"{merchant_id}: movements of published months come out otherwise, the first on {first_day}. What was"
            f" published stays; reported again, {months} can become a new version. If a setting has changed by mistake,"
            " put it back and rebuild again."
        )


def _columns(connection: duckdb.DuckDBPyConnection, ledger: str, table: str) -> list[str]:
    found = connection.execute(
        "select column_name from duckdb_columns() where database_name = $1 and schema_name || '.' || table_name = $2"
        " order by column_index",
        [ledger, table],
    ).fetchall()
    return [name for (name,) in found]


def _count(connection: duckdb.DuckDBPyConnection, select: str) -> int:
    found = connection.execute(select).fetchone()
    assert found is not None
    return int(found[0])


def _keep(path: Path) -> None:
    for file in _with_wal(path):
        if file.exists():
            file.replace(file.with_name(f"{file.name}.before-rebuild"))


def _remove(path: Path) -> None:
    for file in _with_wal(path):
        file.unlink(missing_ok=True)


def _with_wal(path: Path) -> Sequence[Path]:
    return path, path.with_name(f"{path.name}.wal")
