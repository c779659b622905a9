"""The replay: from entries to movements, findings and daily totals, for the members that new entries concern.

One transaction: SQL finds those members, looks up whose what is and sorts (sql/facts/); chunks of whole accounts go
through the kernel; what comes out takes the place of what was there; and every promise and invariant is held against
it before any of it is kept. What the rules are is not here.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa

from pipelines import database, models, promises
from pipelines.counts import counted
from pipelines.errors import ForPeopleError
from schemas import facts

# Whole members that add up to about so many entries are looked up and sorted at once, and so many go through the kernel
# at once. It bounds the memory used, however many there are.
SLICE_ENTRIES = 2_500_000
CHUNK_ENTRIES = 125_000
# So many are looked up once and kept at hand; more are looked up each time.
FEW_ENTRIES = 250_000
BATCH_ROWS = 122_880  # a row group of DuckDB
# Movements are put in so many at a time: two whole row groups, one for each of two cores. What fills no row group is
# written again with what comes after it.
APPENDED_ROWS = 2 * BATCH_ROWS
FIRST_ROWS = 3

# Everything below `facts` that the replay works with; its names are those that the files of sql/facts/ read.
_SCRATCH = (
    *("stale_merchants", "stale_members", "stale_entries", "stale_credits", "stale_movements"),
    *("counted_members", "replay_members", "replay_entries", "replay_findings"),
    *("former_totals", "changed_totals", "new_totals"),
)


class UndeclaredBalanceTypeError(ForPeopleError):
    """Entries have a balance type that merchants.toml no longer declares."""


class RestatementError(ForPeopleError):
    """Other policies than before would change what published months say, and nobody asked for that."""


class BrokenInvariantError(promises.BrokenPromiseError):
    """The movements do not add up; `invariant` is the name of what does not hold. Nothing of the replay was kept."""

    def __init__(self, result: "InvariantResult") -> None:
        rows = "; ".join(", ".join(f"{name} {value}" for name, value in row.items()) for row in result.rows)
        super().__init__(
            f"{result.summary} It does not hold for {rows}. Nothing of this replay was kept: movements and reports are"
            f' as they were. The data is not at fault; please report it as a defect of "{result.name}" with these rows.'
        )
        self.invariant = result.name


# What of an entry, and of a credit, the replay and its invariants read.
_ENTRY_COLUMNS = (
    *("merchant_id", "member_id", "balance_type", "entry_id", "entry_type", "occurred_at", "amount", "credit_id"),
    *("redemption_id", "transfer_id", "priority", "expires_at"),
)
_CREDIT_COLUMNS = (
    *("merchant_id", "member_id", "balance_type", "credit_id", "issued_at", "opened_at", "amount"),
    *("reason", "credit_type", "creator"),
)

# Of a ledger's table, the rows that are the stale members'. Their ids alone are asked for first, by a query with a
# condition: DuckDB then reads only the rows that may have one of them (a Bloom filter).
_OF_STALE_MEMBERS = (
    "member_id in (select member_id from stale_members group by member_id having count(*) > 0)"
    " and (merchant_id, member_id) in (select merchant_id, member_id from stale_members)"
)

# What published months say of movements. What becomes of a credit after the last of them is not theirs.
_PUBLISHED_MOVEMENTS = """
  select
    movement.* exclude (sequence, valid_until),
    if(movement.valid_until < published.until, movement.valid_until, null) as valid_until
  from facts.movements as movement
  join (
    select merchant_id, max(as_of) as until from ledger.published where is_final group by merchant_id
  ) as published
    on published.merchant_id = movement.merchant_id and movement.occurred_at < published.until
  where list_contains($merchants, movement.merchant_id)
