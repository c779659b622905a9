"""Random ledgers for hypothesis: small worlds in which everything collides.

A ledger is drawn as a plain list of events (small numbers that shrink towards 0, no references between draws), and then
made into entries that satisfy what ingest guarantees: unique ids, declared balance types, amounts that fit their unit
where it is known, nothing in the future. Belongs here: what can be drawn. Not here: what should come of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_DOWN, Decimal
from functools import cache
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from tests.oracle import CREDIT_TYPES, SIGN, Policy

Entry = dict[str, Any]
T = TypeVar("T")

ENTRY_COLUMNS = (
    "merchant_id",
    "entry_id",
    "entry_type",
    "occurred_at",
    "recorded_at",
    "member_id",
    "balance_type",
    "amount",
    "credit_id",
    "redemption_id",
    "transfer_id",
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
    "operation_id",
)
MERCHANTS = ("acme", "byte-farm")
MEMBERS = ("ada", "bob", "Čeněk")
BALANCE_TYPES = (None, "default", "gift", "token")
UNKNOWN = "nowhere"

# Days around which the clock, the calendar or the range of years does something; the events are on the four days from
# each, and all of them are over.
CALENDARS = (
    ("UTC", date(2026, 6, 27)),  # the end of a month
    ("America/New_York", date(2026, 3, 6)),  # the clock goes forward at 02:00 on the 8th
    ("America/Havana", date(2025, 10, 31)),  # midnight happens twice on 2 November
    ("America/Santiago", date(2025, 9, 5)),  # midnight does not exist on the 7th
    ("Pacific/Auckland", date(2025, 9, 26)),
    ("Pacific/Apia", date(2011, 12, 28)),  # the 30th does not exist
    ("Asia/Kolkata", date(2024, 2, 27)),  # a leap day
    ("Pacific/Auckland", date(1970, 1, 1)),  # before the epoch in UTC
)
LAST_EXPIRY = datetime(2199, 12, 31, 23, 59, 59)  # noqa: DTZ001  local time, given its zone where it is used
CURRENCIES = (("USD", 2), ("JPY", 0), ("KWD", 3))

# Ids that look like those of parts, that sort otherwise as numbers, without case, or in UTF-16, and that need quoting.
IDS = ("a", "a.1", "a.2", "a.10", "b", "B", "a.expired", "10", "9", "ä", "a\u0308", "\uff5e", "🍇", 'x,"y";z')
AMOUNTS = ("5.00", "10.00", "1", "2.50", "0.01", "7.25", "10.0000", "3", "12.5", "0.001", "30", "99999999999999.99")
LOCAL_TIMES = (time(0, 0), time(12, 0), time(23, 59, 59), time(0, 30), time(0, 30, fold=1), time(2, 30))


@dataclass(frozen=True)
class Moment:
    """A local time on one of the days of the calendar."""

    day: int
    local_time: time


@dataclass(frozen=True)
class Reference:
    """The n-th credit or redemption, modulo how many there are: of the event's own account, or of the merchant."""

    of: Literal["account", "merchant", "nothing"]
    n: int = 0


@dataclass(frozen=True)
class Event:
    entry_type: str
    merchant: int
    member: int
    balance_type: str | None
    when: Moment
    amount: str
    entry_id: str
    own_id: str | None = None  # the credit_id of a credit, the redemption_id of a redemption; None: its entry_id
    credit: Reference | None = None
    redemption: Reference | None = None
    transfer_id: str | None = None
    priority: int = 50
    expires: Moment | Literal["never", "last"] = "never"
    issued: Moment | None = None
    original_amount: str | None = None


@st.composite
def ledgers(draw: st.DrawFn, max_events: int = 14) -> tuple[list[Entry], dict[str, Policy]]:
    """Entries as ingest accepts them, in no order, and the policies of their merchants."""
    merchants = draw(st.integers(1, 2))
    members = draw(st.integers(1, 3))
    first_day, policies = draw(worlds(merchants))
    drawn = draw(
        st.one_of(
            several(one_or_two_events(merchants, members), 0, max_events),
            several(one_or_two_events(1, 1), 0, max_events),
            stories(),
            stories(),
            splits(),
        )
    )
    events = [event for few in drawn for event in few]
    return entries_of(events, first_day, policies), {policy.merchant_id: policy for policy in policies}


