"""The ledger: what sources and operations reported, as they reported it. It only grows.

What entries *mean* (which credit a redemption drew on) is not here: that is `schemas.facts`.
"""

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

OPENING_TYPES = ("opening", "created", "transferred_in")
DRAW_TYPES = ("redeemed", "deducted", "transferred_out")
ISSUED_AS = ("family", "student", "enrollment", "csv", "import")
ENTRY_TYPES = (*OPENING_TYPES, *DRAW_TYPES, "refunded", "reversed", "expired", "expiry_changed")


class Entries(Table):
    """One row per entry: a line of the append-only ledger. Never updated, never deleted."""

    merchant_id: Text = text("The business that owes the credit.")
    entry_id: Text = text("Unique in the merchant: the idempotency key.")
    entry_type: Text = text("What happened.", isin=ENTRY_TYPES)
    occurred_at: Instant = instant("When it happened.")
    recorded_at: Instant = instant("When this ledger learnt of it.")
    member_id: Text = text("The customer who holds the credit.")
    balance_type: Text = text(
        "The bucket of credit. Blank where it follows from the credit or redemption that the entry names.",
        nullable=True,
    )
    amount: Money = money("Never negative: the entry type gives the sign. 0 for expiry_changed only.", ge=0)
    credit_id: Text = text("The new credit's id, or the credit that the entry names.", nullable=True)
    redemption_id: Text = text("Of redeemed: its id. Of refunded: the redemption given back.", nullable=True)
    transfer_id: Text = text("Pairs a transferred_out with a transferred_in.", nullable=True)
    batch_id: Text = text("The batch that the credit was issued in.", nullable=True)
    credit_type: Text = text("Promotional, Refund, Service Recovery, Adjustment, or the merchant's own.", nullable=True)
    reason: Text = text("Category of the reason.", nullable=True)
    reason_details: Text = text("Details of the reason. A member may see them.", nullable=True)
    internal_note: Text = text("A note private to the merchant.", nullable=True)
    creator_name: Text = text("Who created it: name.", nullable=True)
    creator_email: Text = text("Who created it: email.", nullable=True)
    approved_by: Text = text("Email of who approved it.", nullable=True)
    location: Text = text("Where it belongs.", nullable=True)
    priority: Whole = whole("Lower is drawn first.")
    expires_at: Instant = instant("From this instant on the credit cannot be drawn. Blank: never.", nullable=True)
    issued_at: Instant = instant("When the credit was first issued.", nullable=True)
    original_amount: Money = money("For how much the credit was first issued.", nullable=True, ge=0)
    system: Text = text("Where the source keeps it.", isin=("balance_credit", "legacy_credit"))
    operation_id: Text = text("The operation that posted the entry.", nullable=True)
    source_file: Text = text("Provenance: the file, by its name below landing/.")
    source_row: Whole = whole("Provenance: the row of that file, the header being row 1.", ge=1)
    content_hash: Text = text("Hash over the typed values, without recorded_at and provenance.")
    event: Whole = whole("Provenance: the merchant's journal event that brought the entry.", ge=1)


class Members(Table):
    """One row per member: the newest word on who they are."""

    merchant_id: Text = text("The merchant.")
    member_id: Text = text("The customer's id.")
    email: Text = text("Email.", nullable=True)
    first_name: Text = text("First name.", nullable=True)
    last_name: Text = text("Last name.", nullable=True)
    is_employee: Flag = flag("Whether the member works for the merchant.", nullable=True)
    keywords: Text = text("Keywords, separated by ;", nullable=True)
    autopay_methods: Text = text("Stored payment methods, separated by ;", nullable=True)
    location: Text = text("Where the member belongs.", nullable=True)
    updated_at: Instant = instant("When the source last changed it.", nullable=True)
    source_file: Text = text("Provenance: the file.")
    source_row: Whole = whole("Provenance: the row of that file.", ge=1)
    file_event: Whole = whole("Provenance: the journal event of that file.", ge=1)
    event: Whole = whole("Provenance: the journal event that brought the row.", ge=1)


