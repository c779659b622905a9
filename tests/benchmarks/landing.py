"""Landing files for benchmarks: a merchant, its members, and entries that hang together; the same each time."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

MERCHANT = "bench"
TIMEZONE = "America/New_York"
LAST_MONTH = "2025-12"
MONTHS = 24
DAY = 86_400

MERCHANTS_TOML = f"""\
[merchants.{MERCHANT}]
name = "Bench"
timezone = "{TIMEZONE}"
currency = "USD"
"""
REASONS = ["Missing item", "Damaged item", "Late delivery", "Refer-A-Friend", "Holiday promotion", "Goodwill"]
CREDIT_TYPES = ["Service Recovery", "Service Recovery", "Service Recovery", "Promotional", "Promotional", "Adjustment"]
DETAILS = ["Lettuce left out of the box", "Eggs broken on arrival", "A friend joined", "Thank you for your patience"]
STAFF = ["Ann Lee", "Bo Sato", "Cy Okafor", "Di Marsh", "Ed Novak", "Flo Ruiz", "Gus Hahn", "Ida Berg"]
FIRST_NAMES = ["Ada", "Ben", "Cleo", "Dan", "Eve", "Fay", "Gil", "Hana", "Ira", "José", "Kai", "Lú", "Mia", "Ned"]
LAST_NAMES = ["Abel", "Brandt", "Cruz", "Dube", "Evans", "Fox", "Garcia", "Huang", "Ito", "Jones", "Kim", "O'Neil"]
LOCATIONS = ["East", "West", "Harbor", "Hill"]
LIVES = {0: 0.22, 90: 0.26, 180: 0.26, 365: 0.26}

Integers = npt.NDArray[np.int64]


def write_landing(
    home: Path,
    entries: int,
    seed: int = 1,
    *,
    files: Literal["one", "months"] = "months",
    last: int | None = None,
    lives: Mapping[int, float] = LIVES,
    months: int = MONTHS,
    merchant: str = MERCHANT,
) -> None:
    """Settings, members and `entries` entries of one merchant, in one CSV or one a month; the same for one seed.

    Settings are added to those that are there. The last of the `months` is LAST_MONTH. Half of the entries create
    credit, `last` of them (or 3 % of all) in the last month. `lives` says how many days credits live (0: for ever) and
    which part of them: a fifth of all entries leaves credits extant at the end, unless it says otherwise. Every
    redemption spends a part of a credit that is alive then, so that hardly any is uncovered.
    """
    rng = np.random.default_rng(seed)
    starts = _month_starts(months)
    end = starts[-1]
    created = _created(rng, entries // 2, round(entries * 0.03) if last is None else last, starts, lives)
    refunds = round(entries * 0.04)
    redeemed = _redeemed(rng, created, entries - len(created) - refunds, end)
    refunded = _refunded(rng, redeemed, refunds, end)
    every = pl.concat([created.drop("expires", "cents"), redeemed.drop("cents"), refunded], how="diagonal")
    every = every.sort("at", "entry_id").with_columns(
        pl.from_epoch("at", time_unit="s").dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("occurred_at"),
        pl.col("at")
        .cut(starts[1:-1], labels=[f"{month:02d}" for month in range(months)], left_closed=True)
        .alias("file"),
    )

    landing = home / "landing" / merchant
    (landing / "entries").mkdir(parents=True)
    (landing / "members").mkdir()
    with (home / "merchants.toml").open("a", encoding="utf-8") as settings:
        settings.write(MERCHANTS_TOML.replace(f".{MERCHANT}]", f".{merchant}]"))
    columns = [
        "entry_id", "entry_type", "occurred_at", "member_id", "amount", "redemption_id", "batch_id", "credit_type",
        "reason", "reason_details", "internal_note", "creator_name", "creator_email", "location", "priority",
        "expires_at",
    ]  # fmt: skip
    if files == "one":
        every.select(columns).write_csv(landing / "entries" / "export.csv")
    else:
        for (file,), rows in every.partition_by("file", as_dict=True, maintain_order=True).items():
            rows.select(columns).write_csv(landing / "entries" / f"month-{file}.csv")
    _members(rng, entries // 16).write_csv(landing / "members" / "members.csv")


def _created(
    rng: np.random.Generator, count: int, last: int, starts: list[int], lives: Mapping[int, float]
) -> pl.DataFrame:
    """Credits: `last` of them in the last month, the others spread over the months before."""
    at = np.concatenate([rng.integers(starts[0], starts[-2], count - last), rng.integers(starts[-2], starts[-1], last)])
    at.sort()
    weeks = (at // (7 * DAY)).tolist()
    in_batch = rng.random(count) < 0.1
    days = rng.choice([*lives], count, p=[*lives.values()])
    reason = rng.integers(0, len(REASONS), count)
    staff = rng.integers(0, len(STAFF), count)
    cents = rng.integers(4, 240, count) * 25
    return (
        pl.DataFrame(
            {
                "entry_id": _ids("c", count),
                "entry_type": ["created"] * count,
                "at": at,
                "member_id": _pick_members(rng, count),
                "cents": cents,
                "amount": _amounts(cents),
                "batch_id": [f"b{week}" if batched else None for week, batched in zip(weeks, in_batch, strict=True)],
                "credit_type": _texts(CREDIT_TYPES, reason),
                "reason": _texts(REASONS, reason),
                "reason_details": _texts([*DETAILS, None], rng.integers(0, len(DETAILS) + 1, count)),
                "internal_note": _texts([None, "Asked for by phone"], rng.choice(2, count, p=[0.95, 0.05])),
                "creator_name": _texts(STAFF, staff),
                "creator_email": _texts([f"{name.split()[0].lower()}@bench.example" for name in STAFF], staff),
                "location": _texts(LOCATIONS, rng.integers(0, len(LOCATIONS), count)),
                "priority": _texts([None, "10", "0"], rng.choice(3, count, p=[0.96, 0.03, 0.01])),
                "expires": np.where(days == 0, starts[-1] + 3650 * DAY, at + days * DAY),
                "days": days,
            }
        )
        .with_columns(
            pl.when(pl.col("days") > 0)
            .then(
                pl.from_epoch("at", time_unit="s")
                .dt.convert_time_zone(TIMEZONE)
                .dt.date()
                .dt.offset_by(pl.format("{}d", "days"))
            )
            .dt.strftime("%Y-%m-%d")
            .alias("expires_at")
        )
        .drop("days")
    )


def _redeemed(rng: np.random.Generator, created: pl.DataFrame, count: int, end: int) -> pl.DataFrame:
    """Redemptions, each at most a part of what one credit has, while it lives."""
    times = rng.choice([0, 1, 2, 3], len(created), p=[0.1, 0.35, 0.35, 0.2])
    share = rng.choice([0.5, 0.9, 1.0], len(created)) / np.maximum(times, 1)
    credit = np.repeat(np.arange(len(created)), times)
    cents = np.maximum((created["cents"].to_numpy()[credit] * share[credit]).astype(np.int64), 1)
    at = created["at"].to_numpy()[credit] + 60 + (rng.exponential(40 * DAY, len(credit))).astype(np.int64)
    possible = np.flatnonzero((at < end) & (at < created["expires"].to_numpy()[credit]))
    if len(possible) < count:
        raise AssertionError(f"{len(possible)} redemptions are possible, {count} are wanted")
    kept = np.sort(rng.permutation(possible)[:count])
    kept = kept[np.argsort(at[kept], kind="stable")]
    return pl.DataFrame(
        {
            "entry_id": _ids("r", count),
            "entry_type": ["redeemed"] * count,
            "at": at[kept],
            "member_id": created["member_id"].gather(credit[kept]),
            "cents": cents[kept],
            "amount": _amounts(cents[kept]),
        }
    )


def _refunded(rng: np.random.Generator, redeemed: pl.DataFrame, count: int, end: int) -> pl.DataFrame:
    """Refunds of redemptions, half of them in part, up to a month later."""
    at = redeemed["at"].to_numpy() + rng.integers(60, 30 * DAY, len(redeemed))
    chosen = np.sort(rng.permutation(np.flatnonzero(at < end))[:count])
    whole = redeemed["cents"].to_numpy()[chosen]
    cents = np.where(rng.random(count) < 0.5, whole, np.maximum(whole // 2, 1))
    return pl.DataFrame(
        {
            "entry_id": _ids("f", count),
            "entry_type": ["refunded"] * count,
            "at": at[chosen],
            "member_id": redeemed["member_id"].gather(chosen),
            "amount": _amounts(cents),
            "redemption_id": redeemed["entry_id"].gather(chosen),
        }
    )


def _members(rng: np.random.Generator, count: int) -> pl.DataFrame:
    ids = _ids("m", count)
    return pl.DataFrame(
        {
            "member_id": ids,
            "email": [f"{one}@members.example" for one in ids],
            "first_name": _texts(FIRST_NAMES, rng.integers(0, len(FIRST_NAMES), count)),
            "last_name": _texts(LAST_NAMES, rng.integers(0, len(LAST_NAMES), count)),
            "location": _texts(LOCATIONS, rng.integers(0, len(LOCATIONS), count)),
        }
    )


def _pick_members(rng: np.random.Generator, count: int) -> pl.Series:
    """A member for each of `count` credits, which are half of the entries: eight credits each, on average."""
    return _texts(_ids("m", count // 8), rng.integers(0, count // 8, count))


def _texts(values: Sequence[str | None], picked: Integers) -> pl.Series:
    return pl.Series(values, dtype=pl.String).gather(picked)


def _ids(letter: str, count: int) -> list[str]:
    return [f"{letter}{number:07d}" for number in range(1, count + 1)]


def _amounts(cents: Integers) -> pl.Series:
    return pl.select((pl.lit(pl.Series(cents)) / 100).round(2).cast(pl.Decimal(18, 2)).cast(pl.String)).to_series()


def _month_starts(months: int) -> list[int]:
    """The first instants of the months, and the last one's end, in seconds since 1970."""
    year, month = map(int, LAST_MONTH.split("-"))
    first = year * 12 + month - months
    zone = ZoneInfo(TIMEZONE)
    starts = [datetime((first + n) // 12, (first + n) % 12 + 1, 1, tzinfo=zone) for n in range(months + 1)]
    if starts[-1] > datetime.now(UTC):
        raise AssertionError(
            "this machine's clock is before the data's last month, and entries may not be in the future"
        )
    return [int(start.timestamp()) for start in starts]
