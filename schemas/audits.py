"""Audits: what became of every batch, and which rows deserve a look. Beside reports, and made from them.

`position` is a row's place in its sheet, from 1.
"""

from schemas import reports
from schemas.reports import Report
from schemas.table import (
    Day,
    Flag,
    Instant,
    LocalTime,
    Money,
    Text,
    Total,
    Whole,
    day,
    flag,
    instant,
    local_time,
    money,
    text,
    total,
    whole,
)

SEVERITIES = ("error", "warning", "info")
STATUSES = ("Active", "Adjusted", "Partially Reversed", "Reversed", "Failed")


class BatchRecipients(Report):
    """One row per credit of a batch that the period lists, as it stands at as_of."""

    position: Whole = whole("Its place in the sheet.", ge=1)
    batch_id: Text = text("The batch.")
    member_id: Text = text("The member who holds the credit.")
    email: Text = text("The email of the member.", nullable=True)
    name: Text = text("First and last name of the member.", nullable=True)
    amount: Money = money("What the credit was issued for. 0: it was transferred in, and issued elsewhere.", ge=0)
    used: Total = total("What was redeemed of it.", ge=0)
    refunded: Total = total("What was given back of that.", ge=0)
    expired: Total = total("What expired of it.", ge=0)
    deducted: Total = total("What adjustments took of it.", ge=0)
    transferred: Total = total("What was moved to other balance types, less what was moved in.")
    reversed: Total = total("What was taken back of it.", ge=0)
    remaining: Money = money("What is left of it.", ge=0)
    last_used_at: LocalTime = local_time("When it was last drawn on, in the merchant's timezone.", nullable=True)
    issued_at: LocalTime = local_time("When it was issued, in the merchant's timezone.")
    expires_at: LocalTime = local_time("When it expires, in the merchant's timezone. Blank: never.", nullable=True)
    unit: Text = text("The currency or token that amounts are in.")
    balance_type: Text = text("The bucket of credit within the member.")
    credit_id: Text = text("The credit.")
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class CreditsBatches(Report):
    """One row per batch and unit that moved or was issued in the period, whole, as of as_of."""

    position: Whole = whole("Its place in the sheet.", ge=1)
    batch_id: Text = text("Unique batch identifier.")
    issue_date: LocalTime = local_time("When the credits were distributed, in the merchant's timezone.")
    issued_by: Text = text("Who created the batch.", nullable=True)
    credit_type: Text = text("Promotional, Refund, Service Recovery, Adjustment, or the merchant's own.", nullable=True)
    reason: Text = text("Why the credits were issued.", nullable=True)
    recipient_count: Whole = whole("How many members were credited.", ge=0)
    amount_per_customer: Total = total("What each of them got. Blank: not the same for all.", nullable=True)
    total_amount: Total = total("Sum of all credits issued in the batch.", ge=0)
    status: Text = text(
        "Failed: no recipients. Reversed: nothing remains, and some was reversed. Partially Reversed. Adjusted: some"
        " was deducted, or adjust-batch gave it another amount. Active: none of these.",
        isin=STATUSES,
    )
    description: Text = text("What the batch is called, or the details that all its credits share.", nullable=True)
    location: Text = text("The location that it belongs to.", nullable=True)
    unit: Text = text("The currency or token that amounts are in.")
    issued_as: Text = text(
        "Whether a credit was issued for each family, student or enrollment, or from a list.", nullable=True
    )
    credit_count: Whole = whole("How many credits were issued.", ge=0)
    declared_recipients: Whole = whole("How many recipients the batches file declares.", nullable=True)
    declared_total: Money = money("What total the batches file declares.", nullable=True)
    redeemed: Total = total("What was redeemed of its credits.", ge=0)
    refunded: Total = total("What was given back of that.", ge=0)
    expired: Total = total("What expired.", ge=0)
    deducted: Total = total("What adjustments took.", ge=0)
    transferred: Total = total("What was moved to other balance types, less what was moved in.")
    reversed: Total = total("What was taken back.", ge=0)
    remaining: Total = total("What is left.", ge=0)
    recipients_who_used: Whole = whole("How many members have used theirs.", ge=0)
    percent_used: Money = money("Redeemed less given back, in percent of the total.", nullable=True)
    oldest_expiry: LocalTime = local_time("The first of its credits' expiries.", nullable=True)
    newest_expiry: LocalTime = local_time("The last of its credits' expiries.", nullable=True)
    reversible: Text = text("Whether the batch can be reversed at as_of; if not, why not; if some is used, how much.")
    reversible_amount: Total = total("What a reversal would take back.", ge=0)
    window_last_day: Day = day("The last day on which it can be reversed.")
    findings: Whole = whole("How many entries of its credits do not add up.", ge=0)
    issued_in_period: Flag = flag(
        "Whether it was issued in the period (dated in it, or before, and first credited in it), or only moved in it."
    )
    credited_in_period: Flag = flag("Whether it issued credits in the period, or was issued in it and had none before.")
    issued_at_utc: Instant = instant("When it was issued.")
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class BatchSummary(Report):
    """One row per unit, section and credit type: what batches, and all credits, of the period came to."""

    unit: Text = text("The unit.")
    section: Text = text("issued: batches issued in the period. expense: all its credits.", isin=("issued", "expense"))
    credit_type: Text = text("The credit type. Blank: all of them.", nullable=True)
    batches: Whole = whole("How many batches.", ge=0)
    customers: Whole = whole("How many members.", ge=0)
    credits: Whole = whole("How many credits.", ge=0)
    amount: Total = total("What they come to.", ge=0)
    average: Money = money("What a credit is on average.", nullable=True)
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class AnomalyFlags(Report):
    """One row per flag: wrong data, a control that failed, or a pattern worth a look; with its evidence."""

    rule: Text = text("The rule that raised it; docs/anomalies.md says what each means and what to do.")
    severity: Text = text("error, warning or info.", isin=SEVERITIES)
    position: Whole = whole("Its place in the sheet.", ge=1)
    member_id: Text = text("The member concerned.", nullable=True)
    credit_id: Text = text("The credit concerned.", nullable=True)
    batch_id: Text = text("The batch concerned, or several.", nullable=True)
    entry_ids: Text = text("The entries that are the evidence.", nullable=True)
    unit: Text = text("The currency or token that amounts are in.", nullable=True)
    amount_at_risk: Total = total("How much is concerned.", nullable=True)
    observed: Text = text("What was found.", nullable=True)
    threshold: Text = text("What it was held against.", nullable=True)
    explanation: Text = text("What it is, in a sentence with its numbers.")
    rule_version: Whole = whole("Which version of the rule.", ge=1)
    evidence_sheet: Text = text(
        "The sheet that has the evidence. Blank: it moved nothing, or is no row.", nullable=True
    )
    evidence_position: Whole = whole("The evidence's place in that sheet.", nullable=True)
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class NotAssessable(Report):
    """One row per rule, unit and group of credits that has too few observations to be judged."""

    rule: Text = text("The rule.")
    unit: Text = text("The unit.")
    concerned: Text = text("The reason, or whose credits.")
    observations: Whole = whole("How many there are.", ge=0)
    needed: Whole = whole("How many it takes.", ge=1)


class Checks(reports.Checks):
    """One row per check and unit: what must tie of batches and flags, with both sides."""
