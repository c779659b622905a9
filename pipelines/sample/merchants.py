"""The sample's merchants: their settings, and what happens there, as tables that people can read.

How rows are made of it is in `pipelines.sample.world`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Category:
    """An everyday kind of credit. Amounts in hundredths of the unit; a lifetime of 0 is for ever."""

    weight: int
    balance_type: str
    credit_type: str
    reason: str
    low: int
    high: int
    step: int
    lifetimes_d: tuple[int, ...]
    details: tuple[str, ...]


@dataclass(frozen=True)
class Batch:
    """Credits issued together; without `batch_id` one by one, over some days. Amounts in hundredths."""

    at: str
    recipients: int
    amount: int
    highest: int
    credit_type: str
    reason: str
    details: tuple[str, ...]
    creator: int
    batch_id: str | None
    over_days: int
    lifetime_d: int
    first: int  # the first recipient, among the members at large
    to_wholesale: bool
    reversed_after_s: int


class BadRow(NamedTuple):
    """A row that goes wrong on purpose: the story's row that it repeats, into which month's file, and with what."""

    month: str
    like: str
    values: Mapping[str, str]
    is_ragged: bool = False


@dataclass(frozen=True)
class Profile:
    """A merchant: its settings, what its files look like, and what happens there."""

    merchant_id: str
    code: str
    name: str
    timezone: str
    currency: str
    settings: str
    staff: tuple[tuple[str, str], ...]  # name and email: the administrator, the owner, others
    categories: str
    kind: str = "csv"
    weight: int = 2
    decimals: int = 2
    hundredth: int = 1  # how many of the currency's smallest units stand for a hundredth of an amount below
    utc: bool = False
    own_ids: bool = False  # whether credits and redemptions have ids of their own
    decimal_comma: bool = False
    balance_types: tuple[tuple[str, int, int], ...] = ()  # name, decimals, how many smallest units in 100 hundredths
    merges_from: int = 0  # which balance type is merged into default
    approval_limit: int = 0
    locations: tuple[str, ...] = ("Main",)
    batches: str = ""
    stories: str = ""
    bad_rows: str = ""
    full_stories_from: int = 1  # with how many entries batches have all their recipients
    settled_month: str = ""  # in which the stories alone credit anything
    settled_type: tuple[str, str] = ("", "")  # a month, and the credit type that the stories alone use in it

    @property
    def domain(self) -> str:
        return f"{self.merchant_id}.example"


# ---- How the tables below are read ------------------------------------------------------------------------------


def cells_of(text: str) -> list[list[str]]:
    """Cells, set apart by `|`, of each line; an indented line goes on with the one before."""
    lines = text.strip().replace("\n    ", " ").splitlines()
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def _said(cell: str) -> dict[str, str]:
    """`name=value`, set apart by `;`."""
    return {name: value for name, _, value in (said.strip().partition("=") for said in cell.split(";")) if name}


def _hundredths(text: str) -> int:
    return round(float(text) * 100)


def categories_of(text: str) -> list[Category]:
    return [
        Category(
            weight=int(weight),
            balance_type=balance_type,
            credit_type=credit_type,
            reason=reason,
            low=_hundredths(low),
            high=_hundredths(high),
            step=_hundredths(step),
            lifetimes_d=tuple(int(days) for days in lifetimes.split()),
            details=tuple(detail.strip() for detail in details.split(" / ")),
        )
        for weight, balance_type, credit_type, reason, low, high, step, lifetimes, details in cells_of(text)
    ]


def batches_of(text: str) -> list[Batch]:
    batches = []
    for at, recipients, amount, credit_type, reason, details, creator, more in cells_of(text):
        said = _said(more)
        batches.append(
            Batch(
                at=at,
                recipients=int(recipients),
                amount=_hundredths(amount),
                highest=_hundredths(said.get("up_to", amount)),
                credit_type=credit_type,
                reason=reason,
                details=tuple(detail.strip() for detail in details.split(" / ")),
                creator=int(creator),
                batch_id=said.get("batch_id"),
                over_days=int(said.get("over_days", 0)),
                lifetime_d=int(said.get("lifetime", 90)),
                first=int(said.get("first", 0)),
                to_wholesale="reversed_after_minutes" in said,
                reversed_after_s=60 * int(said.get("reversed_after_minutes", 0)),
            )
        )
    return batches


def stories_of(profile: Profile) -> Iterator[list[dict[str, str]]]:
    """The rows of each story; blank lines are between stories. Ids get the merchant's code in front."""
    for story in filter(None, profile.stories.strip().split("\n\n")):
        rows = []
        for entry_id, entry_type, at, member, amount, *more in cells_of(story):
            row = {"entry_id": entry_id, "entry_type": entry_type, "at": at, "member": member, "amount": amount}
            row |= _said(";".join(more))
            for column in ("entry_id", "credit_id", "redemption_id", "transfer_id", "batch_id"):
                if column in row:
                    row[column] = f"{profile.code}-{row[column]}"
            rows.append({column: value for column, value in row.items() if value})
        yield rows