@st.composite
def worlds(draw: st.DrawFn, merchants: int) -> tuple[date, list[Policy]]:
    """The first day of the events and a policy for each merchant; the merchants share the calendar."""
    zone, first_day = draw(st.sampled_from(CALENDARS))
    policies = []
    for merchant_id in MERCHANTS[:merchants]:
        currency, decimals = draw(st.sampled_from(CURRENCIES))
        policies.append(
            Policy(
                merchant_id=merchant_id,
                timezone=zone,
                currency=currency,
                currency_decimals=decimals,
                draw_order=draw(st.sampled_from(("expiring_first", "oldest_first"))),
                refund_grace_days=draw(st.sampled_from((0, 3))),
                balance_types={"default": (currency, decimals), "gift": (currency, decimals), "token": ("TKN", 0)},
            )
        )
    return first_day, policies


# ---- What can be drawn ------------------------------------------------------------------------------------------

ids = st.sampled_from(IDS)
amounts = st.sampled_from(AMOUNTS)
moments = st.sampled_from([Moment(day, local_time) for day in range(4) for local_time in LOCAL_TIMES])
earlier_moments = st.sampled_from([Moment(day, local_time) for day in range(-2, 2) for local_time in LOCAL_TIMES[:3]])
dates_alone = [Moment(day, time(23, 59, 59)) for day in range(-1, 8)]
noons_and_midnights = [Moment(day, local_time) for day in range(4) for local_time in LOCAL_TIMES[:2]]
expiries = st.sampled_from(["never"] * 5 + dates_alone + noons_and_midnights + ["last"] * 2)
references = st.sampled_from(
    [Reference("account", n) for n in (0, 1, 2, 3, 0, 1, 0)]
    + [Reference("merchant", n) for n in range(4)]
    + [Reference("nothing")]
)
story_credit_amounts = st.sampled_from(("10", "20", "15", "5"))
story_amounts = st.sampled_from(("12", "5", "3", "15", "2", "25"))
story_expiries = st.sampled_from(
    ("never", Moment(1, time(23, 59, 59)), Moment(2, time(12, 0)), Moment(3, time(0, 0)), Moment(3, time(23, 59, 59)))
)
sometimes_a_credit = st.none() | st.none() | references


@st.composite
def several(draw: st.DrawFn, one: st.SearchStrategy[T], least: int, most: int) -> list[T]:
    """As st.lists, but the length is drawn first: hypothesis then deletes a whole element when it lowers the length.
    With st.lists it left whole events standing that a counterexample did not need.
    """
    return [draw(one) for _ in range(draw(st.integers(least, most)))]


@cache  # hypothesis validates a strategy once, which costs more than drawing from it
def events_of(entry_type: str, merchants: int, members: int) -> st.SearchStrategy[Event]:
    columns: dict[str, st.SearchStrategy[Any]] = {
        "entry_type": st.just(entry_type),
        "merchant": st.integers(0, merchants - 1),
        "member": st.integers(0, members - 1),
        "balance_type": st.sampled_from((None, None, None, *BALANCE_TYPES)),
        "when": moments,
        "amount": amounts,
        "entry_id": ids,
    }
    if entry_type in CREDIT_TYPES:
        columns["own_id"] = st.none() | ids
        columns["priority"] = st.sampled_from((50, 50, 0, 1, 99))
        columns["expires"] = expiries
    if entry_type in ("opening", "transferred_in"):
        columns["issued"] = st.none() | earlier_moments
        columns["original_amount"] = st.none() | st.just("50")
    if entry_type in ("transferred_in", "transferred_out"):
        columns["transfer_id"] = st.sampled_from((None, "t", "u"))
    if entry_type in ("redeemed", "deducted", "transferred_out"):
        columns["credit"] = sometimes_a_credit
    if entry_type == "redeemed":
        columns["own_id"] = st.none() | ids
    if entry_type == "refunded":
        columns["redemption"] = references
        columns["credit"] = sometimes_a_credit
    if entry_type in ("reversed", "expired", "expiry_changed"):
        columns["credit"] = references
    if entry_type == "expiry_changed":
        columns["expires"] = expiries
    return st.builds(Event, **columns)


