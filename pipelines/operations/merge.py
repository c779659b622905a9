"""Merging balance types (seed 003): what remains of each credit moves, with all that belongs to it, or is copied."""

import polars as pl

from pipelines import amounts
from pipelines.counts import counted
from pipelines.operations.engine import Desk, Operation, Plan, sum_of, unknown
from pipelines.operations.requests import MergeBalanceTypes, RefusedError
from pipelines.operations.values import said, signed_amount, unit_of

COPIED = "Copy"


def merge_plan(desk: Desk, request: MergeBalanceTypes) -> Plan:
    """One transfer pair a source credit; or, without delete_from_source, one copy."""
    unit, decimals = unit_of(desk, request.destination, "destination")
    reason = said("reason", request.reason)
    if not request.sources:
        raise RefusedError("sources is missing: which balance types are merged?")
    for source in request.sources:
        source_unit, _ = unit_of(desk, source, "sources")
        if source == request.destination:
            raise unknown("sources", source, "is the destination too.")
        if source_unit != unit:
            raise unknown(
                "sources", source, f"is in {source_unit}, and {request.destination} in {unit}: they do not add up."
            )
    credits = desk.query("credits").filter(pl.col("balance_type").is_in(request.sources))
    if request.members:
        for member in request.members:
            if credits.filter(member_id=member).is_empty():
                raise unknown("members", member, f"has nothing left in {', '.join(request.sources)}.")
        credits = credits.filter(pl.col("member_id").is_in(request.members))
    if credits.is_empty():
        raise RefusedError(f"Nobody has anything left in {', '.join(request.sources)}, so there is nothing to merge.")
    total = sum_of(credits["remaining"])
    credits = credits.with_row_index("position", 1).with_columns(pl.col("position").cast(pl.Int64), number=desk.number)
    members = credits["member_id"].n_unique()
    amount, sources = desk.told(total, unit), ", ".join(request.sources)
    held = f"{counted(credits.height, 'credit', 'credits')} of {counted(members, 'member', 'members')}"
    what = f"{amount} of {held} from {sources}"
    if request.delete_from_source:
        return Plan(
            pl.concat([_out(desk, credits, reason), _in(credits, request.destination)], how="diagonal"),
            f"Moved {what} to {request.destination}.",
            unit,
            total,
        )
    if not str(request.confirm_total).strip():
        raise RefusedError(
            f"confirm_total is missing: a copy adds {amount} to what is owed. Say {amounts.plain(total, decimals)} to"
            " confirm; or move the balances, without --keep-source (in the launchpad: delete_from_source: true)."
        )
    confirmed = signed_amount(desk, "confirm_total", request.confirm_total, request.destination)
    if confirmed != total:
        raise unknown("confirm_total", request.confirm_total, f"is not what the copy adds: {amount}.")
    return Plan(
        _copies(desk, credits, request.destination, reason), f"Copied {what} to {request.destination}.", unit, total
    )


OPERATIONS = (Operation("merge-balance-types", MergeBalanceTypes, "owner", merge_plan),)


def _out(desk: Desk, credits: pl.DataFrame, reason: str) -> pl.DataFrame:
    return credits.select(
        "position",
        "member_id",
        "balance_type",
        "credit_id",
        entry_id=pl.format("{}.out", "number"),
        entry_type=pl.lit("transferred_out"),
        amount=pl.col("remaining"),
        transfer_id=pl.col("number"),
        reason=pl.lit(reason),
        **desk.signature,
        priority=pl.col("priority"),
        system=pl.col("system"),
    )


def _in(credits: pl.DataFrame, destination: str) -> pl.DataFrame:
    """What belongs to the credit goes with it: its expiry, who issued it and why."""
    return credits.select(
        "position",
        "member_id",
        "batch_id",
        "credit_type",
        "reason",
        "reason_details",
        "internal_note",
        "creator_name",
        "creator_email",
        "approved_by",
        "location",
        "priority",
        "expires_at",
        "issued_at",
        "original_amount",
        "system",
        entry_id=pl.format("{}.in", "number"),
        entry_type=pl.lit("transferred_in"),
        balance_type=pl.lit(destination),
        amount=pl.col("remaining"),
        credit_id=pl.format("{}.in", "number"),
        transfer_id=pl.col("number"),
    )


def _copies(desk: Desk, credits: pl.DataFrame, destination: str, reason: str) -> pl.DataFrame:
    return credits.select(
        "position",
        "member_id",
        "priority",
        "expires_at",
        "location",
        "system",
        entry_id="number",
        entry_type=pl.lit("created"),
        balance_type=pl.lit(destination),
        amount=pl.col("remaining"),
        credit_id=pl.col("number"),
        credit_type=pl.lit(COPIED),
        reason=pl.lit(reason),
        reason_details=pl.format("Copy of credit {}", "credit_id"),
        **desk.signature,
    )
