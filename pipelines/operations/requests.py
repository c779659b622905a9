"""What can be asked for: each operation's request, as the Dagster launchpad, the CLI and the record know it."""

from typing import Any, Literal

import dagster as dg
from pydantic import Field

from pipelines.errors import ForPeopleError

# Text or a number: a number is taken by its shortest text.
Amount = Any

OTHER_REASON = "Other reason"


class RefusedError(ForPeopleError):
    """Why a request cannot be done, and what to change: names the field, its value, and what it is held against."""


class Who(dg.Config):
    """For whom an operation is done, and by whom."""

    merchant: str = Field(description="The merchant's id, as in merchants.toml.")
    actor: str = Field(description="Your email, as in access.toml. It is kept with the operation.")
    approved_by: str = Field(
        default="", description="Email of another person with your role or a higher one, where a limit asks for it."
    )


class AdjustCredit(Who):
    """Add to a member's credit, or take from it."""

    member: str = Field(description="The member's id.")
    amount: Amount = Field(description="How much is added, like 12.50; with a minus sign it is taken: -12.50.")
    reason: str = Field(description='Why: one of the merchant\'s reasons, or "Other reason".')
    other_reason: str = Field(default="", description='The reason in your words, where it is "Other reason".')
    expires_in_days: int = Field(default=0, description="Good through so many days from today. 0: it does not expire.")
    balance_type: str = Field(default="default", description="The balance type.")
    internal_note: str = Field(default="", description="A note that the member does not see.")


class ModifyBalance(Who):
    """Correct a balance, with a note that says why."""

    member: str = Field(description="The member's id.")
    change: Literal["manual-change", "flagged-deduction"] = Field(
        default="manual-change", description="manual-change adds the amount, flagged-deduction takes it."
    )
    amount: Amount = Field(description="How much, without sign, like 12.50.")
    notes: str = Field(description="Change notes: what the change is for.")
    balance_type: str = Field(default="default", description="The balance type.")


class AddBalance(Who):
    """Give a member the first balance in a balance type."""

    member: str = Field(description="The member's id.")
    amount: Amount = Field(description="The balance, like 1000.")
    balance_type: str = Field(default="default", description="The balance type.")
    notes: str = Field(default="", description="What it is for.")


class RemoveBalance(Who):
    """Take all that remains of a member's balance type. For owners."""

    member: str = Field(description="The member's id.")
    balance_type: str = Field(default="default", description="The balance type.")
    reason: str = Field(description="Why it is removed.")


class MergeBalanceTypes(Who):
    """Move what remains of balance types into another one of the same unit. For owners."""

    sources: list[str] = Field(description="The balance types to take from.")
    destination: str = Field(description="The balance type to add to.")
    members: list[str] = Field(default_factory=list, description="Only these members. None: all who have something.")
    delete_from_source: bool = Field(
        default=True,
        description="Moves the balances. false copies them, which enlarges what is owed and needs confirm_total.",
    )
    confirm_total: Amount = Field(default="", description="For a copy: the sum that is owed in addition.")
    reason: str = Field(default="Balance types merged", description="Why.")


class ReverseBatch(Who):
    """Take back what remains of a batch. For owners."""

    batch: str = Field(description="The batch's id.")
    reason: str = Field(description="Why it is taken back.")
    unused_only: bool = Field(
        default=False, description="Where some of it has been used: take back what remains, and let the rest be."
    )


class AdjustBatch(Who):
    """Give the credits of a batch another amount. For owners."""

    batch: str = Field(description="The batch's id.")
    amount: Amount = Field(description="What each recipient's credit shall be, like 8.00.")
    reason: str = Field(description="Why it is changed.")
    members: list[str] = Field(default_factory=list, description="Only these recipients. None: all.")


class ProcessPreview(Who):
    """Do what a preview showed."""

    preview_id: str = Field(description="The preview's id.")
    exclude: list[str] = Field(
        default_factory=list,
        description="Ids of members, students, enrollments or credits of the preview to leave out. One that is of"
        " several kinds is written as member_id=7 or student_id=7.",
    )


def asked(request: Who) -> dict[str, Any]:
    """The request alone, as it is recorded: without who asked, amounts as text."""
    told = request.model_dump(exclude=set(Who.model_fields))
    return {name: str(value) if name in _AMOUNTS else value for name, value in told.items()}


_AMOUNTS = ("amount", "confirm_total")
