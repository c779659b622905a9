"""Mass credits (seed 001): one amount for every family, student or enrollment that qualifies, as one batch.

Who qualifies is one query, sql/operations/mass_credits.sql; here is what can be asked, and its words.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

import dagster as dg
import polars as pl
from pydantic import Field

from pipelines.operations.engine import Desk, Operation, Plan, unknown
from pipelines.operations.issuing import Batch, batch_of, batch_plan
from pipelines.operations.posting import POSTED
from pipelines.operations.requests import Amount, RefusedError, Who
from pipelines.operations.values import end_of_expiry, positive_amount, unit_of
from pipelines.settings import DEFAULT_BALANCE_TYPE, WEEKDAYS


class EnrollmentFilter(dg.Config):
    """One enrollment filter: a family has every value of it, in active enrollments that have one of each list."""

    days: list[str] = Field(default_factory=list, description="Days: mon, tue, wed, thu, fri, sat, sun.")
    locations: list[str] = Field(default_factory=list, description="Where the class or camp is held.")
    classes: list[str] = Field(default_factory=list, description="Names of classes.")
    camps: list[str] = Field(default_factory=list, description="Names of camps. One list with classes.")
    programs: list[str] = Field(default_factory=list, description="Programs.")
    class_keywords: list[str] = Field(default_factory=list, description="Keywords of the class.")
    camp_keywords: list[str] = Field(default_factory=list, description="Keywords of the camp.")
    program_keywords: list[str] = Field(default_factory=list, description="Keywords of the program.")


class MassCredits(Who):
    """Issue the same credit to every family, student or enrollment that qualifies."""

    # What is strict is what Dagster would otherwise refuse after a request file was taken: "30" for 30, "yes" for true.

    description: str = Field(
        description="What the credit is called, like Snow day 12 January. Members see it; it is the batch's name."
    )
    credit_type: str = Field(
        description="How it is tracked: Promotional, Refund, Service Recovery, Adjustment, or another of yours."
    )
    date: str = Field(
        description="The day it is issued for, like 2026-06-30: today, or an earlier day of a month not yet published."
    )
    amount: Amount = Field(description="How much each credit is, like 12.50. An amount, never a percentage.")
    issue_per: Literal["family", "student", "enrollment"] = Field(
        description="One credit for each family, each student of the family, or each enrollment that the filters meet."
    )
    only_with_outstanding_charges: bool = Field(
        default=False, strict=True, description="Only families with outstanding charges. false: all."
    )
    autopay_methods: list[str] = Field(
        default_factory=list, description="Only families with one of these on file, like card or bank. None: all."
    )
    charge_categories: list[str] = Field(
        default_factory=list,
        description="Only families with a charge of one of these categories; an outstanding one where"
        " only_with_outstanding_charges is true. None: all.",
    )
    student_keywords: list[str] = Field(
        default_factory=list,
        description="Only families with a student who has one of these; per student or enrollment, only such students.",
    )
    family_keywords: list[str] = Field(
        default_factory=list, description="Only families with one of these keywords. None: all."
    )
    enrollment_filters: list[EnrollmentFilter] = Field(
        default_factory=list, description="Only families whose active enrollments meet all of these filters. None: all."
    )
    location: str = Field(default="", description="The location that all of the credits belong to.")
    expires_in_days: int = Field(
        default=0, strict=True, description="Good through so many days after the date. 0: it does not expire."
    )
    reason: str = Field(default="", description="Why: the category of the reason, as in reports.")
    internal_note: str = Field(default="", description="A note that members do not see.")


def mass_credits_plan(desk: Desk, request: MassCredits) -> Plan:
    """Steps 1 to 10 of the seed: who would get what, and why."""
    amount = positive_amount(desk, "amount", request.amount, DEFAULT_BALANCE_TYPE)
    unit, _ = unit_of(desk, DEFAULT_BALANCE_TYPE)
    batch = batch_of(
        desk,
        description=request.description,
        credit_type=request.credit_type,
        date=request.date,
        reason=request.reason,
        location=request.location,
        internal_note=request.internal_note,
        issued_as=request.issue_per,
    )
    expires_at = end_of_expiry(desk, batch.day, request.expires_in_days)
    wanted = [*_wanted(request.enrollment_filters)]
    credits = desk.query(
        "mass_credits",
        issue_per=request.issue_per,
        only_with_outstanding_charges=request.only_with_outstanding_charges,
        amount=amount,
        enrollment_filters=wanted,
        **{name: _values(name, getattr(request, name)) for name in _WORDS},
    ).with_columns(
        reason_details=pl.lit(batch.description), expires_at=pl.lit(expires_at, POSTED["expires_at"])
    )  # fmt: skip
    each = desk.told(amount, unit)
    good = f", good through {batch.day + timedelta(days=request.expires_in_days)}" if expires_at else ""
    return batch_plan(
        desk,
        batch,
        credits,
        explanation=f"{batch.description}: {each} to each {request.issue_per}, dated {batch.day}{good}.",
        filters="\n".join(_summary(request, batch, each, good)),
        warnings=(*_never_met(request.enrollment_filters), *_expired(desk, expires_at, good)),
    )


OPERATIONS = (Operation("mass-credits", MassCredits, "administrator", mass_credits_plan, previewed=True),)

# Lists of words in a request, as the query knows them, and what a family must have of them.
_WORDS = {
    "autopay_methods": "Autopay on file: {}",
    "charge_categories": "Charges of category: {}",
    "student_keywords": "Student keyword: {}",
    "family_keywords": "Family keyword: {}",
}


def _values(field: str, values: list[str]) -> list[str]:
    """A list of words without blank ones: a filter that is there but says nothing would let everyone through."""
    for value in values:
        if not value.strip():
            raise RefusedError(f"{field} has a blank value. Name one, or leave the list out.")
    return values


def _wanted(filters: list[EnrollmentFilter]) -> Iterator[dict[str, Any]]:
    """Every value of every list of each filter, numbered from 1."""
    for number, one in enumerate(filters, 1):
        place = f"enrollment_filters {number}"
        lists = one.model_dump()
        if not any(lists.values()):
            raise RefusedError(f"{place} is empty. Name {', '.join(lists)}, or leave the filter out.")
        for name, values in lists.items():
            for value in _values(f"{place}, {name}", values):
                if name == "days" and value.strip().casefold() not in WEEKDAYS:
                    raise unknown(f"{place}, days", value, f"is none of {', '.join(WEEKDAYS)}.")
                yield {"filter": number, "list": name, "value": value}


def _summary(request: MassCredits, batch: Batch, each: str, good: str) -> Iterator[str]:
    """The filter summary, a line for each thing that was asked."""
    yield f"{batch.description} ({batch.credit_type}): {each} once per {request.issue_per}, dated {batch.day}{good}."
    if batch.reason:
        yield f"Reason: {batch.reason}"
    if batch.location:
        yield f"Location: {batch.location}"
    yield "Families: " + ("only with outstanding charges" if request.only_with_outstanding_charges else "all")
    for name, said in _WORDS.items():
        if values := getattr(request, name):
            outstanding = name == "charge_categories" and request.only_with_outstanding_charges
            yield said.format(" or ".join(values)) + (", outstanding" if outstanding else "")
    for number, one in enumerate(request.enrollment_filters, 1):
        lists = [
            f"{name.replace('_', ' ')} {' and '.join(values)}" for name, values in one.model_dump().items() if values
        ]
        yield f"Enrollment filter {number}: {'; '.join(lists)}"


def _never_met(filters: list[EnrollmentFilter]) -> Iterator[str]:
    for number, one in enumerate(filters, 1):
        if (one.class_keywords and (one.camp_keywords or (one.camps and not one.classes))) or (
            one.camp_keywords and one.classes and not one.camps
        ):
            yield (
                f"Enrollment filter {number} asks for a class and for a camp, and no enrollment is both: nobody meets"
                " it. Make it two filters."
            )


def _expired(desk: Desk, expires_at: datetime | None, good: str) -> Iterator[str]:
    if expires_at is not None and expires_at <= desk.at:
        yield f"The credits are{good.removeprefix(',')}, which is over: they expire at once."