def bad_rows_of(text: str) -> list[BadRow]:
    return [
        BadRow(month, like, _said(values), is_ragged=bool(ragged)) for month, like, values, *ragged in cells_of(text)
    ]


# ---- What happens every day -------------------------------------------------------------------------------------
# weight | balance type | credit_type | reason | lowest amount | highest | step | lifetimes in days, 0: never | details
# The first of each table stands in for a credit type that the stories settle.

EVERYDAY = """
8 | default | Adjustment | Goodwill | 5.00 | 60.00 | 0.50 | 0 180 | Long-standing customer / Moved house / New baby
14 | default | Service Recovery | Missing Items | 3.50 | 24.00 | 0.05 | 30 60 90 180
    | Kale was missing from the box / Two of three loaves came / No eggs in the Saturday box / Milk left out
9 | default | Service Recovery | Packing Problem | 4.00 | 30.00 | 0.25 | 60 90
    | Broken jar / Bruised tomatoes / Someone else's box / Thawed on arrival
6 | default | Service Recovery | Late Delivery | 5.00 | 15.00 | 5.00 | 30 90
    | Came after nine in the evening / Came a day late
18 | default | Promotional | Refer-A-Friend | 10.00 | 20.00 | 10.00 | 90 180 365
    | Thank you for bringing a friend / Welcome: a friend sent you
12 | default | Promotional | Promotion | 3.00 | 15.00 | 1.00 | 14 30 60
    | Double credit weekend / First order of the season / Newsletter code
12 | default | Refund | Cancellation | 8.00 | 95.00 | 0.01 | 0 0 365
    | Order cancelled after payment / Subscription cancelled, rest of the month / Cancelled by us: sold out
4 | default | Adjustment | Account Adjustment | 0.10 | 9.00 | 0.01 | 0 | Price corrected after delivery
"""
FARM = (
    EVERYDAY
    + """
7 | gift | Promotional | Gift Card | 25.00 | 150.00 | 25.00 | 0 | Bought online / Bought at the market
8 | winston | Promotional | Winston Campaign | 5 | 60 | 5 | 180 365 | Tokens for returned boxes / Tokens for a review
""".lstrip()
)
GYM = """
8 | default | Adjustment | Goodwill | 5.00 | 60.00 | 0.50 | 180 | Long-standing member / Moved house
22 | default | Closure | Class Cancelled | 10.00 | 28.00 | 2.00 | 90 90 180
    | Instructor ill / Pool closed for cleaning / Power cut in the evening
12 | default | Service Recovery | Equipment Problem | 5.00 | 20.00 | 1.00 | 90 | Rower out of order / Cold showers
16 | default | Promotional | Refer-A-Friend | 15.00 | 25.00 | 5.00 | 90 180
    | Thank you for bringing a friend / Guest week
16 | default | Refund | Cancellation | 15.00 | 99.00 | 0.01 | 365
    | Membership cancelled, rest of the month / Camp cancelled by the family
"""
GROCER = (
    EVERYDAY
    + """
7 | voucher | Promotional | Gift Voucher | 20.00 | 100.00 | 10.00 | 0 365 | Bought in the shop
10 | points | Promotional | Loyalty Points | 10 | 200 | 1 | 365 | Points for purchases
""".lstrip()
)

# ---- What was issued together -----------------------------------------------------------------------------------
# local time | recipients | amount | credit_type | reason | details | creator | name=value; …
# creator is a position in the staff; first: the first recipient. Without batch_id: one by one, over so many days.

