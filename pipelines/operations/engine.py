"""What is true of every operation: who may, what is refused, what is previewed, and how it is recorded.

An operation's module plans: which entries a request comes to. Everything is planned as of one instant, the one that
the operation will be recorded at, under the shard's lock: nothing changes between the plan and the ledger.
"""

import hashlib
import json
import os
import pwd
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property, reduce
from itertools import zip_longest
from operator import or_
from pathlib import Path
from typing import Any, Literal

import polars as pl

from pipelines import amounts, clock, listings, models, promises
from pipelines.access import Role, read_access
from pipelines.counts import counted
from pipelines.journal import Journal, make_folder
from pipelines.operations import posting, untold
from pipelines.operations.requests import RefusedError, Who, asked
from pipelines.settings import Home, Merchant
from pipelines.shards import Say, Shard
from schemas import ledger

_NOBODY = "access.toml names nobody who may do this"
RECIPIENT_KEYS = ("member_id", "student_id", "enrollment_id", "credit_id")


@dataclass(frozen=True)
class Plan:
    """What a request comes to.

    `entries` has the columns of `posting.POSTED`. `recipients` has those of schemas.ledger.PreviewRecipients from
    `position` on; an entry's position is that of its recipient. `total` is what is issued, taken or moved, in `unit`.
    """

    entries: pl.DataFrame
    explanation: str
    unit: str
    total: Decimal
    recipients: pl.DataFrame | None = None
    filters: str = ""
    warnings: tuple[str, ...] = ()
    batch_id: str | None = None
    # A row of the batches dataset, for an operation that issues one.
    batch: Mapping[str, Any] | None = None
    # Why this needs another person's approval, where the limit for one credit does not already say so.
    approval: str | None = None
    # Gives it the explanation and approval of the recipients that it has, where these say how much that is.
    retold: Callable[["Plan"], "Plan"] = lambda plan: plan


@dataclass(frozen=True)
class Operation:
    """One kind of operation. `plan` raises RefusedError."""

    kind: str
    request: type[Who]
    role: Role
    plan: Callable[["Desk", Any], Plan]
    previewed: bool = False

    @property
    def summary(self) -> str:
        """What it does, in a sentence."""
        return (self.request.__doc__ or "").partition("\n")[0]


@dataclass(frozen=True)
class Outcome:
    """What became of an operation."""

    operation_id: str
    kind: str
    entries: int
    unit: str
    total: Decimal
    explanation: str
    # It had been done before: nothing was posted now.
    already: bool = False


@dataclass(frozen=True)
class Preview:
    """What an operation would do."""

    preview_id: str
    kind: str
    filters: str
    warnings: tuple[str, ...]
    unit: str
    total: Decimal
    recipients: pl.DataFrame
    csv_file: str


@dataclass(frozen=True)
class Desk:
    """Where one request is worked on: the merchant's ledger, who asks, and the instant it is all about."""

    home: Home
    shard: Shard
    merchant: Merchant
    actor: str
    approved_by: str | None
    interface: Literal["cli", "dagster"]
    run_id: str
    operation_id: str
    at: datetime
    # The newest operation that the ledger knew before this run: later ones were left behind by a run that was killed.
    known_event: int = 0
    # Says what is under way just now.
    doing: Say = lambda _what: None

    @cached_property
    def today(self) -> date:
        """The merchant's local day."""
        return clock.day_of(self.at, self.merchant.timezone)

    @property
    def creator_name(self) -> str:
        """The actor's name."""
        return read_access(self.home)[self.actor.casefold()].name

    @property
    def signature(self) -> dict[str, pl.Expr]:
        """What every entry that the operation makes of its own accord says of who it is by."""
        return {
            "creator_name": pl.lit(self.creator_name),
            "creator_email": pl.lit(self.actor),
            "approved_by": pl.lit(self.approved_by, pl.String),
        }

    @property
    def number(self) -> pl.Expr:
        """The id of the entry at a `position`: made of the operation's, so that done again it is the same."""
        return pl.format("{}.{}", pl.lit(self.operation_id), "position")

    def told(self, amount: Decimal, unit: str) -> str:
        """An amount for people: 1,234.50 USD."""
        return f"{amounts.shown(amount, self.merchant.decimals_of(unit))} {unit}"

    def query(self, model: str, **parameters: Any) -> pl.DataFrame:
        """The rows of a file of sql/operations, for this merchant and instant."""
        loaded = models.load(f"operations.{model}")
        values = {"merchant_id": self.merchant.id, "at": self.at, **parameters}
        return self.shard.connection.execute(loaded.sql, loaded.bind(values)).pl()

    def keep_csv(self, name: str, rows: pl.DataFrame) -> Path:
        """Write a file beside the merchant's previews, there whole or not at all."""
        path = self.home.previews / self.merchant.id / f"{name}.csv"
        make_folder(path.parent)
        # One name a shard, whose lock is held: what a killed run left behind is written over.
        beside = path.with_name(f".{self.shard.name}.tmp")
        listings.write_csv(rows, beside)
        beside.replace(path)
        return path

    def one(self, select: str, *parameters: Any) -> Any:
        """The first value of a query."""
        row = self.shard.connection.execute(select, [*parameters]).fetchone()
        return row[0] if row else None