class Students(Table):
    """One row per student of the newest roster: for whom a member, who is then a family, is a customer."""

    merchant_id: Text = text("The merchant.")
    student_id: Text = text("The student's id.")
    member_id: Text = text("The family.")
    first_name: Text = text("First name.", nullable=True)
    last_name: Text = text("Last name.", nullable=True)
    keywords: Text = text("Keywords, separated by ;", nullable=True)
    source_file: Text = text("Provenance: the file.")
    source_row: Whole = whole("Provenance: the row of that file.", ge=1)
    file_event: Whole = whole("Provenance: the journal event of that file.", ge=1)
    event: Whole = whole("Provenance: the journal event that brought the row.", ge=1)


class Enrollments(Table):
    """One row per enrollment of the newest roster: a student in a class or camp."""

    merchant_id: Text = text("The merchant.")
    enrollment_id: Text = text("The enrollment's id.")
    student_id: Text = text("The student.")
    kind: Text = text("What it is in.", isin=("class", "camp"))
    name: Text = text("Name of the class or camp.")
    program: Text = text("The program it belongs to.", nullable=True)
    location: Text = text("Where it is held.", nullable=True)
    days: Text = text("The days it is held on, as mon;wed", nullable=True)
    keywords: Text = text("Keywords of the class or camp, separated by ;", nullable=True)
    program_keywords: Text = text("Keywords of the program, separated by ;", nullable=True)
    starts_on: Day = day("Its first day.", nullable=True)
    ends_on: Day = day("Its last day.", nullable=True)
    status: Text = text("active qualifies for mass credits, nothing else does.", nullable=True)
    source_file: Text = text("Provenance: the file.")
    source_row: Whole = whole("Provenance: the row of that file.", ge=1)
    file_event: Whole = whole("Provenance: the journal event of that file.", ge=1)
    event: Whole = whole("Provenance: the journal event that brought the row.", ge=1)


class Charges(Table):
    """One row per charge of the newest list: what a member was charged, and what of it is not paid yet."""

    merchant_id: Text = text("The merchant.")
    charge_id: Text = text("The charge's id.")
    member_id: Text = text("The member.")
    category: Text = text("What it is for.", nullable=True)
    amount: Money = money("What was charged.")
    outstanding: Money = money("What of it is not paid yet.")
    charged_on: Day = day("The day it was charged.", nullable=True)
    location: Text = text("Where it belongs.", nullable=True)
    source_file: Text = text("Provenance: the file.")
    source_row: Whole = whole("Provenance: the row of that file.", ge=1)
    file_event: Whole = whole("Provenance: the journal event of that file.", ge=1)
    event: Whole = whole("Provenance: the journal event that brought the row.", ge=1)


class Batches(Table):
    """One row per batch: the newest word on credits that were issued together."""

    merchant_id: Text = text("The merchant.")
    batch_id: Text = text("The batch's id.")
    issued_at: Instant = instant("When it was issued.", nullable=True)
    issued_by_name: Text = text("Who issued it: name.", nullable=True)
    issued_by_email: Text = text("Who issued it: email.", nullable=True)
    credit_type: Text = text("Promotional, Refund, Service Recovery, Adjustment, or the merchant's own.", nullable=True)
    reason: Text = text("Why it was issued.", nullable=True)
    description: Text = text("What it is called.", nullable=True)
    issued_as: Text = text(
        "For each what a credit was issued, or where the list came from.", nullable=True, isin=ISSUED_AS
    )
    declared_recipients: Whole = whole("How many recipients the source says it has.", nullable=True, ge=0)
    declared_total: Money = money("What the source says it comes to.", nullable=True, ge=0)
    location: Text = text("Where it belongs.", nullable=True)
    recorded_at: Instant = instant("When this ledger learnt of it.")
    source_file: Text = text("Provenance: the file.")
    source_row: Whole = whole("Provenance: the row of that file.", ge=1)
    file_event: Whole = whole("Provenance: the journal event of that file.", ge=1)
    event: Whole = whole("Provenance: the journal event that brought the row.", ge=1)


