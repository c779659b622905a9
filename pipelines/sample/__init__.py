"""The sample: landing files of invented merchants that tell the stories of a year of account credit.

Belongs here: how its rows are made, the same for the same arguments on any day. What happens at each merchant is
written down in `pipelines.sample.merchants`, and how files are written in `pipelines.sample.files`. Does not belong
here: what the files mean. The sample knows the formats, as a source would, and nothing of the ledger.

Entries are of two kinds. *Stories* are written down row by row and batch by batch: what the merchants' people
would tell you, with figures that a report must show. *Background* is drawn at random, whole columns at a time, as
chains: a credit, and what becomes of it. A chain draws no more than its credit has while it lives, so that accounts
are rarely overdrawn, although the replay may take the same money from another of their credits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pipelines.journal import write_whole
from pipelines.sample.audits import write_balances, write_batches
from pipelines.sample.entries import write_entries
from pipelines.sample.files import Landing
from pipelines.sample.members import write_members
from pipelines.sample.merchants import Profile, profiles_of
from pipelines.sample.rosters import write_charges, write_enrollments, write_students
from pipelines.sample.toml_files import access_toml, merchants_toml
from pipelines.sample.world import Window, World
from pipelines.settings import Home

# A dataset more is a function more: it writes one merchant's files, and says how many rows they have.
DATASETS: Mapping[str, Callable[[World, Landing], int]] = {
    "members": write_members,
    "batches": write_batches,
    "entries": write_entries,
    "balances": write_balances,
    "students": write_students,
    "enrollments": write_enrollments,
    "charges": write_charges,
}


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
        world = World(profile, Window(months), share, (seed, position))
        for dataset, write in DATASETS.items():
            with Landing(home.landing / profile.merchant_id / dataset, profile) as landing:
                rows[dataset] += write(world, landing)
            files += landing.paths()
    others = {name: count for name, count in rows.items() if name != "entries"}
    return SampleResult(tuple(files), rows["entries"], others)


def _claim(home: Home, profiles: Sequence["Profile"], request: str) -> None:
    """Write the settings, first of all. They name what was asked for, so that no two samples are ever mixed."""
    wanted = {
        home.merchants_file: merchants_toml(profiles, request),
        home.path / "access.toml": access_toml(profiles, request),
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
