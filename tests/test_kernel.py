"""The kernel as a loop over arrays: it grows, it stays fast where an account is large, and it is what its Python says.

What the movements of a ledger must be is in test_facts.py.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines import kernel

ROOT = Path(__file__).parent.parent
CREATED, DEDUCTED = kernel.KINDS.index("created"), kernel.DEDUCTED
DAY_US = 86_400_000_000
QUICK_S = 2.0


def run(
    kinds: list[int] | np.ndarray,
    amounts: list[int] | np.ndarray,
    *,
    accounts: list[int] | None = None,
    named: np.ndarray | None = None,
    redemption: np.ndarray | None = None,
    expires_at: np.ndarray | None = None,
    room: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Replay entries that are a day apart."""
    size = len(kinds)
    nothing = np.full(size, kernel.NONE, np.int64)
    return kernel.replay(
        np.array(accounts or [0, size]),
        np.array(kinds, np.int8),
        np.arange(1, size + 1) * DAY_US,
        np.array(amounts, np.int64),
        np.full(size, kernel.NEVER, np.int64) if expires_at is None else expires_at,
        np.full(size, 50, np.int64),
        np.arange(size),
        nothing if named is None else named,
        nothing if redemption is None else redemption,
        np.zeros(size, np.int8),
        nothing,
        np.zeros(len(accounts or [0, size]) - 1, np.bool_),
        room,
    )


def random_ledger(seed: int, accounts: int, room: int = 0) -> tuple[Any, ...]:
    """Arrays for the kernel: all types, ties, named credits, refunds, everything that can go wrong."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 60, accounts)
    ends = np.append(0, sizes.cumsum())
    total = int(ends[-1])
    begins, begin = ends[:-1], np.repeat(ends[:-1], sizes)
    size = np.repeat(sizes, sizes)
    kind = rng.choice(10, total, p=[0.05, 0.3, 0.03, 0.06, 0.15, 0.25, 0.04, 0.04, 0.04, 0.04]).astype(np.int8)
    occurred_at = np.sort(rng.integers(0, 300, total) // 3) * DAY_US
    for first, last in zip(begins, ends[1:], strict=True):
        occurred_at[first:last] = np.sort(rng.integers(0, 100, last - first)) * DAY_US

    def within_account(wanted: np.ndarray, share: float) -> np.ndarray:
        guess = begin + rng.integers(0, 1 << 30, total) % size
        return np.where(wanted[guess] & (rng.random(total) < share), guess, kernel.NONE)

    named = within_account(kind <= kernel.TRANSFERRED_IN, 0.6)
    named[rng.random(total) < 0.03] = kernel.UNKNOWN
    redemption = within_account(kind == kernel.REDEEMED, 1.0)
    expires_at = np.where(rng.random(total) < 0.4, kernel.NEVER, occurred_at + rng.integers(-5, 60, total) * DAY_US)
    amount = np.where(kind == kernel.EXPIRY_CHANGED, 0, rng.integers(1, 50, total) * 10_000)
    return (
        ends,
        kind,
        occurred_at,
        amount,
        expires_at,
        rng.integers(0, 3, total),
        rng.permutation(total),
        named,
        redemption,
        rng.choice(3, total, p=[0.96, 0.02, 0.02]).astype(np.int8),
        np.where(rng.random(total) < 0.3, occurred_at + 30 * DAY_US, kernel.NO_GRACE),
        rng.random(accounts) < 0.5,
        room,
    )


def digest(seed: int) -> list[int]:
    """A random ledger's movements and findings as numbers that change if any of them does."""
    movements, findings, parts = kernel.replay(*random_ledger(seed, 40))
    weights = [np.arange(1, table.size + 1).reshape(table.shape) for table in (movements[:12], findings, parts)]
    with np.errstate(over="ignore"):
        return [
            int((table * weight).sum())
            for table, weight in zip((movements[:12], findings, parts), weights, strict=True)
        ]