class Balances(Table):
    """One row per balance that a source says an account held. Checked against the ledger, never booked."""

    merchant_id: Text = text("The merchant.")
    balance_id: Text = text("Member, day and balance type: unique in the merchant.")
    member_id: Text = text("The member.")
    balance_type: Text = text("The bucket.")
    as_of_day: Day = day("The local day at whose start it held.")
    as_of: Instant = instant("That day's first instant.")
    balance: Money = money("What the source says; negative where it says overdrawn.")
    recorded_at: Instant = instant("When this ledger learnt of it.")
    source_file: Text = text("Provenance: the file.")
    source_row: Whole = whole("Provenance: the row of that file.", ge=1)
    event: Whole = whole("Provenance: the journal event that brought the row.", ge=1)


class Files(Table):
    """One row per reading of a file: what became of each of its rows."""

    merchant_id: Text = text("The merchant.")
    event: Whole = whole("The merchant's journal event.", ge=1)
    dataset: Text = text("What the file holds.")
    reading: Text = text(
        "first: all its rows. again: a file whose bytes were known. retry: rows set aside before.",
        isin=("first", "again", "retry"),
    )
    source_file: Text = text("The file, by its name below landing/.")
    sha256: Text = text("Its content, kept as archive/<sha256>.")
    size_bytes: Whole = whole("Its size.", ge=0)
    recorded_at: Instant = instant("When this ledger read it.")
    rows_read: Whole = whole("Rows read = accepted + duplicates + rejected.", ge=0)
    accepted: Whole = whole("Rows that went in.", ge=0)
    duplicates: Whole = whole("Rows whose entry was known already, with the same content.", ge=0)
    rejected: Whole = whole("Rows set aside.", ge=0)


class RejectedRows(Table):
    """One row per row that was set aside, whole, with what is wrong with it."""

    merchant_id: Text = text("The merchant.")
    event: Whole = whole("The journal event of the file.", ge=1)
    dataset: Text = text("What the file holds.")
    source_file: Text = text("The file, by its name below landing/.")
    source_row: Whole = whole("The row of that file, the header being row 1. 0: the whole file.", ge=0)
    column_name: Text = text("The column at fault.", nullable=True)
    value: Text = text("What it says.", nullable=True)
    reason: Text = text("The rule that it breaks, as one word.")
    explanation: Text = text("What is wrong, in a sentence.")
    row: Text = text("The whole row as JSON, or as it stood in the file where it could not be split.", nullable=True)
    row_id: Text = text("The id that the row gives itself, where it can be read.", nullable=True)
    sha256: Text = text("The file's content.")
    rejected_at: Instant = instant("When.")
    closed_event: Whole = whole("The journal event that accepted it after all. Blank: open.", nullable=True)


class Published(Table):
    """One row per workbook that was published, and per version of it."""

    merchant_id: Text = text("The merchant.")
    event: Whole = whole("The merchant's journal event.", ge=1)
    period: Text = text("The period, as in the file's name.")
    starts_at: Instant = instant("The period's first instant.")
    ends_at: Instant = instant("The instant after the period's last.")
    as_of: Instant = instant("The instant at which the workbook states remaining amounts.")
    is_final: Flag = flag("A month with as_of = its end. Only those count as published; others are interim.")
    version: Whole = whole("1, 2, … of the same period and as_of.", ge=1)
    path: Text = text("The workbook, by its name below reports/.")
    sha256: Text = text("Hash of the file.")
    content_hash: Text = text("Hash over what its sheets say, About excepted.")
    totals: Text = text("The seed's totals by unit, as JSON.")
    newest_recorded_at: Instant = instant("The newest entry behind it.", nullable=True)
    run_id: Text = text("The run that made it.")
    software_version: Text = text("The version of Rollforward that made it.")
    recorded_at: Instant = instant("When.")
    closing_balances: Text = text("The closing balance of each balance type, as JSON.", nullable=True)


