"""What the kernel is given on random ledgers, and what it made of it that the oracle says too: recorded, and played.

Playing needs neither DuckDB nor Polars, so that each of hundreds of mutants of the kernel (tests/mutants.py) can be
held against the oracle within a second. pytest does not collect this module unless it is told to.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import kernel

LEDGERS = 150
# What the movements are made of. The rows after these are the kernel's own notes.
SEEN_ROWS = kernel.GIVES_BACK + 1


def record(file: Path, ledgers: int = LEDGERS) -> int:
    """Replay random ledgers, always the same, hold each against the oracle, and keep arrays in and out; how many.

    Raises AssertionError where the kernel and the oracle differ.
    """
    from hypothesis import HealthCheck, Phase, given, seed, settings

    from tests import oracle
    from tests.random_ledgers import ledgers as random_ledgers
    from tests.test_replay_against_oracle import assert_replayed, replay_in_turn

    kept: dict[str, np.ndarray] = {}
    calls: list[tuple[Any, Any]] = []

    def keeping(replay: Callable[..., Any]) -> Callable[..., Any]:
        def replayed(*arrays: Any) -> Any:
            made = replay(*arrays)
            calls.append((arrays, made))
            return made

        return replayed

    @seed(1)
    @settings(
        max_examples=ledgers,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(random_ledgers())
    def each(drawn: Any) -> None:
        entries, policies = drawn
        calls.clear()
        assert_replayed(replay_in_turn([entries], policies), oracle.replay(entries, policies))
        for arrays, made in calls:
            number = len({name.partition(".")[0] for name in kept})
            kept.update({f"{number}.in.{at}": np.asarray(array) for at, array in enumerate(arrays)})
            kept.update({f"{number}.out.{at}": table for at, table in enumerate(made)})

    replay = kernel.replay
    try:
        kernel.replay = keeping(replay)
        each()
    finally:
        kernel.replay = replay
    np.savez(file, allow_pickle=False, **kept)
    return len({name.partition(".")[0] for name in kept})


def played(file: Path) -> None:
    """Give the kernel what was recorded. Raises AssertionError where it makes something else of it."""
    with np.load(file) as kept:
        told = {name: kept[name] for name in kept.files}
    for number in sorted({int(name.partition(".")[0]) for name in told}):
        *arrays, room = (told[f"{number}.in.{at}"] for at in range(13))
        replay: Callable[..., Any] = kernel.replay
        movements, findings, parts = replay(*arrays, int(room))
        expected = told[f"{number}.out.0"][:SEEN_ROWS], told[f"{number}.out.1"], told[f"{number}.out.2"]
        for made, approved in zip((movements[:SEEN_ROWS], findings, parts), expected, strict=True):
            np.testing.assert_array_equal(made, approved)


def test_the_kernel_says_what_the_oracle_says() -> None:
    played(Path(os.environ["RECORDINGS"]))
