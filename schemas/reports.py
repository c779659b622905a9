"""Reports: what an accountant sees. One table for each sheet of the workbook, and those that summaries are made of.

`position` is a row's place in its sheet, from 1. Columns after the seed's are ours and stand to their right.
"""

from schemas.table import (
    Day,
    Flag,
    Instant,
    LocalTime,
    Money,
    Table,
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


class Report(Table):
    """What every report table begins with."""

    merchant_id: Text = text("The merchant.")
    period: Text = text("The period, as in the workbook's file name.")


class CreditsCreated(Report):
    """One row per credit issued in the period."""

    position: Whole = whole("Its place in the sheet.", ge=1)
    credit_id: Text = text("The unique id of the credit created.")
    type: Text = text("legacy_credit or balance_credit: the system that the credit was created in.")
    user_id: Text = text("The unique id of the member to which the credit belongs.")
    email: Text = text("The email of the member.", nullable=True)
    first_name: Text = text("The first name of the member.", nullable=True)
    last_name: Text = text("The last name of the member.", nullable=True)
    amount: Money = money("The amount of the credit at creation; amount_remaining says how much is left.", ge=0)
    created_at: LocalTime = local_time("When the credit was created, in the merchant's timezone.")
    created_at_utc: LocalTime = local_time("When the credit was created, in UTC.")
    reason: Text = text("Category of the reason for the credit's creation.", nullable=True)
    reason_details: Text = text("Details of the reason. Not private: a member may see them.", nullable=True)
    internal_note: Text = text("An internal note about the credit's creation. Private to the merchant.", nullable=True)
    creator: Text = text("The name and email of the account which created the credit.", nullable=True)
    is_expired: Flag = flag("Whether the credit has passed its expiration date, if it has one.")
    expires_at: LocalTime = local_time(
        "The expiration date of the credit, in the merchant's timezone, if it has one.", nullable=True
    )
    amount_remaining: Money = money("The amount of the credit that has not yet been used.", ge=0)
    unit: Text = text("The currency or token that amounts are in.")
    balance_type: Text = text("The bucket of credit within the member.")
    credit_type: Text = text("Promotional, Refund, Service Recovery, Adjustment, or the merchant's own.", nullable=True)
    batch_id: Text = text("The batch that the credit was issued in.", nullable=True)
    location: Text = text("The location that the credit belongs to.", nullable=True)
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class ExtantCredits(CreditsCreated):
    """One row per credit with something left at as_of, whenever it was created."""


class CreditRedemptions(Report):
    """One row per redemption in the period and credit that it drew on."""

    position: Whole = whole("Its place in the sheet.", ge=1)
    redemption_id: Text = text("The unique id of the credit redemption; .1, .2, … where it drew on several credits.")
    source_credit_id: Text = text(
        "The unique id of the credit from which the redemption was drawn. Blank: no credit covered it.", nullable=True
    )
    source_credit_reason: Text = text("Category of the reason for that credit's creation.", nullable=True)
    source_credit_creator: Text = text("The name and email of the account which created that credit.", nullable=True)
    source_credit_type: Text = text("legacy_credit or balance_credit.", nullable=True)
    user_id: Text = text("The unique id of the member to which the credit belongs.")
    email: Text = text("The email of the member.", nullable=True)
    first_name: Text = text("The first name of the member.", nullable=True)
    last_name: Text = text("The last name of the member.", nullable=True)
    amount: Money = money("The amount of the credit redemption.", gt=0)
    redeemed_at: LocalTime = local_time("When the redemption happened, in the merchant's timezone.")
    redeemed_at_utc: LocalTime = local_time("When the redemption happened, in UTC.")
    unit: Text = text("The currency or token that amounts are in.")
    balance_type: Text = text("The bucket of credit within the member.")
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class CreditRedemptionRefunds(Report):
    """One row per refund of a redemption in the period and credit that it went back to."""

    position: Whole = whole("Its place in the sheet.", ge=1)
    refund_id: Text = text("The unique id of the refund; .1, .2, … where it went back to several credits.")
    redemption_id: Text = text("The unique id of the row of Credit Redemptions which was refunded.")
    source_credit_id: Text = text(
        "The unique id of the credit that it went back to. Blank: no credit had covered it.", nullable=True
    )
    source_credit_reason: Text = text("Category of the reason for that credit's creation.", nullable=True)
    source_credit_creator: Text = text("The name and email of the account which created that credit.", nullable=True)
    source_credit_type: Text = text("legacy_credit or balance_credit.", nullable=True)
    user_id: Text = text("The unique id of the member to which the credit belongs.")
    email: Text = text("The email of the member.", nullable=True)
    first_name: Text = text("The first name of the member.", nullable=True)
    last_name: Text = text("The last name of the member.", nullable=True)
    amount: Money = money("The amount of the redemption being refunded.", gt=0)
    refunded_at: LocalTime = local_time("When the refund happened, in the merchant's timezone.")
    refunded_at_utc: LocalTime = local_time("When the refund happened, in UTC.")
    unit: Text = text("The currency or token that amounts are in.")
    balance_type: Text = text("The bucket of credit within the member.")
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class CreditExpirations(Report):
    """One row per expiry of a credit in the period."""

    position: Whole = whole("Its place in the sheet.", ge=1)
    source_credit_id: Text = text("The unique id of the credit which has expired.")
    source_credit_reason: Text = text("Category of the reason for that credit's creation.", nullable=True)
    source_credit_creator: Text = text("The name and email of the account which created that credit.", nullable=True)
    source_credit_type: Text = text("legacy_credit or balance_credit.", nullable=True)
    user_id: Text = text("The unique id of the member to which the credit belongs.")
    email: Text = text("The email of the member.", nullable=True)
    first_name: Text = text("The first name of the member.", nullable=True)
    last_name: Text = text("The last name of the member.", nullable=True)
    amount: Money = money("The amount of the credit which has expired.", gt=0)
    expired_at: LocalTime = local_time("When the expiry happened, in the merchant's timezone.")
    expired_at_utc: LocalTime = local_time("When the expiry happened, in UTC.")
    unit: Text = text("The currency or token that amounts are in.")
    balance_type: Text = text("The bucket of credit within the member.")
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class CreditAdjustments(Report):
    """One row per movement of the period that is no issue, redemption, refund or expiry."""

    position: Whole = whole("Its place in the sheet.", ge=1)
    movement_id: Text = text("The unique id of the movement.")
    movement_type: Text = text("opening, deducted, reversed, transferred_out or transferred_in.")
    source_credit_id: Text = text("The credit. Blank: no credit covered it.", nullable=True)
    source_credit_reason: Text = text("Category of the reason for that credit's creation.", nullable=True)
    source_credit_creator: Text = text("The name and email of the account which created that credit.", nullable=True)
    source_credit_type: Text = text("legacy_credit or balance_credit.", nullable=True)
    user_id: Text = text("The unique id of the member to which the credit belongs.")
    email: Text = text("The email of the member.", nullable=True)
    first_name: Text = text("The first name of the member.", nullable=True)
    last_name: Text = text("The last name of the member.", nullable=True)
    amount: Money = money("What it did to the balance, with its sign.")
    adjusted_at: LocalTime = local_time("When it happened, in the merchant's timezone.")
    adjusted_at_utc: LocalTime = local_time("When it happened, in UTC.")
    reason: Text = text("Category of the adjustment's own reason.", nullable=True)
    internal_note: Text = text("An internal note about the adjustment. Private to the merchant.", nullable=True)
    creator: Text = text("The name and email of the account which made the adjustment.", nullable=True)
    unit: Text = text("The currency or token that amounts are in.")
    balance_type: Text = text("The bucket of credit within the member.")
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class Flows(Report):
    """One row per flow, balance type, movement type and origin of the credit."""

    flow: Text = text("Before the period, within it, or after it until as_of.", isin=("before", "within", "after"))
    balance_type: Text = text("The bucket.")
    unit: Text = text("Its unit.")
    movement_type: Text = text("The movement type.")
    overdrawn: Flag = flag("True: no credit covered it.")
    reason: Text = text("The credit's reason.", nullable=True)
    credit_type: Text = text("The credit's type.", nullable=True)
    creator: Text = text("The credit's creator.", nullable=True)
    amount: Total = total("Sum of the signed amounts.")


class RollForward(Report):
    """One row per balance type: opening balance, what moved, closing balance."""

    unit: Text = text("The balance type's unit.")
    balance_type: Text = text("The bucket.")
    opening_balance: Total = total("What was owed when the period began.")
    opening_entries: Total = total("Credits that existed before this ledger began, entered in the period.")
    created: Total = total("Issued.")
    refunded: Total = total("Given back of redemptions.")
    transferred_in: Total = total("Moved in from other balance types.")
    redeemed: Total = total("Spent.")
    expired: Total = total("Expired.")
    deducted: Total = total("Taken by adjustments.")
    reversed: Total = total("Taken back by reversals.")
    transferred_out: Total = total("Moved out to other balance types.")
    closing_balance: Total = total("What was owed when the period ended.")
    after_period: Total = total("What moved after the period, until as_of.")
    overdrawn: Total = total("What was drawn without a credit, until as_of.")
    extant: Total = total("What the credits have left at as_of.")
    difference: Total = total("Closing and after, less extant, plus overdrawn. Must be 0.")
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class OpeningBalances(Report):
    """One row per balance type: the opening balance as it was published, what came late, and as it is now."""

    unit: Text = text("The balance type's unit.")
    balance_type: Text = text("The bucket.")
    opening_as_published: Total = total("The closing balance of the month before, as it was first published.")
    late_entries: Total = total("What entries that came after that have made of it.")
    opening_balance: Total = total("The two together: what was owed when the period began.")
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class Completeness(Report):
    """One row per period: whether its data has all arrived."""

    complete_through: Text = text(
        "The dataset that must reach the period's end; auto: none is checked.", isin=("auto", "entries", "balances")
    )
    is_complete: Flag = flag("Whether an accepted row of it is dated at or after the period's end.")
    reached_at: Instant = instant("Its newest row, where that is before the period's end.", nullable=True)


class SummaryStatistics(Report):
    """One row per unit: the totals of the period."""

    unit: Text = text("The unit.")
    is_currency: Flag = flag("Whether it is the merchant's currency.")
    total_credit_created: Total = total("Sum of Credits Created.")
    total_credit_redeemed: Total = total("Sum of Credit Redemptions.")
    total_credit_redemption_refunded: Total = total("Sum of Credit Redemption Refunds.")
    total_credit_expired: Total = total("Sum of Credit Expirations.")
    total_credit_change: Total = total("Created + refunded - redeemed - expired.")
    total_credit_extant: Total = total("Sum of amount_remaining of Extant Credits.")
    total_credit_adjusted: Total = total("Sum of Credit Adjustments.")
    total_change_including_adjustments: Total = total("Change + adjusted.")
    movements_after_period: Total = total("What moved after the period, until as_of.")
    overdrawn: Total = total("What was drawn without a credit, until as_of.")
    opening_balance: Total = total("What was owed when the period began.")
    closing_balance: Total = total("What was owed when the period ended.")
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class Breakdowns(Report):
    """One row per unit, dimension and value: the roll-forward by origin of the credit."""

    unit: Text = text("The unit.")
    dimension: Text = text("reason, credit_type, balance_type or creator.")
    value: Text = text("Its value.")
    opening_balance: Total = total("What was owed when the period began.")
    created: Total = total("Issued.")
    redeemed: Total = total("Spent.")
    refunded: Total = total("Given back of redemptions.")
    expired: Total = total("Expired.")
    adjusted: Total = total("Adjusted, opening entries and transfers included.")
    closing_balance: Total = total("What was owed when the period ended.")


class Ageing(Report):
    """One row per unit and bucket: extant credit by days since it was first issued."""

    unit: Text = text("The unit.")
    bucket: Text = text("Days.")
    position: Whole = whole("Order of the buckets.", ge=1)
    credits: Whole = whole("How many credits.", ge=0)
    amount: Total = total("What they have left.", ge=0)
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class ExpirySchedule(Ageing):
    """One row per unit and bucket: extant credit by days until it expires."""


class Trend(Report):
    """One row per unit and month: the twelve months up to the period."""

    unit: Text = text("The unit.")
    month: Day = day("The month's first day.")
    created: Total = total("Issued.")
    redeemed: Total = total("Spent.")
    expired: Total = total("Expired.")
    closing_balance: Total = total("What was owed when the month ended, or at the cutoff.")
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class Checks(Report):
    """One row per check and unit: what must tie, with both sides."""

    position: Whole = whole("Order of the checks.", ge=1)
    unit: Text = text("The unit, or rows.")
    side: Text = text("One side.")
    amount: Total = total("What it adds up to.")
    other_side: Text = text("The other side.")
    other_amount: Total = total("What that adds up to.")
    difference: Total = total("The one less the other.")
    ties: Flag = flag("Whether they are equal.")
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)


class Provenance(Report):
    """One row per period: what the workbook rests on."""

    starts_at: Instant = instant("The period's first instant.")
    ends_at: Instant = instant("The instant after its last.")
    as_of: Instant = instant("The instant at which remaining amounts are stated.")
    is_final: Flag = flag("A month with as_of = its end.")
    entries: Whole = whole("Entries behind the workbook.", ge=0)
    entries_hash: Text = text("Hash over the content of those entries.")
    newest_recorded_at: Instant = instant("The newest of them.", nullable=True)
    movements: Whole = whole("Movements behind the workbook.", ge=0)
    findings: Whole = whole("Findings in the period.", ge=0)
    rejected_rows: Whole = whole("Rows of the merchant's files that are set aside and open.", ge=0)