"""


@dataclass(frozen=True)
class InvariantResult:
    """One invariant, and the first rows that break it: none where it holds."""

    name: str
    summary: str
    rows: Sequence[dict[str, Any]] = ()

    @property
    def holds(self) -> bool:
        return not self.rows


@dataclass
class ReplayResult:
    """What a replay did. All empty where no entry was new."""

    merchants: tuple[str, ...] = ()
    members: int = 0
    entries: int = 0
    movements: int = 0
    findings: int = 0


def replay(connection: duckdb.DuckDBPyConnection, merchants: Collection[str], *, restate: bool = False) -> ReplayResult:
    """Bring the facts of `merchants` (their ids) up to their entries and policies, in one transaction.

    Raises UndeclaredBalanceTypeError, BrokenPromiseError, BrokenInvariantError, and, unless asked to `restate`,
    RestatementError where other policies would change published months; then nothing has changed.
    """
    with promises.transaction(connection):
        return replay_within(connection, merchants, restate=restate)


def replay_within(
    connection: duckdb.DuckDBPyConnection, merchants: Collection[str], *, restate: bool = False
) -> ReplayResult:
    """The same inside the caller's transaction, which must be rolled back where this raises."""
    result = ReplayResult()
    changed = {} if restate else _changed_policies(connection, merchants)
    if changed:
        # What other policies do is told apart from what entries do that came since: those come after.
        _create(connection, "published_movements", _PUBLISHED_MOVEMENTS, {"merchants": [*changed]})
        _bring_up(connection, changed, result, with_new_entries=False)
        _refuse_restatement(connection, changed)
        database.drop(connection, "temp", "published_movements")
    _bring_up(connection, merchants, result, with_new_entries=True)
    return result


def _bring_up(
    connection: duckdb.DuckDBPyConnection, merchants: Collection[str], result: ReplayResult, *, with_new_entries: bool
) -> None:
    """Replay what is stale: by all entries, or by no more than have been replayed before, and the policies of now."""
    _create(
        connection,
        "stale_merchants",
        f"select now.* replace (if($with_new_entries, now.through_event, before.through_event) as through_event),"  # noqa: S608 - names of ours
        f" coalesce(if(before.policies = now.policies, before.through_event, 0), 0) as after_event"
        f" from ({models.load('facts.replayed').sql}) as now left join facts.replayed as before using (merchant_id)"
        f" where list_contains($merchants, merchant_id) and now.through_event > after_event",
        {"merchants": list(merchants), "with_new_entries": with_new_entries},
    )
    stale = _column(connection, "select merchant_id from stale_merchants order by 1")
    if stale:
        result.merchants = tuple(sorted({*result.merchants, *stale}))
        _refuse_undeclared_balance_types(connection)
        _create(connection, "stale_members", models.load("facts.stale_members").sql)
        are_few = _find_entries(connection)
        _create(connection, "counted_members", models.load("facts.counted_members").sql)
        _forget_merchants(connection)
        _insert_credits(connection)
        _find_credits(connection, "table" if are_few else "view")
        _forget_members(connection)
        _insert_movements(connection, result, are_few=are_few)
        result.findings += _insert_findings(connection)
        _update_daily_totals(connection)
        _remember(connection)
        _hold_invariants(connection)
    database.drop(connection, "temp", *_SCRATCH)


def check_invariants(connection: duckdb.DuckDBPyConnection, merchants: Collection[str]) -> list[InvariantResult]:
    """Every invariant against all that has been replayed of `merchants`, whether it holds or not."""
    _create(connection, "stale_merchants", "select merchant_id, through_event as after_event from facts.replayed")
    _create(
        connection,
        "stale_members",
        "select distinct merchant_id, member_id from ledger.entries join facts.replayed using (merchant_id)"
        " where list_contains($merchants, merchant_id) and event <= through_event",
        {"merchants": list(merchants)},
    )
    for name, table in (("stale_entries", "ledger.entries"), ("stale_movements", "facts.movements")):
        _find(connection, name, table, "view")
    _find_credits(connection, "view")
    _create(connection, "former_totals", f"from ({models.load('facts.daily_totals').sql}) limit 0")
    results = [_checked(connection, model) for model in models.load_all("invariants")]
    database.drop(connection, "temp", *_SCRATCH)
    return results


def _changed_policies(connection: duckdb.DuckDBPyConnection, merchants: Collection[str]) -> dict[str, str]:
    """Of the merchants with published months, those whose policies are others than before, and which those are."""
    found = connection.execute(
        "select merchant_id, before.policies, now.policies from facts.replayed as before"  # noqa: S608 - names of ours
        f" join ({models.load('facts.replayed').sql}) as now using (merchant_id)"
        " semi join (from ledger.published where is_final) using (merchant_id)"
        " where list_contains($merchants, merchant_id) and before.policies <> now.policies order by merchant_id",
        {"merchants": list(merchants)},
    ).fetchall()
    told = {}
    for merchant_id, before, now in found:
        was, is_now = json.loads(before), json.loads(now)
        told[merchant_id] = "; ".join(
            f"{is_now['timezone']} has other rules in this release of tzdata"
            if name == "timezone_rules"
            else f'{name.replace("_", " ")} was "{was.get(name)}" and is "{value}"'
            for name, value in is_now.items()
            # Another timezone has other rules.
            if was.get(name) != value and (name != "timezone_rules" or was.get("timezone") == is_now["timezone"])
        )
    return told