def test_compiled_and_interpreted_agree_on_a_ledger_of_everything() -> None:
    seeds = range(3)
    interpreted = subprocess.run(
        [sys.executable, "-c", f"from tests.test_kernel import digest\nfor s in {list(seeds)}: print(*digest(s))"],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    said = [[int(number) for number in line.split()] for line in interpreted.stdout.splitlines()]
    assert said == [digest(seed) for seed in seeds]


def test_where_nothing_compiled_can_be_kept_the_kernel_works_all_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tests.test_kernel import digest\nprint(*digest(0))"],
        cwd=ROOT,
        # As with software and a home that are read-only, which they are not to the superuser.
        env={**os.environ, "NUMBA_CACHE_LOCATOR_CLASSES": "UserWideCacheLocator", "XDG_CACHE_HOME": "/dev/null/none"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [int(number) for number in done.stdout.split()] == digest(0)


def test_a_random_ledger_has_every_kind_of_movement_and_finding() -> None:
    movements, findings, _ = kernel.replay(*random_ledger(1, 400))
    assert set(movements[kernel.KIND].tolist()) == set(range(len(kernel.KINDS)))
    assert set(findings[kernel.FINDING].tolist()) == set(range(len(kernel.FINDINGS)))


def test_no_amount_is_lost_on_a_random_ledger() -> None:
    arrays = random_ledger(2, 400)
    movements, findings, parts = kernel.replay(*arrays)
    entry, amount = movements[kernel.ENTRY], movements[kernel.AMOUNT]
    of_entry = entry >= 0
    moved = np.zeros(arrays[1].size, np.int64)
    np.add.at(moved, entry[of_entry], amount[of_entry])
    np.add.at(moved, findings[kernel.FINDING_ENTRY], findings[kernel.UNMOVED])
    asserts = (arrays[1] == kernel.EXPIRED) & (moved == 0)
    assert (moved == arrays[3])[~asserts].all()
    assert (np.bincount(entry[of_entry], minlength=moved.size) == parts).all()
    assert (movements[kernel.REMAINING] >= 0).all()


@pytest.mark.parametrize("room", [0, 1, 5, 10_000])
def test_it_makes_room_for_more_movements_than_there_are_entries(room: int) -> None:
    # Forty credits; each redemption draws on all of them, and each refund gives it all back.
    cycle = [kernel.REDEEMED, kernel.REFUNDED] * 20
    kinds = [CREATED] * 40 + cycle
    redemption = np.array([kernel.NONE] * 40 + [kernel.NONE if i % 2 == 0 else 39 + i for i in range(40)])
    movements, findings, parts = run(kinds, [10_000] * 40 + [400_000] * 40, redemption=redemption, room=room)
    assert movements.shape[1] == 40 + 40 * 40
    assert findings.shape[1] == 0
    assert parts.tolist() == [1] * 40 + [40] * 40
    assert movements[kernel.SEQUENCE].tolist() == list(range(1, movements.shape[1] + 1))
    given_back = movements[kernel.GIVES_BACK]
    assert (movements[kernel.CREDIT][given_back[given_back >= 0]] == movements[kernel.CREDIT][given_back >= 0]).all()


def test_it_makes_room_for_more_findings_than_at_first() -> None:
    movements, findings, _ = run([DEDUCTED] * 5000, [10_000] * 5000)
    assert movements.shape[1] == findings.shape[1] == 5000
    assert (findings[kernel.FINDING] == kernel.UNCOVERED_DRAW).all()


def test_an_account_that_did_not_fit_at_first_is_as_if_it_had() -> None:
    roomy = kernel.replay(*random_ledger(3, 200, room=1_000_000))
    tight = kernel.replay(*random_ledger(3, 200, room=0))
    for one, other in zip(roomy, tight, strict=True):
        # What is sorted by credit is only there where a refund has named one.
        assert (one[:12] == other[:12]).all()


def test_one_account_of_two_hundred_thousand_entries_is_quick() -> None:
    half = 100_000
    expires_at = np.concatenate([np.arange(half)[::-1] * DAY_US + 10**18, np.zeros(half, np.int64)])
    started = time.perf_counter()
    movements, _, _ = run(
        [CREATED] * half + [DEDUCTED] * half, [20_000] * half + [10_000] * half, expires_at=expires_at
    )
    assert time.perf_counter() - started < QUICK_S
    assert movements.shape[1] == 2 * half + half // 2


def test_giving_back_a_redemption_of_many_parts_bit_by_bit_is_quick() -> None:
    lots, backs = 60_000, 60_000
    kinds = [CREATED] * lots + [kernel.REDEEMED] + [kernel.REFUNDED] * backs
    redemption = np.array([kernel.NONE] * (lots + 1) + [lots] * backs)
    shuffled = np.random.default_rng(0).permutation(lots)
    for named in (None, np.concatenate([np.full(lots + 1, kernel.NONE), shuffled])):
        amounts = [10_000] * lots + [10_000 * lots] + [10_000] * backs
        started = time.perf_counter()
        movements, findings, _ = run(kinds, amounts, redemption=redemption, named=named)
        assert time.perf_counter() - started < QUICK_S
        assert movements.shape[1] == 3 * lots
        assert findings.shape[1] == 0


def test_importing_the_kernel_finds_it_compiled() -> None:
    assert sum(kernel.replay.stats.cache_misses.values()) <= 1  # type: ignore[attr-defined]
    subprocess.run([sys.executable, "-m", "pipelines.kernel"], cwd=ROOT, check=True, capture_output=True)
    told = subprocess.run(
        [sys.executable, "-c", "from pipelines import kernel; print(sum(kernel.replay.stats.cache_misses.values()))"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.strip() == "0"
