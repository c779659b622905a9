"""The sample's background: entries that are drawn at random, whole columns at a time, as chains of a credit."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.sample.files import DAY_S, FILE_COLUMNS, TIMES
from pipelines.sample.members import member_number
from pipelines.sample.merchants import ADMINISTRATOR, EVERYDAY_STAFF, OWNER, Batch, Category
from pipelines.sample.world import Ints, World, end_of_day, second_of

HOUR_S = 3_600
NOTES = (
    "Asked for by phone",
    "See ticket 4711, same as last month",
    "+1 555 0100: call back before the next delivery",
    "- no substitutions, please",
    "=checked with the warehouse",
    'Says "always late", and has photographs',
    "Second time\nthis month",
)

Columns = dict[str, Ints]
KINDS = (
    *("opening", "created", "transferred_in", "expiry_changed", "refunded", "redeemed"),
    *("deducted", "transferred_out", "reversed", "expired"),
)
OPENING, CREATED, TRANSFERRED_IN, EXPIRY_CHANGED, REFUNDED = range(5)
REDEEMED, DEDUCTED, TRANSFERRED_OUT, REVERSED, EXPIRED = range(5, 10)
NONE = -1
# A row's key is its chain's number and its place in the chain; rows name each other by it until they get ids. A place
# follows those that it names, so that a chain cut short is still one.
PLACES = 16
CREDIT, DRAWS, REFUNDS, CHANGE, OUT, IN, LAST = 0, 1, 4, 7, 8, 9, 10
MOST_DRAWS = 3
BLANK: Mapping[str, int] = {
    "key": NONE,
    "kind": NONE,
    "member": NONE,
    "at": NONE,
    "amount": 0,  # in the smallest units of its balance type
    "balance_type": 0,
    "text": NONE,
    "note": NONE,
    "creator": NONE,
    "approver": NONE,
    "batch": NONE,
    "expires": NONE,
    "issued": NONE,
    "original": NONE,
    "credit": NONE,
    "redemption": NONE,
    "transfer": NONE,
    "legacy": 0,
}


class _Text(NamedTuple):
    """What a row says about itself."""

    credit_type: str | None
    reason: str | None
    details: str | None


def _rows(count: int, **columns: Ints | int) -> Columns:
    """Columns of `count` rows; what is not said is blank."""
    return {name: np.array(np.broadcast_to(columns.get(name, blank), count)) for name, blank in BLANK.items()}


def _some(columns: Columns, which: npt.NDArray[np.bool_]) -> Columns:
    return {name: values[which] for name, values in columns.items()}


class _Draft:
    """A block in the making: its random numbers, and the texts and batches that rows have by position."""

    def __init__(self, world: World, block: int) -> None:
        self.world = world
        self.block = block
        self._random = np.random.default_rng([*world.seed, block])
        self.texts: list[_Text] = []
        self._text_at: dict[_Text, int] = {}
        self.batch_ids: list[str] = []
        self.parts: list[Columns] = []
        self.rows = 0
        self._chains = 0

    def uniform(self, *shape: int) -> npt.NDArray[np.float64]:
        return self._random.random(shape)

    def below(self, limit: int | Ints, count: int) -> Ints:
        return (self.uniform(count) * limit).astype(np.int64)

    def text(self, credit_type: str | None, reason: str | None, details: str | None = None) -> int:
        text = _Text(credit_type, reason, details)
        if text not in self._text_at:
            self._text_at[text] = len(self.texts)
            self.texts.append(text)
        return self._text_at[text]

    def batch(self, batch_id: str) -> int:
        self.batch_ids.append(batch_id)
        return len(self.batch_ids) - 1

    def chains(self, count: int) -> Ints:
        """Keys of `count` new chains."""
        first = self._chains
        self._chains += count
        return np.arange(first, self._chains, dtype=np.int64) * PLACES

    def add(self, rows: Columns) -> None:
        self.parts.append(rows)
        self.rows += len(rows["key"])


def background(world: World, block: int, count: int) -> pl.DataFrame:
    """Exactly `count` rows in order of time: the batches (in the first block), single credits, everyday credits."""
    draft = _Draft(world, block)
    for batch in world.batches if block == 0 else ():
        _add_batch(draft, batch)
    if world.solos[block]:
        _add_solos(draft, world.first_solo + sum(world.solos[:block]), world.solos[block])
    seasonal = True
    while draft.rows < count:
        credits = _everyday_credits(draft, (count - draft.rows) * 9 // 20 + 16, seasonal=seasonal)
        _add_lives(draft, credits, chance_of_use=0.75)
        seasonal = False
    rows = {name: np.concatenate([part[name] for part in draft.parts]) for name in BLANK}
    draft.parts.clear()
    rows = {name: values[np.argsort(rows["key"])[:count]] for name, values in rows.items()}
    by_time = np.argsort(rows["at"], kind="stable")
    number = np.empty(count, np.int64)
    number[by_time] = np.arange(1, count + 1) + block * world.block_rows
    for name in ("credit", "redemption"):
        names = rows[name]
        rows[name] = np.where(names < 0, NONE, number[np.searchsorted(rows["key"], names) % count])
    rows["key"] = number
    return _as_frame(draft, {name: values[by_time] for name, values in rows.items()})


def _add_lives(draft: _Draft, credits: Columns, *, chance_of_use: float) -> None:
    """Credits and what becomes of them: up to three redemptions while they live, some given back."""
    window = draft.world.window
    count = len(credits["at"])
    credits["key"] = draft.chains(count)
    draft.add(credits)

    starts = credits["at"] + HOUR_S + 1
    ends = np.where(credits["expires"] >= 0, np.minimum(credits["expires"], window.end), window.end) - 1
    span = np.clip(ends - starts, 0, 100 * DAY_S)
    times = np.searchsorted([0.5, 0.85], draft.uniform(count)).astype(np.int64) + 1
    times = np.where((draft.uniform(count) < chance_of_use) & (span > 2 * HOUR_S), times, 0)
    # Nearly half use all they have; the others leave something.
    share = np.where(draft.uniform(count) < 0.45, 1.0, 0.2 + 0.75 * draft.uniform(count))
    total = np.maximum((credits["amount"] * share).astype(np.int64), 1)
    weights = (draft.uniform(count, MOST_DRAWS) + 0.3) * (np.arange(MOST_DRAWS) < times[:, None])
    reached = np.cumsum(weights, axis=1) / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    drawn = np.floor(total[:, None] * reached).astype(np.int64)
    drawn = np.where(np.arange(MOST_DRAWS) >= times[:, None] - 1, total[:, None], drawn) * (times > 0)[:, None]
    amounts = np.diff(drawn, axis=1, prepend=0)
    instants = starts[:, None] + (span[:, None] * np.sort(draft.uniform(count, MOST_DRAWS), axis=1)).astype(np.int64)

    correction = draft.text(None, "Correction", "Flagged deduction: credited for the wrong order")
    given_back = np.array([draft.text(None, "Order Cancelled"), draft.text(None, "Item Out of Stock")])
    for place in range(MOST_DRAWS):
        at, amount = instants[:, place], amounts[:, place]
        is_deduction = draft.uniform(count) < 0.02
        draws = _rows(
            count,
            key=credits["key"] + DRAWS + place,
            kind=np.where(is_deduction, DEDUCTED, REDEEMED),
            member=credits["member"],
            at=at,
            amount=amount,
            balance_type=credits["balance_type"],
            text=np.where(is_deduction, correction, NONE),
            creator=np.where(is_deduction, 0, NONE),
        )
        draft.add(_some(draws, amount > 0))
        is_whole = draft.uniform(count) < 0.6
        part = np.maximum((amount * draft.uniform(count)).astype(np.int64), 1)
        later = at + HOUR_S + draft.below(25 * DAY_S, count)
        refunds = _rows(
            count,
            key=credits["key"] + REFUNDS + place,
            kind=REFUNDED,
            member=credits["member"],
            at=later,
            amount=np.where(is_whole, amount, part),
            balance_type=credits["balance_type"],
            text=given_back[draft.below(2, count)],
            redemption=credits["key"] + DRAWS + place,
        )
        happens = (amount > 0) & ~is_deduction & (draft.uniform(count) < 0.09) & (later < window.end)
        draft.add(_some(refunds, happens))


def _everyday_credits(draft: _Draft, count: int, *, seasonal: bool) -> Columns:
    """Credits to members at large; some are opening balances, some (if `seasonal`) a batch of their month."""
    world, window = draft.world, draft.world.window
    at_large = world.members - world.first_at_large
    days = _open_days(world)
    day = days[draft.below(len(days), count)]
    time_of_day = np.where(
        draft.uniform(count) < 0.98, 7 * HOUR_S + draft.below(13 * HOUR_S, count), draft.below(DAY_S, count)
    )
    credits = _issued(draft, day + time_of_day, world.categories)
    # Some members get more than others.
    credits["member"] = world.first_at_large + (draft.uniform(count) ** 1.3 * at_large).astype(np.int64)

    month = window.month_of(credits["at"])
    in_batch = (draft.uniform(count) < 0.06) & seasonal
    for position in np.unique(month[in_batch]).tolist():
        recipients = np.flatnonzero(in_batch & (month == position))
        in_batch[recipients[at_large:]] = False
        recipients = recipients[:at_large]
        at = int(window.starts[position]) + 14 * DAY_S + 10 * HOUR_S
        batch = _rows(
            len(recipients),
            kind=CREATED,
            member=world.first_at_large + (position * 37 + np.arange(len(recipients))) % at_large,
            at=at,
            amount=(500 + 250 * (position % 4)) * world.profile.hundredth,
            text=draft.text("Promotional", "Seasonal Promotion", "Thank you for this season"),
            creator=0,
            batch=draft.batch(f"batch-season-{window.names[position]}-{draft.block + 1}"),
            expires=end_of_day(at) + 60 * DAY_S,
        )
        for name, values in batch.items():
            credits[name][recipients] = values

    is_opening = ~in_batch & (draft.uniform(count) < min(0.07, 0.6 / window.months))
    original = credits["amount"]
    left = np.where(draft.uniform(count) < 0.5, 1.0, 0.3 + 0.7 * draft.uniform(count))
    opening = _rows(
        count,
        kind=OPENING,
        at=window.start,
        amount=np.maximum((original * left).astype(np.int64), 1),
        original=original,
        issued=window.start - (1 + draft.below(700, count)) * DAY_S,
        expires=np.where(
            credits["expires"] < 0, NONE, end_of_day(window.start) + (20 + draft.below(300, count)) * DAY_S
        ),
        legacy=(draft.uniform(count) < 0.6).astype(np.int64),
    )
    for name in ("kind", "at", "amount", "original", "issued", "expires", "legacy"):
        credits[name] = np.where(is_opening, opening[name], credits[name])
    return credits


def _open_days(world: World) -> Ints:
    """The first second of each day on which everyday credits are issued: one Sunday in four is worked."""
    days = np.arange(world.window.start, world.window.end, DAY_S, dtype=np.int64)
    is_sunday = (days // DAY_S + 4) % 7 == 0  # 1 January 1970 was a Thursday
    is_open = ~is_sunday | (days // DAY_S % 4 == 0)
    if world.profile.settled_month in world.window.names:
        is_open &= world.window.month_of(days) != world.window.names.index(world.profile.settled_month)
    opened: Ints = days[is_open]
    return opened


def _issued(draft: _Draft, at: Ints, categories: Sequence[Category]) -> Columns:
    """Created credits of everyday categories."""
    world, profile, count = draft.world, draft.world.profile, len(at)
    weights = np.cumsum([category.weight for category in categories])
    category = np.searchsorted(weights, draft.uniform(count) * weights[-1], side="right").astype(np.int64)
    month, credit_type = profile.settled_type
    if month in world.window.names:
        settled = np.array([kind.credit_type == credit_type for kind in categories])
        is_then = world.window.month_of(at) == world.window.names.index(month)
        category = np.where(is_then & settled[category], int(np.flatnonzero(~settled)[0]), category)

    balance_types = [name for name, _, _ in world.balance_types]
    balance_type = np.array([balance_types.index(kind.balance_type) for kind in categories])[category]
    unit = np.array([smallest for _, _, smallest in world.balance_types])[balance_type]
    low, high, step = (np.array([getattr(kind, name) for kind in categories]) for name in ("low", "high", "step"))
    amount = low[category] + step[category] * draft.below(((high - low) // step + 1)[category], count)
    detail = draft.uniform(count)
    text, lifetime = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for position, kind in enumerate(categories):
        here = category == position
        texts = np.array([draft.text(kind.credit_type, kind.reason, details) for details in kind.details])
        text[here] = texts[(detail[here] * len(texts)).astype(np.int64)]
        lifetime[here] = np.array(kind.lifetimes_d)[draft.below(len(kind.lifetimes_d), int(here.sum()))]
    creator = draft.below(min(len(profile.staff), EVERYDAY_STAFF), count)
    money = np.array([decimals == profile.decimals for _, decimals, _ in world.balance_types])[balance_type]
    needs_approval = money & (amount > profile.approval_limit) & (profile.approval_limit > 0)
    return _rows(
        count,
        kind=CREATED,
        at=at,
        amount=amount * unit // 100,
        balance_type=balance_type,
        text=text,
        note=np.where(draft.uniform(count) < 0.05, draft.below(len(NOTES), count), NONE),
        creator=np.where(needs_approval & (creator == OWNER), ADMINISTRATOR, creator),
        approver=np.where(needs_approval, OWNER, NONE),
        expires=np.where(lifetime > 0, at - at % DAY_S + DAY_S - 1 + lifetime * DAY_S, NONE),
    )


def _add_batch(draft: _Draft, batch: Batch) -> None:
    """A batch of the stories, or credits of one kind over some days of a month; and its reversal, if it had one."""
    world, count = draft.world, batch.recipients
    at_large = world.members - world.first_at_large
    recipients = np.arange(count, dtype=np.int64)
    member = world.first_at_large + (batch.first + recipients) % at_large
    if batch.to_wholesale:
        member = world.first_wholesale + recipients
    at = second_of(batch.at) + (recipients * batch.over_days // count) * DAY_S + (batch.over_days > 0) * recipients * 97
    details = np.array([draft.text(batch.credit_type, batch.reason, text) for text in batch.details])
    steps = (max(batch.highest - batch.amount, 0)) // 25 + 1
    credits = _rows(
        count,
        kind=CREATED,
        member=member,
        at=at,
        amount=(batch.amount + 25 * draft.below(steps, count)) * world.profile.hundredth,
        text=details[recipients % len(details)],
        creator=batch.creator,
        batch=draft.batch(batch.batch_id) if batch.batch_id else NONE,
        expires=at - at % DAY_S + DAY_S - 1 + batch.lifetime_d * DAY_S,
    )
    _add_lives(draft, credits, chance_of_use=0.0 if batch.reversed_after_s else 0.55)
    if batch.reversed_after_s:
        draft.add(
            _rows(
                count,
                key=credits["key"] + LAST,
                kind=REVERSED,
                member=member,
                at=at + batch.reversed_after_s,
                amount=credits["amount"],
                text=draft.text(None, "Batch Reversed", "Issued to wholesale instead of retail customers"),
                creator=OWNER,
                credit=credits["key"],
                batch=credits["batch"],
            )
        )


def _add_solos(draft: _Draft, first_member: int, count: int) -> None:
    """Members with a single credit each, of which all is known that the replay will find: one of six lives."""
    world, profile = draft.world, draft.world.profile
    window = world.window
    days = _open_days(world)
    days = days[days < window.end - 20 * DAY_S]
    life = np.arange(count) % 6
    is_extended, is_stated, is_merged, is_reversed, is_deducted, is_forfeited = (life == kind for kind in range(6))
    if profile.merges_from == 0:
        is_deducted, is_merged = is_deducted | is_merged, np.zeros(count, bool)

    day = days[draft.below(len(days), count)]
    # Errors of a month are issued, and taken back, as one batch on the 12th.
    month = window.month_of(day)
    day = np.where(is_reversed, window.starts[month] + 11 * DAY_S, day)
    at = day + 9 * HOUR_S + np.where(is_reversed, 300, draft.below(8 * HOUR_S, count))
    credits = _issued(draft, at, [kind for kind in world.categories if kind.balance_type == "default"])
    amount = np.maximum(credits["amount"], 10)
    for position in np.unique(month[is_reversed]).tolist():
        here = is_reversed & (month == position)
        credits["batch"][here] = draft.batch(f"batch-error-{window.names[position]}-{draft.block + 1}")
        credits["text"][here] = draft.text("Adjustment", "Goodwill", "Second half of last month's goodwill list")
        credits["creator"][here] = ADMINISTRATOR
        amount[here] = 1250 * profile.hundredth
    dies = end_of_day(0) + day + 8 * DAY_S
    key = draft.chains(count)
    credits |= {
        "key": key,
        "member": first_member + np.arange(count, dtype=np.int64),
        "amount": amount,
        "balance_type": np.where(is_merged, profile.merges_from, 0),
        "expires": np.select([is_extended | is_stated, is_forfeited], [dies, NONE], dies + 120 * DAY_S),
    }
    draft.add(credits)

    def follow(place: int, kind: int, which: npt.NDArray[np.bool_], at: Ints, amount: Ints | int, **more: Any) -> None:
        rows = _rows(count, key=key + place, kind=kind, member=credits["member"], at=at, amount=amount, **more)
        draft.add(_some(rows, which))

    first = amount * 3 // 10
    rest = amount - first
    used = is_stated | is_merged | is_deducted
    named: dict[str, Any] = {"credit": key, "creator": ADMINISTRATOR}
    follow(DRAWS, REDEEMED, used, at + 2 * DAY_S, first, balance_type=credits["balance_type"])
    extended = draft.text(None, "Extension", "On holiday: extended by three weeks")
    follow(CHANGE, EXPIRY_CHANGED, is_extended, at + 5 * DAY_S, 0, expires=dies + 21 * DAY_S, text=extended, **named)
    follow(LAST, REDEEMED, is_extended, at + 12 * DAY_S, rest)
    # What the source states is what the replay derives.
    follow(LAST, EXPIRED, is_stated, dies, rest, credit=key)
    merge: dict[str, Any] = {"transfer": key // PLACES + draft.block * world.block_rows}
    merged = draft.text(None, "Merge Balance Types")
    source: dict[str, Any] = {"balance_type": credits["balance_type"], "text": merged}
    follow(OUT, TRANSFERRED_OUT, is_merged, at + 4 * DAY_S, rest, **source, **named, **merge)
    inherited: dict[str, Any] = {name: credits[name] for name in ("expires", "text", "creator")}
    follow(IN, TRANSFERRED_IN, is_merged, at + 4 * DAY_S, rest, issued=at, original=amount, **inherited, **merge)
    follow(LAST, REDEEMED, is_merged, at + 6 * DAY_S, rest // 2)
    error = draft.text(None, "Batch Reversed", "Goodwill list was processed twice")
    follow(LAST, REVERSED, is_reversed, at + 35 * 60, amount, text=error, batch=credits["batch"], **named)
    flagged = draft.text(None, "Flagged Deduction", "Credited twice by mistake")
    follow(LAST, DEDUCTED, is_deducted, at + 3 * DAY_S, rest // 2, text=flagged, **named)
    forfeited = draft.text(None, "Membership Ended", "Balance forfeited under the terms")
    follow(LAST, EXPIRED, is_forfeited, at + 7 * DAY_S, amount, text=forfeited, **named)


# Entries as a source says them.

FRAME_COLUMNS = (*TIMES.values(), *(name for name in FILE_COLUMNS if name not in TIMES))


def _as_frame(draft: _Draft, rows: Columns) -> pl.DataFrame:
    """Rows as text, but for their times, which are local seconds still."""
    world, profile = draft.world, draft.world.profile
    balance_types = world.balance_types

    def of(options: Sequence[str | None], position: pl.Expr) -> pl.Expr:
        return pl.lit(pl.Series(options or [None], dtype=pl.String)).gather(position)

    def numbered(prefix: str, column: str, digits: int) -> pl.Expr:
        return pl.lit(f"{profile.code}-{prefix}") + pl.col(column).cast(pl.String).str.zfill(digits)

    def money(column: str) -> pl.Expr:
        said = pl.lit(None, pl.String)
        for position, (_, decimals, _) in enumerate(balance_types):
            text = (pl.col(column) // 10**decimals).cast(pl.String)
            if decimals:
                text = text + "." + (pl.col(column) % 10**decimals).cast(pl.String).str.zfill(decimals)
            said = pl.when((pl.col("balance_type") == position) & (pl.col(column) > 0)).then(text).otherwise(said)
        return said

    digits = world.id_digits
    kind, text = pl.col("kind"), pl.col("text")
    credit_id, redemption_id = numbered("", "credit", digits), numbered("", "redemption", digits)
    if profile.own_ids:
        # Elsewhere the ids of entries stand for those of credits and redemptions.
        own_credit = pl.when(kind <= TRANSFERRED_IN).then(numbered("c-", "key", digits))
        own_redemption = pl.when(kind == REDEEMED).then(numbered("r-", "key", digits))
        credit_id = pl.coalesce(numbered("c-", "credit", digits), own_credit)
        redemption_id = pl.coalesce(numbered("r-", "redemption", digits), own_redemption)
    said: dict[str, pl.Expr] = {
        "at": pl.col("at"),
        "expires": pl.col("expires"),
        "issued": pl.col("issued"),
        "entry_id": numbered("", "key", digits),
        "entry_type": of(KINDS, kind),
        "member_id": pl.lit(f"{profile.code}-m-") + member_number(pl.col("member")),
        # A blank says default, or of a refund what its redemption says.
        "balance_type": pl.when((pl.col("balance_type") > 0) & (kind != REFUNDED)).then(
            of([name for name, _, _ in balance_types], pl.col("balance_type"))
        ),
        "amount": money("amount"),
        "credit_id": credit_id,
        "redemption_id": redemption_id,
        "transfer_id": numbered("t-", "transfer", digits),
        "batch_id": of([f"{profile.code}-{batch_id}" for batch_id in draft.batch_ids], pl.col("batch")),
        "credit_type": of([text.credit_type for text in draft.texts], text),
        "reason": of([text.reason for text in draft.texts], text),
        "reason_details": of([text.details for text in draft.texts], text),
        "internal_note": of(NOTES, pl.col("note")),
        "creator_name": of([name for name, _ in profile.staff], pl.col("creator")),
        "creator_email": of([email for _, email in profile.staff], pl.col("creator")),
        "approved_by": of([email for _, email in profile.staff], pl.col("approver")),
        "location": pl.when(kind <= TRANSFERRED_IN).then(
            of(profile.locations, pl.col("member") % len(profile.locations))
        ),
        "priority": pl.lit(None, pl.String),
        "original_amount": money("original"),
        "system": pl.when(pl.col("legacy") > 0).then(pl.lit("legacy_credit")),
    }
    present = pl.DataFrame(rows).select(pl.when(pl.all() >= 0).then(pl.all()).name.keep())
    return present.select(said[name].alias(name) for name in FRAME_COLUMNS)