def _refuse_restatement(connection: duckdb.DuckDBPyConnection, changed: Mapping[str, str]) -> None:
    """Hold what published months rest on against what it was before the policies changed."""
    differs = connection.execute(
        f"with now as ({_PUBLISHED_MOVEMENTS}), gone as (from published_movements except all from now),"  # noqa: S608 - names of ours
        " come as (from now except all from published_movements)"
        " select merchant_id, count(distinct (movement_type, derived, id, part)), min(day)"
        " from (from gone union all from come) group by all order by all",
        {"merchants": [*changed]},
    ).fetchall()
    if differs:
        merchant_id, movements, first_day = differs[0]
        read_again = (
            " Times without offset in files that were taken before are still as they were read then:"
            " `rollforward rebuild` reads them again."
            if "timezone was" in changed[merchant_id] or "other rules" in changed[merchant_id]
            else ""
        )
        raise RestatementError(
            f"{merchant_id}: the settings have changed since its months were published ({changed[merchant_id]}). With"
            f" them {counted(movements, 'movement', 'movements')} of published months would come out otherwise, the"
            f" first on {first_day}."
            " Nothing was changed. Put the setting back; or, if what was published is to be restated, report those"
            " months again with --restate (in the launchpad: restate: true): each becomes a new version beside the"
            f" former one.{read_again}"
        )


def _refuse_undeclared_balance_types(connection: duckdb.DuckDBPyConnection) -> None:
    undeclared = connection.execute(
        # Older entries' types are declared: were one not, the policies would differ, and after_event be 0.
        "select merchant_id, balance_type, count(*), count(operation_id)"
        " from ledger.entries join stale_merchants using (merchant_id)"
        " anti join settings.balance_types using (merchant_id, balance_type)"
        " where balance_type is not null and event > after_event group by all order by all limit 1"
    ).fetchone()
    if undeclared:
        merchant_id, balance_type, entries, of_operations = undeclared
        what_to_do = (
            f"Declare it again: operations posted {of_operations:,} of them, which stay. One that is given up can be"
            " merged into another, and is declared all the same."
            if of_operations
            else "Declare it again; or, if it was a mistake from the start, run `rollforward rebuild`, which sets those"
            " entries aside."
        )
        raise UndeclaredBalanceTypeError(
            f'merchants.toml no longer declares balance type "{balance_type}" of merchant "{merchant_id}", but'
            f" {counted(entries, 'entry has', 'entries have')} it. {what_to_do}"
        )


def _forget_merchants(connection: duckdb.DuckDBPyConnection) -> None:
    """Take out all facts of merchants that are replayed from the start: their days may have begun at other instants."""
    for table in ("credits", "movements", "findings", "daily_totals"):
        connection.execute(
            f"delete from facts.{table} where merchant_id in"  # noqa: S608 - names of ours
            f" (select merchant_id from stale_merchants where after_event = 0)"
        )


def _forget_members(connection: duckdb.DuckDBPyConnection) -> None:
    """Take out what is replayed now, and keep what it came to each day."""
    _find(connection, "stale_movements", "facts.movements", "view")
    _create(connection, "former_totals", models.load("facts.daily_totals").sql)
    for table in ("movements", "findings"):
        connection.execute(f"delete from facts.{table} where {_OF_STALE_MEMBERS}")  # noqa: S608 - names of ours


def _insert_credits(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"insert into facts.credits by name {models.load('facts.credits').sql}")
    promises.validate(
        connection,
        facts.Credits,
        "select credit.* from facts.credits as credit join stale_merchants as merchant"
        " on merchant.merchant_id = credit.merchant_id and credit.event > merchant.after_event",
        [],
        "facts.credits",
    )


