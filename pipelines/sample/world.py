"""A merchant's part of the sample: its months, which stories fit into them, and who the members are."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pipelines.sample.files import DAY_S
from pipelines.sample.merchants import (
    BadRow,
    Batch,
    Category,
    Profile,
    bad_rows_of,
    batches_of,
    categories_of,
    stories_of,
)

LAST_YEAR, LAST_MONTH = 2026, 10
BLOCK_ROWS = 200_000  # a block of one merchant, some 3 kB a row while it is made
STORY_MEMBERS, WHOLESALE_MEMBERS = 40, 18

Ints = npt.NDArray[np.int64]


def second_of(text: str) -> int:
    """Naive local seconds since 1970, which all times are here; the files make of them what a source would say."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def end_of_day(seconds: int) -> int:
    """The last second of that day."""
    return seconds - seconds % DAY_S + DAY_S - 1


@dataclass(frozen=True)
class Window:
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
        return np.array([second_of(f"{name}-01") for name in (*self.names, after)], dtype=np.int64)

    @property
    def start(self) -> int:
        return int(self.starts[0])

    @property
    def end(self) -> int:
        return int(self.starts[-1])

    def month_of(self, seconds: Ints) -> Ints:
        return np.searchsorted(self.starts, seconds, side="right").astype(np.int64) - 1


@dataclass(frozen=True)
class World:
    """One merchant's part of a sample: which stories fit, and who the members are."""

    profile: Profile
    window: Window
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

    @property
    def block_rows(self) -> int:
        """How many rows are in memory at once."""
        return BLOCK_ROWS

    @cached_property
    def blocks(self) -> list[int]:
        """How many rows of background each block has."""
        whole, last = divmod(self.entries - len(self.stories) - len(self.bad_rows), self.block_rows)
        return [self.block_rows] * whole + [last] * (last > 0 or whole == 0)

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