# In May, service recovery is 4,500.00: 2,200.00 for one route, 15.00 in the stories, and the rest one by one.
FARM_BATCHES = """
2026-06-01T09:00:00 | 1247 | 10.00 | Promotional | Promotion | Summer Sale $10 Credit | 0
    | batch_id=batch-summer-sale-2026-06; lifetime=60
2026-05-06T14:20:00 | 40 | 20.00 | Service Recovery | Late Delivery | Delivery Delays Route 5 | 4
    | batch_id=batch-route-5-2026-05-06; first=100
2026-05-13T15:05:00 | 52 | 15.00 | Service Recovery | Late Delivery | Delivery Delays Route 5 | 4
    | batch_id=batch-route-5-2026-05-13; first=110
2026-05-27T16:40:00 | 31 | 20.00 | Service Recovery | Late Delivery | Delivery Delays Route 5 | 4
    | batch_id=batch-route-5-2026-05-27; first=120
2026-05-02T08:30:00 | 85 | 25.00 | Service Recovery | Packing Problem
    | Broken jar / Someone else's box / Thawed on arrival | 2 | over_days=28; first=300
2026-05-04T11:15:00 | 16 | 10.00 | Service Recovery | Missing Items
    | Kale was missing from the box / No eggs in the Saturday box | 3 | over_days=26; first=500
2026-03-17T10:05:00 | 18 | 25.00 | Promotional | Promotion | Spring Market $25 Credit | 0
    | batch_id=batch-spring-market-2026-03; reversed_after_minutes=35
2026-03-17T11:30:00 | 40 | 25.00 | Promotional | Promotion | Spring Market $25 Credit | 0
    | batch_id=batch-spring-market-2026-03-corrected; first=700
2025-12-24T08:00:00 | 120 | 8.00 | Adjustment | Closure | Closed between the years: no box | 1
    | batch_id=batch-closure-2025-12; first=800
2026-02-14T09:30:00 | 60 | 5.00 | Promotional | Loyalty | Thank you for five seasons | 0
    | batch_id=batch-loyalty-2026-02; up_to=25.00; lifetime=180; first=50
"""
# All that was credited in June: 12,450.00 + 4,100.00 + 2,300.00 = 18,850.00.
GYM_BATCHES = """
2026-06-01T08:00:00 | 498 | 25.00 | Promotional | Promotion | Summer Sale $25 Credit | 0
    | batch_id=batch-summer-sale-2026-06; lifetime=91
2026-06-09T17:10:00 | 82 | 20.00 | Service Recovery | Late Delivery | New rowers delivered late | 2
    | batch_id=batch-rowers-2026-06-09; first=30
2026-06-19T12:45:00 | 41 | 60.00 | Service Recovery | Late Delivery | Camp kits delivered late | 2
    | batch_id=batch-camp-kits-2026-06-19; first=200
2026-06-02T09:20:00 | 46 | 50.00 | Refund | Cancellation
    | Camp cancelled by the family / Membership cancelled, rest of the month | 3 | over_days=27; lifetime=365; first=90
2026-02-09T07:30:00 | 150 | 12.00 | Closure | Class Cancelled | Closed for floor repair | 0
    | batch_id=batch-floor-repair-2026-02; first=10
"""
# The second is the first again: somebody pressed the button twice.
GROCER_BATCHES = """
2026-03-10T09:00:00 | 45 | 12.00 | Service Recovery | Late Delivery | Ferry from Savaiʻi was late | 2
    | batch_id=batch-ferry-2026-03-10
2026-03-12T16:30:00 | 45 | 12.00 | Service Recovery | Late Delivery | Ferry from Savaiʻi was late | 3
    | batch_id=batch-ferry-2026-03-12
2026-04-03T08:00:00 | 60 | 15.00 | Promotional | Promotion | Easter basket | 0
    | batch_id=batch-easter-2026-04; lifetime=27; first=60
"""

# ---- What happened to whom --------------------------------------------------------------------------------------
# entry id | type | local time | member | amount | column=value; …
# creator and approver are positions in the staff, or `self`. A story that reaches out of the window is not told.

