"""Operations on one member's account: adjust, modify, add and remove a balance (seeds 002 and 003)."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from pipelines import readers
from pipelines.counts import counted
from pipelines.operations.engine import Desk, Operation, Plan, unknown
from pipelines.operations.posting import NEW_PRIORITY, POSTED
from pipelines.operations.requests import (
    OTHER_REASON,
    AddBalance,
    AdjustCredit,
    ModifyBalance,
    RefusedError,
    RemoveBalance,
)
from pipelines.operations.values import end_of_expiry, positive_amount, said, signed_amount, unit_of
from pipelines.settings import TOO_MUCH

CREDIT_TYPE = "Adjustment"
_NAMED_REASONS = 20


@dataclass(frozen=True)
class _Account:
    """What can be drawn from an account, and what was drawn that nothing covered, which later credits do not repay."""

    available: Decimal
    overdrawn: Decimal
    unit: str


def adjust_plan(desk: Desk, request: AdjustCredit) -> Plan:
    """Seed 002: an amount with its sign, an expiry in days, and a reason from the merchant's list."""
    signed = signed_amount(desk, "amount", request.amount, request.balance_type)
    _known_member(desk, request.member)
    reason = _reason(desk, request)
    if signed > 0:
        return _issue(
            desk, request.member, request.balance_type, signed, reason=reason,
            reason_details=None, internal_note=request.internal_note, expires_in_days=request.expires_in_days,
        )  # fmt: skip
    if request.expires_in_days:
        raise unknown("expires_in_days", request.expires_in_days, "is for credit that is added; a deduction has none.")
    return _take(desk, request.member, request.balance_type, -signed, reason, None, request.internal_note)


def modify_plan(desk: Desk, request: ModifyBalance) -> Plan:
    """Seed 003: Manual Change adds, Flagged Deduction takes; the change notes say why."""
    amount = positive_amount(desk, "amount", request.amount, request.balance_type)
    _known_member(desk, request.member)
    notes = said("notes", request.notes)
    if request.change == "manual-change":
        return _issue(desk, request.member, request.balance_type, amount, reason="Manual Change", reason_details=notes)
    return _take(desk, request.member, request.balance_type, amount, "Flagged Deduction", notes)


def add_plan(desk: Desk, request: AddBalance) -> Plan:
    """Seed 003, Add New: only where the member has never had anything in the balance type."""
    amount = positive_amount(desk, "amount", request.amount, request.balance_type)
    _known_member(desk, request.member)
    if (account := _account(desk, request.member, request.balance_type)) is not None:
        raise unknown(
            "balance_type",
            request.balance_type,
            f"is no new one for member {request.member}, who has {desk.told(account.available, account.unit)} in it."
            f"{_overdrawn(desk, account, account.available)} Use modify-balance.",
        )
    return _issue(
        desk, request.member, request.balance_type, amount,
        reason="New balance", reason_details=request.notes.strip() or None,
    )  # fmt: skip


def remove_plan(desk: Desk, request: RemoveBalance) -> Plan:
    """Seed 003, Remove Item: takes all that remains."""
    unit_of(desk, request.balance_type)
    _known_member(desk, request.member)
    reason = said("reason", request.reason)
    account = _account(desk, request.member, request.balance_type)
    if account is None or not account.available:
        raise unknown("balance_type", request.balance_type, f"has nothing left for member {request.member}.")
    return _take(desk, request.member, request.balance_type, account.available, reason, None)


OPERATIONS = (
    Operation("adjust", AdjustCredit, "administrator", adjust_plan),
    Operation("modify-balance", ModifyBalance, "administrator", modify_plan),
    Operation("add-balance", AddBalance, "administrator", add_plan),
    Operation("remove-balance", RemoveBalance, "owner", remove_plan),
)


def _reason(desk: Desk, request: AdjustCredit) -> str:
    reason = said("reason", request.reason)
    if reason.casefold() == OTHER_REASON.casefold():
        if not request.other_reason.strip():
            raise RefusedError(f'other_reason is missing: it says what "{OTHER_REASON}" is.')
        return request.other_reason.strip()
    if request.other_reason.strip():
        raise unknown("other_reason", request.other_reason, f'is for reason "{OTHER_REASON}" only.')
    offered = desk.merchant.reasons or tuple(
        desk.shard.connection.execute(
            "select distinct reason from ledger.entries where merchant_id = $1 and reason is not null order by 1",
            [desk.merchant.id],
        )
        .pl()["reason"]
        .to_list()
    )
    for one in offered:
        if one.casefold() == reason.casefold():
            return str(one)
    # A ledger's own may be as many as its entries, and as long as people write.
    named = [readers.shown(one) for one in offered[:_NAMED_REASONS]]
    if (more := len(offered) - len(named)) > 0:
        named.append(counted(more, "other", "others"))
    named.append(f'"{OTHER_REASON}"')
    raise unknown("reason", readers.shown(reason), f"is none of {', '.join(named)}.")


