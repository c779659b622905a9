"""The replay of spec/domain.md, "From entries to movements", written slowly to be read beside it.

Every block cites its rule. Belongs here: the rules, in plain Python over lists and dicts, with Decimal and
datetime. Does not belong here: anything fast, and anything imported from the pipelines, which tests compare with this.

What is assumed of the entries is what ingest guarantees: entry_id, credit_id (of credits) and redemption_id (of
redemptions) are unique in the merchant, balance types are declared, amounts are positive (0 or None for
`expiry_changed`), instants are aware. Defaults that ingest applies are applied again, which changes nothing.

Where the spec leaves a choice, this is what was chosen:

- Rule 1: a refund sorts among "refunds of redemptions of this instant" if the redemption, looked up in the whole
  merchant, has the refund's instant; all others, those of unknown redemptions too, in the earlier class. Text sorts
  by code point.
- Rule 2: only `opening` and `transferred_in` can say when a credit was first issued; an issued_at on `created` is
  not looked at.
- Rule 4: a credit's "own start" is the instant of its entry, not its issued_at. What expires at once does so
  directly after the movement that caused it: of a refund in several parts each part is followed by its own expiry,
  before the next part. Derived expiries of the past are in order of expires_at, those of one expires_at in draw order.
  The instant of an expiry at once is the entry's, whatever expires_at says.
- Rule 4: an `expired` entry is early when its instant is before the credit's expires_at as it stands then, or the
  credit has none: also where an earlier expires_at has taken everything and `expiry_changed` set a later one.
- Rule 4: "the sum derived by the account's last entry" includes what expired at that entry's instant, through it too.
- Rule 5: the order of checks on a refund is unit, redemption known, credit named, amount. `refund_after_reversal`
  is given also when what came back expires again at once.
- Rule 5: grace is counted only for a refund to a credit whose expires_at is at or before it; the new expires_at is
  the credit's from that refund's movement on, and never brings anything else back.
- Rule 8: the two halves are paired whatever they moved. An entry with `unit_mismatch` takes part in the pairing (its
  partner is not half a pair) but gets no second finding. Units are compared by name.
- Ids: (movement_type, id, part) is unique only beside `derived`, since an `expired` entry may itself be called
  `<credit_id>.expired`; and a redemption_movement_id names a row only beside its redemption_id, since redemption `a` in
  two parts and redemption `a.1` in one both have a movement `a.1`.
- Findings come sorted by account, entry_id, finding and credit_id; movements by account and sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

Row = dict[str, Any]

SIGN = {
    "opening": 1,
    "created": 1,
    "redeemed": -1,
    "refunded": 1,
    "expired": -1,
    "deducted": -1,
    "reversed": -1,
    "transferred_out": -1,
    "transferred_in": 1,
    "expiry_changed": 0,
}
COLUMNS = (
    "merchant_id",
    "entry_id",
    "entry_type",
    "occurred_at",
    "member_id",
    "balance_type",
    "amount",
    "credit_id",
    "redemption_id",
    "transfer_id",
    "priority",
    "expires_at",
    "issued_at",
)
CREDIT_TYPES = ("opening", "created", "transferred_in")
DRAW_TYPES = ("redeemed", "deducted", "transferred_out")
ZERO = Decimal(0)


@dataclass(frozen=True)
class Policy:
    """What a merchant's settings say to the replay. balance_types: name -> (unit, decimals)."""

    merchant_id: str
    timezone: str
    currency: str = "USD"
    currency_decimals: int = 2
    draw_order: Literal["expiring_first", "oldest_first"] = "expiring_first"
    refund_grace_days: int = 0
    balance_types: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "default" not in self.balance_types:
            with_default = {"default": (self.currency, self.currency_decimals), **self.balance_types}
            object.__setattr__(self, "balance_types", with_default)


