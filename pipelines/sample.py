"""The sample: landing files of invented merchants that tell the stories of a year of account credit.

Belongs here: how its rows are made, the same for the same arguments on any day. What happens at each merchant is
written down in `pipelines.sample_merchants`, and how files are written in `pipelines.sample_files`. Does not belong
here: what the files mean. The sample knows the formats, as a source would, and nothing of the ledger.

Entries are of two kinds. *Stories* are written down row by row and batch by batch: what the merchants' people
would tell you, with figures that a report must show. *Background* is drawn at random, whole columns at a time, as
chains: a credit, and what becomes of it. A chain draws no more than its credit has while it lives, so that accounts
are rarely overdrawn, although the replay may take the same money from another of their credits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.journal import write_whole
from pipelines.sample_audits import write_balances, write_batches
from pipelines.sample_files import DAY_S, FILE_COLUMNS, TIMES, Landing, as_text
from pipelines.sample_merchants import (
    ADMINISTRATOR,
    EVERYDAY_STAFF,
    OWNER,
    BadRow,
    Batch,
    Category,
    Profile,
    bad_rows_of,
    batches_of,
    categories_of,
    cells_of,
    profiles_of,
    stories_of,
)
from pipelines.sample_rosters import write_charges, write_enrollments, write_students
from pipelines.settings import Home

LAST_YEAR, LAST_MONTH = 2026, 10
HOUR_S = 3_600
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
    profiles = profiles_of(merchants)
    _claim(home, profiles, f"entries = {entries}, merchants = {merchants}, months = {months}, seed = {seed}")
    files: list[Path] = []
    rows = dict.fromkeys(DATASETS, 0)
    shares = _shares(entries, [profile.weight for profile in profiles])
    for position, (profile, share) in enumerate(zip(profiles, shares, strict=True)):
        world = _World(profile, _Window(months), share, (seed, position))
        for dataset, write in DATASETS.items():
            with Landing(home.landing / profile.merchant_id / dataset, profile) as landing:
                rows[dataset] += write(world, landing)
            files += landing.paths()
    others = {name: count for name, count in rows.items() if name != "entries"}
    return SampleResult(tuple(files), rows["entries"], others)


def _claim(home: Home, profiles: Sequence["Profile"], request: str) -> None:
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
        # Half of one would be taken for settings of somebody else when this is done again.
        write_whole(path, text.encode())


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
class _World:
    """One merchant's part of a sample: which stories fit, and who the members are."""

    profile: Profile
    window: _Window
    entries: int
    seed: tuple[int, int]

    @cached_property
    def categories(self) -> list[Category]:
        return categories_of(self.profile.categories)

    @cached_property
    def batches(self) -> list[Batch]:
        scale = min(1.0, self.entries / self.profile.full_stories_from)
        return [
            replace(batch, recipients=max(1, int(batch.recipients * scale)))
            for batch in batches_of(self.profile.batches)
            if batch.at[:7] in self.window.names
        ]

    @cached_property
    def stories(self) -> list[dict[str, str]]:
        """The rows of the stories within the window, up to half of the entries."""
        told: list[dict[str, str]] = []
        for story in stories_of(self.profile):
            if all(row["at"][:7] in self.window.names for row in story):
                if len(told) + len(story) > self.entries // 2:
                    break
                told += story
        return told

    @cached_property
    def bad_rows(self) -> list[BadRow]:
        told = {row["entry_id"] for row in self.stories}
        possible = [
            bad
            for bad in bad_rows_of(self.profile.bad_rows)
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


# ---- Datasets ---------------------------------------------------------------------------------------------------


def _write_entries(world: _World, landing: Landing) -> int:
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
            said = {row["entry_id"]: row for row in as_text(world.profile, told).to_dicts()}
            for bad in world.bad_rows:
                row = {**said[f"{world.profile.code}-{bad.like}"], **bad.values}
                landing.file(bad.month, kind).append_line(row, ragged=bad.is_ragged)
    if by_hand.height:
        landing.file(f"{window.names[-1]}-front-desk", "xlsx").append(by_hand)
    return sum(world.blocks) + len(world.stories) + len(world.bad_rows)


def _write_members(world: _World, landing: Landing) -> int:
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
DATASETS: Mapping[str, Callable[[_World, Landing], int]] = {
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


def _merchants_toml(profiles: Sequence[Profile], request: str) -> str:
    merchants = "\n".join(
        f'[merchants.{profile.merchant_id}]\nname = "{profile.name}"\ntimezone = "{profile.timezone}"\n'
        f'currency = "{profile.currency}"\n{profile.settings.strip()}\n'
        for profile in profiles
    )
    return f"# The merchants of the sample: {request}.\n#\n{OPTIONAL_SETTINGS.lstrip()}\n{merchants}"


def _access_toml(profiles: Sequence[Profile], request: str) -> str:
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
#   reversal_limit = 50000.00     # a larger reversal needs another owner's approval (unless said: no limit)
#   approval_limit = 100.00       # a credit above it needs approved_by (unless said: no limit)
#   decimal_comma = false         # amounts such as 1234,56
#   ignore_columns = []           # columns of the files that mean nothing here
#   encoding = "utf-8"            # of text files that are not UTF-8: any that Python knows
#   reasons = []                  # offered when adjusting; empty: those seen in the ledger
#   complete_through = "auto"     # "entries" or "balances": a period is complete when one is dated at or after its end
#   block_on_errors = false       # error flags hold back the workbook
#   shard = "main"                # merchants of one shard share a ledger file and its lock
# and thresholds for odd but valid entries, as these (docs/anomalies.md has all):
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


def _email(profile: Profile, member: int) -> str:
    domain = profile.domain if member % 47 == EMPLOYEE else MAIL_DOMAINS[member % len(MAIL_DOMAINS)]
    return f"{_name(member).mail}.{member + 1}@{domain}"
