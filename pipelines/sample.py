"""The sample: landing files of invented merchants that tell the stories of a year of account credit.

Belongs here: what the sample says, and how it is written, the same bytes for the same arguments on any day. Does not
belong here: what the files mean. The sample knows the formats, as a source would, and nothing of the ledger.

Entries are of two kinds. *Stories* are written down below, row by row and batch by batch: what the merchants' people
would tell you, with figures that a report must show. *Background* is drawn at random, whole columns at a time, as
chains: a credit, and what becomes of it. A chain draws no more than its credit has while it lives, so that accounts
are rarely overdrawn, although the replay may take the same money from another of their credits.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines import clock
from pipelines.sample_audits import cells_of, write_balances, write_batches
from pipelines.sample_rosters import write_charges, write_enrollments, write_students
from pipelines.settings import Home

LAST_YEAR, LAST_MONTH = 2026, 10
DAY_S, HOUR_S = 86_400, 3_600
BLOCK_ROWS = 200_000  # what is in memory at once: a block of one merchant, some 3 kB a row while it is made

Ints = npt.NDArray[np.int64]
Columns = dict[str, Ints]


class SampleError(Exception):
    """Why the sample was not written, for the person who asked for it."""


@dataclass(frozen=True)
class SampleResult:
    """The landing files in order, and how many rows they have: of entries (bad ones included), and of each other
    dataset.
    """

    files: tuple[Path, ...]
    rows: int
    others: Mapping[str, int]


def write_sample(
    home: Home, *, entries: int = 20_000, merchants: int = 3, months: int = 12, seed: int = 1
) -> SampleResult:
    """Write landing files, merchants.toml and access.toml into `home`: the months that end with October 2026.

    `entries` is the exact number of rows of entries, over all merchants. The same arguments write the same bytes.
    Raises SampleError if an argument is out of range, or if `home` holds anything else already.
    """
    for name, value, least, most in (
        ("merchants", merchants, 1, 9_999),
        ("entries", entries, merchants, 10**9),
        ("months", months, 1, 600),
        ("seed", seed, 0, 2**63 - 1),
    ):
        if not least <= value <= most:
            raise SampleError(f"{name} is {value:,}; it can be {least:,} to {most:,}.")
    profiles = _profiles(merchants)
    _claim(home, profiles, f"entries = {entries}, merchants = {merchants}, months = {months}, seed = {seed}")
    files: list[Path] = []
    rows = dict.fromkeys(DATASETS, 0)
    shares = _shares(entries, [profile.weight for profile in profiles])
    for position, (profile, share) in enumerate(zip(profiles, shares, strict=True)):
        world = _World(profile, _Window(months), share, (seed, position))
        for dataset, write in DATASETS.items():
            with _Landing(home.landing / profile.merchant_id / dataset, profile) as landing:
                rows[dataset] += write(world, landing)
            files += landing.paths()
    others = {name: count for name, count in rows.items() if name != "entries"}
    return SampleResult(tuple(files), rows["entries"], others)


def _claim(home: Home, profiles: Sequence["_Profile"], request: str) -> None:
    """Write the settings, first of all. They name what was asked for, so that no two samples are ever mixed."""
    wanted = {
        home.merchants_file: _merchants_toml(profiles, request),
        home.path / "access.toml": _access_toml(profiles, request),
    }
    for path, text in wanted.items():
        if path.exists() and path.read_bytes() != text.encode():
            raise SampleError(
                f"{path} exists, and is not what this sample ({request}) has there. Nothing was written. Choose "
                f"another home with --home, or move what is in {home.path} elsewhere."
            )
    for profile in profiles:
        folder = home.landing / profile.merchant_id
        if not home.merchants_file.exists() and any(path.is_file() for path in folder.rglob("*")):
            raise SampleError(
                f"{folder} holds files of somebody else. Nothing was written. Choose another home with --home, or "
                f"move them elsewhere."
            )
    home.path.mkdir(parents=True, exist_ok=True)
    for path, text in wanted.items():
        path.write_bytes(text.encode())


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """`total` by `weights`, exact in sum."""
    ends = [total * sum(weights[:count]) // sum(weights) for count in range(len(weights) + 1)]
    return [end - start for start, end in pairwise(ends)]


# ---- Time: naive local seconds since 1970, of which the files make what a source would say -----------------------


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def _end_of_day(seconds: int) -> int:
    return seconds - seconds % DAY_S + DAY_S - 1


@dataclass(frozen=True)
class _Window:
    """The months that end with October 2026."""

    months: int

    @cached_property
    def names(self) -> list[str]:
        end = LAST_YEAR * 12 + LAST_MONTH
        return [f"{month // 12:04d}-{month % 12 + 1:02d}" for month in range(end - self.months, end)]

    @cached_property
    def starts(self) -> Ints:
        """The first second of each month, and of the one after."""
        after = f"{LAST_YEAR}-{LAST_MONTH + 1:02d}"
        return np.array([_seconds(f"{name}-01") for name in (*self.names, after)], dtype=np.int64)

    @property
    def start(self) -> int:
        return int(self.starts[0])

    @property
    def end(self) -> int:
        return int(self.starts[-1])

    def month_of(self, seconds: Ints) -> Ints:
        return np.searchsorted(self.starts, seconds, side="right").astype(np.int64) - 1


# ---- What a merchant is -----------------------------------------------------------------------------------------


class _Text(NamedTuple):
    """What a row says about itself."""

    credit_type: str | None
    reason: str | None
    details: str | None


@dataclass(frozen=True)
class _Category:
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
class _Batch:
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


class _BadRow(NamedTuple):
    """A row that goes wrong on purpose: the story's row that it repeats, into which month's file, and with what."""

    month: str
    like: str
    values: Mapping[str, str]
    is_ragged: bool = False


@dataclass(frozen=True)
class _Profile:
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


@dataclass(frozen=True)
class _World:
    """One merchant's part of a sample: which stories fit, and who the members are."""

    profile: _Profile
    window: _Window
    entries: int
    seed: tuple[int, int]

    @cached_property
    def categories(self) -> list[_Category]:
        return _categories(self.profile.categories)

    @cached_property
    def batches(self) -> list[_Batch]:
        scale = min(1.0, self.entries / self.profile.full_stories_from)
        return [
            replace(batch, recipients=max(1, int(batch.recipients * scale)))
            for batch in _batches(self.profile.batches)
            if batch.at[:7] in self.window.names
        ]

    @cached_property
    def stories(self) -> list[dict[str, str]]:
        """The rows of the stories within the window, up to half of the entries."""
        told: list[dict[str, str]] = []
        for story in _stories(self.profile):
            if all(row["at"][:7] in self.window.names for row in story):
                if len(told) + len(story) > self.entries // 2:
                    break
                told += story
        return told

    @cached_property
    def bad_rows(self) -> list[_BadRow]:
        told = {row["entry_id"] for row in self.stories}
        possible = [
            bad
            for bad in _bad_rows(self.profile.bad_rows)
            if bad.month in self.window.names and f"{self.profile.code}-{bad.like}" in told
        ]
        return possible[: self.entries - len(told)]

    @cached_property
    def blocks(self) -> list[int]:
        """How many rows of background each block has."""
        whole, last = divmod(self.entries - len(self.stories) - len(self.bad_rows), BLOCK_ROWS)
        return [BLOCK_ROWS] * whole + [last] * (last > 0 or whole == 0)

    # The members, by number: of the stories, wholesale customers, "solos" with one credit each, those at large.

    @property
    def first_wholesale(self) -> int:
        return STORY_MEMBERS

    @property
    def first_solo(self) -> int:
        return STORY_MEMBERS + WHOLESALE_MEMBERS

    @cached_property
    def solos(self) -> list[int]:
        """How many members with one credit each block has."""
        return [rows // 80 for rows in self.blocks]

    @cached_property
    def first_at_large(self) -> int:
        return self.first_solo + sum(self.solos)

    @cached_property
    def members(self) -> int:
        largest = max((batch.recipients for batch in self.batches), default=0)
        return max(self.entries // 12, self.first_at_large + largest + 8)

    @cached_property
    def id_digits(self) -> int:
        return max(6, len(str(self.entries)))

    @property
    def balance_types(self) -> list[tuple[str, int, int]]:
        return [("default", self.profile.decimals, 100 * self.profile.hundredth), *self.profile.balance_types]


# ---- Entries: what is drawn at random, as whole columns ----------------------------------------------------------

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


def _rows(count: int, **columns: Ints | int) -> Columns:
    """Columns of `count` rows; what is not said is blank."""
    return {name: np.array(np.broadcast_to(columns.get(name, blank), count)) for name, blank in BLANK.items()}


def _some(columns: Columns, which: npt.NDArray[np.bool_]) -> Columns:
    return {name: values[which] for name, values in columns.items()}


class _Draft:
    """A block in the making: its random numbers, and the texts and batches that rows have by position."""

    def __init__(self, world: _World, block: int) -> None:
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


def _background(world: _World, block: int, count: int) -> pl.DataFrame:
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
    number[by_time] = np.arange(1, count + 1) + block * BLOCK_ROWS
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
            expires=_end_of_day(at) + 60 * DAY_S,
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
            credits["expires"] < 0, NONE, _end_of_day(window.start) + (20 + draft.below(300, count)) * DAY_S
        ),
        legacy=(draft.uniform(count) < 0.6).astype(np.int64),
    )
    for name in ("kind", "at", "amount", "original", "issued", "expires", "legacy"):
        credits[name] = np.where(is_opening, opening[name], credits[name])
    return credits