@dataclass
class Credit:
    """A lot and its state at the point the replay has reached."""

    credit_id: str
    priority: int
    issued_at: datetime
    expires_at: datetime | None
    remaining: Decimal
    derived_count: int = 0  # derived expiries so far
    derived_total: Decimal = ZERO  # and their sum
    taken_back: bool = False  # a `reversed` or `deducted` movement has taken from it
    asserted_total: Decimal = ZERO
    last_assertion: Row | None = None


@dataclass
class RedemptionPart:
    """One movement of a redemption; credit None is its uncovered part."""

    credit: Credit | None
    movement_id: str
    unrefunded: Decimal


def replay(entries: Iterable[Mapping[str, Any]], policies: Mapping[str, Policy]) -> tuple[list[Row], list[Row]]:
    """Movements and findings of entries as ingest accepts them, of any number of merchants, in any order."""
    movements: list[Row] = []
    findings: list[Row] = []
    everything = [with_ingest_defaults(entry) for entry in entries]
    for merchant_id in sorted({entry["merchant_id"] for entry in everything}):
        policy = policies[merchant_id]
        ledger = with_balance_types([entry for entry in everything if entry["merchant_id"] == merchant_id])
        for member_id, balance_type in sorted({(entry["member_id"], entry["balance_type"]) for entry in ledger}):
            account = Account(policy, ledger, member_id, balance_type)
            account.replay()
            movements += account.movements
            findings += account.findings
        findings += transfer_findings(ledger, policy)
    findings.sort(key=finding_order)
    return movements, findings


def finding_order(finding: Row) -> tuple[str, ...]:
    names = ("merchant_id", "member_id", "balance_type", "entry_id", "finding", "credit_id")
    return tuple(finding[name] or "" for name in names)


# ---- Entries: the defaults of the table -------------------------------------------------------------------------


def with_ingest_defaults(entry: Mapping[str, Any]) -> Row:
    """Every column that the replay reads; the defaults are those of the table of entries."""
    row = {column: entry.get(column) for column in COLUMNS}
    if row["amount"] is None:
        row["amount"] = ZERO
    if row["priority"] is None:
        row["priority"] = 50
    if row["entry_type"] in CREDIT_TYPES and row["credit_id"] is None:
        row["credit_id"] = row["entry_id"]
    if row["entry_type"] == "redeemed" and row["redemption_id"] is None:
        row["redemption_id"] = row["entry_id"]
    return row


def with_balance_types(ledger: list[Row]) -> list[Row]:
    """Table of entries, balance_type: "blank: that of the named credit, or for a refund of its redemption, if the
    same member's; else `default`". The credit and the redemption are looked up in the merchant's whole ledger.
    """
    lots = {}
    for entry in ledger:
        if entry["entry_type"] in CREDIT_TYPES:
            lots[entry["credit_id"]] = {**entry, "balance_type": entry["balance_type"] or "default"}

    def of_named_credit(entry: Row) -> str | None:
        credit = lots.get(entry["credit_id"])
        if credit is not None and credit["member_id"] == entry["member_id"]:
            return str(credit["balance_type"])
        return None

    redemptions = {}
    for entry in ledger:
        if entry["entry_type"] == "redeemed":
            resolved = entry["balance_type"] or of_named_credit(entry) or "default"
            redemptions[entry["redemption_id"]] = {**entry, "balance_type": resolved}

    def of_redemption(entry: Row) -> str | None:
        redemption = redemptions.get(entry["redemption_id"])
        if entry["entry_type"] == "refunded" and redemption and redemption["member_id"] == entry["member_id"]:
            return str(redemption["balance_type"])
        return None

    return [
        {**entry, "balance_type": entry["balance_type"] or of_named_credit(entry) or of_redemption(entry) or "default"}
        for entry in ledger
    ]


def is_unit_mismatch(entry: Row, policy: Policy) -> bool:
    """Table of entries, amount: more decimals than the unit has, where trailing zeros don't count."""
    _, decimals = policy.balance_types[entry["balance_type"]]
    exponent = entry["amount"].normalize().as_tuple().exponent
    return bool(-exponent > decimals)


# ---- Rule 1: order ----------------------------------------------------------------------------------------------