def desk_for(
    home: Home,
    shard: Shard,
    request: Who,
    *,
    interface: Literal["cli", "dagster"],
    run_id: str,
    root_run_id: str,
    kind: str,
    known_event: int,
    doing: Say = lambda _what: None,
) -> Desk:
    """The desk for a request. A run that is executed again works on the same operation."""
    merchant = shard.merchants[request.merchant]
    return Desk(
        home=home,
        shard=shard,
        merchant=merchant,
        actor=request.actor.strip(),
        approved_by=request.approved_by.strip() or None,
        interface=interface,
        run_id=run_id,
        operation_id=f"{kind}-{root_run_id.replace('-', '')[:16]}",
        at=Journal(home).next_instant(merchant.id),
        known_event=known_event,
        doing=doing,
    )


def perform(desk: Desk, operation: Operation, request: Who) -> Outcome:
    """Do what is asked, at once. Raises RefusedError, which has been recorded."""
    if done := _done_before(desk, operation, request):
        return done
    with _refusals(desk, operation.kind, request):
        _refuse_another(desk)
        _allow(desk, operation.role)
        plan = operation.plan(desk, request)
        _approve(desk, operation.role, plan)
    untold.remember(desk.home, desk.merchant.id, desk.operation_id)
    return _record(desk, operation, asked(request), plan)


def preview(desk: Desk, operation: Operation, request: Who) -> Preview:
    """What the request would do, kept under an id that `process` takes. Raises RefusedError, recorded."""
    with _refusals(desk, operation.kind, request):
        _allow(desk, operation.role)
        plan = operation.plan(desk, request)
    warnings = plan.warnings
    if desk.approved_by is None and (why := _why_approval(desk, plan)):
        warnings += (f"{why}: to process it, approved_by must name another person who is {operation.role} or higher.",)
    recipients = recipients_of(plan)
    told = json.dumps(asked(request), sort_keys=True, ensure_ascii=False)
    data_hash = hashlib.sha256(recipients.write_csv().encode()).hexdigest()
    made_of = "\n".join((desk.merchant.id, operation.kind, told, data_hash, desk.at.isoformat()))
    preview_id = f"{operation.kind}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    row = {
        "merchant_id": desk.merchant.id,
        "preview_id": preview_id,
        "kind": operation.kind,
        "actor": desk.actor,
        "approved_by": desk.approved_by,
        "request": told,
        "data_hash": data_hash,
        "filters": plan.filters,
        "warnings": "\n".join(warnings) or None,
        "recipients": recipients.height,
        "unit": plan.unit,
        "total": plan.total,
        "made_at": desk.at,
    }
    kept = recipients.select(
        pl.lit(desk.merchant.id).alias("merchant_id"), pl.lit(preview_id).alias("preview_id"), pl.all()
    )
    connection = desk.shard.connection
    with promises.transaction(connection):
        posting.insert(connection, "ledger.previews", ledger.Previews, row)
        connection.from_arrow(kept.to_arrow()).insert_into("ledger.preview_recipients")
    csv_file = desk.keep_csv(preview_id, recipients)
    return Preview(preview_id, operation.kind, plan.filters, warnings, plan.unit, plan.total, recipients, str(csv_file))