FARM_STORIES = """
may-10-credit | created | 2026-05-10T09:12:00 | 1 | 15.00 | credit_type=Service Recovery; reason=Missing Items;
    reason_details=Service Recovery - Missing Items May 9 Orders; batch_id=batch-missing-items-may-9; creator=2;
    expires_at=2026-11-06
may-22-order | redeemed | 2026-05-22T18:40:11 | 1 | 9.75

october-goodwill | created | 2026-10-05T10:30:00 | 1 | 12.00 | credit_type=Adjustment; reason=Goodwill;
    reason_details=Long-standing customer; creator=2; expires_at=2027-04-03

parts-a | created | 2026-06-02T10:00:00 | 2 | 5.00 | credit_type=Promotional; reason=Refer-A-Friend; creator=2;
    expires_at=2026-06-30
parts-b | created | 2026-06-03T10:00:00 | 2 | 8.50 | credit_type=Promotional; reason=Refer-A-Friend; creator=2;
    expires_at=2026-09-30
parts-c | created | 2026-06-04T10:00:00 | 2 | 10.00 | credit_type=Adjustment; reason=Goodwill;
    reason_details=Long-standing customer; creator=2
parts-buy | redeemed | 2026-06-10T19:05:30 | 2 | 20.00
parts-back-1 | refunded | 2026-06-12T09:00:00 | 2 | 6.00 | redemption_id=parts-buy; reason=Item Out of Stock
parts-back-2 | refunded | 2026-07-03T09:00:00 | 2 | 14.00 | redemption_id=parts-buy; reason=Order Cancelled;
    reason_details=Part of it comes back after its expiry

gift-card | created | 2025-12-20T11:00:00 | 3 | 50.00 | balance_type=gift; credit_type=Promotional; reason=Gift
    Card; reason_details=Bought at the market; creator=2
gift-order | redeemed | 2026-01-15T17:22:00 | 3 | 12.40 | balance_type=gift
merge-out | transferred_out | 2026-02-02T10:00:00 | 3 | 37.60 | balance_type=gift; credit_id=gift-card;
    transfer_id=merge-1; reason=Merge Balance Types; creator=1
merge-in | transferred_in | 2026-02-02T10:00:00 | 3 | 37.60 | transfer_id=merge-1; credit_type=Promotional;
    reason=Gift Card; reason_details=Bought at the market; creator=2; issued_at=2025-12-20T11:00:00;
    original_amount=50.00
merge-order | redeemed | 2026-02-14T12:00:00 | 3 | 20.00

last-second | created | 2026-05-31T23:59:59 | 4 | 12.00 | credit_type=Promotional; reason=Promotion;
    reason_details=Good through the last second of June; creator=2; expires_at=2026-06-30
first-second | created | 2026-06-01T00:00:00 | 4 | 6.00 | credit_type=Promotional; reason=Promotion;
    reason_details=Expires with July's first second; creator=2; expires_at=2026-07-01T00:00:00
last-order | redeemed | 2026-06-30T23:59:58 | 4 | 4.00

extended | created | 2026-04-01T09:00:00 | 10 | 18.00 | credit_type=Promotional; reason=Promotion;
    reason_details=Newsletter code; creator=2; expires_at=2026-04-30
extension | expiry_changed | 2026-04-28T16:10:00 | 10 | | credit_id=extended; expires_at=2026-07-31;
    reason=Extension; reason_details=In hospital in April; creator=0
extended-order | redeemed | 2026-05-15T20:30:00 | 10 | 18.00

stated-right | created | 2026-01-10T10:00:00 | 8 | 20.00 | credit_type=Promotional; reason=Refer-A-Friend;
    creator=3; expires_at=2026-02-28
stated-right-order | redeemed | 2026-01-20T10:00:00 | 8 | 12.00
stated-right-expiry | expired | 2026-02-28T23:59:59 | 8 | 8.00 | credit_id=stated-right
stated-wrong | created | 2026-03-02T10:00:00 | 9 | 30.00 | credit_type=Promotional; reason=Refer-A-Friend;
    creator=3; expires_at=2026-03-31
stated-wrong-order | redeemed | 2026-03-20T10:00:00 | 9 | 10.00
stated-wrong-expiry | expired | 2026-04-01T06:00:00 | 9 | 15.00 | credit_id=stated-wrong

tokens | created | 2026-04-11T11:00:00 | 7 | 1000 | balance_type=winston; credit_type=Promotional; reason=Winston
    Campaign; reason_details=Tokens for returned boxes; creator=2
tokens-flagged | deducted | 2026-05-02T11:00:00 | 7 | 150 | balance_type=winston; reason=Flagged Deduction;
    reason_details=Boxes were counted twice; creator=0
tokens-spent | redeemed | 2026-06-06T11:00:00 | 7 | 240 | balance_type=winston

legacy | opening | 2025-11-01T00:00:00 | 31 | 42.00 | credit_type=Refund; reason=Cancellation; creator=3;
    issued_at=2024-03-10; original_amount=60.00; system=legacy_credit
legacy-order | redeemed | 2026-01-09T18:00:00 | 31 | 30.25

spring-credit | created | 2026-03-08T01:30:00 | 6 | 10.00 | credit_type=Adjustment; reason=Goodwill; creator=2
spring-order | redeemed | 2026-03-08T02:30:00 | 6 | 4.00 | internal_note=This time did not exist that night
autumn-credit | created | 2025-11-02T01:30:00 | 6 | 8.00 | credit_type=Adjustment; reason=Goodwill; creator=2
autumn-order | redeemed | 2025-11-02T01:45:00 | 6 | 3.00 | internal_note=This time was twice that night

overdrawn | created | 2026-02-10T10:00:00 | 11 | 10.00 | credit_type=Promotional; reason=Promotion; creator=2
overdrawn-order | redeemed | 2026-02-20T19:00:00 | 11 | 13.50

too-much | created | 2026-06-05T10:00:00 | 12 | 25.00 | credit_type=Refund; reason=Cancellation; creator=3
too-much-order | redeemed | 2026-06-08T18:10:00 | 12 | 20.00
too-much-back | refunded | 2026-06-15T09:40:00 | 12 | 22.00 | redemption_id=too-much-order; reason=Order Cancelled

used | created | 2026-02-03T09:00:00 | 13 | 25.00 | credit_type=Promotional; reason=Promotion; reason_details=Winter
    $25 Credit; batch_id=batch-winter-2026-02; creator=0
used-order | redeemed | 2026-02-05T18:00:00 | 13 | 10.00
used-reversed | reversed | 2026-02-06T09:00:00 | 13 | 15.00 | credit_id=used; batch_id=batch-winter-2026-02;
    reason=Batch Reversed; creator=1
used-back | refunded | 2026-02-10T09:00:00 | 13 | 10.00 | redemption_id=used-order; reason=Order Cancelled

short | created | 2025-12-01T09:00:00 | 14 | 25.00 | credit_type=Promotional; reason=Promotion;
    batch_id=batch-advent-2025; creator=0
short-order | redeemed | 2025-12-12T18:00:00 | 14 | 9.00
short-reversed | reversed | 2026-03-15T09:00:00 | 14 | 25.00 | credit_id=short; batch_id=batch-advent-2025;
    reason=Batch Reversed; creator=1

unapproved | created | 2026-06-18T14:00:00 | 15 | 150.00 | credit_type=Refund; reason=Cancellation; creator=4
approved-by-self | created | 2026-06-19T14:00:00 | 16 | 120.00 | credit_type=Refund; reason=Cancellation; creator=1;
    approver=1

to-self | created | 2026-06-21T02:12:00 | 5 | 40.00 | credit_type=Adjustment; reason=Goodwill; creator=self

split-1 | created | 2026-06-09T10:00:00 | 17 | 60.00 | credit_type=Adjustment; reason=Goodwill; creator=3
split-2 | created | 2026-06-11T10:00:00 | 17 | 70.00 | credit_type=Adjustment; reason=Goodwill; creator=3

robin-1 | created | 2026-06-02T11:00:00 | 18 | 98.00 | credit_type=Adjustment; reason=Goodwill; creator=5
robin-2 | created | 2026-06-10T11:00:00 | 18 | 99.50 | credit_type=Adjustment; reason=Goodwill; creator=5
robin-3 | created | 2026-06-18T11:00:00 | 18 | 97.00 | credit_type=Adjustment; reason=Goodwill; creator=5
robin-4 | created | 2026-06-26T11:00:00 | 18 | 99.00 | credit_type=Adjustment; reason=Goodwill; creator=5
robin-5 | created | 2026-06-30T11:00:00 | 18 | 96.50 | credit_type=Adjustment; reason=Goodwill; creator=5
robin-6 | created | 2026-06-03T12:00:00 | 19 | 12.00 | credit_type=Service Recovery; reason=Missing Items; creator=5
robin-7 | created | 2026-06-05T12:00:00 | 20 | 9.50 | credit_type=Service Recovery; reason=Missing Items; creator=5
robin-8 | created | 2026-06-11T12:00:00 | 21 | 14.00 | credit_type=Service Recovery; reason=Packing Problem;
    creator=5
robin-9 | created | 2026-06-12T12:00:00 | 22 | 8.00 | credit_type=Service Recovery; reason=Missing Items; creator=5
robin-10 | created | 2026-06-17T12:00:00 | 23 | 11.00 | credit_type=Service Recovery; reason=Packing Problem;
    creator=5
robin-11 | created | 2026-06-23T12:00:00 | 24 | 10.00 | credit_type=Service Recovery; reason=Missing Items;
    creator=5
robin-12 | created | 2026-06-25T12:00:00 | 25 | 13.00 | credit_type=Service Recovery; reason=Missing Items;
    creator=5

unusual | created | 2026-06-24T15:00:00 | 26 | 480.00 | credit_type=Adjustment; reason=Goodwill;
    reason_details=Wedding order spoilt; creator=0; approver=1

twice-1 | created | 2026-06-12T10:00:00 | 27 | 18.00 | credit_type=Service Recovery; reason=Packing Problem;
    creator=2
twice-2 | created | 2026-06-12T15:20:00 | 27 | 18.00 | credit_type=Service Recovery; reason=Packing Problem;
    creator=4

no-reason | created | 2026-06-16T13:00:00 | 28 | 7.50 | credit_type=Adjustment; creator=2
nobody | created | 2026-06-17T13:00:00 | 40 | 11.00 | credit_type=Promotional; reason=Refer-A-Friend; creator=2

punctuation | created | 2026-06-13T13:00:00 | 29 | 6.25 | credit_type=Adjustment; reason=Goodwill; reason_details=-1
    jar, "plum", see photo; internal_note=Called twice.\\nSays "no eggs, again".; creator=2

priority-0 | created | 2026-06-07T10:00:00 | 30 | 5.00 | credit_type=Promotional; reason=Promotion; creator=2;
    priority=0
priority-blank | created | 2026-06-08T10:00:00 | 30 | 5.00 | credit_type=Promotional; reason=Promotion; creator=2;
    expires_at=2026-06-20
priority-order | redeemed | 2026-06-09T18:00:00 | 30 | 5.00

same-day | created | 2026-06-20T00:00:00 | 32 | 16.00 | credit_type=Refund; reason=Cancellation; creator=3
same-day-order | redeemed | 2026-06-20T00:00:00 | 32 | 7.30

removed | created | 2026-05-05T10:00:00 | 33 | 80 | balance_type=winston; credit_type=Promotional; reason=Winston
    Campaign; creator=2
removal | deducted | 2026-09-01T10:00:00 | 33 | 80 | balance_type=winston; reason=Balance Removed;
    reason_details=Campaign ended; creator=1

named | created | 2026-06-22T10:00:00 | 34 | 10.00 | credit_type=Refund; reason=Cancellation; creator=3
not-named | created | 2026-06-22T10:00:00 | 34 | 30.00 | credit_type=Refund; reason=Cancellation; creator=3;
    expires_at=2026-12-31
named-order | redeemed | 2026-06-23T10:00:00 | 34 | 12.00 | credit_id=named
"""
GYM_STORIES = """
grace | created | 2026-04-01T09:00:00 | 1 | 30.00 | credit_type=Refund; reason=Cancellation; creator=3;
    expires_at=2026-05-15
grace-class | redeemed | 2026-05-10T18:00:00 | 1 | 30.00
grace-back | refunded | 2026-05-20T08:00:00 | 1 | 30.00 | redemption_id=grace-class; reason=Class Cancelled;
    reason_details=After its expiry: a week to use it
grace-again | redeemed | 2026-05-25T18:00:00 | 1 | 10.00

desk-1 | created | 2026-10-02T09:10:00 | 4 | 20.00 | credit_type=Service Recovery; reason=Equipment Problem;
    reason_details=Locker jammed; creator=2; expires_at=2026-12-31; file=front-desk
desk-2 | created | 2026-10-05T11:40:00 | 5 | 12.50 | credit_type=Service Recovery; reason=Equipment Problem;
    reason_details=Cold showers; creator=2; expires_at=2026-12-31; file=front-desk
desk-3 | created | 2026-10-07T18:05:00 | 6 | 25.00 | credit_type=Promotional; reason=Refer-A-Friend; creator=3;
    expires_at=2027-01-31; file=front-desk
desk-4 | created | 2026-10-09T07:55:00 | 7 | 15.00 | credit_type=Closure; reason=Class Cancelled;
    reason_details=Instructor ill; creator=3; file=front-desk
desk-5 | redeemed | 2026-10-12T18:30:00 | 5 | 7.25 | file=front-desk
desk-6 | created | 2026-10-14T16:20:00 | 8 | twenty | credit_type=Promotional; reason=Refer-A-Friend; creator=3;
    expires_at=2027-01-31; file=front-desk
desk-7 | created | 2026-10-21T12:15:00 | 9 | 18.75 | credit_type=Refund; reason=Cancellation; creator=2;
    file=front-desk
desk-8 | redeemed | 2026-10-28T19:45:00 | 6 | 25.00 | file=front-desk

enrolled-1 | created | 2026-02-09T07:30:00 | 3 | 12.00 | credit_type=Closure; reason=Class Cancelled;
    reason_details=Closed for floor repair; batch_id=batch-floor-repair-2026-02; creator=0; expires_at=2026-05-10
enrolled-2 | created | 2026-02-09T07:30:00 | 3 | 12.00 | credit_type=Closure; reason=Class Cancelled;
    reason_details=Closed for floor repair; batch_id=batch-floor-repair-2026-02; creator=0; expires_at=2026-05-10
enrolled-class | redeemed | 2026-03-08T02:15:00 | 3 | 15.00

oldest | created | 2026-07-01T09:00:00 | 10 | 10.00 | credit_type=Promotional; reason=Refer-A-Friend; creator=0;
    expires_at=2026-12-31
newest | created | 2026-07-02T09:00:00 | 10 | 10.00 | credit_type=Promotional; reason=Refer-A-Friend; creator=0;
    expires_at=2026-07-31
oldest-class | redeemed | 2026-07-03T09:00:00 | 10 | 6.00

over | created | 2026-07-02T09:00:00 | 2 | 15.00 | credit_type=Closure; reason=Class Cancelled; creator=0
over-class | redeemed | 2026-07-05T09:00:00 | 2 | 18.00
"""
GROCER_STORIES = """
midnight | created | 2026-06-01T00:30:00 | 1 | 20.00 | credit_id=c-midnight; credit_type=Promotional;
    reason=Promotion; reason_details=June here is still May in Greenwich; creator=2; expires_at=2026-06-30
midnight-order | redeemed | 2026-06-30T23:59:30 | 1 | 5.50 | redemption_id=r-midnight

voucher | created | 2026-05-04T10:00:00 | 3 | 40.00 | credit_id=c-voucher; balance_type=voucher;
    credit_type=Promotional; reason=Gift Voucher; creator=2
voucher-out | transferred_out | 2026-06-11T10:00:00 | 3 | 40.00 | balance_type=voucher; credit_id=c-voucher;
    transfer_id=merge-1; reason=Merge Balance Types; creator=1
voucher-in | transferred_in | 2026-06-11T10:00:00 | 3 | 40.00 | credit_id=c-voucher-merged; transfer_id=merge-1;
    credit_type=Promotional; reason=Gift Voucher; creator=2; issued_at=2026-05-04T10:00:00; original_amount=40.00

stranger | redeemed | 2026-06-16T12:00:00 | 4 | 3.00 | redemption_id=r-stranger; credit_id=c-midnight

no-such-order | refunded | 2026-06-18T12:00:00 | 5 | 8.00 | redemption_id=r-unheard-of; reason=Order Cancelled

october | created | 2026-10-06T10:00:00 | 6 | 9.40 | credit_id=c-october; credit_type=Service Recovery;
    reason=Missing Items; reason_details=لم تصل الخضار; creator=2; expires_at=2027-01-04
"""

