"""Facts: what the entries mean. Which credit each draw came from, what remains, and what did not add up.

A pure function of the ledger and the merchants' policies. How an accountant wants to see it is `schemas.reports`.
"""

from schemas.ledger import ENTRY_TYPES, OPENING_TYPES
from schemas.table import (
    Day,
    Flag,
    Instant,
    Money,
    Table,
    Text,
    Total,
    Whole,
    day,
    flag,
    instant,
    money,
    text,
    total,
    whole,
)


class Credits(Table):
    """One row per credit: a lot with an amount and maybe an expiry, as it was issued."""

    merchant_id: Text = text("The merchant.")
    credit_id: Text = text("The credit's id, unique in the merchant.")
    member_id: Text = text("Who holds it.")
    balance_type: Text = text("The bucket.")
    entry_id: Text = text("The entry that brought it.")
    entry_type: Text = text("How it came.", isin=OPENING_TYPES)
    system: Text = text("balance_credit or legacy_credit.")
    unit: Text = text("The balance type's unit.")
    decimals: Whole = whole("The unit's decimals.", ge=0, le=4)
    amount: Money = money("What it added to the account.", gt=0)
    original_amount: Money = money("What it was first issued for.", ge=0)
    opened_at: Instant = instant("When it came to this account.")
    issued_at: Instant = instant("When it was first issued.")
    expires_at: Instant = instant("Its expiry as issued.", nullable=True)
    priority: Whole = whole("Lower is drawn first.")
    transfer_id: Text = text("The transfer that brought it.", nullable=True)
    batch_id: Text = text("Its batch.", nullable=True)
    credit_type: Text = text("Its type.", nullable=True)
    reason: Text = text("Its reason.", nullable=True)
    reason_details: Text = text("Details of the reason.", nullable=True)
    internal_note: Text = text("Private note.", nullable=True)
    creator: Text = text("Who created it, as Name <email>.", nullable=True)
    approved_by: Text = text("Who approved it.", nullable=True)
    location: Text = text("Where it belongs.", nullable=True)
    event: Whole = whole("The journal event that brought it.")


class Movements(Table):
    """One row per effect of one entry on one credit, and per derived expiry."""

    merchant_id: Text = text("The merchant.")
    member_id: Text = text("Whose account.")
    balance_type: Text = text("Which account of theirs.")
    unit: Text = text("The balance type's unit.")
    movement_id: Text = text("As sheets show it: id, or id.part where there are several.")
    id: Text = text("redemption_id of a redemption, entry_id otherwise, <credit_id>.expired of a derived expiry.")
    part: Whole = whole("1, 2, … of the same id, in order.", ge=1)
    entry_id: Text = text("The entry. Blank for a derived expiry.", nullable=True)
    movement_type: Text = text("The entry type whose effect it is.", isin=ENTRY_TYPES)
    credit_id: Text = text("The credit. Blank: uncovered.", nullable=True)
    redemption_id: Text = text("Of redeemed its own id, of refunded the redemption given back.", nullable=True)
    redemption_movement_id: Text = text("Of refunded: the movement of the redemption given back.", nullable=True)
    amount: Money = money("How much, without sign.", ge=0)
    signed_amount: Money = money("What it does to the account.")
    occurred_at: Instant = instant("When.")
    day: Day = day("The merchant's local day of it.")
    derived: Flag = flag("A derived expiry: no entry says so, the credit's expires_at does.")
    sequence: Whole = whole("Order within the account, from 1.", ge=1)
    remaining: Money = money("Of the credit, after it.", nullable=True, ge=0)
    expires_at: Instant = instant("Of the credit, after it. Blank: never.", nullable=True)
    valid_until: Instant = instant("The credit's next movement. Blank: none.", nullable=True)


class Findings(Table):
    """One row per thing in the entries that does not add up."""

    finding: Text = text("The rule, as one word.")
    merchant_id: Text = text("The merchant.")
    member_id: Text = text("Whose account.")
    balance_type: Text = text("Which account of theirs.")
    unit: Text = text("The balance type's unit.")
    entry_id: Text = text("The entry.")
    credit_id: Text = text("The credit, where one is concerned.", nullable=True)
    occurred_at: Instant = instant("When the entry occurred.")
    amount: Money = money("How much is concerned.", ge=0)
    unmoved: Money = money("How much of the entry's amount moved nothing.", ge=0)
    explanation: Text = text("What does not add up, in a sentence with its amounts.")


class DailyTotals(Table):
    """One row per day, balance type, movement type and origin of the credit: movements summed."""

    merchant_id: Text = text("The merchant.")
    day: Day = day("The merchant's local day.")
    balance_type: Text = text("The bucket.")
    unit: Text = text("Its unit.")
    movement_type: Text = text("The movement type.")
    overdrawn: Flag = flag("True: movements without a credit.")
    reason: Text = text("The credit's reason.", nullable=True)
    credit_type: Text = text("The credit's type.", nullable=True)
    creator: Text = text("The credit's creator.", nullable=True)
    amount: Total = total("Sum of the signed amounts.")
    movements: Whole = whole("How many.")


class CustomerBalances(Table):
    """One row per member and balance type: what they have as of the moment it is read."""

    merchant_id: Text = text("The merchant.")
    member_id: Text = text("The member.")
    email: Text = text("Their email.", nullable=True)
    first_name: Text = text("Their first name.", nullable=True)
    last_name: Text = text("Their last name.", nullable=True)
    employee: Flag = flag("An employee. False where no members file says so.")
    balance_type: Text = text("The bucket.")
    unit: Text = text("Its unit.")
    balance: Total = total("What they have: the movements until then, summed.")
    created: Instant = instant("When anything first moved.")
    updated: Instant = instant("When something last moved.")
    history_rows: Whole = whole("How many rows of balance_history there are.", ge=1)
    as_of: Instant = instant("The moment of reading: credits that have expired by then are not counted.")


class BalanceHistory(Table):
    """One row per movement until the moment it is read, with the running balance of its account."""

    merchant_id: Text = text("The merchant.")
    member_id: Text = text("The member.")
    balance_type: Text = text("The bucket.")
    occurred_at: Instant = instant("When.")
    movement_type: Text = text("What kind of movement.", isin=ENTRY_TYPES)
    movement_id: Text = text("The movement, as sheets show it.")
    credit_id: Text = text("The credit. Blank: uncovered.", nullable=True)
    amount: Money = money("What it added or, below zero, took.")
    balance: Total = total("What the account had after it.")
    unit: Text = text("The bucket's unit.")
    batch_id: Text = text("The batch of the entry, or of the credit.", nullable=True)
    reason: Text = text("Why, as the entry says, or the credit.", nullable=True)
    reason_details: Text = text("Details of the reason.", nullable=True)
    internal_note: Text = text("Private note of the entry.", nullable=True)
    creator: Text = text("Who made the entry, or the credit, as Name <email>.", nullable=True)
    source_file: Text = text("Where the entry stands. Blank: the credit expired by itself.", nullable=True)
    source_row: Whole = whole("The row there.", nullable=True)
    sequence: Whole = whole("Order within the account, from 1.", ge=1)
    as_of: Instant = instant("The moment of reading.")


class Replayed(Table):
    """One row per merchant: how far its entries have been replayed, and under which policies."""

    merchant_id: Text = text("The merchant.")
    through_event: Whole = whole("Every entry up to this journal event has been replayed.")
    policies: Text = text("What the replay depends on, as JSON.")