def process(desk: Desk, operation: Operation, preview_id: str, exclude: Sequence[str], request: Who) -> Outcome:
    """Do what a preview of this operation showed, but for what is excluded; once.

    Raises RefusedError, which has been recorded.
    """
    if done := _find(desk, "operation_id = $2 and kind = $3 and status = 'processed'", preview_id, operation.kind):
        return done
    kept = desk.shard.connection.execute(
        "select kind, request, approved_by, filters, warnings from ledger.previews"
        " where merchant_id = $1 and preview_id = $2",
        [desk.merchant.id, preview_id],
    ).fetchone()
    with _refusals(desk, operation.kind, request):
        if kept is None:
            raise RefusedError(
                f'preview_id "{preview_id}" is no preview of {desk.merchant.id}. A rebuild does not keep previews: make'
                " a new one."
            )
        kind, told, approved_by, filters, warned = kept
        if kind != operation.kind:
            raise RefusedError(
                f'preview_id "{preview_id}" is a preview of {kind}, not of {operation.kind}. If it is the one that is'
                f" meant, process it as {kind}."
            )
        _allow(desk, operation.role)
        desk = replace(desk, operation_id=preview_id, approved_by=desk.approved_by or approved_by)
        made = operation.request(**{**json.loads(told), "merchant": desk.merchant.id, "actor": desk.actor})
        desk.doing("Choosing recipients")
        plan = operation.plan(desk, made)
        _refuse_what_changed(desk, preview_id, plan)
        _refuse_other_filters(preview_id, plan, filters)
        _refuse_new_warnings(preview_id, plan, warned or "")
        plan = _without(plan, exclude)
        if plan.entries.is_empty():
            raise RefusedError(
                f"Of the recipients of preview {preview_id}{' that are left' if exclude else ''}, nobody has anything"
                " to take or gets anything, so there is nothing to process."
            )
        _approve(desk, operation.role, plan)
    return _record(desk, operation, {**json.loads(told), "exclude": [*exclude]}, plan)


def sum_of(amounts: pl.Series) -> Decimal:
    """The sum of exact amounts; 0 of none."""
    total = amounts.sum()
    assert isinstance(total, Decimal)
    return total


def recipients_of(plan: Plan) -> pl.DataFrame:
    """The recipients of an operation that is previewed."""
    assert plan.recipients is not None
    return plan.recipients


def unknown(field_name: str, value: object, what: str) -> RefusedError:
    """A refusal that names field and value."""
    return RefusedError(f'{field_name} "{value}" {what}')


@contextmanager
def _refusals(desk: Desk, kind: str, request: Who) -> Iterator[None]:
    """Records a refusal that happens inside, and lets it pass on."""
    try:
        yield
    except RefusedError as problem:
        content = _content(desk, kind, asked(request), status="refused", explanation=str(problem))
        posting.record(desk.shard, desk.merchant.id, content, desk.at)
        raise


def _allow(desk: Desk, role: Role) -> None:
    actors = read_access(desk.home)
    able = sorted(actor.email for actor in actors.values() if actor.may(role, desk.merchant.id))
    who = f"They are allowed to: {', '.join(able)}." if able else f"{_NOBODY} at {desk.merchant.id}."
    actor = actors.get(desk.actor.casefold())
    if actor is None:
        raise unknown("actor", desk.actor, f"is not in access.toml. {who}")
    if not actor.is_of(desk.merchant.id):
        raise unknown("actor", desk.actor, f"has no role at {desk.merchant.id} in access.toml. {who}")
    if not actor.may(role, desk.merchant.id):
        raise unknown("actor", desk.actor, f"is {actor.role} in access.toml, and this needs {role}. {who}")


def _why_approval(desk: Desk, plan: Plan) -> str | None:
    """Which limit asks that another person approves; None where no limit does."""
    limit = desk.merchant.approval_limit
    if plan.approval is None and limit is not None:
        over = plan.entries.filter((pl.col("entry_type") == "created") & (pl.col("amount") > limit))["amount"].max()
        if isinstance(over, Decimal):
            return f"A credit of {desk.told(over, plan.unit)} is above approval_limit {limit:f}"
    return plan.approval


