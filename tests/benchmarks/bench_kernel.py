"""The replay's kernel: beside beancount booking the same lots of one account, and beside its own Python.

Beancount is timed at booking alone (`booking.book` on a parsed ledger), the kernel on arrays that are ready.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from beancount import loader
from beancount.parser import booking, parser

from pipelines import kernel
from tests.benchmarks import Goal

DAY = 86_400
FIRST_DAY = date(2015, 1, 1)

BEANCOUNT_RATIO = "times as fast as beancount books a ledger of lots, then reductions"
PYTHON_RATIO = "times as fast as its own Python"
GOALS = {BEANCOUNT_RATIO: Goal("at least", 500), PYTHON_RATIO: Goal("at least", 12)}


class Lots(NamedTuple):
    """Entries of one account, one a day from FIRST_DAY. What is taken is always covered."""

    cents: npt.NDArray[np.int64]  # what a credit is issued for (> 0), or what is taken (< 0)

    @property
    def seconds(self) -> npt.NDArray[np.int64]:
        """Noon UTC of each entry's day, since 1970."""
        noon = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, 12, tzinfo=UTC)
        return int(noon.timestamp()) + DAY * np.arange(len(self.cents), dtype=np.int64)


def run(quick: bool) -> dict[str, float]:
    """Microseconds an entry of each, and the ratios."""
    size = 400 if quick else 2_000
    piled = lots(size, ahead=size // 2)
    flowing = lots(size, ahead=10)
    many = lots(2_000 if quick else 20_000, ahead=10)
    figures: dict[str, float] = {}
    for name, ledger in (("lots, then reductions", piled), ("lots and reductions in turn", flowing)):
        theirs, left = _beancount(ledger)
        ours, left_by_ours = _ours(ledger, compiled=True)
        assert left == left_by_ours, "beancount and the kernel took from different lots"
        figures[f"beancount, {name}, µs an entry"] = theirs
        figures[f"kernel, {name}, µs an entry"] = ours
        figures[f"times as fast as beancount books a ledger of {name}"] = theirs / ours
    (compiled, left), (interpreted, left_by_python) = _ours(many, compiled=True), _ours(many, compiled=False)
    assert left == left_by_python, "the kernel and its own Python took from different lots"
    figures["the kernel's own Python, µs an entry"] = interpreted
    figures[PYTHON_RATIO] = interpreted / compiled
    return figures


def lots(size: int, ahead: int) -> Lots:
    """`ahead` credits, then as much taken as issued, in turn: about `ahead` credits are open at any time.

    With half of `size` ahead, the other half takes from them, oldest first.
    """
    chance = random.Random(1)
    cents: list[int] = []
    issued = taken = 0
    for number in range(size):
        amount = chance.randrange(100, 6_000)
        turn = number < ahead or (size > 2 * ahead and number % 2 == 0)
        open_cents = issued - taken
        if turn or not open_cents:
            cents.append(amount)
            issued += amount
        else:
            amount = min(amount, open_cents)
            cents.append(-amount)
            taken += amount
    return Lots(np.array(cents, dtype=np.int64))


def beancount_ledger(ledger: Lots) -> str:
    """The same as text for beancount: dated lots with cost, and reductions that leave the choice to FIFO."""
    lines = [
        'option "title" "Lots"',
        f'{FIRST_DAY - timedelta(days=1)} open Assets:Credits CREDIT "FIFO"',
        f"{FIRST_DAY - timedelta(days=1)} open Equity:Store USD",
    ]
    for number, cents in enumerate(ledger.cents.tolist()):
        day = FIRST_DAY + timedelta(days=number)
        cost = "{1.00 USD}" if cents > 0 else "{}"
        lines += [
            "",
            f'{day} * "entry {number}"',
            f"  Assets:Credits  {cents / 100:.2f} CREDIT {cost}",
            f"  Equity:Store  {-cents / 100:.2f} USD",
        ]
    return "\n".join(lines) + "\n"


def _beancount(ledger: Lots) -> tuple[float, dict[int, int]]:
    """Microseconds an entry, and the cents left of each lot, by the number of its entry.

    Raises AssertionError where beancount has an objection to the ledger.
    """
    text = beancount_ledger(ledger)
    _, errors, _ = loader.load_string(text)
    assert errors == [], errors[:3]

    times: list[float] = []
    booked: list[Any] = []
    for _ in range(3):
        entries, parse_errors, options = parser.parse_string(text)
        started = time.perf_counter()
        booked, booking_errors = booking.book(entries, options)
        times.append(time.perf_counter() - started)
        assert parse_errors == booking_errors == []

    left: Counter[int] = Counter()
    for entry in booked:
        for posting in getattr(entry, "postings", ()):
            if posting.account == "Assets:Credits":
                left[(posting.cost.date - FIRST_DAY).days] += int(posting.units.number * 100)
    return min(times) / len(ledger.cents) * 1e6, {lot: cents for lot, cents in left.items() if cents}


def _ours(ledger: Lots, *, compiled: bool) -> tuple[float, dict[int, int]]:
    """As `_beancount`, of the kernel or of its Python."""
    replay = kernel.replay if compiled else _as_python()
    size = len(ledger.cents)
    issued = ledger.cents > 0
    none = np.full(size, kernel.NONE, np.int64)
    arrays = (
        np.array([0, size], np.int64),  # accounts
        np.where(issued, kernel.KINDS.index("created"), kernel.REDEEMED).astype(np.int8),
        ledger.seconds * 1_000_000,
        np.abs(ledger.cents) * 100,
        np.full(size, kernel.NEVER, np.int64),  # stated_expiry
        np.full(size, 50, np.int64),  # priority
        np.arange(size, dtype=np.int64),  # rank
        none,  # named
        none,  # redemption
        np.zeros(size, np.int8),  # barred
        none,  # grace
        np.array([True]),  # oldest_first
        2 * size,  # room
    )
    seconds = _best(lambda: replay(*arrays))
    movements, findings, _ = replay(*arrays)
    assert findings.shape[1] == 0
    last = movements[:, movements[kernel.VALID_UNTIL] == kernel.NEVER]
    left = dict(zip(last[kernel.CREDIT].tolist(), (last[kernel.REMAINING] // 100).tolist(), strict=True))
    return seconds / size * 1e6, {lot: cents for lot, cents in left.items() if cents}


def _as_python() -> Callable[..., Any]:
    """The kernel's `replay` with nothing compiled, what it calls neither."""
    namespace = dict(vars(kernel))
    for name, value in vars(kernel).items():
        if hasattr(value, "py_func"):
            namespace[name] = FunctionType(value.py_func.__code__, namespace, name, value.py_func.__defaults__)
    replay: Callable[..., Any] = namespace["replay"]
    return replay


def _best(work: Callable[[], object], seconds: float = 0.5) -> float:
    """The shortest time of as many runs as fit into `seconds`, at least three."""
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < until:
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