@cache
def one_or_two_events(merchants: int, members: int) -> st.SearchStrategy[tuple[Event, ...]]:
    """An event of any type, or both halves of a transfer."""

    def single(entry_type: str) -> st.SearchStrategy[tuple[Event, ...]]:
        return events_of(entry_type, merchants, members).map(lambda event: (event,))

    often = ("created", "redeemed", "refunded")
    return st.one_of(*(single(entry_type) for entry_type in (*often, *SIGN)), transfers(merchants, members))


@st.composite
def transfers(draw: st.DrawFn, merchants: int, members: int) -> tuple[Event, ...]:
    out = draw(events_of("transferred_out", merchants, members))
    into = draw(events_of("transferred_in", merchants, members))
    return (
        replace(out, transfer_id="pair"),
        replace(into, transfer_id="pair", merchant=out.merchant, when=out.when, amount=out.amount),
    )


STORY_CREDITS = ("created", "opening", "transferred_in")
STORY_TURNS = ("expired", "reversed", "deducted", "expiry_changed", "redeemed")
STORY_ENDS = ("refunded", "expired", "refunded", "expiry_changed", "redeemed", "created", "refunded")


@cache
def story_chapter(types: tuple[str, ...], least: int, most: int) -> st.SearchStrategy[list[Event]]:
    return several(st.one_of(*(events_of(each, 1, 1) for each in types)), least, most)


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[Event, ...]]:
    """One account in the order in which things happen to a credit, so that refunds find their redemptions and meet what
    came between: expiries, reversals, deductions.
    """
    balance_type = draw(st.sampled_from((None, "token")))
    cents = draw(st.sampled_from(("", "", ".50")))
    days_in_chapters = (
        (0, draw(story_chapter(STORY_CREDITS, 1, 3))),
        (1, draw(story_chapter(("redeemed",), 1, 2))),
        (1, draw(story_chapter(STORY_TURNS, 0, 3))),
        (2, draw(story_chapter(("refunded",), 1, 3))),
        (3, draw(story_chapter(STORY_ENDS, 0, 4))),
    )
    story: list[tuple[Event, ...]] = []
    for day, events in days_in_chapters:
        for event in events:
            changes: dict[str, Any] = {
                "when": Moment(day, event.when.local_time),
                "balance_type": None,
                "amount": draw(story_credit_amounts if event.entry_type in CREDIT_TYPES else story_amounts) + cents,
            }
            if event.entry_type in CREDIT_TYPES:
                changes |= {"balance_type": balance_type, "expires": draw(story_expiries)}
            elif event.entry_type in ("redeemed", "deducted"):
                changes |= {"balance_type": balance_type, "credit": None}
            elif event.entry_type == "refunded":
                changes |= {"redemption": Reference("account", 0)}
            story.append((replace(event, **changes),))
    return story


@st.composite
def splits(draw: st.DrawFn) -> list[tuple[Event, ...]]:
    """More than ten small credits, a redemption that draws from them all, and refunds of parts of it."""

    def plain(event: Event, **changes: Any) -> Event:
        return replace(event, balance_type=None, **changes)

    split: list[tuple[Event, ...]] = []
    for event in draw(several(events_of("created", 1, 1), 11, 13)):
        amount = draw(st.sampled_from(("1", "2", "1.25")))
        lives = replace(event, expires="never") if draw(st.booleans()) else event
        split.append((plain(lives, amount=amount, when=Moment(0, event.when.local_time)),))
    large = draw(events_of("redeemed", 1, 1))
    amount = draw(st.sampled_from(("10", "13", "30")))
    split.append((plain(large, amount=amount, when=Moment(1, time(0, 0)), credit=None),))
    for event in draw(several(events_of("refunded", 1, 1), 1, 4)):
        amount = draw(st.sampled_from(("0.25", "1", "3.50", "12", "30")))
        split.append((plain(event, amount=amount, when=Moment(max(1, event.when.day), event.when.local_time)),))
    return split + draw(several(one_or_two_events(1, 1), 0, 4))


# ---- From events to entries -------------------------------------------------------------------------------------


def entries_of(events: list[Event], first_day: date, policies: list[Policy]) -> list[Entry]:
    entries = []
    for number, policy in enumerate(policies):
        entries += merchant_entries([event for event in events if event.merchant == number], first_day, policy)
    return entries