def _approve(desk: Desk, role: Role, plan: Plan) -> None:
    """Where a limit asks for it, another person with the role must have approved."""
    if desk.approved_by is None:
        if why := _why_approval(desk, plan):
            raise RefusedError(f"{why}: approved_by must name another person who is {role} or higher.")
        return
    if desk.approved_by.casefold() == desk.actor.casefold():
        raise unknown("approved_by", desk.approved_by, "is who asks. Another person must approve.")
    approver = read_access(desk.home).get(desk.approved_by.casefold())
    if approver is None or not approver.may(role, desk.merchant.id):
        raise unknown("approved_by", desk.approved_by, f"is not {role} or higher of {desk.merchant.id} in access.toml.")


def _refuse_what_changed(desk: Desk, preview_id: str, plan: Plan) -> None:
    former = (
        desk.shard.connection.execute(
            "select * exclude (merchant_id, preview_id) from ledger.preview_recipients"
            " where merchant_id = $1 and preview_id = $2 order by position",
            [desk.merchant.id, preview_id],
        )
        .pl()
        .drop("position")
    )
    now = recipients_of(plan).drop("position")
    if former.is_empty():
        raise RefusedError(f"The preview {preview_id} has no recipients, so there is nothing to process.")
    # Whoever is there twice is told apart by which time it is.
    keys = [*RECIPIENT_KEYS, "time"]
    now, former = (rows.with_columns(time=pl.int_range(pl.len()).over(*RECIPIENT_KEYS)) for rows in (now, former))
    new = now.join(former, on=keys, how="anti", nulls_equal=True)
    gone = former.join(now, on=keys, how="anti", nulls_equal=True)
    both = now.join(former, on=keys, nulls_equal=True, suffix="_before")
    changed = both.filter(
        pl.any_horizontal(
            *(pl.col(name).ne_missing(pl.col(f"{name}_before")) for name in ("amount", "stays", "why", "email", "name"))
        )
    )
    said = [
        f"{counted(count, *what)} ({', '.join(rows['member_id'].head(3))}{', …' if count > 3 else ''})"
        for what, rows in (
            (("recipient no longer belongs to it", "recipients no longer belong to it"), gone),
            (("recipient belongs to it now", "recipients belong to it now"), new),
            (("recipient has changed", "recipients have changed"), changed),
        )
        if (count := rows.height)
    ]
    if said:
        raise RefusedError(
            f"The data has changed since the preview {preview_id} was made: {'; '.join(said)}. Nothing was posted. Make"
            " a new preview and look at it."
        )


def _refuse_other_filters(preview_id: str, plan: Plan, filters: str) -> None:
    """What was not asked for in so many words may be another by now: a day that is left blank is today."""
    for former, now in zip_longest(filters.splitlines(), plan.filters.splitlines(), fillvalue=""):
        if former != now:
            raise RefusedError(
                f'The preview {preview_id} said "{former}", and by now it is "{now}". Nothing was posted. Make a new'
                " preview and look at it."
            )


def _refuse_new_warnings(preview_id: str, plan: Plan, warned: str) -> None:
    """A warning comes before money moves: of the same batch, say, where another preview of it was processed first."""
    new = [warning for warning in plan.warnings if warning not in warned]
    if new:
        raise RefusedError(
            f"There is a warning now that the preview {preview_id} did not have. {' '.join(new)} Nothing was posted."
            " Make a new preview and look at it."
        )


def _without(plan: Plan, exclude: Sequence[str]) -> Plan:
    """The plan but for the recipients that are excluded by any of their ids."""
    if not exclude:
        return plan
    recipients = recipients_of(plan)
    kept = recipients.filter(~reduce(or_, (_named(recipients, one) for one in exclude)))
    if kept.is_empty():
        raise RefusedError("exclude leaves no recipient of the preview, so there is nothing to process.")
    total = sum_of(kept["amount"])
    batch = plan.batch and {
        **plan.batch,
        "declared_recipients": kept["member_id"].n_unique(),
        "declared_total": str(total),
    }
    left = plan.retold(
        replace(
            plan,
            recipients=kept,
            entries=plan.entries.filter(pl.col("position").is_in(kept["position"].implode())),
            total=total,
            batch=batch,
        )
    )
    return replace(left, explanation=f"{left.explanation} Left out: {', '.join(exclude)}.")