# ---- What goes wrong on purpose ---------------------------------------------------------------------------------
# month's file | like which entry above | column=value; … | ragged, if it is written without quotes

# Last but one, the source tells March otherwise; last, June's row again, letter for letter: a duplicate.
FARM_BAD_ROWS = """
2026-06 | october-goodwill | entry_id=ga-bad-1; occurred_at=2026-06-19T11:20:00; amount=12.345
2026-06 | october-goodwill | entry_id=ga-bad-2; occurred_at=31.06.2026
2026-02 | october-goodwill | entry_id=ga-bad-3; occurred_at=2026-02-18T10:00:00; entry_type=adjusted
2026-09 | october-goodwill | entry_id=ga-bad-4; occurred_at=2026-09-21T16:45:00; member_id=
2026-04 | october-goodwill
    | entry_id=ga-bad-5; occurred_at=2026-04-18T12:00:00; internal_note=left at the door, twice | ragged
2026-07 | october-goodwill | entry_id=ga-bad-6; occurred_at=2026-07-09T10:00:00; credit_id=ga-parts-b
2026-04 | spring-order | amount=5.00
2026-07 | parts-c |
"""
GROCER_BAD_ROWS = """
2026-03 | october | entry_id=kg-bad-1; credit_id=kg-c-bad-1; occurred_at=2026-03-19T21:00:00Z; balance_type=stars
2026-05 | october | entry_id=kg-bad-2; credit_id=kg-c-bad-2; occurred_at=2026-05-20T21:00:00Z; amount=-5.00
2026-08 | october | entry_id=kg-bad-3; credit_id=kg-c-bad-3; occurred_at=2199-12-31T00:00:00Z
2026-10 | october | entry_id=kg-bad-4; credit_id=kg-c-bad-4; occurred_at=2026-10-19T21:00:00Z; expires_at=when used up
"""