def _insert_movements(connection: duckdb.DuckDBPyConnection, result: ReplayResult, *, are_few: bool) -> None:
    """Send the members through the kernel; what it finds waits in replay_findings."""
    # Numba is imported here, by who needs it, and not with the command line.
    from pipelines import chunks

    model = models.load("facts.movements")
    members = connection.execute("from counted_members order by member").pl()
    policies = chunks.Policies(
        connection.execute("select merchant_id, timezone, draw_order from settings.merchants").pl(),
        connection.execute("select merchant_id, balance_type, unit, decimals from settings.balance_types").pl(),
    )
    database.drop(connection, "temp", "replay_findings")
    if are_few:
        # They are known here: nobody needs to look for them.
        database.drop(connection, "temp", "stale_movements")
        _create(connection, "stale_movements", "from facts.movements limit 0")
    waiting = pl.DataFrame()
    for some in _parts(members, SLICE_ENTRIES):
        asked = {"first": some["member"].min(), "last": some["member"].max()}
        _create(connection, "replay_members", "from counted_members where member between $first and $last", asked)
        _create(connection, "replay_entries", model.sql, model.bind(chunks.CODES))
        highest = connection.execute("select max(credit), max(redemption) from replay_entries").fetchone()
        assert highest is not None
        places = chunks.places(*highest)
        for chunk in _in_chunks(connection, some):
            replayed = chunks.replay(chunk, members, places, policies)
            promises.check(facts.Movements, replayed.movements, "facts.movements")
            waiting = _append_whole(connection, waiting, replayed.movements)
            if are_few:
                _append(connection, "stale_movements", replayed.movements)
            _append(connection, "replay_findings", replayed.findings)
            result.entries += chunk.height
            result.movements += replayed.movements.height
    if waiting.height:
        _append(connection, "facts.movements", waiting)
    result.members += members.height