class Operations(Table):
    """One row per operation that was asked for: who, what, why, and what became of it. Refused ones too."""

    merchant_id: Text = text("The merchant.")
    operation_id: Text = text("The operation: of a preview that was processed, the preview's id.")
    kind: Text = text("What was asked for, as the command is called.")
    actor: Text = text("Email of who asked: a claim.")
    approved_by: Text = text("Email of who approved it: a claim.", nullable=True)
    os_user: Text = text("The user of the operating system that ran it.")
    interface: Text = text("Through what it was asked.", isin=("cli", "dagster"))
    run_id: Text = text("The Dagster run.")
    request: Text = text("What was asked, as JSON.")
    status: Text = text("Whether it was done.", isin=("processed", "refused"))
    explanation: Text = text("What was done, or why it was refused.")
    batch_id: Text = text("The batch that it issued, or was about.", nullable=True)
    entries: Whole = whole("Entries that it posted.", ge=0)
    unit: Text = text("The unit of what it posted.", nullable=True)
    total: Total = total("The sum of what it posted, transfers counted once.", ge=0)
    sha256: Text = text("Its entries, kept as archive/<sha256>.", nullable=True)
    started_at: Instant = instant("When it was asked for.")
    finished_at: Instant = instant("When it was recorded; its entries occurred then.")
    event: Whole = whole("The merchant's journal event.", ge=1)


class Previews(Table):
    """One row per preview: what an operation would do, to be processed by its id. Not kept by a rebuild."""

    merchant_id: Text = text("The merchant.")
    preview_id: Text = text("The preview, and the operation that it becomes.")
    kind: Text = text("What would be done.")
    actor: Text = text("Email of who asked: a claim.")
    approved_by: Text = text("Email of who approved it: a claim.", nullable=True)
    request: Text = text("What was asked, as JSON.")
    data_hash: Text = text("Hash over its recipients.")
    filters: Text = text("The filters in words.")
    warnings: Text = text("What to look at before it is processed; blank where there is nothing.", nullable=True)
    recipients: Whole = whole("How many credits it would touch.", ge=0)
    unit: Text = text("The unit.")
    total: Total = total("What it would come to.", ge=0)
    made_at: Instant = instant("When it was made.")


class PreviewRecipients(Table):
    """One row per credit that a preview would issue or touch."""

    merchant_id: Text = text("The merchant.")
    preview_id: Text = text("The preview.")
    position: Whole = whole("Its place in the list, from 1.", ge=1)
    member_id: Text = text("The member.")
    email: Text = text("The member's email.", nullable=True)
    name: Text = text("The member's name.", nullable=True)
    student_id: Text = text("The student it is for.", nullable=True)
    enrollment_id: Text = text("The enrollment it is for.", nullable=True)
    credit_id: Text = text("The credit that is touched.", nullable=True)
    amount: Money = money("What would be issued or taken.", ge=0)
    stays: Money = money("What was asked to be taken, and cannot be.", ge=0)
    why: Text = text("Why it is in the list, or what becomes of it.")


class Landing(Table):
    """One row per path below landing/: what it last held, so that an unchanged file is not read again."""

    merchant_id: Text = text("The merchant.")
    path: Text = text("The path below landing/.")
    size_bytes: Whole = whole("Size when read.")
    modified_ns: Whole = whole("When the file had last changed (its inode), nanoseconds.")
    sha256: Text = text("Content when read.")


class Readings(Table):
    """One row per merchant: the settings under which its files were last read."""

    merchant_id: Text = text("The merchant.")
    settings: Text = text("What the reading of files depends on, as JSON.")