# ---- The merchants ----------------------------------------------------------------------------------------------

ADMINISTRATOR, OWNER, EVERYDAY_STAFF = 0, 1, 5

GREEN_ACRES = Profile(
    merchant_id="green-acres",
    code="ga",
    name="Green Acres CSA",
    timezone="America/New_York",
    currency="USD",
    settings="""
label = "Farm"
reversal_limit = 50000.00
approval_limit = 100.00

[merchants.green-acres.balance_types]
gift = { unit = "USD" }                    # the merchant's currency: sums with default
winston = { unit = "TKN", decimals = 0 }

[merchants.green-acres.anomalies]
recovery_budget = 4000.00
""",
    staff=(
        ("Ann Lee", "ann@green-acres.example"),
        ("Olivia Grant", "olivia@green-acres.example"),
        ("Sam Rivera", "sam@green-acres.example"),
        ("Pat Quinn", "pat@green-acres.example"),
        ("Dana Cole", "dana@green-acres.example"),
        ("Robin Hale", "robin@green-acres.example"),
    ),
    weight=10,
    balance_types=(("gift", 2, 100), ("winston", 0, 1)),
    merges_from=1,
    approval_limit=10_000,
    locations=("Market Hall", "North Barn", "Riverside"),
    categories=FARM,
    batches=FARM_BATCHES,
    full_stories_from=6_000,
    stories=FARM_STORIES,
    bad_rows=FARM_BAD_ROWS,
    settled_type=("2026-05", "Service Recovery"),
)
HARBOR_GYM = Profile(
    merchant_id="harbor-gym",
    code="hg",
    name="Harbor Gym",
    timezone="America/Los_Angeles",
    currency="USD",
    settings="""
label = "Gym"
draw_order = "oldest_first"
refund_grace_days = 7
""",
    staff=(
        ("Marcus Webb", "marcus@harbor-gym.example"),
        ("Harriet Bloom", "harriet@harbor-gym.example"),
        ("Front Desk", "desk@harbor-gym.example"),
        ("Inés Ortega", "ines@harbor-gym.example"),
    ),
    kind="parquet",
    weight=6,
    locations=("Harbor", "Uptown"),
    categories=GYM,
    batches=GYM_BATCHES,
    full_stories_from=4_000,
    stories=GYM_STORIES,
    settled_month="2026-06",
)
KIWI_GROCER = Profile(
    merchant_id="kiwi-grocer",
    code="kg",
    name="Kiwi Grocer",
    timezone="Pacific/Apia",
    currency="NZD",
    settings="""
label = "Shop"
approval_limit = 200.00

[merchants.kiwi-grocer.balance_types]
voucher = { unit = "NZD" }
points = { unit = "PTS", decimals = 0 }
""",
    staff=(
        ("Aroha Ngata", "aroha@kiwi-grocer.example"),
        ("Tavita Latu", "tavita@kiwi-grocer.example"),
        ("Mele Faleolo", "mele@kiwi-grocer.example"),
        ("Zoë Wójcik", "zoe@kiwi-grocer.example"),
    ),
    kind="jsonl",
    weight=4,
    utc=True,
    own_ids=True,
    balance_types=(("voucher", 2, 100), ("points", 0, 1)),
    merges_from=1,
    approval_limit=20_000,
    locations=("Apia", "Salelologa"),
    categories=GROCER,
    batches=GROCER_BATCHES,
    full_stories_from=1_500,
    stories=GROCER_STORIES,
    bad_rows=GROCER_BAD_ROWS,
)


