"""Listings: which tables people can look through, by which filters, and where each cell leads.

The rows are of sql/portal and sql/listings. How a listing looks is in the template of that name.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from pipelines import amounts, clock, periods
from pipelines.access import Role
from pipelines.datasets import DATASETS
from pipelines.settings import Merchant
from schemas.audits import SEVERITIES, STATUSES
from schemas.ledger import ENTRY_TYPES

Choice = tuple[str, str]
FilterKind = Literal["text", "day", "moment", "amount", "choice"]
ColumnKind = Literal[
    "text", "amount", "count", "percent", "time", "day", "flag", "badge", "place", "ids", "person", "go", "long"
]
FORECAST_DAYS = 30
# An amount as pages show it. A comma anywhere else is somebody's decimal point.
GROUPED = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d*)?")


@dataclass(frozen=True)
class Filter:
    """One field of the form above a listing; its name is the parameter of the query and of the URL."""

    name: str
    label: str
    kind: FilterKind = "text"
    # What there is to choose from, or the name of what the merchant has: credit_type, reason, unit, balance_type, …
    choices: Sequence[Choice] | str = ()
    # Finds people by what is hidden from viewers.
    personal: bool = False
    # In the form only where a link has set it.
    hidden: bool = False
    # Folded away until it is wanted.
    more: bool = False
    # What stands for no choice.
    blank: str = "Any"


@dataclass(frozen=True)
class Column:
    """One column; `to` is the page that its cells lead to, with the value of the column `key` (default: its own)."""

    name: str
    label: str
    kind: ColumnKind = "text"
    to: str | None = None
    key: str | None = None
    # Left out on a narrow screen, where it would push the others off.
    wide: bool = False


@dataclass(frozen=True)
class Listing:
    """One table to look through."""

    slug: str
    title: str
    about: str
    model: str
    columns: Sequence[Column]
    filters: Sequence[Filter]
    empty: str
    role: Role = "viewer"
    amount: str | None = None
    in_menu: bool = True
    is_of_batches: bool = False
    # How its rows are shown, where the query gives the oldest first.
    order: str = "rowid"
    exported_without: Sequence[str] = ("matched", "sums", "decimals")


@dataclass(frozen=True)
class Asked:
    """What a request asks of a listing: values for the query, what is wrong with them, and how the form shows them."""

    values: Mapping[str, Any]
    shown: Mapping[str, str]
    problems: Sequence[str]
    wrong: Collection[str]


def read(listing: Listing, query: Mapping[str, str], merchant: Merchant, now: datetime) -> Asked:
    """Take the filters from the URL. Only values of parameters come of them, never text of a query."""
    values: dict[str, Any] = {"now": now, "as_of": now, "sort": None, "batch_id": None, "member": None}
    shown: dict[str, str] = {}
    problems: dict[str, str] = {}
    for each in listing.filters:
        text = query.get(each.name, "").strip().replace("\0", "")
        shown[each.name] = text
        value: Any = text or None
        if text and each.kind == "day":
            try:
                day = periods.parse_day(text)
                values[f"{each.name}_starts_at"] = clock.start_of_day(day, merchant.timezone)
                values[f"{each.name}_ends_at"] = clock.start_of_day(day + timedelta(days=1), merchant.timezone)
            except periods.PeriodError as problem:
                problems[each.name] = f"{each.label}: {problem}"
                value = None
        elif text and each.kind == "amount":
            plain = text.replace(",", "") if GROUPED.fullmatch(text) else text
            if not amounts.WRITTEN.fullmatch(plain):
                problems[each.name] = f'{each.label}: "{text}" is not an amount; write it like 12.50.'
                plain = ""
            value = plain or None
        elif text and each.kind == "moment":
            try:
                value = periods.parse_moment(text, merchant)
            except periods.PeriodError as problem:
                problems[each.name] = f"{each.label}: {problem}"
                value = None
        if value is not None or each.name not in values:
            values[each.name] = value
        for bound in ("starts_at", "ends_at"):
            if each.kind == "day":
                values.setdefault(f"{each.name}_{bound}", None)
    return Asked(values, shown, [*problems.values()], problems.keys())


def choices_of(each: Filter, merchant: Merchant, seen: Callable[[], Mapping[str, Sequence[str]]]) -> Sequence[Choice]:
    """What a choice offers."""
    if not isinstance(each.choices, str):
        return each.choices
    if each.choices == "unit":
        units = merchant.decimals
        return [(unit, unit) for unit in units] if len(units) > 1 else []
    if each.choices == "balance_type":
        return [(name, name) for name in merchant.units] if len(merchant.units) > 1 else []
    return [(value, value) for value in seen().get(each.choices, ())]


def _same(*values: str) -> tuple[Choice, ...]:
    return tuple((value, value.replace("_", " ").capitalize()) for value in values)


_BALANCE_TYPE = Filter("balance_type", "Balance type", "choice", "balance_type")
_UNIT = Filter("unit", "Unit", "choice", "unit")
_REASON = Filter("reason", "Reason", "choice", "reason")
_CREDIT_TYPE = Filter("credit_type", "Credit type", "choice", "credit_type")
_DATASET = Filter("dataset", "Dataset", "choice", _same(*DATASETS))

MEMBERS = Listing(
    slug="members",
    title="Members and balances",
    about="What each member has now, by balance type.",
    model="portal.members",
    amount="balance",
    filters=(
        Filter("search", "Name or id"),
        Filter("email", "Email", personal=True),
        _BALANCE_TYPE,
        Filter("first_name", "First name", more=True),
        Filter("last_name", "Last name", more=True),
        Filter("balance_from", "Balance from", "amount", more=True),
        Filter("balance_to", "Balance to", "amount", more=True),
        Filter("employee", "Employee", "choice", (("yes", "Yes"), ("no", "No"))),
        Filter("created_from", "Created from", "day", more=True),
        Filter("created_to", "Created to", "day", more=True),
        Filter("updated_from", "Updated from", "day", more=True),
        Filter("updated_to", "Updated to", "day", more=True),
        Filter(
            "sort", "Order by", "choice",
            (("name", "Last name"), ("balance", "Balance, largest first"), ("updated", "Updated, newest first")),
            blank="Member id",
        ),
    ),
    columns=(
        Column("member_id", "Member", to="member"),
        Column("first_name", "First name"),
        Column("last_name", "Last name"),
        Column("email", "Email", wide=True),
        Column("balance_type", "Balance type", wide=True),
        Column("balance", "Balance", "amount"),
        Column("employee", "Employee", "flag", wide=True),
        Column("created", "Created", "day", wide=True),
        Column("updated", "Updated", "day", wide=True),
        Column("history_rows", "History", "count", to="member", key="member_id"),
    ),
    empty="No member has had any credit that meets these filters. Clear a filter, or search by id.",
)  # fmt: skip
MOVEMENTS = Listing(
    slug="movements",
    title="Movements",
    about="Every effect of an entry on a credit, newest first: what totals are made of.",
    model="portal.movements",
    amount="amount",
    filters=(
        Filter("from", "From", "day"),
        Filter("to", "To", "day"),
        Filter(
            "type",
            "Movement",
            "choice",
            (*_same(*ENTRY_TYPES), ("adjusted", "All adjustments"), ("issued", "Created and opening")),
        ),
        _UNIT,
        _BALANCE_TYPE,
        _CREDIT_TYPE,
        _REASON,
        Filter("forecast", "Yet to come", "choice", (("only", "Expiries to come"),)),
        Filter("member", "Member id"),
        Filter("credit", "Credit id", hidden=True),
        Filter("entry", "Entry id", hidden=True),
        Filter("batch", "Batch id", hidden=True),
        Filter("before", "Before", "moment", hidden=True),
    ),
    columns=(
        Column("occurred_at", "When", "time"),
        Column("movement_type", "Movement", "badge"),
        Column("member_id", "Member", to="member"),
        Column("name", "Name", wide=True),
        Column("amount", "Amount", "amount"),
        Column("credit_id", "Credit", to="credit"),
        Column("remaining", "Left of it", "amount", wide=True),
        Column("reason", "Reason"),
        Column("reason_details", "Details", wide=True),
        Column("batch_id", "Batch", to="batch", wide=True),
        Column("entry_id", "Entry", to="entry", wide=True),
        Column("source_file", "File and row", "place", wide=True),
    ),
    empty="Nothing moved that meets these filters. Widen the dates, or clear a filter.",
)
EXTANT = Listing(
    slug="extant",
    title="Extant credits",
    about="Credits with something left, those that expire next on top: what is owed.",
    model="portal.extant",
    amount="remaining",
    filters=(
        _CREDIT_TYPE,
        _REASON,
        _UNIT,
        _BALANCE_TYPE,
        Filter("member", "Member id"),
        Filter("batch", "Batch id", hidden=True),
        Filter("as_of", "As of", "moment", hidden=True),
    ),
    columns=(
        Column("credit_id", "Credit", to="credit"),
        Column("member_id", "Member", to="member"),
        Column("name", "Name"),
        Column("email", "Email", wide=True),
        Column("balance_type", "Balance type", wide=True),
        Column("amount", "Issued for", "amount", wide=True),
        Column("remaining", "Left", "amount"),
        Column("issued_at", "Issued", "day"),
        Column("expires_at", "Expires", "time"),
        Column("credit_type", "Credit type", wide=True),
        Column("reason", "Reason", wide=True),
        Column("batch_id", "Batch", to="batch", wide=True),
        Column("entry_id", "Entry", to="entry", wide=True),
    ),
    empty="No credit with something left meets these filters. Clear a filter.",
)
HISTORY = Listing(
    slug="history",
    title="Balance history",
    about="Every movement of a member's accounts with the running balance.",
    model="listings.balance_history",
    filters=(Filter("member", "Member id"), _BALANCE_TYPE),
    columns=(
        Column("occurred_at", "When", "time"),
        Column("movement_type", "Movement", "badge"),
        Column("amount", "Amount", "amount"),
        Column("balance", "Balance", "amount"),
        Column("balance_type", "Balance type", wide=True),
        Column("reason", "Reason"),
        Column("reason_details", "Details"),
        Column("internal_note", "Internal note", wide=True),
        Column("creator", "By", "person", wide=True),
        Column("credit_id", "Credit", to="credit"),
        Column("batch_id", "Batch", to="batch", wide=True),
        Column("source_file", "File and row", "place", wide=True),
    ),
    empty="Nothing has moved yet in this balance type.",
    order="occurred_at desc, balance_type, sequence desc",
    in_menu=False,
)
BATCHES = Listing(
    slug="batches",
    title="Credits Batches",
    about="Credits that were issued together: by whom, to how many, why, and what became of them.",
    model="listings.batches",
    role="administrator",
    amount="total_amount",
    filters=(
        Filter("start", "Issued from", "day"),
        Filter("end", "Issued to", "day"),
        Filter("issuer", "Issued by"),
        _CREDIT_TYPE,
        Filter("status", "Status", "choice", _same(*STATUSES)),
        Filter("search", "Batch id, reason or description"),
    ),
    columns=(
        Column("batch_id", "Batch ID", to="batch"),
        Column("issue_date", "Issue Date", "day"),
        Column("issued_by", "Issued By", "person", wide=True),
        Column("credit_type", "Credit Type"),
        Column("reason", "Reason"),
        Column("recipient_count", "Recipient Count", "count"),
        Column("amount_per_customer", "Amount Per Customer", "amount", wide=True),
        Column("total_amount", "Total Amount", "amount"),
        Column("status", "Status", "badge"),
        Column("percent_used", "Used", "percent", wide=True),
        Column("remaining", "Left", "amount", wide=True),
        Column("batch_id", "View Details", "go", to="batch"),
    ),
    empty="No batch meets these filters. Expand the dates, check the other filters, or search by the batch's id: one"
    " that reached nobody has the status Failed.",
    is_of_batches=True,
)
RECIPIENTS = Listing(
    slug="recipients",
    title="Recipients",
    about="Who got a credit of the batch, and what became of it.",
    model="listings.batch_recipients",
    role="administrator",
    amount="remaining",
    filters=(Filter("batch_id", "Batch id"),),
    columns=(
        Column("member_id", "Member", to="member"),
        Column("name", "Name"),
        Column("email", "Email", wide=True),
        Column("amount", "Amount", "amount"),
        Column("used", "Used", "amount"),
        Column("refunded", "Refunded", "amount", wide=True),
        Column("expired", "Expired", "amount", wide=True),
        Column("deducted", "Deducted", "amount", wide=True),
        Column("transferred", "Transferred", "amount", wide=True),
        Column("reversed", "Reversed", "amount", wide=True),
        Column("remaining", "Left", "amount"),
        Column("last_used_at", "Last used", "time", wide=True),
        Column("expires_at", "Expires", "time", wide=True),
        Column("credit_id", "Credit", to="credit"),
    ),
    empty="The batch reached nobody.",
    in_menu=False,
    is_of_batches=True,
)
FLAGS = Listing(
    slug="flags",
    title="Anomaly flags",
    about="Rows of the reported periods that deserve a look, errors first. What each rule means and what to do"
    " is on the workbook's sheet About.",
    model="listings.anomaly_flags",
    filters=(
        Filter("period", "Period, like 2026-06"),
        Filter("severity", "Severity", "choice", _same(*SEVERITIES)),
        Filter("rule", "Rule", "choice", "rule"),
        Filter("member", "Member id"),
        Filter("batch", "Batch id"),
        Filter("min_amount", "At risk, at least", "amount"),
    ),
    columns=(
        Column("severity", "Severity", "badge"),
        Column("rule", "Rule"),
        Column("period", "Period", to="period"),
        Column("explanation", "What was found", "long"),
        Column("amount_at_risk", "At risk", "amount"),
        Column("entry_ids", "Evidence", "ids", to="entry"),
        Column("member_id", "Member", to="member"),
        Column("credit_id", "Credit", to="credit", wide=True),
        Column("batch_id", "Batch", "ids", to="batch", wide=True),
    ),
    empty="Nothing was flagged that meets these filters. Periods are looked at when they are reported.",
)
REJECTS = Listing(
    slug="rejects",
    title="Rejected rows",
    about="Rows of files that were set aside whole; all others were loaded. Correct them at the source and send them"
    " again.",
    model="portal.rejected_rows",
    role="administrator",
    filters=(
        Filter("search", "File, id or explanation"),
        _DATASET,
        Filter("reason", "Reason", "choice", "rejected"),
        Filter("everything", "Show", "choice", (("yes", "Also those accepted since"),)),
        Filter("reading", "Reading", hidden=True),
    ),
    columns=(
        Column("source_file", "File and row", "place"),
        Column("explanation", "What is wrong", "long"),
        Column("column_name", "Column", wide=True),
        Column("value", "Value", wide=True),
        Column("row", "The row", wide=True),
        Column("rejected_at", "Set aside", "time"),
        Column("accepted_since", "Accepted since", "flag", wide=True),
    ),
    empty="No row is set aside: everything that was sent is in the ledger.",
)
FILES = Listing(
    slug="files",
    title="Files",
    about="Every file that was read: rows read = accepted + duplicates + rejected.",
    model="portal.files",
    role="administrator",
    filters=(
        Filter("search", "File"),
        _DATASET,
        Filter("rejected", "Show", "choice", (("yes", "With rejected rows"),)),
    ),
    columns=(
        Column("recorded_at", "Read", "time"),
        Column("source_file", "File"),
        Column("dataset", "Dataset", wide=True),
        Column("rows_read", "Read", "count"),
        Column("accepted", "Accepted", "count"),
        Column("duplicates", "Duplicates", "count"),
        Column("rejected", "Rejected", "count", to="reading", key="event"),
        Column("size_bytes", "Bytes", "count", wide=True),
        Column("sha256", "SHA-256", wide=True),
    ),
    empty="No file meets these filters. New ones are read when they are in landing/ and a report or ingest runs.",
)
OPERATIONS = Listing(
    slug="operations",
    title="Operations",
    about="What was asked for, by whom, and what became of it; refused requests too. Who asked is a claim: the record"
    " also keeps the operating system's user and the run.",
    model="listings.operations",
    role="owner",
    filters=(
        Filter("kind", "Operation", "choice", "kind"),
        Filter("status", "Status", "choice", _same("processed", "refused")),
        Filter("actor", "Asked by (email)"),
    ),
    columns=(
        Column("finished_at", "When", "time"),
        Column("kind", "Operation"),
        Column("status", "Status", "badge"),
        Column("actor", "Asked by"),
        Column("approved_by", "Approved by", wide=True),
        Column("explanation", "What was done, or why not", "long"),
        Column("entries", "Entries", "count"),
        Column("total", "Total", "amount"),
        Column("batch_id", "Batch", to="batch", wide=True),
        Column("os_user", "OS user", wide=True),
        Column("interface", "Through", wide=True),
        Column("operation_id", "Operation id", wide=True),
    ),
    empty="No operation was asked for that meets these filters.",
    order="rowid desc",
)
LISTINGS: Mapping[str, Listing] = {
    each.slug: each
    for each in (
        MEMBERS, BATCHES, FLAGS, MOVEMENTS, EXTANT, REJECTS, FILES, OPERATIONS, HISTORY, RECIPIENTS,
    )
}  # fmt: skip