def _known_member(desk: Desk, member: str) -> None:
    known = desk.one(
        "select 1 where exists (from ledger.members where merchant_id = $1 and member_id = $2)"
        " or exists (from ledger.entries where merchant_id = $1 and member_id = $2)",
        desk.merchant.id,
        member,
    )
    if not known:
        raise unknown("member", member, f"is no member of {desk.merchant.id}, and no entry names them.")


def _account(desk: Desk, member: str, balance_type: str) -> _Account | None:
    """The member's account; None where nothing ever moved."""
    rows = desk.query("accounts").filter(member_id=member, balance_type=balance_type)
    return None if rows.is_empty() else _Account(*rows.select("available", "overdrawn", "unit").row(0))


def _overdrawn(desk: Desk, account: _Account, left: Decimal) -> str:
    """What is said beside what is left, where draws were not covered: the balance, as it is listed, is less by them."""
    if not account.overdrawn:
        return ""
    overdrawn, balance = (desk.told(amount, account.unit) for amount in (account.overdrawn, left - account.overdrawn))
    return f" {overdrawn} are overdrawn beside that: the balance is {balance}."


def _issue(
    desk: Desk,
    member: str,
    balance_type: str,
    amount: Decimal,
    *,
    reason: str,
    reason_details: str | None,
    internal_note: str = "",
    expires_in_days: int = 0,
) -> Plan:
    unit, _ = unit_of(desk, balance_type)
    expires_at = end_of_expiry(desk, desk.today, expires_in_days)
    entry = {
        **_entry(desk, member, balance_type, amount, reason, reason_details, internal_note),
        "entry_type": "created",
        "credit_type": CREDIT_TYPE,
        "expires_at": expires_at,
    }
    good = f", good through {desk.today + timedelta(days=expires_in_days)}" if expires_at else ""
    return Plan(
        _frame(desk, entry), f"Added {desk.told(amount, unit)} to {member} ({balance_type}){good}.", unit, amount
    )


def _take(
    desk: Desk,
    member: str,
    balance_type: str,
    amount: Decimal,
    reason: str,
    reason_details: str | None,
    internal_note: str = "",
) -> Plan:
    unit, _ = unit_of(desk, balance_type)
    account = _account(desk, member, balance_type) or _Account(Decimal(0), Decimal(0), unit)
    if amount > account.available:
        raise unknown(
            "amount",
            desk.told(amount, unit),
            f"is more than the balance of member {member}: {desk.told(account.available, unit)}."
            if not account.overdrawn
            else f"is more than member {member} has left: {desk.told(account.available, unit)}."
            f"{_overdrawn(desk, account, account.available)}",
        )
    if amount >= TOO_MUCH:  # what many entries add up to may be more than one can say
        raise RefusedError(
            f"{desk.told(amount, unit)} of member {member} has more than 14 digits before the decimal point. Take it in"
            " parts, with adjust."
        )
    left = account.available - amount
    entry = _entry(desk, member, balance_type, amount, reason, reason_details, internal_note)
    return Plan(
        _frame(desk, {**entry, "entry_type": "deducted"}),
        f"Took {desk.told(amount, unit)} from {member} ({balance_type});"
        f" {desk.told(left, unit)} are left.{_overdrawn(desk, account, left)}",
        unit,
        amount,
    )


def _entry(
    desk: Desk,
    member: str,
    balance_type: str,
    amount: Decimal,
    reason: str,
    reason_details: str | None,
    internal_note: str,
) -> dict[str, Any]:
    return {
        "position": 1,
        "entry_id": f"{desk.operation_id}.1",
        "member_id": member,
        "balance_type": balance_type,
        "amount": amount,
        "reason": reason,
        "reason_details": reason_details,
        "internal_note": internal_note.strip() or None,
        "priority": NEW_PRIORITY,
        "system": "balance_credit",
    }


def _frame(desk: Desk, entry: dict[str, Any]) -> pl.DataFrame:
    created = entry["entry_type"] == "created"
    whole = {**entry, "credit_id": entry["entry_id"] if created else None}
    overrides = {name: kind for name, kind in POSTED.items() if name in whole}
    return pl.DataFrame([whole], schema_overrides=overrides).with_columns(**desk.signature)
