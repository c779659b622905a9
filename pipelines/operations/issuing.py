"""Issuing a batch: what mass credits and credits from a CSV have in common.

From recipients to a plan: the day, which may be a past one but none of a published month; one credit a recipient, all
of one batch; and a warning where the same was issued a few days ago. Who the recipients are is not decided here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from pipelines import clock
from pipelines.operations.engine import Desk, Plan, sum_of, unknown
from pipelines.operations.posting import NEW_PRIORITY, POSTED
from pipelines.operations.requests import RefusedError
from pipelines.operations.values import needed, unit_of
from pipelines.settings import DEFAULT_BALANCE_TYPE, TOO_MUCH
from schemas import ledger
from schemas.table import duckdb_columns

RECENT = timedelta(days=7)
RECIPIENT_COLUMNS = [*duckdb_columns(ledger.PreviewRecipients)][2:]


@dataclass(frozen=True)
class Batch:
    """What is true of all credits of a batch."""

    description: str
    credit_type: str
    day: date
    occurred_at: datetime
    reason: str | None
    location: str | None
    internal_note: str | None
    issued_as: str


def batch_of(
    desk: Desk,
    *,
    description: str,
    credit_type: str,
    date: str,
    reason: str,
    location: str,
    internal_note: str,
    issued_as: str,
) -> Batch:
    """The batch that is asked for. Raises RefusedError, naming field and value."""
    day = _day(desk, date)
    # Today's credits are issued now, those of a day before at its first instant.
    occurred_at = desk.at if day == desk.today else clock.start_of_day(day, desk.merchant.timezone)
    _refuse_published_month(desk, day, occurred_at)
    return Batch(
        description=needed("description", description),
        credit_type=needed("credit_type", credit_type),
        day=day,
        occurred_at=occurred_at,
        reason=reason.strip() or None,
        location=location.strip() or None,
        internal_note=internal_note.strip() or None,
        issued_as=issued_as,
    )


def batch_plan(
    desk: Desk, batch: Batch, credits: pl.DataFrame, *, explanation: str, filters: str, warnings: tuple[str, ...]
) -> Plan:
    """A credit for each row of `credits`: the columns of a preview's recipients, reason_details and expires_at."""
    unit, _ = unit_of(desk, DEFAULT_BALANCE_TYPE)
    total = sum_of(credits["amount"])
    if total >= TOO_MUCH:  # what a batch declares is an amount as any other
        raise RefusedError(
            f"The {credits.height:,} credits come to {desk.told(total, unit)} in all, which has more than 14 digits"
            " before the decimal point. Issue them in parts."
        )
    entries = credits.select(
        "position",
        "member_id",
        "amount",
        "reason_details",
        "expires_at",
        entry_id=desk.number,
        credit_id=desk.number,
        entry_type=pl.lit("created"),
        occurred_at=pl.lit(batch.occurred_at, POSTED["occurred_at"]),
        balance_type=pl.lit(DEFAULT_BALANCE_TYPE),
        batch_id=pl.lit(desk.operation_id),
        credit_type=pl.lit(batch.credit_type),
        reason=pl.lit(batch.reason, pl.String),
        internal_note=pl.lit(batch.internal_note, pl.String),
        **desk.signature,
        location=pl.lit(batch.location, pl.String),
        priority=pl.lit(NEW_PRIORITY, pl.Int64),
        system=pl.lit("balance_credit"),
    )
    return Plan(
        entries=entries,
        explanation=explanation,
        unit=unit,
        total=total,
        recipients=credits.select(RECIPIENT_COLUMNS),
        filters=filters,
        warnings=(*warnings, *_changes_published_months(desk, batch), *_repeats(desk, batch, credits)),
        batch_id=desk.operation_id,
        batch={
            "batch_id": desk.operation_id,
            "issued_at": batch.occurred_at.isoformat(),
            "issued_by_name": desk.creator_name,
            "issued_by_email": desk.actor,
            "credit_type": batch.credit_type,
            "reason": batch.reason,
            "description": batch.description,
            "issued_as": batch.issued_as,
            "declared_recipients": credits["member_id"].n_unique(),
            "declared_total": str(total),
            "location": batch.location,
        },
    )


def _day(desk: Desk, text: str) -> date:
    try:
        day = date.fromisoformat(needed("date", text))
    except ValueError:
        day = None
    if day is None or str(day) != text.strip():
        raise unknown("date", text, "is not a date; write it like 2026-06-30.")
    if day > desk.today:
        raise unknown("date", text, f"is in the future: today is {desk.today} at {desk.merchant.id}.")
    if day.year < clock.FIRST_YEAR:
        raise unknown("date", text, f"is before {clock.FIRST_YEAR}.")
    return day


def _refuse_published_month(desk: Desk, day: date, occurred_at: datetime) -> None:
    """What was reported stays: a month whose workbook is published gets no more credits."""
    month = desk.one(
        "select max(period) from ledger.published"
        " where merchant_id = $1 and is_final and starts_at <= $2 and $2 < ends_at",
        desk.merchant.id,
        occurred_at,
    )
    if month is None:
        return
    ends_at = desk.one(
        "select max(ends_at) from ledger.published where merchant_id = $1 and is_final", desk.merchant.id
    )
    first = clock.day_of(ends_at, desk.merchant.timezone)
    raise unknown("date", day, f"is in {month}, whose workbook is published. Use {first} or a later day.")


def _changes_published_months(desk: Desk, batch: Batch) -> Iterator[str]:
    """A month that was never published may get credits, and the published ones after it then open with them."""
    month = desk.one(
        "select min(period) from ledger.published where merchant_id = $1 and is_final and starts_at > $2",
        desk.merchant.id,
        batch.occurred_at,
    )
    if month is not None:
        yield (
            f"{batch.day} is before {month}, whose workbook is published: what these credits add to its opening balance"
            " makes it a new version when it is reported again."
        )


def _repeats(desk: Desk, batch: Batch, credits: pl.DataFrame) -> tuple[str, ...]:
    """A warning for each recent batch with the same recipients, amounts and reason."""
    if credits.is_empty():
        return ()
    recent = desk.query(
        "recent_batches",
        since=desk.at - RECENT,
        about_from=batch.occurred_at - RECENT,
        about_to=batch.occurred_at + RECENT,
        reason=batch.reason,
        credits=credits.height,
        total=sum_of(credits["amount"]),
    )
    ours = credits.select("member_id", "amount").sort("member_id", "amount")
    warnings = []
    for (batch_id, issued_at), theirs in recent.group_by("batch_id", "issued_at", maintain_order=True):
        if theirs.select("member_id", "amount").sort("member_id", "amount").equals(ours):
            day = clock.day_of(issued_at, desk.merchant.timezone)
            warnings.append(
                f"Batch {batch_id} of {day} has the same recipients, amount and reason: see that this is not the same"
                f" a second time. rollforward batches show {batch_id}"
            )
    return tuple(warnings)