def rank_at_an_instant(entry: Row, ledger: list[Row]) -> int:
    entry_type = entry["entry_type"]
    if entry_type in CREDIT_TYPES:
        return 0
    if entry_type == "expiry_changed":
        return 1
    if entry_type == "refunded":
        for other in ledger:
            is_its_redemption = other["entry_type"] == "redeemed" and other["redemption_id"] == entry["redemption_id"]
            if is_its_redemption and other["occurred_at"] == entry["occurred_at"]:
                return 4
        return 2
    return {"redeemed": 3, "deducted": 5, "transferred_out": 6, "reversed": 7, "expired": 8}[entry_type]


# ---- Rules 2 to 7: one account ----------------------------------------------------------------------------------


class Account:
    def __init__(self, policy: Policy, ledger: list[Row], member_id: str, balance_type: str) -> None:
        self.policy = policy
        self.ledger = ledger  # of the whole merchant
        self.member_id = member_id
        self.balance_type = balance_type
        self.credits: list[Credit] = []  # those the account has by now
        self.redemptions: dict[str, list[RedemptionPart]] = {}  # those the account has had by now
        self.movements: list[Row] = []
        self.findings: list[Row] = []

    def replay(self) -> None:
        entries = [entry for entry in self.ledger if self.is_mine(entry)]
        entries.sort(key=lambda e: (e["occurred_at"], rank_at_an_instant(e, self.ledger), e["entry_id"]))
        for entry in entries:
            self.expire_due(entry["occurred_at"])
            self.apply(entry)
        self.compare_assertions()
        self.expire_due(None)
        self.add_valid_until()

    def is_mine(self, entry: Row) -> bool:
        return bool(entry["member_id"] == self.member_id and entry["balance_type"] == self.balance_type)

    def apply(self, entry: Row) -> None:
        entry_type = entry["entry_type"]
        if entry_type == "redeemed":
            # Rule 3: a redemption that moves nothing counts as had, with nothing to refund.
            self.redemptions[entry["redemption_id"]] = []
        if is_unit_mismatch(entry, self.policy):
            self.find("unit_mismatch", entry, entry["amount"], unmoved=entry["amount"])
        elif entry_type in CREDIT_TYPES:
            self.apply_credit(entry)
        elif entry_type in DRAW_TYPES:
            self.apply_draw(entry)
        elif entry_type == "refunded":
            self.apply_refund(entry)
        elif entry_type == "reversed":
            self.apply_reversal(entry)
        elif entry_type == "expired":
            self.apply_stated_expiry(entry)
        elif entry_type == "expiry_changed":
            self.apply_expiry_change(entry)
        else:
            raise ValueError(f"entry {entry['entry_id']!r} has unknown type {entry_type!r}")

    # -- Words: credit

    def apply_credit(self, entry: Row) -> None:
        issued_at = entry["occurred_at"]
        if entry["entry_type"] in ("opening", "transferred_in") and entry["issued_at"] is not None:
            issued_at = entry["issued_at"]
        credit = Credit(entry["credit_id"], entry["priority"], issued_at, entry["expires_at"], ZERO)
        self.credits.append(credit)
        self.move(entry, [(credit, entry["amount"])])
        self.expire_at_once(credit, entry["occurred_at"])

    # -- Rule 2: draw order

    def draw_order(self, credit: Credit) -> tuple[Any, ...]:
        if self.policy.draw_order == "oldest_first":
            return (credit.priority, credit.issued_at, credit.credit_id)
        is_never = credit.expires_at is None
        return (credit.priority, is_never, credit.expires_at or credit.issued_at, credit.issued_at, credit.credit_id)

    # -- Rule 3: named credits

    def credit_here(self, credit_id: str) -> Credit | None:
        for credit in self.credits:
            if credit.credit_id == credit_id:
                return credit
        return None

    def is_of_other_account(self, entry: Row) -> bool:
        """Looked up in the merchant's whole ledger, whatever the times. A blank balance type has been resolved to the
        credit's if the member is the same, so only a stated one can differ then.
        """
        for other in self.ledger:
            if other["entry_type"] in CREDIT_TYPES and other["credit_id"] == entry["credit_id"]:
                return not self.is_mine(other)
        return False

    def named_credit(self, entry: Row) -> Credit | None:
        """The credit that an entry, not a draw, works on; None with its finding where it moves nothing."""
        if self.is_of_other_account(entry):
            self.find("credit_of_other_account", entry, entry["amount"], unmoved=entry["amount"])
            return None
        credit = self.credit_here(entry["credit_id"])
        if credit is None:
            self.find("unknown_credit", entry, entry["amount"], unmoved=entry["amount"])
        return credit

    # -- Rules 2, 3 and 6: redeemed, deducted, transferred_out

    def apply_draw(self, entry: Row) -> None:
        if entry["credit_id"] is None:
            sources = sorted(self.credits, key=self.draw_order)
        elif self.is_of_other_account(entry):
            self.find("credit_of_other_account", entry, entry["amount"], unmoved=entry["amount"])
            return
        else:
            # Rule 2: an entry that names a credit draws from that one only.
            credit = self.credit_here(entry["credit_id"])
            sources = [] if credit is None else [credit]
            if credit is None:
                # Rule 3: the draw is then uncovered, so that what it says still moves.
                self.find("unknown_credit", entry, entry["amount"])

        parts: list[tuple[Credit | None, Decimal]] = []
        rest = entry["amount"]
        for credit in sources:
            taken = min(rest, credit.remaining)
            if taken > 0:
                parts.append((credit, taken))
                rest -= taken
        if rest > 0:
            # Rule 6: the rest becomes a movement with no credit, after those with one.
            parts.append((None, rest))
            self.find("uncovered_draw", entry, rest)
        rows = self.move(entry, parts)

        if entry["entry_type"] == "redeemed":
            self.redemptions[entry["redemption_id"]] = [
                RedemptionPart(credit, row["movement_id"], amount)
                for (credit, amount), row in zip(parts, rows, strict=True)
            ]
        if entry["entry_type"] == "deducted":
            for credit_or_none, _ in parts:
                if credit_or_none is not None:
                    credit_or_none.taken_back = True

    # -- Rule 4: expiry

    def expire_due(self, instant: datetime | None) -> None:
        """What remains at expires_at expires then, before any entry of the same instant. None: all finite expiries,
        future ones too.
        """
        due = [
            (credit.expires_at, self.draw_order(credit), credit)
            for credit in self.credits
            if credit.expires_at is not None and (instant is None or credit.expires_at <= instant)
        ]
        for expires_at, _, credit in sorted(due, key=lambda item: item[:2]):
            self.expire(credit, expires_at)

    def expire_at_once(self, credit: Credit, instant: datetime) -> None:
        if credit.expires_at is not None and credit.expires_at <= instant:
            self.expire(credit, instant)

    def expire(self, credit: Credit, instant: datetime) -> None:
        if credit.remaining == 0:
            return
        amount = credit.remaining
        credit.remaining = ZERO
        credit.derived_count += 1
        credit.derived_total += amount
        movement_id = f"{credit.credit_id}.expired"
        self.movements.append(
            {
                **self.address(),
                "movement_id": movement_id if credit.derived_count == 1 else f"{movement_id}.{credit.derived_count}",
                "id": movement_id,
                "part": credit.derived_count,
                "entry_id": None,
                "movement_type": "expired",
                "credit_id": credit.credit_id,
                "redemption_id": None,
                "redemption_movement_id": None,
                "amount": amount,
                "signed_amount": -amount,
                "occurred_at": instant,
                "derived": True,
                "sequence": len(self.movements) + 1,
                "remaining": credit.remaining,
                "expires_at": credit.expires_at,
            }
        )

    def apply_expiry_change(self, entry: Row) -> None:
        credit = self.named_credit(entry)
        if credit is None:
            return
        credit.expires_at = entry["expires_at"]
        self.move(entry, [(credit, ZERO)])
        self.expire_at_once(credit, entry["occurred_at"])

    def apply_stated_expiry(self, entry: Row) -> None:
        credit = self.named_credit(entry)
        if credit is None:
            return
        if credit.expires_at is not None and entry["occurred_at"] >= credit.expires_at:
            # It asserts what the derived expiry was, and moves nothing.
            credit.asserted_total += entry["amount"]
            credit.last_assertion = entry
            return
        taken = min(entry["amount"], credit.remaining)
        self.move(entry, [(credit, taken)])
        short = entry["amount"] - taken
        if short > 0:
            self.find("expiry_mismatch", entry, short, unmoved=short)

    def compare_assertions(self) -> None:
        """By the account's last entry: called after it, before the forecast."""
        for credit in self.credits:
            if credit.last_assertion is not None and credit.asserted_total != credit.derived_total:
                gap = abs(credit.asserted_total - credit.derived_total)
                self.find("expiry_mismatch", credit.last_assertion, gap)

    # -- Rule 5: refund

    def apply_refund(self, entry: Row) -> None:
        redemption = self.redemptions.get(entry["redemption_id"])
        if redemption is None:
            self.find("refund_of_unknown_redemption", entry, entry["amount"], unmoved=entry["amount"])
            return
        if entry["credit_id"] is not None:
            credit = self.named_credit(entry)
            if credit is None:
                return
            # A refund that names a credit gives back only what its redemption drew from that credit.
            redemption = [part for part in redemption if part.credit is credit]

        # Last drawn first; the uncovered part was drawn last.
        given_back: list[tuple[RedemptionPart, Decimal]] = []
        rest = entry["amount"]
        for part in reversed(redemption):
            amount = min(rest, part.unrefunded)
            if amount > 0:
                given_back.append((part, amount))
                part.unrefunded -= amount
                rest -= amount
        if rest > 0:
            self.find("refund_exceeds_redemption", entry, rest, unmoved=rest)

        for number, (part, amount) in enumerate(given_back, start=1):
            self.give_back(entry, part, amount, number, len(given_back))

    def give_back(self, entry: Row, part: RedemptionPart, amount: Decimal, number: int, count: int) -> None:
        credit, instant = part.credit, entry["occurred_at"]
        if credit is not None:
            has_expired = credit.expires_at is not None and credit.expires_at <= instant
            if has_expired and self.policy.refund_grace_days > 0:
                credit.expires_at = self.end_of_grace(instant)
            if credit.taken_back:
                self.find("refund_after_reversal", entry, amount, credit_id=credit.credit_id)
        row = self.move_part(entry, credit, amount, number, count)
        row["redemption_movement_id"] = part.movement_id
        if credit is not None:
            self.expire_at_once(credit, instant)

    def end_of_grace(self, instant: datetime) -> datetime:
        """23:59:59 of the local day that many days later. fold=0, as in "Time"."""
        zone = ZoneInfo(self.policy.timezone)
        day = instant.astimezone(zone).date() + timedelta(days=self.policy.refund_grace_days)
        return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=zone, fold=0).astimezone(UTC)

    # -- Rule 7: reversal

    def apply_reversal(self, entry: Row) -> None:
        credit = self.named_credit(entry)
        if credit is None:
            return
        taken = min(entry["amount"], credit.remaining)
        if taken > 0:
            self.move(entry, [(credit, taken)])
            credit.taken_back = True
        short = entry["amount"] - taken
        if short > 0:
            self.find("reversal_short", entry, short, unmoved=short)

    # -- Movement columns

    def address(self) -> Row:
        return {
            "merchant_id": self.policy.merchant_id,
            "member_id": self.member_id,
            "balance_type": self.balance_type,
        }

    def move(self, entry: Row, parts: list[tuple[Credit | None, Decimal]] | list[tuple[Credit, Decimal]]) -> list[Row]:
        """A movement for each part that is not zero; `expiry_changed` is one of 0."""
        moving = [
            (credit, amount) for credit, amount in parts if amount != 0 or entry["entry_type"] == "expiry_changed"
        ]
        return [
            self.move_part(entry, credit, amount, number, len(moving))
            for number, (credit, amount) in enumerate(moving, start=1)
        ]

    def move_part(self, entry: Row, credit: Credit | None, amount: Decimal, number: int, count: int) -> Row:
        signed_amount = SIGN[entry["entry_type"]] * amount
        if credit is not None:
            credit.remaining += signed_amount
        is_redemption = entry["entry_type"] == "redeemed"
        own_id = entry["redemption_id"] if is_redemption else entry["entry_id"]
        row = {
            **self.address(),
            "movement_id": own_id if count == 1 else f"{own_id}.{number}",
            "id": own_id,
            "part": number,
            "entry_id": entry["entry_id"],
            "movement_type": entry["entry_type"],
            "credit_id": None if credit is None else credit.credit_id,
            "redemption_id": entry["redemption_id"] if entry["entry_type"] in ("redeemed", "refunded") else None,
            "redemption_movement_id": None,
            "amount": amount,
            "signed_amount": signed_amount,
            "occurred_at": entry["occurred_at"],
            "derived": False,
            "sequence": len(self.movements) + 1,
            "remaining": None if credit is None else credit.remaining,
            "expires_at": None if credit is None else credit.expires_at,
        }
        self.movements.append(row)
        return row

    def add_valid_until(self) -> None:
        """The instant of the credit's next movement."""
        for row in self.movements:
            row["valid_until"] = None
            for later in self.movements[row["sequence"] :]:
                if row["credit_id"] is not None and later["credit_id"] == row["credit_id"]:
                    row["valid_until"] = later["occurred_at"]
                    break

    def find(
        self, finding: str, entry: Row, amount: Decimal, unmoved: Decimal = ZERO, credit_id: str | None = None
    ) -> None:
        self.findings.append(a_finding(finding, entry, amount, unmoved, credit_id))