def profiles_of(count: int) -> list[Profile]:
    """The three that have stories, then as many shops as are asked for, each unlike the one before."""
    return [GREEN_ACRES, HARBOR_GYM, KIWI_GROCER][:count] + [_shop(number) for number in range(4, count + 1)]


def _shop(number: int) -> Profile:
    merchant_id = f"shop-{number:03d}"
    # Where midnight happens twice, where there are no cents, where there are thousandths.
    timezone, currency, decimals, hundredth, decimal_comma = (
        ("America/Havana", "EUR", 2, 1, True),
        ("America/Santiago", "CLP", 0, 10, False),
        ("Africa/Tunis", "TND", 3, 30, False),
        ("Pacific/Auckland", "NZD", 2, 1, False),
    )[number % 4]
    return Profile(
        merchant_id=merchant_id,
        code=f"s{number:03d}",
        name=f"Shop {number}",
        timezone=timezone,
        currency=currency,
        settings='label = "Shop"\n' + "decimal_comma = true\n" * decimal_comma,
        staff=(
            (f"Alex Shop {number}", f"alex@{merchant_id}.example"),
            (f"Kim Shop {number}", f"kim@{merchant_id}.example"),
        ),
        decimals=decimals,
        hundredth=hundredth,
        decimal_comma=decimal_comma,
        categories=EVERYDAY,
    )
