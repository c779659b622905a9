"""Operations on a batch that was issued: taking back what remains of it, and giving it another amount (seed 000)."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial

import polars as pl

from pipelines import amounts, clock
from pipelines.counts import counted
from pipelines.operations.engine import Desk, Operation, Plan, recipients_of, sum_of, unknown
from pipelines.operations.posting import POSTED
from pipelines.operations.requests import AdjustBatch, ReverseBatch
from pipelines.operations.values import positive_amount, said

_MONEY = POSTED["amount"]
# Ties a credit that raised another one to it, and tells an accountant so.
_RAISES = "Raises credit {}"
_NONE_YET = Decimal(0)


def reverse_plan(desk: Desk, request: ReverseBatch) -> Plan:
    """Take back what remains of each credit of the batch."""
    reason = said("reason", request.reason)
    credits = _credits_of(desk, request.batch)
    unit = _unit_of(credits, request.batch)
    issued, last_day = _window(desk, request.batch, credits)
    if desk.today > last_day:
        raise unknown(
            "batch",
            request.batch,
            f"was issued on {issued}, and could be reversed until {last_day}, {desk.merchant.reversal_window_days} days"
            " after. Its credits can still be adjusted one by one.",
        )
    reversed_before, used = sum_of(credits["reversed"]), sum_of(credits["used"])
    issued_credits = credits.filter(pl.col("entry_type") != "transferred_in")
    issued_total = sum_of(issued_credits["amount"])
    remaining = sum_of(credits["remaining"])
    in_all, spent, left = (desk.told(amount, unit) for amount in (issued_total, used, remaining))
    if reversed_before:
        raise unknown(
            "batch",
            request.batch,
            f"has been reversed before: {desk.told(reversed_before, unit)} of {in_all} were taken back. A"
            " batch is reversed once; its credits can still be adjusted one by one.",
        )
    if not remaining:
        raise unknown("batch", request.batch, f"has nothing left to take back of {in_all}.")
    used_by = counted(credits.filter(pl.col("used") > 0)["member_id"].n_unique(), "recipient has", "recipients have")
    if used and not request.unused_only:
        raise unknown(
            "batch",
            request.batch,
            f"is partly used: {used_by} used {spent} of {in_all}. With"
            f" unused_only, the {left} that remain are taken back, and what was used stays with them.",
        )
    recipients = credits.filter((pl.col("remaining") > 0) | (pl.col("used") > 0)).select(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("position"),
        "member_id",
        "email",
        "name",
        pl.lit(None, pl.String).alias("student_id"),
        pl.lit(None, pl.String).alias("enrollment_id"),
        "credit_id",
        pl.col("remaining").cast(_MONEY).alias("amount"),
        pl.max_horizontal(pl.col("used"), pl.lit(_NONE_YET)).cast(_MONEY).alias("stays"),
        pl.when(pl.col("used") <= 0)
        .then(pl.lit("Nothing of it has been used."))
        .when(pl.col("remaining") > 0)
        .then(pl.lit("Partly used: what was used stays."))
        .when(pl.col("used") >= pl.col("amount"))
        .then(pl.lit("All used: it stays."))
        .otherwise(pl.lit("Partly used: what was used stays, and nothing else is left."))
        .alias("why"),
    )
    taken = recipients.filter(pl.col("amount") > 0).join(
        credits.select("credit_id", "balance_type", "location", "system", "priority"),
        on="credit_id",
        maintain_order="left",
    )
    entries = taken.select(
        "position",
        "member_id",
        "balance_type",
        "credit_id",
        "amount",
        "location",
        "system",
        "priority",
        entry_id=desk.number,
        entry_type=pl.lit("reversed"),
        batch_id=pl.lit(request.batch),
        reason=pl.lit(reason),
        **desk.signature,
    )
    retold = partial(_reversal_retold, desk, request)
    plan = Plan(
        entries=entries,
        explanation="",
        unit=unit,
        total=remaining,
        recipients=recipients,
        filters=f"Batch {request.batch}, issued on {issued}: {in_all} in"
        f" {counted(issued_credits.height, 'credit', 'credits')}."
        f" It can be reversed until {last_day}. Reason: {reason}.",
        warnings=(f"{used_by} used {spent}, which stay with them.",) if used else (),
        batch_id=request.batch,
        retold=retold,
    )
    return retold(plan)


def adjust_plan(desk: Desk, request: AdjustBatch) -> Plan:
    """Another amount for each credit of the batch: down takes from it what remains, up issues the difference.

    A credit that an earlier adjustment raised is one with the credits that raised it: its amount now is what they
    come to, less what was deducted in the batch's name. So is what a merge of balance types made of them, which is
    where the rest of them is, and where a difference goes. Where some of it was reversed nothing is issued: whoever was
    not to have it gets no part of it again by the difference.
    """
    credits = _credits_of(desk, request.batch).filter(pl.col("origin").is_not_null())
    if credits.is_empty():
        raise unknown(
            "batch",
            request.batch,
            "has no credit that was issued in it, only what was transferred: adjust its credits one by one.",
        )
    unit = _unit_of(credits, request.batch)
    balance_type = str(credits["balance_type"][0])
    new = positive_amount(desk, "amount", request.amount, balance_type)
    each = desk.told(new, unit)
    reason = said("reason", request.reason)
    for member in request.members:
        if credits.filter(member_id=member).is_empty():
            raise unknown("members", member, f"has no credit in batch {request.batch}.")
    if request.members:
        credits = credits.filter(pl.col("member_id").is_in(request.members))
    chained = _chains(credits).with_columns(
        old=(pl.when("is_moved").then(_NONE_YET).otherwise("amount") - pl.col("deducted")).sum().over("base"),
        raises=pl.col("is_raise").cum_count().over("base"),
        taken_back=(pl.col("reversed") > 0).any().over("base"),
        newest_balance_type=pl.col("balance_type").sort_by("opened_at", "credit_id").last().over("base"),
        # Told by the credit that it is in by now; the credits that raised it have a life of their own.
        expires_at=pl.col("expires_at")
        .sort_by(pl.col("origin") == pl.col("base"), "opened_at", "credit_id")
        .last()
        .over("base"),
    )
    change = pl.lit(new, _MONEY) - pl.col("old").cast(_MONEY)
    # Only those that change are numbered: entries have their numbers, and find what their preview said by them.
    bases = (
        chained.filter(~pl.col("is_raise") & ~pl.col("is_moved"))
        .with_columns(change=change)
        .filter(pl.col("change") != 0)
        .with_row_index("position", 1)
        .cast({"position": pl.Int64})
    )
    downs = _take_down(chained, bases.select("base", "position"), new)
    taken = downs.group_by("position").agg(pl.col("take").sum().cast(_MONEY))
    expired = pl.col("expires_at").is_not_null() & (pl.col("expires_at") <= desk.at)
    listed = (
        bases.with_columns(expired=expired)
        .join(taken, on="position", how="left", maintain_order="left")
        .with_columns(
            amount_moved=pl.when(pl.col("change") < 0)
            .then(pl.col("take").fill_null(_NONE_YET))
            .when(pl.col("expired") | pl.col("taken_back"))
            .then(pl.lit(_NONE_YET, _MONEY))
            .otherwise("change")
            .cast(_MONEY)
        )
        .with_columns(stays=(pl.col("change").abs() - pl.col("amount_moved")).cast(_MONEY))
    )
    if listed.is_empty():
        raise unknown("amount", request.amount, f"is what each recipient of batch {request.batch} has already.")
    recipients = listed.select(
        "position",
        "member_id",
        "email",
        "name",
        pl.lit(None, pl.String).alias("student_id"),
        pl.lit(None, pl.String).alias("enrollment_id"),
        "credit_id",
        pl.col("amount_moved").alias("amount"),
        "stays",
        _why(new, desk.merchant.decimals_of(unit)).alias("why"),
    )
    ups = listed.filter((pl.col("change") > 0) & ~pl.col("expired") & ~pl.col("taken_back")).select(
        "position",
        "member_id",
        "credit_type",
        "reason",
        "reason_details",
        "location",
        "priority",
        "expires_at",
        "system",
        balance_type=pl.col("newest_balance_type"),
        entry_id=desk.number,
        credit_id=desk.number,
        entry_type=pl.lit("created"),
        amount=pl.col("amount_moved"),
        batch_id=pl.lit(request.batch),
        internal_note=pl.format(_RAISES, "credit_id"),
    )
    taking = downs.filter(pl.col("take") > 0).select(
        "position",
        "member_id",
        "balance_type",
        "credit_id",
        "location",
        "priority",
        "system",
        entry_id=pl.format("{}.{}", desk.number, "part"),
        entry_type=pl.lit("deducted"),
        amount=pl.col("take").cast(_MONEY),
        batch_id=pl.lit(request.batch),
        reason=pl.lit(reason),
    )
    entries = pl.concat([ups, taking], how="diagonal").with_columns(
        **desk.signature,
    )
    short = recipients.filter(pl.col("stays") > 0)
    missing = desk.told(sum_of(short["stays"]), unit)
    who = counted(short.height, "recipient", "recipients")
    warning = f"{who} cannot come to {each} in full: {missing} stay as they are."
    retold = partial(_adjustment_retold, desk, request, each)
    plan = Plan(
        entries=entries,
        explanation="",
        unit=unit,
        total=sum_of(entries["amount"]),
        recipients=recipients,
        filters=f"Batch {request.batch}, {each} for each recipient. Reason: {reason}.",
        warnings=(warning,) if len(short) else (),
        batch_id=request.batch,
        retold=retold,
    )
    return retold(plan)


OPERATIONS = (
    Operation("reverse-batch", ReverseBatch, "owner", reverse_plan, previewed=True),
    Operation("adjust-batch", AdjustBatch, "owner", adjust_plan, previewed=True),
)


def _reversal_retold(desk: Desk, request: ReverseBatch, plan: Plan) -> Plan:
    """The plan with what is taken back of its recipients, and what of them stays."""
    recipients, limit = recipients_of(plan), desk.merchant.reversal_limit
    members = recipients.filter(pl.col("amount") > 0)["member_id"].n_unique()
    users = recipients.filter(pl.col("stays") > 0)
    taken, spent = desk.told(plan.total, plan.unit), desk.told(sum_of(users["stays"]), plan.unit)
    used_by = counted(users["member_id"].n_unique(), "member", "members")
    return replace(
        plan,
        explanation=f"Took back {taken} of batch {request.batch} from {counted(members, 'member', 'members')}."
        + (f" {spent} had been used by {used_by} and stay." if len(users) else ""),
        approval=f"Taking back {taken} is above reversal_limit {limit:,f}"
        if limit is not None and plan.total > limit
        else None,
    )


def _adjustment_retold(desk: Desk, request: AdjustBatch, each: str, plan: Plan) -> Plan:
    """The plan with what is issued to its recipients, what is taken from them, and who stays above."""
    issued, took = (
        desk.told(sum_of(plan.entries.filter(entry_type=kind)["amount"]), plan.unit) for kind in ("created", "deducted")
    )
    short = recipients_of(plan).filter(pl.col("stays") > 0)
    missing = desk.told(sum_of(short["stays"]), plan.unit)
    return replace(
        plan,
        explanation=f"Set batch {request.batch} to {each} for each recipient: issued {issued}, took {took}."
        + (f" {short.height:,} could not come all the way, by {missing}." if len(short) else ""),
    )


def _credits_of(desk: Desk, batch: str) -> pl.DataFrame:
    credits = desk.query("batch_credits", batch_id=batch)
    if credits.is_empty():
        raise unknown("batch", batch, f"is no batch of {desk.merchant.id} with credits. See `rollforward batches`.")
    return credits


def _unit_of(credits: pl.DataFrame, batch: str) -> str:
    units = credits["unit"].unique().sort().to_list()
    if len(units) > 1:
        raise unknown("batch", batch, f"has credits in {' and '.join(units)}: adjust its credits one by one.")
    return str(units[0])


def _window(desk: Desk, batch: str, credits: pl.DataFrame) -> tuple[date, date]:
    """The local day on which the batch was issued, and the last one on which it can be reversed."""
    stated = desk.one(
        "select issued_at from ledger.batches where merchant_id = $1 and batch_id = $2", desk.merchant.id, batch
    )
    issued_at = stated or credits["issued_at"].min()
    assert isinstance(issued_at, datetime)
    issued = clock.day_of(issued_at, desk.merchant.timezone)
    return issued, issued + timedelta(days=desk.merchant.reversal_window_days)


def _chains(credits: pl.DataFrame) -> pl.DataFrame:
    """Each credit with its `base`: the credit that it raises, or that it comes from by transfers; else itself."""
    raises = (
        credits.filter("is_raise")
        .select(origin="credit_id", raised="internal_note")
        .join(
            credits.filter(~pl.col("is_raise")).select(base="credit_id", raised=pl.format(_RAISES, "credit_id")),
            on="raised",
        )
        .drop("raised")
    )
    return credits.join(raises, on="origin", how="left", maintain_order="left").with_columns(
        base=pl.coalesce("base", "origin"), is_moved=pl.col("entry_type") == "transferred_in"
    )


def _take_down(chained: pl.DataFrame, positions: pl.DataFrame, new: Decimal) -> pl.DataFrame:
    """What is taken from each credit of those that come down, the newest of a chain first."""
    excess = (pl.col("old") - pl.lit(new)).cast(_MONEY)
    return (
        chained.join(positions, on="base", maintain_order="left")
        .filter(pl.col("old") > new)
        .sort("position", "opened_at", "credit_id", descending=[False, True, True])
        .with_columns(
            before=pl.col("remaining").cum_sum().over("position") - pl.col("remaining"),
            part=pl.int_range(1, pl.len() + 1).over("position"),
        )
        .with_columns(
            take=pl.min_horizontal(
                pl.col("remaining"),
                pl.max_horizontal((excess - pl.col("before")).cast(_MONEY), pl.lit(_NONE_YET, _MONEY)),
            ).cast(_MONEY)
        )
    )


def _why(new: Decimal, decimals: int) -> pl.Expr:
    old, stays = (amounts.plain_column(name, pl.lit(decimals)) for name in ("old", "stays"))
    goes = pl.format("From {} to {}", old, pl.lit(amounts.plain(new, decimals)))
    return (
        pl.when(pl.col("expired") & (pl.col("change") > 0))
        .then(pl.format("{}: its credit has expired, so nothing is issued.", goes))
        .when(pl.col("taken_back") & (pl.col("change") > 0))
        .then(pl.format("{}: its credit was reversed, so nothing is issued.", goes))
        .when(pl.col("change") > 0)
        .then(pl.format("{}: the difference is issued.", goes))
        .when(pl.col("stays") > 0)
        .then(pl.format("{}: {} of it is no longer there to take.", goes, stays))
        .otherwise(pl.format("{}: the difference is taken.", goes))
    )