def _named(recipients: pl.DataFrame, one: str) -> pl.Series:
    """Which recipients have this id; where it is written as student_id=7, those of that kind.

    Raises RefusedError where there is none, and where it is the id of a member and of another's student: whoever is not
    meant would get nothing, and nobody would be told.
    """
    kind, _, value = one.partition("=")
    asked = {kind: value} if kind in RECIPIENT_KEYS else dict.fromkeys(RECIPIENT_KEYS, one)
    having = {key: recipients[key].eq_missing(pl.Series([wanted])) for key, wanted in asked.items()}
    found = {key: has for key, has in having.items() if has.any()}
    if not found:
        raise unknown("exclude", one, "is no member, student, enrollment or credit of the preview.")
    first, *others = found.values()
    if any((first != other).any() for other in others):
        kinds = " and of a ".join(key.removesuffix("_id") for key in found)
        said = " or ".join(f"{key}={one}" for key in found)
        raise unknown("exclude", one, f"is the id of a {kinds} of the preview, and others are meant: write {said}.")
    return first


def _done_before(desk: Desk, operation: Operation, request: Who) -> Outcome | None:
    """The operation of this run; or one that a killed run left in the journal and that this run has just completed, or
    whose result it had no time to tell.
    """
    told = json.dumps(asked(request), sort_keys=True, ensure_ascii=False)
    return _find(desk, "operation_id = $2 and status = 'processed' and request = $3", desk.operation_id, told) or _find(
        desk,
        "(event > $2 or list_contains($3, operation_id)) and status = 'processed' and kind = $4"
        " and lower(actor) = lower($5) and request = $6",
        desk.known_event,
        untold.ids(desk.home, desk.merchant.id),
        operation.kind,
        desk.actor,
        told,
    )


def _refuse_another(desk: Desk) -> None:
    """A run that is executed again can be given another request: what it had done before is no answer to that."""
    if done := _find(desk, "operation_id = $2 and status = 'processed'", desk.operation_id):
        raise RefusedError(
            f"This run is {done.operation_id} executed again, which did something else: {done.explanation} Nothing was"
            " posted now. Launch the job anew for another request."
        )


def _find(desk: Desk, condition: str, *values: Any) -> Outcome | None:
    found = desk.shard.connection.execute(
        "select operation_id, kind, entries, unit, total, explanation from ledger.operations"  # noqa: S608 - conditions of ours
        f" where merchant_id = $1 and {condition} limit 1",
        [desk.merchant.id, *values],
    ).fetchone()
    if found is None:
        return None
    operation_id, kind, entries, unit, total, explanation = found
    return Outcome(operation_id, kind, entries, unit, total, explanation, already=True)


def _content(
    desk: Desk, kind: str, request: Mapping[str, Any], *, status: str, explanation: str, **posted: Any
) -> dict[str, Any]:
    return {
        "operation_id": desk.operation_id,
        "kind": kind,
        "actor": desk.actor,
        "approved_by": desk.approved_by,
        "os_user": _os_user(),
        "interface": desk.interface,
        "run_id": desk.run_id,
        "request": json.dumps(request, sort_keys=True, ensure_ascii=False),
        "status": status,
        "explanation": explanation,
        "batch_id": None,
        "batch": None,
        "entries": 0,
        "unit": None,
        "total": "0",
        "sha256": None,
        "started_at": desk.at.isoformat(),
        **posted,
    }


def _os_user() -> str:
    """Whose process this is, by what the system knows: LOGNAME and USER are a claim as the actor is."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # in a container that runs as a number
        return f"uid {number}"


def _record(desk: Desk, operation: Operation, request: Mapping[str, Any], plan: Plan) -> Outcome:
    promises.hold(plan.entries.height > 0, f"Operation {desk.operation_id} would post nothing")
    entries = plan.entries.select(
        pl.col(name).cast(kind) if name in plan.entries.columns else pl.lit(None, kind).alias(name)
        for name, kind in posting.POSTED.items()
    )
    content = _content(
        desk,
        operation.kind,
        request,
        status="processed",
        explanation=plan.explanation,
        batch_id=plan.batch_id,
        batch=plan.batch,
        entries=entries.height,
        unit=plan.unit,
        total=str(plan.total),
        sha256=posting.archive(desk.home, entries),
    )
    desk.doing(f"Posting {counted(entries.height, 'entry', 'entries')}")
    posting.record(desk.shard, desk.merchant.id, content, desk.at)
    return Outcome(desk.operation_id, operation.kind, entries.height, plan.unit, plan.total, plan.explanation)