def _parts(members: pl.DataFrame, entries: int) -> list[pl.DataFrame]:
    """The members in order, in parts that have about so many entries."""
    before = members["entries"].cum_sum() - members["entries"]
    return members.with_columns(part=before // entries).partition_by("part", maintain_order=True)


def _in_chunks(connection: duckdb.DuckDBPyConnection, members: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Whole members at a time, their entries account after account in the order of rule 1."""
    for some in _parts(members, CHUNK_ENTRIES):
        yield connection.execute(
            "from replay_entries where member between $1 and $2"
            " order by member, balance_type, occurred_at, place, entry_id",
            [some["member"].min(), some["member"].max()],
        ).pl()


def _insert_findings(connection: duckdb.DuckDBPyConnection) -> int:
    row = connection.execute(
        "select exists (from replay_findings)"
        " or exists (from stale_entries where entry_type in ('transferred_out', 'transferred_in'))"
    ).fetchone()
    # Mostly there is nothing to put into words, which takes longer to plan than all else of a small replay.
    if row == (False,):
        return 0
    rows = connection.execute(models.load("facts.findings").sql).pl()
    _append(connection, "facts.findings", promises.check(facts.Findings, rows, "facts.findings"))
    return rows.height


def _update_daily_totals(connection: duckdb.DuckDBPyConnection) -> None:
    """Add what the members come to now, take away what they came to before, on the days where that differs.

    Other members are not looked at, and of most days of these members nothing has changed.
    """
    summed = (
        "select * exclude (amount, movements), sum(amount)::decimal(38, 4) as amount,"
        " sum(movements)::bigint as movements"
    )
    now = models.load("facts.daily_totals").sql
    _create(
        connection,
        "changed_totals",
        f"{summed} from (from ({now}) union all by name"  # noqa: S608 - names of ours
        " select * replace (-amount as amount, -movements as movements) from former_totals)"
        " group by all having sum(amount) <> 0 or sum(movements) <> 0",
    )
    on_changed_days = "(merchant_id, day) in (select merchant_id, day from changed_totals)"
    _create(
        connection,
        "new_totals",
        f"{summed} from (from changed_totals union all by name from facts.daily_totals where {on_changed_days})"
        " group by all having sum(movements) <> 0",
    )
    connection.execute(f"delete from facts.daily_totals where {on_changed_days}")  # noqa: S608 - names of ours
    connection.execute("insert into facts.daily_totals by name from new_totals")
    promises.validate(
        connection,
        facts.DailyTotals,
        f"select * from facts.daily_totals where {on_changed_days}",  # noqa: S608 - names of ours
        [],
        "facts.daily_totals",
    )


def _remember(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("delete from facts.replayed where merchant_id in (select merchant_id from stale_merchants)")
    connection.execute("insert into facts.replayed by name select * exclude (after_event) from stale_merchants")


def _hold_invariants(connection: duckdb.DuckDBPyConnection) -> None:
    for model in models.load_all("invariants"):
        result = _checked(connection, model)
        if not result.holds:
            raise BrokenInvariantError(result)


def _checked(connection: duckdb.DuckDBPyConnection, model: models.Model) -> InvariantResult:
    broken = connection.execute(f"from ({model.sql}) limit {FIRST_ROWS}").pl()
    return InvariantResult(model.name.partition(".")[2], model.summary, broken.to_dicts())


def _find_entries(connection: duckdb.DuckDBPyConnection) -> bool:
    """Make stale_entries those of the stale members: a table where they are few, else a view. Whether they are few."""
    _find(connection, "stale_entries", "ledger.entries", "table", at_most=FEW_ENTRIES + 1)
    row = connection.execute("select count(*) from stale_entries").fetchone()
    assert row is not None
    are_few = bool(row[0] <= FEW_ENTRIES)
    if not are_few:
        database.drop(connection, "temp", "stale_entries")
        _find(connection, "stale_entries", "ledger.entries", "view")
    return are_few


def _find(
    connection: duckdb.DuckDBPyConnection, name: str, table: str, kind: str, *, at_most: int | None = None
) -> None:
    """Make `name` the rows of `table` that are the stale members', or so many of them, as a table or a view."""
    columns = ", ".join(_ENTRY_COLUMNS) if table == "ledger.entries" else "*"
    # Of merchants that are replayed from the start all members are stale: nobody needs to look for them. Only they may
    # be replayed without their newest entries.
    row = connection.execute("select bool_and(after_event = 0) from stale_merchants").fetchone()
    if row != (True,):
        theirs = f"where {_OF_STALE_MEMBERS}"
    elif table == "ledger.entries":
        theirs = (
            "semi join stale_merchants as merchant"
            " on merchant.merchant_id = entries.merchant_id and entries.event <= merchant.through_event"
        )
    else:
        theirs = "semi join stale_merchants using (merchant_id)"
    connection.execute(
        f"create or replace temp {kind} {name} as select {columns} from {table} {theirs}"  # noqa: S608 - names of ours
        + ("" if at_most is None else f" limit {at_most}")
    )


def _find_credits(connection: duckdb.DuckDBPyConnection, kind: str) -> None:
    """Make stale_credits those that the stale members' entries name, their own among them; as a view, all."""
    theirs = (
        " where credit_id in (select credit_id from stale_entries where credit_id is not null)"
        " and (merchant_id, credit_id) in (select merchant_id, credit_id from stale_entries)"
    )
    connection.execute(
        f"create or replace temp {kind} stale_credits as select {', '.join(_CREDIT_COLUMNS)} from facts.credits"  # noqa: S608 - names of ours
        + (theirs if kind == "table" else "")
    )


def _create(
    connection: duckdb.DuckDBPyConnection, name: str, select: str, parameters: dict[str, Any] | None = None
) -> None:
    connection.execute(f"create or replace temp table {name} as {select}", parameters)


def _append_whole(connection: duckdb.DuckDBPyConnection, waiting: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Append of the movements that wait and these as many as fill row groups; what is left waits."""
    both = pl.concat([waiting, rows]) if waiting.height else rows
    whole = both.height // APPENDED_ROWS * APPENDED_ROWS
    if whole:
        _append(connection, "facts.movements", both.head(whole))
    return both.slice(whole)


def _append(connection: duckdb.DuckDBPyConnection, table: str, rows: pl.DataFrame) -> None:
    """Put `rows` at the end of `table`, whose columns they have.

    Not by `register`: within a transaction that would keep all rows in memory until its end. In batches, each of
    which DuckDB gives to a core.
    """
    # Texts as Polars has them are texts as DuckDB takes them: nothing is copied.
    whole = rows.to_arrow(compat_level=pl.CompatLevel.newest()).combine_chunks()
    arrow = connection.from_arrow(pa.Table.from_batches(whole.to_batches(max_chunksize=BATCH_ROWS), whole.schema))
    if table in _SCRATCH:
        columns = ", ".join(f'"{name}" {kind}' for name, kind in zip(arrow.columns, arrow.types, strict=True))
        connection.execute(f"create temp table if not exists {table} ({columns})")
    arrow.insert_into(table)


def _column(connection: duckdb.DuckDBPyConnection, select: str) -> list[Any]:
    return [value for (value,) in connection.execute(select).fetchall()]