def a_finding(finding: str, entry: Row, amount: Decimal, unmoved: Decimal = ZERO, credit_id: str | None = None) -> Row:
    return {
        "finding": finding,
        "merchant_id": entry["merchant_id"],
        "member_id": entry["member_id"],
        "balance_type": entry["balance_type"],
        "entry_id": entry["entry_id"],
        "credit_id": entry["credit_id"] if credit_id is None else credit_id,
        "amount": amount,
        "unmoved": unmoved,
    }


# ---- Rule 8: transfers, across the accounts of a merchant -------------------------------------------------------


def transfer_findings(ledger: list[Row], policy: Policy) -> list[Row]:
    found = []
    transfers = [entry for entry in ledger if entry["entry_type"] in ("transferred_out", "transferred_in")]
    transfers.sort(key=lambda entry: (entry["occurred_at"], entry["entry_id"]))

    halves = [entry for entry in transfers if entry["transfer_id"] is None]
    for transfer_id in sorted({entry["transfer_id"] for entry in transfers} - {None}):
        of_this = [entry for entry in transfers if entry["transfer_id"] == transfer_id]
        outs = [entry for entry in of_this if entry["entry_type"] == "transferred_out"]
        ins = [entry for entry in of_this if entry["entry_type"] == "transferred_in"]
        pairs = min(len(outs), len(ins))
        halves += outs[pairs:] + ins[pairs:]
        for out, in_ in zip(outs, ins, strict=False):
            gap = abs(out["amount"] - in_["amount"])
            out_unit, _ = policy.balance_types[out["balance_type"]]
            in_unit, _ = policy.balance_types[in_["balance_type"]]
            if (gap != 0 or out_unit != in_unit) and not is_unit_mismatch(out, policy):
                found.append(a_finding("unequal_transfer", out, gap))
    halves = [entry for entry in halves if not is_unit_mismatch(entry, policy)]
    return found + [a_finding("unpaired_transfer", entry, entry["amount"]) for entry in halves]