def merchant_entries(events: list[Event], first_day: date, policy: Policy) -> list[Entry]:
    is_free = {"entry": unique(), "credit": unique(), "redemption": unique()}
    entries = []
    for event in events:
        entry: Entry = dict.fromkeys(ENTRY_COLUMNS)
        entry["merchant_id"] = policy.merchant_id
        entry["entry_id"] = is_free["entry"](event.entry_id)
        entry["entry_type"] = event.entry_type
        entry["occurred_at"] = instant(event.when, first_day, policy)
        entry["member_id"] = MEMBERS[event.member]
        entry["balance_type"] = event.balance_type
        entry["transfer_id"] = event.transfer_id
        entry["priority"] = event.priority
        entry["system"] = "balance_credit"
        if event.entry_type in CREDIT_TYPES:
            entry["credit_id"] = is_free["credit"](event.own_id or entry["entry_id"])
        if event.entry_type == "redeemed":
            entry["redemption_id"] = is_free["redemption"](event.own_id or entry["entry_id"])
        if event.expires == "last":
            entry["expires_at"] = LAST_EXPIRY.replace(tzinfo=ZoneInfo(policy.timezone)).astimezone(UTC)
        elif event.expires != "never":
            entry["expires_at"] = instant(event.expires, first_day, policy)
        if event.issued is not None:
            entry["issued_at"] = min(instant(event.issued, first_day, policy), entry["occurred_at"])
        entries.append(entry)

    lots = [entry for entry in entries if entry["entry_type"] in CREDIT_TYPES]
    redemptions = [entry for entry in entries if entry["entry_type"] == "redeemed"]
    for event, entry in zip(events, entries, strict=True):
        if event.credit is not None:
            entry["credit_id"] = resolve(event.credit, entry, lots, "credit_id")
        if event.redemption is not None:
            entry["redemption_id"] = resolve(event.redemption, entry, redemptions, "redemption_id")
        # A blank stays blank only where a credit, or for a refund its redemption, can say what it is.
        can_resolve = event.credit is not None or event.redemption is not None
        if entry["balance_type"] is None and not can_resolve:
            entry["balance_type"] = "default"
        entry["amount"] = fitting(event, entry["balance_type"], policy)
        if event.original_amount is not None:
            entry["original_amount"] = max(entry["amount"], Decimal(event.original_amount))
    return entries


def unique() -> Callable[[str], str]:
    """A text as it is, or with the first free suffix: a second `a` becomes `a.1`, which splits of `a` look like."""
    taken: set[str] = set()

    def first_free(text: str) -> str:
        free, number = text, 0
        while free in taken:
            number += 1
            free = f"{text}.{number}"
        taken.add(free)
        return free

    return first_free


def instant(moment: Moment, first_day: date, policy: Policy) -> datetime:
    day = max(first_day + timedelta(days=moment.day), date(1970, 1, 1))
    return datetime.combine(day, moment.local_time, tzinfo=ZoneInfo(policy.timezone)).astimezone(UTC)


def resolve(reference: Reference, entry: Entry, targets: list[Entry], id_column: str) -> str:
    if reference.of == "account":
        own = [target for target in targets if is_same_account(entry, target)]
        targets = own or targets
    if reference.of == "nothing" or not targets:
        return UNKNOWN
    return str(targets[reference.n % len(targets)][id_column])


def is_same_account(entry: Entry, target: Entry) -> bool:
    is_same_type = entry["balance_type"] is None or entry["balance_type"] == target["balance_type"]
    return bool(is_same_type and entry["member_id"] == target["member_id"])


def fitting(event: Event, balance_type: str | None, policy: Policy) -> Decimal:
    """The event's amount, cut to the decimals of its unit, or of the merchant's finest where a blank hides the unit."""
    if event.entry_type == "expiry_changed":
        return Decimal(0)
    if balance_type is None:
        decimals = max(decimals for _, decimals in policy.balance_types.values())
    else:
        _, decimals = policy.balance_types[balance_type]
    step = Decimal(1).scaleb(-decimals)
    amount = Decimal(event.amount)
    cut = amount.quantize(step, rounding=ROUND_DOWN)
    return amount if cut == amount else max(cut, step)