def _open_days(world: _World) -> Ints:
    """The first second of each day on which everyday credits are issued: one Sunday in four is worked."""
    days = np.arange(world.window.start, world.window.end, DAY_S, dtype=np.int64)
    is_sunday = (days // DAY_S + 4) % 7 == 0  # 1 January 1970 was a Thursday
    is_open = ~is_sunday | (days // DAY_S % 4 == 0)
    if world.profile.settled_month in world.window.names:
        is_open &= world.window.month_of(days) != world.window.names.index(world.profile.settled_month)
    opened: Ints = days[is_open]
    return opened


def _issued(draft: _Draft, at: Ints, categories: Sequence[_Category]) -> Columns:
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


def _add_batch(draft: _Draft, batch: _Batch) -> None:
    """A batch of the stories, or credits of one kind over some days of a month; and its reversal, if it had one."""
    world, count = draft.world, batch.recipients
    at_large = world.members - world.first_at_large
    recipients = np.arange(count, dtype=np.int64)
    member = world.first_at_large + (batch.first + recipients) % at_large
    if batch.to_wholesale:
        member = world.first_wholesale + recipients
    at = _seconds(batch.at) + (recipients * batch.over_days // count) * DAY_S + (batch.over_days > 0) * recipients * 97
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
    dies = _end_of_day(0) + day + 8 * DAY_S
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
    merge: dict[str, Any] = {"transfer": key // PLACES + draft.block * BLOCK_ROWS}
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


# ---- Entries: as a source says them ------------------------------------------------------------------------------

FILE_COLUMNS = (
    *("entry_id", "entry_type", "occurred_at", "member_id", "balance_type", "amount", "credit_id", "redemption_id"),
    *("transfer_id", "batch_id", "credit_type", "reason", "reason_details", "internal_note", "creator_name"),
    *("creator_email", "approved_by", "location", "priority", "expires_at", "issued_at", "original_amount", "system"),
)
TIMES = {"occurred_at": "at", "expires_at": "expires", "issued_at": "issued"}
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
        "member_id": pl.lit(f"{profile.code}-m-") + _member_number(pl.col("member")),
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


def _story_frame(world: _World) -> pl.DataFrame:
    """The stories' rows, as `_as_frame` has them, and which file holds each (blank: that of its month)."""
    profile = world.profile
    rows: list[dict[str, str | int | None]] = []
    for told in world.stories:
        member = int(told["member"]) - 1
        row: dict[str, str | int | None] = dict.fromkeys(FRAME_COLUMNS)
        row |= {name: value.replace("\\n", "\n") for name, value in told.items() if name in FRAME_COLUMNS}
        expires = told.get("expires_at", "")
        row |= {
            "at": _seconds(told["at"]),
            "member_id": f"{profile.code}-m-{member + 1:0{MEMBER_DIGITS}d}",
            # A date is good through that day.
            "expires": (_seconds(expires) if "T" in expires else _end_of_day(_seconds(expires))) if expires else None,
            "issued": _seconds(told["issued_at"]) if "issued_at" in told else None,
            "file": told.get("file"),
        }
        creator = told.get("creator")
        if creator == "self":
            name = _name(member)
            row |= {"creator_name": f"{name.first} {name.last}", "creator_email": _email(profile, member)}
        elif creator is not None:
            row["creator_name"], row["creator_email"] = profile.staff[int(creator)]
        if "approver" in told:
            row["approved_by"] = profile.staff[int(told["approver"])][1]
        rows.append(row)
    numbers = dict.fromkeys(TIMES.values(), pl.Int64)
    return pl.DataFrame(rows, schema={name: numbers.get(name, pl.String) for name in (*FRAME_COLUMNS, "file")})


def _as_text(profile: _Profile, rows: pl.DataFrame) -> pl.DataFrame:
    """Every column as the source writes it: times local without offset, or UTC with Z; whole days as dates."""

    def instant(name: str) -> pl.Expr:
        if not profile.utc:
            return pl.from_epoch(name, "s").dt.to_string("%Y-%m-%dT%H:%M:%S")
        return pl.lit(pl.from_epoch(_utc(profile, rows[name]), "s").dt.to_string("%Y-%m-%dT%H:%M:%SZ"))

    def date_if(is_whole: pl.Expr, name: str) -> pl.Expr:
        return pl.when(is_whole).then(pl.from_epoch(name, "s").dt.to_string("%Y-%m-%d")).otherwise(instant(name))

    said = rows.with_columns(
        occurred_at=date_if(pl.col("at") % DAY_S == 0, "at"),
        expires_at=date_if(pl.col("expires") % DAY_S == DAY_S - 1, "expires"),
        issued_at=date_if(pl.col("issued") % DAY_S == 0, "issued"),
    )
    if profile.decimal_comma:
        said = said.with_columns(pl.col("amount", "original_amount").str.replace(".", ",", literal=True))
    return said.select(FILE_COLUMNS)


def _as_typed(profile: _Profile, rows: pl.DataFrame) -> pl.DataFrame:
    """As a database exports it: instants, decimals and whole numbers."""
    instants = {
        name: pl.from_epoch(_utc(profile, rows[column]), "s").cast(pl.Datetime("us", "UTC"))
        for name, column in TIMES.items()
    }
    decimals = pl.col("amount", "original_amount").cast(pl.Decimal(18, profile.decimals))
    return rows.with_columns(decimals, pl.col("priority").cast(pl.Int64), **instants).select(PARQUET_COLUMNS)


def _utc(profile: _Profile, local: pl.Series) -> pl.Series:
    """Local seconds as seconds since 1970 UTC."""
    filled = local.fill_null(0).to_numpy() * clock.SECOND_US
    instants = pl.Series(clock.utc_micros(filled, profile.timezone) // clock.SECOND_US)
    return pl.select(pl.when(local.is_not_null()).then(instants)).to_series()


# ---- Files ------------------------------------------------------------------------------------------------------

PARQUET_COLUMNS = tuple(name for name in FILE_COLUMNS if name not in {"balance_type", "transfer_id"})
JSON_COLUMNS = tuple(name for name in FILE_COLUMNS if name not in {"internal_note", "approved_by", "location"})
SHEET_COLUMNS = (
    *("entry_id", "entry_type", "occurred_at", "member_id", "amount", "credit_type", "reason", "reason_details"),
    *("creator_name", "creator_email", "expires_at"),
)
SHEET_CREATED = datetime(2026, 11, 1, tzinfo=UTC)


class _File(Protocol):
    """A file in the making, to which rows are appended."""

    def append(self, rows: pl.DataFrame) -> None:
        """Rows of text; of entries: as `_as_frame` makes them."""

    def append_line(self, row: Mapping[str, str | None], *, ragged: bool = False) -> None:
        """One row, whatever its values are."""

    def close(self) -> None:
        """Write what is left."""


class _Csv:
    """Commas; semicolons where the merchant's decimals have commas. A ragged line is one that quotes nothing."""

    def __init__(self, path: Path, profile: _Profile) -> None:
        self._profile = profile
        self._separator = ";" if profile.decimal_comma else ","
        self._file: IO[bytes] = path.open("wb")
        self._is_empty = True

    def append(self, rows: pl.DataFrame) -> None:
        if "at" in rows.columns:
            rows = _as_text(self._profile, rows)
        rows.write_csv(self._file, include_header=self._is_empty, separator=self._separator)
        self._is_empty = False

    def append_line(self, row: Mapping[str, str | None], *, ragged: bool = False) -> None:
        lines = io.StringIO()
        if self._is_empty:
            lines.write(self._separator.join(FILE_COLUMNS) + "\n")
            self._is_empty = False
        cells = [row[name] or "" for name in FILE_COLUMNS]
        if ragged:
            lines.write(self._separator.join(cells) + "\n")
        else:
            csv.writer(lines, delimiter=self._separator, lineterminator="\n").writerow(cells)
        self._file.write(lines.getvalue().encode())

    def close(self) -> None:
        self._file.close()


class _JsonLines:
    """Amounts as numbers, times in UTC with Z."""

    def __init__(self, path: Path, profile: _Profile) -> None:
        self._profile = profile
        self._file: IO[bytes] = path.open("wb")

    def append(self, rows: pl.DataFrame) -> None:
        said = _as_text(self._profile, rows).select(JSON_COLUMNS)
        numbers = pl.col("amount", "original_amount").cast(pl.Float64)
        said.with_columns(numbers, pl.col("priority").cast(pl.Int64)).write_ndjson(self._file)

    def append_line(self, row: Mapping[str, str | None], *, ragged: bool = False) -> None:
        assert not ragged, "a JSON object has its columns by name"
        self._file.write(json.dumps({name: row[name] for name in JSON_COLUMNS}, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """A database's own types; a row group for each append."""

    def __init__(self, path: Path, profile: _Profile) -> None:
        self._path = path
        self._profile = profile
        self._writer: Any = None

    def append(self, rows: pl.DataFrame) -> None:
        import pyarrow.parquet as pq

        table = _as_typed(self._profile, rows).to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)

    def append_line(self, row: Mapping[str, str | None], *, ragged: bool = False) -> None:
        raise NotImplementedError("a value of another type has no place in a typed file")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _Sheet:
    """A small XLSX that somebody keeps by hand: real dates and numbers, and now and then a word instead."""

    def __init__(self, path: Path, profile: _Profile) -> None:
        import xlsxwriter

        del profile
        self._book = xlsxwriter.Workbook(str(path), {"default_date_format": "yyyy-mm-dd hh:mm"})
        self._book.set_properties({"title": "Front desk credits", "created": SHEET_CREATED.replace(tzinfo=None)})
        self._sheet = self._book.add_worksheet("Credits")
        self._sheet.write_row(0, 0, SHEET_COLUMNS)
        self._sheet.set_column(0, len(SHEET_COLUMNS) - 1, 20)
        self._day = self._book.add_format({"num_format": "yyyy-mm-dd"})
        self._rows = 0

    def append(self, rows: pl.DataFrame) -> None:
        for row in rows.iter_rows(named=True):
            self._rows += 1
            for column, name in enumerate(SHEET_COLUMNS):
                self._write(self._rows, column, row, name)

    def append_line(self, row: Mapping[str, str | None], *, ragged: bool = False) -> None:
        raise NotImplementedError("write it as a story: a sheet's cells hold anything")

    def _write(self, number: int, column: int, row: Mapping[str, Any], name: str) -> None:
        value = row[TIMES.get(name, name)]
        if value is None:
            return
        if name == "amount" and value.replace(".", "", 1).isdigit():
            self._sheet.write_number(number, column, float(value))
        elif name == "occurred_at":
            self._sheet.write_datetime(number, column, _local(value))
        elif name == "expires_at":
            self._sheet.write_datetime(number, column, _local(value).replace(hour=0, minute=0, second=0), self._day)
        else:
            self._sheet.write_string(number, column, value)

    def close(self) -> None:
        self._book.close()


def _local(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


FILE_KINDS: Mapping[str, Callable[[Path, _Profile], _File]] = {
    "csv": _Csv,
    "jsonl": _JsonLines,
    "parquet": _Parquet,
    "xlsx": _Sheet,
}


class _Landing:
    """The files of one dataset of one merchant: under a name that nobody reads until all of them are whole."""

    def __init__(self, folder: Path, profile: _Profile) -> None:
        self._folder = folder
        self._profile = profile
        self._files: dict[Path, _File] = {}

    def __enter__(self) -> "_Landing":
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for path, file in self._files.items():
            file.close()
            if kind is None:
                _unfinished(path).replace(path)

    def file(self, name: str, kind: str) -> _File:
        path = self._folder / f"{name}.{kind}"
        if path not in self._files:
            self._files[path] = FILE_KINDS[kind](_unfinished(path), self._profile)
        return self._files[path]

    def rows(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> int:
        """A CSV of these rows, where there are any; how many there are."""
        if rows:
            frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
            self.file(name, "csv").append(frame)
        return len(rows)

    def paths(self) -> list[Path]:
        return sorted(self._files)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


# ---- Datasets ---------------------------------------------------------------------------------------------------


def _write_entries(world: _World, landing: _Landing) -> int:
    """A file a month, one of opening balances, and what the front desk keeps in a sheet of its own."""
    window, kind = world.window, world.profile.kind
    # "2025-11-opening" comes before "2025-11" in order of name, and is taken first.
    names = [f"{window.names[0]}-opening", *window.names]
    told = _story_frame(world)
    by_hand = told.filter(pl.col("file") == "front-desk")
    told = told.filter(pl.col("file").is_null()).drop("file")
    for block, count in enumerate(world.blocks):
        rows = _background(world, block, count) if count else told.clear()
        if block == 0:
            rows = pl.concat([rows, told])
        month = pl.Series(window.month_of(rows["at"].to_numpy()))
        rows = rows.with_columns(position=pl.when(pl.col("entry_type") == "opening").then(0).otherwise(month + 1))
        # A source lists by time, and so do we: at scale, block by block.
        rows = rows.sort("position", "at", maintain_order=True)
        for (position,), part in rows.group_by("position", maintain_order=True):
            landing.file(names[int(str(position))], kind).append(part.drop("position"))
        if block == 0:
            said = {row["entry_id"]: row for row in _as_text(world.profile, told).to_dicts()}
            for bad in world.bad_rows:
                row = {**said[f"{world.profile.code}-{bad.like}"], **bad.values}
                landing.file(bad.month, kind).append_line(row, ragged=bad.is_ragged)
    if by_hand.height:
        landing.file(f"{window.names[-1]}-front-desk", "xlsx").append(by_hand)
    return sum(world.blocks) + len(world.stories) + len(world.bad_rows)


def _write_members(world: _World, landing: _Landing) -> int:
    """Who they are when the ledger begins, and in August what has changed for some; one of them is nowhere."""
    rows = 0
    first = world.window.names[0]
    for start in range(0, world.members, BLOCK_ROWS):
        known = _members(world, start, min(start + BLOCK_ROWS, world.members)).filter(
            pl.col("member_id") != f"{world.profile.code}-m-{UNKNOWN_MEMBER + 1:0{MEMBER_DIGITS}d}"
        )
        landing.file(first, "csv").append(known)
        rows += known.height
    if MOVED_MONTH in world.window.names[1:]:
        moved = _members(world, world.first_at_large, min(world.first_at_large + 6, world.members)).with_columns(
            email=pl.lit("moved.") + pl.col("email"),
            location=pl.lit(world.profile.locations[-1]),
            updated_at=pl.lit(f"{MOVED_MONTH}-17T10:00:00Z"),
        )
        landing.file(MOVED_MONTH, "csv").append(moved)
        rows += moved.height
    return rows


# A dataset more is a function more: it writes one merchant's files, and says how many rows they have.
DATASETS: Mapping[str, Callable[[_World, _Landing], int]] = {
    "members": _write_members,
    "batches": write_batches,
    "entries": _write_entries,
    "balances": write_balances,
    "students": write_students,
    "enrollments": write_enrollments,
    "charges": write_charges,
}


def _members(world: _World, start: int, end: int) -> pl.DataFrame:
    """Members by number, `end` not included, as text."""
    profile = world.profile
    number = np.arange(start, end, dtype=np.int64)
    name = number * NAME_STRIDE % len(_names())
    firsts, lasts, mails = zip(*_names(), strict=True)
    is_employee = number % 47 == EMPLOYEE
    is_wholesale = (number >= world.first_wholesale) & (number < world.first_solo)
    keyword = np.where(is_wholesale, 0, 1 + number * 5 % (len(KEYWORDS) - 1))

    def of(options: Sequence[str | None], position: Ints) -> pl.Series:
        return pl.Series(options, dtype=pl.String).gather(position)

    frame = pl.DataFrame({"number": number, "is_employee": is_employee, "mail": of(mails, name)})
    domain = pl.when("is_employee").then(pl.lit(profile.domain)).otherwise(of(MAIL_DOMAINS, number % len(MAIL_DOMAINS)))
    return frame.select(
        member_id=pl.lit(f"{profile.code}-m-") + _member_number(pl.col("number")),
        email=pl.col("mail") + "." + (pl.col("number") + 1).cast(pl.String) + "@" + domain,
        first_name=of(firsts, name),
        last_name=of(lasts, name),
        is_employee=pl.when("is_employee").then(pl.lit("true")).otherwise(pl.lit("false")),
        keywords=of(KEYWORDS, keyword),
        autopay_methods=of(AUTOPAY, number * 3 % len(AUTOPAY)),
        location=of(profile.locations, number % len(profile.locations)),
        updated_at=pl.lit(f"{world.window.names[0]}-01T00:00:00Z"),
    )


# ---- Settings ---------------------------------------------------------------------------------------------------


def _merchants_toml(profiles: Sequence[_Profile], request: str) -> str:
    merchants = "\n".join(
        f'[merchants.{profile.merchant_id}]\nname = "{profile.name}"\ntimezone = "{profile.timezone}"\n'
        f'currency = "{profile.currency}"\n{profile.settings.strip()}\n'
        for profile in profiles
    )
    return f"# The merchants of the sample: {request}.\n#\n{OPTIONAL_SETTINGS.lstrip()}\n{merchants}"


def _access_toml(profiles: Sequence[_Profile], request: str) -> str:
    actors = [
        f'[actors."{email}"]\nname = "{name}"\nrole = "{role}"\nmerchants = ["{profile.merchant_id}"]\n'
        for profile in profiles
        for (name, email), role in zip(profile.staff, ("administrator", "owner"), strict=False)
    ]
    return f"# Who may do what in the sample: {request}.\n# Roles: viewer, administrator, owner.\n\n" + "\n".join(
        actors
    )


OPTIONAL_SETTINGS = """
# Each merchant may also have (here with their defaults, but for the two limits):
#   label = "Farm"                # how reports title the merchant
#   draw_order = "expiring_first" # or "oldest_first"
#   refund_grace_days = 0         # how long credit lives on that a refund brings back after its expiry
#   reversal_window_days = 60     # from the issue date, last day included
#   reversal_limit = 50000.00     # a larger reversal needs an owner's approval (unless said: no limit)
#   approval_limit = 100.00       # a credit above it needs approved_by (unless said: no limit)
#   decimal_comma = false         # amounts such as 1234,56
#   ignore_columns = []           # columns of the files that mean nothing here
#   encoding = "utf-8"            # of CSV files that are not UTF-8: any that Python knows
#   reasons = []                  # offered when adjusting; empty: those seen in the ledger
#   complete_through = "auto"     # "entries" or "balances": a period is complete when one is dated at or after its end
#   block_on_errors = false       # error flags hold back the workbook
#   shard = "main"                # merchants of one shard share a ledger file and its lock
# and thresholds for odd but valid entries:
#   [merchants.<id>.anomalies]
#   business_hours = "07:00-20:00"
#   business_days = ["mon", "tue", "wed", "thu", "fri", "sat"]
#   recovery_budget = 5000.00
#   robust_z = 3.5
"""

# ---- Who the members are ----------------------------------------------------------------------------------------

MEMBER_DIGITS = 6
STORY_MEMBERS, WHOLESALE_MEMBERS = 40, 18
EMPLOYEE = 4  # of every 47 members, this one works for the merchant: of the stories' members the fifth
UNKNOWN_MEMBER = 39  # of the stories' members the fortieth: in entries, and in no file of members
MOVED_MONTH = "2026-08"
MAIL_DOMAINS = ("mail.example", "post.example", "inbox.example", "letters.example", "home.example")
KEYWORDS = ("wholesale", "newsletter", None, "newsletter;founding", "email opt-in", "spring", "email opt-in;newsletter")
AUTOPAY = ("card", None, "card;bank", "bank")
NOTES = (
    "Asked for by phone",
    "See ticket 4711, same as last month",
    "+1 555 0100: call back before the next delivery",
    "- no substitutions, please",
    "=checked with the warehouse",
    'Says "always late", and has photographs',
    "Second time\nthis month",
)
# First names | last names that go with them, each in its own script and as in an email address.
PEOPLE = """
Ada ada, James james, Grace grace, Owen owen, Ruth ruth, Tom tom
    | Miller miller, O'Brien obrien, Johnson johnson, Smith-Jones smith-jones, McDonald mcdonald, Okafor okafor
José jose, María maria, Lucía lucia, João joao, Íñigo inigo, Belén belen
    | García garcia, Núñez nunez, de la Peña delapena, Gonçalves goncalves, Muñoz munoz, Araújo araujo
Søren soren, Jürgen jurgen, Łukasz lukasz, Zoë zoe, Åsa asa, Dvořák dvorak
    | Müller muller, Ødegård odegard, Wójcik wojcik, Groß gross, Björnsdóttir bjornsdottir, Çelik celik
ليلى layla, محمد muhammad, فاطمة fatima, يوسف yusuf, نور noor, عمر omar
    | حداد haddad, الخطيب alkhatib, منصور mansour, العلي alali, خوري khoury, سالم salem
נועה noa, דוד david, יעל yael, אורי uri, תמר tamar, משה moshe
    | כהן cohen, לוי levi, מזרחי mizrahi, פרץ peretz, ביטון biton, אברהם avraham
伟 wei, 芳 fang, 秀英 xiuying, 敏 min, 强 qiang, 丽 li
    | 王 wang, 李 li, 张 zhang, 刘 liu, 陈 chen, 杨 yang
Priya priya, Anh anh, Đức duc, Arjun arjun, Phương phuong, Nisha nisha
    | Sharma sharma, Nguyễn nguyen, Trần tran, Patel patel, Phạm pham, Iyer iyer
Sina sina, Tāwhiri tawhiri, ʻAna ana, Leilani leilani, Manaia manaia, Sione sione
    | Faleolo faleolo, Māhina mahina, Tuimavave tuimavave, Ngata ngata, Latu latu, Kealoha kealoha
"""
NAME_STRIDE = 41  # no divisor in common with the number of names, so that neighbours differ and all names occur


class _Name(NamedTuple):
    """A member's name, and how an email address spells it."""

    first: str
    last: str
    mail: str


@cache
def _names() -> list[_Name]:
    def spelled(names: str) -> list[tuple[str, str]]:
        pairs = (name.strip().rpartition(" ") for name in names.split(","))
        return [(name, mail) for name, _, mail in pairs]

    return [
        _Name(first, last, f"{first_mail}.{last_mail}")
        for firsts, lasts in cells_of(PEOPLE)
        for first, first_mail in spelled(firsts)
        for last, last_mail in spelled(lasts)
    ]


def _member_number(member: pl.Expr) -> pl.Expr:
    """As in ids: the first is 1."""
    return (member + 1).cast(pl.String).str.zfill(MEMBER_DIGITS)


def _name(member: int) -> _Name:
    return _names()[member * NAME_STRIDE % len(_names())]


def _email(profile: _Profile, member: int) -> str:
    domain = profile.domain if member % 47 == EMPLOYEE else MAIL_DOMAINS[member % len(MAIL_DOMAINS)]
    return f"{_name(member).mail}.{member + 1}@{domain}"


# ---- How the tables below are read ------------------------------------------------------------------------------


def _said(cell: str) -> dict[str, str]:
    """`name=value`, set apart by `;`."""
    return {name: value for name, _, value in (said.strip().partition("=") for said in cell.split(";")) if name}


def _hundredths(text: str) -> int:
    return round(float(text) * 100)


def _categories(text: str) -> list[_Category]:
    return [
        _Category(
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


def _batches(text: str) -> list[_Batch]:
    batches = []
    for at, recipients, amount, credit_type, reason, details, creator, more in cells_of(text):
        said = _said(more)
        batches.append(
            _Batch(
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


def _stories(profile: _Profile) -> Iterator[list[dict[str, str]]]:
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


def _bad_rows(text: str) -> list[_BadRow]:
    return [
        _BadRow(month, like, _said(values), is_ragged=bool(ragged)) for month, like, values, *ragged in cells_of(text)
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

GREEN_ACRES = _Profile(
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
HARBOR_GYM = _Profile(
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
KIWI_GROCER = _Profile(
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


def _profiles(count: int) -> list[_Profile]:
    """The three that have stories, then as many shops as are asked for, each unlike the one before."""
    return [GREEN_ACRES, HARBOR_GYM, KIWI_GROCER][:count] + [_shop(number) for number in range(4, count + 1)]


def _shop(number: int) -> _Profile:
    merchant_id = f"shop-{number:03d}"
    # Where midnight happens twice, where there are no cents, where there are thousandths.
    timezone, currency, decimals, hundredth, decimal_comma = (
        ("America/Havana", "EUR", 2, 1, True),
        ("America/Santiago", "CLP", 0, 10, False),
        ("Africa/Tunis", "TND", 3, 30, False),
        ("Pacific/Auckland", "NZD", 2, 1, False),
    )[number % 4]
    return _Profile(
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
